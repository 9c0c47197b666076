package elastic

import "github.com/prometheus/client_golang/prometheus"

// Metrics counts what only the sink sees. Requests, latencies and outcomes are package flush's.
// A nil *Metrics counts nothing.
type Metrics struct {
	sent     prometheus.Counter
	received prometheus.Counter
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
	}
	reg.MustRegister(m.sent, m.received)
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
