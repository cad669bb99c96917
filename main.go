// Command starrocks_backup_exporter serves the health of backups of EMR Serverless StarRocks to Prometheus.
package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	stdlog "log"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"
	_ "time/tzdata" // schedules have time zones, and not every machine knows them

	"github.com/alecthomas/kingpin/v2"
	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	versioncollector "github.com/prometheus/client_golang/prometheus/collectors/version"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/common/version"
	"github.com/prometheus/exporter-toolkit/web"
	"github.com/prometheus/exporter-toolkit/web/kingpinflag"
	sloggokit "github.com/tjhop/slog-gokit"

	"starrocks_backup_exporter/apiclient/recording"
	"starrocks_backup_exporter/collector"
	"starrocks_backup_exporter/collector/fleet"
	"starrocks_backup_exporter/collector/report"
	"starrocks_backup_exporter/config"
)

type options struct {
	command         string
	configFile      string
	configCheck     bool
	demo            bool
	record          string
	playback        string
	telemetryPath   string
	enableLifecycle bool
	deadlines       fleet.Deadlines
	shard           fleet.Shard
	logLevel        string
	logFormat       string
	web             *web.FlagConfig
	checkOutput     string
	checkTimeout    time.Duration
}

// The commands.
const (
	commandServe       = "serve"
	commandCheck       = "check"
	commandHealthcheck = "healthcheck"
)

func parse(args []string) (options, error) {
	var o options
	app := kingpin.New("starrocks_backup_exporter", "Prometheus exporter for the health of backups of Alibaba Cloud EMR Serverless StarRocks.")
	app.HelpFlag.Short('h')
	app.Version(version.Print("starrocks_backup_exporter"))
	app.Flag("config.file", "Configuration file.").Default("starrocks_backup_exporter.yml").StringVar(&o.configFile)
	app.Flag("config.check", "Check the configuration file and exit.").BoolVar(&o.configCheck)
	app.Flag("demo", "Serve a simulated fleet; needs no account and no configuration file.").BoolVar(&o.demo)
	app.Flag("api.record", "Write each answer of the API to a file in this directory, without credentials.").PlaceHolder("DIR").StringVar(&o.record)
	app.Flag("api.playback", "Answer in the API's place from a directory that --api.record wrote, at the time of the recording; needs no account and no configuration file.").
		PlaceHolder("DIR").StringVar(&o.playback)
	app.Flag("web.telemetry-path", "Path of the metrics.").Default("/metrics").StringVar(&o.telemetryPath)
	app.Flag("web.enable-lifecycle", "Allow POST /-/reload.").BoolVar(&o.enableLifecycle)
	app.Flag("scrape.timeout", "Time for a scrape where Prometheus names none.").Default("10s").DurationVar(&o.deadlines.Timeout)
	app.Flag("scrape.timeout-offset", "Taken off a scrape's time, so that the answer arrives before Prometheus gives up.").
		Default("0.5s").DurationVar(&o.deadlines.Offset)
	shard := app.Flag("shard", "Which part of the fleet this process reads, from 0; or the name of a StatefulSet's pod, whose ordinal it then is.").Default("0").String()
	app.Flag("total-shards", "How many processes share the fleet.").Default("1").IntVar(&o.shard.Total)
	var logLevelSet bool
	app.Flag("log.level", "Least level logged; error for the command check.").Default("info").IsSetByUser(&logLevelSet).EnumVar(&o.logLevel, "debug", "info", "warn", "error")
	app.Flag("log.format", "Format of the log.").Default("logfmt").EnumVar(&o.logFormat, "logfmt", "json")
	o.web = kingpinflag.AddFlags(app, ":10980")
	app.Command(commandServe, "Serve metrics; what it does without a command.").Default()
	check := app.Command(commandCheck, "Read every instance once and print what is found. The exit status is 0 where all are healthy, 1 where a condition holds, else 2 where anything is unknown.")
	check.Flag("output", "table or json.").Default("table").EnumVar(&o.checkOutput, "table", "json")
	check.Flag("timeout", "Time for all of it; what is not read by then is unknown.").Default("5m").DurationVar(&o.checkTimeout)
	app.Command(commandHealthcheck, "Ask the exporter on this machine, at --web.listen-address, whether it lives: for containers.")
	var err error
	if o.command, err = app.Parse(args); err != nil {
		return o, err
	}
	if o.command == commandCheck && !logLevelSet {
		o.logLevel = "error" // the report says what could not be read
	}
	index, err := strconv.Atoi((*shard)[strings.LastIndexByte(*shard, '-')+1:])
	o.shard.Index = index
	switch {
	case err != nil || strings.HasPrefix(*shard, "-"):
		return o, fmt.Errorf("--shard: %q is no number and does not end with an ordinal", *shard)
	case o.shard.Total < 1:
		return o, errors.New("--total-shards must be 1 or more")
	case o.shard.Index >= o.shard.Total:
		return o, fmt.Errorf("--shard must be below --total-shards: %d of %d", o.shard.Index, o.shard.Total)
	case o.demo && o.playback != "":
		return o, errors.New("--demo and --api.playback are both in the API's place")
	case o.command == commandCheck && o.checkTimeout <= 0:
		return o, errors.New("--timeout must be above 0")
	case o.deadlines.Timeout <= 0:
		return o, errors.New("--scrape.timeout must be above 0")
	case o.deadlines.Offset < 0:
		return o, errors.New("--scrape.timeout-offset must not be negative")
	case o.telemetryPath == "" || o.telemetryPath[0] != '/' || o.telemetryPath == "/":
		return o, errors.New("--web.telemetry-path must begin with / and not be the page's own path /")
	}
	return o, nil
}

func main() {
	o, err := parse(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "starrocks_backup_exporter: error:", err, "(try --help)")
		os.Exit(2)
	}
	logger := newLogger(o)
	switch {
	case o.configCheck:
		os.Exit(checkConfig(o.configFile))
	case o.command == commandCheck:
		status, err := check(o, logger, os.Stdout)
		if err != nil {
			fmt.Fprintln(os.Stderr, "starrocks_backup_exporter:", err)
		}
		os.Exit(status)
	case o.command == commandHealthcheck:
		if err := healthcheck((*o.web.WebListenAddresses)[0]); err != nil {
			fmt.Fprintln(os.Stderr, "starrocks_backup_exporter:", err)
			os.Exit(1)
		}
		return
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50) // memory for a little time: at a thousand instances a fifth less
	}
	if err := run(o, logger); err != nil {
		level.Error(logger).Log("msg", "cannot run", "err", err)
		os.Exit(1)
	}
}

func checkConfig(path string) int {
	c, err := config.Load(path)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Printf("%s: OK, %d instances, %d regions to discover\n", path, len(c.Instances), len(c.Discovery))
	return 0
}

func newLogger(o options) log.Logger {
	newFormat := log.NewLogfmtLogger
	if o.logFormat == "json" {
		newFormat = log.NewJSONLogger
	}
	logger := log.With(newFormat(log.NewSyncWriter(os.Stderr)), "ts", log.DefaultTimestampUTC)
	return level.NewFilter(logger, level.Allow(level.ParseDefault(o.logLevel, level.InfoValue())))
}

// setUp loads the configuration and makes what reads its fleet. What is counted over all scrapes goes to registry.
func setUp(o options, logger log.Logger, registry prometheus.Registerer) (*fleet.Scraper, *config.Reloader, error) {
	load, now := func() (*config.Config, error) { return config.Load(o.configFile) }, time.Now
	var err error
	switch {
	case o.demo:
		load, err = startDemo()
	case o.playback != "":
		load, now, err = startPlayback(o.playback)
	}
	if err != nil {
		return nil, nil, err
	}
	coalesced := promauto.With(registry).NewCounter(prometheus.CounterOpts{
		Name: "starrocks_backup_scrapes_coalesced_total",
		Help: "Scrapes that joined a collection under way.",
	})
	scraper := fleet.NewScraper(logger, now, coalesced.Inc)
	builder := fleet.NewBuilder(collector.NewAPIMetrics(registry), now, o.shard)
	if o.record != "" {
		if builder.Recorder, err = recording.NewRecorder(o.record, now, logger); err != nil {
			return nil, nil, fmt.Errorf("--api.record: %w", err)
		}
	}
	reloader := config.NewReloader(load, func(c *config.Config) error {
		f, err := builder.Build(c)
		if err == nil {
			scraper.SetFleet(f)
		}
		return err
	}, registry, now)
	switch err := reloader.Reload(); {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil, fmt.Errorf("configuration: %w (--config.file names another; --demo needs none)", err)
	case err != nil:
		return nil, nil, fmt.Errorf("configuration:\n%w", err)
	}
	return scraper, reloader, nil
}

func run(o options, logger log.Logger) error {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		versioncollector.NewCollector("starrocks_backup_exporter"),
	)
	scraper, reloader, err := setUp(o, logger, registry)
	if err != nil {
		return err
	}
	level.Info(logger).Log("msg", "starting", "version", version.Info(), "instances", len(reloader.Current().Instances),
		"regions", len(reloader.Current().Discovery), "shard", o.shard.Index, "total_shards", o.shard.Total, "demo", o.demo, "playback", o.playback)

	scrape := func(r *http.Request) *fleet.Result { return o.deadlines.Scrape(scraper, r) }
	metrics := collector.NewHandler(scrape, registry, logger)
	links := report.Links{MetricsPath: o.telemetryPath, Version: version.Version}
	page := report.NewPage(scraper.Last, scrape, time.Now, links, logger)
	server := &http.Server{
		Handler: routes(o, metrics, page, reloader, logger), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: 5 * time.Minute,
		MaxHeaderBytes: 64 << 10, ErrorLog: stdlog.New(log.NewStdlibAdapter(level.Warn(logger)), "", 0),
	}
	return serve(server, o, reloader, logger)
}

func routes(o options, metrics, page http.Handler, reloader *config.Reloader, logger log.Logger) http.Handler {
	mux := http.NewServeMux()
	text := func(w http.ResponseWriter, status int, body string) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(status)
		fmt.Fprintln(w, body)
	}
	mux.Handle(o.telemetryPath, limitWriting(metrics))
	mux.Handle("/{$}", limitWriting(page))
	mux.HandleFunc("/config", func(w http.ResponseWriter, _ *http.Request) {
		text(w, http.StatusOK, reloader.Current().String())
	})
	mux.HandleFunc("/-/healthy", func(w http.ResponseWriter, _ *http.Request) { text(w, http.StatusOK, "healthy") })
	mux.HandleFunc("/-/ready", func(w http.ResponseWriter, _ *http.Request) {
		if reloader.Current() == nil {
			text(w, http.StatusServiceUnavailable, "the configuration is not loaded")
			return
		}
		text(w, http.StatusOK, "ready")
	})
	mux.HandleFunc("/-/reload", func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !o.enableLifecycle:
			text(w, http.StatusForbidden, "start with --web.enable-lifecycle to allow this")
		case r.Method != http.MethodPost:
			w.Header().Set("Allow", http.MethodPost)
			text(w, http.StatusMethodNotAllowed, "POST, please")
		default:
			if err := reload(reloader, logger); err != nil {
				text(w, http.StatusInternalServerError, "not reloaded, what ran goes on:\n"+err.Error())
				return
			}
			text(w, http.StatusOK, "reloaded")
		}
	})
	for path, handler := range map[string]http.HandlerFunc{
		"": pprof.Index, "cmdline": pprof.Cmdline, "profile": pprof.Profile, "symbol": pprof.Symbol, "trace": pprof.Trace,
	} {
		mux.HandleFunc("/debug/pprof/"+path, onlyLocal(handler))
	}
	return mux
}

// onlyLocal serves this machine only: a profile costs time, and shows more than a network should see.
func onlyLocal(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if from, err := netip.ParseAddrPort(r.RemoteAddr); err != nil || !from.Addr().Unmap().IsLoopback() {
			http.Error(w, "from the machine itself only, such as by kubectl port-forward", http.StatusForbidden)
			return
		}
		next(w, r)
	}
}

// writeTimeout is how long a client may take to read an answer.
const writeTimeout = 30 * time.Second

// limitWriting ends an answer that its client does not read. The time begins with the first byte, after the scrape.
func limitWriting(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(&limitedWriter{ResponseWriter: w}, r)
	})
}

type limitedWriter struct {
	http.ResponseWriter

	limited bool
}

// Write implements http.ResponseWriter.
func (w *limitedWriter) Write(p []byte) (int, error) {
	if !w.limited {
		w.limited = true
		_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(time.Now().Add(writeTimeout)) // a test's writer has none
	}
	return w.ResponseWriter.Write(p)
}

func reload(r *config.Reloader, logger log.Logger) error {
	err := r.Reload()
	if err != nil {
		level.Error(logger).Log("msg", "the configuration was not reloaded, what ran goes on", "err", err)
		return err
	}
	level.Info(logger).Log("msg", "the configuration was reloaded", "instances", len(r.Current().Instances), "regions", len(r.Current().Discovery))
	return nil
}

// serve runs until a signal to end: SIGHUP reloads.
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
		ended <- web.ListenAndServe(server, o.web, slog.New(sloggokit.NewGoKitHandler(logger, nil)))
	}()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		level.Info(logger).Log("msg", "ending")
		grace, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		return server.Shutdown(grace)
	}
}
