package main

import (
	"context"
	"errors"
	"slices"

	"github.com/weirlog/weir/wal"
)

const (
	// recentScanBytes is how much of the log's end is read to find events, and recentKeptBytes how much of them is held
	// in memory: a shadow is run beside everything else.
	recentScanBytes = 64 << 20
	recentKeptBytes = 8 << 20
)

var errNoLog = errors.New("no log is open")

// recentEvents reads the newest events of the log for scripts that are tried on them.
type recentEvents struct {
	browse func() (logView, error) // nil in commands
	one    chan struct{}           // has room for one at a time: each holds its events in memory, and takes processor time from delivery
}

func newRecentEvents(browse func() (logView, error)) recentEvents {
	return recentEvents{browse: browse, one: make(chan struct{}, 1)}
}

// visit shows the newest n events of some streams, the oldest first. What is damaged, was rejected or has been reclaimed is
// passed over.
func (r *recentEvents) visit(ctx context.Context, n int, streams []string, visit func(*wal.Record) error) error {
	if r.browse == nil {
		return errNoLog
	}
	select {
	case r.one <- struct{}{}:
		defer func() { <-r.one }()
	case <-ctx.Done():
		return ctx.Err()
	}
	log, err := r.browse()
	if err != nil {
		return err
	}
	events, err := newestEvents(ctx, log, n, recentScanBytes, func(stream string) bool { return slices.Contains(streams, stream) })
	for i := range events {
		if err := visit(&events[i]); err != nil {
			return err
		}
	}
	return err
}

// newestEvents goes back through the log, segment by segment, until it has n events or has read about scan bytes. With an error
// come the events that were found before it.
func newestEvents(ctx context.Context, log logView, n int, scan int64, wanted func(stream string) bool) ([]wal.Record, error) {
	segments, end := log.Segments(), log.Status().DurableOffset+1
	kept := &newest{limit: n, room: recentKeptBytes, scan: scan}
	for i := len(segments) - 1; i >= 0 && kept.scan > 0 && kept.limit > 0 && kept.room > 0; i-- {
		if segments[i].First >= end { // nothing of it is durable
			continue
		}
		from := segments[i].First
		if size := segments[i].Bytes; size > kept.scan {
			// A large one: its last part, by the bytes that a record of it has on average.
			from = end - wal.Offset(float64(end-from)*float64(kept.scan)/float64(size))
		}
		if err := kept.take(ctx, log, from, end, wanted); err != nil {
			return kept.events, err
		}
		end = from
	}
	return kept.events, nil
}

// newest collects events from behind.
type newest struct {
	limit  int   // of events that may still be taken
	room   int64 // for their bytes
	scan   int64 // bytes of records that may still be read
	events []wal.Record
}

// take puts the newest events between two offsets, the second excluded, before those that it has.
func (k *newest) take(ctx context.Context, log logView, from, end wal.Offset, wanted func(stream string) bool) error {
	reader := log.NewReader(from)
	defer reader.Close()
	var found []wal.Record
	var held int64
	full := false
	err := eachBefore(ctx, reader, end, func(rec *wal.Record) bool {
		size := int64(len(rec.Payload))
		k.scan -= size
		if rec.Flags&(wal.FlagDamaged|wal.FlagRejected) == 0 && size <= k.room && wanted(rec.Stream) {
			kept := *rec
			kept.Payload = slices.Clone(rec.Payload)
			found, held = append(found, kept), held+size
		}
		for len(found) > k.limit || held > k.room {
			full = full || held > k.room
			held -= int64(len(found[0].Payload))
			found = found[1:]
		}
		return k.scan > 0
	})
	k.limit, k.room = k.limit-len(found), k.room-held
	if full {
		k.room = 0 // older ones would leave a gap
	}
	k.events = append(found, k.events...)
	return err
}

// eachBefore shows the records from where the reader stands to an offset, that one excluded, until visit has enough.
func eachBefore(ctx context.Context, reader *wal.Reader, end wal.Offset, visit func(*wal.Record) bool) error {
	for reader.Position() < end {
		if err := ctx.Err(); err != nil {
			return err
		}
		rec, err := reader.Next(ctx)
		switch {
		case errors.Is(err, wal.ErrClosed): // the end of a snapshot
			return nil
		case err != nil:
			return err
		case rec.Offset >= end || !visit(&rec):
			return nil
		}
	}
	return nil
}
