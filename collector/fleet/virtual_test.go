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
	"golang.org/x/time/rate"

	"starrocks_backup_exporter/apiclient"
	"starrocks_backup_exporter/apiclient/simulator"
	"starrocks_backup_exporter/config"
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
	sim    *simulator.Simulator
	client *apiclient.Client
	fleet  *Fleet
	log    strings.Builder
}

func newVirtualWorld(t *testing.T, o simulator.Options) *virtualWorld {
	t.Helper()
	o.AccessKeys = map[string]string{"id": "secret"}
	w := &virtualWorld{sim: simulator.New(o)}
	client, err := apiclient.New(apiclient.Options{
		Endpoint: "http://api", RegionID: "cn-hangzhou", Transport: direct{w.sim}, Timeout: 10 * time.Second, MaxAttempts: 1, PageSize: 50,
		Credentials: apiclient.NewCredentials(apiclient.CredentialSource{AccessKeyID: "id", AccessKeySecret: "secret"}),
		Limiter:     apiclient.NewLimiter(rate.Limit(10), 10), Observer: nobody{}, Now: time.Now, Nonce: rand.Text,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.client = client
	w.fleet = &Fleet{Concurrency: 16, RequestsPerSecond: 10, PageSize: 50, SubtaskLimit: 500}
	return w
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
			Instance: config.Instance{InstanceID: id, RegionID: "cn-hangzhou", Account: "default"}, Lister: w.client,
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
		w.fleet.Concurrency = 4
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
		w.fleet.Concurrency = 1
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
