package recording

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/go-kit/log"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
)

func recorded(at, query, action, answer string) *fstest.MapFile {
	return &fstest.MapFile{
		Data: []byte(
			"POST /path?" + query + " HTTP/1.1\r\nDate: " + at + "\r\nX-Account: 61\r\nX-Acs-Action: " + action +
				"\r\n\r\nHTTP/1.1 200 OK\r\nRetry-After: 3\r\n\r\n" + answer,
		),
	}
}

func TestPlayback(t *testing.T) {
	const first, second = "Tue, 24 Nov 2026 16:00:00 GMT", "Tue, 24 Nov 2026 16:01:00 GMT"
	p, err := NewPlayback(fstest.MapFS{
		"1.http":    recorded(second, "RegionId=r&InstanceId=c-2&PageNumber=1&PageSize=50", "DescribeBackups", "two"),
		"2.http":    recorded(first, "RegionId=r&InstanceId=c-1&PageNumber=1&PageSize=50", "DescribeBackups", "one"),
		"3.http":    recorded(second, "RegionId=r&InstanceId=c-1&PageNumber=2&PageSize=50", "DescribeBackups", "one, page 2"),
		"5.http":    recorded(second, "RegionId=r&PageNumber=1", "DescribeBackups", "all"),
		"6.http":    recorded(second, "RegionId=r&PageNumber=2", "DescribeInstances", "none"),
		"7.http":    recorded(second, "RegionId=r&PageNumber=2", "DescribeBackups", "none"),
		"4.http":    recorded(second, "RegionId=r&PageNumber=1", "DescribeInstances", "both"),
		"notes.txt": {Data: []byte("not a recording")},
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := time.Date(2026, 11, 24, 16, 0, 0, 0, time.UTC); !p.Start.Equal(want) {
		t.Errorf("starts %v, want %v", p.Start, want)
	}
	if in := p.Instances(); len(in) != 2 || in[0].InstanceID != "c-1" || in[1].InstanceID != "c-2" {
		t.Errorf("instances %v", in)
	}
	if r := p.Regions("DescribeInstances"); len(r) != 1 || r[0].RegionID != "r" || len(p.Regions("DescribeBackups")) != 1 {
		t.Errorf("regions %v", r)
	}
	for query, want := range map[string]string{
		"RegionId=r&InstanceId=c-1&PageNumber=2&PageSize=7": "one, page 2", "RegionId=r&InstanceId=c-2&PageNumber=1": "two",
		"RegionId=r&InstanceId=c-2&PageNumber=9": "NotRecorded",
	} {
		r, w := httptest.NewRequest(http.MethodPost, "/path?"+query, nil), httptest.NewRecorder()
		r.Header.Set("x-acs-action", "DescribeBackups")
		r.Header.Set("Authorization", "ACS3-HMAC-SHA256 Credential=61,SignedHeaders=host,Signature=x")
		if p.ServeHTTP(w, r); !strings.Contains(w.Body.String(), want) || (want != "NotRecorded") != (w.Header().Get("Retry-After") == "3") {
			t.Errorf("%s: %s, want %s; %v", query, w.Body, want, w.Header())
		}
	}
}

func TestPlaybackOfWhatIsNone(t *testing.T) {
	good := recorded("Tue, 24 Nov 2026 16:00:00 GMT", "", "DescribeBackups", "")
	for name, files := range map[string]fstest.MapFS{
		"nothing":    {},
		"no request": {"a.http": good, "b.http": {Data: []byte("x")}},
		"no answer":  {"a.http": {Data: []byte("POST / HTTP/1.1\r\nDate: Tue, 24 Nov 2026 16:00:00 GMT\r\n\r\nx")}},
		"no time":    {"a.http": recorded("yesterday", "", "", "")},
	} {
		if _, err := NewPlayback(files); err == nil {
			t.Errorf("%s is taken for a recording", name)
		}
	}
}

// The operations that are read slowly are recorded and played back as all others are.
func TestOptionalOperationsAreRecorded(t *testing.T) {
	const policies = `{"Success":true,"Data":[{"PolicyId":"1"}]}`
	const history = `{"Success":true,"Total":1,"Data":[{"OperationId":"op-1","OperationStatus":"x"}]}`
	const canceled = `{"Success":true,"Total":1,"Data":[{"OperationId":"op-2","OperationStatus":"x"}]}`
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("x-acs-action") {
		case "DescribeBackupPolicies":
			_, _ = w.Write([]byte(policies))
		case "ListOperationHistory":
			_, _ = w.Write([]byte(map[string]string{"restore": history, "cancel_backup_task": canceled}[r.URL.Query().Get("OperationType")]))
		}
	}))
	defer api.Close()
	directory := filepath.Join(t.TempDir(), "recording")
	client := newRecordedClient(t, api.URL, directory, log.NewNopLogger())
	for p, err := range client.BackupPolicies(t.Context(), "c-1") {
		if err != nil || p.PolicyID != "1" {
			t.Fatal(p, err)
		}
	}
	for n, operationType := range []string{apiclient.OperationRestore, apiclient.OperationCancelBackup} {
		for o, err := range client.OperationHistory(t.Context(), "c-1", operationType) {
			if err != nil || o.ID != fmt.Sprintf("op-%d", n+1) {
				t.Fatal(o, err)
			}
		}
	}
	playback, err := NewPlayback(os.DirFS(directory))
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range [][2]string{ // not in the order of the recording
		{"ListOperationHistory?OperationType=cancel_backup_task&PageNumber=1", canceled},
		{"ListOperationHistory?OperationType=restore&PageNumber=1", history},
		{"DescribeBackupPolicies?RegionId=r", policies},
	} {
		action, want := one[0], one[1]
		name, query, _ := strings.Cut(action, "?")
		r, w := httptest.NewRequest(http.MethodPost, "/path?InstanceId=c-1&"+query, nil), httptest.NewRecorder()
		r.Header.Set("x-acs-action", name)
		r.Header.Set("Authorization", "ACS3-HMAC-SHA256 Credential="+url.QueryEscape("a, b"))
		if playback.ServeHTTP(w, r); w.Body.String() != want {
			t.Errorf("%s plays back %s, want %s", name, w.Body, want)
		}
	}
	if len(playback.Instances()) != 0 || !playback.Has("DescribeBackupPolicies") || playback.Has("DescribeBackups") {
		t.Errorf("asked %+v", playback.asked)
	}
}

// Pages that the client gave up as too large are not in the recording: it plays back what was read in smaller ones.
func TestPlaybackOfLargePages(t *testing.T) {
	for _, chunked := range []bool{false, true} {
		api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			page, _ := strconv.Atoi(r.URL.Query().Get("PageNumber"))
			size, _ := strconv.Atoi(r.URL.Query().Get("PageSize"))
			var tasks []string
			for n := (page - 1) * size; n < min(4, page*size); n++ {
				tasks = append(tasks, fmt.Sprintf(`{"BackupTaskId":"bt-%d","Status":"COMPLETED","Detail":%q}`, n, strings.Repeat("x", 3<<20)))
			}
			body := `{"RequestId":"r","Success":true,"Total":4,"Data":[` + strings.Join(tasks, ",") + `]}`
			if !chunked {
				w.Header().Set("Content-Length", strconv.Itoa(len(body)))
			}
			_, _ = w.Write([]byte(body))
		}))
		directory := filepath.Join(t.TempDir(), "recording")
		got, err := read(newRecordedClient(t, api.URL, directory, log.NewNopLogger()))
		api.Close()
		if err != nil || len(got) != 4 {
			t.Fatalf("%v, %v", got, err)
		}
		playback, err := NewPlayback(os.DirFS(directory))
		if err != nil {
			t.Fatal(err)
		}
		again := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Header.Set("Authorization", "ACS3-HMAC-SHA256 Credential=a%2C+b,SignedHeaders=host,Signature=x") // the account that was recorded
			playback.ServeHTTP(w, r)
		}))
		played, err := read(newClient(t, again.URL, http.DefaultTransport))
		again.Close()
		if err != nil || !slices.Equal(played, got) {
			t.Errorf("chunked %v: %v, %v", chunked, played, err)
		}
	}
}
