package simulator

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The vectors of the API's documentation, computed by the simulator's own hand.
func TestSignatureVectors(t *testing.T) {
	for _, v := range []struct{ target, host, action, version, token, id, want string }{{
		target: "/?ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd&RegionId=cn-shanghai", host: "ecs.cn-shanghai.aliyuncs.com",
		action: "RunInstances", version: "2014-05-26", want: "06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0",
	}, {
		target: "/webapi/backup/manage/describe?RegionId=cn-hangzhou", host: "starrocks.cn-hangzhou.aliyuncs.com",
		action: "DescribeBackups", version: "2022-10-19", want: "de16b06e226d86f02e267c61f6914ab8f9a432f988dff8c04a7ac425df07604c",
	}, {
		target: "/webapi/backup/manage/describe?Statuses=RUNNING,COMPLETED&InstanceId=c-b25e21e24388****&PageNumber=1&PageSize=100&Region" +
			"Id=cn-hangzhou&TimePeriodStartTime=1747708000",
		host: "starrocks.cn-hangzhou.aliyuncs.com", action: "DescribeBackups", version: "2022-10-19", token: "STS.token+/=",
		id:   "YourAccessKeyId",
		want: "8238d9f34babf4150607e5ee94dcb28468614cfa468936d58f14e2eb0614fc8f",
	}} {
		r := httptest.NewRequest(http.MethodPost, v.target, nil)
		r.Host = v.host
		signed := []string{"host", "x-acs-action", "x-acs-content-sha256", "x-acs-date", "x-acs-signature-nonce", "x-acs-version"}
		r.Header.Set("x-acs-action", v.action)
		r.Header.Set("x-acs-version", v.version)
		r.Header.Set("x-acs-date", "2023-10-26T10:22:32Z")
		r.Header.Set("x-acs-signature-nonce", "3156853299f313e23d1673dc12e1703d")
		r.Header.Set("x-acs-content-sha256", emptyHash)
		if v.token != "" {
			r.Header.Set("x-acs-security-token", v.token)
			r.Header.Set("x-acs-accesskey-id", v.id)
			signed = []string{
				"host",
				"x-acs-accesskey-id",
				"x-acs-action",
				"x-acs-content-sha256",
				"x-acs-date",
				"x-acs-security-token",
				"x-acs-signature-nonce",
				"x-acs-version",
			}
		}
		if got := signatureOf(r, signed, "YourAccessKeySecret"); got != v.want {
			t.Errorf("%s: %s, want %s", v.target, got, v.want)
		}
	}
}

var testTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// sign signs a request by the simulator's own hand.
func sign(r *http.Request, nonce string) {
	r.Header.Set("x-acs-action", "DescribeBackups")
	r.Header.Set("x-acs-version", "2022-10-19")
	r.Header.Set("x-acs-date", testTime.Format("2006-01-02T15:04:05Z"))
	r.Header.Set("x-acs-signature-nonce", nonce)
	r.Header.Set("x-acs-content-sha256", emptyHash)
	signed := []string{"host"}
	for name := range r.Header {
		if name = strings.ToLower(name); strings.HasPrefix(name, "x-acs-") {
			signed = append(signed, name)
		}
	}
	slices.Sort(signed)
	r.Header.Set(
		"Authorization",
		algorithm+" Credential=id,SignedHeaders="+strings.Join(signed, ";")+",Signature="+signatureOf(r, signed, "secret"),
	)
}

// signedRequest is a request as it should be; change may spoil it afterwards.
func signedRequest(target, nonce string, change func(*http.Request)) *http.Request {
	r := httptest.NewRequest(http.MethodPost, target, nil)
	sign(r, nonce)
	if change != nil {
		change(r)
	}
	return r
}

func answerTo(s *Simulator, r *http.Request) (int, string) {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	body, _ := io.ReadAll(w.Result().Body)
	return w.Code, string(body)
}

func newTestSimulator() *Simulator {
	s := New(Options{AccessKeys: map[string]string{"id": "secret"}, Now: func() time.Time { return testTime }, PageCap: 3})
	s.Set(Instance{InstanceID: "c-1", RegionID: "r", Tasks: func(time.Time) []Task {
		var tasks []Task
		for i := range 7 {
			status := "COMPLETED"
			if i == 0 {
				status = "RUNNING"
			}
			tasks = append(tasks, Task{BackupTaskID: "bt-" + strconv.Itoa(i), Status: status, Start: Millis(time.Unix(int64(1000*i), 0))})
		}
		return tasks
	}})
	return s
}

func TestRefusals(t *testing.T) {
	const target = "/webapi/backup/manage/describe?RegionId=r&InstanceId=c-1"
	for name, c := range map[string]struct {
		change func(*http.Request)
		code   string
	}{
		"as it should be": {nil, `"Success":true`},
		"query":           {func(r *http.Request) { r.URL.RawQuery += "&PageSize=2" }, "SignatureDoesNotMatch"},
		"header":          {func(r *http.Request) { r.Header.Set("x-acs-new", "x") }, "SignatureDoesNotMatch"},
		"host":            {func(r *http.Request) { r.Host = "elsewhere" }, "SignatureDoesNotMatch"},
		"key": {func(r *http.Request) {
			r.Header.Set("Authorization", algorithm+" Credential=x,SignedHeaders=host,Signature=0")
		}, "InvalidAccessKeyId.NotFound"},
		"unsigned":     {func(r *http.Request) { r.Header.Del("Authorization") }, "IncompleteSignature"},
		"clock":        {func(r *http.Request) { r.Header.Set("x-acs-date", "2026-01-02T02:04:05Z") }, "InvalidTimeStamp.Expired"},
		"path":         {func(r *http.Request) { r.URL.Path = "/x" }, "InvalidApi.NotFound"},
		"method":       {func(r *http.Request) { r.Method = http.MethodGet }, "InvalidAction.NotFound"},
		"version":      {func(r *http.Request) { r.Header.Set("x-acs-version", "2014-05-26") }, "InvalidVersion"},
		"body":         {func(r *http.Request) { r.ContentLength = 1 }, "InvalidParameter"},
		"chunked body": {func(r *http.Request) { r.ContentLength = -1 }, "InvalidParameter"},
		"bad query":    {func(r *http.Request) { r.URL.RawQuery += "&a=%zz" }, "InvalidParameter"},
		"action":       {func(r *http.Request) { r.Header.Set("x-acs-action", "x") }, "InvalidAction.NotFound"},
		"content type": {func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, "InvalidParameter"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, body := answerTo(newTestSimulator(), signedRequest(target, "n", c.change)); !strings.Contains(body, c.code) {
				t.Errorf("answered %s", body)
			}
		})
	}
}

func TestANonceWorksOnce(t *testing.T) {
	s := newTestSimulator()
	for i, want := range []string{`"Success":true`, "SignatureNonceUsed"} {
		if _, body := answerTo(s, signedRequest("/webapi/backup/manage/describe?RegionId=r&InstanceId=c-1", "same", nil)); !strings.Contains(
			body,
			want,
		) {
			t.Errorf("request %d answered %s", i, body)
		}
	}
}

func TestPagesAndFilters(t *testing.T) {
	s := newTestSimulator()
	for query, want := range map[string][]string{
		"RegionId=r&InstanceId=c-1&PageSize=50":                                     {"bt-0", "bt-1", "bt-2"}, // the server's own cap
		"RegionId=r&InstanceId=c-1&PageSize=2&PageNumber=4":                         {"bt-6"},
		"RegionId=r&InstanceId=c-1&PageNumber=9":                                    nil,
		"RegionId=r&InstanceId=c-1&Statuses=RUNNING%2CX":                            {"bt-0"},
		"RegionId=r&InstanceId=c-1&BackupTaskId=bt-5":                               {"bt-5"},
		"RegionId=r&InstanceId=c-1&TimePeriodStartTime=5000":                        {"bt-5", "bt-6"},
		"RegionId=r&InstanceId=c-1&TimePeriodStartTime=2000&TimePeriodEndTime=2999": {"bt-2"},
		"RegionId=r&PageSize=1":                                                     {"bt-0"},
		"RegionId=r&InstanceId=c-1&Statuses=%20+&PageSize=1":                        nil,
	} {
		_, body := answerTo(s, signedRequest("/webapi/backup/manage/describe?"+query, query, nil))
		if !strings.Contains(body, `"Success":true`) || strings.Count(body, `"BackupTaskId":`) != len(want) {
			t.Errorf("%s answered %s", query, body)
		}
		for _, id := range want {
			if !strings.Contains(body, `"`+id+`"`) {
				t.Errorf("%s is not in the answer to %s: %s", id, query, body)
			}
		}
	}
	if _, body := answerTo(s, signedRequest("/webapi/backup/manage/describe?RegionId=x&InstanceId=c-1", "x", nil)); !strings.Contains(
		body,
		"instance not exists",
	) {
		t.Errorf("an instance of another region: %s", body)
	}
}

func TestATokenMustBeTheOneExpected(t *testing.T) {
	s := newTestSimulator()
	s.verifier.tokens = map[string]string{"id": "token"}
	for token, want := range map[string]string{"token": `"Success":true`, "old": "InvalidSecurityToken.Expired"} {
		r := httptest.NewRequest(http.MethodPost, "/webapi/backup/manage/describe?RegionId=r&InstanceId=c-1", nil)
		r.Header.Set("x-acs-security-token", token)
		sign(r, token)
		if _, body := answerTo(s, r); !strings.Contains(body, want) {
			t.Errorf("token %s: %s", token, body)
		}
	}
}

func TestSetRemoveAndCount(t *testing.T) {
	s := newTestSimulator()
	const target = "/webapi/backup/manage/describe?RegionId=r&InstanceId=c-1"
	answerTo(s, signedRequest(target, "1", nil))
	s.Remove("c-1")
	if _, body := answerTo(s, signedRequest(target, "2", nil)); !strings.Contains(body, "instance not exists") {
		t.Errorf("a removed instance: %s", body)
	}
	answerTo(s, signedRequest("/webapi/backup/manage/describe", "3", nil))
	if one, all := s.Requests("c-1"), s.Requests(""); one != 2 || all != 3 {
		t.Errorf("%d and %d requests", one, all)
	}
}

func TestWhatIsSent(t *testing.T) {
	s := New(
		Options{AccessKeys: map[string]string{"id": "secret"}, Now: func() time.Time { return testTime }, Total: func(int) any { return nil }},
	)
	calls := 0
	s.Set(Instance{InstanceID: "c-1", RegionID: "r", Rendered: "once", Tasks: func(time.Time) []Task {
		calls++
		return []Task{{Size: "2", Finish: "null", Description: "d", SubTasks: []SubTask{{Table: "a\xff\"\n"}}}, {}}
	}})
	for _, nonce := range []string{"1", "2"} {
		_, body := answerTo(s, signedRequest("/webapi/backup/manage/describe?RegionId=r&InstanceId=c-1", nonce, nil))
		for _, want := range []string{
			"\"Table\":\"a\xff\\\"\\u000a\"", `"Size":"2"`, `"BackupFinishedTime":"null"`, `"Description":"d"`,
			`"SubTasks":null`, `"SnapshotName":"backup"`,
		} {
			if !strings.Contains(body, want) {
				t.Errorf("no %s in %s", want, body)
			}
		}
		if strings.Contains(body, "Total") {
			t.Errorf("Total in %s", body)
		}
	}
	if calls != 1 {
		t.Errorf("rendered %d times", calls)
	}
}

// A query is served only as it was signed, whatever it holds.
func FuzzSignature(f *testing.F) {
	for _, seed := range [][2]string{
		{"InstanceId=c-1&RegionId=r", "RegionId=r"}, {"a=1&a=2", "a=2&a=1"}, {"a=+", "a=%20"}, {"a=%zz", "a=%25zz"}, {"a-=1&a=1", "a=1&a-=1"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, query, other string) {
		signed, malformed := url.ParseQuery(query)
		r := httptest.NewRequest(http.MethodPost, "/webapi/backup/manage/describe", nil)
		r.URL.RawQuery = query
		sign(r, "n")
		r.URL.RawQuery = other
		_, body := answerTo(newTestSimulator(), r)
		sent, err := url.ParseQuery(other)
		served := !strings.Contains(body, "SignatureDoesNotMatch") && err == nil
		if served && malformed == nil && !reflect.DeepEqual(signed, sent) {
			t.Errorf("signed %q, served %q", query, other)
		}
		if query == other && err == nil && !served {
			t.Errorf("%q is refused: %s", query, body)
		}
	})
}
