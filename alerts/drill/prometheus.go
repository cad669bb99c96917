package main

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
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

// scrape is what Prometheus stores of one scrape.
type scrape struct {
	at      time.Time
	samples []sample
}

// scraper turns expositions into samples, once for all servers.
type scraper struct {
	series   map[string]int
	labels   []labels.Labels
	previous map[string][]int // series of the last scrape, by target
	key      []byte           // reused
}

func newScraper() *scraper { return &scraper{series: map[string]int{}, previous: map[string][]int{}} }

func (s *scraper) sample(name, job, instance string, pairs []*dto.LabelPair, v float64) sample {
	s.key = append(s.key[:0], name...)
	for _, part := range []string{job, instance} {
		s.key = append(append(s.key, 0xff), part...)
	}
	for _, p := range pairs {
		s.key = append(append(s.key, 0xff), p.GetValue()...)
	}
	n, known := s.series[string(s.key)]
	if !known {
		n = len(s.labels)
		b := labels.NewBuilder(labels.EmptyLabels()).Set(model.MetricNameLabel, name).Set("job", job).Set("instance", instance)
		for _, p := range pairs {
			b.Set(p.GetName(), p.GetValue())
		}
		s.series[string(s.key)] = n
		s.labels = append(s.labels, b.Labels())
	}
	return sample{n, s.labels[n], v}
}

// wanted are the metrics that the rules use. Storing the others would only cost time.
var wanted = map[string]bool{
	"starrocks_backup_up":                                                    true,
	"starrocks_backup_condition":                                             true,
	"starrocks_backup_consecutive_failures":                                  true,
	"starrocks_backup_scrape_errors_total":                                   true,
	"starrocks_backup_exporter_config_last_reload_successful":                true,
	"starrocks_backup_exporter_config_last_reload_success_timestamp_seconds": true,
	// For commonRules.
	"starrocks_backup_last_success_age_seconds": true,
	"starrocks_backup_last_task_status":         true,
	"starrocks_backup_tasks_finished_total":     true,
}

// scrape returns the samples of one scrape as Prometheus stores them, with staleness markers for series that are gone, and up.
func (s *scraper) scrape(job, instance string, exposition []*dto.MetricFamily) []sample {
	samples := []sample{s.sample("up", job, instance, nil, 0)}
	if exposition != nil {
		samples[0].value = 1
		for _, f := range exposition {
			if !wanted[f.GetName()] {
				continue
			}
			for _, m := range f.GetMetric() {
				samples = append(samples, s.sample(f.GetName(), job, instance, m.GetLabel(), m.GetGauge().GetValue()+m.GetCounter().GetValue()))
			}
		}
	}
	return s.stale(job+"/"+instance, samples)
}

// forget marks all series of a removed target as stale.
func (s *scraper) forget(job, instance string) []sample { return s.stale(job+"/"+instance, nil) }

func (s *scraper) stale(target string, samples []sample) []sample {
	current := make([]int, len(samples))
	for n, added := range samples {
		current[n] = added.series
	}
	slices.Sort(current)
	for _, n := range s.previous[target] {
		if _, there := slices.BinarySearch(current, n); !there {
			samples = append(samples, sample{n, s.labels[n], math.Float64frombits(value.StaleNaN)})
		}
	}
	s.previous[target] = current
	return samples
}

// server is a Prometheus: its storage, and a group of rules.
type server struct {
	name  string
	db    *tsdb.DB
	group *rules.Group
	refs  []storage.SeriesRef
}

// newServer returns a server that evaluates the rules and stores its data under directory.
func newServer(name, directory, ruleText string) (*server, error) {
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
	file := filepath.Join(directory, "rules.yml")
	if err := writeBare(file, ruleText); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 50_000_000, Timeout: time.Minute})
	manager := rules.NewManager(&rules.ManagerOptions{
		QueryFunc: rules.EngineQueryFunc(engine, db), Queryable: db, AppendableV2: db, Context: context.Background(),
		NotifyFunc: func(context.Context, string, ...*rules.Alert) {}, Logger: slog.New(slog.DiscardHandler),
	})
	groups, errs := manager.LoadGroups(time.Minute, labels.EmptyLabels(), "", nil, false, file)
	if len(errs) > 0 {
		return nil, fmt.Errorf("%s: %w", name, errs[0])
	}
	for _, g := range groups {
		for _, r := range g.AlertingRules() {
			r.SetRestored(true) // there is no earlier run to restore; until then no ALERTS are written
		}
		return &server{name: name, db: db, group: g}, nil
	}
	return nil, fmt.Errorf("%s: no group of rules", name)
}

// writeBare writes the rules without annotations: they do not affect the result and cost time.
func writeBare(file, ruleText string) error {
	var all struct {
		Groups []struct {
			Name     string           `yaml:"name"`
			Interval string           `yaml:"interval,omitempty"`
			Rules    []map[string]any `yaml:"rules"`
		} `yaml:"groups"`
	}
	if err := yaml.Unmarshal([]byte(ruleText), &all); err != nil {
		return err
	}
	for _, g := range all.Groups {
		for _, r := range g.Rules {
			delete(r, "annotations")
		}
	}
	bare, err := yaml.Marshal(all)
	if err != nil {
		return err
	}
	return os.WriteFile(file, bare, 0o600)
}

func (s *server) close() error { return s.db.Close() }

// step stores the scrapes, evaluates the rules half a minute later and returns the alerts that fire.
func (s *server) step(ctx context.Context, now time.Time, scrapes []scrape) (map[page]bool, error) {
	for _, stored := range scrapes {
		if err := s.ingest(ctx, stored.at, stored.samples); err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return s.evaluate(ctx, now.Add(30*time.Second))
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
	s.group.Eval(ctx, at)
	firing := map[page]bool{}
	for _, r := range s.group.Rules() {
		if err := r.LastError(); err != nil {
			return nil, fmt.Errorf("%s at %s: rule %s: %w", s.name, at, r.Name(), err)
		}
		alerting, ok := r.(*rules.AlertingRule)
		if !ok {
			continue
		}
		for _, a := range alerting.ActiveAlerts() {
			if a.State == rules.StateFiring {
				firing[page{kind{a.Labels.Get("alertname"), a.Labels.Get("severity")}, subjectOf(a.Labels)}] = true
			}
		}
	}
	return firing, nil
}

// subjectOf is what an alert is about: an instance, else a region, else an exporter.
func subjectOf(l labels.Labels) string {
	if id := l.Get("instance_id"); id != "" {
		return id
	}
	if region := l.Get("region_id"); region != "" {
		return region
	}
	return l.Get("instance")
}
