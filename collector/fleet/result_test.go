package fleet

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
	"git.example.com/starrocks/starrocks_backup_exporter/collector/health"
	"git.example.com/starrocks/starrocks_backup_exporter/config"
)

// A failure for one reason says nothing about the others, and an instance that cannot be read is neither healthy nor unhealthy.
func TestStatesOfAnInstance(t *testing.T) {
	fails := func(r apiclient.Reason) InstanceResult { return InstanceResult{Err: &apiclient.Error{Reason: r}} }
	holds := func(holds bool) InstanceResult {
		return InstanceResult{Health: &health.Health{Conditions: map[health.Condition]bool{health.Failing: holds}}}
	}
	for name, c := range map[string]struct {
		result     InstanceResult
		state      State
		conditions map[string]bool
	}{
		"healthy":      {holds(false), Healthy, map[string]bool{"unreadable": false, "access_denied": false, "throttled": false}},
		"unhealthy":    {holds(true), Unhealthy, map[string]bool{"unreadable": false, "access_denied": false, "throttled": false}},
		"unauthorized": {fails(apiclient.ReasonUnauthorized), Unknown, map[string]bool{"unreadable": true, "access_denied": true}},
		"forbidden":    {fails(apiclient.ReasonForbidden), Unknown, map[string]bool{"unreadable": true, "access_denied": true}},
		"throttled":    {fails(apiclient.ReasonThrottled), Unknown, map[string]bool{"unreadable": true, "throttled": true}},
		"down":         {fails(apiclient.ReasonServerError), Unknown, map[string]bool{"unreadable": true}},
		"late":         {InstanceResult{Err: context.DeadlineExceeded}, Unknown, map[string]bool{"unreadable": true}},
	} {
		got := map[string]bool{}
		for _, condition := range c.result.ReadConditions() {
			got[condition.Name] = condition.Holds
		}
		if !maps.Equal(got, c.conditions) || c.result.State() != c.state || (c.result.Reason() == "") != (c.result.Err == nil) {
			t.Errorf("%s: %v, %v", name, c.result.State(), got)
		}
	}
	states := []State{Healthy, Unhealthy, Unknown}
	if slices.Sort(states); fmt.Sprint(states) != "[unhealthy unknown healthy]" {
		t.Errorf("in order: %v", states)
	}
}

// The time of a scrape's requests is that of all reads of an account and region, or of a list whose pages come one after another.
func TestRequestTimes(t *testing.T) {
	in := func(account, region string, requests int, listed bool) InstanceResult {
		return InstanceResult{
			Instance: config.Instance{Account: account, RegionID: region}, Totals: InstanceTotals{Requests: requests, Listed: listed},
		}
	}
	r := &Result{
		RequestsPerSecond: 10,
		Discoveries: []DiscoveryResult{
			{Account: "a", RegionID: "r", ListRequests: 4, ListTime: 7 * time.Second}, {Account: "a", RegionID: "s"},
		},
		Instances: []InstanceResult{in("a", "r", 9, true), in("a", "r", 26, false), in("b", "r", 0, false), in("b", "r", 40, false)},
	}
	want := []RequestTime{{"a", "r", 30, 7 * time.Second}, {"b", "r", 41, 3100 * time.Millisecond}}
	if got := requestTimes(r); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if !want[0].TooLong(6*time.Second) || want[0].TooLong(7*time.Second) || want[0].TooLong(0) {
		t.Error("which deadline is too short")
	}
	if r.RequestsPerSecond = 0; requestTimes(r) != nil || r.TimeOf(100) != 0 {
		t.Error("a time without a limit")
	}
	if r.RequestsPerSecond = 0.5; r.TimeOf(1) != 0 || r.TimeOf(3) != 4*time.Second {
		t.Errorf("one request takes %v, three take %v", r.TimeOf(1), r.TimeOf(3))
	}
}

// Which shard reads an instance is the same in every release. While an update is under way, an instance could have no shard otherwise.
func TestShardsStayTheSame(t *testing.T) {
	got := ""
	for n := range 20 {
		i := config.Instance{Account: "default", RegionID: "cn-hangzhou", InstanceID: fmt.Sprintf("c-%d", n)}
		owners := 0
		for index := range 3 {
			if (Shard{index, 3}).Has(i) {
				got += fmt.Sprint(index)
				owners++
			}
		}
		if owners != 1 || !(Shard{}).Has(i) {
			t.Errorf("%d shards have %s", owners, i.InstanceID)
		}
	}
	if want := "10102210110010201122"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// An instance never fits if what its read takes, by requests or by the time of its pages, is more than a scrape has.
func TestNeverFits(t *testing.T) {
	late := &apiclient.Error{Reason: apiclient.ReasonTimeout}
	for name, c := range map[string]struct {
		one      InstanceResult
		deadline time.Duration
		never    bool
	}{
		"many requests":     {InstanceResult{Err: late, Totals: InstanceTotals{Requests: 111}}, 10 * time.Second, true},
		"just so":           {InstanceResult{Err: late, Totals: InstanceTotals{Requests: 110}}, 10 * time.Second, false},
		"slow pages":        {InstanceResult{Err: late, Totals: InstanceTotals{Requests: 2, ReadTime: time.Minute}}, 10 * time.Second, true},
		"read all the same": {InstanceResult{Totals: InstanceTotals{Requests: 111}}, 10 * time.Second, false},
		"nothing known":     {InstanceResult{Err: late, Totals: InstanceTotals{ReadTime: time.Minute}}, 10 * time.Second, false},
		"no deadline":       {InstanceResult{Err: late, Totals: InstanceTotals{Requests: 111}}, 0, false},
	} {
		r := &Result{RequestsPerSecond: 10, Deadline: c.deadline}
		if needed, never := r.NeverFits(&c.one); never != c.never || needed < r.TimeOf(c.one.Totals.Requests) {
			t.Errorf("%s: %v, needs %v", name, never, needed)
		}
	}
}
