package wal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// FuzzDecodeEntry decodes anything: what is accepted is, byte for byte, what the encoder makes of it, so that no bit of it can
// have been altered. xor alters one byte of the golden frame, of which nothing may be accepted then.
func FuzzDecodeEntry(f *testing.F) {
	golden, err := os.ReadFile(filepath.Join("testdata", "frame.v1"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(golden, uint16(0), byte(1))
	f.Add(golden[2:], uint16(70), byte(0x80))
	f.Fuzz(func(t *testing.T, b []byte, at uint16, xor byte) {
		if h, n, err := decodeEntry(b, 1<<40); err == nil {
			var again [frameHeaderBytes]byte
			putFrameHeader(again[:], &h)
			got := bytes.Clone(b[n : n+frameHeaderBytes])
			got[6], got[7] = 0, 0 // reserved: later versions may use them
			binary.LittleEndian.PutUint32(got[frameCheckedBytes:], 0)
			binary.LittleEndian.PutUint32(again[frameCheckedBytes:], 0)
			if got[4] == frameVersion && !bytes.Equal(got, again[:]) {
				t.Fatalf("%x decodes to what encodes to %x", got, again)
			}
		}
		altered := bytes.Clone(golden)
		i := int(at) % len(altered)
		altered[i] ^= xor
		h, n, err := decodeEntry(altered, int64(len(altered)))
		if err == nil {
			err = checkBody(altered[n+frameHeaderBytes:], &h, streamNames{})
		}
		if (err == nil) != (xor == 0) {
			t.Fatalf("byte %d altered by %x: %v", i, xor, err)
		}
	})
}

// fuzzSegments are the files of a log of four appends: a sealed segment, and a last one with a group of two frames and a clean mark.
func fuzzSegments() (segments map[string][]byte, payloads []string) {
	gen := generation{epoch: 0x0123456789abcdef, salt: 0xfedcba9876543210}
	segments = map[string][]byte{}
	frame := func(name string, seq uint64, flags uint8, records int) {
		b := make([]byte, frameHeaderBytes)
		first := Offset(len(payloads) + 1)
		for range records {
			payloads = append(payloads, fmt.Sprintf(`{"n":%d}`, len(payloads)+1))
			b = appendRecord(b, gen, Offset(len(payloads)), &testOrigin, &Event{Payload: []byte(payloads[len(payloads)-1])})
		}
		putFrameHeader(b, &frameHeader{flags: flags, bodyBytes: uint32(len(b) - frameHeaderBytes), count: uint32(records), seq: seq, first: first, watermark: seq - 1, gen: gen})
		segments[name] = append(binary.AppendUvarint(segments[name], uint64(len(b))), b...)
	}
	sealed, last := segmentName(1), segmentName(3)
	frame(sealed, 1, flagGroupEnd, 2)
	frame(sealed, 2, flagGroupEnd, 1)
	frame(last, 3, flagGroupEnd, 1)
	frame(last, 4, 0, 2)
	frame(last, 5, flagGroupEnd, 1)
	frame(last, 6, flagGroupEnd|flagCleanMark, 0)
	return segments, payloads
}

// FuzzOpen alters, cuts and lengthens the last segment of a log, and the one before it, and opens what is left. Whatever that is:
// records come back as they were or are said to be damaged, none is made up, and the log goes on behind them. What was only cut
// is no damage, unless it was durable.
func FuzzOpen(f *testing.F) {
	segments, payloads := fuzzSegments()
	sealed, last := segments[segmentName(1)], segments[segmentName(3)]
	f.Add([]byte{}, uint16(0), byte(0), uint16(0), false)
	f.Add([]byte{}, uint16(200), byte(1), uint16(61), true)
	f.Add(make([]byte, 80), uint16(0), byte(0), uint16(100), false)
	f.Add(last, uint16(5), byte(0xff), uint16(300), true)
	f.Add(sealed[:70], uint16(0), byte(0), uint16(200), false)
	// No frame header of the first segment is left, and the segment that still says under which salt it was written is set aside.
	f.Add([]byte("0"), uint16(61), byte('='), uint16(377), true)
	f.Fuzz(func(t *testing.T, tail []byte, at uint16, xor byte, cut uint16, both bool) {
		alter := func(b []byte) []byte {
			b = bytes.Clone(b)
			b[int(at)%len(b)] ^= xor
			return append(b[:len(b)-int(cut)%(len(b)+1)], tail...)
		}
		dir := filepath.Join(fuzzDir(t), "wal")
		if err := os.MkdirAll(dir, 0o750); err != nil {
			t.Fatal(err)
		}
		files := map[string][]byte{segmentName(1): sealed, segmentName(3): alter(last)}
		if both {
			files[segmentName(1)] = alter(sealed)
		}
		for name, b := range files {
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o640); err != nil {
				t.Fatal(err)
			}
		}
		l, err := Open(dir, Options{})
		if errors.Is(err, ErrNewerFormat) {
			return // whoever makes a frame of a newer version, checksum and all, is believed
		}
		if err != nil {
			t.Fatal(err)
		}
		lf := runLog(t, l)
		before := read(t, lf, 0)
		for i := range before {
			r := &before[i]
			if r.Flags&FlagDamaged == 0 && (int(r.Offset) > len(payloads) || payloads[r.Offset-1] != string(r.Payload)) {
				t.Fatalf("offset %d is %q", r.Offset, r.Payload)
			}
			if r.Flags&FlagDamaged != 0 && xor == 0 && len(tail) == 0 && !both {
				t.Fatalf("what was cut is said to be damaged: %v", r.Damage)
			}
		}
		durable := lf.DurableOffset()
		if first := lf.mustAppend("more"); first != durable+1 {
			t.Fatalf("offset %d behind offset %d", first, durable)
		}
		if err := lf.stop(); err != nil {
			t.Fatal(err)
		}
		after := read(t, startLog(t, dir, Options{}), 0)
		if len(after) != len(before)+1 || string(after[len(before)].Payload) != "more" || !slices.EqualFunc(before, after[:len(before)], sameRecord) {
			t.Fatalf("read as %+v before a restart, and as %+v after it", before, after)
		}
	})
}

// fuzzDir is a directory in memory where there is one: on a disk, fsync takes most of the time.
func fuzzDir(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "weir-fuzz-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func sameRecord(a, b Record) bool {
	return a.Offset == b.Offset && a.Count == b.Count && bytes.Equal(a.Payload, b.Payload)
}
