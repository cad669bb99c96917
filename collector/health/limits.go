package health

import (
	"time"

	"starrocks_backup_exporter/apiclient"
	"starrocks_backup_exporter/schedule"
)

// Limits is what an instance's backups are compared with.
type Limits struct {
	MaxAge       time.Duration      // an older newest success is overdue; 0 if only the schedule counts
	Schedule     *schedule.Schedule // nil if only MaxAge counts
	Grace        time.Duration      // time from the scheduled start until the backup must have finished
	SubtaskLimit int                // number of tables exported
}

// deadline returns when a newer success than b must have finished: the earlier of what age and schedule say.
func (l Limits) deadline(b *apiclient.Backup) (at time.Time) {
	if l.MaxAge > 0 {
		at = EndOf(b).Add(l.MaxAge)
	}
	if l.Schedule == nil {
		return at
	}
	start := b.Start
	if start.IsZero() {
		start = EndOf(b)
	}
	if due := l.Schedule.After(start); !due.IsZero() && (at.IsZero() || due.Add(l.Grace).Before(at)) {
		at = due.Add(l.Grace)
	}
	return at
}

// EndOf returns when a task ended. A task without a finish time counts as ended at its start, which errs on the old side.
func EndOf(b *apiclient.Backup) time.Time {
	if b.Finish.IsZero() {
		return b.Start
	}
	return b.Finish
}
