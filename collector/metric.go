package collector

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
	"git.example.com/starrocks/starrocks_backup_exporter/collector/fleet"
	"git.example.com/starrocks/starrocks_backup_exporter/collector/health"
)

const (
	namespace       = "starrocks_backup_"
	instanceIDLabel = "instance_id"
	regionIDLabel   = "region_id"
)

// metric is one row of the table below, and where its series come from.
type metric struct {
	name, help string
	kind       prometheus.ValueType
	labels     []string // besides those of the instance
	order      []int    // of all labels by name: positions in labels, or one of the two below
	// One of these is set. It emits the metric's series with the values of its own labels: those of an instance, or of a whole result.
	// A NaN is unknown and left out.
	ofInstance func(r *fleet.InstanceResult, emit func(value float64, labels ...string))
	ofResult   func(r *fleet.Result, emit func(value float64, labels ...string))
}

const (
	instanceIDPosition = -2
	regionIDPosition   = -1
)

// instanceMetric has the labels of the instance besides its own.
func instanceMetric(name, help string, kind prometheus.ValueType, labels []string,
	series func(*fleet.InstanceResult, func(float64, ...string)),
) metric {
	all := append([]string{instanceIDLabel, regionIDLabel}, labels...)
	order := make([]int, len(all))
	for i := range order {
		order[i] = i - 2
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(all[a+2], all[b+2]) })
	return metric{name: namespace + name, help: help, kind: kind, labels: labels, order: order, ofInstance: series}
}

// resultMetric has only its own labels, which are given in alphabetical order.
func resultMetric(
	name, help string,
	kind prometheus.ValueType,
	labels []string,
	series func(*fleet.Result, func(float64, ...string)),
) metric {
	order := make([]int, len(labels))
	for i := range order {
		order[i] = i
	}
	return metric{name: namespace + name, help: help, kind: kind, labels: labels, order: order, ofResult: series}
}

// discoveryMetric has the labels of the discovery, and one more unless label is empty.
func discoveryMetric(name, help string, kind prometheus.ValueType, label string,
	series func(d *fleet.DiscoveryResult, emit func(value float64, label string)),
) metric {
	labels := []string{"account", "region_id", "tags"}
	if label != "" {
		labels = []string{"account", label, "region_id", "tags"}
	}
	return resultMetric(name, help, kind, labels, func(r *fleet.Result, emit func(float64, ...string)) {
		for i := range r.Discoveries {
			d := &r.Discoveries[i]
			tags := shorten(d.Tags)
			series(d, func(value float64, own string) {
				if label == "" {
					emit(value, d.Account, d.RegionID, tags)
				} else {
					emit(value, d.Account, own, d.RegionID, tags)
				}
			})
		}
	})
}

// instanceGauge is exported whether or not the instance could be read.
func instanceGauge(name, help string, value func(*fleet.InstanceResult) float64) metric {
	return instanceMetric(name, help, prometheus.GaugeValue, nil,
		func(r *fleet.InstanceResult, emit func(float64, ...string)) { emit(value(r)) })
}

// instanceCounter is exported whether or not the instance could be read, from 0 on.
func instanceCounter[K ~string](name, help, label string, keys []K, counts func(*fleet.InstanceResult) map[K]int) metric {
	return instanceMetric(name, help, prometheus.CounterValue, []string{label},
		func(r *fleet.InstanceResult, emit func(float64, ...string)) {
			for _, k := range keys {
				emit(float64(counts(r)[k]), string(k))
			}
		})
}

// healthGauge is exported if the instance was read.
func healthGauge(name, help string, value func(*health.Health) float64) metric {
	return healthGauges(name, help, nil, func(r *fleet.InstanceResult, emit func(float64, ...string)) { emit(value(r.Health)) })
}

// healthGauges has labels of its own. It is exported if the instance was read.
func healthGauges(name, help string, labels []string, series func(*fleet.InstanceResult, func(float64, ...string))) metric {
	return instanceMetric(name, help, prometheus.GaugeValue, labels, func(r *fleet.InstanceResult, emit func(float64, ...string)) {
		if r.Health != nil {
			series(r, emit)
		}
	})
}

// limitGauge is exported whether or not the instance could be read.
func limitGauge(name, help string, value func(*health.Limits) float64) metric {
	return instanceGauge(name, help, func(r *fleet.InstanceResult) float64 { return value(&r.Limits) })
}

// statusGauges has one series for each status, zeros included; none if counts returns nil.
func statusGauges(name, help string, counts func(*health.Health) map[apiclient.Status]int) metric {
	return healthGauges(name, help, []string{"status"}, func(r *fleet.InstanceResult, emit func(float64, ...string)) {
		m := counts(r.Health)
		for _, s := range apiclient.Statuses() {
			if m != nil {
				emit(float64(m[s]), string(s))
			}
		}
	})
}

// tableGauges has one series for each table.
func tableGauges(name, help string, tables func(*health.Health) []health.Table, value func(health.Table) float64) metric {
	return healthGauges(name, help, []string{"database", "table"}, func(r *fleet.InstanceResult, emit func(float64, ...string)) {
		for _, t := range tables(r.Health) {
			emit(value(t), shorten(t.Database), shorten(t.Name))
		}
	})
}

// longestName is how many bytes of a name become a label value. Prometheus can limit the length of label values, and then drops the whole
// scrape.
const longestName = 128

// shorten cuts a name that is too long and adds a hash, so that names stay distinct.
func shorten(name string) string {
	if len(name) <= longestName {
		return name
	}
	const hashLength = 8
	hash := fmt.Sprintf("%x", sha256.Sum256([]byte(name)))[:hashLength]
	return strings.ToValidUTF8(name[:longestName-len("~")-hashLength], "") + "~" + hash
}
