package main

// The same color means the same thing everywhere.
const (
	good    = "green"
	bad     = "red"
	unknown = "#8e8e8e" // grey
	neutral = "text"    // says nothing of good or bad
)

var (
	states = values("0", "healthy", good, "1", "unknown", unknown, "2", "unhealthy", bad)
	words  = values("completed", "completed", good, "failed", "failed", bad, "unknown", "unknown", unknown,
		"running", "running", "blue", "pending", "pending", "light-blue", "canceled", "canceled", "orange")
	codes = values("1", "pending", "light-blue", "2", "running", "blue", "3", "completed", good,
		"4", "failed", bad, "5", "canceled", "orange", "6", "unknown", unknown)
)

// values maps values to texts and colors.
func values(triples ...string) []object {
	all := object{}
	for n := 0; n < len(triples); n += 3 {
		all[triples[n]] = object{"text": triples[n+1], "color": triples[n+2], "index": n / 3}
	}
	return []object{{"type": "value", "options": all}}
}

// longAgo is less than any time left, in seconds.
const longAgo = -1e12

// steps are thresholds: the first color from below, each further from its value on. A value that is not there has the first, which
// must not say good or bad.
func steps(first string, more ...any) object {
	all := []object{{"color": first, "value": nil}}
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

// chart is one or more lines over time.
func chart(title, about string, w int, unit string, decimals int, none string, queries ...object) object {
	return panel("timeseries", title, about, w, unit, decimals, none, queries...).field(object{
		"color": object{"mode": "shades", "fixedColor": "blue"}, // a palette would draw some lines in green or red
		"custom": object{
			"drawStyle": "line", "lineWidth": 1, "fillOpacity": 5, "showPoints": "never", "spanNulls": false,
			"thresholdsStyle": object{"mode": "off"},
		},
	}).with(object{"options": object{
		"legend":  object{"calcs": []string{"lastNotNull"}, "displayMode": "table", "placement": "bottom", "showLegend": true},
		"tooltip": object{"mode": "multi", "sort": "desc"},
	}})
}

// stacked turns a chart's lines into areas or bars upon each other.
func (o object) stacked(style string, opacity int) object {
	custom := o["fieldConfig"].(object)["defaults"].(object)["custom"].(object)
	custom.with(object{"drawStyle": style, "fillOpacity": opacity, "stacking": object{"mode": "normal", "group": "A"}})
	return o
}

// timeline is coded states over time.
func timeline(title, about string, w int, none string, mappings []object, queries ...object) object {
	return panel("state-timeline", title, about, w, "none", 0, none, queries...).field(object{
		"mappings": mappings, "custom": object{"lineWidth": 0, "fillOpacity": 80, "spanNulls": false},
	}).with(object{"options": object{
		"mergeValues": true, "showValue": "auto", "alignValue": "left", "rowHeight": 0.9,
		"legend":  object{"calcs": []string{}, "displayMode": "list", "placement": "bottom", "showLegend": true},
		"tooltip": object{"mode": "single", "sort": "none"},
	}})
}

// column is a column of a table: the query's value, or the label of that name.
type column struct {
	title, label string
	expr         string
	config       object
}

// table joins queries on their common labels, one column for each value or label, first those of rows.
func table(title, about string, w int, none string, rows []column, columns ...column) object {
	var queries []object
	renamed, excluded, index := object{}, object{"Time": true}, object{}
	for n, c := range rows {
		renamed[c.label], index[c.label] = c.title, n
	}
	for n, c := range columns {
		queries = append(queries, instant(c.expr, "").with(object{"format": "table"}))
		value := "Value"
		if len(columns) > 1 {
			value = "Value #" + string(rune('A'+n))
		}
		if c.label != "" {
			excluded[value] = true
			value = c.label
		}
		renamed[value], index[value] = c.title, len(rows)+n
	}
	p := panel("table", title, about, w, "none", 0, none, queries...).field(object{"custom": object{
		"align":       "auto",
		"cellOptions": object{"type": "auto"}, "inspect": false,
	}})
	everyCell := object{"matcher": object{"id": "byRegexp", "options": "/.*/"}, "properties": []object{{"id": "noValue", "value": "–"}}}
	p["fieldConfig"].(object)["overrides"] = []object{everyCell} // what the table says when empty is not for its cells
	for _, c := range append(append([]column{}, rows...), columns...) {
		config := object{}
		if c.label != "" {
			config["unit"] = "string" // a version or a table's name may look like a number
		}
		for k, v := range c.config {
			if config[k] == nil {
				config[k] = v
			}
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

// colored is a column whose text has the mapping's or threshold's color.
func colored(unit string, mappings []object, thresholds object) object {
	return object{
		"unit": unit, "mappings": mappings, "thresholds": thresholds, "custom.cellOptions": object{"type": "color-text"},
	}
}
