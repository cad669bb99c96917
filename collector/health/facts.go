package health

import (
	"math"
	"slices"
	"time"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
)

// Facts is what one read says of an instance, before it is compared with limits and the time. An unknown time is zero, an unknown number
// NaN. Sizes are bytes, durations seconds. A success is a good backup: completed and plausible.
type Facts struct {
	ReadAt time.Time
	Answer apiclient.Fingerprint // fingerprint of the answer; zero if even an identical answer must be examined again
	// Certain reports that no task lies ahead of the clock, so that the facts hold at any later time, too.
	Certain bool

	Tasks               []Task // newest first
	Count               map[apiclient.Status]int
	RunningStart        time.Time // of the running task that started first
	ConsecutiveFailures int       // tasks that ended without a backup since the newest success
	LastFailure         time.Time

	LastSuccess          time.Time
	LastSuccessDuration  float64
	LastSuccessExpire    time.Time
	LastSuccessDiskBytes float64
	LastSuccessDataBytes float64
	BaselineBytes        float64 // what Shrunk compares LastSuccessDataBytes with
	LongestRun           float64 // of the successes; 0 if unknown

	Databases        []Database               // of the newest success, largest first
	Tables           []Table                  // of the newest success, largest first
	TablesDropped    int                      // left out of Tables by the limit
	FailedTables     TableList                // of the newest ended task
	LackingTables    TableList                // that the newest success lacks because their subtask failed or was canceled
	UnknownTables    TableList                // of the newest success, whose status is not known
	UnknownTableWord string                   // such a status as the API wrote it
	UnreadableTables TableList                // of the newest success, with a time or size that cannot be read
	MissingDatabases []string                 // that the newest success lacks and the success before it has
	SubTasks         map[apiclient.Status]int // of the newest task; nil if it lists none
	Snapshot         *apiclient.InstanceSnapshot
	Sizes            Sizes // for the list of the next read

	lastStart   time.Time // of the newest success; its end if the API does not say
	firstRun    bool      // no task has ended, and one runs
	implausible bool      // a task contradicts itself or the clock
	partialSize bool      // LastSuccessDataBytes lacks tables whose size is unknown
}

// LastStatus returns the status of the newest task, empty without any task.
func (f *Facts) LastStatus() apiclient.Status {
	if len(f.Tasks) == 0 {
		return ""
	}
	return f.Tasks[0].Status
}

// LastBegun returns the newest task that is not planned for later, zero if there is none. A policy's next run may be listed long before it
// starts.
func (f *Facts) LastBegun() (t Task) {
	for _, t = range f.Tasks {
		if t.Status != apiclient.StatusPending || !t.Start.Time().After(f.ReadAt) {
			return t
		}
	}
	return Task{}
}

// LastStart returns when the newest task started.
func (f *Facts) LastStart() time.Time {
	if len(f.Tasks) == 0 {
		return time.Time{}
	}
	return f.Tasks[0].Start.Time()
}

// Examine sums up the tasks that one read listed. At most tables tables, and databases, are kept.
// It returns an *apiclient.Error if the subtasks of a task that it needs cannot be decoded.
func Examine(list *List, tables int) (*Facts, error) {
	f := &Facts{
		ReadAt: list.now, Certain: true, Count: map[apiclient.Status]int{},
		LastSuccessDuration: math.NaN(), LastSuccessDiskBytes: math.NaN(), LastSuccessDataBytes: math.NaN(), BaselineBytes: math.NaN(),
	}
	tasks := list.Tasks()
	good := f.addTasks(tasks)
	if len(good) > 0 {
		f.describeSuccess(good[0])
	}
	f.implausible = f.implausible || f.Undated() != nil
	for _, b := range good {
		if s := secondsBetween(b.Start, b.Finish); s > f.LongestRun {
			f.LongestRun = s
		}
	}
	if err := f.addSubTasks(tasks, good, list.cached, tables); err != nil {
		return nil, err
	}
	return f, nil
}

// addTasks adds every task and returns the good ones, newest first.
func (f *Facts) addTasks(tasks []apiclient.Backup) (good []*apiclient.Backup) {
	f.Tasks = make([]Task, 0, len(tasks))
	for i := range tasks {
		b := &tasks[i]
		ahead := isAhead(b, f.ReadAt)
		implausible := ahead || contradictsItself(b)
		f.Certain = f.Certain && !ahead
		f.implausible = f.implausible || implausible
		f.Count[b.Status]++
		f.Tasks = append(f.Tasks, newTask(b, implausible))
		switch {
		case isGood(b, f.ReadAt):
			good = append(good, b)
		case b.Status.EndedWithoutBackup() && !ahead: // one that ends in the future says nothing about what is newest
			if len(good) == 0 {
				f.ConsecutiveFailures++
			}
			if f.LastFailure.IsZero() {
				f.LastFailure = endOf(b)
			}
		case b.Status == apiclient.StatusRunning && !b.Start.IsZero():
			f.RunningStart = b.Start // the last one is the earliest
		}
	}
	if len(tasks) > 0 {
		f.Snapshot = tasks[0].Instance
	}
	f.firstRun = firstRunUnderway(f, tasks)
	return good
}

// Undated returns a task that ended and does not say when: it may be newer than all others. Nil if there is none. A completed one counts
// only if there is no good backup; otherwise that backup's deadline applies.
func (f *Facts) Undated() *Task {
	for i := range f.Tasks {
		t := &f.Tasks[i]
		if t.Status.Ended() && t.Start == 0 && t.Finish == 0 && (t.Status != apiclient.StatusCompleted || f.LastSuccess.IsZero()) {
			return t
		}
	}
	return nil
}

// firstRunUnderway reports whether the very first backup of the instance is running: no task has ended yet. A task that does not say
// when it started, or says that it starts in the future, may never end and must not silence the instance.
func firstRunUnderway(f *Facts, tasks []apiclient.Backup) bool {
	underway := f.Count[apiclient.StatusRunning] + f.Count[apiclient.StatusPending]
	return underway == len(tasks) && slices.ContainsFunc(tasks, func(b apiclient.Backup) bool {
		return b.Status == apiclient.StatusRunning && !b.Start.IsZero() && !isAhead(&b, f.ReadAt)
	})
}

func (f *Facts) describeSuccess(b *apiclient.Backup) {
	f.LastSuccess, f.lastStart = endOf(b), startOf(b)
	f.LastSuccessDuration = secondsBetween(b.Start, b.Finish)
	f.LastSuccessExpire = b.Expire
	f.LastSuccessDiskBytes = b.DiskBytes
}

// addSubTasks decodes the subtasks that count and adds them: those of the newest task, of the newest ended one, of the newest success,
// and of the successes that it is compared with.
func (f *Facts) addSubTasks(tasks []apiclient.Backup, good []*apiclient.Backup, cached Sizes, limit int) error {
	decode := decodeOnce()
	if len(tasks) > 0 && tasks[0].ListsSubTasks() {
		subtasks, err := decode(&tasks[0])
		if err != nil {
			return err
		}
		f.SubTasks = map[apiclient.Status]int{}
		for _, s := range subtasks {
			f.SubTasks[s.Status]++
		}
	}
	if i := slices.IndexFunc(tasks, func(b apiclient.Backup) bool { return b.Status.Ended() }); i >= 0 {
		subtasks, err := decode(&tasks[i])
		if err != nil {
			return err
		}
		f.FailedTables = failedTables(subtasks, limit)
	}
	if len(good) == 0 {
		return nil
	}
	subtasks, err := decode(good[0])
	if err != nil {
		return err
	}
	f.LackingTables = failedTables(subtasks, limit)
	unknown := func(s apiclient.SubTask) bool { return s.Status == apiclient.StatusUnknown }
	f.UnknownTables = tablesWith(subtasks, limit, unknown)
	if i := slices.IndexFunc(subtasks, unknown); i >= 0 {
		f.UnknownTableWord = subtasks[i].StatusWord
	}
	f.UnreadableTables = tablesWith(subtasks, limit, func(s apiclient.SubTask) bool { return s.Unreadable })
	tables := tablesOf(subtasks)
	databases := databasesOf(tables)
	f.Databases = slices.Clone(databases[:min(len(databases), limit)]) // without the space of those beyond the limit
	slices.SortFunc(tables, largestFirst)
	f.Tables = slices.Clone(tables[:min(len(tables), limit)])
	f.TablesDropped = len(tables) - len(f.Tables)
	return f.compareSizes(good[:min(len(good), 1+shrunkWindow)], subtasks, cached)
}

// compareSizes compares the newest success, whose subtasks are given, with those before it.
func (f *Facts) compareSizes(good []*apiclient.Backup, newest []apiclient.SubTask, cached Sizes) (err error) {
	if f.Sizes, err = sizesOf(good, newest, cached); err != nil {
		return err
	}
	newestSize := f.Sizes[good[0].TaskID]
	f.LastSuccessDataBytes, f.partialSize, f.BaselineBytes = newestSize.bytes, newestSize.partial, baseline(good, f.Sizes)
	f.MissingDatabases = missingDatabases(good, f.Sizes)
	return nil
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
