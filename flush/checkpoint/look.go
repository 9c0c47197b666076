package checkpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"

	"go.etcd.io/bbolt"
)

// Look opens the database for reading only, and changes nothing: neither a damaged file nor a missing one is replaced, which
// Fault then says; everything in such a database is unknown. Changes fail. Errors are those of Open that say nothing about
// the file's content.
func Look(path string) (*DB, error) {
	db := &DB{logger: slog.New(slog.DiscardHandler)}
	opts := boltOptions()
	opts.ReadOnly = true
	err := db.openExisting(path, opts)
	var damage *damagedFileError
	switch {
	case errors.As(err, &damage):
		db.fault = fmt.Errorf("%w: %w", ErrDamaged, damage.err)
	case errors.Is(err, fs.ErrNotExist):
		db.fault = ErrMissing
	case err != nil:
		return nil, fmt.Errorf("open checkpoint database %s: %w", path, err)
	}
	if db.fault != nil {
		db.bolt, db.broken = nil, db.fault
	}
	return db, nil
}

// Fault says why a database opened by Look is empty: it wraps ErrDamaged or ErrMissing. It is nil when the file is sound.
func (db *DB) Fault() error { return db.fault }

// Verify proves every page of the file that is in use, and the values of this package in it. It may be called while the
// database is in use: the transaction that it holds keeps the pages from being written again.
func (db *DB) Verify() error {
	return db.View(func(tx *bbolt.Tx) error {
		f, err := os.Open(db.bolt.Path())
		if err != nil {
			return fmt.Errorf("verify checkpoint database: %w", err)
		}
		defer func() { _ = f.Close() }() // nothing was written
		info, err := f.Stat()
		if err != nil {
			return fmt.Errorf("verify checkpoint database: %w", err)
		}
		if err := verifyPages(f, info.Size()); err != nil {
			return err
		}
		b := tx.Bucket(stateBucket)
		if b == nil {
			return fmt.Errorf("%w: no bucket", errState)
		}
		if _, err := decodeState(b.Get(stateKey)); err != nil {
			return err
		}
		_, _, err = decodeHome(b.Get(homeKey))
		return err
	})
}
