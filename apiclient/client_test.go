package apiclient_test

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"starrocks_backup_exporter/apiclient"
	"starrocks_backup_exporter/apiclient/simulator"
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
		Endpoint: api.URL, RegionID: "cn-hangzhou", Transport: http.DefaultTransport, Timeout: 30 * time.Second, MaxAttempts: 3, PageSize: 50,
		Credentials: apiclient.NewCredentials(apiclient.CredentialSource{AccessKeyID: "id", AccessKeySecret: "secret"}),
		Limiter:     apiclient.NewLimiter(rate.Inf, 1), Observer: seen, Now: time.Now,
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

func TestARequestThatHangs(t *testing.T) {
	c, sim, seen := newClient(t, simulator.Options{}, func(o *apiclient.Options) { o.Timeout, o.MaxAttempts = 50*time.Millisecond, 2 })
	sim.Set(simulator.Instance{InstanceID: "c-1", RegionID: "cn-hangzhou", Fault: simulator.Hang()})
	_, err := read(t, c, apiclient.DescribeBackupsRequest{InstanceID: "c-1"})
	if apiclient.ReasonOf(err) != apiclient.ReasonTimeout || seen.requests.Load() != 2 {
		t.Errorf("%d requests, %v", seen.requests.Load(), err)
	}
}
