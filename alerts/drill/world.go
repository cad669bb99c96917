package main

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

const (
	minute  = time.Minute
	hour    = time.Hour
	day     = 24 * time.Hour
	history = 90 * day // of healthy backups before the drill begins
	listed  = 12       // tasks that the API lists of an instance, the newest
	maxSkew = 90 * time.Second
)

// world is what is true: the instances, their backups, the API and the exporters, from start to end.
type world struct {
	start, end time.Time
	step       time.Duration // from scrape to scrape
	random     *rand.Rand

	instances []*instance
	groups    []*group
	faults    []fault

	now    time.Time
	reader int // the exporter that reads now; exporters of a pair may see different faults
}

// span is a time with a beginning and an end, which is not part of it.
type span struct{ from, to time.Time }

func (s span) has(t time.Time) bool { return !t.Before(s.from) && t.Before(s.to) }

// instance is an instance of the fleet, with the plan by which it is backed up and what goes wrong.
type instance struct {
	id, region string
	plan       plan
	retention  time.Duration
	watched    span // is in the configuration
	incidents  []incident
	tasks      []*task // by start
}

// plan is when an instance is backed up, and what its configuration says of it.
type plan struct {
	name           string
	period, offset time.Duration // without a zone: every period, from the offset on
	zone           *time.Location
	weekdays       bool
	hour, minute   int // in the zone
	maxAge, grace  time.Duration
	config         string // the instance's lines in the configuration
}

type incident struct {
	span
	kind string
}

type task struct {
	id              string
	start, finish   time.Time
	pendingUntil    time.Time // waits
	oddUntil        time.Time // has ended, but the API calls it by an unknown word
	word            string    // then
	expire, deleted time.Time
	sizes           []int // GiB, of its tables, see tables
	withoutDB, torn bool  // the last table's database is not in it; its first table failed
}

// fault is a time when the API fails, for one instance or for a region.
type fault struct {
	span
	region, id string
	kind       string  // unavailable, network, throttled, denied
	share      float64 // of the reads
}

var regions = []string{"cn-hangzhou", "cn-shanghai", "ap-southeast-1"}

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

// slot is the first moment after t when a backup is due to start.
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

// wallClock is when a clock on the wall shows a time: for the first time where it does so twice, and where it never does,
// the moment at which it jumps over it.
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

// size of the drill.
type size struct {
	instances int
	days      int
	step      time.Duration
	rate      float64 // of incidents, 1 for one in ten days and instance
}

func newWorld(seed uint64, s size) *world {
	w := &world{random: rand.New(rand.NewPCG(seed, 1)), step: s.step}
	w.start = time.Date(2026, time.January, 20, 0, 0, 0, 0, time.UTC).AddDate(0, int(seed%12), 0)
	w.end = w.start.AddDate(0, 0, s.days)
	w.now = w.start
	for n := range s.instances {
		i := &instance{
			id: fmt.Sprintf("c-%012x", seed<<16+uint64(n)), region: regions[n%len(regions)], plan: plans()[n%len(plans())],
			watched: span{w.start.Add(-history), w.end.Add(day)},
		}
		if n >= 3 { // one of each group stays
			w.lifetime(i)
		}
		w.incidentsOf(i, s.rate)
		w.backUp(i)
		w.instances = append(w.instances, i)
	}
	w.apiFaults(s.rate)
	w.exporters(s.rate)
	return w
}

func (w *world) between(low, high time.Duration) time.Duration {
	return low + time.Duration(w.random.Int64N(int64(high-low)+1))
}

func (w *world) chance(p float64) bool { return w.random.Float64() < p }

// spans are times of the given lengths at random, one in every so often.
func (w *world) spans(often, low, high time.Duration) (all []span) {
	for at := w.start; ; {
		at = at.Add(time.Duration(w.random.ExpFloat64()*float64(often)) + minute)
		if !at.Before(w.end) {
			return all
		}
		length := w.between(low, high)
		all = append(all, span{at, at.Add(length)})
		at = at.Add(length)
	}
}

// lifetime lets some instances be added and removed on the way; some of these are never backed up at first.
func (w *world) lifetime(i *instance) {
	length := w.end.Sub(w.start)
	if w.chance(0.25) {
		i.watched.from = w.start.Add(w.between(0, length/2))
		if w.chance(0.5) {
			i.incidents = append(i.incidents, incident{span{i.watched.from, i.watched.from.Add(w.between(hour, 2*day))}, "no run"})
		}
	}
	if w.chance(0.25) {
		i.watched.to = w.start.Add(w.between(length/2, length))
	}
}

func (w *world) incidentsOf(i *instance, rate float64) {
	kinds := []string{
		"no run", "failed once", "fails", "fails", "stuck", "purged", "short retention", "shrunk", "database lost", "table failed", "unknown status",
	}
	often := time.Duration(float64(8*day+2*i.plan.period) / rate)
	for _, s := range w.spans(often, i.plan.period, 4*day+2*i.plan.period) {
		i.incidents = append(i.incidents, incident{s, kinds[w.random.IntN(len(kinds))]})
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

// backUp plays the schedule from the first to the last day.
func (w *world) backUp(i *instance) {
	keep := []time.Duration{3 * i.plan.period, 4 * i.plan.period, 8 * i.plan.period}
	i.retention = keep[w.random.IntN(len(keep))] + 12*hour
	at := w.start.Add(-min(history, 12*i.plan.period))
	if i.watched.from.After(w.start) {
		at = i.watched.from.Add(-minute)
	}
	var busyUntil time.Time
	var spent *incident // of those that strike once
	for at = i.plan.slot(at); at.Before(w.end); at = i.plan.slot(at) {
		if w.chance(0.02) {
			i.retention = keep[w.random.IntN(len(keep))] + 12*hour
		}
		if at.Before(busyUntil) {
			continue
		}
		t := w.run(i, at)
		struck := i.incidentAt(at)
		if struck != nil {
			again := struck == spent
			spent = struck
			if !w.strike(i, t, struck.kind, again) {
				continue
			}
		}
		if struck == nil && w.chance(0.01) && len(i.tasks) > 0 {
			t.word = "CANCELLED" // and made up for by hand
			i.tasks = append(i.tasks, t)
			t = w.run(i, at)
			t.start, t.finish = t.start.Add(10*minute), t.finish.Add(10*minute)
		}
		i.tasks = append(i.tasks, t)
		busyUntil = t.finish
	}
	for _, in := range i.incidents {
		if in.kind == "purged" {
			for _, t := range i.tasks {
				if t.start.Before(in.from) && t.deleted.IsZero() {
					t.deleted = in.from
				}
			}
		}
	}
}

// run is a backup that goes well, if sometimes late.
func (w *world) run(i *instance, slot time.Time) *task {
	t := &task{id: fmt.Sprintf("bt-%s-%d-%d", i.id, len(i.tasks), slot.Unix()), word: "COMPLETED"}
	t.start = slot.Add(w.between(-4*minute, 6*minute))
	if w.chance(0.05) {
		t.start = slot.Add(w.between(0, 40*minute))
	}
	if w.chance(0.3) {
		t.pendingUntil = t.start.Add(w.between(minute, 6*minute))
	}
	t.finish = t.start.Add(w.between(25*minute, 55*minute))
	t.expire = t.finish.Add(i.retention)
	growth := 1 + 0.25*math.Sin(2*math.Pi*float64(slot.Unix())/(120*day).Seconds())
	for n := range tables {
		t.sizes = append(t.sizes, int(float64(30*(n+1))*growth))
	}
	return t
}

// strike lets an incident change a run. It reports whether there is one at all; again, that the incident struck before.
func (w *world) strike(i *instance, t *task, kind string, again bool) bool {
	fail := func() {
		t.word, t.expire = "FAILED", time.Time{}
		t.finish = t.start.Add(w.between(minute, 30*minute))
	}
	switch kind {
	case "no run", "purged":
		return false
	case "failed once":
		if !again {
			fail()
		}
	case "fails":
		fail()
	case "stuck":
		if !again {
			t.finish = t.start.Add(w.between(5*hour, 40*hour))
			t.expire = t.finish.Add(i.retention)
			if w.chance(0.5) {
				t.word, t.expire = "FAILED", time.Time{}
			}
		}
	case "short retention":
		t.expire = t.finish.Add(i.plan.period * 7 / 10)
	case "shrunk":
		for n := range t.sizes {
			t.sizes[n] = t.sizes[n] * 3 / 10
		}
	case "database lost":
		t.withoutDB = true
	case "table failed":
		t.torn = true
	case "unknown status":
		if !again {
			t.oddUntil = t.finish.Add(w.between(30*minute, 10*hour))
		}
	}
	return true
}

func (w *world) apiFaults(rate float64) {
	add := func(often, low, high time.Duration, kind string, share float64, scope func(*fault)) {
		for _, s := range w.spans(time.Duration(float64(often)/rate), low, high) {
			f := fault{span: s, kind: kind, share: share}
			scope(&f)
			w.faults = append(w.faults, f)
		}
	}
	region := func(f *fault) { f.region = regions[w.random.IntN(len(regions))] }
	one := func(f *fault) {
		i := w.instances[w.random.IntN(len(w.instances))]
		f.region, f.id = i.region, i.id
	}
	broken := []string{"unavailable", "network"}[w.random.IntN(2)]
	// Noise: short, or not of every read.
	add(4*day, minute, 20*minute, broken, 1, region)
	add(6*day, minute, 20*minute, "throttled", 0.7, region)
	add(3*day, hour, day, "unavailable", 0.2, one)
	add(6*day, minute, 4*minute, "denied", 1, one)
	// Incidents.
	add(20*day, 45*minute, 12*hour, broken, 1, region)
	add(60*day, 25*hour, 40*hour, broken, 1, region)
	add(15*day, 45*minute, 9*hour, "unavailable", 1, one)
	add(20*day, 45*minute, 5*hour, "throttled", 0.7, region)
	add(20*day, 45*minute, 5*hour, "throttled", 1, region)
	add(15*day, 20*minute, 2*day, "denied", 1, one)
}

// faultOf is how a read of an instance fails now, "" where it does not.
func (w *world) faultOf(i *instance, reader int) string {
	for n, f := range w.faults {
		if !f.has(w.now) || f.region != i.region || f.id != "" && f.id != i.id {
			continue
		}
		h := fnv.New64a()
		fmt.Fprint(h, i.id, w.now.Unix(), reader, n)
		if float64(h.Sum64()>>11)/(1<<53) < f.share {
			return f.kind
		}
	}
	return ""
}

// visible are the tasks that the API lists at t, the newest first.
func (i *instance) visible(t time.Time) []*task {
	first := 0
	for n := len(i.tasks) - 1; n >= 0; n-- {
		if !i.tasks[n].start.After(t) {
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
