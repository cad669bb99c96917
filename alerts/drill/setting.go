package main

import (
	"fmt"
	"time"
)

// setting is how samples come to Prometheus, and when it evaluates the rules.
type setting struct {
	name   string
	scrape time.Duration // interval of scrapes
	step   time.Duration // interval of evaluations
	late   bool          // remote write in batches: some samples become visible after the next evaluation
	lag    time.Duration // the evaluation looks back by this (query_offset)
}

// settings are played in turn, one in each world.
var settings = []setting{
	{"1m", minute, minute, false, 0},
	{"4m-evaluated-4m", 4 * minute, 4 * minute, false, 0}, // costs the least, so its worlds are the longest
	{"5m", 5 * minute, minute, false, 0},
	{"15s", 15 * time.Second, minute, false, 0},
	{"remote-write", minute, minute, true, 0},
	{"remote-write-lag", minute, minute, true, minute},
}

// settingOf returns the setting of a world: the named one, or the turn of the seed.
func settingOf(name string, seed uint64) (setting, error) {
	if name == "" {
		return settings[seed%uint64(len(settings))], nil
	}
	for _, s := range settings {
		if s.name == name {
			return s, nil
		}
	}
	return setting{}, fmt.Errorf("no setting is called %q", name)
}

// slack is how much later than its due time a page is still in time, and how much longer it may fire.
func (s setting) slack() time.Duration {
	slack := 2*max(s.scrape, s.step) + minute + s.lag
	if s.late {
		slack += s.scrape
	}
	return slack
}

// early is how much sooner a page may fire. A condition seems to last until its end is delivered. If a scrape is missed while Prometheus
// restarts, an exporter seems to be gone once the sample before it is 5 minutes old.
func (s setting) early() time.Duration {
	if s.late || s.scrape >= 5*minute {
		return s.scrape
	}
	return 0
}

// days is how long a world lasts. Worlds with shorter steps are shorter, so that each takes about as much work.
func (s setting) days(longest int) int {
	return max(min(longest, 4), longest*int(s.step/minute)/4)
}
