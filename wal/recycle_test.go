package wal

import (
	"bytes"
	"fmt"
	"path/filepath"
	"testing"

	twal "github.com/tidwall/wal"
)

// TestRecycler fills many segments and checks that the library still writes what it was given, that buffers
// are really used again, and that a buffer in use never is.
func TestRecycler(t *testing.T) {
	if !layoutKnown {
		t.Fatal("this version of the library keeps its buffers otherwise: nothing is recycled")
	}
	dir := filepath.Join(t.TempDir(), "wal")
	lib, err := openLibrary(dir, 64<<10)
	if err != nil {
		t.Fatal(err)
	}
	r, ok := lib.(*recycler)
	if !ok {
		t.Fatalf("the library is opened as %T", lib)
	}
	entry := func(i uint64) []byte { return bytes.Repeat([]byte(fmt.Sprintf("entry %d;", i)), 50) }
	const entries = 5000
	buffers := map[*byte]bool{}
	for i := uint64(1); i <= entries; i++ {
		if err := r.Write(i, entry(i)); err != nil {
			t.Fatal(err)
		}
		if len(r.active) > 60<<10 {
			buffers[&r.active[0]] = true
		}
		if len(r.active) > 0 && len(r.sealed) > 0 && &r.active[0] == &r.sealed[0] {
			t.Fatalf("entry %d: one buffer for two segments", i)
		}
	}
	if len(buffers) > 3 {
		t.Errorf("%d full buffers were seen: they are not used again", len(buffers))
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	plain, err := twal.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	for i := uint64(1); i <= entries; i++ {
		if got, err := plain.Read(i); err != nil || !bytes.Equal(got, entry(i)) {
			t.Fatalf("entry %d: %.30q, %v", i, got, err)
		}
	}
}
