package wal

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Log is a durable, append-only sequence of records. Its methods may be called concurrently.
type Log struct {
	dir  string
	opts Options

	wake chan struct{} // tells the committer that enough is queued; holds one token
	done chan struct{} // closed when Run has ended

	mu       sync.Mutex
	queue    []*group      // guarded by mu, like the fields below; the last group may still grow
	segs     []segment     // replaced, never changed in place; the last one is active
	active   int64         // durable bytes of the active segment
	changed  chan struct{} // closed and replaced when durable, segs or closing change and somebody waits
	waiters  int
	company  company
	durable  Offset
	settled  Offset // the highest offset that Reclaim was told
	total    int64  // bytes of all segments
	full     bool   // an append was refused for MaxBytes, and there is no room to speak of yet
	failure  error  // set while the log has failed; appends are refused
	closing  bool
	closed   bool
	running  bool
	gen      generation // what this life writes under
	lastSync time.Time

	lib       library // committer only, like the fields below
	mark      *mark
	nextSeq   uint64 // sequence of the next frame
	tailSeq   uint64 // first sequence of the library's active segment
	tailBytes int64  // bytes that the library holds in it
	ahead     ahead
	made      int    // segments that this library log made
	frame     []byte // encoding buffer
	appended  bool   // this life has written something

	newEpoch  bool // this life began an epoch
	lostEnd   bool // see LostEnd
	space     space
	reclaimMu sync.Mutex
	failures  atomic.Uint64
}

// Append writes events to the log and returns the offset of the first when all of them, and all records
// before them, are fsynced. The events are one unit: after a crash either all are in the log or none.
// The log does not touch the events' bytes after Append has returned.
//
// ctx is looked at before the events are queued; once queued, Append waits for the outcome, because
// until then the bytes are in use. On error see the sentinels: after ErrFull, ErrFailed, ErrClosed and
// ErrEmptyPayload nothing of the append is in the log; after ErrCommit that is open.
func (l *Log) Append(ctx context.Context, origin Origin, events []Event) (Offset, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if len(origin.Stream) > MaxStreamBytes {
		return 0, fmt.Errorf("stream name of %d bytes is longer than %d", len(origin.Stream), MaxStreamBytes)
	}
	size := 0
	for i := range events {
		if len(events[i].Payload) == 0 {
			return 0, ErrEmptyPayload
		}
		size += recordBytes(&origin, &events[i])
	}
	if size == 0 {
		return 0, ErrEmptyPayload
	}

	l.mu.Lock()
	if err := l.refusalLocked(int64(size)); err != nil {
		l.mu.Unlock()
		return 0, err
	}
	g := l.openGroupLocked(size)
	i := len(g.requests)
	g.requests = append(g.requests, request{origin: origin, events: events})
	g.bytes += size
	enough := l.queuedLocked() >= l.company.wake || len(l.queue) > 1
	l.mu.Unlock()

	if enough {
		select {
		case l.wake <- struct{}{}:
		default: // a token is there already
		}
	}
	<-g.done
	if g.err != nil {
		return 0, g.err
	}
	return g.requests[i].first, nil
}

// refusalLocked says why an append of the given size cannot be taken now, or nil.
func (l *Log) refusalLocked(size int64) error {
	switch {
	case l.closing:
		return ErrClosed
	case l.failure != nil:
		return fmt.Errorf("%w: %w", ErrFailed, l.failure)
	case l.fullLocked(size):
		return fmt.Errorf("%w: %d of %d bytes in use", ErrFull, l.total, l.opts.MaxBytes)
	}
	return l.space.refusal(func() int64 { return freeBytes(l.dir) }, l.opts.MinFreeBytes, size)
}

// fullLocked reports whether an append of the given size would pass MaxBytes. Once one did, the log stays
// full until some room is there again: small appends that would still fit must not hide that others are
// refused. A log of which everything is settled is not full, though one segment of it may have to stay,
// which a large frame can have made as long as MaxBytes.
func (l *Log) fullLocked(size int64) bool {
	if l.opts.MaxBytes <= 0 {
		return false
	}
	room, used := int64(0), l.total
	if l.full {
		room = min(l.opts.SegmentBytes/2, l.opts.MaxBytes/16)
	}
	if l.settled >= l.durable && len(l.segs) <= 2 {
		used = 0 // what is left of the settled ones goes once something stands behind it
	}
	l.full = used+max(size, room) > l.opts.MaxBytes
	return l.full
}

// Ready returns nil when an append would be taken now, else the error that it would get.
func (l *Log) Ready() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.refusalLocked(0)
}

// Epoch returns the epoch of the records that the log appends now.
func (l *Log) Epoch() Epoch {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.gen.epoch
}

// Epochs returns the epochs of the records that the log holds or will append, oldest first.
func (l *Log) Epochs() []Epoch {
	l.mu.Lock()
	defer l.mu.Unlock()
	var epochs []Epoch
	for i := range l.segs {
		if n := len(epochs); n == 0 || epochs[n-1] != l.segs[i].gen.epoch {
			epochs = append(epochs, l.segs[i].gen.epoch)
		}
	}
	return epochs
}

// HasEpoch reports whether the log holds, or appends, records of the epoch.
func (l *Log) HasEpoch(e Epoch) bool { return slices.Contains(l.Epochs(), e) }

// DurableOffset returns the highest committed offset; 0 for a log that never had a record.
func (l *Log) DurableOffset() Offset {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.durable
}

// FirstOffset returns the offset of the oldest record that is still in the log, or of the next one to
// come when there is none.
func (l *Log) FirstOffset() Offset {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.segs[0].first
}

// Bytes returns the size of all segments.
func (l *Log) Bytes() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.total
}

// Status is a snapshot for people and for the admin listener.
type Status struct {
	Epoch         string    `json:"epoch"`
	FirstOffset   Offset    `json:"first_offset"`
	DurableOffset Offset    `json:"durable_offset"`
	Segments      int       `json:"segments"`
	Bytes         int64     `json:"bytes"`
	MaxBytes      int64     `json:"max_bytes"`
	FreeBytes     int64     `json:"free_bytes"` // of the file system; -1 when unknown
	LastSync      time.Time `json:"last_sync,omitzero"`
	Failures      uint64    `json:"failures"` // writes or syncs that failed since the start
	Refusing      string    `json:"refusing"` // why appends are refused now; "" when they are not
}

// Status returns a snapshot of the log.
func (l *Log) Status() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	st := Status{
		Epoch: l.gen.epoch.String(), FirstOffset: l.segs[0].first, DurableOffset: l.durable,
		Segments: len(l.segs), Bytes: l.total, MaxBytes: l.opts.MaxBytes, FreeBytes: freeBytes(l.dir),
		LastSync: l.lastSync, Failures: l.failures.Load(),
	}
	if err := l.refusalLocked(0); err != nil {
		st.Refusing = err.Error()
	}
	return st
}

// SegmentInfo describes one segment for operators.
type SegmentInfo struct {
	Name   string `json:"name"`
	First  Offset `json:"first_offset"`
	Epoch  string `json:"epoch"`
	Bytes  int64  `json:"bytes"`
	Active bool   `json:"active"`
}

// Segments lists the segments, oldest first.
func (l *Log) Segments() []SegmentInfo {
	l.mu.Lock()
	defer l.mu.Unlock()
	infos := segmentInfos(l.segs)
	infos[len(infos)-1].Bytes, infos[len(infos)-1].Active = l.active, !l.closed
	return infos
}

func segmentInfos(segs []segment) []SegmentInfo {
	infos := make([]SegmentInfo, len(segs))
	for i := range segs {
		s := &segs[i]
		infos[i] = SegmentInfo{Name: s.name(), First: s.first, Epoch: s.gen.epoch.String(), Bytes: s.size}
	}
	return infos
}

// window is what a reader may see.
type window struct {
	segs    []segment // shared and never changed
	last    int64     // durable bytes of the last segment, whose own size says nothing
	durable Offset
	closed  bool
}

func (l *Log) window() window {
	l.mu.Lock()
	defer l.mu.Unlock()
	return window{segs: l.segs, last: l.active, durable: l.durable, closed: l.closed}
}

// wait blocks until there is something above durable, the log is closed, or ctx ends.
func (l *Log) wait(ctx context.Context, durable Offset) error {
	l.mu.Lock()
	if l.durable > durable {
		l.mu.Unlock()
		return nil
	}
	if l.closed {
		l.mu.Unlock()
		return ErrClosed
	}
	changed := l.changed
	l.waiters++
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		l.waiters--
		l.mu.Unlock()
	}()
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// announceLocked wakes waiting readers.
func (l *Log) announceLocked() {
	if l.waiters > 0 {
		close(l.changed)
		l.changed = make(chan struct{})
	}
}
