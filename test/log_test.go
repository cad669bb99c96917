//go:build system

package test

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient/simulator"
)

// Every line of the log is one that a person or a collector of logs can read: one time, a place in the code, no key without a value.
func TestLog(t *testing.T) {
	binary, address, home := build(t), freeAddress(t), t.TempDir()
	certificate, key := newAuthority(t).store(t, home, "localhost")
	webConfig := filepath.Join(home, "web.yml")
	if err := os.WriteFile(webConfig, []byte("tls_server_config: {cert_file: "+certificate+", key_file: "+key+"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const caller, level = `caller=[a-z_]+\.go:\d+ `, `level=[a-z]+ `
	begins := regexp.MustCompile(`^ts=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (` + caller + level + `|` + level + caller + `)`)
	empty := regexp.MustCompile(`=( |$)`)
	for _, format := range []string{"logfmt", "json"} {
		var out bytes.Buffer
		cmd := exec.CommandContext(t.Context(), binary, "--demo", "--log.level=debug", "--log.format="+format,
			"--web.listen-address="+address, "--web.config.file="+webConfig)
		cmd.Stderr = &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		client := http.Client{Transport: &http.Transport{
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true,
		}}
		eventually(t, "the first scrape", func() error {
			res, err := client.Get("https://" + address + "/metrics")
			if err == nil {
				res.Body.Close()
			}
			return err
		})
		if text, err := exec.CommandContext(t.Context(), binary, "healthcheck", "--web.listen-address="+address).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, text)
		}
		if res, err := http.Get("http://" + address); err == nil { // what a misconfigured client does
			res.Body.Close()
		}
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
		text := out.String()
		for line := range strings.Lines(text) {
			line = strings.TrimSuffix(line, "\n")
			if format == "json" {
				if !json.Valid([]byte(line)) || strings.Contains(line, `":""`) || strings.Count(line, `"ts":`) != 1 ||
					!strings.Contains(line, `"caller":"`) {
					t.Errorf("not a good line: %s", line)
				}
			} else if !begins.MatchString(line) || strings.Contains(line, " time=") || empty.MatchString(line) {
				t.Errorf("not a good line: %s", line)
			}
		}
		requests := strings.Count(text, "API request")
		for what, n := range map[string]int{"TLS handshake error": 1, "shutting down": 1, "starting": 1} {
			if got := strings.Count(text, what); got != n {
				t.Errorf("%q is logged %d times instead of %d:\n%s", what, got, n, text)
			}
		}
		if requests < len(simulator.DemoFleet()) || strings.Count(text, "demo-secret") > 0 {
			t.Errorf("%d requests are logged, or a secret:\n%s", requests, text)
		}
	}
}

// A binary that go builds without make knows what it is.
func TestVersionWithoutMake(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), build(t), "--version").CombinedOutput()
	if err != nil || !regexp.MustCompile(`^starrocks_backup_exporter, version [^ ,]+ \(`).Match(out) {
		t.Errorf("%v: %s", err, out)
	}
}
