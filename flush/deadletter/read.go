package deadletter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/wal"
)

// Letter is a live letter whole, as it stands now. Its bytes are the caller's.
type Letter struct {
	flush.Letter
	// Original is the event as first received when it was edited since; nil when it was not.
	Original []byte     `json:"-"`
	EditedAt time.Time  `json:"edited_at,omitzero"`
	Seq      wal.Offset `json:"seq"`
}

// damagedLetterError is ErrLetterDamaged with what the log says of the place.
type damagedLetterError struct {
	kept  string // file below the repair directory
	cause error
}

func isDamage(err error) bool { return errors.Is(err, ErrLetterDamaged) }

func (e *damagedLetterError) Error() string   { return fmt.Sprintf("%v: %v", ErrLetterDamaged, e.cause) }
func (e *damagedLetterError) Unwrap() []error { return []error{ErrLetterDamaged, e.cause} }

// Get returns the letter of the key, ErrUnknownKey when none is live, ErrLetterDamaged when its bytes cannot be read.
func (s *Store) Get(key flush.Key) (Letter, error) {
	l, err := s.get(key)
	if err != nil {
		return Letter{}, fmt.Errorf("get dead letter %s: %w", key, err)
	}
	return l, nil
}

func (s *Store) get(key flush.Key) (Letter, error) {
	s.pin.RLock()
	defer s.pin.RUnlock()
	e, err := s.entry(key)
	if err != nil {
		return Letter{}, err
	}
	r := s.newLetterReader()
	defer r.close()
	return r.read(&e)
}

// entry returns what the index knows of the key, ErrUnknownKey when none is live.
func (s *Store) entry(key flush.Key) (e Entry, err error) {
	err = s.view(func(x *index) error {
		var ok bool
		if e, ok, err = x.find(key); err == nil && !ok {
			err = ErrUnknownKey
		}
		return err
	})
	return e, err
}

// letterReader reads letters from the log. It is quick when they come in the order of their places. The store must be pinned
// from the moment an entry is taken from the index until read has returned. Not for concurrent use.
type letterReader struct {
	s      *Store
	bodies logCursor
	causes logCursor
}

func (s *Store) newLetterReader() *letterReader {
	return &letterReader{s: s, bodies: logCursor{s: s}, causes: logCursor{s: s}}
}

func (r *letterReader) close() {
	r.bodies.close()
	r.causes.close()
}

// read returns the letter of an entry.
func (r *letterReader) read(e *Entry) (Letter, error) {
	b, err := r.bodies.at(e.place)
	if err != nil {
		return Letter{}, err
	}
	a, err := newAssembly(b)
	if err != nil {
		return Letter{}, &damagedLetterError{cause: err}
	}
	for i := wal.Offset(1); !a.complete(); i++ {
		if b, err = r.bodies.at(e.place + i); err != nil {
			return Letter{}, err
		}
		if err := a.add(b); err != nil {
			return Letter{}, &damagedLetterError{cause: err}
		}
	}
	c, err := a.finish()
	if err != nil {
		return Letter{}, &damagedLetterError{cause: err}
	}
	if c.key != e.Key || !c.whole() {
		return Letter{}, &damagedLetterError{cause: fmt.Errorf("%w: %s of %s at %d", errRecord, c.op, c.key, e.place)}
	}
	l := Letter{Letter: c.letter, Original: c.original, EditedAt: c.editedAt, Seq: e.Seq}
	if e.cause != 0 {
		r.overlay(&l, e)
	}
	return l, nil
}

// overlay sets what the newest attempt says. When its record cannot be read, the index knows enough of it.
func (r *letterReader) overlay(l *Letter, e *Entry) {
	a := Attempt{At: e.LastAt, Attempts: e.Attempts, Status: e.Status, Type: e.Type, Reason: e.Reason}
	if b, err := r.causes.at(e.cause); err == nil {
		if c, err := decodeChange(b); err == nil && c.op == opAttempted && c.key == e.Key {
			a = c.attempt
		}
	}
	l.Attempts, l.LastAt, l.Status, l.Type, l.Reason = a.Attempts, a.At, a.Status, a.Type, a.Reason
	if a.Destination != "" {
		l.Destination = a.Destination
	}
	if a.Script != "" {
		l.Script = a.Script
	}
}

// letter returns what the entry knows, as a letter without bytes.
func (e *Entry) letter() flush.Letter {
	return flush.Letter{
		Key: e.Key, Records: e.Records, Stage: e.Stage, Status: e.Status, Type: e.Type, Reason: e.Reason, Attempts: e.Attempts,
		FirstAt: e.FirstAt, LastAt: e.LastAt, Stream: e.Stream, Index: e.Index, ID: e.ID, Of: e.Of, ReceivedAt: e.FirstAt,
	}
}

// skipRecords is how far a cursor reads on before it looks for a place anew.
const skipRecords = 1000

// logCursor reads single records of the log, going on from the last one where it can.
type logCursor struct {
	s        *Store
	r        *wal.Reader
	reclaims int
}

// at returns the payload of the record at the offset; it is valid until the next call.
func (c *logCursor) at(offset wal.Offset) ([]byte, error) {
	if offset == 0 || offset > c.s.log.DurableOffset() {
		return nil, &damagedLetterError{cause: fmt.Errorf("the log has no record %d", offset)}
	}
	// A reader whose segments may have gone would report them as damage.
	if c.r == nil || c.reclaims != c.s.reclaims || c.r.Position() > offset || offset-c.r.Position() > skipRecords {
		c.close()
		c.r, c.reclaims = c.s.log.NewReader(offset), c.s.reclaims
	}
	for {
		rec, err := c.r.Next(context.Background()) // does not wait: the offset is durable
		if err != nil {
			return nil, fmt.Errorf("read dead-letter log: %w", err)
		}
		if rec.Last() < offset {
			continue
		}
		if rec.Flags&wal.FlagDamaged != 0 {
			e := &damagedLetterError{cause: fmt.Errorf("record %d: %s", offset, rec.Reason)}
			if rec.Damage != nil {
				e.kept = rec.Damage.Kept
			}
			return nil, e
		}
		if rec.Offset != offset {
			return nil, &damagedLetterError{cause: fmt.Errorf("the log has no record %d", offset)}
		}
		return rec.Payload, nil
	}
}

func (c *logCursor) close() {
	if c.r != nil {
		_ = c.r.Close() // it only read
		c.r = nil
	}
}
