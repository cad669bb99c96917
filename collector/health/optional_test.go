package health

import (
	"math"
	"slices"
	"testing"
	"time"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
)

// policies is what was read of some policies.
func policies(all ...apiclient.BackupPolicy) *Policies { return &Policies{ReadAt: noon, All: all} }

// policy keeps backups for some days, and lets a task run for some hours; NaN is unknown.
func policy(days, hours float64) apiclient.BackupPolicy {
	return apiclient.BackupPolicy{PolicyID: "1", ExpireDays: days, TimeoutSeconds: 3600 * hours}
}

func TestNoPolicy(t *testing.T) {
	with := func(p *Policies) Limits { l := limits(); l.Policies = p; return l }
	fresh, old := task("a", apiclient.StatusCompleted, 5), task("a", apiclient.StatusCompleted, 40)
	expired := fresh
	expired.Expire = noon.Add(-time.Hour)
	for name, c := range map[string]struct {
		limits       Limits
		tasks        []apiclient.Backup
		known, holds bool
	}{
		"not read":                         {with(nil), []apiclient.Backup{old}, false, false},
		"there is one":                     {with(policies(policy(7, 1))), []apiclient.Backup{old}, true, false},
		"none, overdue":                    {with(policies()), []apiclient.Backup{old}, true, true},
		"none, no backup":                  {with(policies()), nil, true, true},
		"none, somebody starts backups":    {with(policies()), []apiclient.Backup{fresh}, true, false},
		"none, the newest has expired":     {with(policies()), []apiclient.Backup{expired}, true, false},
		"none, the first backup runs":      {with(policies()), []apiclient.Backup{task("a", apiclient.StatusRunning, 1)}, true, false},
		"none, created a few hours before": {created(with(policies()), 5), nil, true, false},
	} {
		holds, known := assess(t, c.limits, c.tasks...).Conditions[NoPolicy]
		if holds != c.holds || known != c.known {
			t.Errorf("%s: holds %v, known %v", name, holds, known)
		}
	}
}

// created is limits of an instance that was created some hours before noon.
func created(l Limits, hours float64) Limits {
	l.Created = noon.Add(-time.Duration(hours * float64(time.Hour)))
	return l
}

func TestRestoreUntested(t *testing.T) {
	restore := func(hours float64, status apiclient.Status) apiclient.Operation {
		end := noon.Add(-time.Duration(hours * float64(time.Hour)))
		return apiclient.Operation{Status: status, Start: end.Add(-time.Hour), End: end}
	}
	with := func(maxAge time.Duration, all ...apiclient.Operation) Limits {
		l := limits()
		l.Restores, l.RestoreMaxAge = NewRestores(all, noon), maxAge
		return l
	}
	unread := limits()
	unread.RestoreMaxAge = time.Hour
	for name, c := range map[string]struct {
		limits       Limits
		known, holds bool
	}{
		"not read":                      {unread, false, false},
		"any will do":                   {with(0), false, false},
		"none":                          {with(10 * time.Hour), true, true},
		"young":                         {with(10*time.Hour, restore(9, "completed"), restore(100, "completed")), true, false},
		"old":                           {with(10*time.Hour, restore(11, "completed")), true, true},
		"young, but failed":             {with(10*time.Hour, restore(1, "failed"), restore(1, "canceled"), restore(1, "unknown")), true, true},
		"in the future":                 {with(10*time.Hour, restore(-1, "completed")), true, true},
		"none, a new instance":          {created(with(10*time.Hour), 9), true, false},
		"none, an instance of tomorrow": {created(with(10*time.Hour), -24), true, true},
	} {
		holds, known := assess(t, c.limits, task("a", apiclient.StatusCompleted, 5)).Conditions[RestoreUntested]
		if holds != c.holds || known != c.known {
			t.Errorf("%s: holds %v, known %v", name, holds, known)
		}
	}
}

func TestNewRestores(t *testing.T) {
	r := NewRestores([]apiclient.Operation{
		{Status: "completed", Start: noon.Add(-3 * time.Hour)}, // without an end
		{Status: "completed", Start: noon.Add(-5 * time.Hour), End: noon.Add(-4 * time.Hour)},
		{Status: "running", Start: noon.Add(-time.Hour)},
		{Status: "completed"},
	}, noon)
	if !r.Last.Equal(noon.Add(-3*time.Hour)) || !math.IsNaN(r.LastDuration) || r.Count["completed"] != 3 || r.Count["running"] != 1 {
		t.Errorf("%+v", r)
	}
}

// The policy's timeout tells when a task is stuck, unless a task has taken longer before.
func TestStuckByTheTimeoutOfThePolicy(t *testing.T) {
	nan := math.NaN()
	for name, c := range map[string]struct {
		policies *Policies
		running  float64
		longest  float64 // of the completed runs; 0 if there is none
		want     bool
	}{
		"no timeout, short":           {nil, 3.9, 1, false},
		"no timeout, long":            {nil, 4.1, 1, true},
		"within a long timeout":       {policies(policy(7, 8)), 7.9, 1, false},
		"beyond a long timeout":       {policies(policy(7, 8)), 8.3, 1, true},
		"being ended":                 {policies(policy(7, 2)), 2.2, 1, false},
		"beyond a short timeout":      {policies(policy(7, 2)), 2.3, 1, true},
		"one took longer":             {policies(policy(7, 2)), 3, 3, false},
		"longer than the one":         {policies(policy(7, 2)), 3.3, 3, true},
		"the longer of two":           {policies(policy(7, 2), policy(7, 6)), 5, 1, false},
		"one does not say":            {policies(policy(7, 2), policy(7, nan)), 3, 1, false},
		"one does not say, long":      {policies(policy(7, 2), policy(7, nan)), 4.1, 1, true},
		"no policy, long":             {policies(), 4.1, 1, true},
		"an absurd timeout":           {policies(policy(7, 721)), 4.1, 1, true},
		"no completed run":            {policies(policy(7, 2)), 2.3, 0, true},
		"no completed run, no policy": {nil, 4.1, 0, true},
	} {
		tasks := []apiclient.Backup{task("now", apiclient.StatusRunning, c.running)}
		if c.longest > 0 {
			long := task("long", apiclient.StatusCompleted, 20)
			long.Finish = long.Start.Add(time.Duration(c.longest * float64(time.Hour)))
			tasks = append(tasks, long)
		}
		l := limits()
		l.Policies = c.policies
		if got := assess(t, l, tasks...).Conditions[Stuck]; got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// The policy's retention is compared with the deadline, as that of the newest success is.
func TestRetentionOfThePolicy(t *testing.T) {
	nan := math.NaN()
	for name, c := range map[string]struct {
		policies *Policies
		tasks    []apiclient.Backup
		want     bool
	}{
		"long":              {policies(policy(2, 1)), []apiclient.Backup{task("a", "completed", 5)}, false},
		"shorter than 26 h": {policies(policy(1, 1)), []apiclient.Backup{task("a", "completed", 5)}, true},
		"the shorter":       {policies(policy(nan, 1), policy(7, 1), policy(1, 1)), []apiclient.Backup{task("a", "completed", 5)}, true},
		"unknown":           {policies(policy(nan, 1)), []apiclient.Backup{task("a", "completed", 5)}, false},
		"no policy":         {policies(), []apiclient.Backup{task("a", "completed", 5)}, false},
		"no backup":         {policies(policy(1, 1)), nil, false},
		"26 h exactly":      {policies(policy(26./24, 1)), []apiclient.Backup{task("a", "completed", 5)}, false},
	} {
		l := limits()
		l.Policies = c.policies
		if h := assess(t, l, c.tasks...); h.Conditions[RetentionTooShort] != c.want {
			t.Errorf("%s: %v", name, h.Holding())
		}
	}
}

// What is unknown is neither true nor false.
func TestConditionsOfOptionalReadsAreUnknownWithoutThem(t *testing.T) {
	h := assess(t, limits())
	for _, c := range []Condition{NoPolicy, RestoreUntested} {
		if _, known := h.Conditions[c]; known || slices.Contains(h.Holding(), c) {
			t.Errorf("%s is known", c)
		}
	}
}

// A completed restore without a time may be the newest: then nobody knows whether restoring is untested, unless another one proves it.
func TestRestoreWithoutATime(t *testing.T) {
	undated := apiclient.Operation{ID: "u", Status: apiclient.StatusCompleted}
	for name, c := range map[string]struct {
		operations     []apiclient.Operation
		holds, unknown bool
	}{
		"none":      {nil, true, false},
		"undated":   {[]apiclient.Operation{undated}, false, true},
		"failed":    {[]apiclient.Operation{{ID: "f", Status: apiclient.StatusFailed}}, true, false},
		"and old":   {[]apiclient.Operation{undated, {ID: "o", Status: apiclient.StatusCompleted, End: noon.AddDate(0, 0, -100)}}, false, true},
		"and young": {[]apiclient.Operation{undated, {ID: "y", Status: apiclient.StatusCompleted, End: noon.AddDate(0, 0, -1)}}, false, false},
	} {
		l := limits()
		l.RestoreMaxAge, l.Restores = 90*24*time.Hour, NewRestores(c.operations, noon)
		holds, known := assess(t, l, task("a", apiclient.StatusCompleted, 5)).Conditions[RestoreUntested]
		if holds != c.holds || known == c.unknown {
			t.Errorf("%s: %v, known %v", name, holds, known)
		}
	}
}
