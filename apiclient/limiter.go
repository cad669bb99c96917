package apiclient

import (
	"container/heap"
	"context"
	"sync"

	"golang.org/x/time/rate"
)

// Limiter limits the exporter's requests per second and in flight, per account and region, over all scrapes.
// A request holds its place from the moment it may be sent until it is answered. A read that waits for a retry holds none.
//
// Only one request at a time waits on rate.Limiter; the others queue. If many waited there and gave up together, only the last would
// return its token, and the debt of the others would delay later requests. Of equal rank, the read that began first goes first: a read of
// many pages ends before later reads take its time, and if time is too short for all reads, some of them end.
type Limiter struct {
	rate *rate.Limiter

	mu       sync.Mutex
	places   int
	inFlight int
	granted  bool // a request has the turn
	waiting  turns
	tickets  int // given out, one to each read
	retries  int // that may still be made
}

const (
	minRetryBudget   = 20
	retriesBySuccess = 1 // so retries stop if most attempts fail
)

// The ranks of operations. The highest goes first.
const (
	discoveryRank = 1 // finds the instances whose backups are read
	backupRank    = 0
	optionalRank  = -1 // no scrape waits for these
)

// NewLimiter returns a limiter of limit requests per second in bursts of burst, with at most inFlight unanswered.
func NewLimiter(limit rate.Limit, burst, inFlight int) *Limiter {
	return &Limiter{rate: rate.NewLimiter(limit, burst), places: inFlight, retries: max(minRetryBudget, inFlight)}
}

// Set changes the limits.
func (l *Limiter) Set(limit rate.Limit, burst, inFlight int) {
	l.rate.SetLimit(limit)
	l.rate.SetBurst(burst)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.places = inFlight
	l.grant()
}

// Place is a place among the requests in flight.
type Place struct {
	limiter *Limiter
	ticket  int // of the read that the request is part of
}

// Release frees the place, once the request is answered.
func (p *Place) Release() {
	p.limiter.mu.Lock()
	defer p.limiter.mu.Unlock()
	p.limiter.inFlight--
	p.limiter.grant()
}

// Acquire waits until a request may be sent, or returns the error of ctx if that ends first. The highest rank goes first, then the lowest
// ticket. The first request of a read passes 0 and gets a new ticket; its later requests pass the ticket of an earlier place.
func (l *Limiter) Acquire(ctx context.Context, rank, ticket int) (*Place, error) {
	ticket, err := l.takeTurn(ctx, rank, ticket)
	if err != nil {
		return nil, err
	}
	err = l.rate.Wait(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.granted = false
	if err != nil {
		l.inFlight--
	}
	l.grant()
	return &Place{l, ticket}, err
}

func (l *Limiter) takeTurn(ctx context.Context, rank, ticket int) (int, error) {
	l.mu.Lock()
	if ticket == 0 {
		l.tickets++
		ticket = l.tickets
	}
	mine := &turn{rank: rank, ticket: ticket, come: make(chan struct{})}
	heap.Push(&l.waiting, mine)
	l.grant()
	l.mu.Unlock()
	select {
	case <-mine.come:
		return ticket, nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if mine.index >= 0 {
		heap.Remove(&l.waiting, mine.index)
		return 0, ctx.Err()
	}
	l.granted = false // granted concurrently with the cancellation
	l.inFlight--
	l.grant()
	return 0, ctx.Err()
}

// grant lets the next waiter proceed and reserves its place. Optional reads take at most half of the places: if they hang, a scrape must
// have enough left for an instance that hangs, too. The caller holds the lock.
func (l *Limiter) grant() {
	if l.granted || len(l.waiting) == 0 {
		return
	}
	places := l.places
	if l.waiting[0].rank <= optionalRank {
		places = max(1, places/2)
	}
	if l.inFlight < places {
		l.granted = true
		l.inFlight++
		close(heap.Pop(&l.waiting).(*turn).come)
	}
}

// succeeded notes that an attempt succeeded, which allows retries of others.
func (l *Limiter) succeeded() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.retries = min(max(minRetryBudget, l.places), l.retries+retriesBySuccess)
}

// mayRetry spends one retry and reports whether one was left, so that an API that is down is not retried. Optional reads leave the last ten
// to scrapes.
func (l *Limiter) mayRetry(rank int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	left := 0
	if rank <= optionalRank {
		left = minRetryBudget / 2
	}
	if l.retries <= left {
		return false
	}
	l.retries--
	return true
}

type turn struct {
	rank, ticket int
	index        int // in the heap; -1 once granted
	come         chan struct{}
}

// turns is a heap.Interface: the highest rank first, then the read that began first.
type turns []*turn

func (t turns) Len() int { return len(t) }

func (t turns) Less(i, j int) bool {
	return t[i].rank > t[j].rank || t[i].rank == t[j].rank && t[i].ticket < t[j].ticket
}

func (t turns) Swap(i, j int) {
	t[i], t[j] = t[j], t[i]
	t[i].index, t[j].index = i, j
}

// Push implements heap.Interface.
func (t *turns) Push(x any) {
	one := x.(*turn)
	one.index = len(*t)
	*t = append(*t, one)
}

// Pop implements heap.Interface.
func (t *turns) Pop() any {
	last := len(*t) - 1
	one := (*t)[last]
	one.index = -1
	*t = (*t)[:last]
	return one
}
