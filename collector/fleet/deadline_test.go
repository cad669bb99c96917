package fleet

import (
	"net/http"
	"testing"
	"time"
)

func TestDeadlineOfAScrape(t *testing.T) {
	d := Deadlines{Timeout: 10 * time.Second, Offset: 500 * time.Millisecond}
	for header, want := range map[string]time.Duration{
		"": 9500 * time.Millisecond, "4": 3500 * time.Millisecond, "0.3": 300 * time.Millisecond, "0.5": 500 * time.Millisecond,
		"nonsense": 9500 * time.Millisecond, "-1": 9500 * time.Millisecond, "NaN": 9500 * time.Millisecond, "1e300": 9500 * time.Millisecond,
		"0": 9500 * time.Millisecond, "1e999": 9500 * time.Millisecond, "86400": 86400*time.Second - 500*time.Millisecond,
		"86401": 9500 * time.Millisecond, "1e-10": 9500 * time.Millisecond, "0.001": time.Millisecond,
	} {
		if got := d.of(http.Header{"X-Prometheus-Scrape-Timeout-Seconds": {header}}); got != want {
			t.Errorf("%q: %v, want %v", header, got, want)
		}
	}
}
