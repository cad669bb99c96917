package apiclient

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Reason says in one word why a read failed. It is the label `reason` of the metrics.
type Reason string

// The reasons.
const (
	ReasonTimeout        Reason = "timeout"
	ReasonThrottled      Reason = "throttled"
	ReasonUnauthorized   Reason = "unauthorized" // key, signature, token or clock
	ReasonForbidden      Reason = "forbidden"
	ReasonNotFound       Reason = "not_found"
	ReasonInvalidRequest Reason = "invalid_request"
	ReasonServerError    Reason = "server_error"
	ReasonNetwork        Reason = "network"
	ReasonBadResponse    Reason = "bad_response"
)

// Reasons returns every reason.
func Reasons() []Reason {
	return []Reason{
		ReasonTimeout, ReasonThrottled, ReasonUnauthorized, ReasonForbidden, ReasonNotFound,
		ReasonInvalidRequest, ReasonServerError, ReasonNetwork, ReasonBadResponse,
	}
}

// Error is a failed call. Code, Message and RequestID are the API's own where it answered.
// It holds no secret: not what was signed, not a credential.
type Error struct {
	Operation  string // DescribeBackups
	Reason     Reason
	Code       string // Code or ErrCode
	Message    string
	RequestID  string
	HTTPStatus int    // 0 without an answer
	Action     string // the RAM action that is missing, of a denial (AccessDeniedDetail.AuthAction); empty where it is not said
	Attempts   int
	Err        error // the cause where the API did not answer

	retry retryMode
}

type retryMode int

const (
	retryNever retryMode = iota
	retryBackoff
	retryFreshCredentials // once
)

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", e.Operation, e.Reason)
	if e.Code != "" {
		fmt.Fprintf(&b, ": %s", e.Code)
	}
	if e.Message != "" {
		fmt.Fprintf(&b, ": %s", e.Message)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	if e.HTTPStatus != 0 {
		fmt.Fprintf(&b, " (HTTP status %d)", e.HTTPStatus)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// ReasonOf returns the reason of an error of this package; any other error that ended a read is the context's.
func ReasonOf(err error) Reason {
	var e *Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return ReasonTimeout
}

func badResponse(operation, format string, args ...any) *Error {
	return &Error{Operation: operation, Reason: ReasonBadResponse, Err: fmt.Errorf(format, args...)}
}

// transportError tells a failed exchange apart: given up by the caller, too slow, or broken.
func transportError(err error) *Error {
	e := &Error{Reason: ReasonNetwork, Err: err, retry: retryBackoff}
	var timeout interface{ Timeout() bool }
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || errors.As(err, &timeout) && timeout.Timeout() {
		e.Reason = ReasonTimeout
	}
	return e
}

// apiError is what the API answered instead of what was asked for. Its code decides first, the HTTP status second.
func apiError(status int, p *page) *Error {
	e := &Error{Code: oneLine(p.code), Message: oneLine(p.message), RequestID: oneLine(p.requestID), HTTPStatus: status}
	var known bool
	if e.Reason, e.retry, known = classifyCode(e.Code); !known {
		e.Reason, e.retry = classifyStatus(status)
	}
	switch {
	case e.Reason == ReasonUnauthorized: // the API's message can echo what was signed
		e.Message = rejected(e.Code)
	case e.Reason == ReasonForbidden && p.action != "":
		e.Action = oneLine(p.action)
		e.Message = fmt.Sprintf("RAM action %s is missing: %s", e.Action, e.Message)
	}
	return e
}

// rejected says in our words what a code means; nothing where that says it.
func rejected(code string) string {
	switch code {
	case "SignatureDoesNotMatch":
		return "wrong access key secret"
	case "InvalidTimeStamp.Expired":
		return "the clock of this machine is off by more than 15 minutes"
	case "InvalidAccessKeyId.NotFound":
		return "no such access key"
	case "InvalidAccessKeyId.Inactive":
		return "the access key is disabled"
	case "InvalidSecurityToken.Expired":
		return "the security token has expired"
	case "SignatureNonceUsed":
		return "a nonce was used twice"
	default:
		return ""
	}
}

func classifyCode(code string) (Reason, retryMode, bool) {
	family, _, _ := strings.Cut(code, ".")
	switch {
	case family == "Throttling":
		return ReasonThrottled, retryBackoff, true
	case code == "ServiceUnavailable", code == "InternalError":
		return ReasonServerError, retryBackoff, true
	case code == "SignatureNonceUsed":
		return ReasonUnauthorized, retryBackoff, true
	case code == "InvalidSecurityToken.Expired":
		return ReasonUnauthorized, retryFreshCredentials, true
	case family == "InvalidTimeStamp", family == "InvalidAccessKeyId", family == "InvalidSecurityToken",
		code == "SignatureDoesNotMatch", code == "IncompleteSignature":
		return ReasonUnauthorized, retryNever, true
	case family == "Forbidden", family == "NoPermission":
		return ReasonForbidden, retryNever, true
	case code == "InvalidApi.NotFound", code == "InvalidAction.NotFound":
		return ReasonNotFound, retryNever, true
	case code == "InvalidParams":
		return ReasonInvalidRequest, retryNever, true
	default:
		return "", retryNever, false
	}
}

func classifyStatus(status int) (Reason, retryMode) {
	switch {
	case status >= http.StatusInternalServerError:
		return ReasonServerError, retryBackoff
	case status == http.StatusTooManyRequests:
		return ReasonThrottled, retryBackoff
	case status == http.StatusUnauthorized:
		return ReasonUnauthorized, retryNever
	case status == http.StatusForbidden:
		return ReasonForbidden, retryNever
	case status == http.StatusNotFound:
		return ReasonNotFound, retryNever
	case status >= http.StatusMultipleChoices && status < http.StatusBadRequest:
		return ReasonBadResponse, retryNever
	default:
		return ReasonInvalidRequest, retryNever
	}
}

// oneLine makes a foreign text fit for a log line.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > 300 {
		s = strings.ToValidUTF8(s[:300], "") + "…"
	}
	return s
}
