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

// verdict is whether an alert should hold.
type verdict int

const (
	no     verdict = iota
	either         // not decidable yet: firing and not firing are both right
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

// oracle decides what should page from the simulated world alone. It uses neither the collector nor the rules.
type oracle struct {
	world *world
	// The verdicts that the newest read of an instance gave, and the time of that read.
	verdicts map[string]map[kind]verdict
	read     map[string]time.Time
	// The outcome of the newest attempts to read an instance.
	failed  map[string]map[kind]statement
	regions map[string]statement // whether reads are throttled there
	removed map[string]time.Time // since when no exporter lists it and at least one knows of the removal
	seen    map[string]bool      // instances that an exporter ever listed
	targets map[*exporter]target
}

// statement is the newest observation of a condition, and since when it has been the same without a break.
type statement struct {
	holds     bool
	since, at time.Time
}

// target is what Prometheus last saw of an exporter.
type target struct {
	name    string    // the label `instance`
	refused statement // its configuration
}

func newOracle(w *world) *oracle {
	return &oracle{
		world: w, verdicts: map[string]map[kind]verdict{}, read: map[string]time.Time{},
		failed: map[string]map[kind]statement{}, regions: map[string]statement{}, removed: map[string]time.Time{}, seen: map[string]bool{},
		targets: map[*exporter]target{},
	}
}

func instanceKind(alert, severity string) kind { return kind{"StarRocksBackup" + alert, severity} }

// judge returns the current verdict for every possible page. A page that is not in the result must not fire.
func (o *oracle) judge() map[page]verdict {
	v := map[page]verdict{{kind{"StarRocksBackupWatchdog", "none"}, ""}: yes}
	for _, g := range o.world.groups {
		for _, i := range g.instances {
			o.observe(g, i)
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

// observe records what the exporters can see of an instance in this scrape.
func (o *oracle) observe(g *group, i *instance) {
	w := o.world
	attempts, good, rejected, throttled := 0, false, false, false
	lists, knowsRemoved := false, false
	for _, e := range g.exporters {
		if e.process == nil {
			lists = lists || e.listed[i.id] // the exporter may come back and still list it
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
	record := func(k kind, holds bool) { o.failed[i.id][k] = o.failed[i.id][k].next(holds, w.now, waits[k]) }
	record(instanceKind("InstanceUnreadable", "warning"), !good)
	record(instanceKind("InstanceUnreadable", "critical"), !good)
	if rejected || good { // a read that fails for another reason says nothing about the credentials
		record(rejectedKind, rejected)
	}
	if throttled || good {
		record(throttledKind, throttled)
	}
	if good {
		o.read[i.id] = w.now
		o.verdicts[i.id] = i.verdicts(w.now)
	}
}

func (o *oracle) judgeInstance(i *instance, v map[page]verdict) {
	for k, atRead := range o.verdicts[i.id] {
		current := o.gate(i, statement{holds: atRead != no, at: o.read[i.id]}.now(o.world.now, o.world.step))
		if current == yes {
			current = atRead
		}
		v[page{k, i.id}] = current
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

// gate adjusts a verdict on an instance that may have been removed.
func (o *oracle) gate(i *instance, v verdict) verdict {
	since, removed := o.removed[i.id]
	switch {
	case !o.seen[i.id] || removed && o.world.now.Sub(since) > removedAfter:
		return no
	case !o.world.now.Before(i.watched.to): // some exporters may not know yet
		return either
	}
	return v
}

// judgeRegion returns whether reads of any instance in a region are throttled.
func (o *oracle) judgeRegion(region string) verdict {
	now, step := o.world.now, o.world.step
	s, held := o.regions[region], no
	for _, i := range o.world.instances {
		read, known := o.failed[i.id][throttledKind]
		if i.region != region || !known {
			continue
		}
		current := o.gate(i, read.now(now, step))
		held = max(held, current)
		if current != no && now.Sub(read.at) <= fresh {
			s = s.next(true, now, waits[throttledKind])
		}
	}
	s.holds = s.holds && held != no
	o.regions[region] = s
	return min(held, s.raised(now, waits[throttledKind], step))
}

// fresh is how long a rejection counts as current. An older one may keep an alert firing but not raise it.
const fresh = 5 * minute

// next returns the statement after a new observation. A break restarts it, unless its alert may already fire.
func (s statement) next(holds bool, now time.Time, wait time.Duration) statement {
	broken := now.Sub(s.at) > fresh && s.at.Sub(s.since)+fresh < wait
	if !s.holds || !holds || broken {
		s.since = now
	}
	return statement{holds, s.since, now}
}

// raised returns the verdict on a statement that must be observed repeatedly while its alert waits.
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

// now returns the verdict on a statement at a later time, while nothing newer is known.
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
	if e.target != t.name { // no longer a target, and its successor has not been scraped yet
		v[down], v[refused] = statement{holds: o.orphans(g), at: t.refused.at}.now(o.world.now, o.world.step), no
	}
}

// orphans reports whether no exporter watches some instance of the group.
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
func (i *instance) verdicts(t time.Time) map[kind]verdict {
	v := map[kind]verdict{}
	ahead := i.conditions(t, t.Add(maxSkew))
	for k, holds := range i.conditions(t, t.Add(-maxSkew)) {
		switch {
		case holds != ahead[k]:
			v[k] = either
		case holds:
			v[k] = yes
		default:
			v[k] = no
		}
	}
	return v
}

// conditions applies the contract to the tasks that the API lists at t, by an exporter's clock. It returns the conditions that hold.
func (i *instance) conditions(t, clock time.Time) map[kind]bool {
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
	holds := func(k *task) (gib int) { // includes listed tables whose backup failed
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
