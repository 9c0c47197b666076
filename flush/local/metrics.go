package local

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the figures of a Store. A nil *Metrics is valid and counts nothing.
type Metrics struct {
	bytes     prometheus.Gauge
	documents prometheus.Gauge
	parts     prometheus.Gauge
	stored    *prometheus.CounterVec
	removed   prometheus.Counter
	damaged   prometheus.Counter
	send      prometheus.Histogram
	search    prometheus.Histogram
}

// NewMetrics registers the metrics of one store with reg.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	}
	seconds := func(name, help string) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: name, Help: help, Buckets: prometheus.ExponentialBuckets(0.001, 2.5, 12),
		})
	}
	m := &Metrics{
		bytes:     gauge("weir_local_bytes", "Size of the embedded destination on disk."),
		documents: gauge("weir_local_documents", "Documents in the embedded destination."),
		parts:     gauge("weir_local_parts", "Parts of the embedded destination."),
		stored: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_local_documents_total", Help: "Documents sent to the embedded destination, by verdict.",
		}, []string{"verdict"}),
		removed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_local_removed_documents_total", Help: "Oldest documents removed to stay within the size limit.",
		}),
		damaged: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_local_damaged_parts_total", Help: "Parts set aside because their files are damaged.",
		}),
		send:   seconds("weir_local_send_seconds", "Time to store the documents of one call."),
		search: seconds("weir_local_search_seconds", "Time to answer one search."),
	}
	reg.MustRegister(m.bytes, m.documents, m.parts, m.stored, m.removed, m.damaged, m.send, m.search)
	return m
}

func (m *Metrics) observeSend(start time.Time) {
	if m != nil {
		m.send.Observe(time.Since(start).Seconds())
	}
}

func (m *Metrics) observeSearch(start time.Time) {
	if m != nil {
		m.search.Observe(time.Since(start).Seconds())
	}
}

func (m *Metrics) countVerdict(verdict string, n int) {
	if m != nil && n > 0 {
		m.stored.WithLabelValues(verdict).Add(float64(n))
	}
}

func (m *Metrics) countRemoved(documents uint64) {
	if m != nil {
		m.removed.Add(float64(documents))
	}
}

func (m *Metrics) countDamaged() {
	if m != nil {
		m.damaged.Inc()
	}
}

func (m *Metrics) setStats(s Stats) {
	if m != nil {
		m.bytes.Set(float64(s.Bytes))
		m.documents.Set(float64(s.Documents))
		m.parts.Set(float64(s.Parts))
	}
}
