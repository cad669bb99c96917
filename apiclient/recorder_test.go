package apiclient

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-kit/log"
	"golang.org/x/time/rate"

	"starrocks_backup_exporter/apiclient/simulator"
)

// nobody observes nothing.
type nobody struct{}

func (nobody) Request(string, string, string, time.Duration) {}
func (nobody) Retry(string, string, Reason)                  {}
func (nobody) LimitWait(string, time.Duration)               {}
func (nobody) ClockSkew(string, time.Duration)               {}

// newRecordedClient reads an API with a security token, and records it.
func newRecordedClient(t *testing.T, url, directory string, logger log.Logger) *Client {
	t.Helper()
	recorder, err := NewRecorder(directory, time.Now, logger)
	if err != nil {
		t.Fatal(err)
	}
	nonce := 0
	c, err := New(Options{
		Endpoint: url, RegionID: "r", Credentials: NewCredentials(CredentialSource{AccessKeyID: "STS.key", AccessKeySecret: "secret", SecurityToken: "canary+/="}),
		Transport: recorder.Transport(http.DefaultTransport), Timeout: 10 * time.Second, MaxAttempts: 1, PageSize: 2, Limiter: NewLimiter(rate.Inf, 1),
		Observer: nobody{}, Now: time.Now, Nonce: func() string { nonce++; return fmt.Sprintf("canary-nonce-%d", nonce) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func read(c *Client) (ids []string, err error) {
	for b, err := range c.Backups(context.Background(), DescribeBackupsRequest{InstanceID: "c-1"}) {
		if err != nil {
			return ids, err
		}
		ids = append(ids, b.TaskID)
	}
	return ids, nil
}

// A recording has the answers to the last byte, and nothing of what they were asked for with, even if an answer echoes that.
func TestRecorder(t *testing.T) {
	odd := "{\"Success\":true,\"Data\":[{\"BackupTaskId\":\"a\",\"Description\":\"\xff\"}]}\r\n"
	var answer func(w http.ResponseWriter, r *http.Request)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Set-Cookie", "session=canary")
		answer(w, r)
	}))
	defer api.Close()
	directory := filepath.Join(t.TempDir(), "recording")
	c := newRecordedClient(t, api.URL, directory, log.NewNopLogger())
	for _, a := range []func(w http.ResponseWriter, r *http.Request){
		func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(odd)) },
		func(w http.ResponseWriter, r *http.Request) { // what was signed, in JSON that escapes more than it must
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"Code":"SignatureDoesNotMatch","Message":"%s","RequestId":"id-1"}`, strings.ReplaceAll(r.Header.Get("x-acs-security-token"), "a", `\u0061`))
		},
		func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusBadGateway)
			fmt.Fprintf(w, "<html>%v %s</html>", r.Header, url.QueryEscape(r.Header.Get("x-acs-security-token")))
		},
	} {
		answer = a
		_, _ = read(c)
	}
	files, err := filepath.Glob(directory + "/*-DescribeBackups-*.http")
	if err != nil || len(files) != 4 { // the first is asked for another page
		t.Fatal(files, err)
	}
	all := ""
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all += string(text)
		info, err := os.Stat(f)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
	}
	for _, secret := range []string{"canary", "c\\u0061n", "STS.key", "Set-Cookie"} {
		if strings.Contains(all, secret) {
			t.Errorf("%s is recorded:\n%s", secret, all)
		}
	}
	for _, part := range []string{odd, "?InstanceId=c-1&PageNumber=1&PageSize=2&RegionId=r HTTP/1.1\r\n", `"Code":"SignatureDoesNotMatch"`, `"RequestId":"id-1"`, "HTTP/1.1 502 Bad Gateway\r\n", "Signature=(stripped)"} {
		if !strings.Contains(all, part) {
			t.Errorf("%q is not recorded:\n%s", part, all)
		}
	}
	playback, err := simulator.NewPlayback(os.DirFS(directory))
	if err != nil {
		t.Fatal(err)
	}
	played := httptest.NewServer(playback)
	defer played.Close()
	again := newRecordedClient(t, played.URL, t.TempDir(), log.NewNopLogger())
	if ids, err := read(again); err != nil || len(ids) != 1 {
		t.Errorf("played back: %v, %v", ids, err)
	}
	if _, err := read(again); ReasonOf(err) != ReasonUnauthorized {
		t.Errorf("played back: %v", err)
	}
	for range 2 { // the last one stays
		if _, err := read(again); ReasonOf(err) != ReasonServerError {
			t.Errorf("played back: %v", err)
		}
	}
}

// Where an answer cannot be recorded it still serves, and the log says so.
func TestRecorderThatCannotWrite(t *testing.T) {
	sim := simulator.New(simulator.Options{AccessKeys: map[string]string{"STS.key": "secret"}, Tokens: map[string]string{"STS.key": "canary+/="}})
	sim.Set(simulator.Instance{InstanceID: "c-1", RegionID: "r", Tasks: func(time.Time) []simulator.Task { return []simulator.Task{{BackupTaskID: "a"}} }})
	api := httptest.NewServer(sim)
	defer api.Close()
	directory := t.TempDir() + "/gone"
	var logged bytes.Buffer
	c := newRecordedClient(t, api.URL, directory, log.NewLogfmtLogger(&logged))
	if err := os.RemoveAll(directory); err != nil {
		t.Fatal(err)
	}
	if ids, err := read(c); err != nil || len(ids) != 1 || !strings.Contains(logged.String(), "cannot record an answer") {
		t.Errorf("%v, %v: %s", ids, err, logged.String())
	}
	if _, err := NewRecorder("/dev/null/x", time.Now, log.NewNopLogger()); err == nil {
		t.Error("recording into /dev/null/x")
	}
}
