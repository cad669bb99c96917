package fleet

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
	"git.example.com/starrocks/starrocks_backup_exporter/collector/health"
)

// slot holds what a collection knows of one instance.
type slot struct {
	target   Target
	began    time.Time       // of its read; zero before its first request is sent
	result   *InstanceResult // nil until it is read, unless an earlier read serves
	timedOut bool            // counted as a timeout, by a scrape that did not wait for the read
}

// progress is what a collection has read so far. The lock of history guards the slots.
type progress struct {
	history *history
	logger  log.Logger
	now     func() time.Time
	fleet   *Fleet
	number  int       // of the collection
	ends    time.Time // the deadline of the scrape that began the collection, by the clock of this machine; zero if none
	slots   []*slot
	index   map[instanceKey]*slot
}

// add makes a slot for each target that has none, and returns the new ones. The caller holds the lock.
func (p *progress) add(targets []Target) (fresh []*slot) {
	for _, t := range targets {
		if _, known := p.index[t.key()]; !known {
			s := &slot{target: t}
			p.index[t.key()] = s
			fresh = append(fresh, s)
		}
	}
	p.slots = append(p.slots, fresh...)
	return fresh
}

// inTurn returns the slots in the order of their last turn: if there is too little time for all, none starves.
func (p *progress) inTurn(slots []*slot) []*slot {
	p.history.Lock()
	defer p.history.Unlock()
	turns := make(map[*slot]time.Time, len(slots))
	for _, s := range slots {
		if h := p.history.instance(s.target); h != nil {
			turns[s] = h.turn
		}
	}
	sorted := slices.Clone(slots)
	slices.SortStableFunc(sorted, func(a, b *slot) int { return turns[a].Compare(turns[b]) })
	return sorted
}

// share returns a context that ends after a part of the time that is left until the deadline of the scrape that began the collection.
func (p *progress) share(ctx context.Context, part float64) (context.Context, context.CancelFunc) {
	if p.ends.IsZero() {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Duration(part*float64(time.Until(p.ends))))
}

// begin notes that the first request of an instance's read is sent.
func (p *progress) begin(s *slot) {
	now := p.now()
	p.history.Lock()
	defer p.history.Unlock()
	if s.began.IsZero() {
		s.began = now
	}
}

// lastFacts returns the facts of the last complete read of an instance; empty before the first.
func (p *progress) lastFacts(s *slot) health.Facts {
	p.history.Lock()
	defer p.history.Unlock()
	if h := p.history.instance(s.target); h != nil && h.facts != nil {
		return *h.facts
	}
	return health.Facts{}
}

// due returns the slots to be read. An instance that was read less than api.min_interval ago, and since the last reload, is served from
// that read and judged at the current time. If the passing of time alone has changed its conditions since, it is read again: a backup may
// have completed just before its deadline.
func (p *progress) due(slots []*slot) (due []*slot) {
	now := p.now()
	p.history.Lock()
	defer p.history.Unlock()
	for _, s := range slots {
		before, changed := p.readBefore(s, p.fleet.MinInterval, now)
		if before == nil || changed {
			due = append(due, s)
			continue
		}
		before.ReadBefore = true
		s.result = before
	}
	return due
}

// readBefore returns what an earlier read says of an instance at a time, nil if it is not younger than an age, and whether the passing of
// time alone has changed its conditions since. The caller holds the lock.
func (p *progress) readBefore(s *slot, age time.Duration, now time.Time) (before *InstanceResult, changed bool) {
	h := p.history.instance(s.target)
	if h == nil || h.facts == nil || h.fleet != p.fleet || !h.facts.Certain || now.Before(h.facts.ReadAt) || now.Sub(h.facts.ReadAt) >= age {
		return nil, false
	}
	l := p.limits(s.target, now)
	judged := h.facts.Judge(l, now)
	changed = !maps.Equal(judged.Conditions, h.facts.Judge(l, h.facts.ReadAt).Conditions)
	return &InstanceResult{Instance: s.target.Instance, Limits: l, Health: judged}, changed
}

// finish puts what was read of an instance, or why it could not be read, into its slot and its history.
func (p *progress) finish(s *slot, facts *health.Facts, err error) {
	r := &InstanceResult{Instance: s.target.Instance, Err: err}
	now := p.now()
	p.history.Lock()
	defer p.history.Unlock()
	h := p.history.instance(s.target)
	overtaken := err == nil && h != nil && h.collection > p.number
	if overtaken { // a later collection has read the instance meanwhile
		facts = h.facts
	}
	if err == nil {
		r.Limits = p.limits(s.target, now)
		r.Health = facts.Judge(r.Limits, facts.ReadAt)
	}
	if !s.began.IsZero() {
		r.Duration = now.Sub(s.began)
	}
	s.result = r
	switch {
	case h == nil, overtaken:
	case r.Err == nil:
		h.succeeded(completeRead{facts, p.fleet, now, p.number})
	case !s.timedOut: // a failed read counts once
		p.failed(s.target, h, r.Err)
	}
}

// limits returns what an instance's backups are compared with. The caller holds the lock.
func (p *progress) limits(t Target, now time.Time) health.Limits {
	l := health.Limits{
		MaxAge: time.Duration(t.MaxAge), Schedule: t.Timetable(), Grace: time.Duration(t.Grace),
		StuckAfter: time.Duration(t.StuckAfter), ExpiringWithin: time.Duration(t.ExpiringWithin), ShrunkBelow: t.ShrunkBelow,
		RestoreMaxAge: p.fleet.RestoreMaxAge,
	}
	if h := p.history.instance(t); h != nil {
		l.Created, l.SubscriptionEnd, l.Unlisted = h.created, h.subscriptionEnd, p.history.unlisted(t)
		for _, o := range p.fleet.Optional {
			h.optionalRead(o.Subject).addTo(&l, o, h.firstRead, now)
		}
	}
	return l
}

// failed counts a failed read. The caller holds the lock.
func (p *progress) failed(t Target, h *instanceHistory, err error) {
	reason := apiclient.ReasonOf(err)
	h.failed(reason)
	level.Debug(p.logger).Log("msg", "reading the backups of an instance failed", "instance_id", t.InstanceID, "region_id", t.RegionID,
		"account", t.Account, "reason", reason, "err", err)
}

// result returns what is read by now. Instances that are not read yet time out; those that the fleet lost meanwhile are left out.
// The caller holds the lock.
func (p *progress) result() *Result {
	r := &Result{
		At: p.now(), Shard: p.fleet.Shard, RequestsPerSecond: p.fleet.RequestsPerSecond, Instances: make([]InstanceResult, 0, len(p.slots)),
	}
	for _, s := range p.slots {
		one := s.result
		if one == nil {
			one = p.unread(s, r.At)
		}
		if h := p.history.instance(s.target); h != nil {
			copied := *one
			copied.Totals, copied.Facts, copied.Limits = h.copyTotals(), h.facts, p.limits(s.target, r.At)
			if one.Health != nil && copied.Limits != one.Limits { // an optional read, or a list of instances, has ended since
				copied.Health = one.Health.Judge(copied.Limits, one.Health.At)
			}
			r.Instances = append(r.Instances, copied)
		}
	}
	for _, d := range p.fleet.Discoveries {
		if h := p.history.discovery(d); h != nil {
			r.Discoveries = append(r.Discoveries, h.copyResult())
		}
	}
	for _, account := range slices.Sorted(maps.Keys(p.fleet.Credentials)) {
		if provider, before := p.fleet.Credentials[account].Provider(); provider != "" {
			r.Credentials = append(r.Credentials, AccountCredentials{account, provider, before})
		}
	}
	r.RequestTimes, r.Optional = requestTimes(r), p.history.optionalResults()
	return r
}

// unread returns the result of an instance that is not read yet. With api.min_interval, one whose turn did not come is served from its last
// read a little longer: it would otherwise be down for one scrape now and then. It is down if a read failed since, or if the passing of
// time alone has changed its conditions. The caller holds the lock.
func (p *progress) unread(s *slot, now time.Time) *InstanceResult {
	h := p.history.instance(s.target)
	if s.began.IsZero() && h != nil && !h.failing {
		if before, changed := p.readBefore(s, 2*p.fleet.MinInterval, now); before != nil && !changed {
			return before
		}
	}
	r := &InstanceResult{Instance: s.target.Instance}
	cause := errors.New("not started before the scrape deadline")
	if !s.began.IsZero() {
		r.Duration = now.Sub(s.began)
		cause = errors.New("not finished before the scrape deadline")
	}
	r.Err = &apiclient.Error{Operation: "DescribeBackups", Reason: apiclient.ReasonTimeout, Err: cause}
	if h != nil && !s.timedOut {
		s.timedOut = true
		p.failed(s.target, h, r.Err)
	}
	return r
}
