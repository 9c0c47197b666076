package wal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// failingDisk fails the k-th operation below the log, once.
type failingDisk struct {
	mu   sync.Mutex
	left int
	err  error
	hit  bool
}

func (d *failingDisk) op() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.left--; d.left == 0 {
		d.hit = true
		return d.err
	}
	return nil
}

func (d *failingDisk) options(o Options) Options {
	o.library = func(dir string, segmentBytes int64) (library, error) {
		if err := d.op(); err != nil {
			return nil, err
		}
		lib, err := openLibrary(dir, segmentBytes)
		return &failingLibrary{library: lib, disk: d}, err
	}
	o.syncDir = func(dir string) error {
		if err := d.op(); err != nil {
			return err
		}
		return syncDir(dir)
	}
	o.askFileSystem = func(string) error { return d.op() }
	return o
}

// failingLibrary fails before or after the real operation has been done, as a disk does.
type failingLibrary struct {
	library
	disk *failingDisk
}

func (l *failingLibrary) Write(index uint64, data []byte) error {
	if err := l.disk.op(); err != nil {
		return err // nothing written
	}
	if err := l.library.Write(index, data); err != nil {
		return err
	}
	return l.disk.op() // written, reported as failed
}

func (l *failingLibrary) Sync() error {
	if err := l.disk.op(); err != nil {
		return err
	}
	return l.library.Sync()
}

var errDisk = errors.New("disk says no")

// TestLog_AnyOperationFails fails each operation in turn until none is left to fail. Whatever fails: an
// acknowledged event is read back once, in the running log and after a restart, and a refused one at
// most once; the log takes events again by itself.
func TestLog_AnyOperationFails(t *testing.T) {
	for k := 1; ; k++ {
		disk := &failingDisk{err: fmt.Errorf("operation %d: %w", k, errDisk)}
		dir := filepath.Join(t.TempDir(), "wal")
		l, err := Open(dir, disk.options(Options{SegmentBytes: 700}))
		if err != nil {
			t.Fatal(err)
		}
		disk.left = k // opening is tried by TestOpen_AnyOperationFails
		lf := runLog(t, l)
		acked := map[string]bool{}
		for i := 0; i < 30; i++ {
			p := fmt.Sprintf("event %d of run %d, with some more bytes so that segments fill up", i, k)
			for {
				_, err := lf.tryAppend(p)
				if err == nil {
					acked[p] = true
					break
				}
				if !errors.Is(err, ErrCommit) && !errors.Is(err, ErrFailed) {
					t.Fatalf("k=%d: append: %v", k, err)
				}
				if errors.Is(err, ErrCommit) {
					break // open whether it is in the log
				}
			}
		}
		if len(acked) < 29 {
			t.Fatalf("k=%d: %d of 30 acknowledged", k, len(acked))
		}
		checkAcked(t, k, read(t, lf, 0), acked)
		if err := lf.stop(); err != nil && !errors.Is(err, errDisk) {
			t.Fatal(err)
		}
		again := startLog(t, dir, Options{SegmentBytes: 700})
		checkAcked(t, k, read(t, again, 0), acked)
		if first := again.mustAppend("after"); first != again.DurableOffset() {
			t.Fatalf("k=%d: offset %d", k, first)
		}
		if err := again.stop(); err != nil {
			t.Fatal(err)
		}
		if !disk.hit {
			if k < 50 {
				t.Fatalf("only %d operations were there to fail", k)
			}
			return
		}
	}
}

func checkAcked(t *testing.T, k int, recs []Record, acked map[string]bool) {
	t.Helper()
	seen := map[string]int{}
	for i, r := range recs {
		if r.Flags&FlagDamaged != 0 {
			t.Fatalf("k=%d: damage: %v", k, r.Damage)
		}
		if r.Offset != Offset(i+1) {
			t.Fatalf("k=%d: offset %d at place %d", k, r.Offset, i)
		}
		seen[string(r.Payload)]++
	}
	for p := range acked {
		if seen[p] != 1 {
			t.Fatalf("k=%d: acknowledged event is there %d times: %s", k, seen[p], p)
		}
	}
}

func TestOpen_AnyOperationFails(t *testing.T) {
	base := filepath.Join(t.TempDir(), "wal")
	l := startLog(t, base, Options{SegmentBytes: 700})
	want := payloads(20, 50)
	for _, p := range want {
		l.mustAppend(p)
	}
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	for k := 1; ; k++ {
		disk := &failingDisk{err: errDisk, left: k}
		l, err := Open(base, disk.options(Options{SegmentBytes: 700}))
		if err == nil {
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		} else if !errors.Is(err, errDisk) {
			t.Fatalf("k=%d: %v", k, err)
		}
		s, err := OpenSnapshot(base)
		if err != nil {
			t.Fatal(err)
		}
		wantPayloads(t, read(t, s, 0), want)
		if !disk.hit {
			return
		}
	}
}

func TestLog_SyncFails_RefusesTheWholeGroupAndNeverWritesThatSegmentAgain(t *testing.T) {
	disk := &failingDisk{err: errDisk}
	dir := filepath.Join(t.TempDir(), "wal")
	l, err := Open(dir, disk.options(Options{}))
	if err != nil {
		t.Fatal(err)
	}
	lf := runLog(t, l)
	lf.mustAppend("a")
	before := lf.Segments()
	disk.mu.Lock()
	disk.left = 3 // write, written, sync
	disk.mu.Unlock()
	if _, err := lf.tryAppend("b"); !errors.Is(err, ErrCommit) || !errors.Is(err, errDisk) {
		t.Fatalf("error %v, want %v", err, ErrCommit)
	}
	for {
		if _, err := lf.tryAppend("c"); err == nil {
			break
		} else if !errors.Is(err, ErrFailed) {
			t.Fatal(err)
		}
	}
	after := lf.Segments()
	if len(after) != len(before)+1 || after[len(before)-1].Bytes != before[len(before)-1].Bytes {
		t.Errorf("segments before %+v, after %+v: want one more, and the failed one as it was", before, after)
	}
	wantPayloads(t, read(t, lf, 0), []string{"a", "c"})
	if got := lf.Status().Failures; got != 1 {
		t.Errorf("%d failures counted, want 1", got)
	}
}

// TestLog_FileSystemFailsUnderAnFsyncThatSaysYes is what ext4 and XFS do when their journal fails under somebody else's
// fsync: ours says yes, and nothing is durable.
func TestLog_FileSystemFailsUnderAnFsyncThatSaysYes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "wal")
	failed := false
	var asked string
	lf := startLog(t, dir, Options{askFileSystem: func(dir string) error {
		asked = dir
		if failed {
			return errDisk
		}
		return nil
	}})
	lf.mustAppend("a")
	failed = true
	if _, err := lf.tryAppend("b"); !errors.Is(err, ErrCommit) || !errors.Is(err, errDisk) {
		t.Fatalf("error %v, want %v", err, ErrCommit)
	}
	if _, err := os.Stat(asked); err != nil {
		t.Errorf("asked about what is not there: %v", err)
	}
	wantPayloads(t, read(t, lf, 0), []string{"a"})
}

// TestAskFileSystem_SaysNothingOfOtherFaults: a name that is gone is no failed file system.
func TestAskFileSystem_SaysNothingOfOtherFaults(t *testing.T) {
	path := filepath.Join(t.TempDir(), "segment")
	if err := askFileSystem(path); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(path, []byte("a"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := askFileSystem(path); err != nil {
		t.Error(err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "a" {
		t.Errorf("%q, %v: asking changed the file", b, err)
	}
}
