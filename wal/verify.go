package wal

import (
	"context"
	"fmt"
	"slices"
)

// Snapshot is a log opened for reading only: a stopped one, or a copy. It changes nothing on disk. The
// caller holds the data directory's lock, or knows that nobody writes.
type Snapshot struct {
	dir string
	lay layout
}

// OpenSnapshot inspects the log in dir as Open would, without repairing it. A log that ends before its durable mark
// goes on up to the mark, with what is missing reported as damage.
func OpenSnapshot(dir string) (*Snapshot, error) {
	lay, err := inspect(dir, "")
	if err != nil {
		return nil, fmt.Errorf("open log %s: %w", dir, err)
	}
	if lay.known >= lay.next {
		lay.loseEnd(lay.known)
	}
	return &Snapshot{dir: dir, lay: lay}, nil
}

func (s *Snapshot) window() window {
	segs := s.lay.segs[:s.lay.keep]
	if len(segs) == 0 {
		return window{segs: []segment{{seq: s.lay.seq, first: s.lay.next, gen: s.lay.gen}}, durable: s.lay.next - 1, closed: true}
	}
	return window{segs: segs, last: segs[len(segs)-1].size - s.lay.torn, durable: s.lay.next - 1, closed: true}
}

func (s *Snapshot) wait(context.Context, Offset) error { return ErrClosed }

// NewReader returns a reader over the snapshot, which keeps no copies of damaged bytes. Its Next returns
// ErrClosed at the end.
func (s *Snapshot) NewReader(from Offset) *Reader { return newReader(s, s.dir, from) }

// Status returns what the snapshot knows.
func (s *Snapshot) Status() Status {
	st := Status{Epoch: s.lay.gen.epoch.String(), FirstOffset: s.lay.next, DurableOffset: s.lay.next - 1, Segments: s.lay.keep, FreeBytes: freeBytes(s.dir)}
	for i := range s.lay.segs[:s.lay.keep] {
		st.Bytes += s.lay.segs[i].size
	}
	if s.lay.keep > 0 {
		st.FirstOffset = s.lay.segs[0].first
	}
	return st
}

// Clean reports whether the log was closed in order, and how many bytes of groups that never became
// whole the next start will cut.
func (s *Snapshot) Clean() (clean bool, torn int64) {
	for _, seg := range s.lay.segs[s.lay.keep:] {
		torn += seg.size
	}
	return s.lay.clean, torn + s.lay.torn
}

// Segments lists the segments, oldest first.
func (s *Snapshot) Segments() []SegmentInfo {
	return segmentInfos(s.lay.segs[:s.lay.keep])
}

// Report is the result of a verification.
type Report struct {
	Records uint64             `json:"records"` // proven
	Bytes   int64              `json:"bytes"`
	Damage  []*CorruptionError `json:"damage"`
}

// Lost returns how many records are damaged.
func (r *Report) Lost() uint64 {
	var n uint64
	for _, d := range r.Damage {
		n += uint64(d.Last + 1 - d.First)
	}
	return n
}

// Verify reads and proves every record of the snapshot. progress, which may be nil, hears of the bytes
// done so far after each segment's share.
func (s *Snapshot) Verify(ctx context.Context, progress func(bytes int64)) (Report, error) {
	return verify(ctx, s.NewReader(0), s.lay.next-1, progress)
}

// Verify reads and proves every record that is durable now. It writes nothing to the repair directory.
func (l *Log) Verify(ctx context.Context, progress func(bytes int64)) (Report, error) {
	return verify(ctx, newReader(l, l.dir, 0), l.DurableOffset(), progress)
}

func verify(ctx context.Context, r *Reader, durable Offset, progress func(int64)) (Report, error) {
	defer r.Close()
	var rep Report
	r.onDamage = func(d *CorruptionError) { rep.Damage = append(rep.Damage, d) }
	const every = 4096
	for r.Position() <= durable {
		if err := ctx.Err(); err != nil {
			return rep, err
		}
		rec, err := r.Next(ctx)
		if err != nil {
			return rep, err
		}
		if rec.Flags&FlagDamaged != 0 {
			continue
		}
		rep.Records++
		rep.Bytes += int64(rec.size)
		if progress != nil && rep.Records%every == 0 {
			progress(rep.Bytes)
		}
	}
	rep.Damage = slices.Clip(rep.Damage)
	return rep, nil
}
