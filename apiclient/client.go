// Package apiclient reads backups from the API of EMR Serverless StarRocks.
package apiclient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/go-kit/log"
)

const (
	version = "2022-10-19"

	minBackoff = 200 * time.Millisecond
	maxBackoff = 5 * time.Second
)

// operation is a call of the API that lists items page by page.
type operation[T any] struct {
	name, path string
	rank       int // against other operations, for our own limit: the highest goes first
	decode     func(body []byte) (*page[T], *header, error)
	id         func(*T) itemID
}

// itemID tells the items of a list apart.
type itemID struct{ instanceID, id string }

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

// Options are the settings of a client. All but StatusWords, Secrets and Logger are required.
type Options struct {
	Endpoint    string // URL of the region's host
	RegionID    string
	Credentials *Credentials
	Transport   http.RoundTripper
	// FreshTransport makes a new connection for each request: for retries after a network error.
	FreshTransport http.RoundTripper
	Timeout        time.Duration // of one attempt
	MaxAttempts    int
	PageSize       int
	StatusWords    StatusWords // statuses of words that the exporter does not know
	Secrets        []string    // of the way to the API, such as a proxy's password, which no error may repeat
	Limiter        *Limiter    // of attempts; shared by the clients of an account and region
	Memory         *Memory     // of answers; shared by all clients
	Observer       Observer
	Logger         log.Logger // told of each attempt at debug level
	Now            func() time.Time
	Nonce          func() string // unique at each call
}

// Client calls the API of one region with the credentials of one account.
type Client struct {
	o      Options
	url    *url.URL
	memory *Memory
	seed   maphash.Seed // of fingerprints

	mu    sync.Mutex
	sizes map[string]int // page sizes of lists whose pages are too large otherwise, by key
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
	if o.Logger == nil {
		o.Logger = log.NewNopLogger()
	}
	return &Client{o: o, url: u, memory: o.Memory, seed: maphash.MakeSeed(), sizes: map[string]int{}}, nil
}

// credential returns what to sign with. Previous is why the last attempt failed, nil if there was none.
func (c *Client) credential(ctx context.Context, previous *Error) (Credential, *Error) {
	ctx, cancel := context.WithTimeout(ctx, c.o.Timeout)
	defer cancel()
	get := c.o.Credentials.Get
	if previous != nil && previous.retry == retryFreshCredentials {
		get = c.o.Credentials.Fresh
	}
	credential, err := get(ctx)
	switch {
	case err == nil:
		return credential, nil
	case ctx.Err() != nil:
		return credential, transportError(fmt.Errorf("waiting for credentials: %w", err))
	default:
		return credential, &Error{Reason: ReasonUnauthorized, Err: err}
	}
}

// acquire waits for our own limit.
func (c *Client) acquire(ctx context.Context, rank, read int) (*Place, error) {
	began := c.o.Now()
	place, err := c.o.Limiter.Acquire(ctx, rank, read)
	c.o.Observer.LimitWait(c.o.RegionID, max(0, c.o.Now().Sub(began)))
	return place, err
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

// exchange sends a request and reads the whole answer. Fresh says that it must not use a connection that was idle: one that broke may
// not be the only one.
func (c *Client) exchange(req *http.Request, action string, size int, fresh bool) (a *answer, b *buffer, failure *Error) {
	began := c.o.Now()
	code := "error"
	defer func() { c.o.Observer.Request(action, c.o.RegionID, code, max(0, c.o.Now().Sub(began))) }()
	transport := c.o.Transport
	if fresh {
		transport = c.o.FreshTransport
	}
	// An http.Client would follow redirects and send the token header along.
	res, err := transport.RoundTrip(req)
	if err != nil {
		return nil, nil, transportError(err)
	}
	defer res.Body.Close()
	code = strconv.Itoa(res.StatusCode)
	if date, err := http.ParseTime(res.Header.Get("Date")); err == nil {
		c.o.Observer.ClockSkew(c.o.RegionID, date.Sub(c.o.Now()))
	}
	if res.StatusCode >= 300 && res.StatusCode < 400 {
		return nil, nil, &Error{Reason: ReasonBadResponse, HTTPStatus: res.StatusCode, Err: errors.New("redirects are not followed")}
	}
	b, err = c.memory.read(req.Context(), res, largestBody(size))
	switch {
	case errors.Is(err, errTooLarge):
		err = fmt.Errorf("%w: more than %d MiB", err, largestBody(size)>>20)
		return nil, nil, &Error{Reason: ReasonBadResponse, HTTPStatus: res.StatusCode, Err: err}
	case err != nil:
		return nil, nil, transportError(fmt.Errorf("reading the body: %w", err))
	}
	body := bytes.TrimPrefix(b.Bytes(), []byte("\xef\xbb\xbf")) // a byte order mark
	return &answer{res.StatusCode, res.Header, body}, b, nil
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
