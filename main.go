// Command starrocks_backup_exporter serves the health of backups of EMR Serverless StarRocks to Prometheus.
package main

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"
	_ "time/tzdata" // schedules have time zones, and not every machine has the database

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/alecthomas/kingpin/v2"
	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	versioncollector "github.com/prometheus/client_golang/prometheus/collectors/version"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/version"
	"github.com/prometheus/exporter-toolkit/web"

	"git.example.com/starrocks/starrocks_backup_exporter/config"
)

func main() {
	setVersion()
	kingpin.ManPageTemplate = manPage(kingpin.ManPageTemplate)                  // for --help-man
	kingpin.BashCompletionTemplate = completion(kingpin.BashCompletionTemplate) // for --completion-script-bash
	o, err := parse(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "starrocks_backup_exporter: error:", err, "(try --help)")
		os.Exit(2)
	}
	logger := newLogger(o)
	switch {
	case o.configCheck:
		os.Exit(checkConfig(o, os.Stdout, os.Stderr))
	case o.command == commandCheck:
		status, err := check(o, logger, os.Stdout)
		if err != nil {
			fmt.Fprintln(os.Stderr, "starrocks_backup_exporter:", err)
		}
		os.Exit(status)
	case o.command == commandHealthcheck:
		if err := healthcheck((*o.web.WebListenAddresses)[0], o.routePrefix); err != nil {
			fmt.Fprintln(os.Stderr, "starrocks_backup_exporter:", err)
			os.Exit(1)
		}
		return
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50) // trades CPU for about 20 % less memory at 1,000 instances
	}
	limitMemory(logger)
	if err := run(o, logger); err != nil {
		logLines(logger, "the exporter failed, exiting", err)
		os.Exit(1)
	}
}

// limitMemory makes the garbage collector work harder before the kernel kills the process at the limit of its cgroup.
// GOMEMLIMIT takes precedence.
func limitMemory(logger log.Logger) {
	if _, err := memlimit.Set(); err != nil {
		level.Debug(logger).Log("msg", "no memory limit set", "err", err)
	}
}

// setVersion fills in the version of a binary that was not built by make, such as that of go run.
func setVersion() {
	if info, ok := debug.ReadBuildInfo(); ok && version.Version == "" {
		version.Version = cmp.Or(strings.Trim(info.Main.Version, "()"), "devel")
	}
}

func run(o options, logger log.Logger) error {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		versioncollector.NewCollector("starrocks_backup_exporter"),
	)
	if err := checkWebConfig(*o.web.WebConfigFile); err != nil {
		return err
	}
	e, err := setUp(o, logger, registry)
	if err != nil {
		return err
	}
	c := e.reloader.Current()
	logWarnings(c, logger)
	level.Info(logger).Log("msg", "starting", "version", version.Version, "revision", version.GetRevision(), "go_version", version.GoVersion,
		"instances", len(c.Instances), "regions", len(c.Discovery),
		"shard", o.shard.Index, "total_shards", o.shard.Total, "demo", o.demo, "playback", o.playback)

	server := &http.Server{
		Handler:           handlers(o, e, openMetrics(registry), logger),
		ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: 5 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: newServerLogger(newSlogLogger(o)),
	}
	return serve(server, o, e.reloader, logger)
}

// openMetrics leaves out the gauge go_memstats_alloc_bytes. In OpenMetrics, the family name of a counter has no _total, so that of
// go_memstats_alloc_bytes_total is the same, and strict parsers reject the whole answer.
// go_memstats_heap_alloc_bytes has the gauge's value.
func openMetrics(own prometheus.Gatherer) prometheus.Gatherer {
	return prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		families, err := own.Gather()
		return slices.DeleteFunc(families, func(f *dto.MetricFamily) bool { return f.GetName() == "go_memstats_alloc_bytes" }), err
	})
}

// serve runs until a termination signal. SIGHUP reloads.
func serve(server *http.Server, o options, reloader *config.Reloader, logger log.Logger) error {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	go func() {
		for range hangup {
			_ = reload(reloader, logger) // logged there
		}
	}()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	ended := make(chan error, 1)
	go func() {
		ended <- web.ListenAndServe(server, o.web, newSlogLogger(o))
	}()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		level.Info(logger).Log("msg", "shutting down")
		grace, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := server.Shutdown(grace); err != nil { // a scrape is still under way; Prometheus scrapes again
			level.Info(logger).Log("msg", "closing connections that are still in use", "err", err)
			_ = server.Close()
		}
		return nil
	}
}
