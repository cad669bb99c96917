package apiclient

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"
)

// decoded returns the only item of an answer.
func decoded[T any](t *testing.T, op operation[T], item string) T {
	t.Helper()
	p, _, err := op.decode(fmt.Appendf(nil, `{"Success":true,"Total":"1","Data":[%s]}`, item))
	if err != nil || len(p.items) != 1 || p.total != 1 {
		t.Fatalf("%s: %+v, %v", item, p, err)
	}
	return p.items[0]
}

func TestDecodePolicies(t *testing.T) {
	for item, want := range map[string]BackupPolicy{
		`{"PolicyId":"1","InstanceId":"c-1","Hour":"2","Minute":"30","RecurrenceValues":[1,3,5],"ExpireDays":7,"TimeoutSeconds":3600}`: {
			PolicyID: "1", InstanceID: "c-1", Hour: "2", Minute: "30", Recurrence: []string{"1", "3", "5"}, ExpireDays: 7, TimeoutSeconds: 3600,
		},
		`{"PolicyId":12,"Hour":2,"Minute":null,"RecurrenceValues":["1",null,{"odd":[1]}],"ExpireDays":"7","TimeoutSeconds":"3600.5"}`: {
			PolicyID: "12", Hour: "2", Recurrence: []string{"1"}, ExpireDays: 7, TimeoutSeconds: 3600.5,
		},
		`{"PolicyId":"1","RecurrenceValues":"4","ExpireDays":0,"TimeoutSeconds":-1}`: {
			PolicyID: "1", Recurrence: []string{"4"}, ExpireDays: math.NaN(), TimeoutSeconds: math.NaN(),
		},
		`{"PolicyId":"1","RecurrenceValues":{"a":1},"ExpireDays":"forever","TimeoutSeconds":"Infinity"}`: {
			PolicyID: "1", ExpireDays: math.NaN(), TimeoutSeconds: math.NaN(),
		},
	} {
		got := decoded(t, describeBackupPolicies(), item)
		same := func(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) }
		if got.PolicyID != want.PolicyID || got.InstanceID != want.InstanceID || got.Hour != want.Hour || got.Minute != want.Minute ||
			!slices.Equal(got.Recurrence, want.Recurrence) || !same(got.ExpireDays, want.ExpireDays) ||
			!same(got.TimeoutSeconds, want.TimeoutSeconds) {
			t.Errorf("%s is %+v, want %+v", item, got, want)
		}
	}
	for _, body := range []string{`{"Success":true,"Data":[{"Hour":"2"}]}`, `{"Success":true,"Data":[1]}`, `{"Success":true,"Data":{}}`} {
		if p, _, err := describeBackupPolicies().decode([]byte(body)); err == nil {
			t.Errorf("%s is %+v", body, p)
		}
	}
}

func TestDecodeOperations(t *testing.T) {
	at := time.UnixMilli(1742179008000).UTC()
	for item, want := range map[string]Operation{
		`{"OperationId":"op-1","InstanceId":"c-1","OperationType":"restore","OperationStatus":"COMPLETED","GmtCreate":1742179008000,` +
			`"GmtEnd":1742179008,"OperationDetail":"库存不足","Progress":100}`: {
			ID: "op-1", InstanceID: "c-1", Type: "restore", Status: StatusCompleted, StatusWord: "COMPLETED", Start: at, End: at,
			Detail: "库存不足",
		},
		`{"OperationStatus":"TERMINATED","GmtCreate":"1742179008000","GmtEnd":0,"BeforeValue":"a","AfterValue":["odd"]}`: {
			Status: StatusCanceled, StatusWord: "TERMINATED", Start: at, Before: "a",
		},
		`{"OperationStatus":"HUMAN_PROCESSING","GmtEnd":"soon"}`: {Status: StatusUnknown, StatusWord: "HUMAN_PROCESSING"},
	} {
		if got := decoded(t, listOperationHistory(), item); got != want {
			t.Errorf("%s is %+v, want %+v", item, got, want)
		}
	}
}

// An operation of another shape is no restore, nor none.
func TestOperationsOfAnotherShape(t *testing.T) {
	for _, body := range []string{`{"Success":true,"Data":[{"New":1}]}`, `{"Success":true,"Data":["op-1"]}`, `{"Success":true,"Data":{}}`} {
		if p, _, err := listOperationHistory().decode([]byte(body)); err == nil {
			t.Errorf("%s is %+v", body, p)
		}
	}
}

// Operations without an id are told apart by type and time.
func TestOperationsWithoutID(t *testing.T) {
	id := func(o Operation) itemID { return listOperationHistory().id(&o) }
	one, later := Operation{Type: "restore", Start: time.Unix(1, 0)}, Operation{Type: "restore", Start: time.Unix(2, 0)}
	if id(one) == id(later) || id(one) != (itemID{"", "restore/1000"}) {
		t.Errorf("%v, %v", id(one), id(later))
	}
}

// An operation names a task if its id is a word of one of its texts.
func TestWhatAnOperationNames(t *testing.T) {
	const id = "bt-12sui21312dd"
	for _, o := range []Operation{
		{Detail: id}, {Before: `{"BackupTaskId":"` + id + `"}`}, {After: "取消备份" + id + "成功"}, {Detail: "task " + id + ", by hand"},
	} {
		if !o.Names(id) {
			t.Errorf("%+v does not name it", o)
		}
	}
	for _, o := range []Operation{{}, {ID: id}, {Detail: id + "-2"}, {Before: "x" + id}, {After: id[:len(id)-1]}} {
		if o.Names(id) {
			t.Errorf("%+v names it", o)
		}
	}
	if o := (Operation{Detail: "canceled 12 tasks"}); o.Names("12") || o.Names("") {
		t.Error("a number is an id")
	}
}

// Whatever a scrape asks for goes before the optional operations.
func TestOptionalOperationsComeLast(t *testing.T) {
	for _, rank := range []int{describeBackupPolicies().rank, listOperationHistory().rank} {
		if rank >= describeBackups("").rank || rank >= describeInstances().rank {
			t.Errorf("rank %d", rank)
		}
	}
}
