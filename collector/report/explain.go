package report

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"syscall"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
)

// summary says in plain English why something could not be read.
func summary(reason apiclient.Reason) string {
	switch reason {
	case apiclient.ReasonTimeout:
		return "the read did not finish in time"
	case apiclient.ReasonThrottled:
		return "the API throttles the requests"
	case apiclient.ReasonUnauthorized:
		return "the API rejects the credentials, or there are none"
	case apiclient.ReasonForbidden:
		return "the API denies access"
	case apiclient.ReasonNotFound:
		return "the endpoint does not serve this call"
	case apiclient.ReasonInvalidRequest:
		return "the API rejects the request"
	case apiclient.ReasonServerError:
		return "the API failed"
	case apiclient.ReasonNetwork:
		return "the API cannot be reached"
	case apiclient.ReasonBadResponse:
		return "the answer cannot be used"
	default:
		return "the read failed: " + string(reason)
	}
}

// message says why a call failed: in the words of the API if it answered, else in plain English.
func message(err error) string {
	e, ok := errors.AsType[*apiclient.Error](err)
	if !ok {
		return fmt.Sprintf("%s: %s", apiclient.ReasonOf(err), plain(err))
	}
	if e.Code != "" || e.Message != "" || e.Err == nil {
		return e.Error()
	}
	text := fmt.Sprintf("%s: %s: %s", e.Operation, e.Reason, plain(e.Err))
	if e.HTTPStatus != 0 {
		text += fmt.Sprintf(" (HTTP status %d)", e.HTTPStatus)
	}
	return text
}

// plain says in plain English why an exchange failed.
func plain(err error) string {
	var (
		timeout interface{ Timeout() bool }
		dns     *net.DNSError
		untrust *tls.CertificateVerificationError
		dial    *net.OpError
		request *url.Error
	)
	switch {
	case errors.Is(err, context.Canceled), errors.As(err, &timeout) && timeout.Timeout(): // by api.timeout or the deadline of the scrape
		return "no answer in time"
	case errors.As(err, &dial) && dial.Op == "proxyconnect":
		return "the proxy: " + plain(dial.Err)
	case errors.As(err, &dns):
		return fmt.Sprintf("the name %s cannot be resolved", dns.Name)
	case errors.As(err, &untrust):
		return fmt.Sprintf("the certificate is not trusted: %v", untrust.Err)
	case errors.Is(err, syscall.ECONNREFUSED) && errors.As(err, &dial) && dial.Addr != nil:
		return fmt.Sprintf("%s refuses the connection", dial.Addr)
	case errors.Is(err, syscall.ECONNRESET):
		return "the connection was reset"
	case errors.As(err, &request):
		return strings.TrimSuffix(request.Err.Error(), "\n")
	default:
		return err.Error()
	}
}
