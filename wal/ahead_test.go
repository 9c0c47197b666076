package wal

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// zeroed are options of a log that writes zeros ahead on any file system, and tells out of what it sets aside.
func zeroed(out *[]Aside) Options {
	return Options{zeros: func(string) bool { return true }, OnAside: func(a Aside) { *out = append(*out, a) }}
}

// appendZeroed makes a log with zeros behind its frames, appends n events one by one, and returns it and the events.
func appendZeroed(t *testing.T, dir string, n int, asides *[]Aside) (*life, []string) {
	t.Helper()
	l := startLog(t, dir, zeroed(asides))
	want := payloads(n, 100)
	for _, p := range want {
		l.mustAppend(p)
	}
	return l, want
}

// lastSegment returns path and bytes of the newest segment in dir that is not empty.
func lastSegment(t *testing.T, dir string) (string, []byte) {
	t.Helper()
	segs, err := listSegments(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	for i := len(segs) - 1; i >= 0; i-- {
		if segs[i].size > 0 {
			path := filepath.Join(dir, segs[i].name())
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			return path, b
		}
	}
	t.Fatal("no segment")
	return "", nil
}

func TestAhead_AKillLeavesZerosAndNothingElse(t *testing.T) {
	var asides []Aside
	dir, killed := filepath.Join(t.TempDir(), "wal"), filepath.Join(t.TempDir(), "killed", "wal")
	l, want := appendZeroed(t, dir, 3*aheadAfter, &asides)
	copyDir(t, dir, killed)
	if _, b := lastSegment(t, killed); padding(b) < aheadLeast/2 {
		t.Fatalf("%d zeros at the end of the segment", padding(b))
	}
	frames := l.Bytes()
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	const mark = 1 + frameHeaderBytes
	if _, b := lastSegment(t, dir); int64(len(b)) != frames+mark {
		t.Errorf("%d bytes after an orderly stop, want %d and the clean mark", len(b), frames)
	}
	for life := range 3 { // the second start finds the zeros in an older segment
		l := startLog(t, killed, zeroed(&asides))
		wantPayloads(t, read(t, l, 0), want)
		extra := fmt.Sprintf(`{"life":%d}`, life)
		l.mustAppend(extra)
		want = append(want, extra)
		if err := l.stop(); err != nil {
			t.Fatal(err)
		}
	}
	if len(asides) > 0 {
		t.Errorf("set aside: %+v", asides)
	}
}

func TestAhead_ATornTailIsKeptWithoutTheZerosBehindIt(t *testing.T) {
	var asides []Aside
	dir, killed := filepath.Join(t.TempDir(), "wal"), filepath.Join(t.TempDir(), "killed", "wal")
	l, want := appendZeroed(t, dir, 3*aheadAfter, &asides)
	copyDir(t, dir, killed)
	end := int(l.Bytes())
	path, b := lastSegment(t, killed)
	half := bytes.Clone(b[end/2 : end/2+50])
	half[49] = 'x'
	copy(b[end:], half)
	if err := os.WriteFile(path, b, 0o640); err != nil {
		t.Fatal(err)
	}
	again := startLog(t, killed, zeroed(&asides))
	wantPayloads(t, read(t, again, 0), want)
	if len(asides) != 1 || asides[0].Kind != AsideTorn || asides[0].Length != int64(len(half)) || asides[0].Position != int64(end) {
		t.Fatalf("set aside: %+v, want %d torn bytes at %d", asides, len(half), end)
	}
	kept, err := os.ReadFile(filepath.Join(filepath.Dir(killed), "repair", asides[0].Kept))
	if err != nil || !bytes.Equal(kept, half) {
		t.Errorf("kept %q (%v), want %q", kept, err, half)
	}
}

// TestAhead_ZerosInPlaceOfRecordsAreDamage: what was acknowledged and is zeros now is lost, and said to be.
func TestAhead_ZerosInPlaceOfRecordsAreDamage(t *testing.T) {
	var asides []Aside
	dir, killed := filepath.Join(t.TempDir(), "wal"), filepath.Join(t.TempDir(), "killed", "wal")
	l, want := appendZeroed(t, dir, 3*aheadAfter, &asides)
	copyDir(t, dir, killed)
	path, b := lastSegment(t, killed)
	clear(b[l.Bytes()-300:])
	if err := os.WriteFile(path, b, 0o640); err != nil {
		t.Fatal(err)
	}
	again := startLog(t, killed, zeroed(&asides))
	if !again.LostEnd() || len(asides) == 0 || asides[0].Kind != AsideLostEnd || asides[0].Last != Offset(len(want)) {
		t.Errorf("lost end %t, set aside: %+v", again.LostEnd(), asides)
	}
}

// TestAhead_ZerosWithoutTheirFrame: a kill between the first zeros and the frame before them loses nothing.
func TestAhead_ZerosWithoutTheirFrame(t *testing.T) {
	var asides []Aside
	dir, killed := filepath.Join(t.TempDir(), "wal"), filepath.Join(t.TempDir(), "killed", "wal")
	_, want := appendZeroed(t, dir, aheadAfter, &asides)
	copyDir(t, dir, killed)
	path, b := lastSegment(t, killed)
	if padding(b) > 0 {
		t.Fatalf("%d zeros after %d commits", padding(b), aheadAfter)
	}
	if err := os.Truncate(path, int64(len(b))+aheadLeast); err != nil {
		t.Fatal(err)
	}
	again := startLog(t, killed, zeroed(&asides))
	wantPayloads(t, read(t, again, 0), want)
	if len(asides) != 1 || asides[0].Kind != AsideTorn {
		t.Errorf("set aside: %+v", asides)
	}
}

func TestAhead_FullSegmentsHaveNone(t *testing.T) {
	var asides []Aside
	dir := filepath.Join(t.TempDir(), "wal")
	opts := zeroed(&asides)
	opts.SegmentBytes = 40 << 10
	l := startLog(t, dir, opts)
	want := payloads(1000, 100)
	for _, p := range want {
		l.mustAppend(p)
	}
	infos := l.Segments()
	if len(infos) < 3 {
		t.Fatalf("%d segments", len(infos))
	}
	for _, s := range infos[:len(infos)-1] {
		info, err := os.Stat(filepath.Join(dir, s.Name))
		if err != nil || info.Size() != s.Bytes || s.Bytes < opts.SegmentBytes {
			t.Errorf("segment %s: %d bytes on disk (%v), want %d", s.Name, info.Size(), err, s.Bytes)
		}
	}
	wantPayloads(t, read(t, l, 0), want)
}

func TestAhead_Prepare(t *testing.T) {
	const seq, most = 7, 1 << 20
	begin := func(t *testing.T) (*ahead, func() int64) {
		a := &ahead{dir: t.TempDir(), on: true, most: most, seq: seq, commits: aheadAfter}
		t.Cleanup(a.leave)
		if err := createSegment(a.dir, seq); err != nil {
			t.Fatal(err)
		}
		return a, func() int64 {
			info, err := os.Stat(filepath.Join(a.dir, segmentName(seq)))
			if err != nil {
				t.Fatal(err)
			}
			return info.Size()
		}
	}
	for name, tt := range map[string]struct {
		at, size, want int64
		change         func(a *ahead)
	}{
		"small groups":                {at: 1000, size: 400, want: 1400 + aheadLeast},
		"larger groups":               {at: 1000, size: 10_000, want: 11_000 + aheadGroups*10_000},
		"the largest":                 {at: 0, size: aheadLimit - 1, want: most},
		"a group that gains nothing":  {at: 0, size: aheadLimit + 1, want: 0},
		"near the end of the segment": {at: most - 1000, size: 400, want: most},
		"across its end":              {at: most - 100, size: 400, want: 0},
		"few commits yet":             {at: 1000, size: 400, want: 0, change: func(a *ahead) { a.commits = aheadAfter - 1 }},
		"another file system":         {at: 1000, size: 400, want: 0, change: func(a *ahead) { a.on = false }},
		"zeros are there":             {at: 1000, size: 400, want: 0, change: func(a *ahead) { a.upTo = 1400 }},
	} {
		t.Run(name, func(t *testing.T) {
			a, size := begin(t)
			if tt.change != nil {
				tt.change(a)
			}
			if err := a.prepare(seq, tt.at, tt.size); err != nil {
				t.Error(err)
			}
			if got := size(); got != tt.want {
				t.Errorf("the file has %d bytes, want %d", got, tt.want)
			}
			if follows := a.follow(tt.at + tt.size); follows != (tt.want > 0) {
				t.Errorf("zeros follow: %t", follows)
			}
		})
	}
	t.Run("the segment cannot be opened", func(t *testing.T) {
		a, _ := begin(t)
		if err := os.Remove(filepath.Join(a.dir, segmentName(seq))); err != nil {
			t.Fatal(err)
		}
		if err := a.prepare(seq, 0, 400); err != nil || a.follow(400) {
			t.Errorf("error %v, zeros follow: %t", err, a.follow(400))
		}
	})
	t.Run("writing them fails", func(t *testing.T) {
		a, _ := begin(t)
		var err error
		if a.f, err = os.Open(filepath.Join(a.dir, segmentName(seq))); err != nil { // for reading only
			t.Fatal(err)
		}
		if err := a.prepare(seq, 0, 400); err == nil || a.follow(400) {
			t.Errorf("error %v, zeros follow: %t", err, a.follow(400))
		}
	})
	t.Run("they cannot be cut off", func(t *testing.T) {
		a, _ := begin(t)
		if err := a.prepare(seq, 0, 400); err != nil {
			t.Fatal(err)
		}
		a.f.Close() //nolint:errcheck // so that truncating fails
		if a.cut(400); !a.follow(400) {
			t.Error("zeros are there, and nobody knows of them")
		}
	})
}
