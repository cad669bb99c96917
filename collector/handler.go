// Package collector turns a scrape of the fleet into metrics: the table of metrics, the renderer and the handler of /metrics.
package collector

import (
	"net/http"
	"slices"
	"sync"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/klauspost/compress/gzhttp"
	"github.com/klauspost/compress/gzip"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"starrocks_backup_exporter/collector/fleet"
)

// Handler serves /metrics: each request is a scrape of the fleet.
type Handler struct {
	scrape    func(*http.Request) *fleet.Result
	own       prometheus.Gatherer
	logger    log.Logger
	renderers sync.Pool
	serve     http.Handler
}

// NewHandler returns the handler of /metrics. It serves what scrape returns, and the exporter's own metrics.
func NewHandler(scrape func(*http.Request) *fleet.Result, own prometheus.Gatherer, logger log.Logger) *Handler {
	h := &Handler{scrape: scrape, own: own, logger: logger, renderers: sync.Pool{New: func() any { return newRenderer() }}}
	compressed, err := gzhttp.NewWrapper(gzhttp.EnableZstd(false), gzhttp.CompressionLevel(gzip.BestSpeed))
	if err != nil {
		panic(err) // the options above are valid
	}
	h.serve = compressed(http.HandlerFunc(h.metrics))
	return h
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.serve.ServeHTTP(w, r) }

// reloadTime is the metric that tells the alert rules which instances were removed: those not exposed after it. It is withheld until
// all instances are known again after a restart.
const reloadTime = namespace + "exporter_config_last_reload_success_timestamp_seconds"

func (h *Handler) metrics(w http.ResponseWriter, r *http.Request) {
	result := h.scrape(r)
	own, err := h.own.Gather()
	if err != nil {
		level.Error(h.logger).Log("msg", "gathering the exporter's own metrics failed", "err", err)
	}
	if !result.Settled {
		own = slices.DeleteFunc(own, func(f *dto.MetricFamily) bool { return f.GetName() == reloadTime })
	}
	format := expfmt.NegotiateAccept(r.Header, expfmt.DefaultOpenMetricsAcceptedFormats()...)
	w.Header().Set("Content-Type", string(format))
	if err := h.write(expfmt.NewEncoder(w, format), own, result); err != nil {
		level.Debug(h.logger).Log("msg", "serving metrics failed, the client may be gone", "err", err)
	}
}

func (h *Handler) write(encoder expfmt.Encoder, own []*dto.MetricFamily, result *fleet.Result) error {
	for _, f := range own {
		if err := encoder.Encode(f); err != nil {
			return err
		}
	}
	renderer := h.renderers.Get().(*renderer)
	defer h.renderers.Put(renderer)
	for f := range renderer.families(result) {
		if err := encoder.Encode(f); err != nil {
			return err
		}
	}
	if c, ok := encoder.(expfmt.Closer); ok { // OpenMetrics has an end marker
		return c.Close()
	}
	return nil
}
