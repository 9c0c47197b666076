package deadletter

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/wal"
)

// Put implements flush.DeadLetters. All letters of a call are one append; calls that come while one is being written share
// the next append. The letters' bytes are not touched after Put has returned. When the letters do not all fit below MaxBytes
// (or the disk runs low), as many as fit are put and flush.ErrDeadLettersFull is returned; the next try skips those. A single
// letter larger than MaxBytes is taken when the store is empty. A ctx that ends makes Put return only before its letters are
// taken up.
func (s *Store) Put(ctx context.Context, letters []flush.Letter) error {
	if len(letters) == 0 {
		return nil
	}
	if err := s.do(ctx, &request{letters: letters}); err != nil {
		return fmt.Errorf("put dead letters: %w", err)
	}
	return nil
}

// letterOverhead is what a record costs beside its payload, in the log's frames.
const letterOverhead = 64

// batch is changes that go to the log in one append.
type batch struct {
	changes []change
	places  []int // position of each change's first record among events
	events  []wal.Event
}

// newBatch has room for n changes: they are large, and growing would copy them and leave the old ones to the collector.
func newBatch(n int) *batch {
	return &batch{changes: make([]change, 0, n), places: make([]int, 0, n), events: make([]wal.Event, 0, n)}
}

func (b *batch) add(c change, partBytes int) error {
	at := len(b.events)
	events, err := c.payloads(b.events, partBytes)
	if err != nil {
		return err
	}
	b.events = events
	b.changes = append(b.changes, c)
	b.places = append(b.places, at)
	return nil
}

// putGroup puts the letters of all requests and answers each. Writer only.
func (s *Store) putGroup(group []*request) {
	errs := make([]error, len(group))
	b, dropped, err := s.selectLetters(group, errs)
	if err == nil {
		err = s.commit(b)
	}
	if err == nil {
		s.counted(b, dropped)
	}
	for i, r := range group {
		if err != nil {
			errs[i] = err
		}
		r.done <- errs[i]
	}
}

// selectLetters makes changes of the letters that are new, and of those that must go to make room. It sets the errors of
// requests that do not fit.
func (s *Store) selectLetters(group []*request, errs []error) (b *batch, dropped int, err error) {
	if err := s.catchUp(); err != nil {
		return nil, 0, err
	}
	letters := 0
	for _, r := range group {
		letters += len(r.letters)
	}
	b = newBatch(letters)
	room := &room{max: s.opts.MaxBytes, live: s.snapshot().bytes}
	err = s.view(func(x *index) error {
		seen := map[flush.Key]bool{}
		for i, r := range group {
			for j := range r.letters {
				l := &r.letters[j]
				if seen[l.Key] || x.known(l.Key) {
					continue
				}
				size := letterBytes(l)
				if !room.fits(size) && s.opts.OnFull == DropOldest {
					if err := s.makeRoom(x, room, size, b); err != nil {
						return err
					}
				} else if !room.fits(size) {
					errs[i] = &fullError{}
					break
				}
				seen[l.Key] = true
				room.live += size
				if err := b.add(change{op: opPut, key: l.Key, letter: *l}, s.opts.partBytes); err != nil {
					return err
				}
			}
		}
		dropped = room.dropped
		return nil
	})
	return b, dropped, err
}

// letterBytes estimates what a letter adds to the live bytes; the index counts exactly.
func letterBytes(l *flush.Letter) int64 {
	return int64(headBytes + 500 + len(l.Reason) + len(l.ID) + len(l.Event) + len(l.Document))
}

// room is how much of MaxBytes is used while letters are chosen.
type room struct {
	max, live int64
	dropped   int
	after     wal.Offset // seq of the last letter dropped
}

func (r *room) fits(size int64) bool {
	return r.max <= 0 || r.live == 0 || r.live+size <= r.max
}

// makeRoom drops letters, oldest first, in the same append that brings the new one.
func (s *Store) makeRoom(x *index, r *room, size int64, b *batch) error {
	c := x.buckets[tableLive].Cursor()
	for k, v := c.Seek(appendOffset(nil, r.after+1)); len(k) == 8 && !r.fits(size); k, v = c.Next() {
		e, err := decodeEntry(wal.Offset(binary.BigEndian.Uint64(k)), v)
		if err != nil {
			return err
		}
		r.live -= e.bytes
		r.after = e.Seq
		r.dropped++
		gone := change{op: opDropped, key: e.Key, ending: ending{At: s.opts.now(), Outcome: "dropped for room"}}
		if err := b.add(gone, s.opts.partBytes); err != nil {
			return err
		}
	}
	return nil
}

// commit appends the changes and applies them to the index. When it returns nil both are durable; when the log took the
// records and the index did not, the next visit to the writer catches up. Writer only.
func (s *Store) commit(b *batch) error {
	if len(b.changes) == 0 {
		return nil
	}
	s.opts.crash("before append")
	first, err := s.log.Append(context.Background(), wal.Origin{ReceivedAt: s.opts.now()}, b.events)
	if errors.Is(err, wal.ErrFull) {
		return fmt.Errorf("%w: %w", flush.ErrDeadLettersFull, err)
	}
	if err != nil {
		return err
	}
	s.opts.crash("after append")
	if first != s.snapshot().applied+1 {
		// A write that had failed came to light in between.
		return s.catchUp()
	}
	keys := make([]flush.Key, len(b.changes))
	err = s.update(func(x *index) error {
		for i := range b.changes {
			c := &b.changes[i]
			keys[i] = c.key
			if err := x.apply(c, first+wal.Offset(b.places[i])); err != nil {
				return err
			}
		}
		x.state.applied = first + wal.Offset(len(b.events)) - 1
		return nil
	})
	if err != nil {
		return err
	}
	s.raiseHighest(keys...)
	s.opts.crash("after index")
	return nil
}

// toldEvery bounds how often letters dropped for room make a line in the log.
const toldEvery = time.Minute

// counted makes metrics, and a line now and then, of a batch that is durable.
func (s *Store) counted(b *batch, dropped int) {
	for i := range b.changes {
		if b.changes[i].op == opPut {
			s.opts.Metrics.addPut(s.opts.Name, string(b.changes[i].letter.Stage))
		}
	}
	if dropped == 0 {
		return
	}
	s.dropped(DropLimit, dropped)
	s.dropsUntold += dropped
	if now := s.opts.now(); now.Sub(s.dropsToldAt) >= toldEvery {
		s.opts.Logger.Warn("oldest dead letters were dropped to make room", "store", s.opts.Name, "letters", s.dropsUntold,
			"max_bytes", s.opts.MaxBytes)
		s.dropsUntold, s.dropsToldAt = 0, now
	}
}

// keyMaker makes keys for letters that never were records of the main log.
type keyMaker struct {
	mu     sync.Mutex
	epoch  wal.Epoch
	offset wal.Offset
}

// NewKey returns a key that no record and no other letter has: a random epoch of this process and a counter. Bodies that were
// refused whole have no record; their letters get their keys here.
func (s *Store) NewKey() (flush.Key, error) {
	m := &s.nextKey
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.epoch == 0 {
		var b [8]byte
		if _, err := rand.Read(b[:]); err != nil {
			return flush.Key{}, fmt.Errorf("make key: %w", err)
		}
		m.epoch = wal.Epoch(binary.LittleEndian.Uint64(b[:]) | 1) // never 0
	}
	m.offset++
	return flush.Key{Epoch: m.epoch, Offset: m.offset}, nil
}
