package collector

import (
	"math"

	"github.com/prometheus/client_golang/prometheus"

	"git.example.com/starrocks/starrocks_backup_exporter/collector/fleet"
)

// resultCollector exports one result.
type resultCollector struct {
	result *fleet.Result
	descs  []*prometheus.Desc // in the order of metrics
}

// New returns a collector of a finished scrape, for programs that embed the exporter in a registry of their own.
func New(r *fleet.Result) prometheus.Collector {
	c := resultCollector{result: r, descs: make([]*prometheus.Desc, len(metrics))}
	for i := range metrics {
		m := &metrics[i]
		labels := m.labels
		if m.ofInstance != nil {
			labels = append([]string{instanceIDLabel, regionIDLabel}, labels...)
		}
		c.descs[i] = prometheus.NewDesc(m.name, m.help, labels, nil)
	}
	return c
}

// Describe implements prometheus.Collector.
func (c resultCollector) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		descs <- d
	}
}

// Collect implements prometheus.Collector.
func (c resultCollector) Collect(series chan<- prometheus.Metric) {
	for i := range metrics {
		m := &metrics[i]
		emit := func(value float64, labels []string) {
			if math.IsNaN(value) {
				return
			}
			one, err := prometheus.NewConstMetric(c.descs[i], m.kind, value, labels...)
			if err != nil {
				one = prometheus.NewInvalidMetric(c.descs[i], err)
			}
			series <- one
		}
		if m.ofResult != nil {
			m.ofResult(c.result, func(value float64, labels ...string) { emit(value, labels) })
			continue
		}
		for n := range c.result.Instances {
			r := &c.result.Instances[n]
			own := []string{r.Instance.InstanceID, r.Instance.RegionID}
			m.ofInstance(r, func(value float64, labels ...string) { emit(value, append(own[:2:2], labels...)) })
		}
	}
}
