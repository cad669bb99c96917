package collector

import (
	"cmp"
	"math"
	"slices"
	"time"

	"starrocks_backup_exporter/apiclient"
	"starrocks_backup_exporter/schedule"
)

// Condition is something that is wrong with an instance. It is the label `condition` of the metrics.
type Condition string

// The conditions.
const (
	Overdue           Condition = "overdue"             // the deadline for a newer good backup has passed
	Missing           Condition = "missing"             // nothing is restorable
	Failing           Condition = "failing"             // a task failed since the newest completed one
	Stuck             Condition = "stuck"               // a task runs far longer than any before
	Expiring          Condition = "expiring"            // the last restorable backup goes soon, and no new one comes
	RetentionTooShort Condition = "retention_too_short" // the newest success expires before its deadline
	Shrunk            Condition = "shrunk"              // the newest success holds much less than those before it
	TablesFailed      Condition = "tables_failed"       // the newest success has failed subtasks
	StatusUnknown     Condition = "status_unknown"      // the newest task's status is unknown
)

const (
	stuckAfter     = 4 * time.Hour
	stuckFactor    = 3
	expiringWithin = 24 * time.Hour
	shrunkWindow   = 7        // good backups that the newest one is compared with
	shrunkFloor    = 10 << 30 // bytes; below it, sizes in whole GiB say nothing
)

// Conditions returns every condition.
func Conditions() []Condition {
	return []Condition{Overdue, Missing, Failing, Stuck, Expiring, RetentionTooShort, Shrunk, TablesFailed, StatusUnknown}
}

// Limits is what an instance's backups are held against.
type Limits struct {
	MaxAge       time.Duration      // older than this, the newest good backup is overdue; 0: only the schedule counts
	Schedule     *schedule.Schedule // nil: only MaxAge counts
	Grace        time.Duration      // how long after its scheduled start a backup must have finished
	SubtaskLimit int                // tables exported
}

// deadline is when a newer good backup than b must have finished: the earlier of what age and schedule say.
func (l Limits) deadline(b *apiclient.Backup) (at time.Time) {
	if l.MaxAge > 0 {
		at = end(b).Add(l.MaxAge)
	}
	if l.Schedule == nil {
		return at
	}
	began := b.Start
	if began.IsZero() {
		began = end(b)
	}
	if due := l.Schedule.After(began); !due.IsZero() && (at.IsZero() || due.Add(l.Grace).Before(at)) {
		at = due.Add(l.Grace)
	}
	return at
}

// Health is all that is known of an instance from one read. A time that is not known is zero, another value NaN.
type Health struct {
	At         time.Time // of the read
	Conditions map[Condition]bool
	Tasks      map[apiclient.Status]int

	LastStatus          apiclient.Status // empty without any task
	LastStart           time.Time
	RunningStart        time.Time // the running task that started first
	ConsecutiveFailures int
	LastFailure         time.Time

	LastSuccess          time.Time
	LastSuccessDuration  float64 // seconds
	LastSuccessExpire    time.Time
	LastSuccessDiskBytes float64
	LastSuccessDataBytes float64
	Deadline             time.Time

	Restorable       int
	OldestRestorable time.Time
	RestorableUntil  time.Time // also zero where one never expires

	Databases     map[string]float64       // bytes, of the newest success
	Tables        []Table                  // of the newest success, the largest first
	TablesDropped int                      // left out of Tables
	FailedTables  []Table                  // of the newest ended task
	SubTasks      map[apiclient.Status]int // of the newest task; nil where it lists none
	Snapshot      *apiclient.InstanceSnapshot
}

// holding are the conditions that hold.
func (h *Health) holding() (all []Condition) {
	for _, c := range Conditions() {
		if h.Conditions[c] {
			all = append(all, c)
		}
	}
	return all
}

// Table is the backup of one table; one that is listed more than once is added up.
type Table struct {
	Database, Name  string
	Bytes           float64
	DurationSeconds float64
	start, finish   time.Time
}

// Assess decides what is wrong with an instance, from its backups as one read listed them, its limits and the time of
// the read. Nothing else decides. known holds the contents seen by earlier reads; those to know next time come back.
// It is an error, an *apiclient.Error, if the subtasks of a task that needs them cannot be read.
func Assess(backups []apiclient.Backup, known Contents, l Limits, now time.Time) (*Health, Contents, error) {
	sorted := slices.Clone(backups)
	slices.SortFunc(sorted, newestFirst)
	h := &Health{
		At: now, Conditions: map[Condition]bool{}, Tasks: map[apiclient.Status]int{},
		LastSuccessDuration: math.NaN(), LastSuccessDiskBytes: math.NaN(), LastSuccessDataBytes: math.NaN(),
	}
	good := h.tasks(sorted)
	h.restorable(sorted, now)
	h.success(good, l)
	learnt, err := h.contents(sorted, good, known, l)
	if err != nil {
		return nil, nil, err
	}
	h.judge(sorted, good, now)
	return h, learnt, nil
}

func newestFirst(a, b apiclient.Backup) int {
	return cmp.Or(b.Start.Compare(a.Start), cmp.Compare(b.TaskID, a.TaskID))
}

// end is when a task ended. One that ended without a finish time is taken to have ended as it
// started, which errs on the old side.
func end(b *apiclient.Backup) time.Time {
	if b.Finish.IsZero() {
		return b.Start
	}
	return b.Finish
}

// seconds is from start to finish, NaN where that is not known.
func seconds(start, finish time.Time) float64 {
	if start.IsZero() || finish.Before(start) {
		return math.NaN()
	}
	return finish.Sub(start).Seconds()
}

// tasks sums up the list and returns the good ones: completed, at a time that is known.
func (h *Health) tasks(sorted []apiclient.Backup) (good []*apiclient.Backup) {
	completed := false
	for i := range sorted {
		b := &sorted[i]
		h.Tasks[b.Status]++
		switch b.Status {
		case apiclient.StatusCompleted:
			completed = true
			if !end(b).IsZero() {
				good = append(good, b)
			}
		case apiclient.StatusFailed:
			if !completed {
				h.ConsecutiveFailures++
			}
			if h.LastFailure.IsZero() {
				h.LastFailure = end(b)
			}
		case apiclient.StatusRunning:
			if !b.Start.IsZero() {
				h.RunningStart = b.Start // the last one set is the earliest
			}
		}
	}
	if len(sorted) > 0 {
		h.LastStatus, h.LastStart, h.Snapshot = sorted[0].Status, sorted[0].Start, sorted[0].Instance
	}
	return good
}

// restorable counts the completed tasks that are not expired. One without any time at all is not known to be there.
func (h *Health) restorable(sorted []apiclient.Backup, now time.Time) {
	forever := false
	for i := range sorted {
		b := &sorted[i]
		at := end(b)
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

func (h *Health) success(good []*apiclient.Backup, l Limits) {
	if len(good) == 0 {
		return
	}
	b := good[0]
	h.LastSuccess = end(b)
	h.LastSuccessDuration = seconds(b.Start, b.Finish)
	h.LastSuccessExpire = b.Expire
	h.LastSuccessDiskBytes = b.DiskBytes
	h.Deadline = l.deadline(b)
}

// judge sets the conditions that follow from times and statuses; contents has set the others.
func (h *Health) judge(sorted []apiclient.Backup, good []*apiclient.Backup, now time.Time) {
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
		if s := seconds(b.Start, b.Finish); s > longest {
			longest = s
		}
	}
	running := seconds(h.RunningStart, now)
	c[Stuck] = running > stuckAfter.Seconds() && running > stuckFactor*longest
}
