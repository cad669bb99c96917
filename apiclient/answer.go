package apiclient

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
)

// answer is a response, read to its last byte.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// page is what an operation asked for: one page of items.
type page[T any] struct {
	total int // 0 if the API does not say
	items []T
	bytes int // of the body
	// requestID is the API's name of the request, for its support.
	requestID string

	fingerprint Fingerprint // none unless somebody asks
	unchanged   bool        // the fingerprint is known: items and total are empty
}

// wireItem is an element of Data. It may share values of the previous item's model; both are nil for the first item of a page.
type wireItem[W, T any] interface {
	*W
	toModel(body []byte, previous *W, model *T) (T, error)
}

// decodePage decodes a whole body. It returns an error if the body is not exactly one JSON object, or if a field that it reads has the
// wrong type. In a body that reports a failure, Data may have any type.
func decodePage[W, T any, P wireItem[W, T]](body []byte) (*page[T], *header, error) {
	var wire struct {
		header

		Data []W `json:"Data"`
	}
	err := json.Unmarshal(body, &wire, jsonOptions())
	if err == nil {
		p := &page[T]{total: int(wire.Total), bytes: len(body)}
		if p.items, err = toModels[W, T, P](body, wire.Data); err == nil {
			return p, &wire.header, nil
		}
	}
	if h, withoutData := decodeHeader(body); withoutData == nil && (h.Success == flagFalse || !h.codeIsSuccess()) {
		return &page[T]{}, h, nil
	}
	return nil, nil, err
}

func toModels[W, T any, P wireItem[W, T]](body []byte, wire []W) (items []T, err error) {
	items = make([]T, len(wire))
	var previous *W
	var model *T
	for i := range wire {
		if items[i], err = P(&wire[i]).toModel(body, previous, model); err != nil {
			return nil, err
		}
		previous, model = &wire[i], &items[i]
	}
	return items, nil
}

// decodeHeader decodes a body without its Data.
func decodeHeader(body []byte) (*header, error) {
	var h header
	err := json.Unmarshal(body, &h, jsonOptions())
	return &h, err
}

// codeIsSuccess reports whether ErrCode does not contradict Success.
func (h *header) codeIsSuccess() bool {
	return slices.Contains([]string{"", "success", "ok", "200", "0"}, strings.ToLower(h.code()))
}

// interpret returns what was asked for, or the failure that an answer reports in one of two shapes.
func interpret[T any](a *answer, decode func([]byte) (*page[T], *header, error)) (*page[T], *Error) {
	p, h, err := decode(a.body)
	if err != nil {
		return nil, notTheAPI(a, err)
	}
	if a.status < 300 {
		switch {
		case h.Success == flagTrue && h.codeIsSuccess() && h.HTTPStatus < http.StatusBadRequest:
			p.requestID = oneLine(string(h.RequestID))
			return p, nil
		case h.Success == flagUnset && h.codeIsSuccess():
			return nil, &Error{
				Reason: ReasonBadResponse, HTTPStatus: a.status, RequestID: oneLine(string(h.RequestID)),
				Err: errors.New("a JSON object without Success"),
			}
		}
	}
	return nil, apiError(a.status, h)
}

// notTheAPI returns the failure of an answer whose body is not the API's JSON.
func notTheAPI(a *answer, err error) *Error {
	body := bytes.TrimSpace(a.body)
	if bytes.HasPrefix(body, []byte("<")) {
		var gateway struct{ Code, Message, RequestId string } //nolint:revive // the name of the element
		if xml.Unmarshal(body, &gateway) == nil && gateway.Code != "" {
			return apiError(a.status, &header{Code: text(gateway.Code), Message: text(gateway.Message), RequestID: text(gateway.RequestId)})
		}
		err = errors.New("it looks like HTML")
		if bytes.HasPrefix(body, []byte("<?xml")) {
			err = errors.New("it looks like XML")
		}
	}
	e := &Error{HTTPStatus: a.status, Err: fmt.Errorf("not a valid API response: %s", oneLine(err.Error()))}
	e.Reason, e.retry = classifyStatus(a.status)
	if a.status < 300 {
		e.Reason, e.retry = ReasonBadResponse, retryNever
	}
	return e
}

// apiError is the failure that the API reports. Its code decides first, then the HTTP status, or the envelope's status if HTTP says 200.
func apiError(status int, h *header) *Error {
	e := &Error{Code: oneLine(h.code()), Message: oneLine(h.message()), RequestID: oneLine(string(h.RequestID)), HTTPStatus: status}
	var known bool
	e.Reason, e.retry, known = classifyCode(e.Code)
	if status < http.StatusMultipleChoices {
		status = max(status, int(h.HTTPStatus))
	}
	if !known {
		e.Reason, e.retry = classifyStatus(status)
	}
	switch {
	case e.Reason == ReasonUnauthorized: // the API's message can echo what was signed
		e.Message = rejected(e.Code)
	case e.Reason == ReasonForbidden && h.AccessDeniedDetail.AuthAction != "":
		e.Action = oneLine(string(h.AccessDeniedDetail.AuthAction))
		e.Message = fmt.Sprintf("RAM action %s is missing: %s", e.Action, e.Message)
	}
	return e
}

// Outcome returns what a body says of its own failure, and whether it reports success. The error's fields are empty if the body is
// not the API's.
func Outcome(status int, body []byte) (failure *Error, success bool) {
	h, err := decodeHeader(body)
	if err != nil {
		return &Error{HTTPStatus: status}, false
	}
	return apiError(status, h), h.Success == flagTrue
}
