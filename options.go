package main

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/version"
	"github.com/prometheus/exporter-toolkit/web"
	"github.com/prometheus/exporter-toolkit/web/kingpinflag"

	"git.example.com/starrocks/starrocks_backup_exporter/collector/fleet"
)

type options struct {
	command         string
	configFile      string
	configCheck     bool
	demo            bool
	record          string
	playback        string
	telemetryPath   string
	routePrefix     string // begins and ends with /
	grafanaURL      string
	runbookURL      string
	maxRequests     int
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
	app.Flag("config.file", "Path to the configuration file.").Default("starrocks_backup_exporter.yml").StringVar(&o.configFile)
	app.Flag("config.check", "Check the configuration file, and that of --web.config.file, and exit.").BoolVar(&o.configCheck)
	app.Flag("demo", "Serve a simulated fleet. Needs no account and no configuration file.").BoolVar(&o.demo)
	app.Flag("api.record", "Record every answer of the API in this directory, without credentials.").PlaceHolder("DIR").StringVar(&o.record)
	app.Flag("api.playback", "Play back a recording of --api.record instead of calling the API, at the time of the recording. "+
		"Needs no account and no configuration file.").
		PlaceHolder("DIR").StringVar(&o.playback)
	app.Flag("web.telemetry-path", "Path under which to expose metrics.").Default("/metrics").StringVar(&o.telemetryPath)
	externalURL := app.Flag("web.external-url",
		"URL under which the exporter is reachable from outside, for example if it is behind a reverse proxy. "+
			"If it has a path, that path prefixes all HTTP endpoints.").PlaceHolder("URL").String()
	routePrefix := app.Flag("web.route-prefix",
		"Prefix of the internal routes of the HTTP endpoints. Defaults to the path of --web.external-url.").
		PlaceHolder("PATH").String()
	app.Flag("web.grafana-url", "URL of Grafana, for links from the page to the dashboard of an instance.").
		PlaceHolder("URL").StringVar(&o.grafanaURL)
	app.Flag("web.runbook-url", "URL of alerts/README.md as people read it, for links from the page to the runbook of a condition.").
		PlaceHolder("URL").StringVar(&o.runbookURL)
	app.Flag("web.max-requests",
		"Maximum number of scrapes, and of pages, answered at the same time. More get status 503.").Default("40").IntVar(&o.maxRequests)
	app.Flag("web.enable-lifecycle", "Enable reload by POST /-/reload.").BoolVar(&o.enableLifecycle)
	app.Flag("scrape.timeout", "Scrape timeout if Prometheus does not send one.").Default("10s").DurationVar(&o.deadlines.Timeout)
	app.Flag("scrape.timeout-offset",
		"Offset to subtract from the scrape timeout, so that the answer arrives before Prometheus gives up.").
		Default("0.5s").DurationVar(&o.deadlines.Offset)
	shard := app.Flag("shard", "Shard of the fleet that this process reads, from 0; or the name of a StatefulSet pod, which ends with it.").
		Default("0").String()
	app.Flag("total-shards", "Number of shards of the fleet.").Default("1").IntVar(&o.shard.Total)
	var logLevelSet bool
	app.Flag("log.level", "Only log messages of this level or above; error for the command check.").
		Default("info").IsSetByUser(&logLevelSet).EnumVar(&o.logLevel, "debug", "info", "warn", "error")
	app.Flag("log.format", "Output format of log messages.").Default("logfmt").EnumVar(&o.logFormat, "logfmt", "json")
	o.web = kingpinflag.AddFlags(app, ":10980")
	app.Command(commandServe, "Serve metrics. This is the default.").Default()
	check := app.Command(commandCheck, "Read every instance once and print a report. The exit status is 0 if all instances are healthy, "+
		"1 if at least one is unhealthy, and 2 if the check fails, or if something is unknown and no instance is unhealthy.")
	check.Flag("output", "Format of the report: table or json.").Default("table").EnumVar(&o.checkOutput, "table", "json")
	check.Flag("timeout", "Time limit. Instances that are not read by then are unknown.").Default("5m").DurationVar(&o.checkTimeout)
	app.Command(commandHealthcheck, "Check that the exporter at --web.listen-address of this machine is alive. For containers.")
	var err error
	if o.command, err = app.Parse(args); err != nil {
		return o, err
	}
	if o.command == commandCheck && !logLevelSet {
		o.logLevel = "error" // the report says what could not be read
	}
	return o, o.complete(*shard, *externalURL, *routePrefix)
}

// complete fills in what follows from several flags, and checks all of them.
func (o *options) complete(shard, externalURL, routePrefix string) (err error) {
	if o.routePrefix, err = routePrefixOf(externalURL, routePrefix); err != nil {
		return err
	}
	for flag, value := range map[string]string{"grafana-url": o.grafanaURL, "runbook-url": o.runbookURL} {
		if value != "" && !strings.HasPrefix(value, "http://") && !strings.HasPrefix(value, "https://") {
			return fmt.Errorf("--web.%s: %q is not an http or https URL", flag, value)
		}
	}
	index, err := strconv.Atoi(shard[strings.LastIndexByte(shard, '-')+1:])
	o.shard.Index = index
	switch {
	case err != nil || strings.HasPrefix(shard, "-"):
		return fmt.Errorf("--shard: %q is not a number and does not end with one", shard)
	case o.shard.Total < 1:
		return errors.New("--total-shards must be 1 or more")
	case o.shard.Index >= o.shard.Total:
		return fmt.Errorf("--shard must be below --total-shards: %d of %d", o.shard.Index, o.shard.Total)
	case o.demo && o.playback != "":
		return errors.New("--demo and --api.playback exclude each other: both replace the API")
	case o.command == commandCheck && o.checkTimeout <= 0:
		return errors.New("--timeout must be above 0")
	case o.maxRequests < 1:
		return errors.New("--web.max-requests must be 1 or more")
	case o.deadlines.Timeout <= 0:
		return errors.New("--scrape.timeout must be above 0")
	case o.deadlines.Offset < 0:
		return errors.New("--scrape.timeout-offset must not be negative")
	case o.telemetryPath == "" || o.telemetryPath[0] != '/' || o.telemetryPath == "/":
		return errors.New("--web.telemetry-path must begin with / and must not be /")
	}
	return nil
}

// routePrefixOf returns the prefix of all routes, which begins and ends with a slash.
func routePrefixOf(externalURL, prefix string) (string, error) {
	u, err := url.Parse(externalURL)
	if externalURL != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
		return "", fmt.Errorf("--web.external-url: %q is not an http or https URL with a host", externalURL)
	}
	if prefix == "" && u != nil {
		prefix = u.Path
	}
	prefix = strings.Trim(prefix, "/")
	if prefix == "" {
		return "/", nil
	}
	return "/" + prefix + "/", nil
}
