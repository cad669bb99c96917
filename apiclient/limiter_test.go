package apiclient

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"
)

// Turns go by rank, then by the age of the read. A request that gives up takes no turn, no token and no place.
func TestLimiterTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(1, 1, 1)
		began := time.Now()
		var mu sync.Mutex
		var order []int
		var all sync.WaitGroup
		wait := func(ctx context.Context, name, rank, read int) {
			all.Go(func() {
				place, err := l.Acquire(ctx, rank, read)
				if (err != nil) != (name < 0) {
					t.Errorf("%d: %v", name, err)
				}
				if err != nil {
					return
				}
				defer place.Release()
				mu.Lock()
				defer mu.Unlock()
				order = append(order, name)
			})
			synctest.Wait() // so that they arrive one after another
		}
		hasty, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		wait(t.Context(), 0, 0, 0) // takes the burst
		wait(t.Context(), 1, 0, 0) // has the turn, and waits for the rate
		for n := range 5 {
			wait(hasty, -1-n, 9, 0)
		}
		wait(t.Context(), 4, 0, 0)
		wait(t.Context(), 5, 0, 0)
		wait(t.Context(), 2, 7, 0)
		wait(t.Context(), 3, 7, 0)
		wait(t.Context(), 6, 0, 99)
		all.Wait()
		if !slices.Equal(order, []int{0, 1, 2, 3, 4, 5, 6}) || time.Since(began) != 6*time.Second {
			t.Errorf("%v in %v", order, time.Since(began))
		}
	})
}

// Never are more requests in flight than there are places, and however many give up, no place and no turn is lost.
func TestLimiterPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const places = 3
		l := NewLimiter(rate.Inf, 1, places)
		var mu sync.Mutex
		inFlight, most, served := 0, 0, 0
		var all sync.WaitGroup
		random := rand.New(rand.NewPCG(1, 1)) //nolint:gosec // a test's choices
		for range 500 {
			patience, takes := time.Duration(random.IntN(200))*time.Millisecond, time.Duration(random.IntN(5))*time.Millisecond
			arrives := time.Duration(random.IntN(200)) * time.Millisecond
			all.Go(func() {
				time.Sleep(arrives)
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				place, err := l.Acquire(ctx, 0, 0)
				if err != nil {
					return
				}
				mu.Lock()
				inFlight++
				most, served = max(most, inFlight), served+1
				mu.Unlock()
				time.Sleep(takes)
				mu.Lock()
				inFlight--
				mu.Unlock()
				place.Release()
			})
		}
		all.Wait()
		if most != places || served < 50 || l.inFlight != 0 || l.granted || len(l.waiting) != 0 {
			t.Errorf("%d in flight at most, %d served, left: %d in flight, granted %v, %d waiting", most, served, l.inFlight, l.granted,
				len(l.waiting))
		}
	})
}

// A reload that allows more requests in flight lets those go that wait.
func TestLimiterSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(rate.Inf, 1, 1)
		if _, err := l.Acquire(t.Context(), 0, 0); err != nil {
			t.Fatal(err)
		}
		granted := false
		go func() {
			_, err := l.Acquire(t.Context(), 0, 0)
			granted = err == nil
		}()
		synctest.Wait()
		if granted {
			t.Error("two in flight")
		}
		l.Set(rate.Inf, 1, 2)
		synctest.Wait()
		if !granted {
			t.Error("still waiting")
		}
	})
}

// The budget covers every request in flight: all their connections may be dead at once.
func TestRetryBudgetCoversTheRequestsInFlight(t *testing.T) {
	l := NewLimiter(rate.Inf, 1, 10*minRetryBudget)
	for n := range 10 * minRetryBudget {
		if !l.mayRetry(backupRank) {
			t.Fatalf("%d retries", n)
		}
	}
	if l.mayRetry(backupRank) {
		t.Error("no end")
	}
}

// Retries stop once most attempts fail, and return with the successes.
func TestRetryBudget(t *testing.T) {
	l := NewLimiter(rate.Inf, 1, 1)
	allowed := 0
	for range 100 {
		if l.mayRetry(backupRank) {
			allowed++
		}
	}
	if allowed != minRetryBudget {
		t.Errorf("%d retries during an outage", allowed)
	}
	l.succeeded()
	if !l.mayRetry(backupRank) || l.mayRetry(backupRank) {
		t.Error("a success allows one retry")
	}
	for range minRetryBudget / 2 {
		l.succeeded()
	}
	if l.mayRetry(optionalRank) {
		t.Error("an optional operation takes what is left to scrapes")
	}
	l.succeeded()
	if !l.mayRetry(optionalRank) || l.mayRetry(optionalRank) {
		t.Error("beyond that, a success allows one retry of an optional operation")
	}
}

// Optional operations leave half of the places to the others.
func TestOptionalOperationsLeavePlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(rate.Inf, 1, 4)
		ctx, cancel := context.WithCancel(t.Context())
		for range 5 {
			go l.Acquire(ctx, optionalRank, 0) //nolint:errcheck // some wait until the end
		}
		synctest.Wait()
		if l.inFlight != 2 {
			t.Errorf("%d in flight", l.inFlight)
		}
		for _, want := range []int{3, 4} {
			if _, err := l.Acquire(ctx, backupRank, 0); err != nil || l.inFlight != want {
				t.Errorf("%v, %d in flight", err, l.inFlight)
			}
		}
		cancel()
	})
}
