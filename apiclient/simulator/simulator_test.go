package simulator

import (
	"io"
	"net/http"
	"net/http/httptest"
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
		target: "/webapi/backup/manage/describe?Statuses=RUNNING,COMPLETED&InstanceId=c-b25e21e24388****&PageNumber=1&PageSize=100&RegionId=cn-hangzhou&TimePeriodStartTime=1747708000",
		host:   "starrocks.cn-hangzhou.aliyuncs.com", action: "DescribeBackups", version: "2022-10-19", token: "STS.token+/=", id: "YourAccessKeyId",
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
			signed = []string{"host", "x-acs-accesskey-id", "x-acs-action", "x-acs-content-sha256", "x-acs-date", "x-acs-security-token", "x-acs-signature-nonce", "x-acs-version"}
		}
		if got := signatureOf(r, signed, "YourAccessKeySecret"); got != v.want {
			t.Errorf("%s: %s, want %s", v.target, got, v.want)
		}
	}
}

var testTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// signedRequest signs by the simulator's own hand; change may spoil it afterwards.
func signedRequest(target, nonce string, change func(*http.Request)) *http.Request {
	r := httptest.NewRequest(http.MethodPost, target, nil)
	r.Header.Set("x-acs-action", "DescribeBackups")
	r.Header.Set("x-acs-version", "2022-10-19")
	r.Header.Set("x-acs-date", testTime.Format("2006-01-02T15:04:05Z"))
	r.Header.Set("x-acs-signature-nonce", nonce)
	r.Header.Set("x-acs-content-sha256", emptyHash)
	signed := []string{"host", "x-acs-action", "x-acs-content-sha256", "x-acs-date", "x-acs-signature-nonce", "x-acs-version"}
	r.Header.Set("Authorization", algorithm+" Credential=id,SignedHeaders="+strings.Join(signed, ";")+",Signature="+signatureOf(r, signed, "secret"))
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
			tasks = append(tasks, Task{BackupTaskID: "bt-" + strconv.Itoa(i), Status: status})
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
		if _, body := answerTo(s, signedRequest("/webapi/backup/manage/describe?RegionId=r&InstanceId=c-1", "same", nil)); !strings.Contains(body, want) {
			t.Errorf("request %d answered %s", i, body)
		}
	}
}

func TestPagesAndFilters(t *testing.T) {
	s := newTestSimulator()
	for query, want := range map[string][]string{
		"RegionId=r&InstanceId=c-1&PageSize=50":              {"bt-0", "bt-1", "bt-2"}, // the server's own cap
		"RegionId=r&InstanceId=c-1&PageSize=2&PageNumber=4":  {"bt-6"},
		"RegionId=r&InstanceId=c-1&PageNumber=9":             nil,
		"RegionId=r&InstanceId=c-1&Statuses=RUNNING%2CX":     {"bt-0"},
		"RegionId=r&InstanceId=c-1&BackupTaskId=bt-5":        {"bt-5"},
		"RegionId=r&PageSize=1":                              {"bt-0"},
		"RegionId=r&InstanceId=c-1&Statuses=%20+&PageSize=1": nil,
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
	if _, body := answerTo(s, signedRequest("/webapi/backup/manage/describe?RegionId=x&InstanceId=c-1", "x", nil)); !strings.Contains(body, "instance not exists") {
		t.Errorf("an instance of another region: %s", body)
	}
}

func FuzzSignature(f *testing.F) {
	f.Add("InstanceId=c-1&RegionId=r", "RegionId=r")
	f.Fuzz(func(t *testing.T, query, other string) {
		r := signedRequest("/webapi/backup/manage/describe", "n", nil)
		signed := []string{"host", "x-acs-date"}
		r.URL.RawQuery = query
		one := signatureOf(r, signed, "secret")
		r.URL.RawQuery = other
		if same := canonicalQuery(query) == canonicalQuery(other); same != (one == signatureOf(r, signed, "secret")) {
			t.Errorf("%q and %q: equal signatures %v", query, other, !same)
		}
	})
}
