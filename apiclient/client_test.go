package apiclient_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-kit/log"
	"golang.org/x/time/rate"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
	"git.example.com/starrocks/starrocks_backup_exporter/apiclient/simulator"
)

type observer struct{ retries, requests atomic.Int32 }

func (o *observer) Request(string, string, string, time.Duration) { o.requests.Add(1) }
func (o *observer) Retry(string, string, apiclient.Reason)        { o.retries.Add(1) }
func (o *observer) LimitWait(string, time.Duration)               {}
func (o *observer) ClockSkew(string, time.Duration)               {}

// newClient returns a client of a simulated API, with the settings that change makes.
func newClient(t *testing.T, s simulator.Options, change func(*apiclient.Options)) (*apiclient.Client, *simulator.Simulator, *observer) {
	t.Helper()
	s.AccessKeys = map[string]string{"id": "secret"}
	sim := simulator.New(s)
	api := httptest.NewServer(sim)
	t.Cleanup(func() { api.CloseClientConnections(); api.Close() })
	var nonce atomic.Int64
	seen := &observer{}
	o := apiclient.Options{
		Endpoint: api.URL, RegionID: "cn-hangzhou", Transport: http.DefaultTransport, FreshTransport: http.DefaultTransport,
		Memory: apiclient.NewMemory(64 << 20), Timeout: 30 * time.Second, MaxAttempts: 3, PageSize: 50,
		Credentials: apiclient.NewCredentials(apiclient.CredentialSource{AccessKeyID: "id", AccessKeySecret: "secret"}, func(string, string) {}),
		Limiter:     apiclient.NewLimiter(rate.Inf, 1, 16), Observer: seen, Now: time.Now,
		Nonce: func() string { return strconv.FormatInt(nonce.Add(1), 10) },
	}
	if change != nil {
		change(&o)
	}
	c, err := apiclient.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c, sim, seen
}

func read(t *testing.T, c *apiclient.Client, r apiclient.DescribeBackupsRequest) (ids []string, failure error) {
	t.Helper()
	for b, err := range c.Backups(t.Context(), r) {
		if err != nil {
			return nil, err
		}
		ids = append(ids, b.TaskID)
	}
	return ids, nil
}

// Every parameter reaches the API, whatever characters it holds.
func TestEveryParameter(t *testing.T) {
	c, sim, _ := newClient(t, simulator.Options{}, nil)
	base := time.Unix(1747708000, 0)
	sim.Set(simulator.Instance{InstanceID: "c-1 +*~/ü", RegionID: "cn-hangzhou", Tasks: func(time.Time) []simulator.Task {
		return []simulator.Task{
			{BackupTaskID: "bt-1", Status: "COMPLETED", Start: simulator.Millis(base)},
			{BackupTaskID: "bt-2", Status: "RUNNING", Start: simulator.Millis(base.Add(time.Hour))},
			{BackupTaskID: "bt-3", Status: "FAILED", Start: simulator.Millis(base.Add(2 * time.Hour))},
		}
	}})
	request := func(change func(*apiclient.DescribeBackupsRequest)) apiclient.DescribeBackupsRequest {
		r := apiclient.DescribeBackupsRequest{InstanceID: "c-1 +*~/ü"}
		change(&r)
		return r
	}
	for name, test := range map[string]struct {
		r    apiclient.DescribeBackupsRequest
		want int
	}{
		"all":      {request(func(*apiclient.DescribeBackupsRequest) {}), 3},
		"task":     {request(func(r *apiclient.DescribeBackupsRequest) { r.BackupTaskID = "bt-2" }), 1},
		"statuses": {request(func(r *apiclient.DescribeBackupsRequest) { r.Statuses = []string{"COMPLETED", "FAILED"} }), 2},
		"from":     {request(func(r *apiclient.DescribeBackupsRequest) { r.TimePeriodStartTime = base.Unix() + 1 }), 2},
		"to":       {request(func(r *apiclient.DescribeBackupsRequest) { r.TimePeriodEndTime = base.Unix() + 1 }), 1},
		"page":     {request(func(r *apiclient.DescribeBackupsRequest) { r.PageNumber, r.PageSize = 2, 2 }), 1},
	} {
		if ids, err := read(t, c, test.r); err != nil || len(ids) != test.want {
			t.Errorf("%s: %v, %v", name, ids, err)
		}
	}
	if _, err := read(t, c, apiclient.DescribeBackupsRequest{RegionID: "cn-shanghai", InstanceID: "c-1 +*~/ü"}); apiclient.ReasonOf(
		err,
	) != apiclient.ReasonInvalidRequest {
		t.Errorf("another region: %v", err)
	}
}

// The hint is longer than any backoff before a second attempt.
func TestTheServersHintIsHonored(t *testing.T) {
	c, sim, seen := newClient(t, simulator.Options{}, nil)
	sim.Set(
		simulator.Instance{InstanceID: "c-1", RegionID: "cn-hangzhou", Fault: simulator.First(1, simulator.Throttled(500*time.Millisecond))},
	)
	began := time.Now()
	if _, err := read(t, c, apiclient.DescribeBackupsRequest{InstanceID: "c-1"}); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 500*time.Millisecond || seen.retries.Load() != 1 {
		t.Errorf("%d retries after %v", seen.retries.Load(), took)
	}
}

// At debug level, each attempt is a line with all that the vendor's support asks for, and no secret.
func TestLogOfRequests(t *testing.T) {
	var text strings.Builder
	now := time.Now()
	c, sim, _ := newClient(t, simulator.Options{}, func(o *apiclient.Options) {
		o.Logger, o.Limiter = log.NewLogfmtLogger(log.NewSyncWriter(&text)), apiclient.NewLimiter(rate.Inf, 1, 1)
		o.Now = func() time.Time { return now }
		o.Secrets = []string{"-000000000002"} // part of the id of a request that succeeds
	})
	sim.Set(simulator.Instance{InstanceID: "c-1", RegionID: "cn-hangzhou", Fault: simulator.First(1, simulator.Throttled(0))})
	sim.Set(simulator.Instance{InstanceID: "c-2", RegionID: "cn-hangzhou", Fault: simulator.First(1, simulator.Reset())})
	sim.Set(simulator.Instance{
		InstanceID: "c-3", RegionID: "cn-hangzhou", Fault: simulator.Raw(http.StatusOK, `{"Success":true,"Data":[]}`),
	})
	for _, id := range []string{"c-1", "c-2", "c-3"} {
		if _, err := read(t, c, apiclient.DescribeBackupsRequest{InstanceID: id}); err != nil {
			t.Fatal(err)
		}
	}
	const line = `level=debug msg="API request" operation=DescribeBackups region_id=cn-hangzhou ` +
		`instance_id=c-%d page=1 attempt=%d duration=0s `
	got := strings.Split(text.String(), "\n")
	for i, want := range []string{
		fmt.Sprintf(line, 1, 1) + `status=400 request_id=32A44F0D-BFF6-5664-999A-218BBDE7BBBB err="DescribeBackups: throttled: `,
		fmt.Sprintf(line, 1, 2) + `status=200 request_id="(left out)" bytes=`,
		fmt.Sprintf(line, 2, 1) + `status= request_id= err="DescribeBackups: network: `,
		fmt.Sprintf(line, 2, 2) + `status=200 request_id="(left out)" bytes=`,
		fmt.Sprintf(line, 3, 1) + `status=200 request_id=(none) bytes=`,
	} {
		if i >= len(got) || !strings.HasPrefix(got[i], want) {
			t.Errorf("line %d does not begin with %s:\n%s", i, want, text.String())
		}
	}
}

func TestARequestThatHangs(t *testing.T) {
	c, sim, seen := newClient(t, simulator.Options{}, func(o *apiclient.Options) { o.Timeout, o.MaxAttempts = 50*time.Millisecond, 2 })
	sim.Set(simulator.Instance{InstanceID: "c-1", RegionID: "cn-hangzhou", Fault: simulator.Hang()})
	_, err := read(t, c, apiclient.DescribeBackupsRequest{InstanceID: "c-1"})
	if apiclient.ReasonOf(err) != apiclient.ReasonTimeout || seen.requests.Load() != 2 {
		t.Errorf("%d requests, %v", seen.requests.Load(), err)
	}
}

// Idle connections that all reset on reuse cost one attempt: the retry makes a new connection.
func TestIdleConnectionsThatBreak(t *testing.T) {
	sim := simulator.New(simulator.Options{AccessKeys: map[string]string{"id": "secret"}})
	api := httptest.NewUnstartedServer(sim)
	var mu sync.Mutex
	served := map[net.Conn]bool{}
	api.Config.ConnState = func(c net.Conn, s http.ConnState) {
		mu.Lock()
		defer mu.Unlock()
		if s == http.StateActive && served[c] {
			_ = c.Close() // as a firewall that has forgotten the connection
		}
		served[c] = served[c] || s == http.StateIdle
	}
	api.Start()
	defer api.Close()
	transport := &http.Transport{MaxIdleConnsPerHost: 100}
	var nonce atomic.Int64
	c, err := apiclient.New(apiclient.Options{
		Endpoint: api.URL, RegionID: "cn-hangzhou", Transport: transport, FreshTransport: &http.Transport{DisableKeepAlives: true},
		Timeout: 30 * time.Second, MaxAttempts: 2, PageSize: 50, Memory: apiclient.NewMemory(64 << 20),
		Credentials: apiclient.NewCredentials(apiclient.CredentialSource{AccessKeyID: "id", AccessKeySecret: "secret"}, func(string, string) {}),
		Limiter:     apiclient.NewLimiter(rate.Inf, 1, 100), Observer: &observer{}, Now: time.Now,
		Nonce: func() string { return strconv.FormatInt(nonce.Add(1), 10) },
	})
	if err != nil {
		t.Fatal(err)
	}
	sim.Set(simulator.Instance{InstanceID: "c-1", RegionID: "cn-hangzhou", Fault: simulator.Delay(50 * time.Millisecond)})
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			if _, err := read(t, c, apiclient.DescribeBackupsRequest{InstanceID: "c-1"}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for range 16 {
		if _, err := read(t, c, apiclient.DescribeBackupsRequest{InstanceID: "c-1"}); err != nil {
			t.Errorf("with %d idle connections that break: %v", len(served), err)
		}
	}
}

// The page size is halved until pages are small enough, and remembered.
func TestPagesThatAreTooLarge(t *testing.T) {
	c, sim, seen := newClient(t, simulator.Options{}, nil)
	var subtasks []simulator.SubTask
	for n := range 3000 {
		subtasks = append(subtasks, simulator.SubTask{
			Database: "dwd", Table: fmt.Sprintf("a_table_with_a_long_name_%04d", n),
			Status: "success", Detail: "[]",
		})
	}
	var tasks []simulator.Task
	for n := range 50 {
		tasks = append(tasks, simulator.Task{BackupTaskID: fmt.Sprintf("bt-%d", n), Status: "COMPLETED", Start: 1, SubTasks: subtasks})
	}
	sim.Set(simulator.Instance{InstanceID: "c-1", RegionID: "cn-hangzhou", Tasks: func(time.Time) []simulator.Task { return tasks }})
	for _, tooLarge := range []int32{3, 0} { // pages of 50, 25 and 12 tasks
		before := seen.requests.Load()
		ids, err := read(t, c, apiclient.DescribeBackupsRequest{InstanceID: "c-1"})
		if err != nil || len(ids) != 50 {
			t.Fatalf("%d tasks, %v", len(ids), err)
		}
		if got := seen.requests.Load() - before; got != tooLarge+9 { // nine pages of 6
			t.Errorf("%d requests, want %d", got, tooLarge+9)
		}
	}
}

// A word in the configuration means what it says there, for tasks and for subtasks.
func TestStatusWords(t *testing.T) {
	c, sim, _ := newClient(t, simulator.Options{}, func(o *apiclient.Options) {
		o.StatusWords = apiclient.StatusWords{"human_processing": apiclient.StatusFailed, "done": apiclient.StatusRunning}
	})
	sim.Set(simulator.Instance{InstanceID: "c-1", RegionID: "cn-hangzhou", Tasks: func(time.Time) []simulator.Task {
		return []simulator.Task{{BackupTaskID: "a", Status: "HUMAN_Processing", SubTasks: []simulator.SubTask{
			{Status: "Done"},
			{Status: "success"},
		}}}
	}})
	for b, err := range c.Backups(t.Context(), apiclient.DescribeBackupsRequest{InstanceID: "c-1"}) {
		if err != nil {
			t.Fatal(err)
		}
		subtasks, err := b.SubTasks()
		if err != nil || b.Status != apiclient.StatusFailed || subtasks[0].Status != apiclient.StatusRunning ||
			subtasks[1].Status != apiclient.StatusCompleted {
			t.Errorf("%s, %+v, %v", b.Status, subtasks, err)
		}
	}
}

// A denial may say what is missing in a string that holds JSON, and an answer may begin with a byte order mark.
func TestOddAnswers(t *testing.T) {
	c, sim, _ := newClient(t, simulator.Options{}, nil)
	play := func(status int, body string) error {
		sim.Set(simulator.Instance{InstanceID: "c-1", RegionID: "cn-hangzhou", Fault: simulator.Raw(status, body)})
		_, err := read(t, c, apiclient.DescribeBackupsRequest{InstanceID: "c-1"})
		return err
	}
	var e *apiclient.Error
	for _, detail := range []string{
		`"{\"AuthAction\":\"sr:DescribeBackups\"}"`, `{"AuthAction":"sr:DescribeBackups"}`,
		`{"authAction":"sr:DescribeBackups"}`,
	} {
		if err := play(http.StatusForbidden, `{"Code":"NoPermission","AccessDeniedDetail":`+detail+`}`); !errors.As(err, &e) ||
			e.Action != "sr:DescribeBackups" {
			t.Errorf("%s: %v", detail, err)
		}
	}
	for _, detail := range []string{`"not JSON"`, `7`, `null`, `[]`, `"[1]"`} {
		if err := play(http.StatusForbidden, `{"Code":"NoPermission","AccessDeniedDetail":`+detail+`}`); !errors.As(err, &e) || e.Action != "" ||
			e.Reason != apiclient.ReasonForbidden {
			t.Errorf("%s: %v", detail, err)
		}
	}
	if err := play(http.StatusOK, "\ufeff"+`{"Success":true,"Data":[]}`); err != nil {
		t.Errorf("byte order mark: %v", err)
	}
	for code, works := range map[string]bool{
		`"OK"`: true, "200": true, "0": true, `"ok"`: true, `""`: true, "null": true, `"Failed"`: false,
		"500": false,
	} {
		for _, data := range []string{`[]`, `[{"BackupTaskId":"a"}]`, "null"} {
			if err := play(http.StatusOK, `{"Success":true,"ErrCode":`+code+`,"Data":`+data+`}`); (err == nil) != works {
				t.Errorf("ErrCode %s with Data %s: %v", code, data, err)
			}
		}
	}
}

// What a proxy says on the way is not repeated if it repeats the proxy's password.
func TestAProxyThatEchoesItsPassword(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_, _ = conn.Write([]byte("HTTP/1.1 407 no, not with canary-4711\r\n\r\n"))
			_ = conn.Close()
		}
	}))
	defer proxy.Close()
	at, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	c, _, _ := newClient(t, simulator.Options{}, func(o *apiclient.Options) {
		o.Endpoint, o.MaxAttempts, o.Secrets = "https://api.invalid", 1, []string{"canary-4711"}
		o.Transport = &http.Transport{Proxy: http.ProxyURL(at)}
	})
	if _, err = read(t, c, apiclient.DescribeBackupsRequest{InstanceID: "c-1"}); err == nil || strings.Contains(err.Error(), "4711") ||
		apiclient.ReasonOf(err) != apiclient.ReasonNetwork {
		t.Errorf("%v", err)
	}
}
