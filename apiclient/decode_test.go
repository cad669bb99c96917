package apiclient

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

func TestDecodePageRefuses(t *testing.T) {
	for name, body := range map[string]string{
		"empty":              ``,
		"cut":                `{"Success":true,"Data":[{"BackupTaskId":"a"`,
		"cut after a member": `{"Success":true`,
		"an array":           `[]`,
		"a string":           `"x"`,
		"HTML":               `<html></html>`,
		"two values":         `{"Success":true} {}`,
		"data is a string":   `{"Success":true,"Data":"none"}`,
		"data is an object":  `{"Success":true,"Data":{}}`,
		"a task is a number": `{"Success":true,"Data":[1]}`,
		"a task without id":  `{"Success":true,"Data":[{"Status":"COMPLETED"}]}`,
		"cut subtasks":       `{"Success":true,"Data":[{"BackupTaskId":"a","SubTasks":[{"Size":1}`,
		"subtasks, boxed":    `{"Success":true,"Data":[{"BackupTaskId":"a","SubTasks":{"SubTask":[{"Status":"failed"}]}}]}`,
		"subtasks, quoted":   `{"Success":true,"Data":[{"BackupTaskId":"a","SubTasks":"[{\"Status\":\"failed\"}]"}]}`,
		"subtasks, a number": `{"Success":true,"Data":[{"BackupTaskId":"a","SubTasks":2}]}`,
		"invalid number":     `{"Success":true,"Data":[{"BackupTaskId":"a","Size":01}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			if p, _, err := decodePage[wireBackup, Backup]([]byte(body)); err == nil {
				t.Errorf("decoded %+v", p)
			}
		})
	}
}

func TestNoListOfSubTasks(t *testing.T) {
	for _, subtasks := range []string{`null`, `""`, `" "`, `"null"`} {
		body := `{"Success":true,"Data":[{"BackupTaskId":"a","SubTasks":` + subtasks + `}]}`
		if p, _, err := decodePage[wireBackup, Backup]([]byte(body)); err != nil || p.items[0].ListsSubTasks() {
			t.Errorf("%s: %v", subtasks, err)
		}
	}
}

func TestDecodeTolerates(t *testing.T) {
	body := `{"Success":"true","Total":"1","ErrCode":null,"New":{"a":[1]},"Data":[{
		"BackupTaskId":12,"InstanceId":"null","Status":" Cancelled ","Size":"7","BackupStartTime":"1742179018","BackupFinishedTime":1742179028000,
		"ExpireTime":"null","InstanceSnapshot":"null","New":null,
		"SubTasks":[{"DataBase":"a` + "\xff" + `\"\n","Table":null,"Size":"null","StartTime":1747708190000,` +
		`"FinishedTime":"x","Detail":{"odd":[1]},"Status":"SUCCESS"}]}]}`
	p, h, err := decodePage[wireBackup, Backup]([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	if h.Success != flagTrue || p.total != 1 || len(p.items) != 1 {
		t.Fatalf("decoded %+v", p)
	}
	b := p.items[0]
	if b.TaskID != "12" || b.InstanceID != "" || b.Status != StatusCanceled || b.DiskBytes != 7*bytesPerGiB || b.Instance != nil ||
		!b.Start.Equal(time.Unix(1742179018, 0)) || !b.Finish.Equal(time.Unix(1742179028, 0)) || !b.Expire.IsZero() {
		t.Errorf("decoded %+v", b)
	}
	subtasks, err := b.SubTasks()
	if err != nil || len(subtasks) != 1 {
		t.Fatal(subtasks, err)
	}
	s := subtasks[0]
	if s.Database != "a\ufffd\"\n" || s.Table != "" || !math.IsNaN(s.Bytes) || !s.Start.Equal(time.Unix(1747708190, 0)) ||
		!s.Finish.IsZero() || s.Status != StatusCompleted {
		t.Errorf("decoded %+v", s)
	}
}

func TestMoments(t *testing.T) {
	at := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]struct {
		time       time.Time
		unreadable bool
	}{
		fmt.Sprint(at.Unix()): {at, false}, fmt.Sprint(at.UnixMilli()): {at, false}, fmt.Sprint(at.UnixMicro()): {at, false},
		fmt.Sprint(at.UnixNano()): {at, false}, fmt.Sprintf("%q", fmt.Sprint(at.Unix())): {at, false}, `"2026-03-04T20:00:00+08:00"`: {at, false},
		`"2026-03-04T12:00:00Z"`: {at, false}, "1": {time.Unix(1, 0).UTC(), false}, "99999999999": {time.Unix(99999999999, 0).UTC(), false},
		"100000000000": {time.UnixMilli(1e11).UTC(), false}, "253402300799000": {time.UnixMilli(253402300799000).UTC(), false},
		// The year 9999 in seconds, and its neighbors, which are milliseconds in 1978.
		"253370764800": {time.Unix(253370764800, 0).UTC(), false}, "253402300799": {time.Unix(253402300799, 0).UTC(), false},
		"253370764799": {time.UnixMilli(253370764799).UTC(), false}, "253402300800": {time.UnixMilli(253402300800).UTC(), false},
		`"2026-03-04 20:00:00+08:00"`: {at, false}, `"2026-03-04T12:00Z"`: {at, false}, `"2026-03-04T20:00+08:00"`: {at, false},
		`"9999-12-31T23:59:59-08:00"`: {time.Unix(253402300799, 0).UTC(), false}, // the year 10000 in UTC
		`" 2026-03-04t12:00:00z "`:    {at, false},
		`"1970-01-01T00:00:01Z"`:      {time.Unix(1, 0).UTC(), false},
		"0":                           {}, "-1": {}, "null": {}, `"null"`: {}, `""`: {}, `"0"`: {}, `" "`: {},
		`"1970-01-01T00:00:00Z"`: {}, `"1970-01-01T08:00:00+08:00"`: {}, `"0001-01-01T00:00:00Z"`: {}, `"0001-01-01T00:00:00+08:05"`: {},
		"1e308": {time.Time{}, true}, "253402300800000": {time.Time{}, true}, `"NaN"`: {time.Time{}, true}, `"yesterday"`: {time.Time{}, true},
		`"2026-03-04"`: {time.Time{}, true}, "true": {time.Time{}, true}, "{}": {time.Time{}, true}, "[1]": {time.Time{}, true},
	} {
		body := fmt.Sprintf(`{"Success":true,"Data":[{"BackupTaskId":"a","BackupStartTime":%s}]}`, value)
		p, _, err := decodePage[wireBackup, Backup]([]byte(body))
		if err != nil {
			t.Fatal(value, err)
		}
		if b := p.items[0]; !b.Start.Equal(want.time) || (len(b.Unreadable) > 0) != want.unreadable {
			t.Errorf("%s is %v, unreadable %q", value, b.Start, b.Unreadable)
		}
	}
}

func TestSizes(t *testing.T) {
	for value, want := range map[string]float64{
		"0": 0, "7": 7 * bytesPerGiB, `"7"`: 7 * bytesPerGiB, "0.5": bytesPerGiB / 2, "null": -1,
		"-1": -1, `""`: -1, `" "`: -1,
	} {
		checkSize(t, value, want, false)
	}
	for _, value := range []string{"1e308", "1e13", `"NaN"`, `"Infinity"`, `"large"`, "true", "{}"} {
		checkSize(t, value, -1, true)
	}
}

// checkSize decodes a size of a task and of a subtask; want is -1 for none.
func checkSize(t *testing.T, value string, want float64, unreadable bool) {
	t.Helper()
	body := fmt.Sprintf(`{"Success":true,"Data":[{"BackupTaskId":"a","Size":%s,"SubTasks":[{"Size":%[1]s}]}]}`, value)
	p, _, err := decodePage[wireBackup, Backup]([]byte(body))
	if err != nil {
		t.Fatal(value, err)
	}
	subtasks, err := p.items[0].SubTasks()
	if err != nil {
		t.Fatal(value, err)
	}
	is := func(bytes float64) bool { return bytes == want || want < 0 && math.IsNaN(bytes) }
	if !is(p.items[0].DiskBytes) || !is(subtasks[0].Bytes) || (len(p.items[0].Unreadable) > 0) != unreadable ||
		subtasks[0].Unreadable != unreadable {
		t.Errorf("%s: %v (%q), subtask %+v", value, p.items[0].DiskBytes, p.items[0].Unreadable, subtasks[0])
	}
}

func TestParseStatus(t *testing.T) {
	for word, want := range map[string]Status{
		"RUNNING": StatusRunning, "completed": StatusCompleted, "Success": StatusCompleted, "FINISHED": StatusCompleted,
		"Error": StatusFailed, "TERMINATED": StatusCanceled, "UPLOAD_SNAPSHOT": StatusRunning,
		"SAVE_META": StatusRunning, "UPLOAD_INFO": StatusRunning, "SNAPSHOTING": StatusRunning, "CANCELLED": StatusCanceled,
		"queued": StatusPending, "UPLOADING": StatusRunning,
		"": StatusUnknown, "PARTIAL_SUCCESS": StatusUnknown, "null": StatusUnknown,
	} {
		if got := parseStatus(word); got != want {
			t.Errorf("parseStatus(%q) = %s, want %s", word, got, want)
		}
	}
}

// Whatever the body is, what is taken for an answer is one for the standard library too, and says the same of each entry.
func FuzzDecodePage(f *testing.F) {
	f.Add([]byte(`{"Success":true,"Total":1,"Data":[{"BackupTaskId":"a","Status":"RUNNING","SubTasks":[{"DataBase":"x","Size":1}]}]}`))
	f.Add(
		[]byte(
			`{"Success":"true","Total":"1","Data":[{"InstanceId":"c-1","RegionId":"r","InstanceStatus":"running","RunMode":"shared_nothing"}]}`,
		),
	)
	f.Add([]byte(`{"Success":false,"ErrCode":"Success","Data":[{"BackupTaskId":"never use this"}]}`))
	f.Add([]byte(`{"Success":true,"Data":[{"PolicyId":"1","InstanceId":"c-1","Hour":"2","RecurrenceValues":[1,"5",null],"ExpireDays":"7"}]}`))
	f.Add([]byte(`{"Success":true,"Data":[{"OperationId":"op-1","OperationType":"restore","OperationStatus":"DONE","GmtEnd":1742179008000}]}`))
	f.Add([]byte(`{"RequestId":"r","Code":"NoPermission","AccessDeniedDetail":{"AuthAction":"sr:DescribeBackups"}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if p, data := fuzzed(t, body, describeBackups("")); p != nil {
			for i, b := range p.items {
				sameText(t, data[i], map[string]string{"BackupTaskId": b.TaskID, "Status": b.StatusWord, "InstanceId": b.InstanceID})
				subtasks, err := b.SubTasks()
				if err == nil && b.ListsSubTasks() && len(subtasks) != len(data[i].(map[string]any)["SubTasks"].([]any)) {
					t.Errorf("%d subtasks", len(subtasks))
				}
			}
		}
		if p, data := fuzzed(t, body, describeInstances()); p != nil {
			for i, in := range p.items {
				sameText(t, data[i], map[string]string{"InstanceId": in.InstanceID, "RegionId": in.RegionID, "InstanceStatus": in.Status})
			}
		}
		if p, data := fuzzed(t, body, describeBackupPolicies()); p != nil {
			for i, policy := range p.items {
				sameText(t, data[i], map[string]string{"PolicyId": policy.PolicyID, "InstanceId": policy.InstanceID, "Hour": policy.Hour})
				if policy.ExpireDays <= 0 || policy.TimeoutSeconds <= 0 {
					t.Errorf("a limit that is none: %+v", policy)
				}
			}
		}
		if p, data := fuzzed(t, body, listOperationHistory()); p != nil {
			for i, o := range p.items {
				sameText(t, data[i], map[string]string{"OperationId": o.ID, "OperationStatus": o.StatusWord, "OperationType": o.Type})
			}
		}
	})
}

// fuzzed returns the page in a body, and Data as the standard library reads it; nil if the body is not a success.
func fuzzed[T any](t *testing.T, body []byte, op operation[T]) (*page[T], []any) {
	t.Helper()
	p, failure := interpret(&answer{status: http.StatusOK, body: body}, op.decode)
	if failure != nil {
		if failure.Reason == "" || strings.ContainsAny(failure.Error(), "\n\r") {
			t.Errorf("failed with %q", failure.Error())
		}
		return nil, nil
	}
	var want map[string]any
	if err := json.Unmarshal(body, &want); err != nil {
		t.Fatalf("decoded what is not JSON: %v", err)
	}
	if said := fmt.Sprint(want["Success"]); !strings.EqualFold(said, "true") {
		t.Errorf("took Success %q for true", said)
	}
	data, _ := want["Data"].([]any)
	if len(p.items) != len(data) {
		t.Fatalf("decoded %d entries of %d", len(p.items), len(data))
	}
	return p, data
}

// sameText compares those members that are strings.
func sameText(t *testing.T, want any, got map[string]string) {
	t.Helper()
	for name, text := range got {
		if w, ok := want.(map[string]any)[name].(string); ok && w != text && w != "null" {
			t.Errorf("%s is %q, want %q", name, text, w)
		}
	}
}

// yardstick is a response of 30 tasks of 20 subtasks.
func yardstick() []byte {
	var b strings.Builder
	b.WriteString(`{"HttpStatusCode":200,"RequestId":"32A44F0D","Success":true,"ErrCode":"Success","ErrMessage":"","Data":[`)
	for task := range 30 {
		if task > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"RegionId":"cn-hangzhou","InstanceId":"c-1","Size":100,"Status":"COMPLETED","Description":"daily","SubTasks":[`)
		for sub := range 20 {
			if sub > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(
				&b,
				`{"StartTime":1747708190,"FinishedTime":1747718190,"SnapshotName":"2025-02-10_backup_%02d","DataBase":"test%d",`+
					`"Table":"cdc_ods_t2030_lcpf_api_topic_msg_%02d","Size":%d,"Status":"success","Detail":"[]","X":"%048d"}`,
				sub,
				sub%3,
				sub,
				sub,
				sub,
			)
		}
		fmt.Fprintf(
			&b,
			`],"BackupStartTime":17421790%02d000,"BackupFinishedTime":1742179928000,"ExpireTime":1742189008000,`+
				`"BackupTaskId":"bt-%d","BackupType":"FullBackup",`+
				`"InstanceSnapshot":{"InstanceName":"c-37708ec80b5","VpcId":"vpc-2ze0","RunMode":"shared_data","SpecType":"standard",`+
				`"ResourceGroupId":"rg","Version":"3.3","MinorVersion":"3.3.13-1.0-1.7.2","NodeGroups":[{"ComponentType":"FE","Cu":4}],"Tags":[]}}`,
			task,
			task,
		)
	}
	b.WriteString(`],"Total":30}`)
	return []byte(b.String())
}

func BenchmarkDecodePage(b *testing.B) {
	body := yardstick()
	b.SetBytes(int64(len(body)))
	b.Run("exporter", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			if p, _, err := decodePage[wireBackup, Backup](body); err != nil || len(p.items) != 30 {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding_json", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			var v struct {
				Data []struct {
					BackupTaskId, Status, InstanceId string
					BackupStartTime, Size            int64
					SubTasks                         []struct {
						DataBase, Table, Status, Detail, SnapshotName string
						Size, StartTime, FinishedTime                 int64
					}
					InstanceSnapshot struct{ InstanceName, Version string }
				}
			}
			if err := json.Unmarshal(body, &v); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// The documentation's own response.
func TestDecodeSample(t *testing.T) {
	body, err := os.ReadFile("testdata/sample.json")
	if err != nil {
		t.Fatal(err)
	}
	p, h, err := decodePage[wireBackup, Backup](body)
	if err != nil || h.Success != flagFalse || len(p.items) != 1 || h.message() == "" {
		t.Fatalf("decoded %+v, %v", p, err)
	}
	if b := p.items[0]; b.TaskID != "bt-12sui21312dd" || b.Status != StatusRunning || b.Instance.Version != "3.3" {
		t.Errorf("decoded %+v", b)
	}
}

func TestBackoffDoublesWithFullJitter(t *testing.T) {
	for attempt, ceiling := range map[int]time.Duration{
		1: 200 * time.Millisecond, 2: 400 * time.Millisecond, 5: 3200 * time.Millisecond, 6: 5 * time.Second, 60: 5 * time.Second,
	} {
		least, most := ceiling, time.Duration(0)
		for range 2000 {
			d := backoff(attempt)
			least, most = min(least, d), max(most, d)
		}
		if most > ceiling || most < ceiling*9/10 || least > ceiling/10 {
			t.Errorf("attempt %d: from %v to %v, want from 0 to %v", attempt, least, most, ceiling)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		name, value string
		want        time.Duration
	}{
		{"x-acs-retry-after", "1500", 1500 * time.Millisecond},
		{"x-acs-retry-after", "9223372036854775807", 24 * time.Hour},
		{"x-acs-retry-after", "-1", 0},
		{"Retry-After", "3", 3 * time.Second},
		{"Retry-After", "9223372036854775807", 24 * time.Hour},
		{"Retry-After", "Fri, 02 Jan 2026 03:04:15 GMT", 10 * time.Second},
		{"Retry-After", "Fri, 02 Jan 2026 03:04:00 GMT", 0},
		{"Retry-After", "soon", 0},
	} {
		h := http.Header{}
		h.Set(c.name, c.value)
		if got := retryAfter(h, now); got != c.want {
			t.Errorf("%s: %s = %v, want %v", c.name, c.value, got, c.want)
		}
	}
}
