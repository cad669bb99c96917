// Package collector reads the backups of a fleet when Prometheus scrapes, decides what is wrong, and serves it.
package collector

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"starrocks_backup_exporter/apiclient"
	"starrocks_backup_exporter/config"
)

// farewell is how long the last to leave a collection waits for what is under way to say why it failed.
const farewell = 50 * time.Millisecond

// BackupLister lists backups: an *apiclient.Client.
type BackupLister interface {
	Backups(ctx context.Context, r apiclient.DescribeBackupsRequest) iter.Seq2[apiclient.Backup, error]
}

// Target is a configured instance and how to read it.
type Target struct {
	config.Instance
	Lister    BackupLister
	discovery *Discovery // that found it; nil where it is configured by id
}

// Fleet is the world of one configuration. Instances of the same account and region share their workers.
type Fleet struct {
	Targets           []Target
	Discoveries       []Discovery
	Shard             Shard   // of all instances, this process' own
	Concurrency       int     // workers per account and region
	RequestsPerSecond float64 // the limit, per account and region
	PageSize          int
	SubtaskLimit      int
}

// Scraper reads the fleet. Concurrent scrapes share one collection, each leaving it at its own deadline;
// the collection lives as long as its most patient scrape, but can only be joined while the scrape that began it
// waits: else an instance that hangs, under scrapes that overlap, would keep it and what it read for ever.
type Scraper struct {
	logger      log.Logger
	now         func() time.Time
	totals      Totals
	discoveries discoveries
	onJoin      func() // a scrape joined a collection under way

	mu      sync.Mutex
	fleet   *Fleet
	current *collection // the one that a scrape may join
	last    *Result
	settled bool               // once each discovery has been listed in full
	tooLong map[clientKey]bool // the budgets that exceeded the deadline at the last scrape
}

// NewScraper returns a scraper of an empty fleet. onJoin is called for each scrape that joins a collection under way.
func NewScraper(logger log.Logger, now func() time.Time, onJoin func()) *Scraper {
	return &Scraper{logger: logger, now: now, onJoin: onJoin, fleet: &Fleet{}}
}

// SetFleet replaces the fleet. A collection under way ends for those who wait for it; no later scrape joins it.
func (s *Scraper) SetFleet(f *Fleet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fleet, s.current, s.last = f, nil, nil
	s.discoveries.keep(f.Discoveries)
	s.totals.keep(s.targets(f))
}

// Scrape returns what is read of every instance by the time ctx ends; never nil, errors sit in the instances.
func (s *Scraper) Scrape(ctx context.Context) *Result { return s.scrape(ctx, 0) }

// scrape is told how long ctx is going to last; 0: for ever.
func (s *Scraper) scrape(ctx context.Context, deadline time.Duration) *Result {
	c, began := s.join()
	select {
	case <-c.done:
	case <-ctx.Done():
	}
	if last := s.leave(c, began); last {
		c.cancel()
		select {
		case <-c.done:
		case <-time.After(farewell):
		}
	}
	r := s.result(c)
	r.Deadline = deadline
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settled = s.settled || !slices.ContainsFunc(r.Discoveries, func(d DiscoveryResult) bool { return d.LastSuccess.IsZero() })
	r.Settled = s.settled
	s.logBudgets(r)
	if s.fleet == c.fleet {
		s.last = r
	}
	return r
}

// Last returns the newest finished Result of the current fleet, nil where there is none.
func (s *Scraper) Last() *Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// collection is one pass over the fleet, filled slot by slot.
type collection struct {
	fleet   *Fleet
	cancel  context.CancelFunc
	done    chan struct{}
	waiters int // under Scraper.mu

	mu    sync.Mutex
	slots []slot
	index map[instanceKey]int // of slots
}

type slot struct {
	target   Target
	began    time.Time // its turn came
	listing  *listing  // of its region, which its own read is held against
	result   *InstanceResult
	timedOut bool // already counted as timeout, for a scrape that left
}

// join returns the collection under way, or begins one.
func (s *Scraper) join() (c *collection, began bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != nil {
		s.onJoin()
		s.current.waiters++
		return s.current, false
	}
	ctx, cancel := context.WithCancel(context.Background())
	c = &collection{fleet: s.fleet, cancel: cancel, done: make(chan struct{}), waiters: 1, index: map[instanceKey]int{}}
	c.add(s.targets(s.fleet))
	s.current = c
	go s.collect(ctx, c)
	return c, true
}

// add gives each target a slot that has none, and returns those.
func (c *collection) add(targets []Target) (fresh []int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range targets {
		k := keyOf(t.Instance)
		if _, there := c.index[k]; !there {
			c.index[k] = len(c.slots)
			fresh = append(fresh, len(c.slots))
			c.slots = append(c.slots, slot{target: t})
		}
	}
	return fresh
}

// leave reports whether nobody waits for the collection any more. When the one that began it leaves, none joins it.
func (s *Scraper) leave(c *collection, began bool) (last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if began {
		s.retire(c)
	}
	c.waiters--
	return c.waiters == 0
}

func (s *Scraper) retire(c *collection) {
	if s.current == c {
		s.current = nil
	}
}

func (s *Scraper) collect(ctx context.Context, c *collection) {
	var pools sync.WaitGroup
	for _, p := range c.pools() {
		pools.Go(func() { s.readPool(ctx, c, p) })
	}
	pools.Wait()
	s.mu.Lock()
	s.retire(c)
	s.mu.Unlock()
	close(c.done)
}

// result is what is read by now. Instances not read yet have timed out; those that left the configuration are left out.
func (s *Scraper) result(c *collection) *Result {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := &Result{At: s.now(), Shard: c.fleet.Shard, Instances: make([]InstanceResult, 0, len(c.slots))}
	for i := range c.slots {
		one := c.slots[i].result
		if one == nil {
			one = s.timedOut(c.slots[i].target.Instance, &c.slots[i], r.At)
		}
		copied := *one
		var configured bool
		if copied.Totals, configured = s.totals.of(keyOf(copied.Instance)); configured {
			r.Instances = append(r.Instances, copied)
		}
	}
	for _, d := range c.fleet.Discoveries {
		if one, _, configured := s.discoveries.of(d); configured {
			r.Discoveries = append(r.Discoveries, one)
		}
	}
	r.Budgets = s.budgets(c, r)
	return r
}

func (s *Scraper) timedOut(instance config.Instance, sl *slot, now time.Time) *InstanceResult {
	r := &InstanceResult{Instance: instance, Err: &apiclient.Error{
		Operation: "DescribeBackups", Reason: apiclient.ReasonTimeout, Err: errors.New("its turn did not come before the scrape's deadline"),
	}}
	if !sl.began.IsZero() {
		r.Duration = now.Sub(sl.began)
		r.Err = &apiclient.Error{
			Operation: "DescribeBackups", Reason: apiclient.ReasonTimeout, Err: errors.New("not read by the scrape's deadline"),
		}
	}
	if !sl.timedOut {
		sl.timedOut = true
		s.failed(instance, r.Err)
	}
	return r
}

// failed counts and logs a failed read; one that fails as the one before did, at debug level.
func (s *Scraper) failed(i config.Instance, err error) {
	reason := apiclient.ReasonOf(err)
	logger := level.Warn(s.logger)
	if s.totals.failed(keyOf(i), reason) == reason {
		logger = level.Debug(s.logger)
	}
	keyvals := []any{"msg", "cannot read the backups of an instance", "instance_id", i.InstanceID, "region_id", i.RegionID, "account", i.Account, "reason", reason}
	var e *apiclient.Error
	if errors.As(err, &e) {
		keyvals = append(keyvals, "attempts", e.Attempts, "request_id", e.RequestID)
	}
	logger.Log(append(keyvals, "err", err)...)
}

func (s *Scraper) succeeded(i config.Instance, before apiclient.Reason) {
	if before != "" {
		level.Info(s.logger).Log("msg", "the backups of an instance can be read again", "instance_id", i.InstanceID, "region_id", i.RegionID, "before", before)
	}
}
