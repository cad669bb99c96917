//go:build system

package test

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient/simulator"
)

// Ten thousand instances that four processes find and share, scraped by a real Prometheus: each is read by one of them. Then a
// fifth process joins, and all are restarted for it: each is still read by one.
func TestHeavyShardsOfTenThousand(t *testing.T) {
	const n = 10000
	sim := simulator.New(simulator.Options{AccessKeys: map[string]string{"id": "secret"}})
	began := time.Now().Add(-2 * time.Hour)
	for i := range n {
		sim.Set(simulator.Instance{InstanceID: fmt.Sprintf("c-%d", i), RegionID: "cn-hangzhou", Tasks: func(time.Time) []simulator.Task {
			return []simulator.Task{
				{BackupTaskID: "bt-1", Status: "COMPLETED", Start: simulator.Millis(began), Finish: simulator.Millis(began.Add(time.Hour))},
			}
		}})
	}
	api := httptest.NewServer(http.Handler(sim))
	t.Cleanup(api.Close)
	file := filepath.Join(t.TempDir(), "fleet.yml")
	text := fmt.Sprintf(
		"api: {endpoint: %q, requests_per_second: 100000, concurrency: 64}\naccounts: {default: {access_key_id: id, access_key_secret: "+
			"secret}}\ndiscovery: [{region_id: cn-hangzhou}]",
		api.URL,
	)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	binary := build(t)
	addresses := make([]string, 5)
	var processes []*os.Process
	run := func(total int) {
		for shard := range total {
			if addresses[shard] == "" {
				addresses[shard] = freeAddress(t)
			}
			processes = append(processes, start(t, binary, "--config.file="+file, "--web.listen-address="+addresses[shard],
				fmt.Sprintf("--shard=exporter-%d", shard), fmt.Sprintf("--total-shards=%d", total)))
		}
	}
	run(4)
	addresses[4] = freeAddress(t)

	directory := t.TempDir()
	configuration := filepath.Join(directory, "prometheus.yml")
	text = fmt.Sprintf(
		"scrape_configs: [{job_name: starrocks_backup, scrape_interval: 1m, scrape_timeout: 1m, static_configs: [{targets: [%s]}],"+
			" metric_relabel_configs: [{source_labels: [__name__], regex: "+
			"'starrocks_backup_(up|restorable_backups|scrape_errors_total|shard_instances|discovered_instances|last_read_timestamp_seconds)', "+
			"action: keep}]}]",
		strings.Join(addresses, ","),
	)
	if err := os.WriteFile(configuration, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	server := prometheusServer(freeAddress(t))
	start(
		t,
		"prometheus",
		"--config.file="+configuration,
		"--storage.tsdb.path="+filepath.Join(directory, "data"),
		"--web.listen-address="+string(server),
	)
	shared := func(total int) {
		t.Helper()
		eventually(t, fmt.Sprintf("%d shards", total), func() error {
			for query, want := range map[string]string{
				"count(starrocks_backup_up == 1)":                                                     fmt.Sprint(n),
				"count(count by (instance_id) (starrocks_backup_up))":                                 fmt.Sprint(n),
				"sum(starrocks_backup_restorable_backups)":                                            fmt.Sprint(n),
				"sum(starrocks_backup_shard_instances)":                                               fmt.Sprint(n),
				"sum(starrocks_backup_discovered_instances)":                                          fmt.Sprint(n),
				"sum(starrocks_backup_scrape_errors_total{reason!='timeout'})":                        "0", // a slow machine may time out
				"count(starrocks_backup_shard_instances)":                                             fmt.Sprint(total),
				fmt.Sprintf("min(starrocks_backup_shard_instances) > %d", n/total*9/10) + " > bool 0": "1",
			} {
				result, err := server.query("query", map[string][]string{"query": {query}})
				if err != nil {
					return err
				}
				if len(result) != 1 || result[0].Value[1] != want {
					return fmt.Errorf("%s is %v, want %s", query, result, want)
				}
			}
			return nil
		})
	}
	shared(4)
	for _, p := range processes {
		if err := p.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		_, _ = p.Wait()
	}
	run(5)
	shared(5)
}

// The demo's fleet moves from two shards to three as docs/fleets.md says, one process after the other, each when the one before was
// scraped: no alert ends, and none comes.
func TestAlertsWhileShardsChange(t *testing.T) {
	t.Parallel()
	binary, hook := build(t), newWebhook(t)
	addresses := []string{freeAddress(t), freeAddress(t), freeAddress(t)}
	run := func(shard, total int) *os.Process {
		return start(
			t,
			binary,
			"--demo",
			"--web.listen-address="+addresses[shard],
			fmt.Sprintf("--shard=%d", shard),
			fmt.Sprintf("--total-shards=%d", total),
		)
	}
	two := []*os.Process{run(0, 2), run(1, 2)}
	p := newPipeline(t, hook, addresses...)
	want := wantOfTheDemo(t)
	p.settles(t, want)
	began := time.Now()
	scraped := func(shards int) {
		t.Helper()
		eventually(t, "a scrape of the new shard", func() error {
			return prometheusServer(p.prometheus).expect(`starrocks_backup_shard_instances{total_shards="3"}`, shards)
		})
	}
	run(2, 3)
	scraped(1)
	for shard, process := range two {
		if err := process.Kill(); err != nil {
			t.Fatal(err)
		}
		_, _ = process.Wait()
		run(shard, 3)
		scraped(2 + shard)
	}
	p.settles(t, want)
	p.evaluations(t, began, want)
	if err := compare(hook.resolved(), nil); err != nil {
		t.Errorf("resolved while shards changed: %v", err)
	}
}

// Two exporters, two Prometheus servers that each scrape both, one Alertmanager. One of each is stopped: beside the alert on the
// exporter nothing changes, and no page comes twice.
func TestHighAvailability(t *testing.T) {
	t.Parallel()
	binary, hook := build(t), newWebhook(t)
	exporters := []string{freeAddress(t), freeAddress(t)}
	first := start(t, binary, "--demo", "--web.listen-address="+exporters[0])
	start(t, binary, "--demo", "--web.listen-address="+exporters[1])
	one := newPipeline(t, hook, exporters...)
	two := &pipeline{alertmanager: one.alertmanager, hook: hook}
	two.startPrometheus(t, "two", exporters)
	want := wantOfTheDemo(t)
	one.settles(t, want)
	two.settles(t, want)
	began := time.Now()

	if err := first.Kill(); err != nil {
		t.Fatal(err)
	}
	down := exporterDown(exporters[0])
	wantDown := maps.Clone(want)
	wantDown[down] = "pager"
	one.settles(t, wantDown)
	two.settles(t, wantDown)
	one.evaluations(t, began, want, down)
	if err := one.kill(); err != nil {
		t.Fatal(err)
	}
	two.settles(t, wantDown)
	two.evaluations(t, began, want, down)
	if err := compare(hook.resolved(), nil); err != nil {
		t.Errorf("resolved with one of each stopped: %v", err)
	}
}
