package main

import (
	"fmt"
	"strings"
)

const (
	// selected chooses what the variables of the dashboard choose. A cluster or job that has no such label is part of all.
	selected = `cluster=~"$cluster",job=~"$job",region_id=~"$region",instance_id=~"$instance"`
	// exporters chooses the exporters that read them.
	exporters = `cluster=~"$cluster",job=~"$job"`
	// identity tells instances apart, as the alerts do. Two clusters may watch instances of the same id.
	identity = "cluster, instance_id, region_id"
	// target tells exporters apart.
	target = "cluster, job, instance"
)

// paren formats a fragment of PromQL. Whatever it is put into cannot take a part of it.
func paren(format string, args ...any) string { return "(" + fmt.Sprintf(format, args...) + ")" }

// or returns the first of the fragments that has a series of the same labels.
func or(fragments ...string) string { return "(" + strings.Join(fragments, "\nor ") + ")" }

// orElse returns the first of the fragments that has any series.
func orElse(fragments ...string) string { return nested("\nor on () ", fragments) }

// orOfInstance returns, of each instance, the series of the first fragment that has one.
func orOfInstance(fragments ...string) string { return nested("\nor on ("+identity+") ", fragments) }

// orOfCondition returns, of each condition, the series of the first fragment that has one.
func orOfCondition(fragments ...string) string { return nested("\nor on (condition) ", fragments) }

func nested(operator string, fragments []string) string {
	all := fragments[0]
	for _, next := range fragments[1:] {
		all = "(" + all + operator + next + ")"
	}
	return all
}

// ofOthers are the instances of accounts that are not chosen. An instance whose account is not known belongs to every account: one that
// was never backed up has no instance_info and must stay visible.
const ofOthers = `starrocks_backup_instance_info{account!~"$account"}`

func list(labels ...string) string { return strings.Join(labels, ", ") }

// chosen returns the chosen series of a metric, with more matchers.
func chosen(metric string, matchers ...string) string {
	return paren("%s{%s} unless on (%s) %s", metric, strings.Join(append([]string{selected}, matchers...), ","), identity, ofOthers)
}

// perInstance returns a metric by instance and by more labels, however many exporters read it. Matchers contain a quote; labels do not.
func perInstance(metric string, more ...string) string {
	by, matchers := []string{identity}, []string(nil)
	for _, m := range more {
		if strings.Contains(m, `"`) {
			matchers = append(matchers, m)
		} else {
			by = append(by, m)
		}
	}
	return paren("max by (%s) %s", list(by...), chosen("starrocks_backup_"+metric, matchers...))
}

const (
	// hold is how long single values are held; the conditions are held by the rules, for as long as the instance is configured.
	hold        = "26h"
	holdSeconds = 26 * 60 * 60
	// holdOfOne is the same for one instance: of a thousand, Prometheus would read too much.
	holdOfOne = "14d"
)

// lastKnown returns a metric, and of instances that cannot be read its last value. An instance that is read and has no value has none.
func lastKnown(metric string, by ...string) string { return lastKnownFor(hold, metric, by...) }

func lastKnownFor(hold, metric string, by ...string) string {
	return orOfInstance(perInstance(metric, by...),
		paren("(max by (%s) (last_over_time(starrocks_backup_%s{%s}[%s]) unless on (%s) %s)) unless on (%s) %s",
			list(append([]string{identity}, by...)...), metric, selected, hold, identity, ofOthers, identity, isRead()))
}

// isRead are the instances that an exporter reads.
func isRead() string { return paren("%s == 1", perInstance("up")) }

// onePerInstance keeps one series of each instance: two exporters may disagree for a moment.
func onePerInstance(fragment string) string { return paren("topk by (%s) (1, %s)", identity, fragment) }

// build is when Prometheus last saw an exporter, within a time.
func build(within string) string {
	return paren("last_over_time(starrocks_backup_exporter_build_info{%s}[%s])", exporters, within)
}

// targetsDown are the exporters that are still targets and do not answer.
func targetsDown() string {
	return paren("(group by (%s) %s) and on (%[1]s) (up{%[3]s} == 0)", target, build("14d"), exporters)
}

// jobsGone are the jobs whose exporters are no targets any more.
func jobsGone() string {
	return paren("(group by (cluster, job) %s) unless on (cluster, job) starrocks_backup_exporter_build_info{%s}", build(hold), exporters)
}

// goneInstances are the instances of exporters that do not answer, of jobs whose conditions no rule records: the rules know better which
// remain.
func goneInstances() string {
	down := or(targetsDown(), paren("(group by (%s) %s) and on (cluster, job) %s", target, build(hold), jobsGone()))
	seen := paren("last_over_time(starrocks_backup_up{%s}[%s]) and on (%s) %s", selected, hold, target, down)
	return paren(`max by (%s) ((%s unless on (cluster, job) starrocks_backup:condition{condition="unreadable",%s}) unless on (%[1]s) %[4]s)`,
		identity, seen, exporters, ofOthers)
}

// recordedConditions are the conditions as the alerts hold them, by the rules.
func recordedConditions(matchers ...string) string {
	held := paren("%s >= 0", chosen("starrocks_backup:condition", matchers...)) // -1: just removed
	return paren("max by (%s, condition) %s", identity, held)
}

// recordedInstances are the instances that the rules hold conditions of.
func recordedInstances() string {
	return paren("group by (%s) %s", identity, recordedConditions(`condition="unreadable"`))
}

// heldConditions are what the exporters say now, and what the alerts hold beyond that.
func heldConditions(matchers ...string) string {
	more := append([]string{"condition"}, matchers...)
	unreadable := paren("min by (%s, condition) %s", identity,
		chosen("starrocks_backup_read_condition", append(matchers, `condition="unreadable"`)...)) // one exporter that can read suffices
	return or(perInstance("condition", more...), unreadable, perInstance("read_condition", more...), recordedConditions(matchers...))
}

const (
	healthy = iota
	unknownState
	unhealthy
)

// currentState is the state of each instance: healthy, unknown or unhealthy.
func currentState() string {
	return or(
		paren("%d * (max by (%s) %s)", unhealthy, identity, chosen("starrocks_backup_condition")),
		paren("(%s * 0) + %d", perInstance("up"), unknownState),
		paren("(%s * 0) + %d", recordedInstances(), unknownState),
		paren("(%s * 0) + %d", goneInstances(), unknownState),
	)
}

// unread are the instances that no exporter can read.
func unread() string { return paren("%s == %d", currentState(), unknownState) }

// knownNames are the names of the instances, as last known.
func knownNames() string {
	return onePerInstance(lastKnown("instance_info", "instance_name"))
}

// named adds the instance's name to each series, or its id if no name is known.
func named(fragment string) string {
	return orOfInstance(paren("%s * on (%s) group_left (instance_name) ((%s * 0) + 1)", fragment, identity, knownNames()), byItsID(fragment))
}

func byItsID(fragment string) string {
	return paren(`label_replace(%s, "instance_name", "$1", "instance_id", "(.+)")`, fragment)
}

// until returns the time left until a timestamp, by instance.
func until(metric string) string { return paren("%s - time()", perInstance(metric)) }

// milliseconds is a timestamp as Grafana takes it.
func milliseconds(fragment string) string { return paren("1000 * %s", fragment) }

// say is a row for a table that has nothing else to show. Its value is no number.
func say(label, text string) string {
	return paren("label_replace(vector(NaN), %q, %q, \"\", \"\")", label, text)
}

// sayIf is such a row if there is any series.
func sayIf(fragment, label, text string) string {
	return paren("label_replace(NaN * group(%s), %q, %q, \"\", \"\")", fragment, label, text)
}

const (
	instanceLegend = "{{instance_name}} {{instance_id}}" // legend of named series
	// maxLines is how many instances a chart shows at most: more are neither readable nor quick to load.
	maxLines = 20
)

// charted selects instances by a variable that Grafana resolves first, so that Prometheus reads no others.
func charted(variable, fragment string) string {
	return strings.ReplaceAll(fragment, `instance_id=~"$instance"`, `instance_id=~"$`+variable+`"`)
}

// namedOverTime adds the name that the instance had last in the time shown. A line stays one line if the name changes or is not read.
func namedOverTime(variable, fragment string) string {
	known := paren("topk by (%s) (1, max by (%[1]s, instance_name) (last_over_time(starrocks_backup_instance_info{%s}[$__range] @ end())))",
		identity, selected)
	return charted(variable, orOfInstance(
		paren("%s * on (%s) group_left (instance_name) ((%s * 0) + 1)", fragment, identity, known), fragment))
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
