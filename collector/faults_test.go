package collector_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient/simulator"
)

func fault(w *world, f simulator.Fault) {
	w.sim.Set(simulator.Instance{
		InstanceID: "c-1", RegionID: "cn-hangzhou", Fault: f, Tasks: lists(backup("bt-1", "COMPLETED", 5, tables(20)...)),
	})
}

// Every way to fail: its reason, and how many requests it costs. Data of a failed read is never shown.
func TestFaults(t *testing.T) {
	elsewhere := &url.URL{Scheme: "http", Host: "127.0.0.1:1", Path: "/"}
	gateway := func(status int, code string) simulator.Fault {
		return simulator.GatewayError(status, code, "message\nof "+code)
	}
	for name, c := range map[string]struct {
		fault    simulator.Fault
		reason   string
		requests int
	}{
		"Throttling":                   {gateway(400, "Throttling"), "throttled", 3},
		"Throttling.User":              {gateway(429, "Throttling.User"), "throttled", 3},
		"Throttling.Api":               {gateway(503, "Throttling.Api"), "throttled", 3},
		"Throttling in an envelope":    {simulator.EnvelopeError("Throttling", "slow down"), "throttled", 3},
		"ServiceUnavailable":           {gateway(503, "ServiceUnavailable"), "server_error", 3},
		"InternalError":                {gateway(500, "InternalError"), "server_error", 3},
		"any 5xx":                      {gateway(502, "Strange"), "server_error", 3},
		"SignatureNonceUsed":           {gateway(400, "SignatureNonceUsed"), "unauthorized", 3},
		"InvalidSecurityToken.Expired": {gateway(400, "InvalidSecurityToken.Expired"), "unauthorized", 2},
		"InvalidTimeStamp.Expired":     {gateway(400, "InvalidTimeStamp.Expired"), "unauthorized", 1},
		"InvalidAccessKeyId.NotFound":  {gateway(404, "InvalidAccessKeyId.NotFound"), "unauthorized", 1},
		"InvalidAccessKeyId.Inactive":  {gateway(400, "InvalidAccessKeyId.Inactive"), "unauthorized", 1},
		"SignatureDoesNotMatch": {
			simulator.GatewayError(403, "SignatureDoesNotMatch", "server string to sign is: canary"),
			"unauthorized", 1,
		},
		"Forbidden.RAM":                 {gateway(403, "Forbidden.RAM"), "forbidden", 1},
		"Forbidden":                     {gateway(403, "Forbidden"), "forbidden", 1},
		"NoPermission":                  {simulator.Denied("sr:DescribeBackups"), "forbidden", 1},
		"InvalidApi.NotFound":           {gateway(404, "InvalidApi.NotFound"), "not_found", 1},
		"InvalidAction.NotFound":        {gateway(404, "InvalidAction.NotFound"), "not_found", 1},
		"InvalidParams":                 {simulator.EnvelopeError("InvalidParams", "no"), "invalid_request", 1},
		"Success false, unknown code":   {simulator.EnvelopeError("NewCode", "no"), "invalid_request", 1},
		"Success false, code Success":   {simulator.EnvelopeError("Success", "no"), "invalid_request", 1},
		"403 in an envelope":            {simulator.EnvelopeStatus(403, "NewCode", "no"), "forbidden", 1},
		"429 in an envelope":            {simulator.EnvelopeStatus(429, "NewCode", "no"), "throttled", 3},
		"503 in an envelope":            {simulator.EnvelopeStatus(503, "NewCode", "no"), "server_error", 3},
		"Success true, status 500":      {simulator.Raw(200, `{"HttpStatusCode":500,"Success":true,"Data":[]}`), "server_error", 3},
		"InternalError.Timeout":         {simulator.EnvelopeError("InternalError.Timeout", "no"), "server_error", 3},
		"Success true, an error's code": {simulator.Raw(200, `{"Success":true,"ErrCode":"InternalError","Data":null}`), "server_error", 3},
		"an error's code, with Data": {
			simulator.Raw(200, `{"Success":true,"ErrCode":"InternalError","Total":1,`+
				`"Data":[{"BackupTaskId":"a","Status":"COMPLETED","BackupStartTime":1}]}`),
			"server_error", 3,
		},
		"no Data, but a Total": {simulator.Raw(200, `{"Success":true,"ErrCode":"OK","Data":[],"Total":12}`), "bad_response", 1},
		"a proxy's 407":        {simulator.Raw(http.StatusProxyAuthRequired, ""), "network", 1},
		"XML": {
			simulator.Raw(403, `<?xml version="1.0"?><Error><Code>Forbidden.RAM</Code><Message>no</Message></Error>`),
			"forbidden", 1,
		},
		"XML of somebody else":     {simulator.Raw(200, `<?xml version="1.0"?><note/>`), "bad_response", 1},
		"lower-case keys":          {simulator.Raw(400, `{"code":"Throttling.User","message":"slow","requestId":"r"}`), "throttled", 3},
		"Throttling with odd Data": {simulator.Raw(200, `{"Success":false,"Data":{},"ErrCode":"Throttling.User"}`), "throttled", 3},
		"a redirect to nowhere":    {simulator.Redirect(&url.URL{Scheme: "http", Host: "[::1"}), "bad_response", 1},
		"HTML, 200":                {simulator.Raw(200, "<html>proxy</html>"), "bad_response", 1},
		"HTML, 502":                {simulator.Raw(502, "<html>bad gateway</html>"), "server_error", 3},
		"HTML, 403":                {simulator.Raw(403, "<html>forbidden</html>"), "forbidden", 1},
		"empty, 200":               {simulator.Raw(200, ""), "bad_response", 1},
		"empty, 503":               {simulator.Raw(503, ""), "server_error", 3},
		"cut JSON":                 {simulator.Raw(200, `{"Success":true,"Data":[{"Bac`), "bad_response", 1},
		"an array":                 {simulator.Raw(200, `[]`), "bad_response", 1},
		"no envelope":              {simulator.Raw(200, `{"RequestId":"x","Data":[]}`), "bad_response", 1},
		"Success null":             {simulator.Raw(200, `{"Success":null,"Data":[]}`), "bad_response", 1},
		"subtasks of another shape": {simulator.Raw(200,
			`{"Success":true,"Data":[{"BackupTaskId":"a","Status":"COMPLETED","BackupStartTime":1,"SubTasks":[1]}],"Total":1}`), "bad_response", 1},
		"a body over the limit": {simulator.Huge(65 << 20), "bad_response", 6}, // pages of 50, 25, 12, 6, 3 and 1 tasks
		"a redirect":            {simulator.Redirect(elsewhere), "bad_response", 1},
		"endless pages":         {simulator.EndlessPages(), "bad_response", 1000},
		"half answered":         {simulator.HalfAnswered(), "network", 3},
		"reset":                 {simulator.Reset(), "network", 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, simulator.Options{}, at(noon), oneInstance)
			fault(w, c.fault)
			got := w.get("/metrics")
			if !strings.Contains(got, `starrocks_backup_up{instance_id="c-1",region_id="cn-hangzhou"} 0`) ||
				!strings.Contains(
					got,
					fmt.Sprintf(`starrocks_backup_scrape_errors_total{instance_id="c-1",reason=%q,region_id="cn-hangzhou"} 1`, c.reason),
				) ||
				strings.Contains(got, "starrocks_backup_condition") || strings.Contains(got, "starrocks_backup_last_") {
				t.Errorf("served:\n%s", got)
			}
			if n := w.sim.Requests("c-1"); n != c.requests {
				t.Errorf("%d requests, want %d", n, c.requests)
			}
			if l := w.log.String(); strings.Count(l, "level=warn") != 1 || strings.Contains(l, "canary") ||
				!strings.Contains(l, " account=default failed=1 instances=1 reasons=\""+c.reason+"=1\"") ||
				strings.HasPrefix(name, "HTML") != strings.Contains(l, "not a valid API response: it looks like HTML") {
				t.Errorf("log:\n%s", l)
			}
		})
	}
}

func TestAFaultThatPassesIsRetried(t *testing.T) {
	for name, f := range map[string]simulator.Fault{
		"throttled": simulator.Throttled(time.Millisecond), "reset": simulator.Reset(), "server": simulator.Raw(500, ""),
		"nonce": simulator.GatewayError(400, "SignatureNonceUsed", ""), "token": simulator.GatewayError(400, "InvalidSecurityToken.Expired", ""),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, simulator.Options{}, at(noon), oneInstance)
			fault(w, simulator.First(1, f))
			if got := w.get("/metrics"); !strings.Contains(got, `starrocks_backup_up{instance_id="c-1",region_id="cn-hangzhou"} 1`) {
				t.Errorf("served:\n%s", got)
			}
			if n := w.sim.Requests("c-1"); n != 2 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

func TestClockOffByAnHour(t *testing.T) {
	w := newWorld(t, simulator.Options{Now: at(noon.Add(time.Hour))}, at(noon), oneInstance)
	fault(w, nil)
	if got := w.get("/metrics"); !strings.Contains(got, `reason="unauthorized",region_id="cn-hangzhou"} 1`) {
		t.Errorf("served:\n%s", got)
	}
	if !strings.Contains(w.log.String(), "the clock of this machine is off") {
		t.Errorf("log:\n%s", w.log.String())
	}
	skew := `
# HELP starrocks_backup_api_clock_skew_seconds The API's Date header minus the exporter's clock.
# TYPE starrocks_backup_api_clock_skew_seconds gauge
starrocks_backup_api_clock_skew_seconds{region_id="cn-hangzhou"} 3600
`
	if err := testutil.GatherAndCompare(w.own, strings.NewReader(skew), "starrocks_backup_api_clock_skew_seconds"); err != nil {
		t.Error(err)
	}
}

func many(n int) string {
	var b strings.Builder
	b.WriteString(strings.Split(oneInstance, "instances:")[0] + "instances:\n")
	for i := range n {
		fmt.Fprintf(&b, "  - {instance_id: c-%d, region_id: cn-hangzhou}\n", i)
	}
	return b.String()
}

func setMany(w *world, n int) {
	for i := range n {
		w.sim.Set(
			simulator.Instance{
				InstanceID: fmt.Sprintf("c-%d", i),
				RegionID:   "cn-hangzhou",
				Tasks:      lists(backup("bt-1", "COMPLETED", 5, tables(20)...)),
			},
		)
	}
}

func TestFiveScrapesAtOnceShareTheRequests(t *testing.T) {
	w := newWorld(t, simulator.Options{Latency: 100 * time.Millisecond}, time.Now, many(40))
	setMany(w, 40)
	var scrapes sync.WaitGroup
	for range 5 {
		scrapes.Go(func() { w.get("/metrics") })
	}
	scrapes.Wait()
	if n := w.sim.Requests(""); n != 40 {
		t.Errorf("%d requests", n)
	}
}

func TestAClientThatGoesAwayIsNoTimeout(t *testing.T) {
	w := newWorld(t, simulator.Options{}, at(noon), oneInstance)
	asked, answer := make(chan struct{}), make(chan struct{})
	fault(w, simulator.First(1, func(http.ResponseWriter, *http.Request, int) bool {
		close(asked)
		<-answer
		return false
	}))
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, w.exporter.URL+"/", nil)
		if res, err := http.DefaultClient.Do(req); err == nil {
			res.Body.Close()
		}
	}()
	<-asked
	cancel()
	<-gone
	close(answer)
	if got := w.get("/metrics"); !strings.Contains(got, `reason="timeout",region_id="cn-hangzhou"} 0`) ||
		!strings.Contains(got, `starrocks_backup_up{instance_id="c-1",region_id="cn-hangzhou"} 1`) {
		t.Errorf("served:\n%s", got)
	}
}

func TestAPIDown(t *testing.T) {
	w := newWorld(t, simulator.Options{}, at(noon), oneInstance)
	w.api.Close()
	if got := w.get("/metrics"); !strings.Contains(got, `reason="network",region_id="cn-hangzhou"} 1`) {
		t.Errorf("served:\n%s", got)
	}
}

func TestCountersSurviveReloadsAndLeaveWithTheirInstance(t *testing.T) {
	w := newWorld(t, simulator.Options{}, at(noon), many(2))
	setMany(w, 2)
	fails := `starrocks_backup_scrape_errors_total{instance_id="c-1",reason="forbidden",region_id="cn-hangzhou"} `
	w.sim.Set(simulator.Instance{InstanceID: "c-1", RegionID: "cn-hangzhou", Fault: simulator.Denied("x")})
	for i := range 3 {
		if got := w.get("/metrics"); !strings.Contains(got, fails+fmt.Sprint(i+1)) {
			t.Errorf("scrape %d:\n%s", i, got)
		}
		w.configure(many(2))
	}
	w.configure(many(1))
	if got := w.get("/metrics"); strings.Contains(got, `"c-1"`) {
		t.Errorf("c-1 is still there:\n%s", got)
	}
	w.configure(many(2))
	if got := w.get("/metrics"); !strings.Contains(got, fails+"1") {
		t.Errorf("c-1 came back with its old counters:\n%s", got)
	}
}

func TestPage(t *testing.T) {
	w := newWorld(t, simulator.Options{}, at(noon), many(3))
	evil := backup("bt-1", "COMPLETED", 30, tables(20)...)
	evil.Snapshot.InstanceName = `<script>alert(1)</script>`
	w.sim.Set(simulator.Instance{InstanceID: "c-0", RegionID: "cn-hangzhou", Tasks: lists(evil)})
	w.sim.Set(simulator.Instance{InstanceID: "c-1", RegionID: "cn-hangzhou", Tasks: lists(backup("bt-1", "COMPLETED", 5))})
	w.sim.Set(simulator.Instance{InstanceID: "c-2", RegionID: "cn-hangzhou", Fault: simulator.Denied("sr:DescribeBackups")})
	for range 2 { // the second is of the same collection
		page := regexp.MustCompile(`(?s)(<style>|<script>).*?(</style>|</script>)`).ReplaceAllString(w.get("/"), "$1…$2")
		golden(t, "page.html", page)
	}
	if n := w.sim.Requests(""); n != 3 {
		t.Errorf("%d requests", n)
	}
}
