package fleet

import (
	"context"
	"sync"

	"github.com/go-kit/log/level"

	"starrocks_backup_exporter/apiclient"
	"starrocks_backup_exporter/collector/health"
)

// reader reads the backups of instances.
type reader interface {
	// read returns when every slot has a result or ctx is done.
	read(ctx context.Context, slots []*slot)
}

// instanceReader reads each instance on its own.
type instanceReader struct {
	*progress
	// verify is told of each read and reports whether its outcome counts; nil if all do.
	verify func(s *slot, own *health.List, err error) bool
}

// read starts a read whenever there is a place for its first request. A read that waits for a retry has none, and holds up no other.
func (r instanceReader) read(ctx context.Context, slots []*slot) {
	var reads sync.WaitGroup
	defer reads.Wait()
	for n, s := range r.inTurn(slots) {
		place, err := s.target.Lister.Acquire(ctx)
		if err != nil {
			return // ctx ended: the turn of the others did not come
		}
		r.begin(s)
		reads.Go(func() { r.readOne(ctx, s, place, n == 0) })
	}
}

// readOne reads an instance. First says that its turn came before that of all others.
func (r instanceReader) readOne(ctx context.Context, s *slot, place *apiclient.Place, first bool) {
	var p apiclient.Progress
	list, err := r.list(ctx, s, place, &p)
	r.took(s, p, first, err)
	if r.verify == nil || r.verify(s, list, err) {
		r.finish(s, list, err)
	}
}

// took notes the turn of an instance and the requests of its read. A read that was getting on when the time was up keeps its place in the
// order, unless it was the first: then there will never be time for it, and others go first.
func (r instanceReader) took(s *slot, p apiclient.Progress, first bool, err error) {
	r.history.Lock()
	defer r.history.Unlock()
	h := r.history.instance(s.target)
	if h == nil {
		return
	}
	if err == nil || p.Requests == 0 || first {
		h.turn = s.began
	}
	if err == nil {
		h.totals.Requests, h.totals.Listed = p.Requests, false
	} else {
		h.totals.Requests = max(h.totals.Requests, p.Expected) // learned from a read that was cut short
	}
}

// list reads all tasks of an instance.
func (r instanceReader) list(ctx context.Context, s *slot, place *apiclient.Place, p *apiclient.Progress) (*health.List, error) {
	list := health.NewList(r.sizes(s), r.now())
	foreign := 0
	request := apiclient.DescribeBackupsRequest{InstanceID: s.target.InstanceID, Place: place, Progress: p}
	for b, err := range s.target.Lister.Backups(ctx, request) {
		switch {
		case err != nil:
			return nil, err
		case b.InstanceID != "" && b.InstanceID != s.target.InstanceID:
			foreign++
		default:
			list.Add(b)
		}
	}
	r.noteForeign(s, foreign)
	return list, nil
}

// noteForeign logs how many tasks of another instance the API listed, if the last list had another number.
func (r instanceReader) noteForeign(s *slot, foreign int) {
	r.history.Lock()
	defer r.history.Unlock()
	h := r.history.instance(s.target)
	if h == nil || h.foreign == foreign {
		return
	}
	h.foreign = foreign
	where := []any{"instance_id", s.target.InstanceID, "region_id", s.target.RegionID, "account", s.target.Account, "tasks", foreign}
	if foreign == 0 {
		level.Info(r.logger).Log(append([]any{"msg", "the API no longer lists tasks of another instance"}, where...)...)
		return
	}
	level.Warn(r.logger).Log(append([]any{"msg", "the API lists tasks of another instance, dropping them"}, where...)...)
}
