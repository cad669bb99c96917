// Package recording writes what the API answers to files, without credentials, and plays it back.
package recording

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

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
	"git.example.com/starrocks/starrocks_backup_exporter/apiclient/internal/secretscan"
)

// Recorder writes what the API answers to the files of a directory: one for each answer, in HTTP's own format, after its request; only the
// request if no complete answer came. It writes no credential: only the headers below, and bodies only if they are JSON that neither
// repeats a credential nor rejects one.
type Recorder struct {
	directory string
	run       string // distinguishes the files of several processes
	now       func() time.Time
	logger    log.Logger
	written   atomic.Int64
}

var (
	recordedOfRequest = []string{"X-Acs-Action", "X-Acs-Version"}
	recordedOfAnswer  = []string{"Content-Type", "Date", "Retry-After", "X-Acs-Request-Id", "X-Acs-Retry-After"}
)

const leftOut = "(left out)"

// maxRecorded is the largest body that is written, in bytes.
const maxRecorded = 8 << 20

// NewRecorder returns a recorder that writes to a directory, which it creates if necessary. It returns an error if it cannot write there,
// or if the directory already contains a recording: two could not be distinguished.
func NewRecorder(directory string, now func() time.Time, logger log.Logger) (*Recorder, error) {
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return nil, err
	}
	if there, err := filepath.Glob(filepath.Join(directory, "*.http")); err != nil || len(there) > 0 {
		return nil, fmt.Errorf("%s already contains a recording (%w)", directory, os.ErrExist)
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
	return transport{r, account, base}
}

type transport struct {
	*Recorder
	account string
	base    http.RoundTripper
}

// RoundTrip implements http.RoundTripper. It writes an answer when its body is closed.
func (r transport) RoundTrip(req *http.Request) (*http.Response, error) {
	began := r.now()
	res, err := r.base.RoundTrip(req)
	if err != nil {
		r.write(began, req, "error", nil)
		return nil, err
	}
	res.Body = &recordedBody{ReadCloser: res.Body, done: func(b *recordedBody) {
		if !b.broken && !b.ended && res.StatusCode == http.StatusOK {
			return // too large for a page: the client asks again, for less
		}
		if b.broken {
			r.write(began, req, "error", nil)
			return
		}
		var answer bytes.Buffer
		fmt.Fprintf(&answer, "HTTP/1.1 %03d %s\r\n", res.StatusCode, http.StatusText(res.StatusCode))
		writeHeaders(&answer, res.Header, recordedOfAnswer)
		answer.WriteString("\r\n")
		answer.Write(b.redacted(req, res.StatusCode))
		r.write(began, req, fmt.Sprint(res.StatusCode), answer.Bytes())
	}}
	return res, nil
}

// write writes a request and its outcome to a file.
func (r transport) write(began time.Time, req *http.Request, result string, answer []byte) {
	operation := req.Header.Get("x-acs-action")
	name := fmt.Sprintf("%s-%s-%06d-%s-%s.http", began.UTC().Format("20060102T150405.000Z"), r.run, r.written.Add(1), operation, result)
	path := filepath.Join(r.directory, name)
	var content bytes.Buffer
	fmt.Fprintf(
		&content,
		"%s %s HTTP/1.1\r\nDate: %s\r\nX-Account: %s\r\n",
		req.Method,
		req.URL.RequestURI(),
		began.UTC().Format(http.TimeFormat),
		url.QueryEscape(r.account),
	)
	writeHeaders(&content, req.Header, recordedOfRequest)
	content.WriteString("\r\n")
	content.Write(answer)
	if err := writeFile(path, content.Bytes()); err != nil {
		level.Error(r.logger).Log("msg", "recording an API request failed, leaving it out of the recording",
			"file", path, "operation", operation, "err", err)
	}
}

// writeFile writes a file that gets its name only when it is complete. If that fails, it leaves no file behind.
func writeFile(path string, content []byte) error {
	file, err := os.CreateTemp(filepath.Dir(path), ".writing")
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	err = errors.Join(err, file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
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
	ended  bool
	done   func(*recordedBody)
}

func (b *recordedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.length += n
	if b.length <= maxRecorded {
		b.kept.Write(p[:n])
	}
	b.ended = b.ended || errors.Is(err, io.EOF)
	b.broken = b.broken || err != nil && !errors.Is(err, io.EOF)
	return n, err
}

func (b *recordedBody) Close() error {
	b.done(b)
	return b.ReadCloser.Close()
}

// redacted returns the body, or what may be told of it. A body that repeats a credential, or rejects one and can hold it in any encoding,
// is reduced to its code and request id. A body that is not JSON, and may be a proxy's, is reduced to its length.
func (b *recordedBody) redacted(req *http.Request, status int) []byte {
	body := b.kept.Bytes()
	if b.length > maxRecorded {
		return fmt.Appendf(nil, "(%d bytes, left out)", b.length)
	}
	if len(body) == 0 {
		return nil
	}
	secrets := secretscan.New(signedWith(req)...)
	repeats, err := secrets.InJSON(body)
	if err != nil {
		return fmt.Appendf(nil, "(%d bytes that are not JSON, left out)", len(body))
	}
	outcome, success := apiclient.Outcome(status, body)
	if !repeats && (success || outcome.Reason != apiclient.ReasonUnauthorized) {
		return body
	}
	told := map[string]string{"Code": outcome.Code, "RequestId": outcome.RequestID}
	for name, text := range told {
		if secrets.In(text) {
			told[name] = leftOut
		}
	}
	told["Message"] = leftOut
	reduced, err := json.Marshal(told)
	if err != nil {
		panic(err) // strings always marshal
	}
	return reduced
}

// signedWith returns what a request contains of its credential.
func signedWith(req *http.Request) []string {
	all := []string{req.Header.Get("x-acs-security-token"), req.Header.Get("x-acs-signature-nonce")}
	_, authorization, _ := strings.Cut(req.Header.Get("Authorization"), " ")
	for part := range strings.SplitSeq(authorization, ",") {
		if name, value, _ := strings.Cut(part, "="); name == "Credential" || name == "Signature" {
			all = append(all, value)
		}
	}
	return all
}
