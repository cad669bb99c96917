package collector

import (
	"iter"
	"math"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"git.example.com/starrocks/starrocks_backup_exporter/collector/fleet"
)

// renderer renders a result family by family, all in the same memory: at 1,000 instances, const metrics that a registry sorts cost several
// times as much as reading the backups does.
type renderer struct {
	instanceID, regionID string // label names, to point to

	ids    []dto.LabelPair // instance_id and region_id of each instance
	chunks []*[chunkSize]series
	used   int // series
	family dto.MetricFamily
}

const chunkSize = 256

// series is one series and everything it points to.
type series struct {
	metric  dto.Metric
	gauge   dto.Gauge
	counter dto.Counter
	value   float64
	own     []dto.LabelPair // besides those of the instance
}

// families yields the families of a result in the order of their names. Each is valid until the next one. Their memory is not kept for the
// next result: while that is collected, it would add to the peak.
func families(result *fleet.Result) iter.Seq[*dto.MetricFamily] {
	return func(yield func(*dto.MetricFamily) bool) {
		r := &renderer{instanceID: instanceIDLabel, regionID: regionIDLabel, ids: make([]dto.LabelPair, 2*len(result.Instances))}
		for i := range result.Instances {
			in := &result.Instances[i].Instance
			id, region := &r.ids[2*i], &r.ids[2*i+1]
			id.Name, id.Value = &r.instanceID, &in.InstanceID
			region.Name, region.Value = &r.regionID, &in.RegionID
		}
		for i := range metrics {
			r.render(&metrics[i], result)
			if r.used > 0 && !yield(&r.family) {
				return
			}
		}
	}
}

func (r *renderer) render(m *metric, result *fleet.Result) {
	r.used = 0
	r.family.Name, r.family.Help, r.family.Type = &m.name, &m.help, dto.MetricType_GAUGE.Enum()
	if m.kind == prometheus.CounterValue {
		r.family.Type = dto.MetricType_COUNTER.Enum()
	}
	r.family.Metric = r.family.Metric[:0]
	if m.ofResult != nil {
		m.ofResult(result, func(value float64, labels ...string) { r.emit(m, value, nil, nil, labels) })
		return
	}
	var id, region *dto.LabelPair
	emit := func(value float64, labels ...string) { r.emit(m, value, id, region, labels) }
	for i := range result.Instances {
		id, region = &r.ids[2*i], &r.ids[2*i+1]
		m.ofInstance(&result.Instances[i], emit)
	}
}

func (r *renderer) emit(m *metric, value float64, id, region *dto.LabelPair, labels []string) {
	if math.IsNaN(value) {
		return
	}
	s := r.next()
	s.set(m, value, id, region, labels)
	r.family.Metric = append(r.family.Metric, &s.metric)
}

func (r *renderer) next() *series {
	c := r.used / chunkSize
	if c == len(r.chunks) {
		r.chunks = append(r.chunks, new([chunkSize]series))
	}
	s := &r.chunks[c][r.used%chunkSize]
	r.used++
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
		s.own = make([]dto.LabelPair, len(labels))
	}
	s.metric.Label = slices.Grow(s.metric.Label[:0], len(m.order))
	for _, n := range m.order {
		switch n {
		case instanceIDPosition:
			s.metric.Label = append(s.metric.Label, id)
		case regionIDPosition:
			s.metric.Label = append(s.metric.Label, region)
		default:
			s.own[n].Name, s.own[n].Value = &m.labels[n], &labels[n]
			s.metric.Label = append(s.metric.Label, &s.own[n])
		}
	}
}
