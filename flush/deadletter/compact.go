package deadletter

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/weirlog/weir/wal"
)

// The log is compacted when what is no longer needed outweighs what is, and is worth the trouble.
const (
	garbageSegments = 4       // at least so many segments' worth of garbage
	compactBytes    = 1 << 20 // copied in one append
	compactRecords  = 2000    // likewise
)

// maintain does one piece of housekeeping and reports whether there is more to do at once. Requests are served between
// pieces. Writer only.
func (s *Store) maintain() (more bool) {
	s.putDamages()
	aged, err := s.retention()
	if err != nil {
		s.opts.Logger.Warn("dead letters older than max_age could not be dropped; it is tried again", "store", s.opts.Name, "error", err)
		aged, s.sweeping, s.sweptAt = false, false, s.opts.now()
	}
	if err = s.reclaim(); err == nil {
		more, err = s.compact()
	}
	more = more || aged
	if err != nil {
		s.opts.Logger.Warn("dead-letter log could not be compacted; it is tried again", "store", s.opts.Name, "error", err)
		return false
	}
	return more
}

// reclaim removes the segments below the oldest record that is still needed.
func (s *Store) reclaim() error {
	var needed wal.Offset
	if err := s.view(func(x *index) error {
		needed = x.oldestNeeded()
		return nil
	}); err != nil {
		return err
	}
	// The index is durable: it names no record below needed, and the log's own records say the same.
	if needed = min(needed, s.snapshot().applied+1); needed <= s.log.FirstOffset() || needed == s.reclaimed {
		return nil
	}
	s.pin.Lock()
	defer s.pin.Unlock()
	n, err := s.log.Reclaim(needed - 1)
	s.reclaims += n
	if err != nil {
		return fmt.Errorf("reclaim: %w", err)
	}
	if n == 0 && needed <= s.snapshot().applied {
		s.reclaimed = needed // until something older than it is settled, there is nothing to find here
	}
	return nil
}

// compact copies letters that are live, and settled keys that are remembered, from the oldest segments to the end.
//
//	step                                       killed after it
//	append copies, fsync                       two copies; the later one counts, by the order of the log
//	index names the new places                 the old records are garbage
//	reclaim                                    a part of the old segments is gone, oldest first
func (s *Store) compact() (more bool, err error) {
	if !s.garbageOutweighs() {
		return false, nil
	}
	segments := s.log.Segments()
	active := segments[len(segments)-1].First
	b := &batch{}
	letters := 0
	s.pin.RLock()
	err = s.view(func(x *index) error {
		letters, err = s.copyOldest(x, active, b)
		return err
	})
	s.pin.RUnlock()
	if err != nil || len(b.changes) == 0 {
		return false, err
	}
	if err := s.commit(b); err != nil {
		return false, err
	}
	s.opts.crash("after copies")
	s.opts.Metrics.addCompacted(s.opts.Name, letters)
	if err := s.reclaim(); err != nil {
		return false, err
	}
	s.opts.crash("after reclaim")
	return s.garbageOutweighs(), nil
}

func (s *Store) garbageOutweighs() bool {
	st := s.snapshot()
	needed := st.bytes + st.kept + int64(st.sums[tablePlaces].count)*letterOverhead
	return s.log.Bytes()-needed > max(needed, garbageSegments*s.opts.SegmentBytes)
}

// copyOldest makes copies of the oldest records below before that are still needed, as the letters stand now.
func (s *Store) copyOldest(x *index, before wal.Offset, b *batch) (letters int, err error) {
	r := s.newLetterReader()
	defer r.close()
	size := int64(0)
	c := x.buckets[tablePlaces].Cursor()
	for k, v := c.First(); len(k) == 8 && size < compactBytes && len(b.changes) < compactRecords; k, v = c.Next() {
		if wal.Offset(binary.BigEndian.Uint64(k)) >= before {
			break
		}
		if len(v) == keyBytes {
			kept := change{op: opSettled, key: decodeKey(v), ending: ending{At: s.opts.now(), Outcome: "remembered"}}
			if err := b.add(kept, s.opts.partBytes); err != nil {
				return letters, err
			}
			continue
		}
		if len(v) != 8 {
			return letters, fmt.Errorf("%w: place", errIndex)
		}
		e, err := decodeEntry(wal.Offset(binary.BigEndian.Uint64(v)), x.buckets[tableLive].Get(v))
		if err != nil {
			return letters, err
		}
		l, err := r.read(&e)
		if errors.Is(err, ErrLetterDamaged) {
			l = s.remains(&e, err)
		} else if err != nil {
			return letters, err
		}
		copied := change{op: opCopied, key: e.Key, letter: l.Letter, original: l.Original, seq: l.Seq, editedAt: l.EditedAt}
		if err := b.add(copied, s.opts.partBytes); err != nil {
			return letters, err
		}
		letters++
		size += e.bytes
	}
	return letters, nil
}

// remains makes what can still be said of a letter whose bytes are damaged: a letter of stage log under the same key.
func (s *Store) remains(e *Entry, cause error) Letter {
	s.opts.Logger.Error("dead letter is damaged on disk; what is known of it stays as a letter of stage log",
		"store", s.opts.Name, "key", e.Key, "error", cause)
	s.opts.Metrics.addDamaged(s.opts.Name, 1)
	l := e.letter()
	l.Type = "dead_letter_damaged"
	l.Reason = fmt.Sprintf("was of stage %s (%s: %s); %v", e.Stage, e.Type, e.Reason, cause)
	var damaged *damagedLetterError
	if errors.As(cause, &damaged) {
		l.Kept = damaged.kept
	}
	l.Stage = "log"
	return Letter{Letter: l, Seq: e.Seq}
}
