package apiclient_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
	"git.example.com/starrocks/starrocks_backup_exporter/apiclient/simulator"
)

// answering answers every request alike.
type answering struct {
	status int
	body   string
}

// RoundTrip implements http.RoundTripper.
func (a *answering) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: a.status, ContentLength: int64(len(a.body)), Body: io.NopCloser(strings.NewReader(a.body))}, nil
}

// A failure says what the API or a gateway said, in whatever shape. Only what may pass by is tried again.
func TestFailures(t *testing.T) {
	const denied = `"AccessDeniedDetail":{"AuthAction":"sr:DescribeBackups"}`
	var raw answering
	var options apiclient.Options
	_, _, seen := newClient(t, simulator.Options{}, func(o *apiclient.Options) {
		o.Transport, o.FreshTransport = &raw, &raw
		options = *o
	})
	for name, f := range map[string]struct {
		status   int
		body     string
		reason   apiclient.Reason
		says     string
		requests int32
	}{
		"HTML with success": {200, `<html>portal</html>`, apiclient.ReasonBadResponse, "it looks like HTML", 1},
		"XML with success":  {200, `<?xml version="1.0"?><Welcome/>`, apiclient.ReasonBadResponse, "it looks like XML", 1},
		"HTML of an outage": {503, "  \n<html>down</html>", apiclient.ReasonServerError, "it looks like HTML", 3},
		"a gateway's XML": {
			400, `<?xml version="1.0"?><Error><Code>Throttling.User</Code><Message>slow down</Message></Error>`,
			apiclient.ReasonThrottled, "Throttling.User: slow down", 3,
		},
		"XML without a code": {403, `<Error><Message>no</Message></Error>`, apiclient.ReasonForbidden, "it looks like HTML", 1},
		"cut XML":            {403, `<Error><Code>Throttling</Code>`, apiclient.ReasonForbidden, "it looks like HTML", 1},
		"cut JSON":           {200, `{"Success":false,"ErrCode":"Throttling","Data":[{`, apiclient.ReasonBadResponse, "not a valid API", 1},
		"a bad signature": {
			403, `{"Code":"SignatureDoesNotMatch","Message":"signed: canary"}`, apiclient.ReasonUnauthorized, "wrong access key secret", 1,
		},
		"a denial": {
			403, `{"Code":"NoPermission","Message":"no",` + denied + `}`, apiclient.ReasonForbidden,
			"RAM action sr:DescribeBackups is missing: no", 1,
		},
		"no action":         {403, `{"Code":"NoPermission","Message":"no"}`, apiclient.ReasonForbidden, "NoPermission: no (", 1},
		"another failure":   {400, `{"Code":"Throttling","Message":"slow",` + denied + `}`, apiclient.ReasonThrottled, "Throttling: slow", 3},
		"without Success":   {200, `{"Data":[]}`, apiclient.ReasonBadResponse, "a JSON object without Success", 1},
		"only a code":       {200, `{"ErrCode":"Throttling.User"}`, apiclient.ReasonThrottled, "Throttling.User", 3},
		"a redirect":        {300, `{"Success":true,"Data":[]}`, apiclient.ReasonBadResponse, "HTTP status 300", 1},
		"Success: false":    {200, `{"Success":false,"ErrCode":"Success"}`, apiclient.ReasonInvalidRequest, "", 1},
		"a failure's Data":  {200, `{"Success":false,"ErrCode":"InvalidParams","Data":{}}`, apiclient.ReasonInvalidRequest, "InvalidParams", 1},
		"odd Data":          {200, `{"Success":true,"Data":{}}`, apiclient.ReasonBadResponse, "not a valid API response", 1},
		"a code and a task": {200, `{"Success":true,"ErrCode":"InternalError","Data":{}}`, apiclient.ReasonServerError, "InternalError", 3},
	} {
		t.Run(name, func(t *testing.T) {
			raw = answering{f.status, f.body}
			before := seen.requests.Load()
			var err error
			synctest.Test(t, func(t *testing.T) {
				options.Credentials = apiclient.NewCredentials(apiclient.CredentialSource{AccessKeyID: "id", AccessKeySecret: "another"},
					func(string, string) {})
				c, failure := apiclient.New(options)
				if failure != nil {
					t.Fatal(failure)
				}
				_, err = read(t, c, apiclient.DescribeBackupsRequest{InstanceID: "c-1"})
			})
			var e *apiclient.Error
			if !errors.As(err, &e) || e.Reason != f.reason || !strings.Contains(err.Error(), f.says) || strings.Contains(err.Error(), "canary") {
				t.Errorf("%v", err)
			}
			if f.reason != apiclient.ReasonForbidden && e != nil && e.Action != "" {
				t.Errorf("names the action %s", e.Action)
			}
			if got := seen.requests.Load() - before; got != f.requests {
				t.Errorf("%d requests, want %d", got, f.requests)
			}
		})
	}
}

func TestOutcome(t *testing.T) {
	for body, want := range map[string]struct {
		code    string
		success bool
	}{
		`{"Success":true,"Data":[]}`:                        {"", true},
		`{"Success":false,"ErrCode":"Throttling"}`:          {"Throttling", false},
		`{"Code":"NoPermission"}`:                           {"NoPermission", false},
		`<html></html>`:                                     {"", false},
		`{"Success":true,"ErrCode":"InternalError","Data":`: {"", false},
	} {
		failure, success := apiclient.Outcome(http.StatusOK, []byte(body))
		if failure.Code != want.code || success != want.success || failure.HTTPStatus != http.StatusOK {
			t.Errorf("%s: %+v, %v", body, failure, success)
		}
	}
}
