package deadletter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/flush/checkpoint"
	"github.com/weirlog/weir/wal"
)

// OnFull says what a store does when its live letters fill MaxBytes.
type OnFull int

const (
	// Block refuses further letters with flush.ErrDeadLettersFull.
	Block OnFull = iota
	// DropOldest drops the oldest letters to make room; they are counted and told of in the log.
	DropOldest
)

// Options of a Store.
type Options struct {
	// Name tells stores of one database apart, in the index and in metrics. Default "letters". It may not change.
	Name string
	// MaxBytes bounds the live letters: their envelopes, events and documents. 0: no bound.
	MaxBytes int64
	// OnFull says what happens at MaxBytes. Default Block.
	OnFull OnFull
	// MaxAge is how long a letter is kept after it was put; then it is dropped, counted and said. 0: for ever.
	MaxAge time.Duration
	// Quiet leaves out the lines that say that the letters come near MaxBytes: for a store that is there as a matter of course.
	Quiet bool
	// OwnKeys says that all keys of the store come from NewKey. No redelivery brings such a letter again, so that its key need
	// not be remembered when it is settled. Default false: keys are those of records.
	OwnKeys bool
	// SegmentBytes of the dead-letter log. Default 1 MiB: the log keeps its active segment in memory.
	SegmentBytes int64
	// MinFreeBytes is as in wal.Options; Put returns flush.ErrDeadLettersFull below it.
	MinFreeBytes int64
	// RepairDir receives damaged bytes of the log. Default: as wal.Options.
	RepairDir string
	// OnAside is as in wal.Options, for the log. May be nil.
	OnAside func(wal.Aside)
	// Logger hears of damage, rebuilding and dropped letters. Nil: nobody does.
	Logger *slog.Logger
	// Metrics may be nil.
	Metrics *Metrics
	// WALMetrics goes to the log. May be nil; two logs must not share one.
	WALMetrics *wal.Metrics

	partBytes int              // see defaultPartBytes; tests make it small
	now       func() time.Time // the time of ending letters; tests replace it
	crash     func(point string)
	committed func() error // what the disk says of a commit of the index that is there; tests make it fail
}

const (
	defaultName         = "letters"
	defaultSegmentBytes = 1 << 20
)

func (o *Options) setDefaults() {
	if o.Name == "" {
		o.Name = defaultName
	}
	if o.SegmentBytes <= 0 {
		o.SegmentBytes = defaultSegmentBytes
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.partBytes <= 0 {
		o.partBytes = defaultPartBytes
	}
	if o.now == nil {
		o.now = time.Now
	}
	if o.crash == nil {
		o.crash = func(string) {}
	}
	if o.committed == nil {
		o.committed = func() error { return nil }
	}
}

// Store keeps dead letters in a log of their own. See doc.go.
type Store struct {
	opts   Options
	db     *checkpoint.DB
	bucket []byte
	log    *wal.Log

	reqs chan *request // to the writer; unbuffered, so that what is taken is served
	done chan struct{} // closed when the writer has ended

	mu       sync.Mutex
	state    indexState // as the index has it; written by the writer, guarded by mu like the next one
	retained Retention

	// pin keeps segments in place: readers of the log hold it shared from the index to the last byte.
	pin      sync.RWMutex
	reclaims int // segments reclaimed so far, guarded by pin: a reader made before one may be out of place

	highest   atomic.Pointer[map[wal.Epoch]wal.Offset] // highest known offset by epoch; replaced by the writer
	replaying atomic.Bool
	nextKey   keyMaker

	rebuilt bool // Open made the index anew

	damages     []pendingDamage // found while catching up, as the index has them; writer only, like the fields below
	reclaimed   wal.Offset      // up to which Reclaim was called
	dropsUntold int             // letters dropped for room since the last line in the log
	dropsToldAt time.Time
	sweptAt     time.Time // when the oldest letters were looked at
	sweeping    bool      // there may be more of them
	sweep       int       // letters that this sweep has dropped
	alarmed     bool      // it was said that the limit is near
}

var _ flush.DeadLetters = (*Store)(nil)

// request is one visit to the writer: letters to put, or anything else to run.
type request struct {
	letters []flush.Letter
	run     func() error
	done    chan error // buffered; gets exactly one value
}

// Open opens the store in dir, whose index is in db, and brings the index up to date, making it anew when it is missing,
// damaged, or not of this log. Reading works from then on; changes wait for Run.
func Open(dir string, db *checkpoint.DB, opts Options) (*Store, error) {
	opts.setDefaults()
	s := &Store{
		opts: opts, db: db, bucket: bucketName(opts.Name),
		reqs: make(chan *request), done: make(chan struct{}),
	}
	if err := s.open(dir); err != nil {
		if s.log != nil {
			err = errors.Join(err, s.log.Close())
		}
		return nil, fmt.Errorf("open dead letters %s: %w", dir, err)
	}
	return s, nil
}

func bucketName(store string) []byte { return []byte("letters:" + store) }

// Run serves changes until ctx ends, then closes the log. What was begun is finished first. It must be called once, also by
// a process that only reads, because it closes the log.
func (s *Store) Run(ctx context.Context) error {
	logCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- s.log.Run(logCtx) }()
	err := s.write(ctx, ended)
	close(s.done)
	stop()
	if err == nil {
		err = <-ended
	}
	if err != nil {
		return fmt.Errorf("dead-letter log: %w", err)
	}
	return nil
}

// Close closes a store whose Run was never called.
func (s *Store) Close() error {
	if err := s.log.Close(); err != nil {
		return fmt.Errorf("dead-letter log: %w", err)
	}
	return nil
}

// maintainEvery is how often the writer looks after the log when nobody asks it for anything: what a full disk or a failed
// log kept it from doing is tried again.
const maintainEvery = 30 * time.Second

// write is the writer: the one goroutine that appends to the log and changes the index. It returns early, with the log's
// error, only when the log ends by itself.
func (s *Store) write(ctx context.Context, logEnded chan error) error {
	s.putDamages()
	busy := s.maintain()
	tick := time.NewTicker(maintainEvery)
	defer tick.Stop()
	always := make(chan struct{})
	close(always)
	for {
		var idle <-chan struct{}
		if busy {
			idle = always
		}
		select {
		case <-ctx.Done():
			return nil
		case err := <-logEnded:
			if err == nil {
				err = wal.ErrClosed
			}
			return err
		case r := <-s.reqs:
			s.serve(r)
		case <-tick.C:
		case <-idle:
		}
		busy = s.maintain()
	}
}

// serve runs a request. Requests to put that wait already go with it: they share one append and one transaction.
func (s *Store) serve(r *request) {
	for r != nil {
		if r.run != nil {
			err := s.catchUp()
			if err == nil {
				err = r.run()
			}
			r.done <- err
			return
		}
		group, next := s.gather(r)
		s.putGroup(group)
		r = next
	}
}

// groupLetters is where a group of puts ends, whatever is waiting: all letters of a group are in memory several times, and
// a larger group would not be quicker.
const groupLetters = 2000

func (s *Store) gather(first *request) (group []*request, next *request) {
	group = append(group, first)
	for n := len(first.letters); n < groupLetters; {
		select {
		case r := <-s.reqs:
			if r.run != nil {
				return group, r
			}
			group = append(group, r)
			n += len(r.letters)
		default:
			return group, nil
		}
	}
	return group, nil
}

// do sends a request to the writer and waits for its end. ctx is looked at only until the writer takes it.
func (s *Store) do(ctx context.Context, r *request) error {
	r.done = make(chan error, 1)
	select {
	case s.reqs <- r:
		return <-r.done
	case <-s.done:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// exec runs fn in the writer.
func (s *Store) exec(ctx context.Context, fn func() error) error {
	return s.do(ctx, &request{run: fn})
}

func (s *Store) openIndex(tx *bbolt.Tx) (*index, error) {
	x, err := openIndex(tx, s.bucket)
	if err == nil {
		x.ownKeys = s.opts.OwnKeys
	}
	return x, err
}

// view runs fn on the index as it is now.
func (s *Store) view(fn func(*index) error) error {
	return s.db.View(func(tx *bbolt.Tx) error {
		x, err := s.openIndex(tx)
		if err != nil {
			return err
		}
		return fn(x)
	})
}

// update changes the index in one transaction. The state is read in it, too: of a commit whose last fsync failed, bbolt's
// next transaction sees everything, and the state that was meant before it would not fit the tables. Writer only.
func (s *Store) update(fn func(*index) error) error {
	var st indexState
	err := s.db.Update(func(tx *bbolt.Tx) error {
		x, err := s.openIndex(tx)
		if err != nil {
			return err
		}
		if x.state, err = decodeIndexState(x.root.Get(stateKey)); err != nil {
			return err
		}
		if err := fn(x); err != nil {
			return err
		}
		if err := x.save(); err != nil {
			return err
		}
		st = x.state
		return nil
	})
	if err == nil {
		err = s.opts.committed()
	}
	if err != nil {
		return fmt.Errorf("update index of dead letters: %w", err)
	}
	s.setState(st)
	return nil
}

func (s *Store) snapshot() indexState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

func (s *Store) setState(st indexState) {
	s.mu.Lock()
	s.state = st
	s.mu.Unlock()
	s.opts.Metrics.publish(s.opts.Name, s.opts.MaxBytes, &st)
	s.watchLimit(&st)
}

// Status is a snapshot for people and for the admin listener.
type Status struct {
	Name        string                 `json:"name"`
	Records     map[flush.Stage]uint64 `json:"records"` // live letters by stage
	Bytes       int64                  `json:"bytes"`   // of live letters
	MaxBytes    int64                  `json:"max_bytes"`
	LogBytes    int64                  `json:"log_bytes"`            // on disk, settled letters included
	Oldest      time.Time              `json:"oldest,omitzero"`      // when the oldest live letter was put
	Full        bool                   `json:"full"`                 // nothing fits any more, and nothing is dropped to make room
	NearlyFull  bool                   `json:"nearly_full"`          // at or above 80 % of max_bytes
	DropsOldest bool                   `json:"drops_oldest"`         // at max_bytes the oldest go, instead of delivery waiting
	MaxAge      time.Duration          `json:"max_age_ns,omitempty"` // 0: letters are kept for ever
	Removed     Retention              `json:"removed"`              // by the store itself, since it was opened
	Replay      bool                   `json:"replay"`               // a replay is running
}

// Status returns a snapshot of the store.
func (s *Store) Status() Status {
	st := s.snapshot()
	status := Status{
		Name: s.opts.Name, Records: st.records(), Bytes: st.bytes, MaxBytes: s.opts.MaxBytes, LogBytes: s.log.Bytes(),
		Full: s.opts.OnFull == Block && s.opts.MaxBytes > 0 && st.bytes >= s.opts.MaxBytes, Replay: s.replaying.Load(),
	}
	s.mu.Lock()
	status.Removed = s.retained
	s.mu.Unlock()
	status.NearlyFull, status.DropsOldest, status.MaxAge = NearlyFull(st.bytes, s.opts.MaxBytes), s.opts.OnFull == DropOldest, s.opts.MaxAge
	_ = s.view(func(x *index) error { // without an index there is no oldest letter to show
		if e, ok, err := x.first(); err == nil && ok {
			status.Oldest = e.FirstAt
		}
		return nil
	})
	return status
}

// Rebuilt reports whether Open made the index anew from a log that held records.
func (s *Store) Rebuilt() bool { return s.rebuilt }

// Len returns the number of live letters.
func (s *Store) Len() uint64 {
	st := s.snapshot()
	return st.sums[tableLive].count
}

// Known implements flush.DeadLetters. It costs no look-up for records above every known letter.
func (s *Store) Known(epoch wal.Epoch, offset wal.Offset) ([]uint32, error) {
	if highest := s.highest.Load(); highest == nil || offset > (*highest)[epoch] {
		return nil, nil
	}
	var ordinals []uint32
	err := s.view(func(x *index) error {
		ordinals = x.ordinals(epoch, offset)
		return nil
	})
	return ordinals, err
}
