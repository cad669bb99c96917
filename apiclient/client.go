// Package apiclient reads backups from the API of EMR Serverless StarRocks.
package apiclient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	version = "2022-10-19"

	maxBody    = 64 << 20
	minBackoff = 200 * time.Millisecond
	maxBackoff = 5 * time.Second
)

// operation is a call of the API, and how the Data of its answer is read.
type operation struct {
	name, path string
	rank       int // against other operations, for our own limit
	data       func(*page, *decoder) error
}

var (
	describeBackups   = operation{"DescribeBackups", "/webapi/backup/manage/describe", 0, (*page).decodeBackups}
	describeInstances = operation{"DescribeInstances", "/webapi/starrocks/describeInstances", maxPages, (*page).decodeInstances}
)

// Observer is told what the client does, as it happens. Its methods are called concurrently.
type Observer interface {
	// Request: an attempt ended; code is the HTTP status, or "error" without one. It lasted until the body's last byte.
	Request(operation, regionID, code string, d time.Duration)
	// Retry: an attempt failed and there is another now.
	Retry(operation, regionID string, reason Reason)
	// LimitWait: a request waited for our own limit.
	LimitWait(regionID string, d time.Duration)
	// ClockSkew: the API's Date header minus our clock.
	ClockSkew(regionID string, d time.Duration)
}

// Options are what a client is made of. All are needed.
type Options struct {
	Endpoint    string // URL of the region's host
	RegionID    string
	Credentials *Credentials
	Transport   http.RoundTripper
	Timeout     time.Duration // of one attempt
	MaxAttempts int
	PageSize    int
	Limiter     *Limiter // of attempts; shared by the clients of an account and region
	Observer    Observer
	Now         func() time.Time
	Nonce       func() string // unique at each call
}

// Client reads the API of one region with the credentials of one account.
type Client struct {
	o   Options
	url *url.URL
}

// New returns a client. It is an error if the endpoint is not a URL with a host.
func New(o Options) (*Client, error) {
	u, err := url.Parse(o.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("endpoint: %w", err)
	}
	if u.Host == "" {
		return nil, fmt.Errorf("endpoint %q has no host", u.Redacted())
	}
	return &Client{o: o, url: u}, nil
}

// call makes one call, in as many attempts as it takes and ctx allows.
func (c *Client) call(ctx context.Context, op operation, pagesBefore int, query url.Values, bodies *Bodies) (*page, error) {
	var last *Error
	refreshed := false
	for attempt := 1; ; attempt++ {
		if err := c.waitForLimit(ctx, op.rank+pagesBefore); err != nil {
			if last == nil {
				last = &Error{Operation: op.name, Reason: ReasonTimeout, Err: fmt.Errorf("waiting for our own request limit: %w", err)}
			}
			return nil, last
		}
		if last != nil {
			c.o.Observer.Retry(op.name, c.o.RegionID, last.Reason)
		}
		p, hint, failure := c.attempt(ctx, op, query, bodies)
		if failure == nil {
			return p, nil
		}
		last = failure
		last.Operation, last.Attempts = op.name, attempt
		if attempt >= c.o.MaxAttempts || last.retry == retryNever || last.retry == retryFreshCredentials && refreshed {
			return nil, last
		}
		refreshed = refreshed || last.retry == retryFreshCredentials
		if !sleep(ctx, max(hint, backoff(attempt))) {
			return nil, last
		}
	}
}

func (c *Client) waitForLimit(ctx context.Context, rank int) error {
	began := c.o.Now()
	err := c.o.Limiter.Wait(ctx, rank)
	c.o.Observer.LimitWait(c.o.RegionID, max(0, c.o.Now().Sub(began)))
	return err
}

// attempt signs, sends and decodes one request. With a failure comes how long the API asks to wait, if it does.
func (c *Client) attempt(ctx context.Context, op operation, query url.Values, bodies *Bodies) (*page, time.Duration, *Error) {
	ctx, cancel := context.WithTimeout(ctx, c.o.Timeout)
	defer cancel()
	credential, err := c.o.Credentials.Get(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil, 0, transportError(fmt.Errorf("waiting for credentials: %w", err))
		}
		return nil, 0, &Error{Reason: ReasonUnauthorized, Err: err}
	}
	req, err := c.request(ctx, op, query)
	if err != nil {
		return nil, 0, &Error{Reason: ReasonInvalidRequest, Err: err}
	}
	sign(req, credential, c.o.Now(), c.o.Nonce())
	a, failure := c.exchange(req, op, bodies.next())
	if failure != nil {
		return nil, 0, failure
	}
	p, failure := interpret(a, op)
	if failure != nil {
		newEcho(credential.AccessKeySecret, credential.SecurityToken).hide(failure)
	}
	if failure != nil && failure.Reason == ReasonUnauthorized && failure.retry != retryBackoff {
		c.o.Credentials.Reject(credential)
	}
	return p, retryAfter(a.header, c.o.Now()), failure
}

func (c *Client) request(ctx context.Context, op operation, query url.Values) (*http.Request, error) {
	u := c.url.JoinPath(op.path)
	u.RawQuery = strings.ReplaceAll(query.Encode(), "+", "%20")
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "starrocks_backup_exporter")
	req.Header.Set("x-acs-action", op.name)
	req.Header.Set("x-acs-version", version)
	return req, nil
}

// answer is a response, read to its last byte.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (c *Client) exchange(req *http.Request, op operation, b *bytes.Buffer) (*answer, *Error) {
	began := c.o.Now()
	code := "error"
	defer func() { c.o.Observer.Request(op.name, c.o.RegionID, code, max(0, c.o.Now().Sub(began))) }()
	// Not http.Client: it follows redirects, and the token header would travel along.
	res, err := c.o.Transport.RoundTrip(req)
	if err != nil {
		return nil, transportError(err)
	}
	defer res.Body.Close()
	code = strconv.Itoa(res.StatusCode)
	if date, err := http.ParseTime(res.Header.Get("Date")); err == nil {
		c.o.Observer.ClockSkew(c.o.RegionID, date.Sub(c.o.Now()))
	}
	if res.StatusCode >= 300 && res.StatusCode < 400 {
		return nil, &Error{Reason: ReasonBadResponse, HTTPStatus: res.StatusCode, Err: errors.New("a redirect, which is not followed")}
	}
	if res.ContentLength > 0 && res.ContentLength <= maxBody {
		b.Grow(int(res.ContentLength) + bytes.MinRead) // else ReadFrom grows it once more, to find the end
	}
	if _, err = b.ReadFrom(io.LimitReader(res.Body, maxBody+1)); err != nil {
		return nil, transportError(fmt.Errorf("reading the body: %w", err))
	}
	if b.Len() > maxBody {
		return nil, &Error{Reason: ReasonBadResponse, HTTPStatus: res.StatusCode, Err: fmt.Errorf("a body of more than %d MiB", maxBody>>20)}
	}
	return &answer{res.StatusCode, res.Header, b.Bytes()}, nil
}

// interpret tells what was asked for from the two shapes of an error.
func interpret(a *answer, op operation) (*page, *Error) {
	p, err := decodePage(a.body, op.data)
	if err != nil {
		if bytes.HasPrefix(bytes.TrimSpace(a.body), []byte("<")) {
			err = errors.New("it begins as HTML does")
		}
		e := &Error{HTTPStatus: a.status, Err: fmt.Errorf("the body is not the API's: %s", oneLine(err.Error()))}
		if e.Reason, e.retry = classifyStatus(a.status); a.status < 300 {
			e.Reason, e.retry = ReasonBadResponse, retryNever
		}
		return nil, e
	}
	if a.status < 300 {
		switch {
		case p.success != nil && *p.success && (p.codeIsSuccess() || len(p.backups)+len(p.instances) > 0):
			return p, nil
		case p.success == nil && p.codeIsSuccess():
			return nil, &Error{Reason: ReasonBadResponse, HTTPStatus: a.status, RequestID: p.requestID, Err: errors.New("a JSON object without Success")}
		}
	}
	return nil, apiError(a.status, p)
}

// backoff is exponential with full jitter.
func backoff(attempt int) time.Duration {
	ceiling := min(maxBackoff, minBackoff<<min(attempt-1, 10))
	return rand.N(ceiling + 1)
}

// retryAfter is how long the API asks to wait: x-acs-retry-after in milliseconds, Retry-After in seconds or as a date.
func retryAfter(h http.Header, now time.Time) time.Duration {
	const most = 24 * time.Hour // no more than any scrape lasts, and far from overflow
	if ms, err := strconv.ParseInt(h.Get("x-acs-retry-after"), 10, 64); err == nil && ms > 0 {
		return time.Duration(min(ms, most.Milliseconds())) * time.Millisecond
	}
	hint := h.Get("Retry-After")
	if s, err := strconv.ParseInt(hint, 10, 64); err == nil && s > 0 {
		return time.Duration(min(s, int64(most/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(hint); err == nil {
		return min(most, max(0, at.Sub(now)))
	}
	return 0
}

// sleep reports whether d passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
