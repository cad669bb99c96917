package fleet

import (
	"maps"
	"time"

	"starrocks_backup_exporter/apiclient"
	"starrocks_backup_exporter/collector/health"
)

// forgetAfter is how long a task is remembered after the first read that did not list it, so that a task missed on a page is not
// counted twice.
const forgetAfter = 24 * time.Hour

// instanceHistory is what is known of an instance from all reads. Only history uses it.
type instanceHistory struct {
	totals    InstanceTotals
	firstRead time.Time
	seen      map[string]seenTask // by BackupTaskId
	sizes     health.Sizes
	reason    apiclient.Reason // why the last read failed; empty if it did not
	turn      time.Time        // when it was read last, or tried to be
}

type seenTask struct {
	ended  bool
	missed time.Time // the first read since that did not list it; zero while it is listed
}

func newInstanceHistory() *instanceHistory {
	return &instanceHistory{
		totals: InstanceTotals{Errors: map[apiclient.Reason]int{}, Finished: map[apiclient.Status]int{}},
		seen:   map[string]seenTask{},
	}
}

// copyTotals returns the totals, independent of what is counted later.
func (h *instanceHistory) copyTotals() InstanceTotals {
	t := h.totals
	t.Errors, t.Finished = maps.Clone(t.Errors), maps.Clone(t.Finished)
	return t
}

// failed counts a failed read. It returns the reason of the read before.
func (h *instanceHistory) failed(reason apiclient.Reason) (before apiclient.Reason) {
	before, h.reason = h.reason, reason
	h.totals.Errors[reason]++
	return before
}

// succeeded counts a complete read. It returns the reason why the read before failed, if it did.
func (h *instanceHistory) succeeded(backups []apiclient.Backup, sizes health.Sizes, at time.Time) (before apiclient.Reason) {
	before, h.reason = h.reason, ""
	h.sizes, h.totals.LastRead = sizes, at
	h.countFinished(backups, at)
	return before
}

// countFinished counts the tasks that ended since the first read: those that it saw unfinished before, and those whose end lies after
// it. An old task that returns after a page missed it is neither.
func (h *instanceHistory) countFinished(backups []apiclient.Backup, at time.Time) {
	first := h.firstRead.IsZero()
	if first {
		h.firstRead = at
	}
	listed := make(map[string]struct{}, len(backups))
	for i := range backups {
		b := &backups[i]
		before, known := h.seen[b.TaskID]
		if b.Status.Ended() && !before.ended && !first && (known || health.EndOf(b).After(h.firstRead)) {
			h.totals.Finished[b.Status]++
		}
		h.seen[b.TaskID] = seenTask{ended: before.ended || b.Status.Ended()}
		listed[b.TaskID] = struct{}{}
	}
	for id, task := range h.seen {
		if _, ok := listed[id]; ok {
			continue
		}
		if task.missed.IsZero() {
			task.missed = at
			h.seen[id] = task
		}
		if at.Sub(task.missed) > forgetAfter {
			delete(h.seen, id)
		}
	}
}
