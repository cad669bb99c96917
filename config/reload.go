package config

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Reloader loads the configuration and applies it. If either fails, the previous configuration stays in use.
type Reloader struct {
	load  func() (*Config, error)
	apply func(*Config) error
	now   func() time.Time

	successful  prometheus.Gauge
	successTime prometheus.Gauge

	mu      sync.Mutex // one reload at a time
	current struct {
		sync.Mutex
		*Config
		failure  error // of the last reload; nil if it succeeded
		failedAt time.Time
	}
}

// NewReloader returns a reloader and registers its metrics. It loads nothing before the first Reload.
func NewReloader(load func() (*Config, error), apply func(*Config) error, r prometheus.Registerer, now func() time.Time) *Reloader {
	f := promauto.With(r)
	return &Reloader{
		load: load, apply: apply, now: now,
		successful: f.NewGauge(prometheus.GaugeOpts{
			Name: "starrocks_backup_exporter_config_last_reload_successful",
			Help: "1 if the last attempt to load the configuration succeeded, else 0.",
		}),
		successTime: f.NewGauge(prometheus.GaugeOpts{
			Name: "starrocks_backup_exporter_config_last_reload_success_timestamp_seconds",
			Help: "Last successful load of the configuration.",
		}),
	}
}

// Reload loads the configuration and applies it.
func (r *Reloader) Reload() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, err := r.load()
	if err == nil {
		err = r.apply(c)
	}
	r.current.Lock()
	defer r.current.Unlock()
	r.current.failure = err
	if err != nil {
		r.current.failedAt = r.now()
		r.successful.Set(0)
		return err
	}
	r.current.Config = c
	r.successful.Set(1)
	r.successTime.Set(float64(r.now().UnixMilli()) / 1000)
	return nil
}

// Current returns the configuration in use, nil before the first success.
func (r *Reloader) Current() *Config {
	r.current.Lock()
	defer r.current.Unlock()
	return r.current.Config
}

// Failure returns when and why the last reload failed; a nil error if it succeeded.
func (r *Reloader) Failure() (at time.Time, err error) {
	r.current.Lock()
	defer r.current.Unlock()
	return r.current.failedAt, r.current.failure
}
