package fleet

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"starrocks_backup_exporter/apiclient"
	"starrocks_backup_exporter/collector/health"
)

// slot holds what a collection knows of one instance.
type slot struct {
	target   Target
	began    time.Time       // of its read
	result   *InstanceResult // nil until it is read
	timedOut bool            // counted as a timeout, by a scrape that did not wait for the read
}

// progress is what a collection has read so far. The lock of history guards the slots.
type progress struct {
	history *history
	logger  log.Logger
	now     func() time.Time
	buffers *sync.Pool // of *apiclient.BufferPool
	fleet   *Fleet
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

// begin notes that an instance is being read.
func (p *progress) begin(s *slot) (began time.Time) {
	began = p.now()
	p.history.Lock()
	defer p.history.Unlock()
	if s.result == nil {
		s.began = began
	}
	return began
}

// sizes returns the cached sizes of an instance's tasks.
func (p *progress) sizes(s *slot) health.Sizes {
	p.history.Lock()
	defer p.history.Unlock()
	if h := p.history.instance(s.target); h != nil {
		return h.sizes
	}
	return nil
}

// finish puts what was read of an instance, or why it could not be read, into its slot and its history.
func (p *progress) finish(ctx context.Context, s *slot, began time.Time, backups []apiclient.Backup, err error) {
	now := p.now()
	r := &InstanceResult{Instance: s.target.Instance, Duration: now.Sub(began), Err: err}
	var sizes health.Sizes
	if err == nil {
		limits := health.Limits{
			MaxAge: time.Duration(s.target.MaxAge), Schedule: s.target.Timetable(), Grace: time.Duration(s.target.Grace),
			SubtaskLimit: p.fleet.SubtaskLimit,
		}
		r.Health, sizes, r.Err = health.Assess(backups, p.sizes(s), limits, now)
	}
	p.history.Lock()
	defer p.history.Unlock()
	s.result = r
	switch {
	case r.Err == nil:
		p.succeeded(s.target, backups, sizes, now)
	case !s.timedOut || ctx.Err() == nil:
		p.failed(s.target, r.Err)
	}
}

// succeeded counts and logs a complete read.
func (p *progress) succeeded(t Target, backups []apiclient.Backup, sizes health.Sizes, now time.Time) {
	h := p.history.instance(t)
	if h == nil {
		return
	}
	if before := h.succeeded(backups, sizes, now); before != "" {
		level.Info(p.logger).
			Log("msg", "reading backups works again", "instance_id", t.InstanceID, "region_id", t.RegionID, "previous_reason", before)
	}
}

// failed counts and logs a failed read; at debug level if the read before failed for the same reason.
func (p *progress) failed(t Target, err error) {
	reason := apiclient.ReasonOf(err)
	logger := level.Debug(p.logger)
	if h := p.history.instance(t); h != nil && h.failed(reason) != reason {
		logger = level.Warn(p.logger)
	}
	keyvals := []any{
		"msg", "reading backups failed", "instance_id", t.InstanceID, "region_id", t.RegionID, "account", t.Account, "reason", reason,
	}
	if e, ok := errors.AsType[*apiclient.Error](err); ok {
		keyvals = append(keyvals, "attempts", e.Attempts, "request_id", e.RequestID)
	}
	logger.Log(append(keyvals, "err", err)...)
}

// result returns what is read by now. Instances that are not read yet time out; those that the fleet lost meanwhile are left out.
// The caller holds the lock.
func (p *progress) result() *Result {
	r := &Result{At: p.now(), Shard: p.fleet.Shard, Instances: make([]InstanceResult, 0, len(p.slots))}
	for _, s := range p.slots {
		one := s.result
		if one == nil {
			one = p.timeOut(s, r.At)
		}
		if h := p.history.instance(s.target); h != nil {
			copied := *one
			copied.Totals = h.copyTotals()
			r.Instances = append(r.Instances, copied)
		}
	}
	for _, d := range p.fleet.Discoveries {
		if h := p.history.discovery(d); h != nil {
			r.Discoveries = append(r.Discoveries, h.copyResult())
		}
	}
	r.RequestTimes = requestTimes(r, p.fleet.RequestsPerSecond)
	return r
}

func (p *progress) timeOut(s *slot, now time.Time) *InstanceResult {
	r := &InstanceResult{Instance: s.target.Instance}
	cause := errors.New("its turn did not come before the scrape deadline")
	if !s.began.IsZero() {
		r.Duration = now.Sub(s.began)
		cause = errors.New("not read by the scrape deadline")
	}
	r.Err = &apiclient.Error{Operation: "DescribeBackups", Reason: apiclient.ReasonTimeout, Err: cause}
	if !s.timedOut {
		s.timedOut = true
		p.failed(s.target, r.Err)
	}
	return r
}
