package fleet

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/common/model"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
	"git.example.com/starrocks/starrocks_backup_exporter/apiclient/simulator"
	"git.example.com/starrocks/starrocks_backup_exporter/collector/health"
)

const (
	describePolicies = "DescribeBackupPolicies"
	listHistory      = "ListOperationHistory"
)

// counted counts the requests of an operation, before a fault that may answer them.
func counted(action string, n *atomic.Int64, f simulator.Fault) simulator.Fault {
	return func(w http.ResponseWriter, r *http.Request, nth int) bool {
		if r.Header.Get("x-acs-action") != action {
			return false
		}
		n.Add(1)
		return f != nil && f(w, r, nth)
	}
}

// newOptionalWorld returns instances with one backup each. The first also has a policy and a restore.
func newOptionalWorld(t *testing.T, instances int, fault simulator.Fault) *virtualWorld {
	t.Helper()
	w := newVirtualWorld(t, simulator.Options{})
	for n := range instances {
		id := fmt.Sprintf("c-%d", n)
		in := simulator.Instance{InstanceID: id, RegionID: "cn-hangzhou", Fault: fault, Tasks: func(now time.Time) []simulator.Task {
			end := now.Add(-time.Hour)
			return []simulator.Task{{
				BackupTaskID: "bt", Status: "COMPLETED", Start: simulator.Millis(end.Add(-time.Hour)), Finish: simulator.Millis(end),
			}}
		}}
		if n == 0 {
			in.Policies, in.Operations = simulator.DailyPolicy(7), simulator.Restored(48*time.Hour)
		}
		w.sim.Set(in)
		w.configure(id)
	}
	return w
}

// readBoth configures both optional reads.
func (w *virtualWorld) readBoth() {
	w.fleet.Optional = []OptionalRead{ReadPolicies(time.Hour), ReadRestores(6 * time.Hour), ReadCancellations(6 * time.Hour)}
}

// scrapeAndWait is one scrape, and the optional reads that it starts.
func scrapeAndWait(s *Scraper) *Result {
	r := scrape(s, time.Second)
	synctest.Wait()
	return r
}

func TestNothingOptionalIsReadUnlessConfigured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newOptionalWorld(t, 3, nil)
		s := w.scraper()
		for range 5 {
			r := scrapeAndWait(s)
			time.Sleep(time.Minute)
			if l := r.Instances[0].Limits; l.Policies != nil || l.Restores != nil || len(r.Optional) > 0 {
				t.Errorf("%+v, %+v", l, r.Optional)
			}
		}
		if n := w.sim.Requests(""); n != 15 {
			t.Errorf("%d requests, want 15", n)
		}
	})
}

// What is read is known in the next scrape. It outlives scrapes and reloads, and goes with the configuration.
func TestOptionalReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newOptionalWorld(t, 2, nil)
		w.readBoth()
		s := w.scraper()
		if l := scrapeAndWait(s).Instances[0].Limits; l.Policies != nil || l.Restores != nil {
			t.Errorf("the scrape waited: %+v", l)
		}
		check := func(when string) {
			t.Helper()
			r := scrapeAndWait(s)
			one, other := r.Instances[0].Limits, r.Instances[1].Limits
			if one.Policies == nil || len(one.Policies.All) != 1 || one.Policies.ExpireDays() != 7 || one.Restores == nil ||
				one.Restores.Last.IsZero() || one.Restores.LastDuration != 3600 {
				t.Errorf("%s: %+v", when, one)
			}
			if other.Policies == nil || len(other.Policies.All) != 0 || other.Restores == nil || !other.Restores.Last.IsZero() {
				t.Errorf("%s: %+v", when, other)
			}
		}
		check("second scrape")
		before := w.sim.Requests("")
		reloaded := *w.fleet
		s.SetFleet(&reloaded)
		check("reload")
		if n := w.sim.Requests("") - before; n != 2 {
			t.Errorf("%d requests after the reload, want 2", n)
		}
		off := *w.fleet
		off.Optional = nil
		s.SetFleet(&off)
		if l := scrapeAndWait(s).Instances[0].Limits; l.Policies != nil || l.Restores != nil {
			t.Errorf("off: %+v", l)
		}
	})
}

// The reads of many instances are spread over the interval, and each instance is read once in it.
func TestOptionalReadsAreSpread(t *testing.T) {
	const instances, hours = 30, 5
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int64
		w := newOptionalWorld(t, instances, counted(describePolicies, &n, nil))
		w.fleet.Optional = []OptionalRead{ReadPolicies(time.Hour)}
		s := w.scraper()
		most := int64(0)
		for began := time.Now(); time.Since(began) < hours*time.Hour; {
			before := n.Load()
			scrape(s, 10*time.Second)
			time.Sleep(time.Minute)
			most = max(most, n.Load()-before)
		}
		if n.Load() != hours*instances || most > minReadsPerRound {
			t.Errorf("%d reads, at most %d after one scrape", n.Load(), most)
		}
	})
	for _, c := range []struct {
		instances int
		passed    time.Duration
		want      int
	}{{3, time.Minute, 10}, {1000, time.Minute, 17}, {1000, time.Hour, 1000}, {1000, 100 * time.Hour, 1000}, {1000, -time.Hour, 10}} {
		if got := readsPerRound(c.instances, time.Hour, c.passed); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

// An optional operation that hangs, fails or is denied holds up no scrape and changes nothing but its own counter. What a policy could say
// is unknown for a while if the failure may pass.
func TestOptionalReadsNeverHoldUpAScrape(t *testing.T) {
	for reason, f := range map[apiclient.Reason]simulator.Fault{
		apiclient.ReasonTimeout:     simulator.Delay(time.Hour),
		apiclient.ReasonForbidden:   simulator.Denied("sr:DescribeBackupPolicies"),
		apiclient.ReasonThrottled:   simulator.Throttled(0),
		apiclient.ReasonBadResponse: simulator.Raw(http.StatusOK, `{"Success":true,"Data":[{"New":1}]}`),
		apiclient.ReasonNotFound:    simulator.GatewayError(http.StatusNotFound, "InvalidApi.NotFound", "no such call"),
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newOptionalWorld(t, 20, simulator.Of(describePolicies, f))
			w.readBoth()
			s := w.scraper()
			var r *Result
			conditions := scrape(newOptionalWorld(t, 1, nil).scraper(), time.Second).Instances[0].Health.Conditions
			for range 20 {
				began := time.Now()
				r = scrape(s, 9500*time.Millisecond)
				if took := time.Since(began); ups(r) != 20 || took > 1500*time.Millisecond {
					t.Errorf("%s: %d up after %v", reason, ups(r), took)
				}
				time.Sleep(15 * time.Second)
			}
			time.Sleep(time.Minute) // the last round
			synctest.Wait()
			policies, restores := r.Optional[0], r.Optional[1]
			if len(restores.Failures) > 0 || len(restores.Errors) > 0 || len(policies.Failures) != 1 || policies.Failures[0].Reason != reason ||
				policies.Errors[reason] == 0 || len(policies.Errors) != 1 {
				t.Errorf("%s: %+v", reason, r.Optional)
			}
			for _, i := range r.Instances {
				if i.Limits.Policies != nil || i.Limits.Restores == nil || len(i.Totals.Errors) > 0 {
					t.Errorf("%s: %+v, %v", reason, i.Limits, i.Totals.Errors)
				}
				want := maps.Clone(conditions)
				if isTransient(reason) {
					delete(want, health.RetentionTooShort)
				}
				if !maps.Equal(i.Health.Conditions, want) {
					t.Errorf("%s: %v, want %v", reason, i.Health.Conditions, want)
				}
			}
			if warned := strings.Count(w.log.String(), "level=warn"); warned != 1 {
				t.Errorf("%s: %d warnings\n%s", reason, warned, w.log.String())
			}
		})
	}
}

// Whatever optional reads hang, a scrape has half of the places in flight, and retries: an instance that hangs, too, blocks no other.
func TestOptionalReadsLeavePlaces(t *testing.T) {
	for places := 2; places < 5; places++ {
		synctest.Test(t, func(t *testing.T) {
			hang := simulator.Delay(time.Hour)
			fault := func(rw http.ResponseWriter, r *http.Request, n int) bool {
				if r.Header.Get("x-acs-action") == "DescribeBackups" && (places < 4 || r.URL.Query().Get("InstanceId") != "c-1") {
					return false
				}
				return hang(rw, r, n)
			}
			w := newOptionalWorld(t, 5, fault)
			w.sim.Set(simulator.Instance{InstanceID: "c-2", RegionID: "cn-hangzhou", Fault: fault, Tasks: func(now time.Time) []simulator.Task {
				at := simulator.Millis(now.Add(-time.Hour))
				return []simulator.Task{{BackupTaskID: "bt", Status: "CANCELLED", Start: at, Finish: at}} // its cancellation is read, too
			}})
			want := 5 - places/4
			w.limiter.Set(100, 100, places)
			w.readBoth()
			s := w.scraper()
			for range 5 {
				scrape(s, 500*time.Millisecond)
				time.Sleep(time.Second)
				if r := scrape(s, 500*time.Millisecond); ups(r) != want {
					t.Errorf("%d places: %d up, want %d", places, ups(r), want)
				}
				time.Sleep(30 * time.Minute)
			}
		})
	}
}

// An optional read that ends during a scrape changes limits and conditions of its result alike.
func TestConditionsAgreeWithWhatIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newOptionalWorld(t, 1, simulator.Of(describePolicies, simulator.Delay(2*time.Second)))
		slow := simulator.Of("DescribeBackups", simulator.Delay(5*time.Second))
		w.sim.Set(simulator.Instance{InstanceID: "c-1", RegionID: "cn-hangzhou", Fault: slow})
		w.configure("c-1")
		w.fleet.Optional = []OptionalRead{ReadPolicies(time.Hour)}
		s := w.scraper()
		scrape(s, 6*time.Second)
		one := scrape(s, 6*time.Second).Instances[0] // is read before its policies are, and waits for the other
		if _, known := one.Health.Conditions[health.NoPolicy]; !known || one.Limits.Policies == nil {
			t.Errorf("%v, %+v", one.Health.Conditions, one.Limits)
		}
		time.Sleep(time.Minute)
	})
}

// What was read counts for three intervals, also if later reads fail.
func TestOptionalReadsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newOptionalWorld(t, 1, nil)
		w.fleet.Optional = []OptionalRead{ReadPolicies(time.Hour)}
		s := w.scraper()
		began := time.Now()
		scrapeAndWait(s)
		w.sim.Set(simulator.Instance{InstanceID: "c-0", RegionID: "cn-hangzhou", Fault: simulator.Of(describePolicies, simulator.Denied("x"))})
		for time.Since(began) < 200*time.Minute {
			r := scrapeAndWait(s)
			if known := r.Instances[0].Limits.Policies != nil; known != (time.Since(began) <= 3*time.Hour) {
				t.Fatalf("after %v: known %v", time.Since(began), known)
			}
			time.Sleep(time.Minute)
		}
		// One at 60 minutes, and then one each quarter of an hour.
		if n := scrapeAndWait(s).Optional[0].Errors[apiclient.ReasonForbidden]; n != 10 {
			t.Errorf("%d failed reads", n)
		}
	})
}

// A round that takes long is the only one, however often the fleet is scraped meanwhile.
func TestOneRoundAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int64
		w := newOptionalWorld(t, 10, counted(describePolicies, &n, simulator.Delay(5*time.Second)))
		w.fleet.Optional = []OptionalRead{ReadPolicies(time.Hour)}
		s := w.scraper()
		for range 4 {
			scrape(s, time.Second)
			time.Sleep(time.Second)
		}
		if n.Load() != 1 {
			t.Errorf("%d requests at the same time", n.Load())
		}
		time.Sleep(time.Minute)
	})
}

// A reload ends a round.
func TestAReloadEndsARound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int64
		w := newOptionalWorld(t, 10, counted(describePolicies, &n, simulator.Delay(5*time.Second)))
		w.fleet.Optional = []OptionalRead{ReadPolicies(time.Hour)}
		s := w.scraper()
		scrapeAndWait(s)
		off := *w.fleet
		off.Optional = nil
		s.SetFleet(&off)
		time.Sleep(time.Hour)
		if n.Load() != 1 {
			t.Errorf("%d reads", n.Load())
		}
	})
}

// A list of another instance's policies says nothing about this one, not that it has none.
func TestPoliciesOfAnotherInstance(t *testing.T) {
	for body, want := range map[string]int{
		`[]`: 0, `[{"PolicyId":"1"}]`: 1, `[{"PolicyId":"1","InstanceId":"c-9"}]`: -1,
		`[{"PolicyId":"1","InstanceId":"c-9"},{"PolicyId":"2","InstanceId":"c-0"}]`: 1,
		`[{"PolicyId":"1"},{"PolicyId":"1","InstanceId":"c-0"}]`:                    1,
	} {
		synctest.Test(t, func(t *testing.T) {
			answer := simulator.Raw(http.StatusOK, fmt.Sprintf(`{"Success":true,"Data":%s}`, body))
			w := newOptionalWorld(t, 1, simulator.Of(describePolicies, answer))
			w.fleet.Optional = []OptionalRead{ReadPolicies(time.Hour)}
			r := w.scraper().Check(context.Background())
			got := -1
			if p := r.Instances[0].Limits.Policies; p != nil {
				got = len(p.All)
			}
			if got != want || (want < 0) != (r.Optional[0].Errors[apiclient.ReasonBadResponse] == 1) {
				t.Errorf("%s: %d policies, want %d; %+v", body, got, want, r.Optional)
			}
		})
	}
}

// What canceled a run is asked for once a run ended as canceled, again when another one did, and as slowly as restores otherwise.
func TestCancellationsAreReadWhereARunWasCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int64
		w := newOptionalWorld(t, 2, counted(listHistory, &n, nil))
		w.fleet.Optional = []OptionalRead{ReadCancellations(6 * time.Hour)}
		s := w.scraper()
		canceled := 0
		in := simulator.Instance{InstanceID: "c-0", RegionID: "cn-hangzhou", Fault: counted(listHistory, &n, nil)}
		began := time.Now()
		in.Tasks = func(time.Time) (all []simulator.Task) {
			for i := range canceled {
				start := began.Add(time.Duration(i) * time.Minute)
				all = append(all, simulator.Task{
					BackupTaskID: fmt.Sprintf("bt-%d", i), Status: "CANCELLED",
					Start: simulator.Millis(start), Finish: simulator.Millis(start.Add(time.Minute)),
				})
			}
			return all
		}
		in.Operations = simulator.Canceled(simulator.Restored(time.Hour), in.Tasks, true)
		w.sim.Set(in)
		for _, step := range []struct {
			canceled int
			after    time.Duration
			reads    int64
		}{
			{0, time.Minute, 0},
			{1, time.Minute, 1},
			{1, time.Hour, 1},
			{2, time.Minute, 2},
			{2, 5 * time.Hour, 2},
			{2, 2 * time.Hour, 3},
			{0, 7 * time.Hour, 3},
		} {
			time.Sleep(step.after)
			canceled = step.canceled
			scrapeAndWait(s)
			if r := scrapeAndWait(s); n.Load() != 2*step.reads || (r.Instances[0].Limits.Cancellations != nil) != (step.reads > 0) ||
				r.Instances[1].Limits.Cancellations != nil {
				t.Errorf("%+v: %d requests, %+v", step, n.Load(), r.Instances[0].Limits.Cancellations)
			}
		}
	})
}

// If what canceled a run cannot be read, restores are known all the same, and the failure is told as long as there is something to explain.
func TestCancellationsThatAreDenied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newOptionalWorld(t, 1, nil)
		w.readBoth()
		s := w.scraper()
		in := simulator.Instance{InstanceID: "c-0", RegionID: "cn-hangzhou", Operations: simulator.Restored(time.Hour)}
		in.Fault = func(rw http.ResponseWriter, r *http.Request, n int) bool {
			return strings.Contains(r.URL.RawQuery, "OperationType=cancel_backup_task") &&
				simulator.EnvelopeError("InvalidParams", "no such type")(rw, r, n)
		}
		in.Tasks = func(now time.Time) []simulator.Task {
			return []simulator.Task{{BackupTaskID: "bt", Status: "CANCELLED", Start: simulator.Millis(now), Finish: simulator.Millis(now)}}
		}
		w.sim.Set(in)
		scrapeAndWait(s)
		r := scrapeAndWait(s)
		l, history := r.Instances[0].Limits, r.Optional[1]
		if len(r.Optional) != 2 || l.Restores == nil || l.Cancellations != nil || history.Operation != listHistory ||
			history.Errors[apiclient.ReasonInvalidRequest] != 1 || len(history.Failures) != 1 || history.Failures[0].Subject != "cancellations" {
			t.Errorf("%+v, %+v", l, r.Optional)
		}
		in.Tasks = nil
		w.sim.Set(in)
		if r := scrapeAndWait(s); len(r.Optional[1].Failures) > 0 || r.Optional[1].Errors[apiclient.ReasonInvalidRequest] != 1 {
			t.Errorf("nothing is left to explain: %+v", r.Optional)
		}
	})
}

// A check reads everything at once, also of instances that it discovers.
func TestCheckReadsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newOptionalWorld(t, 25, nil)
		w.fleet.Targets = w.fleet.Targets[:1]
		w.discover()
		w.fleet.Discoveries[0].Optional = w.client
		w.readBoth()
		r := w.scraper().Check(context.Background())
		if len(r.Instances) != 25 {
			t.Fatalf("%d instances", len(r.Instances))
		}
		for _, i := range r.Instances {
			if i.Limits.Policies == nil || i.Limits.Restores == nil {
				t.Errorf("%s: %+v", i.Instance.InstanceID, i.Limits)
			}
		}
	})
}

// At 1,000 instances that are scraped each minute, both reads add 10 requests, then 27 until all are known. A scrape
// takes as long as without.
func TestCostOfOptionalReads(t *testing.T) {
	took := map[bool]time.Duration{}
	for _, on := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			requests := map[string]*atomic.Int64{describePolicies: new(atomic.Int64), listHistory: new(atomic.Int64)}
			w := newOptionalWorld(t, 1000, func(rw http.ResponseWriter, r *http.Request, _ int) bool {
				if n := requests[r.Header.Get("x-acs-action")]; n != nil {
					n.Add(1)
				}
				return false
			})
			w.limiter.Set(100, 100, 16)
			if on {
				w.readBoth()
			}
			s := w.scraper()
			const minutes = 20
			for range minutes {
				began := time.Now()
				if r := scrape(s, 29500*time.Millisecond); ups(r) != 1000 {
					t.Fatalf("%d up", ups(r))
				}
				took[on] = max(took[on], time.Since(began))
				time.Sleep(time.Minute - time.Since(began))
			}
			both := int(requests[describePolicies].Load() + requests[listHistory].Load())
			if backups := w.sim.Requests("") - both; backups != minutes*1000 || !on && both != 0 || on && both != minutes*(10+17)-7 {
				t.Errorf("%d requests for backups, %d for policies and restores", backups, both)
			}
			t.Logf("on %v: %d policies, %d restores", on, requests[describePolicies].Load(), requests[listHistory].Load())
		})
	}
	if took[true] != took[false] {
		t.Errorf("a scrape took %v, without optional reads %v", took[true], took[false])
	}
}

// After a restart, a run that the policy allows is never stuck, and a retention that the policy makes too short is never long enough. If
// no policy can be read, both are decided without one after an interval.
func TestPoliciesAfterARestart(t *testing.T) {
	const instances = 25
	policies := func(time.Time) []simulator.Policy {
		return []simulator.Policy{{PolicyID: "1", Hour: "2", Minute: "0", ExpireDays: 1, TimeoutSeconds: 24 * 3600}}
	}
	for name, c := range map[string]struct {
		fault               simulator.Fault
		stuckAfter          time.Duration // 0 if it never is
		retentionIsTooShort bool
	}{
		"read":      {retentionIsTooShort: true},
		"throttled": {fault: simulator.Of(describePolicies, simulator.Throttled(0)), stuckAfter: time.Hour},
	} {
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(20 * 365 * 24 * time.Hour)
			w := newVirtualWorld(t, simulator.Options{})
			w.limiter.Set(100, 100, 16)
			for n := range instances {
				id := fmt.Sprintf("c-%d", n)
				w.sim.Set(simulator.Instance{
					InstanceID: id, RegionID: "cn-hangzhou", Policies: policies, Fault: c.fault, Tasks: runningFor(6 * time.Hour),
				})
				w.configure(id)
				w.fleet.Targets[n].StuckAfter, w.fleet.Targets[n].MaxAge = model.Duration(4*time.Hour), model.Duration(26*time.Hour)
			}
			w.fleet.Optional = []OptionalRead{ReadPolicies(time.Hour)}
			s := w.scraper()
			for began := time.Now(); time.Since(began) < 2*time.Hour; time.Sleep(10 * time.Minute) {
				awaited := c.stuckAfter == 0 || time.Since(began) < c.stuckAfter
				for _, i := range scrapeAndWait(s).Instances {
					short, known := i.Health.Conditions[health.RetentionTooShort]
					if i.Health.Conditions[health.Stuck] == awaited || known && short != c.retentionIsTooShort || !known && !awaited {
						t.Errorf("%s, after %v: %s: %v", name, time.Since(began), i.Instance.InstanceID, i.Health.Conditions)
					}
				}
			}
		})
	}
}

// runningFor is a list with a good backup, and one that has run for a time.
func runningFor(run time.Duration) func(time.Time) []simulator.Task {
	return func(now time.Time) []simulator.Task {
		end := now.Add(-20 * time.Hour)
		return []simulator.Task{
			{BackupTaskID: "good", Status: "COMPLETED", Start: simulator.Millis(end.Add(-time.Hour)), Finish: simulator.Millis(end)},
			{BackupTaskID: "now", Status: "RUNNING", Start: simulator.Millis(now.Add(-run))},
		}
	}
}

// Policies of instances with a running backup are read first: they decide whether it is stuck.
func TestPoliciesOfRunningBackupsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newOptionalWorld(t, 3*minReadsPerRound, nil)
		w.limiter.Set(100, 100, 16)
		id := fmt.Sprintf("c-%d", 3*minReadsPerRound-1)
		w.sim.Set(simulator.Instance{InstanceID: id, RegionID: "cn-hangzhou", Tasks: runningFor(time.Hour)})
		w.fleet.Optional = []OptionalRead{ReadPolicies(time.Hour)}
		s := w.scraper()
		scrapeAndWait(s)
		for _, i := range scrapeAndWait(s).Instances {
			if i.Instance.InstanceID == id && i.Limits.Policies == nil {
				t.Error("not read in the first round")
			}
		}
		time.Sleep(time.Minute) // the last round
	})
}

// The check reads every instance once, also those after one whose read fails.
func TestCheckReadsAllOptional(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newOptionalWorld(t, 5, nil)
		fault := simulator.Of(listHistory, simulator.GatewayError(http.StatusInternalServerError, "InternalError", "x"))
		w.sim.Set(simulator.Instance{InstanceID: "c-0", RegionID: "cn-hangzhou", Fault: fault})
		w.fleet.Optional, w.fleet.RestoreMaxAge = []OptionalRead{ReadRestores(time.Hour)}, 90*24*time.Hour
		for _, i := range w.scraper().Check(t.Context()).Instances[1:] {
			if _, known := i.Health.Conditions[health.RestoreUntested]; !known {
				t.Errorf("%s: unknown", i.Instance.InstanceID)
			}
		}
	})
}

// A reload that says what a status word means takes effect on restores at once. Another reload makes no optional read due.
func TestNewStatusWordsOfRestores(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(20 * 365 * 24 * time.Hour)
		var n atomic.Int64
		w, now := newOptionalWorld(t, 1, nil), time.Now()
		restore := fmt.Sprintf(`{"OperationId":"1","OperationType":"restore","OperationStatus":"RESTORED","GmtCreate":%d,"GmtEnd":%d}`,
			now.Add(-time.Hour).UnixMilli(), now.Add(-time.Minute).UnixMilli())
		answer := simulator.Raw(http.StatusOK, `{"Success":true,"Total":1,"Data":[`+restore+`]}`)
		w.sim.Set(simulator.Instance{InstanceID: "c-0", RegionID: "cn-hangzhou", Fault: counted(listHistory, &n, answer)})
		w.fleet.Optional, w.fleet.RestoreMaxAge = []OptionalRead{ReadRestores(6 * time.Hour)}, 90*24*time.Hour
		s := w.scraper()
		untested := func() bool {
			scrapeAndWait(s)
			return scrapeAndWait(s).Instances[0].Health.Conditions[health.RestoreUntested]
		}
		same := *w.fleet
		if before := untested(); !before {
			t.Fatal("the word is known already")
		}
		s.SetFleet(&same)
		if !untested() || n.Load() != 1 {
			t.Errorf("%d reads after a reload of the same words", n.Load())
		}
		w.options.StatusWords = apiclient.StatusWords{"restored": apiclient.StatusCompleted}
		client, err := apiclient.New(w.options)
		if err != nil {
			t.Fatal(err)
		}
		reloaded := same
		reloaded.StatusWords = map[string]string{"RESTORED": "completed"}
		reloaded.Targets = slices.Clone(same.Targets)
		reloaded.Targets[0].Lister, reloaded.Targets[0].Optional = client, client
		s.SetFleet(&reloaded)
		if untested() || n.Load() != 2 {
			t.Errorf("untested, after %d reads", n.Load())
		}
	})
}
