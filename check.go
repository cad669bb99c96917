package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus"

	"starrocks_backup_exporter/collector/report"
)

// check reads every instance once, writes the report, and returns the exit status: 0 if all are healthy, 1 if one is unhealthy, else 2 if
// one is unknown.
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
	result := e.scraper.Scrape(ctx, 0)
	return report.New(result, result.At), nil
}

func writeReport(r *report.Report, format string, w io.Writer) error {
	if format == "json" {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(r)
	}
	return r.WriteTable(w)
}

// healthcheck checks that the exporter at an address of this machine is alive. Any answer but a server error counts: an exporter that
// speaks TLS or asks for a password is alive, too.
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
	at := url.URL{Scheme: "http", Host: net.JoinHostPort(host, port), Path: routePrefix + "-/healthy"}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), http.NoBody)
	if err != nil {
		return err
	}
	res, err := (&http.Transport{}).RoundTrip(req) // never through a proxy
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode >= http.StatusInternalServerError {
		return errors.New(res.Status)
	}
	return nil
}
