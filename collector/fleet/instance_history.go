package fleet

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
	"git.example.com/starrocks/starrocks_backup_exporter/collector/health"
)

// forgetAfter is how long a task is remembered after the first read that did not list it, so that a task missed on a page is not
// counted twice.
const forgetAfter = 24 * time.Hour

// instanceHistory is what is known of an instance from all reads. Only history uses it.
type instanceHistory struct {
	totals       InstanceTotals
	firstRead    time.Time
	seen         []seenTask // in the order of their ids: a map takes twice the memory
	completeRead            // the last; its facts are nil before the first
	foreign      int        // tasks of another instance in the last list
	turn         time.Time  // when it was last read, or a read was last tried
	failing      bool       // the last read failed, or did not finish in time
	// forgotten is the latest end of a task that was seen to end and then forgotten. A task that ended by then was counted, or is too old.
	forgotten time.Time
	optional  map[string]*optionalHistory // by subject
	// What the newest list says of the instance.
	created, subscriptionEnd time.Time
}

type seenTask struct {
	id     string // BackupTaskId
	end    health.Instant
	missed time.Time // the first read since that did not list it; zero while it is listed
	ended  bool
}

func newInstanceHistory() *instanceHistory {
	return &instanceHistory{
		totals:   InstanceTotals{Errors: map[apiclient.Reason]int{}, Finished: map[apiclient.Status]int{}},
		optional: map[string]*optionalHistory{},
	}
}

// copyTotals returns the totals, independent of what is counted later.
func (h *instanceHistory) copyTotals() InstanceTotals {
	t := h.totals
	t.LastRead = h.at
	t.Errors, t.Finished = maps.Clone(t.Errors), maps.Clone(t.Finished)
	return t
}

// optionalRead returns the history of an optional read.
func (h *instanceHistory) optionalRead(subject string) *optionalHistory {
	if h.optional[subject] == nil {
		h.optional[subject] = &optionalHistory{}
	}
	return h.optional[subject]
}

// readOptionalAgain makes every optional read due. What is known is kept until then.
func (h *instanceHistory) readOptionalAgain() {
	for _, one := range h.optional {
		one.tried = time.Time{}
	}
}

// failed counts a failed read.
func (h *instanceHistory) failed(reason apiclient.Reason) {
	h.failing = true
	h.totals.Errors[reason]++
}

// completeRead is what is known from a complete read.
type completeRead struct {
	facts      *health.Facts
	fleet      *Fleet    // that it was read for
	at         time.Time // its end
	collection int       // the number of the collection
}

// succeeded counts a complete read.
func (h *instanceHistory) succeeded(read completeRead) {
	h.completeRead, h.failing = read, false
	h.countFinished(read.facts.Tasks, read.at)
}

// countFinished counts the tasks that ended since the first read: those that it saw unfinished before, and those whose end lies after
// it. An old task that returns after a page missed it is neither.
func (h *instanceHistory) countFinished(tasks []health.Task, at time.Time) {
	first := h.firstRead.IsZero()
	if first {
		h.firstRead = at
	}
	for i := range h.seen {
		if s := &h.seen[i]; s.missed.IsZero() {
			s.missed = at // unless it is among the tasks
		}
	}
	for i := range tasks {
		t := &tasks[i]
		place, known := slices.BinarySearchFunc(h.seen, t.ID, func(s seenTask, id string) int { return cmp.Compare(s.id, id) })
		if !known {
			h.seen = slices.Insert(h.seen, place, seenTask{})
		}
		before := &h.seen[place]
		isNew := t.End().After(h.firstRead) && t.End().After(h.forgotten)
		if t.Status.Ended() && !before.ended && !first && (known || isNew) {
			h.totals.Finished[t.Status]++
		}
		*before = seenTask{id: t.ID, end: cmp.Or(t.Finish, t.Start), ended: before.ended || t.Status.Ended()}
	}
	h.seen = slices.DeleteFunc(h.seen, func(s seenTask) bool {
		old := !s.missed.IsZero() && at.Sub(s.missed) > forgetAfter
		if old {
			h.forget(s)
		}
		return old
	})
}

// forget notes the end of a task that is remembered no longer.
func (h *instanceHistory) forget(s seenTask) {
	end := s.end.Time()
	if end.After(s.missed) { // an end in the future must not hide the tasks until then
		end = s.missed
	}
	if s.ended && end.After(h.forgotten) {
		h.forgotten = end
	}
}
