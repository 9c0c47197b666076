package wal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLockDir_OneHolderAtATime(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	l, err := LockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Announce("127.0.0.1:8081"); err != nil {
		t.Fatal(err)
	}
	h, held, err := LockHolder(dir)
	if err != nil || !held || h.PID != os.Getpid() || h.Admin != "127.0.0.1:8081" {
		t.Errorf("holder %+v %v %v", h, held, err)
	}
	if _, err := LockDir(dir); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), fmt.Sprintf("process %d", os.Getpid())) {
		t.Errorf("second lock: %v, want %v naming this process", err, ErrLocked)
	}
	if err := l.Unlock(); err != nil {
		t.Fatal(err)
	}
	if _, held, err := LockHolder(dir); err != nil || held {
		t.Errorf("held after unlock: %v %v", held, err)
	}
	again, err := LockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Unlock(); err != nil {
		t.Fatal(err)
	}
}

func TestLockHolder_NoDirectory(t *testing.T) {
	if _, held, err := LockHolder(filepath.Join(t.TempDir(), "nothing")); held || err != nil {
		t.Errorf("held %v, %v", held, err)
	}
}

// TestShareDir: readers share a directory, change nothing in it, and keep it from being used.
func TestShareDir(t *testing.T) {
	dir := t.TempDir()
	none, err := ShareDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := none.Close(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("made %v, %v", left, err)
	}
	l, err := LockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ShareDir(dir); !errors.Is(err, ErrLocked) {
		t.Errorf("share of a used directory: %v", err)
	}
	if err := l.Announce("127.0.0.1:8081"); err != nil {
		t.Fatal(err)
	}
	if err := l.Unlock(); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(filepath.Join(dir, "LOCK"))
	if err != nil {
		t.Fatal(err)
	}
	one, err := ShareDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	two, err := ShareDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := LockDir(dir); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "is being read by another weir command") {
		t.Errorf("lock beside a reader: %v", err)
	}
	if _, held, err := LockHolder(dir); held || err != nil {
		t.Errorf("a reader counts as a holder: %v", err)
	}
	if err := errors.Join(one.Close(), two.Close()); err != nil {
		t.Fatal(err)
	}
	if after, err := os.ReadFile(filepath.Join(dir, "LOCK")); err != nil || string(after) != string(before) {
		t.Errorf("LOCK was %q and is %q, %v", before, after, err)
	}
}
