package fleet

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
	"git.example.com/starrocks/starrocks_backup_exporter/config"
)

// fakeLister answers after a delay, as the call does: or with an error.
type fakeLister struct {
	delay map[string]time.Duration
	fail  map[string]error
	tasks map[string][]apiclient.Backup
	calls atomic.Int32
}

func (f *fakeLister) Acquire(context.Context) (*apiclient.Place, error) { return nil, nil }

func (f *fakeLister) Backups(ctx context.Context, r apiclient.DescribeBackupsRequest) iter.Seq2[apiclient.Backup, error] {
	f.calls.Add(1)
	return func(yield func(apiclient.Backup, error) bool) {
		select {
		case <-time.After(f.delay[r.InstanceID]):
		case <-ctx.Done():
			yield(apiclient.Backup{}, &apiclient.Error{Operation: "DescribeBackups", Reason: apiclient.ReasonTimeout, Err: ctx.Err()})
			return
		}
		if err := f.fail[r.InstanceID]; err != nil {
			yield(apiclient.Backup{}, err)
			return
		}
		for _, b := range f.tasks[r.InstanceID] {
			if !yield(b, nil) {
				return
			}
		}
	}
}

func fleetOf(n int, l BackupLister) *Fleet {
	f := &Fleet{SubtaskLimit: 500}
	for i := range n {
		f.Targets = append(
			f.Targets,
			Target{Instance: config.Instance{InstanceID: fmt.Sprintf("c-%02d", i), RegionID: "cn-hangzhou", Account: "default"}, Lister: l},
		)
	}
	return f
}

func newTestScraper(f *Fleet) (*Scraper, *atomic.Int32) {
	var joined atomic.Int32
	s := NewScraper(log.NewNopLogger(), time.Now, func() { joined.Add(1) })
	s.SetFleet(f)
	return s, &joined
}

func ups(r *Result) (n int) {
	for _, i := range r.Instances {
		if i.Err == nil {
			n++
		}
	}
	return n
}

func scrapeWithin(s *Scraper, d time.Duration) (*Result, time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	began := time.Now()
	r := s.Scrape(ctx, d)
	return r, time.Since(began)
}

func TestConcurrentScrapesShareOneCollection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &fakeLister{delay: map[string]time.Duration{"c-00": time.Second}}
		s, joined := newTestScraper(fleetOf(40, l))
		for range 5 {
			go func() {
				if r, _ := scrapeWithin(s, 10*time.Second); ups(r) != 40 {
					t.Errorf("%d up", ups(r))
				}
			}()
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if l.calls.Load() != 40 || joined.Load() != 4 {
			t.Errorf("%d calls, %d joined", l.calls.Load(), joined.Load())
		}
	})
}

func TestPatientScrapeIsNotHurriedByAHastyOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &fakeLister{delay: map[string]time.Duration{"c-00": 3 * time.Second}}
		s, _ := newTestScraper(fleetOf(2, l))
		patient := make(chan *Result)
		go func() {
			time.Sleep(time.Second)
			r, _ := scrapeWithin(s, 20*time.Second)
			patient <- r
		}()
		hasty, took := scrapeWithin(s, 2*time.Second)
		if took != 2*time.Second || ups(hasty) != 1 || hasty.Instances[0].Reason() != apiclient.ReasonTimeout ||
			hasty.Instances[0].Totals.Errors[apiclient.ReasonTimeout] != 1 || hasty.Instances[0].Duration != 2*time.Second {
			t.Errorf("the hasty one left after %v with %+v", took, hasty.Instances[0])
		}
		if r := <-patient; ups(r) != 2 || r.Instances[0].Totals.Errors[apiclient.ReasonTimeout] != 1 {
			t.Errorf("the patient one got %+v", r.Instances[0])
		}
		if l.calls.Load() != 2 {
			t.Errorf("%d calls", l.calls.Load())
		}
	})
}

// Between two attempts a collection that ends fails with its last real error.
func TestLastRealErrorAtTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttled := &apiclient.Error{Operation: "DescribeBackups", Reason: apiclient.ReasonThrottled}
		s, _ := newTestScraper(&Fleet{Targets: []Target{{
			Instance: config.Instance{InstanceID: "c-00", RegionID: "r"},
			Lister: listerFunc(func(ctx context.Context, yield func(apiclient.Backup, error) bool) {
				<-ctx.Done() // waiting for the next attempt
				yield(apiclient.Backup{}, throttled)
			}),
		}}})
		r, took := scrapeWithin(s, time.Second)
		if took != time.Second || !errors.Is(r.Instances[0].Err, throttled) || r.Instances[0].Totals.Errors[apiclient.ReasonTimeout] != 0 {
			t.Errorf("after %v: %+v", took, r.Instances[0])
		}
	})
}

type listerFunc func(ctx context.Context, yield func(apiclient.Backup, error) bool)

func (f listerFunc) Acquire(context.Context) (*apiclient.Place, error) { return nil, nil }

func (f listerFunc) Backups(ctx context.Context, _ apiclient.DescribeBackupsRequest) iter.Seq2[apiclient.Backup, error] {
	return func(yield func(apiclient.Backup, error) bool) { f(ctx, yield) }
}

func TestScrapeAfterReloadStartsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := &fakeLister{delay: map[string]time.Duration{"c-00": 5 * time.Second}}
		s, joined := newTestScraper(fleetOf(2, before))
		old := make(chan *Result)
		go func() {
			r, _ := scrapeWithin(s, 10*time.Second)
			old <- r
		}()
		time.Sleep(time.Second)
		after := &fakeLister{}
		s.SetFleet(fleetOf(1, after))
		r, _ := scrapeWithin(s, 10*time.Second)
		if len(r.Instances) != 1 || ups(r) != 1 || after.calls.Load() != 1 || joined.Load() != 0 {
			t.Errorf("the scrape after the reload: %+v", r)
		}
		if r := <-old; len(r.Instances) != 1 {
			t.Errorf("an instance that left is still there: %+v", r)
		}
		if len(s.Last().Instances) != 1 {
			t.Error("the page shows the world before the reload")
		}
	})
}

func TestTasksFinishedAreCountedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := time.Now()
		task := func(id string, status apiclient.Status, finish time.Time) apiclient.Backup {
			return apiclient.Backup{TaskID: id, Status: status, Start: finish.Add(-time.Hour), Finish: finish}
		}
		l := &fakeLister{tasks: map[string][]apiclient.Backup{}}
		s, _ := newTestScraper(fleetOf(1, l))
		finished := func(tasks ...apiclient.Backup) map[apiclient.Status]int {
			time.Sleep(time.Minute)
			l.tasks["c-00"] = tasks
			r, _ := scrapeWithin(s, time.Second)
			return r.Instances[0].Totals.Finished
		}
		old := task("old", apiclient.StatusFailed, at.Add(-time.Hour))
		missed := task("missed", apiclient.StatusCompleted, at.Add(-2*time.Hour))
		running := task("running", apiclient.StatusRunning, time.Time{})
		if got := finished(old, running); len(got) != 0 {
			t.Errorf("the first read counted %v", got)
		}
		ended := task("running", apiclient.StatusFailed, time.Time{}) // it fails without a finish time
		quick := task("quick", apiclient.StatusCompleted, at.Add(90*time.Second))
		for range 3 {
			got := finished(old, missed, ended, quick)
			if got[apiclient.StatusFailed] != 1 || got[apiclient.StatusCompleted] != 1 {
				t.Errorf("counted %v", got)
			}
		}
		time.Sleep(2 * forgetAfter)
		finished(old)
		if got := finished(old, ended, quick); got[apiclient.StatusFailed] != 1 || got[apiclient.StatusCompleted] != 1 {
			t.Errorf("entries back from a missed page counted again: %v", got)
		}
	})
}

func TestForeignTasksAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &fakeLister{tasks: map[string][]apiclient.Backup{"c-00": {
			{TaskID: "a", InstanceID: "c-00", Status: apiclient.StatusRunning}, {TaskID: "b", InstanceID: "c-99", Status: apiclient.StatusFailed},
		}}}
		var logs strings.Builder
		s := NewScraper(log.NewLogfmtLogger(log.NewSyncWriter(&logs)), time.Now, func() {})
		s.SetFleet(fleetOf(1, l))
		r, _ := scrapeWithin(s, time.Second)
		if tasks := r.Instances[0].Health.Count; tasks[apiclient.StatusFailed] != 0 || tasks[apiclient.StatusRunning] != 1 {
			t.Errorf("tasks %v", tasks)
		}
		scrapeWithin(s, time.Second)
		if n := strings.Count(logs.String(), "\n"); n != 1 ||
			!strings.Contains(logs.String(), "tasks of another instance, dropping them\" instance_id=c-00 region_id=cn-hangzhou "+
				"account=default tasks=1") {
			t.Errorf("log:\n%s", logs.String())
		}
		l.tasks["c-00"] = l.tasks["c-00"][:1]
		logs.Reset()
		scrapeWithin(s, time.Second)
		scrapeWithin(s, time.Second)
		if n := strings.Count(logs.String(), "\n"); n != 1 || !strings.Contains(logs.String(), "no longer lists tasks of another instance") {
			t.Errorf("log:\n%s", logs.String())
		}
	})
}

// Nobody joins a collection that everybody has left, even if something in it does not end.
func TestACollectionThatAllLeftIsNotJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		s, joined := newTestScraper(fleetOf(1, listerFunc(func(context.Context, func(apiclient.Backup, error) bool) {
			if calls.Add(1) == 1 {
				time.Sleep(time.Minute) // deaf to its context
			}
		})))
		if r, took := scrapeWithin(s, time.Second); ups(r) != 0 || took != time.Second+cancelWait {
			t.Errorf("left after %v: %+v", took, r)
		}
		if r, _ := scrapeWithin(s, time.Second); ups(r) != 1 || joined.Load() != 0 {
			t.Errorf("the next scrape: %+v", r)
		}
		time.Sleep(time.Minute) // until the deaf one ends
	})
}

// An instance that hangs, under scrapes that overlap, must not keep the others' old data alive.
func TestOverlappingScrapesDoNotKeepACollectionForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &fakeLister{delay: map[string]time.Duration{"c-00": time.Hour}}
		s, _ := newTestScraper(fleetOf(2, l))
		for range 20 {
			go func() {
				began := time.Now()
				r, _ := scrapeWithin(s, 2*time.Second)
				if h := r.Instances[1].Health; h == nil || began.Sub(h.At) > 2*time.Second {
					t.Errorf("at %v: %+v", began, r.Instances[1])
				}
			}()
			time.Sleep(time.Second)
		}
		time.Sleep(time.Minute)
	})
}

// A slow read that ends after one that began later says nothing new: neither to its own scrape, nor to those that are served from the last
// read.
func TestOvertakenRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		f := fleetOf(1, listerFunc(func(_ context.Context, yield func(apiclient.Backup, error) bool) {
			b := apiclient.Backup{InstanceID: "c-00", TaskID: "newer", Status: apiclient.StatusCompleted}
			if calls.Add(1) == 1 {
				b.TaskID = "older"
				time.Sleep(50 * time.Second)
			}
			yield(b, nil)
		}))
		f.MinInterval = 5 * time.Minute
		s, _ := newTestScraper(f)
		var scrapes sync.WaitGroup
		scrape := func(within time.Duration, up int) {
			scrapes.Go(func() {
				r, _ := scrapeWithin(s, within)
				if ups(r) != up || up == 1 && r.Instances[0].Health.Tasks[0].ID != "newer" {
					t.Errorf("a scrape of %v: %+v", within, r.Instances[0])
				}
			})
			synctest.Wait()
		}
		scrape(10*time.Second, 0) // begins the slow read, ...
		scrape(time.Minute, 1)    // ... which this one waits for
		time.Sleep(15 * time.Second)
		scrape(10*time.Second, 1)
		scrapes.Wait()
		scrape(10*time.Second, 1)
		scrapes.Wait()
		if n := calls.Load(); n != 2 {
			t.Errorf("%d reads", n)
		}
	})
}
