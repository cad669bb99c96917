package health

import (
	"cmp"
	"math"
	"slices"
	"time"

	"starrocks_backup_exporter/apiclient"
)

const (
	stuckAfter     = 4 * time.Hour
	stuckFactor    = 3
	expiringWithin = 24 * time.Hour
)

// Assess decides what is wrong with an instance, from its backups as one read listed them, its limits and the time of the read.
// Nothing else decides. It takes the sizes that earlier reads returned and returns those to pass next time.
// It returns an *apiclient.Error if the subtasks of a task that it needs cannot be decoded.
func Assess(backups []apiclient.Backup, cached Sizes, l Limits, now time.Time) (*Health, Sizes, error) {
	sorted := slices.Clone(backups)
	slices.SortFunc(sorted, newestFirst)
	h := &Health{
		At: now, Conditions: map[Condition]bool{}, Tasks: map[apiclient.Status]int{},
		LastSuccessDuration: math.NaN(), LastSuccessDiskBytes: math.NaN(), LastSuccessDataBytes: math.NaN(),
	}
	good := countTasks(h, sorted)
	countRestorable(h, sorted, now)
	if len(good) > 0 {
		describeSuccess(h, good[0], l)
	}
	sizes, err := inspectSubTasks(h, sorted, good, cached, l)
	if err != nil {
		return nil, nil, err
	}
	judge(h, sorted, good, now)
	return h, sizes, nil
}

// KeepNeededSubTasks clones the subtasks that Assess needs if these are all backups of an instance, and drops the others, so that the
// memory of the answers can be reused. It sorts the backups. It may be called again with more backups: Assess needs no subtasks
// that an earlier call dropped.
func KeepNeededSubTasks(backups []apiclient.Backup, cached Sizes) {
	slices.SortFunc(backups, newestFirst)
	good, ended := 0, false
	for i := range backups {
		b := &backups[i]
		needed := i == 0 || b.Status.Ended() && !ended
		ended = ended || b.Status.Ended()
		if isGood(b) {
			_, known := cached[b.TaskID]
			needed = needed || good == 0 || good <= shrunkWindow && !known
			good++
		}
		if needed {
			b.KeepSubTasks()
		} else {
			b.DropSubTasks()
		}
	}
}

func newestFirst(a, b apiclient.Backup) int {
	return cmp.Or(b.Start.Compare(a.Start), cmp.Compare(b.TaskID, a.TaskID))
}

// isGood reports whether a task completed at a known time.
func isGood(b *apiclient.Backup) bool {
	return b.Status == apiclient.StatusCompleted && !EndOf(b).IsZero()
}

// countTasks sums up the list and returns the good tasks, newest first.
func countTasks(h *Health, sorted []apiclient.Backup) (good []*apiclient.Backup) {
	completed := false
	for i := range sorted {
		b := &sorted[i]
		h.Tasks[b.Status]++
		if isGood(b) {
			good = append(good, b)
		}
		switch b.Status {
		case apiclient.StatusCompleted:
			completed = true
		case apiclient.StatusFailed:
			if !completed {
				h.ConsecutiveFailures++
			}
			if h.LastFailure.IsZero() {
				h.LastFailure = EndOf(b)
			}
		case apiclient.StatusRunning:
			if !b.Start.IsZero() {
				h.RunningStart = b.Start // the last one is the earliest
			}
		}
	}
	if len(sorted) > 0 {
		h.LastStatus, h.LastStart, h.Snapshot = sorted[0].Status, sorted[0].Start, sorted[0].Instance
	}
	return good
}

// countRestorable counts the completed tasks that are not expired. A task without any time may be gone and does not count.
func countRestorable(h *Health, sorted []apiclient.Backup, now time.Time) {
	forever := false
	for i := range sorted {
		b := &sorted[i]
		at := EndOf(b)
		expired := !b.Expire.IsZero() && !now.Before(b.Expire)
		if b.Status != apiclient.StatusCompleted || expired || at.IsZero() && b.Expire.IsZero() {
			continue
		}
		h.Restorable++
		if !at.IsZero() && (h.OldestRestorable.IsZero() || at.Before(h.OldestRestorable)) {
			h.OldestRestorable = at
		}
		forever = forever || b.Expire.IsZero()
		if b.Expire.After(h.RestorableUntil) {
			h.RestorableUntil = b.Expire
		}
	}
	if forever {
		h.RestorableUntil = time.Time{}
	}
}

func describeSuccess(h *Health, b *apiclient.Backup, l Limits) {
	h.LastSuccess = EndOf(b)
	h.LastSuccessDuration = secondsBetween(b.Start, b.Finish)
	h.LastSuccessExpire = b.Expire
	h.LastSuccessDiskBytes = b.DiskBytes
	h.Deadline = l.deadline(b)
}

// inspectSubTasks decodes the subtasks that count: of the newest task, of the newest ended one, of the newest success, and of
// the successes that it is compared with.
func inspectSubTasks(h *Health, sorted []apiclient.Backup, good []*apiclient.Backup, cached Sizes, l Limits) (Sizes, error) {
	if len(sorted) == 0 {
		return nil, nil
	}
	decode := decodeOnce()
	if sorted[0].ListsSubTasks() {
		subtasks, err := decode(&sorted[0])
		if err != nil {
			return nil, err
		}
		h.SubTasks = map[apiclient.Status]int{}
		for _, s := range subtasks {
			h.SubTasks[s.Status]++
		}
	}
	if i := slices.IndexFunc(sorted, func(b apiclient.Backup) bool { return b.Status.Ended() }); i >= 0 {
		subtasks, err := decode(&sorted[i])
		if err != nil {
			return nil, err
		}
		h.FailedTables = failedTables(subtasks, l.SubtaskLimit)
	}
	if len(good) == 0 {
		return nil, nil
	}
	subtasks, err := decode(good[0])
	if err != nil {
		return nil, err
	}
	h.Conditions[TablesFailed] = slices.ContainsFunc(subtasks, hasFailed)
	describeTables(h, subtasks, l.SubtaskLimit)
	compared := good[:min(len(good), 1+shrunkWindow)]
	sizes, err := sizesOf(compared, subtasks, cached)
	if err != nil {
		return nil, err
	}
	h.LastSuccessDataBytes = sizes[good[0].TaskID].bytes
	h.Conditions[Shrunk] = shrunk(compared, sizes)
	return sizes, nil
}

// decodeOnce decodes the subtasks of a task once: usually one task is the newest, the newest ended and the newest success.
func decodeOnce() func(*apiclient.Backup) ([]apiclient.SubTask, error) {
	decoded := map[*apiclient.Backup][]apiclient.SubTask{}
	return func(b *apiclient.Backup) ([]apiclient.SubTask, error) {
		if subtasks, ok := decoded[b]; ok {
			return subtasks, nil
		}
		subtasks, err := b.SubTasks()
		decoded[b] = subtasks
		return subtasks, err
	}
}

func describeTables(h *Health, subtasks []apiclient.SubTask, limit int) {
	tables := tablesOf(subtasks)
	h.Databases = map[string]float64{}
	for _, t := range tables {
		if sum, ok := h.Databases[t.Database]; ok {
			h.Databases[t.Database] = addKnown(sum, t.Bytes)
		} else {
			h.Databases[t.Database] = t.Bytes
		}
	}
	slices.SortFunc(tables, largestFirst)
	h.Tables = tables[:min(len(tables), limit)]
	h.TablesDropped = len(tables) - len(h.Tables)
}

// judge sets the conditions that follow from times and statuses.
func judge(h *Health, sorted []apiclient.Backup, good []*apiclient.Backup, now time.Time) {
	c := h.Conditions
	underway := h.Tasks[apiclient.StatusRunning] + h.Tasks[apiclient.StatusPending]
	firstRuns := h.Tasks[apiclient.StatusRunning] > 0 && underway == len(sorted)

	c[Overdue] = !h.Deadline.IsZero() && now.After(h.Deadline)
	c[Missing] = h.Restorable == 0 && !firstRuns
	c[Failing] = h.ConsecutiveFailures > 0
	c[Expiring] = !h.RestorableUntil.IsZero() && h.RestorableUntil.Sub(now) <= expiringWithin && (c[Overdue] || c[Failing])
	c[RetentionTooShort] = !h.LastSuccessExpire.IsZero() && h.LastSuccessExpire.Before(h.Deadline)
	c[StatusUnknown] = h.LastStatus == apiclient.StatusUnknown

	var longest float64 // seconds; 0 without a completed run
	for _, b := range good {
		if s := secondsBetween(b.Start, b.Finish); s > longest {
			longest = s
		}
	}
	running := secondsBetween(h.RunningStart, now)
	c[Stuck] = running > stuckAfter.Seconds() && running > stuckFactor*longest
}
