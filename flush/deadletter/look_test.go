package deadletter

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/flush/checkpoint"
	"github.com/weirlog/weir/wal"
)

// TestLookAtIndex sees what the store sees, without the store.
func TestLookAtIndex(t *testing.T) {
	h := newHome(t, Options{})
	h.put(letter(1), letter(2))
	want := h.Status()
	if rep, fault, err := h.Verify(t.Context(), nil); err != nil || fault != nil || rep.Records != 2 || len(rep.Damage) != 0 {
		t.Errorf("verify %+v, %v, %v", rep, fault, err)
	}
	h.close()
	path := filepath.Join(h.dir, "weir.db")
	look := func() IndexView {
		t.Helper()
		db, err := checkpoint.Look(path)
		if err != nil {
			t.Fatal(err)
		}
		v, err := LookAtIndex(db, defaultName)
		if err != nil || db.Close() != nil {
			t.Fatal(err)
		}
		return v
	}
	v := look()
	if v.Fault != nil || v.Needed != 1 || v.Applied != 2 || v.Records[flush.StageIndex] != want.Records[flush.StageIndex] || v.Bytes != want.Bytes || !v.Oldest.Equal(want.Oldest) {
		t.Errorf("%+v, the store says %+v", v, want)
	}
	// A lost entry is noticed.
	db := h.openDB()
	err := db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketName(defaultName)).Bucket(tableNames[tableKeys]).Delete(appendKey(nil, letter(1).Key))
	})
	if err != nil || db.Close() != nil {
		t.Fatal(err)
	}
	if v := look(); v.Fault == nil {
		t.Error("an index that lacks an entry is called sound")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if db, err := checkpoint.Look(path); err != nil {
		t.Fatal(err)
	} else if _, err := LookAtIndex(db, defaultName); err == nil {
		t.Error("a missing database has an index")
	}
}

// TestStore_Open_SaysWhatItSetAside: a lost end of the dead-letter log, and then its damage, are told once each.
func TestStore_Open_SaysWhatItSetAside(t *testing.T) {
	var asides []wal.Aside
	h := newHome(t, Options{OnAside: func(a wal.Aside) { asides = append(asides, a) }})
	h.put(letter(1))
	h.close()
	if err := os.RemoveAll(filepath.Join(h.dir, "dead")); err != nil {
		t.Fatal(err)
	}
	h.damaged = true
	h.open()
	if len(asides) != 2 || asides[0].Kind != wal.AsideLostEnd || asides[0].Last != 1 || asides[1].Kind != wal.AsideDamage {
		t.Errorf("told %+v", asides)
	}
}

// TestIndexValues_AreGolden pins the values of the index, which docs/format.md describes. An index can be made anew, so that a
// later version need not read these; but it must not mistake them.
func TestIndexValues_AreGolden(t *testing.T) {
	st := indexState{epoch: 0x0123456789abcdef, applied: 42, stages: [5]uint64{0, 1, 2, 3, 4}, bytes: 5000, kept: 600}
	for i := range st.sums {
		st.sums[i] = sum{count: uint64(i + 1), hash: 0xfeed << i}
	}
	l := letter(7)
	e := newEntry(&change{key: l.Key, letter: l, parts: 2, bytes: 700, eventBytes: 500, documentBytes: 100}, 11, 9)
	for name, b := range map[string][]byte{"index-state-v1.hex": st.encode(), "index-entry-v1.hex": e.encode()} {
		path := filepath.Join("testdata", name)
		got := hex.EncodeToString(b) + "\n"
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if want, err := os.ReadFile(path); err != nil || got != string(want) {
			t.Errorf("%s:\n%swant\n%s%v", name, got, want, err)
		}
	}
	if back, err := decodeIndexState(st.encode()); err != nil || back != st {
		t.Errorf("state %+v became %+v, %v", st, back, err)
	}
	if back, err := decodeEntry(9, e.encode()); err != nil || !reflect.DeepEqual(back, e) {
		t.Errorf("entry %+v became %+v, %v", e, back, err)
	}
}
