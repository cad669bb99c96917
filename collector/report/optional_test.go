package report

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
	"git.example.com/starrocks/starrocks_backup_exporter/collector/fleet"
	"git.example.com/starrocks/starrocks_backup_exporter/collector/health"
)

// Each condition of what is read slowly is said with its numbers.
func TestSentencesOfOptionalReads(t *testing.T) {
	with := func(p ...apiclient.BackupPolicy) health.Limits {
		l := daily()
		l.Policies = &health.Policies{ReadAt: noon, All: p}
		return l
	}
	restored := func(all ...apiclient.Operation) health.Limits {
		l := daily()
		l.Restores, l.RestoreMaxAge = health.NewRestores(all, noon), 90*24*time.Hour
		return l
	}
	policy := apiclient.BackupPolicy{PolicyID: "1", ExpireDays: 1, TimeoutSeconds: 2 * 3600}
	for name, c := range map[string]struct {
		limits    health.Limits
		tasks     []apiclient.Backup
		condition health.Condition
		want      string
	}{
		"no policy": {with(), []apiclient.Backup{task("completed", 40)}, health.NoPolicy, "No backup policy: no backup starts " +
			"automatically, and the newest good one ended 2026-03-02 21:00 UTC (1 d 15 h ago)."},
		"no policy, no backup": {
			with(), nil, health.NoPolicy,
			"No backup policy: no backup starts automatically, and there is no good backup.",
		},
		"the policy's retention": {
			with(policy),
			[]apiclient.Backup{task("completed", 5)},
			health.RetentionTooShort,
			"Retention is too short: the backup policy keeps backups for 1 d, but the next backup may finish up to 1 d 2 h after the newest one.",
		},
		"the policy's timeout": {
			with(policy), []apiclient.Backup{task("running", 3), task("completed", 5)}, health.Stuck, "Stuck: a task has been running for 3 h, " +
				"since 2026-03-04 09:00 UTC; the longest completed run took 1 h (limit: 15 min plus the " +
				"longer of the policy's timeout (2 h) and the longest completed run).",
		},
		"never restored": {
			restored(),
			[]apiclient.Backup{task("completed", 5)},
			health.RestoreUntested,
			"Restore untested: no completed restore is known (limit: 90 d).",
		},
		"restored long ago": {
			restored(apiclient.Operation{Status: "completed", End: ago(100 * 24)}),
			[]apiclient.Backup{task("completed", 5)},
			health.RestoreUntested,
			"Restore untested: the newest restore completed 2025-11-24 12:00 UTC (100 d ago) (limit: 90 d).",
		},
	} {
		i := New(result(read(t, c.limits, c.tasks...)), noon).Instances[0]
		if !slices.Contains(i.Conditions, c.condition) || !slices.Contains(i.Reasons, c.want) {
			t.Errorf("%s: %s\n%s\nwant:\n%s", name, i.Conditions, strings.Join(i.Reasons, "\n"), c.want)
		}
	}
}

// A failure of what is read slowly is a warning that names the missing RAM action. It changes no state.
func TestFailuresOfOptionalReads(t *testing.T) {
	r := result(read(t, daily(), task("completed", 5)), read(t, daily(), task("completed", 5)))
	denied := &apiclient.Error{
		Operation: "DescribeBackupPolicies", Reason: apiclient.ReasonForbidden, Code: "NoPermission", Action: "sr:DescribePolicies",
		HTTPStatus: 403,
	}
	r.Optional = []fleet.OptionalResult{
		{Operation: "DescribeBackupPolicies", Failures: []fleet.OptionalFailure{
			{Subject: "backup policies", Reason: denied.Reason, Instances: 1, Err: denied},
		}},
		{Operation: "ListOperationHistory", Failures: []fleet.OptionalFailure{
			{Subject: "restores", Reason: "timeout", Instances: 2, Err: errors.New("slow")},
		}},
	}
	report := New(r, noon)
	want := []string{
		"The backup policies of 1 of 2 instances cannot be read: the API denies access. Backups are not affected. " +
			"DescribeBackupPolicies: forbidden: NoPermission (HTTP status 403)",
		"The restores of 2 of 2 instances cannot be read: the read did not finish in time. Backups are not affected. timeout: slow",
	}
	if report.State != "healthy" || !slices.Equal(report.Warnings, want) ||
		!slices.Equal(report.MissingActions, []string{"sr:DescribePolicies"}) {
		t.Errorf("%s, %q, %q", report.State, report.Warnings, report.MissingActions)
	}
}

// The report tells of how many instances a restore is known.
func TestRestoresOfTheFleet(t *testing.T) {
	instance := func(r *health.Restores) fleet.InstanceResult {
		l := daily()
		l.Restores = r
		return read(t, l, task("completed", 5))
	}
	none := health.NewRestores(nil, noon)
	one := health.NewRestores([]apiclient.Operation{{Status: "completed", End: ago(48)}}, noon)
	for want, restores := range map[string][]*health.Restores{
		"": {nil, nil},
		"The history of 1 instance contains no completed restore.":                                                    {nil, none},
		"The history of 1 of 2 instances contains a completed restore; the newest completed at 2026-03-02 12:00 UTC.": {nil, one, none},
	} {
		r := result()
		for _, known := range restores {
			r.Instances = append(r.Instances, instance(known))
		}
		report := New(r, noon)
		if report.Summary.Restores != want {
			t.Errorf("%q, want %q", report.Summary.Restores, want)
		}
		for _, i := range report.Instances {
			if proven := i.judged.Limits.Restores == one; (i.LastRestore != nil) != proven || i.Policies != nil {
				t.Errorf("%+v", i)
			}
		}
	}
}

// An open row tells the policies and the newest restore.
func TestDetailOfOptionalReads(t *testing.T) {
	l := daily()
	facts := func() map[string]string {
		i := New(result(read(t, l, task("completed", 5))), noon).Instances[0]
		all := map[string]string{}
		for _, f := range newDetail(&i, Links{}).Facts {
			all[f.Name] = f.Value
		}
		return all
	}
	if f := facts(); f["Backup policies"] != "" || f["Last restore"] != "" {
		t.Errorf("not read: %v", f)
	}
	l.Policies, l.Restores = &health.Policies{}, health.NewRestores(nil, noon)
	if f := facts(); f["Backup policies"] != "none" || f["Last restore"] != "none in the history" {
		t.Errorf("none: %v", f)
	}
	l.Policies.All = []apiclient.BackupPolicy{{ExpireDays: 7, TimeoutSeconds: 7200}}
	l.Restores = health.NewRestores([]apiclient.Operation{{Status: "completed", Start: ago(50), End: ago(48)}}, noon)
	if f := facts(); f["Backup policies"] != "1 policy, backups last 7 d, a task may run for 2 h" ||
		f["Last restore"] != "2026-03-02 12:00 UTC (2 d ago), took 2 h" {
		t.Errorf("both: %v", f)
	}
}

// A run that was canceled by hand says so, and what that is based on.
func TestWhatCanceledARun(t *testing.T) {
	canceled, good := task("canceled", 5), task("completed", 20)
	canceled.TaskID = "bt-12sui21312dd"
	ended := canceled.Finish
	by := func(o apiclient.Operation) *health.Cancellations {
		o.ID, o.Status, o.Start = "op-1", "completed", ended.Add(-10*time.Minute)
		return &health.Cancellations{All: []apiclient.Operation{o}}
	}
	const begin = "The last task that ended produced no backup: canceled 2026-03-04 08:00 UTC (4 h ago)."
	for name, c := range map[string]struct {
		known        *health.Cancellations
		reason, cell string
	}{
		"not read":     {nil, begin, "canceled"},
		"no operation": {&health.Cancellations{}, begin, "canceled"},
		"named": {
			by(apiclient.Operation{Type: "cancel_backup_task", Detail: canceled.TaskID}),
			begin + " It was canceled by hand at 2026-03-04 07:50 UTC (operation op-1).", "canceled by hand",
		},
		"deleted": {
			by(apiclient.Operation{Type: "delete_backup", After: canceled.TaskID}),
			begin + " Its backup was deleted by hand at 2026-03-04 07:50 UTC (operation op-1).", "canceled, backup deleted by hand",
		},
		"by its time": {
			by(apiclient.Operation{Type: "cancel_backup_task"}),
			begin + " It was probably canceled by hand: operation op-1 canceled a backup at 2026-03-04 07:50 UTC, " +
				"and no other task was running then.",
			"canceled, probably by hand",
		},
	} {
		l := daily()
		l.Cancellations = c.known
		i := New(result(read(t, l, canceled, good)), noon).Instances[0]
		if !slices.Contains(i.Reasons, c.reason) || i.State != "unhealthy" {
			t.Errorf("%s: %s, %q", name, i.State, i.Reasons)
		}
		if row := newDetail(&i, Links{}).Tasks[0]; row.Status != c.cell {
			t.Errorf("%s: the page has %q", name, row.Status)
		}
	}
	l := daily()
	l.Cancellations = by(apiclient.Operation{Type: "cancel_backup_task", Before: canceled.TaskID})
	want := "The last 2 tasks that ended produced no backup. The first of them ended 2026-03-03 08:00 UTC (1 d 4 h ago). Newest: canceled, " +
		"2026-03-04 08:00 UTC " +
		"(4 h ago). The newest was canceled by hand at 2026-03-04 07:50 UTC (operation op-1)."
	two := result(read(t, l, canceled, task("failed", 29), task("completed", 53)))
	if i := New(two, noon).Instances[0]; !slices.Contains(i.Reasons, want) {
		t.Errorf("%q", i.Reasons)
	}
}
