package main

import (
	"maps"
	"slices"
	"time"
)

// verdict is whether an alert should hold.
type verdict int

const (
	no     verdict = iota
	either         // not decidable yet: firing and not firing are both right
	yes
)

// waits is how long each kind must hold before it pages.
var waits = map[kind]time.Duration{
	{"StarRocksBackupOverdue", "critical"}:           0,
	{"StarRocksBackupFailed", "warning"}:             0,
	{"StarRocksBackupFailingRepeatedly", "critical"}: 0,
	{"StarRocksBackupExpiring", "critical"}:          0,
	{"StarRocksBackupShrunk", "warning"}:             0,
	{"StarRocksBackupTableFailed", "warning"}:        0,
	{"StarRocksBackupStatusUnknown", "warning"}:      0,
	{"StarRocksBackupImplausible", "warning"}:        0,
	missingKind:            hour,
	stuckKind:              0,
	retentionKind:          0,
	subscriptionKind:       0,
	noPolicyKind:           0,
	untestedKind:           0,
	unreadableKind:         30 * minute,
	unreadableForHoursKind: 6 * hour,
	regionUnreadableKind:   regionUnreadableWait,
	rejectedKind:           15 * minute,
	regionRejectedKind:     regionRejectedWait,
	throttledKind:          30 * minute,
	identityKind:           0,
	unlistedKind:           10 * minute,
	neverListedKind:        10 * minute,
	refusedKind:            5 * minute,
	downKind:               10 * minute,
	watchdogKind:           0,
}

var (
	missingKind            = kind{"StarRocksBackupMissing", "critical"}
	stuckKind              = kind{"StarRocksBackupStuck", "warning"}
	retentionKind          = kind{"StarRocksBackupRetentionTooShort", "warning"}
	subscriptionKind       = kind{"StarRocksBackupSubscriptionEnding", "critical"}
	noPolicyKind           = kind{"StarRocksBackupNoPolicy", "warning"}
	untestedKind           = kind{"StarRocksBackupRestoreUntested", "warning"}
	unreadableKind         = kind{"StarRocksBackupInstanceUnreadable", "warning"}
	unreadableForHoursKind = kind{"StarRocksBackupInstanceUnreadable", "critical"}
	regionUnreadableKind   = kind{"StarRocksBackupRegionUnreadable", "critical"}
	rejectedKind           = kind{"StarRocksBackupCredentialsRejected", "critical"}
	regionRejectedKind     = kind{"StarRocksBackupRegionRejected", "critical"}
	throttledKind          = kind{"StarRocksBackupAPIThrottled", "warning"}
	identityKind           = kind{"StarRocksBackupCredentialsChanged", "warning"}
	unlistedKind           = kind{"StarRocksBackupDiscoveryFailed", "warning"}
	neverListedKind        = kind{"StarRocksBackupDiscoveryFailed", "critical"}
	refusedKind            = kind{"StarRocksBackupConfigReloadFailed", "warning"}
	downKind               = kind{"StarRocksBackupExporterDown", "critical"}
	watchdogKind           = kind{"StarRocksBackupWatchdog", "none"}
)

const (
	hold         = 26 * hour   // how long a missing exporter counts as one that may come back
	longStop     = 15 * minute // Prometheus may forget what it knew in a stop as long as this
	bridged      = 6 * minute  // the rules hold a removed instance for as long, if an exporter goes missing meanwhile
	shrinkDelay  = 20 * minute // an exporter keeps the last instances of a region until three lists lack them
	settlingTime = 15 * minute // after a stop: alerts wait anew, or as long as before
	slowHold     = 7 * hour    // what is read slowly may be unknown that long, and ...
	slowReread   = 2 * hour    // ... must be read again within this time, nine tenths of it without a failure
	noticed      = hour        // how long a change of identity pages, and how long a region may go unlisted

	regionUnreadableWait = 25 * minute
	regionRejectedWait   = 10 * minute
)

// oracle decides what should page from the simulated world alone. It uses neither the collector nor the rules.
type oracle struct {
	world *world
	// What is known of each instance: the verdicts of the newest read that says something.
	memory   map[string]map[kind]verdict
	unsaid   map[page]time.Time          // since when exporters that read an instance do not know of its policies or restores
	failed   map[string]time.Time        // by instance: when a read last failed
	before   map[string]map[kind]verdict // memory before the last read, where that may arrive late
	doubtful map[page]bool               // Prometheus may know nothing of it any more: it stopped for long, or the exporter was gone for long
	released map[string]time.Time        // since when nothing holds what is known of an instance
	removed  map[string]removal          // what was known of instances that nobody reports any more
	targets  map[*exporter]target
	back     map[*exporter]time.Time    // since when it answers
	outages  map[page]time.Time         // since when most instances of a region certainly share a trouble
	used     map[*group]map[string]*use // by provider of credentials
	silent   map[*group][]*exporter     // that did not answer at the last step
	// By region, of the fleet that discovers instances: when it was listed, and whether it never was since the exporter started.
	listed map[string]time.Time
	never  map[string]bool
}

// removal is what was known of an instance when it was removed.
type removal struct {
	at    time.Time
	known map[kind]verdict
}

// target is what Prometheus last saw of an exporter.
type target struct {
	name    string // the label `instance`; empty before the first scrape
	refused bool   // its configuration
	at      time.Time
}

func newOracle(w *world) *oracle {
	return &oracle{
		world: w, memory: map[string]map[kind]verdict{}, unsaid: map[page]time.Time{}, failed: map[string]time.Time{},
		before: map[string]map[kind]verdict{}, doubtful: map[page]bool{},
		released: map[string]time.Time{}, removed: map[string]removal{}, targets: map[*exporter]target{}, back: map[*exporter]time.Time{},
		outages: map[page]time.Time{}, silent: map[*group][]*exporter{},
		used: map[*group]map[string]*use{}, listed: map[string]time.Time{}, never: map[string]bool{},
	}
}

func instanceKind(alert, severity string) kind { return kind{"StarRocksBackup" + alert, severity} }

// resume notes that Prometheus was stopped. After a long stop, it may or may not know what it knew.
func (o *oracle) resume(stopped time.Duration) {
	for about := range o.outages { // the alert may wait anew
		o.outages[about] = o.world.now
	}
	if stopped < longStop {
		return
	}
	for _, i := range o.world.instances {
		for k, v := range o.memory[i.id] {
			o.memory[i.id][k] = min(v, either)
			o.doubtful[page{k, i.subject()}] = true
		}
	}
}

// judge returns the current verdict for every possible page. A page that is not in the result must not fire.
func (o *oracle) judge() map[page]verdict {
	v := map[page]verdict{{watchdogKind, ""}: yes}
	for _, g := range o.world.groups {
		for _, e := range g.exporters {
			if e.scraped {
				o.targets[e] = target{e.target, e.process.refused, o.world.now}
				o.back[e] = earliest(o.back[e], o.world.now)
			} else {
				delete(o.back, e)
			}
		}
		missing := o.missing(g)
		for _, i := range g.instances {
			o.observe(g, i, missing)
			o.judgeInstance(i, v)
		}
		for _, e := range g.exporters {
			o.judgeExporter(e, missing, v)
		}
		o.judgeGroup(g, v)
		o.judgeIdentity(g, v)
		o.judgeLists(g, v)
	}
	for _, cluster := range []string{"east", "west"} {
		for _, region := range regions {
			o.judgeRegion(cluster, region, v)
		}
	}
	return v
}

// missing returns whether an exporter of a group is missing that may come back and know more.
func (o *oracle) missing(g *group) (v verdict) {
	answering := 0
	for _, e := range g.exporters {
		if e.scraped {
			answering++
		}
	}
	for _, e := range g.exporters {
		if t := o.targets[e]; !e.scraped && t.name != "" && (answering == 0 || e.target == t.name) {
			v = max(v, since(o.world, t.at, hold))
		}
	}
	if least, most := g.size(); least < most || answering > 0 && answering < most {
		return yes
	}
	return v
}

// since returns whether less than a limit has passed since a time.
func since(w *world, t time.Time, limit time.Duration) verdict {
	slack := max(w.step, w.scrape)
	switch passed := w.now.Sub(t); {
	case passed > limit+slack:
		return no
	case passed > limit-slack:
		return either
	}
	return yes
}

// observe takes in what the exporters see of an instance in this scrape.
func (o *oracle) observe(g *group, i *instance, missing verdict) {
	w, outcomes := o.world, map[string]int{}
	reads, held, knows := 0, missing, facts{subscriptionEnds: subscriptionKnown(g, i), readsPolicies: g.readsSlowly()}
	for _, e := range g.exporters {
		switch {
		case !e.scraped:
		case e.process.lists(i.id):
			reads++
			outcome := w.faults.of(w.read, i, e.index)
			outcomes[outcome]++
			if outcome == "" {
				knows.add(e.process, i, w.read)
				knows.unlisted = knows.unlisted || e.process.unlisted[i.region]
			}
		case e.process.unlisted[i.region]:
			held = yes
		}
	}
	if reads > 0 {
		delete(o.released, i.id)
		delete(o.removed, i.id)
		o.take(i, outcomes, knows)
		return
	}
	if before := o.before[i.id]; before != nil { // an exporter that goes just after a late scrape may take along what that said
		for k, v := range o.memory[i.id] {
			if before[k] != v {
				o.memory[i.id][k] = either
			}
		}
		delete(o.before, i.id)
	}
	if held != no {
		delete(o.released, i.id)
		if r, was := o.removed[i.id]; was && w.now.Sub(r.at) <= bridged {
			o.memory[i.id] = r.known
		}
		delete(o.removed, i.id)
	} else if o.released[i.id].IsZero() {
		o.released[i.id] = w.now
	}
	forgotten := held == no && (!i.discovered || w.now.Sub(o.released[i.id]) > shrinkDelay)
	if known := o.memory[i.id]; forgotten && len(known) > 0 {
		o.removed[i.id] = removal{w.now, known}
		delete(o.memory, i.id)
	}
	for k, v := range o.memory[i.id] {
		if held != yes {
			o.memory[i.id][k] = min(v, either)
			o.doubtful[page{k, i.subject()}] = true
		}
	}
}

// facts is what exporters that read an instance know of it beside its backups.
type facts struct {
	subscriptionEnds time.Time
	unlisted         bool // an exporter has not listed the region yet
	readsPolicies    bool
	policies         []policyFact
	restores         []restoreFact
}

// add adds what an exporter knows. It forgets after some intervals without a read.
func (f *facts) add(p *process, i *instance, t time.Time) {
	if said, ever := p.policies[i.id]; ever && t.Sub(said.at) <= intervalsKnown*policyInterval {
		f.policies = append(f.policies, said)
	}
	if said, ever := p.restores[i.id]; ever && t.Sub(said.at) <= intervalsKnown*restoreInterval {
		f.restores = append(f.restores, said)
	}
}

// await weakens what exporters do not say before they have read an instance's policies, or listed its region: until then, no alert starts
// or ends because of it.
func (f *facts) await(said, known map[kind]verdict) {
	if f.readsPolicies && len(f.policies) == 0 {
		if said[stuckKind] == yes {
			said[stuckKind] = max(known[stuckKind], either)
		}
		if said[retentionKind] == no {
			said[retentionKind] = min(known[retentionKind], either)
		}
	}
	if f.unlisted && f.subscriptionEnds.IsZero() {
		said[subscriptionKind] = min(known[subscriptionKind], either)
	}
}

// subscriptionKnown returns the end of an instance's subscription as an exporter last heard it.
func subscriptionKnown(g *group, i *instance) time.Time {
	for _, e := range g.exporters {
		if e.scraped && !e.process.found[i.id].SubscriptionEnd.IsZero() {
			return e.process.found[i.id].SubscriptionEnd
		}
	}
	return time.Time{}
}

// take takes in the outcomes of an instance's reads. A read that fails for one reason says nothing about the others.
func (o *oracle) take(i *instance, outcomes map[string]int, knows facts) {
	if o.memory[i.id] == nil {
		o.memory[i.id] = map[kind]verdict{}
	}
	known, good := o.memory[i.id], outcomes[""]
	if o.world.late {
		o.before[i.id] = maps.Clone(known)
	}
	if good < sum(outcomes) {
		o.failed[i.id] = o.world.now
	}
	said := map[kind]verdict{unreadableKind: verdictOf(good == 0)} // one of a pair that can read it suffices
	said[unreadableForHoursKind] = said[unreadableKind]
	if rejected := outcomes["forbidden"] + outcomes["unauthorized"]; rejected+good > 0 {
		said[rejectedKind] = verdictOf(rejected > 0)
	}
	if throttled := outcomes["throttled"]; throttled+good > 0 {
		said[throttledKind] = verdictOf(throttled > 0)
	}
	if good > 0 {
		maps.Copy(said, i.verdicts(o.world.read, knows))
		knows.await(said, known)
		for _, k := range []kind{noPolicyKind, untestedKind} {
			if _, is := said[k]; is {
				delete(o.unsaid, page{k, i.subject()})
			} else if v, was := known[k]; was {
				about := page{k, i.subject()}
				o.unsaid[about] = earliest(o.unsaid[about], o.world.now)
				known[k] = fade(v, o.world.now.Sub(o.unsaid[about]), o.world.now.Sub(o.failed[i.id]), o.world.slack())
			}
		}
	}
	for k, v := range said {
		known[k] = v
		delete(o.doubtful, page{k, i.subject()})
	}
}

// fade returns the verdict on something that exporters have not reported for a time (unsaid), although they read the instance, for the
// last part of it without a failure (good). The verdict lasts until they must have read it again.
func fade(v verdict, unsaid, good, slack time.Duration) verdict {
	switch {
	case unsaid > slowHold+slowReread+slack && good > slowReread+slack:
		return no
	case unsaid > slowReread*9/10-slack:
		return min(v, either)
	}
	return v
}

func sum(outcomes map[string]int) (n int) {
	for _, one := range outcomes {
		n += one
	}
	return n
}

func (o *oracle) judgeInstance(i *instance, v map[page]verdict) {
	for k, known := range o.memory[i.id] {
		if k == throttledKind { // see judgeRegion
			continue
		}
		if !o.world.now.Before(i.watched.to) { // some exporters may not know yet
			known = min(known, either)
		}
		v[page{k, i.subject()}] = known
	}
}

// judgeRegion judges what is wrong with all instances of a region in a cluster.
func (o *oracle) judgeRegion(cluster, region string, v map[page]verdict) {
	throttled := no
	for _, i := range o.world.instances {
		if i.cluster == cluster && i.region == region {
			throttled = max(throttled, o.memory[i.id][throttledKind])
		}
	}
	v[page{throttledKind, subject(cluster, region)}] = throttled
	o.judgeOutage(cluster, region, v, regionUnreadableKind, unreadableKind, unreadableForHoursKind)
	o.judgeOutage(cluster, region, v, regionRejectedKind, rejectedKind)
}

// judgeOutage judges whether most instances of a region share a trouble. Then one page for the region is enough, after its wait.
func (o *oracle) judgeOutage(cluster, region string, v map[page]verdict, whole kind, each ...kind) {
	surely, perhaps, most, least := 0, 0, 0, 0 // most and least are how many instances the rules may know of
	var instances []page
	for _, i := range o.world.instances {
		judged, known := v[page{each[0], i.subject()}]
		if i.cluster != cluster || i.region != region || !known {
			continue
		}
		most++
		if o.world.now.Before(i.watched.to) && !o.doubtful[page{each[0], i.subject()}] {
			least++
		}
		if judged == yes {
			surely++
		}
		if judged != no || o.before[i.id][each[0]] != no { // the rules may still see what was said before
			perhaps++
		}
		for _, k := range each {
			instances = append(instances, page{k, i.subject()})
		}
	}
	about, judged := page{whole, subject(cluster, region)}, no
	switch {
	case surely >= 5 && 2*surely > most:
		judged = yes
	case perhaps >= 5 && 2*perhaps > least:
		judged = either
	}
	v[about] = judged
	if judged != yes {
		delete(o.outages, about)
	} else {
		o.outages[about] = earliest(o.outages[about], o.world.now)
	}
	allowed := yes - judged
	if judged == yes && o.world.now.Sub(o.outages[about]) <= waits[whole] {
		allowed = either
	}
	for _, p := range instances {
		v[p] = min(v[p], allowed)
	}
}

// use is when a fleet used a provider of credentials.
type use struct {
	first, last time.Time
	changed     bool // it came instead of, or beside another
	doubt       bool // whether it was used before, or whether the other is remembered
}

// judgeIdentity judges whether a fleet uses a provider of credentials that it did not use until an hour ago, when it used another. What a
// fleet used is remembered for 26 hours, as everything about exporters that are gone.
func (o *oracle) judgeIdentity(g *group, v map[page]verdict) {
	now, slack, judged := o.world.now, o.world.slack(), no
	if o.used[g] == nil {
		o.used[g] = map[string]*use{}
	}
	for _, e := range g.exporters {
		if !e.scraped {
			continue
		}
		provider := e.provider(now)
		u := o.used[g][provider]
		if u == nil || now.Sub(u.last) > hold-hour {
			fresh := &use{first: now, doubt: now.Sub(o.world.start) < 2*hour || u != nil && now.Sub(u.last) < hold+2*hour}
			for other, before := range o.used[g] {
				if unused := now.Sub(before.last); other != provider && unused < hold+2*hour {
					fresh.changed = true
					fresh.doubt = fresh.doubt || unused > hold-slack || now.Sub(before.first) < noticed+slack
				}
			}
			u = fresh
			o.used[g][provider] = u
		}
		u.last = now
	}
	for _, u := range o.used[g] {
		switch lasts, unused := now.Sub(u.first), now.Sub(u.last); {
		case !u.changed || lasts > noticed+slack || unused > 10*minute+slack:
		case u.doubt || unused > 0 || lasts > noticed-slack:
			judged = max(judged, either)
		default:
			judged = yes
		}
	}
	v[page{identityKind, g.subject()}] = judged
}

// judgeLists judges whether the instances of the regions of a fleet are listed.
func (o *oracle) judgeLists(g *group, v map[page]verdict) {
	now, slack := o.world.now, o.world.slack()+5*minute // the interval of lists
	for _, i := range g.instances {
		warning, critical := page{unlistedKind, subject(g.cluster, i.region)}, page{neverListedKind, subject(g.cluster, i.region)}
		if i.discovered && !now.Before(i.watched.to) && now.Sub(i.watched.to) < hold+hour { // few instances may be left
			v[warning] = max(v[warning], either)
		}
		e := g.exporters[0]
		if t := o.targets[e]; !i.discovered || t.name == "" || now.Sub(t.at) > 10*minute+slack {
			continue
		}
		if e.scraped {
			o.never[i.region] = e.process.unlisted[i.region]
			if !o.world.faults.unlisted(now, i.region) {
				o.listed[i.region] = now
			}
		}
		never, ago := verdictOf(o.never[i.region]), now.Sub(o.listed[i.region])
		late := never
		if ago > noticed-slack {
			late = max(late, either)
		}
		if ago > noticed+slack {
			late = yes
		}
		if !e.scraped { // known for 10 minutes
			never, late = min(never, either), min(late, either)
		}
		v[warning], v[critical] = max(v[warning], late), max(v[critical], never)
	}
}

// justBack reports whether an exporter answers again since the last scrape only: should it be gone at the next one, a page goes on.
func justBack(o *oracle, e *exporter) bool {
	return e.scraped && o.world.now.Sub(o.back[e]) < max(o.world.step, o.world.scrape)+minute
}

func (o *oracle) judgeExporter(e *exporter, missing verdict, v map[page]verdict) {
	t, about := o.targets[e], func(k kind, target string) page { return page{k, subject(e.group.cluster, e.group.job, target)} }
	switch {
	case t.name == "": // it has never answered
	case e.target == t.name:
		v[about(downKind, t.name)] = verdictOf(!e.scraped)
		if justBack(o, e) {
			v[about(downKind, t.name)] = either
		}
		if t.refused {
			v[about(refusedKind, t.name)] = since(o.world, t.at, hold)
		}
	case missing != no: // the page may name the pod that is gone, the one that has never answered, or their job only
		v[about(downKind, t.name)] = either
		v[about(downKind, e.target)] = either
	}
}

// judgeGroup judges a fleet as a whole: it pages if nobody answers, or if a shard is gone without trace. Without a known instance, there is
// nothing left to watch.
func (o *oracle) judgeGroup(g *group, v map[page]verdict) {
	answering, down := 0, no
	var last time.Time
	var silent []*exporter
	for _, e := range g.exporters {
		if t := o.targets[e]; t.at.After(last) {
			last = t.at
		}
		if e.scraped {
			answering++
			if justBack(o, e) {
				down = either
			}
			continue
		}
		if _, runs := e.shard(o.world.now); !runs {
			continue
		}
		silent = append(silent, e)
		if e.target != "" {
			down = either // a page on this exporter, which is judged on its own
		}
	}
	before := o.silent[g]
	o.silent[g] = silent
	least, most := g.size()
	same := slices.ContainsFunc(silent, func(e *exporter) bool { return slices.Contains(before, e) })
	switch {
	case last.IsZero():
	case answering == 0:
		down = max(down, since(o.world, last, hold))
	case least < most: // the number of shards is being changed
		down = either
	case answering < most && down == no:
		down = yes
	}
	if !slices.ContainsFunc(g.instances, func(i *instance) bool {
		return len(o.memory[i.id]) > 0 && !o.doubtful[page{unreadableKind, i.subject()}]
	}) {
		down = min(down, either)
	}
	if len(before) > 0 && !same { // the page on those before may end, and another one comes
		down = min(down, either)
	}
	v[page{downKind, g.subject()}] = down
}

func verdictOf(holds bool) verdict {
	if holds {
		return yes
	}
	return no
}

// verdicts returns what the exporters may say of an instance at t, each by its own clock.
func (i *instance) verdicts(t time.Time, knows facts) map[kind]verdict {
	v := map[kind]verdict{}
	ahead := i.conditions(t, t.Add(maxSkew), knows)
	for k, holds := range i.conditions(t, t.Add(-maxSkew), knows) {
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
func (i *instance) conditions(t, clock time.Time, knows facts) map[kind]bool {
	list := i.visible(t)
	state := func(k *task) string {
		switch {
		case t.Before(k.pendingUntil):
			return "pending"
		case t.Before(k.finish):
			return "running"
		case t.Before(k.oddUntil):
			return "unknown"
		case k.absurd != nil:
			return "absurd"
		case k.word == "COMPLETED":
			return "good"
		default:
			return "failed" // or canceled
		}
	}
	var good []*task
	failures, restorable, first := 0, 0, len(list) > 0
	someRuns, absurd := false, false
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
		case s == "failed" && len(good) == 0:
			failures++
			first = false
		case s == "absurd":
			absurd, first = true, false
		case s != "pending":
			first = false
		}
	}
	firstRuns := first && someRuns
	awaited := i.discovered && clock.Before(i.due(i.created, i.created)) // its first backup is not due yet
	overdue := len(good) > 0 && clock.After(i.due(good[0].start, good[0].finish))
	w := map[kind]bool{
		instanceKind("Overdue", "critical"):           overdue,
		missingKind:                                   restorable == 0 && !firstRuns && !awaited,
		instanceKind("Failed", "warning"):             failures > 0,
		instanceKind("FailingRepeatedly", "critical"): failures >= 3,
		instanceKind("Expiring", "critical"):          restorable > 0 && lastExpiry.Sub(clock) <= day && (overdue || failures > 0),
		instanceKind("StatusUnknown", "warning"):      len(list) > 0 && state(list[0]) == "unknown",
		stuckKind:                                     stuck(list, clock, state),
		retentionKind:                                 len(good) > 0 && good[0].expire.Before(i.due(good[0].start, good[0].finish)),
		instanceKind("TableFailed", "warning"):        len(good) > 0 && good[0].torn != "",
		instanceKind("Shrunk", "warning"):             shrunk(good),
		instanceKind("Implausible", "warning"):        absurd,
		subscriptionKind:                              !knows.subscriptionEnds.IsZero() && knows.subscriptionEnds.Sub(clock) < day,
	}
	i.addOptional(w, clock, knows, overdue || len(good) == 0 && w[missingKind])
	return w
}

// addOptional adds the conditions that follow from what the exporters know of policies and restores. An instance without a policy is well
// as long as somebody starts its backups by other means: unless it lacks one.
func (i *instance) addOptional(w map[kind]bool, clock time.Time, knows facts, lacksBackup bool) {
	for _, said := range knows.policies {
		w[noPolicyKind] = w[noPolicyKind] || said.none && lacksBackup
	}
	for _, said := range knows.restores {
		due := said.last
		if i.discovered && i.created.After(due) {
			due = i.created
		}
		w[untestedKind] = w[untestedKind] || clock.After(due.Add(restoreMaxAge))
	}
}

// due is when a newer good backup must have finished than one from start to finish.
func (i *instance) due(start, finish time.Time) (at time.Time) {
	if i.plan.maxAge > 0 {
		at = finish.Add(i.plan.maxAge)
	}
	if i.plan.zone != nil {
		if bySlot := i.plan.slot(start.Add(10 * minute)).Add(i.plan.grace); at.IsZero() || bySlot.Before(at) {
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
