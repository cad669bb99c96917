package health

import (
	"cmp"
	"time"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
)

// ClockTolerance is how far the clocks of the API and of the exporter may differ.
const ClockTolerance = 15 * time.Minute

// pendingTolerance is how far ahead a task may be planned: a monthly policy has its next run in the list for a month.
const pendingTolerance = 32 * 24 * time.Hour

// newestFirst orders tasks by BackupStartTime, then BackupTaskId.
func newestFirst(a, b *apiclient.Backup) int {
	return cmp.Or(startOf(b).Compare(startOf(a)), cmp.Compare(b.TaskID, a.TaskID))
}

// oldest is before any time that the API can give: the service is younger.
var oldest = time.Date(2015, time.January, 1, 0, 0, 0, 0, time.UTC)

// contradictsItself reports whether a task cannot be true at any time, or has a value that cannot be read. Only an ended task has a finish
// time that counts: the API may give a running one some, too.
func contradictsItself(b *apiclient.Backup) bool {
	ancient := func(t time.Time) bool { return !t.IsZero() && t.Before(oldest) }
	return len(b.Unreadable) > 0 || ancient(b.Start) || ancient(b.Finish) || ancient(b.Expire) ||
		b.Status.Ended() && !b.Finish.IsZero() && b.Finish.Before(b.Start)
}

// isAhead reports whether a task contradicts the clock: it has times that have not come yet. A pending task may start later.
func isAhead(b *apiclient.Backup, now time.Time) bool {
	future := func(t time.Time) bool { return t.After(now.Add(ClockTolerance)) }
	switch b.Status {
	case apiclient.StatusRunning:
		return future(b.Start)
	case apiclient.StatusPending:
		return b.Start.After(now.Add(pendingTolerance))
	default:
		return future(b.Start) || future(b.Finish)
	}
}

// isGood reports whether a task completed at a known and plausible time.
func isGood(b *apiclient.Backup, now time.Time) bool {
	return b.Status == apiclient.StatusCompleted && !endOf(b).IsZero() && !isAhead(b, now) && !contradictsItself(b)
}

// endOf returns when a task ended. A task without a finish time counts as ended at its start, so its backup never looks newer than it is.
func endOf(b *apiclient.Backup) time.Time {
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

// Instant is a time in milliseconds since 1970, as the API gives it; 0 if it is unknown. It takes a third of the memory of a time.Time, and
// tasks are most of what is known of a fleet.
type Instant int64

// InstantOf returns a time as an Instant.
func InstantOf(t time.Time) Instant {
	if t.IsZero() {
		return 0
	}
	return Instant(t.UnixMilli())
}

// Time returns the time, zero if it is unknown.
func (i Instant) Time() time.Time {
	if i == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(i)).UTC()
}

// Task is a backup task without its subtasks.
type Task struct {
	ID          string // BackupTaskId
	Status      apiclient.Status
	StatusWord  string  // as the API wrote it; only if Status is unknown
	Start       Instant // BackupStartTime
	Finish      Instant // BackupFinishedTime; a running task may carry one, so the status decides
	Expire      Instant // ExpireTime; 0 if the backup never expires
	DiskBytes   float64 // Size; NaN if unknown
	Implausible bool    // it contradicts itself or the clock
}

func newTask(b *apiclient.Backup, implausible bool) Task {
	t := Task{
		ID: b.TaskID, Status: b.Status, Start: InstantOf(b.Start), Finish: InstantOf(b.Finish), Expire: InstantOf(b.Expire),
		DiskBytes: b.DiskBytes, Implausible: implausible,
	}
	if t.Status == apiclient.StatusUnknown {
		t.StatusWord = b.StatusWord
	}
	return t
}

// End returns when the task ended. A task without a finish time counts as ended at its start.
func (t *Task) End() time.Time { return cmp.Or(t.Finish, t.Start).Time() }

// Restorable reports whether a task completed and is not expired. A task without any time may be gone and does not count, unless it says
// when it expires.
func (t *Task) Restorable(now time.Time) bool {
	expired := t.Expire != 0 && !now.Before(t.Expire.Time())
	return t.Status == apiclient.StatusCompleted && !expired && !t.Implausible && (!t.End().IsZero() || t.Expire != 0)
}
