//go:build system

package test

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/common/model"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient/simulator"
)

// The demo fleet, scraped by a Prometheus in agent mode that sends to another Prometheus, which evaluates the rules. The same alerts
// fire as with direct scraping. They go on while the exporter is down and after it is back, and those of a removed instance end.
// Each change arrives in several batches, and the rules are evaluated after each batch.
func TestAlertsThroughAgent(t *testing.T) {
	t.Parallel()
	binary, exporter, hook := build(t), freeAddress(t), newWebhook(t)
	fleet, api, file := simulator.DemoFleet(), serveDemoFleet(t), filepath.Join(t.TempDir(), "fleet.yml")
	configure(t, file, api, fleet)
	process := start(t, binary, "--config.file="+file, "--web.listen-address="+exporter)
	p, gate := newPipelineWithAgent(t, hook, exporter)
	server := prometheusServer(p.prometheus)
	removed := fleet[slices.IndexFunc(fleet, func(d simulator.DemoInstance) bool { return d.Name == "stock-overdue" })]
	want := wantOfTheDemo(t)
	p.settles(t, want)
	began := time.Now()
	p.tells(t, removed, `^Backup overdue: stock-overdue \(`+removed.InstanceID+`\) in cn-shanghai$`, `s ago$`)

	eventually(t, "instances known for long enough", func() error {
		return server.expect("starrocks_backup_up offset "+reported, len(fleet))
	})
	gate.slow.Store(true)
	eventually(t, "a scrape that has arrived in part", func() error { // up is its last series
		return server.expect("max(timestamp(starrocks_backup_condition)) > max(timestamp(up))", 1)
	})
	if err := process.Kill(); err != nil {
		t.Fatal(err)
	}
	down := exporterDown(exporter)
	wantDown := maps.Clone(want)
	wantDown[down] = "pager"
	p.settles(t, wantDown)
	p.tells(t, removed, `^Backup overdue: `+removed.InstanceID+` in cn-shanghai$`, `^unknown: no exporter answers, or none has read it yet$`)
	eventually(t, "an outage longer than the window that bridges batches", func() error {
		return server.expect("last_over_time(starrocks_backup_up["+bridged+"])", 0)
	})
	p.settles(t, wantDown)
	p.evaluations(t, began, want, down)
	if err := compare(hook.resolved(), nil); err != nil {
		t.Errorf("resolved while the exporter is down: %v", err)
	}

	process = start(t, binary, "--config.file="+file, "--web.listen-address="+exporter)
	eventually(t, "a scrape", func() error { return server.expect("up == 1", 1) })
	gate.slow.Store(false)
	p.settles(t, want)
	resolved := []string{down + " to pager"}
	eventually(t, "the end of ExporterDown", func() error { return compare(hook.resolved(), resolved) })
	p.evaluations(t, began, want, down)

	gate.slow.Store(true)
	configure(t, file, api, slices.DeleteFunc(fleet, func(d simulator.DemoInstance) bool { return d.Name == removed.Name }))
	if err := process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a scrape without the removed instance", func() error {
		return server.expect(fmt.Sprintf("{__name__=~'starrocks_backup_.+',instance_id=%q}", removed.InstanceID), 0)
	})
	gate.slow.Store(false)
	may := []string{down}
	for a := range demoAlerts[removed.Name] {
		alert := instanceAlert(removed, a)
		may, resolved = append(may, alert), append(resolved, alert+" to "+want[alert])
		delete(want, alert)
	}
	p.settles(t, want)
	eventually(t, "the end of the removed instance's alerts", func() error { return compare(hook.resolved(), resolved) })
	p.evaluations(t, began, want, may...)
}

// serveDemoFleet serves the API with the demo fleet.
func serveDemoFleet(t *testing.T) (address string) {
	t.Helper()
	sim := simulator.New(simulator.Options{AccessKeys: map[string]string{"id": "secret"}})
	for _, d := range simulator.DemoFleet() {
		sim.Set(d.Instance)
	}
	api := httptest.NewServer(sim)
	t.Cleanup(func() { api.CloseClientConnections(); api.Close() })
	return api.URL
}

// configure writes a configuration like the demo's for a fleet.
func configure(t *testing.T, file, api string, fleet []simulator.DemoInstance) {
	t.Helper()
	text := fmt.Sprintf("{api: {endpoint: %q}, policies: {refresh_interval: 1h}, restores: {refresh_interval: 1h, max_age: 90d}, "+
		"accounts: {default: {access_key_id: id, access_key_secret: secret}}, instances: [", api)
	for _, d := range fleet {
		text += fmt.Sprintf("{instance_id: %s, region_id: %s, max_age: %s}, ", d.InstanceID, d.RegionID, model.Duration(d.MaxAge))
	}
	if err := os.WriteFile(file, []byte(text+"]}"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// How long the rules bridge scrapes that arrive in batches, shortened so that the test can outlast it. Both are far longer than a change
// takes to arrive.
const (
	bridged  = "40s" // the window in which a record is remembered
	reported = "35s" // how long ago an instance must have been reported
)

// newPipelineWithAgent starts the pipeline with an agent that sends a scrape in four batches. It sends a batch when it is full, so the
// last samples of a scrape wait for the next scrape.
func newPipelineWithAgent(t *testing.T, hook *webhook, exporter string) (*pipeline, *batchGate) {
	t.Helper()
	rules := shorterRules(t)
	replaceText(t, rules, "[2m25s]", "["+bridged+"]")
	replaceText(t, rules, "offset 2m10s", "offset "+reported)
	p := &pipeline{alertmanager: startAlertmanager(t, hook), hook: hook}
	p.startRuler(t, "", rules, "--web.enable-remote-write-receiver")
	g := newBatchGate(t, prometheusServer(p.prometheus))
	runPrometheus(t, freeAddress(t), scrapeConfig("agent", []string{exporter})+
		"remote_write: [{url: '"+g.address+"/api/v1/write', queue_config: {max_samples_per_send: 400, max_shards: 1}}]",
		"--enable-feature=agent", "--storage.agent.path="+filepath.Join(t.TempDir(), "agent"), "--storage.remote.flush-deadline=1s")
	return p, g
}

// batchGate passes batches on to a Prometheus.
type batchGate struct {
	address string
	slow    atomic.Bool // whether each batch waits until the records have been evaluated with the previous one
}

func newBatchGate(t *testing.T, to prometheusServer) *batchGate {
	t.Helper()
	g, proxy := &batchGate{}, httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: string(to)})
	proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) } // logs nothing
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		proxy.ServeHTTP(w, r)
		evaluated := fmt.Sprintf("max(timestamp(starrocks_backup:condition)) > %.3f", float64(time.Now().UnixMilli())/1e3)
		for g.slow.Load() && t.Context().Err() == nil && to.expect(evaluated, 1) != nil {
			time.Sleep(50 * time.Millisecond)
		}
	}))
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	g.address = server.URL
	return g
}

// tells waits until Alertmanager has an instance's overdue alert with these texts.
func (p *pipeline) tells(t *testing.T, d simulator.DemoInstance, summary, lastRead string) {
	t.Helper()
	filter := url.Values{"filter": {`alertname="StarRocksBackupOverdue"`, fmt.Sprintf("instance_id=%q", d.InstanceID)}}
	eventually(t, "texts in Alertmanager", func() error {
		var alerts []struct{ Annotations map[string]string }
		err := fetchJSON(t, "http://"+p.alertmanager+"/api/v2/alerts?"+filter.Encode(), &alerts)
		if err == nil && (len(alerts) != 1 || !regexp.MustCompile(summary).MatchString(alerts[0].Annotations["summary"]) ||
			!regexp.MustCompile(lastRead).MatchString(alerts[0].Annotations["last_read"])) {
			err = fmt.Errorf("%v, want %s and %s", alerts, summary, lastRead)
		}
		return err
	})
}
