package apiclient_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"starrocks_backup_exporter/apiclient"
)

// Turns go by rank, then by who came first; who gives up takes nobody's turn and no token with him.
func TestLimiterTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := apiclient.NewLimiter(1, 1)
		began := time.Now()
		var mu sync.Mutex
		var order []int
		var all sync.WaitGroup
		wait := func(ctx context.Context, name, rank int) {
			all.Go(func() {
				if err := l.Wait(ctx, rank); (err != nil) != (name < 0) {
					t.Errorf("%d: %v", name, err)
				}
				mu.Lock()
				defer mu.Unlock()
				order = append(order, name)
			})
			synctest.Wait() // so that they come one after the other
		}
		hasty, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		wait(t.Context(), 0, 0) // takes the burst
		wait(t.Context(), 1, 0) // has the turn, and waits for the rate
		for n := range 5 {
			wait(hasty, -1-n, 9)
		}
		wait(t.Context(), 4, 0)
		wait(t.Context(), 5, 0)
		wait(t.Context(), 2, 7)
		wait(t.Context(), 3, 7)
		all.Wait()
		order = slices.DeleteFunc(order, func(name int) bool { return name < 0 })
		if !slices.Equal(order, []int{0, 1, 2, 3, 4, 5}) || time.Since(began) != 5*time.Second {
			t.Errorf("%v in %v", order, time.Since(began))
		}
	})
}
