package fleet

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/go-kit/log/level"

	"starrocks_backup_exporter/apiclient"
)

// reader reads the backups of instances.
type reader interface {
	// read returns when every slot has a result or ctx is done.
	read(ctx context.Context, slots []*slot)
}

// places limits the requests in flight.
type places chan struct{}

// take waits for a place. It reports false if ctx ended first.
func (p places) take(ctx context.Context) bool {
	select {
	case p <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (p places) free() { <-p }

// instanceReader reads each instance on its own.
type instanceReader struct {
	*progress
	places places
	// verify is told of each read and reports whether its outcome counts; nil if all do.
	verify func(s *slot, backups []apiclient.Backup, err error) bool
}

func (r instanceReader) read(ctx context.Context, slots []*slot) {
	var reads sync.WaitGroup
	defer reads.Wait()
	for _, s := range r.inTurn(slots) {
		if !r.places.take(ctx) {
			return
		}
		reads.Go(func() {
			defer r.places.free()
			r.readOne(ctx, s)
		})
	}
}

func (r instanceReader) readOne(ctx context.Context, s *slot) {
	began := r.begin(s)
	buffers := r.buffers.Get().(*apiclient.BufferPool)
	buffers.Reset()
	defer r.buffers.Put(buffers)
	backups, err := r.list(ctx, s.target, buffers)
	r.took(s, began, buffers.Answers(), err)
	if r.verify == nil || r.verify(s, backups, err) {
		r.finish(ctx, s, began, backups, err)
	}
}

// took notes the turn of an instance and the requests of its read. A read that only waited for our own limit was no turn.
func (r instanceReader) took(s *slot, began time.Time, requests int, err error) {
	r.history.Lock()
	defer r.history.Unlock()
	h := r.history.instance(s.target)
	if h == nil {
		return
	}
	if requests > 0 || sent(err) {
		h.turn = began
	}
	if err == nil {
		h.totals.Requests, h.totals.Listed = requests, false
	}
}

// sent reports whether a read sent a request before it ended with err.
func sent(err error) bool {
	var e *apiclient.Error
	return !errors.As(err, &e) || e.Attempts > 0
}

// list returns all tasks of an instance. Their subtasks are valid until the buffers are used again.
func (r instanceReader) list(ctx context.Context, t Target, buffers *apiclient.BufferPool) (backups []apiclient.Backup, err error) {
	for b, err := range t.Lister.Backups(ctx, apiclient.DescribeBackupsRequest{InstanceID: t.InstanceID, Buffers: buffers}) {
		if err != nil {
			return nil, err
		}
		backups = append(backups, b)
	}
	listed := len(backups)
	backups = slices.DeleteFunc(backups, func(b apiclient.Backup) bool { return b.InstanceID != "" && b.InstanceID != t.InstanceID })
	if n := listed - len(backups); n > 0 {
		level.Warn(r.logger).Log("msg", "the API listed tasks of another instance, dropping them",
			"instance_id", t.InstanceID, "region_id", t.RegionID, "tasks", n)
	}
	return backups, nil
}
