package collector_test

import (
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
	"git.example.com/starrocks/starrocks_backup_exporter/apiclient/simulator"
	"git.example.com/starrocks/starrocks_backup_exporter/collector"
	"git.example.com/starrocks/starrocks_backup_exporter/collector/fleet"
	"git.example.com/starrocks/starrocks_backup_exporter/collector/report"
	"git.example.com/starrocks/starrocks_backup_exporter/config"
)

const (
	soakInstances   = 8
	soakConcurrency = 4
	soakTimeout     = 5 * time.Second // of a scrape
	soakOffset      = 50 * time.Millisecond
)

// trouble is a fault that an instance, or a region's lists, have during one scrape, and the reason that a read then fails for.
// If passing, only the first request has it: the read works where there is time for another.
type trouble struct {
	name    string
	fault   simulator.Fault
	reason  string
	passing bool
}

// troubles are every row of the error table, and what a network and a machine on the way do.
func troubles() []trouble {
	gateway := func(status int, code, reason string) trouble {
		return trouble{fmt.Sprintf("%d %s", status, code), simulator.GatewayError(status, code, "no"), reason, false}
	}
	elsewhere := &url.URL{Scheme: "http", Host: "127.0.0.1:1"}
	all := []trouble{
		{"denied", simulator.Denied("sr:DescribeBackups"), "forbidden", false},
		{"throttled with a hint", simulator.Throttled(20 * time.Millisecond), "throttled", true},
		{"invalid", simulator.EnvelopeError("InvalidParams", "no"), "invalid_request", false},
		{"denied in an envelope", simulator.EnvelopeStatus(http.StatusForbidden, "NewCode", "no"), "forbidden", false},
		{"unavailable in an envelope once", simulator.EnvelopeStatus(http.StatusServiceUnavailable, "NewCode", "no"), "server_error", true},
		{"a page of HTML", simulator.HTML(http.StatusBadGateway), "server_error", false},
		{"HTML for JSON", simulator.HTML(http.StatusOK), "bad_response", false},
		{"nothing at all", simulator.Raw(http.StatusForbidden, ""), "forbidden", false},
		{"half of the JSON", simulator.Cut(), "bad_response", false},
		{"half an answer", simulator.HalfAnswered(), "network", false},
		{"half an answer once", simulator.HalfAnswered(), "network", true},
		{"reset", simulator.Reset(), "network", false},
		{"reset once", simulator.Reset(), "network", true},
		{"redirect", simulator.Redirect(elsewhere), "bad_response", false},
		{"hanging", simulator.Hang(), "timeout", false},
		{"XML", simulator.Raw(http.StatusForbidden, `<?xml version="1.0"?><Error><Code>Forbidden.RAM</Code></Error>`), "forbidden", false},
		{"lower-case keys", simulator.Raw(http.StatusBadRequest, `{"code":"Throttling.User","message":"no"}`), "throttled", false},
		{"a proxy that wants a password", simulator.Raw(http.StatusProxyAuthRequired, "no"), "network", false},
		{"a Total without entries", simulator.Raw(http.StatusOK, `{"Success":true,"ErrCode":"OK","Data":[],"Total":12}`), "bad_response", false},
		{
			"an error's code with Data", simulator.Raw(http.StatusOK, `{"Success":true,"ErrCode":"InternalError","Data":[],"Total":0}`),
			"server_error", false,
		},
	}
	for _, again := range []trouble{
		gateway(http.StatusBadRequest, "Throttling", "throttled"), gateway(http.StatusBadRequest, "Throttling.User", "throttled"),
		gateway(http.StatusTooManyRequests, "Throttling.Api", "throttled"), gateway(http.StatusServiceUnavailable, "Throttling.Api", "throttled"),
		gateway(http.StatusServiceUnavailable, "ServiceUnavailable", "server_error"), gateway(http.StatusInternalServerError, "InternalError",
			"server_error"),
		gateway(http.StatusGatewayTimeout, "", "server_error"), gateway(http.StatusTooManyRequests, "", "throttled"),
		gateway(http.StatusBadRequest, "SignatureNonceUsed", "unauthorized"), gateway(http.StatusBadRequest, "InvalidSecurityToken.Expired",
			"unauthorized"),
	} {
		once := again
		once.name, once.passing = again.name+" once", true
		all = append(all, again, once)
	}
	return append(
		all,
		gateway(http.StatusBadRequest, "InvalidTimeStamp.Expired", "unauthorized"),
		gateway(
			http.StatusNotFound,
			"InvalidAccessKeyId.NotFound",
			"unauthorized",
		),
		gateway(http.StatusForbidden, "InvalidAccessKeyId.Inactive", "unauthorized"),
		gateway(
			http.StatusBadRequest,
			"SignatureDoesNotMatch",
			"unauthorized",
		),
		gateway(http.StatusForbidden, "SignatureDoesNotMatch", "unauthorized"),
		gateway(http.StatusForbidden, "Forbidden.RAM", "forbidden"),
		gateway(http.StatusForbidden, "Forbidden", "forbidden"),
		gateway(http.StatusNotFound, "InvalidApi.NotFound", "not_found"),
		gateway(http.StatusNotFound, "InvalidAction.NotFound", "not_found"),
	)
}

// soak is the exporter over an API that misbehaves at random, and what should come of it.
type soak struct {
	t        *testing.T
	random   *rand.Rand
	now      atomic.Int64 // the API's time, Unix milliseconds
	skew     atomic.Int64 // the exporter's clock minus the API's, milliseconds
	api      *httptest.Server
	accepts  atomic.Int32 // which secret the API accepts
	sims     [2]*simulator.Simulator
	file     string // the secret
	playing  [soakInstances]atomic.Pointer[played]
	exporter *httptest.Server
	scraper  *fleet.Scraper
	reload   func()
	region   atomic.Pointer[played]     // what plays when the region's lists are asked for
	leftOut  [soakInstances]atomic.Bool // of the list of the region's backups
	optional *optionalWorld             // nil where policies and restores are not read
	finds    bool                       // the instances are discovered and their backups listed, not configured and read one by one
	found    bool                       // the exporter has found them
	listed   int                        // instances configured, the first ones
	errors   [soakInstances]float64     // failed reads since the exporter started
	counted  map[string]float64         // scrape_errors_total as last seen, by instance and reason
	rotated  bool                       // the API takes another secret, and may not have said so yet
	poor     bool                       // so many reads failed that the retry budget may be spent
	finished map[string]float64         // as last seen
	readAt   [soakInstances]time.Time
	scrapes  map[string]int // by what happened
	slowest  time.Duration
}

type played struct {
	trouble
	requests atomic.Int32
}

// newSoak returns a world; each second one finds its instances, and two of four read policies and restores.
func newSoak(t *testing.T, seed uint64) *soak {
	t.Helper()
	s := &soak{
		t:       t,
		finds:   seed%2 == 0,
		random:  rand.New(rand.NewPCG(seed, 0)),
		file:    filepath.Join(t.TempDir(), "secret"),
		listed:  soakInstances,
		scrapes: map[string]int{},
	} //nolint:gosec // no secret depends on it
	s.now.Store(noon.UnixMilli())
	if seed%4 >= 2 {
		s.optional = &optionalWorld{t: t, seen: map[string]int{}}
	}
	for n := range s.sims {
		s.sims[n] = simulator.New(
			simulator.Options{
				AccessKeys: map[string]string{"id": fmt.Sprintf("secret-%d", n)},
				Now:        s.apiTime,
				PageCap:    7 + 93*n, // a list of one page may be known
				PageGaps:   seed%3 == 1,
				PageTotal:  seed%5 == 1 && n == 1, // it could not be told from a list of one page if the page were capped, too
				Fault:      s.fault(&s.region),
			},
		)
		for i := range soakInstances {
			in := simulator.Instance{
				InstanceID: soakID(i),
				RegionID:   "cn-hangzhou",
				Tasks:      func(now time.Time) []simulator.Task { return tasksOf(runsOf(i, now)) },
				Listed:     s.listing(i),
				Fault:      s.fault(&s.playing[i]),
			}
			if s.optional != nil {
				s.optional.add(i, &in)
			}
			s.sims[n].Set(in)
		}
	}
	s.rotate(0)
	s.restart()
	t.Cleanup(func() { s.exporter.Close(); s.api.CloseClientConnections(); s.api.Close() })
	return s
}

func soakID(i int) string { return fmt.Sprintf("c-%d", i) }

func (s *soak) apiTime() time.Time { return time.UnixMilli(s.now.Load()).UTC() }

func (s *soak) exporterTime() time.Time {
	return time.UnixMilli(s.now.Load() + s.skew.Load()).UTC()
}

func (s *soak) fault(playing *atomic.Pointer[played]) simulator.Fault {
	return func(w http.ResponseWriter, r *http.Request, n int) bool {
		p := playing.Load()
		return p != nil && (!p.passing || p.requests.Add(1) == 1) && p.fault(w, r, n)
	}
}

func (s *soak) listing(i int) func([]simulator.Task) []simulator.Task {
	return func(tasks []simulator.Task) []simulator.Task {
		if s.leftOut[i].Load() {
			return nil
		}
		return tasks
	}
}

// rotate makes another secret the only one that the API accepts.
func (s *soak) rotate(n int32) {
	s.accepts.Store(n)
	if err := os.WriteFile(s.file, fmt.Appendf(nil, "secret-%d", n), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// restart is a new process, as far as memory is concerned.
func (s *soak) restart() {
	if s.exporter != nil {
		s.exporter.Close()
		s.api.CloseClientConnections() // as the end of a process does
		s.api.Close()                  // nor does what the old process still reads reach the API
	}
	s.api = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.sims[s.accepts.Load()].ServeHTTP(w, r) }))
	if s.optional != nil {
		s.optional.restart()
	}
	own := prometheus.NewRegistry()
	s.scraper = fleet.NewScraper(log.NewNopLogger(), s.exporterTime, func() {})
	builder := fleet.NewBuilder(collector.NewAPIMetrics(own), s.exporterTime, fleet.Shard{}, log.NewNopLogger())
	load := func() (*config.Config, error) {
		var b strings.Builder
		fmt.Fprintf(&b, "api: {endpoint: %q, timeout: 1m, max_attempts: 2, requests_per_second: 1000000, concurrency: %d}\n",
			s.api.URL, soakConcurrency)
		fmt.Fprintf(&b, "accounts: {default: {access_key_id: id, access_key_secret_file: %q}}\n", s.file)
		if s.optional != nil {
			fmt.Fprintf(&b, "policies: {refresh_interval: %v}\nrestores: {refresh_interval: %v, max_age: %v}\n",
				model.Duration(policyInterval), model.Duration(restoreInterval), model.Duration(restoreMaxAge))
		}
		if s.finds {
			b.WriteString("discovery: [{region_id: cn-hangzhou, max_age: 26h, listing: region}]\n")
			return config.Parse("soak.yml", []byte(b.String()))
		}
		b.WriteString("instances:\n")
		for i := range s.listed {
			fmt.Fprintf(&b, "- {instance_id: %s, region_id: cn-hangzhou, max_age: 26h}\n", soakID(i))
		}
		return config.Parse("soak.yml", []byte(b.String()))
	}
	reloader := config.NewReloader(load, func(c *config.Config) error {
		f, err := builder.Build(c)
		if err == nil {
			s.scraper.SetFleet(f)
		}
		return err
	}, own, s.exporterTime)
	s.reload = func() {
		if err := reloader.Reload(); err != nil {
			s.t.Fatal(err)
		}
	}
	s.reload()
	s.errors, s.counted, s.finished, s.found = [soakInstances]float64{}, map[string]float64{}, map[string]float64{}, !s.finds
	deadlines := fleet.Deadlines{Timeout: soakTimeout, Offset: soakOffset}
	scrape := func(r *http.Request) *fleet.Result { return deadlines.Scrape(s.scraper, r) }
	mux := http.NewServeMux()
	mux.Handle("/metrics", collector.NewHandler(scrape, own, log.NewNopLogger()))
	mux.Handle("/", report.NewPage(report.Options{
		Scraper: s.scraper, Deadline: soakTimeout, Now: s.exporterTime, Logger: log.NewNopLogger(), ReloadFailure: reloader.Failure,
		Links: report.Links{MetricsPath: "/metrics", Version: "soak"},
	}))
	s.exporter = httptest.NewServer(mux)
}

// get returns a page and how long it took.
func (s *soak) get(path string) (string, time.Duration) {
	s.t.Helper()
	began := time.Now()
	res, err := http.Get(s.exporter.URL + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		s.t.Fatalf("%s: status %d, %v", path, res.StatusCode, err)
	}
	return string(body), time.Since(began)
}

// run is a backup as the world's script has it; the oracle reads it, and the simulator writes it.
type soakRun struct {
	start, finish, expire time.Time
	status                string
}

// runsOf is an instance's backups at a time: one a day at an hour of its own, of 40 minutes, kept for 3 days; each third instance
// fails every fourth, those of one never expire, and the last has never had one.
func runsOf(i int, now time.Time) (runs []soakRun) {
	if i == soakInstances-1 {
		return nil
	}
	for d := range 12 {
		day := now.Truncate(24*time.Hour).AddDate(0, 0, -d)
		r := soakRun{start: day.Add(time.Duration(3*i) * time.Hour)}
		r.finish, r.expire, r.status = r.start.Add(40*time.Minute), r.start.Add(72*time.Hour), "COMPLETED"
		if i == lastingInstance {
			r.expire = never
		}
		h := fnv.New32()
		_, _ = fmt.Fprint(h, i, day.Unix())
		switch {
		case i%3 == 0 && h.Sum32()%4 == 0:
			r.status, r.expire = "FAILED", time.Time{}
		case i%3 == 1 && h.Sum32()%3 == 0:
			r.status, r.expire = "CANCELLED", time.Time{}
		}
		switch {
		case r.start.After(now):
			continue
		case r.finish.After(now):
			r.status, r.finish, r.expire = "RUNNING", time.Time{}, time.Time{}
		}
		runs = append(runs, r)
	}
	if i == absurdInstance && now.YearDay()%2 == 0 {
		runs = append([]soakRun{{start: absurd, finish: absurd.Add(time.Hour), expire: absurd.Add(72 * time.Hour), status: "COMPLETED"}}, runs...)
	}
	return runs
}

// One instance has, every other day, a completed task of a far future.
const absurdInstance = 2

var absurd = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)

// The backups of one instance never expire, which the world writes in seconds.
const lastingInstance = 4

var never = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)

// statusOf returns the exporter's word for the API's.
func statusOf(word string) string {
	return strings.Replace(strings.ToLower(word), "cancelled", "canceled", 1)
}

func tasksOf(runs []soakRun) (tasks []simulator.Task) {
	for _, r := range runs {
		t := simulator.Task{
			BackupTaskID: taskID(r),
			Status:       r.status,
			Start:        simulator.Millis(r.start),
			Size:         1,
			SubTasks:     tables(20),
		}
		if !r.finish.IsZero() {
			t.Finish = simulator.Millis(r.finish)
		}
		switch {
		case r.expire.Equal(never):
			t.Expire = simulator.Seconds(r.expire)
		case !r.expire.IsZero():
			t.Expire = simulator.Millis(r.expire)
		}
		tasks = append(tasks, t)
	}
	return tasks
}

// expectedOf is what the exporter has to say of an instance whose backups it read at its own time: by name and labels.
func expectedOf(runs []soakRun, now time.Time) map[string]float64 {
	want := map[string]float64{
		"consecutive_failures": 0,
		"restorable_backups":   0,
		"condition overdue":    0,
		"condition missing":    0,
		"condition failing":    0,

		"condition failing_repeatedly": 0, "condition implausible": 0, "condition tables_failed": 0, "condition status_unknown": 0,
	}
	counts := map[string]float64{"tasks completed": 0, "tasks failed": 0, "tasks running": 0, "tasks canceled": 0}
	seen := false // a good one, from the newest on
	for _, r := range runs {
		counts["tasks "+statusOf(r.status)]++
		switch {
		case r.start.Equal(absurd):
			want["condition implausible"] = 1
		case r.status == "COMPLETED":
			if !seen {
				want["last_success_timestamp_seconds"] = float64(r.finish.Unix())
				want["deadline_timestamp_seconds"] = float64(r.finish.Add(26 * time.Hour).Unix())
				if now.After(r.finish.Add(26 * time.Hour)) {
					want["condition overdue"] = 1
				}
			}
			seen = true
			if now.Before(r.expire) {
				want["restorable_backups"]++
				want["oldest_restorable_timestamp_seconds"] = float64(r.finish.Unix())
			}
		case (r.status == "FAILED" || r.status == "CANCELLED") && !seen:
			want["consecutive_failures"]++
			want["condition failing"] = 1
			if want["consecutive_failures"] == 3 {
				want["condition failing_repeatedly"] = 1
			}
		}
	}
	if want["restorable_backups"] == 0 && (counts["tasks running"] == 0 || len(runs) > 1) {
		want["condition missing"] = 1
	}
	maps.Copy(want, counts)
	return want
}

// parseFast is the instances' series of an exposition, by instance, then by name and own labels.
func parseFast(exposition string) map[string]map[string]float64 {
	all := map[string]map[string]float64{}
	for line := range strings.Lines(exposition) {
		name, rest, ok := strings.Cut(strings.TrimSpace(line), "{")
		if !ok || !strings.HasPrefix(name, "starrocks_backup_") || !strings.Contains(rest, `instance_id="`) {
			continue
		}
		labels, number, _ := strings.Cut(rest, "} ")
		key, id := strings.TrimPrefix(name, "starrocks_backup_"), ""
		for pair := range strings.SplitSeq(labels, ",") {
			n, v, _ := strings.Cut(pair, "=")
			switch v = strings.Trim(v, `"`); n {
			case "instance_id":
				id = v
			case "region_id":
			default:
				key += " " + v
			}
		}
		value, _ := strconv.ParseFloat(number, 64)
		if all[id] == nil {
			all[id] = map[string]float64{}
		}
		all[id][key] = value
	}
	return all
}

// step is one scrape of a world in which something happens first.
func (s *soak) step() {
	r := s.random
	s.now.Add(int64(time.Duration(1+r.IntN(40)) * time.Minute / time.Millisecond))
	switch happens := r.IntN(100); {
	case happens < 2:
		s.restart()
		s.scrapes["restarts"]++
	case happens < 5:
		if !s.finds {
			s.listed = 1 + r.IntN(soakInstances)
			s.restartCountersOfThoseGone()
			if s.optional != nil {
				s.optional.forget(s.listed)
			}
		}
		s.reload()
		s.scrapes["reloads"]++
	case happens < 8:
		s.rotate(1 - s.accepts.Load())
		s.rotated = true
		s.scrapes["rotations"]++
	case happens < 11:
		s.skew.Store(int64([]time.Duration{0, 0, 5 * time.Minute, -5 * time.Minute, time.Hour, -time.Hour}[r.IntN(6)] / time.Millisecond))
		s.scrapes["clock jumps"]++
	case happens < 13:
		s.together()
		return
	}
	kinds := troubles()
	for i := range s.playing {
		s.playing[i].Store(pick(r, kinds))
		s.leftOut[i].Store(r.IntN(20) == 0)
	}
	s.region.Store(pick(r, kinds))
	if s.optional != nil {
		s.optional.pick(r)
	}
	exposition, took := s.get("/metrics")
	s.slowest = max(s.slowest, took)
	if took > 30*time.Second { // a machine may be busy, but no instance that hangs for a minute holds it up
		s.t.Errorf("a scrape took %v", took)
	}
	s.check(parseFast(exposition))
	if s.optional != nil {
		s.optional.checkErrors(exposition)
	}
}

// pick returns a trouble for one of five.
func pick(r *rand.Rand, kinds []trouble) *played {
	k := kinds[r.IntN(len(kinds))]
	if r.IntN(5) > 0 || k.name == "hanging" && r.IntN(5) > 0 {
		return nil
	}
	return &played{trouble: k}
}

func (p *played) String() string {
	if p == nil {
		return "no fault"
	}
	return fmt.Sprintf("the fault %q, for %d requests", p.name, p.requests.Load())
}

func (s *soak) restartCountersOfThoseGone() {
	for i := s.listed; i < soakInstances; i++ {
		s.errors[i] = 0
		for _, reason := range apiclient.Reasons() {
			delete(s.counted, soakID(i)+string(reason))
		}
		for _, status := range []string{"completed", "failed", "canceled"} {
			delete(s.finished, soakID(i)+" "+status)
		}
	}
}

// together scrapes and reloads at the same time: whatever comes must be whole, and nobody waits beyond the deadline.
func (s *soak) together() {
	for i := range s.playing {
		s.playing[i].Store(nil)
	}
	s.region.Store(nil)
	var all sync.WaitGroup
	for n := range 6 {
		all.Go(func() {
			if n == 3 {
				s.reload()
				return
			}
			path := "/metrics"
			if n == 5 {
				path = "/"
			}
			if body, _ := s.get(path); path == "/metrics" && s.found && len(parseFast(body)) != s.listed {
				s.t.Errorf("%d instances of %d", len(parseFast(body)), s.listed)
			}
		})
	}
	all.Wait()
	// Reads may have failed, for a credential or a clock that is wrong: what was counted is taken as it is.
	body, _ := s.get("/metrics")
	s.found = s.found || len(parseFast(body)) > 0
	for id, series := range parseFast(body) {
		i, _ := strconv.Atoi(strings.TrimPrefix(id, "c-"))
		s.errors[i] = sumOf(series, "scrape_errors_total ")
		for _, reason := range apiclient.Reasons() {
			s.counted[id+string(reason)] = series["scrape_errors_total "+string(reason)]
		}
		s.monotone(i, series)
	}
	s.scrapes["together"]++
}

func sumOf(series map[string]float64, prefix string) (sum float64) {
	for k, v := range series {
		if strings.HasPrefix(k, prefix) {
			sum += v
		}
	}
	return sum
}

// monotone says that what is counted of an instance never falls, and grows by no more than ended since it was read last.
func (s *soak) monotone(i int, series map[string]float64) {
	s.t.Helper()
	id := soakID(i)
	ended := map[string]float64{}
	for _, r := range runsOf(i, s.apiTime()) {
		if !r.finish.IsZero() && r.finish.After(s.readAt[i].Add(-2*time.Hour)) { // clocks were off by an hour
			ended[statusOf(r.status)]++
		}
	}
	if series["up"] == 1 {
		s.readAt[i] = s.apiTime()
	}
	for _, status := range []string{"completed", "failed", "canceled"} {
		k := id + " " + status
		got := series["tasks_finished_total "+status]
		before, known := s.finished[k]
		if got < before || !known && got > 0 || got > before+ended[status] {
			s.t.Errorf("%s: finished %v after %v (known: %v)", k, got, before, known)
		}
		s.finished[k] = got
	}
}

// check holds one exposition against what the world is.
func (s *soak) check(got map[string]map[string]float64) {
	s.t.Helper()
	s.scrapes["scrapes"]++
	skew := time.Duration(s.skew.Load()) * time.Millisecond
	refused := skew.Abs() > 15*time.Minute
	region := s.region.Load()
	if !s.found && len(got) == 0 && (refused || s.rotated || region != nil) { // nobody could be found yet
		s.rotated = s.rotated && (region != nil || refused)
		return
	}
	s.found = true
	if len(got) != s.listed {
		s.t.Fatalf("%d instances, want %d", len(got), s.listed)
	}
	told := false // whether the credential is right
	failed := 0
	blocked := s.blocked()
	for i := range s.listed {
		series := got[soakID(i)]
		var reasons []string
		mayWork := !refused
		p := s.playing[i].Load()
		if p != nil {
			mayWork = mayWork && (p.passing || s.finds)
			if !p.passing || s.finds || s.rotated || refused || s.poor { // else there is another attempt
				reasons = append(reasons, p.reason)
			}
		}
		if refused || s.rotated {
			reasons = append(reasons, "unauthorized")
		}
		if blocked || s.finds && region != nil && region.name == "hanging" {
			reasons = append(reasons, "timeout")
		}
		s.checkOne(i, series, reasons, mayWork)
		if name := unknownOptional(series); name != "" {
			s.t.Errorf("%s was not read, and has %s", soakID(i), name)
		}
		if s.optional != nil {
			s.optional.check(i, series, s.apiTime())
		}
		failed += int(1 - series["up"])
		s.monotone(i, series)
		told = told || p == nil
	}
	s.rotated = s.rotated && (!told || refused)
	s.poor = 2*failed >= s.listed
}

// blocked reports whether requests that hang may take all places in flight. Policies and restores, which may hang, take half of them.
func (s *soak) blocked() bool {
	free := soakConcurrency
	if s.optional != nil {
		free /= 2
	}
	for i := range s.listed {
		if p := s.playing[i].Load(); p != nil && p.name == "hanging" {
			free--
		}
	}
	return free <= 0
}

// checkOne holds one instance against what it is. A read that fails must do so for one of the reasons.
func (s *soak) checkOne(i int, series map[string]float64, reasons []string, mayWork bool) {
	s.t.Helper()
	id := soakID(i)
	failed := sumOf(series, "scrape_errors_total ") - s.errors[i]
	s.errors[i] += failed
	counted := 0.0 // for a reason that there is
	for _, reason := range slices.Compact(slices.Sorted(slices.Values(reasons))) {
		counted += series["scrape_errors_total "+reason] - s.counted[id+reason]
	}
	grown := map[string]float64{}
	for _, reason := range apiclient.Reasons() {
		now := series["scrape_errors_total "+string(reason)]
		if by := now - s.counted[id+string(reason)]; by != 0 {
			grown[string(reason)] = by
		}
		s.counted[id+string(reason)] = now
	}
	switch {
	case series["up"] == 1:
		if !mayWork || failed != 0 {
			s.t.Errorf("%s works, and should fail for %q (%v failures counted)", id, reasons, failed)
		}
		expected := expectedOf(runsOf(i, s.apiTime()), s.exporterTime())
		expectConditions(expected, series, s.exporterTime())
		for k, want := range expected {
			if series[k] != want {
				s.t.Errorf("at %v: %s: %s is %v, want %v", s.exporterTime(), id, k, series[k], want)
			}
		}
	case failed != 1 || counted != 1:
		s.t.Errorf("%s does not work: failures %v, want one for one of %q, with %s: %v", id, grown, reasons, s.playing[i].Load(), series)
	default:
		for k := range series {
			if strings.HasPrefix(k, "condition ") || strings.HasPrefix(k, "last_success") {
				s.t.Errorf("%s is unknown, and has %s", id, k)
			}
		}
	}
}

// settle scrapes without faults until policies, restores and cancellations of every instance are known.
func (s *soak) settle() {
	s.t.Helper()
	for i := range soakInstances {
		s.playing[i].Store(nil)
		s.optional.playing[i].Store(nil)
		s.leftOut[i].Store(false)
	}
	s.region.Store(nil)
	s.skew.Store(0)
	missing := ""
	for range 3000 { // a read that hangs ends within a minute
		s.now.Add(time.Minute.Milliseconds())
		exposition, _ := s.get("/metrics")
		page, _ := s.get("/?format=json")
		if missing = s.optional.missing(parseFast(exposition), page, s.apiTime()); missing == "" {
			return
		}
		time.Sleep(30 * time.Millisecond)
	}
	s.t.Error(missing)
}

// resources are goroutines, open files and live memory. Connections kept for the next scrape do not count: their number varies.
func (s *soak) resources() (goroutines, files int, heap uint64) {
	http.DefaultClient.CloseIdleConnections()
	s.api.CloseClientConnections()
	time.Sleep(200 * time.Millisecond)
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	open, _ := os.ReadDir("/proc/self/fd")
	return runtime.NumGoroutine(), len(open), m.HeapAlloc
}

// The exporter among faults at random: no value disagrees with the world, no counter jumps, nothing grows, nobody waits too long.
// SOAK_SCRAPES says how many scrapes (50), SOAK_SEED with which world (3, which reads policies and restores).
func TestSoak(t *testing.T) {
	number := func(name string, otherwise int) int {
		if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
			return n
		}
		return otherwise
	}
	n := number("SOAK_SCRAPES", 50)
	s := newSoak(t, uint64(number("SOAK_SEED", 3))) //nolint:gosec // small
	var goroutines, files int
	var heap uint64
	for k := range n {
		if s.step(); t.Failed() {
			t.Fatalf("at scrape %d of seed %d", k, number("SOAK_SEED", 3))
		}
		if k == n/10 {
			goroutines, files, heap = s.resources()
		}
	}
	if s.optional != nil {
		s.settle()
		s.scrapes["policies"], s.scrapes["restores"] = s.optional.seen["policies"], s.optional.seen["restores"]
		s.scrapes["failed optional reads"] = s.optional.seen["failed"]
	}
	g, f, h := s.resources()
	t.Logf(
		"%v; the slowest took %v; goroutines %d then %d, open files %d then %d, heap %d then %d KiB",
		s.scrapes,
		s.slowest,
		goroutines,
		g,
		files,
		f,
		heap>>10,
		h>>10,
	)
	if g > goroutines+5 || f > files+5 || h > heap*3/2+1<<20 {
		t.Error("something grows")
	}
}
