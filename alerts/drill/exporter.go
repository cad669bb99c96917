package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
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
	"starrocks_backup_exporter/apiclient/simulator"
	"starrocks_backup_exporter/collector"
	"starrocks_backup_exporter/config"
)

const accessKeyID, accessKeySecret = "drill", "drill-secret"

// group is the exporters that watch the same instances: one, a pair, or a deployment whose pods come and go.
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

	crashes  []span // it is down, and still a target
	vanishes []span // it is down, and no target any more
	gaps     []span // Prometheus cannot reach it
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

// process is an exporter that runs: the project's own collector, in the world's time.
type process struct {
	scraper  *collector.Scraper
	reloader *config.Reloader
	registry *prometheus.Registry
	families collector.Families
	file     string // the configuration file
	loaded   string // of which the configuration is
	listed   map[string]bool
	refused  bool // at the last reload
}

func (w *world) exporters(often float64) {
	kinds := []string{"single", "pair", "deployment"}
	for n, kind := range kinds {
		g := &group{kind: kind}
		for k, i := range w.instances {
			if k%len(kinds) == n {
				g.instances = append(g.instances, i)
			}
		}
		places := 1
		if kind == "pair" {
			places = 2
		}
		for p := range places {
			e := &exporter{index: 10*n + p, group: g, name: fmt.Sprintf("%s-%d", kind, p), skew: w.between(-maxSkew, maxSkew), lag: w.between(0, 20*minute)}
			w.mishaps(e, often)
			g.exporters = append(g.exporters, e)
		}
		w.groups = append(w.groups, g)
	}
}

func (w *world) mishaps(e *exporter, rate float64) {
	often := func(d time.Duration) time.Duration { return time.Duration(float64(d) / rate) }
	for _, s := range w.spans(often(5*day), minute, minute) {
		e.restarts = append(e.restarts, s.from)
	}
	e.gaps = append(w.spans(often(5*day), minute, 6*minute), w.spans(often(20*day), hour, hour)...)
	e.crashes = w.spans(often(20*day), 20*minute, 30*hour)
	if e.group.kind == "deployment" {
		e.vanishes = w.spans(often(20*day), 20*minute, 20*hour)
	} else {
		e.broken = w.spans(often(20*day), 20*minute, day)
	}
}

func during(all []span, t time.Time) bool {
	return slices.ContainsFunc(all, func(s span) bool { return s.has(t) })
}

// desired is the configuration file as its owner wants it.
func (w *world) desired(e *exporter) string {
	if during(e.broken, w.now) {
		return "instances: oops"
	}
	at := w.now.Add(-e.lag)
	var b strings.Builder
	b.WriteString("api: {max_attempts: 1}\naccounts: {default: {access_key_id: drill, access_key_secret: drill-secret}}\ninstances:\n")
	for _, i := range e.group.instances {
		if i.watched.has(at) {
			fmt.Fprintf(&b, "- {instance_id: %s, region_id: %s, %s}\n", i.id, i.region, i.plan.config)
		}
	}
	return b.String()
}

// live moves an exporter on to the world's time: it crashes, restarts, reloads or is replaced by another pod.
func (w *world) live(e *exporter, api http.RoundTripper) {
	e.target, e.scraped = "", false
	gone := during(e.vanishes, w.now)
	restarted := slices.ContainsFunc(e.restarts, func(t time.Time) bool { return t.After(w.now.Add(-w.step)) && !t.After(w.now) })
	if gone || restarted || during(e.crashes, w.now) {
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
	file := w.desired(e)
	if e.process != nil && e.process.file != file {
		e.process.file = file
		if e.group.kind == "deployment" {
			e.process = nil // another pod takes over
			e.pod++
		} else {
			e.process.reload()
		}
	}
	if e.process == nil && !restarted && !during(e.crashes, w.now) {
		if p := w.newProcess(e, file, api); p.reload() {
			e.process = p
		}
	}
	e.target = e.label()
	e.scraped = e.process != nil && !during(e.gaps, w.now)
}

// label is the label `instance` of the exporter, or of its newest pod.
func (e *exporter) label() string {
	if e.group.kind == "deployment" {
		return fmt.Sprintf("%s-%d", e.name, e.pod)
	}
	return e.name
}

func (w *world) newProcess(e *exporter, file string, api http.RoundTripper) *process {
	now := func() time.Time { return w.now.Add(e.skew) }
	observer := collector.NewAPIMetrics(prometheus.NewRegistry())
	p := &process{file: file, registry: prometheus.NewRegistry(), scraper: collector.NewScraper(log.NewNopLogger(), now, func() {})}
	nonce := 0
	load := func() (*config.Config, error) { return config.Parse("drill.yml", []byte(p.file)) }
	apply := func(c *config.Config) error {
		f := &collector.Fleet{Concurrency: 1, SubtaskLimit: c.Backups.SubtaskLimit}
		clients := map[string]*apiclient.Client{}
		p.listed = map[string]bool{}
		for _, i := range c.Instances {
			if clients[i.RegionID] == nil {
				client, err := apiclient.New(apiclient.Options{
					Endpoint: "http://api.invalid", RegionID: i.RegionID,
					Credentials: apiclient.NewCredentials(apiclient.CredentialSource{AccessKeyID: accessKeyID, AccessKeySecret: accessKeySecret}),
					Transport:   api, Timeout: time.Minute, MaxAttempts: 1, PageSize: 50, Limiter: apiclient.NewLimiter(rate.Inf, 1),
					Observer: observer, Now: now,
					Nonce: func() string { nonce++; return fmt.Sprint(e.name, w.now.UnixMilli(), nonce) },
				})
				if err != nil {
					return err
				}
				clients[i.RegionID] = client
			}
			f.Targets = append(f.Targets, collector.Target{Instance: i, Lister: clients[i.RegionID]})
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
func (p *process) scrape(ctx context.Context) (iter.Seq[*dto.MetricFamily], error) {
	own, err := p.registry.Gather()
	return func(yield func(*dto.MetricFamily) bool) {
		for _, f := range own {
			if !yield(f) {
				return
			}
		}
		p.families.Of(p.scraper.Scrape(ctx))(yield)
	}, err
}

// simulate returns the API of the world.
func (w *world) simulate() *simulator.Simulator {
	s := simulator.New(simulator.Options{
		AccessKeys: map[string]string{accessKeyID: accessKeySecret}, Now: func() time.Time { return w.now },
	})
	for _, i := range w.instances {
		var cached []simulator.Task
		var until time.Time
		var at time.Time
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
				switch w.faultOf(i, w.reader) {
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

// inProcess is a way to an http.Handler without a network; status 0 is a broken connection.
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

// api is how the API lists an instance's tasks at t, and until when it does so.
func (i *instance) api(t time.Time) (all []simulator.Task, until time.Time) {
	until = t.Add(day)
	next := func(at time.Time) bool {
		if t.Before(at) && at.Before(until) {
			until = at
		}
		return t.Before(at)
	}
	for _, k := range i.tasks {
		next(k.start)
	}
	for _, k := range i.visible(t) {
		next(k.deleted)
		s := simulator.Task{
			BackupTaskID: k.id, Status: k.word, Size: 2000, BackupType: "FullBackup", Start: simulator.Millis(k.start),
			Snapshot: &simulator.Snapshot{InstanceName: "drill", Version: "3.3"},
		}
		switch {
		case next(k.pendingUntil):
			s.Status = "PENDING"
		case next(k.finish):
			s.Status = "RUNNING"
		case next(k.oddUntil):
			s.Status = "MERGING"
		default:
			s.Finish = simulator.Millis(k.finish)
			if !k.expire.IsZero() {
				s.Expire = simulator.Millis(k.expire)
			}
		}
		for n, gib := range k.contents() {
			status := "SUCCESS"
			if k.torn && n == 0 {
				status = "FAILED"
			}
			s.SubTasks = append(s.SubTasks, simulator.SubTask{
				Database: tables[n].database, Table: tables[n].name, Status: status, Size: gib, Start: simulator.Seconds(k.start), Detail: "[]",
			})
		}
		all = append(all, s)
	}
	return all, until
}

// contents are the sizes of its tables, GiB.
func (k *task) contents() []int {
	if k.withoutDB {
		return k.sizes[:len(tables)-1]
	}
	return k.sizes
}
