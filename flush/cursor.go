package flush

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/weirlog/weir/wal"
)

// cursor reads the log once for all lanes that stand at the same place, and hands each record to its
// lane. A lane that has no room leaves it for a cursor of its own, so that the others go on; a
// cursor that has come to where another one stands hands its lanes over to that one and ends.
//
//	log      ... 40 41 42 43 44 45 46 47 48 49 ...
//	                 ^                    ^
//	                 audit (held up)      default, shop
//
// One goroutine runs it. What others may look at is guarded by Flusher.mu.
type cursor struct {
	f        *Flusher
	source   Source
	position wal.Offset    // up to which every record was handed over; guarded by Flusher.mu
	lanes    []*lane       // guarded by Flusher.mu
	room     chan struct{} // a lane may have room

	lingering context.Context // ends when the oldest open batch has lingered enough; nil while none is open
	stop      context.CancelFunc
}

// nearby is how many records apart lanes may stand that begin with one cursor: reading so many twice costs nothing.
const nearby = 10_000

// startCursors makes the cursors with which the flusher begins: one for each place where lanes stand.
func (f *Flusher) startCursors() {
	lanes := slices.Clone(f.lanes)
	slices.SortStableFunc(lanes, func(a, b *lane) int { return cmp.Compare(a.stream.Settled, b.stream.Settled) })
	var c *cursor
	for _, l := range lanes {
		if c == nil || l.stream.Settled > c.position+nearby {
			c = f.newCursor(l.stream.Settled)
		}
		c.lanes = append(c.lanes, l)
		l.cursor = c
	}
}

// newCursor makes a cursor that begins behind an offset. Caller holds Flusher.mu, or nobody else runs yet.
func (f *Flusher) newCursor(position wal.Offset) *cursor {
	c := &cursor{f: f, source: f.opts.Open(position + 1), position: position, room: make(chan struct{}, 1)}
	f.cursors = append(f.cursors, c)
	return c
}

// run hands records over until the log ends (nil), the lanes are another cursor's (nil), or ctx ends.
func (c *cursor) run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, c.source.Close()) }()
	defer c.endLinger()
	for {
		rec, err := c.next(ctx)
		switch {
		case errors.Is(err, wal.ErrClosed):
			c.end()
			return nil
		case err != nil:
			return err
		}
		if ended, err := c.handOver(ctx, &rec); ended || err != nil {
			return err
		}
	}
}

// next reads the next record, sealing meanwhile what has lingered enough. Reading may fail for a while (no
// descriptors, no space to keep damaged bytes): that is tried again, not given up.
func (c *cursor) next(ctx context.Context) (wal.Record, error) {
	var wait *backoff.ExponentialBackOff
	for {
		reading := ctx
		if c.lingering != nil {
			reading = c.lingering
		}
		rec, err := c.source.Next(reading)
		switch {
		case err == nil:
			if wait != nil {
				c.f.health.ok("reading the log")
			}
			return rec, nil
		case errors.Is(err, wal.ErrClosed):
			return rec, err
		case ctx.Err() != nil:
			return rec, ctx.Err()
		case reading.Err() != nil:
			c.lingered(ctx)
			continue
		}
		c.f.health.failing("reading the log", err)
		if wait == nil {
			wait = c.f.opts.retryPauses()
		}
		if err := sleep(ctx, wait.NextBackOff()); err != nil {
			return wal.Record{}, err
		}
	}
}

// patience is how long the lanes of a cursor wait for one that has no room before it goes its own way. A lane that is held up
// is not waited for.
const patience = 100 * time.Millisecond

// handOver gives a record to its lane, waiting for room. It reports whether the cursor has ended: its lanes are
// another one's now.
func (c *cursor) handOver(ctx context.Context, rec *wal.Record) (ended bool, err error) {
	var waiting time.Time
	for {
		c.f.mu.Lock()
		l := c.laneOf(rec)
		taken := l == nil || l.take(rec)
		if !taken && len(c.lanes) > 1 && (l.heldUp() || !waiting.IsZero() && time.Since(waiting) >= patience) {
			c.f.part(l, rec.Offset)
			taken = true
		}
		if taken {
			c.position = rec.Last()
			c.startLinger(ctx, l)
			ended = c.f.join(c)
		}
		c.f.mu.Unlock()
		if taken {
			return ended, nil
		}
		if waiting.IsZero() {
			waiting = time.Now()
		}
		if err := c.waitForRoom(ctx); err != nil {
			return false, err
		}
	}
}

// laneOf returns the lane that settles a record; nil when the lane has settled it before, or reads on its own. What nobody can tell the
// stream of (damage, a stream that was not declared) is for the first lane, whose checkpoint stays behind it until its letter is
// durable, while those of the others pass it. A lane that is still behind it meets it again: letters are put once, by their keys.
// Caller holds Flusher.mu.
func (c *cursor) laneOf(rec *wal.Record) *lane {
	if rec.Flags&wal.FlagDamaged != 0 {
		return c.lanes[0]
	}
	l := c.f.byName[rec.Stream]
	switch {
	case l == nil:
		return c.lanes[0]
	case l.cursor != c, rec.Offset <= l.stream.Settled:
		return nil
	}
	return l
}

// part gives a lane a cursor of its own, which begins at an offset. Caller holds Flusher.mu, in a goroutine of the group.
func (f *Flusher) part(l *lane, from wal.Offset) {
	l.seal()
	old := l.cursor
	old.lanes = slices.DeleteFunc(slices.Clone(old.lanes), func(x *lane) bool { return x == l })
	c := f.newCursor(from - 1)
	c.lanes, l.cursor = []*lane{l}, c
	f.goes(c.run)
}

// join hands the lanes of a cursor to one that stands at the same place, if there is one. Caller holds Flusher.mu.
func (f *Flusher) join(c *cursor) bool {
	if len(f.cursors) == 1 {
		return false
	}
	i := slices.IndexFunc(f.cursors, func(o *cursor) bool { return o != c && o.position == c.position })
	if i < 0 {
		return false
	}
	o := f.cursors[i]
	for _, l := range c.lanes {
		l.seal() // the other one does not know how long it has lingered
		l.cursor = o
	}
	o.lanes = append(slices.Clone(o.lanes), c.lanes...)
	f.cursors = slices.DeleteFunc(f.cursors, func(x *cursor) bool { return x == c })
	return true
}

// end seals what is open: the log has no more. The cursor keeps its lanes, which say by its position how far they are.
func (c *cursor) end() {
	c.f.mu.Lock()
	defer c.f.mu.Unlock()
	for _, l := range c.lanes {
		l.seal()
	}
}

// startLinger makes sure that reading is interrupted when the lane's open batch has lingered. Caller holds Flusher.mu.
func (c *cursor) startLinger(ctx context.Context, l *lane) {
	if c.lingering == nil && l != nil && l.open != nil && l.cursor == c {
		c.lingering, c.stop = context.WithDeadline(ctx, l.opened.Add(c.f.opts.Linger))
	}
}

// lingered seals every batch that has lingered enough, and arms the clock for the next one.
func (c *cursor) lingered(ctx context.Context) {
	c.endLinger()
	c.f.mu.Lock()
	defer c.f.mu.Unlock()
	now := time.Now()
	var oldest *lane
	for _, l := range c.lanes {
		if l.open != nil && now.Sub(l.opened) >= c.f.opts.Linger {
			l.seal()
		}
		if l.open != nil && (oldest == nil || l.opened.Before(oldest.opened)) {
			oldest = l
		}
	}
	c.startLinger(ctx, oldest)
}

func (c *cursor) endLinger() {
	if c.lingering != nil {
		c.stop()
		c.lingering = nil
	}
}

// waitForRoom waits until some lane may have room, or for a bit of patience.
func (c *cursor) waitForRoom(ctx context.Context) error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	var lingered <-chan struct{}
	if c.lingering != nil {
		lingered = c.lingering.Done()
	}
	select {
	case <-c.room:
	case <-timer.C:
	case <-lingered:
		if ctx.Err() == nil {
			c.lingered(ctx)
		}
	case <-ctx.Done():
	}
	return ctx.Err()
}
