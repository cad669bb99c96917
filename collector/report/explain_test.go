package report

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
)

// Why an exchange failed is said in plain English, for errors as net/http makes them.
func TestPlain(t *testing.T) {
	hangs := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(hangs.Close)
	untrusted := httptest.NewUnstartedServer(http.NotFoundHandler())
	untrusted.Config.ErrorLog = log.New(io.Discard, "", 0)
	untrusted.StartTLS()
	t.Cleanup(untrusted.Close)
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	nobody, err := url.Parse(closed.URL)
	if err != nil {
		t.Fatal(err)
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	for name, c := range map[string]struct {
		ctx       context.Context
		url       string
		transport *http.Transport
		timeout   time.Duration
		want      string
	}{
		"canceled": {canceled, hangs.URL, &http.Transport{}, 0, "no answer in time"},
		"too late": {late, hangs.URL, &http.Transport{}, 0, "no answer in time"},
		"refused":  {t.Context(), closed.URL, &http.Transport{}, 0, nobody.Host + " refuses the connection"},
		"proxy": {t.Context(), "https://x.invalid", &http.Transport{Proxy: http.ProxyURL(nobody)}, 0, "the proxy: " + nobody.Host + " " +
			"refuses"},
		"untrusted": {t.Context(), untrusted.URL, &http.Transport{}, 0, "the certificate is not trusted: x509: "},
		"no TLS": {t.Context(), strings.Replace(hangs.URL, "http:", "https:", 1), &http.Transport{}, 0, "http: server gave HTTP " +
			"response to HTTPS client"},
		"too slow": {t.Context(), hangs.URL, &http.Transport{}, time.Millisecond, "no answer in time"},
	} {
		r, err := http.NewRequestWithContext(c.ctx, http.MethodPost, c.url, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		res, err := (&http.Client{Transport: c.transport, Timeout: c.timeout}).Do(r)
		if err == nil {
			res.Body.Close()
			t.Fatalf("%s: it worked", name)
		}
		got := message(&apiclient.Error{Operation: "DescribeBackups", Reason: apiclient.ReasonNetwork, Err: err})
		if !strings.HasPrefix(got, "DescribeBackups: network: "+c.want) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// There are words for every reason.
func TestEveryReasonIsExplained(t *testing.T) {
	for _, r := range apiclient.Reasons() {
		if s := summary(r); strings.Contains(s, "the read failed") {
			t.Errorf("%s: %s", r, s)
		}
	}
}
