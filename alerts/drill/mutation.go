package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// mutation is a deliberate mistake in one rule. The drill must count a mistake for each of them.
type mutation struct {
	name string
	rule string // beginning of the rule; the replaced text comes after it
	old  string
	with string
}

const (
	record = "- record: starrocks_backup:"
	alert  = "- alert: StarRocksBackup"

	// known and now are the condition of an instance as the rules know it, and as exporters say it.
	known = "starrocks_backup:condition{"
	now   = "starrocks_backup_condition{"

	holds   = "== 1\n"
	patient = "== 1\n        for: 2h\n"
)

var mutations = []mutation{
	{
		"an exporter answers while it is a target", record + "exporter:down",
		"unless on (cluster, job, instance) starrocks_backup_exporter_build_info", "unless on (cluster, job, instance) up",
	},
	{
		"exporters known by job and instance", record + "exporter:down", "unless on (cluster, job, instance)", "unless on (job, instance)",
	},
	{
		"a fleet without exporters is complete", record + "exporter:missing", "unless on (cluster, job) starrocks_backup_exporter_build_info",
		"unless on (cluster, job) last_over_time(starrocks_backup_exporter_build_info[26h])",
	},
	{"a fleet without a shard is complete", record + "exporter:missing", "< on (cluster, job)", "> on (cluster, job)"},
	{
		"both of a pair must read", record + "condition", `min by (cluster, job, instance_id, region_id, condition) (`,
		`max by (cluster, job, instance_id, region_id, condition) (`,
	},
	{"no chain", record + "condition", "last_over_time(starrocks_backup:condition[", "0 > last_over_time(starrocks_backup:condition["},
	{
		"the chain ends with the exporter", record + "condition", "last_over_time(starrocks_backup:exporter:missing",
		"0 > last_over_time(starrocks_backup:exporter:missing",
	},
	{"the chain ends with the list", record + "condition", "discovery_complete == 0", "discovery_complete == 2"},
	{"the chain never ends", record + "condition", "and on (cluster, job, instance_id, region_id) (", "and on () ("},
	{"a few instances are an outage", record + "region:condition", ">= bool 5", ">= bool 1"},
	{"less than half is an outage", record + "region:condition", "> bool 0.5", "> bool 0.1"},

	{"overdue by the last read", alert + "Overdue", known, now},
	{"missing without for", alert + "Missing", "for: 1h", "for: 0s"},
	{"failed only when repeated", alert + "Failed\n", `"failing"`, `"failing_repeatedly"`},
	{"failing repeatedly with patience", alert + "FailingRepeatedly", holds, patient},
	{"stuck with patience", alert + "Stuck", holds, patient},
	{"expiring by the last read", alert + "Expiring", known, now},
	{"retention too short by the last read", alert + "RetentionTooShort", known, now},
	{"shrunk by the last read", alert + "Shrunk", known, now},
	{"table failed by the last read", alert + "TableFailed", known, now},
	{"status unknown with patience", alert + "StatusUnknown", holds, patient},
	{"implausible with patience", alert + "Implausible", holds, patient},
	{"subscription ending with patience", alert + "SubscriptionEnding", holds, patient},
	{"no policy by the last read", alert + "NoPolicy", known, now},
	{
		"what is read slowly ends with an outage", alert + "NoPolicy",
		"max_over_time(starrocks_backup_up[30m10s] offset 2h)", "starrocks_backup_up",
	},
	{"restore untested by the last read", alert + "RestoreUntested", known, now},
	{"region unreadable without for", alert + "RegionUnreadable", "for: 25m", "for: 0s"},
	{"unreadable without for", alert + "InstanceUnreadable", "for: 30m", "for: 0s"},
	{"unreadable in spite of the region", alert + "InstanceUnreadable", "[24m50s]) > 0", "[24m50s]) > 1e9"},
	{"unreadable for hours without for", alert + "InstanceUnreadable", "for: 6h", "for: 30m"},
	{"region rejected without for", alert + "RegionRejected", "for: 10m", "for: 0s"},
	{"rejected without for", alert + "CredentialsRejected", "for: 10m", "for: 0s"},
	{
		"no identity is new", alert + "CredentialsChanged", "unless on (cluster, job, account, provider)", "unless on (cluster, job, account)",
	},
	{"throttled without for", alert + "APIThrottled", "for: 30m", "for: 0s"},
	{"unlisted for a day", alert + "DiscoveryFailed", "time() - 60 * 60", "time() - 24 * 60 * 60"},
	{"never listed is fine", alert + "DiscoveryFailed", "discovery_complete[10m10s])) == 0", "discovery_complete[10m10s])) == 2"},
	{"configuration without for", alert + "ConfigReloadFailed", "for: 5m", "for: 0s"},
	{
		"configuration by the last scrape", alert + "ConfigReloadFailed",
		"last_over_time(starrocks_backup_exporter_config_last_reload_successful[26h10s])",
		"starrocks_backup_exporter_config_last_reload_successful",
	},
	{"down without for", alert + "ExporterDown", "for: 10m", "for: 0s"},
	{
		"down only while it is a target", alert + "ExporterDown",
		`and on (cluster, job) starrocks_backup:condition{condition="unreadable"}`,
		`and on (cluster, job) starrocks_backup:condition{condition="none"}`,
	},
	{"no handover from the target to the job", alert + "ExporterDown", "down[20m10s]", "down[10s]"},
	{"the dead man's switch is dead", alert + "Watchdog", "vector(1)", "vector(1) == 0"},
}

// in returns the rules with the first occurrence of the old text after the first line of the rule replaced.
func (m mutation) in(rules string) (string, error) {
	before, after, found := strings.Cut(rules, m.rule)
	if !found || !strings.Contains(after, m.old) {
		return "", fmt.Errorf("mutation %q: the rules contain no %q after %q", m.name, m.old, m.rule)
	}
	return before + m.rule + strings.Replace(after, m.old, m.with, 1), nil
}

// printMutations prints what each mutation scored, and fails if one scored no mistake.
func printMutations(out io.Writer, mutations []mutation, sums []*score) error {
	var unseen []error
	w := tabwriter.NewWriter(out, 0, 0, 1, ' ', 0)
	fmt.Fprintln(w, "| mutation\t| missed\t| late\t| wrongly resolved\t| false pages\t|\n|---\t|---\t|---\t|---\t|---\t|")
	for n, m := range mutations {
		t := sums[n].total()
		fmt.Fprintf(w, "| %s\t| %d\t| %d\t| %d\t| %d\t|\n", m.name, t.missed, t.late, t.resolved, t.falsePages)
		if sums[n].mistakes() == 0 {
			unseen = append(unseen, fmt.Errorf("mutation %q was not noticed", m.name))
		}
	}
	w.Flush()
	return errors.Join(unseen...)
}
