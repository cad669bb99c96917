package apiclient

import (
	"context"
	"runtime"
	"testing"
)

// Who gives up in the very moment in which his turn comes passes it on.
func TestATurnThatComesTooLate(t *testing.T) {
	l := NewLimiter(1, 1)
	if err := l.takeTurn(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	gaveUp := make(chan error)
	go func() { gaveUp <- l.takeTurn(ctx, 0) }()
	for waits := false; !waits; runtime.Gosched() {
		l.mu.Lock()
		if waits = len(l.waiting) == 1; waits {
			cancel()
			l.pass()
		}
		l.mu.Unlock()
	}
	if err := <-gaveUp; err == nil {
		l.passTurn()
	}
	if l.busy || len(l.waiting) > 0 {
		t.Errorf("busy: %v, waiting: %d", l.busy, len(l.waiting))
	}
}
