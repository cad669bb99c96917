package apiclient

import (
	"net/http"
	"strings"
	"time"

	openapiutil "github.com/alibabacloud-go/openapi-util/service"
	"github.com/alibabacloud-go/tea/tea"
)

const (
	signatureAlgorithm = "ACS3-HMAC-SHA256"
	dateFormat         = "2006-01-02T15:04:05Z"
	// The SHA-256 of an empty body, in hex: every call has one.
	emptyBodySHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

// sign adds the headers x-acs-date, x-acs-signature-nonce, x-acs-content-sha256, x-acs-security-token where there is
// one, and Authorization. Each attempt needs its own date and nonce: a nonce works once.
func sign(req *http.Request, c Credential, date time.Time, nonce string) {
	req.Header.Set("x-acs-date", date.UTC().Format(dateFormat))
	req.Header.Set("x-acs-signature-nonce", nonce)
	req.Header.Set("x-acs-content-sha256", emptyBodySHA256)
	if c.SecurityToken != "" {
		req.Header.Set("x-acs-security-token", c.SecurityToken)
	}
	query := map[string]*string{}
	for name, values := range req.URL.Query() {
		query[name] = tea.String(values[0])
	}
	headers := map[string]*string{"host": tea.String(req.Host)}
	for name, values := range req.Header {
		if name = strings.ToLower(name); strings.HasPrefix(name, "x-acs-") {
			headers[name] = tea.String(values[0])
		}
	}
	req.Header.Set("Authorization", tea.StringValue(openapiutil.GetAuthorization(
		&tea.Request{Method: tea.String(req.Method), Pathname: tea.String(req.URL.Path), Query: query, Headers: headers},
		tea.String(signatureAlgorithm), tea.String(emptyBodySHA256), tea.String(c.AccessKeyID), tea.String(c.AccessKeySecret),
	)))
}
