package collector_test

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient/simulator"
	"git.example.com/starrocks/starrocks_backup_exporter/collector"
	"git.example.com/starrocks/starrocks_backup_exporter/collector/fleet"
	"git.example.com/starrocks/starrocks_backup_exporter/collector/report"
	"git.example.com/starrocks/starrocks_backup_exporter/config"
)

var update = flag.Bool("update", false, "rewrite the expected expositions")

// Noon of the tests' world.
var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// world is an exporter over a simulated API, over real HTTP.
type world struct {
	t        testing.TB
	sim      *simulator.Simulator
	api      *httptest.Server
	exporter *httptest.Server
	scraper  *fleet.Scraper
	builder  *fleet.Builder
	own      *prometheus.Registry // the exporter's own metrics
	log      strings.Builder
}

// newWorld starts both; the exporter's configuration is the text given with the API's address and an account filled in.
func newWorld(t testing.TB, o simulator.Options, now func() time.Time, configuration string) *world {
	t.Helper()
	w := &world{t: t, own: prometheus.NewRegistry()}
	o.AccessKeys = map[string]string{"id": "canary"}
	if o.Now == nil {
		o.Now = now
	}
	w.sim = simulator.New(o)
	w.api = httptest.NewServer(w.sim)
	t.Cleanup(func() { w.api.CloseClientConnections(); w.api.Close() })
	logger := log.NewLogfmtLogger(log.NewSyncWriter(&w.log))
	w.scraper = fleet.NewScraper(logger, now, func() {})
	w.builder = fleet.NewBuilder(collector.NewAPIMetrics(w.own), now, fleet.Shard{}, logger)
	w.configure(configuration)
	deadlines := fleet.Deadlines{Timeout: 30 * time.Second, Offset: 500 * time.Millisecond}
	scrape := func(r *http.Request) *fleet.Result { return deadlines.Scrape(w.scraper, r) }
	mux := http.NewServeMux()
	mux.Handle("/metrics", collector.NewHandler(scrape, prometheus.NewRegistry(), logger))
	mux.Handle("/", report.NewPage(report.Options{
		Scraper: w.scraper, Deadline: deadlines.Timeout, Now: now, Logger: logger, Links: report.Links{MetricsPath: "/metrics", Version: "test"},
		ReloadFailure: func() (time.Time, error) { return time.Time{}, nil },
	}))
	w.exporter = httptest.NewServer(mux)
	t.Cleanup(w.exporter.Close)
	return w
}

func (w *world) configure(configuration string) {
	w.t.Helper()
	c, err := config.Parse("test.yml", []byte(strings.ReplaceAll(configuration, "API", w.api.URL)))
	if err != nil {
		w.t.Fatal(err)
	}
	f, err := w.builder.Build(c)
	if err != nil {
		w.t.Fatal(err)
	}
	w.scraper.SetFleet(f)
}

// get returns the body of a page, which must be served with status 200.
func (w *world) get(path string, headers ...string) string {
	w.t.Helper()
	req, err := http.NewRequest(http.MethodGet, w.exporter.URL+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		w.t.Fatalf("%s: status %d, %v\n%s", path, res.StatusCode, err, body)
	}
	return string(body)
}

// exposition returns what /metrics serves, after it was compared with what a pedantic registry gathers from collector.New.
func (w *world) exposition() string {
	w.t.Helper()
	served := w.get("/metrics")
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(collector.New(w.scraper.Last())); err != nil {
		w.t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		w.t.Error(err)
	}
	var gathered strings.Builder
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&gathered, f); err != nil {
			w.t.Fatal(err)
		}
	}
	if d := difference(gathered.String(), served); d != "" {
		w.t.Errorf("a registry gathers something else:\n%s", d)
	}
	return served
}

// families returns the part of an exposition that is about some metrics.
func families(exposition string, names ...string) string {
	var part strings.Builder
	for line := range strings.Lines(exposition) {
		name := strings.TrimPrefix(strings.TrimPrefix(line, "# HELP "), "# TYPE ")
		name = strings.TrimPrefix(name[:strings.IndexAny(name, " {")], "starrocks_backup_")
		if slices.Contains(names, name) {
			part.WriteString(line)
		}
	}
	return part.String()
}

const oneInstance = `
api: {endpoint: "API", timeout: 30s, requests_per_second: 100000}
accounts: {default: {access_key_id: id, access_key_secret: canary}}
instances: [{instance_id: c-1, region_id: cn-hangzhou}]
`

// golden compares with the file of that name in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is not what was served; what was, differs in:\n%s", name, difference(string(want), got))
	}
}

func difference(want, got string) string {
	in := func(lines []string) map[string]bool {
		m := map[string]bool{}
		for _, l := range lines {
			m[l] = true
		}
		return m
	}
	wants, gots := strings.Split(want, "\n"), strings.Split(got, "\n")
	var b strings.Builder
	for _, l := range wants {
		if !in(gots)[l] {
			b.WriteString("- " + l + "\n")
		}
	}
	for _, l := range gots {
		if !in(wants)[l] {
			b.WriteString("+ " + l + "\n")
		}
	}
	return b.String()
}

func hours(n float64) time.Duration { return time.Duration(n * float64(time.Hour)) }

// backup is a task that finished some hours before noon, after one hour, and is kept for 14 days.
func backup(id string, status string, ago float64, subtasks ...simulator.SubTask) simulator.Task {
	finish := noon.Add(-hours(ago))
	t := simulator.Task{
		BackupTaskID: id, Status: status, Size: 100, BackupType: "FullBackup", Start: simulator.Millis(finish.Add(-time.Hour)),
		Finish: simulator.Millis(finish), Expire: simulator.Millis(finish.Add(14 * 24 * time.Hour)), SubTasks: subtasks,
		Snapshot: &simulator.Snapshot{
			InstanceName:    "orders",
			Version:         "3.3",
			MinorVersion:    "3.3.13",
			RunMode:         "shared_nothing",
			SpecType:        "standard",
			VpcID:           "vpc-1",
			ResourceGroupID: "rg-1",
		},
	}
	if status == "RUNNING" {
		t.Finish = nil
	}
	if status != "COMPLETED" {
		t.Expire = nil
	}
	return t
}

func sub(database, table string, size any, status string) simulator.SubTask {
	return simulator.SubTask{
		Database: database, Table: table, Size: size, Status: status, Detail: "[]",
		Start: simulator.Seconds(noon.Add(-time.Hour)), Finish: simulator.Seconds(noon.Add(-time.Hour + time.Minute)),
	}
}

func tables(size int) []simulator.SubTask {
	return []simulator.SubTask{sub("dwd", "orders", size, "success"), sub("ods", "events", size/2, "success")}
}

func lists(tasks ...simulator.Task) func(time.Time) []simulator.Task {
	return func(time.Time) []simulator.Task { return tasks }
}

func at(noon time.Time) func() time.Time { return func() time.Time { return noon } }

func TestExpositions(t *testing.T) {
	mixed := backup("bt-1", "Completed", 5, sub("a", "t", "3", "SUCCESS"))
	mixed.Start, mixed.Finish, mixed.Expire = noon.Add(-hours(6)).Unix(), fmt.Sprint(noon.Add(-hours(5)).UnixMilli()), "null"
	mixed.SubTasks[0].Start, mixed.SubTasks[0].Finish = noon.Add(-hours(6)).UnixMilli(), "null"
	odd := backup(
		"bt-1",
		"COMPLETED",
		5,
		sub(
			"a\xff",
			"t\"\n\\",
			1,
			"success",
		),
		sub("a\xfe", "t\"\n\\", 2, "success"),
		sub("a\xff", "t\"\n\\", nil, "error"),
		sub("", "<b>", 4, "odd"),
	)
	expired := backup("bt-1", "COMPLETED", 15*24, tables(20)...)
	forever := backup("bt-1", "COMPLETED", 5, tables(20)...)
	forever.Expire = 0
	// Families are those that the world is about; all if there are none.
	for name, c := range map[string]struct {
		tasks    []simulator.Task
		families string
	}{
		"healthy": {[]simulator.Task{backup("bt-2", "COMPLETED", 5, tables(20)...), backup("bt-1", "COMPLETED", 29, tables(18)...)}, ""},
		"failed": {[]simulator.Task{
			backup("bt-3", "FAILED", 5, sub("dwd", "orders", 1, "failed"), sub("dwd", "users", 1, "success")),
			backup("bt-2", "FAILED", 17), backup("bt-1", "COMPLETED", 20, tables(20)...),
		}, ""},
		"running": {[]simulator.Task{backup("bt-2", "RUNNING", -0.5, sub("dwd", "orders", 0, "UPLOADING")), backup("bt-1", "COMPLETED",
			20, tables(20)...)}, "tasks last_task_status last_task_start_timestamp_seconds running_task_start_timestamp_seconds subtasks condition"},
		"first_running": {
			[]simulator.Task{backup("bt-1", "RUNNING", 0)},
			"tasks condition last_success_timestamp_seconds restorable_backups deadline_timestamp_seconds",
		},
		"never": {
			[]simulator.Task{},
			"tasks condition last_task_status last_success_timestamp_seconds restorable_backups instance_info",
		},
		"expired": {
			[]simulator.Task{expired},
			"condition restorable_backups oldest_restorable_timestamp_seconds restorable_until_timestamp_seconds",
		},
		"never_expires": {
			[]simulator.Task{forever},
			"condition restorable_backups oldest_restorable_timestamp_seconds restorable_until_timestamp_seconds " +
				"last_success_expire_timestamp_seconds",
		},
		"unknown_status": {
			[]simulator.Task{backup("bt-2", "MERGING", 5), backup("bt-1", "COMPLETED", 20, tables(20)...)},
			"condition tasks last_task_status consecutive_failures",
		},
		"units_mixed": {
			[]simulator.Task{mixed},
			"last_success_timestamp_seconds last_success_duration_seconds last_success_expire_timestamp_seconds last_success_data_size_bytes " +
				"subtask_size_bytes subtask_duration_seconds",
		},
		"odd_names": {[]simulator.Task{odd}, "database_size_bytes subtask_size_bytes subtask_failed subtasks"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, simulator.Options{}, at(noon), oneInstance)
			w.sim.Set(simulator.Instance{InstanceID: "c-1", RegionID: "cn-hangzhou", Tasks: lists(c.tasks...)})
			exposition := w.exposition()
			if c.families != "" {
				exposition = families(exposition, strings.Fields(c.families)...)
			}
			golden(t, name+".metrics", exposition)
		})
	}
}

func TestPartialFailureExposition(t *testing.T) {
	w := newWorld(
		t,
		simulator.Options{},
		at(noon),
		strings.Replace(oneInstance, "instances: [", "instances: [{instance_id: c-0, region_id: cn-hangzhou}, ", 1),
	)
	w.sim.Set(simulator.Instance{InstanceID: "c-1", RegionID: "cn-hangzhou", Tasks: lists(backup("bt-1", "COMPLETED", 5, tables(20)...))})
	w.sim.Set(simulator.Instance{InstanceID: "c-0", RegionID: "cn-hangzhou", Fault: simulator.Denied("sr:DescribeBackups")})
	golden(t, "partial_failure.metrics", w.exposition())
	if l := w.log.String(); !strings.Contains(l, "RAM action sr:DescribeBackups is missing") || strings.Count(l, "level=warn") != 1 {
		t.Errorf("log:\n%s", l)
	}
}

func TestOpenMetricsExposition(t *testing.T) {
	w := newWorld(t, simulator.Options{}, at(noon), oneInstance)
	w.sim.Set(
		simulator.Instance{
			InstanceID: "c-1",
			RegionID:   "cn-hangzhou",
			Tasks:      lists(backup("bt-1", "COMPLETED", 5, sub("a\xff\"\n", "t\\", 1, "success"))),
		},
	)
	golden(t, "openmetrics.txt", w.get("/metrics", "Accept", "application/openmetrics-text;version=1.0.0"))
}

// 240 tasks over pages of 20. While they are read, three new ones push entries to later pages. A Total shows that some are missing, and a
// second read finds them; without a Total nobody can know. A Total that is too large counts against a list only while that changes.
func TestPagesWithMovingEntries(t *testing.T) {
	for name, c := range map[string]struct {
		total  func(int) any
		failed []float64 // tasks in the first and in the second scrape; -1: not read
	}{
		"right":     {nil, []float64{3, 3}},
		"a string":  {func(n int) any { return fmt.Sprint(n) }, []float64{3, 3}},
		"none":      {func(int) any { return nil }, []float64{0, 3}},
		"zero":      {func(int) any { return 0 }, []float64{0, 3}},
		"negative":  {func(int) any { return -1 }, []float64{0, 3}},
		"too large": {func(n int) any { return n * 2 }, []float64{-1, 3}},
	} {
		t.Run(name, func(t *testing.T) {
			var all []simulator.Task
			for i := range 240 {
				all = append(all, backup(fmt.Sprintf("bt-%03d", i), "COMPLETED", 5+float64(i), tables(20)...))
			}
			requests := 0
			w := newWorld(t, simulator.Options{PageCap: 20, Total: c.total}, at(noon), oneInstance)
			w.sim.Set(simulator.Instance{InstanceID: "c-1", RegionID: "cn-hangzhou", Tasks: func(time.Time) []simulator.Task {
				requests++
				news := []simulator.Task{}
				for i := range min(requests-1, 3) {
					news = append(news, backup(fmt.Sprintf("bt-new-%d", i), "FAILED", 1))
				}
				return append(news, all...)
			}})
			for scrape, want := range c.failed {
				body := w.exposition()
				tasks := values(t, body, "tasks")
				if up := values(t, body, "up")["c-1"]; (up == 1) != (want >= 0) || up == 1 && (tasks["c-1 completed"] != 240 ||
					tasks["c-1 failed"] != want) {
					t.Errorf("scrape %d: up %v, tasks %v", scrape, up, tasks)
				}
			}
		})
	}
}

// However the API pages and counts, every task is seen. Nobody could tell if it did both: cap pages, and count no other in Total.
func TestEveryWayOfPaging(t *testing.T) {
	for name, o := range map[string]simulator.Options{
		"capped":                   {PageCap: 20},
		"capped, with gaps":        {PageCap: 20, PageGaps: true},
		"Total of a page":          {PageTotal: true},
		"capped, without a Total":  {PageCap: 20, Total: func(int) any { return nil }},
		"a Total for a whole page": {PageCap: 50, PageTotal: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, o, at(noon), oneInstance)
			for _, n := range []int{1, 20, 50, 60, 100, 120} {
				var all []simulator.Task // oldest first
				for i := range n {
					all = append(all, backup(fmt.Sprintf("bt-%03d", i), "COMPLETED", float64(n-i)))
				}
				w.sim.Set(simulator.Instance{InstanceID: "c-1", RegionID: "cn-hangzhou", Tasks: func(time.Time) []simulator.Task { return all }})
				if got := values(t, w.exposition(), "tasks")["c-1 completed"]; got != float64(n) {
					t.Errorf("%v of %d tasks", got, n)
				}
			}
		})
	}
}

// The largest Total counts, not the last: a task that is deleted between two pages must not make the newest slip off.
func TestTaskDeletedBetweenPages(t *testing.T) {
	newest := backup("bt-new", "COMPLETED", 1)
	requests := 0
	w := newWorld(t, simulator.Options{PageCap: 2}, at(noon), oneInstance)
	w.sim.Set(simulator.Instance{InstanceID: "c-1", RegionID: "cn-hangzhou", Tasks: func(time.Time) []simulator.Task {
		requests++
		tasks := []simulator.Task{backup("bt-0", "COMPLETED", 300), backup("bt-1", "COMPLETED", 276), newest, backup("bt-2", "COMPLETED", 252)}
		if requests > 1 {
			return tasks[1:] // the first one is gone: the newest moves to the first page, which was read already
		}
		return tasks
	}})
	body := w.exposition()
	if held := holding(body)["c-1"]; values(t, body, "up")["c-1"] != 1 || len(held) > 0 {
		t.Errorf("up %v, holds %q", values(t, body, "up"), held)
	}
}

func TestSampleInBothReadings(t *testing.T) {
	sample, err := os.ReadFile("../apiclient/testdata/sample.json")
	if err != nil {
		t.Fatal(err)
	}
	configuration := strings.Replace(oneInstance, "c-1", "c-d4be777ff5e8cXXX", 1)
	w := newWorld(t, simulator.Options{}, at(noon), configuration)
	play := func(body string) {
		w.sim.Set(simulator.Instance{InstanceID: "c-d4be777ff5e8cXXX", RegionID: "cn-hangzhou", Fault: simulator.Raw(http.StatusOK, body)})
	}
	play(string(sample))
	golden(t, "sample_as_printed.metrics", families(w.exposition(), "up", "condition", "scrape_errors_total"))
	if l := w.log.String(); !strings.Contains(l, "Invalid params: [instance not exists].") {
		t.Errorf("log:\n%s", l)
	}
	play(strings.Replace(string(sample), `"Success": false`, `"Success": true`, 1))
	golden(t, "sample_success.metrics", w.exposition())
}

// Long names are cut, to at most 128 bytes, and stay distinct.
func TestLongNamesStayDistinct(t *testing.T) {
	long := strings.Repeat("x", 1023)
	w := newWorld(t, simulator.Options{}, at(noon), oneInstance)
	w.sim.Set(simulator.Instance{InstanceID: "c-1", RegionID: "cn-hangzhou", Tasks: lists(backup("bt-1", "COMPLETED", 5,
		sub(long+"a", long+"a", 1, "success"), sub(long+"a", long+"b", 1, "success"), sub(long+"b", long+"b", 1, "failed")))})
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(w.get("/metrics")))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{"subtask_size_bytes": 3, "database_size_bytes": 2, "subtask_failed": 1} {
		seen := map[string]bool{}
		for _, m := range families["starrocks_backup_"+name].GetMetric() {
			key := ""
			for _, l := range m.GetLabel() {
				if len(l.GetValue()) > 128 {
					t.Errorf("%s: a value of %d bytes", name, len(l.GetValue()))
				}
				key += l.GetValue() + "|"
			}
			seen[key] = true
		}
		if len(seen) != want {
			t.Errorf("%s: %d series, want %d", name, len(seen), want)
		}
	}
}
