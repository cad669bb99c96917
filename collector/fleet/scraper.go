package fleet

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"starrocks_backup_exporter/apiclient"
)

// cancelWait is how long the last scrape to leave a collection waits for canceled reads to say why they failed.
const cancelWait = 50 * time.Millisecond

// Scraper reads the fleet. Concurrent scrapes share one collection, and each leaves it at its own deadline. A collection lives as long
// as its most patient scrape, but can be joined only while the scrape that began it waits: otherwise overlapping scrapes of an instance
// that hangs would keep it, and the old data of all others, for ever.
type Scraper struct {
	logger  log.Logger
	now     func() time.Time
	onJoin  func()
	buffers sync.Pool
	history *history
	current *collection // that a scrape may join; guarded by the lock of history
}

// NewScraper returns a scraper of an empty fleet. It calls onJoin for each scrape that joins a collection under way.
func NewScraper(logger log.Logger, now func() time.Time, onJoin func()) *Scraper {
	return &Scraper{
		logger: logger, now: now, onJoin: onJoin, history: &history{fleet: &Fleet{}},
		buffers: sync.Pool{New: func() any { return &apiclient.BufferPool{} }},
	}
}

// SetFleet replaces the fleet. Scrapes that wait for a collection still get its result; no later scrape joins it.
func (s *Scraper) SetFleet(f *Fleet) {
	s.history.Lock()
	defer s.history.Unlock()
	s.current = nil
	s.history.setFleet(f)
}

// Scrape returns what is read of every instance by the time ctx ends. The result is never nil: errors are in the instances.
// Deadline is the time that ctx leaves, as the result tells it; 0 if there is no limit.
func (s *Scraper) Scrape(ctx context.Context, deadline time.Duration) *Result {
	c, began := s.join()
	select {
	case <-c.done:
	case <-ctx.Done():
	}
	if last := s.leave(c, began); last {
		c.cancel()
		select {
		case <-c.done:
		case <-time.After(cancelWait):
		}
	}
	return s.result(c, deadline)
}

// Last returns the newest result of the current fleet, nil if there is none.
func (s *Scraper) Last() *Result {
	s.history.Lock()
	defer s.history.Unlock()
	return s.history.last
}

// join returns the collection under way, or begins one.
func (s *Scraper) join() (c *collection, began bool) {
	s.history.Lock()
	defer s.history.Unlock()
	if s.current != nil {
		s.onJoin()
		s.current.waiters++
		return s.current, false
	}
	ctx, cancel := context.WithCancel(context.Background())
	c = &collection{
		progress: &progress{
			history: s.history, logger: s.logger, now: s.now, buffers: &s.buffers, fleet: s.history.fleet, index: map[instanceKey]*slot{},
		},
		cancel: cancel, done: make(chan struct{}), waiters: 1,
	}
	c.add(s.history.targets())
	s.current = c
	go func() {
		defer close(c.done)
		c.run(ctx)
		s.history.Lock()
		defer s.history.Unlock()
		s.retire(c)
	}()
	return c, true
}

// leave reports whether no scrape waits for the collection any more. After the scrape that began it left, none joins it.
func (s *Scraper) leave(c *collection, began bool) (last bool) {
	s.history.Lock()
	defer s.history.Unlock()
	if began {
		s.retire(c)
	}
	c.waiters--
	return c.waiters == 0
}

// retire keeps later scrapes from joining a collection. The caller holds the lock.
func (s *Scraper) retire(c *collection) {
	if s.current == c {
		s.current = nil
	}
}

func (s *Scraper) result(c *collection, deadline time.Duration) *Result {
	s.history.Lock()
	defer s.history.Unlock()
	r := c.result()
	r.Deadline = deadline
	unlisted := func(d DiscoveryResult) bool { return d.LastSuccess.IsZero() }
	s.history.settled = s.history.settled || !slices.ContainsFunc(r.Discoveries, unlisted)
	r.Settled = s.history.settled
	s.logRequestTimes(r)
	if s.history.fleet == c.fleet {
		s.history.last = r
	}
	return r
}

// logRequestTimes logs once that the requests of a region have become too many for the deadline. The caller holds the lock.
func (s *Scraper) logRequestTimes(r *Result) {
	tooLong := map[laneKey]bool{}
	for _, t := range r.RequestTimes {
		k := laneKey{t.Account, t.RegionID}
		if tooLong[k] = t.TooLong(r.Deadline); tooLong[k] && !s.history.tooLong[k] {
			level.Warn(s.logger).Log("msg", "the scrape deadline is too short for the requests of a region, some instances will time out",
				"region_id", t.RegionID, "account", t.Account, "requests", t.Requests, "needed", t.Time, "deadline", r.Deadline, "hint", TooLongHint)
		}
	}
	s.history.tooLong = tooLong
}
