package report

import (
	"strings"
	"testing"
	"time"

	"starrocks_backup_exporter/collector/fleet"
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
