package apiclient_test

import (
	"errors"
	"strings"
	"testing"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
	"git.example.com/starrocks/starrocks_backup_exporter/apiclient/simulator"
)

// An answer has not changed only if it is the same but for its RequestId. In doubt it is decoded.
func TestUnchangedAnswers(t *testing.T) {
	const (
		first = `{"RequestId":"A1","Success":true,"Total":1,"Data":[{"BackupTaskId":"a","Status":"RUNNING"}]}`
		last  = `{"Success":true,"Total":1,"Data":[{"BackupTaskId":"a","Status":"RUNNING"}],"RequestId" : "A1"}`
	)
	change := func(body, from, to string) string {
		if !strings.Contains(body, from) {
			t.Fatalf("%s has no %s", body, from)
		}
		return strings.Replace(body, from, to, 1)
	}
	ends := change(last, `{"B`, `{"\"RequestId":"x","B`)
	for name, c := range map[string]struct {
		before, after string
		unchanged     bool
	}{
		"the same":                   {first, first, true},
		"the same, RequestId last":   {last, last, true},
		"another RequestId":          {first, change(first, "A1", "B2"), true},
		"a longer RequestId":         {last, change(last, "A1", "B2-3"), true},
		"an empty RequestId":         {first, change(first, "A1", ""), true},
		"a status after":             {first, change(first, "RUNNING", "PENDING"), false},
		"a status before":            {last, change(last, "RUNNING", "PENDING"), false},
		"more after":                 {first, change(first, `"}]`, `","Size":1}]`), false},
		"in another order":           {first, last, false},
		"without RequestId":          {change(first, "RequestId", "X"), change(first, "RequestId", "X"), false},
		"one more in a task":         {change(first, `{"B`, `{"RequestId":"x","B`), change(first, `{"B`, `{"RequestId":"y","B`), false},
		"one in a task before":       {change(last, `{"B`, `{"RequestId":"x","B`), change(last, `{"B`, `{"RequestId":"y","B`), true},
		"a key that ends like it":    {ends, change(ends, `"x"`, `"y"`), true},
		"a status after such a key":  {ends, change(ends, `RUNNING`, `PENDING`), false},
		"a RequestId with a quote":   {change(first, "A1", `\"`), change(first, "A1", `\"`), false},
		"a RequestId that is a list": {change(first, `"A1"`, `["A1"]`), change(first, `"A1"`, `["A1"]`), false},
	} {
		t.Run(name, func(t *testing.T) {
			raw := answering{200, c.before}
			client, _, _ := newClient(t, simulator.Options{}, func(o *apiclient.Options) {
				o.Transport, o.FreshTransport, o.MaxAttempts = &raw, &raw, 1
			})
			var known apiclient.Progress
			if _, err := read(t, client, apiclient.DescribeBackupsRequest{Progress: &known}); err != nil {
				t.Fatal(err)
			}
			raw.body = c.after
			var p apiclient.Progress
			ids, err := read(t, client, apiclient.DescribeBackupsRequest{Progress: &p, Known: known.Fingerprint})
			if errors.Is(err, apiclient.ErrUnchanged) != c.unchanged || !c.unchanged && (err != nil || len(ids) != 1) || p.Requests != 1 {
				t.Errorf("%q, %v, %+v", ids, err, p)
			}
			raw.status = 503
			if _, err := read(t, client, apiclient.DescribeBackupsRequest{Progress: &p, Known: known.Fingerprint}); err == nil ||
				errors.Is(err, apiclient.ErrUnchanged) {
				t.Errorf("with status 503: %v", err)
			}
		})
	}
}

// A list of several pages, or one that is incomplete, has no fingerprint: its first page alone does not tell whether it has changed.
func TestFingerprintOfAWholeList(t *testing.T) {
	for _, pages := range [][]string{{"2: a", "2: b"}, {"3: a b", "3:", "3: a b", "3:"}} {
		c, s := scripted(t, pages...)
		s.requestID = "A1"
		var p apiclient.Progress
		if _, err := read(t, c, apiclient.DescribeBackupsRequest{Progress: &p}); err != nil || p.Fingerprint != (apiclient.Fingerprint{}) {
			t.Errorf("%q: %v, %v", pages, err, p.Fingerprint)
		}
	}
	c, s := scripted(t, "2: a b")
	s.requestID = "A1"
	var p apiclient.Progress
	if _, err := read(t, c, apiclient.DescribeBackupsRequest{Progress: &p}); err != nil || p.Fingerprint == (apiclient.Fingerprint{}) {
		t.Errorf("a whole list: %v, %v", err, p.Fingerprint)
	}
}
