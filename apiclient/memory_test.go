package apiclient

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/iotest"
	"testing/synctest"
)

// A body of up to the limit is read whole, whether or not the server says how long it is. It holds about what it needs.
func TestMemoryReadsBodies(t *testing.T) {
	for _, limit := range []int{1000, firstBytes, 3 * firstBytes, 10*firstBytes + 1} {
		for _, size := range []int{0, 1, limit - 1, limit, limit + 1, 2 * limit} {
			for _, length := range []int64{int64(size), -1} {
				m, body := NewMemory(1<<30), bytes.Repeat([]byte("x"), size)
				b, err := m.read(t.Context(), &http.Response{ContentLength: length, Body: io.NopCloser(bytes.NewReader(body))}, limit)
				if size > limit {
					if !errors.Is(err, errTooLarge) {
						t.Errorf("%d bytes of at most %d, length %d: %v", size, limit, length, err)
					}
					continue
				}
				if err != nil || !bytes.Equal(b.Bytes(), body) {
					t.Fatalf("%d bytes of at most %d, length %d: %v", size, limit, length, err)
				}
				if most := int64(max(firstBytes, 2*size)) + firstBytes; b.reserved > most || int64(b.Cap()) > most+bytes.MinRead {
					t.Errorf("%d bytes of at most %d, length %d: %d set aside, %d taken", size, limit, length, b.reserved, b.Cap())
				}
				m.release(b)
				if !m.limit.TryAcquire(1 << 30) {
					t.Fatal("memory is still set aside")
				}
			}
		}
	}
}

// A body that breaks or that ends early returns what was set aside. So does one whose turn does not come.
func TestMemoryAfterFailures(t *testing.T) {
	m := NewMemory(firstBytes)
	broken := errors.New("broken")
	part := bytes.NewReader(make([]byte, 100))
	_, err := m.read(t.Context(), &http.Response{ContentLength: -1, Body: io.NopCloser(io.MultiReader(part, iotest.ErrReader(broken)))}, 1000)
	if !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	if !m.limit.TryAcquire(firstBytes) {
		t.Fatal("memory is still set aside")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = m.read(ctx, &http.Response{ContentLength: 1, Body: io.NopCloser(bytes.NewReader([]byte("x")))}, 1000)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	m.limit.Release(firstBytes)
	// A body larger than the whole limit is read all the same, on its own.
	large := io.NopCloser(bytes.NewReader(make([]byte, 5*firstBytes)))
	b, err := m.read(t.Context(), &http.Response{ContentLength: -1, Body: large}, 5*firstBytes)
	if err != nil || b.Len() != 5*firstBytes || b.reserved != firstBytes {
		t.Fatalf("%v", err)
	}
	m.release(b)
	if !m.limit.TryAcquire(firstBytes) {
		t.Error("memory is still set aside")
	}
}

// A body that stalls holds only as much as has arrived, and one that finds no memory left waits for it.
func TestMemoryOfBodiesThatStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory(3 * firstBytes)
		stalled, writer := io.Pipe()
		done := make(chan error, 2)
		read := func(body io.Reader, size int64) {
			b, err := m.read(t.Context(), &http.Response{ContentLength: size, Body: io.NopCloser(body)}, taskBytes)
			if err == nil {
				m.release(b)
			}
			done <- err
		}
		go read(stalled, 3*firstBytes)
		go read(bytes.NewReader(make([]byte, firstBytes)), firstBytes)
		synctest.Wait()
		if len(done) != 1 {
			t.Fatal("a body that stalls holds up another")
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		m.limit.TryAcquire(2 * firstBytes)
		m.spare <- struct{}{} // another body exceeds the limit
		go func() {
			_, _ = writer.Write(make([]byte, 3*firstBytes))
			_ = writer.Close()
		}()
		synctest.Wait()
		if len(done) != 0 {
			t.Error("took more than the limit")
		}
		m.limit.Release(2 * firstBytes)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// Bodies that arrive side by side, and leave no memory for each other, do not wait for ever: one after another exceeds the limit.
func TestMemoryOfBodiesSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory(3 * firstBytes)
		var arriving []*io.PipeWriter
		done := make(chan error, 3)
		for range cap(done) {
			body, writer := io.Pipe()
			arriving = append(arriving, writer)
			go func() {
				b, err := m.read(t.Context(), &http.Response{ContentLength: -1, Body: body}, taskBytes)
				if err == nil {
					m.release(b)
				}
				done <- err
			}()
		}
		synctest.Wait() // all have as much as there is
		for _, w := range arriving {
			_, _ = w.Write(make([]byte, firstBytes))
		}
		for _, w := range arriving {
			go func() {
				_, _ = w.Write(make([]byte, 3*firstBytes))
				_ = w.Close()
			}()
		}
		for range cap(done) {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if !m.limit.TryAcquire(3 * firstBytes) {
			t.Error("memory is still set aside")
		}
	})
}

// A page of one task cannot be made smaller, so it may be larger: a backup of 20,000 tables must be readable.
func TestLargestBody(t *testing.T) {
	for size, want := range map[int]int{1: taskBytes, 2: pageBytes, 50: pageBytes} {
		if got := largestBody(size); got != want {
			t.Errorf("a page of %d tasks may have %d bytes, want %d", size, got, want)
		}
	}
}
