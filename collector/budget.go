package collector

import (
	"time"

	"github.com/go-kit/log/level"
)

// Budget is how long the requests of one scrape take, in an account and region, at the exporter's own limit and with its whole burst;
// not less than the last listing of a region took.
type Budget struct {
	Account, RegionID string
	Requests          int
	Time              time.Duration
}

// tooLongHint is what one can do about a budget that exceeds the deadline.
const tooLongHint = "raise Prometheus' scrape_timeout (and scrape_interval) or api.requests_per_second, set listing: region, or use more shards (of which each lists the whole region)"

// budgets counts the requests that the last reads took. c.mu must be held.
func (s *Scraper) budgets(c *collection, r *Result) []Budget {
	if c.fleet.RequestsPerSecond <= 0 {
		return nil
	}
	index := map[clientKey]int{}
	var all []Budget
	of := func(account, regionID string) *Budget {
		k := clientKey{account, regionID}
		i, there := index[k]
		if !there {
			i = len(all)
			index[k] = i
			all = append(all, Budget{Account: account, RegionID: regionID})
		}
		return &all[i]
	}
	slowest := map[clientKey]time.Duration{} // listings, whose pages come one after the other
	listed := map[*Discovery]bool{}
	for i := range c.fleet.Discoveries {
		d := &c.fleet.Discoveries[i]
		if last := s.discoveries.lastListing(*d); last.tasks > 0 && last.retry.IsZero() {
			listed[d] = true
			of(d.Account, d.RegionID).Requests += (last.tasks+c.fleet.PageSize-1)/c.fleet.PageSize + 1 // and the sample
			k := clientKey{d.Account, d.RegionID}
			slowest[k] = max(slowest[k], last.took)
		}
	}
	for i := range r.Instances {
		in := &r.Instances[i]
		sl := &c.slots[c.index[keyOf(in.Instance)]]
		if d := sl.target.discovery; !listed[d] || sl.listing != nil && !sl.listing.has(in.Instance.InstanceID) {
			of(in.Instance.Account, in.Instance.RegionID).Requests += max(1, in.Totals.Requests)
		}
	}
	for i := range all {
		beyondBurst := max(0, float64(all[i].Requests)-max(1, c.fleet.RequestsPerSecond))
		all[i].Time = max(time.Duration(beyondBurst/c.fleet.RequestsPerSecond*float64(time.Second)), slowest[clientKey{all[i].Account, all[i].RegionID}])
	}
	return all
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
