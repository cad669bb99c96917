package collector

import (
	"iter"
	"math"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// Families renders Results family by family, in memory that is used again: at a thousand instances, metrics that are made
// anew for each scrape and sorted by a registry cost several times what reading them does.
type Families struct {
	ids    []dto.LabelPair // instance_id and region_id, of each instance
	chunks []*[chunk]series
	used   int // series
	family dto.MetricFamily
}

const chunk = 256

// series is one series and all that it points to.
type series struct {
	metric  dto.Metric
	gauge   dto.Gauge
	counter dto.Counter
	value   float64
	own     []dto.LabelPair // beside those of the instance
	values  []string        // of own
}

var instanceIDLabel, regionIDLabel = "instance_id", "region_id"

// Of yields the families of r, in the order of their names. Each is valid until the next is asked for.
func (f *Families) Of(r *Result) iter.Seq[*dto.MetricFamily] {
	return func(yield func(*dto.MetricFamily) bool) {
		f.identify(r)
		for i := range metrics {
			if f.render(&metrics[i], r); f.used > 0 && !yield(&f.family) {
				return
			}
		}
	}
}

func (f *Families) identify(r *Result) {
	if n := 2 * len(r.Instances); n > len(f.ids) {
		f.ids = make([]dto.LabelPair, n)
	}
	for i := range r.Instances {
		in := &r.Instances[i].Instance
		id, region := &f.ids[2*i], &f.ids[2*i+1]
		id.Name, id.Value = &instanceIDLabel, &in.InstanceID
		region.Name, region.Value = &regionIDLabel, &in.RegionID
	}
}

func (f *Families) render(m *metric, r *Result) {
	f.used = 0
	f.family.Name, f.family.Help, f.family.Type = &m.name, &m.help, dto.MetricType_GAUGE.Enum()
	if m.kind == prometheus.CounterValue {
		f.family.Type = dto.MetricType_COUNTER.Enum()
	}
	f.family.Metric = f.family.Metric[:0]
	if m.whole != nil {
		m.whole(r, func(value float64, labels ...string) { f.emit(m, value, nil, nil, labels) })
		return
	}
	for i := range r.Instances {
		id, region := &f.ids[2*i], &f.ids[2*i+1]
		m.series(&r.Instances[i], func(value float64, labels ...string) { f.emit(m, value, id, region, labels) })
	}
}

func (f *Families) emit(m *metric, value float64, id, region *dto.LabelPair, labels []string) {
	if math.IsNaN(value) {
		return
	}
	s := f.next()
	s.set(m, value, id, region, labels)
	f.family.Metric = append(f.family.Metric, &s.metric)
}

func (f *Families) next() *series {
	c := f.used / chunk
	if c == len(f.chunks) {
		f.chunks = append(f.chunks, new([chunk]series))
	}
	s := &f.chunks[c][f.used%chunk]
	f.used++
	return s
}

func (s *series) set(m *metric, value float64, id, region *dto.LabelPair, labels []string) {
	s.value = value
	if m.kind == prometheus.CounterValue {
		s.counter.Value, s.metric.Counter, s.metric.Gauge = &s.value, &s.counter, nil
	} else {
		s.gauge.Value, s.metric.Gauge, s.metric.Counter = &s.value, &s.gauge, nil
	}
	if len(labels) > len(s.own) {
		s.own, s.values = make([]dto.LabelPair, len(labels)), make([]string, len(labels))
	}
	copy(s.values, labels)
	s.metric.Label = s.metric.Label[:0]
	for _, n := range m.order {
		switch n {
		case theInstanceID:
			s.metric.Label = append(s.metric.Label, id)
		case theRegionID:
			s.metric.Label = append(s.metric.Label, region)
		default:
			s.own[n].Name, s.own[n].Value = &m.labels[n], &s.values[n]
			s.metric.Label = append(s.metric.Label, &s.own[n])
		}
	}
}
