package fleet

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/common/model"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
	"git.example.com/starrocks/starrocks_backup_exporter/collector/health"
	"git.example.com/starrocks/starrocks_backup_exporter/config"
)

// sourceFunc is a source of instances.
type sourceFunc func(ctx context.Context) (Found, error)

func (f sourceFunc) Instances(ctx context.Context) (Found, error) { return f(ctx) }

// finds is a source that always finds the same instances.
func finds(ids ...string) sourceFunc {
	return func(context.Context) (Found, error) {
		var f Found
		for _, id := range ids {
			f.Instances = append(f.Instances, FoundInstance{InstanceID: id})
		}
		return f, nil
	}
}

func fleetFoundBy(s Source, l BackupLister, listing config.Listing) *Fleet {
	return &Fleet{SubtaskLimit: 500, PageSize: 50, Discoveries: []*Discovery{{
		Discovery: config.Discovery{RegionID: "cn-hangzhou", Account: "default", Listing: listing}, Source: s, Lister: l,
	}}}
}

// Two collections under way at once list the instances once.
func TestInstancesAreListedOnceAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		s, _ := newTestScraper(fleetFoundBy(sourceFunc(func(ctx context.Context) (Found, error) {
			calls.Add(1)
			time.Sleep(3 * time.Second) // deaf to its context
			return finds("c-00")(ctx)
		}), &fakeLister{}, config.ListingInstance))
		scrapeWithin(s, time.Second)
		scrapeWithin(s, time.Second)
		if n := calls.Load(); n != 1 {
			t.Errorf("%d lists at once", n)
		}
		time.Sleep(time.Minute)
		scrapeWithin(s, 5*time.Second)
		if n := calls.Load(); n != 2 {
			t.Errorf("%d lists after the first has ended, want 2", n)
		}
	})
}

// The instances are listed again once the interval since the last success has passed, and at once after a failure.
func TestRefreshInterval(t *testing.T) {
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	h := newDiscoveryHistory(discoveryKey{})
	list := func(at time.Time, err error) bool {
		if !h.beginRefresh(time.Hour, at) {
			return false
		}
		h.refreshing = false
		h.observe(Found{}, err, time.Hour, at)
		return true
	}
	if !list(now, errors.New("no")) || !list(now, nil) || list(now.Add(time.Hour-time.Second), nil) || !list(now.Add(time.Hour), nil) {
		t.Errorf("%+v", h.result)
	}
}

// Lists that lack most instances count only in a row, and over an interval: a whole list between them starts over.
func TestShrinksInARow(t *testing.T) {
	now, interval := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC), 4*time.Minute
	few, _ := finds("a")(t.Context())
	many, _ := finds("a", "b", "c")(t.Context())
	half, _ := finds("a", "b")(t.Context())
	h := newDiscoveryHistory(discoveryKey{})
	observe := func(f Found) int {
		now = now.Add(2 * time.Minute)
		h.observe(Found{Instances: append([]FoundInstance(nil), f.Instances...)}, nil, interval, now)
		return len(h.instances)
	}
	for n, c := range []struct {
		found Found
		known int
	}{{many, 3}, {few, 3}, {few, 3}, {many, 3}, {few, 3}, {few, 3}, {few, 1}, {many, 3}, {half, 2}, {few, 1}} {
		if known := observe(c.found); known != c.known {
			t.Errorf("list %d: %d instances known, want %d", n, known, c.known)
		}
	}
	observe(many)
	interval = 8 * time.Minute
	for n, want := range []int{3, 3, 3, 3, 1} {
		if known := observe(few); known != want {
			t.Errorf("list %d of few: %d instances known, want %d", n, known, want)
		}
	}
}

// What a list says of an instance replaces what was known, even if the list is not complete.
func TestIncompleteListUpdates(t *testing.T) {
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	h := newDiscoveryHistory(discoveryKey{})
	h.observe(Found{Instances: []FoundInstance{{InstanceID: "b"}, {InstanceID: "a"}}}, nil, time.Hour, now)
	failure := &apiclient.Error{Reason: apiclient.ReasonServerError}
	h.observe(Found{Instances: []FoundInstance{{InstanceID: "b", Created: now}}}, failure, time.Hour, now.Add(time.Hour))
	if len(h.instances) != 2 || h.instances[0].InstanceID != "a" || !h.instances[1].Created.Equal(now) {
		t.Errorf("instances %+v", h.instances)
	}
	if !h.result.LastSuccess.Equal(now) || h.result.Errors[apiclient.ReasonServerError] != 1 {
		t.Errorf("%+v", h.result)
	}
	if before := h.observe(Found{}, failure, time.Hour, now); before != apiclient.ReasonServerError {
		t.Errorf("the list before failed with %q", before)
	}
}

// Only failures in a row end the use of a region's list of backups, for an hour. A permanent one ends it at once.
func TestListFailuresInARow(t *testing.T) {
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	h := newDiscoveryHistory(discoveryKey{})
	h.listFailed(false, now)
	h.listFailed(false, now)
	h.listSucceeded(7, time.Second)
	if first, second := h.listFailed(false, now), h.listFailed(false, now); first || second {
		t.Error("a success does not reset the failures")
	}
	if h.result.ListRequests != 7 || h.result.ListTime != time.Second {
		t.Errorf("the last list is forgotten too early: %+v", h.result)
	}
	if !h.listFailed(false, now) || h.result.ListRequests != 0 || h.result.ListTime != 0 {
		t.Errorf("the third failure in a row: %+v", h.result)
	}
	if h.listFailed(true, now.Add(time.Minute)) {
		t.Error("given up twice")
	}
	h.listSucceeded(7, time.Second) // of a collection that began before
	if h.result.ListRequests != 0 || !h.readsEach(now.Add(retryListAfter-time.Second)) || h.readsEach(now.Add(retryListAfter)) {
		t.Errorf("within an hour: %+v", h.result)
	}
	if first, second := h.listFailed(false, now), h.listFailed(false, now); first || second {
		t.Error("the failures of an hour ago still count")
	}
	if !h.listFailed(true, now) {
		t.Error("a permanent failure does not end the use of the list")
	}
}

// While no list of its region has been read, it is unknown whether the subscription of an instance ends: a restart ends no alert.
func TestSubscriptionAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(20 * 365 * 24 * time.Hour)
		l := &fakeLister{tasks: map[string][]apiclient.Backup{"c-00": {completedAgo("c-00", 2*time.Hour)}}}
		var fails error
		end := time.Now().Add(12 * time.Hour)
		f := fleetFoundBy(sourceFunc(func(context.Context) (Found, error) {
			if fails != nil {
				return Found{}, fails
			}
			return Found{Instances: []FoundInstance{{InstanceID: "c-00", SubscriptionEnd: end}}}, nil
		}), l, config.ListingInstance)
		f.Targets = fleetOf(1, l).Targets
		f.Targets[0].InstanceID = "c-00"
		for n, want := range []bool{true, false} { // two processes
			s, _ := newTestScraper(f)
			r, _ := scrapeWithin(s, 10*time.Second)
			holds, known := r.Instances[0].Health.Conditions[health.SubscriptionEnding]
			if known != want || holds != want || r.Instances[0].Err != nil {
				t.Errorf("process %d: ending %v, known %v, %v", n, holds, known, r.Instances[0].Err)
			}
			fails = &apiclient.Error{Reason: apiclient.ReasonServerError}
		}
	})
}

// If several entries find an instance, the newest list says when its subscription ends.
func TestNewestListCounts(t *testing.T) {
	for name, configured := range map[string]bool{"discovered": false, "configured, too": true} {
		for _, slow := range []int{0, 1} {
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(20 * 365 * 24 * time.Hour)
				l := &fakeLister{tasks: map[string][]apiclient.Backup{"c-00": {completedAgo("c-00", 2*time.Hour)}}}
				end := time.Now().Add(24*time.Hour + 20*time.Minute)
				entries := make([]*Discovery, 2)
				for n, tags := range []map[string]string{{"team": "data"}, nil} {
					entries[n] = fleetFoundBy(sourceFunc(func(context.Context) (Found, error) {
						return Found{Instances: []FoundInstance{{InstanceID: "c-00", SubscriptionEnd: end, Tags: map[string]string{"team": "data"}}}}, nil
					}), l, config.ListingInstance).Discoveries[0]
					entries[n].Tags, entries[n].RefreshInterval = tags, model.Duration(5*time.Minute)
				}
				entries[slow].RefreshInterval = model.Duration(time.Hour)
				f := fleetFoundBy(nil, l, config.ListingInstance)
				f.Discoveries = entries
				if configured {
					f.Targets = fleetOf(1, l).Targets
					f.Targets[0].InstanceID = "c-00"
				}
				s, _ := newTestScraper(f)
				scrapeWithin(s, 10*time.Second)
				end = end.Add(365 * 24 * time.Hour) // renewed
				for range 5 {
					time.Sleep(6 * time.Minute)
					if r, _ := scrapeWithin(s, 10*time.Second); r.Instances[0].Health.Conditions[health.SubscriptionEnding] {
						t.Errorf("%s, entry %d is slow: the subscription ends", name, slow)
					}
				}
			})
		}
	}
}
