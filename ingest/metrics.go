package ingest

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts what passes the edge. One Metrics belongs to one Server.
type Metrics struct {
	events      *prometheus.CounterVec
	requests    [6]prometheus.Counter // by hundreds of the status
	refusals    *prometheus.CounterVec
	seconds     prometheus.Histogram
	bodyBytes   prometheus.Counter
	refusedKept prometheus.Counter
	refusedLost prometheus.Counter
	panics      prometheus.Counter

	inFlight    atomic.Int64
	connections atomic.Int64
}

// streamCounters are the counters of one stream, resolved once.
type streamCounters struct {
	accepted     prometheus.Counter
	deadLettered prometheus.Counter
}

// NewMetrics makes the metrics and registers them with reg; nil leaves them unregistered.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_ingest_events_total",
			Help: "Events stored, by stream and result: accepted, or dead_lettered because they were malformed.",
		}, []string{"stream", "result"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_ingest_refused_requests_total",
			Help: "Requests of which nothing was stored, by the code that the client was given.",
		}, []string{"code"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "weir_ingest_request_seconds",
			Help:    "Time from a request's complete header to its answer, fsync included.",
			Buckets: prometheus.ExponentialBuckets(0.00025, 2, 17),
		}),
		bodyBytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_ingest_body_bytes_total",
			Help: "Bytes of bodies that were read, after decompression.",
		}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_ingest_panics_total",
			Help: "Requests that met a defect of weir; each is logged with its stack.",
		}),
	}
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "weir_ingest_requests_total",
		Help: "Answers, by class of their status.",
	}, []string{"class"})
	for i, class := range []string{"2xx", "4xx", "5xx"} {
		m.requests[[]int{2, 4, 5}[i]] = requests.WithLabelValues(class)
	}
	refused := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "weir_ingest_refused_bodies_total",
		Help: "Bodies of which nothing was accepted, by what became of their first 64 KiB: kept or failed.",
	}, []string{"result"})
	m.refusedKept = refused.WithLabelValues("kept")
	m.refusedLost = refused.WithLabelValues("failed")
	if reg == nil {
		return m
	}
	reg.MustRegister(m.events, m.refusals, m.seconds, m.bodyBytes, m.panics, requests, refused,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "weir_ingest_in_flight_bytes",
			Help: "Memory of bodies that are being read or wait for their fsync.",
		}, func() float64 { return float64(m.inFlight.Load()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "weir_ingest_connections",
			Help: "Open connections.",
		}, func() float64 { return float64(m.connections.Load()) }))
	return m
}

// stream resolves the counters of one stream.
func (m *Metrics) stream(name string) streamCounters {
	return streamCounters{
		accepted:     m.events.WithLabelValues(name, "accepted"),
		deadLettered: m.events.WithLabelValues(name, "dead_lettered"),
	}
}

// answered counts one answer.
func (m *Metrics) answered(status int, took time.Duration) {
	if c := m.requests[status/100]; c != nil {
		c.Inc()
	}
	m.seconds.Observe(took.Seconds())
}
