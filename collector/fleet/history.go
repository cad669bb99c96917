package fleet

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
)

// history is what outlives scrapes. Its lock is the only one of this package: it also guards the collections under way.
// Whoever calls a method, or uses what one returns, holds it.
type history struct {
	sync.Mutex
	fleet       *Fleet // the current one
	last        *Result
	collections int                      // that have begun
	logged      map[time.Duration]logged // by the deadline of the scrapes: what is too short for one may do for another
	instances   map[instanceKey]*instanceHistory
	discoveries map[discoveryKey]*discoveryHistory

	optionalErrors optionalErrors
}

// logged is what the log says of the last scrape with a certain deadline.
type logged struct {
	tooLong map[laneKey]bool       // whether the requests took too long
	failing map[laneKey]failedRead // instances that could not be read
}

// failedRead is the instances of a lane that could not be read, and why.
type failedRead map[instanceKey]apiclient.Reason

// String returns the number of instances by reason.
func (f failedRead) String() string {
	counts := map[apiclient.Reason]int{}
	for _, reason := range f {
		counts[reason]++
	}
	var all []string
	for _, reason := range apiclient.Reasons() {
		if n := counts[reason]; n > 0 {
			all = append(all, fmt.Sprintf("%s=%d", reason, n))
		}
	}
	return strings.Join(all, ",")
}

// setFleet replaces the fleet and forgets what it does not contain.
func (h *history) setFleet(f *Fleet) {
	if h.fleet != nil && !maps.Equal(h.fleet.StatusWords, f.StatusWords) {
		for _, one := range h.instances {
			one.readOptionalAgain()
		}
	}
	h.fleet, h.last = f, nil
	discoveries := make(map[discoveryKey]*discoveryHistory, len(f.Discoveries))
	for _, d := range f.Discoveries {
		one := h.discovery(d)
		if one == nil {
			one = newDiscoveryHistory(d.key())
		}
		one.tryList()
		one.outdated = true
		discoveries[d.key()] = one
	}
	h.discoveries = discoveries
	h.keepInstances(h.targets())
}

// keepInstances begins the history of new instances and forgets those that are not given.
func (h *history) keepInstances(targets []Target) {
	instances := make(map[instanceKey]*instanceHistory, len(targets))
	for _, t := range targets {
		one := h.instance(t)
		if one == nil {
			one = newInstanceHistory()
		}
		one.created, one.subscriptionEnd = t.created, t.subscriptionEnd
		instances[t.key()] = one
	}
	h.instances = instances
}

// targets returns the fleet's instances of this shard: those configured by id, and those discovered that are not.
func (h *history) targets() []Target {
	all := make([]Target, 0, len(h.instances))
	taken := map[instanceKey]bool{}
	add := func(t Target) {
		if !taken[t.key()] && h.fleet.Shard.Has(t.Instance) {
			all = append(all, t)
		}
		taken[t.key()] = true
	}
	newest := h.newest()
	for _, t := range h.fleet.Targets {
		t.created, t.subscriptionEnd = newest[t.key()].Created, newest[t.key()].SubscriptionEnd
		add(t)
	}
	for _, d := range h.fleet.Discoveries {
		for _, i := range h.discovery(d).instances {
			add(h.owner(d, i).target(newest[instanceKey{d.RegionID, i.InstanceID}]))
		}
	}
	return all
}

// newest returns what the newest list says of each discovered instance: several discoveries may find it.
func (h *history) newest() map[instanceKey]FoundInstance {
	all, listed := map[instanceKey]FoundInstance{}, map[instanceKey]time.Time{}
	for _, d := range h.fleet.Discoveries {
		one := h.discovery(d)
		for _, i := range one.instances {
			if k := (instanceKey{d.RegionID, i.InstanceID}); !one.result.LastSuccess.Before(listed[k]) {
				all[k], listed[k] = i, one.result.LastSuccess
			}
		}
	}
	return all
}

// unlisted reports whether a discovery that may find an instance has not listed any yet.
func (h *history) unlisted(t Target) bool {
	return slices.ContainsFunc(h.fleet.Discoveries, func(d *Discovery) bool {
		return d.lane() == t.lane() && h.discovery(d).result.LastSuccess.IsZero()
	})
}

// owner returns the discovery that an instance belongs to: the first that wants it, not the first whose list works.
func (h *history) owner(finder *Discovery, i FoundInstance) *Discovery {
	for _, d := range h.fleet.Discoveries {
		if d == finder || d.lane() == finder.lane() && d.wants(i) {
			return d
		}
	}
	return finder
}

// instance returns the history of an instance, nil if the fleet does not contain it any more.
func (h *history) instance(t Target) *instanceHistory { return h.instances[t.key()] }

// optionalResults returns how the optional reads go, by operation.
func (h *history) optionalResults() (all []OptionalResult) {
	for _, o := range h.fleet.Optional {
		var instances []*optionalHistory
		for _, one := range h.instances {
			if _, wanted := o.triggerOf(one.facts); wanted {
				instances = append(instances, one.optionalRead(o.Subject))
			}
		}
		if len(all) == 0 || all[len(all)-1].Operation != o.Operation {
			all = append(all, OptionalResult{Operation: o.Operation, Errors: maps.Clone(h.optionalErrors[o.Operation])})
		}
		r := &all[len(all)-1]
		r.Failures = append(r.Failures, failures(o.Subject, instances)...)
	}
	return all
}

// discovery returns the history of a discovery, nil if the fleet does not contain it any more.
func (h *history) discovery(d *Discovery) *discoveryHistory { return h.discoveries[d.key()] }
