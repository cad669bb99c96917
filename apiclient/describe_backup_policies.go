package apiclient

import (
	"context"
	"errors"
	"iter"
	"math"
	"net/url"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// BackupPolicy starts backups by itself. It is an element of Data in the answer of DescribeBackupPolicies. The API says neither whether
// it runs daily, weekly or monthly, nor in which time zone, so no deadline follows from it.
type BackupPolicy struct {
	PolicyID       string   // PolicyId
	InstanceID     string   // InstanceId
	Hour, Minute   string   // as the API wrote them
	Recurrence     []string // RecurrenceValues
	ExpireDays     float64  // of its backups; NaN if unknown
	TimeoutSeconds float64  // of its tasks; NaN if unknown
}

func describeBackupPolicies() operation[BackupPolicy] {
	return operation[BackupPolicy]{
		name: "DescribeBackupPolicies", path: "/webapi/backupRestore/policy/describe", rank: optionalRank,
		decode: decodePage[wirePolicy, BackupPolicy], id: func(p *BackupPolicy) itemID { return itemID{p.InstanceID, p.PolicyID} },
	}
}

// BackupPolicies yields the backup policies of an instance, each once. An error, always an *Error, is the last thing yielded: the policies
// before it are not all there are.
func (c *Client) BackupPolicies(ctx context.Context, instanceID string) iter.Seq2[BackupPolicy, error] {
	l := &list[BackupPolicy]{
		client: c, op: describeBackupPolicies(), first: 1, size: 1, key: instanceID,
		query: func(int, int) url.Values { // the call has no pages
			return url.Values{"RegionId": {c.o.RegionID}, "InstanceId": {instanceID}}
		},
	}
	return func(yield func(BackupPolicy, error) bool) {
		defer l.release()
		l.read(ctx, yield)
	}
}

// wirePolicy is an element of Data of DescribeBackupPolicies.
type wirePolicy struct {
	PolicyID   text  `json:"PolicyId"`
	InstanceID text  `json:"InstanceId"`
	Hour       text  `json:"Hour"`
	Minute     text  `json:"Minute"`
	Recurrence texts `json:"RecurrenceValues"`
	ExpireDays text  `json:"ExpireDays"`
	Timeout    text  `json:"TimeoutSeconds"`
}

// toModel implements wireItem.
func (w *wirePolicy) toModel([]byte, *wirePolicy, *BackupPolicy) (BackupPolicy, error) {
	p := BackupPolicy{
		PolicyID: string(w.PolicyID), InstanceID: string(w.InstanceID), Hour: string(w.Hour), Minute: string(w.Minute),
		Recurrence: w.Recurrence, ExpireDays: positive(w.ExpireDays), TimeoutSeconds: positive(w.Timeout),
	}
	if p.PolicyID == "" {
		return p, errors.New("a policy without PolicyId")
	}
	return p, nil
}

// positive returns a number above 0, NaN if the text holds none: 0 and less mean that there is no limit.
func positive(t text) float64 {
	if n := t.number(); n > 0 && !math.IsInf(n, 0) {
		return n
	}
	return math.NaN()
}

// texts is a list of strings or numbers, or one of them. Anything else is no list.
type texts []string

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (t *texts) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	*t = nil
	var all []text
	switch d.PeekKind() {
	case '[':
		if err := json.UnmarshalDecode(d, &all); err != nil {
			return err
		}
	default:
		var one text
		if err := one.UnmarshalJSONFrom(d); err != nil {
			return err
		}
		all = []text{one}
	}
	for _, one := range all {
		if one != "" {
			*t = append(*t, string(one))
		}
	}
	return nil
}
