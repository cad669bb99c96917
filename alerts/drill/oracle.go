package main

import (
	"slices"
	"time"
)

// kind is an alert of one severity.
type kind struct{ alert, severity string }

// page is an alert of something: an instance, a region or an exporter.
type page struct {
	kind
	subject string
}

// verdict is what an alert should see.
type verdict int

const (
	no     verdict = iota
	either         // nobody can know yet, and both are right
	yes
)

// waits is how long each kind must hold before it pages.
var waits = map[kind]time.Duration{
	{"StarRocksBackupOverdue", "critical"}:             0,
	{"StarRocksBackupMissing", "critical"}:             hour,
	{"StarRocksBackupFailed", "warning"}:               0,
	{"StarRocksBackupFailingRepeatedly", "critical"}:   0,
	{"StarRocksBackupStuck", "warning"}:                0,
	{"StarRocksBackupExpiring", "critical"}:            0,
	{"StarRocksBackupRetentionTooShort", "warning"}:    0,
	{"StarRocksBackupShrunk", "warning"}:               0,
	{"StarRocksBackupTableFailed", "warning"}:          0,
	{"StarRocksBackupStatusUnknown", "warning"}:        0,
	{"StarRocksBackupInstanceUnreadable", "warning"}:   30 * minute,
	{"StarRocksBackupInstanceUnreadable", "critical"}:  6 * hour,
	{"StarRocksBackupCredentialsRejected", "critical"}: 10 * minute,
	{"StarRocksBackupAPIThrottled", "warning"}:         30 * minute,
	{"StarRocksBackupConfigReloadFailed", "warning"}:   5 * minute,
	{"StarRocksBackupExporterDown", "critical"}:        10 * minute,
	{"StarRocksBackupWatchdog", "none"}:                0,
}

var (
	rejectedKind  = kind{"StarRocksBackupCredentialsRejected", "critical"}
	throttledKind = kind{"StarRocksBackupAPIThrottled", "warning"}
)

const (
	hold         = 26 * hour
	removedAfter = hour // an instance's alerts must have ended by then
)

// oracle says what should page, from the world alone: it knows neither the collector nor the rules.
type oracle struct {
	world *world
	// What the newest read of an instance said, and when that was.
	said map[string]map[kind]verdict
	read map[string]time.Time
	// What the newest attempt to read it said of the attempts themselves.
	failed  map[string]map[kind]statement
	regions map[string]statement // whether reads are throttled there
	removed map[string]time.Time // since when no exporter has it, and one knows that it is removed
	seen    map[string]bool      // instances that an exporter ever listed
	targets map[*exporter]target
}

// statement is what was said of something at last, and since when without a break.
type statement struct {
	holds     bool
	since, at time.Time
}

// target is what Prometheus saw of an exporter at last.
type target struct {
	name    string    // the label `instance`
	refused statement // its configuration
}

func newOracle(w *world) *oracle {
	return &oracle{
		world: w, said: map[string]map[kind]verdict{}, read: map[string]time.Time{},
		failed: map[string]map[kind]statement{}, regions: map[string]statement{}, removed: map[string]time.Time{}, seen: map[string]bool{},
		targets: map[*exporter]target{},
	}
}

func instanceKind(alert, severity string) kind { return kind{"StarRocksBackup" + alert, severity} }

// judge returns what should hold now of everything that an alert could be about. What it does not name must not page.
func (o *oracle) judge() map[page]verdict {
	v := map[page]verdict{{kind{"StarRocksBackupWatchdog", "none"}, ""}: yes}
	for _, g := range o.world.groups {
		for _, i := range g.instances {
			o.look(g, i)
			o.judgeInstance(i, v)
		}
		for _, e := range g.exporters {
			o.judgeExporter(g, e, v)
		}
	}
	for _, region := range regions {
		v[page{throttledKind, region}] = o.judgeRegion(region)
	}
	return v
}

// look takes in what the exporters could see of an instance at this scrape.
func (o *oracle) look(g *group, i *instance) {
	w := o.world
	attempts, good, rejected, throttled := 0, false, false, false
	lists, knowsRemoved := false, false
	for _, e := range g.exporters {
		if e.process == nil {
			lists = lists || e.listed[i.id] // it may come back with it
			continue
		}
		e.listed = e.process.listed
		has := e.listed[i.id]
		lists = lists || has
		knowsRemoved = knowsRemoved || !has && !w.now.Before(i.watched.to)
		if !e.scraped || !has {
			continue
		}
		attempts++
		switch faultOf(w.faults, w.now, i, e.index) {
		case "":
			good = true
		case "denied":
			rejected = true
		case "throttled":
			throttled = true
		}
	}
	if lists {
		delete(o.removed, i.id)
	} else if _, known := o.removed[i.id]; !known && knowsRemoved {
		o.removed[i.id] = w.now
	}
	if attempts == 0 {
		return
	}
	o.seen[i.id] = true
	if o.failed[i.id] == nil {
		o.failed[i.id] = map[kind]statement{}
	}
	say := func(k kind, holds bool) { o.failed[i.id][k] = o.failed[i.id][k].next(holds, w.now, waits[k]) }
	say(instanceKind("InstanceUnreadable", "warning"), !good)
	say(instanceKind("InstanceUnreadable", "critical"), !good)
	if rejected || good { // another failure says nothing of it
		say(rejectedKind, rejected)
	}
	if throttled || good {
		say(throttledKind, throttled)
	}
	if good {
		o.read[i.id] = w.now
		o.said[i.id] = i.said(w.now)
	}
}

func (o *oracle) judgeInstance(i *instance, v map[page]verdict) {
	for k, said := range o.said[i.id] {
		one := o.gate(i, statement{holds: said != no, at: o.read[i.id]}.now(o.world.now, o.world.step))
		if one == yes {
			one = said
		}
		v[page{k, i.id}] = one
	}
	for k, s := range o.failed[i.id] {
		switch k {
		case throttledKind: // see judgeRegion
		case rejectedKind:
			v[page{k, i.id}] = o.gate(i, s.raised(o.world.now, waits[k], o.world.step))
		default:
			v[page{k, i.id}] = o.gate(i, s.now(o.world.now, o.world.step))
		}
	}
}

// gate is what a verdict on an instance is worth when it may have been removed.
func (o *oracle) gate(i *instance, v verdict) verdict {
	since, removed := o.removed[i.id]
	switch {
	case !o.seen[i.id] || removed && o.world.now.Sub(since) > removedAfter:
		return no
	case !o.world.now.Before(i.watched.to): // not everybody knows yet
		return either
	}
	return v
}

// judgeRegion says whether reads are throttled in a region: of any instance in it.
func (o *oracle) judgeRegion(region string) verdict {
	now, step := o.world.now, o.world.step
	s, held := o.regions[region], no
	for _, i := range o.world.instances {
		one, known := o.failed[i.id][throttledKind]
		if i.region != region || !known {
			continue
		}
		worth := o.gate(i, one.now(now, step))
		held = max(held, worth)
		if worth != no && now.Sub(one.at) <= fresh {
			s = s.next(true, now, waits[throttledKind])
		}
	}
	s.holds = s.holds && held != no
	o.regions[region] = s
	return min(held, s.raised(now, waits[throttledKind], step))
}

// fresh is how long a rejection counts as going on after it was seen: what is older may keep an alert but not raise it.
const fresh = 5 * minute

// next is the statement after it is made anew. A break begins it again, unless it may have raised its alert before.
func (s statement) next(holds bool, now time.Time, wait time.Duration) statement {
	broken := now.Sub(s.at) > fresh && s.at.Sub(s.since)+fresh < wait
	if !s.holds || !holds || broken {
		s.since = now
	}
	return statement{holds, s.since, now}
}

// raised is what a statement is worth that must be repeated for as long as its alert waits.
func (s statement) raised(now time.Time, wait, step time.Duration) verdict {
	held := s.now(now, step)
	switch lasted := s.at.Sub(s.since); {
	case held != yes || now.Sub(s.at) <= fresh-step/2 || lasted >= wait+2*step:
		return held
	case now.Sub(s.at) <= fresh+step/2 || lasted >= wait-2*step:
		return either
	}
	return no
}

// now is what a statement is worth later, while nothing newer is known.
func (s statement) now(t time.Time, step time.Duration) verdict {
	switch age := t.Sub(s.at); {
	case !s.holds || age > hold+step:
		return no
	case age > hold-step:
		return either
	}
	return yes
}

func (o *oracle) judgeExporter(g *group, e *exporter, v map[page]verdict) {
	t := o.targets[e]
	if e.scraped {
		t = target{e.target, statement{holds: e.process.refused, at: o.world.now}}
		o.targets[e] = t
	}
	if t.name == "" {
		return
	}
	down, refused := page{kind{"StarRocksBackupExporterDown", "critical"}, t.name}, page{kind{
		"StarRocksBackupConfigReloadFailed",
		"warning",
	}, t.name}
	v[down], v[refused] = verdictOf(!e.scraped), t.refused.now(o.world.now, o.world.step)
	if e.target != t.name { // it is no target any more, and what took over was not seen yet
		v[down], v[refused] = statement{holds: o.orphans(g), at: t.refused.at}.now(o.world.now, o.world.step), no
	}
}

// orphans reports whether an instance of the group is watched by nobody.
func (o *oracle) orphans(g *group) bool {
	return slices.ContainsFunc(g.instances, func(i *instance) bool {
		return o.seen[i.id] && i.watched.has(o.world.now)
	})
}

func verdictOf(holds bool) verdict {
	if holds {
		return yes
	}
	return no
}

// said is what the exporters may say of an instance at t, each by its own clock.
func (i *instance) said(t time.Time) map[kind]verdict {
	v := map[kind]verdict{}
	late := i.wrong(t, t.Add(maxSkew))
	for k, holds := range i.wrong(t, t.Add(-maxSkew)) {
		switch {
		case holds != late[k]:
			v[k] = either
		case holds:
			v[k] = yes
		default:
			v[k] = no
		}
	}
	return v
}

// wrong says which conditions hold of an instance, by the contract's words, of what the API lists at t, by a clock.
func (i *instance) wrong(t, clock time.Time) map[kind]bool {
	list := i.visible(t)
	state := func(k *task) string {
		switch {
		case t.Before(k.pendingUntil):
			return "pending"
		case t.Before(k.finish):
			return "running"
		case t.Before(k.oddUntil):
			return "unknown"
		case k.word == "COMPLETED":
			return "good"
		default:
			return k.word
		}
	}
	var good []*task
	failures, restorable, first := 0, 0, len(list) > 0
	someRuns := false
	var lastExpiry time.Time
	for _, k := range list {
		switch s := state(k); {
		case s == "good":
			good = append(good, k)
			if clock.Before(k.expire) {
				restorable++
				if k.expire.After(lastExpiry) {
					lastExpiry = k.expire
				}
			}
			first = false
		case s == "running":
			someRuns = true
		case s == "FAILED" && len(good) == 0:
			failures++
			first = false
		case s != "pending":
			first = false
		}
	}
	firstRuns := first && someRuns
	overdue := len(good) > 0 && clock.After(i.due(good[0]))
	w := map[kind]bool{
		instanceKind("Overdue", "critical"):           overdue,
		instanceKind("Missing", "critical"):           restorable == 0 && !firstRuns,
		instanceKind("Failed", "warning"):             failures > 0,
		instanceKind("FailingRepeatedly", "critical"): failures >= 3,
		instanceKind("Expiring", "critical"):          restorable > 0 && lastExpiry.Sub(clock) <= day && (overdue || failures > 0),
		instanceKind("StatusUnknown", "warning"):      len(list) > 0 && state(list[0]) == "unknown",
		instanceKind("Stuck", "warning"):              stuck(list, clock, state),
		instanceKind("RetentionTooShort", "warning"):  len(good) > 0 && good[0].expire.Before(i.due(good[0])),
		instanceKind("TableFailed", "warning"):        len(good) > 0 && good[0].torn,
		instanceKind("Shrunk", "warning"):             shrunk(good),
	}
	return w
}

// due is when a newer good backup must have finished.
func (i *instance) due(newest *task) (at time.Time) {
	if i.plan.maxAge > 0 {
		at = newest.finish.Add(i.plan.maxAge)
	}
	if i.plan.zone != nil {
		if bySlot := i.plan.slot(newest.start.Add(10 * minute)).Add(i.plan.grace); at.IsZero() || bySlot.Before(at) {
			at = bySlot
		}
	}
	return at
}

func stuck(list []*task, clock time.Time, state func(*task) string) bool {
	var longest time.Duration
	for _, k := range list {
		if state(k) == "good" {
			longest = max(longest, k.finish.Sub(k.start))
		}
	}
	for _, k := range list {
		if ran := clock.Sub(k.start); state(k) == "running" && ran > 4*hour && ran > 3*longest {
			return true
		}
	}
	return false
}

// shrunk compares the newest of the good tasks with those before it.
func shrunk(good []*task) bool {
	if len(good) < 2 {
		return false
	}
	holds := func(k *task) (gib int) { // what is listed, a table whose backup failed too
		for _, size := range k.contents() {
			gib += size
		}
		return gib
	}
	largest := 0
	for _, k := range good[1:min(8, len(good))] {
		largest = max(largest, holds(k))
	}
	return largest >= 10 && 2*holds(good[0]) < largest || good[0].withoutDB && !good[1].withoutDB
}
