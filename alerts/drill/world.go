package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"starrocks_backup_exporter/apiclient/simulator"
)

// world is what is true: the instances, their backups, the API and the exporters, from start to end.
type world struct {
	chances

	step time.Duration // from scrape to scrape

	instances []*instance
	groups    []*group
	faults    []fault

	now    time.Time
	reader int // the exporter that reads now: the exporters of a pair may see different faults
}

// size of the drill.
type size struct {
	instances int
	days      int
	step      time.Duration
	rate      float64 // of incidents and faults; at 1, an instance has one incident in about ten days
}

func newWorld(seed uint64, s size) *world {
	w := &world{chances: chances{random: rand.New(rand.NewPCG(seed, 1))}, step: s.step}
	w.start = time.Date(2026, time.January, 20, 0, 0, 0, 0, time.UTC).AddDate(0, int(seed%12), 0)
	w.end = w.start.AddDate(0, 0, s.days)
	w.now = w.start
	for n := range s.instances {
		i := &instance{
			id: fmt.Sprintf("c-%012x", seed<<16+uint64(n)), region: regions[n%len(regions)], plan: plans()[n%len(plans())],
			watched: span{w.start.Add(-history), w.end.Add(day)},
		}
		if n >= 3 { // one of each group stays
			w.lifetime(i)
		}
		w.incidentsOf(i, s.rate)
		w.backUp(i)
		w.instances = append(w.instances, i)
	}
	w.faults = w.apiFaults(w.instances, s.rate)
	w.groups = w.newGroups(w.instances, s.rate)
	return w
}

// simulate returns the API of the world.
func (w *world) simulate() *simulator.Simulator {
	s := simulator.New(simulator.Options{
		AccessKeys: map[string]string{accessKeyID: accessKeySecret}, Now: func() time.Time { return w.now },
	})
	for _, i := range w.instances {
		var cached []simulator.Task
		var at, until time.Time // for which it was made
		s.Set(simulator.Instance{
			InstanceID: i.id, RegionID: i.region,
			Tasks: func(now time.Time) []simulator.Task {
				if cached == nil || now.Before(at) || !now.Before(until) {
					cached, until = i.api(now)
					at = now
				}
				return cached
			},
			Fault: func(rw http.ResponseWriter, r *http.Request, n int) bool {
				switch faultOf(w.faults, w.now, i, w.reader) {
				case "unavailable":
					return simulator.GatewayError(http.StatusServiceUnavailable, "ServiceUnavailable", "try again")(rw, r, n)
				case "throttled":
					return simulator.Throttled(0)(rw, r, n)
				case "denied":
					return simulator.Denied("sr:DescribeBackups")(rw, r, n)
				case "network":
					rw.WriteHeader(0) // see inProcess
					return true
				}
				return false
			},
		})
	}
	return s
}

// exposure is how long instances were watched, and how long they were healthy, in sum.
type exposure struct{ all, healthy time.Duration }

// add counts the instances that are watched now, and those that are healthy.
func (e *exposure) add(w *world, sick map[string]bool) {
	for _, i := range w.instances {
		if i.watched.has(w.now) {
			e.all += w.step
			if !sick[i.id] {
				e.healthy += w.step
			}
		}
	}
}
