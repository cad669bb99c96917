package fleet

import (
	"testing"
	"time"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
	"git.example.com/starrocks/starrocks_backup_exporter/collector/health"
)

// countedReads returns a history that was first read at a time, without any task.
func countedReads(at time.Time) *instanceHistory {
	h := newInstanceHistory()
	h.countFinished(nil, at)
	return h
}

func completedAt(id string, end time.Time) health.Task {
	return health.Task{ID: id, Status: apiclient.StatusCompleted, Start: health.InstantOf(end.Add(-time.Hour)), Finish: health.InstantOf(end)}
}

// A task that is forgotten after a day without a listing is not counted when it returns. A newer one is.
func TestTaskThatReturnsAfterItIsForgotten(t *testing.T) {
	first := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	h := countedReads(first)
	older, newer := completedAt("older", first.Add(time.Hour)), completedAt("newer", first.Add(2*time.Hour))
	h.countFinished([]health.Task{older, newer}, first.Add(3*time.Hour))
	missed := first.Add(4 * time.Hour)
	h.countFinished(nil, missed)
	h.countFinished(nil, missed.Add(forgetAfter))
	if len(h.seen) != 2 {
		t.Errorf("after a day exactly, %d tasks are remembered", len(h.seen))
	}
	h.countFinished(nil, missed.Add(forgetAfter+time.Second))
	if len(h.seen) != 0 {
		t.Errorf("after more than a day, %d tasks are remembered", len(h.seen))
	}
	back := missed.Add(forgetAfter + time.Minute)
	h.countFinished([]health.Task{older, newer}, back)
	if n := h.totals.Finished[apiclient.StatusCompleted]; n != 2 {
		t.Errorf("%d tasks finished, want 2", n)
	}
	h.countFinished([]health.Task{older, newer, completedAt("newest", first.Add(2*time.Hour+time.Second))}, back.Add(time.Minute))
	if n := h.totals.Finished[apiclient.StatusCompleted]; n != 3 {
		t.Errorf("%d tasks finished, want 3", n)
	}
}

// The API may list a finished task as running once more: it finished once.
func TestFinishedTaskThatRunsAgain(t *testing.T) {
	at := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	h := countedReads(at)
	completed := completedAt("a", at.Add(time.Hour))
	running := completed
	running.Status = apiclient.StatusRunning
	for _, b := range []health.Task{running, completed, running, completed} {
		at = at.Add(2 * time.Hour)
		h.countFinished([]health.Task{b}, at)
	}
	if n := h.totals.Finished[apiclient.StatusCompleted]; n != 1 || len(h.totals.Finished) != 1 {
		t.Errorf("counted %v", h.totals.Finished)
	}
}

// A task is forgotten a day after it was last listed, not after it was missed for the first time.
func TestTaskThatIsMissedNowAndThen(t *testing.T) {
	first := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	h := newInstanceHistory()
	running := health.Task{ID: "a", Status: apiclient.StatusRunning, Start: health.InstantOf(first.Add(-time.Hour))}
	h.countFinished([]health.Task{running}, first)
	h.countFinished(nil, first.Add(time.Hour))
	h.countFinished([]health.Task{running}, first.Add(23*time.Hour))
	h.countFinished(nil, first.Add(24*time.Hour))
	h.countFinished(nil, first.Add(26*time.Hour)) // 25 hours after it was missed first
	failed := running
	failed.Status = apiclient.StatusFailed // without a finish time, only the history tells that its end is new
	h.countFinished([]health.Task{failed}, first.Add(27*time.Hour))
	if n := h.totals.Finished[apiclient.StatusFailed]; n != 1 {
		t.Errorf("%d tasks failed, want 1", n)
	}
}

// A task that is forgotten before it ended does not keep others from being counted.
func TestUnfinishedTaskIsForgotten(t *testing.T) {
	first := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	h := countedReads(first)
	pending := health.Task{ID: "a", Status: apiclient.StatusPending, Start: health.InstantOf(first.Add(72 * time.Hour))}
	h.countFinished([]health.Task{pending}, first.Add(time.Hour))
	h.countFinished(nil, first.Add(2*time.Hour))
	h.countFinished(nil, first.Add(2*time.Hour+forgetAfter+time.Second))
	if len(h.seen) != 0 {
		t.Fatalf("%d tasks are remembered", len(h.seen))
	}
	h.countFinished([]health.Task{completedAt("b", first.Add(26*time.Hour))}, first.Add(30*time.Hour))
	if n := h.totals.Finished[apiclient.StatusCompleted]; n != 1 {
		t.Errorf("%d tasks finished, want 1", n)
	}
}

// Tasks that had ended before the first read are not counted, and neither are tasks whose end is unknown.
func TestFirstReadCountsNothing(t *testing.T) {
	first := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	h := newInstanceHistory()
	ahead := completedAt("a clock ahead", first.Add(time.Minute))
	h.countFinished([]health.Task{ahead}, first)
	h.countFinished([]health.Task{ahead, {ID: "no times", Status: apiclient.StatusCompleted}}, first.Add(time.Hour))
	h.countFinished([]health.Task{ahead, completedAt("old", first.Add(-time.Hour)), completedAt("same", first)}, first.Add(2*time.Hour))
	if len(h.totals.Finished) != 0 {
		t.Errorf("counted %v", h.totals.Finished)
	}
}

// What a result holds does not change with later reads.
func TestTotalsAreCopied(t *testing.T) {
	at := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	h := countedReads(at)
	before := h.copyTotals()
	h.failed(apiclient.ReasonTimeout)
	h.countFinished([]health.Task{completedAt("a", at.Add(time.Hour))}, at.Add(2*time.Hour))
	if len(before.Errors)+len(before.Finished) != 0 {
		t.Errorf("the copy changed: %+v", before)
	}
	if after := h.copyTotals(); after.Errors[apiclient.ReasonTimeout] != 1 || after.Finished[apiclient.StatusCompleted] != 1 {
		t.Errorf("totals %+v", after)
	}
}
