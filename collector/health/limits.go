package health

import (
	"math"
	"time"

	"git.example.com/starrocks/starrocks_backup_exporter/schedule"
)

const stuckFactor = 3 // of the longest run

// Limits is what an instance's backups are compared with. It also carries what is known of the instance itself.
type Limits struct {
	MaxAge          time.Duration      // an older newest success is overdue; 0 if only the schedule counts
	Schedule        *schedule.Schedule // nil if only MaxAge counts
	Grace           time.Duration      // time from the scheduled start until the backup must have finished
	StuckAfter      time.Duration      // a run is stuck only after this time; the policy's timeout replaces it if known
	ExpiringWithin  time.Duration      // time before the last expiry at which a missing replacement counts
	ShrunkBelow     float64            // fraction of the baseline
	Created         time.Time          // of the instance (BeginTime); zero if unknown
	SubscriptionEnd time.Time          // of the instance (ExpireTime); zero if unknown or not on subscription
	Unlisted        bool               // the list that has them has not been read yet

	// What the optional reads know; nil if unknown.
	Policies      *Policies
	Restores      *Restores
	Cancellations *Cancellations

	PoliciesAwaited bool          // they are unknown, and will soon be read
	RestoreMaxAge   time.Duration // without a newer completed restore, restoring is untested; 0 if it never is
}

// stuckAfter returns after how many seconds a running task is stuck. The policy's timeout ends a task itself, unless one has taken longer.
func (l Limits) stuckAfter(longestRun float64) float64 {
	if timeout := l.Policies.TimeoutSeconds(); !math.IsNaN(timeout) {
		return max(timeout, longestRun) + ClockTolerance.Seconds()
	}
	return max(l.StuckAfter.Seconds(), stuckFactor*longestRun)
}

// created returns when the instance was created; zero if unknown. An absurd creation must not silence the instance.
func (l Limits) created(now time.Time) time.Time {
	if l.Created.After(now.Add(ClockTolerance)) {
		return time.Time{}
	}
	return l.Created
}

// restoreDue returns when a newer restore must have completed.
func (l Limits) restoreDue(now time.Time) time.Time {
	last := l.Restores.Last
	if created := l.created(now); created.After(last) {
		last = created
	}
	return last.Add(l.RestoreMaxAge)
}

// firstDue returns when the first backup of the instance must have finished; zero if its creation is unknown.
func (l Limits) firstDue(now time.Time) time.Time {
	created := l.created(now)
	if created.IsZero() {
		return time.Time{}
	}
	return l.due(created, created)
}

// due returns when a newer success than one with a start and an end must have finished: the earlier of what age and schedule say.
func (l Limits) due(start, end time.Time) (at time.Time) {
	if l.MaxAge > 0 {
		at = end.Add(l.MaxAge)
	}
	if l.Schedule == nil {
		return at
	}
	if run := l.Schedule.After(start); !run.IsZero() && (at.IsZero() || run.Add(l.Grace).Before(at)) {
		at = run.Add(l.Grace)
	}
	return at
}
