//go:build system

package test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient/simulator"
)

// What each demo instance raises, as alertname/severity, and the receiver of each alert.
var demoAlerts = map[string]map[string]string{
	"orders-healthy-daily":    {},
	"archive-healthy-weekly":  {},
	"events-running-now":      {},
	"billing-stuck":           {"StarRocksBackupStuck/warning": "chat"},
	"users-failed-last-night": {"StarRocksBackupFailed/warning": "chat", "StarRocksBackupRestoreUntested/warning": "chat"},
	"payments-failing-for-a-week": {
		"StarRocksBackupOverdue/critical":           "pager",
		"StarRocksBackupFailingRepeatedly/critical": "pager",
		"StarRocksBackupFailed/warning":             inhibited,
	},
	"stock-overdue":              {"StarRocksBackupOverdue/critical": "pager", "StarRocksBackupNoPolicy/warning": "chat"},
	"sandbox-never-backed-up":    {"StarRocksBackupMissing/critical": "pager", "StarRocksBackupNoPolicy/warning": "chat"},
	"fresh-first-backup-running": {},
	"ledger-about-to-expire": {
		"StarRocksBackupOverdue/critical":           "pager",
		"StarRocksBackupExpiring/critical":          "pager",
		"StarRocksBackupFailingRepeatedly/critical": "pager",
		"StarRocksBackupFailed/warning":             inhibited,
	},
	"legacy-only-expired": {
		"StarRocksBackupMissing/critical": "pager",
		"StarRocksBackupOverdue/critical": inhibited,
	},
	"search-half-the-size":     {"StarRocksBackupShrunk/warning": "chat"},
	"catalog-table-failed":     {"StarRocksBackupTableFailed/warning": "chat"},
	"ads-unknown-status":       {"StarRocksBackupStatusUnknown/warning": "chat"},
	"logs-retention-too-short": {"StarRocksBackupRetentionTooShort/warning": "chat"},
	"mail-queued":              {},
	"maps-canceled":            {"StarRocksBackupFailed/warning": "chat"},
	"vault-denied": {
		"StarRocksBackupCredentialsRejected/critical": "pager",
		"StarRocksBackupInstanceUnreadable/critical":  inhibited,
		"StarRocksBackupInstanceUnreadable/warning":   inhibited,
	},
	"metrics-throttled": {
		"StarRocksBackupInstanceUnreadable/critical": "pager",
		"StarRocksBackupInstanceUnreadable/warning":  inhibited,
	},
}

const inhibited = "nobody"

// The order of the durations stays: what comes earlier in the rules comes earlier in the test.
var shorter = map[string]string{"1m": "1s", "5m": "3s", "10m": "6s", "15m": "7s", "25m": "8s", "30m": "10s", "1h": "12s", "6h": "20s"}

// amtool accepts the example, and every rule's alert goes where its severity says.
func TestAlertmanagerExample(t *testing.T) {
	const file = "alerts/alertmanager.yml"
	amtool := func(args ...string) {
		t.Helper()
		if out, err := exec.CommandContext(t.Context(), "amtool", args...).CombinedOutput(); err != nil {
			t.Errorf("%q: %v\n%s", args, err, out)
		}
	}
	amtool("check-config", file)
	var rules struct {
		Groups []struct {
			Rules []struct {
				Alert  string
				Labels map[string]string
			}
		}
	}
	text, err := os.ReadFile("alerts/rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &rules); err != nil {
		t.Fatal(err)
	}
	routed := map[string]int{}
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			if r.Alert == "" {
				continue
			}
			severity := r.Labels["severity"]
			receiver := map[string]string{"critical": "pager", "warning": "chat", "none": "deadmansswitch"}[severity]
			amtool("config", "routes", "test", "--config.file="+file, "--verify.receivers="+receiver, "alertname="+r.Alert, "severity="+severity)
			routed[receiver]++
		}
	}
	if want := map[string]int{"pager": 11, "chat": 14, "deadmansswitch": 1}; !maps.Equal(routed, want) {
		t.Errorf("alerts by receiver: %v, want %v", routed, want)
	}
}

// The demo fleet under a real Prometheus and Alertmanager: each state raises its alerts and no others, they arrive where they
// should, and an exporter that dies adds its own alert and changes nothing else.
func TestAlertsOfTheDemo(t *testing.T) {
	t.Parallel()
	binary, exporter, hook := build(t), freeAddress(t), newWebhook(t)
	kill := start(t, binary, "--demo", "--web.listen-address="+exporter).Kill
	p := newPipeline(t, hook, exporter)
	want := wantOfTheDemo(t)
	p.settles(t, want)
	began := time.Now()

	if err := kill(); err != nil {
		t.Fatal(err)
	}
	down := exporterDown(exporter)
	wantDown := maps.Clone(want)
	wantDown[down] = "pager"
	p.settles(t, wantDown)
	eventually(t, "evaluations while the exporter is down", func() error {
		if n := p.evaluations(t, began, want, down); n < 30 {
			return fmt.Errorf("%d", n)
		}
		return nil
	})
	if err := compare(hook.resolved(), nil); err != nil {
		t.Errorf("resolved while the exporter is down: %v", err)
	}

	start(t, binary, "--demo", "--web.listen-address="+exporter)
	p.settles(t, want)
	eventually(t, "the end of ExporterDown", func() error { return compare(hook.resolved(), []string{down + " to pager"}) })
	p.evaluations(t, began, want, down)
}

// wantOfTheDemo is all alerts that the demo raises, with their receivers.
func wantOfTheDemo(t *testing.T) (want map[string]string) {
	t.Helper()
	throttling := map[string]string{"alertname": "StarRocksBackupAPIThrottled", "severity": "warning", "region_id": "cn-shanghai"}
	watchdog := map[string]string{"alertname": "StarRocksBackupWatchdog", "severity": "none"}
	want = map[string]string{describe(throttling): "chat", describe(watchdog): "deadmansswitch"}
	fleet := simulator.DemoFleet()
	if len(fleet) != len(demoAlerts) {
		t.Errorf("%d demo instances, %d in the table", len(fleet), len(demoAlerts))
	}
	for _, d := range fleet {
		alerts, ok := demoAlerts[d.Name]
		if !ok {
			t.Errorf("%s is not in the table", d.Name)
		}
		for a, receiver := range alerts {
			want[instanceAlert(d, a)] = receiver
		}
	}
	return want
}

func exporterDown(exporter string) string {
	return describe(map[string]string{
		"alertname": "StarRocksBackupExporterDown", "severity": "critical", "job": "starrocks_backup", "instance": exporter,
	})
}

// instanceAlert is an alert of the table on an instance.
func instanceAlert(d simulator.DemoInstance, alert string) string {
	l := strings.Split(alert, "/")
	return describe(map[string]string{
		"alertname": l[0], "severity": l[1], "instance_id": d.InstanceID, "region_id": d.RegionID,
	})
}

// describe is an alert's whole label set, the instance by its name.
func describe(labels map[string]string) string {
	labels = maps.Clone(labels)
	for _, d := range simulator.DemoFleet() {
		if labels["instance_id"] == d.InstanceID {
			labels["instance_id"] = d.Name
		}
	}
	return strings.TrimPrefix(fmt.Sprint(labels), "map")
}

// checkText says what is wrong with the words that an alert brings to a person.
func checkText(labels, annotations map[string]string) error {
	var errs []error
	for _, name := range []string{"instance_id", "region_id", "instance"} {
		if !strings.Contains(annotations["summary"], labels[name]) {
			errs = append(errs, fmt.Errorf("the summary does not name the %s: %q", name, annotations["summary"]))
		}
	}
	for _, name := range []string{"summary", "description", "runbook_url"} {
		if strings.TrimSpace(annotations[name]) == "" {
			errs = append(errs, fmt.Errorf("no %s", name))
		}
	}
	for name, text := range annotations {
		for _, bad := range []string{"<no value>", "<error", "NaN", "Inf", "%!", "{{"} {
			if strings.Contains(text, bad) {
				errs = append(errs, fmt.Errorf("%s: %q in %q", name, bad, text))
			}
		}
	}
	return errors.Join(errs...)
}

// compare says how two lists differ, in whatever order they are.
func compare(got, want []string) error {
	got, want = slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))
	if slices.Equal(got, want) {
		return nil
	}
	lacks := slices.DeleteFunc(slices.Clone(want), func(s string) bool { return slices.Contains(got, s) })
	more := slices.DeleteFunc(slices.Clone(got), func(s string) bool { return slices.Contains(want, s) })
	return fmt.Errorf("%d, want %d; lacking:\n%s\nnot wanted:\n%s", len(got), len(want), strings.Join(lacks, "\n"), strings.Join(more, "\n"))
}

// pipeline is a Prometheus that scrapes the exporter, and the Alertmanager it alerts.
type pipeline struct {
	prometheus, alertmanager string // addresses
	hook                     *webhook
	kill                     func() error // ends this Prometheus
}

func newPipeline(t *testing.T, hook *webhook, exporters ...string) *pipeline {
	t.Helper()
	p := &pipeline{alertmanager: startAlertmanager(t, hook), hook: hook}
	p.startPrometheus(t, "one", exporters)
	return p
}

func ready(t *testing.T, address string) {
	t.Helper()
	eventually(t, address, func() error {
		_, err := fetch(t, "http://"+address+"/-/ready")
		return err
	})
}

func startAlertmanager(t *testing.T, hook *webhook) (address string) {
	t.Helper()
	address = freeAddress(t)

	receivers := edited(t, "alerts/alertmanager.yml", `url|group_wait|group_interval|repeat_interval`,
		`\.receivers\.\d+\.webhook_configs\.\d+\.url|\.route(\.routes\.\d+)?\.(group_wait|group_interval|repeat_interval)`,
		func(old string) string {
			if address, err := url.Parse(old); err == nil && address.Host != "" {
				return hook.address + "/" + strings.TrimSuffix(address.Host, ".example")
			}
			return "500ms"
		})
	start(t, "prometheus-alertmanager", "--config.file="+receivers, "--storage.path="+t.TempDir(),
		"--web.listen-address="+address, "--cluster.listen-address=")
	ready(t, address)
	return address
}

// startPrometheus starts one of perhaps several servers that watch the same exporters: its alerts lose the label that tells it
// from the others, so that Alertmanager sees them once.
func (p *pipeline) startPrometheus(t *testing.T, replica string, exporters []string) {
	t.Helper()
	p.startRuler(t, scrapeConfig(replica, exporters), shorterRules(t))
}

// scrapeConfig is a configuration that scrapes exporters.
func scrapeConfig(replica string, exporters []string) string {
	return fmt.Sprintf(`
global: {scrape_interval: 2s, scrape_timeout: 2s, external_labels: {replica: %s}}
scrape_configs: [{job_name: starrocks_backup, static_configs: [{targets: [%s]}]}]
`, replica, `"`+strings.Join(exporters, `","`)+`"`)
}

// startRuler starts a Prometheus that evaluates rules. Its configuration says where their series come from.
func (p *pipeline) startRuler(t *testing.T, configuration, rules string, flags ...string) {
	t.Helper()
	p.prometheus = freeAddress(t)
	configuration += fmt.Sprintf(`
rule_files: [%q]
alerting: {alertmanagers: [{static_configs: [{targets: [%q]}]}], alert_relabel_configs: [{regex: replica, action: labeldrop}]}
`, rules, p.alertmanager)
	p.kill = runPrometheus(t, p.prometheus, configuration, append(flags,
		"--storage.tsdb.path="+filepath.Join(t.TempDir(), "prometheus"),
		"--rules.alert.resend-delay=10s")...).Kill // the first alerts are lost: Alertmanager is not discovered yet
}

// runPrometheus starts a Prometheus and waits until it is ready.
func runPrometheus(t *testing.T, address, configuration string, flags ...string) *os.Process {
	t.Helper()
	file := filepath.Join(t.TempDir(), "prometheus.yml")
	if err := os.WriteFile(file, []byte(configuration), 0o600); err != nil {
		t.Fatal(err)
	}
	process := start(t, "prometheus", append(flags, "--config.file="+file, "--web.listen-address="+address)...)
	ready(t, address)
	return process
}

// shorterRules writes a copy of the rules with waiting times and evaluation intervals of seconds.
func shorterRules(t *testing.T) (file string) {
	t.Helper()
	file = edited(t, "alerts/rules.yml", `for|interval`, `\.groups\.\d+\.(interval|rules\.\d+\.for)`, func(old string) string {
		if shorter[old] == "" {
			t.Fatalf("nothing shorter for %s", old)
		}
		return shorter[old]
	})
	// The time after which a target that is down is counted is a little shorter than what ExporterDown waits, as in the rules.
	replaceText(t, file, "offset 9m50s", "offset 5s")
	return file
}

// replaceText replaces a text in a copy of the rules.
func replaceText(t *testing.T, rules, old, with string) {
	t.Helper()
	text, err := os.ReadFile(rules)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(text, []byte(old)) {
		t.Fatalf("the rules lack %q", old)
	}
	if err := os.WriteFile(rules, bytes.ReplaceAll(text, []byte(old), []byte(with)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// edited writes a copy of a YAML file with other values for some keys, and shows that it differs at the allowed paths alone.
func edited(t *testing.T, file, keys, allowed string, replace func(old string) string) string {
	t.Helper()
	original, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^([ -]*(?:` + keys + `): +)(\S+)`)
	text := line.ReplaceAllFunc(original, func(l []byte) []byte {
		m := line.FindSubmatch(l)
		return append(slices.Clone(m[1]), replace(string(m[2]))...)
	})
	var before, after any
	if err := errors.Join(yaml.Unmarshal(original, &before), yaml.Unmarshal(text, &after)); err != nil {
		t.Fatal(err)
	}
	for _, path := range differences("", before, after) {
		if !regexp.MustCompile(`^(` + allowed + `)$`).MatchString(path) {
			t.Fatalf("the copy of %s differs at %s", file, path)
		}
	}
	name := filepath.Join(t.TempDir(), filepath.Base(file))
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// differences returns the paths at which two YAML documents differ.
func differences(path string, a, b any) (paths []string) {
	switch a := a.(type) {
	case map[string]any:
		if b, ok := b.(map[string]any); ok && slices.Equal(slices.Sorted(maps.Keys(a)), slices.Sorted(maps.Keys(b))) {
			for k := range a {
				paths = append(paths, differences(path+"."+k, a[k], b[k])...)
			}
			return paths
		}
	case []any:
		if b, ok := b.([]any); ok && len(a) == len(b) {
			for i := range a {
				paths = append(paths, differences(fmt.Sprintf("%s.%d", path, i), a[i], b[i])...)
			}
			return paths
		}
	}
	if !reflect.DeepEqual(a, b) {
		paths = append(paths, path)
	}
	return paths
}

func fetchJSON(t *testing.T, address string, to any) error {
	t.Helper()
	body, err := fetch(t, address)
	if err != nil {
		return err
	}
	return json.Unmarshal(body, to)
}

// settles waits until exactly the wanted alerts fire in Prometheus, those of them that are inhibited are so in Alertmanager,
// and from then on all others arrive, each at its receiver.
func (p *pipeline) settles(t *testing.T, want map[string]string) {
	t.Helper()
	eventually(t, "alerts in Prometheus", func() error {
		firing, err := p.firing(t)
		return errors.Join(err, compare(firing, slices.Collect(maps.Keys(want))))
	})
	var states, sent []string
	for alert, receiver := range want {
		if receiver == inhibited {
			states = append(states, alert+" suppressed")
		} else {
			states = append(states, alert+" active")
			sent = append(sent, alert+" to "+receiver)
		}
	}
	eventually(t, "alerts in Alertmanager", func() error {
		got, err := p.states(t)
		return errors.Join(err, compare(got, states))
	})
	// What was under way when the states were seen may still arrive. A beat is a notification of the watchdog.
	p.hook.forget()
	eventually(t, "the watchdog", func() error { return p.hook.beats(3) })
	p.hook.forget()
	eventually(t, "notifications", func() error {
		return errors.Join(p.hook.beats(5), compare(p.hook.sent(), sent))
	})
}

// firing returns the alerts that fire in Prometheus, which all have readable texts.
func (p *pipeline) firing(t *testing.T) (firing []string, err error) {
	t.Helper()
	var answer struct {
		Data struct {
			Alerts []struct {
				State               string
				Labels, Annotations map[string]string
			}
		}
	}
	err = fetchJSON(t, "http://"+p.prometheus+"/api/v1/alerts", &answer)
	for _, a := range answer.Data.Alerts {
		if a.State == "firing" {
			firing = append(firing, describe(a.Labels))
			if err := checkText(a.Labels, a.Annotations); err != nil {
				t.Fatalf("%s: %v", describe(a.Labels), err)
			}
		}
	}
	return firing, err
}

// states returns Alertmanager's alerts, each with whether it is active or suppressed.
func (p *pipeline) states(t *testing.T) (states []string, err error) {
	t.Helper()
	var answer []struct {
		Labels map[string]string
		Status struct{ State string }
	}
	err = fetchJSON(t, "http://"+p.alertmanager+"/api/v2/alerts", &answer)
	for _, a := range answer {
		states = append(states, describe(a.Labels)+" "+a.Status.State)
	}
	return states, err
}

// evaluations checks that exactly the wanted alerts fired ever since, and perhaps some that may, and returns for how many evaluations.
// It looks twice a second, because groups of rules are evaluated once a second, each at a time of its own.
func (p *pipeline) evaluations(t *testing.T, since time.Time, want map[string]string, may ...string) (n int) {
	t.Helper()
	var answer struct {
		Data struct {
			Result []struct {
				Metric map[string]string
				Values [][]any // time and value
			}
		}
	}
	const step = 0.5
	query := url.Values{
		"query": {`ALERTS{alertstate="firing"}`}, "step": {fmt.Sprint(step)},
		"start": {fmt.Sprint(since.Unix())}, "end": {fmt.Sprint(time.Now().Unix() - 1)},
	}
	if err := fetchJSON(t, "http://"+p.prometheus+"/api/v1/query_range?"+query.Encode(), &answer); err != nil {
		t.Fatal(err)
	}
	fired := map[float64][]string{}
	for _, series := range answer.Data.Result {
		delete(series.Metric, "__name__")
		delete(series.Metric, "alertstate")
		alert := describe(series.Metric)
		for _, v := range series.Values {
			fired[v[0].(float64)] = append(fired[v[0].(float64)], alert)
		}
	}
	for _, at := range slices.Sorted(maps.Keys(fired)) {
		others := slices.DeleteFunc(slices.Clone(fired[at]), func(alert string) bool { return slices.Contains(may, alert) })
		if err := compare(others, slices.Collect(maps.Keys(want))); err != nil {
			t.Fatalf("fired at %v: %v", time.UnixMilli(int64(at*1e3)), err)
		}
		n += len(fired[at]) - len(others)
	}
	return int(float64(n) * step)
}

// webhook is the receivers: each has a path of its name.
type webhook struct {
	address string
	mu      sync.Mutex
	beat    int
	firing  map[string]bool // alerts and the receivers they were sent to
	ended   map[string]bool
}

func newWebhook(t *testing.T) *webhook {
	t.Helper()
	w := &webhook{firing: map[string]bool{}, ended: map[string]bool{}}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { w.receive(t, r) }))
	t.Cleanup(server.Close)
	w.address = server.URL
	return w
}

func (w *webhook) receive(t *testing.T, r *http.Request) {
	var notification struct {
		Receiver string
		Alerts   []struct {
			Status              string
			Labels, Annotations map[string]string
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&notification); err != nil || r.URL.Path != "/"+notification.Receiver {
		t.Errorf("a notification of %q at %s: %v", notification.Receiver, r.URL.Path, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var alerts []string
	for _, a := range notification.Alerts {
		alert := describe(a.Labels)
		if slices.Contains(alerts, alert) {
			t.Errorf("%s is twice in a notification", alert)
		}
		alerts = append(alerts, alert)
		if err := checkText(a.Labels, a.Annotations); err != nil {
			t.Errorf("%s: %v", alert, err)
		}
		if a.Labels["alertname"] == "StarRocksBackupWatchdog" {
			w.beat++
		}
		to := map[string]map[string]bool{"firing": w.firing, "resolved": w.ended}[a.Status]
		to[alert+" to "+notification.Receiver] = true
	}
}

// forget starts anew with what is sent; what resolved stays known.
func (w *webhook) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.beat = 0
	clear(w.firing)
}

func (w *webhook) beats(atLeast int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.beat < atLeast {
		return fmt.Errorf("%d notifications of the watchdog, want %d", w.beat, atLeast)
	}
	return nil
}

func (w *webhook) sent() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Keys(w.firing))
}

func (w *webhook) resolved() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Keys(w.ended))
}
