package collector

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/go-kit/log/level"

	"starrocks_backup_exporter/apiclient"
	"starrocks_backup_exporter/config"
)

// pool is what is read with the same account in the same region, by the same workers.
type pool struct {
	targets     []int // configured by id
	discoveries []*Discovery
}

func (c *collection) pools() map[clientKey]*pool {
	c.mu.Lock()
	defer c.mu.Unlock()
	pools := map[clientKey]*pool{}
	of := func(account, regionID string) *pool {
		k := clientKey{account, regionID}
		if pools[k] == nil {
			pools[k] = &pool{}
		}
		return pools[k]
	}
	for i := range c.slots {
		if t := c.slots[i].target; t.discovery == nil {
			p := of(t.Account, t.RegionID)
			p.targets = append(p.targets, i)
		}
	}
	for i := range c.fleet.Discoveries {
		d := &c.fleet.Discoveries[i]
		p := of(d.Account, d.RegionID)
		p.discoveries = append(p.discoveries, d)
	}
	return pools
}

// readPool reads all of a pool. What is found on the way joins the queue.
func (s *Scraper) readPool(ctx context.Context, c *collection, p *pool) {
	queue, places := make(chan int), make(chan struct{}, c.fleet.Concurrency) // of requests in flight
	feed := func(targets []int) {
		for _, i := range s.inTurn(c, targets) {
			select {
			case queue <- i:
			case <-ctx.Done():
				return
			}
		}
	}
	place := func(do func()) {
		select {
		case places <- struct{}{}:
			defer func() { <-places }()
			do()
		case <-ctx.Done():
		}
	}
	discover := func(d *Discovery) (fresh []int) {
		place(func() { fresh = s.discover(ctx, c, d) })
		return fresh
	}
	list := func(d *Discovery, targets []int) (left []int) {
		place(func() { left = s.readListing(ctx, c, d, targets) })
		return left
	}
	var feeders, workers sync.WaitGroup
	known := p.targets
	for _, d := range p.discoveries {
		mine := c.of(d)
		switch whole := d.Listing == config.ListingRegion && !s.discoveries.readsEach(*d, s.now()); {
		case !whole:
			known = append(known, mine...)
			feeders.Go(func() { feed(discover(d)) })
		case len(mine) == 0: // the listing needs to know whom it is for
			feeders.Go(func() { feed(list(d, discover(d))) })
		default:
			feeders.Go(func() { feed(discover(d)) })
			feeders.Go(func() { feed(list(d, mine)) })
		}
	}
	feeders.Go(func() { feed(known) })
	for range c.fleet.Concurrency {
		workers.Go(func() {
			var bodies apiclient.Bodies
			for i := range queue {
				place(func() { s.readInto(ctx, c, i, &bodies) })
			}
		})
	}
	feeders.Wait()
	close(queue)
	workers.Wait()
}

// of are the targets that a discovery found.
func (c *collection) of(d *Discovery) (targets []int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.slots {
		if c.slots[i].target.discovery == d {
			targets = append(targets, i)
		}
	}
	return targets
}

// inTurn puts those first whose turn came longest ago: where the time does not suffice for all, none starves.
func (s *Scraper) inTurn(c *collection, targets []int) []int {
	turns := make(map[int]time.Time, len(targets))
	c.mu.Lock()
	for _, i := range targets {
		turns[i] = s.totals.turn(keyOf(c.slots[i].target.Instance))
	}
	c.mu.Unlock()
	slices.SortStableFunc(targets, func(a, b int) int { return turns[a].Compare(turns[b]) })
	return targets
}

// begin notes that a target is being read.
func (s *Scraper) begin(c *collection, i int) (t Target, l *listing, began time.Time) {
	began = s.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	sl := &c.slots[i]
	if sl.result == nil {
		sl.began = began
	}
	return sl.target, sl.listing, began
}

// sent reports whether a read came as far as to send a request, rather than to wait for our own limit until the end.
func sent(err error) bool {
	var e *apiclient.Error
	return !errors.As(err, &e) || e.Attempts > 0
}

func (s *Scraper) readInto(ctx context.Context, c *collection, i int, bodies *apiclient.Bodies) {
	t, l, began := s.begin(c, i)
	backups, err := s.read(ctx, t, bodies)
	k := keyOf(t.Instance)
	if sent(err) || bodies.Answers() > 0 {
		s.totals.hadTurn(k, began)
	}
	if err == nil {
		s.totals.took(k, bodies.Answers())
		if l != nil && l.lacks(t.InstanceID, backups) {
			s.giveUpListing(*t.discovery, l, true, "instance_id", t.InstanceID)
		}
	} else if l != nil && l.has(t.InstanceID) {
		return // what was listed of it stands
	}
	s.take(ctx, c, i, began, backups, err)
}

// take puts what was read of an instance, or why it was not, into its slot.
func (s *Scraper) take(ctx context.Context, c *collection, i int, began time.Time, backups []apiclient.Backup, err error) {
	c.mu.Lock()
	t := c.slots[i].target
	c.mu.Unlock()
	now := s.now()
	r := &InstanceResult{Instance: t.Instance, Duration: now.Sub(began), Err: err}
	var contents Contents
	if err == nil {
		limits := Limits{
			MaxAge: time.Duration(t.MaxAge), Schedule: t.Timetable(), Grace: time.Duration(t.Grace), SubtaskLimit: c.fleet.SubtaskLimit,
		}
		r.Health, contents, r.Err = Assess(backups, s.totals.contents(keyOf(t.Instance)), limits, now)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.slots[i].result = r
	switch {
	case r.Err == nil:
		s.succeeded(t.Instance, s.totals.read(keyOf(t.Instance), backups, contents, now))
	case !c.slots[i].timedOut || ctx.Err() == nil:
		s.failed(t.Instance, r.Err)
	}
}

// read returns all tasks of an instance, or why it could not. Their subtasks are valid until bodies is used again.
func (s *Scraper) read(ctx context.Context, t Target, bodies *apiclient.Bodies) ([]apiclient.Backup, error) {
	bodies.Reset()
	var backups []apiclient.Backup
	for b, err := range t.Lister.Backups(ctx, apiclient.DescribeBackupsRequest{InstanceID: t.InstanceID, Bodies: bodies}) {
		if err != nil {
			return nil, err
		}
		backups = append(backups, b)
	}
	foreign := func(b apiclient.Backup) bool { return b.InstanceID != "" && b.InstanceID != t.InstanceID }
	listed := len(backups)
	backups = slices.DeleteFunc(backups, foreign)
	if n := listed - len(backups); n > 0 {
		level.Warn(s.logger).Log("msg", "the API listed tasks of another instance, which are dropped",
			"instance_id", t.InstanceID, "region_id", t.RegionID, "tasks", n)
	}
	return backups, nil
}
