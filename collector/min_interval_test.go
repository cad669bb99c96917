package collector_test

import (
	"strings"
	"testing"
	"time"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient/simulator"
)

// A backup that completes between the last read and its deadline is seen when the deadline passes: the clock alone makes nobody overdue.
func TestADeadlineBetweenTwoReads(t *testing.T) {
	now := noon.Add(-5 * time.Minute)
	w := newWorld(t, simulator.Options{}, func() time.Time { return now }, strings.NewReplacer(
		"30s,", "30s, min_interval: 10m,",
		"cn-hangzhou}]", `cn-hangzhou, schedule: "0 10 * * *"}, {instance_id: c-2, region_id: cn-hangzhou}]`).Replace(oneInstance))
	today, yesterday := backup("bt-2", "RUNNING", 0, tables(20)...), backup("bt-1", "COMPLETED", 24, tables(20)...)
	today.Start, today.Finish = simulator.Millis(noon.Add(-2*time.Hour)), nil
	w.sim.Set(simulator.Instance{InstanceID: "c-1", RegionID: "cn-hangzhou", Tasks: func(at time.Time) []simulator.Task {
		if end := noon.Add(-time.Minute); !at.Before(end) {
			today.Status, today.Finish = "COMPLETED", simulator.Millis(end)
		}
		return []simulator.Task{today, yesterday}
	}})
	w.sim.Set(simulator.Instance{InstanceID: "c-2", RegionID: "cn-hangzhou", Tasks: lists(backup("bt-1", "COMPLETED", 5))})
	w.get("/metrics")
	now = noon.Add(time.Second)
	body := w.get("/metrics")
	for series, holds := range values(t, body, "condition") {
		if holds != 0 {
			t.Errorf("%s is %v", series, holds)
		}
	}
	if one, two := w.sim.Requests("c-1"), w.sim.Requests("c-2"); one != 2 || two != 1 {
		t.Errorf("%d and %d requests, want 2 and 1", one, two)
	}
	now = now.Add(time.Minute)
	w.get("/metrics")
	if one := w.sim.Requests("c-1"); one != 2 {
		t.Errorf("%d requests after the deadline has passed, want 2", one)
	}
}
