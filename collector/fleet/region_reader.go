package fleet

import (
	"context"
	"slices"
	"time"

	"github.com/go-kit/log/level"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
	"git.example.com/starrocks/starrocks_backup_exporter/collector/health"
)

// regionReader reads the backups of a whole region as one list. Lists may be incomplete, so it reads an instance that the list lacks
// on its own, and in every scrape also one that the list contains. If the list fails, it reads each instance on its own.
type regionReader struct {
	instanceReader
	discovery *Discovery
}

func (r regionReader) read(ctx context.Context, slots []*slot) {
	if len(slots) == 0 {
		return
	}
	l := r.readList(ctx, slots)
	if l.err != nil {
		reason := apiclient.ReasonOf(l.err)
		permanent := reason == apiclient.ReasonForbidden || reason == apiclient.ReasonInvalidRequest || reason == apiclient.ReasonNotFound
		r.instanceReader.read(ctx, slots)
		// A hasty scrape says nothing about the list, nor does an API that answers nothing else either.
		if ctx.Err() == nil && (!l.cutOff || r.hadTimeFor(l)) && (permanent || r.anyUp(slots)) {
			r.giveUp(permanent, "err", l.err)
		}
		return
	}
	r.noteList(l)
	single := r.instanceReader
	single.verify = func(s *slot, own *health.Facts, err error) bool { return r.verifyList(l, s, own, err) }
	single.read(ctx, r.finishListed(l, slots))
}

// regionList is the backups of a region, as one list has them.
type regionList struct {
	began time.Time
	took  time.Duration
	lists map[string]*health.List // by instance id, of the instances asked for; nil if the list has no task of it
	tasks int                     // of all instances
	err   error
	// cutOff says that the list had not ended after its share of the scrape's deadline.
	cutOff bool
}

func (l *regionList) has(s *slot) bool { return l.lists[s.target.InstanceID] != nil }

// lacks reports whether an instance's own read has something that the list misses: a task that started before the list began and is not
// there, one that had ended by then and is there with another status or without its times, or the tables of the newest success.
func (l *regionList) lacks(s *slot, own *health.Facts) bool {
	listed := map[string]*apiclient.Backup{}
	if list := l.lists[s.target.InstanceID]; list != nil {
		tasks := list.Tasks()
		for i := range tasks {
			listed[tasks[i].TaskID] = &tasks[i]
		}
	}
	for i := range own.Tasks {
		if l.misses(listed[own.Tasks[i].ID], &own.Tasks[i]) {
			return true
		}
	}
	newest := slices.IndexFunc(own.Tasks, func(t health.Task) bool {
		return t.Status == apiclient.StatusCompleted && t.End().Equal(own.LastSuccess)
	})
	if tables := len(own.Databases) + own.TablesDropped; newest < 0 || tables == 0 {
		return false
	}
	b := listed[own.Tasks[newest].ID]
	return b != nil && b.Status.Ended() && !b.ListsSubTasks()
}

// misses reports whether a listed task, nil if there is none, lacks something of the instance's own.
func (l *regionList) misses(listed *apiclient.Backup, own *health.Task) bool {
	earlier := func(at health.Instant) bool { return at != 0 && at.Time().Before(l.began.Add(-clockTolerance)) }
	switch {
	case listed == nil && own.Start == 0:
		return earlier(own.Finish)
	case listed == nil:
		return earlier(own.Start)
	case !listed.Status.Ended():
		return own.Status.Ended() && earlier(own.Finish)
	default:
		lost := func(listed time.Time, own health.Instant) bool { return listed.IsZero() && own != 0 }
		return listed.Status != own.Status ||
			lost(listed.Start, own.Start) || lost(listed.Finish, own.Finish) || lost(listed.Expire, own.Expire)
	}
}

func (r regionReader) readList(ctx context.Context, slots []*slot) *regionList {
	l := &regionList{began: r.now(), lists: map[string]*health.List{}}
	asked := map[string]*slot{}
	for _, s := range slots {
		asked[s.target.InstanceID] = s
	}
	ctx, cancel := r.share(ctx, listShare)
	defer cancel()
	for b, err := range r.discovery.Lister.Backups(ctx, apiclient.DescribeBackupsRequest{}) {
		if err != nil {
			l.err, l.cutOff = err, ctx.Err() != nil || apiclient.ReasonOf(err) == apiclient.ReasonTimeout
			break
		}
		l.tasks++
		s := asked[b.InstanceID]
		if s == nil {
			continue
		}
		if l.lists[b.InstanceID] == nil {
			known := r.known(s)
			l.lists[b.InstanceID] = health.NewList(known.Sizes, len(known.Tasks), l.began)
		}
		l.lists[b.InstanceID].Add(b)
	}
	l.took = r.now().Sub(l.began)
	return l
}

const (
	// listShare is the part of a scrape's deadline that a list may take: the rest must do for each instance on its own.
	listShare = 0.5
	// clockTolerance is how far the clocks of the API and of the exporter may differ.
	clockTolerance = 15 * time.Minute
	// listPatience is the time in which a list that has never ended should.
	listPatience = 2 * time.Second
)

// hadTimeFor reports whether a list that was cut off had as much time as it should need: twice that of the last one that ended.
func (r regionReader) hadTimeFor(l *regionList) bool {
	r.history.Lock()
	defer r.history.Unlock()
	h := r.history.discovery(r.discovery)
	return h != nil && l.took >= max(listPatience, 2*h.result.ListTime)
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
func (r regionReader) finishListed(l *regionList, slots []*slot) (single []*slot) {
	sampled := false
	for _, s := range r.inTurn(slots) {
		listed := l.has(s)
		if listed {
			r.noteListed(s, l.began)
			facts, err := health.Examine(l.lists[s.target.InstanceID], r.fleet.SubtaskLimit)
			r.finish(s, facts, err)
		}
		if !listed || !sampled {
			single = append(single, s)
		}
		sampled = sampled || listed
	}
	return single
}

// noteListed notes that an instance was read as part of a list that began at a time.
func (r regionReader) noteListed(s *slot, began time.Time) {
	r.history.Lock()
	defer r.history.Unlock()
	if s.began.IsZero() {
		s.began = began
	}
	if h := r.history.instance(s.target); h != nil {
		h.totals.Listed = true
	}
}

// anyUp reports whether one of the instances could be read.
func (r regionReader) anyUp(slots []*slot) bool {
	r.history.Lock()
	defer r.history.Unlock()
	return slices.ContainsFunc(slots, func(s *slot) bool { return s.result != nil && s.result.Err == nil })
}

// verifyList compares an instance's own read with the list, and reports whether its outcome counts: if the read failed, what was listed
// stands.
func (r regionReader) verifyList(l *regionList, s *slot, own *health.Facts, err error) bool {
	switch {
	case err != nil:
		return !l.has(s)
	case l.lacks(s, own):
		r.giveUp(true, "instance_id", s.target.InstanceID)
	case l.has(s):
		r.noteListed(s, l.began)
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
