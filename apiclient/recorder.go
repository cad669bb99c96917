package apiclient

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
)

// Recorder writes what the API answers to the files of a directory: one for each answer, the request before it, both as HTTP has
// them. Of the headers only those are written that are named here, and the body as it came: but for the access key's id, the
// security token, the signature and the nonce, and for what the API says about a credential that it rejects, which can echo them.
type Recorder struct {
	directory string
	now       func() time.Time
	logger    log.Logger
	written   atomic.Int64
}

// NewRecorder returns a recorder into a directory, which it makes where it is not there. It is an error if nothing can be written there.
func NewRecorder(directory string, now func() time.Time, logger log.Logger) (*Recorder, error) {
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return nil, err
	}
	probe, err := os.CreateTemp(directory, ".probe")
	if err != nil {
		return nil, err
	}
	_ = probe.Close()
	return &Recorder{directory: directory, now: now, logger: logger}, os.Remove(probe.Name())
}

// Transport records what goes through another one.
func (r *Recorder) Transport(base http.RoundTripper) http.RoundTripper { return recording{r, base} }

type recording struct {
	*Recorder
	base http.RoundTripper
}

// RoundTrip implements http.RoundTripper. The answer is written when its body is closed, as far as it was read.
func (r recording) RoundTrip(req *http.Request) (*http.Response, error) {
	began := r.now()
	res, err := r.base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	res.Body = &recordedBody{ReadCloser: res.Body, done: func(body []byte) {
		if err := r.write(began, req, res, body); err != nil {
			level.Error(r.logger).Log("msg", "cannot record an answer", "err", err)
		}
	}}
	return res, nil
}

type recordedBody struct {
	io.ReadCloser
	read bytes.Buffer
	done func([]byte)
}

func (b *recordedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.read.Write(p[:n])
	return n, err
}

func (b *recordedBody) Close() error {
	b.done(b.read.Bytes())
	return b.ReadCloser.Close()
}

// The headers that are recorded. Any other may hold a secret, such as a proxy's cookie.
var (
	recordedOfRequest = []string{"X-Acs-Action", "X-Acs-Version"}
	recordedOfAnswer  = []string{"Content-Type", "Date", "Retry-After", "X-Acs-Request-Id", "X-Acs-Retry-After"}
)

func (r *Recorder) write(began time.Time, req *http.Request, res *http.Response, body []byte) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nDate: %s\r\n", req.Method, req.URL.RequestURI(), began.UTC().Format(http.TimeFormat))
	headers(&b, req.Header, recordedOfRequest)
	fmt.Fprintf(&b, "\r\nHTTP/1.1 %03d %s\r\n", res.StatusCode, http.StatusText(res.StatusCode))
	headers(&b, res.Header, recordedOfAnswer)
	b.WriteString("\r\n")
	b.Write(withoutEcho(body, res.StatusCode))
	name := fmt.Sprintf("%s-%06d-%s-%d.http", began.UTC().Format("20060102T150405.000Z"), r.written.Add(1), req.Header.Get("x-acs-action"), res.StatusCode)
	return os.WriteFile(filepath.Join(r.directory, name), []byte(stripper(req).Replace(b.String())), 0o600)
}

func headers(b *bytes.Buffer, h http.Header, names []string) {
	for _, name := range names {
		for _, value := range h.Values(name) {
			fmt.Fprintf(b, "%s: %s\r\n", name, value)
		}
	}
}

// withoutEcho keeps only code and request id of what the API says about a credential: its words can echo what was signed, and in
// any encoding.
func withoutEcho(body []byte, status int) []byte {
	p, err := decodePage(body, func(_ *page, d *decoder) error { return d.SkipValue() })
	if err != nil || apiError(status, p).Reason != ReasonUnauthorized {
		return body
	}
	stripped, err := json.Marshal(map[string]string{"Code": p.code, "RequestId": p.requestID, "Message": stripped})
	if err != nil {
		panic(err) // strings can always be written
	}
	return stripped
}

const stripped = "(stripped)"

// stripper takes out what a request was signed with.
func stripper(req *http.Request) *strings.Replacer {
	_, authorization, _ := strings.Cut(req.Header.Get("Authorization"), " ")
	secrets := []string{req.Header.Get("x-acs-security-token"), req.Header.Get("x-acs-signature-nonce")}
	for _, part := range strings.Split(authorization, ",") {
		if name, value, _ := strings.Cut(part, "="); name == "Credential" || name == "Signature" {
			secrets = append(secrets, value)
		}
	}
	var pairs []string
	for _, s := range secrets {
		if s != "" {
			pairs = append(pairs, s, stripped, url.QueryEscape(s), stripped)
		}
	}
	return strings.NewReplacer(pairs...)
}
