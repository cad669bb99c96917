package fleet

import (
	"cmp"
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
)

// optionalReader makes the optional reads of a fleet. A scrape that has its result starts a round, unless one is under way, so that
// optional requests follow the scrape's own, an exporter that nobody scrapes reads nothing, and a reload has no timer to stop.
type optionalReader struct {
	logger  log.Logger
	now     func() time.Time
	history *history

	// Guarded by the lock of history.
	reading bool
	last    time.Time // start of the last round
}

const (
	// minReadsPerRound is how many reads of a subject a round makes in a region, if that many are due. So a small fleet is known soon.
	minReadsPerRound = 10
	// optionalPatience is how long a read may take.
	optionalPatience = time.Minute
)

// job is a read that is due.
type job struct {
	OptionalRead
	target  Target
	trigger string // see OptionalRead
	tried   time.Time
	running bool // a backup is running
}

// start makes a round in the background.
func (r *optionalReader) start() {
	if f, jobs := r.begin(false); len(jobs) > 0 {
		go r.round(context.Background(), f, jobs, false)
	}
}

// readAll makes every read that is due, also after one that fails: there is no later round.
func (r *optionalReader) readAll(ctx context.Context) {
	if f, jobs := r.begin(true); len(jobs) > 0 {
		r.round(ctx, f, jobs, true)
	}
}

// begin returns the jobs of a round by region and subject; none if there is nothing to do. All says that they are not spread over the
// interval.
func (r *optionalReader) begin(all bool) (f *Fleet, jobs [][]job) {
	now := r.now()
	r.history.Lock()
	defer r.history.Unlock()
	if r.last.IsZero() {
		r.last = now
	}
	f = r.history.fleet
	if r.reading || len(f.Optional) == 0 {
		return f, nil
	}
	targets := map[laneKey][]Target{}
	for _, t := range r.history.targets() {
		targets[t.lane()] = append(targets[t.lane()], t)
	}
	for _, instances := range targets {
		for _, o := range f.Optional {
			due := r.due(o, instances, now)
			if !all {
				due = due[:min(len(due), readsPerRound(len(instances), o.Interval, now.Sub(r.last)))]
			}
			if len(due) > 0 {
				jobs = append(jobs, due)
			}
		}
	}
	r.reading, r.last = len(jobs) > 0, now
	return f, jobs
}

// due returns the reads of a subject that are due, those first that were made longest ago. The caller holds the lock.
func (r *optionalReader) due(o OptionalRead, instances []Target, now time.Time) (jobs []job) {
	for _, t := range instances {
		h := r.history.instance(t)
		if h == nil {
			continue
		}
		trigger, wanted := o.triggerOf(h.facts)
		if one := h.optionalRead(o.Subject); wanted && one.due(trigger, o.Interval, now) {
			running := h.facts != nil && !h.facts.RunningStart.IsZero()
			jobs = append(jobs, job{o, t, trigger, one.tried, running})
		}
	}
	slices.SortStableFunc(jobs, func(a, b job) int {
		rank := func(j job) int { // the policy says when a running backup is stuck
			if j.running {
				return 0
			}
			return 1
		}
		return cmp.Or(a.tried.Compare(b.tried), cmp.Compare(rank(a), rank(b)))
	})
	return jobs
}

// readsPerRound returns how many of some instances to read when a time has passed since the last round.
func readsPerRound(instances int, interval, passed time.Duration) int {
	part := min(1, max(0, passed.Seconds()/interval.Seconds()))
	return max(minReadsPerRound, int(math.Ceil(part*float64(instances))))
}

// round makes the reads of each region and subject one after another, and those of different ones at the same time: one that hangs holds
// up no other.
func (r *optionalReader) round(ctx context.Context, f *Fleet, jobs [][]job, all bool) {
	var rows sync.WaitGroup
	for _, row := range jobs {
		rows.Go(func() {
			for _, j := range row {
				if ctx.Err() != nil || !r.read(ctx, f, j) && !all {
					return
				}
			}
		})
	}
	rows.Wait()
	r.history.Lock()
	defer r.history.Unlock()
	r.reading = false
}

// read makes a read and reports whether the next one of its region and subject makes sense now.
func (r *optionalReader) read(ctx context.Context, f *Fleet, j job) (goOn bool) {
	ctx, cancel := context.WithTimeout(ctx, optionalPatience)
	defer cancel()
	apply, err := j.read(ctx, j.target, r.now)
	now := r.now()
	r.history.Lock()
	defer r.history.Unlock()
	if r.history.fleet != f { // a reload came between; the new fleet makes its own rounds
		return false
	}
	h := r.history.instance(j.target)
	if h == nil {
		return true
	}
	h.optionalRead(j.Subject).observe(j.trigger, apply, err, now)
	if err == nil {
		return true
	}
	reason := apiclient.ReasonOf(err)
	logged := level.Debug(r.logger)
	if r.history.optionalErrors.add(j.Operation, reason) {
		logged = level.Warn(r.logger)
	}
	logged.Log("msg", "reading policies or restores failed, backups are still read", "subject", j.Subject, "operation", j.Operation,
		"instance_id", j.target.InstanceID, "region_id", j.target.RegionID, "account", j.target.Account, "reason", reason, "err", err)
	return !isTransient(reason)
}
