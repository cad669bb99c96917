package main

import (
	"fmt"
	"slices"
)

func instanceDashboard() object {
	return dashboard(instanceUID, "StarRocks backups: instance",
		"One instance in depth: its backups, what they hold, and how far back one can restore.",
		[]object{singleValue(instanceVariable())}, events(),
		stateAndWhy(), numbers(),
		row{runs()},
		row{stateOverTime(), deadlines()},
		row{durations(), throughput()},
		heading("What the newest good backup holds"),
		row{dataSize(), byDatabase()},
		row{largestTables(), changes(), failedTables()},
		heading("What can be restored"),
		row{window(), expiry()},
		heading("Will there be a backup, and was one restored"),
		policyAndRestore(),
		row{snapshot()},
	)
}

// events are marked in all charts.
func events() []object {
	at := func(title, color, metric string) object {
		return object{
			"name": title, "datasource": datasource, "enable": true, "iconColor": color, "step": "60s", "titleFormat": title,
			"expr": milliseconds(perInstance(metric)), "useValueForTime": true,
		}
	}
	return []object{
		at("Backup started", primary, "last_task_start_timestamp_seconds"),
		at("Backup completed", secondary, "last_success_timestamp_seconds"),
		at("Backup failed", bad, "last_failure_timestamp_seconds"),
		{
			"name": "Alert", "datasource": datasource, "enable": true, "iconColor": "orange", "step": "60s",
			"titleFormat": "{{alertname}}", "textFormat": "{{severity}}",
			"expr": paren(`max by (alertname, severity) (` +
				`ALERTS{alertstate="firing",cluster=~"$cluster",region_id=~"$region",instance_id=~"$instance"})`),
		},
	}
}

// sentences say what each condition means.
var sentences = map[string]string{
	"overdue":             "Overdue: no newer backup completed before the deadline",
	"missing":             "Nothing to restore: no completed backup that has not expired",
	"failing":             "Failing: the newest tasks ended without a backup",
	"failing_repeatedly":  "Failing repeatedly: three tasks or more in a row",
	"stuck":               "Stuck: a task runs far longer than any before",
	"expiring":            "The last backup is about to expire, and no newer one completes",
	"retention_too_short": "Retention too short: the newest backup expires before the next is due",
	"shrunk":              "Shrunk: the newest backup holds far less, or lacks a database",
	"tables_failed":       "Tables are missing from the newest backup",
	"status_unknown":      "A task has a status that the exporter does not know",
	"implausible":         "A task has a time or a size that cannot be true",
	"subscription_ending": "The subscription ends: the instance is released with its backups",
	"no_policy":           "No policy makes backups",
	"restore_untested":    "No restore was tested",
	"unreadable":          "The exporter cannot read it; what is below is of the last read, or not known",
	"access_denied":       "Access is denied: credentials or permissions",
	"throttled":           "The API throttles: too many requests",
	noExporter:            "No exporter answers; what is below is of the last read, or not known",
	"nothing":             "Nothing is wrong",
	"unseen":              "The instance was not seen within 26 hours",
}

func sentenceMappings() []object {
	all, n := object{}, 0
	for _, condition := range sortedKeys(asObject(sentences)) {
		all[condition] = object{"text": sentences[condition], "index": n}
		n++
	}
	return []object{{"type": "value", "options": all}}
}

func asObject(texts map[string]string) object {
	o := object{}
	for k, v := range texts {
		o[k] = v
	}
	return o
}

func stateAndWhy() row {
	holds := or(paren("max by (condition) (%s == 1)", heldConditions()),
		paren(`label_replace((max(%s) * 0) + 1, "condition", %q, "", "")`, unwatched(), noExporter))
	return row{
		stat("State", "Unhealthy: a condition holds. Unknown: it cannot be read, and its backups may be fine or not.", 3, "none", 0,
			"not seen", steps(neutral), instant(currentState(), "")).
			field(object{"mappings": states}).high(6),
		rankedBy(rankTitle, newTable("Why", "The conditions that hold, now or as the alerts hold them. The link Runbooks above explains each.", 9,
			column{
				title: "What is wrong", label: "condition",
				config: object{"mappings": sentenceMappings(), "custom.minWidth": 400},
			},
			column{title: rankTitle, expr: orElse(
				orOfCondition(paren("%s * on (condition) group_left () %s", holds, weights()), holds),
				sayIf(currentState(), "condition", "nothing"), say("condition", "unseen"))}).high(6)),
		newTable("Newest task", "Its status, when it began, and how many of its tables are in which status.", 5,
			column{
				title: "Status", label: "status", expr: orElse(paren("max by (status) (%s == 1)", perInstance("last_task_status", "status")),
					sayIf(isRead(), "status", "no task"), say("status", "not known")),
				config: colored("string", taskWords, steps(neutral)).with(wide(100)),
			},
			column{
				title: "Began", expr: milliseconds(paren("max(%s) and on () max(%s == 1)", perInstance("last_task_start_timestamp_seconds"),
					perInstance("last_task_status", "status"))), config: fromNow(),
			}).high(6),
		newTable("Exporters that read it",
			"Whether they answer, have loaded their newest configuration, and have listed the region of the instance "+
				"in full, if they discover it.", 7,
			column{title: "Exporter", label: "instance", config: wide(150)},
			column{
				title: "Answers", expr: orElse(
					paren("(max by (%s) (up{%s})) and on (%[1]s) (last_over_time(starrocks_backup_up{%[3]s}[%[4]s]))", target, exporters, selected, hold),
					say("instance", "no target of Prometheus")),
				config: colored("none", values("0", "no", unknown, "1", "yes", neutral), steps(neutral)).with(wide(75)),
			},
			column{
				title: "Configuration", expr: paren("(max by (%s) (starrocks_backup_exporter_config_last_reload_successful{%s})) and on (%[1]s) "+
					"(starrocks_backup_up{%[3]s})", target, exporters, selected),
				config: colored("none", values("0", "reload failed", bad, "1", "loaded", neutral), steps(neutral)).with(wide(110)),
			},
			column{
				title: "Region", expr: paren("(min by (%s) (starrocks_backup_discovery_complete{%s,region_id=~\"$region\"} and on (%[1]s, region_id) "+
					"starrocks_backup_up{%[3]s}))", target, exporters, selected),
				config: colored("none", values("0", "not listed", unknown, "1", "listed", neutral), steps(neutral)).with(wide(90)),
			}).high(6),
	}
}

func numbers() row {
	const none = "none, or not known"
	return row{
		stat("Newest good backup", "When it finished, as of the last read.", 4, "dateTimeFromNow", 0, none, steps(neutral),
			instant(milliseconds(lastKnownFor(holdOfOne, "last_success_timestamp_seconds")), "")),
		stat("Deadline", "When a newer good backup must have finished, as of the last read.", 4, "dateTimeFromNow", 0, none, steps(neutral),
			instant(milliseconds(lastKnownFor(holdOfOne, "deadline_timestamp_seconds")), "")),
		stat("Restorable backups", "Completed and not expired, as of the last read. 0 is fine only while the very first backup runs: see State.",
			4, "none", 0, "not known", steps(neutral), instant(lastKnownFor(holdOfOne, "restorable_backups"), "")),
		stat("Restorable until", "When the last of them expires, as of the last read.", 4, "dateTimeFromNow", 0, "never, or not known",
			steps(neutral), instant(milliseconds(lastKnownFor(holdOfOne, "restorable_until_timestamp_seconds")), "")),
		stat("Failed in a row", "Tasks that failed or were canceled since the newest good one, as of the last read.", 4, "none", 0, "not known",
			steps(unknown, 0, neutral, 1, bad), instant(lastKnownFor(holdOfOne, "consecutive_failures"), "")),
		stat("Last read", "When the exporter last read it in full. All else is as of then.", 4, "dateTimeFromNow", 0, "not within 14 d",
			steps(neutral), instant(milliseconds(lastKnownFor(holdOfOne, "last_read_timestamp_seconds")), "")),
	}
}

// runs draws a bar at the step at which a run was seen to have ended: its end was not known a step before. Of the first run that is
// seen, that was within the hour.
func runs() object {
	ended := func(metric string) string {
		before := paren("max by (%s) (last_over_time(starrocks_backup_%s{%s}[%s] offset $__interval))", identity, metric, selected, hold)
		return paren("%s > %s", perInstance(metric), orOfInstance(before, paren("(0 * %s) + (time() - 3600)", perInstance(metric))))
	}
	of := func(status string) string {
		took := paren("%s - %s", perInstance("last_failure_timestamp_seconds"), perInstance("last_task_start_timestamp_seconds"))
		return paren("clamp_min((%s and on (%s) %s) and on (%[2]s) (%[4]s == 1), 1)", took, identity, ended("last_failure_timestamp_seconds"),
			perInstance("last_task_status", fmt.Sprintf("status=%q", status)))
	}
	completed := func(metric string) string {
		return paren("%s and on (%s) %s", perInstance(metric), identity, ended("last_success_timestamp_seconds"))
	}
	return chart("Backups",
		"One bar for each run that ended in the time shown: how long it took, and how it ended; the dots are what it holds. A failed run that "+
			"is not the newest task any more when it is seen has no bar.", 24, "s", 1, notYet,
		query(completed("last_success_duration_seconds"), "completed"), query(of("failed"), "failed"), query(of("canceled"), "canceled"),
		query(completed(dataSizes), "data")).
		custom(object{"drawStyle": "bars", "fillOpacity": 100, "lineWidth": 6}).
		colors("completed", primary, "failed", bad, "canceled", "orange").
		override("data", object{
			"unit": "bytes", "custom.drawStyle": "points", "custom.axisPlacement": "right", "custom.pointSize": 8,
			"color": object{"mode": "fixed", "fixedColor": tertiary},
		}).with(object{"interval": "1m", "maxDataPoints": 400})
}

// statusCode is a code for the newest task's status: see taskCodes. A run that began and ended between two moments is not lost.
func statusCode() string {
	running := paren(`(((max by (%s) (max_over_time(starrocks_backup_last_task_status{%s,status="running"}[$__interval]) `+
		`unless on (%[1]s) %[3]s)) == 1) `+
		`* 0) + 2`, identity, selected, ofOthers)
	all := []string{running}
	for n, s := range []string{"pending", "running", "completed", "failed", "canceled", "unknown"} {
		all = append(all, paren("((%s == 1) * 0) + %d", perInstance("last_task_status", fmt.Sprintf("status=%q", s)), n+1))
	}
	return or(all...)
}

func stateOverTime() object {
	return timeline("State over time",
		"Whether it was healthy, and the status of the newest task. Choose a shorter time to see more.", 12, notYet,
		append(slices.Clone(states), taskCodes...),
		query(currentState(), "state"), query(paren("%s + %d", statusCode(), firstCode-1), "newest task")).
		with(object{"maxDataPoints": 400, "interval": "1m"})
}

func deadlines() object {
	return chart("Age against deadline",
		"The newest good backup's age, and the age at which a newer one is due. Where they meet it is overdue. Max age is what is configured.",
		12, "s", 1, notYet,
		query(perInstance("max_age_seconds"), "max age"),
		query(perInstance("last_success_age_seconds"), "age"),
		query(paren("%s - %s", perInstance("deadline_timestamp_seconds"), perInstance("last_success_timestamp_seconds")), "deadline")).
		colors("age", primary, "max age", unknown, "deadline", tertiary).
		override("max age", object{"custom.lineWidth": 6, "custom.fillOpacity": 0}).
		override("deadline", object{
			"custom.lineWidth": 2, "custom.fillOpacity": 0, "custom.lineStyle": object{"fill": "dash", "dash": []int{10, 10}},
		})
}

func durations() object {
	const metric = "last_success_duration_seconds"
	return chart("Duration", "How long the newest good backup took, beside the median of the time shown.", 12, "s", 1, notYet,
		query(perInstance(metric), "duration"),
		query(paren("max by (%s) (quantile_over_time(0.5, starrocks_backup_%s{%s}[$__range] @ end()))", identity, metric,
			selected), "median")).colors("duration", primary, "median", tertiary)
}

func throughput() object {
	rate := paren("%s / %s", perInstance(dataSizes), perInstance("last_success_duration_seconds"))
	return chart("Throughput",
		"What the newest good backup holds by the time it took, beside the median of the time shown. Sizes are whole GiB.", 12, "binBps", 1,
		notYet, query(rate, "throughput"),
		query(paren("quantile_over_time(0.5, %s[$__range:1h] @ end())", rate), "median")).colors("throughput", primary, "median", tertiary)
}

func dataSize() object {
	return chart("Data in total",
		"Sum over the tables of the newest good backup, what shrunk compares with, and the cloud disk, which may be "+
			"the provisioned one.", 12, "bytes", 1, notYet,
		query(perInstance(dataSizes), "data"), query(perInstance("data_size_baseline_bytes"), "largest of the seven before"),
		query(perInstance("last_success_disk_size_bytes"), "disk")).
		colors("data", primary, "largest of the seven before", tertiary, "disk", secondary)
}

func byDatabase() object {
	largest := paren("topk(%d, max by (database) (max_over_time(starrocks_backup_database_size_bytes{%s}[$__range] @ end())))",
		maxLines, selected)
	return chart("Data by database", fmt.Sprintf("Of the newest good backup: the %d largest of the time shown.", maxLines), 12, "bytes", 1,
		notYet, query(paren("(max by (database) %s) and on (database) %s", chosen("starrocks_backup_database_size_bytes"), largest),
			"{{database}}")).stacked("line", 30).distinct()
}

func byTable(columns ...column) []column {
	return append([]column{
		{title: "Database", label: "database", config: wide(130)}, {title: "Table", label: "table", config: wide(200)},
	}, columns...)
}

func ofTables(metric string) string {
	return paren("max by (database, table) %s", chosen("starrocks_backup_"+metric))
}

func largestTables() object {
	largest := paren("topk(%d, %s)", maxLines, ofTables("subtask_size_bytes"))
	return newTable("Largest tables", fmt.Sprintf("Of the newest good backup, the %d largest, and how long each took.", maxLines), 8,
		byTable(
			column{
				title: "Size", expr: orElse(largest, sayIf(isRead(), "table", "none is listed"), say("table", "not known")),
				config: wide(95).with(object{"unit": "bytes", "decimals": 0}),
			},
			column{
				title: "Took", expr: paren("%s and on (database, table) %s", ofTables("subtask_duration_seconds"), largest),
				config: wide(85).with(object{"unit": "s", "decimals": 1}),
			})...).sorted("Size", true).high(10)
}

// changes compares with what was listed last when an older good backup was the newest. Where either lists no table nothing is said
// to have come or gone.
func changes() object {
	now := ofTables("subtask_size_bytes")
	end := paren("max by (%s) (starrocks_backup_last_success_timestamp_seconds{%s} @ end())", identity, selected)
	older := paren("starrocks_backup_subtask_size_bytes{%s} and on (%s) ((max by (%[2]s) "+
		"(starrocks_backup_last_success_timestamp_seconds{%[1]s})) < %[3]s)", selected, identity, end)
	listed := paren("count_over_time(%s[$__range:1h])", older)
	seen := paren("max by (database, table) (max_over_time(timestamp(%s)[$__range:1h]))", older)
	before := paren("(max by (database, table) (last_over_time(%s[$__range:1h]))) and on (database, table) "+
		"(%s == on () group_left () max(%[2]s))",
		older, seen)
	change := paren(`(sum by (database, table) ((label_replace(%s, "of", "now", "", "")) or (0 - %s))) != 0`, now, before)
	return newTable("Changed since the good backup before",
		"Tables that grew or shrank, came or went, of those that the exporter lists (subtask_limit). The backup before must lie in the time "+
			"shown.",
		8, byTable(column{
			title: "Change", expr: orElse(
				paren("(%s and on () (count(%s))) and on () (count(%s))", change, now, listed),
				sayIf(listed, "table", "no change"), say("table", "nothing to compare with")),
			config: wide(95).with(object{"unit": "bytes", "decimals": 0}),
		})...).sorted("Change", false).high(10)
}

func failedTables() object {
	return newTable("Failed tables",
		"Tables whose backup failed or was canceled in the newest task that has ended; it may not be a good one.", 8,
		byTable(
			column{
				title: "Failed", expr: orElse(paren("topk(100, %s == 1)", ofTables("subtask_failed")),
					sayIf(isRead(), "table", "no table failed"), say("table", "not known")),
				config: colored("none", values("0", "–", neutral, "1", "failed", bad), steps(neutral)).with(wide(85)),
			})...).high(10)
}

func window() object {
	return chart("Recovery window",
		"How far back one can restore, and how far back the newest good backup lies: what was written since that would be lost.", 12, "s", 1,
		notYet,
		query(paren("time() - %s", perInstance("oldest_restorable_timestamp_seconds")), "oldest restorable"),
		query(perInstance("last_success_age_seconds"), "newest good")).
		override("oldest restorable", object{"custom.fillBelowTo": "newest good", "custom.fillOpacity": 10}).
		colors("oldest restorable", secondary, "newest good", primary)
}

func expiry() object {
	return chart("Expiry",
		"Time left until the newest good backup and until the last restorable one expires. Without lines: they never expire, or there is none.",
		12, "s", 1, "nothing that expires in the time shown",
		query(until("last_success_expire_timestamp_seconds"), "newest good"),
		query(until("restorable_until_timestamp_seconds"), "last restorable")).belowZero().
		colors("newest good", primary, "last restorable", secondary)
}

func snapshot() object {
	labels := []string{
		"instance_name", "instance_id", "region_id", "account", "version", "minor_version", "run_mode", "spec_type", "vpc_id",
		"resource_group_id",
	}
	titles := []string{"Name", "ID", "Region", "Account", "Version", "Minor version", "Mode", "Spec", "VPC", "Resource group"}
	var columns []column
	for n, l := range labels {
		columns = append(columns, column{title: titles[n], label: l})
	}
	last := len(columns) - 1
	columns[last].expr = orElse(lastKnownFor(holdOfOne, "instance_info", append([]string{"instance_name"}, labels[3:]...)...),
		sayIf(currentState(), "instance_name", "no task tells"), say("instance_name", "not seen"))
	return newTable("Instance", "As it was when its newest backup task was made.", 24, columns...).high(4)
}
