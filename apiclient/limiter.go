package apiclient

import (
	"context"

	"golang.org/x/time/rate"
)

// Limiter is our own limit of requests. One request at a time waits for the rate, the others for their turn: of many that wait
// for a rate.Limiter and give up together only the last gives its token back, and the debt of the others starves what comes next.
type Limiter struct {
	rate *rate.Limiter
	turn chan struct{}
}

// NewLimiter returns a limit of so many requests a second, in bursts of burst.
func NewLimiter(limit rate.Limit, burst int) *Limiter {
	return &Limiter{rate.NewLimiter(limit, burst), make(chan struct{}, 1)}
}

// Set changes the limit.
func (l *Limiter) Set(limit rate.Limit, burst int) {
	l.rate.SetLimit(limit)
	l.rate.SetBurst(burst)
}

// Wait returns when a request may be sent, or the error of the context that ended before.
func (l *Limiter) Wait(ctx context.Context) error {
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-l.turn }()
	return l.rate.Wait(ctx)
}
