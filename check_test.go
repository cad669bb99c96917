package main

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-kit/log"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient/simulator"
)

var update = flag.Bool("update", false, "rewrite the expected reports")

// checked is what the command says, and its exit status.
func checked(t *testing.T, args ...string) (status int, output string) {
	t.Helper()
	o, err := parse(append([]string{"check"}, args...))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	status, err = check(o, log.NewNopLogger(), &b)
	if (err != nil) != (b.Len() == 0) {
		t.Errorf("%v, and the report is %q", err, b.String())
	}
	return status, b.String()
}

// A recording is played back at its own time, so that the report is always the same.
func TestCheckOfARecording(t *testing.T) {
	for _, output := range []string{"table", "json"} {
		status, got := checked(t, "--api.playback=testdata/recording", "--output="+output)
		if status != 1 {
			t.Errorf("exit status %d, want 1: some are bad, others unknown", status)
		}
		got = regexp.MustCompile(`"(at|collected_at|read_at|overdue_seconds)": [^,]*`).ReplaceAllString(got, `"$1": "…"`)
		file := filepath.Join("testdata", "check."+output)
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if want, err := os.ReadFile(file); err != nil || got != string(want) {
			t.Errorf("%s is not what was written (%v):\n%s", file, err, got)
		}
	}
}

func TestCheckStatus(t *testing.T) {
	ago := func(d time.Duration) any { return simulator.Millis(time.Now().Add(-d)) }
	good := func(time.Time) []simulator.Task {
		return []simulator.Task{{BackupTaskID: "bt-1", Status: "COMPLETED", Start: ago(2 * time.Hour), Finish: ago(90 * time.Minute)}}
	}
	denied, hangs, unnamed := simulator.Denied(
		"sr:ReadBackups",
	), simulator.Hang(), simulator.GatewayError(
		http.StatusForbidden,
		"Forbidden.RAM",
		"no",
	)
	const policyOf = `"Action": ["%s"]`
	for name, c := range map[string]struct {
		instances  []simulator.Instance
		lists      simulator.Fault
		finds      bool
		configured bool   // beside those found
		more       string // configuration
		status     int
		says       string
		never      string
	}{
		"healthy": {
			instances: []simulator.Instance{{Tasks: good}}, status: 0,
			says: "c-0 - cn-hangzhou default 1 h 30 min in 1 d 0 unhealthy, 0 unknown, 1 healthy",
		},
		"bad": {instances: []simulator.Instance{{Tasks: good}, {}}, status: 1, says: "Nothing to restore: the instance has no backup task."},
		"unknown": {
			instances: []simulator.Instance{{Tasks: good}, {Fault: denied}}, status: 2,
			says: fmt.Sprintf(policyOf, "sr:ReadBackups"),
		},
		"an action not named": {instances: []simulator.Instance{{Fault: unnamed}}, status: 2, says: fmt.Sprintf(policyOf,
			"sr:DescribeBackups")},
		"two actions": {
			instances: []simulator.Instance{{Fault: unnamed}, {Fault: denied}}, status: 2,
			says: fmt.Sprintf(policyOf, `sr:DescribeBackups", "sr:ReadBackups`),
		},
		"bad and unknown": {instances: []simulator.Instance{{}, {Fault: denied}}, status: 1, says: "1 unhealthy, 1 unknown"},
		"hanging":         {instances: []simulator.Instance{{Fault: hangs}}, status: 2, says: "timeout"},
		"found":           {instances: []simulator.Instance{{Tasks: good}}, finds: true, status: 0, says: "1 healthy"},
		"found none":      {finds: true, status: 2, says: "No instance is watched."},
		"healthy, lists denied": {
			instances: []simulator.Instance{{Tasks: good}}, lists: denied, finds: true, configured: true,
			status: 2, says: "1 healthy",
		},
		"lists denied": {
			instances: []simulator.Instance{{Tasks: good}}, lists: denied, finds: true, status: 2,
			says: fmt.Sprintf(policyOf, "sr:ReadBackups"),
		},
		"lists not said for all": {
			lists: simulator.GatewayError(http.StatusForbidden, "Forbidden.RAM", "no"), finds: true,
			status: 2, says: fmt.Sprintf(policyOf, "sr:DescribeInstances"),
		},
		"policies and restores denied": {
			instances: []simulator.Instance{{Tasks: good, Fault: func(w http.ResponseWriter, r *http.Request, n int) bool {
				return simulator.Of("DescribeBackupPolicies", simulator.Denied("sr:ReadPolicies"))(w, r, n) ||
					simulator.Of("ListOperationHistory", unnamed)(w, r, n)
			}}},
			more:   "policies: {refresh_interval: 1h}\nrestores: {refresh_interval: 6h, max_age: 90d}\n",
			status: 0, says: fmt.Sprintf(policyOf, `sr:ListOperationHistory", "sr:ReadPolicies`), never: "No backup policy",
		},
		"a policy that somebody else wrote": {
			instances: []simulator.Instance{{Fault: simulator.Denied(`sr:X", "*`)}}, status: 2,
			says: fmt.Sprintf(policyOf, "sr:DescribeBackups"),
		},
		"a proxy that forbids": {
			instances: []simulator.Instance{{Fault: simulator.HTML(http.StatusForbidden)}}, status: 2,
			says: "forbidden", never: "Attach",
		},
		"an escape in a name": {instances: []simulator.Instance{{Tasks: func(now time.Time) []simulator.Task {
			tasks := good(now)
			tasks[0].Snapshot = &simulator.Snapshot{InstanceName: "\u009b2J\x7f"}
			return tasks
		}}}, status: 0, says: "\ufffd2J\ufffd", never: "\u009b"},
		"an escape in a list's error": {
			lists: simulator.EnvelopeError("InvalidParams", "\x1b[2J"), finds: true, status: 2,
			says: "Instances found only there are not watched. DescribeInstances: invalid_request: InvalidParams: \ufffd[2J",
		},
		"an escape in a message": {
			instances: []simulator.Instance{{Fault: simulator.EnvelopeError("InvalidParams", "\x1b[2J\u202e")}},
			status:    2, says: "InvalidParams: \ufffd[2J\ufffd",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim := simulator.New(simulator.Options{AccessKeys: map[string]string{"id": "secret"}, Fault: c.lists})
			api := httptest.NewServer(sim)
			t.Cleanup(func() { api.CloseClientConnections(); api.Close() })
			text := fmt.Sprintf(
				"api: {endpoint: %q, max_attempts: 1, timeout: 1h}\naccounts: {default: {access_key_id: id, access_key_secret: secret}}\n",
				api.URL,
			)
			text += c.more
			c.configured = c.configured || !c.finds
			if c.finds {
				text += "discovery: [{region_id: cn-hangzhou}]\n"
			}
			if c.configured {
				text += "instances:\n"
			}
			for i, in := range c.instances {
				in.InstanceID, in.RegionID = fmt.Sprintf("c-%d", i), "cn-hangzhou"
				sim.Set(in)
				if c.configured {
					text += fmt.Sprintf("- {instance_id: %s, region_id: cn-hangzhou}\n", in.InstanceID)
				}
			}
			file := filepath.Join(t.TempDir(), "check.yml")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			status, got := checked(t, "--config.file="+file, "--timeout=2s")
			got = strings.Join(strings.Fields(got), " ") // long lines are wrapped
			if status != c.status || !strings.Contains(got, c.says) || c.never != "" && strings.Contains(got, c.never) {
				t.Errorf("exit status %d, want %d and %q:\n%s", status, c.status, c.says, got)
			}
			status, got = checked(t, "--config.file="+file, "--timeout=2s", "--output=json")
			var report struct{ State string }
			if err := json.Unmarshal([]byte(got), &report); err != nil || status != c.status ||
				report.State != []string{"healthy", "unhealthy", "unknown"}[c.status] ||
				strings.ContainsAny(got, "\u009b\x7f\x1b\u202e") {
				t.Errorf("exit status %d, %v:\n%s", status, err, got)
			}
		})
	}
}

func TestCheckWithoutAConfiguration(t *testing.T) {
	for _, args := range [][]string{
		{"--config.file=" + filepath.Join(t.TempDir(), "none.yml")}, {"--api.playback=" + t.TempDir()}, {"--demo", "--api.record=/dev/null/x"},
	} {
		if status, got := checked(t, args...); status != 2 || got != "" {
			t.Errorf("%v: exit status %d\n%s", args, status, got)
		}
	}
	o, err := parse([]string{"check", "--config.file=" + filepath.Join(t.TempDir(), "none.yml")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := check(o, log.NewNopLogger(), io.Discard); err == nil || !strings.Contains(err.Error(), "another file with --config.file") {
		t.Errorf("no hint: %v", err)
	}
}

// What is recorded of the demo and played back is the same fleet.
func TestRecordAndPlayBack(t *testing.T) {
	directory := filepath.Join(t.TempDir(), "recording")
	_, recorded := checkedInstances(t, "--demo", "--api.record="+directory)
	if files, err := os.ReadDir(directory); err != nil || len(files) < len(simulator.DemoFleet()) {
		t.Fatal(len(files), err)
	}
	_, played := checkedInstances(t, "--api.playback="+directory)
	if recorded != played || strings.Count(played, "c-") != len(simulator.DemoFleet()) || strings.Count(played, " true\n") != 2 {
		t.Errorf("recorded\n%s\nplayed\n%s", recorded, played)
	}
}

// checkedInstances returns what the API says of each instance, by id.
func checkedInstances(t *testing.T, args ...string) (status int, instances string) {
	t.Helper()
	status, output := checked(t, append(args, "--output=json")...)
	var report struct {
		Instances []struct {
			InstanceID        string `json:"instance_id"`
			Account           string
			InstanceName      string `json:"instance_name"`
			LastSuccess       string `json:"last_success"`
			RestorableBackups *int   `json:"restorable_backups"`
			Conditions        []string
			Error             struct{ Reason string }
		}
	}
	if err := json.Unmarshal([]byte(output), &report); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, i := range report.Instances {
		restorable := -1
		if i.RestorableBackups != nil {
			restorable = *i.RestorableBackups
		}
		all = append(all, fmt.Sprintf("%s %s %q %s %d %s %t\n", i.InstanceID, i.Account, i.InstanceName, i.LastSuccess, restorable,
			i.Error.Reason, slices.Contains(i.Conditions, "no_policy")))
	}
	slices.Sort(all)
	return status, strings.Join(all, "")
}

// So is a fleet of two accounts whose regions were listed by tags. Some answers never came.
func TestPlayBackAListing(t *testing.T) {
	sims := map[string]http.Handler{}
	began := time.Now().Add(-2 * time.Hour)
	for a, account := range []string{"one", "two"} {
		sim := simulator.New(simulator.Options{AccessKeys: map[string]string{account: "secret"}, PageCap: 2})
		for i := range 5 {
			in := simulator.Instance{
				InstanceID: fmt.Sprintf("c-%s-%d", account, i),
				RegionID:   "cn-hangzhou",
				Tags:       map[string]string{"team": "data"},
				Tasks: func(time.Time) (tasks []simulator.Task) {
					for k := range i + a {
						tasks = append(
							tasks,
							simulator.Task{
								BackupTaskID: fmt.Sprintf("bt-%d-%d", i, k),
								Status:       "COMPLETED",
								Start:        simulator.Millis(began),
								Finish:       simulator.Millis(began.Add(time.Hour)),
							},
						)
					}
					return tasks
				},
			}
			if i == 4 { // it is not in the list, and does not answer for itself
				in.Fault, in.Listed = simulator.Reset(), func([]simulator.Task) []simulator.Task { return nil }
			}
			sim.Set(in)
		}
		sims[account] = sim
	}
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for account, sim := range sims {
			if strings.Contains(r.Header.Get("Authorization"), "Credential="+account+",") {
				sim.ServeHTTP(w, r)
			}
		}
	}))
	defer api.Close()
	file, directory := filepath.Join(t.TempDir(), "listing.yml"), t.TempDir()
	text := fmt.Sprintf(
		"api: {endpoint: %q, max_attempts: 1}\naccounts: {account one: {access_key_id: one, access_key_secret: secret}, two: {access_key_id: "+
			"two, access_key_secret: secret}}\n"+
			"discovery: [{region_id: cn-hangzhou, account: account one, tags: {team: data}, listing: region}, {region_id: cn-hangzhou, account: "+
			"two, listing: region}]",
		api.URL,
	)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, recorded := checkedInstances(t, "--config.file="+file, "--api.record="+directory)
	status, played := checkedInstances(t, "--api.playback="+directory)
	if status != 1 || played != recorded || strings.Count(played, "network") != 2 || strings.Count(played, "c-") != 10 {
		t.Errorf("exit status %d; recorded\n%s\nplayed\n%s", status, recorded, played)
	}
}

// An interrupt ends the check: what was not read by then is unknown.
func TestCheckIsInterrupted(t *testing.T) {
	asked := make(chan struct{}, 1)
	api := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-r.Context().Done()
	}))
	defer api.Close()
	defer api.CloseClientConnections()
	file := filepath.Join(t.TempDir(), "check.yml")
	text := fmt.Sprintf(
		"api: {endpoint: %q, timeout: 1h, max_attempts: 1}\naccounts: {default: {access_key_id: id, access_key_secret: secret}}\ninstances: "+
			"[{instance_id: c-1, region_id: r}]",
		api.URL,
	)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	go func() {
		<-asked
		if p, err := os.FindProcess(os.Getpid()); err == nil {
			_ = p.Signal(syscall.SIGTERM)
		}
	}()
	if status, got := checked(t, "--config.file="+file, "--timeout=1h"); status != 2 ||
		!strings.Contains(got, "0 unhealthy, 1 unknown, 0 healthy") {
		t.Errorf("exit status %d:\n%s", status, got)
	}
}

// lockedBuffer is a log that is written to and read concurrently.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestHealthcheck(t *testing.T) {
	status := http.StatusOK
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/-/healthy" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		w.WriteHeader(status)
	})
	plain, encrypted, mutual := httptest.NewServer(handler), httptest.NewUnstartedServer(handler), httptest.NewUnstartedServer(handler)
	var log lockedBuffer
	for _, s := range []*httptest.Server{encrypted, mutual} {
		s.Config.ErrorLog = newServerLogger(slog.New(slog.NewTextHandler(&log, nil)))
		s.TLS = &tls.Config{}
		defer s.Close()
	}
	mutual.TLS.ClientAuth = tls.RequireAnyClientCert
	encrypted.StartTLS()
	mutual.StartTLS()
	address := plain.Listener.Addr().String()
	_, port, _ := strings.Cut(address, ":")
	for _, a := range []string{
		address, "0.0.0.0:" + port, "[::]:" + port, ":" + port, encrypted.Listener.Addr().String(), mutual.Listener.Addr().String(),
	} {
		if err := healthcheck(a, "/"); err != nil {
			t.Errorf("%s: %v", a, err)
		}
	}
	encrypted.Close()
	mutual.Close() // waits for what it logs
	if text := log.String(); text != "" {
		t.Errorf("the health check makes the server log:\n%s", text)
	}
	if status = http.StatusUnauthorized; healthcheck(address, "/") != nil {
		t.Error("one that wants a password is taken for dead")
	}
	if status = http.StatusServiceUnavailable; healthcheck(address, "/") == nil {
		t.Error("one that fails is taken for alive")
	}
	plain.Close()
	for _, a := range []string{address, "nonsense"} {
		if healthcheck(a, "/") == nil {
			t.Errorf("%s is taken for alive", a)
		}
	}
}
