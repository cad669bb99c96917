package simulator

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	algorithm = "ACS3-HMAC-SHA256"
	tolerance = 15 * time.Minute
	emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

// verifier checks signatures.
type verifier struct {
	accessKeys, tokens map[string]string // by access key id

	mu     sync.Mutex
	nonces map[string]time.Time
}

// verify checks who sent a request and when, and that nothing of it was changed.
func (v *verifier) verify(r *http.Request, now time.Time) (status int, code, message string) {
	id, signed, signature, ok := parseAuthorization(r.Header.Get("Authorization"))
	if !ok {
		return http.StatusBadRequest, "IncompleteSignature", "the Authorization header is malformed"
	}
	secret, known := v.accessKeys[id]
	if !known {
		return http.StatusNotFound, "InvalidAccessKeyId.NotFound", "Specified access key is not found."
	}
	date, err := time.Parse("2006-01-02T15:04:05Z", r.Header.Get("x-acs-date"))
	if err != nil || date.Sub(now).Abs() > tolerance {
		return http.StatusBadRequest, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired."
	}
	if r.Header.Get("x-acs-content-sha256") != emptyHash || !signsAll(r.Header, signed) ||
		!hmac.Equal([]byte(signature), []byte(signatureOf(r, signed, secret))) {
		// The real API repeats what was signed, and so does this one: the client must not log it.
		return http.StatusBadRequest, "SignatureDoesNotMatch", "server string to sign is: " + r.Header.Get("x-acs-security-token")
	}
	if r.Header.Get("x-acs-security-token") != v.tokens[id] {
		return http.StatusBadRequest, "InvalidSecurityToken.Expired", "Specified SecurityToken is expired."
	}
	if !v.firstUse(r.Header.Get("x-acs-signature-nonce"), now) {
		return http.StatusBadRequest, "SignatureNonceUsed", "Specified signature nonce was used already."
	}
	return 0, "", ""
}

func (v *verifier) firstUse(nonce string, now time.Time) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, used := v.nonces[nonce]; used || nonce == "" {
		return false
	}
	if len(v.nonces) >= 1000 { // the old ones go, or all: a simulator can afford that
		for n, at := range v.nonces {
			if now.Sub(at) > 2*tolerance {
				delete(v.nonces, n)
			}
		}
		if len(v.nonces) >= 1000 {
			clear(v.nonces)
		}
	}
	v.nonces[nonce] = now
	return true
}

func parseAuthorization(header string) (id string, signed []string, signature string, ok bool) {
	rest, ok := strings.CutPrefix(header, algorithm+" ")
	if !ok {
		return "", nil, "", false
	}
	fields := map[string]string{}
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(part, "=")
		fields[name] = value
	}
	return fields["Credential"], strings.Split(fields["SignedHeaders"], ";"), fields["Signature"], fields["Signature"] != ""
}

// signsAll reports whether host, content-type if sent, and every x-acs- header are signed.
func signsAll(h http.Header, signed []string) bool {
	if !slices.Contains(signed, "host") || !slices.IsSorted(signed) {
		return false
	}
	for name := range h {
		name = strings.ToLower(name)
		if (strings.HasPrefix(name, "x-acs-") || name == "content-type") && !slices.Contains(signed, name) {
			return false
		}
	}
	return true
}

// signatureOf computes what the signature of a request must be.
func signatureOf(r *http.Request, signed []string, secret string) string {
	var headers strings.Builder
	for _, name := range signed {
		value := strings.Join(r.Header.Values(name), ",")
		if name == "host" {
			value = r.Host
		}
		headers.WriteString(name + ":" + strings.TrimSpace(value) + "\n")
	}
	path := r.URL.EscapedPath()
	if path == "" {
		path = "/"
	}
	canonical := strings.Join([]string{
		r.Method, path, canonicalQuery(r.URL.RawQuery), headers.String(), strings.Join(signed, ";"), r.Header.Get("x-acs-content-sha256"),
	}, "\n")
	hash := sha256.Sum256([]byte(canonical))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(algorithm + "\n" + hex.EncodeToString(hash[:])))
	return hex.EncodeToString(mac.Sum(nil))
}

// canonicalQuery decodes a query and encodes it again by RFC 3986: the vendor's client sends a space as + but signs %20.
func canonicalQuery(raw string) string {
	values := map[string][]string{} // by name, in the order sent: which of two comes first matters
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name = reencode(name)
		values[name] = append(values[name], name+"="+reencode(value))
	}
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		pairs = append(pairs, values[name]...)
	}
	return strings.Join(pairs, "&")
}

func reencode(s string) string {
	decoded, err := url.QueryUnescape(s)
	if err != nil {
		decoded = s
	}
	const unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~"
	var b strings.Builder
	for i := range len(decoded) {
		if c := decoded[i]; strings.IndexByte(unreserved, c) >= 0 {
			b.WriteByte(c)
		} else {
			b.WriteString("%" + strings.ToUpper(hex.EncodeToString([]byte{c})))
		}
	}
	return b.String()
}
