package apiclient

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
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

// Recorder writes what the API answers to the files of a directory: one for each answer, as HTTP has it, with the request before it;
// the request alone where none came, or not all of it. What a request was signed with is not written, only these headers are, and
// bodies only where they are JSON that neither echoes a credential nor rejects it.
type Recorder struct {
	directory string
	run       string // tells the files of several processes apart
	now       func() time.Time
	logger    log.Logger
	written   atomic.Int64
}

var (
	recordedOfRequest = []string{"X-Acs-Action", "X-Acs-Version"}
	recordedOfAnswer  = []string{"Content-Type", "Date", "Retry-After", "X-Acs-Request-Id", "X-Acs-Retry-After"}
)

// maxRecorded is the most of a body that is written.
const maxRecorded = 8 << 20

// NewRecorder returns a recorder into a directory, which it makes where it is not there. It is an error if nothing can be written
// there, or if there is a recording already: two cannot be told apart.
func NewRecorder(directory string, now func() time.Time, logger log.Logger) (*Recorder, error) {
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return nil, err
	}
	if there, err := filepath.Glob(filepath.Join(directory, "*.http")); err != nil || len(there) > 0 {
		return nil, fmt.Errorf("%s holds a recording already (%w)", directory, os.ErrExist)
	}
	r := &Recorder{directory: directory, run: rand.Text()[:8], now: now, logger: logger}
	probe, err := os.CreateTemp(directory, ".probe")
	if err != nil {
		return nil, err
	}
	_ = probe.Close()
	return r, os.Remove(probe.Name())
}

// Transport records what an account sends through another transport.
func (r *Recorder) Transport(account string, base http.RoundTripper) http.RoundTripper {
	return recording{r, account, base}
}

type recording struct {
	*Recorder
	account string
	base    http.RoundTripper
}

// RoundTrip implements http.RoundTripper. An answer is written when its body is closed.
func (r recording) RoundTrip(req *http.Request) (*http.Response, error) {
	began := r.now()
	res, err := r.base.RoundTrip(req)
	if err != nil {
		r.write(began, req, "error", nil)
		return nil, err
	}
	res.Body = &recordedBody{ReadCloser: res.Body, done: func(b *recordedBody) {
		if b.broken {
			r.write(began, req, "error", nil)
			return
		}
		var answer bytes.Buffer
		fmt.Fprintf(&answer, "HTTP/1.1 %03d %s\r\n", res.StatusCode, http.StatusText(res.StatusCode))
		writeHeaders(&answer, res.Header, recordedOfAnswer)
		answer.WriteString("\r\n")
		answer.Write(b.harmless(req, res.StatusCode))
		r.write(began, req, fmt.Sprint(res.StatusCode), answer.Bytes())
	}}
	return res, nil
}

// write writes a request, and what came of it, to a file that is whole from the moment that it has its name.
func (r recording) write(began time.Time, req *http.Request, result string, answer []byte) {
	name := fmt.Sprintf("%s-%s-%06d-%s-%s.http", began.UTC().Format("20060102T150405.000Z"), r.run, r.written.Add(1), req.Header.Get("x-acs-action"), result)
	file, err := os.CreateTemp(r.directory, ".writing")
	if err == nil {
		fmt.Fprintf(file, "%s %s HTTP/1.1\r\nDate: %s\r\nX-Account: %s\r\n", req.Method, req.URL.RequestURI(), began.UTC().Format(http.TimeFormat), url.QueryEscape(r.account))
		writeHeaders(file, req.Header, recordedOfRequest)
		_, _ = io.WriteString(file, "\r\n")
		_, err = file.Write(answer)
		err = errors.Join(err, file.Close())
	}
	if err == nil {
		err = os.Rename(file.Name(), filepath.Join(r.directory, name))
	}
	if err != nil {
		level.Error(r.logger).Log("msg", "cannot record what the API answers", "err", err)
	}
}

func writeHeaders(w io.Writer, h http.Header, names []string) {
	for _, name := range names {
		for _, value := range h.Values(name) {
			fmt.Fprintf(w, "%s: %s\r\n", name, value)
		}
	}
}

// recordedBody keeps what is read of a body.
type recordedBody struct {
	io.ReadCloser
	kept   bytes.Buffer
	length int
	broken bool
	done   func(*recordedBody)
}

func (b *recordedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.length += n
	if b.length <= maxRecorded {
		b.kept.Write(p[:n])
	}
	b.broken = b.broken || err != nil && !errors.Is(err, io.EOF)
	return n, err
}

func (b *recordedBody) Close() error {
	b.done(b)
	return b.ReadCloser.Close()
}

// harmless is the body, or what can be told of it: what echoes a credential, and any words about one that is rejected, which can
// hold it in any encoding, are cut down to the code and the request's id; what is not JSON, and may be a proxy's, to its length.
func (b *recordedBody) harmless(req *http.Request, status int) []byte {
	body := b.kept.Bytes()
	if b.length > maxRecorded {
		return fmt.Appendf(nil, "(%d bytes, left out)", b.length)
	}
	if len(body) == 0 {
		return nil
	}
	echo := newEcho(signedWith(req)...)
	echoed, err := echo.inJSON(body)
	if err != nil {
		return fmt.Appendf(nil, "(%d bytes that are not JSON, left out)", len(body))
	}
	p, err := decodePage(body, func(_ *page, d *decoder) error { return d.SkipValue() })
	if err != nil {
		p = &page{}
	}
	refused := (p.success == nil || !*p.success) && apiError(status, p).Reason == ReasonUnauthorized
	if !echoed && !refused {
		return body
	}
	told := &Error{Code: p.code, RequestID: p.requestID}
	echo.hide(told)
	left, err := json.Marshal(map[string]string{"Code": told.Code, "RequestId": told.RequestID, "Message": leftOut})
	if err != nil {
		panic(err) // strings can always be written
	}
	return left
}

// signedWith is what a request carries of its credential.
func signedWith(req *http.Request) []string {
	all := []string{req.Header.Get("x-acs-security-token"), req.Header.Get("x-acs-signature-nonce")}
	_, authorization, _ := strings.Cut(req.Header.Get("Authorization"), " ")
	for _, part := range strings.Split(authorization, ",") {
		if name, value, _ := strings.Cut(part, "="); name == "Credential" || name == "Signature" {
			all = append(all, value)
		}
	}
	return all
}
