package apiclient

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient/internal/secretscan"
)

const (
	maxPages = 1000
	// maxListBytes is how much the pages of one list may hold in sum: a list without an end must not take all time and memory.
	maxListBytes = 1 << 30
)

// Progress is how far the read of a list is.
type Progress struct {
	Requests    int         // answered
	Expected    int         // requests that the whole list takes, as far as its Total tells; at least Requests
	Fingerprint Fingerprint // of the list, if it is complete and took one request
}

// list reads the pages of an operation.
type list[T any] struct {
	client   *Client
	op       operation[T]
	first    int    // page number
	size     int    // page size
	key      string // of the list, among those of the client's operation
	place    *Place // among the requests in flight; nil if there is none
	ticket   int    // of this read in the queue for places; 0 before its first request
	progress *Progress
	known    Fingerprint
	query    func(page, size int) url.Values

	passes int            // begun
	listed map[itemID]int // by which pass last
}

// pass is one read of a list from the first page to the last.
type pass struct {
	items       int         // without those listed twice
	firstPage   int         // items of the first page
	total       int         // the largest Total
	fingerprint Fingerprint // of the last page; only the first has one
}

// short reports whether a pass has fewer items than its Total says.
func (p *pass) short() bool { return p.items < p.total }

// read yields each item once, in the API's order. An error is the last thing yielded.
//
// A list that is shorter than its own Total is read once more: items may have moved between pages, or Total may be wrong. If both passes
// agree, Total is wrong. If they differ, the second counts if it reaches its own Total, or both together if they reach the larger one.
func (l *list[T]) read(ctx context.Context, yield func(T, error) bool) {
	var none T
	l.passes, l.listed = 0, map[itemID]int{}
	first, err := l.pass(ctx, l.pageSize(), yield)
	switch {
	case err != nil:
		yield(none, err)
		return
	case first == nil:
		return
	case !first.short():
		if l.progress != nil {
			l.progress.Fingerprint = first.fingerprint
		}
		return
	case first.items == 0:
		yield(none, badResponse(l.op.name, fmt.Errorf("no entries, but Total is %d", first.total)))
		return
	}
	size := l.pageSize()
	// If the server caps its pages, but computes offsets from the size asked for, it skips items. Asking for the capped size avoids that.
	if l.first == 1 {
		size = min(size, first.firstPage)
	}
	second, err := l.pass(ctx, size, yield)
	switch {
	case err != nil:
		yield(none, err)
	case second == nil || second.total > 0 && !second.short() || len(l.listed) >= max(first.total, second.total):
	case second.items == first.items && len(l.listed) == first.items: // the same items
	default:
		yield(none, badResponse(l.op.name, fmt.Errorf("two reads returned %d and %d entries, %d distinct; Total is %d",
			first.items, second.items, len(l.listed), max(first.total, second.total))))
	}
}

// pass reads all pages once. It halves the page size if a page is too large, and then starts from the first page. It returns nil if yield
// ended it.
func (l *list[T]) pass(ctx context.Context, size int, yield func(T, error) bool) (*pass, error) {
	for ; ; l.setPageSize(size) {
		p, err := l.readPages(ctx, size, yield)
		if !errors.Is(err, errTooLarge) || size == 1 {
			return p, err
		}
		size = max(1, size/2)
	}
}

func (l *list[T]) readPages(ctx context.Context, size int, yield func(T, error) bool) (*pass, error) {
	p := &pass{}
	l.passes++
	bytes := 0
	for n := range maxPages {
		answered, b, err := l.call(ctx, n, size)
		if err != nil {
			return p, err
		}
		if answered.unchanged {
			l.client.memory.release(b)
			l.note(0, 0)
			return p, ErrUnchanged
		}
		before := p.items
		p.fingerprint = answered.fingerprint
		p.total = max(p.total, answered.total)
		going := true
		for i := 0; going && i < len(answered.items); i++ {
			id := l.op.id(&answered.items[i])
			lastPass, seen := l.listed[id]
			if lastPass != l.passes {
				p.items++
				l.listed[id] = l.passes
			}
			going = seen || yield(answered.items[i], nil)
		}
		if n == 0 {
			p.firstPage = len(answered.items)
		}
		isFull := n == 0 && size > 1 && len(answered.items) == size // Total may count only this page
		l.client.memory.release(b)
		l.note(p.items, p.total)
		bytes += answered.bytes
		switch {
		case !going:
			return nil, nil
		// A short page does not end the list: the server may cap its pages below the size asked for. Nor does a Total below the number of
		// items, which is wrong.
		case p.items == before, p.total > 0 && p.items == p.total && !isFull:
			return p, nil
		case bytes > maxListBytes:
			return p, badResponse(l.op.name, fmt.Errorf("the list exceeds %d MiB", bytes>>20))
		}
	}
	return p, badResponse(l.op.name, fmt.Errorf("the list exceeds %d pages", maxPages))
}

// note counts an answered request.
func (l *list[T]) note(seen, total int) {
	if l.progress == nil {
		return
	}
	l.progress.Requests++
	l.progress.Expected = max(l.progress.Expected, l.progress.Requests)
	if seen > 0 && total > seen {
		l.progress.Expected = max(l.progress.Expected, (total*l.progress.Requests+seen-1)/seen)
	}
}

func (l *list[T]) pageSize() int {
	l.client.mu.Lock()
	defer l.client.mu.Unlock()
	if size := l.client.sizes[l.op.name+l.key]; size > 0 {
		return min(size, l.size)
	}
	return l.size
}

// setPageSize remembers a page size that is smaller than asked for.
func (l *list[T]) setPageSize(size int) {
	if size == l.size {
		return
	}
	l.client.mu.Lock()
	defer l.client.mu.Unlock()
	l.client.sizes[l.op.name+l.key] = size
}

// call makes one call for the n-th page, in as many attempts as it takes and ctx and the retry budget allow. It returns the memory of the
// answer, which the caller releases.
func (l *list[T]) call(ctx context.Context, n, size int) (*page[T], *buffer, error) {
	limiter := l.client.o.Limiter
	var last *Error
	refreshed := false
	for attempt := 1; ; attempt++ {
		answered, b, hint, failure := l.try(ctx, n, size, attempt, last)
		if failure == nil {
			limiter.succeeded()
			return answered, b, nil
		}
		if last != nil && ctx.Err() != nil && failure.Reason == ReasonTimeout {
			return nil, nil, last // why there was another attempt says more
		}
		last = failure
		last.Operation = l.op.name
		if last.sent {
			last.Attempts = attempt
		}
		if attempt >= l.client.o.MaxAttempts || !last.mayRetry(refreshed) || ctx.Err() != nil || !limiter.mayRetry(l.op.rank) {
			return nil, nil, last
		}
		refreshed = refreshed || last.retry == retryFreshCredentials
		if !sleep(ctx, max(hint, backoff(attempt))) {
			return nil, nil, last
		}
	}
}

// try signs, sends and decodes one request. With a failure it returns how long the API asks to wait; 0 if it does not. Previous is why the
// last attempt failed, nil if there was none.
func (l *list[T]) try(ctx context.Context, n, size, attempt int, previous *Error) (*page[T], *buffer, time.Duration, *Error) {
	c := l.client
	credential, failure := c.credential(ctx, previous)
	if failure != nil {
		return nil, nil, 0, failure
	}
	if l.place == nil {
		place, err := c.acquire(ctx, l.op.rank, l.ticket)
		if err != nil {
			return nil, nil, 0, &Error{Reason: ReasonTimeout, Err: fmt.Errorf("waiting for api.requests_per_second or api.concurrency: %w", err)}
		}
		l.place = place
	}
	l.ticket = l.place.ticket
	defer l.release()
	if previous != nil {
		c.o.Observer.Retry(l.op.name, c.o.RegionID, previous.Reason)
	}
	ctx, cancel := context.WithTimeout(ctx, c.o.Timeout)
	defer cancel()
	req, err := c.request(ctx, l.op.name, l.op.path, l.query(l.first+n, size))
	if err != nil {
		return nil, nil, 0, &Error{Reason: ReasonInvalidRequest, Err: err}
	}
	sign(req, credential, c.o.Now(), c.o.Nonce())
	fresh := previous != nil && (previous.Reason == ReasonNetwork || previous.Reason == ReasonTimeout)
	began := c.o.Now()
	a, b, failure := c.exchange(req, l.op.name, size, fresh)
	took := c.o.Now().Sub(began)
	secrets := func() secretscan.Scanner {
		return secretscan.New(append([]string{credential.AccessKeySecret, credential.SecurityToken}, c.o.Secrets...)...)
	}
	if failure == nil {
		var answered *page[T]
		if answered, failure = l.interpret(a, n); failure == nil {
			id := lazy(func() string {
				if secrets().In(answered.requestID) {
					return leftOut
				}
				return cmp.Or(answered.requestID, "(none)")
			})
			l.logAttempt(n, attempt, took, "status", a.status, "request_id", id, "bytes", len(a.body), "unchanged", answered.unchanged)
			c.o.Credentials.Accept(credential)
			return answered, b, 0, nil
		}
		c.memory.release(b)
	}
	failure.hide(secrets())
	failure.Operation, failure.sent = l.op.name, true
	status := any(failure.HTTPStatus)
	if failure.HTTPStatus == 0 {
		status = ""
	}
	l.logAttempt(n, attempt, took, "status", status, "request_id", failure.RequestID, "err", failure)
	c.o.Credentials.Reject(credential, failure)
	if a == nil {
		return nil, nil, 0, failure
	}
	return nil, nil, retryAfter(a.header, c.o.Now()), failure
}

// interpret returns what an answer says. It does not decode the first page if that has not changed.
func (l *list[T]) interpret(a *answer, n int) (*page[T], *Error) {
	if n > 0 || l.progress == nil { // a fingerprint says nothing of other pages
		return interpret(a, l.op.decode)
	}
	found := fingerprint(l.client.seed, a.body)
	if found != (Fingerprint{}) && found == l.known && a.status < 300 {
		return &page[T]{unchanged: true}, nil
	}
	p, failure := interpret(a, l.op.decode)
	if failure == nil {
		p.fingerprint = found
	}
	return p, failure
}

// lazy is a value that is computed only if it is logged.
type lazy func() string

// String implements fmt.Stringer.
func (f lazy) String() string { return f() }

// logAttempt logs a request and what came of it.
func (l *list[T]) logAttempt(n, attempt int, took time.Duration, outcome ...any) {
	level.Debug(log.WithSuffix(l.client.o.Logger, outcome...)).Log(
		"msg", "API request", "operation", l.op.name, "region_id", l.client.o.RegionID, "instance_id", l.key,
		"page", l.first+n, "attempt", attempt, "duration", took,
	)
}

// release releases the place among the requests in flight, if there is one.
func (l *list[T]) release() {
	if l.place != nil {
		l.place.Release()
		l.place = nil
	}
}
