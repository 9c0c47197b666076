package lua

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// sampleEvery is how many events pass between two that are timed; two looks at the clock and a histogram
// cost as much as a short script.
const sampleEvery = 64

// Metrics of scripts. A nil *Metrics counts nothing.
type Metrics struct {
	seconds *prometheus.HistogramVec
	observe prometheus.Observer
	errors  *prometheus.CounterVec
	reloads *prometheus.CounterVec
	scripts *scriptCounters // what scripts count themselves
}

// NewMetrics registers the package's metrics with reg.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "weir_lua_transform_seconds",
			Help:    "Time that one event took in the script, of every 64th event.",
			Buckets: []float64{2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 1e-3, 1e-2, 0.1, 1},
		}, nil),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_lua_errors_total",
			Help: "Events that the script failed on, by type: error, timeout, memory, result.",
		}, []string{"type"}),
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_lua_reloads_total",
			Help: "Changed scripts, by result: loaded, refused.",
		}, []string{"result"}),
	}
	m.scripts = newScriptCounters()
	reg.MustRegister(m.seconds, m.errors, m.reloads, m.scripts, m.scripts.refused)
	m.observe = m.seconds.WithLabelValues()
	for _, kind := range []string{typeError, typeTimeout, typeMemory, typeResult} {
		m.errors.WithLabelValues(kind)
	}
	for _, result := range []string{"loaded", "refused"} {
		m.reloads.WithLabelValues(result)
	}
	return m
}

func (m *Metrics) took(d time.Duration) {
	if m != nil {
		m.observe.Observe(d.Seconds())
	}
}

func (m *Metrics) failed(kind string) {
	if m != nil {
		m.errors.WithLabelValues(kind).Inc()
	}
}

func (m *Metrics) reloaded(result string) {
	if m != nil {
		m.reloads.WithLabelValues(result).Inc()
	}
}
