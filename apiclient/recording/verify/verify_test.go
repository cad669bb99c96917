package main

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
)

// answered is a recorded request for the tasks of c-1, and what it was answered.
func answered(body string) *fstest.MapFile {
	return &fstest.MapFile{Data: fmt.Appendf(nil,
		"POST /webapi/backup/manage/describe?InstanceId=c-1&PageNumber=1&PageSize=50&RegionId=cn-hangzhou HTTP/1.1\r\n"+
			"Host: api\r\nX-Acs-Action: DescribeBackups\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)}
}

func TestVerify(t *testing.T) {
	const task = `{"BackupTaskId":"a","InstanceId":"c-1","Status":"COMPLETED","BackupStartTime":1773000000000,` +
		`"BackupFinishedTime":1773003600000,"ExpireTime":"1774000000000","Size":20,` +
		`"SubTasks":[{"Status":"success","StartTime":1773000000,"FinishedTime":1773000060}]}`
	for name, c := range map[string]struct {
		from, to string // of the good answer
		says     string
		broken   int
	}{
		"as assumed":       {"", "", "confirmed  BackupStartTime is in milliseconds. (seen 1 times)", 0},
		"nothing denied":   {"", "", "not seen   A denial is for the action", 0},
		"an unknown word":  {"COMPLETED", "MERGING", "BROKEN     The status of a task is a word", 1},
		"a subtask's word": {`"success"`, `"odd"`, "BROKEN     The status of a subtask is a word", 1},
		"seconds":          {"1773000000000", "1773000000", "BROKEN     BackupStartTime is in milliseconds", 1},
		"milliseconds":     {"1773000060", "1773000060000", "BROKEN     A subtask's FinishedTime is in seconds", 1},
		"bytes":            {`"Size":20`, `"Size":21474836480`, "BROKEN     Size is a number of GiB", 1},
		"another instance": {`"InstanceId":"c-1"`, `"InstanceId":"c-2"`, "asked for c-1, got c-2", 1},
		"a larger Total":   {`"Total":1`, `"Total":3`, "BROKEN     Total is the number of distinct entries", 2},
		"a failure's code": {`"ErrCode":"Success"`, `"ErrCode":"InternalError"`, "BROKEN     ErrCode is empty", 1},
		"no finish":        {`"BackupFinishedTime":1773003600000`, `"BackupFinishedTime":0`, "BROKEN     A completed task says when", 1},
	} {
		body := strings.Replace(`{"Success":true,"ErrCode":"Success","Data":[`+task+`],"Total":1}`, c.from, c.to, 1)
		var report strings.Builder
		broken, err := verify(fstest.MapFS{"1.http": answered(body)}, &report)
		if err != nil || broken != c.broken || !strings.Contains(report.String(), c.says) {
			t.Errorf("%s: %d broken, %v; want %q:\n%s", name, broken, err, c.says, report.String())
		}
	}
	for name, files := range map[string]fstest.MapFS{"nothing": {}, "no request": {"1.http": {Data: []byte("odd\r\n\r\n")}}} {
		if _, err := verify(files, &strings.Builder{}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// Policies and operations are lists of their own, each type of operation, too.
func TestVerifyOptionalOperations(t *testing.T) {
	get := func(action, query, body string) *fstest.MapFile {
		return &fstest.MapFile{Data: fmt.Appendf(nil,
			"POST /webapi?InstanceId=c-1&%s HTTP/1.1\r\nHost: api\r\nX-Acs-Action: %s\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s",
			query, action, len(body), body)}
	}
	for detail, want := range map[string]string{
		"cancel bt-12": "confirmed  An operation that canceled a backup task names the task.",
		"done":         "BROKEN     An operation that canceled a backup task names the task.",
	} {
		var report strings.Builder
		broken, err := verify(fstest.MapFS{
			"1.http": get("DescribeBackupPolicies", "", `{"Success":true,"Data":[{"PolicyId":"1"},{"PolicyId":"2"}],"Total":2}`),
			"2.http": get("ListOperationHistory", "OperationType=restore",
				`{"Success":true,"Data":[{"OperationId":"1","OperationType":"restore"},{"OperationId":"2","OperationType":"restore"}],"Total":2}`),
			"3.http": get("ListOperationHistory", "OperationType=cancel_backup_task",
				`{"Success":true,"Data":[{"OperationId":"3","OperationType":"cancel_backup_task","OperationDetail":"`+detail+`"}],"Total":1}`),
			"4.http": get("DescribeBackups", "", `{"Success":true,"Data":[{"BackupTaskId":"bt-12","Status":"CANCELLED"}],"Total":1}`),
		}, &report)
		if err != nil || (broken > 0) != (detail == "done") || !strings.Contains(report.String(), want) {
			t.Errorf("%d broken, %v:\n%s", broken, err, report.String())
		}
	}
}
