package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/term"

	"git.example.com/starrocks/starrocks_backup_exporter/collector/report"
)

// check reads every instance once, writes the report, and returns the exit status: 0 if all are healthy, 1 if at least one is
// unhealthy, and 2 if the check fails, or if something is unknown and no instance is unhealthy.
func check(o options, logger log.Logger, w io.Writer) (status int, err error) {
	found, err := readOnce(o, logger)
	if err == nil {
		err = writeReport(found, o.checkOutput, w)
	}
	if err != nil {
		return 2, err
	}
	return map[string]int{"healthy": 0, "unhealthy": 1, "unknown": 2}[found.State], nil
}

func readOnce(o options, logger log.Logger) (*report.Report, error) {
	e, err := setUp(o, logger, prometheus.NewRegistry())
	if err != nil {
		return nil, err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, o.checkTimeout)
	defer cancel()
	result := e.scraper.Check(ctx)
	return report.New(result, result.At), nil
}

func writeReport(r *report.Report, format string, w io.Writer) error {
	if format == "json" {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(r)
	}
	return r.WriteTable(w, wantsColor(w))
}

// wantsColor reports whether w is a terminal whose user does not object to colors, see https://no-color.org.
func wantsColor(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// healthcheck checks that the exporter at an address of this machine is alive. Any answer but a server error counts: an exporter that asks
// for a password or a client certificate is alive, too.
func healthcheck(address, routePrefix string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	at := url.URL{Scheme: "https", Host: net.JoinHostPort(host, port), Path: routePrefix + "-/healthy"}
	// TLS comes first: a server with TLS logs a warning for each request without, a server without TLS logs nothing.
	err = probe(ctx, at)
	if _, plain := errors.AsType[tls.RecordHeaderError](err); plain {
		at.Scheme = "http"
		err = probe(ctx, at)
	}
	if refusal, ok := errors.AsType[*net.OpError](err); ok && refusal.Op == "remote error" { // a TLS alert: it wants a certificate
		return nil
	}
	return err
}

func probe(ctx context.Context, at url.URL) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), http.NoBody)
	if err != nil {
		return err
	}
	transport := &http.Transport{ // without a proxy
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // it sends nothing, and only asks whether there is an answer
	}
	res, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode >= http.StatusInternalServerError {
		return errors.New(res.Status)
	}
	return nil
}
