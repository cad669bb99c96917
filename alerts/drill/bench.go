package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"syscall"
	"text/tabwriter"
	"time"

	dto "github.com/prometheus/client_model/go"

	"starrocks_backup_exporter/collector/fleet"
)

const (
	benchShards = 10
	// plainAggregation is what an evaluation of all rules is compared with.
	plainAggregation = "max by (cluster, instance_id, region_id, condition) (starrocks_backup_condition)"
	measured         = 5  // evaluations; their mean counts, so that garbage collection is part of it
	repeated         = 10 // aggregations for each of them
)

// benchPhase is a state of a fleet in which an evaluation is measured.
type benchPhase struct {
	name    string
	later   time.Duration // since the fleet was healthy
	outage  bool          // no instance can be read
	minutes int           // before the measurement
	limit   float64       // of the ratio
}

func benchPhases() []benchPhase {
	return []benchPhase{
		{"healthy", 0, false, 16, 12},
		{"outage, all unreadable", 0, true, 45, 40},
		{"all overdue", 40 * hour, false, 16, 40},
		{"outage, all unreadable and overdue", 40 * hour, true, 45, 40},
	}
}

// bench measures one evaluation of all rules, annotations included. It fails if that takes too many times as long as a plain aggregation
// over the same series, or if an evaluation is missed.
func (p *program) bench(sizes []int) error {
	directory, err := os.MkdirTemp("", "drill")
	if err != nil {
		return err
	}
	defer os.RemoveAll(directory)
	w := tabwriter.NewWriter(p.out, 0, 0, 1, ' ', 0)
	defer w.Flush()
	fmt.Fprintln(w, "| instances\t| state\t| alerts\t| plain aggregation\t| all rules\t| ratio\t| limit\t|\n|---\t|---\t|---\t|---\t|---\t|---\t|---\t|")
	var failures []error
	for _, n := range sizes {
		if err := p.benchFleet(w, directory, n); err != nil {
			failures = append(failures, fmt.Errorf("%d instances: %w", n, err))
		}
	}
	return errors.Join(failures...)
}

func (p *program) benchFleet(out io.Writer, directory string, n int) error {
	ctx, world := context.Background(), benchWorld(n)
	api, scrapes := inProcess{world.simulate()}, newScraper(p.rules)
	s, err := newServer("bench", directory, p.rules, world)
	if err != nil {
		return err
	}
	defer s.close()
	began, at := world.now, world.now
	var plain time.Duration
	var failures []error
	for _, phase := range benchPhases() {
		world.now = began.Add(phase.later)
		world.faults = nil
		if phase.outage {
			world.faults = []fault{{span: span{began, world.now.Add(day)}, kind: "unavailable", share: 1}}
		}
		expositions, err := expose(ctx, world, api)
		if err != nil {
			return err
		}
		var evaluations, aggregations []time.Duration
		for minutes := range phase.minutes {
			at = at.Add(minute)
			for e, exposition := range expositions {
				if err := s.ingest(ctx, at, scrapes.scrape(endpoint{"east", "backups", fmt.Sprint("exporter-", e)}, exposition)); err != nil {
					return err
				}
			}
			if warmUp := phase.minutes - 16; minutes < warmUp && minutes%4 > 0 { // the windows of the rules need each minute only at the end
				continue
			}
			took, err := timed(func() error { _, err := s.evaluate(ctx, at.Add(30*time.Second)); return err })
			if err != nil {
				return err
			}
			evaluations = append(evaluations, took)
			if phase.name != "healthy" || minutes < phase.minutes-measured {
				continue
			}
			for range repeated {
				if took, err = timed(func() error { return s.query(ctx, plainAggregation, at.Add(30*time.Second)) }); err != nil {
					return err
				}
				aggregations = append(aggregations, took)
			}
		}
		if len(aggregations) > 0 {
			plain = mean(aggregations)
		}
		all := mean(evaluations[len(evaluations)-measured:])
		ratio := all.Seconds() / plain.Seconds()
		fmt.Fprintf(out, "| %d\t| %s\t| %d\t| %s\t| %s\t| %.1f\t| %.0f\t|\n", n, phase.name, s.alerts(),
			plain.Round(time.Millisecond/10), all.Round(time.Millisecond), ratio, phase.limit)
		if ratio > phase.limit {
			failures = append(failures, fmt.Errorf("%s: an evaluation takes %.1f times as long as a plain aggregation", phase.name, ratio))
		}
		if longest := slices.Max(evaluations); longest > minute {
			failures = append(failures, fmt.Errorf("%s: an evaluation took %s, so the next is missed", phase.name, longest))
		}
	}
	return errors.Join(failures...)
}

// benchWorld is a fleet of shards whose instances are healthy at first. No backup is made any more.
func benchWorld(n int) *world {
	w := &world{chances: chances{random: rand.New(rand.NewPCG(1, 1))}, setting: settings[0]}
	w.now = time.Date(2026, time.January, 20, 12, 0, 0, 0, time.UTC)
	w.start, w.end = w.now.Add(-day), w.now
	g := &group{kind: "shards", cluster: "east", job: "backups"}
	for k := range n {
		i := &instance{
			id: fmt.Sprintf("c-%012x", k), cluster: g.cluster, region: regions[k%2], plan: plans()[0],
			watched: span{w.start.Add(-history), w.end.Add(history)},
		}
		w.backUp(i)
		w.instances = append(w.instances, i)
	}
	g.instances = w.instances
	for shard := range benchShards {
		g.exporters = append(g.exporters, &exporter{index: shard + 1, group: g, shard: fleet.Shard{Index: shard, Total: benchShards}})
	}
	w.groups = []*group{g}
	return w
}

// expose scrapes each exporter once.
func expose(ctx context.Context, w *world, api inProcess) (all [][]*dto.MetricFamily, err error) {
	for _, e := range w.groups[0].exporters {
		e.live(w, api)
		w.reader = e.index
		exposition, err := e.process.scrape(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, exposition)
	}
	return all, nil
}

// timed returns the processor time that something takes: other programs of this machine do not count.
func timed(do func() error) (time.Duration, error) {
	used := func() time.Duration {
		var u syscall.Rusage
		_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // fails only if the pointer is bad
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	began := used()
	err := do()
	return used() - began, err
}

func (s *server) query(ctx context.Context, expr string, at time.Time) error {
	q, err := s.engine.NewInstantQuery(ctx, s.db, nil, expr, at)
	if err != nil {
		return err
	}
	defer q.Close()
	return q.Exec(ctx).Err
}

// alerts returns the number of alerts that are pending or firing.
func (s *server) alerts() (n int) {
	for _, g := range s.groups {
		for _, r := range g.AlertingRules() {
			n += len(r.ActiveAlerts())
		}
	}
	return n
}

func mean(all []time.Duration) (sum time.Duration) {
	for _, d := range all {
		sum += d
	}
	return sum / time.Duration(len(all))
}
