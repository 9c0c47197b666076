package lua

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	maxScriptMetrics = 32   // names, of all scripts together
	maxScriptSeries  = 1000 // of all scripts together
)

// counter is the part of prometheus.Counter that a series needs.
type counter interface{ Add(float64) }

// scriptCounters are what scripts count, as weir_script_NAME_total{script=...}. They belong to the process, not to a
// version of a script: they go on counting when a script is loaded anew. It is a collector that describes nothing, for
// the names are the scripts'; series of one name may have different labels.
type scriptCounters struct {
	refused prometheus.Counter

	mu     sync.RWMutex // guards what follows
	names  map[string]struct{}
	series map[string]prometheus.Counter // by script and key of a series
}

var _ prometheus.Collector = (*scriptCounters)(nil)

func newScriptCounters() *scriptCounters {
	return &scriptCounters{
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_lua_series_refused_total",
			Help: "Calls of metric.inc that were not counted, because scripts have as many metrics or series as they may have.",
		}),
		names: map[string]struct{}{}, series: map[string]prometheus.Counter{},
	}
}

// Describe implements prometheus.Collector.
func (c *scriptCounters) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c *scriptCounters) Collect(ch chan<- prometheus.Metric) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, s := range c.series {
		ch <- s
	}
}

// counter returns the counter of a series, nil when there is no room for another one.
func (c *scriptCounters) counter(script string, s *series) prometheus.Counter {
	key := script + "\xff" + s.key
	c.mu.Lock()
	defer c.mu.Unlock()
	if known := c.series[key]; known != nil {
		return known
	}
	_, named := c.names[s.name]
	if len(c.series) >= maxScriptSeries || !named && len(c.names) >= maxScriptMetrics {
		return nil
	}
	labels := prometheus.Labels{"script": script}
	for _, l := range s.labels {
		labels[l.name] = l.value
	}
	made := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "weir_script_" + s.name + "_total", Help: "Counted by scripts with metric.inc.", ConstLabels: labels,
	})
	c.names[s.name] = struct{}{}
	c.series[key] = made
	return made
}

// count adds to a series of a script. The series remembers its counter: it belongs to one worker, whose Metrics stay
// the same ones.
func (m *Metrics) count(script string, c count) {
	if m == nil {
		return
	}
	s := c.series
	if s.counter == nil && !s.refused {
		if made := m.scripts.counter(script, s); made != nil {
			s.counter = made
		} else {
			s.refused = true // there never is room again
		}
	}
	if s.refused {
		m.scripts.refused.Inc()
		return
	}
	s.counter.Add(c.n)
}
