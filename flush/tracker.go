package flush

import (
	"sync"
	"time"

	"github.com/weirlog/weir/wal"
)

// tracker moves the watermark: the offset up to which everything is settled.
type tracker struct {
	mu      sync.Mutex
	flights []*flight // unsettled runs by offset, without a gap between them
	settled wal.Offset
	bytes   int64 // of the unsettled runs
}

// flight is one run of records on its way.
type flight struct {
	last    wal.Offset
	oldest  time.Time // when its first record was received
	bytes   int64
	settled bool

	reserved int64 // bytes held of the flusher's bound; the worker's
}

// begin adds the run that follows the last one begun.
func (t *tracker) begin(f *flight) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.flights = append(t.flights, f)
	t.bytes += f.bytes
}

// settle marks a run as settled and moves the watermark as far as that allows.
func (t *tracker) settle(f *flight) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f.settled = true
	t.bytes -= f.bytes
	n := 0
	for n < len(t.flights) && t.flights[n].settled {
		t.settled = t.flights[n].last
		n++
	}
	t.flights = append(t.flights[:0], t.flights[n:]...)
}

// watermark returns the offset up to which everything is settled.
func (t *tracker) watermark() wal.Offset {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.settled
}

// load returns how many runs and bytes are on their way, and when the oldest unsettled record was
// received; the zero time when nothing is.
func (t *tracker) load() (runs int, bytes int64, oldest time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range t.flights {
		if !f.settled {
			runs++
		}
	}
	if len(t.flights) > 0 {
		oldest = t.flights[0].oldest
	}
	return runs, t.bytes, oldest
}
