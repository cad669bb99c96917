package health

import (
	"cmp"
	"math"
	"slices"
	"time"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
)

// Table is the backup of one table: the sum of all subtasks with its name.
type Table struct {
	Database, Name  string
	Bytes           float64 // NaN if unknown
	DurationSeconds float64 // from the first start to the last finish; NaN if unknown
}

// tablesOf merges the subtasks of the same database and table.
func tablesOf(subtasks []apiclient.SubTask) []Table {
	type key struct{ database, table string }
	type span struct{ start, finish time.Time }
	index := make(map[key]int, len(subtasks))
	tables, spans := make([]Table, 0, len(subtasks)), make([]span, 0, len(subtasks))
	for _, s := range subtasks {
		k := key{s.Database, s.Table}
		i, ok := index[k]
		if !ok {
			index[k] = len(tables)
			tables, spans = append(tables, Table{Database: s.Database, Name: s.Table, Bytes: s.Bytes}), append(spans, span{s.Start, s.Finish})
			continue
		}
		tables[i].Bytes = addKnown(tables[i].Bytes, s.Bytes)
		t := &spans[i]
		if t.start.IsZero() || !s.Start.IsZero() && s.Start.Before(t.start) {
			t.start = s.Start
		}
		if s.Finish.After(t.finish) {
			t.finish = s.Finish
		}
	}
	for i, t := range spans {
		tables[i].DurationSeconds = secondsBetween(t.start, t.finish)
	}
	return tables
}

// Database is the backup of one database.
type Database struct {
	Name  string
	Bytes float64 // NaN if unknown
}

// databasesOf adds up the tables of each database, and returns the largest databases first.
func databasesOf(tables []Table) []Database {
	index := map[string]int{}
	var all []Database
	for _, t := range tables {
		i, known := index[t.Database]
		if !known {
			index[t.Database] = len(all)
			all = append(all, Database{t.Database, t.Bytes})
			continue
		}
		all[i].Bytes = addKnown(all[i].Bytes, t.Bytes)
	}
	slices.SortFunc(all, func(a, b Database) int { return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Name, b.Name)) })
	return all
}

// TableList names tables, in order: at most as many as a limit allows.
type TableList struct {
	Named []Table
	Total int
}

// tablesWith lists the tables that have a subtask of some kind.
func tablesWith(subtasks []apiclient.SubTask, limit int, is func(apiclient.SubTask) bool) TableList {
	var found []apiclient.SubTask
	for _, s := range subtasks {
		if is(s) {
			found = append(found, s)
		}
	}
	tables := tablesOf(found)
	slices.SortFunc(tables, byName)
	return TableList{slices.Clip(tables[:min(len(tables), limit)]), len(tables)}
}

// failedTables lists the tables with a subtask that ended without a backup.
func failedTables(subtasks []apiclient.SubTask, limit int) TableList {
	return tablesWith(subtasks, limit, func(s apiclient.SubTask) bool { return s.Status.EndedWithoutBackup() })
}

func byName(a, b Table) int {
	return cmp.Or(cmp.Compare(a.Database, b.Database), cmp.Compare(a.Name, b.Name))
}

func largestFirst(a, b Table) int {
	return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), byName(a, b))
}

// addKnown adds two sizes. An unknown one (NaN) counts for nothing.
func addKnown(a, b float64) float64 {
	switch {
	case math.IsNaN(a):
		return b
	case math.IsNaN(b):
		return a
	default:
		return a + b
	}
}

// secondsBetween returns the time from start to finish, NaN if it is unknown.
func secondsBetween(start, finish time.Time) float64 {
	if start.IsZero() || finish.Before(start) {
		return math.NaN()
	}
	return finish.Sub(start).Seconds()
}
