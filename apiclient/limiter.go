package apiclient

import (
	"container/heap"
	"context"
	"sync"

	"golang.org/x/time/rate"
)

// Limiter is our own limit of requests. One request at a time waits for the rate, the others wait for their turn: if many wait for a
// rate.Limiter and give up together, only the last returns its token, and the debt of the others starves later requests.
// The highest rank has the next turn: among calls of many pages, the one that is furthest continues, so that it ends before the deadline.
type Limiter struct {
	rate *rate.Limiter

	mu      sync.Mutex
	busy    bool // a request has the turn
	waiting turns
	arrived int
}

// NewLimiter returns a limit of so many requests a second, in bursts of burst.
func NewLimiter(limit rate.Limit, burst int) *Limiter {
	return &Limiter{rate: rate.NewLimiter(limit, burst)}
}

// Set changes the limit.
func (l *Limiter) Set(limit rate.Limit, burst int) {
	l.rate.SetLimit(limit)
	l.rate.SetBurst(burst)
}

// Wait returns when a request of this rank may be sent, or the error of the context if that ends first.
func (l *Limiter) Wait(ctx context.Context, rank int) error {
	if err := l.takeTurn(ctx, rank); err != nil {
		return err
	}
	defer l.passTurn()
	return l.rate.Wait(ctx)
}

func (l *Limiter) takeTurn(ctx context.Context, rank int) error {
	l.mu.Lock()
	if !l.busy {
		l.busy = true
		l.mu.Unlock()
		return nil
	}
	l.arrived++
	mine := &turn{rank: rank, arrived: l.arrived, come: make(chan struct{})}
	heap.Push(&l.waiting, mine)
	l.mu.Unlock()
	select {
	case <-mine.come:
		return nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if mine.index < 0 { // granted concurrently with the cancellation
		l.pass()
	} else {
		heap.Remove(&l.waiting, mine.index)
	}
	return ctx.Err()
}

func (l *Limiter) passTurn() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pass()
}

func (l *Limiter) pass() {
	if l.busy = len(l.waiting) > 0; l.busy {
		close(heap.Pop(&l.waiting).(*turn).come)
	}
}

type turn struct {
	rank, arrived int
	index         int // in the heap; -1 once granted
	come          chan struct{}
}

// turns is a heap.Interface: the highest rank first, then the first to arrive.
type turns []*turn

func (t turns) Len() int { return len(t) }

func (t turns) Less(i, j int) bool {
	return t[i].rank > t[j].rank || t[i].rank == t[j].rank && t[i].arrived < t[j].arrived
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
