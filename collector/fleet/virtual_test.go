package fleet

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"
	"github.com/prometheus/common/model"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
	"git.example.com/starrocks/starrocks_backup_exporter/apiclient/simulator"
	"git.example.com/starrocks/starrocks_backup_exporter/collector/health"
	"git.example.com/starrocks/starrocks_backup_exporter/config"
)

// direct is a transport to a handler in the same process: in a synctest bubble, requests take virtual time.
type direct struct{ http.Handler }

// RoundTrip implements http.RoundTripper.
func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := make(chan *http.Response, 1)
	go func() {
		w := httptest.NewRecorder()
		d.ServeHTTP(w, r.Clone(r.Context()))
		answer <- w.Result()
	}()
	select {
	case <-r.Context().Done():
		return nil, r.Context().Err()
	case res := <-answer:
		body, err := io.ReadAll(res.Body)
		res.Body = io.NopCloser(bytes.NewReader(body))
		return res, err
	}
}

type nobody struct{}

func (nobody) Request(string, string, string, time.Duration) {}
func (nobody) Retry(string, string, apiclient.Reason)        {}
func (nobody) LimitWait(string, time.Duration)               {}
func (nobody) ClockSkew(string, time.Duration)               {}

// virtualWorld is a fleet over a simulated API in virtual time, of requests at 10 a second.
type virtualWorld struct {
	sim     *simulator.Simulator
	options apiclient.Options
	client  *apiclient.Client
	limiter *apiclient.Limiter
	fleet   *Fleet
	log     strings.Builder
}

func newVirtualWorld(t *testing.T, o simulator.Options) *virtualWorld {
	t.Helper()
	o.AccessKeys = map[string]string{"id": "secret"}
	w := &virtualWorld{sim: simulator.New(o), limiter: apiclient.NewLimiter(10, 10, 16)}
	w.options = apiclient.Options{
		Endpoint: "http://api", RegionID: "cn-hangzhou", Transport: direct{w.sim}, FreshTransport: direct{w.sim},
		Memory: apiclient.NewMemory(64 << 20), Timeout: 10 * time.Second, MaxAttempts: 1, PageSize: 50,
		Credentials: apiclient.NewCredentials(apiclient.CredentialSource{AccessKeyID: "id", AccessKeySecret: "secret"}, func(string, string) {}),
		Limiter:     w.limiter, Observer: nobody{}, Now: time.Now, Nonce: rand.Text,
	}
	client, err := apiclient.New(w.options)
	if err != nil {
		t.Fatal(err)
	}
	w.client = client
	w.fleet = &Fleet{RequestsPerSecond: 10, PageSize: 50, SubtaskLimit: 500}
	return w
}

// retry makes requests of another client, with more attempts.
func (w *virtualWorld) retry(t *testing.T, attempts int) {
	t.Helper()
	o := w.options
	o.MaxAttempts = attempts
	client, err := apiclient.New(o)
	if err != nil {
		t.Fatal(err)
	}
	for i := range w.fleet.Targets {
		w.fleet.Targets[i].Lister = client
	}
}

// set adds an instance with some completed tasks to the API.
func (w *virtualWorld) set(id string, tasks int, fault simulator.Fault) {
	w.sim.Set(simulator.Instance{InstanceID: id, RegionID: "cn-hangzhou", Fault: fault, Tasks: func(now time.Time) (all []simulator.Task) {
		for n := range tasks {
			finish := now.Add(-time.Duration(n+1) * time.Hour)
			all = append(all, simulator.Task{
				BackupTaskID: fmt.Sprintf("bt-%d", n), Status: "COMPLETED", Size: 1,
				Start: simulator.Millis(finish.Add(-time.Hour)), Finish: simulator.Millis(finish),
			})
		}
		return all
	}})
}

func (w *virtualWorld) configure(ids ...string) {
	for _, id := range ids {
		w.fleet.Targets = append(w.fleet.Targets, Target{
			Instance: config.Instance{InstanceID: id, RegionID: "cn-hangzhou", Account: "default"}, Lister: w.client, Optional: w.client,
		})
	}
}

func (w *virtualWorld) discover() {
	d := config.Discovery{RegionID: "cn-hangzhou", Account: "default"}
	w.fleet.Discoveries = append(w.fleet.Discoveries, &Discovery{Discovery: d, Source: regionSource{d, Shard{}, w.client}, Lister: w.client})
}

func (w *virtualWorld) scraper() *Scraper {
	s := NewScraper(log.NewLogfmtLogger(log.NewSyncWriter(&w.log)), time.Now, func() {})
	s.SetFleet(w.fleet)
	return s
}

// scrape is one scrape with a deadline.
func scrape(s *Scraper, deadline time.Duration) *Result {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	return s.Scrape(ctx, deadline)
}

// everRead counts the instances that were read at least once.
func everRead(r *Result) (n int) {
	for _, i := range r.Instances {
		if !i.Totals.LastRead.IsZero() {
			n++
		}
	}
	return n
}

// With too little time for all, the exporter says so, and each instance has its turn.
func TestTooLittleTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newVirtualWorld(t, simulator.Options{})
		for n := range 30 {
			id := fmt.Sprintf("c-%d", n)
			w.set(id, 1, nil)
			w.configure(id)
		}
		s := w.scraper()
		for n := range 10 {
			r := scrape(s, 600*time.Millisecond)
			if len(r.RequestTimes) != 1 || r.RequestTimes[0].Time != 2*time.Second || !r.RequestTimes[0].TooLong(r.Deadline) {
				t.Fatalf("request times %v", r.RequestTimes)
			}
			switch read := everRead(r); {
			case n == 0 && read == 30:
				t.Fatal("there was time for all")
			case read == 30:
				if n := strings.Count(w.log.String(), "the scrape deadline is too short"); n != 1 {
					t.Errorf("logged %d times:\n%s", n, w.log.String())
				}
				return
			}
			time.Sleep(600 * time.Millisecond)
		}
		t.Error("not all had their turn")
	})
}

// Instances of many pages finish one after another instead of none at all, and the list of instances comes before them.
func TestTooLittleTimeForManyPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newVirtualWorld(t, simulator.Options{PageCap: 2})
		w.limiter.Set(10, 10, 4)
		for n := range 6 {
			w.set(fmt.Sprintf("c-%d", n), 10, nil)
		}
		w.discover()
		s := w.scraper()
		for n := range 20 {
			r := scrape(s, time.Second)
			if n > 0 && len(r.Instances) != 6 {
				t.Fatal("the instances were not listed in time")
			}
			if everRead(r) == 6 {
				if got := r.RequestTimes[0].Time; got != 2*time.Second { // 30 requests, 10 of them at once
					t.Errorf("the requests take %v", got)
				}
				return
			}
			time.Sleep(500 * time.Millisecond)
		}
		t.Error("not all had their turn")
	})
}

// An instance with more pages than there is ever time for has its turn like all others, and no more.
func TestInstanceThatIsNeverRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newVirtualWorld(t, simulator.Options{PageCap: 1})
		w.limiter.Set(10, 10, 1)
		w.set("c-0", 100, nil)
		w.set("c-1", 1, nil)
		w.configure("c-0", "c-1")
		s := w.scraper()
		for range 5 {
			if everRead(scrape(s, 800*time.Millisecond)) == 1 {
				return
			}
		}
		t.Error("the other instance never had its turn")
	})
}

// Many instances with more pages than there is ever time for use up the limit, but not in each scrape: the others have their turn.
func TestManyInstancesThatAreNeverRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newVirtualWorld(t, simulator.Options{PageCap: 1, Latency: 500 * time.Millisecond})
		for n := range 12 {
			id := fmt.Sprintf("c-%02d", n)
			w.set(id, 100, nil)
			w.configure(id)
		}
		w.set("c-99", 5, nil)
		w.configure("c-99")
		s := w.scraper()
		for range 30 {
			if everRead(scrape(s, 4*time.Second)) == 1 {
				return
			}
			time.Sleep(time.Second)
		}
		t.Error("the instance of five pages never had its turn")
	})
}

// A read that fails at once does not make a scrape look shorter than it is.
func TestRequestsOfAnInstanceThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newVirtualWorld(t, simulator.Options{PageCap: 10})
		w.set("c-0", 100, nil)
		w.configure("c-0")
		s := w.scraper()
		for range 2 {
			if r := scrape(s, 9*time.Second); r.RequestTimes[0].Requests != 10 {
				t.Errorf("%+v", r.RequestTimes)
			}
			w.set("c-0", 100, simulator.GatewayError(http.StatusForbidden, "Forbidden.RAM", "no"))
		}
		w.set("c-0", 20, nil)
		if r := scrape(s, 9*time.Second); r.RequestTimes[0].Requests != 2 {
			t.Errorf("a complete read counts: %+v", r.RequestTimes)
		}
	})
}

// One instance hangs until the deadline; the other twelve are served.
func TestInstanceThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newVirtualWorld(t, simulator.Options{})
		for n := range 13 {
			id := fmt.Sprintf("c-%d", n)
			w.set(id, 1, nil)
			w.configure(id)
		}
		w.set("c-7", 1, simulator.Hang())
		r := scrape(w.scraper(), 3500*time.Millisecond)
		if hung := r.Instances[7]; ups(r) != 12 || hung.Reason() != apiclient.ReasonTimeout || hung.Totals.Errors[apiclient.ReasonTimeout] != 1 {
			t.Errorf("%d up, the one that hangs: %+v", ups(r), hung)
		}
	})
}

func TestTurnThatDoesNotCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newVirtualWorld(t, simulator.Options{})
		w.limiter.Set(10, 10, 1)
		w.set("c-0", 1, simulator.Hang())
		w.set("c-1", 1, nil)
		w.configure("c-0", "c-1")
		r := scrape(w.scraper(), 4*time.Second)
		if r.Instances[0].Duration != 4*time.Second || r.Instances[1].Duration != 0 {
			t.Errorf("%+v", r.Instances)
		}
		for _, i := range r.Instances {
			if i.Reason() != apiclient.ReasonTimeout || i.Totals.Errors[apiclient.ReasonTimeout] != 1 {
				t.Errorf("%+v", i)
			}
		}
	})
}

// Instances that ask to wait hold up no other, however many they are.
func TestInstancesThatWaitHoldNoPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newVirtualWorld(t, simulator.Options{})
		w.limiter.Set(1000, 1000, 16)
		for n := range 100 {
			id := fmt.Sprintf("c-%02d", n)
			fault := simulator.Fault(nil)
			if n < 50 {
				fault = simulator.Throttled(time.Minute)
			}
			w.set(id, 1, fault)
			w.configure(id)
		}
		w.retry(t, 3)
		if r := scrape(w.scraper(), 9*time.Second); ups(r) != 50 {
			t.Errorf("%d up", ups(r))
		}
	})
}

// Lists of instances that hang leave time for the instances that are known, in each scrape.
func TestDiscoveriesThatHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := false
		w := newVirtualWorld(t, simulator.Options{Fault: func(rw http.ResponseWriter, r *http.Request, n int) bool {
			return hang && simulator.Hang()(rw, r, n)
		}})
		w.limiter.Set(10, 10, 2)
		for n := range 5 {
			w.set(fmt.Sprintf("c-%d", n), 1, nil)
		}
		w.discover()
		w.discover()
		w.fleet.Discoveries[1].Account = "other"
		s := w.scraper()
		if r := scrape(s, 9*time.Second); ups(r) != 5 {
			t.Fatalf("%d up", ups(r))
		}
		hang = true
		for range 3 {
			time.Sleep(time.Hour)
			if r := scrape(s, 9*time.Second); ups(r) != 5 {
				t.Errorf("%d up", ups(r))
			}
		}
	})
}

// A list of a region's backups that hangs leaves time to read each instance on its own in that same scrape. A hasty scrape is no failure
// of the list.
func TestListThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := false
		w := newVirtualWorld(t, simulator.Options{Fault: func(rw http.ResponseWriter, r *http.Request, n int) bool {
			return hang && r.Header.Get("x-acs-action") == "DescribeBackups" && simulator.Hang()(rw, r, n)
		}})
		w.limiter.Set(100, 100, 2)
		for n := range 5 {
			w.set(fmt.Sprintf("c-%d", n), 1, nil)
		}
		w.discover()
		w.fleet.Discoveries[0].Listing, w.fleet.Discoveries[0].RefreshInterval = config.ListingRegion, model.Duration(24*time.Hour)
		s := w.scraper()
		if r := scrape(s, 9*time.Second); ups(r) != 5 || r.Discoveries[0].ListRequests == 0 {
			t.Fatalf("%d up, %+v", ups(r), r.Discoveries)
		}
		hang = true
		for range 5 {
			if r := scrape(s, time.Second); ups(r) != 5 || r.Discoveries[0].ReadsEach {
				t.Errorf("a hasty scrape: %d up, %+v", ups(r), r.Discoveries)
			}
		}
		for n := range listFailuresTolerated {
			if r := scrape(s, 9*time.Second); ups(r) != 5 || r.Discoveries[0].ReadsEach != (n == listFailuresTolerated-1) {
				t.Errorf("scrape %d: %d up, %+v", n, ups(r), r.Discoveries)
			}
		}
	})
}

// An API that is down: the reason is the API's, retries stop, and the log has one line.
func TestAPIThatIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newVirtualWorld(t, simulator.Options{})
		w.limiter.Set(1000, 1000, 16)
		w.fleet.RequestsPerSecond = 1000
		const n = 200
		for i := range n {
			id := fmt.Sprintf("c-%03d", i)
			w.set(id, 1, simulator.GatewayError(http.StatusServiceUnavailable, "ServiceUnavailable", "down"))
			w.configure(id)
		}
		w.retry(t, 3)
		s := w.scraper()
		for scrapes := range 5 {
			before := w.sim.Requests("")
			r := scrape(s, 9500*time.Millisecond)
			for _, i := range r.Instances {
				if i.Reason() != apiclient.ReasonServerError {
					t.Fatalf("%s: %v", i.Instance.InstanceID, i.Err)
				}
			}
			if requests := w.sim.Requests("") - before; requests > n+20 {
				t.Errorf("scrape %d: %d requests", scrapes, requests)
			}
			time.Sleep(time.Minute)
		}
		if lines := strings.Count(w.log.String(), "level=warn"); lines != 1 || !strings.Contains(w.log.String(),
			"failed=200 instances=200 reasons=\"server_error=200\"") {
			t.Errorf("%d lines:\n%s", lines, w.log.String())
		}
	})
}

// What an instance costs is learned from a read that was cut short.
func TestRequestsOfAnInstanceThatNeverFits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newVirtualWorld(t, simulator.Options{PageCap: 10})
		w.set("c-0", 2000, nil)
		w.configure("c-0")
		if r := scrape(w.scraper(), 3*time.Second); r.RequestTimes[0].Requests != 200 || r.RequestTimes[0].Time != 19*time.Second {
			t.Errorf("%+v", r.RequestTimes)
		}
	})
}

// An instance whose pages are slow never fits either, whatever the exporter's own limit allows. One that was read fits.
func TestInstanceWithSlowPagesNeverFits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newVirtualWorld(t, simulator.Options{PageCap: 10, Latency: time.Second})
		w.set("c-0", 200, nil)
		w.configure("c-0")
		s := w.scraper()
		r := scrape(s, 9500*time.Millisecond)
		if needed, never := r.NeverFits(&r.Instances[0]); !never || needed < 19*time.Second || needed > 22*time.Second {
			t.Errorf("needs %v, never fits: %v", needed, never)
		}
		r = scrape(s, 30*time.Second)
		if needed, never := r.NeverFits(&r.Instances[0]); never || needed < 19*time.Second || needed > 21*time.Second {
			t.Errorf("once read, needs %v, never fits: %v", needed, never)
		}
	})
}

// A hasty scrape does not replace what a patient one has read.
func TestHastyScrapeKeepsTheLastResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newVirtualWorld(t, simulator.Options{Latency: 100 * time.Millisecond})
		w.set("c-0", 1, nil)
		w.configure("c-0")
		s := w.scraper()
		scrape(s, 9*time.Second)
		if r := scrape(s, 50*time.Millisecond); ups(r) != 0 {
			t.Fatal("there was time enough")
		}
		if ups(s.Last()) != 1 {
			t.Error("the last result is that of the hasty scrape")
		}
		time.Sleep(10 * time.Minute)
		scrape(s, 50*time.Millisecond)
		if ups(s.Last()) != 0 {
			t.Error("the last result is old")
		}
	})
}

// An instance that was read less than the interval ago is not read again, but judged at the time of the scrape. A reload, and an earlier
// time, read it again.
func TestMinInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newVirtualWorld(t, simulator.Options{})
		w.set("c-0", 1, nil)
		w.configure("c-0")
		w.fleet.MinInterval = time.Minute
		s := w.scraper()
		first := scrape(s, time.Second).Instances[0]
		for _, c := range []struct {
			wait     time.Duration
			requests int
		}{{59 * time.Second, 1}, {time.Second, 2}, {30 * time.Second, 2}} {
			time.Sleep(c.wait)
			r := scrape(s, time.Second).Instances[0]
			n, again := w.sim.Requests("c-0"), c.wait == time.Second
			if n != c.requests || r.Err != nil || !r.Health.At.Equal(time.Now()) || r.ReadBefore == again {
				t.Errorf("after %v: %d requests, %+v", c.wait, n, r)
			}
		}
		again := scrape(s, time.Second).Instances[0]
		age, read := again.Health.At.Sub(first.Health.At), again.Totals.LastRead.Sub(first.Totals.LastRead)
		if age != 90*time.Second || read != time.Minute {
			t.Errorf("judged %v later, read %v later", age, read)
		}
		changed := *w.fleet
		s.SetFleet(&changed)
		if scrape(s, time.Second); w.sim.Requests("c-0") != 3 {
			t.Error("a reload did not read it again")
		}
	})
}

// A fleet that does not fit one scrape fits the interval: each scrape reads a part, and no instance flips between up and down.
func TestFleetThatIsReadInParts(t *testing.T) {
	for interval, want := range map[time.Duration]int{0: 30, 50 * time.Second: 40, 110 * time.Second: 40} {
		synctest.Test(t, func(t *testing.T) {
			w := newVirtualWorld(t, simulator.Options{})
			for n := range 40 {
				id := fmt.Sprintf("c-%02d", n)
				w.set(id, 1, nil)
				w.configure(id)
			}
			w.fleet.MinInterval = interval
			s := w.scraper()
			for n := range 20 {
				r := scrape(s, 2050*time.Millisecond)
				if got := ups(r); n > 0 && got != want {
					t.Errorf("min_interval %v, scrape %d: %d up, want %d", interval, n, got, want)
				}
				if n > 1 && r.RequestTimes[0].TooLong(r.Deadline) != (interval < time.Minute) {
					t.Errorf("min_interval %v, scrape %d: %+v", interval, n, r.RequestTimes)
				}
				time.Sleep(time.Minute - 2050*time.Millisecond)
			}
		})
	}
}

// An instance whose turn does not come is served from its last read until that is twice the interval old, but not if a read failed since.
func TestTurnThatDoesNotComeIsNoFailure(t *testing.T) {
	const fleet, part = 40, 30 // a scrape has time for a part of the instances
	fail := simulator.GatewayError(http.StatusServiceUnavailable, "ServiceUnavailable", "no")
	synctest.Test(t, func(t *testing.T) {
		w := newVirtualWorld(t, simulator.Options{Latency: time.Millisecond})
		failing := false
		for n := range fleet {
			id := fmt.Sprintf("c-%02d", n)
			w.set(id, 1, func(rw http.ResponseWriter, r *http.Request, n int) bool { return failing && fail(rw, r, n) })
			w.configure(id)
		}
		w.fleet.MinInterval = 50 * time.Second
		s := w.scraper()
		for _, c := range []struct {
			wait    time.Duration
			failing bool
			up      int
		}{
			{0, false, part},            // the others were never read
			{time.Minute, false, fleet}, // the others come first
			{time.Minute, true, fleet - part},
			{10 * time.Second, false, part}, // those whose read failed are down until they are read
			{time.Minute, false, fleet},
			{time.Minute, false, fleet},
			{2 * time.Minute, false, part}, // the last reads are too old
		} {
			time.Sleep(c.wait)
			failing = c.failing
			r := scrape(s, 2050*time.Millisecond)
			if got := ups(r); got != c.up {
				t.Errorf("after %v, failing %v: %d up, want %d", c.wait, c.failing, got, c.up)
			}
			for _, i := range r.Instances {
				served := i.Duration == 0 && i.Err == nil
				age := r.At.Sub(i.Totals.LastRead)
				if served && (age < w.fleet.MinInterval || age >= 2*w.fleet.MinInterval || !i.Health.At.Equal(r.At)) {
					t.Errorf("after %v: served from a read %v ago, judged at %v", c.wait, age, i.Health.At)
				}
			}
		}
	})
}

// scrapeTwice returns what two scrapes of one collection got: of one that leaves early, and of one that waits.
func scrapeTwice(s *Scraper) []*Result {
	patient := make(chan *Result)
	go func() { patient <- scrape(s, 9*time.Second) }()
	synctest.Wait()
	hasty := scrape(s, time.Second)
	return []*Result{hasty, <-patient}
}

// An instance that does not answer in time is down, however young its last read is, also for a scrape that leaves before its read ends.
func TestInstanceThatBeginsToHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newVirtualWorld(t, simulator.Options{})
		hang, hanging := simulator.Hang(), false
		w.set("c-0", 1, func(rw http.ResponseWriter, r *http.Request, n int) bool { return hanging && hang(rw, r, n) })
		w.configure("c-0")
		w.fleet.MinInterval = 50 * time.Second
		s := w.scraper()
		scrape(s, time.Second)
		time.Sleep(time.Minute)
		hanging = true
		for _, r := range scrapeTwice(s) {
			if r.Instances[0].Reason() != apiclient.ReasonTimeout {
				t.Errorf("deadline %v: %+v", r.Deadline, r.Instances[0])
			}
		}
	})
}

// An instance whose turn does not come, and that the clock alone makes overdue, is unknown: a backup may have completed since.
func TestTurnThatDoesNotComeBeforeTheDeadlineOfABackup(t *testing.T) {
	for _, interval := range []time.Duration{50 * time.Second, 10 * time.Minute} {
		synctest.Test(t, func(t *testing.T) { turnBeforeTheDeadline(t, interval) })
	}
}

func turnBeforeTheDeadline(t *testing.T, interval time.Duration) {
	t.Helper()
	time.Sleep(20 * 365 * 24 * time.Hour) // there are no backups before 2015
	w := newVirtualWorld(t, simulator.Options{})
	for n := range 40 {
		id := fmt.Sprintf("c-%02d", n)
		w.set(id, 1, nil)
		w.configure(id)
		w.fleet.Targets[n].MaxAge = model.Duration(time.Hour + 30*time.Second)
	}
	w.fleet.MinInterval = interval
	s := w.scraper()
	for n := range 2 {
		r := scrape(s, 2050*time.Millisecond)
		for _, i := range r.Instances {
			if i.Health != nil && i.Health.Conditions[health.Overdue] {
				t.Errorf("scrape %d: %s is overdue", n, i.Instance.InstanceID)
			}
		}
		if got := ups(r); got != 30 {
			t.Errorf("scrape %d: %d up, want 30", n, got)
		}
		time.Sleep(time.Minute)
	}
}

// So it is for a scrape that leaves while the instance is read.
func TestReadThatDoesNotEndBeforeTheDeadlineOfABackup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(20 * 365 * 24 * time.Hour) // there are no backups before 2015
		w := newVirtualWorld(t, simulator.Options{})
		hang, hanging := simulator.Hang(), false
		w.set("c-0", 1, func(rw http.ResponseWriter, r *http.Request, n int) bool { return hanging && hang(rw, r, n) })
		w.configure("c-0")
		w.fleet.Targets[0].MaxAge = model.Duration(time.Hour + 30*time.Second)
		w.fleet.MinInterval = 10 * time.Minute
		s := w.scraper()
		scrape(s, time.Second)
		time.Sleep(time.Minute)
		hanging = true
		for _, r := range scrapeTwice(s) {
			if i := r.Instances[0]; i.Reason() != apiclient.ReasonTimeout {
				t.Errorf("deadline %v: %+v", r.Deadline, i)
			}
		}
	})
}

// renewal is a source of one instance, whose subscription is extended by a year at a time. Its list takes longer than a read.
type renewal struct{ ends, at time.Time }

func (s renewal) Instances(context.Context) (Found, error) {
	i := FoundInstance{InstanceID: "c-0", SubscriptionEnd: s.ends}
	if !time.Now().Before(s.at) {
		i.SubscriptionEnd = s.ends.AddDate(1, 0, 0)
	}
	time.Sleep(time.Second)
	return Found{Instances: []FoundInstance{i}}, nil
}

// The first scrape after a long pause does not judge by the list from before it.
func TestSubscriptionRenewedWhileNobodyScrapes(t *testing.T) {
	for _, configured := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newVirtualWorld(t, simulator.Options{})
			w.set("c-0", 1, nil)
			w.discover()
			w.fleet.Discoveries[0].Source = renewal{time.Now().Add(25 * time.Hour), time.Now().Add(time.Hour)}
			if configured {
				w.configure("c-0")
			}
			s := w.scraper()
			for range 2 {
				i := scrape(s, 9*time.Second).Instances[0]
				if ending, known := i.Health.Conditions[health.SubscriptionEnding]; ending || !known || i.Health.SubscriptionEnd.IsZero() {
					t.Errorf("%v: the subscription ends at %v: %v", time.Now(), i.Health.SubscriptionEnd, ending)
				}
				time.Sleep(2 * time.Hour)
			}
		})
	}
}

// A task that is listed with and without its InstanceId counts once.
func TestTaskWithAndWithoutItsInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, now := newVirtualWorld(t, simulator.Options{}), time.Now()
		var tasks []string
		for _, id := range []string{"a", "b"} {
			for _, instance := range []string{"", `,"InstanceId":"c-0"`} {
				tasks = append(tasks, fmt.Sprintf(`{"BackupTaskId":%q,"Status":"FAILED","BackupStartTime":%d,"BackupFinishedTime":%d%s}`,
					id, now.Add(-time.Hour).UnixMilli(), now.Add(-time.Minute).UnixMilli(), instance))
			}
		}
		w.set("c-0", 0, simulator.Raw(http.StatusOK, `{"Success":true,"Data":[`+strings.Join(tasks, ",")+`]}`))
		w.configure("c-0")
		if h := scrape(w.scraper(), time.Second).Instances[0].Health; h.ConsecutiveFailures != 2 || len(h.Tasks) != 2 {
			t.Errorf("%d failures of %d tasks", h.ConsecutiveFailures, len(h.Tasks))
		}
	})
}
