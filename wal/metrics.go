package wal

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics of a log. A nil *Metrics counts nothing.
type Metrics struct {
	appends      prometheus.Counter
	records      prometheus.Counter
	bytesWritten prometheus.Counter
	groups       prometheus.Histogram
	commits      prometheus.Histogram
	syncs        prometheus.Histogram
	durable      prometheus.Gauge
	bytes        prometheus.Gauge
	segments     prometheus.Gauge
	failures     prometheus.Counter
	tornBytes    prometheus.Counter
	tornTails    prometheus.Counter
	damaged      prometheus.Counter
	damagedBytes prometheus.Counter
	reclaimed    prometheus.Counter
	lostEnds     prometheus.Counter
}

// NewMetrics registers a log's metrics with reg.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "weir_wal_" + name, Help: help})
		reg.MustRegister(c)
		return c
	}
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "weir_wal_" + name, Help: help})
		reg.MustRegister(g)
		return g
	}
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "weir_wal_" + name, Help: help, Buckets: buckets})
		reg.MustRegister(h)
		return h
	}
	seconds := prometheus.ExponentialBuckets(50e-6, 2, 16)
	return &Metrics{
		appends:      counter("appends_total", "Appends committed."),
		records:      counter("records_total", "Records committed."),
		bytesWritten: counter("written_bytes_total", "Bytes written to segments, frames included."),
		groups:       histogram("group_appends", "Appends that shared one fsync.", prometheus.ExponentialBuckets(1, 2, 12)),
		commits:      histogram("commit_seconds", "Time to write and sync one group.", seconds),
		syncs:        histogram("fsync_seconds", "Time of the fsync of a segment.", seconds),
		durable:      gauge("durable_offset", "Highest committed offset."),
		bytes:        gauge("bytes", "Bytes of all segments."),
		segments:     gauge("segments", "Segments on disk."),
		failures:     counter("failures_total", "Writes or syncs that failed; the log is reopened after each."),
		tornTails:    counter("torn_tails_total", "Torn tails cut at start."),
		tornBytes:    counter("torn_bytes_total", "Bytes of torn tails, kept in the repair directory."),
		damaged:      counter("damaged_records_total", "Records that cannot be read because their bytes are damaged."),
		damagedBytes: counter("damaged_bytes_total", "Damaged bytes met, kept in the repair directory."),
		lostEnds:     counter("lost_ends_total", "Starts on a log that ended before the end that it is known to have had."),
		reclaimed:    counter("reclaimed_segments_total", "Segments removed because all their records are settled."),
	}
}

func (m *Metrics) committed(appends int, records uint64, bytes int64, took time.Duration) {
	if m == nil {
		return
	}
	m.appends.Add(float64(appends))
	m.records.Add(float64(records))
	m.bytesWritten.Add(float64(bytes))
	m.groups.Observe(float64(appends))
	m.commits.Observe(took.Seconds())
}

func (m *Metrics) synced(took time.Duration) {
	if m != nil {
		m.syncs.Observe(took.Seconds())
	}
}

func (m *Metrics) state(durable Offset, bytes int64, segments int) {
	if m == nil {
		return
	}
	m.durable.Set(float64(durable))
	m.bytes.Set(float64(bytes))
	m.segments.Set(float64(segments))
}

func (m *Metrics) failed() {
	if m != nil {
		m.failures.Inc()
	}
}

func (m *Metrics) tornTail(bytes int64) {
	if m == nil {
		return
	}
	m.tornTails.Inc()
	m.tornBytes.Add(float64(bytes))
}

func (m *Metrics) lostEnd() {
	if m != nil {
		m.lostEnds.Inc()
	}
}

func (m *Metrics) damage(records uint64, bytes int64) {
	if m == nil {
		return
	}
	m.damaged.Add(float64(records))
	m.damagedBytes.Add(float64(bytes))
}

func (m *Metrics) reclaim(segments int) {
	if m != nil {
		m.reclaimed.Add(float64(segments))
	}
}
