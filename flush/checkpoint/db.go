package checkpoint

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"go.etcd.io/bbolt"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/wal"
)

var (
	stateBucket = []byte("weir")
	stateKey    = []byte("state")
)

// Options of a DB.
type Options struct {
	// Logger hears when a damaged file is set aside. Nil: nobody does.
	Logger *slog.Logger
}

// DB is an open weir.db.
type DB struct {
	logger *slog.Logger
	bolt   *bbolt.DB
	made   bool   // by this Open
	kept   string // see Kept
	fault  error  // see Fault

	views atomic.Uint64 // of a file beyond mappedBytes

	mu      sync.Mutex // orders writers of state; held across their transaction
	state   state      // what is stored; guarded by mu
	durable wal.Offset // to be stored with it; guarded by mu
	broken  error      // why nothing works any more; guarded by brokenMu
	// brokenMu is apart from mu, so that a reader can note damage while a writer is in its transaction.
	brokenMu sync.Mutex
}

var _ flush.Checkpoint = (*DB)(nil)

// Made reports whether Open found no file, or a damaged one that it set aside, and made a new one: all checkpoints are
// unknown, and everything that is still in the log will be delivered again.
func (db *DB) Made() bool { return db.made }

// Rebuilt reports whether Open set a damaged file aside.
func (db *DB) Rebuilt() bool { return db.kept != "" }

// Kept returns under which path Open set a damaged file aside; "" when it did not.
func (db *DB) Kept() string { return db.kept }

// Bolt returns the database for reading its statistics. Transactions go through View and Update, which survive damage.
func (db *DB) Bolt() *bbolt.DB { return db.bolt }

// View runs fn in a reading transaction. Nothing that fn was given may be kept after it returns. A page that cannot be
// right makes View return ErrDamaged.
func (db *DB) View(fn func(*bbolt.Tx) error) error {
	return db.guard(func() error {
		return db.bolt.View(func(tx *bbolt.Tx) error {
			err := fn(tx)
			if tx.Size() > mappedBytes && db.views.Add(1)%mappedViews == 0 {
				dropMapped(db.bolt.Info().Data, tx.Size()) // inside: bbolt does not move its map while a transaction reads it
			}
			return err
		})
	})
}

// bbolt maps the whole file, and what was read of it counts as memory of the process until the kernel is short of it: of a
// million dead letters some 400 MB. A file beyond mappedBytes is therefore let go after so many readings; the pages stay in the
// kernel's cache, where the next reading finds them.
const (
	mappedBytes = 16 << 20
	mappedViews = 16
)

// Update runs fn in a writing transaction; its changes are durable when Update returns nil, and there are none otherwise.
// Damage is told as by View.
func (db *DB) Update(fn func(*bbolt.Tx) error) error {
	return db.guard(func() error { return db.bolt.Update(fn) })
}

// guard runs a use of bbolt. bbolt asserts with panics, and a page that the disk no longer gives is a memory fault; both
// become ErrDamaged, here and for every later use, because nobody knows which locks bbolt left behind.
func (db *DB) guard(fn func() error) (err error) {
	db.brokenMu.Lock()
	broken := db.broken
	db.brokenMu.Unlock()
	if broken != nil {
		return broken
	}
	err = protect(fn)
	if errors.Is(err, ErrDamaged) {
		db.brokenMu.Lock()
		first := db.broken == nil
		if first {
			db.broken = err
		}
		db.brokenMu.Unlock()
		if first {
			db.logger.Error("checkpoint database is damaged; it will be rebuilt at the next start", "error", err)
		}
	}
	return err
}

// protect turns a panic or memory fault of fn into ErrDamaged.
func protect(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v at %s", ErrDamaged, r, debug.Stack())
		}
	}()
	return fn()
}

// Close closes the file. Everything stored is durable already.
func (db *DB) Close() error {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.brokenMu.Lock()
	broken := db.broken
	if broken == nil {
		db.broken = ErrClosed
	}
	db.brokenMu.Unlock()
	if errors.Is(broken, ErrClosed) {
		return nil
	}
	if broken != nil {
		return nil // bbolt may have died holding its locks; the process is about to end anyway
	}
	if err := protect(db.bolt.Close); err != nil {
		return fmt.Errorf("close checkpoint database: %w", err)
	}
	return nil
}

// KnownEnd returns the highest offset that the log is known to have held durably: at least every checkpoint.
func (db *DB) KnownEnd() wal.Offset {
	db.mu.Lock()
	defer db.mu.Unlock()
	end := db.state.durable
	for _, p := range db.state.streams {
		end = max(end, p.Offset)
	}
	return end
}

// NoteDurable takes note that the log is durable up to an offset. It is stored with the next checkpoint, and by StoreDurable.
func (db *DB) NoteDurable(offset wal.Offset) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.durable = max(db.durable, offset)
}

// StoreDurable stores what NoteDurable was told, if anything new.
func (db *DB) StoreDurable() error {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.durable <= db.state.durable {
		return nil
	}
	return db.storeLocked(db.state.clone())
}

// storeLocked writes the next state in one transaction and takes it over. Caller holds mu.
func (db *DB) storeLocked(next state) error {
	if len(next.streams) > maxStreams {
		return ErrTooManyStreams
	}
	next.durable = max(next.durable, db.durable)
	value := next.encode()
	err := db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket(stateBucket).Put(stateKey, value)
	})
	if err != nil {
		return fmt.Errorf("store checkpoint: %w", err)
	}
	db.state = next
	return nil
}

// Identity returns the epoch of the log that the checkpoints belong to; 0 when it is not known yet.
func (db *DB) Identity() wal.Epoch {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.state.epoch
}

// SetEpoch stores the epoch of the log. Checkpoints of an earlier epoch stay listed, but Load no longer answers with them.
func (db *DB) SetEpoch(epoch wal.Epoch) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.state.epoch == epoch {
		return nil
	}
	next := db.state.clone()
	next.epoch = epoch
	return db.storeLocked(next)
}
