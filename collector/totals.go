package collector

import (
	"maps"
	"sync"
	"time"

	"starrocks_backup_exporter/apiclient"
	"starrocks_backup_exporter/config"
)

// forgetAfter is how long a task is remembered after the first read that did not list it,
// so that an entry missed on a page is not counted twice.
const forgetAfter = 24 * time.Hour

// InstanceTotals is what is counted of an instance while the exporter runs.
type InstanceTotals struct {
	Errors   map[apiclient.Reason]int // failed reads
	Finished map[apiclient.Status]int // tasks seen to end
	LastRead time.Time                // zero until it was read in full
	Requests int                      // that a read on its own took; 0 where there was none
}

// Totals outlives scrapes and reloads. It knows the configured instances and forgets the others.
type Totals struct {
	mu        sync.Mutex
	instances map[instanceKey]*instanceMemory
}

type instanceKey struct{ regionID, instanceID string }

type instanceMemory struct {
	InstanceTotals
	firstRead time.Time
	seen      map[string]seenTask // by BackupTaskId
	contents  Contents
	reason    apiclient.Reason // of the last read; empty where it succeeded
	turn      time.Time        // when its turn came last
}

type seenTask struct {
	ended  bool
	missed time.Time // the first read since that did not list it; zero while it is listed
}

func keyOf(i config.Instance) instanceKey { return instanceKey{i.RegionID, i.InstanceID} }

// keep starts counting new instances and forgets those that are not configured any more.
func (t *Totals) keep(targets []Target) {
	t.mu.Lock()
	defer t.mu.Unlock()
	kept := make(map[instanceKey]*instanceMemory, len(targets))
	for _, target := range targets {
		k := keyOf(target.Instance)
		m := t.instances[k]
		if m == nil {
			m = &instanceMemory{
				InstanceTotals: InstanceTotals{Errors: map[apiclient.Reason]int{}, Finished: map[apiclient.Status]int{}},
				seen:           map[string]seenTask{},
			}
		}
		kept[k] = m
	}
	t.instances = kept
}

// of returns a copy of an instance's totals, and false where it is not configured any more.
func (t *Totals) of(k instanceKey) (InstanceTotals, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	m, ok := t.instances[k]
	if !ok {
		return InstanceTotals{}, false
	}
	return InstanceTotals{Errors: maps.Clone(m.Errors), Finished: maps.Clone(m.Finished), LastRead: m.LastRead, Requests: m.Requests}, true
}

func (t *Totals) contents(k instanceKey) Contents {
	t.mu.Lock()
	defer t.mu.Unlock()
	if m := t.instances[k]; m != nil {
		return m.contents
	}
	return nil
}

// hadTurn notes that an instance's turn came.
func (t *Totals) hadTurn(k instanceKey, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if m := t.instances[k]; m != nil {
		m.turn = at
	}
}

// turn is when an instance's turn came last.
func (t *Totals) turn(k instanceKey) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	if m := t.instances[k]; m != nil {
		return m.turn
	}
	return time.Time{}
}

// took notes how many requests a read took.
func (t *Totals) took(k instanceKey, requests int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if m := t.instances[k]; m != nil {
		m.Requests = requests
	}
}

// failed counts a failed read. It returns the reason of the read before.
func (t *Totals) failed(k instanceKey, reason apiclient.Reason) (before apiclient.Reason) {
	t.mu.Lock()
	defer t.mu.Unlock()
	m := t.instances[k]
	if m == nil {
		return reason
	}
	before, m.reason = m.reason, reason
	m.Errors[reason]++
	return before
}

// read counts a full read. It returns the reason why the read before failed, if it did.
func (t *Totals) read(k instanceKey, backups []apiclient.Backup, contents Contents, at time.Time) (before apiclient.Reason) {
	t.mu.Lock()
	defer t.mu.Unlock()
	m := t.instances[k]
	if m == nil {
		return ""
	}
	before, m.reason = m.reason, ""
	m.contents, m.LastRead = contents, at
	m.countFinished(backups, at)
	return before
}

// countFinished counts the tasks that ended since the first read: those it saw unfinished before, and those whose end
// lies after it. An old task that comes back from a missed page is neither.
func (m *instanceMemory) countFinished(backups []apiclient.Backup, at time.Time) {
	first := m.firstRead.IsZero()
	if first {
		m.firstRead = at
	}
	listed := make(map[string]struct{}, len(backups))
	for i := range backups {
		b := &backups[i]
		before, known := m.seen[b.TaskID]
		if b.Status.Ended() && !before.ended && !first && (known || end(b).After(m.firstRead)) {
			m.Finished[b.Status]++
		}
		m.seen[b.TaskID] = seenTask{ended: before.ended || b.Status.Ended()}
		listed[b.TaskID] = struct{}{}
	}
	for id, s := range m.seen {
		if _, ok := listed[id]; ok {
			continue
		}
		if s.missed.IsZero() {
			s.missed = at
			m.seen[id] = s
		}
		if at.Sub(s.missed) > forgetAfter {
			delete(m.seen, id)
		}
	}
}
