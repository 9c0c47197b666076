package deadletter

import (
	"github.com/prometheus/client_golang/prometheus"
)

// Metrics of all stores of a process; the label store tells them apart. A nil *Metrics is fine.
type Metrics struct {
	records   *prometheus.GaugeVec
	bytes     *prometheus.GaugeVec
	maxBytes  *prometheus.GaugeVec
	put       *prometheus.CounterVec
	dropped   *prometheus.CounterVec
	damaged   *prometheus.CounterVec
	replayed  *prometheus.CounterVec
	compacted *prometheus.CounterVec
	rebuilt   *prometheus.CounterVec
}

// NewMetrics registers the metrics with reg.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		records: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "weir_deadletter_records", Help: "Live dead letters."}, []string{"store", "stage"}),
		bytes: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "weir_deadletter_bytes", Help: "Bytes of live dead letters."}, []string{"store"}),
		maxBytes: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "weir_deadletter_max_bytes", Help: "Limit of the bytes of live dead letters; no series where there is none."}, []string{"store"}),
		put: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_deadletter_put_total", Help: "Dead letters put since the start."}, []string{"store", "stage"}),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_deadletter_dropped_total", Help: "Dead letters given up: by an operator, by the limit of their store, or for their age."}, []string{"store", "by"}),
		damaged: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_deadletter_damaged_total", Help: "Records of the dead-letter log that cannot be read."}, []string{"store"}),
		replayed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_deadletter_replayed_total", Help: "Dead letters replayed, by what became of them."}, []string{"store", "result"}),
		compacted: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_deadletter_compacted_total", Help: "Live dead letters put again so that an old segment could go."}, []string{"store"}),
		rebuilt: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_deadletter_index_rebuilt_total", Help: "Indexes of dead letters that were made anew from their log."}, []string{"store"}),
	}
	reg.MustRegister(m.records, m.bytes, m.maxBytes, m.put, m.dropped, m.damaged, m.replayed, m.compacted, m.rebuilt)
	return m
}

func (m *Metrics) publish(store string, maxBytes int64, st *indexState) {
	if m == nil {
		return
	}
	for stage, n := range st.records() {
		m.put.WithLabelValues(store, string(stage)) // a series from the start, or its first increase is missed
		m.records.WithLabelValues(store, string(stage)).Set(float64(n))
	}
	m.bytes.WithLabelValues(store).Set(float64(st.bytes))
	if maxBytes > 0 {
		m.maxBytes.WithLabelValues(store).Set(float64(maxBytes))
	}
	for _, by := range []string{DropOperator, DropLimit, DropAge} {
		m.dropped.WithLabelValues(store, by) // likewise
	}
	m.damaged.WithLabelValues(store)
	m.rebuilt.WithLabelValues(store)
}

func (m *Metrics) addPut(store, stage string) {
	if m != nil {
		m.put.WithLabelValues(store, stage).Inc()
	}
}

func (m *Metrics) addDropped(store, by string, n int) {
	if m != nil && n > 0 {
		m.dropped.WithLabelValues(store, by).Add(float64(n))
	}
}

func (m *Metrics) addDamaged(store string, n uint64) {
	if m != nil {
		m.damaged.WithLabelValues(store).Add(float64(n))
	}
}

func (m *Metrics) addRebuilt(store string) {
	if m != nil {
		m.rebuilt.WithLabelValues(store).Inc()
	}
}

func (m *Metrics) addReplayed(store string, r Result) {
	if m != nil {
		m.replayed.WithLabelValues(store, string(r)).Inc()
	}
}

func (m *Metrics) addCompacted(store string, n int) {
	if m != nil {
		m.compacted.WithLabelValues(store).Add(float64(n))
	}
}
