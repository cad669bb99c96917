package health

import (
	"time"

	"starrocks_backup_exporter/schedule"
)

// Limits is what an instance's backups are compared with.
type Limits struct {
	MaxAge          time.Duration      // an older newest success is overdue; 0 if only the schedule counts
	Schedule        *schedule.Schedule // nil if only MaxAge counts
	Grace           time.Duration      // time from the scheduled start until the backup must have finished
	StuckAfter      time.Duration      // a shorter run is never stuck
	ExpiringWithin  time.Duration      // time before the last expiry at which a missing replacement counts
	ShrunkBelow     float64            // fraction of the baseline
	Created         time.Time          // of the instance (BeginTime); zero if unknown
	SubscriptionEnd time.Time          // of the instance (ExpireTime); zero if unknown or not on subscription
}

// firstDue returns when the first backup of the instance must have finished; zero if its creation is unknown.
func (l Limits) firstDue(now time.Time) time.Time {
	if l.Created.IsZero() || l.Created.After(now.Add(clockTolerance)) { // an absurd creation must not silence the instance
		return time.Time{}
	}
	return l.due(l.Created, l.Created)
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
