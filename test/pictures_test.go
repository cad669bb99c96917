//go:build system

package test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient/simulator"
)

// pictures is where the pictures stay, for a person to look at.
const pictures = ".tools/pictures"

// What has nothing to draw in the demo, where nothing is retried or waits, and says so.
var wordsAreGood = []string{"Retries", "Requests that failed"}

// TestPictures draws both dashboards with Grafana's own components. Each panel must show something: data, or words that say why not.
func TestPictures(t *testing.T) {
	if err := os.MkdirAll(pictures, 0o755); err != nil {
		t.Fatal(err)
	}
	binary, exporter := build(t), freeAddress(t)
	demo := simulator.DemoFleet()
	server := serveHistory(t, exporter, demo, time.Hour, "2s")
	process := start(t, binary, "--demo", "--web.listen-address="+exporter)
	all := float64(len(demo))

	server.waitFor(t, "the alerts", `count(ALERTS{alertname="StarRocksBackupOverdue",alertstate="firing"}) > bool 1`, 1)
	server.waitFor(t, "the exporter", "count(starrocks_backup_up)", all)
	server.waitFor(t, "its requests", "count(rate(starrocks_backup_api_request_duration_seconds_count[10s])) > bool 0", 1)
	shown := server.picture(t, "demo", "fleet")
	maps.Copy(shown, server.pictureOfExporter(t))
	for title, p := range shown {
		if p.Shows != "data" && !slices.Contains(wordsAreGood, title) {
			t.Errorf("demo: %s says %q", title, p.Text)
		}
	}
	if text := shown["Instances, the most urgent first"].Text; !strings.Contains(text, "payments-failing-for-a-week") ||
		!strings.Contains(text, "overdue, failing repeatedly") {
		t.Errorf("the instances: %q", text)
	}
	if text := shown["What pages"].Text; !strings.Contains(text, "StarRocksBackupOverdue") || !strings.Contains(text, "stock-overdue") {
		t.Errorf("what pages: %q", text)
	}
	server.picture(t, "demo-first-screen", "fleet", "--height=852")
	server.picture(t, "readme", "fleet", "--width=1060", "--height=843", "--scale=2") // docs/dashboard.png, as wide as a README shows it
	instance := simulator.InstanceID("payments-failing-for-a-week")
	shown = server.picture(t, "demo", "instance", "--instance="+instance)
	if task, why := shown["Newest task"].Text, shown["Why"].Text; !strings.Contains(task, "failed") || !strings.Contains(why, "Overdue:") {
		t.Errorf("the instance: %q, %q", task, why)
	}
	server.picture(t, "demo-light", "fleet", "--theme=light", "--width=1280")

	if err := process.Kill(); err != nil {
		t.Fatal(err)
	}
	server.waitFor(t, "the death of the exporter",
		`count(up == 0) + 0 * count(starrocks_backup:condition) unless on () starrocks_backup_up`, 1)
	shown = server.picture(t, "exporter-dead", "fleet")
	expectStats(t, shown, map[string]string{"Healthy": "0", "Unhealthy": "0", "Unknown": fmt.Sprint(all), "Exporters down": "1"})
	server.picture(t, "exporter-dead", "instance", "--instance="+instance)

	start(t, binary, "--config.file="+configurationOf(t, "http://127.0.0.1:1", demo), "--web.listen-address="+exporter)
	server.waitFor(t, "an exporter that reads nothing",
		"count(starrocks_backup_up == 0) and on () absent(starrocks_backup:exporter:missing)", all)
	shown = server.picture(t, "everything-unknown", "fleet")
	expectStats(t, shown, map[string]string{"Healthy": "0", "Unhealthy": "0", "Unknown": fmt.Sprint(all), "Exporters down": "0"})
	server.picture(t, "everything-unknown", "instance", "--instance="+instance)
}

// TestHeavyPicturesOfAThousand draws the dashboards of 1,000 instances: the demo's, over and over.
func TestHeavyPicturesOfAThousand(t *testing.T) {
	if err := os.MkdirAll(pictures, 0o755); err != nil {
		t.Fatal(err)
	}
	sim := simulator.New(simulator.Options{AccessKeys: map[string]string{"id": "secret"}})
	var instances []simulator.DemoInstance
	for n := range 1000 {
		demo := simulator.DemoFleet()
		d := demo[n%len(demo)]
		d.InstanceID = fmt.Sprintf("%s%04x", d.InstanceID[:14], n)
		sim.Set(d.Instance)
		instances = append(instances, d)
	}
	api := httptest.NewServer(sim)
	t.Cleanup(api.Close)
	binary, exporter := build(t), freeAddress(t)
	server := serveHistory(t, exporter, instances, 72*time.Hour, "10s")
	start(t, binary, "--config.file="+configurationOf(t, api.URL, instances), "--web.listen-address="+exporter)
	server.waitFor(t, "the alerts", `count(ALERTS{alertname="StarRocksBackupOverdue",alertstate="firing"}) > bool 50`, 1)
	server.waitFor(t, "the exporter", "count(starrocks_backup_up)", 1000)
	server.picture(t, "thousand", "fleet")
	server.picture(t, "thousand", "instance", "--instance="+instances[5].InstanceID)
}

// configurationOf writes the configuration of an exporter that reads these instances.
func configurationOf(t *testing.T, endpoint string, instances []simulator.DemoInstance) string {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "api: {endpoint: %q, max_attempts: 1, requests_per_second: 100000, concurrency: 64}\n", endpoint)
	b.WriteString("accounts: {default: {access_key_id: id, access_key_secret: secret}}\ninstances:\n")
	for _, d := range instances {
		fmt.Fprintf(&b, "  - {instance_id: %s, region_id: %s, max_age: %dh}\n", d.InstanceID, d.RegionID, int(d.MaxAge.Hours()))
	}
	file := filepath.Join(t.TempDir(), "exporter.yml")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// pictureOfExporter draws the last minutes of the row that is closed at first, and returns its panels.
func (s prometheusServer) pictureOfExporter(t *testing.T) map[string]drawn {
	t.Helper()
	shown := s.picture(t, "demo-exporter", "fleet", "--rows=open", "--hours=0.02", "--scrape=2")
	row := map[string]drawn{}
	for _, p := range readDashboards(t)[0].Panels {
		for _, hidden := range p.Panels {
			row[hidden.Title] = shown[hidden.Title]
		}
	}
	return row
}

// waitFor waits until a query has a value, and had it some seconds ago: a picture may be of the second before.
func (s prometheusServer) waitFor(t *testing.T, what, query string, want float64) {
	t.Helper()
	eventually(t, what, func() error {
		for _, ago := range []time.Duration{0, 3 * time.Second} {
			at := strconv.FormatInt(time.Now().Add(-ago).Unix(), 10)
			result, err := s.query("query", url.Values{"query": {query}, "time": {at}})
			if err != nil {
				return err
			}
			if len(result) != 1 || result[0].Value[1] != fmt.Sprint(want) {
				return fmt.Errorf("%v, want %v: %s", result, want, query)
			}
		}
		return nil
	})
}

// drawn is what a panel shows: data, words, nothing, or an error.
type drawn struct{ Title, Shows, Text string }

// picture draws a dashboard and returns what its panels show. One that draws nothing, or an error, fails the test.
func (s prometheusServer) picture(t *testing.T, situation, dashboard string, flags ...string) map[string]drawn {
	t.Helper()
	out := filepath.Join(pictures, situation+"-"+dashboard+".png")
	args := append([]string{"dashboards/render/render.js"}, flags...)
	cmd := exec.CommandContext(t.Context(), "node", append(args, "dashboards/"+dashboard+".json", "http://"+string(s), out)...)
	var failure bytes.Buffer
	cmd.Stderr = &failure
	text, err := cmd.Output()
	var report struct {
		Panels  []drawn
		Slowest []map[string]any
	}
	if err := errors.Join(err, json.Unmarshal(text, &report)); err != nil {
		t.Fatalf("%s: %v\n%s", out, err, failure.String())
	}
	t.Logf("%s: slowest %v", out, report.Slowest[0])
	shown := map[string]drawn{}
	for _, p := range report.Panels {
		if p.Shows != "data" && p.Shows != "words" {
			t.Errorf("%s: %s shows %s: %s", out, p.Title, p.Shows, p.Text)
		}
		shown[p.Title] = p
	}
	return shown
}

func expectStats(t *testing.T, shown map[string]drawn, stats map[string]string) {
	t.Helper()
	for title, text := range stats {
		if shown[title].Text != text {
			t.Errorf("%s shows %q, want %q", title, shown[title].Text, text)
		}
	}
}
