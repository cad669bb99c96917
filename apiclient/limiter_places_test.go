package apiclient

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"
)

// take acquires a place, which it may wait for.
func take(t *testing.T, l *Limiter, read int) *Place {
	t.Helper()
	place, err := l.Acquire(t.Context(), 0, read)
	if err != nil {
		t.Fatal(err)
	}
	return place
}

// A reload changes the rate and the burst.
func TestLimiterSetRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(rate.Inf, 1, 10)
		l.Set(1, 3, 10)
		time.Sleep(time.Minute) // until the burst is full
		began := time.Now()
		for range 5 {
			take(t, l, 0)
		}
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("five requests take %v", took)
		}
	})
}

// A place that is released goes to the next that waits.
func TestLimiterRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(rate.Inf, 1, 1)
		first := take(t, l, 0)
		second := make(chan *Place)
		go func() { second <- take(t, l, 0) }()
		synctest.Wait()
		first.Release()
		if synctest.Wait(); l.inFlight != 1 || len(l.waiting) != 0 {
			t.Errorf("%d in flight, %d waiting", l.inFlight, len(l.waiting))
		}
		if (<-second).Release(); l.inFlight != 0 {
			t.Errorf("%d in flight", l.inFlight)
		}
	})
}

// Each read has a number, and keeps it for its later requests.
func TestLimiterReads(t *testing.T) {
	l := NewLimiter(rate.Inf, 1, 10)
	for n, read := range []int{0, 0, 1, 0, 2} {
		if want, got := []int{1, 2, 1, 3, 2}[n], take(t, l, read).ticket; got != want {
			t.Errorf("request %d is part of read %d, want %d", n, got, want)
		}
	}
}

// A request that gives up leaves neither a place nor a turn behind: while it waits for its turn, while it waits for the rate, and in the
// moment in which its turn comes.
func TestLimiterGivingUp(t *testing.T) {
	t.Run("for the turn", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := NewLimiter(rate.Inf, 1, 1)
			place := take(t, l, 0)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := l.Acquire(ctx, 0, 0); err == nil || l.inFlight != 1 || len(l.waiting) != 0 {
				t.Errorf("%v, %d in flight, %d waiting", err, l.inFlight, len(l.waiting))
			}
			place.Release()
		})
	})
	t.Run("for the rate", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := NewLimiter(1, 1, 2)
			take(t, l, 0)
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				if _, err := l.Acquire(ctx, 0, 0); err == nil {
					t.Error("acquired after the cancellation")
				}
			}()
			synctest.Wait()
			next := make(chan time.Duration)
			began := time.Now()
			go func() {
				take(t, l, 0)
				next <- time.Since(began)
			}()
			synctest.Wait()
			cancel()
			if waited := <-next; waited != time.Second || l.inFlight != 2 || l.granted {
				t.Errorf("the next waited %v; %d in flight, granted: %v", waited, l.inFlight, l.granted)
			}
		})
	})
	t.Run("as its turn comes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := NewLimiter(rate.Inf, 1, 1)
			take(t, l, 0)
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				if place, err := l.Acquire(ctx, 0, 0); err == nil {
					place.Release()
				}
			}()
			synctest.Wait()
			next := false
			patient, leave := context.WithTimeout(t.Context(), time.Second)
			defer leave()
			go func() {
				_, err := l.Acquire(patient, 0, 0)
				next = err == nil
			}()
			synctest.Wait()
			l.mu.Lock()
			l.inFlight--
			cancel() // it sees the cancellation, and waits for the lock as its turn comes
			l.grant()
			l.mu.Unlock()
			if synctest.Wait(); !next || l.inFlight != 1 || l.granted {
				t.Errorf("the next has a place: %v; %d in flight, granted: %v", next, l.inFlight, l.granted)
			}
		})
	})
}
