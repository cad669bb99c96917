package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"syscall"
	"time"

	dto "github.com/prometheus/client_model/go"
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
		{"healthy", 0, false, 15, 12},
		{"outage, all unreadable", 0, true, 45, 40},
		{"all overdue", 40 * hour, false, 15, 40},
		{"outage, all unreadable and overdue", 40 * hour, true, 15, 40},
	}
}

// benchRules measures one evaluation of all rules, annotations included. It fails if that takes too many times as long as a plain
// aggregation over the same series, or if an evaluation is missed.
func benchRules(out io.Writer, ruleText string, sizes []int) error {
	directory, err := os.MkdirTemp("", "drill")
	if err != nil {
		return err
	}
	defer os.RemoveAll(directory)
	fmt.Fprintln(out, "| instances | state | alerts | plain aggregation | all rules | ratio | limit |\n|---|---|---|---|---|---|---|")
	var failures []error
	for _, n := range sizes {
		w := benchWorld(n)
		s, err := newServer("bench", directory, ruleText, w)
		if err != nil {
			return err
		}
		b := benchmark{world: w, server: s, scraper: newScraper(ruleText), at: w.now}
		for _, phase := range benchPhases() {
			if err := b.measure(context.Background(), out, phase); err != nil {
				failures = append(failures, fmt.Errorf("%d instances, %s: %w", n, phase.name, err))
			}
		}
		s.close()
	}
	return errors.Join(failures...)
}

// benchmark is a fleet of one size.
type benchmark struct {
	*world
	*server
	*scraper
	at    time.Time     // of the last scrape
	plain time.Duration // what a plain aggregation over the healthy fleet takes
}

// measure brings the fleet into a state, prints what an evaluation takes in it, and fails if that is too long.
func (b *benchmark) measure(ctx context.Context, out io.Writer, phase benchPhase) error {
	expositions, err := b.expose(ctx, phase)
	if err != nil {
		return err
	}
	var evaluations, aggregations []time.Duration
	for minutes := range phase.minutes {
		b.at = b.at.Add(minute)
		for e, exposition := range expositions {
			if err := b.ingest(ctx, b.at, b.samples(endpoint{"east", "backups", fmt.Sprint("exporter-", e)}, exposition)); err != nil {
				return err
			}
		}
		left := phase.minutes - minutes
		if left > 15 && minutes%4 > 0 { // the windows of the rules need each minute only at the end
			continue
		}
		began := time.Now()
		took, err := timed(func() error { _, err := b.evaluate(ctx, b.at.Add(30*time.Second)); return err })
		if err != nil {
			return err
		}
		if took = min(took, time.Since(began)); took > minute {
			return fmt.Errorf("an evaluation took %s, so the next one is missed", took)
		}
		evaluations = append(evaluations, took)
		for range repeated {
			if b.plain > 0 || left > measured {
				break
			}
			if took, err = timed(func() error { return b.query(ctx, plainAggregation, b.at.Add(30*time.Second)) }); err != nil {
				return err
			}
			aggregations = append(aggregations, took)
		}
	}
	if b.plain == 0 {
		b.plain = mean(aggregations)
	}
	all := mean(evaluations[len(evaluations)-measured:])
	ratio := all.Seconds() / b.plain.Seconds()
	fmt.Fprintf(out, "| %d | %s | %d | %s | %s | %.1f | %.0f |\n",
		len(b.instances), phase.name, b.alerts(), b.plain.Round(time.Millisecond), all.Round(time.Millisecond), ratio, phase.limit)
	if ratio > phase.limit {
		return fmt.Errorf("an evaluation takes %.1f times as long as a plain aggregation, at most %.0f are allowed", ratio, phase.limit)
	}
	return nil
}

// expose scrapes each exporter once, in the state of a phase.
func (b *benchmark) expose(ctx context.Context, phase benchPhase) (all [][]*dto.MetricFamily, err error) {
	w := b.world
	w.now, w.faults = w.end.Add(phase.later), nil
	if phase.outage {
		w.faults = faults{{span: span{w.start, w.now.Add(day)}, kind: "unavailable", share: 1}}
	}
	in := w.surroundings(inProcess{w.simulate()})
	for _, e := range w.groups[0].exporters {
		e.process = nil // it would go on using the API of the last phase
		e.live(in)
		w.reader, w.asking = e.index, e.process
		exposition, err := e.process.scrape(ctx, b.stores)
		if err != nil {
			return nil, err
		}
		all = append(all, exposition)
	}
	return all, nil
}

// benchWorld is a fleet of shards whose instances are healthy at first. No backup is made any more.
func benchWorld(n int) *world {
	w := &world{chances: chances{random: rand.New(rand.NewPCG(1, 1))}, setting: settings[0]}
	w.now = time.Date(2026, time.January, 20, 12, 0, 0, 0, time.UTC)
	w.start, w.end = w.now.Add(-day), w.now
	g := &group{kind: "shards", cluster: "east", job: "backups", shards: benchShards, resized: w.end.Add(history)}
	for k := range n {
		i := &instance{
			id: fmt.Sprintf("c-%012x", k), cluster: g.cluster, region: regions[k%2], plan: plans()[0],
			watched: span{w.start.Add(-history), w.end.Add(history)}, restored: []time.Time{w.start},
		}
		w.backUp(i)
		w.instances = append(w.instances, i)
	}
	g.instances = w.instances
	for shard := range benchShards {
		g.exporters = append(g.exporters, &exporter{index: shard + 1, group: g, place: shard})
	}
	w.groups = []*group{g}
	return w
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
