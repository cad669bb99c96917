package fleet

import (
	"context"
	"iter"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
	"git.example.com/starrocks/starrocks_backup_exporter/config"
)

// countingLister counts the reads of each instance; those of the region's list are at "".
type countingLister struct {
	*fakeLister
	mu    sync.Mutex
	reads map[string]int
}

func (l *countingLister) Backups(ctx context.Context, r apiclient.DescribeBackupsRequest) iter.Seq2[apiclient.Backup, error] {
	l.mu.Lock()
	l.reads[r.InstanceID]++
	l.mu.Unlock()
	return l.fakeLister.Backups(ctx, r)
}

func runningTask(instanceID string) apiclient.Backup {
	return apiclient.Backup{
		InstanceID: instanceID, TaskID: "a-" + instanceID, Status: apiclient.StatusRunning, Start: time.Now().Add(-time.Hour),
	}
}

// A region takes its list and one more read in each scrape, of another instance each time. An instance that the list lacks is always read.
func TestEachListedInstanceIsASampleInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &countingLister{fakeLister: &fakeLister{tasks: map[string][]apiclient.Backup{}}, reads: map[string]int{}}
		for _, id := range []string{"c-0", "c-1", "c-2"} {
			l.tasks[id] = []apiclient.Backup{runningTask(id)}
			l.tasks[""] = append(l.tasks[""], l.tasks[id]...)
		}
		f := fleetFoundBy(finds("c-0", "c-1", "c-2", "c-never"), l, config.ListingRegion)
		f.PageSize = 2
		s, _ := newTestScraper(f)
		for range 3 {
			time.Sleep(time.Minute)
			r, _ := scrapeWithin(s, 10*time.Second)
			for _, i := range r.Instances {
				if i.Err != nil || i.Totals.Listed != (i.Instance.InstanceID != "c-never") {
					t.Errorf("%s: listed: %v, %v", i.Instance.InstanceID, i.Totals.Listed, i.Err)
				}
			}
			if n := r.Discoveries[0].ListRequests; n != 3 { // two pages, and the sample
				t.Errorf("%d requests", n)
			}
		}
		if want := map[string]int{"": 3, "c-0": 1, "c-1": 1, "c-2": 1, "c-never": 3}; !maps.Equal(l.reads, want) {
			t.Errorf("reads %v", l.reads)
		}
	})
}

// What was listed stands if the instance's own read fails. If that read finds more, it counts, and the list is not used any more.
func TestSampleThatDiffersFromTheList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &fakeLister{fail: map[string]error{}, tasks: map[string][]apiclient.Backup{"": {runningTask("c-0")}}}
		s, _ := newTestScraper(fleetFoundBy(finds("c-0"), l, config.ListingRegion))
		l.fail["c-0"] = &apiclient.Error{Reason: apiclient.ReasonServerError}
		if r, _ := scrapeWithin(s, 10*time.Second); ups(r) != 1 || r.Discoveries[0].ReadsEach || len(r.Instances[0].Totals.Errors) != 0 {
			t.Errorf("the own read fails: %+v", r)
		}
		delete(l.fail, "c-0")
		failed := runningTask("c-0")
		failed.TaskID, failed.Status = "b", apiclient.StatusFailed
		l.tasks["c-0"] = []apiclient.Backup{runningTask("c-0"), failed}
		time.Sleep(time.Minute)
		r, _ := scrapeWithin(s, 10*time.Second)
		if ups(r) != 1 || !r.Discoveries[0].ReadsEach || r.Instances[0].Health.Count[apiclient.StatusFailed] != 1 {
			t.Errorf("the own read finds more: %+v", r)
		}
	})
}

// An empty list of a region is no success: it does not reset the failures before it.
func TestEmptyListIsNoSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &fakeLister{fail: map[string]error{}}
		s, _ := newTestScraper(fleetFoundBy(finds("c-0"), l, config.ListingRegion))
		for n, fails := range []bool{true, true, false, true} {
			delete(l.fail, "")
			if fails {
				l.fail[""] = &apiclient.Error{Reason: apiclient.ReasonServerError}
			}
			time.Sleep(time.Minute)
			r, _ := scrapeWithin(s, 10*time.Second)
			if d := r.Discoveries[0]; ups(r) != 1 || d.ReadsEach != (n == 3) || d.ListRequests != 0 {
				t.Errorf("scrape %d: %d up, %+v", n, ups(r), d)
			}
		}
	})
}

// A list that was cut off had time enough after two seconds, and after twice the time of the last list that ended.
func TestTimeForAList(t *testing.T) {
	f := fleetFoundBy(finds(), nil, config.ListingRegion)
	s, _ := newTestScraper(f)
	r := regionReader{instanceReader{progress: &progress{history: s.history}}, f.Discoveries[0]}
	for _, c := range []struct {
		last, needed time.Duration
	}{{0, 2 * time.Second}, {time.Second, 2 * time.Second}, {5 * time.Second, 10 * time.Second}} {
		s.history.discovery(f.Discoveries[0]).result.ListTime = c.last
		if !r.hadTimeFor(&regionList{took: c.needed}) || r.hadTimeFor(&regionList{took: c.needed - 1}) {
			t.Errorf("after a list of %v", c.last)
		}
	}
}

// A list of instances that fails is no list that lacks them: its own reason counts.
func TestFailedListOfInstancesIsNoShrink(t *testing.T) {
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	h := newDiscoveryHistory(discoveryKey{})
	few, _ := finds("a")(t.Context())
	many, _ := finds("a", "b", "c")(t.Context())
	h.observe(many, nil, time.Minute, now)
	for range shrinksToBelieve {
		h.observe(Found{}, &apiclient.Error{Reason: apiclient.ReasonThrottled}, time.Minute, now)
	}
	h.observe(few, nil, time.Minute, now)
	errors := h.result.Errors
	if len(h.instances) != 3 || errors[apiclient.ReasonThrottled] != shrinksToBelieve || errors[apiclient.ReasonBadResponse] != 1 {
		t.Errorf("%d instances known, errors %v", len(h.instances), errors)
	}
}
