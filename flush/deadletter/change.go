package deadletter

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/wal"
)

// Edit gives a letter another event, which the next replay sends; the first one stays with it as Original. The bytes are not
// checked: the replay does that. Errors: ErrUnknownKey, ErrEmptyEvent, ErrLetterDamaged.
func (s *Store) Edit(ctx context.Context, key flush.Key, event []byte) error {
	if len(event) == 0 {
		return fmt.Errorf("edit dead letter %s: %w", key, ErrEmptyEvent)
	}
	err := s.exec(ctx, func() error {
		l, err := s.get(key)
		if err != nil {
			return err
		}
		if l.Original == nil {
			l.Original = l.Event
		}
		if l.Original == nil { // it had none: an empty one says that it was edited
			l.Original = []byte{}
		}
		l.Event = bytes.Clone(event)
		b := &batch{}
		c := change{op: opEdited, key: key, letter: l.Letter, original: l.Original, seq: l.Seq, editedAt: s.opts.now()}
		if err := b.add(c, s.opts.partBytes); err != nil {
			return err
		}
		return s.commit(b)
	})
	if err != nil {
		return fmt.Errorf("edit dead letter %s: %w", key, err)
	}
	return nil
}

// Attempted records that tries to settle letters failed: each stays, with one more attempt and its new cause. Keys that are no
// longer live are passed over.
func (s *Store) Attempted(ctx context.Context, attempts []Attempt) error {
	if len(attempts) == 0 {
		return nil
	}
	err := s.exec(ctx, func() error {
		b := newBatch(len(attempts))
		err := s.view(func(x *index) error {
			for _, a := range attempts {
				e, ok, err := x.find(a.Key)
				if err != nil {
					return err
				}
				if !ok {
					continue
				}
				if a.At.IsZero() {
					a.At = s.opts.now()
				}
				a.Attempts = e.Attempts + 1
				if err := b.add(change{op: opAttempted, key: a.Key, attempt: a}, s.opts.partBytes); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		return s.commit(b)
	})
	if err != nil {
		return fmt.Errorf("record attempts: %w", err)
	}
	return nil
}

// Settle ends letters: what they stand for is delivered, or dropped by the script. Outcome says which, for people who read the
// log. Keys that are not live are passed over.
func (s *Store) Settle(ctx context.Context, keys []flush.Key, outcome string) error {
	if _, err := s.end(ctx, opSettled, keys, nil, outcome); err != nil {
		return fmt.Errorf("settle dead letters: %w", err)
	}
	return nil
}

// settleAsRead is Settle for letters as they stood when entries were read: one that was edited since stays, because what was
// delivered is not what it holds now.
func (s *Store) settleAsRead(ctx context.Context, entries []Entry, outcome string) error {
	keys := make([]flush.Key, len(entries))
	for i := range entries {
		keys[i] = entries[i].Key
	}
	if _, err := s.end(ctx, opSettled, keys, entries, outcome); err != nil {
		return fmt.Errorf("settle dead letters: %w", err)
	}
	return nil
}

// Drop gives letters up by key and returns how many were live. With dryRun it only counts.
func (s *Store) Drop(ctx context.Context, keys []flush.Key, dryRun bool) (int, error) {
	if dryRun {
		n := 0
		for _, k := range keys {
			switch _, err := s.entry(k); {
			case err == nil:
				n++
			case !errors.Is(err, ErrUnknownKey):
				return n, err
			}
		}
		return n, nil
	}
	n, err := s.end(ctx, opDropped, keys, nil, "dropped by operator")
	s.opts.Metrics.addDropped(s.opts.Name, DropOperator, n)
	if err != nil {
		return n, fmt.Errorf("drop dead letters: %w", err)
	}
	return n, nil
}

// endBatch is how many letters end in one append.
const endBatch = 1000

// DropAll gives up the letters that the filter chooses and returns how many. With dryRun it only counts. When ctx ends, a part
// may be gone.
func (s *Store) DropAll(ctx context.Context, f Filter, dryRun bool) (int, error) {
	if dryRun {
		return s.Count(ctx, f)
	}
	total := 0
	var keys []flush.Key
	drop := func() error {
		n, err := s.Drop(ctx, keys, false)
		total += n
		keys = keys[:0]
		return err
	}
	for e, err := range s.List(ctx, f) {
		if err != nil {
			return total, err
		}
		if keys = append(keys, e.Key); len(keys) == endBatch {
			if err := drop(); err != nil {
				return total, err
			}
		}
	}
	return total, drop()
}

// end appends the end of every live letter among keys and returns how many there were. With asRead, which runs parallel to
// keys, letters edited since are passed over.
func (s *Store) end(ctx context.Context, o op, keys []flush.Key, asRead []Entry, outcome string) (n int, err error) {
	if len(keys) == 0 {
		return 0, nil
	}
	err = s.exec(ctx, func() error {
		b := newBatch(len(keys))
		seen := make(map[flush.Key]bool, len(keys))
		err := s.view(func(x *index) error {
			for i, k := range keys {
				e, live, err := x.find(k)
				if err != nil {
					return err
				}
				if !live || seen[k] || asRead != nil && !e.EditedAt.Equal(asRead[i].EditedAt) {
					continue
				}
				seen[k] = true
				c := change{op: o, key: k, ending: ending{At: s.opts.now(), Outcome: outcome}}
				if err := b.add(c, s.opts.partBytes); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if err := s.commit(b); err != nil {
			return err
		}
		n = len(b.changes)
		return nil
	})
	return n, err
}

// forgetBatch is how many settled keys are forgotten in one transaction.
const forgetBatch = 5000

// ForgetSettled tells the store that the log holds records of these epochs, and that the checkpoint of every stream is at or above
// upTo: no record up to there, and none of another epoch, will be delivered again, and their settled keys need not be remembered
// any more. All epochs of the log come in one call: what is not named is forgotten. Cheap when there is nothing to forget.
func (s *Store) ForgetSettled(ctx context.Context, epochs []wal.Epoch, upTo wal.Offset) error {
	for more := true; more; {
		st := s.snapshot()
		if st.sums[tableSettled].count == 0 {
			return nil
		}
		var any bool
		err := s.view(func(x *index) error {
			any = x.forgettable(epochs, upTo)
			return nil
		})
		if err == nil && !any {
			return nil
		}
		if err == nil {
			err = s.exec(ctx, func() error {
				return s.update(func(x *index) (err error) {
					more, err = x.forgetSettled(epochs, upTo, forgetBatch)
					return err
				})
			})
		}
		if err != nil {
			return fmt.Errorf("forget settled letters: %w", err)
		}
	}
	return nil
}
