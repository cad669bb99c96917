package apiclient_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
	"git.example.com/starrocks/starrocks_backup_exporter/apiclient/simulator"
)

// script answers the n-th request with the n-th page, such as "3: a b" for a Total of 3 and two tasks. An empty page is a server error.
type script struct {
	pages     []string
	requests  int
	requestID string // of all answers; none if empty
}

// RoundTrip implements http.RoundTripper.
func (s *script) RoundTrip(*http.Request) (*http.Response, error) {
	status, body := http.StatusInternalServerError, `{"Code":"InternalError"}`
	if s.requests < len(s.pages) && s.pages[s.requests] != "" {
		total, ids, _ := strings.Cut(s.pages[s.requests], ":")
		var data []string
		for id := range strings.FieldsSeq(ids) {
			data = append(data, fmt.Sprintf(`{"BackupTaskId":%q}`, id))
		}
		status, body = http.StatusOK, fmt.Sprintf(`{"Success":true,"Total":%s,"Data":[%s]}`, total, strings.Join(data, ","))
		if s.requestID != "" {
			body = fmt.Sprintf(`{"RequestId":%q,%s`, s.requestID, body[1:])
		}
	}
	s.requests++
	return &http.Response{StatusCode: status, ContentLength: int64(len(body)), Body: io.NopCloser(strings.NewReader(body))}, nil
}

// scripted returns a client whose requests a script answers, without retries.
func scripted(t *testing.T, pages ...string) (*apiclient.Client, *script) {
	t.Helper()
	s := &script{pages: pages}
	c, _, _ := newClient(t, simulator.Options{}, func(o *apiclient.Options) { o.Transport, o.FreshTransport, o.MaxAttempts = s, s, 1 })
	return c, s
}

// A list ends once it has exactly as many items as its largest Total, or with a page that adds nothing. A list shorter than its Total is
// read twice. It fails if it may be incomplete.
func TestListsAndTheirTotal(t *testing.T) {
	for name, c := range map[string]struct {
		pages  string // separated by |
		want   string // the ids; those before a failure
		reason apiclient.Reason
	}{
		"whole":                            {"3: a b | 3: c", "a b c", ""},
		"a smaller Total last":             {"4: a b | 3: c | 3: d", "a b c d", ""},
		"a larger Total later":             {"2: a | 4: b | 4: c d", "a b c d", ""},
		"no Total":                         {"0: a b | 0: c | 0:", "a b c", ""},
		"a page that repeats":              {"0: a b | 0: a b", "a b", ""},
		"an item twice":                    {"3: a b | 3: b c", "a b c", ""},
		"more than Total":                  {"1: a b | 1: c | 1:", "a b c", ""},
		"more than Total, then all":        {"1: a b | 3: c", "a b c", ""},
		"Total is wrong in both":           {"3: a b | 3: | 3: a b | 3:", "a b", ""},
		"Total without items":              {"3:", "", apiclient.ReasonBadResponse},
		"both together reach Total":        {"3: a b | 3: | 3: a c | 3:", "a b c", ""},
		"the second alone reaches Total":   {"3: a b | 3: | 3: a b c", "a b c", ""},
		"both together are short":          {"4: a b | 4: | 4: a c | 4:", "a b c", apiclient.ReasonBadResponse},
		"the second reaches its own Total": {"4: a b | 3: c | 3: | 3: a d c", "a b c d", ""},
		"short of the second Total":        {"3: a b | 3: | 4: a c | 4:", "a b c", apiclient.ReasonBadResponse},
		"short of the first Total":         {"4: a b | 4: | 3: a c | 3:", "a b c", apiclient.ReasonBadResponse},
		"as many, but others":              {"5: a b | 5: | 5: b c | 5:", "a b c", apiclient.ReasonBadResponse},
		"the second has fewer":             {"5: a b | 5: | 5: a | 5:", "a b", apiclient.ReasonBadResponse},
		"the second has more":              {"5: a b | 5: | 5: a b c | 5:", "a b c", apiclient.ReasonBadResponse},
		"a failure on the second page":     {"3: a b |", "a b", apiclient.ReasonServerError},
		"a failure in the second read":     {"3: a b | 3: |", "a b", apiclient.ReasonServerError},
		"a failure later in the second":    {"3: a b | 3: | 3: a c |", "a b c", apiclient.ReasonServerError},
	} {
		pages := strings.Split(c.pages, "|")
		for i := range pages {
			pages[i] = strings.TrimSpace(pages[i])
		}
		client, s := scripted(t, pages...)
		var ids []string
		var failure error
		for b, err := range client.Backups(t.Context(), apiclient.DescribeBackupsRequest{}) {
			if failure != nil {
				t.Errorf("%s: %q, %v after the failure", name, b.TaskID, err)
			}
			if failure = err; err == nil {
				ids = append(ids, b.TaskID)
			}
		}
		if got := strings.Join(ids, " "); got != c.want || (failure != nil) != (c.reason != "") ||
			failure != nil && apiclient.ReasonOf(failure) != c.reason {
			t.Errorf("%s: %q, %v", name, got, failure)
		}
		if s.requests != len(pages) {
			t.Errorf("%s: %d requests, want %d", name, s.requests, len(pages))
		}
	}
}

// A caller that has enough gets no more items and causes no more requests, in the first and in the second read.
func TestListsThatTheCallerEnds(t *testing.T) {
	for last, requests := range map[string]int{"a": 1, "b": 1, "c": 3} {
		client, s := scripted(t, "4: a b", "4:", "4: a c d")
		var ids []string
		for b, err := range client.Backups(t.Context(), apiclient.DescribeBackupsRequest{}) {
			if err != nil {
				t.Fatal(err)
			}
			if ids = append(ids, b.TaskID); b.TaskID == last {
				break
			}
		}
		if !slices.Contains(ids, last) || s.requests != requests {
			t.Errorf("until %s: %v in %d requests", last, ids, s.requests)
		}
	}
}

// How far a list is, and how many requests the whole list takes, is known from its first page on.
func TestProgress(t *testing.T) {
	for name, c := range map[string]struct {
		pages    []string
		expected []int // at the first item of each page
	}{
		"with a Total":       {[]string{"5: a b", "5: c d", "5: e"}, []int{0, 3, 3, 3}},
		"a Total that grows": {[]string{"2: a", "9: b", "9: c d e f g h i"}, []int{0, 2, 9, 9}},
		"without a Total":    {[]string{"0: a", "0: b", "0:"}, []int{0, 1, 2, 3}},
	} {
		client, s := scripted(t, c.pages...)
		var p apiclient.Progress
		seen := 0
		for _, err := range client.Backups(t.Context(), apiclient.DescribeBackupsRequest{Progress: &p}) {
			if err != nil {
				t.Fatal(err)
			}
			if s.requests > seen {
				if p.Requests != seen || p.Expected != c.expected[seen] {
					t.Errorf("%s: after %d requests %+v, want %d", name, seen, p, c.expected[seen])
				}
				seen++
			}
		}
		if p.Requests != len(c.pages) || p.Expected != c.expected[len(c.pages)] {
			t.Errorf("%s: at the end %+v", name, p)
		}
	}
}
