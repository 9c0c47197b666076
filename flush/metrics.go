package flush

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weirlog/weir/wal"
)

// Metrics of a Flusher. A nil *Metrics counts nothing.
type Metrics struct {
	reg         prometheus.Registerer
	outcomes    map[string]*outcomeCounter
	bulkSeconds prometheus.Histogram
	bulkDocs    prometheus.Histogram
	retries     *prometheus.CounterVec
	checkpoints *prometheus.GaugeVec
}

// outcomeCounter also keeps the number for Status, which does not read metrics back.
type outcomeCounter struct {
	n       atomic.Uint64
	counter prometheus.Counter
}

// NewMetrics registers a flusher's metrics with reg.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	settled := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "weir_flush_settled_total",
		Help: "Documents and events settled, by how: delivered, duplicate (already there under our id), dropped (by the transform), dead_lettered."}, []string{"outcome"})
	m := &Metrics{
		reg:         reg,
		outcomes:    map[string]*outcomeCounter{},
		bulkSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "weir_flush_bulk_seconds", Help: "Time of one bulk request.", Buckets: prometheus.ExponentialBuckets(0.001, 2, 16)}),
		bulkDocs:    prometheus.NewHistogram(prometheus.HistogramOpts{Name: "weir_flush_bulk_documents", Help: "Documents in one bulk request.", Buckets: prometheus.ExponentialBuckets(1, 4, 8)}),
		retries:     prometheus.NewCounterVec(prometheus.CounterOpts{Name: "weir_flush_retries_total", Help: "Requests, or parts of them, that have to be sent again, by cause."}, []string{"cause"}),
		checkpoints: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "weir_flush_checkpoint_offset", Help: "Stored checkpoint of each stream."}, []string{"stream"}),
	}
	for _, o := range []string{"delivered", "duplicate", "dropped", "dead_lettered"} {
		m.outcomes[o] = &outcomeCounter{counter: settled.WithLabelValues(o)}
	}
	for _, cause := range []string{"refused", "timeout", "reset", "untrusted", "status_429", "status_503", "item_429", "item_5xx"} {
		m.retries.WithLabelValues(cause) // the usual ones are series from the start, or their first increase is missed
	}
	reg.MustRegister(settled, m.bulkSeconds, m.bulkDocs, m.retries, m.checkpoints)
	return m
}

// watch registers the gauges that are computed when they are asked for.
func (m *Metrics) watch(f *Flusher) {
	if m == nil {
		return
	}
	gauge := func(name, help string, value func() float64) {
		m.reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "weir_flush_" + name, Help: help}, value))
	}
	gauge("lag_records", "Durable records that are not settled.", func() float64 {
		return max(0, float64(f.opts.Durable())-float64(f.tracker.watermark()))
	})
	gauge("oldest_unsettled_seconds", "Age of the oldest unsettled record that delivery has taken up; 0 when there is none.", func() float64 {
		_, _, oldest := f.tracker.load()
		if oldest.IsZero() {
			return 0
		}
		return time.Since(oldest).Seconds()
	})
	gauge("in_flight_bytes", "Event bytes of the batches on their way.", func() float64 {
		_, bytes, _ := f.tracker.load()
		return float64(bytes)
	})
}

func (m *Metrics) settled(outcome string, n int) {
	if m == nil || n == 0 {
		return
	}
	o := m.outcomes[outcome]
	o.n.Add(uint64(n))
	o.counter.Add(float64(n))
}

func (m *Metrics) totals() (delivered, duplicates, dropped, deadLettered uint64) {
	if m == nil {
		return 0, 0, 0, 0
	}
	n := func(outcome string) uint64 { return m.outcomes[outcome].n.Load() }
	return n("delivered"), n("duplicate"), n("dropped"), n("dead_lettered")
}

func (m *Metrics) bulk(took time.Duration, docs int) {
	if m == nil {
		return
	}
	m.bulkSeconds.Observe(took.Seconds())
	m.bulkDocs.Observe(float64(docs))
}

func (m *Metrics) retried(cause string) {
	if m != nil {
		m.retries.WithLabelValues(cause).Inc()
	}
}

func (m *Metrics) checkpoint(offsets map[string]wal.Offset) {
	if m == nil {
		return
	}
	for stream, o := range offsets {
		m.checkpoints.WithLabelValues(stream).Set(float64(o))
	}
}
