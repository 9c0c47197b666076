package deadletter

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/wal"
)

// small makes segments and parts so small that letters span records and compaction is always near.
func small() Options {
	return Options{SegmentBytes: 2 << 10, partBytes: 300}
}

// expected is what a letter should be.
type expected struct {
	event, original string
	attempts        int
}

// model is what a store should hold. Seam and child tests drive it along with the real store.
type model struct {
	live    map[flush.Key]expected
	settled map[flush.Key]bool // settled and not yet passed by the checkpoint
}

func newModel() *model {
	return &model{live: map[flush.Key]expected{}, settled: map[flush.Key]bool{}}
}

func (m *model) clone() *model {
	return &model{live: maps.Clone(m.live), settled: maps.Clone(m.settled)}
}

// step is one call on a store, and what it does to the model.
type step struct {
	name  string
	call  func(s *Store) error
	model func(m *model)
}

// steps chooses calls at random; the letters of a seed are always the same.
type steps struct {
	t    testing.TB
	rnd  *rand.Rand
	next wal.Offset
}

func (g *steps) letter() flush.Letter {
	g.next++
	l := letter(g.next)
	l.Event = fmt.Appendf(nil, `{"n":%d,"pad":"%0*d"}`, g.next, g.rnd.IntN(900), 0)
	return l
}

func (g *steps) someLive(m *model, n int) []flush.Key {
	keys := slices.SortedFunc(maps.Keys(m.live), func(a, b flush.Key) int { return int(a.Offset) - int(b.Offset) })
	g.rnd.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	return keys[:min(n, len(keys))]
}

func (g *steps) step(m *model) step {
	ctx := g.t.Context()
	switch n := g.rnd.IntN(10); {
	case n < 4 || len(m.live) < 5:
		var letters []flush.Letter
		for range 1 + g.rnd.IntN(6) {
			letters = append(letters, g.letter())
		}
		for k := range m.settled { // a redelivery brings old ones as well
			l := letter(k.Offset)
			letters = append(letters, l)
			break
		}
		return step{"put", func(s *Store) error { return s.Put(ctx, letters) }, func(m *model) {
			for _, l := range letters {
				if _, known := m.live[l.Key]; !known && !m.settled[l.Key] {
					m.live[l.Key] = expected{event: string(l.Event), attempts: 1}
				}
			}
		}}
	case n < 7:
		keys := g.someLive(m, 1+g.rnd.IntN(8))
		call := func(s *Store) error { return s.Settle(ctx, keys, "delivered") }
		if n == 6 {
			call = func(s *Store) error { _, err := s.Drop(ctx, keys, false); return err }
		}
		return step{"settle", call, func(m *model) {
			for _, k := range keys {
				delete(m.live, k)
				m.settled[k] = true
			}
		}}
	case n < 8:
		k, event := g.someLive(m, 1)[0], fmt.Sprintf(`{"edited":%d}`, g.rnd.Uint64())
		return step{"edit", func(s *Store) error { return s.Edit(ctx, k, []byte(event)) }, func(m *model) {
			e := m.live[k]
			if e.original == "" {
				e.original = e.event
			}
			e.event = event
			m.live[k] = e
		}}
	case n < 9:
		var attempts []Attempt
		keys := g.someLive(m, 5)
		for _, k := range keys {
			attempts = append(attempts, Attempt{Key: k, Status: 400, Type: "again", Reason: "r", At: start})
		}
		return step{"attempted", func(s *Store) error { return s.Attempted(ctx, attempts) }, func(m *model) {
			for _, k := range keys {
				e := m.live[k]
				e.attempts++
				m.live[k] = e
			}
		}}
	default:
		upTo := wal.Offset(g.rnd.Uint64N(uint64(g.next)))
		return step{"forget", func(s *Store) error { return s.ForgetSettled(ctx, []wal.Epoch{epoch}, upTo) }, func(m *model) {
			maps.DeleteFunc(m.settled, func(k flush.Key, _ bool) bool { return k.Offset <= upTo })
		}}
	}
}

// differs says how the store differs from the model, "" when it does not. Without an index keys that were forgotten may be
// known again: the log is not told of ForgetSettled.
func (m *model) differs(t testing.TB, s *Store, rebuilt bool) string {
	t.Helper()
	seen := map[flush.Key]bool{}
	last := wal.Offset(0)
	for f, err := range s.Letters(t.Context(), Filter{}) {
		if err != nil {
			return err.Error()
		}
		k := f.Entry.Key
		want, live := m.live[k]
		switch {
		case f.Err != nil:
			return fmt.Sprintf("%s: %v", k, f.Err)
		case seen[k]:
			return fmt.Sprintf("%s is there twice", k)
		case !live:
			return fmt.Sprintf("%s should not be there", k)
		case string(f.Letter.Event) != want.event, string(f.Letter.Original) != want.original, f.Letter.Attempts != want.attempts:
			return fmt.Sprintf("%s holds %q, %q, %d attempts, want %+v", k, f.Letter.Event, f.Letter.Original, f.Letter.Attempts, want)
		case f.Entry.Seq <= last:
			return fmt.Sprintf("%s is out of order", k)
		}
		seen[k], last = true, f.Entry.Seq
	}
	if len(seen) != len(m.live) {
		return fmt.Sprintf("%d letters, want %d", len(seen), len(m.live))
	}
	for k := range m.settled {
		if known, err := s.Known(k.Epoch, k.Offset); err != nil || len(known) != 1 {
			return fmt.Sprintf("settled %s: known %v, %v", k, known, err)
		}
	}
	if st := s.snapshot(); !rebuilt && st.sums[tableSettled].count != uint64(len(m.settled)) {
		return fmt.Sprintf("%d keys are remembered, want %d", st.sums[tableSettled].count, len(m.settled))
	}
	return ""
}

func seeded(t testing.TB) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("WEIR_TEST_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("repeat with WEIR_TEST_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

func TestStore_RandomCalls_AgreeWithTheModel(t *testing.T) {
	g := &steps{t: t, rnd: seeded(t)}
	m := newModel()
	h := newHome(t, small())
	rebuilt := false
	for i := range 200 {
		s := g.step(m)
		if err := s.call(h.Store); err != nil {
			t.Fatalf("step %d, %s: %v", i, s.name, err)
		}
		s.model(m)
		switch g.rnd.IntN(30) {
		case 0:
			h.reopen()
		case 1:
			h.reopenWithoutIndex()
			rebuilt = true
		}
		if why := m.differs(t, h.Store, rebuilt); why != "" {
			t.Fatalf("step %d, %s: %s", i, s.name, why)
		}
	}
	if first := h.log.FirstOffset(); first == 1 {
		t.Fatal("nothing was ever reclaimed: the test does not reach compaction")
	}
}

// TestStore_KilledAtEveryPoint copies the data directory at every point of the writer's work, which is what a kill there leaves,
// and opens each copy with and without its index: it holds what was there before the call in hand, or after it.
func TestStore_KilledAtEveryPoint_HoldsTheCallWholeOrNotAtAll(t *testing.T) {
	g := &steps{t: t, rnd: seeded(t)}
	type snapshot struct{ point, dir string }
	var snaps []snapshot
	var h *home
	opts := small()
	armed := false
	opts.crash = func(point string) {
		if armed {
			dir := filepath.Join(t.TempDir(), strconv.Itoa(len(snaps)))
			copyHome(t, h.dir, dir)
			snaps = append(snaps, snapshot{point, dir})
		}
	}
	h = newHome(t, opts)
	m := newModel()
	points := map[string]int{}
	for i := 0; i < 40 || points["after copies"] < 2 && i < 400; i++ {
		s := g.step(m)
		before := m.clone()
		if err := h.exec(t.Context(), func() error { armed = true; return nil }); err != nil {
			t.Fatal(err)
		}
		if err := s.call(h.Store); err != nil {
			t.Fatal(err)
		}
		// Housekeeping after the call is done, in part at the least, when the writer takes this.
		if err := h.exec(t.Context(), func() error { armed = false; return nil }); err != nil {
			t.Fatal(err)
		}
		s.model(m)
		for _, snap := range snaps {
			points[snap.point]++
			judgeSnapshot(t, snap.dir, fmt.Sprintf("step %d, %s, killed %s", i, s.name, snap.point), before, m)
		}
		snaps = snaps[:0]
	}
	t.Log(points)
	for _, p := range []string{"before append", "after append", "after index", "after copies"} {
		if points[p] == 0 {
			t.Errorf("never killed %s", p)
		}
	}
}

func judgeSnapshot(t *testing.T, dir, what string, before, after *model) {
	t.Helper()
	for _, withIndex := range []bool{true, false} {
		copied := &home{t: t, dir: dir, opts: small()}
		copied.opts.now = func() time.Time { return start }
		if !withIndex {
			if err := removeFile(filepath.Join(dir, "weir.db")); err != nil {
				t.Fatal(err)
			}
		}
		copied.open()
		old, now := before.differs(t, copied.Store, true), after.differs(t, copied.Store, true)
		copied.close()
		if old != "" && now != "" {
			t.Fatalf("%s, index %v: neither as before (%s) nor as after (%s)", what, withIndex, old, now)
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
}

func copyHome(t testing.TB, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

func TestOpen_IndexOfAnotherTime_IsMadeAnew(t *testing.T) {
	g := &steps{t: t, rnd: seeded(t)}
	m := newModel()
	h := newHome(t, small())
	h.damaged = true
	run := func(n int) {
		for range n {
			s := g.step(m)
			if err := s.call(h.Store); err != nil {
				t.Fatal(err)
			}
			s.model(m)
		}
	}
	run(20)
	h.close()
	oldDB, err := os.ReadFile(filepath.Join(h.dir, "weir.db"))
	if err != nil {
		t.Fatal(err)
	}
	copyHome(t, filepath.Join(h.dir, "dead"), filepath.Join(h.dir, "old"))
	oldModel := m.clone()
	h.open()
	run(100)

	t.Run("an old index catches up or is made anew", func(t *testing.T) {
		h.close()
		if err := os.WriteFile(filepath.Join(h.dir, "weir.db"), oldDB, 0o600); err != nil {
			t.Fatal(err)
		}
		h.open()
		if why := m.differs(t, h.Store, true); why != "" {
			t.Fatal(why)
		}
	})
	t.Run("an old log under a newer index begins a new epoch", func(t *testing.T) {
		h.close()
		applied := h.snapshot().applied
		if err := os.RemoveAll(filepath.Join(h.dir, "dead")); err != nil {
			t.Fatal(err)
		}
		copyHome(t, filepath.Join(h.dir, "old"), filepath.Join(h.dir, "dead"))
		h.open()
		h.put(letter(1_000_000))
		if got := h.mustGet(key(1_000_000, 0)); got.Seq <= applied {
			t.Fatalf("number %d was given out before", got.Seq)
		}
		// What the log lost was letters, and records that ended letters: it does not go unsaid.
		lost := Filter{Stage: flush.StageLog}
		for range 2 {
			for f, err := range h.Letters(t.Context(), lost) {
				if err != nil || f.Letter.Records < 100 || f.Letter.Type != "dead_letter_log_damaged" {
					t.Fatal(err, f.Letter)
				}
			}
			if n, err := h.Count(t.Context(), lost); err != nil || n != 1 || h.Len() != uint64(len(oldModel.live)+2) {
				t.Fatal(n, err, h.Len())
			}
			h.reopen()
		}
		if n, err := h.DropAll(t.Context(), lost, false); err != nil || n != 1 {
			t.Fatal(n, err)
		}
		if _, err := h.Drop(t.Context(), []flush.Key{key(1_000_000, 0)}, false); err != nil {
			t.Fatal(err)
		}
		oldModel.settled[key(1_000_000, 0)] = true
		if why := oldModel.differs(t, h.Store, true); why != "" {
			t.Fatal(why)
		}
	})
}

func TestStore_SettledBytes_GoAway(t *testing.T) {
	h := newHome(t, Options{SegmentBytes: 64 << 10})
	pad := bytes.Repeat([]byte("x"), 1000)
	keep := letter(1)
	h.put(keep)
	for i := range wal.Offset(20) {
		var letters []flush.Letter
		var keys []flush.Key
		for j := range wal.Offset(50) {
			l := letter(2 + i*50 + j)
			l.Event = pad
			letters, keys = append(letters, l), append(keys, l.Key)
		}
		h.put(letters...)
		if err := h.Settle(t.Context(), keys, "delivered"); err != nil {
			t.Fatal(err)
		}
		if i%5 == 0 {
			if err := h.ForgetSettled(t.Context(), []wal.Epoch{epoch}, 50*i); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := h.log.Bytes(); got > 10*64<<10 {
		t.Fatalf("%d bytes of log for one live letter", got)
	}
	if got := h.mustGet(keep.Key); !bytes.Equal(got.Event, keep.Event) {
		t.Fatal("the living one went as well")
	}
}
