package health

import (
	"slices"
	"time"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
)

// List is the tasks of one instance as one read lists them. It keeps the subtasks that Examine needs and drops all others, so that the
// memory of an answer can be reused once its tasks are added.
type List struct {
	now      time.Time
	cached   Sizes
	expected int                // tasks
	recent   []apiclient.Backup // those that Examine looks into
	others   []apiclient.Backup // without subtasks
	sorted   []apiclient.Backup // all, once Tasks was called
}

// NewList returns an empty list of a read at a time. It takes the sizes that the last complete read found and how many tasks it listed: nil
// and 0 before the first.
func NewList(cached Sizes, tasks int, now time.Time) *List {
	return &List{now: now, cached: cached, expected: tasks}
}

// recentAtMost is how many tasks are recent before the superfluous ones are dropped.
const recentAtMost = 4 + 2*shrunkWindow

// Add adds a task. It copies the subtasks that it keeps: they need not be valid any more afterwards.
func (l *List) Add(b apiclient.Backup) {
	if l.recent == nil {
		l.recent = make([]apiclient.Backup, 0, min(l.expected, recentAtMost)+1)
		l.others = make([]apiclient.Backup, 0, l.expected+1)
	}
	l.place(b)
	if len(l.recent) > recentAtMost {
		sorted := l.recent
		slices.SortFunc(sorted, compareBackups)
		l.recent = sorted[:0] // place never writes beyond the task that it gets
		for _, b := range sorted {
			l.place(b)
		}
	}
}

// place adds a task to those that Examine looks into if no more tasks come, or else to the others: the newest, the newest ended one, the
// newest success, and the successes that it is compared with. Those have no need of subtasks if their sizes are cached.
func (l *List) place(b apiclient.Backup) {
	newest, newestEnded, newer := true, b.Status.Ended(), 0
	for i := range l.recent {
		if other := &l.recent[i]; newestFirst(other, &b) < 0 {
			newest = false
			newestEnded = newestEnded && !other.Status.Ended()
			if isGood(other, l.now) {
				newer++
			}
		}
	}
	compared := isGood(&b, l.now) && newer <= shrunkWindow
	cached := l.cached[b.TaskID].known()
	if newest || newestEnded || compared && (newer == 0 || !cached) {
		b.KeepSubTasks()
	} else {
		b.DropSubTasks()
	}
	if newest || newestEnded || compared {
		l.recent = append(l.recent, b)
	} else {
		l.others = append(l.others, b)
	}
}

// Tasks returns every task of the list, newest first.
func (l *List) Tasks() []apiclient.Backup {
	if l.sorted == nil {
		l.sorted = l.others // which has room for all
		l.sorted = append(l.sorted, l.recent...)
		slices.SortFunc(l.sorted, compareBackups)
	}
	return l.sorted
}

func compareBackups(a, b apiclient.Backup) int { return newestFirst(&a, &b) }
