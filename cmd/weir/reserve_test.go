package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/wal"
)

// fullDisk is a checkpoint on a disk that is full while the reserve lies on it.
type fullDisk struct {
	flush.Checkpoint
	reserve string
	other   error
	stored  wal.Offset
}

func (c *fullDisk) Advance(_ wal.Epoch, offsets map[string]wal.Offset) error {
	if _, err := os.Stat(c.reserve); err == nil {
		return fmt.Errorf("write: %w", syscall.ENOSPC)
	}
	if c.other != nil {
		return c.other
	}
	c.stored = offsets["default"]
	return nil
}

func TestReserve_IsGivenUpForTheCheckpointOnAFullDisk(t *testing.T) {
	r := newReserve(t.TempDir(), slog.New(slog.DiscardHandler))
	info, err := os.Stat(r.path)
	if err != nil || info.Size() != reserveBytes {
		t.Fatalf("reserve: %v, %v", info, err)
	}
	disk := &fullDisk{reserve: r.path}
	c := &reservedCheckpoint{Checkpoint: disk, reserve: r}
	if err := c.Advance(1, map[string]wal.Offset{"default": 7}); err != nil || disk.stored != 7 {
		t.Errorf("checkpoint on a full disk: %v, stored %d", err, disk.stored)
	}
	if _, err := os.Stat(r.path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the reserve is still there: %v", err)
	}
	disk.other = syscall.ENOSPC
	if err := c.Advance(1, map[string]wal.Offset{"default": 8}); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("without a reserve: %v", err)
	}
	r.retake(2 * reserveBytes)
	if _, err := os.Stat(r.path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the reserve was taken again on an almost full disk: %v", err)
	}
	r.retake(1 << 30)
	if _, err := os.Stat(r.path); err != nil {
		t.Errorf("the reserve was not taken again: %v", err)
	}
}

// TestReserve_HoldsInodes: a start on a disk without inodes needs several.
func TestReserve_HoldsInodes(t *testing.T) {
	dir := t.TempDir()
	r := newReserve(dir, slog.New(slog.DiscardHandler))
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1+reserveNames {
		t.Errorf("the reserve has %d files, %v", len(files), err)
	}
	if !r.giveUp() {
		t.Error("the reserve was not given up")
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 0 {
		t.Errorf("%d files of the reserve are left, %v", len(files), err)
	}
}

func TestReserve_IsKeptWhenSomethingElseFails(t *testing.T) {
	r := newReserve(t.TempDir(), slog.New(slog.DiscardHandler))
	c := &reservedCheckpoint{Checkpoint: failingCheckpoint{}, reserve: r}
	if err := c.Advance(1, nil); !errors.Is(err, syscall.EIO) {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(r.path); err != nil {
		t.Errorf("the reserve is gone: %v", err)
	}
}

type failingCheckpoint struct{ flush.Checkpoint }

func (failingCheckpoint) Advance(wal.Epoch, map[string]wal.Offset) error { return syscall.EIO }

// TestReserve_WaitsAfterThereWasNoRoom: a quota does not show in the free bytes, and each try takes the last of them.
func TestReserve_WaitsAfterThereWasNoRoom(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := holdReserve(dir, slog.New(slog.DiscardHandler))
		if err := os.MkdirAll(filepath.Join(r.path, "in the way"), 0o750); err != nil {
			t.Fatal(err)
		}
		r.retake(1 << 30)
		if err := os.RemoveAll(r.path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(retakePause - time.Second)
		if r.retake(1 << 30); r.held {
			t.Error("it was tried for again at once")
		}
		time.Sleep(time.Second)
		if r.retake(1 << 30); !r.held {
			t.Error("it was never tried for again")
		}
	})
}

// TestReserve_APartIsGivenUp: where there was no room for all of it, what there is must not be in the way.
func TestReserve_APartIsGivenUp(t *testing.T) {
	r := holdReserve(t.TempDir(), slog.New(slog.DiscardHandler))
	if r.giveUp() {
		t.Error("nothing was given up")
	}
	if err := os.WriteFile(r.names()[1], nil, 0o640); err != nil {
		t.Fatal(err)
	}
	if !r.giveUp() || exists(r.names()[1]) {
		t.Error("a part of the reserve is not given up")
	}
}
