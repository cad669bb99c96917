package main

import (
	"fmt"
	"strings"
)

// own says which instances the variables choose. An instance whose account is not known is of every account: one that was
// never backed up has no instance_info, and must not vanish for that.
const (
	selected       = `region_id=~"$region",instance_id=~"$instance"`
	ofOtherAccount = ` unless on (instance_id, region_id) starrocks_backup_instance_info{account!~"$account"}`
)

// of are the chosen instances' series of a metric, with more matchers.
func of(metric string, matchers ...string) string {
	return "starrocks_backup_" + metric + "{" + strings.Join(append([]string{selected}, matchers...), ",") + "}" + ofOtherAccount
}

// each is a metric by instance, and by more labels, however many exporters read it.
func each(metric string, by ...string) string {
	return fmt.Sprintf("max by (%s) (%s)", strings.Join(append([]string{"instance_id", "region_id"}, by...), ", "), of(metric))
}

// held is a metric by instance as it was last seen within 26 h, which is how long the alerts hold what they know.
func held(metric string, by ...string) string {
	return fmt.Sprintf("max by (%s) (last_over_time(starrocks_backup_%s{%s}[26h])%s)",
		strings.Join(append([]string{"instance_id", "region_id"}, by...), ", "), metric, selected, ofOtherAccount)
}

// one keeps one series of each instance: for a moment, two exporters may not agree.
func one(expr string) string { return "topk by (instance_id, region_id) (1, " + expr + ")" }

// gone are the instances that no exporter answers for any more, as far as the alert rules' recordings tell that they are still
// configured. At is an @ modifier, or nothing.
func gone(at string) string {
	return fmt.Sprintf("max by (instance_id, region_id) (starrocks_backup:instance:listed{%[1]s}%[2]s unless on (job, instance) starrocks_backup:exporter:replaced%[2]s"+
		" unless on (instance_id, region_id) starrocks_backup_up%[2]s%[3]s)", selected, at, strings.Replace(ofOtherAccount, "}", "}"+at, 1))
}

// unread are the instances that no exporter can read.
func unread() string { return "(" + each("up") + " == 0 or " + gone("") + ")" }

// truth is 2 for a bad instance, 1 for an unknown one, 0 for a healthy one. At is an @ modifier, or nothing.
func truth(at string) string {
	return fmt.Sprintf("2 * max by (instance_id, region_id) (starrocks_backup_condition{%[1]s}%[2]s%[3]s)\n"+
		"or max by (instance_id, region_id) (starrocks_backup_up{%[1]s}%[2]s%[3]s) * 0 + 1\n"+
		"or %[4]s * 0 + 1",
		selected, at, strings.Replace(ofOtherAccount, "}", "}"+at, 1), gone(at))
}

// names are the instances' names, where they are known or were.
func names() string {
	return one(each("instance_info", "instance_name") + " or on (instance_id, region_id) " + one(held("instance_info", "instance_name")))
}

// until is the time left until a timestamp, by instance.
func until(metric string) string { return each(metric) + " - time()" }

// named puts the instance's name to each series, where it is known.
func named(expr string) string {
	return fmt.Sprintf("(%s) * on (instance_id, region_id) group_left (instance_name)\n"+
		"topk by (instance_id, region_id) (1, starrocks_backup_instance_info{%s})\nor on (instance_id, region_id) (%s)", expr, selected, expr)
}

const (
	whom = "{{instance_name}} {{instance_id}}" // legend of what is named
	// lines is how many instances a chart shows at the most: more can be neither read nor loaded.
	lines = 20
)

// mostly keeps of a chart the instances that rank highest at its end, with their names. Prometheus looks for these once,
// not at each of the chart's moments.
func mostly(n int, expr, rank string) string {
	chosen := fmt.Sprintf("topk(%d, %s)", n, rank)
	return fmt.Sprintf("(%s) * on (instance_id, region_id) group_left (instance_name) (\n"+
		"topk by (instance_id, region_id) (1, starrocks_backup_instance_info{%s} @ end()) and on (instance_id, region_id) %s\n"+
		"or on (instance_id, region_id) %[3]s * 0 + 1)", expr, selected, chosen)
}

// atEnd has a metric's value at the end of the time range, whatever the moment that is drawn.
func atEnd(metric string) string {
	return fmt.Sprintf("max by (instance_id, region_id) (starrocks_backup_%s{%s} @ end()%s)", metric, selected, strings.Replace(ofOtherAccount, "}", "} @ end()", 1))
}

// query is one request to Prometheus: at the end of the time range if instant, else over it.
func query(expr, legend string) object {
	return object{"datasource": datasource, "editorMode": "code", "expr": expr, "legendFormat": legend, "range": true, "refId": "A"}
}

func instant(expr, legend string) object {
	return query(expr, legend).with(object{"range": false, "instant": true})
}

var datasource = object{"type": "prometheus", "uid": "${datasource}"}
