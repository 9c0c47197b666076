package wal

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Snapshot is a log opened for reading only: a stopped one, or a copy. It changes nothing on disk. The
// caller holds the data directory's lock, or knows that nobody writes.
type Snapshot struct {
	dir  string
	lay  layout
	from Offset           // the oldest record that must be there; 0 when that is not known
	end  *CorruptionError // what is wrong with the end of the log; nil when nothing is
}

// OpenSnapshot inspects the log in dir as Open would, without repairing it. A log that ends before its durable mark
// goes on up to the mark, with what is missing reported as damage.
func OpenSnapshot(dir string) (*Snapshot, error) {
	lay, err := inspect(dir, "")
	if err != nil {
		return nil, fmt.Errorf("open log %s: %w", dir, err)
	}
	s := &Snapshot{dir: dir, lay: lay}
	if s.end, err = lay.damagedMark(dir); err != nil {
		return nil, fmt.Errorf("open log %s: %w", dir, err)
	}
	s.expectEnd(lay.known)
	return s, nil
}

// NoSnapshot stands for a log whose directory is not there. Expect makes damage of what it should have held.
func NoSnapshot(dir string) *Snapshot { return &Snapshot{dir: dir, lay: layout{seq: 1, next: 1}} }

// Expect tells the snapshot what is known of its log from elsewhere: that it should hold all records from one offset to
// another, both included. What is missing of them is damage. The log is then read as Open reads it with Options.KnownEnd.
func (s *Snapshot) Expect(from, end Offset) {
	s.from = from
	s.expectEnd(end)
	if lost := s.LostEnd(); lost != nil {
		lost.First = max(lost.First, from)
	}
}

func (s *Snapshot) expectEnd(end Offset) {
	if end < s.lay.next {
		return
	}
	lost := s.lay.missing(end)
	if before := s.LostEnd(); before != nil {
		lost.First = before.First
	}
	s.end = &lost
	s.lay.loseEnd(end)
}

// LostEnd returns the offsets that the log should hold at its end, by its durable mark or what Expect was told, and does not
// reach; nil when it reaches them all.
func (s *Snapshot) LostEnd() *CorruptionError {
	if s.end == nil || !errors.Is(s.end, errLostEnd) {
		return nil
	}
	return s.end
}

// MarkDamage says why the durable mark cannot be read; nil when it can, and when there is none. A start makes it anew.
func (s *Snapshot) MarkDamage() error { return s.lay.markDamage }

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

// HasEpoch reports whether the log holds records of the epoch, as far as the beginnings of its segments tell.
func (s *Snapshot) HasEpoch(e Epoch) bool {
	return slices.ContainsFunc(s.lay.segs, func(seg segment) bool { return seg.gen.epoch == e })
}

// LostBegin returns the offsets that Expect was told of and that the log begins behind; nil when it holds the first of them,
// or lost its end as well, so that LostEnd says it.
func (s *Snapshot) LostBegin() *CorruptionError {
	first := &s.window().segs[0]
	if s.from == 0 || s.from >= first.first || s.LostEnd() != nil {
		return nil
	}
	return &CorruptionError{Segment: first.name(), First: s.from, Last: first.first - 1, Err: errMissing}
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
	Frames  uint64             `json:"frames"`  // proven, those without records included
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

// Verify reads and proves every frame and every record of the snapshot. progress, which may be nil, hears of the bytes
// done so far after each segment's share.
func (s *Snapshot) Verify(ctx context.Context, progress func(bytes int64)) (Report, error) {
	from := Offset(0)
	if s.from != 0 && s.from < s.window().segs[0].first {
		from = s.from
	}
	r := s.NewReader(from)
	r.everything = true
	return s.verify(ctx, r, progress)
}

// VerifyLast proves the last segments only: what a short look can tell of damage.
func (s *Snapshot) VerifyLast(ctx context.Context, segments int) (Report, error) {
	segs := s.window().segs
	return s.verify(ctx, s.NewReader(segs[max(0, len(segs)-segments)].first), nil)
}

func (s *Snapshot) verify(ctx context.Context, r *Reader, progress func(int64)) (Report, error) {
	rep, err := verify(ctx, r, s.lay.next-1, progress)
	n := len(rep.Damage)
	switch {
	case s.end == nil:
	case n == 0 || s.LostEnd() == nil && rep.Damage[n-1].Last < s.end.Last:
		rep.Damage = append(rep.Damage, s.end)
	case s.LostEnd() != nil && rep.Damage[n-1].Last == s.end.Last && rep.Damage[n-1].Length == 0:
		rep.Damage[n-1].Err = errLostEnd // the reader went up to the end that was lost, and says what is missing
	}
	if s.lay.markDamage != nil {
		rep.Damage = append(rep.Damage, &CorruptionError{Segment: markName, Length: markBytes, First: 1, Err: s.lay.markDamage})
	}
	return rep, err
}

// Verify reads and proves every frame and every record that is durable now. It writes nothing to the repair directory.
func (l *Log) Verify(ctx context.Context, progress func(bytes int64)) (Report, error) {
	r := newReader(l, l.dir, 0)
	r.everything = true
	return verify(ctx, r, l.DurableOffset(), progress)
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
	err := r.proveRest(durable)
	rep.Frames, rep.Damage = r.frames, slices.Clip(rep.Damage)
	return rep, err
}

// proveRest goes on behind the last record, where only frames without records are: marks of starts and stops. It ends at
// the end of the log, or where newer records begin.
func (r *Reader) proveRest(durable Offset) error {
	for {
		more, err := r.enter()
		if err != nil {
			return err
		}
		if !more {
			break
		}
		rec, ok, err := r.readRecord()
		if err != nil {
			return err
		}
		if ok && rec.Offset > durable {
			break
		}
	}
	if r.skipReclaimed(r.next); len(r.bad) > 0 {
		_, err := r.keep(r.next, r.next-1, r.pos)
		return err
	}
	return nil
}

// markFlaws is how many bytes of a clean mark may differ from what it should be for it to be called damaged rather
// than torn: four of them are its checksum. A write that a power cut tore leaves zeros or older bytes from some byte on, not a few changed ones.
const markFlaws = 8

// damagedMark reports a mark, of an orderly stop or of the beginning of a life, that is there in its whole length at the end
// of the log and is not what it should be: all that a mark holds is known beforehand. The next start takes it for a torn
// tail, which it may, because no record is in it.
func (lay *layout) damagedMark(dir string) (*CorruptionError, error) {
	const length = 1 + frameHeaderBytes
	i, behind := lay.keep-1, int64(0)
	if lay.torn == 0 {
		i++ // a segment with nothing but the mark
	}
	if i < 0 || i != len(lay.segs)-1 {
		return nil, nil
	}
	s := &lay.segs[i]
	if i < lay.keep {
		behind = s.size - lay.torn
	}
	if s.size-behind != length {
		return nil, nil
	}
	b, _, err := readSegment(dir, s.seq)
	if err != nil {
		return nil, err
	}
	if int64(len(b)) < s.size {
		return nil, nil // it changed meanwhile: somebody writes
	}
	b = b[behind:s.size]
	h := frameHeader{flags: flagGroupEnd | flagCleanMark, seq: lay.seq, first: lay.next, watermark: lay.seq - 1, gen: lay.gen}
	if i == lay.keep { // it began an epoch, which only it tells
		h.gen = generation{epoch: Epoch(binary.LittleEndian.Uint64(b[1+40:])), salt: binary.LittleEndian.Uint64(b[1+48:])}
	}
	var want [length]byte
	want[0] = frameHeaderBytes
	putFrameHeader(want[1:], &h)
	flaws := 0
	for i, c := range b {
		if c != want[i] {
			flaws++
		}
	}
	torn := binary.LittleEndian.Uint32(b[1+frameCheckedBytes:]) == 0 // its end was never written
	if torn || flaws == 0 || flaws > markFlaws {
		return nil, nil
	}
	return &CorruptionError{Segment: s.name(), Position: behind, Length: length, First: lay.next, Last: lay.next - 1, Err: errMark}, nil
}
