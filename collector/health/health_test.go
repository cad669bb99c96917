package health

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

const tableLimit = 500

func limits() Limits {
	return Limits{
		MaxAge: 26 * time.Hour, StuckAfter: 4 * time.Hour, ExpiringWithin: 24 * time.Hour, ShrunkBelow: 0.5,
	}
}

// assess judges tasks at noon.
func assess(t *testing.T, l Limits, tasks ...apiclient.Backup) *Health {
	t.Helper()
	facts, err := Examine(listOf(nil, tasks...), tableLimit)
	if err != nil {
		t.Fatal(err)
	}
	return facts.Judge(l, noon)
}

// listOf is a list at noon, with the sizes of earlier tasks.
func listOf(cached Sizes, tasks ...apiclient.Backup) *List {
	list := NewList(cached, len(tasks), noon)
	for _, b := range tasks {
		list.Add(b)
	}
	return list
}

// task started some hours before noon and took one.
func task(id string, status apiclient.Status, started float64) apiclient.Backup {
	start := noon.Add(-time.Duration(started * float64(time.Hour)))
	b := apiclient.Backup{TaskID: id, Status: status, Start: start}
	if status.Ended() {
		b.Finish = start.Add(time.Hour)
	}
	if status == apiclient.StatusCompleted {
		b.Expire = start.Add(14 * 24 * time.Hour)
	}
	return b
}

// An absurd task never hides the good one before it.
func TestAbsurdTasksAreNoBackups(t *testing.T) {
	good := task("good", apiclient.StatusCompleted, 40)
	edit := func(change func(*apiclient.Backup)) apiclient.Backup {
		b := task("odd", apiclient.StatusCompleted, 5)
		change(&b)
		return b
	}
	for name, odd := range map[string]apiclient.Backup{
		"finishes in 300 days":          edit(func(b *apiclient.Backup) { b.Finish = noon.AddDate(0, 0, 300) }),
		"starts in 300 days, no finish": edit(func(b *apiclient.Backup) { b.Start, b.Finish = noon.AddDate(0, 0, 300), time.Time{} }),
		"starts and ends in 300 days": edit(func(b *apiclient.Backup) {
			b.Start, b.Finish = noon.AddDate(0, 0, 300), noon.AddDate(0, 0,
				301)
		}),
		"finishes before it starts":      edit(func(b *apiclient.Backup) { b.Finish = b.Start.Add(-time.Second) }),
		"has a value that is unreadable": edit(func(b *apiclient.Backup) { b.Unreadable = []string{"Size"} }),
	} {
		h := assess(t, limits(), odd, good)
		if !h.Conditions[Implausible] || !h.Conditions[Overdue] || h.Restorable != 1 || !h.LastSuccess.Equal(good.Finish) {
			t.Errorf("%s: %v, %d restorable, last success %v", name, h.Holding(), h.Restorable, h.LastSuccess)
		}
		if h = assess(t, limits(), odd); !h.Conditions[Missing] {
			t.Errorf("%s alone: %v", name, h.Holding())
		}
	}
	if h := assess(t, limits(), task("running", apiclient.StatusRunning, -1)); !h.Conditions[Implausible] || !h.Conditions[Missing] {
		t.Errorf("running from the future on: %v", h.Holding())
	}
	if h := assess(t, limits(), task("pending", apiclient.StatusPending, -1), task("good", apiclient.StatusCompleted,
		5)); len(h.Holding()) > 0 {
		t.Errorf("to start in an hour: %v", h.Holding())
	}
}

// A task that lacks a time is ordered and judged by the one it has.
func TestTasksWithoutATime(t *testing.T) {
	older := task("older", apiclient.StatusCompleted, 40)
	noStart, noFinish, neither := task("a", apiclient.StatusCompleted, 5), task("b", apiclient.StatusCompleted, 5), task("c",
		apiclient.StatusCompleted, 5)
	noStart.Start, noFinish.Finish, neither.Start, neither.Finish = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	if h := assess(t, limits(), older, noStart); !h.LastSuccess.Equal(noStart.Finish) || len(h.Holding()) > 0 {
		t.Errorf("without a start: last success %v, %v", h.LastSuccess, h.Holding())
	}
	if h := assess(t, limits(), older, noFinish); !h.LastSuccess.Equal(noFinish.Start) || len(h.Holding()) > 0 {
		t.Errorf("without a finish: last success %v, %v", h.LastSuccess, h.Holding())
	}
	if h := assess(t, limits(), neither); !h.LastSuccess.IsZero() || h.Restorable != 1 || h.Conditions[Missing] {
		t.Errorf("without any time but an expiry: last success %v, %d restorable, %v", h.LastSuccess, h.Restorable, h.Holding())
	}
	neither.Expire = time.Time{}
	failed := task("d", apiclient.StatusFailed, 5)
	if h := assess(t, limits(), failed, neither); !h.Conditions[Missing] || h.ConsecutiveFailures != 1 {
		t.Errorf("without any time: %v, %d failures", h.Holding(), h.ConsecutiveFailures)
	}
}

// A new instance is not missing a backup before its first one is due.
func TestMissingWaitsForTheFirstBackup(t *testing.T) {
	for name, c := range map[string]struct {
		created time.Time
		missing bool
	}{
		"just before it is due": {noon.Add(-26 * time.Hour).Add(time.Second), false},
		"when it is due":        {noon.Add(-26 * time.Hour), true},
		"unknown":               {time.Time{}, true},
		"in the future":         {noon.AddDate(1, 0, 0), true},
		"a clock slightly off":  {noon.Add(10 * time.Minute), false},
	} {
		l := limits()
		l.Created = c.created
		if h := assess(t, l); h.Conditions[Missing] != c.missing {
			t.Errorf("%s: %v", name, h.Holding())
		}
	}
}

func TestSubscriptionEnding(t *testing.T) {
	for left, ending := range map[time.Duration]bool{24 * time.Hour: false, 24*time.Hour - time.Second: true, -time.Hour: true} {
		l := limits()
		l.SubscriptionEnd = noon.Add(left)
		if h := assess(t, l, task("a", apiclient.StatusCompleted, 5)); h.Conditions[SubscriptionEnding] != ending {
			t.Errorf("%v left: %v", left, h.Holding())
		}
	}
	if h := assess(t, limits(), task("a", apiclient.StatusCompleted, 5)); h.Conditions[SubscriptionEnding] {
		t.Error("no subscription is known")
	}
}

// The order of a list does not matter, nor that most subtasks are dropped on the way, nor what is cached.
func TestListsInAnyOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test's choices
	statuses := apiclient.Statuses()
	for range 300 {
		var tasks []apiclient.Backup
		for n := range random.IntN(60) {
			status := apiclient.StatusCompleted
			if random.IntN(3) == 0 {
				status = statuses[random.IntN(len(statuses))]
			}
			b := task(fmt.Sprintf("bt-%02d", n), status, float64(random.IntN(200)))
			b.SetSubTasks(fmt.Sprintf(`[{"DataBase":"d%d","Table":"t","Status":"success","Size":%d}]`, random.IntN(3), random.IntN(40)))
			if random.IntN(10) == 0 {
				b.Start = time.Time{}
			}
			tasks = append(tasks, b)
		}
		want := &Facts{}
		last := &Facts{}
		for round := range 4 {
			list := NewList(last.Sizes, len(last.Tasks), noon)
			for _, i := range random.Perm(len(tasks)) {
				list.Add(tasks[i])
			}
			got, err := Examine(list, tableLimit)
			if err != nil {
				t.Fatal(err)
			}
			if round == 0 {
				want = got
			} else if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("round %d:\n%+v\n%+v", round, got, want)
			}
			if round > 1 {
				last = got
			}
		}
	}
}

// Names that are many cost no more than linear time, and their number is limited.
func TestTablesAreLimited(t *testing.T) {
	b := task("a", apiclient.StatusCompleted, 5)
	b.SetSubTasks(`[{"DataBase":"small","Table":"t","Size":1},{"DataBase":"large","Table":"t","Size":3},` +
		`{"DataBase":"middle","Table":"t","Size":2}]`)
	h, err := Examine(listOf(nil, b), 2)
	if err != nil {
		t.Fatal(err)
	}
	if len(h.Databases) != 2 || h.Databases[0].Name != "large" || h.Databases[1].Name != "middle" {
		t.Errorf("databases %v", h.Databases)
	}
	if len(h.Tables) != 2 || h.TablesDropped != 1 {
		t.Errorf("%d tables, %d dropped", len(h.Tables), h.TablesDropped)
	}
}

// A first run is underway only if it says when it started; else it could silence the instance for ever.
func TestFirstRunUnderway(t *testing.T) {
	running, dateless := task("a", apiclient.StatusRunning, 2), task("b", apiclient.StatusRunning, 2)
	dateless.Start = time.Time{}
	for name, c := range map[string]struct {
		tasks   []apiclient.Backup
		missing bool
	}{
		"none":            {nil, true},
		"running":         {[]apiclient.Backup{running}, false},
		"without a start": {[]apiclient.Backup{dateless}, true},
		"one of two does": {[]apiclient.Backup{dateless, running}, false},
		"in the future":   {[]apiclient.Backup{task("c", apiclient.StatusRunning, -40)}, true},
		"one has failed":  {[]apiclient.Backup{running, task("d", apiclient.StatusFailed, 5)}, true},
	} {
		if h := assess(t, limits(), c.tasks...); h.Conditions[Missing] != c.missing {
			t.Errorf("%s: missing is %v", name, h.Conditions[Missing])
		}
	}
}

// A planned run does not hide the newest that has begun.
func TestUnknownStatusBeforeAPlannedRun(t *testing.T) {
	planned, odd := task("planned", apiclient.StatusPending, -14), task("odd", apiclient.StatusUnknown, 10)
	if h := assess(t, limits(), planned, odd, task("good", apiclient.StatusCompleted, 25)); !h.Conditions[StatusUnknown] {
		t.Errorf("conditions %v", h.Holding())
	}
	if h := assess(t, limits(), task("waits", apiclient.StatusPending, 1), odd); h.Conditions[StatusUnknown] {
		t.Error("a pending run whose time has come is the newest")
	}
}

// A run that started or ended in the future says nothing about what came last: it would hold failing for ever.
func TestFailureInTheFuture(t *testing.T) {
	ahead := task("ahead", apiclient.StatusCanceled, -30)
	for range 2 {
		h := assess(t, limits(), ahead, task("good", apiclient.StatusCompleted, 5))
		if h.Conditions[Failing] || !h.LastFailure.IsZero() || !h.Conditions[Implausible] || h.Certain {
			t.Errorf("conditions %v, last failure %v", h.Holding(), h.LastFailure)
		}
		ahead.Finish = noon.Add(-time.Hour)
	}
}

// Facts are judged at any later time as a new read would be, unless a task lies ahead of the clock.
func TestFactsJudgedLater(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // a test's choices
	statuses := apiclient.Statuses()
	certain := 0
	for range 2000 {
		var tasks []apiclient.Backup
		for n := range random.IntN(8) {
			b := task(fmt.Sprint(n), statuses[random.IntN(len(statuses))], float64(random.IntN(60)-2))
			if random.IntN(3) == 0 {
				b.Expire = b.Start.Add(time.Duration(random.IntN(60)) * time.Hour)
			}
			if random.IntN(6) == 0 {
				b.Finish = time.Time{}
			}
			tasks = append(tasks, b)
		}
		l := limits()
		if random.IntN(2) == 0 {
			l.Created = noon.Add(-time.Duration(random.IntN(30)) * time.Hour)
		}
		later := noon.Add(time.Duration(random.IntN(72*60)) * time.Minute)
		examine := func(at time.Time) *Facts {
			list := NewList(nil, 0, at)
			for _, b := range tasks {
				list.Add(b)
			}
			facts, err := Examine(list, tableLimit)
			if err != nil {
				t.Fatal(err)
			}
			return facts
		}
		early, late := examine(noon), examine(later)
		if !early.Certain {
			continue
		}
		certain++
		early.ReadAt = later
		if got, want := early.Judge(l, later), late.Judge(l, later); fmt.Sprint(*early) != fmt.Sprint(*late) ||
			!reflect.DeepEqual(got.Conditions, want.Conditions) || got.Restorable != want.Restorable ||
			!got.RestorableUntil.Equal(want.RestorableUntil) || !got.Deadline.Equal(want.Deadline) {
			t.Fatalf("at %v:\n%+v\n%+v", later, got, want)
		}
	}
	if certain < 500 {
		t.Errorf("only %d lists tried", certain)
	}
}
