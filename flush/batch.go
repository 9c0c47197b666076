package flush

import (
	"context"
	"errors"
	"time"

	"github.com/weirlog/weir/wal"
)

// batch is a run of consecutive records travelling together. A worker owns it and uses it again.
type batch struct {
	*flight
	arena   Arena
	records []wal.Record
	docs    []Document
	letters []Letter
	dropped int
}

func (b *batch) reset() {
	b.flight = &flight{}
	b.arena.Reset()
	clear(b.records)
	clear(b.docs)
	clear(b.letters)
	b.records, b.docs, b.letters, b.dropped = b.records[:0], b.docs[:0], b.letters[:0], 0
}

// add takes a record over from the source, whose bytes it copies.
func (b *batch) add(rec wal.Record) {
	rec.Payload = b.arena.Copy(rec.Payload)
	if len(b.records) == 0 {
		b.oldest = rec.ReceivedAt
	}
	b.records = append(b.records, rec)
	b.bytes += int64(len(rec.Payload))
	b.last = rec.Last()
}

// collect fills b with the next records: it waits for the first, then takes what comes until the batch
// is full or linger has passed. Workers collect in turn, so that runs are taken, and known to the tracker,
// in the order of their offsets.
func (f *Flusher) collect(ctx context.Context, b *batch) error {
	b.reset()
	share := min(int64(f.opts.BatchBytes), f.opts.MaxInFlightBytes)
	if err := f.inFlight.Acquire(ctx, share); err != nil {
		return err
	}
	b.reserved = share
	if err := f.collectRecords(ctx, b); err != nil {
		f.inFlight.Release(share)
		return err
	}
	// A batch smaller than its share leaves room for others; a single event may be larger, and then
	// counts as one share.
	b.reserved = min(b.bytes, share)
	f.inFlight.Release(share - b.reserved)
	return nil
}

func (f *Flusher) collectRecords(ctx context.Context, b *batch) error {
	select {
	case f.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-f.turn }()

	rec, err := f.next(ctx)
	if err != nil {
		return err
	}
	b.add(rec)
	linger, cancel := context.WithTimeout(ctx, f.opts.Linger)
	defer cancel()
	for len(b.records) < f.opts.BatchEvents && b.bytes < int64(f.opts.BatchBytes) {
		rec, err := f.next(linger)
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			break // linger has passed, or the log has ended: this run is complete
		}
		if b.bytes+int64(len(rec.Payload)) > int64(f.opts.BatchBytes) {
			pushed := rec // a copy here, so that rec itself need not be on the heap
			pushed.Payload = append([]byte(nil), rec.Payload...)
			f.pushed = &pushed
			break
		}
		b.add(rec)
	}
	f.tracker.begin(b.flight)
	return nil
}

// next returns the record that the last batch had no room for, or the source's next. Reading may fail
// for a while (no descriptors, no space to keep damaged bytes): that is tried again, not given up.
func (f *Flusher) next(ctx context.Context) (wal.Record, error) {
	if f.pushed != nil {
		rec := *f.pushed
		f.pushed = nil
		return rec, nil
	}
	wait := f.newBackOff()
	for {
		rec, err := f.opts.Source.Next(ctx)
		if err == nil || errors.Is(err, wal.ErrClosed) || ctx.Err() != nil {
			return rec, err
		}
		f.health.failing("reading the log", err)
		if err := sleep(ctx, wait.NextBackOff()); err != nil {
			return wal.Record{}, err
		}
	}
}

// sleep waits for d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
