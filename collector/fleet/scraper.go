package fleet

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
)

// cancelWait is how long the last scrape to leave a collection waits for canceled reads to say why they failed.
const cancelWait = 50 * time.Millisecond

// Scraper reads the fleet. Concurrent scrapes share one collection, and each leaves it at its own deadline. A collection lives as long
// as its most patient scrape, but can be joined only while the scrape that began it waits: otherwise overlapping scrapes of an instance
// that hangs would keep it, and the old data of all others, forever.
type Scraper struct {
	logger  log.Logger
	now     func() time.Time
	onJoin  func()
	history *history
	current *collection // that a scrape may join; guarded by the lock of history

	optional *optionalReader
}

// NewScraper returns a scraper of an empty fleet. It calls onJoin for each scrape that joins a collection under way.
func NewScraper(logger log.Logger, now func() time.Time, onJoin func()) *Scraper {
	h := &history{fleet: &Fleet{}, optionalErrors: optionalErrors{}}
	return &Scraper{
		logger: logger, now: now, onJoin: onJoin, history: h, optional: &optionalReader{logger: logger, now: now, history: h},
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
	r := s.result(s.collect(ctx), deadline)
	s.optional.start()
	return r
}

// Check is a Scrape without a deadline that makes every optional read, too.
func (s *Scraper) Check(ctx context.Context) *Result {
	c := s.collect(ctx)
	s.optional.readAll(ctx)
	return s.result(c, 0)
}

// collect returns a collection that is complete, or whose time is up.
func (s *Scraper) collect(ctx context.Context) *collection {
	c, began := s.join(ctx)
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
	return c
}

// Last returns the newest result of the current fleet, nil if there is none.
func (s *Scraper) Last() *Result {
	s.history.Lock()
	defer s.history.Unlock()
	return s.history.last
}

// join returns the collection under way, or begins one.
func (s *Scraper) join(scrape context.Context) (c *collection, began bool) {
	s.history.Lock()
	defer s.history.Unlock()
	if s.current != nil {
		s.onJoin()
		s.current.waiters++
		return s.current, false
	}
	s.history.collections++
	ctx, cancel := context.WithCancel(context.Background())
	ends, _ := scrape.Deadline()
	c = &collection{
		progress: &progress{
			history: s.history, logger: s.logger, now: s.now, fleet: s.history.fleet, number: s.history.collections, ends: ends,
			index: map[instanceKey]*slot{},
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
	s.log(r)
	if s.history.fleet == c.fleet && !keepsLast(s.history.last, r) {
		s.history.last = r
	}
	return r
}

// keptFor is how long the last result is shown instead of a less complete one.
const keptFor = 5 * time.Minute

// keepsLast reports whether the last result is still shown instead of r: it had a longer deadline, and r ran out of time for
// some instances. After five minutes, r is shown anyway. Last is nil before the first scrape.
func keepsLast(last, r *Result) bool {
	if last == nil || r.At.Sub(last.At) > keptFor {
		return false
	}
	lastHadLonger := r.Deadline != 0 && (last.Deadline == 0 || last.Deadline > r.Deadline) // 0 is no limit
	timedOut := func(i InstanceResult) bool { return i.Reason() == apiclient.ReasonTimeout }
	return lastHadLonger && slices.ContainsFunc(r.Instances, timedOut)
}

// maxDeadlines is how many deadlines the log tells apart. There is one for each Prometheus server and one for the page; clients can ask
// for any.
const maxDeadlines = 16

// log logs what has changed since the last scrape with the same deadline. The caller holds the lock.
func (s *Scraper) log(r *Result) {
	before, known := s.history.logged[r.Deadline]
	if s.history.logged == nil || !known && len(s.history.logged) >= maxDeadlines {
		s.history.logged = map[time.Duration]logged{}
	}
	tooLong := s.logRequestTimes(r, before.tooLong)
	s.history.logged[r.Deadline] = logged{tooLong, s.logFailures(r, tooLong, before.failing)}
}

// logRequestTimes logs once that the requests of a region have become too many for the deadline.
func (s *Scraper) logRequestTimes(r *Result, before map[laneKey]bool) (tooLong map[laneKey]bool) {
	tooLong = map[laneKey]bool{}
	for _, t := range r.RequestTimes {
		k := laneKey{t.Account, t.RegionID}
		tooLong[k] = t.TooLong(r.Deadline)
		if tooLong[k] && !before[k] {
			level.Warn(s.logger).Log("msg", "the scrape deadline is too short for the requests of a region, some instances will time out",
				"region_id", t.RegionID, "account", t.Account, "requests", t.Requests, "needed", t.Time, "deadline", r.Deadline, "hint", TooLongHint)
		}
	}
	return tooLong
}

// logFailures logs one line for each account and region in which other instances than in the last scrape could not be read, or for other
// reasons. A timeout in a region whose requests take too long changes nothing: it hits other instances in each scrape.
func (s *Scraper) logFailures(r *Result, tooLong map[laneKey]bool, last map[laneKey]failedRead) (failing map[laneKey]failedRead) {
	failing, read := map[laneKey]failedRead{}, map[laneKey]int{}
	examples := map[laneKey]*InstanceResult{} // of what is new
	for i := range r.Instances {
		one := &r.Instances[i]
		lane, instance := laneKey{one.Instance.Account, one.Instance.RegionID}, instanceKey{one.Instance.RegionID, one.Instance.InstanceID}
		read[lane]++
		reason := one.Reason()
		if reason == apiclient.ReasonTimeout && tooLong[lane] {
			reason = last[lane][instance]
		}
		if reason == "" {
			continue
		}
		if failing[lane] == nil {
			failing[lane] = failedRead{}
		}
		failing[lane][instance] = reason
		if examples[lane] == nil && last[lane][instance] != reason {
			examples[lane] = one
		}
	}
	for lane, instances := range read {
		current, previous := failing[lane], last[lane]
		logger := log.WithSuffix(s.logger,
			"region_id", lane.regionID, "account", lane.account, "failed", len(current), "instances", instances)
		if len(current) > 0 {
			logger = log.WithSuffix(logger, "reasons", current.String())
		}
		switch example := examples[lane]; {
		case example != nil:
			logFailure(logger, example)
		case len(current) < len(previous) && len(current) == 0:
			level.Info(logger).Log("msg", "reading backups works again")
		case len(current) < len(previous):
			level.Info(logger).Log("msg", "some instances can be read again, others still fail")
		}
	}
	return failing
}

// logFailure logs a failure with the first instance that has it.
func logFailure(logger log.Logger, example *InstanceResult) {
	logger = log.WithSuffix(logger, "instance_id", example.Instance.InstanceID, "reason", example.Reason())
	var e *apiclient.Error
	if errors.As(example.Err, &e) && e.Attempts > 0 {
		logger = log.WithSuffix(logger, "attempts", e.Attempts)
		if e.RequestID != "" {
			logger = log.WithSuffix(logger, "request_id", e.RequestID)
		}
	}
	level.Warn(log.WithSuffix(logger, "err", example.Err)).Log("msg", "reading backups failed")
}
