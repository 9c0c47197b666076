package wal

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// damageAfter closes the log, changes the bytes of its only segment, and opens it again. The durable mark is gone, as
// after a power cut: what the frames say has to do.
func damageAfter(t *testing.T, l *life, change func(b []byte) []byte) *life {
	t.Helper()
	name := l.Segments()[0].Name
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	rewriteSegment(t, l.dir, name, change)
	if err := os.Remove(filepath.Join(l.dir, markName)); err != nil {
		t.Fatal(err)
	}
	return startLog(t, l.dir, Options{})
}

// TestOpen_DamageThatATornGroupProvesDurable flips one bit in an acknowledged group; what follows it is cut
// off inside the next group, whose header is intact and says that the damaged one was durable. Its
// neighbours must be delivered, and no offset given out again.
func TestOpen_DamageThatATornGroupProvesDurable(t *testing.T) {
	for name, last := range map[string][]string{
		"a group of one frame":      {strings.Repeat("x", 9000)},
		"a group of several frames": {strings.Repeat("x", 700<<10), strings.Repeat("y", 700<<10), strings.Repeat("z", 700<<10)},
	} {
		l := startLog(t, filepath.Join(t.TempDir(), "wal"), Options{})
		l.mustAppend("one")
		l.mustAppend("two", "three", "four")
		end := l.Segments()[0].Bytes
		l.mustAppend(last...)
		l = damageAfter(t, l, func(b []byte) []byte {
			b[bytes.Index(b, []byte("three"))] ^= 1
			return b[:int(end)+len(last[0])*len(last)*2/3]
		})
		if first := l.mustAppend("new"); first <= 4 {
			t.Errorf("%s: offset %d was acknowledged before and is given out again", name, first)
		}
		got := map[Offset]string{}
		for _, r := range read(t, l, 1) {
			if r.Flags&FlagDamaged == 0 {
				got[r.Offset] = string(r.Payload)
			}
		}
		if got[1] != "one" || got[2] != "two" || got[4] != "four" {
			t.Errorf("%s: read %v", name, got)
		}
	}
}

// TestOpen_FrameInsideARejectedLine leaves a torn group whose payload holds a valid frame of a client's
// making: it may choose neither offsets nor epoch.
func TestOpen_FrameInsideARejectedLine(t *testing.T) {
	l := startLog(t, filepath.Join(t.TempDir(), "wal"), Options{})
	l.mustAppend("one")
	epoch, end := l.Epoch(), l.Segments()[0].Bytes
	forged := make([]byte, 1+frameHeaderBytes)
	forged[0] = frameHeaderBytes
	putFrameHeader(forged[1:], &frameHeader{flags: flagGroupEnd, seq: 1 << 60, first: 1 << 62, watermark: 1 << 61, gen: generation{epoch: epoch, salt: 1}})
	l.mustAppend("garbage "+string(forged), strings.Repeat("y", 5000))
	l = damageAfter(t, l, func(b []byte) []byte { return b[:end+1000] })
	if first := l.mustAppend("new"); first != 2 || l.Epoch() != epoch {
		t.Errorf("offset %d epoch %s, want 2 and %s", first, l.Epoch(), epoch)
	}
}

// TestReader_RecordInsideARejectedLine damages the header of a record whose payload holds a record of a
// client's making, with everything that a client can know.
func TestReader_RecordInsideARejectedLine(t *testing.T) {
	l := startLog(t, filepath.Join(t.TempDir(), "wal"), Options{})
	l.mustAppend("one")
	forged := appendRecord(nil, generation{epoch: l.Epoch()}, 5, &testOrigin, &Event{Payload: []byte(`{"forged":true}`)})
	l.mustAppend("garbage "+string(forged), "three", "four", "five", "six")
	l = damageAfter(t, l, func(b []byte) []byte {
		b[bytes.Index(b, []byte("garbage"))] ^= 1
		return b
	})
	recs := read(t, l, 1)
	if len(recs) != 6 || recs[1].Flags&FlagDamaged == 0 || string(recs[2].Payload) != "three" || string(recs[4].Payload) != "five" {
		t.Errorf("read %+v", recs)
	}
}

// TestOpen_FirstHeaderOfTheOldestSegmentIsDamaged: what it holds must still be found without a checkpoint.
func TestOpen_FirstHeaderOfTheOldestSegmentIsDamaged(t *testing.T) {
	b := makeBroken(t, 20, true)
	rewriteSegment(t, b.dir, b.segs[0].Name, func(data []byte) []byte {
		data[20] ^= 1
		return data
	})
	s, err := OpenSnapshot(b.dir)
	if err != nil {
		t.Fatal(err)
	}
	rep, err := s.Verify(context.Background(), nil)
	if err != nil || len(rep.Damage) == 0 || rep.Records != uint64(len(b.want)) {
		t.Errorf("verify: %d records, damage %v, %v; want %d and the damaged header", rep.Records, rep.Damage, err, len(b.want))
	}
	l := startLog(t, b.dir, Options{})
	wantPayloads(t, read(t, l, 0), b.want)
}

// TestOpen_NoFrameHeaderIsReadable: what proves the records of such a segment is the salt of its life, which another segment of
// that life may still name. Where one does, all of them are read, at this start and at later ones.
func TestOpen_NoFrameHeaderIsReadable(t *testing.T) {
	for _, tc := range []struct {
		name  string
		bad   []int // segments, of three, whose headers are all damaged
		later bool  // a second life wrote behind them
		torn  bool  // the third holds a part of a group, and is set aside
	}{
		{"its life goes on behind it", []int{1}, true, false},
		{"it is the last one of its life", []int{2}, true, false},
		{"it and the one before are the last ones of their life", []int{1, 2}, true, false},
		{"the segment behind it is set aside", []int{1}, false, true},
		{"the segment behind it is set aside, and no other names the salt", []int{0, 1}, false, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "wal")
			l := startLog(t, dir, Options{SegmentBytes: 4096})
			want := payloads(3, 5000)
			for _, p := range want {
				l.mustAppend(p)
			}
			if err := l.stop(); err != nil {
				t.Fatal(err)
			}
			segs := l.Segments()
			for _, name := range []string{segs[3].Name, markName} { // a clean mark, and what a power cut takes
				if err := os.Remove(filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
			}
			if tc.later {
				l = startLog(t, dir, Options{})
				l.mustAppend("later")
				want = append(want, "later")
				if err := l.stop(); err != nil {
					t.Fatal(err)
				}
			}
			for _, i := range tc.bad {
				rewriteSegment(t, dir, segs[i].Name, func(b []byte) []byte {
					for f, ok := findFrame(b, 0, generation{}); ok; f, ok = findFrame(b, 0, generation{}) {
						b[f.at+frameCheckedBytes] ^= 1
					}
					return b
				})
			}
			if tc.torn {
				want = want[:2]
				rewriteSegment(t, dir, segs[2].Name, func(b []byte) []byte {
					f, _ := findFrame(b, 0, generation{})
					f.header.flags &^= flagGroupEnd
					putFrameHeader(b[f.at:], &f.header)
					return b
				})
			}
			for start := range 3 {
				l := startLog(t, dir, Options{})
				var got []string
				for _, r := range read(t, l, 0) {
					if r.Flags&FlagDamaged == 0 {
						got = append(got, string(r.Payload))
					}
				}
				if !slices.Equal(got, want) {
					t.Errorf("start %d reads %d of %d records", start+1, len(got), len(want))
				}
				if err := l.stop(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// rewriteSegment changes the bytes of a closed segment.
func rewriteSegment(t *testing.T, dir, name string, change func(b []byte) []byte) {
	t.Helper()
	path := filepath.Join(dir, name)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, change(b), 0o640); err != nil {
		t.Fatal(err)
	}
}

// TestOpen_EndOfAnOlderSegmentIsCut: the last frame of a full segment lost its last bytes, and an empty
// segment follows. Its header is intact, so the loss is known to the record.
func TestOpen_EndOfAnOlderSegmentIsCut(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "wal")
	l := startLog(t, dir, Options{SegmentBytes: 900})
	want := payloads(10, 60)
	for _, p := range want[:5] {
		l.mustAppend(p)
	}
	segs := l.Segments()
	if len(segs) != 2 || segs[1].Bytes != 0 {
		t.Fatalf("segments %+v: the test needs a full one and an empty one", segs)
	}
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(dir, segs[1].Name), 0); err != nil { // no clean mark: a crash
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(dir, segs[0].Name), segs[0].Bytes-10); err != nil {
		t.Fatal(err)
	}
	l = startLog(t, dir, Options{})
	recs := read(t, l, 1)
	if last := recs[len(recs)-1]; len(recs) != 5 || last.Flags&FlagDamaged == 0 || last.Offset != 5 || last.Count != 1 {
		t.Errorf("read %+v", recs)
	}
	if first := l.mustAppend("next"); first != 6 {
		t.Errorf("offset %d, want 6", first)
	}
}

// TestReader_DoesNotStayOnASegmentThatIsMadeAgain: damage before the empty active segment leads a reader up
// to it; its first write fails, and another file takes its name.
func TestReader_DoesNotStayOnASegmentThatIsMadeAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "wal")
	l := startLog(t, dir, Options{})
	l.mustAppend("one")
	l = damageAfter(t, l, func(b []byte) []byte { b[len(b)-1] ^= 1; return b }) // the clean mark
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	var fail atomic.Bool
	l = startLog(t, dir, Options{library: func(dir string, n int64) (library, error) {
		lib, err := openLibrary(dir, n)
		return &failingOnce{library: lib, fail: &fail}, err
	}})
	r := l.NewReader(1)
	defer r.Close()
	next := func() Record {
		t.Helper()
		rec, err := r.Next(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return rec
	}
	for r.Position() <= l.DurableOffset() {
		next()
	}
	fail.Store(true)
	if _, err := l.tryAppend("refused"); !errors.Is(err, ErrCommit) {
		t.Fatalf("error %v, want %v", err, ErrCommit)
	}
	for _, p := range []string{"acknowledged", "this too"} {
		for {
			if _, err := l.tryAppend(p); err == nil {
				break
			} else if !errors.Is(err, ErrFailed) {
				t.Fatal(err)
			}
		}
		if rec := next(); string(rec.Payload) != p {
			t.Errorf("read %+v, want %q", rec, p)
		}
	}
}

type failingOnce struct {
	library
	fail *atomic.Bool
}

func (f *failingOnce) Write(index uint64, data []byte) error {
	if f.fail.CompareAndSwap(true, false) {
		return syscall.ENOSPC
	}
	return f.library.Write(index, data)
}

// TestReader_DamageCannotBeKeptUntilItsSegmentIsReclaimed: delivery must go on once there is space again.
func TestReader_DamageCannotBeKeptUntilItsSegmentIsReclaimed(t *testing.T) {
	l := startLog(t, filepath.Join(t.TempDir(), "wal"), Options{})
	l.mustAppend("one")
	l = damageAfter(t, l, func(b []byte) []byte { return b })
	l.mustAppend("two")
	path := filepath.Join(l.dir, l.Segments()[0].Name)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-1] ^= 1 // the clean mark: no record is lost
	if err := os.WriteFile(path, b, 0o640); err != nil {
		t.Fatal(err)
	}
	repair := filepath.Join(filepath.Dir(l.dir), "repair")
	if err := os.WriteFile(repair, nil, 0o640); err != nil { // stands for a directory that cannot be written
		t.Fatal(err)
	}
	r := l.NewReader(1)
	defer r.Close()
	if rec, err := r.Next(context.Background()); err != nil || rec.Offset != 1 {
		t.Fatalf("%+v, %v", rec, err)
	}
	if _, err := r.Next(context.Background()); err == nil {
		t.Fatal("the damaged bytes were passed over although they could not be kept")
	}
	if n, err := l.Reclaim(1); n != 1 || err != nil {
		t.Fatalf("reclaim: %d, %v", n, err)
	}
	if err := os.Remove(repair); err != nil {
		t.Fatal(err)
	}
	if rec, err := r.Next(context.Background()); err != nil || string(rec.Payload) != "two" {
		t.Errorf("%+v, %v", rec, err)
	}
}

func TestReader_ReclaimedRecordsAreNotDamage(t *testing.T) {
	l := startLog(t, filepath.Join(t.TempDir(), "wal"), Options{SegmentBytes: 1500})
	for _, p := range payloads(60, 30) {
		l.mustAppend(p)
	}
	r := l.NewReader(0)
	defer r.Close()
	r.onDamage = func(d *CorruptionError) { t.Errorf("false damage: %v", d) }
	if _, err := r.Next(context.Background()); err != nil {
		t.Fatal(err)
	}
	if n, err := l.Reclaim(l.DurableOffset()); n < 3 || err != nil {
		t.Fatalf("reclaim: %d, %v", n, err)
	}
	for r.Position() <= l.DurableOffset() {
		rec, err := r.Next(context.Background())
		if err != nil || rec.Flags&FlagDamaged != 0 {
			t.Fatalf("%+v, %v", rec, err)
		}
	}
}

// TestLog_RenewFails: the library's log is to be replaced by a fresh one and cannot be opened for a while.
func TestLog_RenewFails(t *testing.T) {
	var opened atomic.Int32
	dir := filepath.Join(t.TempDir(), "wal")
	l := startLog(t, dir, Options{SegmentBytes: 1, renewAfter: 3, library: func(dir string, n int64) (library, error) {
		if k := opened.Add(1); k > 1 && k < 5 {
			return nil, syscall.EMFILE
		}
		return openLibrary(dir, n)
	}})
	acked := 0
	for opened.Load() < 5 || acked < 10 {
		_, err := l.tryAppend("x")
		if err == nil {
			acked++
		} else if !errors.Is(err, ErrFailed) {
			t.Fatal(err)
		}
	}
	if recs := read(t, l, 0); len(recs) != acked {
		t.Errorf("%d records, %d acknowledged", len(recs), acked)
	}
}

func TestLockDir_IsNotRefusedBecauseSomebodyLooks(t *testing.T) {
	dir := t.TempDir()
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				if _, _, err := LockHolder(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
					continue // half-written text of a lock that comes and goes
				}
			}
		}
	}()
	for range 100 {
		l, err := LockDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Unlock(); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	<-done
}

// TestReader_SameDamage_BySeveralAtOnce: each reader keeps the bytes, and none gets in another's way.
func TestReader_SameDamage_BySeveralAtOnce(t *testing.T) {
	l := startLog(t, filepath.Join(t.TempDir(), "wal"), Options{})
	want := payloads(40, 100)
	for _, p := range want {
		l.mustAppend(p)
	}
	l = damageAfter(t, l, func(b []byte) []byte {
		for i := range want {
			if i%2 == 1 {
				b[bytes.Index(b, []byte(want[i]))] ^= 1
			}
		}
		return b
	})
	var readers sync.WaitGroup
	for range 8 {
		readers.Go(func() {
			r := l.NewReader(1)
			defer r.Close()
			for r.Position() <= l.DurableOffset() {
				if _, err := r.Next(context.Background()); err != nil {
					t.Errorf("offset %d: %v", r.Position(), err)
					return
				}
			}
		})
	}
	readers.Wait()
}

// TestKeepBytes_SameName: logs share a repair directory, and the same segment, position and length may be damaged in two.
func TestKeepBytes_SameName(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "repair")
	for i, row := range []struct{ bytes, kept string }{{"one", "name"}, {"one", "name"}, {"two", "name.1"}, {"three", "name.2"}, {"two", "name.1"}} {
		kept, err := keepBytes(dir, "name", []byte(row.bytes))
		if err != nil || kept != row.kept {
			t.Fatalf("%d: kept as %q, want %q, %v", i, kept, row.kept, err)
		}
		if b, err := os.ReadFile(filepath.Join(dir, kept)); err != nil || string(b) != row.bytes {
			t.Errorf("%d: %q, %v", i, b, err)
		}
	}
}
