package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus"
	version "github.com/prometheus/client_golang/prometheus/collectors/version"
	dto "github.com/prometheus/client_model/go"
	"golang.org/x/time/rate"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
	"git.example.com/starrocks/starrocks_backup_exporter/collector"
	"git.example.com/starrocks/starrocks_backup_exporter/collector/fleet"
	"git.example.com/starrocks/starrocks_backup_exporter/config"
)

const accessKeyID, accessKeySecret = "drill", "drill-secret"

// fleets are the groups of exporters. Each has a job of its own in its cluster. The first two share job and instance, in two clusters.
var fleets = []struct {
	kind, cluster, job string
	places             int
}{
	{"single", "east", "backups", 1},
	{"single", "west", "backups", 1},
	{"pair", "east", "pair", 2},
	{"deployment", "west", "deployment", 1},
	{"shards", "east", "shards", 3},
	{"discovery", "west", "discovery", 1},
}

// group is a fleet: exporters that watch the same instances, or parts of them.
type group struct {
	kind, cluster, job string
	instances          []*instance
	exporters          []*exporter
	shards             int // until resized
	resized            time.Time
	resizedTo          int
}

// subject is how pages on the group as a whole name it.
func (g *group) subject() string { return subject(g.cluster, g.job) }

// readsSlowly reports whether the exporters read policies and restores.
func (g *group) readsSlowly() bool { return g.kind != "deployment" }

// exporter is a place where an exporter runs, and what happens to it.
type exporter struct {
	index int // from 1
	group *group
	name  string
	place int           // the index of its shard
	roll  time.Duration // how long after a change of the number of shards it is started anew
	skew  time.Duration // of its clock

	crashes    []span // down, but still a target
	vanishes   []span // down, and no target any more
	gaps       []span // unreachable for Prometheus
	restarts   []time.Time
	broken     []span // its configuration file cannot be loaded
	identities []span // its credentials come from another provider
	lag        time.Duration

	pod     int
	lost    bool // the pod is gone, the next has not come
	process *process
	target  string // the label `instance`; empty where it is no target
	scraped bool
}

// process is a running exporter: the project's own collector, in virtual time.
type process struct {
	shard    fleet.Shard
	scraper  *fleet.Scraper
	reloader *config.Reloader
	registry *prometheus.Registry
	file     string // the configuration file
	refused  bool   // at the last reload
	// What its configuration and the last lists of instances say, for the oracle. Lists come concurrently.
	mu         sync.Mutex
	configured map[string]bool
	found      map[string]fleet.FoundInstance
	unlisted   map[string]bool       // regions that have not been listed since it started
	policies   map[string]policyFact // by instance, what the API last said
	restores   map[string]restoreFact
}

// policyFact is what the API said of an instance's backup policies.
type policyFact struct {
	at   time.Time
	none bool
}

// restoreFact is what the API said of an instance's restores.
type restoreFact struct {
	at, last time.Time // last is when the newest one ended; zero if there is none
}

// How often policies and restores are read, and how long an exporter knows what it read.
const (
	policyInterval, restoreInterval = hour, 6 * hour
	intervalsKnown                  = 3
)

func (p *process) lists(id string) bool {
	_, found := p.found[id]
	return found || p.configured[id]
}

func (c chances) newGroups(rate float64) (groups []*group) {
	index := 0
	for _, f := range fleets {
		g := &group{kind: f.kind, cluster: f.cluster, job: f.job, shards: 1, resized: c.end}
		if f.kind == "shards" {
			g.shards = f.places
		}
		for p := range f.places {
			index++
			e := c.newExporter(index, p, g)
			c.mishaps(e, rate)
			g.exporters = append(g.exporters, e)
		}
		groups = append(groups, g)
	}
	return groups
}

func (c chances) newExporter(index, place int, g *group) *exporter {
	return &exporter{
		index: index, group: g, name: fmt.Sprintf("exporter-%d", place), place: place, skew: c.between(-maxSkew, maxSkew),
		lag: c.between(0, 20*minute),
	}
}

// resize changes the number of a fleet's shards at a time, by one more or one less. The exporters are started anew one after another.
func (c chances) resize(g *group, index int, rate float64) {
	added := c.newExporter(index, g.shards, g)
	c.mishaps(added, rate)
	g.exporters = append(g.exporters, added)
	g.resized, g.resizedTo = c.start.Add(c.between(hour, c.end.Sub(c.start))), g.shards+1
	if c.chance(0.5) {
		g.resizedTo = g.shards - 1
	}
	for _, e := range g.exporters {
		e.roll = c.between(0, 15*minute)
	}
}

// shard is what an exporter is told to read at a time. It does not run if there is no such shard.
func (e *exporter) shard(now time.Time) (s fleet.Shard, runs bool) {
	if e.group.kind != "shards" {
		return fleet.Shard{}, true
	}
	s = fleet.Shard{Index: e.place, Total: e.group.shards}
	if !now.Before(e.group.resized.Add(e.roll)) {
		s.Total = e.group.resizedTo
	}
	return s, s.Index < s.Total
}

// size returns the smallest and the largest number of shards that the exporters of a fleet that answer know of.
func (g *group) size() (least, most int) {
	for _, e := range g.exporters {
		if e.scraped && e.process.shard.Total > 0 {
			total := e.process.shard.Total
			if least == 0 || total < least {
				least = total
			}
			most = max(most, total)
		}
	}
	return least, most
}

func (c chances) mishaps(e *exporter, rate float64) {
	often := func(d time.Duration) time.Duration { return time.Duration(float64(d) / rate) }
	for _, s := range c.spans(often(5*day), minute, minute) {
		e.restarts = append(e.restarts, s.from)
	}
	e.gaps = append(c.spans(often(5*day), minute, 6*minute), c.spans(often(20*day), hour, hour)...)
	e.crashes = c.spans(often(20*day), 20*minute, 30*hour)
	e.identities = c.spans(often(30*day), 2*hour, 2*day)
	switch e.group.kind {
	case "deployment":
		e.vanishes = c.spans(often(20*day), 20*minute, 20*hour)
	case "shards":
		e.vanishes = c.spans(often(40*day), 20*minute, 20*hour)
	default:
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
	entries := map[string]bool{}
	for _, i := range e.group.instances {
		switch {
		case i.discovered:
			entries[fmt.Sprintf("- {region_id: %s, tags: {plan: %s}, %s}\n", i.region, i.plan.name, i.plan.config)] = true
		case i.watched.has(at):
			fmt.Fprintf(&b, "- {instance_id: %s, region_id: %s, %s}\n", i.id, i.region, i.plan.config)
		}
	}
	if e.group.readsSlowly() {
		fmt.Fprintf(&b, "policies: {refresh_interval: %.0fh}\nrestores: {refresh_interval: %.0fh, max_age: %.0fh}\n",
			policyInterval.Hours(), restoreInterval.Hours(), restoreMaxAge.Hours())
	}
	b.WriteString("discovery:\n" + strings.Join(slices.Sorted(maps.Keys(entries)), ""))
	return b.String()
}

// surroundings are what exporters live in.
type surroundings struct {
	now      func() time.Time
	scrape   time.Duration            // interval of scrapes
	unlisted func(region string) bool // whether the instances of a region cannot be listed now
	api      http.RoundTripper
}

// live moves an exporter on to the present: it crashes, restarts, reloads or is replaced by another pod.
func (e *exporter) live(in surroundings) {
	now := in.now()
	e.target, e.scraped = "", false
	shard, runs := e.shard(now)
	gone := during(e.vanishes, now) || !runs
	restarted := e.process != nil && e.process.shard != shard ||
		slices.ContainsFunc(e.restarts, func(t time.Time) bool { return t.After(now.Add(-in.scrape)) && !t.After(now) })
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
		if p := e.newProcess(in, file, shard); p.reload() {
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

func (e *exporter) newProcess(in surroundings, file string, shard fleet.Shard) *process {
	now := func() time.Time { return in.now().Add(e.skew) }
	observer := collector.NewAPIMetrics(prometheus.NewRegistry())
	p := &process{
		file: file, shard: shard, registry: prometheus.NewRegistry(), scraper: fleet.NewScraper(log.NewNopLogger(), now, func() {}),
		found: map[string]fleet.FoundInstance{}, unlisted: map[string]bool{},
		policies: map[string]policyFact{}, restores: map[string]restoreFact{},
	}
	p.registry.MustRegister(version.NewCollector("starrocks_backup_exporter"))
	var nonce atomic.Int64
	clients := map[string]*apiclient.Client{}
	clientOf := func(region string) (_ *apiclient.Client, err error) {
		if clients[region] == nil {
			clients[region], err = apiclient.New(apiclient.Options{
				Endpoint: "http://api.invalid", RegionID: region,
				Credentials: apiclient.NewCredentials(apiclient.CredentialSource{AccessKeyID: accessKeyID, AccessKeySecret: accessKeySecret},
					func(string, string) {}),
				Transport: in.api, FreshTransport: in.api, Memory: apiclient.NewMemory(1 << 20), Timeout: time.Minute, MaxAttempts: 1, PageSize: 50,
				Limiter:  apiclient.NewLimiter(rate.Inf, 1, 1),
				Observer: observer, Now: now,
				Nonce: func() string { return fmt.Sprint(e.index, in.now().UnixMilli(), nonce.Add(1)) },
			})
		}
		return clients[region], err
	}
	load := func() (*config.Config, error) { return config.Parse("drill.yml", []byte(p.file)) }
	apply := func(c *config.Config) error {
		f := &fleet.Fleet{
			Shard: shard, SubtaskLimit: c.Backups.SubtaskLimit, RestoreMaxAge: time.Duration(c.Restores.MaxAge),
			Credentials: map[string]fleet.Identity{"default": identity{e, in.now}},
		}
		if interval := time.Duration(c.Policies.RefreshInterval); interval > 0 {
			f.Optional = append(f.Optional, fleet.ReadPolicies(interval))
		}
		if interval := time.Duration(c.Restores.RefreshInterval); interval > 0 {
			f.Optional = append(f.Optional, fleet.ReadRestores(interval))
		}
		first := p.configured == nil // the discoveries stay the same at later reloads, and what they found stays
		p.configured = map[string]bool{}
		for _, i := range c.Instances {
			client, err := clientOf(i.RegionID)
			if err != nil {
				return err
			}
			f.Targets = append(f.Targets, fleet.Target{Instance: i, Lister: client, Optional: client})
			p.configured[i.InstanceID] = shard.Has(i)
		}
		for _, d := range c.Discovery {
			client, err := clientOf(d.RegionID)
			if err != nil {
				return err
			}
			p.unlisted[d.RegionID] = first || p.unlisted[d.RegionID]
			f.Discoveries = append(f.Discoveries, &fleet.Discovery{
				Discovery: d, Source: source{in, e.group, p, d}, Lister: client, Optional: client,
			})
		}
		p.scraper.SetFleet(f)
		return nil
	}
	p.reloader = config.NewReloader(load, apply, p.registry, now)
	return p
}

// provider says where an exporter's credentials come from at a time.
func (e *exporter) provider(t time.Time) string {
	if during(e.identities, t) {
		return "ecs_ram_role"
	}
	return "oidc_role_arn"
}

// identity is a fleet.Identity.
type identity struct {
	*exporter
	now func() time.Time
}

// Provider implements fleet.Identity.
func (i identity) Provider() (name, before string) { return i.provider(i.now()), "" }

// source is DescribeInstances for one entry of the configuration.
type source struct {
	surroundings
	group   *group
	process *process
	entry   config.Discovery
}

// Instances implements fleet.Source.
func (s source) Instances(context.Context) (found fleet.Found, err error) {
	if s.unlisted(s.entry.RegionID) {
		return found, &apiclient.Error{Operation: "DescribeInstances", Reason: apiclient.ReasonForbidden, Err: errors.New("denied")}
	}
	s.process.mu.Lock()
	defer s.process.mu.Unlock()
	delete(s.process.unlisted, s.entry.RegionID)
	for _, i := range s.group.instances {
		if !i.discovered || i.region != s.entry.RegionID || i.plan.name != s.entry.Tags["plan"] {
			continue
		}
		delete(s.process.found, i.id)
		if i.watched.has(s.now()) {
			f := fleet.FoundInstance{InstanceID: i.id, Created: i.created, SubscriptionEnd: i.subscription(s.now())}
			s.process.found[i.id] = f
			found.Instances = append(found.Instances, f)
		}
	}
	return found, nil
}

func (p *process) reload() bool {
	p.refused = p.reloader.Reload() != nil
	return !p.refused
}

// scrape returns the metrics that are stored of those that the exporter exposes. It waits for the reads of policies and restores, which a
// scrape would start in the background: else no two runs would be the same.
func (p *process) scrape(ctx context.Context, stores func(metric string) bool) ([]*dto.MetricFamily, error) {
	scraped := prometheus.NewRegistry()
	if err := scraped.Register(storedOnly{collector.New(p.scraper.Check(ctx)), stores}); err != nil {
		return nil, err
	}
	return prometheus.Gatherers{p.registry, scraped}.Gather()
}

// storedOnly is a collector without the metrics that are not stored: a registry would sort and check them, too.
type storedOnly struct {
	prometheus.Collector
	stores func(metric string) bool
}

// Collect implements prometheus.Collector.
func (c storedOnly) Collect(out chan<- prometheus.Metric) {
	all := make(chan prometheus.Metric, 1000)
	go func() {
		defer close(all)
		c.Collector.Collect(all)
	}()
	stored := map[*prometheus.Desc]bool{}
	for m := range all {
		is, known := stored[m.Desc()]
		if !known {
			_, name, _ := strings.Cut(m.Desc().String(), `fqName: "`)
			name, _, _ = strings.Cut(name, `"`)
			is = c.stores(name)
			stored[m.Desc()] = is
		}
		if is {
			out <- m
		}
	}
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
