//go:build system

package test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient/simulator"
	"git.example.com/starrocks/starrocks_backup_exporter/collector"
	"git.example.com/starrocks/starrocks_backup_exporter/collector/fleet"
	"git.example.com/starrocks/starrocks_backup_exporter/config"
)

// Queries of panels that have nothing to show in the demo, which discovers nothing. Their panels say so.
var emptyIsGood = []string{
	"Discovery B", "Discovery C", "Discovery D", "Left out, and why A", "Exporters that read it C",
}

// The dashboards over the demo fleet: a week of it backfilled, then scraped by a real Prometheus.
func TestDashboards(t *testing.T) {
	binary, exporter := build(t), freeAddress(t)
	server := serveHistory(t, exporter, simulator.DemoFleet(), 15*time.Minute, "5s")
	kill := start(t, binary, "--demo", "--web.listen-address="+exporter).Kill

	values := map[string]string{"cluster": ".*", "job": ".*", "region": ".*", "account": ".*", "instance": ".*"}
	eventually(t, "the rules", func() error {
		return server.expect(
			`count(ALERTS{alertname="StarRocksBackupOverdue",alertstate="firing"}) > 1 `+
				`and on () count(starrocks_backup_api_retries_total offset 15s)`,
			1,
		)
	})
	for _, d := range readDashboards(t) {
		d.checkVariables(t, server, values)
		d.chooseInstances(t, server, values)
		chosen := []string{".*"}
		if d.UID == "starrocks-backup-instance" { // no instance has all that can be shown
			chosen = []string{
				simulator.InstanceID("catalog-table-failed"),
				simulator.InstanceID("payments-failing-for-a-week"),
				simulator.InstanceID("maps-canceled"),
				simulator.InstanceID("orders-healthy-daily"),
			}
		}
		for _, p := range d.all() {
			for _, q := range p.Targets {
				var empty error
				for _, values["instance"] = range chosen {
					if empty = server.draw(q, p, values); empty == nil {
						break
					}
				}
				if (empty != nil) != slices.Contains(emptyIsGood, p.Title+" "+q.RefID) {
					t.Errorf("%s: %s: %v", d.Title, p.Title, empty)
				}
			}
		}
	}

	// What stands in the first rows, and that an exporter that dies leaves every instance unknown and none healthy or bad.
	values["instance"] = ".*"
	stat := func(title string) (string, error) {
		result, err := server.shown(t, title, "A", values)
		if err != nil || len(result) == 0 {
			return "", err
		}
		return result[0].Value[1].(string), nil
	}
	shows := func(want map[string]string) {
		t.Helper()
		eventually(t, "the first rows", func() error {
			var errs []error
			for title, value := range want {
				if got, err := stat(title); err != nil || got != value {
					errs = append(errs, fmt.Errorf("%s: %q, want %q (%w)", title, got, value, errors.Join(err)))
				}
			}
			return errors.Join(errs...)
		})
	}
	bad := 0
	for _, alerts := range demoAlerts {
		if len(alerts) > 0 {
			bad++
		}
	}
	all := len(demoAlerts)
	shows(map[string]string{"Healthy": strconv.Itoa(all - bad), "Unhealthy": strconv.Itoa(bad - 2), "Unknown": "2", "Exporters down": "0"})
	if err := kill(); err != nil {
		t.Fatal(err)
	}
	shows(map[string]string{"Healthy": "0", "Unhealthy": "0", "Unknown": strconv.Itoa(all), "Exporters down": "1"})
	reasons, err := server.shown(t, "Why instances are unknown", "A", values)
	if err != nil || len(reasons) != 3 {
		t.Errorf("%v (%v)", reasons, err)
	}
	for _, r := range reasons {
		if r.Metric["reason"] != "no exporter answers" {
			t.Errorf("%v", r.Metric)
		}
	}
	names, err := server.shown(t, "Instances, the most urgent first", "A", values)
	if err != nil || len(names) != all {
		t.Errorf("%d names (%v)", len(names), err)
	}
	for _, d := range readDashboards(t) { // an instance can be chosen while no exporter answers
		d.checkVariables(t, server, map[string]string{"cluster": ".*", "job": ".*", "region": ".*", "account": ".*"})
	}
}

// serveHistory starts a Prometheus that has a week of a fleet behind it, a sample each step, and scrapes it at address from now on.
func serveHistory(t *testing.T, address string, instances []simulator.DemoInstance, step time.Duration, interval string) prometheusServer {
	t.Helper()
	directory := t.TempDir()
	data, history := filepath.Join(directory, "data"), filepath.Join(directory, "history")
	f, err := os.Create(history)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(f)
	now := time.Now()
	writeHistory(t, w, address, instances, now.Add(-8*24*time.Hour), now.Add(-3*time.Hour), step)
	if err := errors.Join(w.Flush(), f.Close()); err != nil {
		t.Fatal(err)
	}
	backfill := exec.CommandContext(
		t.Context(),
		"promtool",
		"tsdb",
		"create-blocks-from",
		"openmetrics",
		"--max-block-duration=240h",
		"--quiet",
		history,
		data,
	)
	if out, err := backfill.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	rules := edited(t, "alerts/rules.yml", "interval", `\.groups\.\d+\.interval`, func(string) string { return interval })
	configuration := filepath.Join(directory, "prometheus.yml")
	text := fmt.Sprintf(
		"global: {scrape_interval: %s, scrape_timeout: %[1]s}\nrule_files: [%q]\nscrape_configs: [{job_name: starrocks_backup, static_configs: "+
			"[{targets: [%q]}]}]",
		interval,
		rules,
		address,
	)
	if err := os.WriteFile(configuration, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	server := prometheusServer(freeAddress(t))
	start(t, "prometheus", "--config.file="+configuration, "--storage.tsdb.path="+data, "--web.listen-address="+string(server),
		"--storage.tsdb.retention.time=30d", "--query.lookback-delta="+(step+5*time.Minute).String()) // the history is sparse
	eventually(t, "prometheus", func() error {
		_, err := fetch(t, "http://"+string(server)+"/-/ready")
		return err
	})
	return server
}

// writeHistory lets the exporter's own collector read the simulated fleet in virtual time.
func writeHistory(
	t *testing.T, w *bufio.Writer, address string, instances []simulator.DemoInstance, from, to time.Time, step time.Duration,
) {
	t.Helper()
	var now time.Time
	clock := func() time.Time { return now }
	sim := simulator.New(simulator.Options{AccessKeys: map[string]string{"demo": "demo-secret"}, Now: clock})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	api := &http.Server{Handler: sim}
	go api.Serve(listener)
	defer api.Close()
	c := config.Default()
	c.API.Endpoint, c.API.MaxAttempts, c.API.RequestsPerSecond = "http://"+listener.Addr().String(), 1, 1e6
	c.Accounts = map[string]config.Account{"default": {AccessKeyID: "demo", AccessKeySecret: "demo-secret"}}
	for _, d := range instances {
		sim.Set(d.Instance)
		c.Instances = append(
			c.Instances,
			config.Instance{
				InstanceID: d.InstanceID, RegionID: d.RegionID, Account: "default",
				Expectations: config.Expectations{MaxAge: model.Duration(d.MaxAge)},
			},
		)
	}
	f, err := fleet.NewBuilder(collector.NewAPIMetrics(prometheus.NewRegistry()), clock, fleet.Shard{}, log.NewNopLogger()).Build(c)
	if err != nil {
		t.Fatal(err)
	}
	scraper := fleet.NewScraper(log.NewNopLogger(), clock, func() {})
	scraper.SetFleet(f)
	for now = from; now.Before(to); now = now.Add(step) {
		registry := prometheus.NewRegistry()
		registry.MustRegister(collector.New(scraper.Scrape(t.Context(), 0)))
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				fmt.Fprintf(w, "%s{job=\"starrocks_backup\",instance=%q", f.GetName(), address)
				for _, l := range m.GetLabel() {
					fmt.Fprintf(w, ",%s=%q", l.GetName(), l.GetValue())
				}
				fmt.Fprintf(w, "} %v %d\n", m.GetGauge().GetValue()+m.GetCounter().GetValue(), now.Unix())
			}
		}
	}
	fmt.Fprintln(w, "# EOF")
}

// prometheusServer is the address of a Prometheus.
type prometheusServer string

// ask returns the data of an answer of its API.
func (s prometheusServer) ask(path string, parameters url.Values, data any) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+string(s)+"/api/v1/"+path, strings.NewReader(parameters.Encode()))
	if err != nil {
		return err
	}
	if r.Header.Set("Content-Type", "application/x-www-form-urlencoded"); strings.HasPrefix(path, "label/") { // takes no POST
		r.Method, r.Body, r.URL.RawQuery = http.MethodGet, http.NoBody, parameters.Encode()
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer := struct {
		Status, Error string
		Data          any
	}{Data: data}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return err
	}
	if answer.Status != "success" {
		return errors.New(answer.Error)
	}
	return nil
}

type series struct {
	Metric map[string]string
	Value  [2]any
}

func (s prometheusServer) query(path string, parameters url.Values) ([]series, error) {
	var data struct{ Result []series }
	err := s.ask(path, parameters, &data)
	return data.Result, err
}

func (s prometheusServer) expect(query string, want int) error {
	result, err := s.query("query", url.Values{"query": {query}})
	if err == nil && len(result) != want {
		err = fmt.Errorf("%d series, want %d: %s", len(result), want, query)
	}
	return err
}

// draw asks for what Grafana would, of the last week. It is an error if there is nothing.
func (s prometheusServer) draw(q dashboardQuery, p dashboardPanel, values map[string]string) error {
	const week = 7 * 24 * time.Hour
	path, parameters := "query", url.Values{"query": {expand(q.Expr, values)}}
	if !q.Instant {
		points := 500
		if p.MaxDataPoints > 0 {
			points = p.MaxDataPoints
		}
		step := (week / time.Duration(points)).Truncate(time.Second)
		if p.Interval == "1d" {
			step = 24 * time.Hour
		}
		path = "query_range"
		now := time.Now()
		parameters.Set("start", strconv.FormatInt(now.Add(-week/step*step).Unix(), 10))
		parameters.Set("end", strconv.FormatInt(now.Unix(), 10))
		parameters.Set("step", strconv.Itoa(int(step.Seconds())))
	}
	result, err := s.query(path, parameters)
	if err == nil && len(result) == 0 {
		err = fmt.Errorf("no data: %s", parameters.Get("query"))
	}
	return err
}

// shown is what a query of a panel answers at this moment.
func (s prometheusServer) shown(t *testing.T, title, query string, values map[string]string) ([]series, error) {
	t.Helper()
	for _, d := range readDashboards(t) {
		for _, p := range d.all() {
			for _, q := range p.Targets {
				if p.Title == title && q.RefID == query {
					return s.query("query", url.Values{"query": {expand(q.Expr, values)}})
				}
			}
		}
	}
	return nil, fmt.Errorf("no query %s %s", title, query)
}

// expand puts the variables' values in their places.
func expand(text string, values map[string]string) string {
	for name, value := range values {
		text = strings.ReplaceAll(text, "$"+name, value)
	}
	return strings.NewReplacer("$__rate_interval", "1h", "$__range", "7d", "$__interval", "20m").Replace(text)
}

type dashboardFile struct {
	UID, Title string
	Templating struct {
		List []struct {
			Name, Type, Regex string
			Hide              int
			Query             json.RawMessage
		}
	}
	Panels []dashboardPanel
}

type dashboardPanel struct {
	Title         string
	Interval      string
	MaxDataPoints int
	Targets       []dashboardQuery
	Panels        []dashboardPanel
}

type dashboardQuery struct {
	Expr, RefID string
	Instant     bool
}

func readDashboards(t *testing.T) (all []dashboardFile) {
	t.Helper()
	for _, name := range []string{"fleet.json", "instance.json"} {
		text, err := os.ReadFile(filepath.Join("dashboards", name))
		if err != nil {
			t.Fatal(err)
		}
		var d dashboardFile
		if err := json.Unmarshal(text, &d); err != nil {
			t.Fatal(err)
		}
		all = append(all, d)
	}
	return all
}

// all are the panels, those of collapsed rows too.
func (d dashboardFile) all() (panels []dashboardPanel) {
	for _, p := range d.Panels {
		panels = append(append(panels, p), p.Panels...)
	}
	return panels
}

// checkVariables resolves the variables as Grafana does.
func (d dashboardFile) checkVariables(t *testing.T, s prometheusServer, values map[string]string) {
	t.Helper()
	resolved := map[string][]string{}
	for _, v := range d.Templating.List {
		if v.Type != "query" || v.Hide == 2 {
			continue
		}
		var q struct{ Query string }
		if err := json.Unmarshal(v.Query, &q); err != nil {
			t.Fatal(err)
		}
		text := expand(q.Query, values)
		if m := regexp.MustCompile(`^label_values\((.*), (\w+)\)$`).FindStringSubmatch(text); m != nil {
			var found []string
			if err := s.ask("label/"+m[2]+"/values", url.Values{"match[]": {m[1]}}, &found); err != nil {
				t.Errorf("%s: %s: %v", d.Title, v.Name, err)
			}
			resolved[v.Name] = found
			continue
		}
		result, err := s.query("query", url.Values{"query": {strings.TrimSuffix(strings.TrimPrefix(text, "query_result("), ")")}})
		if err != nil {
			t.Errorf("%s: %s: %v", d.Title, v.Name, err)
		}
		pattern := regexp.MustCompile(strings.Trim(v.Regex, "/"))
		for _, one := range result {
			m := pattern.FindStringSubmatch(printed(one.Metric))
			if m == nil {
				t.Errorf("%s: %s: %v does not match", d.Title, v.Name, one.Metric)
				continue
			}
			resolved[v.Name] = append(resolved[v.Name], m[pattern.SubexpIndex("text")]+" = "+m[pattern.SubexpIndex("value")])
		}
	}
	slices.Sort(resolved["instance"])
	id, never := simulator.InstanceID("orders-healthy-daily"), simulator.InstanceID("sandbox-never-backed-up")
	if len(resolved["instance"]) != len(demoAlerts) || !slices.Contains(resolved["instance"], "orders-healthy-daily "+id+" = "+id) ||
		!slices.Contains(resolved["instance"], never+" = "+never) || len(resolved["region"]) != 3 || len(resolved["account"]) != 1 {
		t.Errorf("%s: variables: %q", d.Title, resolved)
	}
}

// chooseInstances sets the hidden variables: the instances that a chart shows.
func (d dashboardFile) chooseInstances(t *testing.T, s prometheusServer, values map[string]string) {
	t.Helper()
	for _, v := range d.Templating.List {
		if v.Hide != 2 {
			continue
		}
		var q struct{ Query string }
		if err := json.Unmarshal(v.Query, &q); err != nil {
			t.Fatal(err)
		}
		text := strings.TrimSuffix(strings.TrimPrefix(expand(q.Query, values), "query_result("), ")")
		found, err := s.query("query", url.Values{"query": {text}})
		if err != nil || len(found) == 0 {
			t.Errorf("%s: %s: nothing found (%v)", d.Title, v.Name, err)
		}
		var ids []string
		for _, f := range found {
			ids = append(ids, f.Metric["instance_id"])
		}
		values[v.Name] = strings.Join(ids, "|")
	}
}

// printed is how Grafana prints a series for a variable's regular expression.
func printed(labels map[string]string) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		all = append(all, fmt.Sprintf("%s=%q", name, labels[name]))
	}
	return "{" + strings.Join(all, ",") + "}"
}
