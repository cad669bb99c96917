package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/version"
	"github.com/prometheus/exporter-toolkit/web"
	"github.com/prometheus/exporter-toolkit/web/kingpinflag"

	"starrocks_backup_exporter/collector/fleet"
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
	app.Flag("config.file", "Path to the configuration file.").Default("starrocks_backup_exporter.yml").StringVar(&o.configFile)
	app.Flag("config.check", "Check the configuration file and exit.").BoolVar(&o.configCheck)
	app.Flag("demo", "Serve a simulated fleet. Needs no account and no configuration file.").BoolVar(&o.demo)
	app.Flag("api.record", "Record every answer of the API in this directory, without credentials.").PlaceHolder("DIR").StringVar(&o.record)
	app.Flag("api.playback", "Play back a recording of --api.record instead of calling the API, at the time of the recording. "+
		"Needs no account and no configuration file.").
		PlaceHolder("DIR").StringVar(&o.playback)
	app.Flag("web.telemetry-path", "Path under which to expose metrics.").Default("/metrics").StringVar(&o.telemetryPath)
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
		"1 if one is unhealthy, else 2 if one is unknown.")
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
	index, err := strconv.Atoi((*shard)[strings.LastIndexByte(*shard, '-')+1:])
	o.shard.Index = index
	switch {
	case err != nil || strings.HasPrefix(*shard, "-"):
		return o, fmt.Errorf("--shard: %q is not a number and does not end with one", *shard)
	case o.shard.Total < 1:
		return o, errors.New("--total-shards must be 1 or more")
	case o.shard.Index >= o.shard.Total:
		return o, fmt.Errorf("--shard must be below --total-shards: %d of %d", o.shard.Index, o.shard.Total)
	case o.demo && o.playback != "":
		return o, errors.New("--demo and --api.playback exclude each other: both replace the API")
	case o.command == commandCheck && o.checkTimeout <= 0:
		return o, errors.New("--timeout must be above 0")
	case o.deadlines.Timeout <= 0:
		return o, errors.New("--scrape.timeout must be above 0")
	case o.deadlines.Offset < 0:
		return o, errors.New("--scrape.timeout-offset must not be negative")
	case o.telemetryPath == "" || o.telemetryPath[0] != '/' || o.telemetryPath == "/":
		return o, errors.New("--web.telemetry-path must begin with / and must not be /")
	}
	return o, nil
}
