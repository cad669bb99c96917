package apiclient

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Types of operations: what restores a backup, and what ends a backup task or takes its backup away.
const (
	OperationRestore      = "restore"
	OperationCancelBackup = "cancel_backup_task"
	OperationDeleteBackup = "delete_backup"
)

// Operation is something that was done to an instance, an element of Data in the answer of ListOperationHistory. A time that the API does
// not give is zero.
type Operation struct {
	ID         string    // OperationId
	InstanceID string    // InstanceId
	Type       string    // OperationType
	Status     Status    // OperationStatus
	StatusWord string    // OperationStatus as the API wrote it
	Start      time.Time // GmtCreate
	End        time.Time // GmtEnd
	// What it was about, in words or codes that the vendor does not document: OperationDetail, BeforeValue, AfterValue.
	Detail, Before, After string
}

// Names reports whether a text of the operation contains the id of something. No field of the API says what an operation was done to.
func (o *Operation) Names(id string) bool {
	const least = 6 // a shorter id may be a number or a word that means something else
	beyond := func(r rune) bool {
		return r > unicode.MaxASCII || r != '-' && r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}
	return len(id) >= least && slices.ContainsFunc([]string{o.Detail, o.Before, o.After}, func(s string) bool {
		return slices.Contains(strings.FieldsFunc(s, beyond), id)
	})
}

func listOperationHistory() operation[Operation] {
	return operation[Operation]{
		name: "ListOperationHistory", path: "/webapi/operation/listOperationHistory", rank: optionalRank,
		decode: decodePage[wireOperation, Operation],
		id: func(o *Operation) itemID {
			return itemID{o.InstanceID, cmp.Or(o.ID, o.Type+"/"+strconv.FormatInt(o.Start.UnixMilli(), 10))}
		},
	}
}

// OperationHistory yields the operations of one type on an instance, each once, in the API's order. It drops those of other types: the API
// may ignore the filter. An error, always an *Error, is the last thing yielded: the operations before it are not all there are.
func (c *Client) OperationHistory(ctx context.Context, instanceID, operationType string) iter.Seq2[Operation, error] {
	l := &list[Operation]{
		client: c, op: listOperationHistory(), first: 1, size: c.o.PageSize, key: instanceID,
		query: func(page, size int) url.Values { // the call has no RegionId
			return url.Values{
				"InstanceId": {instanceID}, "OperationType": {operationType},
				"PageNumber": {strconv.Itoa(page)}, "PageSize": {strconv.Itoa(size)},
			}
		},
	}
	return func(yield func(Operation, error) bool) {
		defer l.release()
		l.read(ctx, func(o Operation, err error) bool {
			if err == nil && o.Type != "" && !strings.EqualFold(o.Type, operationType) {
				return true
			}
			o.Status = c.o.StatusWords.of(o.StatusWord)
			return yield(o, err)
		})
	}
}

// wireOperation is an element of Data of ListOperationHistory.
type wireOperation struct {
	ID         text   `json:"OperationId"`
	InstanceID text   `json:"InstanceId"`
	Type       text   `json:"OperationType"`
	Status     text   `json:"OperationStatus"`
	Start      moment `json:"GmtCreate"`
	End        moment `json:"GmtEnd"`
	Detail     text   `json:"OperationDetail"`
	Before     text   `json:"BeforeValue"`
	After      text   `json:"AfterValue"`
}

// toModel implements wireItem.
func (w *wireOperation) toModel([]byte, *wireOperation, *Operation) (Operation, error) {
	o := Operation{
		ID: string(w.ID), InstanceID: string(w.InstanceID), Type: string(w.Type),
		Status: parseStatus(string(w.Status)), StatusWord: string(w.Status), Start: w.Start.time, End: w.End.time,
		Detail: string(w.Detail), Before: string(w.Before), After: string(w.After),
	}
	if o.StatusWord == "" {
		return o, errors.New("an operation without OperationStatus")
	}
	return o, nil
}
