//go:build system

package test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient/simulator"
)

// Every exposition that the tests expect is clean to promtool.
func TestPromtoolLintsEveryGoldenExposition(t *testing.T) {
	files, err := filepath.Glob("collector/testdata/*.metrics")
	if err != nil || len(files) < 12 {
		t.Fatal(len(files), err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lint(t, file, content)
	}
}

func lint(t *testing.T, name string, exposition []byte) {
	t.Helper()
	promtool := exec.CommandContext(t.Context(), "promtool", "check", "metrics")
	promtool.Stdin = bytes.NewReader(exposition)
	// The name is public, and days are the API's own unit (ExpireDays).
	const days = "starrocks_backup_policy_expire_days use base unit \"seconds\" instead of \"days\"\n"
	if out, err := promtool.CombinedOutput(); len(out) > 0 && string(out) != days || err != nil && len(out) == 0 {
		t.Errorf("%s: %v\n%s", name, err, out)
	}
}

// freeAddress returns an address for a program that starts later. Its port is outside the range from which the system gives ports to
// servers and connections of other tests.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", 10000+rand.IntN(20000))
		if _, taken := handedOut.LoadOrStore(address, true); taken {
			continue
		}
		if l, err := net.Listen("tcp", address); err == nil {
			l.Close()
			return address
		}
	}
	t.Fatal("no free port")
	return ""
}

var handedOut sync.Map

// start runs a program until the test ends.
func start(t *testing.T, name string, args ...string) *os.Process {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s:\n%s", name, log.String())
		}
	})
	return cmd.Process
}

func build(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "exporter")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}

// eventually tries until it works. Its limit is far above what any of it takes, so that only what never comes fails: a rule group is
// evaluated for the first time up to its interval, a minute, after the start.
func eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: %v", what, err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func fetch(t *testing.T, address string) ([]byte, error) {
	t.Helper()
	return fetchAs(t, address, "*/*")
}

// fetchAs fetches in a format that accept names.
func fetchAs(t *testing.T, address, accept string) ([]byte, error) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", accept)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d", res.StatusCode)
	}
	return body, err
}

// The demo as a user starts it, scraped by a real Prometheus and looked at with a real browser.
func TestDemo(t *testing.T) {
	directory := t.TempDir()
	binary, exporter, server := build(t), freeAddress(t), freeAddress(t)
	start(t, binary, "--demo", "--web.listen-address="+exporter)
	var exposition []byte
	eventually(t, "the exporter", func() (err error) {
		exposition, err = fetch(t, "http://"+exporter+"/metrics")
		return err
	})
	lint(t, "the demo", exposition)
	checkNames(t, "http://"+exporter+"/metrics")

	configuration := filepath.Join(directory, "prometheus.yml")
	text := fmt.Sprintf(
		"scrape_configs: [{job_name: starrocks_backup, scrape_interval: 10s, scrape_timeout: 10s, static_configs: [{targets: [%q]}]}]",
		exporter,
	)
	if err := os.WriteFile(configuration, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	start(
		t,
		"prometheus",
		"--config.file="+configuration,
		"--storage.tsdb.path="+filepath.Join(directory, "data"),
		"--web.listen-address="+server,
	)
	for query, want := range map[string]int{
		"starrocks_backup_up":                                    len(simulator.DemoFleet()),
		"starrocks_backup_up == 0":                               2,
		"up{job='starrocks_backup'} ==1":                         1,
		"count by (condition) (starrocks_backup_condition == 1)": 12,
	} {
		eventually(t, query, func() error {
			body, err := fetch(t, "http://"+server+"/api/v1/query?query="+url.QueryEscape(query))
			if err != nil {
				return err
			}
			var answer struct {
				Data struct{ Result []json.RawMessage }
			}
			if err := json.Unmarshal(body, &answer); err != nil {
				return err
			}
			if n := len(answer.Data.Result); n != want {
				return fmt.Errorf("%d series, want %d", n, want)
			}
			return nil
		})
	}

	page := dom(t, "http://"+exporter+"/")
	for _, want := range []string{"orders-healthy-daily", "retention_too_short", "RAM action sr:DescribeBackups is missing", ">2 unknown<"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not show %q:\n%s", want, page)
		}
	}
}

// checkNames checks that no two families of an OpenMetrics answer have the same name. Prometheus accepts that, strict parsers do not.
func checkNames(t *testing.T, address string) {
	t.Helper()
	answer, err := fetchAs(t, address, "application/openmetrics-text;version=1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(string(answer)) {
		if family, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name := strings.Fields(family)[0]
			if seen[name] {
				t.Errorf("OpenMetrics has two families %s", name)
			}
			seen[name] = true
		}
	}
	if !seen["starrocks_backup_up"] || !seen["go_memstats_alloc_bytes"] {
		t.Errorf("OpenMetrics has only these families: %v", slices.Sorted(maps.Keys(seen)))
	}
}

// dom is a page as a real browser has it in the end.
func dom(t *testing.T, address string) string {
	t.Helper()
	page, err := exec.CommandContext(
		t.Context(),
		"chromium",
		"--headless",
		"--no-sandbox",
		"--disable-gpu",
		"--no-first-run",
		"--disable-background-networking",
		"--disable-component-update",
		"--disable-sync",
		"--user-data-dir="+filepath.Join(t.TempDir(), "chromium"),
		"--virtual-time-budget=2000",
		"--dump-dom",
		address,
	).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// SIGHUP reloads; a broken file keeps what ran, and says so.
func TestReloadBySignal(t *testing.T) {
	exporter, file := freeAddress(t), filepath.Join(t.TempDir(), "test.yml")
	write := func(instances string) {
		text := "api: {endpoint: 'http://127.0.0.1:1', max_attempts: 1}\naccounts: {default: {access_key_id: id, access_key_secret: " +
			"canary}}\ninstances: " + instances
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	serves := func(lines ...string) {
		t.Helper()
		eventually(t, "the exporter", func() error {
			exposition, err := fetch(t, "http://"+exporter+"/metrics")
			for _, l := range lines {
				if !strings.Contains(string(exposition), l) {
					err = fmt.Errorf("no %s in %s", l, exposition)
				}
			}
			return err
		})
	}
	write("[{instance_id: c-1, region_id: cn-hangzhou}]")
	process := start(t, build(t), "--config.file="+file, "--web.listen-address="+exporter)
	const one = `starrocks_backup_up{instance_id="c-1",region_id="cn-hangzhou"} 0`
	serves(one, "reload_successful 1")
	for _, reload := range []struct{ instances, expect string }{
		{"[{instance_id: c-1, region_id: cn-hangzhou, oops: 1}]", "reload_successful 0"},
		{
			"[{instance_id: c-1, region_id: cn-hangzhou}, {instance_id: c-2, region_id: cn-hangzhou}]",
			`starrocks_backup_up{instance_id="c-2",region_id="cn-hangzhou"} 0`,
		},
	} {
		write(reload.instances)
		if err := process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		serves(one, reload.expect)
	}
	serves(one, "reload_successful 1")
}
