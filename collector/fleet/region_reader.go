package fleet

import (
	"context"
	"time"

	"github.com/go-kit/log/level"

	"starrocks_backup_exporter/apiclient"
	"starrocks_backup_exporter/collector/health"
)

// regionReader reads the backups of a whole region as one list. Lists may be incomplete, so it reads an instance that the list lacks
// on its own, and in every scrape also one that the list contains. If the list fails, it reads each instance on its own.
type regionReader struct {
	instanceReader
	discovery *Discovery
}

func (r regionReader) read(ctx context.Context, slots []*slot) {
	if len(slots) == 0 || !r.places.take(ctx) {
		return
	}
	l := r.readList(ctx, slots)
	r.places.free()
	if l.err != nil {
		reason := apiclient.ReasonOf(l.err)
		permanent := reason == apiclient.ReasonForbidden || reason == apiclient.ReasonInvalidRequest || reason == apiclient.ReasonNotFound
		r.giveUp(permanent, "err", l.err)
		r.instanceReader.read(ctx, slots)
		return
	}
	r.noteList(l)
	single := r.instanceReader
	single.verify = func(s *slot, backups []apiclient.Backup, err error) bool { return r.verifyList(l, s, backups, err) }
	single.read(ctx, r.finishListed(ctx, l, slots))
}

// regionList is the backups of a region, as one list has them.
type regionList struct {
	began   time.Time
	took    time.Duration
	backups map[string][]apiclient.Backup // by instance id, of the instances asked for only
	tasks   int                           // of all instances
	err     error
}

func (l *regionList) has(s *slot) bool { return l.backups[s.target.InstanceID] != nil }

// lacks reports whether an instance's own read has a task that the list misses: one that started before the list began and is not
// there, or one that had ended by then and is there with another status.
func (l *regionList) lacks(s *slot, own []apiclient.Backup) bool {
	listed := map[string]apiclient.Status{}
	for _, b := range l.backups[s.target.InstanceID] {
		listed[b.TaskID] = b.Status
	}
	for i := range own {
		b := &own[i]
		status, known := listed[b.TaskID]
		if !known && b.Start.Before(l.began) || known && status.Ended() && status != b.Status {
			return true
		}
	}
	return false
}

func (r regionReader) readList(ctx context.Context, slots []*slot) *regionList {
	l := &regionList{began: r.now(), backups: map[string][]apiclient.Backup{}}
	cached := map[string]health.Sizes{}
	for _, s := range slots {
		r.begin(s)
		cached[s.target.InstanceID] = r.sizes(s)
	}
	for b, err := range r.discovery.Lister.Backups(ctx, apiclient.DescribeBackupsRequest{}) {
		if err != nil {
			l.err = err
			break
		}
		l.tasks++
		if sizes, asked := cached[b.InstanceID]; asked {
			l.backups[b.InstanceID] = append(l.backups[b.InstanceID], b)
			health.KeepNeededSubTasks(l.backups[b.InstanceID], sizes)
		}
	}
	l.took = r.now().Sub(l.began)
	return l
}

func (r regionReader) noteList(l *regionList) {
	r.history.Lock()
	defer r.history.Unlock()
	if h := r.history.discovery(r.discovery); h != nil && l.tasks > 0 {
		h.listSucceeded((l.tasks+r.fleet.PageSize-1)/r.fleet.PageSize+1, l.took) // one more for the sample
	}
}

// finishListed takes what was listed into the slots, and returns those to be read on their own: those that the list lacks, and as a
// sample the one of the others whose turn came longest ago.
func (r regionReader) finishListed(ctx context.Context, l *regionList, slots []*slot) (single []*slot) {
	sampled := false
	for _, s := range r.inTurn(slots) {
		listed := l.has(s)
		if listed {
			r.finish(ctx, s, l.began, l.backups[s.target.InstanceID], nil)
			r.noteListed(s)
		}
		if !listed || !sampled {
			single = append(single, s)
		}
		sampled = sampled || listed
	}
	return single
}

func (r regionReader) noteListed(s *slot) {
	r.history.Lock()
	defer r.history.Unlock()
	if h := r.history.instance(s.target); h != nil {
		h.totals.Listed = true
	}
}

// verifyList compares an instance's own read with the list, and reports whether its outcome counts: if the read failed, what was listed
// stands.
func (r regionReader) verifyList(l *regionList, s *slot, backups []apiclient.Backup, err error) bool {
	switch {
	case err != nil:
		return !l.has(s)
	case l.lacks(s, backups):
		r.giveUp(true, "instance_id", s.target.InstanceID)
	case l.has(s):
		r.noteListed(s)
	}
	return true
}

// giveUp notes that a list failed or lacks something, and logs if that ends its use for now.
func (r regionReader) giveUp(permanent bool, keyvals ...any) {
	r.history.Lock()
	defer r.history.Unlock()
	if h := r.history.discovery(r.discovery); h != nil && h.listFailed(permanent, r.now()) {
		level.Warn(r.logger).Log(append([]any{
			"msg", "the list of a region's backups failed or is incomplete, reading each instance on its own",
			"region_id", r.discovery.RegionID, "account", r.discovery.Account, "retry_after", retryListAfter,
		}, keyvals...)...)
	}
}
