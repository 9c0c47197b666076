package wal

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLog_Reclaim_EveryOffset reclaims up to one offset after the other: no record above it may go, however the borders of
// segments lie.
func TestLog_Reclaim_EveryOffset(t *testing.T) {
	l := startLog(t, filepath.Join(t.TempDir(), "wal"), Options{SegmentBytes: 1024})
	for _, p := range payloads(40, 100) {
		l.mustAppend(p)
	}
	for upTo := range Offset(40) {
		if _, err := l.Reclaim(upTo); err != nil {
			t.Fatal(err)
		}
		if first := l.FirstOffset(); first > upTo+1 {
			t.Fatalf("reclaim up to %d removed up to %d", upTo, first-1)
		}
	}
}

// TestLog_Reclaim_GroupThatFillsTheLog: a frame may be much longer than a segment should be. Its segment stays while it is the
// one before an empty active one; once its records are settled it must not keep the log full for ever.
func TestLog_Reclaim_GroupThatFillsTheLog(t *testing.T) {
	l := startLog(t, filepath.Join(t.TempDir(), "wal"), Options{SegmentBytes: 500, MaxBytes: 4000})
	l.mustAppend(strings.Repeat("x", 3800))
	if _, err := l.tryAppend(strings.Repeat("y", 100)); !errors.Is(err, ErrFull) {
		t.Fatal(err)
	}
	if _, err := l.Reclaim(l.DurableOffset()); err != nil {
		t.Fatal(err)
	}
	if second := l.mustAppend("now it fits"); second != 2 {
		t.Fatalf("offset %d, want 2", second)
	}
	if n, err := l.Reclaim(1); n != 1 || err != nil {
		t.Fatalf("%d segments reclaimed, %v; want 1", n, err)
	}
}

// TestLog_Reclaim_SyncsTheDirectoryAfterEachUnlink looks, at each fsync of the directory, at how many segments went since the
// last one: a cut between two must not leave a hole.
func TestLog_Reclaim_SyncsTheDirectoryAfterEachUnlink(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "wal")
	var left []int
	count := func() int {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Error(err)
		}
		return len(entries)
	}
	l := startLog(t, dir, Options{SegmentBytes: 1024, syncDir: func(d string) error {
		left = append(left, count())
		return syncDir(d)
	}})
	for _, p := range payloads(40, 100) {
		l.mustAppend(p)
	}
	before := count()
	left = nil
	n, err := l.Reclaim(40)
	if err != nil || n < 3 {
		t.Fatalf("%d segments reclaimed, %v", n, err)
	}
	if len(left) != n {
		t.Fatalf("%d fsyncs of the directory for %d segments", len(left), n)
	}
	for i, have := range left {
		if have != before-i-1 {
			t.Errorf("at fsync %d there are %d segments, want %d", i, have, before-i-1)
		}
	}
}

// TestOpen_SaltIsOfOneLife: bytes of another life, or of a client who has seen a file, must not pass for a record.
func TestOpen_SaltIsOfOneLife(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "wal")
	salts := map[uint64]bool{}
	for range 3 {
		l := startLog(t, dir, Options{})
		l.mustAppend("x")
		salts[l.gen.salt] = true
		if err := l.stop(); err != nil {
			t.Fatal(err)
		}
	}
	if len(salts) != 3 {
		t.Errorf("3 lives have %d salts", len(salts))
	}
}
