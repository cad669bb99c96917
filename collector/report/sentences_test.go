package report

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
	"git.example.com/starrocks/starrocks_backup_exporter/collector/fleet"
	"git.example.com/starrocks/starrocks_backup_exporter/collector/health"
	"git.example.com/starrocks/starrocks_backup_exporter/config"
	"git.example.com/starrocks/starrocks_backup_exporter/schedule"
)

// Noon of the tests' world.
var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

func ago(hours float64) time.Time { return noon.Add(-time.Duration(hours * float64(time.Hour))) }

// task is a task that started some hours ago and, if it ended, took one hour. It expires two weeks after.
func task(status apiclient.Status, hours float64, tables ...string) apiclient.Backup {
	b := apiclient.Backup{
		TaskID: fmt.Sprintf("bt-%g", hours), Status: status, Start: ago(hours), DiskBytes: 1 << 40,
		Instance: &apiclient.InstanceSnapshot{InstanceName: "orders"},
	}
	if status.Ended() {
		b.Finish = ago(hours - 1)
		b.Expire = b.Finish.Add(14 * 24 * time.Hour)
	}
	if len(tables) > 0 {
		b.SetSubTasks("[" + strings.Join(tables, ",") + "]")
	}
	return b
}

// table is a subtask that holds some GiB.
func table(database, name, status string, size int) string {
	return fmt.Sprintf(`{"DataBase":%q,"Table":%q,"Status":%q,"Size":%d}`, database, name, status, size)
}

func daily() health.Limits {
	return health.Limits{MaxAge: 26 * time.Hour, StuckAfter: 4 * time.Hour, ExpiringWithin: 24 * time.Hour, ShrunkBelow: 0.5}
}

// read is an instance that was read at noon.
func read(t testing.TB, l health.Limits, tasks ...apiclient.Backup) fleet.InstanceResult {
	t.Helper()
	list := health.NewList(nil, 0, noon)
	for _, b := range tasks {
		list.Add(b)
	}
	facts, err := health.Examine(list, 500)
	if err != nil {
		t.Fatal(err)
	}
	return fleet.InstanceResult{
		Instance: config.Instance{InstanceID: "c-1", RegionID: "cn-hangzhou", Account: "prod"}, Facts: facts, Limits: l,
		Health: facts.Judge(l, noon),
	}
}

func result(instances ...fleet.InstanceResult) *fleet.Result {
	return &fleet.Result{At: noon, Instances: instances}
}

// Each condition is said with its numbers.
func TestSentences(t *testing.T) {
	completed, failed := apiclient.StatusCompleted, apiclient.StatusFailed
	weekdays, err := schedule.Parse("30 2 * * 1-5", time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	scheduled := daily()
	scheduled.MaxAge, scheduled.Schedule, scheduled.Grace = 0, weekdays, 2*time.Hour
	subscribed := daily()
	subscribed.SubscriptionEnd = noon.Add(20 * time.Hour)
	gone := task(completed, 30)
	gone.Expire = ago(5)
	short := task(completed, 11)
	short.Expire = noon.Add(6 * time.Hour)
	backwards := task(completed, 5)
	backwards.Finish = ago(6)
	ahead := task(completed, -3)
	merging := task(apiclient.StatusUnknown, 2)
	merging.StatusWord = "MERGING"
	const unreadable = `{"DataBase":"a","Table":"2","Status":"success","Size":{}}`
	var many []string
	for n := range 600 {
		many = append(many, table("a", fmt.Sprint(100+n), "failed", 0))
	}
	for name, c := range map[string]struct {
		limits    health.Limits
		tasks     []apiclient.Backup
		condition health.Condition
		want      string
	}{
		"overdue": {daily(), []apiclient.Backup{task(completed, 177)}, health.Overdue, "Overdue by 6 d 6 h: due by 2026-02-26 06:00 UTC " +
			"(max_age 1 d 2 h), but the newest good backup ended 2026-02-25 04:00 UTC (7 d 8 h ago)."},
		"overdue by schedule": {scheduled, []apiclient.Backup{task(completed, 33.5)}, health.Overdue, "Overdue by 7 h 30 min: due by " +
			"2026-03-04 04:30 UTC (schedule 30 2 * * 1-5, grace 2 h), but the newest good backup ended 2026-03-03 03:30 UTC (1 d 8 h ago)."},
		"never": {daily(), nil, health.Missing, "Nothing to restore: the instance has no backup task."},
		"none good": {daily(), []apiclient.Backup{task(failed, 9), task(failed, 5)}, health.Missing, "Nothing to restore: the API lists 2 " +
			"tasks, but no good backup."},
		"expired": {daily(), []apiclient.Backup{gone}, health.Missing, "Nothing to restore: the newest good backup, of 2026-03-03 07:00 UTC, " +
			"expired 2026-03-04 07:00 UTC (5 h ago)."},
		"failed once": {daily(), []apiclient.Backup{task(failed, 4), task(completed, 20)}, health.Failing, "The last task that " +
			"ended produced no backup: " +
			"failed 2026-03-04 09:00 UTC (3 h ago)."},
		"failed often": {
			daily(),
			[]apiclient.Backup{task(failed, 4), task(apiclient.StatusCanceled, 28), task(failed, 52), task(completed, 76), task(failed, 100)},
			health.FailingRepeatedly, "The last 3 tasks that ended produced no backup. The first of them ended " +
				"2026-03-02 09:00 UTC (2 d 3 h ago). Newest: failed, 2026-03-04 09:00 UTC (3 h ago).",
		},
		"stuck": {daily(), []apiclient.Backup{task(apiclient.StatusRunning, 8), task(completed, 20)}, health.Stuck, "Stuck: a task has " +
			"been running " +
			"for 8 h, since 2026-03-04 04:00 UTC; the longest completed run took 1 h (limit: the longer of 4 h and " +
			"three times the longest completed run)."},
		"expiring": {daily(), []apiclient.Backup{task(failed, 4), task(completed, 14*24-4)}, health.Expiring, "The last restorable backup " +
			"expires " +
			"2026-03-04 17:00 UTC (in 5 h), and no newer one has replaced it."},
		"retention": {daily(), []apiclient.Backup{short}, health.RetentionTooShort, "Retention is too short: the newest good backup expires " +
			"2026-03-04 18:00 UTC (in 6 h), which is 10 h before the next one is due."},
		"shrunk": {
			daily(),
			[]apiclient.Backup{task(completed, 4, table("ods", "a", "success", 100)), task(completed, 28, table("ods", "a", "success", 400))},
			health.Shrunk, "Shrunk from 400 GiB to 100 GiB (25 %): the newest good backup holds less than 50 % of the largest of the seven " +
				"before it.",
		},
		"without a database": {
			daily(), []apiclient.Backup{
				task(completed, 4, table("ods", "a", "success", 100)), task(completed, 28, table("ods", "a", "success", 100), table("dwd", "b",
					"success", 1)),
			}, health.Shrunk, "The newest good backup lacks 1 database that the one before it had: dwd.",
		},
		"tables": {
			daily(), []apiclient.Backup{
				task(failed, 2, table("x", "other", "failed", 0)),
				task(completed, 4, table("a", "1", "failed", 0), table("a", "2", "failed", 0), table("a", "3", "failed", 0),
					table("a", "4", "failed", 0), table("a", "5", "success", 9)),
			}, health.TablesFailed, "The newest good backup lacks 4 tables that failed: a.1, a.2, a.3 and 1 more.",
		},
		"a status": {
			daily(),
			[]apiclient.Backup{merging, task(completed, 4)},
			health.StatusUnknown,
			`The newest task has the status "MERGING", ` +
				"which the exporter does not know. Map it in backups.status_words.",
		},
		"a table's status": {
			daily(),
			[]apiclient.Backup{task(completed, 4, table("a", "1", "odd", 1))},
			health.StatusUnknown,
			"In the newest good backup, 1 table has a status that the exporter does not know, such as \"odd\": a.1. " +
				"Map it in backups.status_words.",
		},
		"tables' sizes": {
			daily(),
			[]apiclient.Backup{task(completed, 4, unreadable, table("a", "1", "success", 1), strings.ReplaceAll(unreadable, "2", "3"))},
			health.Implausible, "In the newest good backup, 2 tables have a time or size that cannot be read: a.2 and a.3.",
		},
		"a long name": {
			daily(),
			[]apiclient.Backup{task(completed, 4, table("a", strings.Repeat("x", 1000), "failed", 1))},
			health.TablesFailed,
			"The newest good backup lacks 1 table that failed: a." + strings.Repeat("x", 77) + "….",
		},
		"more tables than are kept": {
			daily(),
			[]apiclient.Backup{task(completed, 4, many...)},
			health.TablesFailed,
			"The newest good backup lacks 600 tables that failed: a.100, a.101, a.102 and 597 more.",
		},
		"backwards": {daily(), []apiclient.Backup{backwards, task(completed, 20)}, health.Implausible, "Task bt-5 is implausible and does " +
			"not count " +
			"as a backup: it finished at 2026-03-04 06:00 UTC, before it started at 2026-03-04 07:00 UTC."},
		"several": {
			daily(), []apiclient.Backup{ahead, backwards, task(completed, 20)}, health.Implausible, "Task bt--3 is implausible and does not " +
				"count as a backup: it finished in the future, at 2026-03-04 16:00 UTC. 1 task more is implausible, too.",
		},
		"in the future": {daily(), []apiclient.Backup{ahead, task(completed, 20)}, health.Implausible, "Task bt--3 is implausible and " +
			"does not count " +
			"as a backup: it finished in the future, at 2026-03-04 16:00 UTC."},
		"undated": {
			daily(),
			[]apiclient.Backup{{TaskID: "bt-0", Status: apiclient.StatusFailed}, task(completed, 4)},
			health.Implausible,
			"Task bt-0 is implausible: its status is failed, but it has no time. It may be newer than all others.",
		},
		"subscription": {subscribed, []apiclient.Backup{task(completed, 4)}, health.SubscriptionEnding, "The subscription ends 2026-03-05 " +
			"08:00 UTC " +
			"(in 20 h). The instance and its backups are released at 2026-03-12 08:00 UTC."},
	} {
		one := read(t, c.limits, c.tasks...)
		if c.limits.Schedule != nil {
			one.Instance.Schedule = "30 2 * * 1-5"
		}
		i := New(result(one), noon).Instances[0]
		if !slices.Contains(i.Conditions, c.condition) || !slices.Contains(i.Reasons, c.want) || i.State != "unhealthy" {
			t.Errorf("%s: %s, %s\n%s\nwant:\n%s", name, i.State, i.Conditions, strings.Join(i.Reasons, "\n"), c.want)
		}
	}
}

// There is a sentence for every condition there is.
func TestEveryConditionHasASentence(t *testing.T) {
	one := read(t, daily(), task(apiclient.StatusCompleted, 4, table("a", "1", "success", 1)))
	for _, c := range health.Conditions() {
		if s := sentence(c, one.Health, &one); s == string(c) {
			t.Errorf("%s has none", c)
		}
		if !slices.Contains(byUrgency(), c) {
			t.Errorf("%s has no urgency", c)
		}
	}
}
