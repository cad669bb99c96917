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

// Memory limits the memory of answers in flight, over all clients, and reuses it.
type Memory struct {
	limit *semaphore.Weighted
	bytes int64
	free  sync.Pool
}

// buffer is an answer's body.
type buffer struct {
	bytes.Buffer

	reserved int64
}

// NewMemory returns a limit of so many bytes.
func NewMemory(limit int64) *Memory {
	return &Memory{limit: semaphore.NewWeighted(limit), bytes: limit, free: sync.Pool{New: func() any { return new(buffer) }}}
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
	b.reserved = 0
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
		if err := m.limit.Acquire(ctx, more); err != nil {
			return err
		}
		b.reserved += more
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

// release frees a buffer for other answers. Very large ones are left to the garbage collector.
func (m *Memory) release(b *buffer) {
	m.limit.Release(b.reserved)
	if b.Cap() <= 2*pageBytes {
		m.free.Put(b)
	}
}
