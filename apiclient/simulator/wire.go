package simulator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Task is a backup task as the API lists it. Fields of type any take whatever the API might send: a number, a string, nil.
type Task struct {
	BackupTaskID, InstanceID, RegionID, Status string // the instance's own ids if empty

	Start, Finish, Expire any // milliseconds by the examples
	Size                  any // GiB
	BackupType            any
	Description           string
	SubTasks              []SubTask // nil: null
	Snapshot              *Snapshot
}

// SubTask is the backup of one table. Names are sent as they are, bytes that are not UTF-8 included.
type SubTask struct {
	Database, Table, Status string
	SnapshotName            string // "backup" if empty
	Start, Finish           any    // seconds by the examples
	Size                    any    // GiB
	Detail                  any
}

// Snapshot is the instance at the time of the task.
type Snapshot struct {
	InstanceName, Version, MinorVersion, RunMode, SpecType, VpcID, ResourceGroupID string
}

// Policy is a backup policy as the API lists it.
type Policy struct {
	PolicyID, Hour, Minute     string
	RecurrenceValues           any
	ExpireDays, TimeoutSeconds any
}

// Operation is something that was done to an instance, as the API lists it.
type Operation struct {
	ID, Type, Status string
	Create, End      any // milliseconds by the examples
	Detail           string
	Before, After    string
}

// Millis is a task's time as the API writes it.
func Millis(t time.Time) any { return t.UnixMilli() }

// Seconds is a subtask's time as the API writes it.
func Seconds(t time.Time) any { return t.Unix() }

// writer writes JSON itself: encoding/json would replace bytes that are not UTF-8.
type writer struct{ bytes.Buffer }

func (w *writer) object(members ...any) {
	w.WriteByte('{')
	for i := 0; i < len(members); i += 2 {
		if i > 0 {
			w.WriteByte(',')
		}
		w.value(members[i])
		w.WriteByte(':')
		w.value(members[i+1])
	}
	w.WriteByte('}')
}

func (w *writer) value(v any) {
	switch v := v.(type) {
	case string:
		w.string(v)
	case func():
		v()
	default:
		b, err := json.Marshal(v)
		if err != nil {
			panic(err) // a test gave a value that JSON does not have
		}
		w.Write(b)
	}
}

func (w *writer) string(s string) {
	w.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			w.WriteByte('\\')
			w.WriteByte(c)
		case c < 0x20:
			fmt.Fprintf(w, `\u%04x`, c)
		default:
			w.WriteByte(c)
		}
	}
	w.WriteByte('"')
}

func list[T any](w *writer, all []T, one func(T)) func() {
	return func() {
		if all == nil {
			w.WriteString("null")
			return
		}
		w.WriteByte('[')
		for i, v := range all {
			if i > 0 {
				w.WriteByte(',')
			}
			one(v)
		}
		w.WriteByte(']')
	}
}

func (w *writer) task(t Task) {
	w.object("RegionId", t.RegionID, "InstanceId", t.InstanceID, "Size", t.Size, "Status", t.Status, "Description", t.Description,
		"SubTasks", list(w, t.SubTasks, w.subTask),
		"BackupStartTime", t.Start, "BackupFinishedTime", t.Finish, "ExpireTime", t.Expire, "BackupTaskId", t.BackupTaskID,
		"BackupType", t.BackupType, "InstanceSnapshot", func() {
			if t.Snapshot == nil {
				w.WriteString("null")
				return
			}
			s := t.Snapshot
			w.object("InstanceName", s.InstanceName, "VpcId", s.VpcID, "RunMode", s.RunMode, "SpecType", s.SpecType,
				"ResourceGroupId", s.ResourceGroupID, "Version", s.Version, "MinorVersion", s.MinorVersion, "RegionId", t.RegionID)
		})
}

func (w *writer) subTask(s SubTask) {
	w.object(
		"StartTime",
		s.Start,
		"FinishedTime",
		s.Finish,
		"SnapshotName",
		orElse(s.SnapshotName, "backup"),
		"DataBase",
		s.Database,
		"Table",
		s.Table,
		"Size",
		s.Size,
		"Status",
		s.Status,
		"Detail",
		s.Detail,
	)
}

// requestID is the RequestId of a rendered answer. Each request has its own: its number replaces the last digits.
const (
	requestID     = "32A44F0D-BFF6-5664-999A-218BBDE7AAAA"
	requestDigits = 12
)

func envelope(success bool, code, message string, tasks []Task, total any) []byte {
	if tasks == nil {
		tasks = []Task{}
	}
	w := &writer{}
	return w.envelope(success, code, message, list(w, tasks, w.task), total)
}

func (w *writer) envelope(success bool, code, message string, data func(), total any) []byte {
	members := []any{
		"HttpStatusCode", 200, "RequestId", requestID, "Success", success, "ErrCode", code,
		"ErrMessage", message, "Data", data,
	}
	if total != nil {
		members = append(members, "Total", total)
	}
	w.object(members...)
	return w.Bytes()
}

func failure(code, message string, tasks []Task) []byte {
	return envelope(false, code, message, tasks, len(tasks))
}

func gatewayError(w http.ResponseWriter, status int, code, message string, more ...any) {
	b := &writer{}
	b.object(append([]any{
		"RequestId", "32A44F0D-BFF6-5664-999A-218BBDE7BBBB", "HostId", "starrocks", "Code", code, "Message", message, "Recommend", "",
	}, more...)...)
	w.Header().Set("Content-Type", "application/json;charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(b.Len()))
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
