package collector

import (
	"iter"
	"math"

	"github.com/klauspost/compress/gzip"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"git.example.com/starrocks/starrocks_backup_exporter/collector/fleet"
)

// renderer renders results family by family and reuses its memory: at 1,000 instances, const metrics that a registry sorts cost several
// times as much as reading the backups does.
type renderer struct {
	instanceID, regionID string // label names, to point to
	gzip                 *gzip.Writer

	ids    []dto.LabelPair // instance_id and region_id of each instance
	chunks []*[chunkSize]series
	used   int // series
	family dto.MetricFamily
}

const chunkSize = 256

func newRenderer() *renderer {
	compressor, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	if err != nil {
		panic(err) // the level is valid
	}
	return &renderer{instanceID: instanceIDLabel, regionID: regionIDLabel, gzip: compressor}
}

// series is one series and everything it points to.
type series struct {
	metric  dto.Metric
	gauge   dto.Gauge
	counter dto.Counter
	value   float64
	own     []dto.LabelPair // besides those of the instance
	values  []string        // of own
}

// families yields the families of a result in the order of their names. Each is valid until the next one.
func (r *renderer) families(result *fleet.Result) iter.Seq[*dto.MetricFamily] {
	return func(yield func(*dto.MetricFamily) bool) {
		r.identify(result)
		for i := range metrics {
			if r.render(&metrics[i], result); r.used > 0 && !yield(&r.family) {
				return
			}
		}
	}
}

func (r *renderer) identify(result *fleet.Result) {
	if n := 2 * len(result.Instances); n > len(r.ids) {
		r.ids = make([]dto.LabelPair, n)
	}
	for i := range result.Instances {
		in := &result.Instances[i].Instance
		id, region := &r.ids[2*i], &r.ids[2*i+1]
		id.Name, id.Value = &r.instanceID, &in.InstanceID
		region.Name, region.Value = &r.regionID, &in.RegionID
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
	for i := range result.Instances {
		id, region := &r.ids[2*i], &r.ids[2*i+1]
		m.ofInstance(&result.Instances[i], func(value float64, labels ...string) { r.emit(m, value, id, region, labels) })
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
		s.own, s.values = make([]dto.LabelPair, len(labels)), make([]string, len(labels))
	}
	copy(s.values, labels)
	s.metric.Label = s.metric.Label[:0]
	for _, n := range m.order {
		switch n {
		case instanceIDPosition:
			s.metric.Label = append(s.metric.Label, id)
		case regionIDPosition:
			s.metric.Label = append(s.metric.Label, region)
		default:
			s.own[n].Name, s.own[n].Value = &m.labels[n], &s.values[n]
			s.metric.Label = append(s.metric.Label, &s.own[n])
		}
	}
}
