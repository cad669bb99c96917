package health

import (
	"cmp"
	"time"

	"starrocks_backup_exporter/apiclient"
)

// clockTolerance is how far the clocks of the API and of the exporter may differ.
const clockTolerance = 15 * time.Minute

// pendingTolerance is how far ahead a task may be planned.
const pendingTolerance = 7 * 24 * time.Hour

// newestFirst orders tasks by BackupStartTime, then BackupTaskId.
func newestFirst(a, b *apiclient.Backup) int {
	return cmp.Or(startOf(b).Compare(startOf(a)), cmp.Compare(b.TaskID, a.TaskID))
}

// oldest is before any time that the API can give: the service is younger.
var oldest = time.Date(2015, time.January, 1, 0, 0, 0, 0, time.UTC)

// isImplausible reports whether a task contradicts itself or the clock, or has a value that cannot be read. Only an ended task has a
// finish time that counts: the API may give a running one some, too. A pending task may start later.
func isImplausible(b *apiclient.Backup, now time.Time) bool {
	future := func(t time.Time) bool { return t.After(now.Add(clockTolerance)) }
	ancient := func(t time.Time) bool { return !t.IsZero() && t.Before(oldest) }
	switch {
	case len(b.Unreadable) > 0, ancient(b.Start), ancient(b.Finish), ancient(b.Expire):
		return true
	case b.Status.Ended():
		return future(EndOf(b)) || !b.Finish.IsZero() && b.Finish.Before(b.Start)
	case b.Status == apiclient.StatusRunning:
		return future(b.Start)
	case b.Status == apiclient.StatusPending:
		return b.Start.After(now.Add(pendingTolerance))
	default:
		return future(b.Start) || future(b.Finish)
	}
}

// isGood reports whether a task completed at a known and plausible time.
func isGood(b *apiclient.Backup, now time.Time) bool {
	return b.Status == apiclient.StatusCompleted && !EndOf(b).IsZero() && !isImplausible(b, now)
}

// endedWithoutBackup reports whether a task ended and produced no backup. StarRocks ends a job that failed as CANCELLED.
func endedWithoutBackup(s apiclient.Status) bool {
	return s == apiclient.StatusFailed || s == apiclient.StatusCanceled
}

// EndOf returns when a task ended. A task without a finish time counts as ended at its start, which errs on the old side.
func EndOf(b *apiclient.Backup) time.Time {
	if b.Finish.IsZero() {
		return b.Start
	}
	return b.Finish
}

// startOf returns when a task started; its end if the API does not say.
func startOf(b *apiclient.Backup) time.Time {
	if b.Start.IsZero() {
		return b.Finish
	}
	return b.Start
}
