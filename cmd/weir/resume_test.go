package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/weirlog/weir/wal"
	"github.com/weirlog/weir/wal/waltest"
)

// TestFindStream_Damage: of a damaged record nobody can tell the stream. Where the streams that stay have passed it, the one that
// leaves was to make its letter, and must stay until it has.
func TestFindStream_Damage(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "wal")
	log, stop := waltest.OpenAt(t, dir, wal.Options{SegmentBytes: 16 << 10})
	waltest.Append(t, log, "stays", `{"n":1}`)
	waltest.Append(t, log, "stays", `{"n":"damaged"}`)
	waltest.Append(t, log, "stays", `{"n":3}`)
	stop()
	segments, err := filepath.Glob(filepath.Join(dir, "0*"))
	if err != nil || len(segments) == 0 {
		t.Fatalf("segments %v, %v", segments, err)
	}
	b, err := os.ReadFile(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(b, []byte("damaged"))
	if at < 0 {
		t.Fatal("the record is not in the first segment")
	}
	b[at] ^= 1
	if err := os.WriteFile(segments[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	log, stop = waltest.OpenAt(t, dir, wal.Options{SegmentBytes: 16 << 10})
	defer stop()
	for _, tt := range []struct {
		passed wal.Offset
		found  bool
	}{{0, false}, {1, false}, {2, true}, {3, true}} {
		offset, found, err := findStream(log, "leaves", 1, tt.passed)
		if err != nil || found != tt.found || found && offset != 2 {
			t.Errorf("the others stand at %d: found %v at %d, %v", tt.passed, found, offset, err)
		}
	}
}
