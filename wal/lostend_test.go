package wal

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestOpen_EndIsCut cuts the only segment of a log at every length, also at the borders of frames and records. Where it is
// known how far the log was durable, by the caller or by the durable mark that a kill leaves, what is left comes back and
// the rest is reported.
func TestOpen_EndIsCut(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "wal")
	l := startLog(t, dir, Options{})
	for i := range 2 {
		l.mustAppend(fmt.Sprintf("%d-a", i), fmt.Sprintf("%d-b", i), fmt.Sprintf("%d-c", i))
	}
	end := l.DurableOffset()
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	gen := l.gen
	first := segment{seq: 1}
	name := first.name()
	whole, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	mark, err := os.ReadFile(filepath.Join(dir, markName))
	if err != nil {
		t.Fatal(err)
	}
	for n := range 2 * len(whole) {
		marked := n >= len(whole)
		n %= len(whole)
		t.Run(fmt.Sprintf("%d, marked %v", n, marked), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "wal")
			if err := os.MkdirAll(dir, 0o750); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), whole[:n], 0o640); err != nil {
				t.Fatal(err)
			}
			opts := Options{KnownEnd: end}
			if marked {
				if err := os.WriteFile(filepath.Join(dir, markName), mark, 0o640); err != nil {
					t.Fatal(err)
				}
				opts = Options{}
				s, err := OpenSnapshot(dir)
				if err != nil {
					t.Fatal(err)
				}
				if rep, err := s.Verify(t.Context(), nil); err != nil || rep.Lost()+rep.Records != uint64(end) {
					t.Errorf("a snapshot has %d records and misses %d, %v", rep.Records, rep.Lost(), err)
				}
			}
			l := startLog(t, dir, opts)
			if next := l.mustAppend("next"); next != end+1 {
				t.Fatalf("the next offset is %d, want %d", next, end+1)
			}
			r := l.NewReader(1)
			defer r.Close()
			intact := map[Offset]bool{} // records that lie whole before the cut
			for pos := 0; pos < n; pos++ {
				if rec, _, err := decodeRecord(whole[pos:n], gen, streamNames{}); err == nil {
					intact[rec.Offset] = true
				}
			}
			at := Offset(1)
			for at <= end {
				rec, err := r.Next(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if rec.Offset != at {
					t.Fatalf("offset %d, want %d", rec.Offset, at)
				}
				for o := rec.Offset; o <= rec.Last(); o++ {
					if rec.Flags&FlagDamaged != 0 && intact[o] {
						t.Errorf("offset %d is whole and was not delivered", o)
					}
				}
				i := at - 1
				if want := fmt.Sprintf("%d-%c", i/3, 'a'+i%3); rec.Flags&FlagDamaged == 0 && string(rec.Payload) != want {
					t.Errorf("offset %d is %q, want %q", at, rec.Payload, want)
				}
				at = rec.Last() + 1
			}
			if at != end+1 {
				t.Errorf("the damage reaches up to %d, want %d", at-1, end)
			}
			if rec, err := r.Next(t.Context()); err != nil || string(rec.Payload) != "next" {
				t.Errorf("then comes %q, %v", rec.Payload, err)
			}
		})
	}
}
