package wal

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// goldenMark is what version 1 of the durable mark is on a disk. It stays readable for ever.
const goldenMark = "testdata/mark.v1"

func TestMark_Golden(t *testing.T) {
	golden, err := os.ReadFile(goldenMark)
	if err != nil {
		t.Fatal(err)
	}
	var b [markBytes]byte
	if putMark(&b, 0x0123456789abcdef); !bytes.Equal(b[:], golden) {
		t.Errorf("a mark is %x, want %x", b, golden)
	}
	if durable, err := decodeMark(golden); err != nil || durable != 0x0123456789abcdef {
		t.Errorf("offset %x, %v", uint64(durable), err)
	}
}

// markIn returns the offset that the durable mark in dir names.
func markIn(t *testing.T, dir string) Offset {
	t.Helper()
	durable, damaged, err := readMark(dir)
	if err != nil || damaged != nil {
		t.Fatal(err, damaged)
	}
	return durable
}

// syncWatcher looks at the durable mark when the log's fsync begins, and lets fsyncs fail.
type syncWatcher struct {
	library
	during func() error
}

func (l *syncWatcher) Sync() error {
	if err := l.during(); err != nil {
		return err
	}
	return l.library.Sync()
}

func TestMark_FollowsTheFsyncAndPrecedesTheAnswer(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "wal")
	var before []Offset
	fails := false
	opts := Options{library: func(dir string, segmentBytes int64) (library, error) {
		lib, err := openLibrary(dir, segmentBytes)
		return &syncWatcher{lib, func() error {
			before = append(before, markIn(t, dir))
			if fails {
				fails = false
				return errDisk
			}
			return nil
		}}, err
	}}
	l := startLog(t, dir, opts)
	before = nil // a new epoch was synced as well
	for i := range Offset(3) {
		l.mustAppend("x")
		if len(before) != int(i)+1 || before[i] != i || markIn(t, dir) != i+1 {
			t.Fatalf("while append %d was synced the mark was at %d, after its answer at %d", i+1, before, markIn(t, dir))
		}
	}
	fails = true
	if _, err := l.tryAppend("y"); !errors.Is(err, ErrCommit) {
		t.Fatal(err)
	}
	if got := markIn(t, dir); got != 3 {
		t.Errorf("after an fsync that failed the mark is at %d", got)
	}
}

func TestMark_Damaged(t *testing.T) {
	for name, damage := range map[string]func(b []byte) []byte{
		"a bit":   func(b []byte) []byte { b[9] ^= 4; return b },
		"no mark": func([]byte) []byte { return []byte("something else altogether") },
		"cut":     func(b []byte) []byte { return b[:12] },
		// What a power cut may leave is no damage.
		"empty":     func([]byte) []byte { return nil },
		"all zeros": func(b []byte) []byte { return make([]byte, len(b)) },
		"too old":   func(b []byte) []byte { putMark((*[markBytes]byte)(b), 1); return b },
	} {
		t.Run(name, func(t *testing.T) {
			var said bytes.Buffer
			dir := filepath.Join(t.TempDir(), "wal")
			l := startLog(t, dir, Options{})
			l.mustAppend("one")
			l.mustAppend("two")
			if err := l.stop(); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, markName)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, damage(b), 0o640); err != nil {
				t.Fatal(err)
			}
			l = startLog(t, dir, Options{Logger: textLogger(&said)})
			wantPayloads(t, read(t, l, 1), []string{"one", "two"})
			if noticed := strings.Contains(said.String(), "durable mark is damaged"); noticed != slices.Contains([]string{"a bit", "no mark", "cut"}, name) {
				t.Errorf("it said %q", said.String())
			}
			if got := markIn(t, dir); got != 2 {
				t.Errorf("the mark is at %d after the start", got)
			}
		})
	}
}

func TestMark_NewerFormatIsRefusedByName(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "wal")
	l := startLog(t, dir, Options{})
	l.mustAppend("one")
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	var b [markBytes]byte
	putMark(&b, 1)
	b[4] = markVersion + 1
	sealMark(&b)
	if err := os.WriteFile(filepath.Join(dir, markName), b[:], 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrNewerFormat) || !strings.Contains(err.Error(), markName) {
		t.Errorf("error %v", err)
	}
}

func TestMark_CannotBeWritten_TheLogGoesOn(t *testing.T) {
	var said bytes.Buffer
	dir := filepath.Join(t.TempDir(), "wal")
	if err := os.MkdirAll(filepath.Join(dir, markName), 0o750); err != nil { // a directory in its place
		t.Fatal(err)
	}
	l := startLog(t, dir, Options{Logger: textLogger(&said)})
	l.mustAppend("one")
	l.mustAppend("two")
	wantPayloads(t, read(t, l, 1), []string{"one", "two"})
	if n := strings.Count(said.String(), "cannot be written"); n != 1 {
		t.Errorf("said %d times: %s", n, said.String())
	}
}

func FuzzDecodeMark(f *testing.F) {
	golden, err := os.ReadFile(goldenMark)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(golden)
	f.Add(golden[:7])
	f.Fuzz(func(t *testing.T, b []byte) {
		durable, err := decodeMark(b)
		if err != nil {
			return
		}
		var again [markBytes]byte
		if putMark(&again, durable); !bytes.Equal(again[:4], b[:4]) || !bytes.Equal(again[8:16], b[8:16]) {
			t.Errorf("%x is taken for a mark at %d", b, durable)
		}
	})
}
