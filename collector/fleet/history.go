package fleet

import "sync"

// history is what outlives scrapes. Its lock is the only one of this package: it also guards the collections under way.
// Whoever calls a method, or uses what one returns, holds it.
type history struct {
	sync.Mutex
	fleet       *Fleet // the current one
	last        *Result
	settled     bool             // every discovery has been listed in full
	tooLong     map[laneKey]bool // whether the requests took too long at the last scrape
	instances   map[instanceKey]*instanceHistory
	discoveries map[discoveryKey]*discoveryHistory
}

// setFleet replaces the fleet and forgets what it does not contain.
func (h *history) setFleet(f *Fleet) {
	h.fleet, h.last = f, nil
	discoveries := make(map[discoveryKey]*discoveryHistory, len(f.Discoveries))
	for _, d := range f.Discoveries {
		one := h.discovery(d)
		if one == nil {
			one = newDiscoveryHistory(d.key())
		}
		one.tryList()
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
		instances[t.key()] = one
	}
	h.instances = instances
}

// targets returns the fleet's instances of this shard: those configured by id, and those discovered that are not.
func (h *history) targets() (all []Target) {
	taken := map[instanceKey]bool{}
	add := func(t Target) {
		if !taken[t.key()] && h.fleet.Shard.Has(t.Instance) {
			all = append(all, t)
		}
		taken[t.key()] = true
	}
	for _, t := range h.fleet.Targets {
		add(t)
	}
	for _, d := range h.fleet.Discoveries {
		for _, id := range h.discovery(d).ids {
			add(d.target(id))
		}
	}
	return all
}

// instance returns the history of an instance, nil if the fleet does not contain it any more.
func (h *history) instance(t Target) *instanceHistory { return h.instances[t.key()] }

// discovery returns the history of a discovery, nil if the fleet does not contain it any more.
func (h *history) discovery(d *Discovery) *discoveryHistory { return h.discoveries[d.key()] }
