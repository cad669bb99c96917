package apiclient

import (
	"context"
	"sync"
	"testing"
)

// Who gives up in the very moment in which his turn comes passes it on.
func TestATurnThatComesTooLate(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20000 {
		l := NewLimiter(1, 1)
		if err := l.takeTurn(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		var other sync.WaitGroup
		other.Go(l.passTurn)
		if err := l.takeTurn(ended, 0); err == nil {
			l.passTurn()
		}
		other.Wait()
		if l.busy || len(l.waiting) > 0 {
			t.Fatalf("busy: %v, waiting: %d", l.busy, len(l.waiting))
		}
	}
}
