package main

import "fmt"

// byInstance are the columns of every table of instances.
var byInstance = []column{
	{title: "ID", label: "instance_id", config: toInstance},
	{title: "Region", label: "region_id"},
}

// among leaves out what is no instance any more.
func among() string {
	return "\nand on (instance_id, region_id) (" + perInstance("up") + " or " + gone("") + ")"
}

func name() column {
	return column{title: "Name", label: "instance_name", expr: names() + among(), config: toInstance}
}

func fleet() object {
	return dashboard(fleetUID, "StarRocks backups: fleet", "Whether every instance has a good backup, and which has not.", true,
		canISleep(), freshness(), row{whichInstances()}, row{history()},
		row{finishedByDay(), sizes(), expiries()},
		heading("The exporter itself", exporterItself()...),
	)
}

// countOf counts the instances of a truth. It is 0 only where there are instances at all: no exporter is not good news.
func countOf(value int) string {
	return fmt.Sprintf("count((%s) == %d) or 0 * count(%s)", state(""), value, state(""))
}

func canISleep() row {
	const none = "no instance seen"
	alerts := func(severity string) string {
		return `count(ALERTS{alertname=~"StarRocksBackup.+",alertstate="firing",region_id=~"$region|",instance_id=~"$instance|",severity="` +
			severity + `"}` + ofOtherAccount +
			`) or 0 * count(ALERTS{alertname="StarRocksBackupWatchdog"})`
	}
	return row{
		stat("Healthy", "Instances that were read and have no condition.", 3, "none", 0, none, steps(unknown, 0, neutral, 1, good),
			instant(countOf(0), "")),
		stat("Unhealthy", "Instances with a condition that holds: the table below says which.", 3, "none", 0, none,
			steps(unknown, 0, good, 1, bad),
			instant(countOf(2), "")),
		stat("Unknown", "Instances that could not be read. Their backups may be good or not.", 3, "none", 0, none, steps(unknown),
			instant(countOf(1), "")),
		stat("Nearest deadline",
			"The instance whose newest good backup is nearest to its deadline, or furthest past it: time left until a newer one must have "+
				"finished. Below 0 it is overdue.",
			5, "s", 1, "no good backup seen", steps(unknown, longAgo, bad, 0, good),
			instant("bottomk(1, "+named(until("deadline_timestamp_seconds"))+")", instanceLegend)).
			with(object{"options": namedStat()}),
		stat("Next expiry of a last backup", "The instance whose last restorable backup expires first, unless a newer one completes.",
			5, "s", 1, "none expires, or not known", steps(neutral), instant("bottomk(1, "+named(until("restorable_until_timestamp_seconds"))+")",
				instanceLegend)).
			with(object{"options": namedStat()}),
		stat("Alerts firing", "Alerts of alerts/rules.yml that fire now, those inhibited or silenced too.", 5, "none", 0, "rules not loaded",
			steps(unknown, 0, good, 1, bad),
			instant(alerts("critical"), "critical"), instant(alerts("warning"), "warning")),
	}
}

// namedStat shows which instance it is beside the number.
func namedStat() object {
	o := stat("", "", 0, "", 0, "", nil)["options"].(object)
	return o.with(object{"textMode": "value_and_name", "orientation": "horizontal"})
}

func freshness() row {
	chosen := fmt.Sprintf("\nand on (instance_id, region_id) topk(%d, %s)", lines, unread())
	return row{
		stat("Exporters down",
			"Exporters that are down or gone, by the alert for it, and before it fires. Without the alert rules: targets of Prometheus that had "+
				"this exporter within a day and do not answer. What they read is held by the alerts, and unknown here.", 3, "none", 0,
			"none, or the rules are not loaded", steps(unknown, 0, good, 1, bad),
			instant(`count(ALERTS{alertname="StarRocksBackupExporterDown"}) or 0 * count(ALERTS{alertname="StarRocksBackupWatchdog"})`+
				"\nor count(up == 0 and on (job, instance) last_over_time(starrocks_backup_exporter_build_info[1d]))", "")),
		stat("Newest full read",
			"How long ago any of the chosen instances was last read in full. More than some minutes: nothing on this dashboard is fresh.", 4, "s",
			0, "not within 26 h", steps(unknown, 0, good, 600, unknown),
			instant("time() - max("+held("last_read_timestamp_seconds")+")", "")),
		stat("Reads throttled by the API", "Reads that failed within 15 minutes because the API answered \"too many requests\".", 4, "none", 0,
			"none", steps(unknown, 0, good, 1, unknown),
			instant(fmt.Sprintf("round(sum(increase(starrocks_backup_scrape_errors_total{%s,reason=\"throttled\"}[15m])%s))", selected,
				ofOtherAccount), "")),
		table("Unreadable instances, and why",
			fmt.Sprintf("Instances that cannot be read now, with the reasons of the last 15 minutes and when they were last read in full, within "+
				"26 h. At most %d.", lines), 13, "every instance is read", byInstance,
			column{
				title: "Reason", label: "reason", expr: whyUnread("reason") + chosen,
				config: object{"custom.cellOptions": object{"type": "color-text"}, "color": object{"mode": "fixed", "fixedColor": unknown}},
			},
			column{title: "Last read", expr: "1000 * " + held("last_read_timestamp_seconds") + chosen, config: object{"unit": "dateTimeFromNow"}},
			column{title: "Name", label: "instance_name", expr: names() + chosen, config: toInstance}).high(4),
	}
}

func whichInstances() object {
	size := perInstance("last_success_data_size_bytes")
	weekAgo := fmt.Sprintf("max by (instance_id, region_id) (starrocks_backup_last_success_data_size_bytes{%s} offset 1w)", selected)
	allowed := perInstance("deadline_timestamp_seconds") + " - " + perInstance("last_success_timestamp_seconds")
	age := perInstance("last_success_age_seconds")
	date := object{"unit": "dateTimeFromNow"}
	return table("Instances, worst first",
		"Every chosen instance. Used: the newest good backup's age, of the age it may reach before its deadline. Empty: not known, or there "+
			"is none. Click an instance to see it in depth.",
		24, "no instance seen", byInstance,
		column{title: "State", expr: state(""), config: colored("none", states, steps(neutral)).with(object{"custom.width": 80})},
		name(),
		column{
			title: "Newest task", label: "status", expr: onePerInstance(perInstance("last_task_status", "status") + " == 1"),
			config: colored("none", words, steps(neutral)),
		},
		column{title: "Age", expr: age, config: object{"unit": "s", "decimals": 1}},
		column{title: "May reach", expr: allowed, config: object{"unit": "s", "decimals": 1}},
		column{title: "Used", expr: "(" + age + ") / (" + allowed + ")", config: object{
			"unit": "percentunit", "min": 0, "max": 1, "thresholds": steps(unknown, 0, good, 1, bad), "custom.cellOptions": object{
				"type": "gauge",
				"mode": "basic", "valueDisplayMode": "text",
			},
		}},
		column{title: "Deadline in", expr: until("deadline_timestamp_seconds"), config: colored("s", []object{}, steps(unknown, longAgo, bad, 0,
			good)).with(object{"decimals": 1})},
		column{title: "Restorable", expr: perInstance("restorable_backups")},
		column{title: "Until", expr: "1000 * " + perInstance("restorable_until_timestamp_seconds"), config: date},
		column{title: "Data", expr: size, config: object{"unit": "bytes", "decimals": 1}},
		column{title: "In a week", expr: "(" + size + ") / (" + weekAgo + ") - 1", config: object{"unit": "percentunit", "decimals": 0}},
		column{title: "Failed in a row", expr: perInstance("consecutive_failures"), config: colored("none", []object{}, steps(unknown, 0, good, 1,
			bad))},
		column{title: "Last read", expr: "1000 * " + held("last_read_timestamp_seconds") + among(), config: date},
	).sorted("State", true).high(12)
}

func history() object {
	n := 2 * lines
	return timeline("State of the instances",
		fmt.Sprintf("Healthy, unhealthy or unknown over time. With more than %d instances, the chart shows those in the worst state at the end; "+
			"choose fewer to see the others. It samples 120 moments, so it may miss short problems, and the last moment may be slightly old.", n),
		24, "no instance seen", states,
		query(topInstances(n, state(""), state(" @ end()")), instanceLegend)).
		high(12).with(object{"maxDataPoints": 120})
}

func finishedByDay() object {
	p := chart("Tasks finished per day",
		"Backup tasks that were seen to end, by the day (in the dashboard's time zone) and how. What ended while no exporter ran is not "+
			"counted. The last bar is today, until now.",
		8, "none", 0, "no task ended",
		query("sum by (status) (max by (instance_id, region_id, status) (increase("+fmt.Sprintf("starrocks_backup_tasks_finished_total{%s"+
			"}[1d] offset -1d)%s", selected, ofOtherAccount)+"))", "{{status}}")).
		stacked("bars", 80).with(object{"interval": "1d"}).high(10)
	p["fieldConfig"].(object)["defaults"].(object)["custom"].(object)["barAlignment"] = 1 // a day's bar begins with the day
	for _, status := range []struct{ name, color string }{{"completed", good}, {"failed", bad}, {"canceled", "orange"}} {
		p.override(status.name, object{"color": object{"mode": "fixed", "fixedColor": status.color}})
	}
	return p
}

func sizes() object {
	const metric = "last_success_data_size_bytes"
	return chart("Data by instance", fmt.Sprintf("What the newest good backup holds, of the %d largest.", lines), 8, "bytes", 1,
		"no good backup lists its tables",
		query(topInstances(lines, perInstance(metric), atEnd(metric)), instanceLegend)).high(10)
}

func expiries() object {
	return table("What expires next",
		fmt.Sprintf("When the last restorable backup of an instance expires, unless a newer one completes; the first %d. Instances "+
			"with a backup that never expires are not shown.", lines), 8, "nothing expires, or not known", byInstance,
		column{
			title: "Expires in", expr: fmt.Sprintf("bottomk(%d, %s)", lines, until("restorable_until_timestamp_seconds")),
			config: object{"unit": "s", "decimals": 1},
		},
		column{title: "Name", label: "instance_name", expr: names() + fmt.Sprintf("\nand on (instance_id, region_id) bottomk(%d, %s)", lines,
			until("restorable_until_timestamp_seconds")), config: toInstance},
	).sorted("Expires in", false).high(10)
}

func exporterItself() []object {
	api := `{region_id=~"$region"}[$__rate_interval]`
	return []object{
		chart("Requests", "Requests to the API by operation and region.", 8, "reqps", 2, "no request",
			query("sum by (operation, region_id) (rate(starrocks_backup_api_requests_total"+api+"))", "{{operation}} {{region_id}}")),
		chart("Requests that failed", "Requests that were not answered by 200, by HTTP status; error: no answer at all.", 8, "reqps", 2,
			"none failed",
			query(`sum by (code) (rate(starrocks_backup_api_requests_total{region_id=~"$region",code!="200"}[$__rate_interval]))`, "{{code}}")),
		panel("heatmap", "Latency", "How long requests took, to the last byte.", 8, "s", 2, "no request",
			query("sum by (le) (rate(starrocks_backup_api_request_duration_seconds_bucket"+api+"))", "{{le}}").with(object{"format": "heatmap"})).
			with(object{"options": object{
				"calculate": false, "cellGap": 1, "showValue": "never", "color": object{
					"mode": "scheme", "scheme": "Blues", "exponent": 0.5,
					"fill": "blue", "reverse": false, "steps": 32,
				},
				"yAxis": object{"unit": "s", "axisPlacement": "left"}, "cellValues": object{"unit": "reqps"}, "legend": object{"show": true},
				"tooltip": object{"mode": "single", "yHistogram": false}, "exemplars": object{"color": "blue"},
			}}),
		chart("Retries", "Requests that were sent again, by reason.", 8, "reqps", 2, "none was sent again",
			query("sum by (reason) (rate(starrocks_backup_api_retries_total"+api+"))", "{{reason}}")),
		chart("Waiting for our own limit",
			"Requests that wait for api.requests_per_second at the same time, on average. Where it grows the limit is too low for the fleet.", 8,
			"none", 2, "no wait",
			query("sum by (region_id) (rate(starrocks_backup_api_throttle_wait_seconds_total"+api+"))", "{{region_id}}")),
		chart("Time for the requests",
			"How long the requests of a scrape take at our own limit, and the time that a scrape has. Where the first exceeds the second, some "+
				"instances are not read.", 8, "s", 1, "no exporter",
			query(`max by (account, region_id) (starrocks_backup_api_budget_seconds{region_id=~"$region",account=~"$account"})`,
				"{{region_id}} {{account}}"),
			query("min(starrocks_backup_scrape_deadline_seconds)", "time that a scrape has")),
		chart("Clock skew", "The API's clock minus the exporter's. From 15 minutes on, requests are rejected.", 8, "s", 1, "no answer had a date",
			query(`max by (region_id) (starrocks_backup_api_clock_skew_seconds{region_id=~"$region"})`, "{{region_id}}")),
		chart("Scrape duration", "How long Prometheus waited for the exporter.", 8, "s", 2, "no exporter",
			query("scrape_duration_seconds and on (job, instance) starrocks_backup_exporter_build_info", "{{instance}}")),
		chart("Memory", "Resident memory of the exporter.", 8, "bytes", 1, "no exporter",
			query("process_resident_memory_bytes and on (job, instance) starrocks_backup_exporter_build_info", "{{instance}}")),
		chart("Scrapes that shared a collection",
			"Scrapes that joined a collection under way: from more than one Prometheus, or scrapes that take too long.", 8, "reqps", 2, "none",
			query("sum by (instance) (rate(starrocks_backup_scrapes_coalesced_total[$__rate_interval]))", "{{instance}}")),
	}
}
