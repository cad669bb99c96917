package collector

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"git.example.com/starrocks/starrocks_backup_exporter/apiclient"
)

// APIMetrics counts what the clients do. It implements apiclient.Observer and outlives reloads.
type APIMetrics struct {
	requests  *prometheus.CounterVec
	duration  *prometheus.HistogramVec
	retries   *prometheus.CounterVec
	limitWait *prometheus.CounterVec
	clockSkew *prometheus.GaugeVec
}

var _ apiclient.Observer = (*APIMetrics)(nil)

// NewAPIMetrics registers the metrics of the API's use with r.
func NewAPIMetrics(r prometheus.Registerer) *APIMetrics {
	f := promauto.With(r)
	return &APIMetrics{
		requests: f.NewCounterVec(prometheus.CounterOpts{
			Name: namespace + "api_requests_total",
			Help: "Requests to the API by HTTP status, or error without one.",
		}, []string{"operation", "region_id", "code"}),
		duration: f.NewHistogramVec(prometheus.HistogramOpts{
			Name:                            namespace + "api_request_duration_seconds",
			Help:                            "Duration of requests to the API, to the last byte of the body.",
			Buckets:                         []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
			NativeHistogramBucketFactor:     1.1,
			NativeHistogramMaxBucketNumber:  100,
			NativeHistogramMinResetDuration: time.Hour,
		}, []string{"operation", "region_id"}),
		retries: f.NewCounterVec(prometheus.CounterOpts{
			Name: namespace + "api_retries_total",
			Help: "Requests sent again, by the reason of the failure before.",
		}, []string{"operation", "region_id", "reason"}),
		limitWait: f.NewCounterVec(prometheus.CounterOpts{
			Name: namespace + "api_throttle_wait_seconds_total",
			Help: "Time that requests waited for api.requests_per_second or api.concurrency.",
		}, []string{"region_id"}),
		clockSkew: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: namespace + "api_clock_skew_seconds",
			Help: "The API's Date header minus the exporter's clock.",
		}, []string{"region_id"}),
	}
}

// Request implements apiclient.Observer.
func (m *APIMetrics) Request(operation, regionID, code string, d time.Duration) {
	m.requests.WithLabelValues(operation, regionID, code).Inc()
	m.duration.WithLabelValues(operation, regionID).Observe(d.Seconds())
}

// Retry implements apiclient.Observer.
func (m *APIMetrics) Retry(operation, regionID string, reason apiclient.Reason) {
	m.retries.WithLabelValues(operation, regionID, string(reason)).Inc()
}

// LimitWait implements apiclient.Observer.
func (m *APIMetrics) LimitWait(regionID string, d time.Duration) {
	m.limitWait.WithLabelValues(regionID).Add(d.Seconds())
}

// ClockSkew implements apiclient.Observer.
func (m *APIMetrics) ClockSkew(regionID string, d time.Duration) {
	m.clockSkew.WithLabelValues(regionID).Set(d.Seconds())
}
