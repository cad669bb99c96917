package apiclient_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
	"git.example.com/starrocks/starrocks_backup_exporter/apiclient/simulator"
)

func TestPoliciesOfAnInstance(t *testing.T) {
	c, sim, _ := newClient(t, simulator.Options{}, nil)
	sim.Set(simulator.Instance{InstanceID: "c-1", RegionID: "cn-hangzhou", Policies: simulator.DailyPolicy(7)})
	sim.Set(simulator.Instance{InstanceID: "c-2", RegionID: "cn-hangzhou"})
	for id, want := range map[string]int{"c-1": 1, "c-2": 0} {
		n := 0
		for p, err := range c.BackupPolicies(t.Context(), id) {
			if err != nil || p.InstanceID != id || p.ExpireDays != 7 || p.Hour != "2" {
				t.Errorf("%+v, %v", p, err)
			}
			n++
		}
		if n != want || sim.Requests(id) != 1 {
			t.Errorf("%s has %d policies, want %d; %d requests", id, n, want, sim.Requests(id))
		}
	}
	for _, err := range c.BackupPolicies(t.Context(), "c-3") {
		if apiclient.ReasonOf(err) != apiclient.ReasonInvalidRequest {
			t.Errorf("an instance that does not exist: %v", err)
		}
	}
}

// The call has no pages: an answer without a Total, or with one that is too large, comes again and does not repeat its policies.
func TestPoliciesWithoutATotal(t *testing.T) {
	for _, total := range []any{nil, 0, "5"} {
		c, sim, _ := newClient(t, simulator.Options{Total: func(int) any { return total }}, nil)
		sim.Set(simulator.Instance{InstanceID: "c-1", RegionID: "cn-hangzhou", Policies: simulator.DailyPolicy(7)})
		n := 0
		for _, err := range c.BackupPolicies(t.Context(), "c-1") {
			if err != nil {
				t.Errorf("Total %v: %v", total, err)
			}
			n++
		}
		if n != 1 {
			t.Errorf("Total %v: %d policies", total, n)
		}
	}
}

// The history has pages, and words that the exporter does not know.
func TestRestoresOfAnInstance(t *testing.T) {
	c, sim, _ := newClient(t, simulator.Options{PageCap: 3}, func(o *apiclient.Options) {
		o.StatusWords = apiclient.StatusWords{"human_processing": apiclient.StatusFailed}
	})
	sim.Set(simulator.Instance{InstanceID: "c-1", RegionID: "cn-hangzhou", Operations: func(now time.Time) (all []simulator.Operation) {
		for i, status := range []string{"HUMAN_PROCESSING", "TERMINATED", "COMPLETED", "COMPLETED", "COMPLETED"} {
			all = append(all, simulator.Operation{
				ID: fmt.Sprintf("op-%d", i), Type: "restore", Status: status, Create: simulator.Millis(now), End: simulator.Millis(now),
			})
		}
		return append(all, simulator.Operation{ID: "op-9", Type: "backup", Status: "COMPLETED"})
	}})
	if got := statuses(t, c); !slices.Equal(got, []apiclient.Status{"failed", "canceled", "completed", "completed", "completed"}) ||
		sim.Requests("c-1") != 2 {
		t.Errorf("%v in %d requests", got, sim.Requests("c-1"))
	}
}

// An API that ignores the filter by type lists backups, too. They are no restores.
func TestOperationsOfOtherTypesAreDropped(t *testing.T) {
	c, sim, _ := newClient(t, simulator.Options{}, nil)
	answer := simulator.Raw(http.StatusOK, `{"Success":true,"Total":3,"Data":[
		{"OperationId":"a","OperationType":"backup","OperationStatus":"COMPLETED"},
		{"OperationId":"b","OperationType":"RESTORE","OperationStatus":"TERMINATED"},
		{"OperationId":"c","OperationStatus":"COMPLETED"}]}`)
	sim.Set(simulator.Instance{InstanceID: "c-1", RegionID: "cn-hangzhou", Fault: answer})
	if got := statuses(t, c); !slices.Equal(got, []apiclient.Status{"canceled", "completed"}) {
		t.Errorf("%v", got)
	}
}

func statuses(t *testing.T, c *apiclient.Client) (all []apiclient.Status) {
	t.Helper()
	for o, err := range c.OperationHistory(t.Context(), "c-1", apiclient.OperationRestore) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, o.Status)
	}
	return all
}
