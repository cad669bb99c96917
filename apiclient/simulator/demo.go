package simulator

import (
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"time"
)

// DemoInstance is an instance of the demo fleet, with the max_age that its configuration names.
type DemoInstance struct {
	Instance
	Name   string
	MaxAge time.Duration
}

const (
	day  = 24 * time.Hour
	week = 7 * day
)

// run is one backup task of a demo instance.
type run struct {
	start     time.Time
	took      time.Duration
	status    string
	retention time.Duration
	scale     float64 // of the data
	broken    bool    // one table failed
}

// DemoFleet returns an instance for each state there is. The states hold at any time, as if the fleet lived on.
func DemoFleet() []DemoInstance {
	fleet := demoFleet()
	for i := range fleet {
		d := &fleet[i]
		d.Policies, d.Operations = DailyPolicy(14), Restored(30*day)
		switch d.Name {
		case "stock-overdue", "sandbox-never-backed-up":
			d.Policies = nil
		case "logs-retention-too-short":
			d.Policies = DailyPolicy(1)
		case "users-failed-last-night":
			d.Operations = Restored(200 * day)
		case "maps-canceled":
			d.Operations = Canceled(d.Operations, d.Tasks, true)
		}
	}
	return fleet
}

// demoFleet is the instances with their backups.
func demoFleet() []DemoInstance { //nolint:funlen // a table
	daily := func(now time.Time) []run { return series(now, day, 30, 14*day) }
	return []DemoInstance{
		demo("orders-healthy-daily", "cn-hangzhou", 26*time.Hour, daily),
		demo("archive-healthy-weekly", "cn-hangzhou", 8*day, func(now time.Time) []run { return series(now, week, 8, 60*day) }),
		demo("events-running-now", "cn-hangzhou", 26*time.Hour, func(now time.Time) []run {
			return append([]run{begun(recently(now), "RUNNING")}, completed(daily(now))...)
		}),
		demo("billing-stuck", "cn-hangzhou", 50*time.Hour, func(now time.Time) []run {
			return append(
				[]run{begun(now.Truncate(6*time.Hour).Add(-6*time.Hour), "RUNNING")},
				before(completed(daily(now)), now.Add(-12*time.Hour))...)
		}),
		demo(
			"users-failed-last-night",
			"cn-hangzhou",
			50*time.Hour,
			func(now time.Time) []run { return withStatus(completed(daily(now)), 1, "FAILED") },
		),
		demo(
			"payments-failing-for-a-week",
			"cn-shanghai",
			26*time.Hour,
			func(now time.Time) []run { return withStatus(completed(daily(now)), 7, "FAILED") },
		),
		demo("stock-overdue", "cn-shanghai", 26*time.Hour, func(now time.Time) []run { return before(daily(now), now.Add(-3*day)) }),
		demo("sandbox-never-backed-up", "cn-shanghai", 26*time.Hour, func(time.Time) []run { return nil }),
		demo(
			"fresh-first-backup-running",
			"cn-shanghai",
			26*time.Hour,
			func(now time.Time) []run { return []run{begun(recently(now), "RUNNING")} },
		),
		demo("ledger-about-to-expire", "cn-shanghai", 26*time.Hour, aboutToExpire),
		demo("legacy-only-expired", "cn-shanghai", 26*time.Hour, func(now time.Time) []run {
			return before(series(now, day, 30, 2*day), now.Add(-5*day))
		}),
		demo("search-half-the-size", "ap-southeast-1", 26*time.Hour, func(now time.Time) []run {
			runs := daily(now)
			i := slices.IndexFunc(runs, func(r run) bool { return r.status == "COMPLETED" })
			runs[i].scale = 0.4
			return runs
		}),
		demo("catalog-table-failed", "ap-southeast-1", 26*time.Hour, func(now time.Time) []run {
			runs := daily(now)
			i := slices.IndexFunc(runs, func(r run) bool { return r.status == "COMPLETED" })
			runs[i].broken = true
			return runs
		}),
		demo(
			"ads-unknown-status",
			"ap-southeast-1",
			50*time.Hour,
			func(now time.Time) []run { return withStatus(completed(daily(now)), 1, "MERGING") },
		),
		demo(
			"logs-retention-too-short",
			"ap-southeast-1",
			26*time.Hour,
			func(now time.Time) []run { return series(now, 12*time.Hour, 30, 20*time.Hour) },
		),
		demo("mail-queued", "ap-southeast-1", 50*time.Hour, func(now time.Time) []run {
			return append([]run{begun(recently(now), "PENDING")}, completed(daily(now))...)
		}),
		demo(
			"maps-canceled",
			"ap-southeast-1",
			50*time.Hour,
			func(now time.Time) []run { return withStatus(completed(daily(now)), 1, "CANCELLED") },
		),
		faulty("vault-denied", "ap-southeast-1", Denied("sr:DescribeBackups")),
		faulty("metrics-throttled", "cn-shanghai", Throttled(0)),
	}
}

// InstanceID is the id of the demo instance of a name.
func InstanceID(name string) string {
	h := fnv.New64a()
	h.Write([]byte(name))
	return fmt.Sprintf("c-%016x", h.Sum64())
}

func demo(name, regionID string, maxAge time.Duration, runs func(now time.Time) []run) DemoInstance {
	id := InstanceID(name)
	return DemoInstance{Name: name, MaxAge: maxAge, Instance: Instance{
		InstanceID: id, RegionID: regionID,
		Tasks: func(now time.Time) []Task {
			var tasks []Task
			for _, r := range runs(now) {
				tasks = append(tasks, r.task(id, name))
			}
			return tasks
		},
	}}
}

func faulty(name, regionID string, f Fault) DemoInstance {
	d := demo(name, regionID, 26*time.Hour, func(time.Time) []run { return nil })
	d.Fault = Of("DescribeBackups", f)
	return d
}

// series is a schedule's runs, newest first. The newest may still be running.
func series(now time.Time, period time.Duration, n int, retention time.Duration) []run {
	const offset, took = 2 * time.Hour, 50 * time.Minute
	newest := now.Add(-offset).Truncate(period).Add(offset)
	runs := make([]run, n)
	for i := range runs {
		start := newest.Add(-time.Duration(i) * period)
		runs[i] = run{
			start:     start,
			took:      took + time.Duration(start.Unix()/3600%7)*time.Minute,
			status:    "COMPLETED",
			retention: retention,
			scale:     1,
		}
	}
	if runs[0].start.Add(runs[0].took).After(now) {
		runs[0].status = "RUNNING"
	}
	return runs
}

func recently(now time.Time) time.Time { return now.Truncate(30 * time.Minute).Add(-5 * time.Minute) }

func begun(start time.Time, status string) run { return run{start: start, status: status, scale: 1} }

func completed(runs []run) []run {
	return slices.DeleteFunc(runs, func(r run) bool { return r.status != "COMPLETED" })
}

func before(runs []run, t time.Time) []run {
	return slices.DeleteFunc(runs, func(r run) bool { return !r.start.Before(t) })
}

func withStatus(runs []run, n int, status string) []run {
	for i := range n {
		runs[i].status = status
	}
	return runs
}

// aboutToExpire is a last success that is between six and seven days old and kept for seven, and failures since.
func aboutToExpire(now time.Time) []run {
	const took = 50 * time.Minute
	midnight := now.Truncate(day)
	var runs []run
	for i := range 30 {
		r := run{start: midnight.Add(-time.Duration(i)*day - took), took: took, status: "COMPLETED", retention: week, scale: 1}
		if i < 6 {
			r.status = "FAILED"
		}
		runs = append(runs, r)
	}
	return runs
}

func (r run) task(id, name string) Task {
	t := Task{
		// With the scale, for what a task holds does not change as it grows old.
		BackupTaskID: fmt.Sprintf("bt-%s-%x-%g", id[2:10], r.start.Unix(), r.scale), Status: r.status, Size: 2000, BackupType: "FullBackup",
		Start: Millis(r.start), SubTasks: []SubTask{},
		Snapshot: &Snapshot{
			InstanceName: name, Version: "3.3", MinorVersion: "3.3.13-1.0-1.7.2", RunMode: "shared_nothing", SpecType: "standard",
			VpcID: "vpc-2ze0cez8106f2n85c2d7i", ResourceGroupID: "rg-aekzd7frphchx3a",
		},
	}
	if r.status == "PENDING" {
		return t
	}
	ended := r.status != "RUNNING" && r.status != "MERGING"
	if ended {
		t.Finish = Millis(r.start.Add(r.took))
	}
	if r.status == "COMPLETED" {
		t.Expire = Millis(r.start.Add(r.took + r.retention))
	}
	growth := 1.5 + math.Sin(2*math.Pi*float64(r.start.Unix())/(90*day).Seconds())/2 // slow: no backup is half of another's size in a week
	for i, table := range []string{
		"dwd.orders", "dwd.order_items", "dwd.payments", "dws.daily_sales", "dws.user_profile", "ods.events",
		"ods.clicks", "ads.report",
	} {
		s := SubTask{
			Database: table[:3],
			Table:    table[4:],
			Status:   "success",
			Start:    Seconds(r.start.Add(time.Duration(i) * time.Minute)),
			Detail:   "[]",
		}
		s.Size = int(float64(40*(i+1)) * growth * r.scale)
		switch {
		case !ended:
			s.Status = "RUNNING"
		case r.broken && i == 2, r.status == "FAILED" && i > 4:
			s.Status, s.Size = "failed", 0
		}
		if ended {
			s.Finish = Seconds(r.start.Add(time.Duration(i)*time.Minute + r.took/3))
		}
		t.SubTasks = append(t.SubTasks, s)
	}
	return t
}
