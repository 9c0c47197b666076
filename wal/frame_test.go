package wal

import (
	"bytes"
	"encoding/binary"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write golden files anew")

// goldenFrame is a frame with everything in it that version 1 can hold.
func goldenFrame() []byte {
	gen := generation{epoch: 0x0123456789abcdef, salt: 0xfedcba9876543210}
	at := time.Unix(1700000000, 123456789)
	frame := make([]byte, frameHeaderBytes)
	frame = appendRecord(frame, gen, 41, &Origin{Stream: "default", Remote: netip.MustParseAddr("192.0.2.7"), ReceivedAt: at}, &Event{Flags: FlagTimestamp, Payload: []byte(`{"a":1.0}`)})
	frame = appendRecord(frame, gen, 42, &Origin{Stream: "audit", Remote: netip.MustParseAddr("2001:db8::1"), ReceivedAt: at}, &Event{Flags: FlagRejected, Reason: "malformed_json: no", Payload: []byte("{\x00\xff")})
	frame = appendRecord(frame, gen, 43, &Origin{Stream: "unix", ReceivedAt: at}, &Event{Payload: []byte(`{}`)})
	putFrameHeader(frame, &frameHeader{flags: flagGroupEnd, bodyBytes: uint32(len(frame) - frameHeaderBytes), count: 3, seq: 7, first: 41, watermark: 6, gen: gen})
	return append(binary.AppendUvarint(nil, uint64(len(frame))), frame...)
}

// TestFrame_Golden pins the bytes of format version 1: they must be readable for ever.
func TestFrame_Golden(t *testing.T) {
	path := filepath.Join("testdata", "frame.v1")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, goldenFrame(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(goldenFrame(), want) {
		t.Error("the encoder writes other bytes than format version 1")
	}
	h, n, err := decodeEntry(want, int64(len(want)))
	if err != nil || h.seq != 7 || h.first != 41 || h.count != 3 || h.watermark != 6 || h.gen.salt != 0xfedcba9876543210 || !h.groupEnd() || h.cleanMark() {
		t.Fatalf("header %+v, %v", h, err)
	}
	body := want[n+frameHeaderBytes:]
	if err := checkBody(body, &h, streamNames{}); err != nil {
		t.Fatal(err)
	}
	var recs []Record
	for len(body) > 0 {
		rec, n, err := decodeRecord(body, h.gen, streamNames{})
		if err != nil {
			t.Fatal(err)
		}
		recs = append(recs, rec)
		body = body[n:]
	}
	if r := recs[0]; r.Offset != 41 || r.Stream != "default" || r.Remote.String() != "192.0.2.7" || string(r.Payload) != `{"a":1.0}` || r.Flags != FlagTimestamp || r.ReceivedAt.UnixNano() != 1700000000123456789 {
		t.Errorf("first record %+v", r)
	}
	if r := recs[1]; r.Reason != "malformed_json: no" || r.Remote.String() != "2001:db8::1" || r.Flags != FlagRejected || string(r.Payload) != "{\x00\xff" {
		t.Errorf("second record %+v", r)
	}
	if r := recs[2]; r.Remote.IsValid() || r.Stream != "unix" {
		t.Errorf("third record %+v", r)
	}
}

func FuzzDecodeRecord(f *testing.F) {
	entry := goldenFrame()
	f.Add(entry[2+frameHeaderBytes:], uint64(0xfedcba9876543210))
	f.Fuzz(func(t *testing.T, b []byte, salt uint64) {
		gen := generation{epoch: 1, salt: salt}
		rec, n, err := decodeRecord(b, gen, streamNames{})
		if err != nil {
			return
		}
		origin := Origin{Stream: rec.Stream, Remote: rec.Remote, ReceivedAt: rec.ReceivedAt}
		again := appendRecord(nil, gen, rec.Offset, &origin, &Event{Flags: rec.Flags, Reason: rec.Reason, Payload: rec.Payload})
		if len(again) != n && len(rec.Reason) <= MaxReasonBytes {
			t.Fatalf("%d bytes decoded, %d encoded", n, len(again))
		}
	})
}

// FuzzScanTail feeds any bytes behind a good segment: the good records must survive, nothing may panic.
func FuzzScanTail(f *testing.F) {
	good := goldenFrame()
	f.Add([]byte{}, uint64(0))
	f.Add(make([]byte, 100), uint64(9))
	f.Add(good[:30], uint64(0))
	f.Add(good, uint64(8))
	f.Fuzz(func(t *testing.T, garbage []byte, bound uint64) {
		if bound != 0 && bound < 8 {
			return
		}
		tl, err := scanTail(append(bytes.Clone(good), garbage...), 7, bound)
		if err != nil {
			return // a frame of a newer format
		}
		if tl.seq < 8 || tl.end < int64(len(good)) || tl.next < 44 {
			t.Fatalf("the good frame is lost: %+v", tl)
		}
		if _, err := scanTail(garbage, 7, bound); err != nil {
			return
		}
		findRecord(garbage, 0, generation{}, 0, 1<<62, streamNames{})
	})
}
