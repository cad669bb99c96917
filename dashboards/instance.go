package main

import (
	"fmt"
	"strings"
)

func instance() object {
	return dashboard(instanceUID, "StarRocks backups: instance",
		"One instance in depth: its backups, what they hold, and how far back one can restore.", false,
		stateAndWhy(),
		row{backups(), deadlines()},
		row{durations(), throughput()},
		heading("What the newest good backup holds"),
		row{dataSize(), byDatabase()},
		row{largestTables(), changes(), failedTables()},
		heading("What can be restored"),
		row{window(), expiry()},
		row{snapshot()},
	)
}

func stateAndWhy() row {
	return row{
		stat("State", "Unhealthy: a condition holds. Unknown: it could not be read, and its backups may be fine or not.", 3, "none", 0,
			"not seen", steps(neutral), instant(state(""), "")).
			field(object{"mappings": states}),
		table("Why", "The conditions that hold, or why it cannot be read. The link Runbooks above explains each.", 4,
			"nothing is wrong, or it is not known", nil,
			column{
				title: "Condition", label: "condition",
				expr: "max by (condition) (" + selectedSeries("condition") + ") == 1\nor max by (condition) (" +
					whyUnread("condition") + "\nand on (instance_id, region_id) " + unread() + ")",
			}).high(4),
		table("Newest task", "Its status, and since when.", 4, "no task known", nil,
			column{
				title: "Status", label: "status", expr: "max by (status) (" + selectedSeries("last_task_status") + ") == 1",
				config: colored("none", words, steps(neutral)),
			},
			column{
				title: "Began", expr: "1000 * max(" + selectedSeries("last_task_start_timestamp_seconds") + ")",
				config: object{"unit": "dateTimeFromNow"},
			}).high(4),
		stat("Newest good backup", "Its age.", 3, "s", 1, "none, or not known", steps(neutral),
			instant(perInstance("last_success_age_seconds"), "")),
		stat("Deadline in", "Time left until a newer good backup must have finished; below 0 it is overdue.", 3, "s", 1, "none, or not known",
			steps(unknown, longAgo, bad, 0, good), instant(until("deadline_timestamp_seconds"), "")),
		stat("Restorable backups", "Completed and not expired. 0 is fine only while the very first backup runs: see State.", 2, "none", 0,
			"unknown", steps(neutral), instant(perInstance("restorable_backups"), "")),
		stat("Failed in a row", "Tasks that failed since the newest good one.", 2, "none", 0, "unknown", steps(unknown, 0, good, 1, bad),
			instant(perInstance("consecutive_failures"), "")),
		stat("Last read", "When the exporter last read it in full. All else is as of then.", 3, "dateTimeFromNow", 0, "not within 26 h",
			steps(neutral), instant("1000 * "+held("last_read_timestamp_seconds"), "")),
	}
}

// statusCode is a code for the newest task's status: see codes. A run that began and ended between two moments is not lost.
func statusCode() string {
	const running = `(max by (instance_id, region_id) (max_over_time(` +
		`starrocks_backup_last_task_status{%s,status="running"}[$__interval])%s) == 1) * 0 + 2`
	all := []string{fmt.Sprintf(running, selected, ofOtherAccount)}
	for n, s := range []string{"pending", "running", "completed", "failed", "canceled", "unknown"} {
		series := selectedSeries("last_task_status", fmt.Sprintf("status=%q", s))
		all = append(all, fmt.Sprintf("(max by (instance_id, region_id) (%s) == 1) * 0 + %d", series, n+1))
	}
	return strings.Join(all, "\nor ")
}

func backups() object {
	return timeline("Backups",
		"The status of the newest task over time: the length of running is how long the backup took, as exactly as the chart resolves it. "+
			"Choose a shorter time to see more.", 12, "no task seen", codes,
		query(statusCode(), "newest task")).with(object{"maxDataPoints": 400})
}

func deadlines() object {
	return chart("Age against deadline",
		"The newest good backup's age, and the age at which a newer one is due. Where they meet it is overdue.", 12, "s", 1, "no good backup",
		query(perInstance("last_success_age_seconds"), "age"),
		query(perInstance("deadline_timestamp_seconds")+" - "+perInstance("last_success_timestamp_seconds"), "due"),
		query(perInstance("max_age_seconds"), "max age")).
		override("due", object{"color": object{"mode": "fixed", "fixedColor": bad}})
}

func durations() object {
	const metric = "last_success_duration_seconds"
	return chart("Duration", "How long the newest good backup took, beside the median of the time shown.", 12, "s", 1, "no good backup",
		query(perInstance(metric), "duration"),
		query(fmt.Sprintf("max by (instance_id, region_id) (quantile_over_time(0.5, starrocks_backup_%s{%s}[$__range] @ end()))", metric,
			selected), "median"))
}

func throughput() object {
	rate := perInstance("last_success_data_size_bytes") + " / " + perInstance("last_success_duration_seconds")
	return chart("Throughput",
		"What the newest good backup holds by the time it took, beside the median of the time shown. Sizes are whole GiB.", 12, "binBps", 1,
		"no good backup lists its tables",
		query(rate, "throughput"),
		query(fmt.Sprintf("quantile_over_time(0.5, (%s)[$__range:1h] @ end())", rate), "median"))
}

func dataSize() object {
	return chart("Data in total", "Sum over the tables of the newest good backup, and the cloud disk, which may be the provisioned one.", 12,
		"bytes", 1, "no good backup lists its tables",
		query(perInstance("last_success_data_size_bytes"), "data"), query(perInstance("last_success_disk_size_bytes"), "disk"))
}

func byDatabase() object {
	return chart("Data by database", fmt.Sprintf("Of the newest good backup, the %d largest.", lines), 12, "bytes", 1,
		"no good backup lists its tables",
		query(fmt.Sprintf("max by (database) (%s)\nand on (database) topk(%d, max by (database) (starrocks_backup_database_size_bytes{%s} @ "+
			"end()))", selectedSeries("database_size_bytes"), lines, selected), "{{database}}")).
		stacked("line", 30)
}

var byTable = []column{{title: "Database", label: "database"}, {title: "Table", label: "table"}}

func largestTables() object {
	return table("Largest tables", fmt.Sprintf("Of the newest good backup, the %d largest, and how long each took.", lines), 8,
		"no table listed", byTable,
		column{
			title: "Size", expr: fmt.Sprintf("topk(%d, max by (database, table) (%s))", lines, selectedSeries("subtask_size_bytes")),
			config: object{"unit": "bytes", "decimals": 0},
		},
		column{
			title: "Took", expr: fmt.Sprintf("max by (database, table) (%s) and topk(%d, max by (database, table) (%s))",
				selectedSeries("subtask_duration_seconds"), lines, selectedSeries("subtask_size_bytes")),
			config: object{"unit": "s", "decimals": 1},
		}).sorted("Size", true).high(10)
}

// changes compares with what was listed last when an older good backup was the newest. Where either lists no table nothing is said
// to have come or gone.
func changes() object {
	now := "max by (database, table) (" + selectedSeries("subtask_size_bytes") + ")"
	older := fmt.Sprintf("starrocks_backup_subtask_size_bytes{%s} and on (instance_id, region_id) (max by (instance_id, region_id) "+
		"(starrocks_backup_last_success_timestamp_seconds{%[1]s}) < %s)",
		selected, atEnd("last_success_timestamp_seconds"))
	seen := "max by (database, table) (max_over_time(timestamp(" + older + ")[$__range:30m]))"
	before := fmt.Sprintf("(max by (database, table) (last_over_time((%s)[$__range:30m])) and (%s == on () group_left () max(%[2]s)))",
		older, seen)
	change := fmt.Sprintf("(%s or 0 * (%s)) - (%[2]s or 0 * (%[1]s))\nand on () count(%[1]s) and on () count(%[2]s)", now, before)
	return table("Changed since the good backup before",
		fmt.Sprintf("Tables that grew or shrank, came or went; the %d largest changes, of the tables that the exporter lists (subtask_limit). "+
			"The backup before must lie in the time shown.", lines), 8, "no change, or nothing to compare with in the time shown", byTable,
		column{title: "Change", expr: fmt.Sprintf("(%s) and topk(%d, abs(%[1]s) > 0)", change, lines), config: object{
			"unit":     "bytes",
			"decimals": 0,
		}}).
		sorted("Change", false).high(10)
}

func failedTables() object {
	return table("Failed tables", "Tables whose backup failed in the newest task that has ended; it may not be a good one.", 8,
		"no table failed, or not known", byTable,
		column{
			title: "Failed", expr: fmt.Sprintf("topk(100, max by (database, table) (%s))", selectedSeries("subtask_failed")),
			config: colored("none", values("1", "failed", bad), steps(neutral)),
		}).high(10)
}

func window() object {
	return chart("Recovery window",
		"How far back one can restore, and how far back the newest good backup lies: what was written since that would be lost.", 12, "s", 1,
		"nothing to restore",
		query("time() - "+perInstance("oldest_restorable_timestamp_seconds"), "oldest restorable"),
		query(perInstance("last_success_age_seconds"), "newest good")).
		override("oldest restorable", object{"custom.fillBelowTo": "newest good"})
}

func expiry() object {
	return chart("Expiry",
		"Time left until the newest good backup and until the last restorable one expires. Without lines: they never expire, or there is none.",
		12, "s", 1, "nothing expires, or not known",
		query(until("last_success_expire_timestamp_seconds"), "newest good"),
		query(until("restorable_until_timestamp_seconds"), "last restorable"))
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
	columns[last].expr = "max by (" + strings.Join(labels, ", ") + ") (" + selectedSeries("instance_info") + ")"
	return table("Instance", "As it was when its newest backup task was made.", 24, "no task tells, or it cannot be read", columns[:last],
		columns[last]).high(4)
}
