package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

const (
	fleetUID    = "starrocks-backup-fleet"
	instanceUID = "starrocks-backup-instance"
	// runbooks is where the alerts' runbooks are; README.md says how to set one's own place.
	runbooks = "alerts/README.md"
)

func sortedKeys(o object) []string { return slices.Sorted(maps.Keys(o)) }

// row is a line of panels, side by side.
type row []object

// dashboard lays rows out one below the other, and fills in what both dashboards share.
func dashboard(uid, title, about string, more []object, annotations []object, rows ...row) object {
	panels, y, id := []object{}, 0, 0
	number := func(p object) { id++; p["id"] = id }
	for _, r := range rows {
		y = r.place(y)
		for _, p := range r {
			number(p)
			hidden, _ := p["panels"].([]object)
			for _, h := range hidden {
				number(h)
			}
		}
		panels = append(panels, r...)
	}
	return object{
		"uid": uid, "title": title, "description": about, "tags": []string{"starrocks", "backup"},
		"schemaVersion": 39, "editable": true, "graphTooltip": 1, "timezone": "browser", "refresh": "5m",
		"time":        object{"from": "now-7d", "to": "now"},
		"annotations": object{"list": annotations},
		"templating":  object{"list": append(variables(), more...)},
		"links": []object{
			link("Fleet", fleetUID), link("Instance", instanceUID),
			{
				"title": "Runbooks", "type": "link", "url": runbooks, "icon": "doc", "tooltip": "What each alert means and how to end it",
				"tags": []string{}, "asDropdown": false, "targetBlank": true, "includeVars": false, "keepTime": false,
			},
		},
		"panels": panels,
	}
}

// keep are the variables that a link to the other dashboard keeps. It does not keep the instance: from the fleet that may be all, which
// the instance's own dashboard cannot show, and back from there it would show one alone.
const keep = "${datasource:queryparam}&${cluster:queryparam}&${job:queryparam}&${region:queryparam}&${account:queryparam}"

func link(title, uid string) object {
	return object{
		"title": title, "type": "link", "url": "/d/" + uid + "?" + keep,
		"icon": "dashboard", "tooltip": "", "tags": []string{}, "asDropdown": false, "targetBlank": false, "includeVars": false, "keepTime": true,
	}
}

// place sets the panels' places from y on, those of a collapsed row too, and returns the first y below.
func (r row) place(y int) int {
	x, h := 0, 0
	for _, p := range r {
		g := p["gridPos"].(object)
		g["x"], g["y"] = x, y
		x, h = x+g["w"].(int), max(h, g["h"].(int))
		if hidden, ok := p["panels"].([]object); ok {
			for n, below := 0, y+1; n < len(hidden); n += 3 {
				below = row(hidden[n:min(n+3, len(hidden))]).place(below)
			}
		}
	}
	return y + h
}

// heading begins a part of the dashboard. With panels it is collapsed, and these are asked for only when it is opened.
func heading(title string, hidden ...object) row {
	if hidden == nil {
		hidden = []object{}
	}
	return row{{"type": "row", "title": title, "collapsed": len(hidden) > 0, "panels": hidden, "gridPos": object{"w": 24, "h": 1}}}
}

// toInstance links a row of a table to the dashboard of its instance.
var toInstance = object{"links": []object{{
	"title": "Show the instance", "url": "/d/" + instanceUID + "?var-instance=${__data.fields.ID}&" + keep + "&${__url_time_range}",
}}}

// variables are fed by the exporter's metrics, over the time range.
func variables() []object {
	of := func(label, metric, matchers string) string {
		return fmt.Sprintf("label_values(starrocks_backup_%s{%s}, %s)", metric, matchers, label)
	}
	const within = exporters + `,region_id=~"$region"`
	return []object{
		{"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "refresh": 1},
		queryVariable("cluster", "Cluster", 1, "label_values(starrocks_backup_up, cluster)"),
		queryVariable("job", "Job", 1, of("job", "up", `cluster=~"$cluster"`)),
		queryVariable("region", "Region", 1, of("region_id", "up", exporters)),
		queryVariable("account", "Account", 1, of("account", "instance_info", within)),
	}
}

// instanceVariable is the variable of an instance, chosen by its name and told by its id. It has those that the alerts hold, too.
func instanceVariable() object {
	every := strings.ReplaceAll(selected, `,instance_id=~"$instance"`, "")
	all := or(paren("max by (instance_id) (last_over_time(starrocks_backup_up{%s}[%s]))", every, hold),
		paren("max by (instance_id) (starrocks_backup:condition{%s})", every))
	known := paren(`topk by (instance_id) (1, max by (instance_id, instance_name) (last_over_time(starrocks_backup_instance_info{%s}[%s])))`,
		every, hold)
	texts := nested("\nor on (instance_id) ", []string{
		paren(`label_join(%s, "text", " ", "instance_name", "instance_id")`, known), paren(`label_join(%s, "text", " ", "instance_id")`, all),
	})
	others := strings.ReplaceAll(ofOthers, "{", "{"+exporters+",")
	return queryVariable("instance", "Instance", 3, "query_result("+paren("%s unless on (instance_id) %s", texts, others)+")").
		with(object{"regex": `/instance_id="(?<value>[^"]+)".*text="(?<text>[^"]+)"/`})
}

// singleValue makes of a variable one that has a single value.
func singleValue(v object) object {
	delete(v, "allValue")
	return v.with(object{"includeAll": false, "multi": false})
}

// chosenBy is a hidden variable of the instances that a chart shows. Prometheus then reads no others: a query that ranks and draws
// in one would read every instance of the fleet at each step.
func chosenBy(name, ranked string) object {
	v := queryVariable(name, name, 3, "query_result("+ranked+")").with(object{
		"regex": `/instance_id="([^"]+)"/`, "hide": 2, "current": object{"text": []string{"All"}, "value": []string{"$__all"}, "selected": true},
	})
	delete(v, "allValue") // all are those that were found
	return v
}

func queryVariable(name, label string, kind int, text string) object {
	return object{
		"name": name, "label": label, "type": "query", "datasource": datasource, "definition": label, "includeAll": true, "multi": true,
		"allValue": ".*",
		"query":    object{"query": text, "qryType": kind, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
		"refresh":  2, "sort": 5,
	}
}
