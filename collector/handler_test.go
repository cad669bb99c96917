package collector

import (
	"net/http"
	"testing"
)

func TestAcceptsGzip(t *testing.T) {
	for value, want := range map[string]bool{
		"": false, "identity": false, "gzip": true, "deflate, GZIP;q=0.5": true, "gzip; q=0": false, "gzip;q=0.0, br": false, "gzip;q=1": true,
		"xgzip": false, "gzip;q=odd": false,
	} {
		if got := acceptsGzip(http.Header{"Accept-Encoding": {value}}); got != want {
			t.Errorf("%q: %v", value, got)
		}
	}
}
