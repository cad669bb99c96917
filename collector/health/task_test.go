package health

import (
	"math"
	"slices"
	"testing"
	"time"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
)

// Which tasks contradict themselves or the clock, and which are good backups.
func TestPlausibleTasks(t *testing.T) {
	never, before, tolerated, future := time.Time{}, noon.Add(-time.Hour), noon.Add(15*time.Minute), noon.Add(15*time.Minute+time.Second)
	for name, c := range map[string]struct {
		status        apiclient.Status
		start, finish time.Time
		implausible   bool
		good          bool
	}{
		"completed":                       {apiclient.StatusCompleted, before, noon, false, true},
		"completed at once":               {apiclient.StatusCompleted, before, before, false, true},
		"completed before its start":      {apiclient.StatusCompleted, noon, before, true, false},
		"completed, a clock ahead":        {apiclient.StatusCompleted, before, tolerated, false, true},
		"completed in the future":         {apiclient.StatusCompleted, before, future, true, false},
		"completed without start":         {apiclient.StatusCompleted, never, before, false, true},
		"completed without finish":        {apiclient.StatusCompleted, before, never, false, true},
		"completed, starts in future":     {apiclient.StatusCompleted, future, never, true, false},
		"completed without any time":      {apiclient.StatusCompleted, never, never, false, false},
		"failed":                          {apiclient.StatusFailed, before, noon, false, false},
		"failed before its start":         {apiclient.StatusFailed, noon, before, true, false},
		"failed, starts in future":        {apiclient.StatusFailed, future, before, true, false},
		"running":                         {apiclient.StatusRunning, before, never, false, false},
		"running, a finish before start":  {apiclient.StatusRunning, noon, before, false, false},
		"running, a finish in the future": {apiclient.StatusRunning, before, future, false, false},
		"running, a clock ahead":          {apiclient.StatusRunning, tolerated, never, false, false},
		"running from the future on":      {apiclient.StatusRunning, future, never, true, false},
		"pending in the future":           {apiclient.StatusPending, future, never, false, false},
	} {
		b := &apiclient.Backup{Status: c.status, Start: c.start, Finish: c.finish}
		if (isAhead(b, noon) || contradictsItself(b)) != c.implausible || isGood(b, noon) != c.good {
			t.Errorf("%s: implausible %v, good %v", name, (isAhead(b, noon) || contradictsItself(b)), isGood(b, noon))
		}
	}
}

// Failures count since the newest success, whether a task failed or was canceled. The newest failure stays known after a success.
func TestFailuresInARow(t *testing.T) {
	completed, failed, canceled := apiclient.StatusCompleted, apiclient.StatusFailed, apiclient.StatusCanceled
	for name, c := range map[string]struct {
		statuses   []apiclient.Status // newest first, three hours apart
		failures   int
		repeatedly bool
		last       time.Duration // before noon; 0 if none
	}{
		"none":                 {[]apiclient.Status{completed, completed}, 0, false, 0},
		"canceled":             {[]apiclient.Status{canceled, completed}, 1, false, 2 * time.Hour},
		"two":                  {[]apiclient.Status{failed, canceled, completed, failed}, 2, false, 2 * time.Hour},
		"three":                {[]apiclient.Status{failed, canceled, failed, completed}, 3, true, 2 * time.Hour},
		"before the success":   {[]apiclient.Status{completed, failed, failed, failed}, 0, false, 5 * time.Hour},
		"behind a running one": {[]apiclient.Status{apiclient.StatusRunning, failed, completed}, 1, false, 5 * time.Hour},
	} {
		var tasks []apiclient.Backup
		for n, status := range c.statuses {
			tasks = append(tasks, task(string(rune('a'+n)), status, float64(3*n+3)))
		}
		h := assess(t, limits(), tasks...)
		last := time.Time{}
		if c.last > 0 {
			last = noon.Add(-c.last)
		}
		if h.ConsecutiveFailures != c.failures || h.Conditions[FailingRepeatedly] != c.repeatedly ||
			h.Conditions[Failing] != (c.failures > 0) || !h.LastFailure.Equal(last) {
			t.Errorf("%s: %d in a row, last at %v, %v", name, h.ConsecutiveFailures, h.LastFailure, h.Holding())
		}
	}
}

// What is restorable, since when and until when.
func TestRestorable(t *testing.T) {
	expires := func(b apiclient.Backup, at time.Time) apiclient.Backup { b.Expire = at; return b }
	a, b := task("a", apiclient.StatusCompleted, 5), task("b", apiclient.StatusCompleted, 30)
	for name, c := range map[string]struct {
		tasks  []apiclient.Backup
		count  int
		oldest time.Time
		until  time.Time
	}{
		"both":              {[]apiclient.Backup{a, b}, 2, b.Finish, a.Expire},
		"the older later":   {[]apiclient.Backup{a, expires(b, a.Expire.Add(time.Hour))}, 2, b.Finish, a.Expire.Add(time.Hour)},
		"one expires now":   {[]apiclient.Backup{a, expires(b, noon)}, 1, a.Finish, a.Expire},
		"one soon":          {[]apiclient.Backup{a, expires(b, noon.Add(time.Millisecond))}, 2, b.Finish, a.Expire},
		"one never":         {[]apiclient.Backup{a, expires(b, time.Time{})}, 2, b.Finish, time.Time{}},
		"the newer never":   {[]apiclient.Backup{expires(a, time.Time{}), b}, 2, b.Finish, time.Time{}},
		"one without times": {[]apiclient.Backup{a, {TaskID: "d", Status: apiclient.StatusCompleted, Expire: a.Expire}}, 2, a.Finish, a.Expire},
		"one failed":        {[]apiclient.Backup{a, task("c", apiclient.StatusFailed, 40)}, 1, a.Finish, a.Expire},
	} {
		h := assess(t, limits(), c.tasks...)
		if h.Restorable != c.count || !h.OldestRestorable.Equal(c.oldest) || !h.RestorableUntil.Equal(c.until) {
			t.Errorf("%s: %d from %v until %v", name, h.Restorable, h.OldestRestorable, h.RestorableUntil)
		}
	}
}

// A run is stuck once it takes longer than the limit and than three times the longest one before.
func TestStuck(t *testing.T) {
	longRun := task("long", apiclient.StatusCompleted, 100)
	longRun.Finish = longRun.Start.Add(2 * time.Hour)
	running := func(hours float64) apiclient.Backup { return task("r", apiclient.StatusRunning, hours) }
	shortRun := task("short", apiclient.StatusCompleted, 30)
	for name, c := range map[string]struct {
		tasks []apiclient.Backup
		stuck bool
	}{
		"for four hours":              {[]apiclient.Backup{running(4)}, false},
		"longer":                      {[]apiclient.Backup{running(4.001)}, true},
		"after a short run":           {[]apiclient.Backup{running(4.001), shortRun}, true},
		"three times the longest":     {[]apiclient.Backup{running(6), shortRun, longRun}, false},
		"longer than that":            {[]apiclient.Backup{running(6.001), shortRun, longRun}, true},
		"the earliest of two running": {[]apiclient.Backup{running(1), task("s", apiclient.StatusRunning, 5)}, true},
		"one of two without a start":  {[]apiclient.Backup{running(5), {TaskID: "s", Status: apiclient.StatusRunning}}, true},
	} {
		if h := assess(t, limits(), c.tasks...); h.Conditions[Stuck] != c.stuck {
			t.Errorf("%s: running since %v, %v", name, h.RunningStart, h.Holding())
		}
	}
}

// Subtasks of one table are one table: its sizes add up, and its time is from the first start to the last finish.
func TestTablesAreMerged(t *testing.T) {
	nan := math.NaN()
	at := func(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }
	tables := tablesOf([]apiclient.SubTask{
		{Database: "d", Table: "t", Bytes: 5, Start: at(2), Finish: at(3)},
		{Database: "e", Table: "t", Bytes: nan},
		{Database: "d", Table: "t", Bytes: 7, Start: at(1), Finish: at(2)},
		{Database: "d", Table: "t", Bytes: nan, Finish: at(4)},
		{Database: "e", Table: "t", Bytes: 3, Start: at(1), Finish: at(1)},
		{Database: "d", Table: "t", Start: at(3), Finish: at(3)},
	})
	if len(tables) != 2 || tables[0].Bytes != 12 || tables[0].DurationSeconds != 180 || tables[1].Bytes != 3 ||
		tables[1].DurationSeconds != 0 {
		t.Errorf("%+v", tables)
	}
	databases := databasesOf(append(tables, Table{Database: "e", Bytes: 10}, Table{Database: "a", Bytes: 12}))
	if len(databases) != 3 || databases[0] != (Database{"e", 13}) || databases[1] != (Database{"a", 12}) ||
		databases[2] != (Database{"d", 12}) {
		t.Errorf("%+v", databases)
	}
}

// The baseline is the largest of the seven successes before the newest one whose size is known.
func TestBaseline(t *testing.T) {
	var tasks []apiclient.Backup
	sizes := []string{"", "[]", "", "", `[{"Size":20}]`, `[{"Size":30}]`, `[{"Size":10}]`, `[{"Size":15}]`, `[{"Size":99}]`}
	for n, array := range sizes {
		b := task(string(rune('a'+n)), apiclient.StatusCompleted, float64(3*n+3))
		if array != "" {
			b.SetSubTasks(array)
		}
		tasks = append(tasks, b)
	}
	shrunk := func(array string) *Health {
		tasks[0].SetSubTasks(array)
		return assess(t, limits(), tasks...)
	}
	const gib = 1 << 30
	if h := shrunk(`[{"Size":14}]`); h.BaselineBytes != 30*gib || h.LastSuccessDataBytes != 14*gib || !h.Conditions[Shrunk] {
		t.Errorf("baseline %v, %v", h.BaselineBytes, h.Holding())
	}
	if h := shrunk(`[{"Size":15}]`); h.Conditions[Shrunk] {
		t.Error("half of the baseline is not below half of it")
	}
	tasks = tasks[6:7]
	tasks = append([]apiclient.Backup{task("z", apiclient.StatusCompleted, 3)}, tasks...)
	if h := shrunk(`[{"Size":1}]`); !h.Conditions[Shrunk] {
		t.Error("a baseline of 10 GiB counts")
	}
	tasks[1].SetSubTasks(`[{"Size":9}]`)
	if h := shrunk(`[{"Size":1}]`); h.Conditions[Shrunk] {
		t.Error("a baseline below 10 GiB does not count")
	}
	tasks[1].SetSubTasks(`[{"DataBase":"d","Size":1}]`)
	if h := shrunk(`[{"DataBase":"e","Size":1}]`); !h.Conditions[Shrunk] {
		t.Error("a database that is gone counts, however small")
	}
	tasks[1].SetSubTasks(`[{"DataBase":"e","Size":1},{"DataBase":null,"Size":1}]`)
	if h := shrunk(`[{"DataBase":"e","Size":1}]`); h.Conditions[Shrunk] {
		t.Error("a database without a name is not gone")
	}
}

// The subtasks of the newest task, of the newest ended one and of the newest success count, in whatever order the tasks are listed.
func TestSubTasksThatCount(t *testing.T) {
	running, failed := task("running", apiclient.StatusRunning, 2), task("failed", apiclient.StatusFailed, 5)
	older, completed := task("older", apiclient.StatusFailed, 8), task("completed", apiclient.StatusCompleted, 11)
	before := task("before", apiclient.StatusCompleted, 14)
	running.SetSubTasks(`[{"DataBase":"d","Table":"r","Status":"running"}]`)
	failed.SetSubTasks(`[{"DataBase":"d","Table":"b","Status":"failed"},{"DataBase":"d","Table":"a","Status":"failed"},` +
		`{"DataBase":"d","Table":"c","Status":"success"}]`)
	older.SetSubTasks(`[{"DataBase":"d","Table":"o","Status":"failed"}]`)
	completed.SetSubTasks(`[{"DataBase":"d","Table":"t","Status":"success","Size":20},` +
		`{"DataBase":"d","Table":"u","Status":"success","Size":30}]`)
	before.SetSubTasks(`[{"DataBase":"d","Table":"t","Status":"success","Size":40}]`)
	tasks := []apiclient.Backup{running, failed, older, completed, before}
	for range 2 {
		for range tasks {
			h := assess(t, limits(), tasks...)
			if len(h.SubTasks) != 1 || h.SubTasks[apiclient.StatusRunning] != 1 {
				t.Errorf("subtasks of the newest task: %v", h.SubTasks)
			}
			if h.FailedTables.Total != 2 || h.FailedTables.Named[0].Name != "a" || h.FailedTables.Named[1].Name != "b" {
				t.Errorf("failed tables: %+v", h.FailedTables)
			}
			if len(h.Tables) != 2 || h.Tables[0].Name != "u" || h.BaselineBytes != 40<<30 || h.LastSuccessDataBytes != 50<<30 {
				t.Errorf("tables %+v, %v, baseline %v", h.Tables, h.LastSuccessDataBytes, h.BaselineBytes)
			}
			if h.Conditions[TablesFailed] || h.Conditions[StatusUnknown] {
				t.Errorf("conditions %v", h.Holding())
			}
			tasks = append(tasks[1:], tasks[0])
		}
		slices.Reverse(tasks)
	}
}

// The subtasks of the newest success say whether tables failed, have an unknown status, or are unreadable.
func TestSubTasksOfTheNewestSuccess(t *testing.T) {
	for array, c := range map[string]Condition{
		`[{"Table":"t","Status":"success"}]`:                                            "",
		`[{"Table":"t","Status":"success"},{"Table":"u","Status":"failed"}]`:            TablesFailed,
		`[{"Table":"t","Status":"CANCELLED"},{"Table":"u","Status":"success"}]`:         TablesFailed,
		`[{"Table":"t","Status":"odd"},{"Table":"u","Status":"success"}]`:               StatusUnknown,
		`[{"Table":"t","Status":"success","Size":{}},{"Table":"u","Status":"success"}]`: Implausible,
	} {
		b := task("a", apiclient.StatusCompleted, 5)
		b.SetSubTasks(array)
		h := assess(t, limits(), b)
		var want []Condition
		if c != "" {
			want = []Condition{c}
		}
		if got := h.Holding(); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", array, got, want)
		}
		if h.LackingTables.Total == 1 != (c == TablesFailed) {
			t.Errorf("%s: lacking tables %v", array, h.LackingTables)
		}
	}
}

// A success of unknown size does not replace the baseline.
func TestBaselineWithoutAnUnknownSize(t *testing.T) {
	a, b, c := task("a", apiclient.StatusCompleted, 3), task("b", apiclient.StatusCompleted, 6), task("c", apiclient.StatusCompleted, 9)
	a.SetSubTasks(`[{"Status":"success","Size":1}]`)
	b.SetSubTasks(`[{"Status":"success","Size":30}]`)
	if h := assess(t, limits(), a, b, c); h.BaselineBytes != 30<<30 || !h.Conditions[Shrunk] {
		t.Errorf("baseline %v, conditions %v", h.BaselineBytes, h.Conditions)
	}
}

// A time from before the service existed, or far in the future, is implausible whatever the status.
func TestTimesThatNoTaskCanHave(t *testing.T) {
	ancient := task("a", apiclient.StatusCompleted, 3)
	ancient.Start = time.Unix(20260531, 0)
	expired := task("b", apiclient.StatusCompleted, 3)
	expired.Expire = time.Unix(7, 0)
	planned := task("c", apiclient.StatusPending, 3)
	planned.Start = noon.AddDate(0, 1, 0)
	if h := assess(t, limits(), planned, task("good", apiclient.StatusCompleted, 5)); len(h.Holding()) > 0 {
		t.Errorf("planned for a month from now: %v", h.Holding())
	}
	pending := task("c", apiclient.StatusPending, 3)
	pending.Start = pending.Start.Add(300 * 24 * time.Hour)
	other := task("d", apiclient.StatusUnknown, 3)
	other.Finish = other.Start.Add(300 * 24 * time.Hour)
	for _, b := range []apiclient.Backup{ancient, expired, pending, other} {
		if h := assess(t, limits(), b); !h.Conditions[Implausible] {
			t.Errorf("%s: %v", b.TaskID, h.Conditions)
		}
	}
}

// A success that is deleted leaves the newest one compared with that before it, whose databases a cached size still has.
func TestADeletedSuccessInBetween(t *testing.T) {
	a, b, c := task("a", apiclient.StatusCompleted, 3), task("b", apiclient.StatusCompleted, 6), task("c", apiclient.StatusCompleted, 9)
	a.SetSubTasks(`[{"DataBase":"d"}]`)
	b.SetSubTasks(`[{"DataBase":"d"}]`)
	c.SetSubTasks(`[{"DataBase":"d"},{"DataBase":"e"}]`)
	var cached Sizes
	for _, tasks := range [][]apiclient.Backup{{a, b, c}, {a, c}} {
		f, err := Examine(listOf(cached, tasks...), tableLimit)
		if err != nil {
			t.Fatal(err)
		}
		if h := f.Judge(limits(), noon); h.Conditions[Shrunk] != (len(tasks) == 2) {
			t.Errorf("%d successes: %v, missing %q", len(tasks), h.Holding(), h.MissingDatabases)
		}
		cached = f.Sizes
	}
}

// A read whose answer lists no tables, as one that was cut or a summary, does not hide what the next one lists of the same backups.
func TestTablesThatAreListedLater(t *testing.T) {
	newest, before := task("a", apiclient.StatusCompleted, 3), task("b", apiclient.StatusCompleted, 27)
	var cached Sizes
	for n, tables := range []string{"", "[]", "full"} {
		if tables == "full" {
			newest.SetSubTasks(`[{"DataBase":"d","Size":10}]`)
			before.SetSubTasks(`[{"DataBase":"d","Size":100}]`)
		} else if tables != "" {
			newest.SetSubTasks(tables)
			before.SetSubTasks(tables)
		}
		f, err := Examine(listOf(cached, newest, before), tableLimit)
		if err != nil {
			t.Fatal(err)
		}
		if h := f.Judge(limits(), noon); h.Conditions[Shrunk] != (n == 2) {
			t.Errorf("read %d: %v, baseline %v", n, h.Holding(), f.BaselineBytes)
		}
		cached = f.Sizes
	}
}

// A task that ended at an unknown time may be newer than all others, which hides a failure, or how old the backups are.
func TestUndatedTasks(t *testing.T) {
	undated := func(status apiclient.Status) apiclient.Backup {
		return apiclient.Backup{TaskID: "u", Status: status, Expire: noon.AddDate(0, 0, 300)}
	}
	good := task("good", apiclient.StatusCompleted, 5)
	for name, c := range map[string]struct {
		tasks       []apiclient.Backup
		implausible bool
	}{
		"failed":                   {[]apiclient.Backup{good, undated(apiclient.StatusFailed)}, true},
		"canceled":                 {[]apiclient.Backup{good, undated(apiclient.StatusCanceled)}, true},
		"pending":                  {[]apiclient.Backup{good, undated(apiclient.StatusPending)}, false},
		"completed":                {[]apiclient.Backup{undated(apiclient.StatusCompleted)}, true},
		"completed, beside a good": {[]apiclient.Backup{good, undated(apiclient.StatusCompleted)}, false},
		"dated":                    {[]apiclient.Backup{good, task("f", apiclient.StatusFailed, 9)}, false},
	} {
		if h := assess(t, limits(), c.tasks...); h.Conditions[Implausible] != c.implausible || h.Conditions[Missing] {
			t.Errorf("%s: %v", name, h.Holding())
		}
	}
}

// A size that is not known is not a size of 0: nothing has shrunk. A table that failed has no size.
func TestTablesWithoutASize(t *testing.T) {
	before := task("before", apiclient.StatusCompleted, 27)
	before.SetSubTasks(`[{"DataBase":"d","Table":"a","Size":100},{"DataBase":"d","Table":"b","Size":1}]`)
	for subtasks, shrunk := range map[string]bool{
		`[{"DataBase":"d","Table":"a","Size":null,"Status":"success"},{"DataBase":"d","Table":"b","Size":1}]`: false,
		`[{"DataBase":"d","Table":"a","Size":null,"Status":"failed"},{"DataBase":"d","Table":"b","Size":1}]`:  true,
		`[{"DataBase":"d","Table":"a","Size":0,"Status":"success"},{"DataBase":"d","Table":"b","Size":1}]`:    true,
		`[{"DataBase":"e","Table":"a","Size":null,"Status":"success"}]`:                                       true, // the database is missing
	} {
		newest := task("newest", apiclient.StatusCompleted, 3)
		newest.SetSubTasks(subtasks)
		if h := assess(t, limits(), newest, before); h.Conditions[Shrunk] != shrunk {
			t.Errorf("%s: %v", subtasks, h.Holding())
		}
	}
}
