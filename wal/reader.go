package wal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
)

// Reader yields records in the order of their offsets, from its own descriptors and without the
// library. It sees nothing above the durable offset. What it cannot read it sets aside in the repair
// directory and reports as one record with FlagDamaged for each gap in the offsets. Not for concurrent use.
type Reader struct {
	src   source
	dir   string
	names streamNames
	// damage handling
	repairDir  string // "": damage is reported but not kept, for commands that must not write
	logger     *slog.Logger
	metrics    *Metrics
	onAside    func(AsideKind, CorruptionError)
	onDamage   func(*CorruptionError) // may be nil; also told of damage that cost no record
	everything bool                   // begin at the oldest segment, also where no record of it is wanted
	frames     uint64                 // whose header was proven

	win    window
	next   Offset // the offset that Next returns
	origin Offset // where the log began when the reader was made

	f        *os.File
	seg      segment
	bound    uint64 // sequence at which the next segment begins; 0 for the last one
	boundOff Offset // offset at which it begins; 0 for the last one
	nextSeq  uint64
	pos      int64 // in the segment: what follows has not been looked at
	frameEnd int64 // end of the frame that pos is in; at or below pos between frames

	buf  []byte // bytes of the segment from base on
	base int64

	stream string // of the record read last, which the next one nearly always shares

	bad  []span  // damaged bytes since the last record
	held *Record // the record behind a gap that has just been reported
}

// source is what a Reader reads: a live log, or the segments of a stopped one.
type source interface {
	window() window
	wait(ctx context.Context, durable Offset) error
}

// readChunk is how much a reader takes from a segment at once.
const readChunk = 256 << 10

// NewReader returns a reader whose first record is the one at offset from, or the oldest when from is 0.
// If the log begins after from, the records between are missing, and the reader says so with its first
// record. It opens no file before Next is called.
func (l *Log) NewReader(from Offset) *Reader {
	r := newReader(l, l.dir, from)
	r.repairDir, r.logger, r.metrics, r.onAside = l.opts.RepairDir, l.opts.Logger, l.opts.Metrics, l.opts.tellAside
	return r
}

func newReader(src source, dir string, from Offset) *Reader {
	r := &Reader{src: src, dir: dir, names: streamNames{}, logger: slog.New(slog.DiscardHandler), win: src.window(), next: from}
	r.origin = r.win.segs[0].first
	if from == 0 {
		r.next = r.origin
	}
	return r
}

// Next returns the next record, waiting for one to become durable. Its payload is valid until the next
// call. Errors: ctx's, ErrClosed when the log is closed and everything was read, and errors of reading
// or of keeping damaged bytes, after which Next may be called again and goes on where it was.
func (r *Reader) Next(ctx context.Context) (Record, error) {
	for {
		var rec Record
		if r.atHand(&rec) {
			return rec, nil
		}
		rec, ok, err := r.step()
		if err != nil || ok {
			return rec, err
		}
		if err := r.src.wait(ctx, r.next-1); err != nil {
			return Record{}, err
		}
	}
}

// Position returns the offset that Next returns next.
func (r *Reader) Position() Offset { return r.next }

// Close releases the reader's descriptor and buffer.
func (r *Reader) Close() error {
	r.buf = nil
	return r.closeSegment()
}

// atHand reads the next record where nothing is special about it: whole, sound and durable, it is the one that is expected, and
// its bytes have been read with those of its frame. Else it changes nothing, and step finds out what there is.
func (r *Reader) atHand(rec *Record) bool {
	if r.pos >= r.frameEnd || r.pos < r.base || r.next > r.win.durable || r.held != nil || len(r.bad) > 0 {
		return false
	}
	from, to := r.pos-r.base, min(r.frameEnd-r.base, int64(len(r.buf)))
	if from >= to {
		return false
	}
	b := r.buf[from:to]
	n, err := proveRecord(b, r.seg.gen)
	if err != nil {
		return false
	}
	b = b[:n:n]
	fillRecord(rec, b, r.seg.gen)
	if rec.Offset != r.next || r.boundOff != 0 && rec.Offset >= r.boundOff {
		return false
	}
	if name := streamOf(b); string(name) != r.stream {
		r.stream = r.names.intern(name)
	}
	rec.Stream = r.stream
	r.pos += int64(n)
	r.next++
	return true
}

// step returns the next record if one is durable.
func (r *Reader) step() (Record, bool, error) {
	if r.held != nil {
		rec := *r.held
		r.held = nil
		r.next = rec.Offset + 1
		return rec, true, nil
	}
	for {
		if r.next > r.win.durable {
			if r.win = r.src.window(); r.next > r.win.durable {
				return Record{}, false, nil
			}
		}
		more, err := r.enter()
		if err != nil {
			return Record{}, false, err
		}
		if !more { // nothing but damage up to the durable offset
			return r.gap(r.win.durable+1, r.pos)
		}
		rec, ok, err := r.readRecord()
		if err != nil {
			return Record{}, false, err
		}
		if !ok || rec.Offset < r.next { // skipped: below the start
			continue
		}
		if rec.Offset == r.next && len(r.bad) == 0 {
			r.next++
			return rec, true, nil
		}
		found, err := r.reportBefore(&rec)
		if err != nil {
			r.pos -= int64(rec.size) // read it again at the next call
			return Record{}, false, err
		}
		return found, true, nil
	}
}

// enter makes sure that there is something unread in an open segment, moving on to the next segment
// where one ends. It reports false at the end of the last one.
func (r *Reader) enter() (bool, error) {
	for {
		if r.f != nil && r.pos < r.limit() && (r.pos < r.frameEnd || r.bound == 0 || r.nextSeq < r.bound) {
			return true, nil
		}
		if r.f != nil && r.bound == 0 {
			// The last segment that we knew: it may have grown, or have a follower now.
			if r.win = r.src.window(); r.pos < r.limit() {
				return true, nil
			}
		}
		if r.f != nil && r.bound != 0 && r.nextSeq < r.bound && len(r.bad) == 0 {
			r.bad = append(r.bad, span{seg: r.seg, from: r.pos, to: r.pos, err: errMissing})
		}
		i := r.following()
		if i < 0 {
			return false, nil
		}
		if err := r.openSegment(i); err != nil {
			return false, err
		}
	}
}

// limit is where reading the current segment ends.
func (r *Reader) limit() int64 {
	segs := r.win.segs
	if n := len(segs); n > 0 && segs[n-1].seq == r.seg.seq {
		r.bound, r.boundOff = 0, 0
		return r.win.last
	}
	if r.bound == 0 { // it was the last one when it was opened
		if i, ok := slices.BinarySearchFunc(segs, r.seg.seq, bySeq); ok {
			r.seg.size = segs[i].size
			r.bound, r.boundOff = segs[i+1].seq, segs[i+1].first
		}
	}
	return r.seg.size
}

func bySeq(s segment, seq uint64) int {
	switch {
	case s.seq < seq:
		return -1
	case s.seq > seq:
		return 1
	}
	return 0
}

// following returns the index of the segment to read next, or -1. The active segment is not opened while
// it is empty: if its first write fails, another file takes its name.
func (r *Reader) following() int {
	i := r.nextSegment()
	if i == len(r.win.segs)-1 && r.win.last == 0 {
		return -1
	}
	return i
}

func (r *Reader) nextSegment() int {
	segs := r.win.segs
	if r.f == nil && r.seg.seq == 0 && r.everything {
		return 0
	}
	if r.f == nil && r.seg.seq == 0 { // the start: the last segment that begins at or before next
		i, _ := slices.BinarySearchFunc(segs, r.next, func(s segment, o Offset) int {
			if s.first <= o {
				return -1
			}
			return 1
		})
		return min(max(i-1, 0), len(segs)-1)
	}
	i, found := slices.BinarySearchFunc(segs, r.seg.seq, bySeq)
	if found {
		i++
	}
	if i >= len(segs) {
		return -1
	}
	return i
}

func (r *Reader) openSegment(i int) error {
	if err := r.closeSegment(); err != nil {
		return err
	}
	segs := r.win.segs
	r.seg, r.nextSeq = segs[i], segs[i].seq
	r.pos, r.frameEnd, r.base, r.buf = 0, 0, 0, r.buf[:0]
	r.bound, r.boundOff = 0, 0
	if i < len(segs)-1 {
		r.bound, r.boundOff = segs[i+1].seq, segs[i+1].first
	}
	f, err := os.Open(filepath.Join(r.dir, r.seg.name()))
	if errors.Is(err, fs.ErrNotExist) {
		r.bad = append(r.bad, span{seg: r.seg, err: errMissing})
		return nil // following goes on behind it
	}
	if err != nil {
		r.seg.seq-- // so that following finds the same segment again
		return fmt.Errorf("open segment: %w", err)
	}
	r.f = f
	return nil
}

func (r *Reader) closeSegment() error {
	if r.f == nil {
		return nil
	}
	f := r.f
	r.f = nil
	if err := f.Close(); err != nil {
		return fmt.Errorf("close segment: %w", err)
	}
	return nil
}

// readRecord reads what stands at pos: a record, or the header of the next frame, or damage. It reports
// whether it was a record.
func (r *Reader) readRecord() (Record, bool, error) {
	if r.pos < r.frameEnd {
		return r.recordInFrame()
	}
	b, err := r.bytes(r.pos, maxEntryPrefix+frameHeaderBytes)
	if err != nil {
		return Record{}, false, err
	}
	h, n, err := decodeEntry(b, r.limit()-r.pos)
	switch {
	case errors.Is(err, ErrNewerFormat):
		return Record{}, false, fmt.Errorf("segment %s: %w", r.seg.name(), err)
	case err == nil && h.seq != r.nextSeq:
		err = errSequence
	case err == nil && h.gen != r.seg.gen:
		err = errChecksum
	}
	if err != nil {
		return Record{}, false, r.resync(r.pos, r.pos, r.limit(), err)
	}
	r.enterFrame(r.pos+int64(n), &h)
	return Record{}, false, nil
}

// enterFrame goes into the frame at position at, or past it when all its records lie below the start.
func (r *Reader) enterFrame(at int64, h *frameHeader) {
	r.frames++
	r.nextSeq = h.seq + 1
	r.pos = at + frameHeaderBytes
	r.frameEnd = r.pos + int64(h.bodyBytes)
	if h.first+Offset(h.count) <= r.next {
		r.pos = r.frameEnd
	}
}

func (r *Reader) recordInFrame() (Record, bool, error) {
	b, err := r.bytes(r.pos, recordHeaderBytes)
	if err != nil {
		return Record{}, false, err
	}
	n, err := recordLength(b)
	if err == nil && int64(n) > r.frameEnd-r.pos {
		err = errLength
	}
	if err != nil {
		return Record{}, false, r.resync(r.pos, r.pos+1, r.frameEnd, err)
	}
	if b, err = r.bytes(r.pos, n); err != nil {
		return Record{}, false, err
	}
	rec, n, err := decodeRecord(b, r.seg.gen, r.names)
	if err == nil && r.boundOff != 0 && rec.Offset >= r.boundOff {
		err = errSequence
	}
	if err != nil {
		return Record{}, false, r.resync(r.pos, r.pos+1, r.frameEnd, err)
	}
	r.pos += int64(n)
	return rec, true, nil
}

// bytes returns n bytes from position at, or fewer at the end of what may be read.
func (r *Reader) bytes(at int64, n int) ([]byte, error) {
	n = int(min(int64(n), r.limit()-at))
	if at >= r.base && at+int64(n) <= r.base+int64(len(r.buf)) {
		i := at - r.base
		return r.buf[i : i+int64(n) : i+int64(n)], nil
	}
	want := int(min(int64(max(n, readChunk)), r.limit()-at))
	if cap(r.buf) < want || (cap(r.buf) > 4*readChunk && want <= readChunk) { // give back what a huge record needed
		r.buf = make([]byte, want)
	}
	r.buf, r.base = r.buf[:want], at
	if _, err := readTolerant(r.f, r.buf, at); err != nil {
		r.buf = r.buf[:0]
		return nil, fmt.Errorf("read segment %s: %w", r.seg.name(), err)
	}
	return r.buf[:n:n], nil
}
