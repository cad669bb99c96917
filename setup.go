package main

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient/recording"
	"git.example.com/starrocks/starrocks_backup_exporter/collector"
	"git.example.com/starrocks/starrocks_backup_exporter/collector/fleet"
	"git.example.com/starrocks/starrocks_backup_exporter/config"
)

// exporter is what every command works with.
type exporter struct {
	scraper  *fleet.Scraper
	reloader *config.Reloader
	now      func() time.Time // the time of the fleet: that of the recording if one is played back
}

// setUp loads the configuration and returns the exporter of its fleet. It registers the metrics that outlive scrapes.
func setUp(o options, logger log.Logger, registry prometheus.Registerer) (*exporter, error) {
	load, now := func() (*config.Config, error) { return config.Load(o.configFile) }, time.Now
	var err error
	switch {
	case o.demo:
		load, err = startDemo()
	case o.playback != "":
		load, now, err = startPlayback(o.playback)
	}
	if err != nil {
		return nil, err
	}
	coalesced := promauto.With(registry).NewCounter(prometheus.CounterOpts{
		Name: "starrocks_backup_scrapes_coalesced_total",
		Help: "Scrapes that joined a collection under way.",
	})
	scraper := fleet.NewScraper(logger, now, coalesced.Inc)
	builder := fleet.NewBuilder(collector.NewAPIMetrics(registry), now, o.shard, logger)
	if o.record != "" {
		if builder.Recorder, err = recording.NewRecorder(o.record, now, logger); err != nil {
			return nil, fmt.Errorf("--api.record: %w", err)
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
		return nil, fmt.Errorf("configuration: %w (name another file with --config.file, or try --demo)", err)
	case err != nil:
		return nil, err
	}
	return &exporter{scraper: scraper, reloader: reloader, now: now}, nil
}
