//go:build system && linux

package test

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// BenchmarkPrometheus says what an instance costs the Prometheus in the path: in memory beside one that scrapes only itself, and on disk
// for each sample. Scrapes come every 2 seconds, so a block of 4 minutes has the 120 samples per series of one of 2 hours.
func BenchmarkPrometheus(b *testing.B) {
	const instances, block = 200, 120
	binary := buildExporter(b)
	api := newBenchAPI(b, binary, benchTasks)
	exporter := freeAddressOf(b)
	startOf(b, binary, "--config.file="+api.configuration(b, instances), "--web.listen-address="+exporter)
	for b.Loop() {
		alone, _ := prometheusOf(b, "")
		pid, server := prometheusOf(b, exporter)
		value := func(query string) float64 {
			result, err := server.query("query", url.Values{"query": {query}})
			if err != nil || len(result) != 1 {
				return 0 // not yet
			}
			number, _ := strconv.ParseFloat(result[0].Value[1].(string), 64)
			return number
		}
		const samples = "prometheus_tsdb_compaction_chunk_samples_sum"
		for value(samples) < 1.5*block*value("prometheus_tsdb_head_series") || value(samples) == 0 { // more than a whole block
			time.Sleep(5 * time.Second)
		}
		series := value("scrape_samples_scraped{job='starrocks_backup'}")
		bytes := value("prometheus_tsdb_compaction_chunk_size_bytes_sum") / value(samples)
		b.ReportMetric(series/instances, "series/instance")
		b.ReportMetric(1000*(peakOf(b, pid)-peakOf(b, alone))/instances, "peak-kB/instance")
		b.ReportMetric(bytes, "chunk-B/sample")
		b.ReportMetric(value("prometheus_tsdb_storage_blocks_bytes")/value(samples), "block-B/sample")
		b.ReportMetric(bytes*series/instances*60*24*365/1e6, "MB/instance-year")
		b.ReportMetric(0, "ns/op")
	}
}

// prometheusOf starts a Prometheus that scrapes itself, and an exporter if there is one.
func prometheusOf(b *testing.B, exporter string) (pid int, server prometheusServer) {
	b.Helper()
	server = prometheusServer(freeAddressOf(b))
	text := "global: {scrape_interval: 2s, scrape_timeout: 2s}\nscrape_configs:\n" +
		"- {job_name: prometheus, static_configs: [{targets: ['" + string(server) + "']}]}\n"
	if exporter != "" {
		text += "- {job_name: starrocks_backup, static_configs: [{targets: ['" + exporter + "']}]}\n"
	}
	file := filepath.Join(b.TempDir(), "prometheus.yml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	pid = startOf(b, "prometheus", "--config.file="+file, "--storage.tsdb.path="+filepath.Join(b.TempDir(), "data"),
		"--web.listen-address="+string(server), "--storage.tsdb.min-block-duration=4m", "--storage.tsdb.max-block-duration=4m")
	return pid, server
}

// startOf starts a program that runs until the benchmark ends.
func startOf(b *testing.B, name string, args ...string) (pid int) {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), name, args...)
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = cmd.Wait() }) // its context has ended
	return cmd.Process.Pid
}
