package deadletter

import (
	"os"
	"path/filepath"
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
