package wal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

// Holder is what the LOCK file says about the process that holds a data directory.
type Holder struct {
	PID   int    `json:"pid"`
	Admin string `json:"admin,omitempty"` // address of its admin listener, when it has one
}

// DirLock is held for the life of the process: one process at a time uses a data directory.
type DirLock struct {
	path string
	lock *flock.Flock
}

// lockPatience is how long LockDir waits for a lock that is held.
const lockPatience = 200 * time.Millisecond

// LockDir makes dir if need be and locks it. When another process holds it, the error wraps ErrLocked
// and names that process.
func LockDir(dir string) (*DirLock, error) {
	if err := makeDir(dir); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "LOCK")
	lock := flock.New(path, flock.SetPermissions(0o640))
	// LockHolder holds the lock for a moment when it looks; that is no reason to give up.
	ctx, cancel := context.WithTimeout(context.Background(), lockPatience)
	defer cancel()
	ok, err := lock.TryLockContext(ctx, lockPatience/20)
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return nil, fmt.Errorf("lock data directory %s: %w", dir, err)
	}
	if !ok {
		if _, held, err := LockHolder(dir); err == nil && !held {
			return nil, fmt.Errorf("%w: %s is being read by another weir command", ErrLocked, dir)
		}
		if h, err := readHolder(path); err == nil && h.PID != 0 {
			return nil, fmt.Errorf("%w: %s is held by process %d", ErrLocked, dir, h.PID)
		}
		return nil, fmt.Errorf("%w: %s is held by another process", ErrLocked, dir)
	}
	l := &DirLock{path: path, lock: lock}
	if err := l.Announce(""); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return l, nil
}

// Announce writes this process and the address of its admin listener into the LOCK file, where commands
// find the running service.
func (l *DirLock) Announce(admin string) error {
	b, err := json.Marshal(Holder{PID: os.Getpid(), Admin: admin})
	if err != nil {
		return fmt.Errorf("encode lock holder: %w", err)
	}
	// In place: a rename would leave the lock on a file without a name. Only people and commands read it.
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_TRUNC, 0o640)
	if err != nil {
		return fmt.Errorf("open lock file: %w", err)
	}
	_, err = f.Write(append(b, '\n'))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("write lock file: %w", err)
	}
	return nil
}

// Unlock gives the directory up. The LOCK file stays: removing it would let two processes lock two files.
func (l *DirLock) Unlock() error {
	return l.lock.Close()
}

// LockHolder reports which process holds dir, if one does.
func LockHolder(dir string) (Holder, bool, error) {
	path := filepath.Join(dir, "LOCK")
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return Holder{}, false, nil
	}
	lock := flock.New(path, flock.SetFlag(os.O_RDONLY))
	defer lock.Close()
	ok, err := lock.TryRLock()
	if err != nil {
		return Holder{}, false, fmt.Errorf("look at lock of %s: %w", dir, err)
	}
	if ok {
		return Holder{}, false, nil
	}
	h, err := readHolder(path)
	return h, true, err
}

func readHolder(path string) (Holder, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return Holder{}, err
	}
	var h Holder
	if err := json.Unmarshal(b, &h); err != nil {
		return Holder{}, fmt.Errorf("read lock file: %w", err)
	}
	return h, nil
}

// DirShare is held by a command that reads a data directory and changes nothing in it, not even the text of the LOCK file.
type DirShare struct{ lock *flock.Flock }

// ShareDir keeps processes from changing dir while it is read; others may read it at the same time. When a process uses
// dir, the error wraps ErrLocked. A directory without a LOCK file was never used, or is a copy: then there is nothing to
// hold, and nothing is made.
func ShareDir(dir string) (*DirShare, error) {
	lock := flock.New(filepath.Join(dir, "LOCK"), flock.SetFlag(os.O_RDONLY))
	ok, err := lock.TryRLock()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &DirShare{}, nil
	case err != nil:
		return nil, errors.Join(fmt.Errorf("lock data directory %s: %w", dir, err), lock.Close())
	case !ok:
		return nil, errors.Join(fmt.Errorf("%w: %s is held by another process", ErrLocked, dir), lock.Close())
	}
	return &DirShare{lock}, nil
}

// Close gives the directory up.
func (s *DirShare) Close() error {
	if s.lock == nil {
		return nil
	}
	return s.lock.Close()
}
