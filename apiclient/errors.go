package apiclient

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient/internal/secretscan"
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

// Error is a failed call. Code and RequestID are the API's. It contains no secret: nothing that was signed, and no credential.
type Error struct {
	Operation  string // DescribeBackups
	Reason     Reason
	Code       string // Code or ErrCode
	Message    string // the API's; our own for ReasonUnauthorized, because the API may echo what was signed
	RequestID  string
	HTTPStatus int    // 0 without an answer
	Action     string // the missing RAM action of a denial (AccessDeniedDetail.AuthAction); empty if unknown
	Attempts   int    // including the one that failed; 0 if no request was sent
	Err        error  // the cause if the API did not answer, or its answer cannot be used

	retry retryMode
	sent  bool // the attempt came as far as to send a request
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

// leftOut stands for text that repeats a secret.
const leftOut = "(left out)"

// hide leaves out what repeats a secret. The text of a transport error can come from a proxy.
func (e *Error) hide(secrets secretscan.Scanner) {
	for _, s := range []*string{&e.Code, &e.Message, &e.RequestID, &e.Action} {
		if secrets.In(*s) {
			*s = leftOut
		}
	}
	if e.Err != nil && secrets.In(e.Err.Error()) {
		e.Err = errors.New(leftOut)
	}
}

// mayRetry reports whether another attempt may succeed. Refreshed says that credentials were renewed for one already.
func (e *Error) mayRetry(refreshed bool) bool {
	return e.retry == retryBackoff || e.retry == retryFreshCredentials && !refreshed
}

// ReasonOf returns the reason of an error of this package. Any other error that ended a read comes from its context.
func ReasonOf(err error) Reason {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Reason
	}
	return ReasonTimeout
}

func badResponse(operation string, err error) *Error {
	return &Error{Operation: operation, Reason: ReasonBadResponse, Err: err}
}

// transportError classifies a failed exchange: canceled by the caller, too slow, or broken.
func transportError(err error) *Error {
	e := &Error{Reason: ReasonNetwork, Err: err, retry: retryBackoff}
	var timeout interface{ Timeout() bool }
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || errors.As(err, &timeout) && timeout.Timeout() {
		e.Reason = ReasonTimeout
	}
	return e
}

// rejected explains a code in our own words; empty if the code explains itself.
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
	case family == "ServiceUnavailable", family == "InternalError":
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
	case status == http.StatusProxyAuthRequired: // it is the way to the API that fails, not the API's credentials
		return ReasonNetwork, retryNever
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

// oneLine makes foreign text fit for a log line.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > 300 {
		s = strings.ToValidUTF8(s[:300], "") + "…"
	}
	return s
}
