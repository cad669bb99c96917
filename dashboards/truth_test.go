package main

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
)

// server is a Prometheus in virtual time: storage, engine and, if they are loaded, the alert rules.
type server struct {
	t       testing.TB
	db      *tsdb.DB
	engine  *promql.Engine
	groups  []*rules.Group
	now     time.Time
	scraped map[string]bool
}

// start is when the virtual time begins.
var start = time.Unix(1_700_000_000, 0).Truncate(24 * time.Hour)

const rulesFile = "../alerts/rules.yml"

func newServer(t testing.TB, withRules bool) *server {
	t.Helper()
	o := tsdb.DefaultOptions()
	o.WALSegmentSize, o.NoLockfile, o.RetentionDuration = -1, true, math.MaxInt64/2
	o.MinBlockDuration, o.MaxBlockDuration = (365 * 24 * time.Hour).Milliseconds(), (365 * 24 * time.Hour).Milliseconds()
	db, err := tsdb.Open(filepath.Join(t.TempDir(), "data"), nil, nil, o, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	s := &server{
		t: t, db: db, now: start, scraped: map[string]bool{},
		engine: promql.NewEngine(promql.EngineOpts{
			MaxSamples: 50_000_000, Timeout: time.Minute, EnableAtModifier: true, EnableNegativeOffset: true,
		}),
	}
	if withRules {
		manager := rules.NewManager(&rules.ManagerOptions{
			QueryFunc: rules.EngineQueryFunc(s.engine, db), Queryable: db, AppendableV2: db, Context: t.Context(),
			NotifyFunc: func(_ context.Context, _ string, _ ...*rules.Alert) {}, Logger: slog.New(slog.DiscardHandler),
		})
		groups, errs := manager.LoadGroups(time.Minute, labels.EmptyLabels(), "", nil, false, rulesFile)
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		for _, g := range groups {
			s.groups = append(s.groups, g)
		}
		slices.SortFunc(s.groups, func(a, b *rules.Group) int { // records first
			return strings.Index(b.Name(), "record") - strings.Index(a.Name(), "record")
		})
	}
	return s
}

// sample is a series and its value now.
type sample struct {
	series string
	value  float64
}

// scrape lets minutes pass. In each, Prometheus scrapes what exposition returns, marks what is gone as stale, and evaluates the rules.
func (s *server) scrape(minutes int, exposition func(now float64) []sample) {
	s.t.Helper()
	for range minutes {
		s.now = s.now.Add(time.Minute)
		a := s.db.AppenderV2(s.t.Context())
		put := func(series string, v float64) {
			l, err := parser.NewParser(parser.Options{}).ParseMetric(series)
			if err == nil {
				_, err = a.Append(0, l, 0, s.now.UnixMilli(), v, nil, nil, storage.AppendV2Options{})
			}
			if err != nil {
				s.t.Fatalf("%s: %v", series, err)
			}
		}
		seen := map[string]bool{}
		for _, one := range exposition(float64(s.now.Unix())) {
			put(one.series, one.value)
			seen[one.series] = true
		}
		for series := range s.scraped {
			if !seen[series] {
				put(series, math.Float64frombits(value.StaleNaN))
			}
		}
		s.scraped = seen
		if err := a.Commit(); err != nil {
			s.t.Fatal(err)
		}
		for _, g := range s.groups {
			g.Eval(s.t.Context(), s.now)
			for _, r := range g.Rules() {
				if err := r.LastError(); err != nil {
					s.t.Fatalf("%s: %v", r.Name(), err)
				}
			}
			for _, r := range g.AlertingRules() {
				r.SetRestored(true) // until then, Prometheus writes no ALERTS; there is no earlier run to restore
			}
		}
	}
}

// result is a series that a panel shows.
type result struct {
	labels map[string]string
	value  float64
}

func (s *server) expand(text string) string {
	s.t.Helper()
	for _, v := range dashboards()["fleet.json"]["templating"].(object)["list"].([]object) {
		name := v["name"].(string)
		if v["hide"] != 2 || !strings.Contains(text, "$"+name) {
			continue
		}
		ranked := strings.TrimSuffix(strings.TrimPrefix(v["query"].(object)["query"].(string), "query_result("), ")")
		var ids []string
		for _, r := range s.instant(ranked) {
			ids = append(ids, r.labels["instance_id"])
		}
		text = strings.ReplaceAll(text, "$"+name, "("+strings.Join(ids, "|")+")")
	}
	return regexp.MustCompile(`\$(cluster|job|region|account|instance)\b`).ReplaceAllString(
		strings.NewReplacer("$__rate_interval", "4m", "$__range", "7d", "$__interval", "1h30m").Replace(text), ".*")
}

func (s *server) instant(expr string) []result {
	s.t.Helper()
	q, err := s.engine.NewInstantQuery(s.t.Context(), s.db, nil, s.expand(expr), s.now)
	if err != nil {
		s.t.Fatal(err)
	}
	defer q.Close()
	v, err := q.Exec(s.t.Context()).Vector()
	if err != nil {
		s.t.Fatalf("%v\n%s", err, s.expand(expr))
	}
	var all []result
	for _, one := range v {
		all = append(all, result{one.Metric.Map(), one.F})
	}
	return all
}

// lines counts the lines that a panel draws over a week.
func (s *server) lines(expr string) int { return s.over(expr, 90*time.Minute) }

// over asks for a week at the steps that Grafana asks for, and counts the series.
func (s *server) over(expr string, step time.Duration) int {
	s.t.Helper()
	end := s.now.Truncate(step)
	q, err := s.engine.NewRangeQuery(s.t.Context(), s.db, nil, s.expand(expr), end.Add(-7*24*time.Hour).Truncate(step), end, step)
	if err != nil {
		s.t.Fatal(err)
	}
	defer q.Close()
	m, err := q.Exec(s.t.Context()).Matrix()
	if err != nil {
		s.t.Fatalf("%v\n%s", err, s.expand(expr))
	}
	return len(m)
}

// find returns a query of a panel.
func find(t testing.TB, title, ref string) (expr string) {
	t.Helper()
	for _, v := range views(t) {
		v.visitPanels(func(p panelView) {
			for _, q := range p.Targets {
				if p.Title == title && q.RefID == ref {
					expr = q.Expr
				}
			}
		})
	}
	if expr == "" {
		t.Fatalf("no query %s of %q", ref, title)
	}
	return expr
}

// instancesColumn returns the query of a column of the table of instances.
func instancesColumn(t *testing.T, title string) string {
	t.Helper()
	table := whichInstances()
	organize := table["transformations"].([]object)[1]["options"].(object)
	renamed := organize["renameByName"].(object)
	for field, to := range renamed {
		if to == title && strings.HasPrefix(field, "Value #") {
			for _, q := range table["targets"].([]object) {
				if q["refId"] == strings.TrimPrefix(field, "Value #") {
					return q["expr"].(string)
				}
			}
		}
	}
	for _, q := range table["targets"].([]object) {
		if title == "Why" && strings.Contains(q["expr"].(string), "count_values") {
			return q["expr"].(string)
		}
	}
	t.Fatalf("no column %s", title)
	return ""
}

// shows fails unless the number of a stat is what is wanted; want "" is none.
func (s *server) shows(title, want string) {
	s.t.Helper()
	got := ""
	for _, r := range s.instant(find(s.t, title, "A")) {
		got += fmt.Sprint(r.value)
	}
	if got != want {
		s.t.Errorf("%s: %q, want %q", title, got, want)
	}
}

// byID returns the value, or the label, of each instance.
func (s *server) byID(expr, label string) map[string]string {
	s.t.Helper()
	all := map[string]string{}
	for _, r := range s.instant(expr) {
		text := fmt.Sprint(r.value)
		if label != "" {
			text = r.labels[label]
		}
		all[r.labels["instance_id"]] = text
	}
	return all
}

// exporter is one that runs: its labels, and what it reads.
type exporter struct {
	labels    string // cluster, job, instance
	instances []backup
}

// backup is what an exporter reads of an instance.
type backup struct {
	id         string
	unread     string             // the reason, if it cannot be read
	conditions map[string]float64 // those that hold
	done       float64            // when the newest good backup finished
	deadline   float64
	read       float64            // when it was last read, if it cannot be read now and the exporter knows
	optional   map[string]float64 // metrics of what is read slowly, by name and own labels
}

var everyCondition = []string{
	"overdue", "missing", "failing", "failing_repeatedly", "stuck", "expiring", "retention_too_short", "shrunk", "tables_failed",
	"status_unknown", "implausible", "subscription_ending",
}

// optionalConditions are exported where policies and restores are read.
var optionalConditions = []string{"no_policy", "restore_untested"}

func conditions(b backup) []string {
	all := slices.Clone(everyCondition)
	for _, c := range optionalConditions {
		if _, read := b.conditions[c]; read {
			all = append(all, c)
		}
	}
	return all
}

func (e exporter) exposition(now float64) []sample {
	all := []sample{
		{"up{" + e.labels + "}", 1},
		{"starrocks_backup_exporter_build_info{" + e.labels + "}", 1},
		{"starrocks_backup_total_shards{" + e.labels + "}", 1},
		{`starrocks_backup_shard_instances{shard="0",total_shards="1",` + e.labels + "}", float64(len(e.instances))},
		{"starrocks_backup_exporter_config_last_reload_successful{" + e.labels + "}", 1},
		{"starrocks_backup_exporter_config_last_reload_success_timestamp_seconds{" + e.labels + "}", 1},
	}
	for _, b := range e.instances {
		l := fmt.Sprintf(`instance_id=%q,region_id="cn-hangzhou",%s`, b.id, e.labels)
		add := func(metric, more string, v float64) {
			all = append(all, sample{"starrocks_backup_" + metric + "{" + more + l + "}", v})
		}
		for _, reason := range []string{"timeout", "throttled"} {
			errors := 0.0
			if reason == b.unread {
				errors = now / 60
			}
			add("scrape_errors_total", fmt.Sprintf("reason=%q,", reason), errors)
		}
		add("max_age_seconds", "", b.deadline-b.done)
		for metric, v := range b.optional {
			name, labels, _ := strings.Cut(metric, "{")
			add(name, labels, v)
		}
		if b.unread != "" {
			add("up", "", 0)
			add("read_condition", `condition="unreadable",`, 1)
			if b.read != 0 {
				add("last_read_timestamp_seconds", "", b.read)
			}
			if b.unread == "throttled" {
				add("read_condition", `condition="throttled",`, 1)
			}
			continue
		}
		add("up", "", 1)
		for _, c := range []string{"unreadable", "access_denied", "throttled"} {
			add("read_condition", fmt.Sprintf("condition=%q,", c), 0)
		}
		for _, c := range conditions(b) {
			add("condition", fmt.Sprintf("condition=%q,", c), b.conditions[c])
		}
		add("instance_info", fmt.Sprintf(`account="default",instance_name=%q,`, "name-of-"+b.id), 1)
		add("last_read_timestamp_seconds", "", now)
		add("last_success_data_size_bytes", "", 1<<40)
		if b.done != 0 {
			add("last_success_timestamp_seconds", "", b.done)
			add("last_success_age_seconds", "", now-b.done)
			add("deadline_timestamp_seconds", "", b.deadline)
			add("restorable_backups", "", 1)
		}
	}
	return all
}

// together is what several exporters expose.
func together(all ...exporter) func(float64) []sample {
	return func(now float64) (samples []sample) {
		for _, e := range all {
			samples = append(samples, e.exposition(now)...)
		}
		return samples
	}
}

// dead is what Prometheus has of exporters that do not answer.
func dead(all ...exporter) func(float64) []sample {
	return func(float64) (samples []sample) {
		for _, e := range all {
			samples = append(samples, sample{"up{" + e.labels + "}", 0})
		}
		return samples
	}
}

const here = `job="backup",instance="exporter:10980"`

func (s *server) good(id string) backup {
	now := float64(s.now.Unix())
	return backup{id: id, done: now - 3600, deadline: now + 30*86400}
}

func (s *server) overdue(id string, by float64) backup {
	now := float64(s.now.Unix())
	return backup{id: id, done: now - by - 86400, deadline: now - by, conditions: map[string]float64{"overdue": 1}}
}

func TestHealthyInstanceIsNotAmongTheUnknown(t *testing.T) {
	s := newServer(t, true)
	e := exporter{labels: here}
	for n := range 40 {
		b := s.good(fmt.Sprintf("c-%02d", n))
		if n >= 10 {
			b.unread = "timeout"
		}
		e.instances = append(e.instances, b)
	}
	s.scrape(20, together(e))
	s.shows("Healthy", "10")
	s.shows("Unknown", "30")
	s.shows("Unhealthy", "0")
	s.shows("Why instances are unknown", "30")
	why := s.byID(instancesColumn(t, "Why"), "why")
	if why["c-00"] != "" || why["c-10"] != "unreadable, no read known for 26 h" || len(why) != 30 {
		t.Errorf("%v", why)
	}
}

func TestChartWhoseLastMomentIsUnread(t *testing.T) {
	s := newServer(t, true)
	b := s.good("c-1")
	s.scrape(300, together(exporter{here, []backup{b}}))
	b.unread = "timeout"
	s.scrape(10, together(exporter{here, []backup{b}}))
	for _, title := range []string{"Data by instance", "State of the instances"} {
		if n := s.lines(find(t, title, "A")); n != 1 {
			t.Errorf("%s: %d lines", title, n)
		}
	}
	s.scrape(10, dead(exporter{labels: here}))
	for _, title := range []string{"Data by instance", "State of the instances"} {
		if n := s.lines(find(t, title, "A")); n != 1 {
			t.Errorf("%s, no exporter answers: %d lines", title, n)
		}
	}
}

func TestEveryExporterIsDown(t *testing.T) {
	for _, withRules := range []bool{true, false} {
		for gone, exposition := range map[string]func(float64) []sample{
			"down": dead(exporter{labels: here}), "no target": func(float64) []sample { return nil },
		} {
			t.Run(fmt.Sprintf("rules %v, %s", withRules, gone), func(t *testing.T) {
				s := newServer(t, withRules)
				e := exporter{here, []backup{s.good("c-1"), s.overdue("c-2", 7200)}}
				s.scrape(20, together(e))
				s.shows("Exporters down", "0")
				s.scrape(120, exposition)
				s.shows("Healthy", "0")
				s.shows("Unhealthy", "0")
				s.shows("Unknown", "2")
				s.shows("Exporters down", "1")
				want := map[string]string{"c-1": "no exporter answers", "c-2": "overdue, no exporter answers"}
				if !withRules {
					want["c-2"] = "no exporter answers"
				}
				if why := s.byID(instancesColumn(t, "Why"), "why"); !equal(why, want) {
					t.Errorf("why: %v", why)
				}
				if done := s.byID(instancesColumn(t, "Good backup"), ""); len(done) != 2 {
					t.Errorf("what was known: %v", done)
				}
				if used := s.byID(instancesColumn(t, "Used"), ""); len(used) != 2 || used["c-2"] < "1" {
					t.Errorf("used: %v", used)
				}
			})
		}
	}
}

// One that was removed from the configuration before its exporter died is no unknown instance.
func TestRemovedInstance(t *testing.T) {
	s := newServer(t, true)
	stays, removed := s.good("c-stays"), s.overdue("c-removed", 7200)
	s.scrape(20, together(exporter{here, []backup{stays, removed}}))
	s.scrape(3, together(exporter{here, []backup{stays}})) // the rules hold it for a moment
	for range 20 {
		s.scrape(1, together(exporter{here, []backup{stays}}))
		s.shows("Healthy", "1")
		s.shows("Unknown", "0")
	}
	s.scrape(60, dead(exporter{labels: here}))
	s.shows("Unknown", "1")
	if why := s.byID(instancesColumn(t, "Why"), "why"); !equal(why, map[string]string{"c-stays": "no exporter answers"}) {
		t.Errorf("%v", why)
	}
}

func equal(a, b map[string]string) bool { return fmt.Sprint(a) == fmt.Sprint(b) }

func TestUnknownForLongerThanADay(t *testing.T) {
	s := newServer(t, true)
	b := s.overdue("c-1", 7200)
	s.scrape(20, together(exporter{here, []backup{b}}))
	b.unread, b.read = "throttled", float64(s.now.Unix())
	s.scrape(25*60, together(exporter{here, []backup{b}}))
	if why := s.byID(instancesColumn(t, "Why"), "why"); why["c-1"] != "overdue, unreadable: throttled" {
		t.Errorf("after 25 hours: %v", why)
	}
	s.scrape(2*60, together(exporter{here, []backup{b}}))
	s.shows("Unknown", "1")
	if why := s.byID(instancesColumn(t, "Why"), "why"); why["c-1"] != "overdue, unreadable: throttled, no read known for 26 h" {
		t.Errorf("after 27 hours: %v", why)
	}
	for _, title := range []string{"Newest good backup", "Deadline", "Last read"} {
		if known := s.instant(find(t, title, "A")); len(known) != 1 {
			t.Errorf("%s of the instance is not known after 27 hours", title)
		}
	}
	if state := s.byID(instancesColumn(t, "State"), ""); state["c-1"] != "1" {
		t.Errorf("%v", state)
	}
	if pages := s.instant(find(t, "What pages", "A")); len(pages) == 0 || pages[0].labels["instance_id"] != "c-1" {
		t.Errorf("%v", pages)
	}
}

// Prometheus was down for so long that the rules have lost what they held. Nothing is shown as better than it was known to be.
func TestPrometheusWasDown(t *testing.T) {
	s := newServer(t, true)
	late, fine := s.overdue("c-late", 7200), s.good("c-good")
	s.scrape(20, together(exporter{here, []backup{late, fine}}))
	late.unread, late.read = "timeout", float64(s.now.Unix())
	s.scrape(10, together(exporter{here, []backup{late, fine}}))
	for _, down := range []time.Duration{10 * time.Minute, time.Hour} {
		s.now = s.now.Add(down)
		s.scrape(1, together(exporter{here, []backup{late, fine}}))
		s.shows("Healthy", "1")
		s.shows("Unknown", "1")
		s.shows("Exporters down", "0")
		s.shows("Alert rules", "0")
		want := map[string]string{"c-late": "overdue, unreadable"}
		if down == time.Hour {
			want["c-late"] = "unreadable"
		}
		if why := s.byID(instancesColumn(t, "Why"), "why"); !equal(why, want) {
			t.Errorf("down for %s: %v, want %v", down, why, want)
		}
		for _, title := range []string{"Used", "Deadline", "Good backup", "Last read"} {
			if known := s.byID(instancesColumn(t, title), ""); known["c-late"] == "" || title == "Used" && known["c-late"] <= "1" {
				t.Errorf("down for %s: %s: %v", down, title, known)
			}
		}
	}
}

// Its row says what is known, and its page is in the list.
func TestOverdueInstanceBecomesUnreadable(t *testing.T) {
	s := newServer(t, true)
	late, fine := s.overdue("c-late", 7200), s.good("c-good")
	s.scrape(20, together(exporter{here, []backup{late, fine}}))
	late.unread, fine.unread = "timeout", "timeout"
	s.scrape(60, together(exporter{here, []backup{late, fine}}))
	want := map[string]string{"c-late": "overdue, unreadable", "c-good": "unreadable"}
	if why := s.byID(instancesColumn(t, "Why"), "why"); !equal(why, want) {
		t.Errorf("%v", why)
	}
	for _, title := range []string{"Deadline", "Good backup", "Last read"} {
		if got := s.byID(instancesColumn(t, title), ""); len(got) != 2 {
			t.Errorf("%s: %v", title, got)
		}
	}
	if names := s.byID(knownNames(), "instance_name"); names["c-late"] != "name-of-c-late" {
		t.Errorf("%v", names)
	}
	if used := s.byID(instancesColumn(t, "Used"), ""); used["c-late"] < "1.08" || used["c-good"] > "0.1" {
		t.Errorf("used: %v", used)
	}
	pages := s.instant(find(t, "What pages", "A"))
	if len(pages) != 1 || pages[0].labels["alertname"] != "StarRocksBackupOverdue" || pages[0].labels["on"] != "name-of-c-late" {
		t.Errorf("%v", pages)
	}
}

// Two clusters have the same job, exporter and instance; one of the exporters is dead, the other instance is overdue.
func TestTwoClusters(t *testing.T) {
	s := newServer(t, true)
	a := exporter{labels: `cluster="a",` + here, instances: []backup{s.good("c-1")}}
	b := exporter{labels: `cluster="b",` + here, instances: []backup{s.overdue("c-1", 3600)}}
	s.scrape(20, together(a, b))
	s.shows("Healthy", "1")
	s.shows("Unhealthy", "1")
	s.scrape(30, func(now float64) []sample { return append(together(a)(now), dead(b)(now)...) })
	s.shows("Healthy", "1")
	s.shows("Unhealthy", "0")
	s.shows("Unknown", "1")
	s.shows("Exporters down", "1")
	for _, r := range s.instant(instancesColumn(t, "State")) {
		if want := map[string]float64{"a": healthy, "b": unknownState}[r.labels["cluster"]]; r.value != want {
			t.Errorf("%v", r)
		}
	}
}

func TestThrottledReadsOfTwoExporters(t *testing.T) {
	s := newServer(t, true)
	b := s.good("c-1")
	b.unread = "throttled"
	s.scrape(30, together(exporter{here, []backup{b}}, exporter{`job="backup",instance="second:10980"`, []backup{b}}))
	got := s.instant(find(t, "Why instances are unknown", "A"))
	if len(got) != 1 || got[0].value != 1 || got[0].labels["reason"] != "throttled" {
		t.Errorf("%v", got)
	}
	s.shows("Unknown", "1")
}

func TestLatencyOfEitherHistogram(t *testing.T) {
	const metric = "starrocks_backup_api_request_duration_seconds"
	t.Run("classic", func(t *testing.T) {
		s := newServer(t, false)
		s.scrape(10, func(now float64) []sample {
			return []sample{{metric + `_bucket{le="0.1",` + here + "}", now}, {metric + `_bucket{le="+Inf",` + here + "}", now}}
		})
		for _, ref := range []string{"A", "B", "C"} {
			if got := s.instant(find(t, "Latency", ref)); len(got) != 1 || got[0].value > 0.1 {
				t.Errorf("%v", got)
			}
		}
	})
	t.Run("native", func(t *testing.T) {
		s := newServer(t, false)
		for n := range 10 {
			s.now = s.now.Add(time.Minute)
			a := s.db.AppenderV2(t.Context())
			h := &histogram.Histogram{
				Count: uint64(n), Sum: float64(n), PositiveSpans: []histogram.Span{{Length: 1}}, PositiveBuckets: []int64{int64(n)},
			}
			l := labels.FromStrings("__name__", metric, "job", "backup", "instance", "exporter:10980")
			if _, err := a.Append(0, l, 0, s.now.UnixMilli(), 0, h, nil, storage.AppendV2Options{}); err != nil {
				t.Fatal(err)
			}
			if err := a.Commit(); err != nil {
				t.Fatal(err)
			}
		}
		for _, ref := range []string{"A", "B", "C"} {
			if got := s.instant(find(t, "Latency", ref)); len(got) != 1 || !(got[0].value > 0.1) {
				t.Errorf("%v", got)
			}
		}
	})
}

// In the first minutes a chart may have nothing to show: its first step is older. It then does not deny what there is.
func TestFirstMinutes(t *testing.T) {
	s := newServer(t, true)
	what := func() string {
		t.Helper()
		pages := s.instant(find(t, "What pages", "A"))
		if len(pages) != 1 {
			t.Fatalf("%v", pages)
		}
		return pages[0].labels["alertname"]
	}
	s.scrape(1, together(exporter{here, []backup{s.overdue("c-1", 3600)}})) // Alertmanager knows, the dashboard does not
	s.shows("Alert rules", "0")
	s.shows("Alerts firing", "")
	if got := what(); !strings.HasPrefix(got, "not known") {
		t.Errorf("%q", got)
	}
	s.scrape(1, together(exporter{here, []backup{s.overdue("c-1", 3600)}}))
	s.shows("Alerts firing", "1")
	if got := what(); got != "StarRocksBackupOverdue" {
		t.Errorf("%q", got)
	}
	s.scrape(3, together(exporter{here, []backup{s.good("c-1")}}))
	if got := what(); got != "nothing pages" {
		t.Errorf("%q", got)
	}
	s.shows("Healthy", "1")
	empty := 0
	for name, v := range views(t) {
		v.visitPanels(func(p panelView) {
			if p.Type != "timeseries" && p.Type != "state-timeline" {
				return
			}
			for _, q := range p.Targets {
				if s.lines(q.Expr) > 0 {
					return
				}
			}
			empty++
			if d := p.FieldConfig.Defaults; !strings.Contains(d.NoValue, "in the time shown") && !strings.HasPrefix(d.NoValue, "no request") {
				t.Errorf("%s: %s says %q", name, p.Title, d.NoValue)
			}
		})
	}
	if empty == 0 {
		t.Error("every chart has data; the test shows nothing")
	}
}

// Grafana does not show what a table says when it is empty: there is always a row.
func TestTablesHaveWords(t *testing.T) {
	worlds := map[string]func(s *server){
		"nothing":  func(*server) {},
		"healthy":  func(s *server) { s.scrape(20, together(exporter{here, []backup{s.good("c-1")}})) },
		"no rules": func(s *server) { s.scrape(20, together(exporter{here, []backup{s.good("c-1")}})) },
		"dead": func(s *server) {
			s.scrape(20, together(exporter{here, []backup{s.good("c-1")}}))
			s.scrape(20, dead(exporter{labels: here}))
		},
	}
	for name, happen := range worlds {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, name != "nothing" && name != "no rules")
			s.now = s.now.Add(time.Minute)
			happen(s)
			for file, v := range views(t) {
				v.visitPanels(func(p panelView) {
					if p.Type != "table" {
						return
					}
					for _, q := range p.Targets {
						if len(s.instant(q.Expr)) > 0 {
							return
						}
					}
					t.Errorf("%s: %s is empty", file, p.Title)
				})
			}
		})
	}
}

func TestWithoutRules(t *testing.T) {
	s := newServer(t, false)
	s.scrape(20, together(exporter{here, []backup{s.good("c-1"), s.overdue("c-2", 3600)}}))
	s.shows("Healthy", "1")
	s.shows("Unhealthy", "1")
	s.shows("Unknown", "0")
	s.shows("Alerts firing", "")
	s.shows("Alert rules", "1") // a cluster and job that no rule records
	pages := s.instant(find(t, "What pages", "A"))
	if len(pages) != 1 || !strings.Contains(pages[0].labels["alertname"], "just loaded") {
		t.Errorf("%v", pages)
	}
	if why := s.byID(instancesColumn(t, "Why"), "why"); !equal(why, map[string]string{"c-2": "overdue"}) {
		t.Errorf("%v", why)
	}
	if n := s.lines(find(t, "State of the instances", "A")); n != 0 { // see TestFirstMinutes
		t.Errorf("%d lines", n)
	}
	s.scrape(100, together(exporter{here, []backup{s.good("c-1"), s.overdue("c-2", 3600)}}))
	if n := s.lines(find(t, "State of the instances", "A")); n != 2 {
		t.Errorf("%d lines", n)
	}
}

func TestMostUrgentFirst(t *testing.T) {
	s := newServer(t, true)
	with := func(b backup, conditions ...string) backup {
		b.conditions = map[string]float64{}
		for _, c := range conditions {
			b.conditions[c] = 1
		}
		return b
	}
	late := func(id string, by float64, conditions ...string) backup {
		return with(s.overdue(id, by), append(conditions, "overdue")...)
	}
	all := []backup{ // in the order that is wanted
		{id: "c-0-missing", conditions: map[string]float64{"missing": 1}},
		late("c-1-expiring", 3600, "expiring", "failing"),
		late("c-2-overdue-6d", 6*86400),
		late("c-3-overdue-2d-failing", 2*86400, "failing", "failing_repeatedly"),
		late("c-4-overdue-1h", 3600),
		with(s.good("c-5-failing"), "failing"),
		with(s.good("c-6-shrunk"), "shrunk"),
		with(s.good("c-7-good")),
	}
	s.scrape(10, together(exporter{here, all}))
	ranked := s.instant(instancesColumn(t, rankTitle))
	slices.SortFunc(ranked, func(a, b result) int { return int(math.Copysign(1, b.value-a.value)) })
	for n, r := range ranked {
		if r.labels["instance_id"] != all[n].id {
			t.Errorf("%d. is %s, want %s", n+1, r.labels["instance_id"], all[n].id)
		}
	}
	if len(ranked) != len(all) {
		t.Errorf("%d of %d", len(ranked), len(all))
	}
	why := s.byID(instancesColumn(t, "Why"), "why")
	for id, want := range map[string]string{
		"c-0-missing": "nothing to restore", "c-1-expiring": "last backup expiring, overdue, failing",
		"c-3-overdue-2d-failing": "overdue, failing repeatedly", "c-7-good": "",
	} {
		if why[id] != want {
			t.Errorf("%s: %q, want %q", id, why[id], want)
		}
	}
}

// Every condition of the contract has words, and one that is not known is not passed over.
func TestWordsOfConditions(t *testing.T) {
	s := newServer(t, false)
	all := []backup{{id: "c-new", conditions: map[string]float64{}}}
	for _, c := range slices.Concat(everyCondition, optionalConditions) {
		all = append(all, backup{id: "c-" + c, conditions: map[string]float64{c: 1}})
	}
	s.scrape(3, func(now float64) []sample {
		return append(together(exporter{here, all})(now), sample{
			`starrocks_backup_condition{condition="novel",instance_id="c-new",region_id="cn-hangzhou",` + here + "}", 1,
		})
	})
	why := s.byID(instancesColumn(t, "Why"), "why")
	if why["c-new"] != urgency[0].words[0] || len(why) != len(all) {
		t.Errorf("%v", why)
	}
	for _, c := range slices.Concat(everyCondition, optionalConditions) {
		if why["c-"+c] == urgency[0].words[0] || sentences[c] == "" {
			t.Errorf("%s has no words: %q, %q", c, why["c-"+c], sentences[c])
		}
	}
}

// What is not read is not known: neither that there is no policy, nor that nothing was restored. None is red only if no backup comes.
func TestPoliciesAndRestores(t *testing.T) {
	s := newServer(t, true)
	none := map[string]float64{"policies": 0, `restores{status="completed",`: 0, `restores{status="failed",`: 2}
	waiting, manual := s.good("c-waits"), s.good("c-manual")
	waiting.conditions = map[string]float64{"no_policy": 1}
	waiting.optional, manual.optional = none, none
	policed, off := s.good("c-policed"), s.good("c-off")
	policed.optional = map[string]float64{
		"policies": 2, `policy_info{policy_id="p-1",hour="2",minute="30",recurrence="1,5",`: 1, "policy_expire_days": 7,
		"last_restore_timestamp_seconds": 1e9, `restores{status="completed",`: 1,
	}
	e := exporter{here, []backup{waiting, manual, policed, off}}
	policies, restores := instancesColumn(t, "Policy"), instancesColumn(t, "Restore proven")
	check := func(when string, wantPolicies, wantRestores map[string]string) {
		t.Helper()
		if got := s.byID(policies, ""); !equal(got, wantPolicies) {
			t.Errorf("%s: policies %v, want %v", when, got, wantPolicies)
		}
		if got := s.byID(restores, ""); !equal(got, wantRestores) {
			t.Errorf("%s: restores %v, want %v", when, got, wantRestores)
		}
	}
	s.scrape(3, together(e))
	known := map[string]string{"c-waits": "-1", "c-manual": "0", "c-policed": "2"}
	proven := map[string]string{"c-waits": "0", "c-manual": "0", "c-policed": "1e+12"}
	check("both read", known, proven)
	if rows := s.byID(find(t, "Policies and restores", "A"), "instance_name"); len(rows) != 3 || rows["c-off"] != "" {
		t.Errorf("rows %v", rows)
	}
	s.scrape(3, dead(e))
	known["c-waits"] = "0" // as of the last read
	check("no exporter answers", known, proven)
	for i := range e.instances {
		e.instances[i].optional = nil
	}
	e.instances[0].conditions = nil
	s.scrape(3, together(e))
	check("both off", nil, nil)
	for title, want := range map[string]string{
		"Policies": "not known", "Restores": "not known", "Policies and restores": "policies and restores are not read",
	} {
		if got := s.instant(find(t, title, "A")); len(got) != 1 || !strings.Contains(fmt.Sprint(got[0].labels), want) {
			t.Errorf("%s: %v, want %s", title, got, want)
		}
	}
	for _, title := range []string{"Backup policies", "Backups last", "A task may run for", "Restore proven", "It took"} {
		s.shows(title, "")
	}
}
