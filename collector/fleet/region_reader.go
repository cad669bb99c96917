package fleet

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
	"git.example.com/starrocks/starrocks_backup_exporter/collector/health"
)

// regionReader reads the backups of a whole region as one list. Lists may be incomplete, so it reads an instance on its own if the list
// lacks it or something that was known of it, and in every scrape also one of the others. If the list fails, or proves to be incomplete,
// it reads each instance on its own.
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
		// The list is given up only if it is at fault: the scrape left it enough time, and either the API rejects the request for it, or
		// a read of an instance succeeded.
		if ctx.Err() == nil && (!l.cutOff || r.hadTimeFor(l)) && (permanent || r.anyUp(slots)) {
			r.noteListFailure(permanent, "err", l.err)
		}
		return
	}
	r.noteList(l)
	alone := r.finishListed(l, slots)
	var again sync.WaitGroup
	defer again.Wait()
	l.onIncomplete = sync.OnceFunc(func() { // at once: another read may hang until the deadline
		standing := r.takeBack(l)
		again.Go(func() { r.instanceReader.read(ctx, standing) })
	})
	single := r.instanceReader
	single.verify = func(s *slot, own *health.Facts, err error) bool { return r.verifyList(l, s, own, err) }
	single.read(ctx, alone)
}

// regionList is the backups of a region, as one list has them.
type regionList struct {
	began      time.Time
	took       time.Duration
	collection int                     // the number of the one that reads it
	lists      map[string]*health.List // by instance id, of the instances asked for; nil if the list has no task of it
	tasks      int                     // of all instances
	err        error
	// Guarded by the lock of history.
	taken     map[*slot]completeRead // the slots that were filled from it, and what was known before
	standing  []*slot                // those of them that have no complete read of their own
	takenBack bool                   // the standing ones were taken back
	// cutOff says that the list had not ended after its share of the scrape's deadline.
	cutOff       bool
	onIncomplete func() // is told that an instance's own read had more
}

func (l *regionList) has(s *slot) bool { return l.lists[s.target.InstanceID] != nil }

// lacksOwn reports whether an instance's own read after the list has something that the list misses: a task that started before the list
// began and is not there, one that had ended by then and is there with another status or without its times, or the tables of the newest
// success.
func (l *regionList) lacksOwn(s *slot, own *health.Facts) bool {
	return l.differs(s, own, l.missesTask)
}

// lacksEarlier reports whether the list lacks something that an earlier read had: an unexpired task, the status or a time of an ended one,
// or the tables of the newest success.
func (l *regionList) lacksEarlier(s *slot, before *health.Facts) bool {
	return l.differs(s, before, func(listed *apiclient.Backup, known *health.Task) bool {
		if listed == nil {
			return known.Expire == 0 || known.Expire.Time().After(l.began)
		}
		return known.Status.Ended() && saysLess(listed, known)
	})
}

// differs reports whether misses returns true for a task of a read, or the list lacks the tables of the read's newest good backup. Misses
// gets nil for a task that the list lacks.
func (l *regionList) differs(s *slot, own *health.Facts, misses func(*apiclient.Backup, *health.Task) bool) bool {
	listed := map[string]*apiclient.Backup{}
	if list := l.lists[s.target.InstanceID]; list != nil {
		tasks := list.Tasks()
		for i := range tasks {
			listed[tasks[i].TaskID] = &tasks[i]
		}
	}
	for i := range own.Tasks {
		if misses(listed[own.Tasks[i].ID], &own.Tasks[i]) {
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

// missesTask reports whether a listed task, nil if there is none, lacks something that the instance's own read has.
func (l *regionList) missesTask(listed *apiclient.Backup, own *health.Task) bool {
	earlier := func(at health.Instant) bool { return at != 0 && at.Time().Before(l.began.Add(-health.ClockTolerance)) }
	switch {
	case listed == nil && own.Start == 0:
		return earlier(own.Finish)
	case listed == nil:
		return earlier(own.Start)
	case !listed.Status.Ended():
		return own.Status.Ended() && earlier(own.Finish)
	default:
		return saysLess(listed, own)
	}
}

// saysLess reports whether a listed task has another status than the instance's own, or lacks one of its times.
func saysLess(listed *apiclient.Backup, own *health.Task) bool {
	lacks := func(listed time.Time, own health.Instant) bool { return listed.IsZero() && own != 0 }
	return listed.Status != own.Status ||
		lacks(listed.Start, own.Start) || lacks(listed.Finish, own.Finish) || lacks(listed.Expire, own.Expire)
}

func (r regionReader) readList(ctx context.Context, slots []*slot) *regionList {
	l := &regionList{began: r.now(), collection: r.number, lists: map[string]*health.List{}, taken: map[*slot]completeRead{}}
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
			known := r.lastFacts(s)
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

// finishListed fills the slots from the list. It returns those to be read on their own: those for which the list is incomplete, and as a
// sample the one of the others whose turn came longest ago.
func (r regionReader) finishListed(l *regionList, slots []*slot) (alone []*slot) {
	sampled := false
	for _, s := range r.inTurn(slots) {
		known := r.lastFacts(s)
		if !l.has(s) || l.lacksEarlier(s, &known) {
			alone = append(alone, s)
			continue
		}
		r.noteListed(s, l.began)
		r.noteTaken(l, s)
		facts, err := health.Examine(l.lists[s.target.InstanceID], r.fleet.SubtaskLimit)
		r.finish(s, facts, err)
		if sampled {
			l.standing = append(l.standing, s)
		} else {
			alone, sampled = append(alone, s), true
		}
	}
	return alone
}

// noteTaken notes that a slot is about to be filled from the list.
func (r regionReader) noteTaken(l *regionList, s *slot) {
	r.history.Lock()
	defer r.history.Unlock()
	var before completeRead
	if h := r.history.instance(s.target); h != nil {
		before = h.completeRead
	}
	l.taken[s] = before
}

// takeBack takes back what the list said of the instances that have no read of their own, and returns them.
func (r regionReader) takeBack(l *regionList) []*slot {
	r.history.Lock()
	defer r.history.Unlock()
	l.takenBack = true
	for _, s := range l.standing {
		l.forget(r.history, s)
	}
	return l.standing
}

// forget takes back what the list said of an instance. The caller holds the lock.
func (l *regionList) forget(h *history, s *slot) {
	s.result = nil
	if one, before := h.instance(s.target), l.taken[s]; one != nil && one.collection == l.collection {
		one.completeRead = before
	}
}

// stands reports whether what the list said of an instance counts although its own read failed: it does until the list proves to be
// incomplete.
func (r regionReader) stands(l *regionList, s *slot) bool {
	r.history.Lock()
	defer r.history.Unlock()
	switch _, taken := l.taken[s]; {
	case !taken:
		return false
	case l.takenBack:
		l.forget(r.history, s)
		return false
	}
	l.standing = append(l.standing, s)
	return true
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
		return !r.stands(l, s)
	case l.lacksOwn(s, own):
		r.noteListFailure(true, "instance_id", s.target.InstanceID)
		l.onIncomplete()
	case l.has(s):
		r.noteListed(s, l.began)
	}
	return true
}

// noteListFailure notes that a list failed or lacks something, and logs if that ends its use for now.
func (r regionReader) noteListFailure(permanent bool, keyvals ...any) {
	r.history.Lock()
	defer r.history.Unlock()
	if h := r.history.discovery(r.discovery); h != nil && h.listFailed(permanent, r.now()) {
		level.Warn(log.WithSuffix(r.logger, keyvals...)).Log(
			"msg", "the list of a region's backups failed or is incomplete, reading each instance on its own",
			"region_id", r.discovery.RegionID, "account", r.discovery.Account, "retry_after", retryListAfter,
		)
	}
}
