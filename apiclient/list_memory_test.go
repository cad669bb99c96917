package apiclient_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
	"git.example.com/starrocks/starrocks_backup_exporter/apiclient/simulator"
)

// Each answer returns its memory, also one that reports a failure: otherwise the next request waits for ever.
func TestAnswersReturnTheirMemory(t *testing.T) {
	s := &script{pages: []string{"3: a", "3: b", "3: c", "", "1: d"}}
	c, _, _ := newClient(t, simulator.Options{}, func(o *apiclient.Options) {
		o.Transport, o.FreshTransport, o.MaxAttempts, o.Memory = s, s, 1, apiclient.NewMemory(8) // one answer takes all of it
	})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for n, reason := range []apiclient.Reason{"", apiclient.ReasonServerError, ""} {
		var failure error
		for _, err := range c.Backups(ctx, apiclient.DescribeBackupsRequest{}) {
			failure = err
		}
		if (failure != nil) != (reason != "") || failure != nil && apiclient.ReasonOf(failure) != reason {
			t.Errorf("read %d: %v", n, failure)
		}
	}
}

// A known answer yields no task, counts as a request, and returns its memory.
func TestKnownAnswerOfAList(t *testing.T) {
	c, sim, seen := newClient(t, simulator.Options{}, func(o *apiclient.Options) { o.Memory = apiclient.NewMemory(2000) })
	tasks := []simulator.Task{{BackupTaskID: "a", Status: "COMPLETED"}}
	sim.Set(simulator.Instance{
		InstanceID: "c-1", RegionID: "cn-hangzhou", Tasks: func(time.Time) []simulator.Task { return tasks },
	})
	var p apiclient.Progress
	if ids, err := read(t, c, apiclient.DescribeBackupsRequest{InstanceID: "c-1", Progress: &p}); len(ids) != 1 || err != nil {
		t.Fatal(ids, err)
	}
	known := p.Fingerprint
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for range 9 {
		p = apiclient.Progress{}
		for _, err := range c.Backups(ctx, apiclient.DescribeBackupsRequest{InstanceID: "c-1", Progress: &p, Known: known}) {
			if !errors.Is(err, apiclient.ErrUnchanged) || p.Requests != 1 || p.Expected != 1 {
				t.Fatal(err, p)
			}
		}
	}
	if n := seen.requests.Load(); n != 10 {
		t.Errorf("%d requests", n)
	}
	tasks[0].Status = "FAILED"
	ids, err := read(t, c, apiclient.DescribeBackupsRequest{InstanceID: "c-1", Progress: &p, Known: known})
	if len(ids) != 1 || err != nil || p.Fingerprint == known || p.Fingerprint == (apiclient.Fingerprint{}) {
		t.Error(ids, err, p.Fingerprint)
	}
}

// endless has another task on every page of 4 MB, most of it blank.
type endless struct{ requests int }

// RoundTrip implements http.RoundTripper.
func (e *endless) RoundTrip(*http.Request) (*http.Response, error) {
	e.requests++
	body := fmt.Sprintf(`{"Success":true,"Data":[{"BackupTaskId":"bt-%d"}]}`, e.requests)
	blank := 4_000_000 - len(body)
	return &http.Response{
		StatusCode: http.StatusOK, ContentLength: int64(len(body) + blank),
		Body: io.NopCloser(io.MultiReader(strings.NewReader(body), strings.NewReader(strings.Repeat(" ", blank)))),
	}, nil
}

// A list without an end is given up, before it takes all time: after 1 GiB.
func TestEndlessList(t *testing.T) {
	e := &endless{}
	c, _, _ := newClient(t, simulator.Options{}, func(o *apiclient.Options) { o.Transport, o.FreshTransport, o.MaxAttempts = e, e, 1 })
	_, err := read(t, c, apiclient.DescribeBackupsRequest{InstanceID: "c-1"})
	if apiclient.ReasonOf(err) != apiclient.ReasonBadResponse || e.requests != 1<<30/4_000_000+1 {
		t.Errorf("%d requests, %v", e.requests, err)
	}
}
