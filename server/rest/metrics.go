package rest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what /metrics shows of the REST server.
type metrics struct {
	requests *prometheus.CounterVec
	bytes    *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

// newMetrics registers the metrics. Two servers must not share a registry.
func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "chronicle_http_requests_total",
			Help: "HTTP requests by route, method and status; the status of an answer that was broken off is aborted.",
		}, []string{"route", "method", "status"}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "chronicle_http_response_bytes_total",
			Help: "Bytes of HTTP answers by route.",
		}, []string{"route"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "chronicle_http_request_seconds",
			Help:    "Time from a request to the end of its answer by route.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 4, 10), // 0.5 ms to 131 s
		}, []string{"route"}),
	}
	err := errors.Join(reg.Register(m.requests), reg.Register(m.bytes), reg.Register(m.seconds))
	if err != nil {
		return nil, fmt.Errorf("rest: registering metrics: %w", err)
	}
	return m, nil
}

func (m *metrics) count(method, route, status string, took time.Duration, bytes int) {
	if !slices.Contains([]string{"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"}, method) {
		method = "other"
	}
	m.requests.WithLabelValues(route, method, status).Inc()
	m.bytes.WithLabelValues(route).Add(float64(bytes))
	m.seconds.WithLabelValues(route).Observe(took.Seconds())
}
