package collector_test

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient/simulator"
)

const (
	policyInterval  = time.Hour
	restoreInterval = 2 * time.Hour
	restoreMaxAge   = 4 * 24 * time.Hour
)

// optionalWorld is the policies and operations of the soak's instances, what the exporter may have read of them, and faults of these calls.
type optionalWorld struct {
	t       *testing.T
	playing [soakInstances]atomic.Pointer[played]
	errors  float64        // failed reads as last seen
	seen    map[string]int // how often a value was held against the world

	mu         sync.Mutex
	policies   [soakInstances][]time.Time // when the API answered since the exporter started
	operations [soakInstances][]time.Time
}

// optionalTroubles are faults of these calls beside those of every call.
func optionalTroubles() []trouble {
	return append(
		troubles(),
		trouble{"another shape", simulator.Raw(http.StatusOK, `{"Success":true,"Data":[{"New":1}],"Total":1}`), "bad_response", false},
		trouble{"no list", simulator.Raw(http.StatusOK, `{"Success":true,"Data":{"New":1},"Total":1}`), "bad_response", false},
		trouble{"slow", simulator.Delay(50 * time.Millisecond), "", false},
		trouble{"very slow", simulator.Delay(500 * time.Millisecond), "", false},
	)
}

// pick chooses what plays from now on.
func (o *optionalWorld) pick(r *rand.Rand) {
	kinds := optionalTroubles()
	for i := range o.playing {
		o.playing[i].Store(pick(r, kinds))
	}
}

// restart forgets what an exporter has read that runs no more.
func (o *optionalWorld) restart() {
	o.forget(0)
	o.errors = 0
}

// forget forgets what was read of the instances from one on.
func (o *optionalWorld) forget(from int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.policies[from:])
	clear(o.operations[from:])
}

// add gives an instance its policies and operations.
func (o *optionalWorld) add(i int, in *simulator.Instance) {
	backups := in.Fault
	in.Fault = func(w http.ResponseWriter, r *http.Request, n int) bool {
		if action := r.Header.Get("x-acs-action"); action != "DescribeBackupPolicies" && action != "ListOperationHistory" {
			return backups(w, r, n)
		}
		p := o.playing[i].Load()
		return p != nil && (!p.passing || p.requests.Add(1) == 1) && p.fault(w, r, n)
	}
	answered := func(all *[]time.Time, now time.Time) {
		o.mu.Lock()
		defer o.mu.Unlock()
		*all = append(*all, now)
	}
	in.Policies = func(now time.Time) []simulator.Policy {
		answered(&o.policies[i], now)
		return policiesOf(i, now)
	}
	in.Operations = func(now time.Time) []simulator.Operation {
		answered(&o.operations[i], now)
		return operationsOf(i, now)
	}
}

// chance is a number below n that depends on an instance, a day and a purpose alone.
func chance(n uint32, of ...any) uint32 {
	h := fnv.New32a()
	_, _ = fmt.Fprint(h, of...)
	return h.Sum32() % n
}

// policiesOf is an instance's policies: each day others, none on every third.
func policiesOf(i int, now time.Time) (all []simulator.Policy) {
	day := now.Truncate(24 * time.Hour).Unix()
	for n := range chance(3, "policies", i, day) {
		all = append(all, simulator.Policy{
			PolicyID: fmt.Sprint(n), Hour: "2", Minute: "0", RecurrenceValues: []int{1},
			ExpireDays: 1 + chance(3, "days", i, day, n), TimeoutSeconds: 3600 * (1 + chance(3, "timeout", i, day, n)),
		})
	}
	return all
}

// operationsOf is an instance's operations: a restore of two hours on some days, half of them terminated, and what canceled every other
// canceled backup, five minutes before it ended. Some name the task.
func operationsOf(i int, now time.Time) (all []simulator.Operation) {
	for d := range 9 {
		day := now.Truncate(24*time.Hour).AddDate(0, 0, -d)
		start := day.Add(time.Hour)
		if chance(3, "restore", i, day.Unix()) > 0 || start.After(now) {
			continue
		}
		o := simulator.Operation{ID: fmt.Sprintf("op-%d", start.Unix()), Type: "restore", Status: "RUNNING", Create: simulator.Millis(start)}
		if end := start.Add(2 * time.Hour); !end.After(now) {
			o.Status, o.End = []string{"COMPLETED", "TERMINATED"}[chance(2, "ended", i, day.Unix())], simulator.Millis(end)
		}
		all = append(all, o)
	}
	for _, r := range runsOf(i, now) {
		if byHand, named := canceledBy(i, r); byHand {
			o := simulator.Operation{
				ID: fmt.Sprintf("op-%d", r.finish.Unix()), Type: "cancel_backup_task", Status: "COMPLETED",
				Create: simulator.Millis(r.finish.Add(-5 * time.Minute)), End: simulator.Millis(r.finish.Add(-4 * time.Minute)),
			}
			if named {
				o.After = fmt.Sprintf("{%q:%q}", "BackupTaskId", taskID(r))
			}
			all = append(all, o)
		}
	}
	return all
}

// canceledBy says whether somebody canceled a run, and whether the API names it.
func canceledBy(i int, r soakRun) (byHand, named bool) {
	return r.status == "CANCELLED" && chance(2, "by hand", i, r.start.Unix()) == 0, chance(2, "named", i, r.start.Unix()) == 0
}

func taskID(r soakRun) string { return fmt.Sprintf("bt-%d", r.start.Unix()) }

// expectedPolicies is what the exporter has to say of policies that it read at a time.
func expectedPolicies(i int, at time.Time) map[string]float64 {
	all := policiesOf(i, at)
	want := map[string]float64{"policies": float64(len(all))}
	for _, p := range all {
		days, timeout := float64(p.ExpireDays.(uint32)), float64(p.TimeoutSeconds.(uint32))
		if shortest, known := want["policy_expire_days"]; !known || days < shortest {
			want["policy_expire_days"] = days
		}
		want["policy_timeout_seconds"] = max(want["policy_timeout_seconds"], timeout)
	}
	return want
}

// expectedRestores is the same of restores. Those that ended after some time may not have counted as the newest: the clock went on while
// the exporter read. On each day one ends at most.
func expectedRestores(i int, at, newestBy time.Time) map[string]float64 {
	want := map[string]float64{"restores running": 0, "restores completed": 0, "restores canceled": 0, "restores failed": 0}
	for _, o := range operationsOf(i, at) {
		if o.Type != "restore" {
			continue
		}
		want["restores "+strings.Replace(statusOf(o.Status), "terminated", "canceled", 1)]++
		if o.Status == "COMPLETED" {
			end := float64(o.End.(int64)) / 1000
			if end > want["last_restore_timestamp_seconds"] && end <= float64(newestBy.Unix()) {
				want["last_restore_timestamp_seconds"], want["last_restore_duration_seconds"] = end, 7200
			}
		}
	}
	return want
}

// agrees reports whether what the exporter says is what is wanted, and nothing else of these families.
func agrees(series, want map[string]float64, families ...string) bool {
	matching := 0
	for name, value := range series {
		if family, _, _ := strings.Cut(name, " "); !slices.Contains(families, family) {
			continue
		}
		wanted, known := want[name]
		if known && wanted == value {
			matching++
		} else if known || value != 0 { // a status that no operation has
			return false
		}
	}
	return matching == len(want)
}

// check holds an instance against what the API answered: the last answer, or one before it while a read or a reload goes on. However long
// that takes, the world's clock goes on meanwhile, so that the age of an answer says nothing here.
func (o *optionalWorld) check(i int, series map[string]float64, now time.Time) {
	o.t.Helper()
	o.mu.Lock()
	policies, operations := slices.Clone(o.policies[i]), slices.Clone(o.operations[i])
	o.mu.Unlock()
	last := func(all []time.Time, most int) []time.Time { return all[max(0, len(all)-most):] }
	if _, known := series["policies"]; known {
		o.seen["policies"]++
		if !slices.ContainsFunc(last(policies, 4), func(at time.Time) bool {
			return agrees(series, expectedPolicies(i, at), "policies", "policy_expire_days", "policy_timeout_seconds")
		}) {
			o.t.Errorf("at %v: %s has policies that it had at none of %v: %v", now, soakID(i), policies, ofOptional(series))
		}
	}
	if _, known := series["restores completed"]; known {
		o.seen["restores"]++
		if !slices.ContainsFunc(last(operations, 12), func(at time.Time) bool {
			return slices.ContainsFunc([]time.Time{at, at.AddDate(0, 0, -1)}, func(newestBy time.Time) bool {
				return agrees(series, expectedRestores(i, at, newestBy), "restores", "last_restore_timestamp_seconds", "last_restore_duration_seconds")
			})
		}) {
			o.t.Errorf("at %v: %s has restores that it had at none of %v: %v", now, soakID(i), operations, ofOptional(series))
		}
	}
}

// ofOptional returns the series that optional reads give.
func ofOptional(series map[string]float64) map[string]float64 {
	all := maps.Clone(series)
	maps.DeleteFunc(all, func(name string, _ float64) bool {
		return !strings.HasPrefix(name, "polic") && !strings.HasPrefix(name, "restores") && !strings.HasPrefix(name, "last_restore")
	})
	return all
}

// expectConditions adds the conditions that follow from what the exporter says of policies and restores.
func expectConditions(want, series map[string]float64, now time.Time) {
	if n, known := series["policies"]; known {
		_, success := want["last_success_timestamp_seconds"]
		want["condition no_policy"], want["condition retention_too_short"], want["condition stuck"] = 0, 0, 0
		if n == 0 && (want["condition overdue"] == 1 || want["condition missing"] == 1 && !success) {
			want["condition no_policy"] = 1
		}
		if success && series["policy_expire_days"] == 1 { // and 26 hours until the deadline
			want["condition retention_too_short"] = 1
		}
	}
	if _, known := series["restores completed"]; known {
		want["condition restore_untested"] = 0
		if last := series["last_restore_timestamp_seconds"]; float64(now.Unix()) > last+restoreMaxAge.Seconds() {
			want["condition restore_untested"] = 1
		}
	}
}

// unknownOptional returns a series of policies or restores, or a condition of theirs, that is there though nothing was read; empty if none.
func unknownOptional(series map[string]float64) string {
	_, policies := series["policies"]
	_, restores := series["restores completed"]
	for name := range series {
		if !policies && (strings.HasPrefix(name, "polic") || name == "condition no_policy") ||
			!restores && (strings.HasPrefix(name, "last_restore") || strings.HasPrefix(name, "restores") || name == "condition restore_untested") {
			return name
		}
	}
	return ""
}

// checkErrors holds the counter of failed reads: it never falls.
func (o *optionalWorld) checkErrors(exposition string) {
	o.t.Helper()
	sum := 0.0
	for line := range strings.Lines(exposition) {
		if strings.HasPrefix(line, "starrocks_backup_optional_reads_errors_total{") {
			n, _ := strconv.ParseFloat(strings.TrimSpace(line[strings.LastIndex(line, " "):]), 64)
			sum += n
		}
	}
	if sum < o.errors {
		o.t.Errorf("%v failed optional reads after %v", sum, o.errors)
	}
	o.seen["failed"] += int(sum - o.errors)
	o.errors = sum
}

// missing says what the exporter does not know yet of a world without faults.
func (o *optionalWorld) missing(got map[string]map[string]float64, page string, now time.Time) string {
	var report struct {
		Instances []struct {
			ID      string `json:"instance_id"`
			Reasons []string
		}
	}
	if err := json.Unmarshal([]byte(page), &report); err != nil || len(report.Instances) != len(got) || len(got) == 0 {
		return fmt.Sprintf("%d instances, %d of them on the page: %v", len(got), len(report.Instances), err)
	}
	for _, in := range report.Instances {
		i, _ := strconv.Atoi(strings.TrimPrefix(in.ID, "c-"))
		series := got[in.ID]
		if series["up"] != 1 || !agrees(series, expectedPolicies(i, now), "policies", "policy_expire_days", "policy_timeout_seconds") ||
			!agrees(series, expectedRestores(i, now, now), "restores", "last_restore_timestamp_seconds", "last_restore_duration_seconds") {
			return fmt.Sprintf("%s at %v: %v", in.ID, now, series)
		}
		reasons := strings.Join(in.Reasons, " ")
		byHand, named := whyFailing(i, now)
		if strings.Contains(reasons, "by hand") != byHand || strings.Contains(reasons, "probably") != (byHand && !named) {
			return fmt.Sprintf("%s at %v: by hand %v, named %v: %s", in.ID, now, byHand, named, reasons)
		}
	}
	return ""
}

// whyFailing says whether somebody canceled the newest ended run, and whether the API names it.
func whyFailing(i int, now time.Time) (byHand, named bool) {
	for _, r := range runsOf(i, now) {
		if r.status != "RUNNING" && !r.start.Equal(absurd) {
			return canceledBy(i, r)
		}
	}
	return false, false
}
