package wal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// brokenLog is a directory of closed segments to damage, with what every record of it held.
type brokenLog struct {
	dir  string
	want []string
	segs []SegmentInfo
}

// makeBroken writes a log of several segments and groups, each group of three records. Without clean,
// the log ends as a power cut would leave it: without its clean mark, and without its durable mark.
func makeBroken(t *testing.T, groups int, clean bool) brokenLog {
	t.Helper()
	b := brokenLog{dir: filepath.Join(t.TempDir(), "wal"), want: payloads(3*groups, 30)}
	l := startLog(t, b.dir, Options{SegmentBytes: 1500})
	for i := 0; i < len(b.want); i += 3 {
		l.mustAppend(b.want[i : i+3]...)
	}
	b.segs = l.Segments()
	active := b.segs[len(b.segs)-1]
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	if !clean {
		if err := errors.Join(os.Truncate(filepath.Join(b.dir, active.Name), active.Bytes), os.Remove(filepath.Join(b.dir, markName))); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// judge opens a damaged copy as a start would, and checks that no record has wrong content, that every
// offset is accounted for, and that the log goes on behind. It returns how many records were lost.
func judge(t *testing.T, what, dir string, want []string) (lost int) {
	t.Helper()
	l, err := Open(dir, Options{SegmentBytes: 1500})
	if err != nil {
		t.Fatalf("%s: open: %v", what, err)
	}
	lf := runLog(t, l)
	next := Offset(1)
	for _, r := range read(t, lf, 1) {
		if r.Offset != next {
			t.Fatalf("%s: offset %d follows %d", what, r.Offset, next-1)
		}
		next = r.Last() + 1
		if r.Flags&FlagDamaged != 0 {
			for o := r.Offset; o <= min(r.Last(), Offset(len(want))); o++ {
				lost++
			}
			continue
		}
		if int(r.Offset) > len(want) || string(r.Payload) != want[r.Offset-1] {
			t.Fatalf("%s: offset %d holds %q", what, r.Offset, r.Payload)
		}
	}
	if int(next) <= len(want) {
		lost += len(want) + 1 - int(next) // cut as a torn tail
	}
	first := lf.mustAppend("behind")
	if first < next {
		t.Fatalf("%s: offset %d is given out again, %d was read", what, first, next-1)
	}
	if recs := read(t, lf, first); len(recs) != 1 || string(recs[0].Payload) != "behind" {
		t.Fatalf("%s: the log does not go on: %+v", what, recs)
	}
	if err := lf.stop(); err != nil {
		t.Fatalf("%s: close: %v", what, err)
	}
	return lost
}

func TestRepair_EveryTruncationOfTheLastSegment(t *testing.T) {
	b := makeBroken(t, 12, false)
	last := b.segs[len(b.segs)-1]
	for size := int64(0); size <= last.Bytes; size++ {
		dir := filepath.Join(t.TempDir(), "wal")
		copyDir(t, b.dir, dir)
		if err := os.Truncate(filepath.Join(dir, last.Name), size); err != nil {
			t.Fatal(err)
		}
		lost := judge(t, fmt.Sprintf("last segment cut to %d bytes", size), dir, b.want)
		if most := len(b.want) + 1 - int(last.First); lost > most || lost%3 != 0 {
			t.Fatalf("cut to %d bytes: %d records lost; groups are of 3, and the segment held %d", size, lost, most)
		}
		if size == last.Bytes && lost != 0 {
			t.Fatalf("%d records lost without damage", lost)
		}
	}
}

func TestRepair_TailsThatAPowerCutLeaves(t *testing.T) {
	b := makeBroken(t, 12, false)
	last := b.segs[len(b.segs)-1]
	path := func(dir string) string { return filepath.Join(dir, last.Name) }
	for name, tail := range map[string][]byte{
		"zeros":                          make([]byte, 4096),
		"one zero byte":                  {0},
		"garbage":                        bytes.Repeat([]byte{0xa5, 0x17}, 700),
		"a frame's magic and no more":    append(binary.AppendUvarint(nil, 100), frameMagic[:]...),
		"JSON text":                      []byte(`{"looks":"like an event"}` + "\n"),
		"a huge length":                  binary.AppendUvarint(nil, 1<<40),
		"a frame of a group never ended": frameOf(t, b.dir, last, 0),
	} {
		dir := filepath.Join(t.TempDir(), "wal")
		copyDir(t, b.dir, dir)
		f, err := os.OpenFile(path(dir), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(tail); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if lost := judge(t, name, dir, b.want); lost != 0 {
			t.Errorf("%s: %d acknowledged records lost", name, lost)
		}
		kept, err := filepath.Glob(filepath.Join(filepath.Dir(dir), "repair", "*.torn"))
		if err != nil || len(kept) != 1 {
			t.Fatalf("%s: kept files %v, %v", name, kept, err)
		}
		if got, err := os.ReadFile(kept[0]); err != nil || !bytes.Equal(got, tail) {
			t.Errorf("%s: %d bytes kept, want %d: %v", name, len(got), len(tail), err)
		}
	}
}

// frameOf makes a valid frame that continues the last segment, with the given flags.
func frameOf(t *testing.T, dir string, last SegmentInfo, flags uint8) []byte {
	t.Helper()
	s, err := OpenSnapshot(dir)
	if err != nil {
		t.Fatal(err)
	}
	frame := make([]byte, frameHeaderBytes)
	frame = appendRecord(frame, s.lay.gen, s.lay.next, &testOrigin, &Event{Payload: []byte("never whole")})
	putFrameHeader(frame, &frameHeader{flags: flags, bodyBytes: uint32(len(frame) - frameHeaderBytes), count: 1, seq: s.lay.seq,
		first: s.lay.next, watermark: s.lay.seq - 1, gen: s.lay.gen})
	return append(binary.AppendUvarint(nil, uint64(len(frame))), frame...)
}

// TestRepair_EveryBitFlip flips bits of a log of several segments, every 13th unless WEIR_TORTURE is set,
// then every one. No record may come back with wrong content; a flip costs at most the record that it
// hits, but for the last group of a log that was not closed in order, which looks like a torn one.
func TestRepair_EveryBitFlip(t *testing.T) {
	step := 13
	if os.Getenv("WEIR_TORTURE") != "" {
		step = 1
	}
	for _, clean := range []bool{true, false} {
		b := makeBroken(t, 8, clean)
		for i, seg := range b.segs {
			path := filepath.Join(b.dir, seg.Name)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for bit := 0; bit < len(data)*8; bit += step {
				flipped := bytes.Clone(data)
				flipped[bit/8] ^= 1 << (bit % 8)
				if err := os.WriteFile(path, flipped, 0o640); err != nil {
					t.Fatal(err)
				}
				most := 1
				if !clean && i == len(b.segs)-1 {
					most = 3
				}
				if lost := judgeSnapshot(t, fmt.Sprintf("segment %d bit %d", i, bit), b); lost > most {
					t.Fatalf("clean %v: segment %d bit %d: %d records lost, at most %d can be", clean, i, bit, lost, most)
				}
			}
			if err := os.WriteFile(path, data, 0o640); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// judgeSnapshot reads a damaged log without changing it and returns how many records are lost.
func judgeSnapshot(t *testing.T, what string, b brokenLog) (lost int) {
	t.Helper()
	s, err := OpenSnapshot(b.dir)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	next := Offset(1)
	for _, r := range read(t, s, 1) {
		if r.Offset != next {
			t.Fatalf("%s: offset %d follows %d", what, r.Offset, next-1)
		}
		next = r.Last() + 1
		if r.Flags&FlagDamaged != 0 {
			lost += int(r.Count)
		} else if string(r.Payload) != b.want[r.Offset-1] {
			t.Fatalf("%s: offset %d holds %q", what, r.Offset, r.Payload)
		}
	}
	return lost + max(0, len(b.want)+1-int(next))
}

// TestRepair_WholeFiles damages a segment in the middle as a whole.
func TestRepair_WholeFiles(t *testing.T) {
	type damage func(path string, data []byte) error
	for name, do := range map[string]damage{
		"missing":              func(path string, _ []byte) error { return os.Remove(path) },
		"empty":                func(path string, _ []byte) error { return os.Truncate(path, 0) },
		"all zeros":            func(path string, d []byte) error { return os.WriteFile(path, make([]byte, len(d)), 0o640) },
		"cut inside a record":  func(path string, d []byte) error { return os.Truncate(path, int64(len(d)-20)) },
		"cut to half":          func(path string, d []byte) error { return os.Truncate(path, int64(len(d)/2)) },
		"zeros at its end":     func(path string, d []byte) error { return os.WriteFile(path, append(bytes.Clone(d), 0, 0, 0), 0o640) },
		"its first page zeros": func(path string, d []byte) error { clear(d[:512]); return os.WriteFile(path, d, 0o640) },
	} {
		b := makeBroken(t, 24, true)
		for i := range b.segs {
			dir := filepath.Join(t.TempDir(), "wal")
			copyDir(t, b.dir, dir)
			path := filepath.Join(dir, b.segs[i].Name)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := do(path, data); err != nil {
				t.Fatal(err)
			}
			held := len(b.want) + 1 - int(b.segs[i].First)
			if i+1 < len(b.segs) {
				held = int(b.segs[i+1].First - b.segs[i].First)
			}
			lost := judge(t, fmt.Sprintf("%s: segment %d", name, i), dir, b.want)
			if name == "zeros at its end" {
				held = 0
			}
			if lost > held {
				t.Errorf("%s: segment %d: %d records lost, it held %d", name, i, lost, held)
			}
		}
	}
}

func TestRepair_NewerFormatIsRefusedByName(t *testing.T) {
	b := makeBroken(t, 4, true)
	path := filepath.Join(b.dir, b.segs[0].Name)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, n := binary.Uvarint(data)
	data[n+4] = frameVersion + 1
	binary.LittleEndian.PutUint32(data[n+frameCheckedBytes:], crc32.Checksum(data[n:n+frameCheckedBytes], castagnoli))
	if err := os.WriteFile(path, data, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(b.dir, Options{}); !errors.Is(err, ErrNewerFormat) || !strings.Contains(err.Error(), b.segs[0].Name) {
		t.Errorf("error %v, want %v with the segment's name", err, ErrNewerFormat)
	}
}

func TestReader_KeepsDamagedBytesOnce(t *testing.T) {
	b := makeBroken(t, 12, true)
	path := filepath.Join(b.dir, b.segs[0].Name)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(data, []byte(b.want[1]))
	data[at+3] ^= 0x10
	if err := os.WriteFile(path, data, 0o640); err != nil {
		t.Fatal(err)
	}
	l := startLog(t, b.dir, Options{})
	for range 2 {
		recs := read(t, l, 1)
		if recs[1].Flags&FlagDamaged == 0 || recs[1].Offset != 2 || recs[1].Count != 1 || recs[1].Damage.Kept == "" {
			t.Fatalf("second record: %+v", recs[1])
		}
		kept, err := os.ReadFile(filepath.Join(filepath.Dir(b.dir), "repair", recs[1].Damage.Kept))
		if err != nil || !bytes.Contains(kept, data[at:at+20]) {
			t.Errorf("kept bytes do not hold the damaged record: %v", err)
		}
	}
	files, err := os.ReadDir(filepath.Join(filepath.Dir(b.dir), "repair"))
	if err != nil || len(files) != 1 {
		t.Errorf("%d files kept, %v; want one", len(files), err)
	}
}
