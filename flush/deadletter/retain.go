package deadletter

import (
	"encoding/binary"
	"time"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/wal"
)

// Retention is what a store has dropped by itself since it was opened, because it was told to.
type Retention struct {
	Limit uint64    `json:"limit"`         // to make room: Options.MaxBytes with DropOldest
	Age   uint64    `json:"age"`           // older than Options.MaxAge
	Last  time.Time `json:"last,omitzero"` // when letters were dropped last
}

// Nearly full, as the alarm has it: at or above alarmPercent of MaxBytes. It ends calmPercent lower, so that letters that come and go at
// the border do not fill the log.
const (
	alarmPercent = 80
	calmPercent  = 75
)

const (
	// sweepBatch is how many letters one step of maintain drops for their age.
	sweepBatch = 1000
	// sweepYoung is after how many letters that are too young a sweep ends: letters lie in the order in which they were put, and only a
	// clock that was wrong puts an older one behind them.
	sweepYoung = 2000
	// sweepEvery is how often the oldest letters are looked at.
	sweepEvery = time.Minute
)

// retention drops letters for their age, one batch at a time, and reports whether there may be more. Writer only.
func (s *Store) retention() (more bool, err error) {
	now := s.opts.now()
	if s.opts.MaxAge <= 0 || !s.sweeping && now.Sub(s.sweptAt) < sweepEvery {
		return false, nil
	}
	b := &batch{}
	err = s.view(func(x *index) error { return s.collectAged(x, now.Add(-s.opts.MaxAge), b) })
	if err == nil {
		err = s.commit(b)
	}
	if err != nil {
		return false, err
	}
	s.sweep += len(b.changes)
	s.sweptAt, s.sweeping = now, len(b.changes) == sweepBatch
	s.dropped(DropAge, len(b.changes))
	if !s.sweeping && s.sweep > 0 { // one line for all that this sweep has dropped
		s.opts.Logger.Warn("dead letters older than max_age were dropped", "store", s.opts.Name, "letters", s.sweep, "max_age", s.opts.MaxAge)
		s.sweep = 0
	}
	return s.sweeping, nil
}

// collectAged adds the end of letters that were put before the given time.
func (s *Store) collectAged(x *index, before time.Time, b *batch) error {
	c := x.buckets[tableLive].Cursor()
	young := 0
	for k, v := c.First(); len(k) == 8 && young < sweepYoung && len(b.changes) < sweepBatch; k, v = c.Next() {
		e, err := decodeEntry(wal.Offset(binary.BigEndian.Uint64(k)), v)
		if err != nil {
			return err
		}
		if !e.FirstAt.Before(before) {
			young++
			continue
		}
		gone := change{op: opDropped, key: e.Key, ending: ending{At: s.opts.now(), Outcome: "dropped for age"}}
		if err := b.add(gone, s.opts.partBytes); err != nil {
			return err
		}
	}
	return nil
}

// Why letters were dropped: values of the label "by" of weir_deadletter_dropped_total.
const (
	DropOperator = "operator"
	DropLimit    = "limit"
	DropAge      = "age"
)

// dropped counts letters that the store has dropped by itself.
func (s *Store) dropped(by string, n int) {
	if n == 0 {
		return
	}
	s.opts.Metrics.addDropped(s.opts.Name, by, n)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch by {
	case DropLimit:
		s.retained.Limit += uint64(n)
	case DropAge:
		s.retained.Age += uint64(n)
	}
	s.retained.Last = s.opts.now().UTC()
}

// watchLimit says once when the letters come near the limit, and once when they are well below again. A store that drops its oldest as a
// matter of course, as that of refused bodies, is always near it and says nothing.
func (s *Store) watchLimit(st *indexState) {
	if s.opts.MaxBytes <= 0 || s.opts.Quiet {
		return
	}
	share := st.bytes * 100 / s.opts.MaxBytes
	switch {
	case !s.alarmed && share >= alarmPercent:
		s.alarmed = true
		at := "then delivery waits"
		if s.opts.OnFull == DropOldest {
			at = "then the oldest are dropped"
		}
		s.opts.Logger.Warn("dead letters come near their limit; "+at+": weir dlq stats shows their causes", "store", s.opts.Name,
			"percent", share, "bytes", st.bytes, "max_bytes", s.opts.MaxBytes, "letters", st.sums[tableLive].count)
	case s.alarmed && share < calmPercent:
		s.alarmed = false
		s.opts.Logger.Info("dead letters are well below their limit again", "store", s.opts.Name, "percent", share)
	}
}

// NearlyFull is the alarm for people who look: at or above 80 % of maxBytes, and never where there is no limit.
func NearlyFull(bytes, maxBytes int64) bool {
	return maxBytes > 0 && bytes*100 >= maxBytes*alarmPercent
}

// fullError is flush.ErrDeadLettersFull with what an operator can do.
type fullError struct{}

func (e *fullError) Error() string {
	return "dead letters are full, and dead_letters.on_full is block: weir dlq stats shows their causes; replay or drop some, or raise dead_letters.max_bytes and restart"
}

func (e *fullError) Unwrap() error { return flush.ErrDeadLettersFull }
