package collector

import (
	"time"

	"github.com/go-kit/log/level"

	"starrocks_backup_exporter/config"
)

// Budget is how long the requests of one scrape take, in an account and region, at the exporter's own limit.
type Budget struct {
	Account, RegionID string
	Requests          int
	Time              time.Duration
}

// tooLongHint is what one can do about a budget that exceeds the deadline.
const tooLongHint = "raise Prometheus' scrape_timeout (and scrape_interval) or api.requests_per_second, set listing: region, or use more shards"

// budgets counts the requests from what the last reads listed. c.mu must be held.
func (c *collection) budgets(r *Result) []Budget {
	if c.fleet.RequestsPerSecond <= 0 {
		return nil
	}
	index := map[clientKey]int{}
	var all []Budget
	add := func(k clientKey, requests int) {
		i, there := index[k]
		if !there {
			i = len(all)
			index[k] = i
			all = append(all, Budget{Account: k.account, RegionID: k.regionID})
		}
		all[i].Requests += requests
	}
	pages := func(tasks int) int { return max(1, (tasks+c.fleet.PageSize-1)/c.fleet.PageSize) }
	listed := map[*Discovery]int{} // tasks
	for i := range r.Instances {
		in := &r.Instances[i]
		d := c.slots[c.index[keyOf(in.Instance)]].target.discovery
		if d != nil && d.Listing == config.ListingRegion && in.Totals.Tasks > 0 && !r.readsEach(d) {
			listed[d] += in.Totals.Tasks
			continue
		}
		add(clientKey{in.Instance.Account, in.Instance.RegionID}, pages(in.Totals.Tasks))
	}
	for i := range c.fleet.Discoveries {
		if d := &c.fleet.Discoveries[i]; listed[d] > 0 {
			add(clientKey{d.Account, d.RegionID}, pages(listed[d]))
		}
	}
	for i := range all {
		beyondBurst := max(0, float64(all[i].Requests)-max(1, c.fleet.RequestsPerSecond))
		all[i].Time = time.Duration(beyondBurst / c.fleet.RequestsPerSecond * float64(time.Second))
	}
	return all
}

func (r *Result) readsEach(d *Discovery) bool {
	for i := range r.Discoveries {
		if one := &r.Discoveries[i]; (discoveryKey{one.Account, one.RegionID, one.Tags}) == discoveryKeyOf(d.Discovery) {
			return one.ReadsEach
		}
	}
	return false
}

// TooLong reports whether the scrape's deadline is too short for a budget.
func (r *Result) TooLong(b Budget) bool { return r.Deadline > 0 && b.Time > r.Deadline }

// logBudgets says once that a budget has become too long. s.mu must be held.
func (s *Scraper) logBudgets(r *Result) {
	tooLong := map[clientKey]bool{}
	for _, b := range r.Budgets {
		k := clientKey{b.Account, b.RegionID}
		if tooLong[k] = r.TooLong(b); tooLong[k] && !s.tooLong[k] {
			level.Warn(s.logger).Log("msg", "a scrape has too little time for its requests: some instances will time out, others at each scrape",
				"region_id", b.RegionID, "account", b.Account, "requests", b.Requests, "needed", b.Time, "deadline", r.Deadline, "hint", tooLongHint)
		}
	}
	s.tooLong = tooLong
}
