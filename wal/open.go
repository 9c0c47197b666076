package wal

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// layout is what start-up learned of a log directory without changing it.
type layout struct {
	segs  []segment // oldest first, sizes set; the last one may be of no use, see keep
	keep  int       // segments that stay; those behind hold nothing that was ever acknowledged
	seq   uint64    // the sequence at which a new segment begins
	next  Offset
	gen   generation // of the last whole group; unknown for a log without any readable frame
	clean bool       // the log was closed in order
	torn  int64      // bytes behind the last whole group of the last kept segment, without zeros that were written ahead
	zeros int64      // bytes of zeros that were written ahead, behind those
	known Offset     // what the durable mark names; 0 where there is none
	// keepSalt says that the last kept segment has no readable frame header: what proves its records may be known only from
	// a segment behind it, which is set aside and whose place this life's first one takes.
	keepSalt bool
	// markDamage says why there is a mark and it cannot be read.
	markDamage error
}

// inspect reads names, sizes and first headers of all segments, and every frame of the last one. It
// goes further back only where the last group began in an earlier segment.
func inspect(dir, repairDir string) (layout, error) {
	known, damaged, err := readMark(dir) // before the segments: they may grow beside a reading command
	if err != nil {
		return layout{}, err
	}
	segs, err := listSegments(dir, repairDir)
	if err != nil {
		return layout{}, err
	}
	lay := layout{segs: segs, keep: len(segs), seq: 1, next: 1, known: known, markDamage: damaged}
	if len(segs) == 0 {
		return lay, nil
	}
	if err := fillHeaders(dir, segs); err != nil {
		return layout{}, err
	}
	if err := lay.findEnd(dir); err != nil {
		return layout{}, err
	}
	if err := lay.fillUnknown(dir); err != nil {
		return layout{}, err
	}
	return lay, nil
}

// fillHeaders sets first offset and generation of every segment whose first header can be read. One that is
// damaged, on a bad sector, or reclaimed beside a reading command stays unknown; not being able to look (no
// permission, no descriptors) says nothing about a segment and is an error.
func fillHeaders(dir string, segs []segment) error {
	for i := range segs {
		h, err := readFirstHeader(dir, segs[i].seq)
		var pathErr *os.PathError
		switch {
		case err == nil:
			segs[i].first, segs[i].gen = h.first, h.gen
		case errors.Is(err, ErrNewerFormat):
			return fmt.Errorf("segment %s: %w", segs[i].name(), err)
		case errors.As(err, &pathErr) && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, unix.EIO):
			return err
		}
	}
	return nil
}

// findEnd determines where the log ends and which trailing segments hold nothing of a whole group.
func (lay *layout) findEnd(dir string) error {
	bound := uint64(0) // where the segment behind the one in hand begins; 0 for none
	for i := len(lay.segs) - 1; i >= 0; i-- {
		s := &lay.segs[i]
		b, whole, err := readSegment(dir, s.seq)
		if err != nil {
			return err
		}
		t, err := scanTail(b, s.seq, bound)
		if err != nil {
			return fmt.Errorf("segment %s: %w", s.name(), err)
		}
		if bound != 0 && !t.open && t.seq < bound {
			// A later segment exists, so what this one held was durable, and its end is damaged.
			lay.keep, lay.seq, lay.gen = i+1, bound, t.gen
			lay.next = lay.boundOffset(i, bound, t, b)
			return nil
		}
		if t.end > 0 {
			lay.keep, lay.seq, lay.next, lay.gen, lay.clean = i+1, t.seq, t.next, t.gen, t.clean
			if t.zeros && whole { // what could not be read is not known to be zeros
				end := max(int(t.end), len(b)-padding(b))
				b, lay.zeros = b[:end], int64(len(b)-end)
			}
			s.size = t.end
			if t.seq != bound { // else what follows is superseded and was dealt with before
				lay.torn = int64(len(b)) - t.end
				s.size += lay.torn
			}
			return nil
		}
		bound = s.seq // only a part of one group: it began further back
	}
	// No whole group anywhere: nothing was ever acknowledged.
	lay.keep, lay.seq = 0, lay.segs[0].seq
	lay.next = max(lay.segs[0].first, 1)
	lay.gen = lay.segs[0].gen
	return nil
}

// boundOffset returns an offset that no record before sequence bound can have had, given that segment i
// ends in damage: the records of lost frames cannot be counted, only bounded, but for those whose header
// in b, the segment's bytes, is intact.
func (lay *layout) boundOffset(i int, bound uint64, t tail, b []byte) Offset {
	seq, next := t.seq, t.next
	for pos := int(t.end); ; {
		f, ok := findFrame(b, pos, t.gen)
		if !ok || !t.gen.known() {
			break
		}
		if h := &f.header; h.seq >= seq && h.seq < bound {
			seq, next = h.seq+1, h.first+Offset(h.count)
		}
		pos = f.at + 1
	}
	for ; next == 0 && i >= 0; i-- {
		seq, next = lay.segs[i].seq, lay.segs[i].first
	}
	const recordsPerFrame = frameBytes/(recordHeaderBytes+1) + 1
	return max(next, 1) + Offset((bound-seq)*recordsPerFrame)
}

// fillUnknown gives a place to segments without a readable first header. What they were written under is
// learned from a later frame of theirs. They claim nothing for themselves, what can be salvaged from them
// lies below their follower; but the oldest one has to claim what it may hold, or nobody would look.
func (lay *layout) fillUnknown(dir string) error {
	first, gen := lay.next, lay.gen
	for i := len(lay.segs) - 1; i >= 0; i-- {
		s := &lay.segs[i]
		if s.first == 0 {
			b, _, err := readSegment(dir, s.seq)
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
			if s.gen = generationOf(b); !s.gen.known() {
				s.gen = lay.provingGeneration(i, b, gen)
				lay.keepSalt = lay.keepSalt || i == lay.keep-1
			}
			s.first = first
			if i == 0 {
				s.first = leastOffset(b, s.gen, first)
			}
		}
		first, gen = s.first, s.gen
	}
	if !lay.gen.known() && len(lay.segs) > 0 {
		lay.gen = lay.segs[0].gen
	}
	return nil
}

// provingGeneration returns the generation under which segment i was written, of which b holds no frame header: that of its
// follower or of a segment before it, whichever proves a record of it. Where none does, it is the follower's.
func (lay *layout) provingGeneration(i int, b []byte, follower generation) generation {
	gens := []generation{follower}
	for j := i - 1; j >= 0; j-- {
		if gen := lay.segs[j].gen; !slices.Contains(gens, gen) {
			gens = append(gens, gen)
		}
	}
	for _, gen := range gens {
		if _, ok := findRecord(b, 0, gen, 1, math.MaxUint64, streamNames{}); ok && gen.known() {
			return gen
		}
	}
	return follower
}

// leastOffset returns the offset of the first record in b that proves itself; 1 when none does, because
// then the segment may have held anything below its follower.
func leastOffset(b []byte, gen generation, follower Offset) Offset {
	at, ok := findRecord(b, 0, gen, 1, follower, streamNames{})
	if !ok {
		return 1
	}
	rec, _, err := decodeRecord(b[at:], gen, streamNames{})
	if err != nil {
		return 1
	}
	return rec.Offset
}

// Open opens the log in dir, or makes it, and repairs what a crash left. It never changes a segment of
// an earlier life: it begins a new one behind the last whole group, and bytes behind that are copied to
// the repair directory. Nothing is appended before Run is called.
//
// The caller holds the data directory's lock (see LockDir).
func Open(dir string, opts Options) (*Log, error) {
	opts.setDefaults(dir)
	if err := makeDir(dir); err != nil {
		return nil, err
	}
	lay, err := inspect(dir, opts.RepairDir)
	if err != nil {
		return nil, fmt.Errorf("open log %s: %w", dir, err)
	}
	l := &Log{dir: dir, opts: opts, wake: make(chan struct{}, 1), done: make(chan struct{}), changed: make(chan struct{})}
	if lay.markDamage != nil {
		l.setAsideMark(lay.markDamage)
	}
	if known := max(l.opts.KnownEnd, lay.known); known >= lay.next {
		l.opts.Logger.Error("the log lost its end: records that were durable are gone from it; what is left of them is delivered, a dead letter stands for the rest, and offsets go on behind it",
			"log_next", lay.next, "known_end", known)
		l.opts.Metrics.lostEnd()
		l.opts.tellAside(AsideLostEnd, lay.missing(known))
		lay.loseEnd(known)
		l.lostEnd = true
	}
	if err := l.settleEpoch(&lay); err != nil {
		return nil, err
	}
	if err := l.setAsideTorn(&lay); err != nil {
		return nil, fmt.Errorf("open log %s: %w", dir, err)
	}
	l.segs = slices.Clone(lay.segs[:lay.keep])
	for i := range l.segs {
		l.total += l.segs[i].size
	}
	l.gen, l.durable, l.nextSeq = lay.gen, lay.next-1, lay.seq
	l.ahead = ahead{dir: dir, on: l.opts.zeros(dir), most: l.opts.SegmentBytes}
	l.mark = openMark(dir, l.opts.Logger)
	if err := l.begin(); err != nil {
		return nil, errors.Join(fmt.Errorf("open log %s: %w", dir, err), l.mark.close())
	}
	l.mark.set(l.durable)
	if l.newEpoch || lay.keepSalt {
		if err := l.storeGeneration(); err != nil {
			return nil, errors.Join(fmt.Errorf("open log %s: %w", dir, err), l.lib.Close(), l.mark.close())
		}
	}
	l.publishMetrics()
	return l, nil
}

func (o *Options) setDefaults(dir string) {
	if o.SegmentBytes <= 0 {
		o.SegmentBytes = defaultSegmentBytes
	}
	if o.RepairDir == "" {
		o.RepairDir = filepath.Join(filepath.Dir(dir), "repair")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.renewAfter <= 0 {
		o.renewAfter = defaultRenewAfter
	}
	if o.library == nil {
		o.library = openLibrary
	}
	if o.syncDir == nil {
		o.syncDir = syncDir
	}
	if o.askFileSystem == nil {
		o.askFileSystem = askFileSystem
	}
	if o.remove == nil {
		o.remove = os.Remove
	}
	if o.zeros == nil {
		o.zeros = gainsFromZeros
	}
	if o.frameBytes <= 0 {
		o.frameBytes = frameBytes
	}
}

// missing says what a log that should reach up to a known offset has lost at its end.
func (lay *layout) missing(known Offset) CorruptionError {
	lost := CorruptionError{First: lay.next, Last: known, Err: errLostEnd}
	if n := len(lay.segs); n > 0 {
		lost.Segment, lost.Position = lay.segs[n-1].name(), lay.segs[n-1].size
	}
	return lost
}

// loseEnd makes the log go on behind an offset that it does not reach. Nothing is cut as torn then: what stands behind
// the last whole group was durable, and is left to the readers, which deliver what they can prove.
func (lay *layout) loseEnd(known Offset) {
	lay.next, lay.keep, lay.torn, lay.clean = known+1, len(lay.segs), 0, false
	for i := range lay.segs {
		s := &lay.segs[i]
		lay.seq = max(lay.seq, s.seq+1+uint64(s.size+lay.zeros)/frameHeaderBytes) // no frame that it may have held has this sequence
	}
}

// LostEnd reports whether Open found that the log ends before Options.KnownEnd.
func (l *Log) LostEnd() bool { return l.lostEnd }

// settleEpoch decides under what this life writes. It begins a new epoch for a new log, where the options
// ask for it, and for a log that lost its end.
func (l *Log) settleEpoch(lay *layout) error {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		return fmt.Errorf("make epoch: %w", err)
	}
	lay.gen.salt = binary.LittleEndian.Uint64(b[8:])
	if last := lay.keep - 1; lay.keepSalt && lay.segs[last].gen.known() {
		lay.gen.salt = lay.segs[last].gen.salt // or the next start could not tell its records from damage
	}
	if lay.gen.known() && !l.lostEnd && !l.opts.FreshEpoch {
		return nil
	}
	lay.gen.epoch = Epoch(binary.LittleEndian.Uint64(b[:]) | 1) // never 0
	l.newEpoch = true
	return nil
}

// storeGeneration makes epoch and salt durable before anything is said or kept under them, with an empty frame.
func (l *Log) storeGeneration() error {
	if err := l.writeCleanMark(); err != nil {
		return err
	}
	l.active = l.tailBytes
	l.total += l.tailBytes
	return nil
}

// setAsideTorn keeps the bytes of groups that never became whole, newest segment first, so that a crash
// in between leaves a shorter log and never one with a hole.
func (l *Log) setAsideTorn(lay *layout) error {
	for i := len(lay.segs) - 1; i >= lay.keep; i-- {
		s := &lay.segs[i]
		path := filepath.Join(l.dir, s.name())
		if s.size == 0 {
			if err := l.unlink(path); err != nil {
				return err
			}
			continue
		}
		kept, err := moveAside(path, l.opts.RepairDir)
		if err != nil {
			return err
		}
		l.toldTorn(CorruptionError{Segment: s.name(), Length: s.size, First: lay.next, Last: lay.next - 1, Kept: kept, Err: errTorn})
	}
	if lay.torn == 0 || lay.keep == 0 {
		return nil
	}
	s := &lay.segs[lay.keep-1]
	b, _, err := readSegment(l.dir, s.seq)
	if err != nil {
		return err
	}
	end := s.size - lay.torn
	kept, err := keepBytes(l.opts.RepairDir, fmt.Sprintf("%s-%d.torn", s.name(), end), b[end:min(s.size, int64(len(b)))])
	if err != nil {
		// Never acknowledged, and still in the old segment until that is reclaimed: no reason to stay down.
		l.opts.Logger.Warn("the torn tail could not be copied", "error", err)
	}
	l.toldTorn(CorruptionError{Segment: s.name(), Position: end, Length: lay.torn, First: lay.next, Last: lay.next - 1, Kept: kept, Err: errTorn})
	s.size = end
	return nil
}

// setAsideMark keeps a durable mark that cannot be read; it is made anew.
func (l *Log) setAsideMark(why error) {
	kept, err := keepDamagedMark(l.dir, l.opts.RepairDir)
	if err != nil {
		l.opts.Logger.Warn("the damaged durable mark could not be copied", "error", err) // it holds no event
	}
	l.opts.Logger.Warn("the durable mark is damaged and made anew; no record is lost", "file", markName, "kept", kept, "cause", why)
	l.opts.tellAside(AsideDamage, CorruptionError{Segment: markName, Length: markBytes, First: 1, Kept: kept, Err: why})
}

// toldTorn says in one line, a metric and to OnAside that a torn tail was set aside.
func (l *Log) toldTorn(torn CorruptionError) {
	l.opts.Logger.Warn("a torn tail was set aside: the last group was never whole, and nobody was told that it is safe; nothing is lost",
		"segment", torn.Segment, "position", torn.Position, "bytes", torn.Length, "kept", torn.Kept)
	l.opts.Metrics.tornTail(torn.Length)
	l.opts.tellAside(AsideTorn, torn)
}

func (l *Log) unlink(path string) error {
	if err := l.opts.remove(path); err != nil {
		return fmt.Errorf("unlink segment: %w", err)
	}
	return l.opts.syncDir(l.dir)
}
