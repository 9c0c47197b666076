package checkpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"go.etcd.io/bbolt"

	"github.com/weirlog/weir/wal"
)

const (
	fileMode    = 0o600
	lockTimeout = time.Second // bbolt's own lock; the data directory is locked already
)

// boltOptions gives the options in force; doc.go says why.
func boltOptions() *bbolt.Options {
	return &bbolt.Options{Timeout: lockTimeout, FreelistType: bbolt.FreelistMapType, NoStatistics: true}
}

// Open opens the database at path, and makes it when there is none. A file that is damaged or unreadable is set aside and a
// new one made in its place; Rebuilt says so. Errors that say nothing about the file's content (permission, no space, no
// descriptors, a lock, wal.ErrNewerFormat) are returned and leave the file as it is.
func Open(path string, opts Options) (*DB, error) {
	logger := opts.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	db := &DB{logger: logger}
	err := db.openExisting(path, boltOptions())
	var damage *damagedFileError
	if errors.As(err, &damage) {
		var moveErr error
		if db.kept, moveErr = setAside(path); moveErr != nil {
			return nil, fmt.Errorf("set damaged checkpoint database aside: %w", moveErr)
		}
		logger.Error("the checkpoint was damaged, is set aside and made anew; what is in the log is delivered again under the same ids",
			"kept", db.kept, "error", damage.err)
		err = fs.ErrNotExist
	}
	if errors.Is(err, fs.ErrNotExist) {
		db.made = true
		if err = create(path); err == nil {
			err = db.openExisting(path, boltOptions())
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open checkpoint database %s: %w", path, err)
	}
	return db, nil
}

// damagedFileError says that the content of the file cannot be right, as opposed to a file that cannot be had now.
type damagedFileError struct{ err error }

func (e *damagedFileError) Error() string { return e.err.Error() }
func (e *damagedFileError) Unwrap() error { return e.err }

// openExisting checks the file page by page, opens it with bbolt and reads the state.
func (db *DB) openExisting(path string, opts *bbolt.Options) error {
	if err := verifyFile(path); err != nil {
		return err
	}
	err := protect(func() (err error) {
		db.bolt, err = bbolt.Open(path, fileMode, opts)
		return err
	})
	if errors.Is(err, ErrDamaged) {
		return &damagedFileError{err}
	}
	if err != nil {
		return err
	}
	err = protect(db.readState)
	if err == nil {
		return nil
	}
	closeErr := protect(db.bolt.Close)
	if errors.Is(err, wal.ErrNewerFormat) {
		return errors.Join(err, closeErr)
	}
	return &damagedFileError{errors.Join(err, closeErr)}
}

func (db *DB) readState() error {
	return db.bolt.View(func(tx *bbolt.Tx) (err error) {
		b := tx.Bucket(stateBucket)
		if b == nil {
			return fmt.Errorf("%w: no bucket", errState)
		}
		db.state, err = decodeState(b.Get(stateKey))
		return err
	})
}

// verifyFile runs verifyPages on the file, under a shared lock so that it cannot mistake another writer's work for damage.
func verifyFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // nothing was written
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", path)
	}
	switch err := syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB); {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return wal.ErrLocked
	case err != nil:
		return fmt.Errorf("lock: %w", err)
	}
	if err := verifyPages(f, info.Size()); err != nil {
		// EIO included: what the disk no longer gives is damaged.
		return &damagedFileError{err}
	}
	return nil
}

// create makes an empty database under another name and gives it its own when it is whole.
//
//	in the directory            on disk after it
//	write weir.db.new           perhaps nothing, perhaps part of it: ignored and removed by the next start
//	sync weir.db.new            all of it, under the wrong name
//	rename, sync the directory  weir.db
func create(path string) error {
	tmp := path + ".new"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := fill(tmp); err != nil {
		_ = os.Remove(tmp) // the next start removes it if this does not
		return fmt.Errorf("make %s: %w", filepath.Base(tmp), err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	return syncPath(filepath.Dir(path))
}

func fill(path string) error {
	bolt, err := bbolt.Open(path, fileMode, boltOptions())
	if err != nil {
		return err
	}
	err = bolt.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket(stateBucket)
		if err != nil {
			return err
		}
		return b.Put(stateKey, state{}.encode())
	})
	if err := errors.Join(err, bolt.Close()); err != nil {
		return err
	}
	return syncPath(path) // bbolt syncs data; this syncs the size as well
}

// setAside renames the file to a free name that tells when, and makes the rename durable.
func setAside(path string) (kept string, err error) {
	stamp := time.Now().UTC().Format("20060102T150405Z")
	for i := 0; ; i++ {
		kept = path + ".damaged-" + stamp
		if i > 0 {
			kept += "-" + strconv.Itoa(i)
		}
		if _, err := os.Lstat(kept); errors.Is(err, fs.ErrNotExist) {
			break
		} else if err != nil {
			return "", err
		}
	}
	if err := os.Rename(path, kept); err != nil {
		return "", err
	}
	return kept, syncPath(filepath.Dir(path))
}

// syncPath makes a file's bytes, or a directory's names, durable.
func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
