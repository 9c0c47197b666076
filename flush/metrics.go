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

// The outcomes.
const (
	outcomeDelivered    = "delivered"
	outcomeDuplicate    = "duplicate"
	outcomeFailureStore = "failure_store"
	outcomeDropped      = "dropped"
	outcomeDeadLettered = "dead_lettered"
)

// outcomeCounter also keeps the number for Status, which does not read metrics back.
type outcomeCounter struct {
	n       atomic.Uint64
	counter prometheus.Counter
}

// NewMetrics registers a flusher's metrics with reg.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	settled := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "weir_flush_settled_total",
		Help: "Documents and events settled, by how: delivered, duplicate (already there under its id), failure_store (delivered, but into the failure store), dropped (by the transform), dead_lettered."}, []string{"outcome"})
	m := &Metrics{
		reg:         reg,
		outcomes:    map[string]*outcomeCounter{},
		bulkSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "weir_flush_bulk_seconds", Help: "Time of one bulk request.", Buckets: prometheus.ExponentialBuckets(0.001, 2, 16)}),
		bulkDocs:    prometheus.NewHistogram(prometheus.HistogramOpts{Name: "weir_flush_bulk_documents", Help: "Documents in one bulk request.", Buckets: prometheus.ExponentialBuckets(1, 4, 8)}),
		retries:     prometheus.NewCounterVec(prometheus.CounterOpts{Name: "weir_flush_retries_total", Help: "Requests, or parts of them, that have to be sent again, by cause."}, []string{"cause"}),
		checkpoints: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "weir_flush_checkpoint_offset", Help: "Stored checkpoint of each stream."}, []string{"stream"}),
	}
	for _, o := range []string{outcomeDelivered, outcomeDuplicate, outcomeFailureStore, outcomeDropped, outcomeDeadLettered} {
		m.outcomes[o] = &outcomeCounter{counter: settled.WithLabelValues(o)}
	}
	for _, cause := range []string{"refused", "timeout", "reset", "untrusted", "status_429", "status_503", "item_429", "item_5xx", "blocked"} {
		m.retries.WithLabelValues(cause) // the usual ones are series from the start, or their first increase is missed
	}
	reg.MustRegister(settled, m.bulkSeconds, m.bulkDocs, m.retries, m.checkpoints)
	return m
}

// watch registers what is computed when it is asked for.
func (m *Metrics) watch(f *Flusher) {
	if m != nil {
		m.reg.MustRegister(&collector{f: f})
	}
}

// collector makes metrics of a snapshot of the delivery.
type collector struct{ f *Flusher }

var (
	lagDesc = prometheus.NewDesc("weir_flush_lag_records",
		"Durable records that the stream furthest behind has not settled.", nil, nil)
	oldestDesc = prometheus.NewDesc("weir_flush_oldest_unsettled_seconds",
		"Age of the oldest unsettled record that delivery has taken up; 0 when there is none.", nil, nil)
	inFlightDesc = prometheus.NewDesc("weir_flush_in_flight_bytes",
		"Event bytes of the batches on their way.", nil, nil)
	streamLagDesc = prometheus.NewDesc("weir_flush_stream_lag_records",
		"Durable records behind the stream's checkpoint, those of other streams included.", []string{"stream"}, nil)
	heldDesc = prometheus.NewDesc("weir_flush_held_documents",
		"Documents kept apart from their batches, because what they go to does not take them.", []string{"stream"}, nil)
	streamParkedDesc = prometheus.NewDesc("weir_flush_stream_parked",
		"1 while the stream's own index takes nothing until an operator acts.", []string{"stream"}, nil)
	stateDesc = prometheus.NewDesc("weir_flush_destination_state",
		"1 for the state that a destination is in: ok, slow, rejecting, down, parked.", []string{"destination", "state"}, nil)
	stateSinceDesc = prometheus.NewDesc("weir_flush_destination_state_since_seconds",
		"When the destination came into its state, as seconds since 1970.", []string{"destination"}, nil)
	limitDesc = prometheus.NewDesc("weir_flush_destination_concurrency_limit",
		"Requests that the destination is sent at a time, at the most, now.", []string{"destination"}, nil)
	requestsDesc = prometheus.NewDesc("weir_flush_destination_in_flight_requests",
		"Requests under way.", []string{"destination"}, nil)
)

var descriptions = []*prometheus.Desc{
	lagDesc, oldestDesc, inFlightDesc, streamLagDesc, heldDesc, streamParkedDesc, stateDesc, stateSinceDesc, limitDesc, requestsDesc,
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range descriptions {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	st := c.f.Status()
	gauge(lagDesc, float64(st.Lag))
	gauge(inFlightDesc, float64(st.BytesInFlight))
	age := 0.0
	if !st.OldestUnsettled.IsZero() {
		age = time.Since(st.OldestUnsettled).Seconds()
	}
	gauge(oldestDesc, age)
	for _, s := range st.Streams {
		gauge(streamLagDesc, float64(s.Lag), s.Name)
		gauge(heldDesc, float64(s.Held), s.Name)
		gauge(streamParkedDesc, truth(s.State == StateParked), s.Name)
	}
	for _, d := range st.Destinations {
		for _, state := range States {
			gauge(stateDesc, truth(d.State == state), d.Name, string(state))
		}
		gauge(stateSinceDesc, float64(d.Since.UnixMilli())/1000, d.Name)
		gauge(limitDesc, float64(d.Limit), d.Name)
		gauge(requestsDesc, float64(d.InFlight), d.Name)
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func (m *Metrics) settled(outcome string, n int) {
	if m == nil || n == 0 {
		return
	}
	o := m.outcomes[outcome]
	o.n.Add(uint64(n))
	o.counter.Add(float64(n))
}

func (m *Metrics) totals() (delivered, duplicates, failureStore, dropped, deadLettered uint64) {
	if m == nil {
		return 0, 0, 0, 0, 0
	}
	n := func(outcome string) uint64 { return m.outcomes[outcome].n.Load() }
	return n(outcomeDelivered), n(outcomeDuplicate), n(outcomeFailureStore), n(outcomeDropped), n(outcomeDeadLettered)
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
