package elastic

import "github.com/prometheus/client_golang/prometheus"

// Metrics counts what only the sink sees. Requests, latencies and outcomes are package flush's.
// A nil *Metrics counts nothing.
type Metrics struct {
	sent      prometheus.Counter
	received  prometheus.Counter
	failovers prometheus.Counter
}

// NewMetrics makes the metrics and registers them with reg.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		sent: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_elastic_sent_bytes_total",
			Help: "Bytes of bulk request bodies as sent, after compression.",
		}),
		received: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_elastic_received_bytes_total",
			Help: "Bytes of bulk answers.",
		}),
		failovers: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_elastic_failovers_total",
			Help: "Requests that went to another address at once, because one could not be reached.",
		}),
	}
	reg.MustRegister(m.sent, m.received, m.failovers)
	return m
}

func (m *Metrics) addSent(n int64) {
	if m != nil {
		m.sent.Add(float64(n))
	}
}

func (m *Metrics) addReceived(n int) {
	if m != nil {
		m.received.Add(float64(n))
	}
}

func (m *Metrics) addFailover() {
	if m != nil {
		m.failovers.Inc()
	}
}
