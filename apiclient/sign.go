package apiclient

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	signatureAlgorithm = "ACS3-HMAC-SHA256"
	dateFormat         = "2006-01-02T15:04:05Z"
	// emptyBodySHA256 is the SHA-256 of an empty body, in hex. Every call has one.
	emptyBodySHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

// sign adds the headers x-acs-date, x-acs-signature-nonce, x-acs-content-sha256, Authorization, and x-acs-security-token if the
// credential has a token. Each attempt needs a date and a nonce of its own: a nonce works once.
func sign(req *http.Request, c Credential, date time.Time, nonce string) {
	req.Header.Set("x-acs-date", date.UTC().Format(dateFormat))
	req.Header.Set("x-acs-signature-nonce", nonce)
	req.Header.Set("x-acs-content-sha256", emptyBodySHA256)
	if c.SecurityToken != "" {
		req.Header.Set("x-acs-security-token", c.SecurityToken)
	}
	names, headers := signedHeaders(req)
	canonical := strings.Join([]string{
		req.Method, req.URL.EscapedPath(), canonicalQuery(req.URL.Query()), headers, names, emptyBodySHA256,
	}, "\n")
	hash := sha256.Sum256([]byte(canonical))
	mac := hmac.New(sha256.New, []byte(c.AccessKeySecret))
	mac.Write([]byte(signatureAlgorithm + "\n" + hex.EncodeToString(hash[:])))
	req.Header.Set("Authorization", signatureAlgorithm+" Credential="+c.AccessKeyID+",SignedHeaders="+names+
		",Signature="+hex.EncodeToString(mac.Sum(nil)))
}

// signedHeaders returns the names of the signed headers and their canonical form: host and every x-acs- header.
func signedHeaders(req *http.Request) (names, canonical string) {
	values := map[string]string{"host": req.Host}
	for name := range req.Header {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "x-acs-") {
			values[lower] = req.Header.Get(name)
		}
	}
	var sorted []string
	for name := range values {
		sorted = append(sorted, name)
	}
	slices.Sort(sorted)
	var b strings.Builder
	for _, name := range sorted {
		b.WriteString(name + ":" + strings.TrimSpace(values[name]) + "\n")
	}
	return strings.Join(sorted, ";"), b.String()
}

// canonicalQuery encodes a query as RFC 3986 has it, sorted by name.
func canonicalQuery(query url.Values) string { return strings.ReplaceAll(query.Encode(), "+", "%20") }
