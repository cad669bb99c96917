package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
	"git.example.com/starrocks/starrocks_backup_exporter/apiclient/simulator"
)

// world is what is true: the instances, their backups, the API, the exporters and when Prometheus runs, from start to end.
type world struct {
	chances
	setting

	instances []*instance
	groups    []*group
	faults    faults
	stops     []span // of Prometheus
	reversed  bool   // the order in which it evaluates groups of rules

	now    time.Time
	asking *process  // that reads now
	read   time.Time // of the last scrape
	reader int       // index of the exporter that reads now: exporters may see different faults
}

// size of the drill.
type size struct {
	instances int
	days      int     // of the longest worlds
	rate      float64 // of incidents and faults; at 1, an instance has one incident in about ten days
}

func newWorld(seed uint64, chosen setting, s size) *world {
	w := &world{chances: chances{random: rand.New(rand.NewPCG(seed, 1))}, setting: chosen}
	w.start = time.Date(2026, time.January, 20, 0, 0, 0, 0, time.UTC).AddDate(0, int(seed%12), 0)
	w.end = w.start.AddDate(0, 0, chosen.days(s.days))
	w.now = w.start
	w.reversed = w.chance(0.5)
	w.groups = w.newGroups(s.rate)
	more := chances{w.start, w.end, rand.New(rand.NewPCG(seed, 2))}
	for _, g := range w.groups {
		if last := w.groups[len(w.groups)-1].exporters; g.kind == "shards" && more.chance(0.5) {
			more.resize(g, last[len(last)-1].index+1, s.rate)
		}
	}
	for n := range s.instances {
		round, g := n/len(w.groups), w.groups[n%len(w.groups)]
		i := &instance{
			id: fmt.Sprintf("c-%012x", seed<<16+uint64(n)), cluster: g.cluster, region: regions[0], plan: plans()[(n+round)%len(plans())],
			discovered: g.kind == "discovery" && round%3 != 1,
			created:    w.start.Add(-history), watched: span{w.start.Add(-history), w.end.Add(day)},
		}
		if (n/2)%6 == 5 {
			i.region = regions[1]
		}
		if round > 0 { // one of each group stays
			w.lifetime(i)
		}
		i.deletePolicies(more, s.rate)
		i.restored = restores(more, i.discovered)
		w.incidentsOf(i, s.rate)
		w.backUp(i)
		w.instances = append(w.instances, i)
		g.instances = append(g.instances, i)
	}
	w.faults = w.apiFaults(w.instances, w.groups, s.rate)
	w.restartUnlisted()
	often := func(d time.Duration) time.Duration { return time.Duration(float64(d) / s.rate) }
	w.stops = append(w.spans(often(8*day), minute, 4*minute), w.spans(often(20*day), 2*hour, 2*hour)...)
	return w
}

// restartUnlisted restarts exporters that discover instances while these cannot be listed: then they do not know them.
func (w *world) restartUnlisted() {
	for _, f := range w.faults {
		for _, g := range w.groups {
			for _, e := range g.exporters {
				if f.kind == lists && g.kind == "discovery" {
					e.restarts = append(e.restarts, f.from.Add(20*minute))
				}
			}
		}
	}
}

// stopEnding returns how long a stop of Prometheus lasted that has ended since the last step; 0 if none has.
func (w *world) stopEnding() time.Duration {
	for _, s := range w.stops {
		if s.to.After(w.now.Add(-w.step)) && !s.to.After(w.now) {
			return s.to.Sub(s.from)
		}
	}
	return 0
}

// stopComing reports whether Prometheus stops before the next step.
func (w *world) stopComing() bool {
	return slices.ContainsFunc(w.stops, func(s span) bool { return s.from.After(w.now) && !s.from.After(w.now.Add(w.step)) })
}

// simulate returns the API of the world.
func (w *world) simulate() *simulator.Simulator {
	s := simulator.New(simulator.Options{
		AccessKeys: map[string]string{accessKeyID: accessKeySecret}, Now: func() time.Time { return w.now },
	})
	answers := map[string]simulator.Fault{
		"unavailable":  simulator.GatewayError(http.StatusServiceUnavailable, "ServiceUnavailable", "try again"),
		"throttled":    simulator.Throttled(0),
		"forbidden":    simulator.Denied("sr:DescribeBackups"),
		"unauthorized": simulator.GatewayError(http.StatusForbidden, "InvalidSecurityToken.Expired", "the token has expired"),
		"network": func(rw http.ResponseWriter, _ *http.Request, _ int) bool {
			rw.WriteHeader(0) // see inProcess
			return true
		},
	}
	for _, i := range w.instances {
		w.serve(s, i, answers)
	}
	return s
}

// serve has the API list an instance's tasks, and fail as the faults say. A list is made only when it has changed.
func (w *world) serve(s *simulator.Simulator, i *instance, answers map[string]simulator.Fault) {
	var until time.Time // the list holds
	in := simulator.Instance{InstanceID: i.id, RegionID: i.region, Rendered: i.id}
	list := func() {
		var tasks []simulator.Task
		tasks, until = i.api(w.now)
		in.Tasks = func(time.Time) []simulator.Task { return tasks }
		s.Set(in)
	}
	in.Policies = func(now time.Time) []simulator.Policy {
		all := i.policies(now)
		w.asking.mu.Lock()
		defer w.asking.mu.Unlock()
		w.asking.policies[i.id] = policyFact{now, len(all) == 0}
		return all
	}
	in.Operations = func(now time.Time) (all []simulator.Operation) {
		last := i.lastRestored(now)
		if last.IsZero() {
			return nil
		}
		return []simulator.Operation{{
			ID: "op-" + i.id, Type: "restore", Status: "COMPLETED", Create: simulator.Millis(last.Add(-hour)), End: simulator.Millis(last),
		}}
	}
	in.Fault = func(rw http.ResponseWriter, r *http.Request, n int) bool {
		if !w.now.Before(until) {
			list()
		}
		if f := answers[w.faults.of(w.now, i, w.reader)]; f != nil && f(rw, r, n) {
			return true
		}
		if r.FormValue("OperationType") == apiclient.OperationRestore {
			w.asking.mu.Lock()
			defer w.asking.mu.Unlock()
			w.asking.restores[i.id] = restoreFact{w.now, i.lastRestored(w.now)}
		}
		return false
	}
	list()
}

// surroundings returns what exporters live in, with an API.
func (w *world) surroundings(api http.RoundTripper) surroundings {
	return surroundings{
		now: func() time.Time { return w.now }, scrape: w.scrape, api: api,
		unlisted: func(region string) bool { return w.faults.unlisted(w.now, region) },
	}
}

// exposure is how long instances were watched, and how long they were healthy, in sum.
type exposure struct{ all, healthy time.Duration }

// add counts the instances that are watched now, and those that are healthy.
func (e *exposure) add(w *world, sick map[string]bool) {
	for _, i := range w.instances {
		if i.watched.has(w.now) {
			e.all += w.step
			if !sick[i.subject()] {
				e.healthy += w.step
			}
		}
	}
}
