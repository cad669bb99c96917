package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"go.yaml.in/yaml/v3"
)

// sample is a series' value at one scrape. Its labels carry those of the target.
type sample struct {
	series int // index, the same in every server
	labels labels.Labels
	value  float64
}

// endpoint is a target of Prometheus.
type endpoint struct{ cluster, job, instance string }

// scrape is what Prometheus stores of one scrape.
type scrape struct {
	at      time.Time
	samples []sample
	late    []sample // visible only after the next evaluation
}

// scraper turns expositions into samples, once for all servers.
type scraper struct {
	rules    string          // only metrics that they name are stored: others would only cost time
	named    map[string]bool // metrics that the rules name
	series   map[string]int
	labels   []labels.Labels
	previous map[endpoint][]int // series of the last scrape
	key      []byte             // reused
}

func newScraper(ruleText string) *scraper {
	return &scraper{rules: ruleText, named: map[string]bool{}, series: map[string]int{}, previous: map[endpoint][]int{}}
}

// stores reports whether the rules name a metric.
func (s *scraper) stores(metric string) bool {
	named, known := s.named[metric]
	if !known {
		named = strings.Contains(s.rules, metric)
		s.named[metric] = named
	}
	return named
}

func (s *scraper) sample(name string, of endpoint, pairs []*dto.LabelPair, v float64) sample {
	s.key = append(s.key[:0], name...)
	for _, part := range []string{of.cluster, of.job, of.instance} {
		s.key = append(append(s.key, 0xff), part...)
	}
	for _, p := range pairs {
		s.key = append(append(s.key, 0xff), p.GetValue()...)
	}
	n, known := s.series[string(s.key)]
	if !known {
		n = len(s.labels)
		b := labels.NewBuilder(labels.EmptyLabels()).Set(model.MetricNameLabel, name).
			Set("cluster", of.cluster).Set("job", of.job).Set("instance", of.instance)
		for _, p := range pairs {
			b.Set(p.GetName(), p.GetValue())
		}
		s.series[string(s.key)] = n
		s.labels = append(s.labels, b.Labels())
	}
	return sample{n, s.labels[n], v}
}

// samples returns one scrape as Prometheus stores them, with staleness markers for series that are gone, and up.
func (s *scraper) samples(of endpoint, exposition []*dto.MetricFamily) []sample {
	samples := []sample{s.sample("up", of, nil, 0)}
	if exposition != nil {
		samples[0].value = 1
		for _, f := range exposition {
			if !s.stores(f.GetName()) {
				continue
			}
			for _, m := range f.GetMetric() {
				samples = append(samples, s.sample(f.GetName(), of, m.GetLabel(), m.GetGauge().GetValue()+m.GetCounter().GetValue()))
			}
		}
	}
	return s.stale(of, samples)
}

// forget marks all series of a removed target as stale.
func (s *scraper) forget(of endpoint) []sample { return s.stale(of, nil) }

// restart loses what the last scrapes had: no series becomes stale that is gone by the next ones.
func (s *scraper) restart() { clear(s.previous) }

func (s *scraper) stale(of endpoint, samples []sample) []sample {
	current := make([]int, len(samples))
	for n, added := range samples {
		current[n] = added.series
	}
	slices.Sort(current)
	for _, n := range s.previous[of] {
		if _, there := slices.BinarySearch(current, n); !there {
			samples = append(samples, sample{n, s.labels[n], math.Float64frombits(value.StaleNaN)})
		}
	}
	s.previous[of] = current
	return samples
}

// server is a Prometheus: its storage, and its groups of rules.
type server struct {
	engine *promql.Engine
	name   string
	db     *tsdb.DB
	lag    time.Duration
	file   string // with the rules
	refs   []storage.SeriesRef
	steps  int            // since it started
	groups []*rules.Group // in the order of their evaluation
	// reversed turns the order of the groups around: rules must not depend on it.
	reversed bool
}

// newServer returns a server that evaluates the rules in the setting of a world, and stores its data under directory.
func newServer(name, directory, ruleText string, w *world) (*server, error) {
	directory, err := os.MkdirTemp(directory, "server")
	if err != nil {
		return nil, err
	}
	o := tsdb.DefaultOptions()
	o.WALSegmentSize = -1 // nothing to recover
	o.NoLockfile = true
	o.RetentionDuration = (10 * 365 * day).Milliseconds()
	o.MinBlockDuration, o.MaxBlockDuration = o.RetentionDuration, o.RetentionDuration // keep everything in the head block
	db, err := tsdb.Open(filepath.Join(directory, "data"), nil, nil, o, nil)
	if err != nil {
		return nil, err
	}
	s := &server{name: name, db: db, lag: w.lag, reversed: w.reversed, file: filepath.Join(directory, "rules.yml")}
	if err := os.WriteFile(s.file, []byte(ruleText), 0o600); err != nil {
		return nil, err
	}
	if err := s.start(); err != nil {
		return nil, err
	}
	for _, g := range s.groups {
		for _, r := range g.AlertingRules() {
			r.SetRestored(true) // there is no earlier run to restore; until then no ALERTS are written
		}
	}
	s.steps = restored
	return s, nil
}

// restored is the number of evaluations after which Prometheus restores how long alerts have been active.
const restored = 2

// start loads the rules. What they knew is lost, except what is stored.
func (s *server) start() error {
	s.engine = promql.NewEngine(promql.EngineOpts{MaxSamples: 50_000_000, Timeout: time.Minute})
	manager := rules.NewManager(&rules.ManagerOptions{
		QueryFunc: rules.EngineQueryFunc(s.engine, s.db), Queryable: s.db, AppendableV2: s.db, Context: context.Background(),
		NotifyFunc: func(context.Context, string, ...*rules.Alert) {}, Logger: slog.New(slog.DiscardHandler),
		OutageTolerance: hour, ForGracePeriod: 10 * minute, // the defaults of Prometheus
		DefaultRuleQueryOffset: func() time.Duration { return s.lag },
	})
	groups, errs := manager.LoadGroups(time.Minute, labels.EmptyLabels(), "", nil, false, s.file)
	if len(errs) > 0 {
		return fmt.Errorf("%s: %w", s.name, errs[0])
	}
	s.groups = slices.SortedFunc(maps.Values(groups), func(a, b *rules.Group) int { return cmp.Compare(a.Name(), b.Name()) })
	if s.reversed {
		slices.Reverse(s.groups)
	}
	s.steps = 0
	return nil
}

// bare returns rules without annotations: they do not affect what fires, and cost time.
func bare(ruleText string) (string, error) {
	var all struct {
		Groups []struct {
			Name     string           `yaml:"name"`
			Interval string           `yaml:"interval,omitempty"`
			Rules    []map[string]any `yaml:"rules"`
		} `yaml:"groups"`
	}
	if err := yaml.Unmarshal([]byte(ruleText), &all); err != nil {
		return "", err
	}
	for _, g := range all.Groups {
		for _, r := range g.Rules {
			delete(r, "annotations")
		}
	}
	text, err := yaml.Marshal(all)
	return string(text), err
}

func (s *server) close() error { return s.db.Close() }

// step stores the scrapes, evaluates the rules half a minute later and returns the alerts that fire.
func (s *server) step(ctx context.Context, now time.Time, scrapes []scrape) (firing map[page]bool, err error) {
	for _, stored := range scrapes {
		if err := s.ingest(ctx, stored.at, stored.samples); err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
	}
	if firing, err = s.evaluate(ctx, now.Add(30*time.Second)); err != nil {
		return nil, err
	}
	for _, stored := range scrapes {
		if err := s.ingest(ctx, stored.at, stored.late); err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return firing, nil
}

func (s *server) ingest(ctx context.Context, at time.Time, samples []sample) error {
	a := s.db.AppenderV2(ctx)
	for _, added := range samples {
		if added.series >= len(s.refs) {
			s.refs = append(s.refs, make([]storage.SeriesRef, added.series+1-len(s.refs))...)
		}
		ref, err := a.Append(s.refs[added.series], added.labels, 0, at.UnixMilli(), added.value, nil, nil, storage.AppendV2Options{})
		if err != nil {
			return fmt.Errorf("%s: %w", added.labels, err)
		}
		s.refs[added.series] = ref
	}
	return a.Commit()
}

func (s *server) evaluate(ctx context.Context, at time.Time) (map[page]bool, error) {
	firing := map[page]bool{}
	s.steps++
	for _, g := range s.groups {
		g.Eval(ctx, at)
		if s.steps == restored {
			g.RestoreForState(at)
		}
		for _, r := range g.Rules() {
			if err := r.LastError(); err != nil {
				return nil, fmt.Errorf("%s at %s: rule %s: %w", s.name, at, r.Name(), err)
			}
		}
		for _, r := range g.AlertingRules() {
			for _, a := range r.ActiveAlerts() {
				if a.State == rules.StateFiring {
					note(firing, a.Labels)
				}
			}
		}
	}
	return firing, nil
}

// note notes that an alert fires. One on an exporter is also one on its fleet.
func note(firing map[page]bool, l labels.Labels) {
	k, cluster := kind{l.Get("alertname"), l.Get("severity")}, l.Get("cluster")
	switch {
	case l.Has("instance_id"):
		firing[page{k, subject(cluster, l.Get("instance_id"))}] = true
	case l.Has("region_id"):
		firing[page{k, subject(cluster, l.Get("region_id"))}] = true
	case l.Has("instance"):
		firing[page{k, subject(cluster, l.Get("job"), l.Get("instance"))}] = true
		if k == downKind {
			firing[page{k, subject(cluster, l.Get("job"))}] = true
		}
	default:
		firing[page{k, subject(cluster, l.Get("job"))}] = true
	}
}
