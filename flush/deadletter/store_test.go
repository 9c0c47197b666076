package deadletter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/flush/checkpoint"
	"github.com/weirlog/weir/wal"
	"github.com/weirlog/weir/wal/waltest"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		fmt.Fprintln(os.Stderr, runChild(dir)) // returns only when something is wrong
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

const epoch = wal.Epoch(0xabcdef0123456789)

var start = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)

// home is a data directory whose store can be closed and opened again.
type home struct {
	t    testing.TB
	dir  string
	opts Options

	damaged bool // the test damages the log itself

	*Store
	db   *checkpoint.DB
	stop func()
}

func newHome(t testing.TB, opts Options) *home {
	t.Helper()
	if opts.now == nil {
		opts.now = func() time.Time { return start }
	}
	h := &home{t: t, dir: t.TempDir(), opts: opts}
	h.open()
	t.Cleanup(func() {
		h.close()
		if !h.damaged {
			waltest.Verify(t, filepath.Join(h.dir, "dead"))
		}
	})
	return h
}

func (h *home) open() {
	h.t.Helper()
	db := h.openDB()
	s, err := Open(filepath.Join(h.dir, "dead"), db, h.opts)
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	h.Store, h.db = s, db
	h.stop = sync.OnceFunc(func() {
		cancel()
		if err := errors.Join(<-done, db.Close()); err != nil {
			h.t.Error(err)
		}
	})
}

func (h *home) openDB() *checkpoint.DB {
	h.t.Helper()
	db, err := checkpoint.Open(filepath.Join(h.dir, "weir.db"), checkpoint.Options{})
	if err != nil {
		h.t.Fatal(err)
	}
	return db
}

func (h *home) close() { h.stop() }

func (h *home) reopen() {
	h.t.Helper()
	h.close()
	h.open()
}

func (h *home) put(letters ...flush.Letter) {
	h.t.Helper()
	if err := h.Put(h.t.Context(), letters); err != nil {
		h.t.Fatal(err)
	}
}

func (h *home) keys() []string {
	h.t.Helper()
	var keys []string
	for e, err := range h.List(h.t.Context(), Filter{}) {
		if err != nil {
			h.t.Fatal(err)
		}
		keys = append(keys, e.Key.String())
	}
	return keys
}

func (h *home) offsets() []wal.Offset {
	h.t.Helper()
	var found []wal.Offset
	for e, err := range h.List(h.t.Context(), Filter{}) {
		if err != nil {
			h.t.Fatal(err)
		}
		found = append(found, e.Key.Offset)
	}
	return found
}

func key(offset wal.Offset, ordinal uint32) flush.Key {
	return flush.Key{Epoch: epoch, Offset: offset, Ordinal: ordinal}
}

// letter makes a letter of stage index that uses every field.
func letter(offset wal.Offset) flush.Letter {
	k := key(offset, 0)
	return flush.Letter{
		Key: k, Records: 1, Stage: flush.StageIndex, Status: 400, Type: "document_parsing_exception",
		Reason:   fmt.Sprintf("failed to parse field [context.time] of type [date] in document with id '%s'", k.ID()),
		Attempts: 1, FirstAt: start.Add(time.Duration(offset) * time.Second), LastAt: start.Add(time.Duration(offset) * time.Second),
		Stream: "default", Destination: "http://es:9200", Index: "logs-weir-default", ID: k.ID(), Pipeline: "p", Routing: "r", Of: 1,
		Script: "sha256:0011", ReceivedAt: start, Remote: netip.MustParseAddr("192.0.2.1"),
		Event:    fmt.Appendf(nil, `{"n":%d, "x":1.0}`, offset),
		Document: fmt.Appendf(nil, `{"n":%d, "x":1.0,"@timestamp":"2026-03-01T12:00:00Z"}`, offset),
	}
}

func (h *home) mustGet(k flush.Key) Letter {
	h.t.Helper()
	l, err := h.Get(k)
	if err != nil {
		h.t.Fatal(err)
	}
	return l
}

func TestStore_Put_KeepsEveryByteAndField(t *testing.T) {
	h := newHome(t, Options{})
	a, b := letter(1), letter(2)
	b.Stage, b.Document, b.Event, b.Remote = flush.StageTransform, nil, []byte{}, netip.Addr{}
	c := letter(3)
	c.Stage, c.Event, c.Document, c.Records, c.Kept = flush.StageLog, nil, nil, 17, "repair/x"
	h.put(a, b, c)
	for range 2 {
		for _, want := range []flush.Letter{a, b, c} {
			if got := h.mustGet(want.Key); !reflect.DeepEqual(got.Letter, want) || got.Original != nil {
				t.Fatalf("got\n%+v\nwant\n%+v", got.Letter, want)
			}
		}
		h.reopen()
	}
	st := h.Status()
	if st.Records[flush.StageIndex] != 1 || st.Records[flush.StageTransform] != 1 || st.Records[flush.StageLog] != 1 || !st.Oldest.Equal(a.FirstAt) {
		t.Fatalf("%+v", st)
	}
	if _, err := h.Get(key(9, 0)); !errors.Is(err, ErrUnknownKey) {
		t.Fatal(err)
	}
}

func TestStore_Put_IsIdempotentByKey(t *testing.T) {
	h := newHome(t, Options{})
	h.put(letter(1), letter(2), letter(1))
	other := letter(1)
	other.Reason = "another"
	h.put(other, letter(3))
	if got := h.offsets(); !slices.Equal(got, []wal.Offset{1, 2, 3}) {
		t.Fatal(got)
	}
	if h.mustGet(key(1, 0)).Reason == "another" {
		t.Fatal("the second put replaced the first")
	}
	// Settled keys stay known until the checkpoint has passed them, across restarts and without an index.
	if err := h.Settle(t.Context(), []flush.Key{key(1, 0)}, "delivered"); err != nil {
		t.Fatal(err)
	}
	if n, err := h.Drop(t.Context(), []flush.Key{key(2, 0), key(77, 0)}, false); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	for _, again := range []func(){func() {}, h.reopen, h.reopenWithoutIndex} {
		again()
		h.put(letter(1), letter(2))
		if got := h.offsets(); !slices.Equal(got, []wal.Offset{3}) {
			t.Fatal(got)
		}
		if got, err := h.Known(epoch, 1); err != nil || !slices.Equal(got, []uint32{0}) {
			t.Fatal(got, err)
		}
	}
	if err := h.ForgetSettled(t.Context(), []wal.Epoch{epoch}, 1); err != nil {
		t.Fatal(err)
	}
	if got, err := h.Known(epoch, 1); err != nil || got != nil {
		t.Fatal(got, err)
	}
	if got, err := h.Known(epoch, 2); err != nil || len(got) != 1 {
		t.Fatal(got, err)
	}
}

func (h *home) reopenWithoutIndex() {
	h.t.Helper()
	h.close()
	if err := removeFile(filepath.Join(h.dir, "weir.db")); err != nil {
		h.t.Fatal(err)
	}
	h.open()
}

func TestStore_Known_ListsTheOrdinalsOfARecord(t *testing.T) {
	h := newHome(t, Options{})
	for _, k := range []flush.Key{key(5, 3), key(5, 1), key(6, 0), {Epoch: epoch + 1, Offset: 5, Ordinal: 9}} {
		l := letter(k.Offset)
		l.Key = k
		h.put(l)
	}
	if err := h.Settle(t.Context(), []flush.Key{key(5, 1)}, "delivered"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for offset, want := range map[wal.Offset][]uint32{4: nil, 5: {1, 3}, 6: {0}, 7: nil} {
			if got, err := h.Known(epoch, offset); err != nil || !slices.Equal(got, want) {
				t.Fatalf("offset %d: %v %v", offset, got, err)
			}
		}
		h.reopen()
	}
}

func TestStore_ForgetSettled_ForgetsOtherEpochsAndWhatTheCheckpointPassed(t *testing.T) {
	h := newHome(t, Options{})
	var keys []flush.Key
	for _, e := range []wal.Epoch{epoch - 1, epoch, epoch + 1} {
		for o := range wal.Offset(4) {
			l := letter(o + 1)
			l.Key.Epoch = e
			h.put(l)
			keys = append(keys, l.Key)
		}
	}
	if err := h.Settle(t.Context(), keys, "delivered"); err != nil {
		t.Fatal(err)
	}
	if err := h.ForgetSettled(t.Context(), []wal.Epoch{epoch}, 2); err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		got, err := h.Known(k.Epoch, k.Offset)
		if want := k.Epoch == epoch && k.Offset > 2; err != nil || (len(got) == 1) != want {
			t.Errorf("%s: known %v, %v", k, got, err)
		}
	}
}

// TestStore_ForgetSettled_KeepsEveryEpochOfTheLog: a start begins a new epoch, so that records of several wait for delivery. A
// letter that was dropped may come again while its record is one of them, whichever epoch it is of.
func TestStore_ForgetSettled_KeepsEveryEpochOfTheLog(t *testing.T) {
	h := newHome(t, Options{})
	var keys []flush.Key
	for i, e := range []wal.Epoch{epoch, epoch - 1, epoch + 1} {
		l := letter(wal.Offset(10 * (i + 1)))
		l.Key.Epoch = e
		h.put(l)
		keys = append(keys, l.Key)
	}
	if _, err := h.Drop(t.Context(), keys, false); err != nil {
		t.Fatal(err)
	}
	epochs := []wal.Epoch{epoch, epoch - 1, epoch + 1}
	for _, step := range []struct {
		upTo wal.Offset
		kept int // of keys, the last ones
	}{{9, 3}, {10, 2}, {29, 1}, {30, 0}} {
		if err := h.ForgetSettled(t.Context(), epochs, step.upTo); err != nil {
			t.Fatal(err)
		}
		for i, k := range keys {
			got, err := h.Known(k.Epoch, k.Offset)
			if want := i >= len(keys)-step.kept; err != nil || (len(got) == 1) != want {
				t.Errorf("checkpoint %d: %s known: %v, %v; want %v", step.upTo, k, got, err, want)
			}
		}
	}
}

func TestStore_Put_FromManyWorkers_LosesAndDoublesNothing(t *testing.T) {
	h := newHome(t, Options{})
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 20 {
				var batch []flush.Letter
				for j := range 10 {
					batch = append(batch, letter(wal.Offset(i*10+j+1)), letter(wal.Offset(1000+w*200+i*10+j)))
				}
				if err := h.Put(t.Context(), batch); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for _, again := range []func(){func() {}, h.reopen, h.reopenWithoutIndex} {
		again()
		got := h.offsets()
		if len(got) != 200+1600 {
			t.Fatal(len(got))
		}
		slices.Sort(got)
		if n := len(slices.Compact(got)); n != 1800 {
			t.Fatal("doubled", n)
		}
	}
}

func TestStore_Put_OfHugeLetters_SpansManyRecords(t *testing.T) {
	h := newHome(t, Options{})
	big := letter(1)
	big.Event = bytes.Repeat([]byte("0123456789abcdef"), 2<<20) // 32 MiB
	big.Document = append([]byte("doc"), big.Event...)
	h.put(big, letter(2))
	for _, again := range []func(){func() {}, h.reopen, h.reopenWithoutIndex} {
		again()
		if got := h.mustGet(key(1, 0)); !bytes.Equal(got.Event, big.Event) || !bytes.Equal(got.Document, big.Document) {
			t.Fatal("the bytes came back otherwise")
		}
		if got := h.mustGet(key(2, 0)); !reflect.DeepEqual(got.Letter, letter(2)) {
			t.Fatal("the letter behind it came back otherwise")
		}
		for e, err := range h.List(t.Context(), Filter{Limit: 1}) {
			if err != nil || e.EventBytes != int64(len(big.Event)) || e.DocumentBytes != int64(len(big.Document)) {
				t.Fatal(e, err)
			}
		}
	}
}

func TestStore_Put_AtItsLimit(t *testing.T) {
	t.Run("blocks, and takes what fits", func(t *testing.T) {
		h := newHome(t, Options{MaxBytes: 5000})
		var batch []flush.Letter
		for i := range wal.Offset(20) {
			batch = append(batch, letter(i+1))
		}
		if err := h.Put(t.Context(), batch); !errors.Is(err, flush.ErrDeadLettersFull) {
			t.Fatal(err)
		}
		got := h.offsets()
		if len(got) == 0 || len(got) == 20 || h.Status().Bytes > 5000 {
			t.Fatal(got, h.Status().Bytes)
		}
		// The same batch, again and again, gets through while letters are settled.
		for range 20 {
			if err := h.Settle(t.Context(), []flush.Key{key(h.offsets()[0], 0)}, "delivered"); err != nil {
				t.Fatal(err)
			}
			if err := h.Put(t.Context(), batch); err == nil {
				return
			} else if !errors.Is(err, flush.ErrDeadLettersFull) {
				t.Fatal(err)
			}
		}
		t.Fatal("never got through")
	})
	t.Run("takes one larger than the limit when empty", func(t *testing.T) {
		h := newHome(t, Options{MaxBytes: 100})
		h.put(letter(1))
		if err := h.Put(t.Context(), []flush.Letter{letter(2)}); !errors.Is(err, flush.ErrDeadLettersFull) {
			t.Fatal(err)
		}
	})
	t.Run("drops the oldest", func(t *testing.T) {
		h := newHome(t, Options{MaxBytes: 5000, OnFull: DropOldest, OwnKeys: true, SegmentBytes: 2 << 10})
		for i := range wal.Offset(50) {
			h.put(letter(i + 1))
		}
		if h.log.FirstOffset() == 1 {
			t.Fatal("what was dropped is still on disk")
		}
		for range 2 {
			got := h.offsets()
			if st := h.snapshot(); st.sums[tableSettled].count != 0 || st.sums[tablePlaces].count != uint64(len(got)) {
				t.Fatalf("%+v", st)
			}
			if n := len(got); n < 3 || n > 10 || got[n-1] != 50 || got[0] != 51-wal.Offset(n) || h.Status().Bytes > 5000 {
				t.Fatal(got, h.Status().Bytes)
			}
			h.reopen()
		}
	})
}

func TestStore_Edit_KeepsTheOriginal(t *testing.T) {
	h := newHome(t, Options{})
	h.put(letter(1), letter(2))
	original := letter(1).Event
	for _, event := range []string{`{"n":"one"}`, `{"n":"two"}`} {
		if err := h.Edit(t.Context(), key(1, 0), []byte(event)); err != nil {
			t.Fatal(err)
		}
		for _, again := range []func(){func() {}, h.reopen, h.reopenWithoutIndex} {
			again()
			l := h.mustGet(key(1, 0))
			if string(l.Event) != event || !bytes.Equal(l.Original, original) || !l.EditedAt.Equal(start) || !bytes.Equal(l.Document, letter(1).Document) {
				t.Fatalf("%s %s %v", l.Event, l.Original, l.EditedAt)
			}
			if got := h.offsets(); !slices.Equal(got, []wal.Offset{1, 2}) {
				t.Fatal("the edited letter moved:", got)
			}
		}
	}
	if err := h.Edit(t.Context(), key(3, 0), []byte("{}")); !errors.Is(err, ErrUnknownKey) {
		t.Fatal(err)
	}
	if err := h.Edit(t.Context(), key(1, 0), nil); !errors.Is(err, ErrEmptyEvent) {
		t.Fatal(err)
	}
}

func TestStore_Attempted_CountsAndKeepsTheNewCause(t *testing.T) {
	h := newHome(t, Options{})
	h.put(letter(1), letter(2))
	reason := strings.Repeat("long ", 200)
	for i := range 3 {
		err := h.Attempted(t.Context(), []Attempt{
			{Key: key(1, 0), Status: 500 + i, Type: "t", Reason: reason, Script: "new", At: start.Add(time.Hour)}, {Key: key(9, 0)}})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, again := range []func(){func() {}, h.reopen, h.reopenWithoutIndex} {
		again()
		l := h.mustGet(key(1, 0))
		want := letter(1)
		want.Attempts, want.Status, want.Type, want.Reason, want.Script, want.LastAt = 4, 502, "t", reason, "new", start.Add(time.Hour)
		if !reflect.DeepEqual(l.Letter, want) {
			t.Fatalf("got\n%+v\nwant\n%+v", l.Letter, want)
		}
		if got := h.offsets(); !slices.Equal(got, []wal.Offset{1, 2}) {
			t.Fatal(got)
		}
	}
	// An edit and a copy carry the cause along.
	if err := h.Edit(t.Context(), key(1, 0), []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if l := h.mustGet(key(1, 0)); l.Attempts != 4 || l.Reason != reason {
		t.Fatalf("%+v", l)
	}
}

func TestStore_List_FiltersAndPages(t *testing.T) {
	h := newHome(t, Options{})
	var letters []flush.Letter
	for i := range wal.Offset(3000) {
		l := letter(i + 1)
		if i%10 == 0 {
			l.Stage, l.Type, l.Stream, l.Index, l.Status = flush.StageTransform, "error", "audit", "", 0
			l.Reason = "script.lua:3: Attempt to index a nil value"
		}
		letters = append(letters, l)
	}
	h.put(letters...)
	for name, tc := range map[string]struct {
		f    Filter
		want int
	}{
		"everything":       {Filter{}, 3000},
		"stage":            {Filter{Stage: flush.StageTransform}, 300},
		"status":           {Filter{Status: 400}, 2700},
		"type":             {Filter{Type: "error"}, 300},
		"part of a reason": {Filter{Reason: "attempt to INDEX"}, 300},
		"index":            {Filter{Index: "logs-weir-default"}, 2700},
		"stream":           {Filter{Stream: "audit"}, 300},
		"since":            {Filter{Since: start.Add(2991 * time.Second)}, 10},
		"until":            {Filter{Until: start.Add(11 * time.Second)}, 10},
		"limit":            {Filter{Stage: flush.StageTransform, Limit: 7}, 7},
		"skip":             {Filter{Stage: flush.StageTransform, Skip: 290}, 10},
		"skip and limit":   {Filter{Stage: flush.StageTransform, Skip: 290, Limit: 3}, 3},
		"nothing":          {Filter{Stage: flush.StageLog}, 0},
	} {
		n, last := 0, wal.Offset(0)
		for e, err := range h.List(t.Context(), tc.f) {
			if err != nil {
				t.Fatal(err)
			}
			if e.Seq <= last {
				t.Fatalf("%s: out of order", name)
			}
			n, last = n+1, e.Seq
		}
		if n != tc.want {
			t.Errorf("%s: %d letters, want %d", name, n, tc.want)
		}
		whole := 0
		for l, err := range h.Letters(t.Context(), tc.f) {
			if err != nil || l.Err != nil || !reflect.DeepEqual(l.Letter.Letter, letters[l.Entry.Key.Offset-1]) {
				t.Fatalf("%s: %v %v %+v", name, err, l.Err, l.Letter)
			}
			whole++
		}
		if whole != tc.want {
			t.Errorf("%s: %d whole letters, want %d", name, whole, tc.want)
		}
	}
	for range h.List(t.Context(), Filter{}) {
		break
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range h.List(ctx, Filter{}) {
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
}

func TestStore_Stats_GroupsByNormalisedReason(t *testing.T) {
	h := newHome(t, Options{})
	for i := range wal.Offset(30) {
		l := letter(i + 1)
		if i >= 20 {
			l.Type, l.Reason = "other", "took 12ms"
		}
		h.put(l)
	}
	groups, err := h.Stats(t.Context(), Filter{})
	if err != nil || len(groups) != 2 {
		t.Fatal(groups, err)
	}
	g := groups[0]
	if g.Count != 20 || g.Example != key(1, 0) || !g.First.Equal(letter(1).FirstAt) || !g.Last.Equal(letter(20).FirstAt) ||
		g.Reason != "failed to parse field [context.time] of type [date] in document with id '…'" {
		t.Fatalf("%+v", g)
	}
}

func TestNormaliseReason(t *testing.T) {
	for in, want := range map[string]string{
		"":                             "",
		"plain":                        "plain",
		"took 12ms at line 3:17":       "took Nms at line N:N",
		`a "quoted value" and 'two'`:   "a '…' and '…'",
		"cut off 'in the mid":          "cut off '…'",
		"it doesn't work, isn't it":    "it doesn't work, isn't it",
		"id 00ff00ff00ff00ff-12":       "id N-N",
		"field [context.time] deadbee": "field [context.time] deadbee",
		"größe '5'":                    "größe '…'",
	} {
		if got := NormaliseReason(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

func TestStore_DropAll_CountsFirst(t *testing.T) {
	h := newHome(t, Options{})
	var letters []flush.Letter
	for i := range wal.Offset(2500) {
		letters = append(letters, letter(i+1))
	}
	h.put(letters...)
	f := Filter{Since: start.Add(501 * time.Second)}
	if n, err := h.DropAll(t.Context(), f, true); err != nil || n != 2000 || h.Len() != 2500 {
		t.Fatal(n, err, h.Len())
	}
	if n, err := h.DropAll(t.Context(), f, false); err != nil || n != 2000 || h.Len() != 500 {
		t.Fatal(n, err, h.Len())
	}
	h.reopenWithoutIndex()
	if h.Len() != 500 {
		t.Fatal(h.Len())
	}
}

func TestStore_AfterRun_RefusesChanges(t *testing.T) {
	h := newHome(t, Options{})
	h.put(letter(1))
	s := h.Store
	h.close()
	if err := s.Put(t.Context(), []flush.Letter{letter(2)}); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
	h.open()
}

func TestStore_NewKey_IsNeverTheSame(t *testing.T) {
	h := newHome(t, Options{})
	seen := map[flush.Key]bool{}
	for range 3 {
		for range 10 {
			k, err := h.NewKey()
			if err != nil || seen[k] || k.Epoch == 0 || k.Offset == 0 {
				t.Fatal(k, err)
			}
			seen[k] = true
		}
		h.reopen()
	}
}

// TestStore_Count_OfStages: such a count is not made by going through the letters, and is the same.
func TestStore_Count_OfStages(t *testing.T) {
	h := newHome(t, Options{})
	for i := range wal.Offset(30) {
		h.put(staged(i+1, stageNumbers[1+int(i)%4], "a"))
	}
	if err := h.Settle(t.Context(), []flush.Key{key(1, 0), key(6, 0), key(7, 0)}, "delivered"); err != nil {
		t.Fatal(err)
	}
	for _, f := range []Filter{{}, {Stage: flush.StageIngest}, {Stage: flush.StageIndex, Limit: 3}, {Skip: 20}, {Skip: 20, Limit: 5}, {Skip: 40, Limit: 5}, {Stage: "other"}, {Stage: flush.StageLog, Stream: "other"}} {
		want := 0
		for _, err := range h.List(t.Context(), f) {
			if err != nil {
				t.Fatal(err)
			}
			want++
		}
		if got, err := h.Count(t.Context(), f); err != nil || got != want {
			t.Errorf("%+v: %d, %v; the list has %d", f, got, err, want)
		}
	}
}
