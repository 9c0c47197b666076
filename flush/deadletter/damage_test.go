package deadletter

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.etcd.io/bbolt"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/flush/checkpoint"
	"github.com/weirlog/weir/wal"
)

// flip changes one bit of the first place in the log's segments that holds what.
func (h *home) flip(what string) {
	h.t.Helper()
	h.damaged = true
	segments, err := filepath.Glob(filepath.Join(h.dir, "dead", "0*"))
	if err != nil {
		h.t.Fatal(err)
	}
	for _, path := range segments {
		b, err := os.ReadFile(path)
		if err != nil {
			h.t.Fatal(err)
		}
		if at := bytes.Index(b, []byte(what)); at >= 0 {
			b[at] ^= 1
			if err := os.WriteFile(path, b, 0o640); err != nil {
				h.t.Fatal(err)
			}
			return
		}
	}
	h.t.Fatalf("no segment holds %q", what)
}

// settle waits until the writer has done what it does at its start.
func (h *home) settle() {
	h.t.Helper()
	if err := h.exec(h.t.Context(), func() error { return nil }); err != nil {
		h.t.Fatal(err)
	}
}

func marked(offset wal.Offset, mark string) flush.Letter {
	return staged(offset, flush.StageTransform, `{"mark":"`+mark+`"}`)
}

func TestStore_DamagedLetter_IsToldAndKeepsItsCause(t *testing.T) {
	h := newHome(t, small())
	h.put(marked(1, "first"), marked(2, "second"), marked(3, "third"))
	h.close()
	h.flip("second")
	h.open()
	if _, err := h.Get(key(2, 0)); !errors.Is(err, ErrLetterDamaged) {
		t.Fatal(err)
	}
	for _, o := range []wal.Offset{1, 3} {
		h.mustGet(key(o, 0))
	}
	var told []error
	for f, err := range h.Letters(t.Context(), Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		told = append(told, f.Err)
		if f.Letter.Reason != letter(0).Reason && f.Letter.Type != "document_parsing_exception" {
			t.Fatalf("%+v", f.Letter)
		}
	}
	if len(told) != 3 || told[0] != nil || !errors.Is(told[1], ErrLetterDamaged) || told[2] != nil {
		t.Fatal(told)
	}
	r := &Replayer{Store: h.Store, Validate: validate, Streams: map[string]Stream{"default": {Prepare: prepare, Sink: discardSink{}}}}
	s, err := r.Replay(t.Context(), Request{Keys: []flush.Key{key(2, 0)}}, nil)
	if err != nil || s.Skipped != 1 || s.Causes["dead_letter_damaged"] != 1 {
		t.Fatal(s, err)
	}

	// Compaction leaves what is known of it.
	for i := range wal.Offset(100) {
		h.put(letter(100 + i))
		if _, err := h.Drop(t.Context(), []flush.Key{key(100+i, 0)}, false); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.ForgetSettled(t.Context(), []wal.Epoch{epoch}, 1000); err != nil {
		t.Fatal(err)
	}
	for _, again := range []func(){func() {}, h.reopen, h.reopenWithoutIndex} {
		again()
		l, err := h.Get(key(2, 0))
		if err != nil || l.Stage != flush.StageLog || !strings.Contains(l.Reason, "failed to parse field") {
			t.Fatalf("%+v %v", l, err)
		}
		if b, err := os.ReadFile(filepath.Join(h.dir, "repair", filepath.Base(l.Kept))); err != nil || !bytes.Contains(b, []byte("recond")) {
			t.Fatalf("kept as %q: %q, %v", l.Kept, b, err)
		}
		if string(h.mustGet(key(1, 0)).Event) != `{"mark":"first"}` {
			t.Fatal("a neighbour is damaged")
		}
	}
}

func TestStore_DamageFoundWhileRebuilding_BecomesALetter(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	opts := Options{Metrics: NewMetrics(reg)}
	h := newHome(t, opts)
	h.put(marked(1, "first"), marked(2, "second"), marked(3, "third"))
	h.close()
	h.flip("second")
	h.reopenWithoutIndex()
	h.settle()
	for range 3 {
		var found []Entry
		for e, err := range h.List(t.Context(), Filter{}) {
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, e)
		}
		if len(found) != 3 || found[0].Key != key(1, 0) || found[1].Key != key(3, 0) || found[2].Stage != flush.StageLog || found[2].Records != 1 {
			t.Fatalf("%+v", found)
		}
		if l := h.mustGet(found[2].Key); l.Kept == "" || l.Type != "dead_letter_log_damaged" {
			t.Fatalf("%+v", l)
		}
		h.reopenWithoutIndex() // the same damage is the same letter
		h.settle()
	}
	if got := testutil.ToFloat64(opts.Metrics.records.WithLabelValues("letters", "log")); got != 1 {
		t.Fatal(got)
	}
	if got := testutil.ToFloat64(opts.Metrics.damaged.WithLabelValues("letters")); got < 1 {
		t.Fatal(got)
	}
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) != 0 {
		t.Fatal(problems, err)
	}
}

func TestOpen_DamagedIndex_IsMadeAnew(t *testing.T) {
	for name, damage := range map[string]func(root *bbolt.Bucket) error{
		"a lost live letter":     func(r *bbolt.Bucket) error { return dropFirst(r.Bucket(tableNames[tableLive])) },
		"a lost key":             func(r *bbolt.Bucket) error { return dropFirst(r.Bucket(tableNames[tableKeys])) },
		"a lost place":           func(r *bbolt.Bucket) error { return dropFirst(r.Bucket(tableNames[tablePlaces])) },
		"a lost settled key":     func(r *bbolt.Bucket) error { return dropFirst(r.Bucket(tableNames[tableSettled])) },
		"a changed entry":        func(r *bbolt.Bucket) error { return changeFirst(r.Bucket(tableNames[tableLive])) },
		"a changed state":        func(r *bbolt.Bucket) error { return r.Put(stateKey, make([]byte, stateBytes)) },
		"no state":               func(r *bbolt.Bucket) error { return r.Delete(stateKey) },
		"a table that is gone":   func(r *bbolt.Bucket) error { return r.DeleteBucket(tableNames[tableKeys]) },
		"an index that is gone":  func(r *bbolt.Bucket) error { return r.Tx().DeleteBucket([]byte("letters:letters")) },
		"the index of another":   func(r *bbolt.Bucket) error { return putState(r, func(st *indexState) { st.epoch++ }) },
		"an index that is ahead": func(r *bbolt.Bucket) error { return putState(r, func(st *indexState) { st.applied += 1000 }) },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHome(t, small())
			h.damaged = true // an index that is ahead leaves a gap in the offsets
			h.put(letter(1), letter(2), letter(3), letter(4))
			if err := h.Settle(t.Context(), []flush.Key{key(3, 0)}, "delivered"); err != nil {
				t.Fatal(err)
			}
			h.close()
			db := h.openDB()
			err := db.Update(func(tx *bbolt.Tx) error { return damage(tx.Bucket([]byte("letters:letters"))) })
			if err := errors.Join(err, db.Close()); err != nil {
				t.Fatal(err)
			}
			h.open()
			h.settle()
			for range 2 {
				got := slices.DeleteFunc(h.keys(), func(k string) bool { return !strings.HasPrefix(k, epoch.String()) })
				if !slices.Equal(got, []string{key(1, 0).String(), key(2, 0).String(), key(4, 0).String()}) {
					t.Fatal(got)
				}
				if known, err := h.Known(epoch, 3); err != nil || len(known) != 1 {
					t.Fatal(known, err)
				}
				h.put(letter(3), letter(4)) // neither comes again
				h.reopen()
			}
		})
	}
}

func dropFirst(b *bbolt.Bucket) error {
	k, _ := b.Cursor().First()
	return b.Delete(k)
}

func changeFirst(b *bbolt.Bucket) error {
	k, v := b.Cursor().First()
	v = bytes.Clone(v)
	v[len(v)/2] ^= 4
	return b.Put(k, v)
}

func putState(b *bbolt.Bucket, change func(*indexState)) error {
	st, err := decodeIndexState(b.Get(stateKey))
	if err != nil {
		return err
	}
	change(&st)
	return b.Put(stateKey, st.encode())
}

// A write that failed may be in the log after all. The store meets such records behind its back.
func TestStore_RecordsOfAFailedWrite_AreAppliedWhenTheyComeToLight(t *testing.T) {
	h := newHome(t, Options{})
	h.put(letter(1), letter(2))
	b := &batch{}
	for _, c := range []change{
		{op: opPut, key: key(3, 0), letter: letter(3)},
		{op: opSettled, key: key(1, 0), ending: ending{At: start, Outcome: "delivered"}},
		// A put and a copy that were decided on before the letter was settled do not bring it back.
		{op: opPut, key: key(1, 0), letter: letter(1)},
		{op: opCopied, key: key(1, 0), letter: letter(1), seq: 1},
	} {
		if err := b.add(c, 100); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.log.Append(t.Context(), wal.Origin{}, b.events); err != nil {
		t.Fatal(err)
	}
	if got := h.applied(); !slices.Equal(got, []wal.Offset{2, 3}) {
		t.Fatal(got)
	}
	h.put(letter(3), letter(1), letter(4)) // the flusher tries its batch again
	for _, again := range []func(){func() {}, h.reopen, h.reopenWithoutIndex} {
		again()
		if got := h.offsets(); !slices.Equal(got, []wal.Offset{2, 3, 4}) {
			t.Fatal(got)
		}
	}
}

// applied is offsets once the writer has seen all of the log.
func (h *home) applied() []wal.Offset {
	h.t.Helper()
	h.settle()
	return h.offsets()
}

func TestStore_Letters_ReadWhileSegmentsGo_AreAllSound(t *testing.T) {
	var log bytes.Buffer
	opts := small()
	opts.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	h := newHome(t, opts)
	var letters []flush.Letter
	for i := range wal.Offset(800) {
		letters = append(letters, letter(i+1))
	}
	h.put(letters...)
	seen := 0
	for f, err := range h.Letters(t.Context(), Filter{}) {
		if err != nil || f.Err != nil {
			t.Fatal(err, f.Err)
		}
		if seen++; seen != 100 {
			continue
		}
		// Most letters end, behind the reader and on pages to come; the rest is copied, and the segments under the reader go.
		var ended []flush.Key
		for o := wal.Offset(1); o <= 800; o++ {
			if o <= 100 || o > 300 && o%4 != 0 {
				ended = append(ended, key(o, 0))
			}
		}
		if err := h.Settle(t.Context(), ended, "delivered"); err != nil {
			t.Fatal(err)
		}
		if err := h.ForgetSettled(t.Context(), []wal.Epoch{epoch}, 1000); err != nil {
			t.Fatal(err)
		}
		for h.garbageOutweighs() {
			h.settle()
		}
	}
	if seen >= 800 || seen < 300 {
		t.Fatal(seen)
	}
	h.close() // the writer no longer writes to log
	if log.Len() > 0 {
		t.Fatal(log.String())
	}
	if h.log.FirstOffset() == 1 {
		t.Fatal("no segment went")
	}
}

func TestStore_Put_WithEndedContext_PutsNothing(t *testing.T) {
	h := newHome(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 { // the writer may be free or not
		if err := h.Put(ctx, []flush.Letter{letter(1)}); err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
}

func TestReplay_Rate_IsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newReplayHome(t)
		for i := range wal.Offset(10) {
			h.put(staged(i+1, flush.StageTransform, "a"))
		}
		begin := time.Now()
		s := h.replay(Request{Rate: 2})
		// The first at once, then two a second: no burst.
		if got := time.Since(begin).Round(time.Millisecond); s.Delivered != 10 || got != 4500*time.Millisecond {
			t.Fatal(s, got)
		}
		h.close()
	})
}

// TestOpen_LogIsGone finds no log where the index knows of letters: they are missed aloud.
func TestOpen_LogIsGone(t *testing.T) {
	h := newHome(t, Options{})
	h.put(letter(1), letter(2), letter(3))
	h.close()
	if err := os.RemoveAll(filepath.Join(h.dir, "dead")); err != nil {
		t.Fatal(err)
	}
	h.damaged = true
	for range 2 {
		h.reopen()
		h.put(letter(4)) // the writer has looked around before it puts
		n := 0
		for f, err := range h.Letters(t.Context(), Filter{Stage: flush.StageLog}) {
			if n++; err != nil || f.Letter.Records != 3 {
				t.Fatal(err, f.Letter)
			}
		}
		if n != 1 {
			t.Fatalf("%d letters of stage log, want 1", n)
		}
	}
}

// TestOpen_DamageIsToldAfterStartsThatEndEarly: a start that fails, or is killed, before the writer runs must not be the only one
// that knows of damage.
func TestOpen_DamageIsToldAfterStartsThatEndEarly(t *testing.T) {
	for name, damage := range map[string]func(h *home, db *checkpoint.DB){
		"the log is gone": func(h *home, _ *checkpoint.DB) {
			if err := os.RemoveAll(filepath.Join(h.dir, "dead")); err != nil {
				h.t.Fatal(err)
			}
		},
		"a letter that the index does not know yet": func(h *home, db *checkpoint.DB) {
			h.flip("second")
			if err := db.Update(func(tx *bbolt.Tx) error { return tx.DeleteBucket(h.bucket) }); err != nil {
				h.t.Fatal(err)
			}
		},
	} {
		for _, before := range []string{"the index is made anew", "the writer runs"} {
			t.Run(name+", before "+before, func(t *testing.T) {
				h := newHome(t, Options{})
				h.put(marked(1, "first"), marked(2, "second"), marked(3, "third"))
				h.close()
				db := h.openDB()
				damage(h, db)
				h.damaged = true
				var early *wal.Log
				if before == "the writer runs" {
					s, err := Open(filepath.Join(h.dir, "dead"), db, h.opts)
					if err != nil {
						t.Fatal(err)
					}
					early = s.log
				} else {
					var err error
					if early, err = wal.Open(filepath.Join(h.dir, "dead"), wal.Options{KnownEnd: 3, RepairDir: filepath.Join(h.dir, "repair")}); err != nil {
						t.Fatal(err)
					}
				}
				if err := errors.Join(early.Close(), db.Close()); err != nil {
					t.Fatal(err)
				}
				for range 2 {
					h.reopen()
					h.put(marked(4, "fourth")) // the writer has looked around before it puts
					records := uint64(0)
					for f, err := range h.Letters(t.Context(), Filter{Stage: flush.StageLog}) {
						if err != nil {
							t.Fatal(err)
						}
						records += f.Letter.Records
					}
					want := uint64(1)
					if name == "the log is gone" {
						want = 3
					}
					if records != want {
						t.Errorf("letters of stage log stand for %d records, want %d", records, want)
					}
				}
			})
		}
	}
}

// TestOpen_SegmentOfAnotherLog finds events in the dead-letter log: somebody moved a segment. They are kept as letters.
func TestOpen_SegmentOfAnotherLog(t *testing.T) {
	h := newHome(t, Options{})
	h.close()
	if err := os.RemoveAll(filepath.Join(h.dir, "dead")); err != nil {
		t.Fatal(err)
	}
	other, err := wal.Open(filepath.Join(h.dir, "dead"), wal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- other.Run(ctx) }()
	if _, err := other.Append(ctx, wal.Origin{Stream: "default"}, []wal.Event{{Payload: []byte(`{"n":1}`)}}); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	h.damaged = true
	h.open()
	h.put(letter(4))
	n := 0
	for f, err := range h.Letters(t.Context(), Filter{Stage: flush.StageLog}) {
		if n++; err != nil || string(f.Letter.Event) != `{"n":1}` {
			t.Fatal(err, f.Letter)
		}
	}
	if n != 1 {
		t.Fatalf("%d letters of stage log, want 1", n)
	}
}

// TestStore_CommitOfTheIndexFailsAndIsThere is what bbolt makes of an fsync of its root that failed: the transaction is an
// error, and the next one finds all of it.
func TestStore_CommitOfTheIndexFailsAndIsThere(t *testing.T) {
	fails := false
	h := newHome(t, Options{committed: func() error {
		if fails {
			fails = false
			return syscall.EIO
		}
		return nil
	}})
	h.put(letter(1))
	fails = true
	if err := h.Put(t.Context(), []flush.Letter{letter(2), letter(3)}); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	h.put(letter(2), letter(3), letter(4))
	fails = true
	if _, err := h.Drop(t.Context(), []flush.Key{key(1, 0), key(2, 0)}, false); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	h.put(letter(5))
	if n := h.Len(); n != 3 || len(h.keys()) != 3 {
		t.Errorf("%d letters are counted, %v are there", n, h.keys())
	}
	if err := h.view(func(x *index) (err error) {
		if x.state, err = decodeIndexState(x.root.Get(stateKey)); err != nil {
			return err
		}
		return x.verify()
	}); err != nil {
		t.Error(err) // the next start would make the index anew
	}
}
