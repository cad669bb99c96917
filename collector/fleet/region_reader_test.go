package fleet

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/common/model"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
	"git.example.com/starrocks/starrocks_backup_exporter/collector/health"
	"git.example.com/starrocks/starrocks_backup_exporter/config"
)

// A region's list that cannot work is not tried again for an hour. One that may work is tried at the next scrape.
func TestPermanentListFailures(t *testing.T) {
	for _, reason := range apiclient.Reasons() {
		permanent := reason == apiclient.ReasonForbidden || reason == apiclient.ReasonInvalidRequest || reason == apiclient.ReasonNotFound
		synctest.Test(t, func(t *testing.T) {
			l := &fakeLister{fail: map[string]error{"": &apiclient.Error{Operation: "DescribeBackups", Reason: reason}}}
			s, _ := newTestScraper(fleetFoundBy(finds("c-00", "c-01"), l, config.ListingRegion))
			if r, _ := scrapeWithin(s, 10*time.Second); ups(r) != 2 || r.Discoveries[0].ReadsEach != permanent {
				t.Errorf("%s: %d up, reads each: %v", reason, ups(r), r.Discoveries[0].ReadsEach)
			}
		})
	}
}

// A success of a region's list resets its failures.
func TestListFailuresBetweenSuccesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &fakeLister{fail: map[string]error{}, tasks: map[string][]apiclient.Backup{}}
		listed := []apiclient.Backup{{InstanceID: "c-00", TaskID: "a", Status: apiclient.StatusRunning, Start: time.Now().Add(-time.Hour)}}
		l.tasks[""], l.tasks["c-00"] = listed, listed
		s, _ := newTestScraper(fleetFoundBy(finds("c-00"), l, config.ListingRegion))
		for n, fails := range []bool{true, true, false, true, true, false, true, true, true} {
			delete(l.fail, "")
			if fails {
				l.fail[""] = &apiclient.Error{Operation: "DescribeBackups", Reason: apiclient.ReasonServerError}
			}
			time.Sleep(time.Minute)
			r, _ := scrapeWithin(s, 10*time.Second)
			if ups(r) != 1 || r.Discoveries[0].ReadsEach != (n == 8) {
				t.Errorf("scrape %d: %d up, %+v", n, ups(r), r.Discoveries[0])
			}
		}
	})
}

// Which tasks of an instance's own read a list should have.
func TestListLacks(t *testing.T) {
	began := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	s := &slot{target: Target{Instance: config.Instance{InstanceID: "c-00"}}}
	read := func(tasks ...apiclient.Backup) *health.List {
		l := health.NewList(nil, 0, began)
		for _, b := range tasks {
			l.Add(b)
		}
		return l
	}
	task := func(status apiclient.Status, start, finish time.Time) apiclient.Backup {
		return apiclient.Backup{TaskID: "a", Status: status, Start: start, Finish: finish}
	}
	before, after, never := began.Add(-time.Hour), began.Add(time.Second), time.Time{}
	running, completed := task(apiclient.StatusRunning, before, never), task(apiclient.StatusCompleted, before, before)
	expires, withTables := completed, completed
	expires.Expire = began.Add(time.Hour)
	withTables.SetSubTasks(`[{"DataBase":"d","Table":"t","Status":"success"}]`)
	for name, c := range map[string]struct {
		listed, own []apiclient.Backup
		lacks       bool
	}{
		"started before":            {nil, []apiclient.Backup{running}, true},
		"started before, ended":     {nil, []apiclient.Backup{task(apiclient.StatusCompleted, before, after)}, true},
		"started at the same time":  {nil, []apiclient.Backup{task(apiclient.StatusRunning, began, never)}, false},
		"started after":             {nil, []apiclient.Backup{task(apiclient.StatusRunning, after, never)}, false},
		"ended before, no start":    {nil, []apiclient.Backup{task(apiclient.StatusCompleted, never, before)}, true},
		"ended after, no start":     {nil, []apiclient.Backup{task(apiclient.StatusCompleted, never, after)}, false},
		"completed without a time":  {nil, []apiclient.Backup{task(apiclient.StatusCompleted, never, never)}, false},
		"the same":                  {[]apiclient.Backup{completed}, []apiclient.Backup{completed}, false},
		"ended since":               {[]apiclient.Backup{running}, []apiclient.Backup{task(apiclient.StatusCompleted, before, after)}, false},
		"ended there, runs here":    {[]apiclient.Backup{completed}, []apiclient.Backup{running}, true},
		"completed there, not here": {[]apiclient.Backup{completed}, []apiclient.Backup{task(apiclient.StatusFailed, before, before)}, true},
		"ended before, runs there":  {[]apiclient.Backup{running}, []apiclient.Backup{completed}, true},
		"no finish there":           {[]apiclient.Backup{task(apiclient.StatusCompleted, before, never)}, []apiclient.Backup{completed}, true},
		"no expiry there":           {[]apiclient.Backup{completed}, []apiclient.Backup{expires}, true},
		"no tables there":           {[]apiclient.Backup{completed}, []apiclient.Backup{withTables}, true},
		"the same tables":           {[]apiclient.Backup{withTables}, []apiclient.Backup{withTables}, false},
	} {
		l := &regionList{began: began, lists: map[string]*health.List{}}
		if c.listed != nil {
			l.lists["c-00"] = read(c.listed...)
		}
		own, err := health.Examine(read(c.own...), 500)
		if err != nil {
			t.Fatal(err)
		}
		if got := l.lacksOwn(s, own); got != c.lacks {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// What a list lacks of an earlier read: tasks may have begun and ended since, and expired ones are deleted.
func TestListHasLost(t *testing.T) {
	s := &slot{target: Target{Instance: config.Instance{InstanceID: "c-00"}}}
	began := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	read := func(tasks ...apiclient.Backup) *health.List {
		l := health.NewList(nil, len(tasks), began)
		for _, b := range tasks {
			l.Add(b)
		}
		return l
	}
	task := func(id string, status apiclient.Status, expire time.Time) apiclient.Backup {
		b := apiclient.Backup{TaskID: id, Status: status, Start: began.Add(-time.Hour), Expire: expire}
		if status.Ended() {
			b.Finish = began.Add(-time.Minute)
		}
		return b
	}
	never := time.Time{}
	other := task("b", apiclient.StatusCompleted, never)
	for name, c := range map[string]struct {
		known, listed apiclient.Backup
		lost          bool
	}{
		"the same":          {other, other, false},
		"a failed one":      {task("a", apiclient.StatusFailed, never), other, true},
		"a running one":     {task("a", apiclient.StatusRunning, never), other, true},
		"not expired":       {task("a", apiclient.StatusCompleted, began.Add(time.Second)), other, true},
		"expired":           {task("a", apiclient.StatusCompleted, began), other, false},
		"ended since":       {task("b", apiclient.StatusRunning, never), other, false},
		"runs again":        {other, task("b", apiclient.StatusRunning, never), true},
		"failed after all":  {other, task("b", apiclient.StatusFailed, never), true},
		"without an expiry": {task("b", apiclient.StatusCompleted, began.Add(time.Hour)), other, true},
	} {
		l := &regionList{began: began, lists: map[string]*health.List{"c-00": read(c.listed)}}
		known, err := health.Examine(read(c.known), 500)
		if err != nil {
			t.Fatal(err)
		}
		if got := l.lacksEarlier(s, known); got != c.lost {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// If the list lacks something that was known of an instance, and its own read fails, the instance is unknown.
func TestListHasLostAndTheReadFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(20 * 365 * 24 * time.Hour)
		failed := apiclient.Backup{InstanceID: "c-0", TaskID: "f", Status: apiclient.StatusFailed, Start: time.Now().Add(-time.Hour)}
		all := []apiclient.Backup{runningTask("c-0"), failed}
		l := &fakeLister{fail: map[string]error{}, tasks: map[string][]apiclient.Backup{"": all, "c-0": all}}
		s, _ := newTestScraper(fleetFoundBy(finds("c-0"), l, config.ListingRegion))
		scrapeWithin(s, 10*time.Second)
		time.Sleep(time.Minute)
		l.tasks[""] = all[:1]
		l.fail["c-0"] = &apiclient.Error{Reason: apiclient.ReasonServerError}
		if r, _ := scrapeWithin(s, 10*time.Second); r.Instances[0].Reason() != apiclient.ReasonServerError || r.Discoveries[0].ReadsEach {
			t.Errorf("%+v", r)
		}
	})
}

// A list that ends because all scrapes left says nothing about the list, however long it took.
func TestListOfACanceledScrape(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &fakeLister{delay: map[string]time.Duration{"": time.Hour, "c-00": time.Hour}}
		s, _ := newTestScraper(fleetFoundBy(finds("c-00"), l, config.ListingRegion))
		for range listFailuresTolerated + 1 {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(10*time.Second, cancel)
			r := s.Scrape(ctx, 0)
			if r.Discoveries[0].ReadsEach {
				t.Fatalf("%+v", r.Discoveries[0])
			}
			time.Sleep(time.Minute)
		}
	})
}

// An entry of another instance in a region's list is counted as a task, but belongs to no instance here.
func TestListHasUnknownInstances(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		listed := []apiclient.Backup{
			{InstanceID: "c-00", TaskID: "a", Status: apiclient.StatusRunning, Start: time.Now().Add(-time.Hour)},
			{InstanceID: "c-99", TaskID: "b", Status: apiclient.StatusFailed, Start: time.Now().Add(-time.Hour)},
		}
		l := &fakeLister{tasks: map[string][]apiclient.Backup{"": listed, "c-00": listed[:1]}}
		s, _ := newTestScraper(fleetFoundBy(finds("c-00"), l, config.ListingRegion))
		r, _ := scrapeWithin(s, 10*time.Second)
		if len(r.Instances) != 1 || ups(r) != 1 || r.Instances[0].Health.Count[apiclient.StatusFailed] != 0 ||
			r.Discoveries[0].ListRequests != 2 {
			t.Errorf("%+v, %+v", r.Instances, r.Discoveries)
		}
	})
}

// What a list said is taken back everywhere when it proves to be incomplete: with api.min_interval, no later scrape is served from it, and
// an instance that cannot be read keeps what was known before.
func TestIncompleteListIsTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(20 * 365 * 24 * time.Hour)
		l := &fakeLister{tasks: map[string][]apiclient.Backup{}, delay: map[string]time.Duration{}}
		for _, id := range []string{"c-0", "c-1"} {
			older, newer := completedAgo(id, 50*time.Hour), completedAgo(id, 2*time.Hour)
			l.tasks[""] = append(l.tasks[""], older)
			l.tasks[id] = []apiclient.Backup{older, newer}
		}
		l.delay["c-1"] = 30 * time.Second // does not fit the first scrape
		f := fleetFoundBy(finds("c-0", "c-1"), l, config.ListingRegion)
		f.MinInterval, f.Discoveries[0].MaxAge = 10*time.Minute, model.Duration(26*time.Hour)
		s, _ := newTestScraper(f)
		for n := range 3 {
			r, _ := scrapeWithin(s, 10*time.Second)
			for _, i := range r.Instances {
				if i.Err == nil && i.Health.Conditions[health.Overdue] {
					t.Errorf("scrape %d: %s is judged by the list", n, i.Instance.InstanceID)
				}
				if i.Err != nil && (i.Facts != nil || !i.Totals.LastRead.IsZero()) {
					t.Errorf("scrape %d: the list is what is known of %s", n, i.Instance.InstanceID)
				}
			}
			if up := ups(r); up != min(2, n+1) {
				t.Errorf("scrape %d: %d up", n, up)
			}
			l.delay["c-1"] = 0
			time.Sleep(50 * time.Second)
		}
	})
}

// What a list said is not taken back if a later collection has read the instance meanwhile.
func TestOvertakenListIsNotTakenBack(t *testing.T) {
	h := &history{instances: map[instanceKey]*instanceHistory{}}
	target := fleetOf(1, nil).Targets[0]
	one := newInstanceHistory()
	h.instances[target.key()] = one
	s := &slot{target: target, result: &InstanceResult{}}
	l := &regionList{collection: 1, taken: map[*slot]completeRead{s: {}}}
	for collection, want := range map[int]int{1: 0, 2: 2} {
		one.collection = collection
		if l.forget(h, s); one.collection != want || s.result != nil {
			t.Errorf("after a read of collection %d: %+v", collection, one)
		}
	}
}

// The sample whose own read fails stands by the list only while nothing proves the list to be incomplete, whichever ends first.
func TestSampleOfAnIncompleteList(t *testing.T) {
	for _, first := range []string{"c-0", "c-1"} {
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(20 * 365 * 24 * time.Hour)
			l := &fakeLister{
				tasks: map[string][]apiclient.Backup{
					"":    {completedAgo("c-0", 50*time.Hour)},
					"c-0": {completedAgo("c-0", 50*time.Hour), completedAgo("c-0", 2*time.Hour)},
					"c-1": {completedAgo("c-1", 2*time.Hour)}, // the list lacks it
				},
				fail:  map[string]error{"c-0": &apiclient.Error{Reason: apiclient.ReasonServerError}},
				delay: map[string]time.Duration{"c-0": time.Second, "c-1": time.Second},
			}
			l.delay[first] = 0
			f := fleetFoundBy(finds("c-0", "c-1"), l, config.ListingRegion)
			f.MinInterval, f.Discoveries[0].MaxAge = 10*time.Minute, model.Duration(26*time.Hour)
			s, _ := newTestScraper(f)
			if r, _ := scrapeWithin(s, 10*time.Second); r.Instances[0].Err == nil || r.Instances[1].Err != nil || !r.Discoveries[0].ReadsEach {
				t.Errorf("%s first: %v, %v", first, r.Instances[0].Err, r.Instances[1].Err)
			}
			time.Sleep(time.Minute)
			if r, _ := scrapeWithin(s, 10*time.Second); r.Instances[0].Err == nil || r.Instances[0].Facts != nil {
				t.Errorf("%s first: the next scrape has %+v", first, r.Instances[0])
			}
		})
	}
}

func completedAgo(instance string, ago time.Duration) apiclient.Backup {
	start := time.Now().Add(-ago)
	return apiclient.Backup{
		InstanceID: instance, TaskID: instance + ago.String(), Status: apiclient.StatusCompleted, Start: start, Finish: start.Add(time.Minute),
	}
}
