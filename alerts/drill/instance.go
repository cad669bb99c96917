package main

import (
	"fmt"
	"math"
	"slices"
	"time"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient/simulator"
)

// instance is an instance of the fleet, with the plan by which it is backed up and what goes wrong.
type instance struct {
	id, region, cluster string
	plan                plan
	discovered          bool // else configured by id
	created             time.Time
	subscriptionEnds    time.Time // zero if it is not on subscription
	renewed             time.Time // when the subscription is extended by a year; zero if it is not
	retention           time.Duration
	watched             span // while it is in the configuration, or exists
	incidents           []incident
	noPolicy            []span      // it has no backup policy
	restored            []time.Time // restores that completed, by time
	tasks               []*task     // by start
}

// subject is how pages name it.
func (i *instance) subject() string { return subject(i.cluster, i.id) }

// subscription returns when the subscription ends, as the API says it at a time; zero if never.
func (i *instance) subscription(t time.Time) time.Time {
	if !i.renewed.IsZero() && !t.Before(i.renewed) {
		return i.subscriptionEnds.AddDate(1, 0, 0)
	}
	return i.subscriptionEnds
}

// restoreMaxAge is when a newer restore must have completed.
const restoreMaxAge = 30 * day

// plan is when an instance is backed up, and what the configuration says about it.
type plan struct {
	name           string
	period, offset time.Duration // without a zone: once per period, from the offset on
	zone           *time.Location
	weekdays       bool
	hour, minute   int // in the zone
	maxAge, grace  time.Duration
	config         string // the instance's lines in the configuration
}

type incident struct {
	span
	incidentKind
}

// incidentKind is what can go wrong with backups.
type incidentKind struct {
	name string
	// strike changes a run. It reports whether the run takes place at all. Again means that the incident struck before.
	strike func(c chances, i *instance, t *task, again bool) bool
}

// incidentKinds has frequent kinds more than once.
func incidentKinds() []incidentKind {
	none := func(chances, *instance, *task, bool) bool { return false }
	fails := func(c chances, _ *instance, t *task, _ bool) bool { return t.fail(c, "FAILED") }
	return []incidentKind{
		noRun,
		{"purged", none},
		{"fails", fails},
		{"fails", fails},
		{"failed once", func(c chances, _ *instance, t *task, again bool) bool { return again || t.fail(c, "FAILED") }},
		{"canceled", func(c chances, _ *instance, t *task, _ bool) bool { return t.fail(c, "CANCELLED") }},
		{"stuck", func(c chances, i *instance, t *task, again bool) bool {
			if !again {
				t.finish = t.start.Add(c.between(5*hour, 40*hour))
				t.expire = t.finish.Add(i.retention)
				if c.chance(0.5) {
					t.word, t.expire = "FAILED", time.Time{}
				}
			}
			return true
		}},
		{"short retention", func(_ chances, i *instance, t *task, _ bool) bool {
			t.expire = t.finish.Add(i.plan.period * 7 / 10)
			return true
		}},
		{"shrunk", func(_ chances, _ *instance, t *task, _ bool) bool {
			for n := range t.sizes {
				t.sizes[n] = t.sizes[n] * 3 / 10
			}
			return true
		}},
		{"database lost", func(_ chances, _ *instance, t *task, _ bool) bool { t.withoutDB = true; return true }},
		{"table failed", func(c chances, _ *instance, t *task, _ bool) bool {
			t.torn = []string{"FAILED", "CANCELLED"}[c.random.IntN(2)]
			return true
		}},
		{"unknown status", func(c chances, _ *instance, t *task, again bool) bool {
			if !again {
				t.oddUntil = t.finish.Add(c.between(30*minute, 10*hour))
			}
			return true
		}},
		{"absurd", func(c chances, _ *instance, t *task, again bool) bool {
			if !again {
				t.absurd = []func(*simulator.Task){
					func(s *simulator.Task) {
						s.Finish, s.Expire = simulator.Millis(t.finish.Add(300*day)), simulator.Millis(t.expire.Add(300*day))
					},
					func(s *simulator.Task) { s.Finish = simulator.Millis(t.start.Add(-hour)) },
					func(s *simulator.Task) { s.Finish = "soon" },
				}[c.random.IntN(3)]
			}
			return true
		}},
	}
}

var noRun = incidentKind{"no run", func(chances, *instance, *task, bool) bool { return false }}

type task struct {
	id              string
	start, finish   time.Time
	pendingUntil    time.Time
	oddUntil        time.Time // ended, but listed with an unknown status until then
	word            string    // status once ended
	expire, deleted time.Time
	sizes           []int                 // GiB, by table
	withoutDB       bool                  // it lacks the last database
	torn            string                // status of its first table; empty if that is fine, too
	absurd          func(*simulator.Task) // once ended, it is listed with values that cannot be true; nil if not
}

// fail ends a run without a backup. It is always true: the run takes place.
func (t *task) fail(c chances, word string) bool {
	t.word, t.expire = word, time.Time{}
	t.finish = t.start.Add(c.between(minute, 30*minute))
	return true
}

var tables = []struct{ database, name string }{{"dwd", "orders"}, {"dwd", "payments"}, {"ads", "report"}}

func mustZone(name string) *time.Location {
	z, err := time.LoadLocation(name)
	if err != nil {
		panic(err)
	}
	return z
}

func plans() []plan {
	berlin, newYork := mustZone("Europe/Berlin"), mustZone("America/New_York")
	return []plan{
		{name: "daily", period: day, offset: 3 * hour, maxAge: 26 * hour},
		{name: "twice a day", period: 12 * hour, offset: 5 * hour, maxAge: 14 * hour, config: "max_age: 14h"},
		{name: "weekly", period: 7 * day, offset: 2 * day, maxAge: 8 * day, config: "max_age: 8d"},
		{
			name: "weekdays", period: day, zone: berlin, weekdays: true, hour: 2, minute: 30, grace: 2 * hour,
			config: "schedule: 30 2 * * 1-5, time_zone: Europe/Berlin",
		},
		{
			name: "daily by cron", period: day, zone: newYork, hour: 1, minute: 30, grace: 3 * hour,
			config: "schedule: 30 1 * * *, time_zone: America/New_York, grace: 3h",
		},
		{
			name: "daily by both", period: day, zone: newYork, hour: 2, minute: 30, grace: 3 * hour, maxAge: 27 * hour,
			config: "schedule: 30 2 * * *, time_zone: America/New_York, grace: 3h, max_age: 27h",
		},
	}
}

// slot returns the first moment after t when a backup is due to start.
func (p plan) slot(t time.Time) time.Time {
	if p.zone == nil {
		origin := time.Unix(0, 0).Add(p.offset)
		return origin.Add((t.Sub(origin)/p.period + 1) * p.period)
	}
	local := t.In(p.zone)
	for d := -1; ; d++ {
		at := wallClock(local.Year(), local.Month(), local.Day()+d, p.hour, p.minute, p.zone)
		weekend := at.Weekday() == time.Saturday || at.Weekday() == time.Sunday
		if at.After(t) && (!p.weekdays || !weekend) {
			return at
		}
	}
}

// wallClock returns when a local clock first shows a time, or jumps over it.
func wallClock(year int, month time.Month, dayOfMonth, h, m int, zone *time.Location) time.Time {
	at := time.Date(year, month, dayOfMonth, h, m, 0, 0, zone)
	if at.Hour() != h || at.Minute() != m {
		jump := time.Date(year, month, dayOfMonth, 0, 0, 0, 0, zone)
		for jump.Hour() < h || jump.Hour() == h && jump.Minute() < m {
			jump = jump.Add(minute)
		}
		return jump
	}
	if before := at.Add(-hour); before.Hour() == h && before.Minute() == m {
		return before
	}
	return at
}

// lifetime makes some instances appear and disappear during the drill. Some of the new ones have no backup at first.
func (c chances) lifetime(i *instance) {
	length := c.end.Sub(c.start)
	if c.chance(0.25) {
		i.watched.from = c.start.Add(c.between(0, length/2))
		i.created = i.watched.from
		if c.chance(0.5) {
			i.incidents = append(i.incidents, incident{span{i.watched.from, i.watched.from.Add(c.between(hour, 2*day))}, noRun})
		}
	}
	if c.chance(0.25) {
		i.watched.to = c.start.Add(c.between(length/2, length))
	}
	if i.discovered && c.chance(0.7) {
		i.subscriptionEnds = c.start.Add(c.between(length/4, length))
		if c.chance(0.5) {
			i.renewed = i.subscriptionEnds.Add(-c.between(-12*hour, 36*hour))
		} else if released := i.subscriptionEnds.Add(7 * day); released.Before(i.watched.to) {
			i.watched.to = released
		}
	}
}

func (c chances) incidentsOf(i *instance, rate float64) {
	kinds := incidentKinds()
	often := time.Duration(float64(8*day+2*i.plan.period) / rate)
	for _, s := range c.spans(often, i.plan.period, 4*day+2*i.plan.period) {
		i.incidents = append(i.incidents, incident{s, kinds[c.random.IntN(len(kinds))]})
	}
}

func (i *instance) incidentAt(t time.Time) *incident {
	for n := range i.incidents {
		if i.incidents[n].has(t) {
			return &i.incidents[n]
		}
	}
	return nil
}

// backUp runs the schedule from the first to the last day.
func (c chances) backUp(i *instance) {
	keep := []time.Duration{3 * i.plan.period, 4 * i.plan.period, 8 * i.plan.period}
	i.retention = keep[c.random.IntN(len(keep))] + 12*hour
	at := c.start.Add(-min(history, 12*i.plan.period))
	if i.watched.from.After(c.start) {
		at = i.watched.from.Add(-minute)
	}
	var busyUntil time.Time
	var spent *incident // the last incident that struck
	for at = i.plan.slot(at); at.Before(c.end); at = i.plan.slot(at) {
		if c.chance(0.02) {
			i.retention = keep[c.random.IntN(len(keep))] + 12*hour
		}
		if at.Before(busyUntil) {
			continue
		}
		t := c.run(i, at)
		struck := i.incidentAt(at)
		if struck != nil {
			again := struck == spent
			spent = struck
			if !struck.strike(c, i, t, again) {
				continue
			}
		}
		if struck == nil && c.chance(0.01) && len(i.tasks) > 0 {
			t.word = "CANCELLED" // and repeated by hand
			i.tasks = append(i.tasks, t)
			canceled := t.start
			t = c.run(i, at)
			later := max(10*minute, canceled.Add(10*minute).Sub(t.start)) // the API lists no task that has not started
			t.start, t.finish = t.start.Add(later), t.finish.Add(later)
		}
		i.tasks = append(i.tasks, t)
		busyUntil = t.finish
	}
	for _, in := range i.incidents {
		if in.name == "purged" {
			for _, t := range i.tasks {
				if t.start.Before(in.from) && t.deleted.IsZero() {
					t.deleted = in.from
				}
			}
		}
	}
}

// run returns a backup that succeeds, sometimes late.
func (c chances) run(i *instance, slot time.Time) *task {
	t := &task{id: fmt.Sprintf("bt-%s-%d-%d", i.id, len(i.tasks), slot.Unix()), word: "COMPLETED"}
	t.start = slot.Add(c.between(-4*minute, 6*minute))
	if c.chance(0.05) {
		t.start = slot.Add(c.between(0, 40*minute))
	}
	if c.chance(0.3) {
		t.pendingUntil = t.start.Add(c.between(minute, 6*minute))
	}
	t.finish = t.start.Add(c.between(25*minute, 55*minute))
	t.expire = t.finish.Add(i.retention)
	growth := 1 + 0.25*math.Sin(2*math.Pi*float64(slot.Unix())/(120*day).Seconds())
	for n := range tables {
		t.sizes = append(t.sizes, int(float64(30*(n+1))*growth))
	}
	return t
}

// deletePolicies deletes the policies of some instances on a Friday evening, so that no backup starts until somebody notices. A few
// instances never have one: their backups are started by other means.
func (i *instance) deletePolicies(c chances, rate float64) {
	if c.chance(0.1) {
		i.noPolicy = []span{{c.start.Add(-history), c.end.Add(day)}}
		return
	}
	for _, s := range c.spans(time.Duration(float64(40*day)/rate), i.plan.period, 2*i.plan.period+3*day) {
		friday := (int(time.Friday) - int(s.from.Weekday()) + 7) % 7
		from := s.from.Truncate(day).AddDate(0, 0, friday).Add(17*hour + c.between(0, 2*hour))
		deleted := span{from, from.Add(s.to.Sub(s.from))}
		if n := len(i.noPolicy); n > 0 && from.Before(i.noPolicy[n-1].to) {
			continue
		}
		i.noPolicy = append(i.noPolicy, deleted)
		i.incidents = append(i.incidents, incident{deleted, noRun})
	}
}

// restores returns when restores of an instance ended, some of them later than the configuration allows. Some that are discovered are never
// restored: they are old enough to page.
func restores(c chances, discovered bool) (ended []time.Time) {
	if discovered && c.chance(0.1) {
		return nil
	}
	for at := c.start.Add(-c.between(0, restoreMaxAge)); at.Before(c.end); at = at.Add(restoreMaxAge + c.between(-10*day, 3*day)) {
		ended = append(ended, at)
	}
	return ended
}

// policies returns the policies that the API lists at t. They neither end tasks, nor delete backups before these expire.
func (i *instance) policies(t time.Time) []simulator.Policy {
	if during(i.noPolicy, t) {
		return []simulator.Policy{}
	}
	return []simulator.Policy{{PolicyID: "1", Hour: "2", Minute: "0", RecurrenceValues: []int{}, ExpireDays: 365}}
}

// lastRestored returns when the newest restore ended by t; zero if there was none.
func (i *instance) lastRestored(t time.Time) (last time.Time) {
	for _, at := range i.restored {
		if !at.After(t) {
			last = at
		}
	}
	return last
}

// visible returns the tasks that the API lists at t, newest first.
func (i *instance) visible(t time.Time) []*task {
	first := 0
	for n, v := range slices.Backward(i.tasks) {
		if !v.start.After(t) {
			first = n + 1
			break
		}
	}
	var all []*task
	for n := first - 1; n >= 0 && len(all) < listed; n-- {
		if k := i.tasks[n]; k.deleted.IsZero() || t.Before(k.deleted) {
			all = append(all, k)
		}
	}
	slices.SortStableFunc(all, func(a, b *task) int { return b.start.Compare(a.start) })
	return all
}

// api returns the tasks as the API lists them at t, and until when it does so.
func (i *instance) api(t time.Time) (all []simulator.Task, until time.Time) {
	until = t.Add(day)
	next := func(at time.Time) bool {
		if t.Before(at) && at.Before(until) {
			until = at
		}
		return t.Before(at)
	}
	for _, k := range i.tasks {
		next(k.start)
	}
	for _, k := range i.visible(t) {
		next(k.deleted)
		s := simulator.Task{
			BackupTaskID: k.id, Status: k.word, Size: 2000, BackupType: "FullBackup", Start: simulator.Millis(k.start),
			Snapshot: &simulator.Snapshot{InstanceName: "drill", Version: "3.3"},
		}
		switch {
		case next(k.pendingUntil):
			s.Status = "PENDING"
		case next(k.finish):
			s.Status = "RUNNING"
		case next(k.oddUntil):
			s.Status = "MERGING"
		default:
			s.Finish = simulator.Millis(k.finish)
			if !k.expire.IsZero() {
				s.Expire = simulator.Millis(k.expire)
			}
			if k.absurd != nil {
				k.absurd(&s)
			}
		}
		for n, gib := range k.contents() {
			status := "SUCCESS"
			if k.torn != "" && n == 0 {
				status = k.torn
			}
			s.SubTasks = append(s.SubTasks, simulator.SubTask{
				Database: tables[n].database, Table: tables[n].name, Status: status, Size: gib, Start: simulator.Seconds(k.start), Detail: "[]",
			})
		}
		all = append(all, s)
	}
	return all, until
}

// contents returns the sizes of its tables, in GiB.
func (t *task) contents() []int {
	if t.withoutDB {
		return t.sizes[:len(tables)-1]
	}
	return t.sizes
}
