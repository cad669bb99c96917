package collector

import (
	"context"
	"math"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/klauspost/compress/gzhttp"
	"github.com/klauspost/compress/gzip"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// Deadlines says how long a scrape may take.
type Deadlines struct {
	Timeout time.Duration // where Prometheus names none
	Offset  time.Duration // taken off, so that the answer arrives in time
}

// Handler serves /metrics: each request is a scrape of the fleet.
type Handler struct {
	scraper   *Scraper
	lasting   prometheus.Gatherer // metrics that outlive scrapes
	deadlines Deadlines
	logger    log.Logger
	families  sync.Pool
	serve     http.Handler
}

// NewHandler returns the handler of /metrics, which adds the metrics of lasting to those of each scrape.
func NewHandler(s *Scraper, lasting prometheus.Gatherer, d Deadlines, logger log.Logger) *Handler {
	h := &Handler{scraper: s, lasting: lasting, deadlines: d, logger: logger, families: sync.Pool{New: func() any { return &Families{} }}}
	compressed, err := gzhttp.NewWrapper(gzhttp.EnableZstd(false), gzhttp.CompressionLevel(gzip.BestSpeed))
	if err != nil {
		panic(err) // the options above are not valid
	}
	h.serve = compressed(http.HandlerFunc(h.metrics))
	return h
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.serve.ServeHTTP(w, r) }

// loaded is the metric by which the alert rules take an instance that is not exposed for one that was removed. It is withheld
// until all instances are known that were so before a restart.
const loaded = namespace + "exporter_config_last_reload_success_timestamp_seconds"

// writeTimeout is how long a client may take to read an answer.
const writeTimeout = 30 * time.Second

// limitWriting begins that time: only now, for a scrape may have taken longer.
func limitWriting(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout)) // a test's writer has none
}

func (h *Handler) metrics(w http.ResponseWriter, r *http.Request) {
	result := h.Scrape(r)
	limitWriting(w)
	lasting, err := h.lasting.Gather()
	if err != nil {
		level.Error(h.logger).Log("msg", "gathering the exporter's own metrics", "err", err)
	}
	format := expfmt.NegotiateAccept(r.Header, expfmt.DefaultOpenMetricsAcceptedFormats()...)
	w.Header().Set("Content-Type", string(format))
	families := h.families.Get().(*Families)
	defer h.families.Put(families)
	encoder := expfmt.NewEncoder(w, format)
	if !result.Settled {
		lasting = slices.DeleteFunc(lasting, func(f *dto.MetricFamily) bool { return f.GetName() == loaded })
	}
	encode := func(f *dto.MetricFamily) bool {
		if err := encoder.Encode(f); err != nil {
			level.Debug(h.logger).Log("msg", "serving metrics", "err", err) // the client went away
			return false
		}
		return true
	}
	for _, f := range lasting {
		if !encode(f) {
			return
		}
	}
	for f := range families.Of(result) {
		if !encode(f) {
			return
		}
	}
	if c, ok := encoder.(expfmt.Closer); ok { // of OpenMetrics: the end
		_ = c.Close()
	}
}

// Scrape reads the fleet within the time that the request leaves for it, even if the client goes away:
// a closed browser is no reason to count reads as timed out.
func (h *Handler) Scrape(r *http.Request) *Result {
	deadline := h.deadlines.of(r.Header)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), deadline)
	defer cancel()
	return h.scraper.scrape(ctx, deadline)
}

func (d Deadlines) of(header http.Header) time.Duration {
	const most = 24 * time.Hour // more is nonsense
	timeout := d.Timeout
	s, err := strconv.ParseFloat(header.Get("X-Prometheus-Scrape-Timeout-Seconds"), 64)
	if err == nil && !math.IsNaN(s) && s > 0 && s <= most.Seconds() {
		timeout = time.Duration(s * float64(time.Second))
	}
	if timeout > d.Offset {
		timeout -= d.Offset
	}
	return timeout
}
