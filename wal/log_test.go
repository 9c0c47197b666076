package wal

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestLog_Append_ReadsBackInOrder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "wal")
	l := startLog(t, dir, Options{SegmentBytes: 4096})
	want := payloads(200, 100)
	for i := 0; i < len(want); i += 10 {
		if first := l.mustAppend(want[i : i+10]...); first != Offset(i+1) {
			t.Fatalf("append %d: first offset %d, want %d", i, first, i+1)
		}
	}
	recs := read(t, l, 0)
	wantPayloads(t, recs, want)
	got := recs[17]
	if got.Stream != testOrigin.Stream || got.Remote != testOrigin.Remote || !got.ReceivedAt.Equal(testOrigin.ReceivedAt) || got.Epoch != l.Epoch() || got.Last() != 18 {
		t.Errorf("record 18 came back as %+v", got)
	}
	if n := len(l.Segments()); n < 5 {
		t.Errorf("%d segments, want several", n)
	}
	for _, from := range []Offset{1, 2, 57, 199, 200} {
		if r := read(t, l, from); len(r) != 201-int(from) || r[0].Offset != from {
			t.Errorf("reading from %d: %d records, first %d", from, len(r), r[0].Offset)
		}
	}
}

func TestLog_Append_ConcurrentCallersShareAGroupAndKeepTheirEventsTogether(t *testing.T) {
	l := startLog(t, filepath.Join(t.TempDir(), "wal"), Options{SegmentBytes: 64 << 10})
	const writers, appends, events = 32, 20, 3
	firsts := make([][]Offset, writers)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for a := range appends {
				p := make([]string, events)
				for e := range p {
					p[e] = fmt.Sprintf("%d/%d/%d", w, a, e)
				}
				first, err := l.tryAppend(p...)
				if err != nil {
					t.Errorf("append: %v", err)
					return
				}
				firsts[w] = append(firsts[w], first)
			}
		})
	}
	wg.Wait()
	recs := read(t, l, 0)
	if len(recs) != writers*appends*events {
		t.Fatalf("%d records, want %d", len(recs), writers*appends*events)
	}
	for w := range firsts {
		for a, first := range firsts[w] {
			for e := range events {
				if got, want := string(recs[int(first)-1+e].Payload), fmt.Sprintf("%d/%d/%d", w, a, e); got != want {
					t.Fatalf("offset %d holds %q, want %q", int(first)+e, got, want)
				}
			}
		}
	}
}

func TestLog_Append_EventsLargerThanAFrameAndASegment(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "wal")
	l := startLog(t, dir, Options{SegmentBytes: 1 << 20})
	want := []string{"small", strings.Repeat("x", 3*frameBytes), "next", strings.Repeat("y", frameBytes), "last"}
	l.mustAppend(want...)
	wantPayloads(t, read(t, l, 0), want)
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	wantPayloads(t, read(t, startLog(t, dir, Options{}), 0), want)
}

// TestLog_Append_GroupOverSeveralSegments looks, at each fsync of the directory, at how many segments appeared since the last one:
// a cut must not leave a later part of a group whose middle is gone with its file.
func TestLog_Append_GroupOverSeveralSegments(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "wal")
	var seen []int
	l := startLog(t, dir, Options{SegmentBytes: 500, frameBytes: 400, syncDir: func(d string) error {
		segments, err := filepath.Glob(filepath.Join(dir, "0*"))
		if err != nil {
			t.Error(err)
		}
		seen = append(seen, len(segments))
		return syncDir(d)
	}})
	l.mustAppend(payloads(12, 300)...)
	if n := len(seen); seen[n-1] != len(l.Segments()) || seen[n-1] < 5 {
		t.Fatalf("segments at each fsync of the directory: %v, now %d", seen, len(l.Segments()))
	}
	for i := 1; i < len(seen); i++ {
		if seen[i] > seen[i-1]+1 {
			t.Fatalf("segments at each fsync of the directory: %v", seen)
		}
	}
}

func TestLog_Append_Refuses(t *testing.T) {
	l := startLog(t, filepath.Join(t.TempDir(), "wal"), Options{})
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	for name, tc := range map[string]struct {
		ctx    context.Context
		origin Origin
		events []Event
		want   error
	}{
		"no events":         {context.Background(), testOrigin, nil, ErrEmptyPayload},
		"an empty event":    {context.Background(), testOrigin, []Event{{Payload: []byte("a")}, {}}, ErrEmptyPayload},
		"an ended context":  {cancelled, testOrigin, []Event{{Payload: []byte("a")}}, context.Canceled},
		"a too long stream": {context.Background(), Origin{Stream: strings.Repeat("s", 256)}, []Event{{Payload: []byte("a")}}, nil},
	} {
		_, err := l.Append(tc.ctx, tc.origin, tc.events)
		if err == nil || tc.want != nil && !errors.Is(err, tc.want) {
			t.Errorf("%s: error %v, want %v", name, err, tc.want)
		}
	}
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.tryAppend("late"); !errors.Is(err, ErrClosed) {
		t.Errorf("append after close: %v", err)
	}
	if err := l.Ready(); !errors.Is(err, ErrClosed) {
		t.Errorf("ready after close: %v", err)
	}
}

func TestLog_MaxBytes_RefusesAndTakesAgainAfterReclaim(t *testing.T) {
	l := startLog(t, filepath.Join(t.TempDir(), "wal"), Options{SegmentBytes: 4096, MaxBytes: 20 << 10})
	var last Offset
	var err error
	for err == nil {
		last = l.DurableOffset()
		_, err = l.tryAppend(strings.Repeat("x", 500))
	}
	if !errors.Is(err, ErrFull) || !errors.Is(l.Ready(), nil) && !errors.Is(l.Ready(), ErrFull) {
		t.Fatalf("error %v, want %v", err, ErrFull)
	}
	if l.Bytes() > 20<<10 {
		t.Errorf("%d bytes, more than the limit", l.Bytes())
	}
	n, err := l.Reclaim(last / 2)
	if err != nil || n == 0 {
		t.Fatalf("reclaim: %d segments, %v", n, err)
	}
	l.mustAppend(strings.Repeat("x", 500))
	recs := read(t, l, 0)
	if first := l.FirstOffset(); recs[0].Offset != first || first > last/2+1 {
		t.Errorf("first record %d, first offset %d, reclaimed up to %d", recs[0].Offset, first, last/2)
	}
}

func TestLog_MaxBytes_StaysFullUntilThereIsRoom(t *testing.T) {
	l := startLog(t, filepath.Join(t.TempDir(), "wal"), Options{SegmentBytes: 4096, MaxBytes: 40 << 10})
	for {
		if _, err := l.tryAppend(strings.Repeat("x", 1500)); errors.Is(err, ErrFull) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Ready(); !errors.Is(err, ErrFull) {
		t.Errorf("ready although events are refused: %v", err)
	}
	if _, err := l.tryAppend("tiny"); !errors.Is(err, ErrFull) {
		t.Errorf("a tiny event goes in beside refused ones: %v", err)
	}
	if n, err := l.Reclaim(l.DurableOffset()); n == 0 || err != nil {
		t.Fatalf("reclaim: %d, %v", n, err)
	}
	if err := l.Ready(); err != nil {
		t.Errorf("not ready after reclaim: %v", err)
	}
	l.mustAppend(strings.Repeat("x", 1500))
}

func TestLog_MinFreeBytes_Refuses(t *testing.T) {
	l := startLog(t, filepath.Join(t.TempDir(), "wal"), Options{MinFreeBytes: 1 << 60})
	if _, err := l.tryAppend("x"); !errors.Is(err, ErrFull) {
		t.Errorf("error %v, want %v", err, ErrFull)
	}
	if err := l.Ready(); !errors.Is(err, ErrFull) {
		t.Errorf("ready: %v, want %v", err, ErrFull)
	}
}

// TestSpace_OwnAppendsCountBetweenTwoLooks: a log at full speed must not fill a small disk before it is asked again.
func TestSpace_OwnAppendsCountBetweenTwoLooks(t *testing.T) {
	const least, size = 1000, 300
	left := int64(4000)
	var s space
	taken := 0
	for range 50 {
		if err := s.refusal(func() int64 { return left }, least, size); err != nil {
			if !errors.Is(err, ErrFull) {
				t.Fatal(err)
			}
			continue
		}
		left -= size
		taken++
	}
	if left < least || left >= least+size {
		t.Errorf("%d appends were taken, and %d bytes are free, want at least %d", taken, left, least)
	}
}

func TestLog_Reclaim_KeepsWhatIsNotSettledAndTheActiveSegment(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "wal")
	l := startLog(t, dir, Options{SegmentBytes: 2048})
	for _, p := range payloads(100, 100) {
		l.mustAppend(p)
	}
	for _, upTo := range []Offset{0, 1, 30, 31, 99} {
		if _, err := l.Reclaim(upTo); err != nil {
			t.Fatal(err)
		}
		if first := l.FirstOffset(); first > upTo+1 {
			t.Fatalf("reclaim up to %d removed up to %d", upTo, first-1)
		}
		if recs := read(t, l, 0); recs[len(recs)-1].Offset != 100 {
			t.Fatalf("reclaim up to %d: last record %d", upTo, recs[len(recs)-1].Offset)
		}
	}
	if _, err := l.Reclaim(100); err != nil {
		t.Fatal(err)
	}
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	again := startLog(t, dir, Options{SegmentBytes: 2048})
	if first := again.mustAppend("next"); first != 101 {
		t.Errorf("offsets go on at %d, want 101", first)
	}
}

func TestLog_Reopen_EmptyAfterExactlyFullSegments(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "wal")
	want := payloads(3, 300)
	l := startLog(t, dir, Options{SegmentBytes: 64}) // every frame fills a segment
	for _, p := range want {
		l.mustAppend(p)
	}
	if _, err := l.Reclaim(3); err != nil {
		t.Fatal(err)
	}
	epoch := l.Epoch()
	for range 3 { // lives without an append must not lose the place
		if err := l.stop(); err != nil {
			t.Fatal(err)
		}
		l = startLog(t, dir, Options{SegmentBytes: 64})
	}
	if first := l.mustAppend("next"); first != 4 || l.Epoch() != epoch {
		t.Errorf("offset %d epoch %s, want 4 and %s", first, l.Epoch(), epoch)
	}
}

func TestLog_EndsBeforeItsKnownEnd_StartsAnEpoch(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "wal")
	l := startLog(t, dir, Options{})
	l.mustAppend("a", "b")
	old := l.Epoch()
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	l = startLog(t, dir, Options{KnownEnd: 95})
	if first := l.mustAppend("c"); first != 96 || l.Epoch() == old {
		t.Fatalf("offset %d, epoch changed %v; want 96 under a new epoch", first, l.Epoch() != old)
	}
	if recs := read(t, l, 96); len(recs) != 1 || string(recs[0].Payload) != "c" {
		t.Errorf("reading from 96: %+v", recs)
	}
	if !l.HasEpoch(old) || !l.HasEpoch(l.Epoch()) || l.HasEpoch(12345) || !l.LostEnd() {
		t.Error("HasEpoch does not know the log's epochs")
	}
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	again := startLog(t, dir, Options{KnownEnd: 96})
	if again.Epoch() != l.Epoch() || again.DurableOffset() != 96 || again.LostEnd() {
		t.Errorf("the epoch changed again, or the end did: %d", again.DurableOffset())
	}
}

func TestLog_FreshEpoch_EveryLifeHasItsOwnAndOffsetsGoOn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "wal")
	var epochs []Epoch
	for i := range 4 {
		l := startLog(t, dir, Options{FreshEpoch: true})
		epochs = append(epochs, l.Epoch())
		if i == 2 {
			continue // a life without an append, killed
		}
		l.mustAppend("x")
		if err := l.stop(); err != nil {
			t.Fatal(err)
		}
	}
	l := startLog(t, dir, Options{FreshEpoch: true})
	recs := read(t, l, 0)
	if len(recs) != 3 {
		t.Fatalf("%d records, want 3", len(recs))
	}
	for i, want := range []Epoch{epochs[0], epochs[1], epochs[3]} {
		if recs[i].Offset != Offset(i+1) || recs[i].Epoch != want || !l.HasEpoch(want) {
			t.Errorf("record %d: offset %d epoch %s, want epoch %s", i, recs[i].Offset, recs[i].Epoch, want)
		}
	}
	if l.Epoch() == epochs[3] || len(l.Epochs()) != 5 {
		t.Errorf("epochs %v", l.Epochs())
	}
	if _, err := l.Reclaim(3); err != nil {
		t.Fatal(err)
	}
	if got := l.Epochs(); len(got) != 1 || got[0] != l.Epoch() {
		t.Errorf("after reclaim: epochs %v, want the current one", got)
	}
	if first := l.mustAppend("y"); first != 4 {
		t.Errorf("offset %d, want 4", first)
	}
}

func TestReader_WaitsForTheNextRecordAndEndsWithTheLog(t *testing.T) {
	l := startLog(t, filepath.Join(t.TempDir(), "wal"), Options{})
	r := l.NewReader(0)
	defer r.Close()
	got := make(chan string)
	go func() {
		defer close(got)
		for {
			rec, err := r.Next(context.Background())
			if err != nil {
				if !errors.Is(err, ErrClosed) {
					t.Errorf("next: %v", err)
				}
				return
			}
			got <- string(rec.Payload)
		}
	}()
	for _, p := range []string{"a", "b", "c"} {
		l.mustAppend(p)
		if g := <-got; g != p {
			t.Fatalf("read %q, want %q", g, p)
		}
	}
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	if g, ok := <-got; ok {
		t.Errorf("read %q after the end", g)
	}
}

func TestReader_ContextEnds(t *testing.T) {
	l := startLog(t, filepath.Join(t.TempDir(), "wal"), Options{})
	ctx, cancel := context.WithCancel(context.Background())
	r := l.NewReader(0)
	defer r.Close()
	errs := make(chan error)
	go func() {
		_, err := r.Next(ctx)
		errs <- err
	}()
	cancel()
	if err := <-errs; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	l.mustAppend("a")
	if rec, err := r.Next(context.Background()); err != nil || string(rec.Payload) != "a" {
		t.Errorf("the reader does not go on: %q, %v", rec.Payload, err)
	}
}

func TestReader_FollowsAcrossSegmentsWhileTheyAreWritten(t *testing.T) {
	l := startLog(t, filepath.Join(t.TempDir(), "wal"), Options{SegmentBytes: 8 << 10})
	want := payloads(2000, 60)
	var wg sync.WaitGroup
	wg.Go(func() {
		for chunk := range slices.Chunk(want, 7) {
			l.mustAppend(chunk...)
		}
	})
	r := l.NewReader(0)
	defer r.Close()
	for i := range want {
		rec, err := r.Next(context.Background())
		if err != nil || rec.Offset != Offset(i+1) || string(rec.Payload) != want[i] {
			t.Fatalf("record %d: %d %q %v", i, rec.Offset, rec.Payload, err)
		}
	}
	wg.Wait()
}
