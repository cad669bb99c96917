package fleet

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
	"git.example.com/starrocks/starrocks_backup_exporter/config"
)

// collection is one pass over the fleet: it decides who reads what.
type collection struct {
	*progress
	cancel  context.CancelFunc
	done    chan struct{} // closed when everything is read
	waiters int           // scrapes that wait for it; guarded by the lock of history
}

// run reads the whole fleet.
func (c *collection) run(ctx context.Context) {
	c.history.Lock()
	configured, discovered := c.byReader()
	c.history.Unlock()
	each := instanceReader{progress: c.progress}
	var all sync.WaitGroup
	for _, slots := range configured {
		all.Go(func() { each.read(ctx, c.due(slots)) })
	}
	listing := map[laneKey]*sync.WaitGroup{} // of instances
	for _, d := range c.fleet.Discoveries {
		if listing[d.lane()] == nil {
			listing[d.lane()] = &sync.WaitGroup{}
		}
		listing[d.lane()].Add(1)
	}
	for _, d := range c.fleet.Discoveries {
		known := discovered[d]
		chosen := c.readerFor(d, each)
		forFound := reader(each)
		if len(known) == 0 { // the first instances are read as in later scrapes
			forFound = chosen
		}
		all.Go(func() { chosen.read(ctx, c.due(known)) })
		all.Go(func() {
			listed := c.discover(ctx, d)
			listing[d.lane()].Done()
			if listed {
				listing[d.lane()].Wait() // an instance that several entries find belongs to the first
				forFound.read(ctx, c.addFound(d))
			}
		})
	}
	all.Wait()
}

// byReader returns the slots by the lane that they are configured for, or by the discovery that found them.
func (c *collection) byReader() (configured map[laneKey][]*slot, discovered map[*Discovery][]*slot) {
	configured, discovered = map[laneKey][]*slot{}, map[*Discovery][]*slot{}
	for _, s := range c.slots {
		if d := s.target.discovery; d != nil {
			discovered[d] = append(discovered[d], s)
		} else {
			configured[s.target.lane()] = append(configured[s.target.lane()], s)
		}
	}
	return configured, discovered
}

// readerFor returns the reader that a discovery's listing asks for.
func (c *collection) readerFor(d *Discovery, each instanceReader) reader {
	c.history.Lock()
	defer c.history.Unlock()
	if h := c.history.discovery(d); d.Listing == config.ListingRegion && (h == nil || !h.readsEach(c.now())) {
		return regionReader{instanceReader: each, discovery: d}
	}
	return each
}

// discoveryShare is the part of a scrape's deadline that a list of instances may take.
const discoveryShare = 1.0 / 3

// discover asks a discovery's source if that is due, and reports whether it did.
func (c *collection) discover(ctx context.Context, d *Discovery) bool {
	if !c.beginRefresh(d) {
		return false
	}
	listing, cancel := ctx, func() {}
	if c.hasTargets(d.lane()) {
		listing, cancel = c.share(ctx, discoveryShare) // what is known must be read, too
	}
	defer cancel()
	found, err := d.Source.Instances(listing)
	c.history.Lock()
	defer c.history.Unlock()
	h := c.history.discovery(d)
	if h == nil {
		return false
	}
	h.refreshing = false
	if c.history.fleet != c.fleet { // a reload came between; the new fleet runs its own discovery
		return false
	}
	before := h.observe(found, err, time.Duration(d.RefreshInterval), c.now())
	c.logDiscovery(d, h.result.Err, before)
	c.history.keepInstances(c.history.targets())
	return true
}

// addFound returns the slots of a discovery's new instances.
func (c *collection) addFound(d *Discovery) []*slot {
	c.history.Lock()
	defer c.history.Unlock()
	if c.history.fleet != c.fleet {
		return nil
	}
	var own []Target
	for _, t := range c.history.targets() {
		if t.discovery == d {
			own = append(own, t)
		}
	}
	return c.add(own)
}

// hasTargets reports whether instances of a lane are configured, or were found by an earlier list.
func (c *collection) hasTargets(lane laneKey) bool {
	c.history.Lock()
	defer c.history.Unlock()
	return slices.ContainsFunc(c.history.targets(), func(t Target) bool { return t.lane() == lane })
}

func (c *collection) beginRefresh(d *Discovery) bool {
	c.history.Lock()
	defer c.history.Unlock()
	h := c.history.discovery(d)
	return h != nil && h.beginRefresh(time.Duration(d.RefreshInterval), c.now())
}

// logDiscovery logs how a list of instances went; a failure at debug level if the list before failed for the same reason.
func (c *collection) logDiscovery(d *Discovery, err error, before apiclient.Reason) {
	reason := reasonOf(err)
	logger := log.WithSuffix(c.logger, "region_id", d.RegionID, "account", d.Account, "tags", d.TagList())
	switch {
	case err == nil && before == "":
	case err == nil:
		level.Info(logger).Log("msg", "listing instances works again", "previous_reason", before)
	case reason == before:
		level.Debug(logger).Log("msg", "listing instances failed, keeping those known", "reason", reason, "err", err)
	default:
		level.Warn(logger).Log("msg", "listing instances failed, keeping those known", "reason", reason, "err", err)
	}
}
