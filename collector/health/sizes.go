package health

import (
	"maps"
	"math"
	"slices"

	"starrocks_backup_exporter/apiclient"
)

const (
	shrunkWindow = 7        // successes that the newest one is compared with
	shrunkFloor  = 10 << 30 // bytes; sizes are whole GiB, so smaller ones say too little
)

// Sizes caches what completed tasks hold, by BackupTaskId. A completed task does not change, so its subtasks are decoded once.
type Sizes map[string]taskSize

type taskSize struct {
	listed    bool    // the API listed subtasks, possibly none
	bytes     float64 // NaN if unknown
	databases []string
}

func sizeOf(b *apiclient.Backup, subtasks []apiclient.SubTask) taskSize {
	s := taskSize{listed: b.ListsSubTasks(), bytes: math.NaN()}
	databases := map[string]struct{}{}
	for _, t := range subtasks {
		s.bytes = addKnown(s.bytes, t.Bytes)
		databases[t.Database] = struct{}{}
	}
	s.databases = slices.Collect(maps.Keys(databases))
	return s
}

// sizesOf returns the sizes of the newest success, whose subtasks are given, and of the successes before it, which it looks up in
// cached before it decodes them.
func sizesOf(good []*apiclient.Backup, newest []apiclient.SubTask, cached Sizes) (Sizes, error) {
	sizes := Sizes{good[0].TaskID: sizeOf(good[0], newest)}
	for _, b := range good[1:] {
		s, ok := cached[b.TaskID]
		if !ok {
			subtasks, err := b.SubTasks()
			if err != nil {
				return nil, err
			}
			s = sizeOf(b, subtasks)
		}
		sizes[b.TaskID] = s
	}
	return sizes, nil
}

// shrunk reports whether the newest success holds less than half of the largest before it, or lacks a database of the one before it.
func shrunk(good []*apiclient.Backup, sizes Sizes) bool {
	newest := sizes[good[0].TaskID]
	largest := 0.0
	for _, b := range good[1:] {
		if s := sizes[b.TaskID]; s.bytes > largest {
			largest = s.bytes
		}
	}
	if largest >= shrunkFloor && newest.bytes < largest/2 {
		return true
	}
	if len(good) == 1 || !newest.listed {
		return false
	}
	return slices.ContainsFunc(sizes[good[1].TaskID].databases, func(name string) bool { return !slices.Contains(newest.databases, name) })
}
