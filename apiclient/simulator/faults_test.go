package simulator

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// overHTTP sends a signed request to an instance with a fault, over a real connection, and does not follow redirects.
func overHTTP(ctx context.Context, t *testing.T, f Fault, nonces ...string) (res *http.Response, body string, err error) {
	t.Helper()
	s := newTestSimulator()
	in := s.account.instance("c-1")
	in.Fault = f
	s.Set(in)
	server := httptest.NewServer(s)
	defer server.Close()
	client := server.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for _, nonce := range append([]string{"n"}, nonces...) {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+"/webapi/backup/manage/describe?RegionId=r&InstanceId=c-1", nil)
		if err != nil {
			t.Fatal(err)
		}
		sign(r, nonce)
		if res, err = client.Do(r); err != nil {
			return nil, "", err
		}
		b, err := io.ReadAll(res.Body)
		res.Body.Close()
		if body = string(b); err != nil {
			return res, body, err
		}
	}
	return res, body, nil
}

func TestFaultsAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		fault  Fault
		status int
		parts  []string
	}{
		"none":      {nil, 200, []string{`"Success":true`, `"bt-0"`}},
		"gateway":   {GatewayError(503, "ServiceUnavailable", "m"), 503, []string{`"Code":"ServiceUnavailable"`, `"Message":"m"`, `"HostId"`}},
		"denied":    {Denied("sr:X"), 403, []string{`"NoPermission"`, `"AuthAction":"sr:X"`}},
		"throttled": {Throttled(0), 400, []string{`"Throttling.User"`}},
		"envelope":  {EnvelopeError("InvalidParams", "m"), 200, []string{`"Success":false`, `"ErrCode":"InvalidParams"`, "bt-never-use-this"}},
		"HTML":      {HTML(502), 502, []string{"<html>"}},
		"raw":       {Raw(418, "x"), 418, []string{"x"}},
		"redirect":  {Redirect(&url.URL{Scheme: "http", Host: "127.0.0.1:1"}), 307, nil},
		"huge":      {Huge(1 << 20), 200, []string{`"Success":true`, `"Data":[]`}},
		"endless":   {EndlessPages(), 200, []string{`"bt-1"`}},
		"delay":     {Delay(time.Millisecond), 200, []string{`"Success":true`}},
	} {
		t.Run(name, func(t *testing.T) {
			res, body, err := overHTTP(t.Context(), t, c.fault)
			if err != nil {
				t.Fatal(err)
			}
			if res.StatusCode != c.status || res.Header.Get("Date") != testTime.Format(http.TimeFormat) {
				t.Errorf("status %d, date %s", res.StatusCode, res.Header.Get("Date"))
			}
			for _, part := range c.parts {
				if !strings.Contains(body, part) {
					t.Errorf("no %s in %.300s", part, body)
				}
			}
		})
	}
}

func TestFaultsBreak(t *testing.T) {
	for name, f := range map[string]Fault{"reset": Reset(), "hang": Hang()} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			if _, body, err := overHTTP(ctx, t, f); err == nil {
				t.Errorf("answered %s", body)
			}
		})
	}
}

func TestHalfAnsweredBreaksInTheBody(t *testing.T) {
	res, body, err := overHTTP(t.Context(), t, HalfAnswered())
	if err == nil || res == nil || res.StatusCode != http.StatusOK || body != `{"Success":true,"Data":[` {
		t.Errorf("%v: %s", err, body)
	}
}

func TestCutIsNoJSONOnASoundConnection(t *testing.T) {
	res, body, err := overHTTP(t.Context(), t, Cut())
	if err != nil || int(res.ContentLength) != len(body) || json.Valid([]byte(body)) || !strings.HasPrefix(body, `{"HttpStatusCode":200`) {
		t.Errorf("%v: %s", err, body)
	}
}

func TestThrottledHintsInMilliseconds(t *testing.T) {
	res, _, err := overHTTP(t.Context(), t, Throttled(1500*time.Millisecond))
	if err != nil || res.Header.Get("x-acs-retry-after") != "1500" {
		t.Errorf("%v: %v", err, res)
	}
}

func TestFirstPasses(t *testing.T) {
	if _, body, err := overHTTP(t.Context(), t, First(1, GatewayError(500, "InternalError", "")), "n2"); err != nil ||
		!strings.Contains(body, `"Success":true`) {
		t.Errorf("%v: %s", err, body)
	}
}
