package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/wal"
)

// reserveBytes is room for many checkpoints and for the dead letters of the batches in flight.
// Tests that start thousands of services make it small.
var reserveBytes int64 = 8 << 20

// reserveNames is how many empty files the reserve has beside the large one. A start makes a segment for each of three
// logs, and perhaps a copy of damaged bytes and a new weir.db: with no inode left it could make none of them.
const reserveNames = 4

// reserve is some files that are given up when the disk is so full that not even the checkpoint can be
// written: without the checkpoint nothing is reclaimed, and without reclaim the disk stays full.
// wal.min_free_bytes keeps weir itself from filling the disk; this is for when others do.
type reserve struct {
	path   string // of the large file; the others have its name and a number
	logger *slog.Logger

	mu      sync.Mutex
	held    bool
	refused time.Time // when there was last no room for it
}

// newReserve takes the reserve below dir, if there is room for it.
func newReserve(dir string, logger *slog.Logger) *reserve {
	r := holdReserve(dir, logger)
	r.take()
	return r
}

// holdReserve returns the reserve that an earlier life left below dir, if it did.
func holdReserve(dir string, logger *slog.Logger) *reserve {
	r := &reserve{path: filepath.Join(dir, "RESERVE"), logger: logger}
	_, err := os.Stat(r.path)
	r.held = err == nil
	return r
}

// names returns the paths of the empty files.
func (r *reserve) names() []string {
	names := make([]string, reserveNames)
	for i := range names {
		names[i] = fmt.Sprintf("%s.%d", r.path, i+1)
	}
	return names
}

// take makes the files, unless they are there. Having none is a pity and no failure.
func (r *reserve) take() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range r.names() {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o640)
		if err == nil {
			err = f.Close()
		}
		if err != nil {
			r.refused = time.Now()
			r.logger.Warn("no room for the reserve that keeps delivery going on a full disk", "path", name, "error", err)
			return
		}
	}
	if info, err := os.Stat(r.path); err == nil && info.Size() == reserveBytes {
		r.held = true
		return
	}
	if err := writeReserve(r.path); err != nil {
		r.refused = time.Now()
		r.logger.Warn("no room for the reserve that keeps delivery going on a full disk", "path", r.path, "error", err)
		if err := os.Remove(r.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			r.logger.Warn("the reserve's rest cannot be removed", "path", r.path, "error", err)
		}
		return
	}
	r.held = true
}

// retakePause keeps a reserve for which there was no room from being tried for again at once: it would take, for a moment,
// the last bytes that delivery needs. A quota is not in the free bytes, so that only trying tells.
const retakePause = time.Minute

// retake takes a reserve that was given up again once the disk has room for several of it.
func (r *reserve) retake(freeBytes int64) {
	r.mu.Lock()
	wanted := !r.held && time.Since(r.refused) >= retakePause
	r.mu.Unlock()
	if wanted && freeBytes >= 8*reserveBytes {
		r.take()
	}
}

// writeReserve writes real bytes: a file with holes would reserve nothing.
func writeReserve(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	zeros := make([]byte, min(1<<20, reserveBytes))
	for left := reserveBytes; left > 0 && err == nil; left -= int64(len(zeros)) {
		_, err = f.Write(zeros[:min(left, int64(len(zeros)))])
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

func (r *reserve) heldMetric() float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held {
		return 1
	}
	return 0
}

// giveUp frees what there is of the reserve, be it a part that there was room for, and reports whether there was any.
func (r *reserve) giveUp() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held = false
	freed := false
	for _, path := range append(r.names(), r.path) {
		switch err := os.Remove(path); {
		case err == nil:
			freed = true
		case !errors.Is(err, fs.ErrNotExist):
			r.logger.Warn("a part of the reserve cannot be given up", "path", path, "error", err)
		}
	}
	if !freed {
		return false
	}
	r.logger.Warn("the disk is full: the reserve was given up so that weir can start, write its checkpoint and reclaim the log", "bytes", reserveBytes)
	return true
}

// reservedCheckpoint writes checkpoints, at the price of the reserve where the disk is full.
type reservedCheckpoint struct {
	flush.Checkpoint
	reserve *reserve
}

var _ flush.Checkpoint = (*reservedCheckpoint)(nil)

func (c *reservedCheckpoint) Advance(epoch wal.Epoch, offsets map[string]wal.Offset) error {
	err := c.Checkpoint.Advance(epoch, offsets)
	if err == nil || !isDiskFull(err) || !c.reserve.giveUp() {
		return err
	}
	if err := c.Checkpoint.Advance(epoch, offsets); err != nil {
		return fmt.Errorf("after the reserve was given up: %w", err)
	}
	return nil
}

// reservedLetters keeps dead letters, at the price of the reserve where the disk is full: a batch that
// waits for its letters holds the checkpoint up.
type reservedLetters struct {
	flush.DeadLetters
	reserve *reserve
}

var _ flush.DeadLetters = (*reservedLetters)(nil)

func (l *reservedLetters) Put(ctx context.Context, letters []flush.Letter) error {
	err := l.DeadLetters.Put(ctx, letters)
	if err != nil && isDiskFull(err) {
		l.reserve.giveUp() // the flusher puts again after a pause, when the log has recovered
	}
	return err
}

func isDiskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
