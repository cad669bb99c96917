package collector

import (
	"context"
	"time"

	"github.com/go-kit/log/level"

	"starrocks_backup_exporter/apiclient"
)

// listing is the backups of a region, read at once.
type listing struct {
	began   time.Time
	backups map[string][]apiclient.Backup // of the instances that it was read for, by id
	tasks   int                           // of all
	err     error
}

func (l *listing) has(id string) bool { return l.backups[id] != nil }

// lacks reports whether an instance's own read has a task that the listing should have had too: one from before it began, that is
// not there, or had ended and is there as something else.
func (l *listing) lacks(id string, own []apiclient.Backup) bool {
	listed := map[string]apiclient.Status{}
	for _, b := range l.backups[id] {
		listed[b.TaskID] = b.Status
	}
	for i := range own {
		b := &own[i]
		status, there := listed[b.TaskID]
		if !there && b.Start.Before(l.began) || there && status.Ended() && status != b.Status {
			return true
		}
	}
	return false
}

// readListing reads the backups of a region at once, for the targets given, and returns those that are still to be read on
// their own. For a listing is not trusted: an instance that it leaves out may have backups all the same, and one of those that
// it has is read on its own each time, to see whether it is all there. If the listing fails, all are.
func (s *Scraper) readListing(ctx context.Context, c *collection, d *Discovery, targets []int) (left []int) {
	if len(targets) == 0 {
		return nil
	}
	l := &listing{began: s.now(), backups: map[string][]apiclient.Backup{}}
	known := map[string]Contents{}
	for _, i := range targets {
		t, _, _ := s.begin(c, i)
		known[t.InstanceID] = s.totals.contents(keyOf(t.Instance))
	}
	for b, err := range d.Lister.Backups(ctx, apiclient.DescribeBackupsRequest{}) {
		if l.err = err; err != nil {
			break
		}
		l.tasks++
		if contents, mine := known[b.InstanceID]; mine {
			l.backups[b.InstanceID] = append(l.backups[b.InstanceID], b)
			slim(l.backups[b.InstanceID], contents)
		}
	}
	if l.err != nil {
		reason := apiclient.ReasonOf(l.err)
		certain := reason == apiclient.ReasonForbidden || reason == apiclient.ReasonInvalidRequest || reason == apiclient.ReasonNotFound
		s.giveUpListing(*d, l, certain, "err", l.err)
		return targets
	}
	s.discoveries.listed(*d, l, false, s.now())
	return s.takeListing(ctx, c, l, targets)
}

// takeListing puts what was listed into the targets' slots, and returns those to be read on their own.
func (s *Scraper) takeListing(ctx context.Context, c *collection, l *listing, targets []int) (left []int) {
	sample := -1 // of those listed, whose turn came longest ago
	for _, i := range s.inTurn(c, targets) {
		c.mu.Lock()
		id := c.slots[i].target.InstanceID
		if !l.has(id) || sample < 0 {
			c.slots[i].listing = l
			left = append(left, i)
		}
		c.mu.Unlock()
		if l.has(id) {
			if sample < 0 {
				sample = i
			}
			s.take(ctx, c, i, l.began, l.backups[id], nil)
		}
	}
	return left
}

// giveUpListing notes that a listing failed or lacks something, and says so when each instance is read on its own for it.
func (s *Scraper) giveUpListing(d Discovery, l *listing, certain bool, keyvals ...any) {
	if s.discoveries.listed(d, l, certain, s.now()) {
		level.Warn(s.logger).Log(append([]any{
			"msg", "the listing of a region's backups failed or lacks some: each instance is read on its own for now",
			"region_id", d.RegionID, "account", d.Account, "tried_again_after", retryListing,
		}, keyvals...)...)
	}
}
