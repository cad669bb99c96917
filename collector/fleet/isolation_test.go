package fleet

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/common/model"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
	"git.example.com/starrocks/starrocks_backup_exporter/apiclient/simulator"
	"git.example.com/starrocks/starrocks_backup_exporter/collector/health"
	"git.example.com/starrocks/starrocks_backup_exporter/config"
)

// stalls is a transport whose answers announce a large body and never send it.
type stalls struct{}

// RoundTrip implements http.RoundTripper.
func (stalls) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{}, ContentLength: 4 << 20, Body: stalledBody{r.Context()}, Request: r,
	}, nil
}

type stalledBody struct{ ctx context.Context }

// Read implements io.Reader.
func (b stalledBody) Read([]byte) (int, error) {
	<-b.ctx.Done()
	return 0, b.ctx.Err()
}

// Close implements io.Closer.
func (stalledBody) Close() error { return nil }

var _ io.ReadCloser = stalledBody{}

// A region whose answers stall does not take the memory that another region needs.
func TestStalledBodiesOfAnotherRegion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newVirtualWorld(t, simulator.Options{})
		o := w.options
		o.RegionID, o.Transport, o.FreshTransport = "cn-shanghai", stalls{}, stalls{}
		o.Limiter = apiclient.NewLimiter(100, 100, 16)
		stalled, err := apiclient.New(o)
		if err != nil {
			t.Fatal(err)
		}
		for n := range 20 {
			id := fmt.Sprintf("c-%d", n)
			w.set(id, 1, nil)
			w.configure(id)
			w.fleet.Targets = append(w.fleet.Targets, Target{
				Instance: config.Instance{InstanceID: id, RegionID: "cn-shanghai", Account: "default"}, Lister: stalled,
			})
		}
		s := w.scraper()
		for range 3 {
			if n := ups(scrape(s, 5*time.Second)); n != 20 {
				t.Errorf("%d of 20 instances of the healthy region", n)
			}
		}
		time.Sleep(time.Minute)
	})
}

// listRegion makes a discovery that lists the backups of its region at once.
func (w *virtualWorld) listRegion() {
	d := config.Discovery{
		RegionID: "cn-hangzhou", Account: "default", Listing: config.ListingRegion, RefreshInterval: model.Duration(5 * time.Minute),
	}
	w.fleet.Discoveries = append(w.fleet.Discoveries, &Discovery{Discovery: d, Source: regionSource{d, Shard{}, w.client}, Lister: w.client})
}

// through makes requests through a handler before the simulator.
func (w *virtualWorld) through(t *testing.T, handler http.HandlerFunc) {
	t.Helper()
	w.options.Transport, w.options.FreshTransport = direct{handler}, direct{handler}
	client, err := apiclient.New(w.options)
	if err != nil {
		t.Fatal(err)
	}
	w.client = client
}

// An outage of the API says nothing about the list of a region: it is used again at once.
func TestOutageKeepsTheListOfARegion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newVirtualWorld(t, simulator.Options{})
		down := false
		w.through(t, func(rw http.ResponseWriter, r *http.Request) {
			if down {
				http.Error(rw, `{"Code":"ServiceUnavailable"}`, http.StatusServiceUnavailable)
				return
			}
			w.sim.ServeHTTP(rw, r)
		})
		for n := range 300 {
			w.set(fmt.Sprintf("c-%d", n), 1, nil)
		}
		w.listRegion()
		s := w.scraper()
		for n := range 2 * (listFailuresTolerated + 2) {
			down = n >= 1 && n <= listFailuresTolerated+1
			r := scrape(s, 9500*time.Millisecond)
			if up := ups(r); !down && up != 300 || down && up != 0 || r.Discoveries[0].ReadsEach {
				t.Errorf("scrape %d, down %v: %d of 300, reads each %v", n, down, up, r.Discoveries[0].ReadsEach)
			}
			time.Sleep(50 * time.Second)
		}
	})
}

// Scrapes that leave no time for the list of a region do not end its use.
func TestHastyScrapesKeepTheListOfARegion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newVirtualWorld(t, simulator.Options{PageCap: 2})
		w.limiter.Set(2, 2, 16)
		for n := range 5 {
			w.set(fmt.Sprintf("c-%d", n), 2, nil)
		}
		w.listRegion()
		s := w.scraper()
		scrape(s, time.Minute)
		for range 2 * listFailuresTolerated {
			time.Sleep(30 * time.Second)
			if r := scrape(s, 500*time.Millisecond); r.Discoveries[0].ReadsEach {
				t.Fatalf("each instance is read on its own:\n%s", w.log.String())
			}
		}
	})
}

// While no instance of a region is known, its discovery has the whole deadline.
func TestSlowDiscovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newVirtualWorld(t, simulator.Options{})
		w.through(t, func(rw http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(strings.ToLower(r.URL.Path), "describeinstances") {
				time.Sleep(4 * time.Second)
			}
			w.sim.ServeHTTP(rw, r)
		})
		w.set("c-0", 1, nil)
		w.discover()
		if r := scrape(w.scraper(), 9500*time.Millisecond); len(r.Instances) != 1 || r.Discoveries[0].Err != nil {
			t.Errorf("%d instances, %v", len(r.Instances), r.Discoveries[0].Err)
		}
	})
}

// One read that fails for a hasty scrape and for a patient one counts once.
func TestFailedReadOfTwoScrapesIsCountedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newVirtualWorld(t, simulator.Options{})
		w.set("c-0", 1, simulator.Hang())
		w.configure("c-0")
		s := w.scraper()
		go scrape(s, 2*time.Second)
		time.Sleep(10 * time.Millisecond)
		r := scrape(s, 12*time.Second)
		if n := r.Instances[0].Totals.Errors[apiclient.ReasonTimeout]; n != 1 {
			t.Errorf("counted %d times", n)
		}
	})
}

// A task that claims to end in the future does not hide those that end until then.
func TestTaskOfTheFutureHidesNoOther(t *testing.T) {
	now := time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)
	h := newInstanceHistory()
	h.countFinished(nil, now)
	ahead := health.InstantOf(now.AddDate(0, 0, 300))
	absurd := health.Task{ID: "x", Status: apiclient.StatusCompleted, Start: health.InstantOf(now), Finish: ahead}
	h.countFinished([]health.Task{absurd}, now.Add(time.Hour))
	h.countFinished(nil, now.Add(2*time.Hour))
	h.countFinished(nil, now.Add(2*time.Hour+forgetAfter+time.Second))
	at := now.Add(48 * time.Hour)
	nightly := health.Task{ID: "y", Status: apiclient.StatusFailed, Start: health.InstantOf(at), Finish: health.InstantOf(at.Add(time.Minute))}
	h.countFinished([]health.Task{nightly}, at.Add(time.Hour))
	if n := h.totals.Finished[apiclient.StatusFailed]; n != 1 {
		t.Errorf("counted %v", h.totals.Finished)
	}
}

// A list of instances that hangs, and has never ended, leaves a place for the instances that are configured by id.
func TestAListThatHangsLeavesTimeForConfiguredInstances(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newVirtualWorld(t, simulator.Options{Fault: simulator.Of("DescribeInstances", simulator.Hang())})
		w.limiter.Set(10, 10, 1)
		w.configure("c-0", "c-1")
		w.discover()
		for _, id := range []string{"c-0", "c-1"} {
			w.set(id, 1, nil)
		}
		s := w.scraper()
		for n := range 3 {
			if up := ups(scrape(s, 9500*time.Millisecond)); up != 2 {
				t.Errorf("scrape %d: %d of 2 instances", n, up)
			}
			time.Sleep(50 * time.Second)
		}
	})
}
