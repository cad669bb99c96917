// Package apiclient reads backups from the API of EMR Serverless StarRocks.
package apiclient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"starrocks_backup_exporter/apiclient/internal/secretscan"
)

const (
	version = "2022-10-19"

	maxPages   = 1000
	maxBody    = 64 << 20
	minBackoff = 200 * time.Millisecond
	maxBackoff = 5 * time.Second
)

// operation is a call of the API that lists items page by page.
type operation[T any] struct {
	name, path string
	rank       int  // against other operations, for our own limit
	complete   bool // a list that is shorter than its own Total is an error
	decode     func(body []byte) (*page[T], *header, error)
	id         func(*T) string // tells items apart
}

// Observer is told what the client does. Its methods are called concurrently.
type Observer interface {
	// Request is called when an attempt ends, after d. Code is the HTTP status, or "error" if there is none.
	Request(operation, regionID, code string, d time.Duration)
	// Retry is called before another attempt, with the reason why the last one failed.
	Retry(operation, regionID string, reason Reason)
	// LimitWait is called after a request waited for our own limit.
	LimitWait(regionID string, d time.Duration)
	// ClockSkew is called with the API's Date header minus our clock.
	ClockSkew(regionID string, d time.Duration)
}

// Options are the settings of a client. All are required.
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

// Client calls the API of one region with the credentials of one account.
type Client struct {
	o   Options
	url *url.URL
}

// New returns a client. It returns an error if the endpoint is not a URL with a host.
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

// pages reads all pages of an operation from the first on, and yields each item once, in the API's order.
func pages[T any](
	ctx context.Context, c *Client, op operation[T], first int, buffers *BufferPool, query func(page int) url.Values,
) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		seen := map[string]struct{}{} // items move between pages while they are read
		total := 0
		for n := range maxPages {
			p, err := call(ctx, c, op, n, query(first+n), buffers)
			if err != nil {
				yield(none, err)
				return
			}
			before := len(seen)
			total = max(total, p.total)
			for i := range p.items {
				id := op.id(&p.items[i])
				if _, known := seen[id]; known {
					continue
				}
				seen[id] = struct{}{}
				if !yield(p.items[i], nil) {
					return
				}
			}
			// A short page does not end the list: the server may cap its pages below the size asked for.
			if len(seen) == before && len(seen) < total && op.complete {
				yield(none, badResponse(op.name, fmt.Errorf("%d listed of %d", len(seen), total)))
				return
			}
			if len(seen) == before || total > 0 && len(seen) >= total {
				return
			}
		}
		yield(none, badResponse(op.name, fmt.Errorf("no end after %d pages", maxPages)))
	}
}

// call makes one call, in as many attempts as it takes and ctx allows.
func call[T any](
	ctx context.Context,
	c *Client,
	op operation[T],
	pagesBefore int,
	query url.Values,
	buffers *BufferPool,
) (*page[T], error) {
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
		p, hint, failure := try(ctx, c, op, query, buffers)
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

// try signs, sends and decodes one request. With a failure it returns how long the API asks to wait; 0 if it does not.
func try[T any](ctx context.Context, c *Client, op operation[T], query url.Values, buffers *BufferPool) (*page[T], time.Duration, *Error) {
	ctx, cancel := context.WithTimeout(ctx, c.o.Timeout)
	defer cancel()
	credential, err := c.o.Credentials.Get(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil, 0, transportError(fmt.Errorf("waiting for credentials: %w", err))
		}
		return nil, 0, &Error{Reason: ReasonUnauthorized, Err: err}
	}
	req, err := c.request(ctx, op.name, op.path, query)
	if err != nil {
		return nil, 0, &Error{Reason: ReasonInvalidRequest, Err: err}
	}
	sign(req, credential, c.o.Now(), c.o.Nonce())
	a, failure := c.exchange(req, op.name, buffers.next())
	if failure != nil {
		return nil, 0, failure
	}
	p, failure := interpret(a, op.decode)
	if failure != nil {
		failure.hide(secretscan.New(credential.AccessKeySecret, credential.SecurityToken))
	}
	if failure != nil && failure.Reason == ReasonUnauthorized && failure.retry != retryBackoff {
		c.o.Credentials.Reject(credential)
	}
	return p, retryAfter(a.header, c.o.Now()), failure
}

func (c *Client) waitForLimit(ctx context.Context, rank int) error {
	began := c.o.Now()
	err := c.o.Limiter.Wait(ctx, rank)
	c.o.Observer.LimitWait(c.o.RegionID, max(0, c.o.Now().Sub(began)))
	return err
}

func (c *Client) request(ctx context.Context, action, path string, query url.Values) (*http.Request, error) {
	u := c.url.JoinPath(path)
	u.RawQuery = canonicalQuery(query)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "starrocks_backup_exporter")
	req.Header.Set("x-acs-action", action)
	req.Header.Set("x-acs-version", version)
	return req, nil
}

func (c *Client) exchange(req *http.Request, action string, b *bytes.Buffer) (*answer, *Error) {
	began := c.o.Now()
	code := "error"
	defer func() { c.o.Observer.Request(action, c.o.RegionID, code, max(0, c.o.Now().Sub(began))) }()
	// An http.Client would follow redirects and send the token header along.
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
		return nil, &Error{Reason: ReasonBadResponse, HTTPStatus: res.StatusCode, Err: errors.New("redirects are not followed")}
	}
	if res.ContentLength > 0 && res.ContentLength <= maxBody {
		b.Grow(int(res.ContentLength) + bytes.MinRead) // otherwise ReadFrom grows it once more to find the end
	}
	if _, err = b.ReadFrom(io.LimitReader(res.Body, maxBody+1)); err != nil {
		return nil, transportError(fmt.Errorf("reading the body: %w", err))
	}
	if b.Len() > maxBody {
		return nil, &Error{Reason: ReasonBadResponse, HTTPStatus: res.StatusCode, Err: fmt.Errorf("the body is larger than %d MiB", maxBody>>20)}
	}
	return &answer{res.StatusCode, res.Header, b.Bytes()}, nil
}

// backoff returns an exponential backoff with full jitter.
func backoff(attempt int) time.Duration {
	ceiling := min(maxBackoff, minBackoff<<min(attempt-1, 10))
	return rand.N(ceiling + 1)
}

// retryAfter returns how long the API asks to wait: x-acs-retry-after in milliseconds, Retry-After in seconds or as a date.
func retryAfter(h http.Header, now time.Time) time.Duration {
	const most = 24 * time.Hour // longer than any scrape, and far from overflow
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
