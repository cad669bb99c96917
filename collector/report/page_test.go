package report

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
	"git.example.com/starrocks/starrocks_backup_exporter/collector/fleet"
)

// fakeScraper has a last result, and makes the next one.
type fakeScraper struct {
	mu        sync.Mutex
	last      *fleet.Result
	next      func(ctx context.Context) *fleet.Result
	deadlines []time.Duration
}

func (s *fakeScraper) Last() *fleet.Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

func (s *fakeScraper) Scrape(ctx context.Context, deadline time.Duration) *fleet.Result {
	s.mu.Lock()
	s.deadlines = append(s.deadlines, deadline)
	s.mu.Unlock()
	r := s.next(ctx)
	r.Deadline = deadline
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = r
	return r
}

func newTestPage(s Scraper, now func() time.Time) *Page {
	return NewPage(Options{
		Scraper: s, Deadline: 10 * time.Second, Now: now, Logger: log.NewNopLogger(),
		Links:         Links{MetricsPath: "/metrics", RunbookURL: "https://example.org/alerts/README.md", GrafanaURL: "https://grafana.example/"},
		ReloadFailure: func() (time.Time, error) { return time.Time{}, nil },
	})
}

// get returns what a page serves; its text as a person reads it if it is HTML.
func get(t testing.TB, p http.Handler, query string, headers ...string) (body string, header http.Header) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/"+query, http.NoBody)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	return html.UnescapeString(w.Body.String()), w.Header()
}

// at is a page of a result that is as fresh as can be, at a time.
func at(r *fleet.Result, now time.Time) *Page {
	return newTestPage(&fakeScraper{last: r, next: func(context.Context) *fleet.Result { return r }}, func() time.Time { return now })
}

func lacks(t *testing.T, text string, wanted ...string) {
	t.Helper()
	for _, want := range wanted {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text[max(0, strings.Index(text, "<header")):])
		}
	}
}

func down(one fleet.InstanceResult, err error) fleet.InstanceResult {
	one.Err, one.Health = err, nil
	return one
}

// An instance is judged when it is shown: it was healthy when it was read, and its deadline has passed since.
func TestJudgedWhenShown(t *testing.T) {
	r := result(read(t, daily(), task(apiclient.StatusCompleted, 26.99)))
	body, _ := get(t, at(r, noon.Add(time.Second)), "")
	lacks(t, body, "Every instance is healthy.", "Collected <b>1 s ago</b>")
	body, _ = get(t, at(r, noon.Add(59*time.Second)), "")
	lacks(t, body, "1 of 1 instance is unhealthy.", "Overdue by")
}

// A shard's page says that it does not have every instance.
func TestShardOnThePage(t *testing.T) {
	r := result(read(t, daily(), task(apiclient.StatusCompleted, 4)))
	const shard = "This exporter reads only shard 1 of 3; shards are numbered from 0."
	r.Shard = fleet.Shard{Index: 1, Total: 3}
	for _, format := range []string{"", "?format=json"} {
		body, _ := get(t, at(r, noon), format)
		lacks(t, body, shard)
	}
	r.Shard = fleet.Shard{}
	if body, _ := get(t, at(r, noon), ""); strings.Contains(body, "reads only shard") {
		t.Error("an exporter of the whole fleet says that it is a shard")
	}
}

// An instance need not be read in every collection (api.min_interval); then the page says how old the oldest read is.
func TestOldestRead(t *testing.T) {
	r := result(read(t, daily(), task(apiclient.StatusCompleted, 4)), down(read(t, daily()), errors.New("late")))
	for minutes, want := range map[time.Duration]bool{1: false, 3: true} {
		r.At = noon.Add(minutes * time.Minute)
		body, _ := get(t, at(r, r.At), "")
		if strings.Contains(body, fmt.Sprintf("The oldest read is from %d min ago.", minutes)) != want {
			t.Errorf("after %d minutes:\n%s", minutes, body)
		}
	}
}

// A collection older than a minute is replaced before it is shown, within the page's patience. A collection that takes longer goes on, as
// long as that of the last scrape could, and many readers share it.
func TestFreshness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeScraper{}
		takes := time.Second
		s.next = func(ctx context.Context) *fleet.Result {
			select {
			case <-time.After(takes):
			case <-ctx.Done():
			}
			return &fleet.Result{At: time.Now(), Instances: []fleet.InstanceResult{read(t, daily(), task(apiclient.StatusCompleted, 4))}}
		}
		page := newTestPage(s, time.Now)
		expect := func(collections int, waits time.Duration, text string) {
			t.Helper()
			began := time.Now()
			body, _ := get(t, page, "")
			lacks(t, body, text)
			if took := time.Since(began); took != waits || len(s.deadlines) != collections {
				t.Errorf("it took %s and %d collections, want %s and %d", took, len(s.deadlines), waits, collections)
			}
		}
		takes = 8 * time.Second
		expect(1, takes, "Collected <b>0 s ago</b>") // there is nothing else to show
		time.Sleep(time.Minute)
		expect(1, 0, "Collected <b>1 min ago</b>")
		time.Sleep(time.Second)
		s.last.Deadline = 30 * time.Second
		go page.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody))
		synctest.Wait()
		expect(2, patience, "Collected <b>1 min 6 s ago</b> ("+s.last.At.UTC().Format("2006-01-02 15:04:05 UTC")+"); collecting again")
		time.Sleep(3 * time.Second)
		expect(2, 0, "Collected <b>0 s ago</b>")
		if s.deadlines[0] != 10*time.Second || s.deadlines[1] != 30*time.Second {
			t.Errorf("deadlines %v", s.deadlines)
		}
	})
}

// A collection that is too old says nothing about how an instance is.
func TestOldDataIsUnknown(t *testing.T) {
	r := result(read(t, daily(), task(apiclient.StatusCompleted, 4)))
	report := New(r, noon.Add(staleAfter))
	if report.State != "healthy" {
		t.Errorf("after %s: %s", staleAfter, report.State)
	}
	report = New(r, noon.Add(staleAfter+time.Minute))
	if report.State != "unknown" || report.Instances[0].Reasons[0] != "Not scraped for more than 5 minutes. "+
		"The last complete read was at 2026-03-04 12:00 UTC, 6 min ago." {
		t.Errorf("%s: %s", report.State, report.Instances[0].Reasons)
	}
}

// What was known of an instance that cannot be read stays visible, dated, and is neither counted as healthy nor as unhealthy.
func TestUnreadable(t *testing.T) {
	timeout := &apiclient.Error{Operation: "DescribeBackups", Reason: apiclient.ReasonTimeout, Err: fmt.Errorf("Post: %w", context.Canceled)}
	known := down(read(t, daily(), task(apiclient.StatusCompleted, 26.5)), timeout)
	never := fleet.InstanceResult{Instance: known.Instance, Err: timeout}
	r := result(known, never)
	r.At = noon.Add(3 * time.Hour)
	body, _ := get(t, at(r, r.At), "")
	lacks(t, body, "None of 2 instances could be read. By their last read, 1 of these is unhealthy.", "2 of 2 instances cannot be "+
		"read: the read did not finish in "+
		"time (timeout).",
		">orders</a>", `<tr class="instance late stale"`, "1 d 4 h old", "2 h 30 min late", ">0 unhealthy<", ">2 unknown<", ">0 healthy<",
		">0 overdue <small>+ 1 last known</small><",
		"Cannot be read: the read did not finish in time. The last complete read was at 2026-03-04 12:00 UTC, 3 h ago.", "Overdue by 2 h 30 min",
		"Cannot be read: the read did not finish in time. No earlier read is known.",
		"DescribeBackups: timeout: no answer in time")
	if strings.Contains(body, "context canceled") {
		t.Error("it speaks Go")
	}
	i := New(r, r.At).Instances
	if len(i[0].Conditions) == 0 || i[0].State != "unknown" || i[0].ReadAt == nil || i[0].InstanceName != "orders" {
		t.Errorf("%+v", i[0])
	}
}

// Where a region cannot be listed, nothing says that there is nothing to watch.
func TestUnlistedRegion(t *testing.T) {
	denied := &apiclient.Error{Operation: "DescribeInstances", Reason: apiclient.ReasonForbidden, Code: "NoPermission", HTTPStatus: 403}
	r := result()
	r.Discoveries = []fleet.DiscoveryResult{{Account: "prod", RegionID: "cn-hangzhou", Err: denied}}
	body, _ := get(t, at(r, noon), "")
	lacks(t, body, `<p class="verdict unknown">No instance is watched. 1 region could not be listed.</p>`, ">1 "+
		"region unknown<",
		"No instance is known. Which ones there are is unknown until their regions can be listed.",
		"The instances of cn-hangzhou (account prod) have not been listed yet.")
	r.Instances = []fleet.InstanceResult{read(t, daily(), task(apiclient.StatusCompleted, 4))}
	r.Discoveries[0].LastSuccess = ago(1)
	body, _ = get(t, at(r, noon), "")
	lacks(t, body, `<p class="verdict unknown">Every instance that is known is healthy. 1 region could not be listed.</p>`, ">1 region "+
		"unknown<",
		"They were last listed 2026-03-04 11:00 UTC.")
	if report := New(r, noon); report.Regions[0].State != "unknown" || report.Regions[0].Error.Reason != "forbidden" ||
		report.State != "unknown" {
		t.Errorf("%s %+v", report.State, report.Regions[0])
	}
	r.Discoveries[0].Err = nil
	body, _ = get(t, at(r, noon), "")
	if strings.Contains(body, "region unknown") || !strings.Contains(body, "Every instance is healthy.") {
		t.Errorf("listed again:\n%s", body)
	}
	body, _ = get(t, at(result(), noon), "")
	lacks(t, body, "No instances are configured.")
}

// A configuration that could not be reloaded is mentioned.
func TestFailedReload(t *testing.T) {
	page := at(result(), noon)
	page.options.ReloadFailure = func() (time.Time, error) {
		return ago(3), errors.New("test.yml:3: max_age: no duration\ntest.yml:4: oops")
	}
	const want = "The configuration could not be reloaded (2026-03-04 09:00 UTC, 3 h ago). The exporter keeps the previous one. " +
		"test.yml:3: max_age: no duration; test.yml:4: oops"
	body, _ := get(t, page, "")
	lacks(t, body, want)
	body, _ = get(t, page, "?format=json")
	lacks(t, body, want)
}

// The page, its JSON and the command's JSON have the same sentences.
func TestJSON(t *testing.T) {
	r := result(
		read(t, daily(), task(apiclient.StatusFailed, 4), task(apiclient.StatusCompleted, 60)),
		read(t, daily(), task(apiclient.StatusCompleted, 4)), read(t, daily()),
	)
	page := at(r, noon)
	want, err := json.MarshalIndent(New(r, noon), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	text, _ := get(t, page, "", "Accept", "text/html,application/xhtml+xml,application/json;q=0.9")
	for name, ask := range map[string][]string{"?format=json": nil, "": {"Accept", "application/json"}} {
		body, header := get(t, page, name, ask...)
		if strings.TrimSpace(body) != html.UnescapeString(string(want)) || header.Get("Content-Type") != "application/json" ||
			header.Get("Vary") != "Accept" {
			t.Errorf("%q: %v\n%s", name, header, body)
		}
	}
	for _, i := range New(r, noon).Instances {
		lacks(t, text, i.Reasons...)
	}
	body, _ := get(t, page, "?format=json&state=healthy")
	if strings.Contains(body, "Overdue by") || !strings.Contains(body, `"healthy": 1`) {
		t.Errorf("not filtered:\n%s", body)
	}
}

// ids returns the instances that a page shows, in order.
func ids(body string) (all []string) {
	for _, part := range strings.Split(body, ` data-instance="cn-`)[1:] {
		all = append(all, part[strings.Index(part, "/")+1:strings.Index(part, `"`)])
	}
	return all
}

// Filters, order and pages come from the query, and each link changes one thing.
func TestQuery(t *testing.T) {
	var all []fleet.InstanceResult
	for n, hours := range []float64{28, 4, 400, 10, 50} {
		one := read(t, daily(), task(apiclient.StatusCompleted, hours))
		one.Instance.InstanceID = fmt.Sprintf("c-%d", n)
		if n == 3 {
			one.Instance.RegionID, one.Instance.Account = "cn-shanghai", "test"
		}
		all = append(all, one)
	}
	page := at(result(all...), noon)
	for query, want := range map[string]string{
		"":                                 "c-2 c-4 c-0 c-1 c-3", // the longest overdue first
		"?state=healthy":                   "c-1 c-3",
		"?state=unknown":                   "",
		"?condition=overdue":               "c-2 c-4 c-0",
		"?region=cn-shanghai":              "c-3",
		"?account=prod&state=healthy":      "c-1",
		"?q=C-4":                           "c-4",
		"?q=shanghai+test":                 "c-3",
		"?q=shanghai+prod":                 "",
		"?q=missing":                       "c-2", // its backup has expired
		"?sort=age":                        "c-2 c-4 c-0 c-3 c-1",
		"?sort=-age":                       "c-1 c-3 c-0 c-4 c-2",
		"?sort=-state":                     "c-3 c-1 c-0 c-4 c-2",
		"?page=2":                          "c-2 c-4 c-0 c-1 c-3",
		"?page=x&sort=nonsense&format=cbc": "c-2 c-4 c-0 c-1 c-3",
	} {
		body, _ := get(t, page, query)
		if got := strings.Join(ids(body), " "); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	body, _ := get(t, page, "?q=c-&sort=age&page=2")
	lacks(t, body, `id="state-healthy" href="?q=c-&sort=age&state=healthy"`, `id="sort-age" href="?q=c-&sort=-age"`,
		`<input type="hidden" name="sort" value="age">`, `<a id="clear" href="?sort=age">`)
	body, _ = get(t, page, "?odd=1&state=healthy&format=html&q=++"+strings.Repeat("&open=a/b", 30))
	if n := strings.Count(body, "open=a%2Fb"); strings.Contains(body, "odd") || !strings.Contains(body, `href="?`+
		strings.Repeat("open=a%2Fb&", 19)+`open=a%2Fb" class="healthy" aria-current`) {
		t.Errorf("%d times in\n%s", n, body)
	}
	body, _ = get(t, page, "?condition=stuck&region=cn-nowhere&state=healthy")
	lacks(t, body, "<option selected>stuck</option>", "<option selected>cn-nowhere</option>", "<option selected>healthy</option>",
		"No instance matches.")
	body, _ = get(t, page, "?state=healthy")
	lacks(t, body, `id="state-healthy" href="./" class="healthy" aria-current="true"`, ">3 unhealthy<")
}

// Of very many instances, one page of the table is shown.
func TestPages(t *testing.T) {
	var all []fleet.InstanceResult
	for n := range 250 {
		one := read(t, daily(), task(apiclient.StatusCompleted, 4))
		one.Instance.InstanceID = fmt.Sprintf("c-%03d", n)
		all = append(all, one)
	}
	page := at(result(all...), noon)
	for query, want := range map[string]struct{ text, first string }{
		"":        {`1–100 of 250 · <a id="next" href="?page=2">`, "c-000"},
		"?page=2": {`101–200 of 250 · <a id="previous" href="?page=1">previous</a> · <a id="next" href="?page=3">`, "c-100"},
		"?page=3": {`201–250 of 250 · <a id="previous" href="?page=2">previous</a></p>`, "c-200"},
	} {
		body, _ := get(t, page, query)
		lacks(t, body, want.text)
		if got := ids(body); got[0] != want.first {
			t.Errorf("%q begins with %s", query, got[0])
		}
	}
}

// A row opens without any script, and says what is in the backups.
func TestOpenRow(t *testing.T) {
	expired := task(apiclient.StatusCompleted, 400) // and it was kept for 14 days
	broken := task(apiclient.StatusFailed, 4, table("ods", "events", "failed", 0), table("ods", "clicks", "success", 9))
	good := task(apiclient.StatusCompleted, 28, table("ods", "events", "success", 30), table("dwd", "orders", "success", 60))
	page := at(result(read(t, daily(), broken, good, expired)), noon)
	closed, _ := get(t, page, "")
	lacks(t, closed, `href="?open=cn-hangzhou%2Fc-1" aria-expanded="false"`)
	if strings.Contains(closed, "Last tasks") {
		t.Error("it is open")
	}
	open, header := get(t, page, "?open="+url.QueryEscape("cn-hangzhou/c-1"))
	lacks(t, open, `href="./" aria-expanded="true"`, "Restore points: 1 restore point, the oldest of 2026-03-03 09:00 UTC; the last "+
		"one expires 2026-03-17",
		`<td class="bad" title="bt-4">failed</td><td>2026-03-04 08:00 UTC</td><td>1 h</td>`, "<td>1 h</td><td>1 TiB</td><td>2026-03-17 "+
			"09:00 UTC</td>",
		"expired 2026-03-01 21:00 UTC", `<td class="table">dwd.orders</td><td>60 GiB</td>`, "<ul><li>ods.events</li></ul>", "90 GiB",
		"https://grafana.example/d/starrocks-backup-instance?var-account=prod&var-instance=c-1&var-region=cn-hangzhou",
		"https://example.org/alerts/README.md#starrocksbackupfailed", "metrics#:~:text=c-1",
		`href="https://emr.console.alibabacloud.com/#/region/cn-hangzhou/resource/all/serverless/starrocks/list"`,
		`href="https://emr-next.console.aliyun.com/#/region/cn-hangzhou/resource/all/serverless/starrocks/overview"`)
	policy := header.Get("Content-Security-Policy")
	lacks(t, policy, "default-src 'none'", "style-src 'sha256-", "script-src 'sha256-", "connect-src 'self'", "form-action 'self'")
	if strings.Contains(policy, "unsafe") || strings.Contains(open, "style=") || strings.Contains(open, " onclick") ||
		strings.Contains(pageJS, "innerHTML") {
		t.Error("the policy is not strict, or would forbid what is there")
	}
}

// The longer a backup is overdue, the worse it looks.
func TestSeverity(t *testing.T) {
	for hours, want := range map[float64]string{4: "instance", 28: "instance late", 40: "instance later", 26 + 1 + 6*24: "instance latest"} {
		body, _ := get(t, at(result(read(t, daily(), task(apiclient.StatusCompleted, hours))), noon), "")
		lacks(t, body, `<tr class="`+want+`"`)
	}
}

// BenchmarkPage serves the page of 2,000 instances with 30 tasks each.
func BenchmarkPage(b *testing.B) {
	var all []fleet.InstanceResult
	for n := range 2000 {
		var tasks []apiclient.Backup
		for d := range 30 {
			tasks = append(tasks, task(apiclient.StatusCompleted, float64(4+n%60+24*d), table("ods", "a", "success", 100)))
		}
		one := read(b, daily(), tasks...)
		one.Instance.InstanceID = fmt.Sprintf("c-%04d", n)
		all = append(all, one)
	}
	page := at(result(all...), noon)
	for name, query := range map[string]string{"html": "", "search": "?q=c-123", "json": "?format=json"} {
		b.Run(name, func(b *testing.B) {
			size := 0
			for b.Loop() {
				w := httptest.NewRecorder()
				page.ServeHTTP(w, httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/"+query, http.NoBody))
				size = w.Body.Len()
			}
			b.ReportMetric(float64(size), "bytes")
		})
	}
}

// Pages are rendered one after another: each holds a report of the whole fleet.
func TestOnePageIsRenderedAtATime(t *testing.T) {
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	p := newTestPage(&fakeScraper{last: &fleet.Result{At: now}}, func() time.Time { return now })
	var rendering, most atomic.Int32
	p.options.ReloadFailure = func() (time.Time, error) {
		most.Store(max(most.Load(), rendering.Add(1)))
		time.Sleep(10 * time.Millisecond)
		rendering.Add(-1)
		return time.Time{}, nil
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() { get(t, p, "") })
	}
	all.Wait()
	if n := most.Load(); n != 1 {
		t.Errorf("%d pages at a time", n)
	}
}
