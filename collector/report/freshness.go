package report

import (
	"context"
	"sync"
	"time"

	"git.example.com/starrocks/starrocks_backup_exporter/collector/fleet"
)

const (
	freshFor = time.Minute     // an older collection is replaced before it is shown
	patience = 5 * time.Second // how long the page waits for that; then it shows what is known
)

// Scraper reads the fleet: a *fleet.Scraper.
type Scraper interface {
	Last() *fleet.Result
	Scrape(ctx context.Context, deadline time.Duration) *fleet.Result
}

// freshness collects anew if the last collection is too old. Its collections take as long as those of the last scrape may: one that
// ended with the patience of a person would count reads as timed out.
type freshness struct {
	scraper  Scraper
	deadline time.Duration // of a collection if no scrape has had a longer one
	now      func() time.Time

	mu       sync.Mutex
	underway chan struct{} // closed when the page's own collection ends; nil if there is none
}

// result returns the newest result, and whether a newer one is being collected.
func (f *freshness) result() (r *fleet.Result, collecting bool) {
	last := f.scraper.Last()
	if last != nil && f.now().Sub(last.At) <= freshFor {
		return last, false
	}
	done := f.collect(last)
	var tooLong <-chan time.Time // never, if there is nothing else to show
	if last != nil {
		timer := time.NewTimer(patience)
		defer timer.Stop()
		tooLong = timer.C
	}
	select {
	case <-done:
	case <-tooLong:
		collecting = true
	}
	if newest := f.scraper.Last(); newest != nil {
		return newest, collecting
	}
	return f.result() // a reload has come between
}

// collect begins a collection unless one of the page's own is under way.
func (f *freshness) collect(last *fleet.Result) <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.underway != nil {
		return f.underway
	}
	deadline := f.deadline
	if last != nil {
		deadline = max(deadline, last.Deadline)
	}
	done := make(chan struct{})
	f.underway = done
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), deadline)
		defer cancel()
		f.scraper.Scrape(ctx, deadline)
		f.mu.Lock()
		defer f.mu.Unlock()
		f.underway = nil
		close(done)
	}()
	return done
}
