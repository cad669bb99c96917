package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"time"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"golang.org/x/time/rate"

	"starrocks_backup_exporter/apiclient"
	"starrocks_backup_exporter/collector"
	"starrocks_backup_exporter/collector/fleet"
	"starrocks_backup_exporter/config"
)

const accessKeyID, accessKeySecret = "drill", "drill-secret"

// group is the exporters that watch the same instances: a single one, a pair, or a deployment whose pods are replaced.
type group struct {
	kind      string // single, pair, deployment
	instances []*instance
	exporters []*exporter
}

// exporter is a place where an exporter runs, and what happens to it.
type exporter struct {
	index int
	group *group
	name  string
	skew  time.Duration // of its clock

	crashes  []span // down, but still a target
	vanishes []span // down, and no target any more
	gaps     []span // unreachable for Prometheus
	restarts []time.Time
	broken   []span // its configuration file cannot be loaded
	lag      time.Duration

	pod     int
	lost    bool // the pod is gone, the next has not come
	process *process
	// What Prometheus knows of it, for the oracle.
	target  string // the label `instance`; empty where it is no target
	scraped bool
	listed  map[string]bool // by its last process
}

// process is a running exporter: the project's own collector, in virtual time.
type process struct {
	scraper  *fleet.Scraper
	reloader *config.Reloader
	registry *prometheus.Registry
	file     string // the configuration file
	loaded   string // the file whose configuration is in use
	listed   map[string]bool
	refused  bool // at the last reload
}

// newGroups divides the instances among the groups of exporters.
func (c chances) newGroups(instances []*instance, rate float64) (groups []*group) {
	kinds := []string{"single", "pair", "deployment"}
	for n, kind := range kinds {
		g := &group{kind: kind}
		for k, i := range instances {
			if k%len(kinds) == n {
				g.instances = append(g.instances, i)
			}
		}
		places := 1
		if kind == "pair" {
			places = 2
		}
		for p := range places {
			e := &exporter{
				index: 10*n + p, group: g, name: fmt.Sprintf("%s-%d", kind, p), skew: c.between(-maxSkew, maxSkew), lag: c.between(0, 20*minute),
			}
			c.mishaps(e, rate)
			g.exporters = append(g.exporters, e)
		}
		groups = append(groups, g)
	}
	return groups
}

func (c chances) mishaps(e *exporter, rate float64) {
	often := func(d time.Duration) time.Duration { return time.Duration(float64(d) / rate) }
	for _, s := range c.spans(often(5*day), minute, minute) {
		e.restarts = append(e.restarts, s.from)
	}
	e.gaps = append(c.spans(often(5*day), minute, 6*minute), c.spans(often(20*day), hour, hour)...)
	e.crashes = c.spans(often(20*day), 20*minute, 30*hour)
	if e.group.kind == "deployment" {
		e.vanishes = c.spans(often(20*day), 20*minute, 20*hour)
	} else {
		e.broken = c.spans(often(20*day), 20*minute, day)
	}
}

// desired is the configuration file as its owner wants it.
func (e *exporter) desired(now time.Time) string {
	if during(e.broken, now) {
		return "instances: oops"
	}
	at := now.Add(-e.lag)
	var b strings.Builder
	b.WriteString("api: {max_attempts: 1}\naccounts: {default: {access_key_id: drill, access_key_secret: drill-secret}}\ninstances:\n")
	for _, i := range e.group.instances {
		if i.watched.has(at) {
			fmt.Fprintf(&b, "- {instance_id: %s, region_id: %s, %s}\n", i.id, i.region, i.plan.config)
		}
	}
	return b.String()
}

// live moves an exporter on to the time of a clock: it crashes, restarts, reloads or is replaced by another pod.
func (e *exporter) live(clock func() time.Time, step time.Duration, api http.RoundTripper) {
	now := clock()
	e.target, e.scraped = "", false
	gone := during(e.vanishes, now)
	restarted := slices.ContainsFunc(e.restarts, func(t time.Time) bool { return t.After(now.Add(-step)) && !t.After(now) })
	if gone || restarted || during(e.crashes, now) {
		e.process = nil
	}
	if gone {
		e.lost = true
		return
	}
	if e.lost {
		e.lost = false
		e.pod++
	}
	file := e.desired(now)
	if e.process != nil && e.process.file != file {
		e.process.file = file
		if e.group.kind == "deployment" {
			e.process = nil // another pod takes over
			e.pod++
		} else {
			e.process.reload()
		}
	}
	if e.process == nil && !restarted && !during(e.crashes, now) {
		if p := e.newProcess(clock, file, api); p.reload() {
			e.process = p
		}
	}
	e.target = e.label()
	e.scraped = e.process != nil && !during(e.gaps, now)
}

// label is the label `instance` of the exporter, or of its newest pod.
func (e *exporter) label() string {
	if e.group.kind == "deployment" {
		return fmt.Sprintf("%s-%d", e.name, e.pod)
	}
	return e.name
}

func (e *exporter) newProcess(clock func() time.Time, file string, api http.RoundTripper) *process {
	now := func() time.Time { return clock().Add(e.skew) }
	observer := collector.NewAPIMetrics(prometheus.NewRegistry())
	p := &process{file: file, registry: prometheus.NewRegistry(), scraper: fleet.NewScraper(log.NewNopLogger(), now, func() {})}
	nonce := 0
	load := func() (*config.Config, error) { return config.Parse("drill.yml", []byte(p.file)) }
	apply := func(c *config.Config) error {
		f := &fleet.Fleet{SubtaskLimit: c.Backups.SubtaskLimit}
		clients := map[string]*apiclient.Client{}
		p.listed = map[string]bool{}
		for _, i := range c.Instances {
			if clients[i.RegionID] == nil {
				client, err := apiclient.New(apiclient.Options{
					Endpoint: "http://api.invalid", RegionID: i.RegionID,
					Credentials: apiclient.NewCredentials(apiclient.CredentialSource{AccessKeyID: accessKeyID, AccessKeySecret: accessKeySecret},
						func(string, string) {}),
					Transport: api, FreshTransport: api, Memory: apiclient.NewMemory(1 << 20), Timeout: time.Minute, MaxAttempts: 1, PageSize: 50,
					Limiter:  apiclient.NewLimiter(rate.Inf, 1, 1),
					Observer: observer, Now: now,
					Nonce: func() string { nonce++; return fmt.Sprint(e.name, clock().UnixMilli(), nonce) },
				})
				if err != nil {
					return err
				}
				clients[i.RegionID] = client
			}
			f.Targets = append(f.Targets, fleet.Target{Instance: i, Lister: clients[i.RegionID]})
			p.listed[i.InstanceID] = true
		}
		p.scraper.SetFleet(f)
		return nil
	}
	p.reloader = config.NewReloader(load, apply, p.registry, now)
	return p
}

func (p *process) reload() bool {
	p.refused = p.reloader.Reload() != nil
	if !p.refused {
		p.loaded = p.file
	}
	return !p.refused
}

// scrape returns what the exporter exposes.
func (p *process) scrape(ctx context.Context) ([]*dto.MetricFamily, error) {
	scraped := prometheus.NewRegistry()
	if err := scraped.Register(collector.New(p.scraper.Scrape(ctx, 0))); err != nil {
		return nil, err
	}
	return prometheus.Gatherers{p.registry, scraped}.Gather()
}

// inProcess is a transport to a handler in the same process. Status 0 is a broken connection.
type inProcess struct{ http.Handler }

// RoundTrip implements http.RoundTripper.
func (h inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := &answer{ResponseRecorder: httptest.NewRecorder()}
	h.ServeHTTP(answer, r)
	if answer.broken {
		return nil, errors.New("connection reset")
	}
	res := answer.Result()
	res.Request = r
	return res, nil
}

type answer struct {
	*httptest.ResponseRecorder
	broken bool
}

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	if a.broken = status == 0; !a.broken {
		a.ResponseRecorder.WriteHeader(status)
	}
}
