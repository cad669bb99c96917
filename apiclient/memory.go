package apiclient

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"

	"golang.org/x/sync/semaphore"
)

const (
	// pageBytes is how large a page may be before it is requested in smaller ones.
	pageBytes = 4 << 20
	// taskBytes is how large a page of one task may be.
	taskBytes = 64 << 20
	// firstBytes is set aside for a body before it is read.
	firstBytes = 64 << 10
)

// errTooLarge ends a body that is larger than a page of its size may be.
var errTooLarge = errors.New("the body is too large")

// largestBody returns the limit for a page of some tasks.
func largestBody(size int) int {
	if size > 1 {
		return pageBytes
	}
	return taskBytes
}

// Memory limits the memory of answers in flight, over all clients, and reuses it. One body at a time may exceed the limit: otherwise,
// bodies that have each arrived in part could all wait for one another.
type Memory struct {
	limit *semaphore.Weighted
	bytes int64
	free  sync.Pool
	spare chan struct{} // has an element while a body exceeds the limit
}

// buffer is an answer's body.
type buffer struct {
	bytes.Buffer

	reserved int64
	exceeds  bool // the limit
}

// NewMemory returns a limit of limit bytes.
func NewMemory(limit int64) *Memory {
	return &Memory{
		limit: semaphore.NewWeighted(limit), bytes: limit, free: sync.Pool{New: func() any { return new(buffer) }}, spare: make(chan struct{}, 1),
	}
}

// read reads a body of at most limit bytes into a buffer, which the caller releases. It sets memory aside as the body arrives and waits
// while there is none, so that a body that stalls holds little of it.
func (m *Memory) read(ctx context.Context, res *http.Response, limit int) (*buffer, error) {
	if res.ContentLength > int64(limit) {
		return nil, errTooLarge
	}
	end := int64(limit) + 1 // one byte more shows where the body ends
	if res.ContentLength >= 0 {
		end = res.ContentLength + 1
	}
	b := m.free.Get().(*buffer)
	b.Reset()
	b.reserved, b.exceeds = 0, false
	err := m.fill(ctx, b, res.Body, end)
	if err == nil && b.Len() > limit {
		err = errTooLarge
	}
	if err != nil {
		m.release(b)
		return nil, err
	}
	return b, nil
}

// fill reads up to end bytes of a body, in steps that double what was read.
func (m *Memory) fill(ctx context.Context, b *buffer, body io.Reader, end int64) error {
	for {
		left := end - int64(b.Len())
		if left == 0 {
			return nil
		}
		step := min(left, max(firstBytes, int64(b.Len())))
		more := min(step, m.bytes-b.reserved)
		if err := m.reserve(ctx, b, more); err != nil {
			return err
		}
		// Not Grow, which would take twice as much; MinRead is what ReadFrom needs to find the end without growing the buffer.
		if size := b.Len() + int(step) + bytes.MinRead; b.Cap() < size {
			b.Buffer = *bytes.NewBuffer(append(make([]byte, 0, size), b.Bytes()...))
		}
		n, err := b.ReadFrom(io.LimitReader(body, step))
		if err != nil || n < step {
			return err
		}
	}
}

// reserve sets memory aside. It waits until there is some, or until no other body exceeds the limit.
func (m *Memory) reserve(ctx context.Context, b *buffer, more int64) error {
	switch {
	case b.exceeds:
		return nil
	case m.limit.TryAcquire(more):
		b.reserved += more
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	acquired := make(chan error, 1)
	go func() { acquired <- m.limit.Acquire(ctx, more) }()
	select {
	case err := <-acquired:
		if err == nil {
			b.reserved += more
		}
		return err
	case m.spare <- struct{}{}:
	}
	cancel()
	if <-acquired == nil { // at the same time
		<-m.spare
		b.reserved += more
		return nil
	}
	b.exceeds = true
	return nil
}

// release frees a buffer for other answers. Very large ones are left to the garbage collector.
func (m *Memory) release(b *buffer) {
	m.limit.Release(b.reserved)
	if b.exceeds {
		<-m.spare
	}
	if b.Cap() <= 2*pageBytes {
		m.free.Put(b)
	}
}
