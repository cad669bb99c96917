package apiclient

import (
	"hash/maphash"
	"testing"
)

func TestFingerprint(t *testing.T) {
	const body = `{"RequestId":"1","Success":true,"Data":[{"BackupTaskId":"a \"RequestId\""}],"Total":1}`
	seed := maphash.MakeSeed()
	known := fingerprint(seed, []byte(body))
	for name, c := range map[string]struct {
		body string
		same bool
	}{
		"the same":              {body, true},
		"another RequestId":     {`{"RequestId":"12345","Success":true,"Data":[{"BackupTaskId":"a \"RequestId\""}],"Total":1}`, true},
		"spaces around the key": {`{"RequestId" : "1","Success":true,"Data":[{"BackupTaskId":"a \"RequestId\""}],"Total":1}`, true},
		"another task":          {`{"RequestId":"1","Success":true,"Data":[{"BackupTaskId":"b \"RequestId\""}],"Total":1}`, false},
		"another end":           {`{"RequestId":"1","Success":true,"Data":[{"BackupTaskId":"a \"RequestId\""}],"Total":2}`, false},
		"another beginning":     {`{ "RequestId":"1","Success":true,"Data":[{"BackupTaskId":"a \"RequestId\""}],"Total":1}`, false},
		"a failure":             {`{"RequestId":"1","Success":false,"Data":[{"BackupTaskId":"a \"RequestId\""}],"Total":1}`, false},
	} {
		if got := fingerprint(seed, []byte(c.body)); (got == known) != c.same || got == (Fingerprint{}) {
			t.Errorf("%s: %v, %v", name, got, known)
		}
	}
	for name, body := range map[string]string{
		"no RequestId":         `{"Success":true,"Data":[]}`,
		"a lower-case key":     `{"requestId":"1","Success":true,"Data":[]}`,
		"a value of that name": `{"Success":"RequestId","Data":[]}`,
		"no text":              `{"RequestId":1,"Success":true}`,
		"an escape":            `{"RequestId":"1\"","Success":true}`,
		"no end":               `{"RequestId":"1`,
		"nothing":              ``,
	} {
		if got := fingerprint(seed, []byte(body)); got != (Fingerprint{}) {
			t.Errorf("%s: %v", name, got)
		}
	}
}
