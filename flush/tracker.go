package flush

import (
	"sync"
	"time"

	"github.com/weirlog/weir/wal"
)

// tracker knows which runs of a lane's records are not settled yet.
type tracker struct {
	mu      sync.Mutex
	flights []*flight // unsettled runs and some settled behind them, by offset
	bytes   int64     // of the unsettled runs
	settled uint64    // records, since the start
}

// flight is one run of a lane's records on its way: those of a batch.
type flight struct {
	first   wal.Offset
	oldest  time.Time // when its first record was received
	bytes   int64
	records int
	pending int // what is to be settled: the batch itself, and each document that is held back; under the tracker's mu
}

// begin adds the run that follows the last one begun. It grows until its batch is sealed.
func (t *tracker) begin(f *flight) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f.pending = 1
	t.flights = append(t.flights, f)
}

// grow takes note of one more record of the run begun last.
func (t *tracker) grow(f *flight, bytes int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f.records++
	f.bytes += int64(bytes)
	t.bytes += int64(bytes)
}

// hold says that n documents of a run are settled apart from its batch.
func (t *tracker) hold(f *flight, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f.pending += n
}

// settle says that n parts of a run are settled: its batch, or documents that were held back.
func (t *tracker) settle(f *flight, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f.pending -= n
	if f.pending > 0 {
		return
	}
	t.bytes -= f.bytes
	t.settled += uint64(f.records)
	done := 0
	for done < len(t.flights) && t.flights[done].pending == 0 {
		done++
	}
	t.flights = append(t.flights[:0], t.flights[done:]...)
}

// watermark returns the offset up to which everything is settled. passed is an offset up to which all
// records of the lane had been begun before the call.
func (t *tracker) watermark(passed wal.Offset) wal.Offset {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.flights) > 0 {
		return min(passed, t.flights[0].first-1)
	}
	return passed
}

// load returns how many runs and bytes are on their way, when the oldest unsettled record was received (the zero time when
// nothing is on its way), and how many records were settled since the start.
func (t *tracker) load() (runs int, bytes int64, oldest time.Time, settled uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range t.flights {
		if f.pending > 0 {
			runs++
		}
	}
	if len(t.flights) > 0 {
		oldest = t.flights[0].oldest
	}
	return runs, t.bytes, oldest, t.settled
}
