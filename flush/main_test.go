package flush

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/weirlog/weir/wal"
	"github.com/weirlog/weir/wal/waltest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scriptedSink stores documents by id and answers as its script says.
type scriptedSink struct {
	name   string // "" is "scripted"
	mu     sync.Mutex
	stored map[string]string
	sent   map[string][]string // every body that was sent, by id
	calls  int
	// answer may be nil: then everything is stored. It is called under mu.
	answer func(call int, docs []Document) ([]Outcome, error)
}

var _ Sink = (*scriptedSink)(nil)

func (s *scriptedSink) Name() string {
	if s.name == "" {
		return "scripted"
	}
	return s.name
}

func (s *scriptedSink) Send(_ context.Context, docs []Document) ([]Outcome, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if s.stored == nil {
		s.stored, s.sent = map[string]string{}, map[string][]string{}
	}
	for i := range docs {
		s.sent[docs[i].ID] = append(s.sent[docs[i].ID], string(docs[i].Source))
	}
	outcomes := make([]Outcome, len(docs))
	for i := range outcomes {
		outcomes[i] = Outcome{Verdict: Delivered, Status: 201}
	}
	var err error
	if s.answer != nil {
		if outcomes, err = s.answer(s.calls, docs); err != nil && outcomes == nil {
			return nil, err
		}
	}
	for i := range docs {
		if outcomes[i].Verdict != Delivered {
			continue
		}
		if _, there := s.stored[docs[i].ID]; there {
			outcomes[i] = Outcome{Verdict: Duplicate, Status: 409}
			continue
		}
		s.stored[docs[i].ID] = string(docs[i].Source)
	}
	if err != nil {
		return nil, err // stored, but the answer was lost
	}
	return outcomes, nil
}

func outcomesOf(docs []Document, f func(d *Document) Outcome) []Outcome {
	out := make([]Outcome, len(docs))
	for i := range docs {
		out[i] = f(&docs[i])
	}
	return out
}

// memoryCheckpoint remembers what was stored and in which order.
type memoryCheckpoint struct {
	mu      sync.Mutex
	offsets map[string]wal.Offset
	err     error
}

var _ Checkpoint = (*memoryCheckpoint)(nil)

func (c *memoryCheckpoint) Load(stream string) (wal.Offset, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.offsets[stream], nil
}

func (c *memoryCheckpoint) of(stream string) wal.Offset {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.offsets[stream]
}

func (c *memoryCheckpoint) Advance(_ wal.Epoch, offsets map[string]wal.Offset) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	c.offsets = maps.Clone(offsets)
	return nil
}

// memoryLetters keeps letters by key; it refuses while full is positive, once for each count.
type memoryLetters struct {
	mu      sync.Mutex
	letters map[Key]Letter
	full    int
}

var _ DeadLetters = (*memoryLetters)(nil)

func (m *memoryLetters) Put(_ context.Context, letters []Letter) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.full > 0 {
		m.full--
		return ErrDeadLettersFull
	}
	if m.letters == nil {
		m.letters = map[Key]Letter{}
	}
	for _, l := range letters {
		l.Event, l.Document = slices.Clone(l.Event), slices.Clone(l.Document)
		if _, there := m.letters[l.Key]; !there {
			m.letters[l.Key] = l
		}
	}
	return nil
}

func (m *memoryLetters) count() int { return len(m.all()) }

func (m *memoryLetters) all() map[Key]Letter {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.letters)
}

func (m *memoryLetters) Known(epoch wal.Epoch, offset wal.Offset) ([]uint32, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var ordinals []uint32
	for k := range m.letters {
		if k.Epoch == epoch && k.Offset == offset {
			ordinals = append(ordinals, k.Ordinal)
		}
	}
	return ordinals, nil
}

// funcTransformer is a transform in Go.
type funcTransformer func(rec *wal.Record) ([]Document, error)

var _ Transformer = funcTransformer(nil)

func (f funcTransformer) Transform(_ context.Context, rec *wal.Record) ([]Document, error) {
	return f(rec)
}
func (f funcTransformer) Version() string { return "v1" }

func newTestMetrics() *Metrics { return NewMetrics(prometheus.NewRegistry()) }

// rig is a flusher over a real log.
type rig struct {
	t       *testing.T
	log     *wal.Log
	stopLog func()
	sink    *scriptedSink
	check   *memoryCheckpoint
	letters *memoryLetters
	opts    Options
}

func newRig(t *testing.T) *rig {
	t.Helper()
	dir := t.TempDir() + "/wal"
	l, stop := waltest.OpenAt(t, dir, wal.Options{SegmentBytes: 8 << 10})
	t.Cleanup(func() { stop(); waltest.Verify(t, dir) })
	r := &rig{t: t, log: l, stopLog: stop, sink: &scriptedSink{}, check: &memoryCheckpoint{}, letters: &memoryLetters{}}
	r.opts = Options{
		Epoch: l.Epoch(), Open: func(from wal.Offset) Source { return l.NewReader(from) }, Checkpoint: r.check, DeadLetters: r.letters, Durable: l.DurableOffset,
		Streams:    map[string]Stream{"default": {Sink: r.sink, Route: Route{Index: "logs-test"}}},
		BatchBytes: 2000, BatchEvents: 10, Linger: time.Millisecond, RetryMin: time.Millisecond, RetryMax: 4 * time.Millisecond, CheckpointEvery: time.Millisecond,
	}
	return r
}

// append puts n events of stream into the log.
func (r *rig) append(stream string, n int) {
	r.t.Helper()
	p := make([]string, n)
	for i := range p {
		p[i] = fmt.Sprintf(`{"n":%d}`, i)
	}
	waltest.Append(r.t, r.log, stream, p...)
}

// run delivers everything that is in the log.
func (r *rig) run() *Flusher {
	r.t.Helper()
	r.stopLog()
	f := New(r.opts)
	if err := f.Run(context.Background()); err != nil && !errors.Is(err, r.check.err) {
		r.t.Fatalf("run: %v", err)
	}
	return f
}

func (r *rig) id(offset int) string {
	return Key{Epoch: r.log.Epoch(), Offset: wal.Offset(offset)}.ID()
}
