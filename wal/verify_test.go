package wal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// makeLives makes a log of several lives, of which some hold no record, the last one among them, closed in order.
func makeLives(t *testing.T) (dir string, records uint64) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "wal")
	for i, appends := range []int{2, 0, 3, 0} {
		l := startLog(t, dir, Options{FreshEpoch: true})
		for j := range appends {
			l.mustAppend(fmt.Sprintf("%d-%d-a", i, j), fmt.Sprintf("%d-%d-b", i, j))
			records += 2
		}
		if err := l.stop(); err != nil {
			t.Fatal(err)
		}
	}
	return dir, records
}

func verifyDir(t *testing.T, dir string, from, end Offset) Report {
	t.Helper()
	s, err := OpenSnapshot(dir)
	if err != nil {
		t.Fatal(err)
	}
	s.Expect(from, end)
	rep, err := s.Verify(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

// TestVerify_EveryBit flips bits of every file, also of frames without records and behind the last record: each is in the
// report, and names a segment and a position that holds it.
func TestVerify_EveryBit(t *testing.T) {
	dir, records := makeLives(t)
	rep := verifyDir(t, dir, 1, Offset(records))
	if rep.Records != records || rep.Frames != 5+4+2 || len(rep.Damage) != 0 { // appends, beginnings, and ends of the lives that wrote something
		t.Fatalf("the sound log: %+v", rep)
	}
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	step := 3
	if os.Getenv("WEIR_TORTURE") != "" {
		step = 1
	}
	for _, path := range names {
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for bit := 0; bit < len(whole)*8; bit += step {
			b := bytes.Clone(whole)
			b[bit/8] ^= 1 << (bit % 8)
			if err := os.WriteFile(path, b, 0o640); err != nil {
				t.Fatal(err)
			}
			rep := verifyDir(t, dir, 1, Offset(records))
			if !slices.ContainsFunc(rep.Damage, func(d *CorruptionError) bool {
				return d.Segment == filepath.Base(path) && d.Position <= int64(bit/8) && int64(bit/8) < d.Position+d.Length
			}) {
				t.Fatalf("%s bit %d is in no row of %v", filepath.Base(path), bit, rep.Damage)
			}
		}
		if err := os.WriteFile(path, whole, 0o640); err != nil {
			t.Fatal(err)
		}
	}
}

// TestVerify_TornTail_IsNoDamage: what a power cut leaves behind the last whole group is reported beside the damage.
func TestVerify_TornTail_IsNoDamage(t *testing.T) {
	dir, records := makeLives(t)
	names, err := filepath.Glob(filepath.Join(dir, "0*"))
	if err != nil {
		t.Fatal(err)
	}
	last := names[len(names)-1]
	b, err := os.ReadFile(last)
	if err != nil {
		t.Fatal(err)
	}
	mark := len(b) - 1 - frameHeaderBytes
	for name, torn := range map[string][]byte{
		"a part of the mark":       b[:len(b)-9],
		"zeros instead of it":      append(bytes.Clone(b[:mark]), make([]byte, 1+frameHeaderBytes)...),
		"its begin, then zeros":    append(bytes.Clone(b[:mark+20]), make([]byte, 1+frameHeaderBytes-20)...),
		"zeros behind it":          append(bytes.Clone(b), 0, 0, 0),
		"a byte instead of it all": append(bytes.Clone(b[:mark]), 'x'),
	} {
		if err := os.WriteFile(last, torn, 0o640); err != nil {
			t.Fatal(err)
		}
		rep := verifyDir(t, dir, 1, Offset(records))
		s, err := OpenSnapshot(dir)
		if err != nil {
			t.Fatal(err)
		}
		if _, bytes := s.Clean(); bytes == 0 || len(rep.Damage) != 0 || rep.Records != records {
			t.Errorf("%s: %d bytes are torn, %+v", name, bytes, rep)
		}
	}
}

// TestVerify_Expect: what weir.db knows and the log does not hold is damage, at its beginning and at its end.
func TestVerify_Expect(t *testing.T) {
	for name, row := range map[string]struct {
		remove            func(t *testing.T, names []string)
		from, end         Offset
		firstLost, last   Offset
		lostEnd, nothing  bool
		recordsThatRemain uint64
	}{
		"all is there":                        {func(*testing.T, []string) {}, 1, 10, 0, 0, false, true, 10},
		"the last segments are gone":          {removeFiles(2, 4), 1, 10, 5, 10, true, false, 4},
		"they are gone, but all is settled":   {removeFiles(2, 4), 11, 10, 5, 10, true, false, 4},
		"the oldest segment is gone":          {removeFiles(0, 1), 1, 10, 1, 4, false, false, 6},
		"it is gone, and settled":             {removeFiles(0, 1), 5, 10, 0, 0, false, true, 6},
		"every segment is gone":               {removeFiles(0, 4), 3, 10, 3, 10, true, false, 0},
		"every segment is gone, all settled":  {removeFiles(0, 4), 11, 10, 11, 10, true, false, 0},
		"nothing is known":                    {removeFiles(2, 4), 0, 0, 0, 0, false, true, 4},
		"a segment in the middle is gone":     {removeFiles(2, 3), 1, 10, 5, 10, false, false, 4},
		"a segment without a record is gone":  {removeFiles(1, 2), 1, 10, 5, 4, false, false, 10},
		"the last one, without a record, too": {removeFiles(3, 4), 1, 10, 0, 0, false, true, 10}, // as if this life had never been
	} {
		t.Run(name, func(t *testing.T) {
			dir, _ := makeLives(t)
			names, err := filepath.Glob(filepath.Join(dir, "0*"))
			if err = errors.Join(err, os.Remove(filepath.Join(dir, markName))); err != nil || len(names) != 4 { // what the caller expects has to do
				t.Fatal(names, err)
			}
			row.remove(t, names)
			s, err := OpenSnapshot(dir)
			if err != nil {
				t.Fatal(err)
			}
			s.Expect(row.from, row.end)
			rep, err := s.Verify(context.Background(), nil)
			if err != nil || rep.Records != row.recordsThatRemain || (s.LostEnd() != nil) != row.lostEnd {
				t.Errorf("%+v, lost end %v, %v", rep, s.LostEnd(), err)
			}
			if lost := s.LostBegin(); (lost != nil) != (name == "the oldest segment is gone") {
				t.Errorf("lost beginning %v", lost)
			}
			if row.nothing {
				if len(rep.Damage) != 0 {
					t.Errorf("damage %v", rep.Damage)
				}
				return
			}
			if len(rep.Damage) != 1 || rep.Damage[0].First != row.firstLost || rep.Damage[0].Last != row.last {
				t.Errorf("damage %v, want %d to %d", rep.Damage, row.firstLost, row.last)
			}
		})
	}
}

// removeFiles removes the files from one index to before another.
func removeFiles(from, to int) func(*testing.T, []string) {
	return func(t *testing.T, names []string) {
		t.Helper()
		for _, name := range names[from:to] {
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestLog_Verify_Running proves frames behind the last record of a log that is open.
func TestLog_Verify_Running(t *testing.T) {
	dir, records := makeLives(t)
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(names[1])
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-3] ^= 1
	if err := os.WriteFile(names[1], b, 0o640); err != nil {
		t.Fatal(err)
	}
	l := startLog(t, dir, Options{FreshEpoch: true})
	rep, err := l.Verify(context.Background(), nil)
	if err != nil || rep.Records != records || len(rep.Damage) != 1 || rep.Damage[0].Segment != filepath.Base(names[1]) || rep.Lost() != 0 {
		t.Errorf("%+v, %v", rep, err)
	}
}
