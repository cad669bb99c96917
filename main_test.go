package main

import (
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/http/pprof"
	"os"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus"

	"git.example.com/starrocks/starrocks_backup_exporter/collector/fleet"
	"git.example.com/starrocks/starrocks_backup_exporter/config"
)

// newTestServer serves the routes over a configuration that load returns.
func newTestServer(t *testing.T, load func() (*config.Config, error), args ...string) string {
	t.Helper()
	o, err := parse(args)
	if err != nil {
		t.Fatal(err)
	}
	reloader := config.NewReloader(load, func(*config.Config) error { return nil }, prometheus.NewRegistry(), time.Now)
	if err := reloader.Reload(); err != nil {
		t.Fatal(err)
	}
	scraper := fleet.NewScraper(log.NewNopLogger(), time.Now, func() {})
	server := httptest.NewServer(handlers(o, &exporter{scraper, reloader, time.Now}, prometheus.NewRegistry(), log.NewNopLogger()))
	t.Cleanup(server.Close)
	return server.URL
}

func request(t *testing.T, method, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func TestRoutes(t *testing.T) {
	c := config.Default()
	c.Accounts = map[string]config.Account{"default": {AccessKeyID: "id", AccessKeySecret: "canary"}}
	var broken error
	load := func() (*config.Config, error) { return c, broken }
	open := newTestServer(t, load, "--web.enable-lifecycle")
	closed := newTestServer(t, load)
	for _, r := range []struct {
		method, url string
		status      int
		body        string
	}{
		{"GET", open + "/", 200, "No instances are configured"},
		{"GET", open + "/config", 200, "access_key_secret: <secret>"},
		{"GET", open + "/-/healthy", 200, "healthy"},
		{"GET", open + "/-/ready", 200, "ready"},
		{"GET", open + "/debug/pprof/", 200, "goroutine"},
		{"GET", open + "/nowhere", 404, ""},
		{"POST", open + "/-/reload", 200, "reloaded"},
		{"GET", open + "/-/reload", 405, ""},
		{"PUT", open + "/-/reload", 405, ""},
		{"POST", closed + "/-/reload", 403, "--web.enable-lifecycle"},
	} {
		if status, body := request(t, r.method, r.url); status != r.status || !strings.Contains(body, r.body) ||
			strings.Contains(body, "canary") {
			t.Errorf("%s %s: %d\n%s", r.method, r.url, status, body)
		}
	}
	broken = errors.New("test.yml:3: instances[0].max_age: not good")
	if status, body := request(t, "POST", open+"/-/reload"); status != 500 || !strings.Contains(body, broken.Error()) {
		t.Errorf("a broken file: %d\n%s", status, body)
	}
}

func TestProfilesAreForTheMachineItself(t *testing.T) {
	for from, status := range map[string]int{
		"127.0.0.1:1": 200, "[::1]:1": 200, "[::ffff:127.0.0.1]:1": 200, "192.0.2.1:1": 403,
		"[2001:db8::1]:1": 403, "@": 403,
	} {
		r, w := httptest.NewRequest(http.MethodGet, "/debug/pprof/cmdline", nil), httptest.NewRecorder()
		r.RemoteAddr = from
		if onlyLocal(pprof.Cmdline)(w, r); w.Code != status {
			t.Errorf("%s: status %d, want %d", from, w.Code, status)
		}
	}
}

func TestBadFlags(t *testing.T) {
	for _, args := range [][]string{
		{"--scrape.timeout=0s"},
		{"--scrape.timeout=x"},
		{"--scrape.timeout-offset=-1s"},
		{"--web.telemetry-path=metrics"},
		{"--web.telemetry-path=/"},
		{"--log.level=loud"},
		{"--nonsense"},
		{"--shard=1"},
		{"--shard=-1", "--total-shards=2"},
		{"--shard=pod-2", "--total-shards=2"},
		{"--shard=pod", "--total-shards=2"},
		{"--total-shards=0"},
		{"argument"},
		{"--demo", "--api.playback=x"},
		{"check", "--timeout=0s"},
		{"check", "--output=xml"},
	} {
		if _, err := parse(args); err == nil {
			t.Errorf("%v is accepted", args)
		}
	}
}

// The report of a check says what could not be read: the log need not.
func TestLogLevelOfACheck(t *testing.T) {
	for level, args := range map[string][]string{"info": {}, "error": {"check"}, "debug": {"check", "--log.level=debug"}} {
		if o, err := parse(args); err != nil || o.logLevel != level {
			t.Errorf("%v: %s, %v", args, o.logLevel, err)
		}
	}
}

func TestShardOfAStatefulSet(t *testing.T) {
	o, err := parse([]string{"--shard=starrocks-backup-exporter-12", "--total-shards=13"})
	if want := (fleet.Shard{Index: 12, Total: 13}); err != nil || o.shard != want {
		t.Errorf("%+v, %v", o.shard, err)
	}
}

// With a route prefix, everything is served under it, and the root leads there.
func TestRoutePrefix(t *testing.T) {
	load := func() (*config.Config, error) { return config.Default(), nil }
	for _, args := range [][]string{{"--web.external-url=https://example.org/backups/"}, {"--web.route-prefix=backups"}} {
		at := newTestServer(t, load, args...)
		for path, want := range map[string]int{
			"/": http.StatusOK, "/backups/": http.StatusOK, "/backups/metrics": http.StatusOK, "/backups/-/healthy": http.StatusOK,
			"/metrics": http.StatusNotFound, "/-/healthy": http.StatusNotFound,
		} {
			if status, body := request(t, http.MethodGet, at+path); status != want || path == "/" && !strings.Contains(body, "StarRocks backups") {
				t.Errorf("%q: %s: status %d", args, path, status)
			}
		}
	}
	for _, args := range [][]string{{"--web.external-url=example.org"}, {"--web.external-url=ftp://example.org"}, {"--web.max-requests=0"}} {
		if _, err := parse(args); err == nil {
			t.Errorf("accepted %q", args)
		}
	}
}

func TestTooManyRequests(t *testing.T) {
	hold, held := make(chan struct{}), make(chan struct{}, 2)
	server := httptest.NewServer(limitRequests(2, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		held <- struct{}{}
		<-hold
	})))
	defer server.Close()
	statuses := make(chan int)
	for range 2 {
		go func() {
			status, _ := request(t, http.MethodGet, server.URL)
			statuses <- status
		}()
		<-held
	}
	if status, body := request(t, http.MethodGet, server.URL); status != http.StatusServiceUnavailable || !strings.Contains(body,
		"--web.max-requests") {
		t.Errorf("status %d: %s", status, body)
	}
	close(hold)
	for range 2 {
		if status := <-statuses; status != http.StatusOK {
			t.Errorf("status %d", status)
		}
	}
	if status, _ := request(t, http.MethodGet, server.URL); status != http.StatusOK {
		t.Errorf("status %d afterwards", status)
	}
}

func TestMemoryLimitFollowsTheCgroup(t *testing.T) {
	for _, variable := range []string{"GOMEMLIMIT", "AUTOMEMLIMIT"} {
		t.Setenv(variable, "")
		os.Unsetenv(variable)
	}
	const before = 1 << 40
	original := debug.SetMemoryLimit(before)
	t.Cleanup(func() { debug.SetMemoryLimit(original) })
	want := int64(before) // without a cgroup
	limit, err := memlimit.FromCgroup()
	switch {
	case errors.Is(err, memlimit.ErrNoLimit):
		want = math.MaxInt64
	case err == nil:
		want = int64(0.9 * float64(limit))
	}
	limitMemory(log.NewNopLogger())
	if got := debug.SetMemoryLimit(-1); got != want {
		t.Errorf("memory limit %d, want %d for a cgroup of %d (%v)", got, want, limit, err)
	}

	debug.SetMemoryLimit(before)
	t.Setenv("GOMEMLIMIT", "1GiB") // the runtime has read it
	limitMemory(log.NewNopLogger())
	if got := debug.SetMemoryLimit(-1); got != before {
		t.Errorf("GOMEMLIMIT is overridden by %d", got)
	}
}
