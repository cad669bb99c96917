package fleet

import (
	"testing"
	"testing/synctest"
	"time"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
)

// After a reload, no result of the old fleet is shown: neither the last one nor that of a scrape under way.
func TestLastResultIsOfTheCurrentFleet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &fakeLister{delay: map[string]time.Duration{}}
		s, _ := newTestScraper(fleetOf(2, l))
		if scrapeWithin(s, time.Second); s.Last() == nil {
			t.Fatal("no result")
		}
		l.delay["c-00"] = 5 * time.Second
		old := make(chan struct{})
		go func() {
			scrapeWithin(s, 10*time.Second)
			close(old)
		}()
		time.Sleep(time.Second)
		s.SetFleet(fleetOf(1, l))
		if s.Last() != nil {
			t.Error("the result before the reload is still shown")
		}
		<-old
		if s.Last() != nil {
			t.Error("the result of a scrape of the old fleet is shown")
		}
	})
}

// A read counts one timeout for all scrapes that did not wait for it, and none more when it is canceled.
func TestTimeoutIsCountedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &fakeLister{delay: map[string]time.Duration{"c-00": time.Hour}}
		s, _ := newTestScraper(fleetOf(1, l))
		results := make(chan *Result, 3)
		for _, patience := range []time.Duration{4 * time.Second, 3 * time.Second, 2 * time.Second} {
			go func() {
				r, _ := scrapeWithin(s, patience)
				results <- r
			}()
			synctest.Wait()
		}
		for range 3 {
			if r := <-results; r.Instances[0].Totals.Errors[apiclient.ReasonTimeout] != 1 {
				t.Errorf("counted %v", r.Instances[0].Totals.Errors)
			}
		}
		if l.calls.Load() != 1 {
			t.Errorf("%d calls", l.calls.Load())
		}
	})
}

// A scrape that had no time for an instance replaces the last result only if that is old or had no longer deadline.
func TestKeepsLast(t *testing.T) {
	at := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	late := []InstanceResult{{Err: &apiclient.Error{Reason: apiclient.ReasonTimeout}}}
	down := []InstanceResult{{Err: &apiclient.Error{Reason: apiclient.ReasonServerError}}}
	last := &Result{At: at, Deadline: 10 * time.Second}
	for name, c := range map[string]struct {
		r, last *Result
		want    bool
	}{
		"the first":          {&Result{At: at, Deadline: time.Second, Instances: late}, nil, false},
		"a shorter deadline": {&Result{At: at, Deadline: time.Second, Instances: late}, last, true},
		"the same deadline":  {&Result{At: at, Deadline: 10 * time.Second, Instances: late}, last, false},
		"no deadline":        {&Result{At: at, Instances: late}, last, false},
		"none before":        {&Result{At: at, Deadline: time.Second, Instances: late}, &Result{At: at}, true},
		"five minutes later": {&Result{At: at.Add(5 * time.Minute), Deadline: time.Second, Instances: late}, last, true},
		"later than that":    {&Result{At: at.Add(5*time.Minute + 1), Deadline: time.Second, Instances: late}, last, false},
		"down, not late":     {&Result{At: at, Deadline: time.Second, Instances: down}, last, false},
	} {
		if got := keepsLast(c.last, c.r); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
