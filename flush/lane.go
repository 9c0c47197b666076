package flush

import (
	"context"
	"time"

	"github.com/weirlog/weir/wal"
)

// lane is the delivery of one stream: it collects the records that its cursor hands over in batches, and
// its workers settle them. Lanes share nothing but the budget of bytes and, where they have the same sink, a
// destination, so that one that is held up stops no other.
type lane struct {
	f      *Flusher
	name   string
	stream Stream
	dest   *destination

	// own is shut while the stream's own index takes nothing; ownStanding says why.
	own         gate
	ownStanding standing
	tracker     tracker
	held        hold
	conflicts   conflicts

	// Guarded by Flusher.mu.
	cursor  *cursor
	open    *batch    // being filled
	opened  time.Time // when it was begun
	queue   []*batch  // sealed, without a worker yet
	workers int
	used    int64 // bytes of the budget
}

// take puts a record into the open batch, beginning one where needed. It reports false when there is
// no room. Caller holds Flusher.mu.
func (l *lane) take(rec *wal.Record) bool {
	size := int64(len(rec.Payload))
	if l.open != nil && l.open.bytes+size > l.open.reserved {
		l.seal()
	}
	if l.open == nil && !l.begin(rec) {
		return false
	}
	b := l.open
	b.add(*rec)
	l.tracker.grow(b.flight, len(rec.Payload))
	if len(b.records) >= l.f.opts.BatchEvents || b.bytes >= b.reserved {
		l.seal()
	}
	return true
}

// begin opens a batch whose first record is rec, unless as many are on their way as workers may have, or there is no memory for it.
func (l *lane) begin(rec *wal.Record) bool {
	if l.workers+len(l.queue) >= max(l.f.opts.MaxInFlight, 2) { // with one worker the next batch fills meanwhile
		return false
	}
	held := l.used
	reserved := l.f.budget.take(&l.used, int64(l.f.opts.BatchBytes))
	if reserved == 0 {
		return false
	}
	if reserved < min(int64(len(rec.Payload)), int64(l.f.opts.BatchBytes)) && held > 0 { // too large an event for what is left
		l.f.budget.giveBack(&l.used, reserved)
		return false
	}
	b := l.f.shelf.take()
	b.flight = &flight{first: rec.Offset, oldest: rec.ReceivedAt}
	b.reserved = reserved
	l.tracker.begin(b.flight)
	l.open, l.opened = b, time.Now()
	return true
}

// seal ends the open batch, if there is one, and hands it to a worker. A batch smaller than what it
// reserved gives the rest back; a single event may be larger, and counts as what was reserved. Caller holds Flusher.mu.
func (l *lane) seal() {
	b := l.open
	if b == nil {
		return
	}
	l.open = nil
	l.release(b.reserved - min(b.bytes, b.reserved))
	b.reserved = min(b.bytes, b.reserved)
	l.queue = append(l.queue, b)
	if l.workers < l.f.opts.MaxInFlight {
		l.workers++
		l.f.goes(l.work)
	}
}

// release gives bytes back and tells the cursors. Caller holds Flusher.mu.
func (l *lane) release(bytes int64) {
	if bytes == 0 {
		return
	}
	l.f.budget.giveBack(&l.used, bytes)
	l.f.tellCursors()
}

// tellCursors says that there may be room for a batch. Caller holds Flusher.mu.
func (f *Flusher) tellCursors() {
	for _, c := range f.cursors {
		select {
		case c.room <- struct{}{}:
		default: // it will look anyway
		}
	}
}

// work takes the lane's batches through delivery until none is left. On an error (ctx ended) its batch stays unsettled.
func (l *lane) work(ctx context.Context) error {
	for b := l.nextBatch(); b != nil; b = l.nextBatch() {
		if err := l.deliver(ctx, b); err != nil {
			return err
		}
		l.finish(b)
	}
	return nil
}

func (l *lane) nextBatch() *batch {
	l.f.mu.Lock()
	defer l.f.mu.Unlock()
	if len(l.queue) == 0 {
		l.workers--
		l.f.tellCursors()
		return nil
	}
	b := l.queue[0]
	l.queue = append(l.queue[:0], l.queue[1:]...)
	l.f.tellCursors()
	return b
}

// finish settles a batch, but for what it has held back, and keeps its memory for the next one.
func (l *lane) finish(b *batch) {
	l.tracker.settle(b.flight, 1)
	l.f.mu.Lock()
	defer l.f.mu.Unlock()
	l.release(b.reserved)
	l.f.shelf.put(b, max(l.f.opts.MaxInFlight, 2), l.f.opts.MaxInFlightBytes/4)
}

// deliver settles every record of a batch or holds documents of it back. On error (ctx ended) nothing is known to be settled.
func (l *lane) deliver(ctx context.Context, b *batch) error {
	if err := l.transform(ctx, b); err != nil {
		return err
	}
	if err := l.send(ctx, b, b.docs); err != nil {
		return err
	}
	if err := l.f.putLetters(ctx, b.letters); err != nil {
		return err
	}
	l.f.opts.Metrics.settled(outcomeDropped, b.dropped)
	return nil
}

// heldUp reports whether the lane has to wait for somebody or something else than its turn.
func (l *lane) heldUp() bool { return l.dest.gate.isShut() || l.own.isShut() }

// watermark returns the offset up to which everything of the stream is settled.
func (l *lane) watermark() wal.Offset {
	l.f.mu.Lock()
	passed := l.cursor.position
	l.f.mu.Unlock()
	return max(l.stream.Settled, l.tracker.watermark(passed))
}
