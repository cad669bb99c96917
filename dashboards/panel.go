package main

import (
	"fmt"
	"slices"
	"strings"
)

// The same color means the same thing everywhere.
const (
	good      = "green"
	bad       = "red"
	unknown   = "#8e8e8e" // grey
	neutral   = "text"    // says nothing of good or bad, as do the next three
	primary   = "blue"
	secondary = "purple"
	tertiary  = "#c8a02c" // ocher
)

var (
	states    = values("0", "healthy", good, "1", "unknown", unknown, "2", "unhealthy", bad)
	taskWords = values("completed", "completed", good, "failed", "failed", bad, "unknown", "unknown", unknown,
		"running", "running", "blue", "pending", "pending", "light-blue", "canceled", "canceled", "orange")
	// taskCodes begin at firstCode: a chart may show states and tasks.
	taskCodes = values("10", "pending", "light-blue", "11", "running", "blue", "12", "completed", good,
		"13", "failed", bad, "14", "canceled", "orange", "15", "unknown", unknown)
)

const firstCode = 10

// noNumber maps the values of rows that are words. It is for columns of numbers: Grafana takes every text for no number.
var noNumber = []object{{"type": "special", "options": object{"match": "nan", "result": object{"text": "–", "index": 0}}}}

// values maps values to texts and colors.
func values(triples ...string) []object {
	all := object{}
	for n := 0; n < len(triples); n += 3 {
		all[triples[n]] = object{"text": triples[n+1], "color": triples[n+2], "index": n / 3}
	}
	return []object{{"type": "value", "options": all}}
}

// notYet is what a chart says when it is empty: its last step may be older than the first sample.
const notYet = "nothing yet in the time shown"

// steps are thresholds: the first color from below, each further from its value on. A value that is not there has the first, which
// must not say good or bad.
func steps(below string, more ...any) object {
	all := []object{{"color": below, "value": nil}}
	for n := 0; n < len(more); n += 2 {
		all = append(all, object{"value": more[n], "color": more[n+1]})
	}
	return object{"mode": "absolute", "steps": all}
}

// panel is a panel of w columns, of 24. None is what it says where there is nothing to show.
func panel(kind, title, about string, w int, unit string, decimals int, none string, queries ...object) object {
	for n, q := range queries {
		q["refId"] = string(rune('A' + n))
	}
	return object{
		"type": kind, "title": title, "description": about, "datasource": datasource, "targets": queries,
		"gridPos": object{"w": w, "h": 8},
		"fieldConfig": object{"defaults": object{
			"unit": unit, "decimals": decimals, "noValue": none, "mappings": []object{}, "thresholds": steps(neutral),
			"color": object{"mode": "thresholds"},
		}, "overrides": []object{}},
		"options": object{},
	}
}

// field changes what holds for all of a panel's fields.
func (o object) field(more object) object {
	o["fieldConfig"].(object)["defaults"].(object).with(more)
	return o
}

// high sets a panel's height, in rows of 30 pixels or so.
func (o object) high(h int) object {
	o["gridPos"].(object)["h"] = h
	return o
}

// override changes what holds for one field or series.
func (o object) override(name string, properties object) object {
	var all []object
	for _, id := range sortedKeys(properties) {
		all = append(all, object{"id": id, "value": properties[id]})
	}
	c := o["fieldConfig"].(object)
	c["overrides"] = append(c["overrides"].([]object), object{"matcher": object{"id": "byName", "options": name}, "properties": all})
	return o
}

// stat is a number to read from afar.
func stat(title, about string, w int, unit string, decimals int, none string, thresholds object, queries ...object) object {
	return panel("stat", title, about, w, unit, decimals, none,
		queries...).high(4).field(object{"thresholds": thresholds}).with(object{"options": object{
		"colorMode": "value", "graphMode": "none", "justifyMode": "center", "orientation": "auto", "textMode": "auto", "wideLayout": true,
		"showPercentChange": false, "percentChangeColorMode": "standard", "reduceOptions": object{
			"calcs":  []string{"lastNotNull"},
			"fields": "", "values": false,
		},
	}})
}

// chart is one or more lines over time, from zero on.
func chart(title, about string, w int, unit string, decimals int, none string, queries ...object) object {
	p := panel("timeseries", title, about, w, unit, decimals, none, queries...).field(object{
		"color": object{"mode": "fixed", "fixedColor": primary}, "min": 0,
		"custom": object{
			"drawStyle": "line", "lineWidth": 1, "fillOpacity": 0, "showPoints": "auto", "pointSize": 4, "spanNulls": false,
			"thresholdsStyle": object{"mode": "off"},
		},
	}).with(object{"options": object{
		"tooltip": object{"mode": "multi", "sort": "desc"},
	}})
	return eachValue(p, "").legend("list", "bottom")
}

// legend puts the names of the lines, with their last values, somewhere.
func (o object) legend(mode, place string) object {
	o["options"].(object)["legend"] = object{
		"calcs": []string{"lastNotNull"}, "displayMode": mode, "placement": place, "showLegend": true,
	}
	return o
}

// eachValue keeps what a panel says when it is empty out of its cells, axes and legend: they say this instead.
func eachValue(o object, none string) object {
	o["fieldConfig"].(object)["overrides"] = []object{
		{"matcher": object{"id": "byRegexp", "options": "/.*/"}, "properties": []object{{"id": "noValue", "value": none}}},
	}
	return o
}

// custom changes how a chart draws all of its lines.
func (o object) custom(more object) object {
	o["fieldConfig"].(object)["defaults"].(object)["custom"].(object).with(more)
	return o
}

// belowZero lets a chart's axis begin below zero where there are such values. It always shows zero.
func (o object) belowZero() object {
	delete(o["fieldConfig"].(object)["defaults"].(object), "min")
	custom := o["fieldConfig"].(object)["defaults"].(object)["custom"].(object)
	if custom["axisSoftMin"] == nil {
		custom["axisSoftMin"] = 0
	}
	return o
}

// graded draws a few lines from blue to purple, the higher the more purple: a palette of Grafana's would draw some in green or red.
var graded = object{"color": object{"mode": "continuous-BlPu", "seriesBy": "last"}}

// palette has neither red, green nor orange, which mean something.
var palette = []string{
	"#5794F2", "#E0B400", "#B877D9", "#7C6AE8", "#1F60C4", "#A16A3B", "#8AB8FF", "#C8A02C", "#8F3BB8", "#33B5E5",
}

// distinct draws each line in a color that its name chooses, by its first and last character: a line keeps its color while others come
// and go.
func (o object) distinct() object {
	const characters = "0123456789abcdefghijklmnopqrstuvwxyz"
	classes := make([]string, len(palette))
	for n := range characters {
		classes[n%len(palette)] += characters[n : n+1]
	}
	config := o["fieldConfig"].(object)
	for n, color := range palette {
		var patterns []string
		for begins := range classes {
			ends := (n + len(palette) - begins) % len(palette)
			patterns = append(patterns, fmt.Sprintf("[%s].*[%s]", classes[begins], classes[ends]))
		}
		config["overrides"] = append(config["overrides"].([]object), object{
			"matcher":    object{"id": "byRegexp", "options": "/^(" + strings.Join(patterns, "|") + ")$/i"},
			"properties": []object{{"id": "color", "value": object{"mode": "fixed", "fixedColor": color}}},
		})
	}
	return o
}

// colors draws each named line in its color.
func (o object) colors(pairs ...string) object {
	for n := 0; n < len(pairs); n += 2 {
		o.override(pairs[n], object{"color": object{"mode": "fixed", "fixedColor": pairs[n+1]}})
	}
	return o
}

// stacked turns a chart's lines into areas or bars upon each other.
func (o object) stacked(style string, opacity int) object {
	return o.custom(object{"drawStyle": style, "fillOpacity": opacity, "stacking": object{"mode": "normal", "group": "A"}})
}

// timeline is coded states over time.
func timeline(title, about string, w int, none string, mappings []object, queries ...object) object {
	return eachValue(panel("state-timeline", title, about, w, "none", 0, none, queries...).field(object{
		"mappings": mappings, "custom": object{"lineWidth": 0, "fillOpacity": 80, "spanNulls": false},
	}), "").with(object{"options": object{
		"mergeValues": true, "showValue": "auto", "alignValue": "left", "rowHeight": 0.9,
		"legend":  object{"calcs": []string{}, "displayMode": "list", "placement": "bottom", "showLegend": true},
		"tooltip": object{"mode": "single", "sort": "none"},
	}})
}

// column is a column of a table: the value of a query, or the label of that name, of its own query or of those of the others.
type column struct {
	title, label string
	expr         string
	config       object
}

// seriesLabels are the labels that a query may return. A table shows those that have a column.
var seriesLabels = []string{
	"cluster", "job", "instance", "instance_id", "region_id", "instance_name", "account", "tags", "reason", "alertname", "why", "on",
	"condition", "status", "database", "table", "policy_id", "hour", "minute", "recurrence",
}

// newTable joins queries on their common labels. A query for the first label should return a row of words if there is nothing else: Grafana
// does not show a table's noValue.
func newTable(title, about string, w int, columns ...column) object {
	var queries []object
	renamed, excluded, index := object{}, object{"Time": true}, object{}
	for _, l := range seriesLabels {
		excluded[l] = true
	}
	for _, c := range columns {
		if c.expr != "" {
			queries = append(queries, instant(c.expr, "").with(object{"format": "table"}))
		}
	}
	asked := 0
	for n, c := range columns {
		field := c.label
		if c.expr != "" {
			value := "Value"
			if len(queries) > 1 {
				value = "Value #" + string(rune('A'+asked))
			}
			asked++
			if c.label == "" {
				field = value
			} else {
				excluded[value] = true
			}
		}
		delete(excluded, field)
		renamed[field], index[field] = c.title, n
	}
	p := eachValue(panel("table", title, about, w, "none", 0, "nothing to show", queries...).field(object{"custom": object{
		"align":       "left",
		"cellOptions": object{"type": "auto"}, "inspect": false,
	}}), "–")
	for _, c := range columns {
		config := object{}
		if c.label != "" {
			config["unit"] = "string" // a version or a table's name may look like a number
		}
		config.with(c.config)
		if c.label == "" {
			own, _ := config["mappings"].([]object)
			config["mappings"] = append(slices.Clone(noNumber), own...)
		}
		if len(config) > 0 {
			p.override(c.title, config)
		}
	}
	return p.with(object{
		"options": object{"cellHeight": "sm", "frameIndex": 0, "showHeader": true},
		"transformations": []object{
			{"id": "merge", "options": object{}},
			{"id": "organize", "options": object{"excludeByName": excluded, "indexByName": index, "renameByName": renamed}},
		},
	})
}

// sorted orders a table by a column at first.
func (o object) sorted(title string, desc bool) object {
	o["options"].(object)["sortBy"] = []object{{"displayName": title, "desc": desc}}
	return o
}

// rankedBy orders a table by a column, the highest first, and does not show it.
func rankedBy(title string, o object) object {
	o["transformations"] = append(o["transformations"].([]object),
		object{"id": "sortBy", "options": object{"fields": object{}, "sort": []object{{"field": title, "desc": true}}}},
		object{"id": "organize", "options": object{
			"excludeByName": object{title: true}, "indexByName": object{}, "renameByName": object{},
		}})
	return o
}

// colored is a column whose text has the mapping's or threshold's color.
func colored(unit string, mappings []object, thresholds object) object {
	return object{
		"unit": unit, "mappings": mappings, "thresholds": thresholds,
		"custom.cellOptions": object{"type": "color-text"},
	}
}
