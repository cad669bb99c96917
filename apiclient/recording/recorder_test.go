package recording

import (
	"bytes"
	"context"
	"fmt"
	"html"
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

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
	"git.example.com/starrocks/starrocks_backup_exporter/apiclient/simulator"
)

// nobody observes nothing.
type nobody struct{}

func (nobody) Request(string, string, string, time.Duration) {}
func (nobody) Retry(string, string, apiclient.Reason)        {}
func (nobody) LimitWait(string, time.Duration)               {}
func (nobody) ClockSkew(string, time.Duration)               {}

// What the requests of these tests are signed with.
const (
	recordedID    = "STS.canary4711abcdef"
	recordedToken = "CAIS+canary4711/tok0815end=="
)

// newRecordedClient reads an API with a security token, and records it.
func newRecordedClient(t *testing.T, url, directory string, logger log.Logger) *apiclient.Client {
	t.Helper()
	recorder, err := NewRecorder(directory, time.Now, logger)
	if err != nil {
		t.Fatal(err)
	}
	return newClient(t, url, recorder.Transport("a, b", http.DefaultTransport))
}

// newClient reads an API with a security token.
func newClient(t *testing.T, url string, transport http.RoundTripper) *apiclient.Client {
	t.Helper()
	nonce := 0
	c, err := apiclient.New(apiclient.Options{
		Endpoint: url, RegionID: "r", Transport: transport, Timeout: 10 * time.Second, MaxAttempts: 1, PageSize: 2,
		Credentials: apiclient.NewCredentials(apiclient.CredentialSource{
			AccessKeyID: recordedID, AccessKeySecret: "secret", SecurityToken: recordedToken,
		}, func(string, string) {}),
		FreshTransport: transport, Memory: apiclient.NewMemory(64 << 20),
		Limiter:  apiclient.NewLimiter(rate.Inf, 1, 16),
		Observer: nobody{}, Now: time.Now, Nonce: func() string { nonce++; return fmt.Sprintf("canary4711nonce%d", nonce) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func read(c *apiclient.Client) (ids []string, err error) {
	for b, err := range c.Backups(context.Background(), apiclient.DescribeBackupsRequest{InstanceID: "c-1"}) {
		if err != nil {
			return ids, err
		}
		ids = append(ids, b.TaskID)
	}
	return ids, nil
}

// recordingOf is what is recorded of one read of an API, and the error that it ended with.
func recordingOf(t *testing.T, answer http.HandlerFunc) (directory, text string, err error) {
	t.Helper()
	api := httptest.NewServer(answer)
	defer api.Close()
	directory = filepath.Join(t.TempDir(), "recording")
	_, err = read(newRecordedClient(t, api.URL, directory, log.NewNopLogger()))
	entries, readErr := os.ReadDir(directory)
	if readErr != nil || len(entries) == 0 {
		t.Fatalf("%d files, %v", len(entries), readErr)
	}
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(directory, e.Name()))
		if info, infoErr := e.Info(); err != nil || infoErr != nil || info.Mode().Perm() != 0o600 || !strings.HasSuffix(e.Name(), ".http") {
			t.Fatalf("%s: %v, %v", e.Name(), err, infoErr)
		}
		text += string(content)
	}
	return directory, text, err
}

// playedBack is the reason of a read of a recording that fails.
func playedBack(t *testing.T, directory string) apiclient.Reason {
	t.Helper()
	playback, err := NewPlayback(os.DirFS(directory))
	if err != nil {
		t.Fatal(err)
	}
	played := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("Authorization", strings.ReplaceAll(r.Header.Get("Authorization"), recordedID, url.QueryEscape("a, b")))
		playback.ServeHTTP(w, r)
	}))
	defer played.Close()
	_, err = read(newRecordedClient(t, played.URL, t.TempDir(), log.NewNopLogger()))
	if err == nil {
		return ""
	}
	return apiclient.ReasonOf(err)
}

// A recording has the answers to the last byte, and plays back what was.
func TestRecorder(t *testing.T) {
	odd := "{\"Success\":true,\"Data\":[{\"BackupTaskId\":\"a\",\"Description\":\"\xff\"}]}\r\n"
	status := func(code int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Set-Cookie", "session=1")
			w.Header().Set("X-Acs-Retry-After", "1")
			w.WriteHeader(code)
			_, _ = w.Write([]byte(body))
		}
	}
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		has    []string
		reason apiclient.Reason
	}{
		"an answer": {status(200, odd), []string{
			odd, "?InstanceId=c-1&PageNumber=1&PageSize=2&RegionId=r HTTP/1.1\r\n", "PageNumber=2",
			"X-Acs-Retry-After: 1\r\n",
		}, ""},
		"a denial": {
			status(403, `{"Code":"NoPermission","AccessDeniedDetail":{"AuthAction":"sr:X"}}`), []string{
				"HTTP/1.1 403 Forbidden\r\n",
				`{"AuthAction":"sr:X"}`,
			}, apiclient.ReasonForbidden,
		},
		"no JSON":   {status(502, "<html>"), []string{"(6 bytes that are not JSON, left out)"}, apiclient.ReasonServerError},
		"nothing":   {status(503, ""), []string{"HTTP/1.1 503 Service Unavailable\r\n"}, apiclient.ReasonServerError},
		"very much": {status(200, odd+strings.Repeat(" ", maxRecorded)), []string{"bytes, left out)"}, apiclient.ReasonBadResponse},
		"half an answer": {
			func(w http.ResponseWriter, r *http.Request) { simulator.HalfAnswered()(w, r, 1) },
			[]string{"X-Acs-Version: 2022-10-19\r\n\r\n"},
			apiclient.ReasonNetwork,
		},
		"none that it got": {
			func(w http.ResponseWriter, r *http.Request) { simulator.Reset()(w, r, 1) },
			[]string{"X-Acs-Version: 2022-10-19\r\n\r\n"},
			apiclient.ReasonNetwork,
		},
	} {
		t.Run(name, func(t *testing.T) {
			directory, text, err := recordingOf(t, c.answer)
			for _, part := range c.has {
				if !strings.Contains(text, part) {
					t.Errorf("%q is not recorded:\n%.1000s", part, text)
				}
			}
			if strings.Contains(text, "Set-Cookie") || (err == nil) != (c.reason == "" || c.reason == apiclient.ReasonBadResponse) {
				t.Errorf("%v:\n%.1000s", err, text)
			}
			for range 2 { // the last answer stays
				if got := playedBack(t, directory); got != c.reason {
					t.Errorf("played back it fails as %q, not %q", got, c.reason)
				}
			}
		})
	}
}

// What a request is signed with is in no recording and in no error, whatever answer echoes it, and however that is encoded.
func TestEchoesAreLeftOut(t *testing.T) {
	for encoding, encode := range map[string]func(string) string{
		"none":      func(s string) string { return s },
		"URL":       url.QueryEscape,
		"lower URL": func(s string) string { return strings.ToLower(url.QueryEscape("+=")) + s },
		"path":      url.PathEscape,
		"HTML":      func(s string) string { return strings.ReplaceAll(html.EscapeString(s), "+", "&#43;") },
		"JSON":      func(s string) string { return strings.NewReplacer("=", `\u003d`, "/", `\/`, "a", `\u0061`).Replace(s) },
		"cut":       func(s string) string { return s[:len(s)-8] },
	} {
		for _, body := range []string{
			`{"Code":"SignatureDoesNotMatch","Message":"server string to sign is: %s","RequestId":"id-1"}`,
			`{"Code":"InvalidSecurityToken.Malformed","Message":"%s","RequestId":"id-1"}`,
			`{"Code":"InvalidParameter","Message":"%s","RequestId":"id-1"}`,
			`{"Code":"%s"}`,
			`{"Code":"NoPermission","AccessDeniedDetail":{"AuthAction":"%s"}}`,
			`{"Code":"SignatureDoesNotMatch","Message":"%s`,
			`{"Success":true,"Data":[{"BackupTaskId":"%s"}]}`,
			`{"Success":true,"Data":[{"OperationId":"op-1","OperationDetail":"%s"}]}`,
			`<html>%s</html>`,
		} {
			_, text, err := recordingOf(t, func(w http.ResponseWriter, r *http.Request) {
				if !strings.Contains(body, "true") {
					w.WriteHeader(http.StatusBadRequest)
				}
				fmt.Fprintf(w, body, encode(r.Header.Get("x-acs-security-token")))
			})
			for where, said := range map[string]string{"recording": text, "error": fmt.Sprint(err)} {
				for _, piece := range []string{"canary4711", "c\\u0061n", "tok0815end"} {
					if strings.Contains(said, piece) {
						t.Errorf("encoded by %s, %s: the %s has %s:\n%s", encoding, body, where, piece, said)
					}
				}
			}
			if strings.Contains(body, "id-1") && !strings.Contains(text, "id-1") {
				t.Errorf("%s: the request's id is not recorded:\n%s", body, text)
			}
		}
	}
}

// Where an answer cannot be recorded it still serves, and the log says so.
func TestRecorderThatCannotWrite(t *testing.T) {
	sim := simulator.New(
		simulator.Options{AccessKeys: map[string]string{recordedID: "secret"}, Tokens: map[string]string{recordedID: recordedToken}},
	)
	sim.Set(
		simulator.Instance{
			InstanceID: "c-1",
			RegionID:   "r",
			Tasks:      func(time.Time) []simulator.Task { return []simulator.Task{{BackupTaskID: "a"}} },
		},
	)
	api := httptest.NewServer(sim)
	defer api.Close()
	directory := t.TempDir() + "/gone"
	var logged bytes.Buffer
	c := newRecordedClient(t, api.URL, directory, log.NewLogfmtLogger(&logged))
	if err := os.RemoveAll(directory); err != nil {
		t.Fatal(err)
	}
	if ids, err := read(c); err != nil || len(ids) != 1 {
		t.Errorf("%v, %v", ids, err)
	}
	for _, want := range []string{"leaving it out of the recording", "file=" + directory, "operation=DescribeBackups"} {
		if !strings.Contains(logged.String(), want) {
			t.Errorf("%q is not logged: %s", want, logged.String())
		}
	}
}

// A file that cannot get its name is removed.
func TestIncompleteFileIsRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "taken.http")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	err := writeFile(path, []byte("complete"))
	files, readErr := os.ReadDir(filepath.Dir(path))
	if err == nil || readErr != nil || len(files) != 1 {
		t.Errorf("%d files, %v, %v", len(files), err, readErr)
	}
}

// Two recorders into one directory do not write over each other's files; one that comes later is refused.
func TestTwoRecorders(t *testing.T) {
	directory := t.TempDir() + "/shared"
	api := httptest.NewServer(simulator.New(simulator.Options{}))
	defer api.Close()
	same := func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }
	var clients []*apiclient.Client
	for range 2 {
		recorder, err := NewRecorder(directory, same, log.NewNopLogger())
		if err != nil {
			t.Fatal(err)
		}
		clients = append(clients, newClient(t, api.URL, recorder.Transport("", http.DefaultTransport)))
	}
	for _, c := range clients {
		_, _ = read(c)
	}
	if files, err := os.ReadDir(directory); err != nil || len(files) != 2 {
		t.Errorf("%d files, %v", len(files), err)
	}
	for _, d := range []string{directory, "/dev/null/x"} {
		if _, err := NewRecorder(d, same, log.NewNopLogger()); err == nil {
			t.Errorf("recording into %s", d)
		}
	}
}
