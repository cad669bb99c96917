package fleet

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
	"git.example.com/starrocks/starrocks_backup_exporter/collector/health"
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
	verify func(s *slot, own *health.Facts, err error) bool
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
	facts, err := r.facts(ctx, s, place, &p)
	r.took(s, p, first, err)
	if r.verify == nil || r.verify(s, facts, err) {
		r.finish(s, facts, err)
	}
}

// took notes the turn of an instance and the requests of its read. A read that was cut short after an answer keeps its place in the order,
// to finish next time. If it was the first, it will never fit, and moves to the end.
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
	took := r.now().Sub(s.began)
	switch {
	case err == nil:
		h.totals.Requests, h.totals.ReadTime, h.totals.Listed = p.Requests, took, false
	case p.Requests > 0: // learned from a read that was cut short
		h.totals.Requests = max(h.totals.Requests, p.Expected)
		h.totals.ReadTime = max(h.totals.ReadTime, took*time.Duration(p.Expected)/time.Duration(p.Requests))
	}
}

// facts reads all tasks of an instance. If the answer is that of the last read, so are the facts.
func (r instanceReader) facts(ctx context.Context, s *slot, place *apiclient.Place, p *apiclient.Progress) (*health.Facts, error) {
	known, now := r.lastFacts(s), r.now()
	list := health.NewList(known.Sizes, len(known.Tasks), now)
	foreign := 0
	request := apiclient.DescribeBackupsRequest{InstanceID: s.target.InstanceID, Place: place, Progress: p}
	if !now.Before(known.ReadAt) { // else the clock was set back, and a task may lie ahead of it
		request.Known = known.Answer
	}
	for b, err := range s.target.Lister.Backups(ctx, request) {
		switch {
		case errors.Is(err, apiclient.ErrUnchanged):
			known.ReadAt = now
			return &known, nil
		case err != nil:
			return nil, err
		case b.InstanceID != "" && b.InstanceID != s.target.InstanceID:
			foreign++
		default:
			list.Add(b)
		}
	}
	r.noteForeign(s, foreign)
	facts, err := health.Examine(list, r.fleet.SubtaskLimit)
	if err == nil && facts.Certain {
		facts.Answer = p.Fingerprint
	}
	return facts, err
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
	logger := log.WithSuffix(
		r.logger, "instance_id", s.target.InstanceID, "region_id", s.target.RegionID, "account", s.target.Account, "tasks", foreign,
	)
	if foreign == 0 {
		level.Info(logger).Log("msg", "the API no longer lists tasks of another instance")
		return
	}
	level.Warn(logger).Log("msg", "the API lists tasks of another instance, dropping them")
}
