package apiclient

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// jsonOptions reads what the API may send: names with bytes that are not UTF-8 (they become U+FFFD). Duplicate members are allowed:
// to find them would cost a map for each object.
func jsonOptions() json.Options {
	return json.JoinOptions(jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true))
}

// header is the part of an answer without Data: of the envelope, or of the gateway's error, which has Code and Message instead and may
// write its keys in lower case.
type header struct {
	HTTPStatus         count  `json:"HttpStatusCode"` // may be an error although HTTP says 200
	Success            flag   `json:"Success"`
	ErrCode            text   `json:"ErrCode"`
	Code               text   `json:"Code,case:ignore"`
	ErrMessage         text   `json:"ErrMessage"`
	Message            text   `json:"Message,case:ignore"`
	RequestID          text   `json:"RequestId,case:ignore"`
	AccessDeniedDetail denial `json:"AccessDeniedDetail,case:ignore"`
	Total              count  `json:"Total"`
}

// code returns ErrCode, or the gateway's Code.
func (h *header) code() string { return string(cmp.Or(h.ErrCode, h.Code)) }

// message returns ErrMessage, or the gateway's Message.
func (h *header) message() string { return string(cmp.Or(h.ErrMessage, h.Message)) }

// denial is the RAM action that is missing (AccessDeniedDetail.AuthAction).
type denial struct {
	AuthAction text `json:"AuthAction,case:ignore"`
}

// UnmarshalJSONFrom implements json.UnmarshalerFrom. It reads an object, or a string that holds one; anything else is ignored.
func (a *denial) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	type object denial
	switch d.PeekKind() {
	case '{':
		return json.UnmarshalDecode(d, (*object)(a))
	case '"':
		var t text
		if err := t.UnmarshalJSONFrom(d); err != nil {
			return err
		}
		if json.Unmarshal([]byte(t), (*object)(a), jsonOptions()) != nil {
			*a = denial{}
		}
		return nil
	default:
		return d.SkipValue()
	}
}

// wireBackup is an element of Data of DescribeBackups.
type wireBackup struct {
	TaskID     text   `json:"BackupTaskId"`
	InstanceID text   `json:"InstanceId"`
	RegionID   text   `json:"RegionId"`
	Status     text   `json:"Status"`
	Start      moment `json:"BackupStartTime"`
	Finish     moment `json:"BackupFinishedTime"`
	Expire     moment `json:"ExpireTime"`
	Size       gib    `json:"Size"`
	Snapshot   span   `json:"InstanceSnapshot"`
	SubTasks   span   `json:"SubTasks"`
}

// toModel implements wireItem.
func (w *wireBackup) toModel(body []byte, previous *wireBackup, model *Backup) (Backup, error) {
	b := Backup{
		TaskID: string(w.TaskID), InstanceID: string(w.InstanceID), RegionID: string(w.RegionID),
		Status: parseStatus(string(w.Status)), StatusWord: string(w.Status),
		Start: w.Start.time, Finish: w.Finish.time, Expire: w.Expire.time, DiskBytes: w.Size.bytes(), Unreadable: w.unreadable(),
	}
	if b.TaskID == "" {
		return b, errors.New("a task without BackupTaskId")
	}
	switch raw := w.SubTasks.of(body); raw.Kind() {
	case '[':
		b.subTasks = raw
	case '{', 't', 'f', '0':
		return b, fmt.Errorf("SubTasks of %s is not a list", b.TaskID)
	case '"':
		if s := strings.Trim(string(raw), `" `); s != "" && s != "null" {
			return b, fmt.Errorf("SubTasks of %s is not a list", b.TaskID)
		}
	}
	snapshot := w.Snapshot.of(body)
	if previous != nil && bytes.Equal(previous.Snapshot.of(body), snapshot) { // mostly it is the same
		b.Instance = model.Instance
		return b, nil
	}
	if snapshot.Kind() != '{' {
		return b, nil
	}
	var s wireSnapshot
	err := json.Unmarshal(snapshot, &s, jsonOptions())
	b.Instance = &InstanceSnapshot{
		InstanceName: string(s.InstanceName), Version: string(s.Version), MinorVersion: string(s.MinorVersion), RunMode: string(s.RunMode),
		SpecType: string(s.SpecType), VpcID: string(s.VpcID), ResourceGroupID: string(s.ResourceGroupID),
	}
	return b, err
}

// unreadable returns the fields that are present but hold no time or size.
func (w *wireBackup) unreadable() (fields []string) {
	for _, f := range []struct {
		name string
		is   bool
	}{
		{"BackupStartTime", w.Start.unreadable},
		{"BackupFinishedTime", w.Finish.unreadable},
		{"ExpireTime", w.Expire.unreadable},
		{"Size", w.Size.unreadable},
	} {
		if f.is {
			fields = append(fields, f.name)
		}
	}
	return fields
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
	Database text   `json:"DataBase"`
	Table    text   `json:"Table"`
	Status   text   `json:"Status"`
	Start    moment `json:"StartTime"`
	Finish   moment `json:"FinishedTime"`
	Size     gib    `json:"Size"`
}

// SubTasks decodes the task's subtasks. They stay raw until somebody asks: most are never looked at.
func (b *Backup) SubTasks() ([]SubTask, error) {
	if !b.ListsSubTasks() {
		return nil, nil
	}
	var wire []*wireSubTask
	err := json.Unmarshal(b.subTasks, &wire, jsonOptions())
	if err == nil && slices.Contains(wire, nil) {
		err = errors.New("null is not a subtask")
	}
	if err != nil {
		return nil, badResponse("DescribeBackups", fmt.Errorf("SubTasks of %s: %w", b.TaskID, err))
	}
	all := make([]SubTask, len(wire))
	for i, w := range wire {
		all[i] = SubTask{
			Database: string(w.Database), Table: string(w.Table), Status: b.words.of(string(w.Status)), StatusWord: string(w.Status),
			Start: w.Start.time, Finish: w.Finish.time, Bytes: w.Size.bytes(),
			Unreadable: w.Start.unreadable || w.Finish.unreadable || w.Size.unreadable,
		}
	}
	return all, nil
}

// wireInstance is an element of Data of DescribeInstances.
type wireInstance struct {
	InstanceID   text   `json:"InstanceId"`
	RegionID     text   `json:"RegionId"`
	InstanceName text   `json:"InstanceName"`
	Status       text   `json:"InstanceStatus"`
	RunMode      text   `json:"RunMode"`
	Created      moment `json:"BeginTime"`
	Expire       moment `json:"ExpireTime"`
	PayType      text   `json:"PayType"`
	Tags         tags   `json:"Tags"`
}

// tags is a list of tags, whose members may be called Key and Value or TagKey and TagValue. Anything else is no tags.
type tags map[string]string

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (t *tags) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	if d.PeekKind() != '[' {
		return d.SkipValue()
	}
	raw, err := d.ReadValue()
	if err != nil {
		return err
	}
	var all []struct {
		Key      text `json:"Key,case:ignore"`
		Value    text `json:"Value,case:ignore"`
		TagKey   text `json:"TagKey,case:ignore"`
		TagValue text `json:"TagValue,case:ignore"`
	}
	if json.Unmarshal(raw, &all, jsonOptions()) != nil {
		return nil
	}
	*t = tags{}
	for _, one := range all {
		(*t)[string(cmp.Or(one.Key, one.TagKey))] = string(cmp.Or(one.Value, one.TagValue))
	}
	return nil
}

// toModel implements wireItem.
func (w *wireInstance) toModel([]byte, *wireInstance, *Instance) (Instance, error) {
	i := Instance{
		InstanceID: string(w.InstanceID), RegionID: string(w.RegionID), InstanceName: string(w.InstanceName),
		Status: string(w.Status), RunMode: string(w.RunMode), Created: w.Created.time, Tags: w.Tags,
	}
	if !strings.EqualFold(string(w.PayType), "postPaid") {
		i.SubscriptionEnd = w.Expire.time
	}
	if i.InstanceID == "" {
		return i, errors.New("an instance without InstanceId")
	}
	return i, nil
}
