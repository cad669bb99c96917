package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// commonRules are rules in common use, written with this exporter's metrics.
var commonRules = []struct{ name, rules string }{
	{"age > 25h", ruleFile("starrocks_backup_last_success_age_seconds > 25 * 3600", "0s")},
	{"increase(failed[5m]) > 0 for 5m", ruleFile(`increase(starrocks_backup_tasks_finished_total{status="failed"}[5m]) > 0`, "5m")},
	{"last status != completed", ruleFile(`starrocks_backup_last_task_status{status="completed"} != 1`, "0s")},
}

func ruleFile(expr, wait string) string {
	return fmt.Sprintf("groups:\n- name: common\n  rules:\n  - alert: Common\n    expr: %s\n    for: %s\n", expr, wait)
}

// comparison scores arbitrary rules: does any alert page for an instance while something is wrong with its backups?
type comparison struct {
	slack     time.Duration
	incidents map[page]*anyIncident
	falseNow  map[page]bool // firing although the instance is healthy
	sickUntil map[string]time.Time
	fired     map[string]bool

	all, caught          map[string]int // by alert name without prefix
	resolved, falsePages int
}

// anyIncident is a period in which one condition holds for an instance.
type anyIncident struct {
	since            time.Time
	required, caught bool
}

func newComparison(slack time.Duration) *comparison {
	return &comparison{
		slack: slack, incidents: map[page]*anyIncident{}, falseNow: map[page]bool{}, sickUntil: map[string]time.Time{}, fired: map[string]bool{},
		all: map[string]int{}, caught: map[string]int{},
	}
}

// ofBackups are the alerts about an instance's backups. The others say that their state is unknown.
var ofBackups = []string{
	"Overdue", "Missing", "Failed", "FailingRepeatedly", "Stuck", "Expiring", "RetentionTooShort", "Shrunk",
	"TableFailed", "StatusUnknown",
}

func (c *comparison) observe(now time.Time, truth map[page]verdict, firing map[page]bool) (enough bool) {
	fires := map[string]bool{}
	for p := range firing {
		fires[p.subject] = true
	}
	lost := map[string]bool{}
	for p, v := range truth {
		if v != no {
			c.sickUntil[p.subject] = now.Add(c.slack)
		}
		name := strings.TrimPrefix(p.alert, "StarRocksBackup")
		if !slices.Contains(ofBackups, name) {
			continue
		}
		i := c.incidents[p]
		if v == no {
			delete(c.incidents, p)
			continue
		}
		if v == yes && i == nil {
			i = &anyIncident{since: now}
			c.incidents[p] = i
		}
		if i == nil {
			continue
		}
		if !i.required && now.Sub(i.since) >= waits[p.kind]+c.slack {
			i.required = true
			c.all[name]++
		}
		if i.required && !i.caught && fires[p.subject] {
			i.caught = true
			c.caught[name]++
		}
		lost[p.subject] = lost[p.subject] || i.caught && v == yes && c.fired[p.subject] && !fires[p.subject]
	}
	for _, gone := range lost {
		if gone {
			c.resolved++
		}
	}
	for p := range c.falseNow {
		if !firing[p] {
			delete(c.falseNow, p)
		}
	}
	for p := range firing {
		if now.After(c.sickUntil[p.subject]) && !c.falseNow[p] {
			c.falseNow[p] = true
			c.falsePages++
		}
	}
	c.fired = fires
	return false
}

func (c *comparison) add(o *comparison) {
	for _, name := range ofBackups {
		c.all[name] += o.all[name]
		c.caught[name] += o.caught[name]
	}
	c.resolved += o.resolved
	c.falsePages += o.falsePages
}

func printComparisons(out io.Writer, names []string, all map[string]*comparison, watched exposure) {
	w := tabwriter.NewWriter(out, 0, 0, 1, ' ', 0)
	row := func(first string, cell func(*comparison) string) {
		fmt.Fprintf(w, "| %s\t", first)
		for _, name := range names {
			fmt.Fprintf(w, "| %s\t", cell(all[name]))
		}
		fmt.Fprintln(w, "|")
	}
	fmt.Fprintf(w, "| \t| `%s`\t|\n|---\t%s|\n", strings.Join(names, "`\t| `"), strings.Repeat("|---\t", len(names)))
	for _, name := range ofBackups {
		row("paged: "+name, func(c *comparison) string { return fmt.Sprintf("%d of %d", c.caught[name], c.all[name]) })
	}
	row("paged: all", func(c *comparison) string {
		caught, of := 0, 0
		for _, name := range ofBackups {
			caught, of = caught+c.caught[name], of+c.all[name]
		}
		return fmt.Sprintf("%d of %d", caught, of)
	})
	row("resolved while it lasted", func(c *comparison) string { return fmt.Sprint(c.resolved) })
	row("false pages", func(c *comparison) string { return fmt.Sprint(c.falsePages) })
	row("false pages per healthy instance-year", func(c *comparison) string {
		return fmt.Sprintf("%.1f",
			float64(c.falsePages)/years(watched.healthy))
	})
	w.Flush()
	fmt.Fprintf(out, "\n%.1f instance-years, %.1f of them healthy.\n", years(watched.all), years(watched.healthy))
}
