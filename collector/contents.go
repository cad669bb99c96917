package collector

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"starrocks_backup_exporter/apiclient"
)

// Contents is what completed tasks hold, by BackupTaskId. It does not change any more, so one look at each is enough.
type Contents map[string]content

type content struct {
	listed    bool    // the API listed subtasks, be it none
	bytes     float64 // NaN where no size is known
	databases []string
}

// contents looks into the tasks whose subtasks count: the newest, the newest ended, the newest good one and those it
// is compared with.
func (h *Health) contents(sorted []apiclient.Backup, good []*apiclient.Backup, known Contents, l Limits) (Contents, error) {
	if len(sorted) == 0 {
		return nil, nil
	}
	subTasks := onceEach()
	if sorted[0].ListsSubTasks() {
		subtasks, err := subTasks(&sorted[0])
		if err != nil {
			return nil, err
		}
		h.SubTasks = map[apiclient.Status]int{}
		for _, s := range subtasks {
			h.SubTasks[s.Status]++
		}
	}
	if i := slices.IndexFunc(sorted, func(b apiclient.Backup) bool { return b.Status.Ended() }); i >= 0 {
		subtasks, err := subTasks(&sorted[i])
		if err != nil {
			return nil, err
		}
		h.failedTables(subtasks, l.SubtaskLimit)
	}
	if len(good) == 0 {
		return nil, nil
	}
	subtasks, err := subTasks(good[0])
	if err != nil {
		return nil, err
	}
	h.sizes(subtasks, l.SubtaskLimit)
	return h.compare(good[:min(len(good), 1+shrunkWindow)], subtasks, known)
}

// onceEach decodes the subtasks of a task that is asked for twice, as is usual, only once.
func onceEach() func(*apiclient.Backup) ([]apiclient.SubTask, error) {
	known := map[*apiclient.Backup][]apiclient.SubTask{}
	return func(b *apiclient.Backup) ([]apiclient.SubTask, error) {
		if subtasks, ok := known[b]; ok {
			return subtasks, nil
		}
		subtasks, err := b.SubTasks()
		known[b] = subtasks
		return subtasks, err
	}
}

// slim keeps the subtasks that contents would look into, were these all backups, and drops those of the others, so that the
// answers they came in can go. With more backups, contents looks into no others of these.
func slim(backups []apiclient.Backup, known Contents) {
	slices.SortFunc(backups, newestFirst)
	good, ended := 0, false
	for i := range backups {
		b := &backups[i]
		look := i == 0 || b.Status.Ended() && !ended
		ended = ended || b.Status.Ended()
		if b.Status == apiclient.StatusCompleted && !end(b).IsZero() {
			_, seen := known[b.TaskID]
			look = look || good == 0 || good <= shrunkWindow && !seen
			good++
		}
		if look {
			b.KeepSubTasks()
		} else {
			b.DropSubTasks()
		}
	}
}

func failed(s apiclient.SubTask) bool { return s.Status == apiclient.StatusFailed }

func (h *Health) failedTables(subtasks []apiclient.SubTask, limit int) {
	tables := addUp(slices.DeleteFunc(slices.Clone(subtasks), func(s apiclient.SubTask) bool { return !failed(s) }))
	slices.SortFunc(tables, byName)
	h.FailedTables = tables[:min(len(tables), limit)]
}

func (h *Health) sizes(subtasks []apiclient.SubTask, limit int) {
	h.Conditions[TablesFailed] = slices.ContainsFunc(subtasks, failed)
	tables := addUp(subtasks)
	h.Databases = map[string]float64{}
	for _, t := range tables {
		if sum, ok := h.Databases[t.Database]; ok {
			h.Databases[t.Database] = add(sum, t.Bytes)
		} else {
			h.Databases[t.Database] = t.Bytes
		}
	}
	slices.SortFunc(tables, func(a, b Table) int { return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), byName(a, b)) })
	h.Tables = tables[:min(len(tables), limit)]
	h.TablesDropped = len(tables) - len(h.Tables)
}

// compare holds the newest good task, whose subtasks are given, against those before it.
func (h *Health) compare(good []*apiclient.Backup, newest []apiclient.SubTask, known Contents) (Contents, error) {
	learnt := Contents{good[0].TaskID: summarize(good[0], newest)}
	for _, b := range good[1:] {
		c, ok := known[b.TaskID]
		if !ok {
			subtasks, err := b.SubTasks()
			if err != nil {
				return nil, err
			}
			c = summarize(b, subtasks)
		}
		learnt[b.TaskID] = c
	}
	now := learnt[good[0].TaskID]
	h.LastSuccessDataBytes = now.bytes
	largest := 0.0
	for _, b := range good[1:] {
		if c := learnt[b.TaskID]; c.bytes > largest {
			largest = c.bytes
		}
	}
	shrunk := largest >= shrunkFloor && now.bytes < largest/2
	if len(good) > 1 && now.listed {
		for _, database := range learnt[good[1].TaskID].databases {
			shrunk = shrunk || !slices.Contains(now.databases, database)
		}
	}
	h.Conditions[Shrunk] = shrunk
	return learnt, nil
}

func summarize(b *apiclient.Backup, subtasks []apiclient.SubTask) content {
	c := content{listed: b.ListsSubTasks(), bytes: math.NaN()}
	databases := map[string]struct{}{}
	for _, s := range subtasks {
		c.bytes = add(c.bytes, s.Bytes)
		databases[s.Database] = struct{}{}
	}
	c.databases = slices.Collect(maps.Keys(databases))
	return c
}

// addUp makes one Table of all subtasks of the same database and table.
func addUp(subtasks []apiclient.SubTask) []Table {
	type key struct{ database, table string }
	index := make(map[key]int, len(subtasks))
	tables := make([]Table, 0, len(subtasks))
	for _, s := range subtasks {
		k := key{s.Database, s.Table}
		i, ok := index[k]
		if !ok {
			i = len(tables)
			index[k] = i
			tables = append(tables, Table{Database: s.Database, Name: s.Table, Bytes: s.Bytes, start: s.Start, finish: s.Finish})
			continue
		}
		t := &tables[i]
		t.Bytes = add(t.Bytes, s.Bytes)
		if t.start.IsZero() || !s.Start.IsZero() && s.Start.Before(t.start) {
			t.start = s.Start
		}
		if s.Finish.After(t.finish) {
			t.finish = s.Finish
		}
	}
	for i := range tables {
		tables[i].DurationSeconds = seconds(tables[i].start, tables[i].finish)
	}
	return tables
}

// add sums sizes, of which those that are not known (NaN) count for nothing.
func add(a, b float64) float64 {
	switch {
	case math.IsNaN(a):
		return b
	case math.IsNaN(b):
		return a
	default:
		return a + b
	}
}

func byName(a, b Table) int {
	return cmp.Or(cmp.Compare(a.Database, b.Database), cmp.Compare(a.Name, b.Name))
}
