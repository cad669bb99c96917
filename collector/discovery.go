package collector

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-kit/log/level"

	"starrocks_backup_exporter/apiclient"
	"starrocks_backup_exporter/config"
)

// RegionLister lists a region's instances, and backups: an *apiclient.Client.
type RegionLister interface {
	BackupLister
	Instances(ctx context.Context, tags map[string]string) iter.Seq2[apiclient.Instance, error]
}

// Discovery is a region of an account whose instances are found by listing them.
type Discovery struct {
	config.Discovery
	Lister RegionLister
}

// leftOut says why an instance that was found is not watched. It is the label `reason` of the metric.
type leftOut string

const (
	leftOutRunMode leftOut = "run_mode" // only shared-nothing instances can have backups
	leftOutStatus  leftOut = "status"   // it is not there yet, or not any more
)

// DiscoveryResult is what is known of a discovery: this shard's share.
type DiscoveryResult struct {
	Account, RegionID, Tags string
	Instances               int
	LeftOut                 map[leftOut]int
	LastSuccess             time.Time // of listing the instances; zero before the first
	Errors                  map[apiclient.Reason]int
	Err                     error // of the last list of instances
	ReadsEach               bool  // its listing of backups is given up for now
}

type discoveryKey struct{ account, regionID, tags string }

func discoveryKeyOf(d config.Discovery) discoveryKey {
	return discoveryKey{d.Account, d.RegionID, d.TagList()}
}

// discoveries is what was found. It outlives scrapes and reloads.
type discoveries struct {
	mu    sync.Mutex
	known map[discoveryKey]*discovered
}

type discovered struct {
	DiscoveryResult
	ids      []string // in order
	underway bool     // being refreshed
	reason   apiclient.Reason
	shrunk   int // lists in a row that lack most of what is known

	listing listingState
}

// listingState is what is known of a region's listings of backups.
type listingState struct {
	tasks    int           // of the last, of all instances
	took     time.Duration // the last
	failures int           // in a row
	retry    time.Time     // when it is tried again, where it is given up
}

const (
	// believed is how many lists in a row must lack most of the instances that are known, before those are taken for released:
	// an API that answers "none" for "not allowed" must not end every alert.
	believed = 3
	// failuresBorne is how many listings in a row may fail before each instance is read on its own, for as long as retryListing.
	failuresBorne = 3
	retryListing  = time.Hour
)

// keep forgets what is not configured any more.
func (ds *discoveries) keep(all []Discovery) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	kept := make(map[discoveryKey]*discovered, len(all))
	for _, d := range all {
		k := discoveryKeyOf(d.Discovery)
		one := ds.known[k]
		if one == nil {
			one = &discovered{DiscoveryResult: DiscoveryResult{
				Account: k.account, RegionID: k.regionID, Tags: k.tags, LeftOut: map[leftOut]int{}, Errors: map[apiclient.Reason]int{},
			}}
		}
		one.ReadsEach, one.listing.failures = false, 0 // it is tried again
		kept[k] = one
	}
	ds.known = kept
}

// of returns what is known of a discovery; a copy, with its ids.
func (ds *discoveries) of(d Discovery) (r DiscoveryResult, ids []string, configured bool) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	one := ds.known[discoveryKeyOf(d.Discovery)]
	if one == nil {
		return r, nil, false
	}
	r = one.DiscoveryResult
	r.Instances, r.LeftOut, r.Errors = len(one.ids), maps.Clone(one.LeftOut), maps.Clone(one.Errors)
	return r, one.ids, true
}

// readsEach reports whether a listing of the region's backups is given up for now.
func (ds *discoveries) readsEach(d Discovery, now time.Time) bool {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	one := ds.known[discoveryKeyOf(d.Discovery)]
	if one == nil {
		return false
	}
	if one.ReadsEach && !now.Before(one.listing.retry) {
		one.ReadsEach, one.listing.failures = false, 0
	}
	return one.ReadsEach
}

// listed takes in how a listing went, and reports whether it is given up for that: at once if certain, else after some failures.
func (ds *discoveries) listed(d Discovery, l *listing, certain bool, now time.Time) (givenUp bool) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	one := ds.known[discoveryKeyOf(d.Discovery)]
	if one == nil || one.ReadsEach {
		return false
	}
	if l.err == nil && !certain {
		one.listing = listingState{tasks: l.tasks, took: now.Sub(l.began)}
		return false
	}
	one.listing.failures++
	if certain || one.listing.failures >= failuresBorne {
		one.ReadsEach, one.listing.retry = true, now.Add(retryListing)
	}
	return one.ReadsEach
}

// lastListing is what is known of the listings of a discovery.
func (ds *discoveries) lastListing(d Discovery) listingState {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	if one := ds.known[discoveryKeyOf(d.Discovery)]; one != nil {
		return one.listing
	}
	return listingState{}
}

// due reports whether a discovery is to be refreshed now, by the one who asks.
func (ds *discoveries) due(d Discovery, now time.Time) bool {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	one := ds.known[discoveryKeyOf(d.Discovery)]
	if one == nil || one.underway || !one.LastSuccess.IsZero() && now.Sub(one.LastSuccess) < time.Duration(d.RefreshInterval) {
		return false
	}
	one.underway = true
	return true
}

// done ends the refresh that due began.
func (ds *discoveries) done(d Discovery) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	if one := ds.known[discoveryKeyOf(d.Discovery)]; one != nil {
		one.underway = false
	}
}

// observe takes in a list of instances. One that failed, or was not listed to its end, or lacks most of what is known, removes none.
func (ds *discoveries) observe(d Discovery, f *found, now time.Time) (before apiclient.Reason) {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	one := ds.known[discoveryKeyOf(d.Discovery)]
	if one == nil {
		return f.reason()
	}
	if f.err == nil && 2*len(f.ids) < len(one.ids) {
		if one.shrunk++; one.shrunk < believed {
			f.err = &apiclient.Error{Operation: "DescribeInstances", Reason: apiclient.ReasonBadResponse, Err: fmt.Errorf(
				"%d instances where %d are known: believed when %d lists in a row say so", len(f.ids), len(one.ids), believed)}
		}
	}
	if f.err == nil {
		one.shrunk = 0
	}
	before, one.reason, one.Err = one.reason, f.reason(), f.err
	if f.err != nil {
		one.Errors[one.reason]++
		f.ids = append(f.ids, one.ids...)
	} else {
		one.LastSuccess, one.LeftOut = now, f.leftOut
	}
	slices.Sort(f.ids)
	one.ids = slices.Compact(f.ids)
	return before
}

// found is a list of a region's instances.
type found struct {
	ids     []string
	leftOut map[leftOut]int
	err     error
}

func (f found) reason() apiclient.Reason {
	if f.err == nil {
		return ""
	}
	return apiclient.ReasonOf(f.err)
}

// list asks for a region's instances, and takes those of the shard.
func (d Discovery) list(ctx context.Context, shard Shard) found {
	f := found{leftOut: map[leftOut]int{}}
	for i, err := range d.Lister.Instances(ctx, d.Tags) {
		switch {
		case err != nil:
			f.err = err
		case i.RegionID != "" && i.RegionID != d.RegionID || !shard.Has(d.Instance(i.InstanceID)):
		case slices.Contains([]string{"shared_data", "lakehouse"}, strings.ToLower(i.RunMode)):
			f.leftOut[leftOutRunMode]++
		case slices.Contains([]string{"creating", "creating_failed", "deleting", "deleted"}, strings.ToLower(i.Status)):
			f.leftOut[leftOutStatus]++
		default:
			f.ids = append(f.ids, i.InstanceID)
		}
	}
	return f
}

// discover lists a region's instances where that is due, and adds those that are new to the collection.
func (s *Scraper) discover(ctx context.Context, c *collection, due *Discovery) (fresh []int) {
	d := *due
	if !s.discoveries.due(d, s.now()) {
		return nil
	}
	defer s.discoveries.done(d)
	f := d.list(ctx, c.fleet.Shard)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fleet != c.fleet { // a reload came between; what is new asks for itself
		return nil
	}
	before := s.discoveries.observe(d, &f, s.now())
	s.logDiscovery(d, f, before)
	targets := s.targets(c.fleet)
	s.totals.keep(targets)
	return c.add(slices.DeleteFunc(targets, func(t Target) bool { return t.discovery != due }))
}

// logDiscovery says how a list went; one that fails as the one before did, at debug level.
func (s *Scraper) logDiscovery(d Discovery, f found, before apiclient.Reason) {
	where := []any{"region_id", d.RegionID, "account", d.Account, "tags", d.TagList()}
	if f.err == nil {
		if before != "" {
			level.Info(s.logger).Log(append([]any{"msg", "the instances of a region can be listed again", "before", before}, where...)...)
		}
		return
	}
	logger := level.Warn(s.logger)
	if f.reason() == before {
		logger = level.Debug(s.logger)
	}
	logger.Log(append([]any{"msg", "cannot list the instances of a region, those known are kept", "reason", f.reason(), "err", f.err}, where...)...)
}

// targets are the fleet's instances of this shard: those configured by id, and those discovered that are not.
func (s *Scraper) targets(f *Fleet) []Target {
	taken := map[instanceKey]bool{}
	var all []Target
	add := func(t Target) {
		k := keyOf(t.Instance)
		if !taken[k] && f.Shard.Has(t.Instance) {
			all = append(all, t)
		}
		taken[k] = true
	}
	for _, t := range f.Targets {
		add(t)
	}
	for i := range f.Discoveries {
		d := &f.Discoveries[i]
		_, ids, _ := s.discoveries.of(*d)
		for _, id := range ids {
			add(Target{Instance: d.Instance(id), Lister: d.Lister, discovery: d})
		}
	}
	return all
}
