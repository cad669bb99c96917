package main

import (
	"fmt"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"strings"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/version"

	"git.example.com/starrocks/starrocks_backup_exporter/collector"
	"git.example.com/starrocks/starrocks_backup_exporter/collector/fleet"
	"git.example.com/starrocks/starrocks_backup_exporter/collector/report"
	"git.example.com/starrocks/starrocks_backup_exporter/config"
)

// handlers returns the handlers of every path.
func handlers(o options, e *exporter, own prometheus.Gatherer, logger log.Logger) http.Handler {
	reloader := e.reloader
	scrape := func(r *http.Request) *fleet.Result { return o.deadlines.Scrape(e.scraper, r) }
	metrics := collector.NewHandler(scrape, own, logger)
	page := report.NewPage(report.Options{
		Scraper: e.scraper, Deadline: o.deadlines.Timeout, ReloadFailure: reloader.Failure, Now: e.now, Logger: logger,
		Links: report.Links{MetricsPath: o.telemetryPath, Version: version.Version, GrafanaURL: o.grafanaURL, RunbookURL: o.runbookURL},
	})
	mux := http.NewServeMux()
	text := func(w http.ResponseWriter, status int, body string) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(status)
		fmt.Fprintln(w, body)
	}
	mux.Handle(o.telemetryPath, limitRequests(o.maxRequests, limitWriting(metrics)))
	mux.Handle("/{$}", limitRequests(o.maxRequests, limitWriting(page)))
	mux.HandleFunc("/config", func(w http.ResponseWriter, _ *http.Request) {
		text(w, http.StatusOK, reloader.Current().String())
	})
	mux.HandleFunc("/-/healthy", func(w http.ResponseWriter, _ *http.Request) { text(w, http.StatusOK, "healthy") })
	mux.HandleFunc("/-/ready", func(w http.ResponseWriter, _ *http.Request) {
		if reloader.Current() == nil {
			text(w, http.StatusServiceUnavailable, "no configuration is loaded")
			return
		}
		text(w, http.StatusOK, "ready")
	})
	mux.HandleFunc("/-/reload", func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !o.enableLifecycle:
			text(w, http.StatusForbidden, "disabled, start with --web.enable-lifecycle")
		case r.Method != http.MethodPost:
			w.Header().Set("Allow", http.MethodPost)
			text(w, http.StatusMethodNotAllowed, "only POST is allowed")
		default:
			if err := reload(reloader, logger); err != nil {
				text(w, http.StatusInternalServerError, "reload failed, keeping the previous configuration:\n"+err.Error())
				return
			}
			text(w, http.StatusOK, "reloaded")
		}
	})
	for path, handler := range map[string]http.HandlerFunc{
		"": pprof.Index, "cmdline": pprof.Cmdline, "profile": pprof.Profile, "symbol": pprof.Symbol, "trace": pprof.Trace,
	} {
		mux.HandleFunc("/debug/pprof/"+path, onlyLocal(handler))
	}
	return underPrefix(o.routePrefix, mux)
}

// underPrefix serves all routes under a prefix, and redirects the root to it.
func underPrefix(prefix string, routes http.Handler) http.Handler {
	if prefix == "/" {
		return routes
	}
	mux := http.NewServeMux()
	mux.Handle("/{$}", http.RedirectHandler(prefix, http.StatusFound))
	mux.Handle(prefix, http.StripPrefix(strings.TrimSuffix(prefix, "/"), routes))
	return mux
}

// limitRequests answers with status 503 while most other requests are being served.
func limitRequests(most int, next http.Handler) http.Handler {
	places := make(chan struct{}, most)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case places <- struct{}{}:
			defer func() { <-places }()
			next.ServeHTTP(w, r)
		default:
			http.Error(w, fmt.Sprintf("%d requests are being served, see --web.max-requests", most), http.StatusServiceUnavailable)
		}
	})
}

// onlyLocal serves requests from this machine only: a profile costs time and shows more than a network should see.
func onlyLocal(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if from, err := netip.ParseAddrPort(r.RemoteAddr); err != nil || !from.Addr().Unmap().IsLoopback() {
			http.Error(w, "only available from the machine itself, for example with kubectl port-forward", http.StatusForbidden)
			return
		}
		next(w, r)
	}
}

// writeTimeout is how long a client may take to read an answer.
const writeTimeout = 30 * time.Second

// limitWriting ends an answer that its client does not read. The time begins with the first byte, after the scrape.
func limitWriting(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(&limitedWriter{ResponseWriter: w}, r)
	})
}

type limitedWriter struct {
	http.ResponseWriter

	limited bool
}

// Write implements http.ResponseWriter.
func (w *limitedWriter) Write(p []byte) (int, error) {
	if !w.limited {
		w.limited = true
		_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(time.Now().Add(writeTimeout)) // a test's writer has none
	}
	return w.ResponseWriter.Write(p)
}

func reload(r *config.Reloader, logger log.Logger) error {
	err := r.Reload()
	if err != nil {
		logLines(logger, "reload failed, keeping the previous configuration", err)
		return err
	}
	logWarnings(r.Current(), logger)
	level.Info(logger).Log("msg", "configuration reloaded", "instances", len(r.Current().Instances), "regions", len(r.Current().Discovery))
	return nil
}
