package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
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
	{
		"what is read slowly ends with an outage", record + "condition",
		"avg_over_time(starrocks_backup_up[2h10s]) > 0.9", "starrocks_backup_up",
	},

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
	{"restore untested by the last read", alert + "RestoreUntested", known, now},
	{"a few instances are an outage", alert + "RegionUnreadable", ">= 5", ">= 1"},
	{"less than half is an outage", alert + "RegionUnreadable", "> 0.5", "> 0.1"},
	{"region unreadable without for", alert + "RegionUnreadable", "for: 25m", "for: 0s"},
	{"unreadable without for", alert + "InstanceUnreadable", "for: 30m", "for: 0s"},
	{"unreadable in spite of the region", alert + "InstanceUnreadable", `alertstate="firing"`, `alertstate="none"`},
	{"unreadable for hours without for", alert + "InstanceUnreadable", "for: 6h", "for: 30m"},
	{"region rejected without for", alert + "RegionRejected", "for: 10m", "for: 0s"},
	{"rejected without for", alert + "CredentialsRejected", "for: 15m", "for: 0s"},
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

// suspect is a set of rules with a mutation. Worlds that are played at the same time share it.
type suspect struct {
	name, rules string
	mu          sync.Mutex
	mistake     string // the first one that the drill counted
}

func (s *suspect) note(mistake string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mistake == "" {
		s.mistake = mistake
	}
}

func (s *suspect) noticed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mistake != ""
}

// trial is the score of a suspect in one world. It has seen enough once the suspect is noticed in any world.
type trial struct {
	*score
	*suspect
}

func (t trial) observe(now time.Time, truth map[page]verdict, firing map[page]bool) (enough bool) {
	t.score.observe(now, truth, firing)
	return t.noticed()
}

// trials is the score of the unchanged rules, and of the suspects that were not noticed before, in one world.
type trials struct {
	*score
	all      []trial
	excluded map[mistake]bool // the unchanged rules make it, too
}

type mistake struct {
	at    time.Time
	about page
	what  string
}

func newTrials(s setting, world string, suspects []*suspect) *trials {
	w := &trials{excluded: map[mistake]bool{}}
	w.score = newScore(s, func(at time.Time, about page, what string) { w.excluded[mistake{at, about, what}] = true })
	for _, one := range suspects {
		if !one.noticed() {
			w.all = append(w.all, trial{newScore(s, func(at time.Time, about page, what string) {
				if !w.excluded[mistake{at, about, what}] {
					one.note(fmt.Sprintf("%s: %s (%s)\t| %s", what, about.alert, about.severity, world))
				}
			}), one})
		}
	}
	return w
}

func (w *trials) observe(now time.Time, truth map[page]verdict, firing map[page]bool) (enough bool) {
	w.score.observe(now, truth, firing)
	return !slices.ContainsFunc(w.all, func(t trial) bool { return !t.noticed() })
}

func (w *trials) finish() {
	w.score.finish()
	for _, t := range w.all {
		t.finish()
	}
}

// printMutations prints the first mistake of each mutation, and fails if one made none.
func printMutations(out io.Writer, suspects []*suspect, worlds int) error {
	var unseen []error
	w := tabwriter.NewWriter(out, 0, 0, 1, ' ', 0)
	fmt.Fprintln(w, "| mutation\t| first mistake\t| world\t|\n|---\t|---\t|---\t|")
	for _, s := range suspects {
		if s.noticed() {
			fmt.Fprintf(w, "| %s\t| %s\t|\n", s.name, s.mistake)
			continue
		}
		unseen = append(unseen, fmt.Errorf("mutation %q was not noticed in the %d worlds played to their end", s.name, worlds))
	}
	w.Flush()
	return errors.Join(unseen...)
}
