package main

import "fmt"

// rankTitle is the column by which the instances are ordered.
const rankTitle = "Rank"

func fleet() object {
	return dashboard(fleetUID, "StarRocks backups: fleet", "Whether every instance has a good backup, and which has not.",
		[]object{
			instanceVariable(), chosenBy("urgent", paren("topk(%d, %s)", 2*maxLines, rank())), chosenBy("largest", largestInstances()),
			chosenBy("expiring", expiring()),
		}, []object{},
		canISleep(), row{whatPages(), whyUnread()}, row{whichInstances()},
		row{history()},
		row{expiries(), compliance(), worstCompliance()},
		row{sizes(), growth()},
		row{finishedByDay(), discovery(), leftOut()},
		row{policiesAndRestores()},
		heading("The exporter itself", exporterItself()...),
	)
}

// countOf counts the instances of a state. It is 0 only if there are instances at all: no exporter is not good news.
func countOf(value int) string {
	return paren("sum(%s == bool %d)", currentState(), value)
}

const (
	watchdog = `ALERTS{alertname="StarRocksBackupWatchdog",alertstate="firing"}`
	noRules  = "rules missing or just loaded"
)

// rulesEvaluated returns a series once every alert rule has been evaluated at least twice, a minute apart. Prometheus notifies Alertmanager
// at the first evaluation, but writes ALERTS only from the second on. The watchdog is optional, so the recorded conditions count, too.
func rulesEvaluated() string {
	return paren("(group(%s offset 1m)) or (group(starrocks_backup:condition{%s} offset 2m))", watchdog, exporters)
}

// alerts are the chosen alerts of a severity that fire. Those on a region or an exporter have no instance.
func alerts(metric, severity string) string {
	firing := ""
	if metric == "ALERTS" {
		firing = `,alertstate="firing"`
	}
	return paren(`max by (alertname, %s, job, instance) (%s{alertname=~"StarRocksBackup.+",severity=%q%s,`+
		`cluster=~"$cluster",job=~"$job|",region_id=~"$region|",instance_id=~"$instance|"} unless on (%[1]s) %[5]s)`,
		identity, metric, severity, firing, ofOthers)
}

func canISleep() row {
	const none = "no instance seen"
	firing := func(severity string) string {
		return orElse(paren("count(%s)", alerts("ALERTS", severity)), paren("0 * %s", rulesEvaluated()))
	}
	unloaded := orElse(
		paren(`count((group by (cluster, job) (starrocks_backup_up{%s})) unless on (cluster, job) starrocks_backup:condition{%[1]s})`, selected),
		paren("0 * count(starrocks_backup:condition{%s})", selected))
	return row{
		stat("Healthy", "Instances that were read and have no condition.", 3, "none", 0, none, steps(unknown, 0, neutral, 1, good),
			instant(countOf(healthy), "")),
		stat("Unhealthy", "Instances that were read and have a condition: the table below says which.", 3, "none", 0, none,
			steps(unknown, 0, neutral, 1, bad), instant(countOf(unhealthy), "")),
		stat("Unknown", "Instances that cannot be read. Their backups may be good or not; the table below says what is known.", 3, "none", 0,
			none, steps(unknown), instant(countOf(unknownState), "")),
		stat("Alerts firing", "Alerts of alerts/rules.yml that fire now, including those inhibited or silenced.", 5, "none", 0, noRules,
			steps(unknown, 0, neutral, 1, bad),
			instant(firing("critical"), "page"), instant(firing("warning"), "warn")).
			with(object{"options": namedStat()}).
			override("warn", object{"thresholds": steps(unknown, 0, neutral, 1, "orange")}),
		stat("Exporters down",
			"Exporters that are targets of Prometheus and do not answer, jobs whose exporters are gone, and jobs that lack a shard. Their "+
				"instances are unknown here. The alerts hold what they knew.", 3, "none", 0, "no exporter seen",
			steps(unknown, 0, neutral, 1, bad),
			instant(orElse(
				paren("count(%s)", nested("\nor on (cluster, job) ", []string{
					targetsDown(), jobsGone(), paren("starrocks_backup:exporter:missing{%s}", exporters),
				})),
				paren("0 * count%s", build("14d"))), "")),
		stat("Newest read",
			"How long ago any of the chosen instances was last read in full. More than some minutes: nothing on this dashboard is fresh.", 4,
			"s", 0, "no read within 26 h", steps(unknown, 0, neutral, 600, bad),
			instant(paren("clamp_min(time() - max(%s), 0)", lastKnown("last_read_timestamp_seconds")), "")),
		stat("Alert rules",
			"Whether alerts/rules.yml is loaded for each cluster and job. Without it nothing pages, and what was wrong with an instance is not "+
				"held while it cannot be read; all else works.", 3, "none", 0, "not loaded", steps(unknown, 0, neutral, 1, bad),
			instant(unloaded, "")).
			field(object{"mappings": append(values("0", "loaded", neutral), object{"type": "range", "options": object{
				"from": 1, "to": 1_000_000, "result": object{"text": "not loaded", "color": bad, "index": 1},
			}})}),
	}
}

// namedStat shows the name beside each number.
func namedStat() object {
	o := stat("", "", 0, "", 0, "", nil)["options"].(object)
	return o.with(object{"textMode": "value_and_name", "orientation": "vertical"})
}

// whatPages lists alerts, not instances: an alert may be on an exporter or a region.
func whatPages() object {
	const most = 100
	shown := paren("topk(%d, %s)", most, alerts("ALERTS_FOR_STATE", "critical"))
	firing := paren("%s and on (alertname, %s, job, instance) %s", shown, identity, alerts("ALERTS", "critical"))
	on := func(fragment string) string {
		return paren(`label_join(%s, "on", "", "instance_name", "instance")`, named(fragment))
	}
	return newTable("What pages",
		fmt.Sprintf("Critical alerts that fire, %d at most, including those inhibited or silenced. The link Runbooks above explains each.",
			most), 15,
		column{title: "Alert", label: "alertname", config: wide(280)},
		column{title: "On", label: "on", config: wide(225)},
		column{title: "Since", expr: milliseconds(orElse(on(firing),
			sayIf(rulesEvaluated(), "alertname", "nothing pages"),
			say("alertname", "not known: the alert rules are missing or were just loaded"))), config: fromNow()},
		column{title: "ID", label: "instance_id", config: wide(165).with(toInstance)}, regionColumn(),
	).sorted("Since", true).high(6)
}

// whyUnread counts the instances that cannot be read, by the reasons of 15 minutes.
func whyUnread() object {
	failed := paren("max by (%s, reason) (increase(starrocks_backup_scrape_errors_total{%s}[15m]) > 0)", identity, selected)
	reasons := orOfInstance(
		paren(`label_replace(%s, "reason", "no exporter answers", "", "")`, unwatched()),
		paren("%s and on (%s) %s", failed, identity, unread()),
		paren(`label_replace(%s, "reason", "not known yet", "", "")`, unread()),
	)
	return newTable("Why instances are unknown",
		"How many instances cannot be read now, by the reasons of the last 15 minutes. An instance may have more than one.", 9,
		column{title: "Reason", label: "reason", config: wide(220)},
		column{title: "Region", label: "region_id", config: wide(130)},
		column{title: "Instances", expr: orElse(
			paren("count by (cluster, region_id, reason) %s", reasons),
			sayIf(isRead(), "reason", "every instance is read"),
			say("reason", "no instance seen")), config: wide(90)},
		column{title: "Cluster", label: "cluster", config: wide(90)},
	).sorted("Instances", true).high(6)
}

// usedShare is the age of the newest good backup, of the age that it may reach before the deadline. Of an instance that cannot be read it
// is that of the last read.
func usedShare() string {
	ratio := func(metric func(string, ...string) string, now string) string {
		done := metric("last_success_timestamp_seconds")
		return paren("(%s - %s) / (%s - %[2]s)", now, done, metric("deadline_timestamp_seconds"))
	}
	return orOfInstance(ratio(perInstance, "time()"), ratio(lastKnown, lastKnown("last_read_timestamp_seconds")))
}

func whichInstances() object {
	return rankedBy(rankTitle, newTable("Instances, the most urgent first",
		"Nothing to restore and expiring come before overdue, then failing and the rest; the longest past its deadline first. Used: the age "+
			"of the newest good backup, of the age it may reach before its deadline. Of an unknown instance all is as of its last read, for 26 h, "+
			"and what the alerts hold is in red. A dash: not known, not read, or there is none. Click an instance to see it in depth.",
		24,
		column{
			title: "Name", label: "instance_name", expr: orOfInstance(knownNames(), byItsID(currentState())),
			config: wide(215).with(toInstance),
		},
		column{title: "State", expr: orElse(currentState(), say("instance_name", "no instance seen")), config: colored("none", states,
			steps(neutral)).with(wide(80))},
		column{title: "Why", label: "why", expr: whyText(), config: object{
			"custom.minWidth": 250, "mappings": whyColors(), "custom.cellOptions": object{"type": "color-text"},
		}},
		column{title: "Used", expr: usedShare(), config: wide(110).with(object{
			"unit": "percentunit", "decimals": 0, "min": 0, "max": 1, "thresholds": steps(primary, 1, bad), "custom.cellOptions": object{
				"type": "gauge", "mode": "basic", "valueDisplayMode": "text",
			},
		})},
		column{title: "Deadline", expr: milliseconds(lastKnown("deadline_timestamp_seconds")), config: fromNow().with(wide(105))},
		column{
			title: "Good backup", expr: milliseconds(lastKnown("last_success_timestamp_seconds")),
			config: fromNow().with(wide(110)),
		},
		column{title: "Last read", expr: milliseconds(lastKnown("last_read_timestamp_seconds")), config: fromNow()},
		policyColumn("Policy"), restoreColumn("Restore proven"),
		column{title: rankTitle, expr: rank()},
		idColumn(), regionColumn(), clusterColumn(),
	).high(12))
}

func history() object {
	n := 2 * maxLines
	return timeline("State of the instances",
		fmt.Sprintf("Healthy, unhealthy or unknown over time: the %d most urgent instances at the end of the time shown. Choose instances to "+
			"see others. It samples 120 moments, so it may miss short problems.", n),
		24, notYet, states, query(namedOverTime("urgent", currentState()), instanceLegend)).
		high(12).with(object{"maxDataPoints": 120})
}

// expiring are the instances whose last backup expires first.
func expiring() string {
	return paren("bottomk(%d, %s)", maxLines, until("restorable_until_timestamp_seconds"))
}

func expiries() object {
	of := func(fragment string) string { return charted("expiring", named(fragment)) }
	return newTable("What expires next",
		fmt.Sprintf("When the last restorable backup of an instance expires, unless a newer one completes; the first %d. Instances "+
			"with a backup that never expires are not shown, and none that cannot be read.", maxLines), 11,
		nameColumn(),
		column{
			title: "Expires in", expr: orElse(of(until("restorable_until_timestamp_seconds")),
				sayIf(isRead(), "instance_name", "nothing expires"), say("instance_name", "no instance is read")),
			config: wide(100).with(object{"unit": "s", "decimals": 1}),
		},
		column{title: "Backups", expr: of(perInstance("restorable_backups")), config: wide(80)},
		idColumn(),
	).sorted("Expires in", false).high(9)
}

// within30Days is the share of 30 days in which an instance was not overdue, at an hour's samples: as the alerts hold it, else as read.
func within30Days() string {
	share := func(metric string) string {
		return paren(`1 - (max by (%s) (avg_over_time(%s{%s,condition="overdue"}[30d:1h]) unless on (%[1]s) %[4]s))`, identity, metric, selected,
			ofOthers)
	} // overdue is never recorded as -1, as unreadable is
	return or(share("starrocks_backup:condition"), share("starrocks_backup_condition"))
}

func compliance() object {
	return stat("Within the deadline, 30 days",
		"The share of the last 30 days in which the newest good backup of an instance was younger than its deadline, averaged over the "+
			"instances. A sample an hour. Time before an instance was seen does not count; while it could not be read it counts as before.",
		5, "percentunit", 2, "nothing known for an hour yet", steps(neutral), instant(paren("avg(%s)", within30Days()), "")).high(9)
}

func worstCompliance() object {
	worst := paren("bottomk(%d, %s < 1)", maxLines, within30Days())
	return newTable("Overdue most, 30 days",
		fmt.Sprintf("The %d instances that were overdue for the largest share of the last 30 days.", maxLines), 8,
		nameColumn(),
		column{
			title: "Within", expr: orElse(named(worst),
				sayIf(currentState(), "instance_name", "none was overdue"), say("instance_name", "no instance seen")),
			config: wide(80).with(object{"unit": "percentunit", "decimals": 1}),
		},
		idColumn(),
	).sorted("Within", false).high(9)
}

const dataSizes = "last_success_data_size_bytes"

// largestInstances are the instances with the most data in the time shown, of a sample an hour, and now.
func largestInstances() string {
	return paren("topk(%d, %s)", maxLines, orOfInstance(perInstance(dataSizes),
		paren("max_over_time(%s[$__range:1h])", perInstance(dataSizes))))
}

func sizes() object {
	return chart("Data by instance",
		fmt.Sprintf("What the newest good backup holds: the %d largest of the time shown.", maxLines), 12, "bytes",
		1, notYet, query(namedOverTime("largest", perInstance(dataSizes)), instanceLegend)).high(10).distinct().legend("table", "right")
}

// growth forecasts from 30 days, and only if there are three: a line through a few minutes says nothing.
func growth() object {
	of := func(fragment string) string { return charted("largest", named(fragment)) }
	before := func(offset string) string {
		return paren("max by (%s) (starrocks_backup_%s{%s} offset %s)", identity, dataSizes, selected, offset)
	}
	return newTable("Growth, and a forecast",
		fmt.Sprintf("What the newest good backup of the %d largest instances holds, how much it grew in a week, and what it will hold in 30 "+
			"days if it goes on as in the last 30, or as long as it is known. Empty: known for less than a week, or than three days.", maxLines), 12,
		nameColumn(),
		column{
			title: "Data", expr: orElse(of(perInstance(dataSizes)),
				sayIf(isRead(), "instance_name", "no table is listed"), say("instance_name", "no instance is read")),
			config: wide(95).with(object{"unit": "bytes", "decimals": 1}),
		},
		column{
			title: "In a week", expr: of(paren("(%s / %s) - 1", perInstance(dataSizes), before("1w"))),
			config: wide(95).with(object{"unit": "percentunit", "decimals": 1}),
		},
		column{
			title: "In 30 days", expr: of(paren("clamp_min(predict_linear(%s[30d:6h], 30 * 86400), 0) and on (%s) (%[1]s and on (%[2]s) %[3]s)",
				perInstance(dataSizes), identity, before("3d"))),
			config: wide(95).with(object{"unit": "bytes", "decimals": 1}),
		},
		idColumn(),
	).sorted("Data", true).high(10)
}

func finishedByDay() object {
	p := chart("Tasks finished per day",
		"Backup tasks that were seen to end, by the day (in the dashboard's time zone) and how. What ended while no exporter ran is not "+
			"counted. The last bar is today, until now.",
		8, "none", 0, notYet,
		query(paren("sum by (status) (max by (%s, status) (increase(starrocks_backup_tasks_finished_total{%s}[1d:30m] offset -1d) "+
			"unless on (%[1]s) %[3]s))",
			identity, selected, ofOthers), "{{status}}")).
		stacked("bars", 80).with(object{"interval": "1d"}).high(9)
	p.custom(object{"barAlignment": 1}) // a day's bar begins with the day
	for _, status := range []struct{ name, color string }{{"completed", primary}, {"failed", bad}, {"canceled", "orange"}} {
		p.override(status.name, object{"color": object{"mode": "fixed", "fixedColor": status.color}})
	}
	return p
}

// byDiscovery are the labels of an entry of discovery.
const byDiscovery = "cluster, account, region_id, tags"

func ofDiscovery(metric string) string {
	return paren(`max by (%s) (starrocks_backup_%s{%s,region_id=~"$region",account=~"$account"})`, byDiscovery, metric, exporters)
}

func discovery() object {
	found := paren(`sum by (%s) (max by (%[1]s, job, instance) (`+
		`starrocks_backup_discovered_instances{%s,region_id=~"$region",account=~"$account"}))`,
		byDiscovery, exporters)
	return newTable("Discovery",
		"Which regions are listed, how many instances were found there, and when they were last listed in full. Shards are "+
			"added up; of a pair of exporters both count.",
		9,
		column{title: "Region", label: "region_id", expr: orElse(ofDiscovery("discovery_complete"),
			sayIf(paren("starrocks_backup_exporter_build_info{%s}", exporters), "region_id", "no discovery configured"),
			say("region_id", "no exporter answers")), config: wide(180)},
		column{title: "Account", label: "account", config: wide(90)},
		column{title: "Tags", label: "tags", config: wide(100)},
		column{title: "Listed", expr: ofDiscovery("discovery_complete"), config: colored("none",
			values("0", "not yet", unknown, "1", "in full", neutral),
			steps(neutral)).with(wide(75))},
		column{title: "Found", expr: found, config: wide(65)},
		column{title: "Last", expr: milliseconds(ofDiscovery("discovery_last_success_timestamp_seconds")), config: fromNow()},
	).high(9)
}

func leftOut() object {
	out := paren(`max by (%s, reason) (starrocks_backup_discovery_left_out_instances{%s,region_id=~"$region",account=~"$account"} > 0)`,
		byDiscovery, exporters)
	return newTable("Left out, and why", "Instances that discovery found and does not watch.", 7,
		column{title: "Reason", label: "reason", config: wide(170)}, regionColumn(),
		column{title: "Instances", expr: out, config: wide(80)},
		column{title: "Account", label: "account", expr: orElse(out,
			sayIf(ofDiscovery("discovery_complete"), "reason", "none was left out"),
			say("reason", "no discovery seen")), config: wide(90)},
	).high(9)
}

func exporterItself() []object {
	api := fmt.Sprintf(`{%s,region_id=~"$region"}[$__rate_interval]`, exporters)
	quantile := func(q string) string {
		return orElse(
			paren("histogram_quantile(%s, sum by (le) (rate(starrocks_backup_api_request_duration_seconds_bucket%s)))", q, api),
			paren("histogram_quantile(%s, sum(rate(starrocks_backup_api_request_duration_seconds%s)))", q, api),
		)
	}
	own := func(metric string) string {
		return paren("%s and on (%s) starrocks_backup_exporter_build_info{%s}", metric, target, exporters)
	}
	return []object{
		chart("Requests", "Requests to the API by operation and region.", 8, "reqps", 2, notYet,
			query(paren("sum by (operation, region_id) (rate(starrocks_backup_api_requests_total%s))", api),
				"{{operation}} {{region_id}}")).field(graded),
		chart("Requests that failed", "Requests that were not answered by 200, by HTTP status; error: no answer at all.", 8, "reqps", 2,
			"no request failed",
			query(paren(`sum by (code) (rate(starrocks_backup_api_requests_total{%s,region_id=~"$region",code!="200"}[$__rate_interval]))`,
				exporters), "{{code}}")).field(graded),
		chart("Latency", "How long requests took, to the last byte: half, nine in ten, and all but one in a hundred took no longer.", 8, "s", 2,
			notYet, query(quantile("0.5"), "half"), query(quantile("0.9"), "90 %"), query(quantile("0.99"), "99 %")).
			colors("half", primary, "90 %", secondary, "99 %", tertiary),
		chart("Retries", "Requests that were sent again, by reason.", 8, "reqps", 2, "no request was sent again",
			query(paren("sum by (reason) (rate(starrocks_backup_api_retries_total%s))", api), "{{reason}}")).field(graded),
		chart("Waiting for our own limit",
			"Average number of requests that wait for api.requests_per_second or api.concurrency. If it grows, the API is slow or a limit "+
				"is too low.", 8,
			"none", 2, notYet,
			query(paren("sum by (region_id) (rate(starrocks_backup_api_throttle_wait_seconds_total%s))", api), "{{region_id}}")).field(graded),
		chart("Time for the requests",
			"How long the requests of a scrape take at our own limit, and the time that a scrape has. Where the first exceeds the second, some "+
				"instances are not read.", 8, "s", 1, notYet,
			query(paren(`max by (account, region_id) (starrocks_backup_api_budget_seconds{%s,region_id=~"$region",account=~"$account"})`, exporters),
				"{{region_id}} {{account}}"),
			query(paren("min(starrocks_backup_scrape_deadline_seconds{%s})", exporters), "time that a scrape has")).field(graded),
		chart("Clock skew", "The API's clock minus the exporter's. From 15 minutes on, requests are rejected.", 8, "s", 1, notYet,
			query(paren(`max by (region_id) (starrocks_backup_api_clock_skew_seconds{%s,region_id=~"$region"})`, exporters), "{{region_id}}")).
			custom(object{"axisSoftMin": -1, "axisSoftMax": 1}).belowZero().field(graded),
		chart("Scrape duration", "How long Prometheus waited for the exporter.", 8, "s", 2, notYet,
			query(own("scrape_duration_seconds"), "{{instance}} {{cluster}}")).field(graded),
		chart("Memory", "Resident memory of the exporter.", 8, "bytes", 1, notYet,
			query(own("process_resident_memory_bytes"), "{{instance}} {{cluster}}")).field(graded),
		chart("Scrapes that shared a collection",
			"Scrapes that joined a collection under way: from more than one Prometheus, or scrapes that take too long.", 8, "reqps", 2, notYet,
			query(paren("sum by (cluster, instance) (rate(starrocks_backup_scrapes_coalesced_total{%s}[$__rate_interval]))", exporters),
				"{{instance}} {{cluster}}")).field(graded),
	}
}
