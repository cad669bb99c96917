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
	rule string // first line of the rule; the replaced text comes after it
	old  string
	with string
}

const (
	record = "- record: starrocks_backup:"
	alert  = "- alert: StarRocksBackup"

	// newestView selects the newest of several exporters' views of an instance.
	newestView = `starrocks_backup_condition
            and timestamp(starrocks_backup_condition) == on (instance_id, region_id, condition) group_left ()
              max by (instance_id, region_id, condition) (timestamp(starrocks_backup_condition))
`
)

var mutations = []mutation{
	{"each exporter's own view held", record + "condition:newest", newestView, "last_over_time(starrocks_backup_condition[26h])\n"},
	{"two failures are repeated ones", record + "condition:newest", ">= bool 3", ">= bool 2"},
	{
		"unreadable by any failed read", record + "condition:newest", "max by (instance_id, region_id) (starrocks_backup_up) == bool 0",
		"sum by (instance_id, region_id) (increase(starrocks_backup_scrape_errors_total[15m])) > bool 0",
	},
	{"rejected for any reason", record + "condition:newest", `reason=~"unauthorized|forbidden"`, `reason!=""`},
	{"throttled for any reason", record + "condition:newest", `reason="throttled"`, `reason!=""`},
	{
		"an exporter is seen while it is a target", record + "exporter:seen_timestamp_seconds",
		"starrocks_backup_exporter_config_last_reload_success_timestamp_seconds", "up",
	},
	{
		"an instance is seen while it is read", record + "instance:seen_timestamp_seconds", "starrocks_backup_up",
		"starrocks_backup_consecutive_failures",
	},
	{"what was ever listed still is", record + "instance:listed", ">= on", "!= bool on"},
	{"nothing is ever replaced", record + "exporter:replaced", "max by (job, instance)", "0 > max by (job, instance)"},
	{
		"whatever is gone is replaced", record + "exporter:replaced",
		"> on (instance_id, region_id) group_right () starrocks_backup:instance:listed\n          )\n          > ",
		">= on (instance_id, region_id) group_right () starrocks_backup:instance:listed\n          )\n          > 0 * ",
	},
	{"no hold", record + "condition:held", "[26h]", "[5m]"},
	{"removed instances held", record + "condition:held", "and on (instance_id, region_id)\n", "or on (instance_id, region_id)\n"},

	{"overdue without hold", alert + "Overdue", ":held", ":newest"},
	{"missing without for", alert + "Missing", "for: 1h", "for: 0s"},
	{
		"missing joined with what a sick instance lacks", alert + "Missing", "== 1\n",
		"== 1 and on (instance_id, region_id) last_over_time(starrocks_backup_last_success_age_seconds[26h])\n",
	},
	{"failed only when repeated", alert + "Failed\n", `"failing"`, `"failing_repeatedly"`},
	{"failing repeatedly with patience", alert + "FailingRepeatedly", "== 1\n", "== 1\n        for: 2h\n"},
	{"stuck with patience", alert + "Stuck", "== 1\n", "== 1\n        for: 2h\n"},
	{"expiring without hold", alert + "Expiring", ":held", ":newest"},
	{"retention too short without hold", alert + "RetentionTooShort", ":held", ":newest"},
	{"shrunk without hold", alert + "Shrunk", ":held", ":newest"},
	{"table failed without hold", alert + "TableFailed", ":held", ":newest"},
	{"status unknown with patience", alert + "StatusUnknown", "== 1\n", "== 1\n        for: 2h\n"},
	{"unreadable without for", alert + "InstanceUnreadable", "for: 30m", "for: 0s"},
	{"unreadable for hours without for", alert + "InstanceUnreadable", "for: 6h", "for: 30m"},
	{"rejected without for", alert + "CredentialsRejected", "for: 10m", "for: 0s"},
	{"throttled without for", alert + "APIThrottled", "for: 30m", "for: 0s"},
	{"throttled by instance", alert + "APIThrottled", "max by (region_id) (", "max by (region_id, instance_id) ("},
	{"configuration without for", alert + "ConfigReloadFailed", "for: 5m", "for: 0s"},
	{
		"configuration without hold", alert + "ConfigReloadFailed",
		"(last_over_time(starrocks_backup_exporter_config_last_reload_successful[26h]))",
		"(starrocks_backup_exporter_config_last_reload_successful)",
	},
	{"down without for", alert + "ExporterDown", "for: 10m", "for: 0s"},
	{
		"down only while it is a target", alert + "ExporterDown", "or\n            starrocks_backup:instance:listed\n",
		"or\n            0 * starrocks_backup:instance:listed == 1\n",
	},
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
