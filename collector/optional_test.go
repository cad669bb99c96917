package collector_test

import (
	"strings"
	"testing"
	"time"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient/simulator"
)

const optionalMetrics = "policies policy_info policy_expire_days policy_timeout_seconds policies_last_read_timestamp_seconds " +
	"last_restore_timestamp_seconds last_restore_duration_seconds restores optional_reads_errors_total"

const twoOptional = `
policies: {refresh_interval: 1h}
restores: {refresh_interval: 6h, max_age: 90d}
api: {endpoint: "API", timeout: 30s, requests_per_second: 100000}
accounts: {default: {access_key_id: id, access_key_secret: canary}}
instances: [{instance_id: c-1, region_id: cn-hangzhou}, {instance_id: c-2, region_id: cn-hangzhou}]
`

// newOptionalWorld is an instance with two policies and two restores, and one that has nothing but a fault.
func newOptionalWorld(t *testing.T, configuration string, fault simulator.Fault) *world {
	t.Helper()
	w := newWorld(t, simulator.Options{}, func() time.Time { return noon }, configuration)
	w.sim.Set(simulator.Instance{
		InstanceID: "c-1", RegionID: "cn-hangzhou",
		Policies: func(time.Time) []simulator.Policy {
			return []simulator.Policy{
				{PolicyID: "1", Hour: "2", Minute: "30", RecurrenceValues: []int{1, 5}, ExpireDays: 14, TimeoutSeconds: "3600"},
				{PolicyID: strings.Repeat("x", 200), Hour: "2", Minute: "30", ExpireDays: "7", TimeoutSeconds: 7200},
			}
		},
		Operations: func(now time.Time) []simulator.Operation {
			return append(simulator.Restored(48*time.Hour)(now), simulator.Operation{ID: "op-2", Type: "restore", Status: "TERMINATED"})
		},
	})
	w.sim.Set(simulator.Instance{InstanceID: "c-2", RegionID: "cn-hangzhou", Fault: fault})
	return w
}

// waitForOptional scrapes until the reads after the first scrape are done.
func (w *world) waitForOptional(until func(exposition string) bool) string {
	w.t.Helper()
	for range 1000 {
		if text := w.exposition(); until(text) {
			return text
		}
		time.Sleep(10 * time.Millisecond)
	}
	w.t.Fatal("the optional reads do not end")
	return ""
}

func TestMetricsOfOptionalReads(t *testing.T) {
	w := newOptionalWorld(t, twoOptional, nil)
	text := w.waitForOptional(func(text string) bool {
		return strings.Count(text, "starrocks_backup_policies{") == 2 && strings.Count(text, "starrocks_backup_restores{") == 2*6
	})
	golden(t, "optional.metrics", families(text, append(strings.Fields(optionalMetrics), "condition")...))
}

// Without the sections, nothing of it is there, and no request is made.
func TestNoMetricsOfOptionalReads(t *testing.T) {
	_, off, _ := strings.Cut(twoOptional, "\napi:")
	w := newOptionalWorld(t, "api:"+off, nil)
	for range 3 {
		text := w.exposition()
		if part := families(text, strings.Fields(optionalMetrics)...); part != "" || strings.Contains(text, `condition="no_policy"`) {
			t.Errorf("exported:\n%s", part)
		}
	}
	if n := w.sim.Requests(""); n != 6 {
		t.Errorf("%d requests, want 6", n)
	}
}

// A denial is counted and shown on the page, and changes nothing else.
func TestDeniedOptionalReads(t *testing.T) {
	denied := simulator.Of("ListOperationHistory", simulator.Denied("sr:ListHistory"))
	w := newOptionalWorld(t, twoOptional, denied)
	text := w.waitForOptional(func(text string) bool {
		return strings.Contains(text, `optional_reads_errors_total{operation="ListOperationHistory",reason="forbidden"} 1`) &&
			strings.Count(text, "starrocks_backup_policies{") == 2
	})
	if strings.Contains(text, `restores{instance_id="c-2"`) || strings.Contains(text, `condition="restore_untested",instance_id="c-2"`) ||
		!strings.Contains(text, `up{instance_id="c-2",region_id="cn-hangzhou"} 1`) ||
		strings.Contains(text, `scrape_errors_total{instance_id="c-2",reason="forbidden",region_id="cn-hangzhou"} 1`) {
		t.Error(text)
	}
	if page := w.get("/"); !strings.Contains(page, "The restores of 1 of 2 instances cannot be read: the API denies access.") ||
		!strings.Contains(page, "sr:ListHistory") {
		t.Error(page)
	}
}

// The page and JSON say that a run was canceled by hand, and whether the operation names it. No metric changes for that.
func TestRunsThatWereCanceledByHand(t *testing.T) {
	w := newOptionalWorld(t, twoOptional, nil)
	begin := noon.Add(-5 * time.Hour)
	for id, named := range map[string]bool{"c-1": true, "c-2": false} {
		in := simulator.Instance{InstanceID: id, RegionID: "cn-hangzhou", Tasks: func(time.Time) []simulator.Task {
			return []simulator.Task{{
				BackupTaskID: "bt-12sui21312dd", Status: "CANCELLED", Start: simulator.Millis(begin), Finish: simulator.Millis(begin.Add(time.Hour)),
			}}
		}}
		in.Operations = simulator.Canceled(simulator.Restored(time.Hour), in.Tasks, named)
		w.sim.Set(in)
	}
	before := families(w.exposition(), "condition", "consecutive_failures", "last_task_status")
	const sentence = "The last task that ended produced no backup: canceled 2026-03-04 08:00 UTC (4 h ago). "
	c1 := sentence + "It was canceled by hand at 2026-03-04 07:59 UTC (operation op-2)."
	c2 := sentence + "It was probably canceled by hand: operation op-2 canceled a backup at 2026-03-04 07:59 UTC, " +
		"and no other task was running then."
	text := w.waitForOptional(func(string) bool {
		json := w.get("/?format=json")
		return strings.Contains(json, c1) && strings.Contains(json, c2)
	})
	page := w.get("/?open=cn-hangzhou/c-1&open=cn-hangzhou/c-2")
	for _, want := range []string{c1, c2, "canceled by hand</td>", "canceled, probably by hand</td>"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
	if after := families(text, "consecutive_failures", "last_task_status"); !strings.Contains(before, after) ||
		strings.Contains(text, "by hand") {
		t.Errorf("before:\n%s\nafter:\n%s", before, text)
	}
}
