package apiclient

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// jsonOptions reads what the API may send: names with bytes that are not UTF-8 (they become U+FFFD). Duplicate members are allowed:
// to find them would cost a map for each object.
func jsonOptions() json.Options {
	return json.JoinOptions(jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true))
}

// header is the part of an answer without Data: of the envelope, or of the gateway's error, which has Code and Message instead.
type header struct {
	Success            flag   `json:"Success"`
	ErrCode            text   `json:"ErrCode"`
	Code               text   `json:"Code"`
	ErrMessage         text   `json:"ErrMessage"`
	Message            text   `json:"Message"`
	RequestID          text   `json:"RequestId"`
	AccessDeniedDetail denial `json:"AccessDeniedDetail"`
	Total              count  `json:"Total"`
}

// code returns ErrCode, or the gateway's Code.
func (h *header) code() string { return string(cmp.Or(h.ErrCode, h.Code)) }

// message returns ErrMessage, or the gateway's Message.
func (h *header) message() string { return string(cmp.Or(h.ErrMessage, h.Message)) }

// denial is the RAM action that is missing (AccessDeniedDetail.AuthAction).
type denial struct {
	AuthAction text `json:"AuthAction"`
}

// UnmarshalJSONFrom implements json.UnmarshalerFrom. Anything but an object is ignored.
func (a *denial) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	if d.PeekKind() != '{' {
		return d.SkipValue()
	}
	type object denial
	return json.UnmarshalDecode(d, (*object)(a))
}

// wireBackup is an element of Data of DescribeBackups.
type wireBackup struct {
	TaskID     text `json:"BackupTaskId"`
	InstanceID text `json:"InstanceId"`
	RegionID   text `json:"RegionId"`
	Status     text `json:"Status"`
	Start      text `json:"BackupStartTime"`
	Finish     text `json:"BackupFinishedTime"`
	Expire     text `json:"ExpireTime"`
	Size       text `json:"Size"`
	Snapshot   span `json:"InstanceSnapshot"`
	SubTasks   span `json:"SubTasks"`
}

// toModel implements wireItem.
func (w *wireBackup) toModel(body []byte, previous *Backup) (Backup, error) {
	b := Backup{
		TaskID: string(w.TaskID), InstanceID: string(w.InstanceID), RegionID: string(w.RegionID),
		Status: parseStatus(string(w.Status)), StatusWord: string(w.Status),
		Start: epoch(
			w.Start.number(),
		), Finish: epoch(w.Finish.number()), Expire: epoch(w.Expire.number()), DiskBytes: bytesOfGiB(w.Size.number()),
		snapshot: w.Snapshot.of(body),
	}
	if b.TaskID == "" {
		return b, errors.New("a task without BackupTaskId")
	}
	if raw := w.SubTasks.of(body); raw.Kind() == '[' { // null and a string are no list
		b.subTasks = raw
	}
	if previous != nil && bytes.Equal(previous.snapshot, b.snapshot) { // mostly it is the same
		b.Instance = previous.Instance
		return b, nil
	}
	if b.snapshot.Kind() != '{' {
		return b, nil
	}
	var s wireSnapshot
	err := json.Unmarshal(b.snapshot, &s, jsonOptions())
	b.Instance = &InstanceSnapshot{
		InstanceName: string(s.InstanceName), Version: string(s.Version), MinorVersion: string(s.MinorVersion), RunMode: string(s.RunMode),
		SpecType: string(s.SpecType), VpcID: string(s.VpcID), ResourceGroupID: string(s.ResourceGroupID),
	}
	return b, err
}

// wireSnapshot is an InstanceSnapshot.
type wireSnapshot struct {
	InstanceName    text `json:"InstanceName"`
	Version         text `json:"Version"`
	MinorVersion    text `json:"MinorVersion"`
	RunMode         text `json:"RunMode"`
	SpecType        text `json:"SpecType"`
	VpcID           text `json:"VpcId"`
	ResourceGroupID text `json:"ResourceGroupId"`
}

// wireSubTask is an element of SubTasks.
type wireSubTask struct {
	Database text `json:"DataBase"`
	Table    text `json:"Table"`
	Status   text `json:"Status"`
	Start    text `json:"StartTime"`
	Finish   text `json:"FinishedTime"`
	Size     text `json:"Size"`
}

func (w *wireSubTask) toModel() SubTask {
	return SubTask{
		Database: string(w.Database), Table: string(w.Table), Status: parseStatus(string(w.Status)),
		Start: epoch(w.Start.number()), Finish: epoch(w.Finish.number()), Bytes: bytesOfGiB(w.Size.number()),
	}
}

// SubTasks decodes the task's subtasks. They stay raw until somebody asks: most are never looked at.
func (b *Backup) SubTasks() ([]SubTask, error) {
	if !b.ListsSubTasks() {
		return nil, nil
	}
	var wire []wireSubTask
	if err := json.Unmarshal(b.subTasks, &wire, jsonOptions()); err != nil {
		return nil, badResponse("DescribeBackups", fmt.Errorf("SubTasks of %s: %w", b.TaskID, err))
	}
	all := make([]SubTask, len(wire))
	for i := range wire {
		all[i] = wire[i].toModel()
	}
	return all, nil
}

// wireInstance is an element of Data of DescribeInstances.
type wireInstance struct {
	InstanceID   text `json:"InstanceId"`
	RegionID     text `json:"RegionId"`
	InstanceName text `json:"InstanceName"`
	Status       text `json:"InstanceStatus"`
	RunMode      text `json:"RunMode"`
}

// toModel implements wireItem.
func (w *wireInstance) toModel([]byte, *Instance) (Instance, error) {
	i := Instance{
		InstanceID: string(w.InstanceID), RegionID: string(w.RegionID), InstanceName: string(w.InstanceName),
		Status: string(w.Status), RunMode: string(w.RunMode),
	}
	if i.InstanceID == "" {
		return i, errors.New("an instance without InstanceId")
	}
	return i, nil
}

// epoch reads a time by its magnitude: 1e11 and above is milliseconds, below seconds.
// 0 and less, and what is beyond the year 9999, is no time.
func epoch(n float64) time.Time {
	if !(n > 0) {
		return time.Time{}
	}
	if n < 1e11 {
		n *= 1000
	}
	if n > 253402300799999 {
		return time.Time{}
	}
	return time.UnixMilli(int64(n)).UTC()
}

// bytesOfGiB turns the API's sizes (GiB) into bytes; a negative one is no size.
func bytesOfGiB(n float64) float64 {
	if !(n >= 0) {
		return math.NaN()
	}
	return n * gib
}
