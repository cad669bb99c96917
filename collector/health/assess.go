package health

import (
	"math"
	"slices"
	"time"

	"starrocks_backup_exporter/apiclient"
)

const (
	stuckFactor       = 3
	repeatedly        = 3 // failures in a row
	subscriptionAlert = 24 * time.Hour
)

// Assess decides what is wrong with an instance, from its tasks as one read listed them, its limits and the time of the read.
// Nothing else decides. It returns the sizes to pass to the next list.
// It returns an *apiclient.Error if the subtasks of a task that it needs cannot be decoded.
func Assess(list *List, l Limits) (*Health, Sizes, error) {
	tasks, now := list.Tasks(), list.now
	h := &Health{
		At: now, Conditions: map[Condition]bool{}, Tasks: map[apiclient.Status]int{},
		LastSuccessDuration: math.NaN(), LastSuccessDiskBytes: math.NaN(), LastSuccessDataBytes: math.NaN(), BaselineBytes: math.NaN(),
		SubscriptionEnd: l.SubscriptionEnd,
	}
	good := countTasks(h, tasks)
	countRestorable(h, tasks)
	if len(good) > 0 {
		describeSuccess(h, good[0], l)
	}
	judgeTimes(h, tasks, good, l)
	sizes, err := judgeSubTasks(h, tasks, good, list.cached, l)
	if err != nil {
		return nil, nil, err
	}
	return h, sizes, nil
}

// countTasks sums up the list and returns the good tasks, newest first.
func countTasks(h *Health, tasks []apiclient.Backup) (good []*apiclient.Backup) {
	for i := range tasks {
		b := &tasks[i]
		h.Tasks[b.Status]++
		h.Conditions[Implausible] = h.Conditions[Implausible] || isImplausible(b, h.At)
		switch {
		case isGood(b, h.At):
			good = append(good, b)
		case endedWithoutBackup(b.Status):
			if len(good) == 0 {
				h.ConsecutiveFailures++
			}
			if h.LastFailure.IsZero() {
				h.LastFailure = EndOf(b)
			}
		case b.Status == apiclient.StatusRunning && !b.Start.IsZero():
			h.RunningStart = b.Start // the last one is the earliest
		}
	}
	if len(tasks) > 0 {
		h.LastStatus, h.LastStart, h.Snapshot = tasks[0].Status, tasks[0].Start, tasks[0].Instance
	}
	return good
}

// countRestorable counts the completed tasks that are not expired. A task without any time may be gone and does not count, unless it
// says when it expires.
func countRestorable(h *Health, tasks []apiclient.Backup) {
	forever := false
	for i := range tasks {
		b := &tasks[i]
		at := EndOf(b)
		expired := !b.Expire.IsZero() && !h.At.Before(b.Expire)
		if b.Status != apiclient.StatusCompleted || expired || isImplausible(b, h.At) || at.IsZero() && b.Expire.IsZero() {
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

// judgeTimes sets the conditions that follow from times and statuses.
func judgeTimes(h *Health, tasks []apiclient.Backup, good []*apiclient.Backup, l Limits) {
	c := h.Conditions
	c[Overdue] = !h.Deadline.IsZero() && h.At.After(h.Deadline)
	c[Missing] = h.Restorable == 0 && !firstRunUnderway(h, tasks) && !h.At.Before(l.firstDue(h.At))
	c[Failing] = h.ConsecutiveFailures > 0
	c[FailingRepeatedly] = h.ConsecutiveFailures >= repeatedly
	c[Expiring] = !h.RestorableUntil.IsZero() && h.RestorableUntil.Sub(h.At) <= l.ExpiringWithin && (c[Overdue] || c[Failing])
	c[RetentionTooShort] = !h.LastSuccessExpire.IsZero() && h.LastSuccessExpire.Before(h.Deadline)
	c[StatusUnknown] = h.LastStatus == apiclient.StatusUnknown
	c[SubscriptionEnding] = !l.SubscriptionEnd.IsZero() && l.SubscriptionEnd.Sub(h.At) < subscriptionAlert

	var longest float64 // seconds; 0 without a completed run
	for _, b := range good {
		if s := secondsBetween(b.Start, b.Finish); s > longest {
			longest = s
		}
	}
	running := secondsBetween(h.RunningStart, h.At)
	c[Stuck] = running > l.StuckAfter.Seconds() && running > stuckFactor*longest
}

// firstRunUnderway reports whether the very first backup of the instance is running: no task has ended yet. A task that does not say
// when it started, or says that it starts in the future, may never end and must not silence the instance.
func firstRunUnderway(h *Health, tasks []apiclient.Backup) bool {
	underway := h.Tasks[apiclient.StatusRunning] + h.Tasks[apiclient.StatusPending]
	return underway == len(tasks) && slices.ContainsFunc(tasks, func(b apiclient.Backup) bool {
		return b.Status == apiclient.StatusRunning && !b.Start.IsZero() && !b.Start.After(h.At.Add(clockTolerance))
	})
}

// judgeSubTasks decodes the subtasks that count, and sets the conditions that follow from them: those of the newest task, of the newest
// ended one, of the newest success, and of the successes that it is compared with.
func judgeSubTasks(h *Health, tasks []apiclient.Backup, good []*apiclient.Backup, cached Sizes, l Limits) (Sizes, error) {
	decode := decodeOnce()
	if len(tasks) > 0 && tasks[0].ListsSubTasks() {
		subtasks, err := decode(&tasks[0])
		if err != nil {
			return nil, err
		}
		h.SubTasks = map[apiclient.Status]int{}
		for _, s := range subtasks {
			h.SubTasks[s.Status]++
		}
	}
	if i := slices.IndexFunc(tasks, func(b apiclient.Backup) bool { return b.Status.Ended() }); i >= 0 {
		subtasks, err := decode(&tasks[i])
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
	for _, s := range subtasks {
		h.Conditions[TablesFailed] = h.Conditions[TablesFailed] || endedWithoutBackup(s.Status)
		h.Conditions[StatusUnknown] = h.Conditions[StatusUnknown] || s.Status == apiclient.StatusUnknown
		h.Conditions[Implausible] = h.Conditions[Implausible] || s.Unreadable
	}
	tables := tablesOf(subtasks)
	databases := databasesOf(tables)
	h.Databases = databases[:min(len(databases), l.SubtaskLimit)]
	slices.SortFunc(tables, largestFirst)
	h.Tables = tables[:min(len(tables), l.SubtaskLimit)]
	h.TablesDropped = len(tables) - len(h.Tables)
	return judgeSizes(h, good[:min(len(good), 1+shrunkWindow)], subtasks, cached, l)
}

// judgeSizes compares the newest success, whose subtasks are given, with those before it.
func judgeSizes(h *Health, good []*apiclient.Backup, newest []apiclient.SubTask, cached Sizes, l Limits) (Sizes, error) {
	sizes, err := sizesOf(good, newest, cached)
	if err != nil {
		return nil, err
	}
	h.LastSuccessDataBytes, h.BaselineBytes = sizes[good[0].TaskID].bytes, baseline(good, sizes)
	h.Conditions[Shrunk] = h.BaselineBytes >= shrunkFloor && h.LastSuccessDataBytes < l.ShrunkBelow*h.BaselineBytes ||
		lacksDatabase(good, sizes)
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
