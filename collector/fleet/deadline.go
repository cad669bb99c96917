package fleet

import (
	"context"
	"math"
	"net/http"
	"strconv"
	"time"
)

// Deadlines says how long a scrape may take.
type Deadlines struct {
	Timeout time.Duration // if Prometheus names none
	Offset  time.Duration // taken off, so that the answer arrives in time
}

// Scrape scrapes within the time that a request leaves, even if the client goes away: a closed browser is no reason to count reads as
// timed out.
func (d Deadlines) Scrape(s *Scraper, r *http.Request) *Result {
	deadline := d.of(r.Header)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), deadline)
	defer cancel()
	return s.Scrape(ctx, deadline)
}

// of returns the time that Prometheus gives, less the offset.
func (d Deadlines) of(header http.Header) time.Duration {
	const shortest, longest = time.Millisecond, 24 * time.Hour
	timeout := d.Timeout
	s, err := strconv.ParseFloat(header.Get("X-Prometheus-Scrape-Timeout-Seconds"), 64)
	if err == nil && !math.IsNaN(s) && s >= shortest.Seconds() && s <= longest.Seconds() {
		timeout = time.Duration(s * float64(time.Second))
	}
	if timeout > d.Offset {
		timeout -= d.Offset
	}
	return timeout
}
