package main

import (
	"maps"
	"slices"
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
func dashboard(uid, title, about string, severalInstances bool, rows ...row) object {
	panels, y := []object{}, 0
	for n, r := range rows {
		y = r.place(y)
		if r[0]["type"] == "row" {
			r[0]["id"] = n + 1 // the schema wants it; the panels get theirs by Grafana
		}
		panels = append(panels, r...)
	}
	return object{
		"uid": uid, "title": title, "description": about, "tags": []string{"starrocks", "backup"},
		"schemaVersion": 39, "editable": true, "graphTooltip": 1, "timezone": "browser", "refresh": "5m",
		"time":        object{"from": "now-7d", "to": "now"},
		"annotations": object{"list": []object{}},
		"templating":  object{"list": variables(severalInstances)},
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

// link leads to the other dashboard. It keeps the time and the variables but for the instance: from the fleet that may be all, which the
// instance's own dashboard cannot show, and back from there it would show one alone.
func link(title, uid string) object {
	return object{
		"title": title, "type": "link", "url": "/d/" + uid + "?${datasource:queryparam}&${region:queryparam}&${account:queryparam}",
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

// toInstance links a row of a table to the dashboard of its instance; the variables stay.
var toInstance = object{"links": []object{{
	"title": "Show the instance",
	"url": "/d/" + instanceUID +
		"?var-instance=${__data.fields.ID}&${datasource:queryparam}&${region:queryparam}&${account:queryparam}&${__url_time_range}",
}}}

// variables are fed by the exporter's metrics. The instance is chosen by name and told by id.
func variables(severalInstances bool) []object {
	const info = `starrocks_backup_instance_info{region_id=~"$region",account=~"$account"}`
	known := `topk by (instance_id) (1, max by (instance_id, instance_name) (` + info +
		`) or on (instance_id) max by (instance_id, instance_name) (last_over_time(` + info + `[26h])))`
	all := `max by (instance_id) (last_over_time(starrocks_backup_up{region_id=~"$region"}[26h])` + ofOtherAccount + `)`
	names := `label_join(` + known + `, "text", " ", "instance_name", "instance_id") or on (instance_id) label_join(` + all +
		`, "text", " ", "instance_id")`
	list := []object{
		{"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "refresh": 1},
		variable("region", "Region", 1, "label_values(starrocks_backup_up, region_id)"),
		variable("account", "Account", 1, `label_values(starrocks_backup_instance_info{region_id=~"$region"}, account)`),
		variable("instance", "Instance", 3,
			"query_result("+names+")").with(object{"regex": `/instance_id="(?<value>[^"]+)".*text="(?<text>[^"]+)"/`}),
	}
	if !severalInstances {
		list[3].with(object{"includeAll": false, "multi": false})
		delete(list[3], "allValue")
	}
	return list
}

func variable(name, label string, kind int, text string) object {
	return object{
		"name": name, "label": label, "type": "query", "datasource": datasource, "definition": text, "includeAll": true, "multi": true,
		"allValue": ".*",
		"query":    object{"query": text, "qryType": kind, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
		"refresh":  2, "sort": 5,
	}
}
