package wal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// The half of a Reader that deals with damage: finding where the readable part goes on, keeping what is
// damaged, and saying what it cost.

// span is a run of damaged bytes.
type span struct {
	seg      segment
	from, to int64
	err      error
	kept     string
}

// reportBefore deals with the damage met before rec. It returns the record that stands for the offsets
// lost in between, and holds rec back, or rec itself when nothing was lost.
func (r *Reader) reportBefore(rec *Record) (Record, error) {
	if rec.Offset == r.next {
		if r.skipReclaimed(r.next); len(r.bad) > 0 {
			if _, err := r.keep(r.next, r.next-1, r.pos); err != nil {
				return Record{}, err
			}
		}
		r.next++
		return *rec, nil
	}
	gap, ok, err := r.gap(rec.Offset, r.pos-int64(rec.size))
	if err != nil {
		return Record{}, err
	}
	if !ok { // only reclaimed records lay between
		return r.reportBefore(rec)
	}
	held := *rec
	r.held = &held
	return gap, nil
}

// gap returns the record that stands for the offsets from next to before end. at is where they should stand in the segment.
func (r *Reader) gap(end Offset, at int64) (Record, bool, error) {
	if r.skipReclaimed(end); r.next == end {
		return Record{}, false, nil
	}
	damage, err := r.keep(r.next, end-1, at)
	if err != nil {
		return Record{}, false, err
	}
	rec := Record{Offset: r.next, Epoch: r.seg.gen.epoch, Flags: FlagDamaged, Count: uint64(end - r.next), Damage: damage, Reason: damage.Error()}
	r.next = end
	return rec, true, nil
}

// skipReclaimed passes over offsets below end that were reclaimed since the reader was made: they are
// settled and gone, not damaged.
func (r *Reader) skipReclaimed(end Offset) {
	r.win = r.src.window()
	oldest := &r.win.segs[0]
	r.bad = slices.DeleteFunc(r.bad, func(s span) bool { return s.from == s.to && s.seg.seq < oldest.seq })
	if oldest.first > r.origin && oldest.first > r.next {
		r.next = min(oldest.first, end)
	}
}

// resync finds where the readable part goes on after damage that begins at bad, looking from from to end,
// which is the end of a frame with a proven header or of the segment.
func (r *Reader) resync(bad, from, end int64, cause error) error {
	b, err := r.bytes(bad, int(end-bad))
	if err != nil {
		return err
	}
	skip := int(from - bad)
	boundOff := r.boundOff
	if boundOff == 0 {
		boundOff = r.win.durable + 1
	}
	stop := int(end - bad) // where reading goes on
	inFrame := bad < r.frameEnd
	recAt, recFound := findRecord(b, skip, r.seg.gen, r.next, boundOff, r.names)
	if recFound {
		stop = recAt
	}
	if !inFrame {
		if f, ok := r.findNextFrame(b, skip); ok && f.pos < stop {
			stop, recFound = f.pos, false
			r.enterFrame(bad+int64(f.at), &f.header)
			r.frameEnd = min(r.frameEnd, r.limit())
			r.note(bad, bad+int64(stop), cause)
			return nil
		}
		if recFound { // a record whose frame header is lost: the frame is as long as the record
			n, _ := recordLength(b[recAt:])
			r.frameEnd = bad + int64(recAt) + int64(n)
		}
	}
	r.pos = bad + int64(stop)
	r.note(bad, r.pos, cause)
	return nil
}

// findNextFrame returns the next frame that can belong here.
func (r *Reader) findNextFrame(b []byte, pos int) (foundFrame, bool) {
	for {
		f, ok := findFrame(b, pos, r.seg.gen)
		if !ok {
			return f, false
		}
		if h := &f.header; h.seq >= r.nextSeq && (r.bound == 0 || h.seq < r.bound) && f.pos >= pos {
			return f, true
		}
		pos = f.at + 1
	}
}

// note remembers damaged bytes until it is known which records they cost.
func (r *Reader) note(from, to int64, cause error) {
	if from == to {
		return // a record directly behind a salvaged one
	}
	if n := len(r.bad); n > 0 && r.bad[n-1].seg.seq == r.seg.seq && r.bad[n-1].to == from {
		r.bad[n-1].to = to
		return
	}
	r.bad = append(r.bad, span{seg: r.seg, from: from, to: to, err: cause})
}

// keep copies the damaged bytes met since the last record to the repair directory and says what they
// cost: the offsets from first to last, none when last is below first. at is the place where there are no such bytes.
func (r *Reader) keep(first, last Offset, at int64) (*CorruptionError, error) {
	damage := &CorruptionError{First: first, Last: last, Err: errMissing, Segment: r.seg.name(), Position: at}
	for i := range r.bad {
		s := &r.bad[i]
		if err := r.keepSpan(s); err != nil {
			return nil, err
		}
		if i == 0 {
			damage.Segment, damage.Position, damage.Err, damage.Kept = s.seg.name(), s.from, s.err, s.kept
		}
		damage.Length += s.to - s.from
	}
	r.bad = r.bad[:0]
	r.metrics.damage(uint64(last+1-first), damage.Length)
	r.logger.Error(damageText(damage, r.repairDir != ""),
		"segment", damage.Segment, "position", damage.Position, "bytes", damage.Length,
		"first_offset", first, "records", last+1-first, "kept", damage.Kept, "cause", damage.Err)
	if r.onAside != nil {
		r.onAside(AsideDamage, *damage)
	}
	if r.onDamage != nil {
		r.onDamage(damage)
	}
	return damage, nil
}

// damageText says in one line what damage means.
func damageText(d *CorruptionError, kept bool) string {
	text := "bytes of the log are damaged and set aside; "
	if d.Kept == "" || !kept {
		text = "a part of the log is missing; "
	}
	if d.Last < d.First {
		return text + "no record is lost"
	}
	return text + "a dead letter stands for the records that are lost, and those around are delivered"
}

func (r *Reader) keepSpan(s *span) error {
	if r.repairDir == "" || s.from == s.to || s.kept != "" {
		return nil
	}
	f, err := os.Open(filepath.Join(r.dir, s.seg.name()))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // reclaimed since, or missing from the start: there is nothing left to keep
	}
	if err != nil {
		return fmt.Errorf("open damaged segment: %w", err)
	}
	defer f.Close()
	b := make([]byte, s.to-s.from)
	if _, err := readTolerant(f, b, s.from); err != nil {
		return fmt.Errorf("read damaged segment: %w", err)
	}
	name := fmt.Sprintf("%s-%d-%d.damaged", s.seg.name(), s.from, s.to-s.from)
	s.kept, err = keepBytes(r.repairDir, name, b)
	return err
}
