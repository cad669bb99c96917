// Package collector turns a scrape of the fleet into metrics: the table of metrics, the renderer and the handler of /metrics.
package collector

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/klauspost/compress/gzip"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"git.example.com/starrocks/starrocks_backup_exporter/collector/fleet"
)

// Handler serves /metrics: each request is a scrape of the fleet.
type Handler struct {
	scrape func(*http.Request) *fleet.Result
	own    prometheus.Gatherer
	logger log.Logger

	mu   sync.Mutex // one answer is rendered at a time, which limits the memory; rendering does not wait for a client
	gzip *gzip.Writer
}

// NewHandler returns the handler of /metrics. It serves what scrape returns, and the exporter's own metrics.
func NewHandler(scrape func(*http.Request) *fleet.Result, own prometheus.Gatherer, logger log.Logger) *Handler {
	compressor, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	if err != nil {
		panic(err) // the level is valid
	}
	return &Handler{scrape: scrape, own: own, logger: logger, gzip: compressor}
}

// ServeHTTP implements http.Handler. The exposition is compressed as a whole before it is sent: a client that reads slowly holds little
// memory.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	result := h.scrape(r)
	format := expfmt.NegotiateAccept(r.Header, expfmt.DefaultOpenMetricsAcceptedFormats()...)
	compressed, err := h.render(format, result)
	if err != nil {
		level.Error(h.logger).Log("msg", "rendering metrics failed, returning status 500", "err", err)
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", string(format))
	w.Header().Set("Vary", "Accept-Encoding")
	if acceptsGzip(r.Header) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Content-Length", strconv.Itoa(compressed.Len()))
		_, err = w.Write(compressed.Bytes())
	} else {
		err = decompress(w, compressed)
	}
	if err != nil {
		level.Debug(h.logger).Log("msg", "serving metrics failed, the client may be gone", "err", err)
	}
}

// render returns the exposition, compressed.
func (h *Handler) render(format expfmt.Format, result *fleet.Result) (*bytes.Buffer, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	own, err := h.own.Gather()
	if err != nil {
		level.Error(h.logger).Log("msg", "gathering the exporter's own metrics failed, serving those that were gathered", "err", err)
	}
	compressed := &bytes.Buffer{}
	h.gzip.Reset(compressed)
	encoder := expfmt.NewEncoder(h.gzip, format)
	for _, f := range own {
		if err := encoder.Encode(f); err != nil {
			return nil, err
		}
	}
	for f := range families(result) {
		if err := encoder.Encode(f); err != nil {
			return nil, err
		}
	}
	if c, ok := encoder.(expfmt.Closer); ok { // OpenMetrics has an end marker
		if err := c.Close(); err != nil {
			return nil, err
		}
	}
	return compressed, h.gzip.Close()
}

func decompress(w io.Writer, compressed io.Reader) error {
	r, err := gzip.NewReader(compressed)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return err
}

// acceptsGzip reports whether a client accepts an answer compressed with gzip.
func acceptsGzip(header http.Header) bool {
	for part := range strings.SplitSeq(header.Get("Accept-Encoding"), ",") {
		coding, parameters, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.EqualFold(strings.TrimSpace(coding), "gzip") {
			weight, err := strconv.ParseFloat(strings.TrimPrefix(strings.ReplaceAll(parameters, " ", ""), "q="), 64)
			return parameters == "" || err == nil && weight > 0
		}
	}
	return false
}
