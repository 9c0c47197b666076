package transform

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/wal"
)

// Plan is one measurement.
type Plan struct {
	Way        string
	Script     []byte // for the ways that run one
	EventBytes int
	Goroutines int // that share one transformer; as many cores as that may be used
	WarmUp     time.Duration
	Window     time.Duration
	Dir        string // for files of the way
}

// Result is what a measurement found. It crosses the border of the process as JSON.
type Result struct {
	Events      int64   `json:"events"`
	Documents   int64   `json:"documents"`
	Seconds     float64 `json:"seconds"`      // on the clock
	CPUSeconds  float64 `json:"cpu_seconds"`  // of the process: user and system, its garbage collector included
	Allocated   uint64  `json:"allocated"`    // bytes
	Allocations uint64  `json:"allocations"`  // objects
	GCShare     float64 `json:"gc_share"`     // of the processor time, as the runtime estimates it; 0 to 1
	WorkerBytes int64   `json:"worker_bytes"` // of heap that the transformer keeps at the end, for each goroutine
}

const (
	// batchEvents is how many documents are held at a time, as those of a batch are until it is sent: some of
	// flush.batch_events, so that a short window ends soon.
	batchEvents = 1000
	// batches is how many different batches take turns: together they are larger than a core's cache.
	batches = 10
	// gcPercent is weir's own (cmd/weir).
	gcPercent = 50
)

// Measure runs a plan. It fails on an event that did not become exactly one document.
func Measure(ctx context.Context, p Plan) (Result, error) {
	way, err := ByName(p.Way)
	if err != nil {
		return Result{}, err
	}
	debug.SetGCPercent(gcPercent)
	runtime.GOMAXPROCS(p.Goroutines)
	m := &meter{plan: p, records: Records(batches*batchEvents, p.EventBytes)}
	for range p.Goroutines {
		m.docs = append(m.docs, make([]flush.Document, 0, batchEvents))
	}
	without := liveHeap()
	if m.transformer, err = way.open(p.Dir, p.Script); err != nil {
		return Result{}, err
	}
	if p.WarmUp > 0 {
		if _, err := m.run(ctx, p.WarmUp); err != nil {
			return Result{}, err
		}
	}
	result, err := m.run(ctx, p.Window)
	result.WorkerBytes = max(liveHeap()-without, 0) / int64(p.Goroutines)
	runtime.KeepAlive(m)
	if err == nil && result.Documents != result.Events {
		err = fmt.Errorf("%d events became %d documents", result.Events, result.Documents)
	}
	return result, err
}

// Records are made events as the log would give them.
func Records(n, eventBytes int) []wal.Record {
	received := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	records := make([]wal.Record, n)
	for i, event := range Events(n, eventBytes, 1) {
		records[i] = wal.Record{Offset: wal.Offset(i + 1), Epoch: 1, Stream: "default", ReceivedAt: received, Payload: event, Count: 1}
	}
	return records
}

// meter is a measurement under way.
type meter struct {
	plan        Plan
	transformer flush.Transformer
	records     []wal.Record
	docs        [][]flush.Document // of the batch at hand, of each goroutine
}

// run transforms for a time and counts.
func (m *meter) run(ctx context.Context, window time.Duration) (Result, error) {
	before, err := readCounters()
	if err != nil {
		return Result{}, err
	}
	start := time.Now()
	end := start.Add(window)
	results, errs := make([]Result, m.plan.Goroutines), make([]error, m.plan.Goroutines)
	var all sync.WaitGroup
	for i := range m.plan.Goroutines {
		all.Go(func() { results[i], errs[i] = m.work(ctx, i, end) })
	}
	all.Wait()
	sum := Result{Seconds: time.Since(start).Seconds()}
	after, err := readCounters()
	if err := errors.Join(append(errs, err)...); err != nil {
		return Result{}, err
	}
	for _, r := range results {
		sum.Events += r.Events
		sum.Documents += r.Documents
	}
	sum.CPUSeconds = (after.cpu - before.cpu).Seconds()
	sum.Allocated, sum.Allocations = after.bytes-before.bytes, after.objects-before.objects
	if total := after.total - before.total; total > 0 {
		sum.GCShare = (after.gc - before.gc) / total
	}
	return sum, nil
}

// work transforms batches until end; at least one.
func (m *meter) work(ctx context.Context, i int, end time.Time) (r Result, err error) {
	for n := i; ; n++ {
		from := n % batches * batchEvents
		docs := m.docs[i][:0]
		for j := range batchEvents {
			made, err := m.transformer.Transform(ctx, &m.records[from+j])
			if err != nil {
				return r, fmt.Errorf("event %d: %w", from+j, err)
			}
			docs = append(docs, made...)
		}
		r.Events += batchEvents
		r.Documents += int64(len(docs))
		clear(docs)
		if !time.Now().Before(end) {
			return r, ctx.Err()
		}
	}
}

// counters are what the process has used so far.
type counters struct {
	cpu            time.Duration
	bytes, objects uint64
	gc, total      float64 // seconds of processor time, as the runtime estimates them
}

func readCounters() (c counters, err error) {
	if c.cpu, err = processTime(); err != nil {
		return c, err
	}
	samples := []metrics.Sample{
		{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/allocs:objects"},
		{Name: "/cpu/classes/gc/total:cpu-seconds"}, {Name: "/cpu/classes/user:cpu-seconds"},
	}
	metrics.Read(samples)
	c.bytes, c.objects = samples[0].Value.Uint64(), samples[1].Value.Uint64()
	c.gc = samples[2].Value.Float64()
	c.total = c.gc + samples[3].Value.Float64()
	return c, nil
}

// liveHeap is how many bytes of the heap are in use once everything unused is collected.
func liveHeap() int64 {
	runtime.GC()
	runtime.GC() // what finalizers and pools held the first time
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(samples)
	return int64(samples[0].Value.Uint64())
}
