package collector

import (
	"context"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
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
}

// NewHandler returns the handler of /metrics, which adds the metrics of lasting to those of each scrape.
func NewHandler(s *Scraper, lasting prometheus.Gatherer, d Deadlines, logger log.Logger) *Handler {
	return &Handler{s, lasting, d, logger}
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	result := h.Scrape(r)
	perScrape := prometheus.NewRegistry()
	perScrape.MustRegister(New(result))
	promhttp.HandlerFor(prometheus.Gatherers{h.lasting, perScrape}, promhttp.HandlerOpts{
		EnableOpenMetrics: true,
		ErrorHandling:     promhttp.ContinueOnError,
		ErrorLog:          errorLog{h.logger},
	}).ServeHTTP(w, r)
}

// Scrape reads the fleet within the time that the request leaves for it, even if the client goes away:
// a closed browser is no reason to count reads as timed out.
func (h *Handler) Scrape(r *http.Request) *Result {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), h.deadlines.of(r.Header))
	defer cancel()
	return h.scraper.Scrape(ctx)
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

// errorLog is promhttp's logger.
type errorLog struct{ logger log.Logger }

func (l errorLog) Println(v ...any) {
	level.Error(l.logger).Log("msg", "serving metrics", "err", v)
}
