package health

import (
	"math"
	"slices"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
)

const (
	shrunkWindow = 7        // successes that the newest one is compared with
	shrunkFloor  = 10 << 30 // bytes; sizes are whole GiB, so smaller ones say too little
)

// Sizes caches what completed tasks hold, by BackupTaskId. A completed task does not change, so its subtasks are decoded once, unless an
// answer listed none.
type Sizes map[string]taskSize

type taskSize struct {
	listed    bool     // the API listed subtasks, possibly none
	bytes     float64  // NaN if unknown
	partial   bool     // a table that did not fail has no size
	databases []string // in order, without one that has no name
}

// known reports whether the API listed what the task holds. If not, a later answer may, so the task is decoded again.
func (s taskSize) known() bool { return s.listed && (len(s.databases) > 0 || !math.IsNaN(s.bytes)) }

func sizeOf(b *apiclient.Backup, subtasks []apiclient.SubTask) taskSize {
	s := taskSize{listed: b.ListsSubTasks(), bytes: math.NaN()}
	for _, t := range subtasks {
		s.bytes = addKnown(s.bytes, t.Bytes)
		s.partial = s.partial || math.IsNaN(t.Bytes) && !t.Status.EndedWithoutBackup()
		if t.Database != "" {
			s.databases = append(s.databases, t.Database)
		}
	}
	slices.Sort(s.databases)
	s.databases = slices.Clone(slices.Compact(s.databases)) // without the space of all subtasks
	return s
}

// sizesOf returns the sizes of the newest success, whose subtasks are given, and of the successes before it, which it looks up in
// cached before it decodes them. Mostly they have the same databases, and share one list.
func sizesOf(good []*apiclient.Backup, newest []apiclient.SubTask, cached Sizes) (Sizes, error) {
	newer := sizeOf(good[0], newest)
	sizes := Sizes{good[0].TaskID: newer}
	for _, b := range good[1:] {
		s := cached[b.TaskID]
		if !s.known() {
			subtasks, err := b.SubTasks()
			if err != nil {
				return nil, err
			}
			s = sizeOf(b, subtasks)
		}
		if slices.Equal(s.databases, newer.databases) {
			s.databases = newer.databases
		}
		sizes[b.TaskID], newer = s, s
	}
	return sizes, nil
}

// baseline returns the largest data size of the successes before the newest, NaN if none is known.
func baseline(good []*apiclient.Backup, sizes Sizes) float64 {
	largest := math.NaN()
	for _, b := range good[1:] {
		if s := sizes[b.TaskID].bytes; s > largest || math.IsNaN(largest) {
			largest = s
		}
	}
	return largest
}

// missingDatabases returns the databases that the newest success lacks and the success before it has.
func missingDatabases(good []*apiclient.Backup, sizes Sizes) (missing []string) {
	newest := sizes[good[0].TaskID]
	if len(good) < 2 || !newest.listed {
		return nil
	}
	for _, name := range sizes[good[1].TaskID].databases {
		if _, found := slices.BinarySearch(newest.databases, name); !found {
			missing = append(missing, name)
		}
	}
	return missing
}
