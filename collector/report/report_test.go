package report

import (
	"strings"
	"testing"
	"time"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
	"git.example.com/starrocks/starrocks_backup_exporter/collector/fleet"
	"git.example.com/starrocks/starrocks_backup_exporter/config"
)

func TestWarningOfAShortDeadline(t *testing.T) {
	r := &fleet.Result{
		Deadline:     9 * time.Second,
		RequestTimes: []fleet.RequestTime{{Account: "prod", RegionID: "cn-hangzhou", Requests: 300, Time: 14 * time.Second}},
	}
	warning := strings.Join(New(r, r.At).Warnings, "\n")
	for _, want := range []string{
		"deadline is too short", "300 requests for cn-hangzhou (account prod) take 14 s", "had 9 s",
		"listing: region",
	} {
		if !strings.Contains(warning, want) {
			t.Errorf("%q lacks %q", warning, want)
		}
	}
	r.Deadline = 15 * time.Second
	if warning = strings.Join(New(r, r.At).Warnings, "\n"); strings.Contains(warning, "deadline") {
		t.Errorf("warned of a deadline that is long enough: %q", warning)
	}
}

// The page says which instances can never be read in time, and which account has another identity than before.
func TestWarnings(t *testing.T) {
	one := func(id string, requests int, err error) fleet.InstanceResult {
		return fleet.InstanceResult{
			Instance: config.Instance{InstanceID: id, RegionID: "cn-hangzhou"}, Err: err, Totals: fleet.InstanceTotals{Requests: requests},
		}
	}
	late := &apiclient.Error{Reason: apiclient.ReasonTimeout}
	r := &fleet.Result{
		Deadline: 9 * time.Second, RequestsPerSecond: 10,
		Instances: []fleet.InstanceResult{one("c-never", 200, late), one("c-late", 20, late)},
		Credentials: []fleet.AccountCredentials{
			{Account: "prod", Provider: "ecs_ram_role", Before: "oidc_role_arn"}, {Account: "dev", Provider: "a"},
		},
	}
	got := New(r, r.At).Warnings
	if len(got) != 3 || got[0] != "2 of 2 instances cannot be read: the read did not finish in time (timeout)." ||
		!strings.Contains(got[1], "c-never (cn-hangzhou) can never be read in time: it takes about 200 requests") ||
		!strings.Contains(got[2], "account prod now come from ecs_ram_role; before, they came from oidc_role_arn") {
		t.Errorf("%q", got)
	}
}
