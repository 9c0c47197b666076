package deadletter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"go.etcd.io/bbolt"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/wal"
)

// open opens the log and brings the index up to date.
//
//	index                                  what happens
//	missing, or its sums do not agree      made anew from the log's oldest record
//	of a log that is not this one          likewise
//	ahead of the log (it lost its end)     the log begins a new epoch behind it; likewise, and a letter tells what is missing
//	behind the log's oldest record         likewise
//	anything else                          the records behind it are applied
func (s *Store) open(dir string) error {
	found, err := s.loadIndex()
	if err != nil && !errors.Is(err, errIndex) {
		return err
	}
	st, readable, reason := found.state, err == nil, err
	usable := readable
	s.log, err = wal.Open(dir, wal.Options{
		SegmentBytes: s.opts.SegmentBytes, MinFreeBytes: s.opts.MinFreeBytes, RepairDir: s.opts.RepairDir,
		KnownEnd: st.applied, OnAside: s.opts.OnAside, Logger: s.opts.Logger, Metrics: s.opts.WALMetrics,
	})
	if err != nil {
		return err
	}
	// Where weir.db was made anew, or the log lost its end, that was said already, and this follows from it.
	level := slog.LevelWarn
	if s.db.Made() || s.log.LostEnd() {
		level = slog.LevelDebug
	}
	if !usable && s.log.FirstOffset() <= s.log.DurableOffset() { // else both are new
		s.opts.Logger.Log(context.Background(), level, "the index of dead letters is made anew from their log; no letter is lost", "store", s.opts.Name, "reason", reason)
		s.rebuilt = true
	}
	if usable && (st.epoch != s.log.Epoch() || st.applied+1 < s.log.FirstOffset()) {
		s.opts.Logger.Log(context.Background(), level, "the index of dead letters does not belong to their log and is made anew", "store", s.opts.Name,
			"index_epoch", st.epoch, "log_epoch", s.log.Epoch(), "applied", st.applied, "log_first", s.log.FirstOffset())
		usable, s.rebuilt = false, true
	}
	if s.rebuilt {
		s.opts.Metrics.addRebuilt(s.opts.Name)
	}
	if !usable {
		from := s.log.FirstOffset() - 1
		if readable {
			from = min(from, found.needed-1) // what lies between is missing, also when an earlier start has noticed it and came no further
		} else if s.log.LostEnd() && from >= s.log.DurableOffset() {
			from = 0 // nothing is left of it
		}
		st = indexState{epoch: s.log.Epoch(), applied: from}
		if err := s.db.Update(func(tx *bbolt.Tx) error { return createIndex(tx, s.bucket, st, found.damages) }); err != nil {
			return err
		}
	}
	s.damages = found.damages
	s.setState(st)
	if err := s.catchUp(); err != nil {
		return err
	}
	return s.view(func(x *index) error {
		highest := x.highestKnown()
		s.highest.Store(&highest)
		return nil
	})
}

// foundIndex is what a start finds of the index.
type foundIndex struct {
	state   indexState
	needed  wal.Offset // the oldest record of the log that must be there
	damages []pendingDamage
}

// loadIndex reads what the index says of itself, and checks all of it against that. With an error nothing is returned.
func (s *Store) loadIndex() (foundIndex, error) {
	var found foundIndex
	err := s.view(func(x *index) (err error) {
		if x.state, err = decodeIndexState(x.root.Get(stateKey)); err != nil {
			return err
		}
		if found.damages, err = x.damages(); err != nil {
			return err
		}
		found.state, found.needed = x.state, x.oldestNeeded()
		return x.verify()
	})
	if err != nil {
		return foundIndex{}, err
	}
	return found, nil
}

// catchUpRecords and catchUpBytes bound a transaction of catchUp.
const (
	catchUpRecords = 2000
	catchUpBytes   = 8 << 20
)

// catchUp applies what is in the log and not yet in the index: at the start, and while running after a write whose outcome
// was not known and that turned out to be in the log. Writer only.
func (s *Store) catchUp() error {
	to := s.log.DurableOffset()
	if s.snapshot().applied >= to {
		return nil
	}
	r := s.log.NewReader(s.snapshot().applied + 1)
	defer func() { _ = r.Close() }() // it only read
	for r.Position() <= to {
		if err := s.catchUpSome(r, to); err != nil {
			return fmt.Errorf("catch up with the dead-letter log: %w", err)
		}
	}
	return nil
}

// catchUpSome applies the next records of r in one transaction. Damage in them is remembered for putDamages, in the same
// transaction: a damaged record is passed over by the index, never silently.
func (s *Store) catchUpSome(r *wal.Reader, to wal.Offset) error {
	var damages []pendingDamage
	var known []flush.Key
	err := s.update(func(x *index) error {
		size := 0
		for n := 0; n < catchUpRecords && size < catchUpBytes && r.Position() <= to; n++ {
			rec, err := r.Next(context.Background())
			if err != nil {
				return err
			}
			x.state.applied = rec.Last()
			if rec.Flags&wal.FlagDamaged != 0 {
				damages = append(damages, newPendingDamage(&rec))
				continue
			}
			c, err := decodeChange(rec.Payload)
			if errors.Is(err, errRecord) {
				rec.Reason = err.Error()
				damages = append(damages, newPendingDamage(&rec))
				continue
			}
			if err != nil {
				return fmt.Errorf("record %d: %w", rec.Offset, err)
			}
			size += len(rec.Payload)
			if err := x.apply(&c, rec.Offset); err != nil {
				return err
			}
			known = append(known, c.key)
		}
		if len(damages) == 0 {
			return nil
		}
		return x.setDamages(append(slices.Clone(s.damages), damages...))
	})
	if err != nil {
		return err
	}
	s.damages = append(s.damages, damages...)
	s.raiseHighest(known...)
	return nil
}

// raiseHighest makes Known look up the keys given. Writer only.
func (s *Store) raiseHighest(keys ...flush.Key) {
	var next map[wal.Epoch]wal.Offset
	current := s.highest.Load()
	for _, k := range keys {
		if next == nil {
			if current != nil && (*current)[k.Epoch] >= k.Offset {
				continue
			}
			next = map[wal.Epoch]wal.Offset{}
			if current != nil {
				next = maps.Clone(*current)
			}
		}
		next[k.Epoch] = max(next[k.Epoch], k.Offset)
	}
	if next != nil {
		s.highest.Store(&next)
	}
}
