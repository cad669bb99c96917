package main

import (
	"fmt"
	"strings"
)

// These select the instances that the variables of the dashboard choose. An instance whose account is unknown belongs to every account:
// an instance that was never backed up has no instance_info and must stay visible.
const (
	selected       = `region_id=~"$region",instance_id=~"$instance"`
	ofOtherAccount = ` unless on (instance_id, region_id) starrocks_backup_instance_info{account!~"$account"}`
)

// selectedSeries returns the series of a metric for the chosen instances, with more matchers.
func selectedSeries(metric string, matchers ...string) string {
	return "starrocks_backup_" + metric + "{" + strings.Join(append([]string{selected}, matchers...), ",") + "}" + ofOtherAccount
}

// perInstance returns a metric by instance and by more labels, however many exporters read it.
func perInstance(metric string, by ...string) string {
	return fmt.Sprintf("max by (%s) (%s)", strings.Join(append([]string{"instance_id", "region_id"}, by...), ", "), selectedSeries(metric))
}

// held returns the last value of a metric within 26 h, which is how long the alerts hold what they know.
func held(metric string, by ...string) string {
	return fmt.Sprintf("max by (%s) (last_over_time(starrocks_backup_%s{%s}[26h])%s)",
		strings.Join(append([]string{"instance_id", "region_id"}, by...), ", "), metric, selected, ofOtherAccount)
}

// onePerInstance keeps one series of each instance: two exporters may disagree for a moment.
func onePerInstance(expr string) string { return "topk by (instance_id, region_id) (1, " + expr + ")" }

// gone returns the instances that are still configured, as recorded by the alert rules, but that no exporter reports any more. At is an
// @ modifier or empty.
func gone(at string) string {
	return fmt.Sprintf("max by (instance_id, region_id) (starrocks_backup:condition{condition=\"unreadable\",%[1]s}%[2]s >= 0"+
		" unless on (instance_id, region_id) starrocks_backup_up%[2]s%[3]s)", selected, at, strings.Replace(ofOtherAccount, "}", "}"+at, 1))
}

// unread returns the instances that no exporter can read.
func unread() string { return "(" + perInstance("up") + " == 0 or " + gone("") + ")" }

// state returns 2 for an unhealthy instance, 1 for an unknown one, 0 for a healthy one. At is an @ modifier or empty.
func state(at string) string {
	return fmt.Sprintf("2 * max by (instance_id, region_id) (starrocks_backup_condition{%[1]s}%[2]s%[3]s)\n"+
		"or max by (instance_id, region_id) (starrocks_backup_up{%[1]s}%[2]s%[3]s) * 0 + 1\n"+
		"or %[4]s * 0 + 1",
		selected, at, strings.Replace(ofOtherAccount, "}", "}"+at, 1), gone(at))
}

// names returns the names of the instances, as last known.
func names() string {
	return onePerInstance(perInstance("instance_info", "instance_name") +
		" or on (instance_id, region_id) " + onePerInstance(held("instance_info", "instance_name")))
}

// until returns the time left until a timestamp, by instance.
func until(metric string) string { return perInstance(metric) + " - time()" }

// named adds the instance's name to each series if it is known.
func named(expr string) string {
	return fmt.Sprintf("(%s) * on (instance_id, region_id) group_left (instance_name)\n"+
		"topk by (instance_id, region_id) (1, starrocks_backup_instance_info{%s})\nor on (instance_id, region_id) (%s)", expr, selected, expr)
}

// whyUnread returns the reasons of the failed reads of the last 15 minutes, as a label, of the instances that cannot be read now.
func whyUnread(label string) string {
	return fmt.Sprintf(`max by (instance_id, region_id, %[1]s) (label_replace(increase(starrocks_backup_scrape_errors_total{%[2]s}[15m]) > 0`+
		` and on (job, instance, instance_id, region_id) starrocks_backup_up == 0, "%[1]s", "unreadable: $1", "reason", "(.+)"))`+
		"\nor label_replace(%[3]s, \"%[1]s\", \"no exporter answers\", \"\", \"\")", label, selected, gone(""))
}

const (
	instanceLegend = "{{instance_name}} {{instance_id}}" // legend of named series
	// lines is how many instances a chart shows at most: more are neither readable nor quick to load.
	lines = 20
)

// topInstances keeps the n instances that rank highest at the end of a chart, with their names. Prometheus selects them once, not at
// each step.
func topInstances(n int, expr, rank string) string {
	chosen := fmt.Sprintf("topk(%d, %s)", n, rank)
	return fmt.Sprintf("(%s) * on (instance_id, region_id) group_left (instance_name) (\n"+
		"topk by (instance_id, region_id) (1, starrocks_backup_instance_info{%s} @ end()) and on (instance_id, region_id) %s\n"+
		"or on (instance_id, region_id) %[3]s * 0 + 1)", expr, selected, chosen)
}

// atEnd returns a metric's value at the end of the time range, at every step.
func atEnd(metric string) string {
	return fmt.Sprintf("max by (instance_id, region_id) (starrocks_backup_%s{%s} @ end()%s)", metric, selected,
		strings.Replace(ofOtherAccount, "}", "} @ end()", 1))
}

// query is one request to Prometheus over the time range.
func query(expr, legend string) object {
	return object{"datasource": datasource, "editorMode": "code", "expr": expr, "legendFormat": legend, "range": true, "refId": "A"}
}

// instant is one request to Prometheus at the end of the time range.
func instant(expr, legend string) object {
	return query(expr, legend).with(object{"range": false, "instant": true})
}

var datasource = object{"type": "prometheus", "uid": "${datasource}"}
