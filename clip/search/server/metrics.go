package server

import (
	"context"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// metrics are the numbers of one server.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func (s *Server) newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tessera_http_requests_total", Help: "Requests answered.",
		}, []string{"route", "method", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tessera_http_request_seconds", Help: "Time from the header of a request to the end of its answer.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 15),
		}, []string{"route"}),
	}
	sizes := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "tessera_batch_size", Help: "Texts or images given to the model at once.",
		Buckets: prometheus.ExponentialBuckets(1, 2, 8),
	}, []string{"kind"})
	s.texts.size = sizes.WithLabelValues("text").Observe
	s.images.size = sizes.WithLabelValues("image").Observe
	queue := func(kind string, length func() int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "tessera_queue_length", Help: "Texts or images that wait for the model.", ConstLabels: prometheus.Labels{"kind": kind},
		}, func() float64 { return float64(length()) })
	}
	m.registry.MustRegister(m.requests, m.seconds, sizes, collectors.NewGoCollector(),
		queue("text", s.texts.waiting), queue("image", s.images.waiting),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "tessera_items", Help: "Items in the index."}, s.items))
	return m
}

// items counts what is in the index.
func (s *Server) items() float64 {
	ctx, cancel := context.WithTimeout(context.Background(), s.o.Timeout)
	defer cancel()
	info, err := s.index.Info(ctx)
	if err != nil {
		return math.NaN()
	}
	return float64(info.Items)
}

// observe counts a request. What a client makes up becomes no label.
func (m *metrics) observe(route, method string, status int, d time.Duration) {
	if route == "" {
		route = "unknown"
	}
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodDelete:
	default:
		method = "other"
	}
	m.requests.WithLabelValues(route, method, strconv.Itoa(status)).Inc()
	m.seconds.WithLabelValues(route).Observe(d.Seconds())
}
