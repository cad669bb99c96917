package collector_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient/simulator"
)

// Each condition, just before and just after it holds.
func TestConditionsAtTheirLimits(t *testing.T) {
	const second = 1.0 / 3600
	expiring := func(left float64) []simulator.Task {
		good := backup("bt-1", "COMPLETED", 20, tables(20)...)
		good.Expire = simulator.Millis(noon.Add(hours(left)))
		return []simulator.Task{backup("bt-2", "FAILED", 5), good}
	}
	keptFor := func(h float64) []simulator.Task {
		good := backup("bt-1", "COMPLETED", 5, tables(20)...)
		good.Expire = simulator.Millis(noon.Add(hours(h - 5)))
		return []simulator.Task{good}
	}
	running := func(since, longest float64) []simulator.Task {
		r, c := backup("bt-2", "RUNNING", 0), backup("bt-1", "COMPLETED", 20, tables(20)...)
		r.Start, c.Start = simulator.Millis(noon.Add(-hours(since))), simulator.Millis(noon.Add(-hours(20+longest)))
		return []simulator.Task{r, c}
	}
	sized := func(now int, before ...int) []simulator.Task {
		tasks := []simulator.Task{backup("bt-9", "COMPLETED", 1, sub("dwd", "orders", now, "success"))}
		for i, size := range before {
			tasks = append(tasks, backup(fmt.Sprintf("bt-%d", i), "COMPLETED", 2+float64(i), sub("dwd", "orders", size, "success")))
		}
		return tasks
	}
	withDatabases := func(names ...string) (tasks []simulator.Task) {
		for i, list := range names {
			b := backup(fmt.Sprintf("bt-%d", i), "COMPLETED", 2+float64(i))
			b.SubTasks = []simulator.SubTask{}
			for name := range strings.FieldsSeq(list) {
				b.SubTasks = append(b.SubTasks, sub(name, "t", 1, "success"))
			}
			if list == "null" {
				b.SubTasks = nil
			}
			tasks = append(tasks, b)
		}
		return tasks
	}
	undated := func(left time.Duration) simulator.Task {
		b := backup("bt-1", "COMPLETED", 1)
		b.Start, b.Finish, b.Expire = nil, 0, simulator.Millis(noon.Add(left))
		return b
	}
	weekday := func(started time.Time) []simulator.Task {
		b := backup("bt-1", "COMPLETED", 0, tables(20)...)
		b.Start, b.Finish = simulator.Millis(started), simulator.Millis(started.Add(time.Hour))
		return []simulator.Task{b}
	}
	lasting := func(h float64) simulator.Task {
		b := backup("bt-1", "COMPLETED", 5)
		b.Start = simulator.Millis(noon.Add(-hours(5 + h)))
		return b
	}
	one := func(tasks ...simulator.Task) []simulator.Task { return tasks }
	var all strings.Builder
	for _, c := range []struct {
		name, condition string
		before, after   []simulator.Task
	}{
		// The schedule is 10:00 on weekdays, the grace 2 h, and noon is a Wednesday's.
		{"overdue_schedule", "overdue", weekday(noon.Add(-hours(2))), weekday(noon.Add(-hours(26)))},
		{
			"overdue_schedule_early", "overdue", weekday(noon.Add(-hours(2) - 10*time.Minute)),
			weekday(noon.Add(-hours(2) - 10*time.Minute - time.Second)),
		},
		{"overdue", "overdue", one(backup("bt-1", "COMPLETED", 26, tables(20)...)), one(backup("bt-1", "COMPLETED", 26+second, tables(20)...))},
		{"missing", "missing", one(backup("bt-1", "COMPLETED", 14*24-second)), one(backup("bt-1", "COMPLETED", 14*24))},
		{"missing_first_run", "missing", one(backup("bt-1", "RUNNING", 0)), one(backup("bt-2", "RUNNING", 0), backup("bt-1", "FAILED", 5))},
		{"missing_undated", "missing", one(undated(time.Hour)), one(undated(0))},
		{"missing_queued", "missing", one(backup("bt-1", "RUNNING", 0), backup("bt-2", "PENDING", 0)), one(backup("bt-2", "PENDING", 0))},
		{
			"failing", "failing",
			one(backup("bt-3", "COMPLETED", 1), backup("bt-2", "FAILED", 5), backup("bt-1", "COMPLETED", 20)),
			one(backup("bt-3", "CANCELLED", 1), backup("bt-1", "COMPLETED", 20)),
		},
		{
			"failing_repeatedly", "failing_repeatedly",
			one(backup("bt-4", "CANCELLED", 1), backup("bt-2", "FAILED", 5), backup("bt-1", "COMPLETED", 20), backup("bt-0", "FAILED", 21)),
			one(backup("bt-4", "CANCELLED", 1), backup("bt-3", "TERMINATED", 3), backup("bt-2", "FAILED", 5), backup("bt-1", "COMPLETED", 20)),
		},
		{"stuck_4h", "stuck", running(4, 1), running(4+second, 1)},
		{"stuck_3_times", "stuck", running(6, 2), running(6+second, 2)},
		{"expiring", "expiring", expiring(24 + second), expiring(24)},
		{"expiring_alone", "expiring", expiring(24)[1:], expiring(24)},
		{"retention_too_short", "retention_too_short", keptFor(26), keptFor(26 - second)},
		{"shrunk_half", "shrunk", sized(10, 20), sized(9, 20)},
		{"shrunk_floor", "shrunk", sized(1, 9), sized(1, 10)},
		{"shrunk_seven", "shrunk", sized(5, 5, 5, 5, 5, 5, 5, 5, 50), sized(5, 5, 5, 5, 5, 5, 5, 50)},
		{"shrunk_database", "shrunk", withDatabases("a b", "a b", "a b c"), withDatabases("a b", "a b c")},
		{"shrunk_no_list", "shrunk", withDatabases("null", "a"), withDatabases("", "a")},
		{
			"tables_failed", "tables_failed",
			one(backup("bt-2", "COMPLETED", 1, sub("a", "t", 1, "running")), backup("bt-1", "COMPLETED", 5, sub("a", "t", 1, "failed"))),
			one(backup("bt-2", "COMPLETED", 1, sub("a", "t", 1, "FAILED"))),
		},
		{
			"tables_canceled", "tables_failed",
			one(backup("bt-2", "COMPLETED", 1, sub("a", "t", 1, "success"))), one(backup("bt-2", "COMPLETED", 1, sub("a", "t", 1, "CANCELLED"))),
		},
		{
			"status_unknown_table", "status_unknown",
			one(backup("bt-2", "COMPLETED", 1, sub("a", "t", 1, "success"))), one(backup("bt-2", "COMPLETED", 1, sub("a", "t", 1, "HALF"))),
		},
		{"implausible_future", "implausible", one(backup("bt-1", "COMPLETED", -0.25)), one(backup("bt-1", "COMPLETED", -0.25-second))},
		{"implausible_order", "implausible", one(lasting(0)), one(lasting(-second))},
		{"implausible_running", "implausible", running(-0.25, 1), running(-0.25-second, 1)},
		{
			"status_unknown", "status_unknown",
			one(backup("bt-2", "COMPLETED", 1), backup("bt-1", "MERGING", 5)), one(backup("bt-2", "", 1), backup("bt-1", "COMPLETED", 5)),
		},
	} {
		for _, when := range []string{"before", "after"} {
			tasks := map[string][]simulator.Task{"before": c.before, "after": c.after}[when]
			t.Run(c.name+"_"+when, func(t *testing.T) {
				configuration, clock := oneInstance, noon
				if strings.HasPrefix(c.name, "overdue_schedule") {
					configuration = strings.Replace(oneInstance, "}]", ", schedule: 0 10 * * 1-5, grace: 2h}]", 1)
					clock = noon.Add(time.Second)
				}
				w := newWorld(t, simulator.Options{}, at(clock), configuration)
				w.sim.Set(simulator.Instance{InstanceID: "c-1", RegionID: "cn-hangzhou", Tasks: lists(tasks...)})
				held := holding(w.exposition())["c-1"]
				if slices.Contains(held, c.condition) != (when == "after") {
					t.Errorf("%s holds: %v", c.condition, held)
				}
				fmt.Fprintf(&all, "%s %s: %s\n", c.name, when, strings.Join(held, " "))
			})
		}
	}
	golden(t, "conditions.txt", all.String())
}

// holding returns the conditions that hold by instance, in the order of the exposition.
func holding(exposition string) map[string][]string {
	held := map[string][]string{}
	for line := range strings.Lines(exposition) {
		if strings.HasPrefix(line, "starrocks_backup_condition{") && strings.HasSuffix(line, " 1\n") {
			part := strings.Split(line, `"`)
			held[part[3]] = append(held[part[3]], part[1])
		}
	}
	return held
}

// The fleet of the demo shows every condition, and its healthy instances none, at any time of the day and week.
func TestDemoFleetKeepsItsStates(t *testing.T) {
	want := map[string]string{
		"orders-healthy-daily": "", "archive-healthy-weekly": "", "events-running-now": "", "billing-stuck": "stuck",
		"users-failed-last-night": "failing", "payments-failing-for-a-week": "failing failing_repeatedly overdue", "stock-overdue": "overdue",
		"sandbox-never-backed-up": "missing", "fresh-first-backup-running": "",
		"ledger-about-to-expire": "expiring failing failing_repeatedly overdue",
		"legacy-only-expired":    "missing overdue", "search-half-the-size": "shrunk", "catalog-table-failed": "tables_failed",
		"ads-unknown-status": "status_unknown", "mail-queued": "", "maps-canceled": "failing",
	}
	now := noon
	var configuration strings.Builder
	configuration.WriteString(
		strings.Replace(strings.Split(oneInstance, "instances:")[0], "timeout: 30s", "max_attempts: 1", 1) + "instances:\n",
	)
	fleet := simulator.DemoFleet()
	for _, d := range fleet {
		fmt.Fprintf(&configuration, "  - {instance_id: %s, region_id: %s, max_age: %dh}\n", d.InstanceID, d.RegionID, int(d.MaxAge.Hours()))
	}
	w := newWorld(t, simulator.Options{}, func() time.Time { return now }, configuration.String())
	for _, d := range fleet {
		w.sim.Set(d.Instance)
	}
	for range 24 * 7 / 5 {
		now = now.Add(5*time.Hour + 7*time.Minute)
		held := holding(w.get("/metrics"))
		for name, conditions := range want {
			slices.Sort(held[simulator.InstanceID(name)])
			if got := strings.Join(held[simulator.InstanceID(name)], " "); got != conditions {
				t.Errorf("at %v, %s is %q, want %q", now, name, got, conditions)
			}
		}
		if got := strings.Join(held[simulator.InstanceID("logs-retention-too-short")], " "); !strings.Contains(got, "retention_too_short") {
			t.Errorf("at %v, logs-retention-too-short is %q", now, got)
		}
	}
}
