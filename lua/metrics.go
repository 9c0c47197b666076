package lua

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weirlog/weir/flush"
)

// sampleEvery is how many events pass between two that are timed; two looks at the clock and a histogram
// cost as much as a short script.
const sampleEvery = 64

// Metrics of scripts. A nil *Metrics counts nothing.
type Metrics struct {
	seconds *prometheus.HistogramVec
	errors  *prometheus.CounterVec
	reloads *prometheus.CounterVec
	rolled  *prometheus.GaugeVec
	scripts *scriptCounters // what scripts count themselves
}

// NewMetrics registers the package's metrics with reg.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "weir_lua_transform_seconds",
			Help:    "Time that one event took in the script, of every 64th event.",
			Buckets: []float64{2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 1e-3, 1e-2, 0.1, 1},
		}, []string{"script"}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_lua_errors_total",
			Help: "Events that the script failed on, by type: error, timeout, memory, result.",
		}, []string{"script", "type"}),
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_lua_reloads_total",
			Help: "Changed scripts, by result: loaded, refused, rolled_back.",
		}, []string{"script", "result"}),
		rolled: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "weir_lua_script_rolled_back",
			Help: "1 while the script's file is refused because its version was rolled back.",
		}, []string{"script"}),
	}
	m.scripts = newScriptCounters()
	reg.MustRegister(m.seconds, m.errors, m.reloads, m.rolled, m.scripts, m.scripts.refused)
	return m
}

// scriptMetrics are those of one script. A nil *scriptMetrics counts nothing.
type scriptMetrics struct {
	seconds prometheus.Observer
	errors  *prometheus.CounterVec // by type
	reloads *prometheus.CounterVec // by result
	rolled  prometheus.Gauge
}

// of returns the metrics of a script by its name. Every series is there from the beginning: alerts need them.
func (m *Metrics) of(script string) *scriptMetrics {
	if m == nil {
		return nil
	}
	labels := prometheus.Labels{"script": script}
	s := &scriptMetrics{
		seconds: m.seconds.With(labels), errors: m.errors.MustCurryWith(labels), reloads: m.reloads.MustCurryWith(labels), rolled: m.rolled.With(labels),
	}
	for _, kind := range []string{typeError, typeTimeout, typeMemory, typeResult, flush.TypeIndexNotAllowed} {
		s.errors.WithLabelValues(kind)
	}
	for _, result := range []string{resultLoaded, resultRefused, resultRolledBack} {
		s.reloads.WithLabelValues(result)
	}
	return s
}

func (m *scriptMetrics) took(d time.Duration) {
	if m != nil {
		m.seconds.Observe(d.Seconds())
	}
}

func (m *scriptMetrics) failed(kind string) {
	if m != nil {
		m.errors.WithLabelValues(kind).Inc()
	}
}

func (m *scriptMetrics) reloaded(result string) {
	if m != nil {
		m.reloads.WithLabelValues(result).Inc()
	}
}

func (m *scriptMetrics) rolledBack(is bool) {
	if m == nil {
		return
	}
	if is {
		m.rolled.Set(1)
	} else {
		m.rolled.Set(0)
	}
}
