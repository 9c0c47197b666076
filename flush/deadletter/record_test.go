package deadletter

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/wal"
)

var update = flag.Bool("update", false, "rewrite golden files")

// samples are changes of every kind, and letters of every stage.
func samples() map[string]change {
	index := letter(7)
	transform := letter(8)
	transform.Stage, transform.Status, transform.Type, transform.Reason = flush.StageTransform, 0, "error", "script.lua:3: boom"
	transform.Document, transform.Index, transform.ID, transform.Of, transform.Pipeline, transform.Routing, transform.Destination = nil, "", "", 0, "", "", ""
	ingest := transform
	ingest.Stage, ingest.Event, ingest.Script = flush.StageIngest, []byte("{\"broken\": \x00\xff"), ""
	damaged := ingest
	damaged.Stage, damaged.Event, damaged.Records, damaged.Kept = flush.StageLog, nil, 12, "00000000000000000007-4096.bad"
	return map[string]change{
		"put-index":     {op: opPut, key: index.Key, letter: index},
		"put-transform": {op: opPut, key: transform.Key, letter: transform},
		"put-ingest":    {op: opPut, key: ingest.Key, letter: ingest},
		"put-log":       {op: opPut, key: damaged.Key, letter: damaged},
		"put-empty":     {op: opPut, key: index.Key, letter: flush.Letter{Key: index.Key, Event: []byte{}}},
		"copied":        {op: opCopied, key: index.Key, letter: index, original: []byte("{}"), seq: 3, editedAt: start},
		"edited":        {op: opEdited, key: index.Key, letter: index, original: []byte("{}"), seq: 3, editedAt: start},
		"attempted": {op: opAttempted, key: index.Key, attempt: Attempt{Key: index.Key, At: start, Attempts: 2, Status: 400,
			Type: "document_parsing_exception", Reason: "still", Destination: "http://es:9200", Script: "sha256:0022"}},
		"settled": {op: opSettled, key: index.Key, ending: ending{At: start, Outcome: "replay: delivered"}},
		"dropped": {op: opDropped, key: index.Key, ending: ending{At: start.Add(time.Hour), Outcome: "dropped by operator"}},
	}
}

// decodeAll puts a record and its parts together again.
func decodeAll(events []wal.Event) (change, error) {
	a, err := newAssembly(events[0].Payload)
	if err != nil {
		return change{}, err
	}
	for _, e := range events[1:] {
		if err := a.add(e.Payload); err != nil {
			return change{}, err
		}
	}
	if !a.complete() {
		return change{}, errRecord
	}
	return a.finish()
}

func TestChange_EveryKind_ComesBack(t *testing.T) {
	for name, c := range samples() {
		for _, partBytes := range []int{1, 7, 100, 1 << 20} {
			events, err := c.payloads(nil, partBytes)
			if err != nil {
				t.Fatal(err)
			}
			size := 0
			for _, e := range events {
				size += len(e.Payload)
			}
			got, err := decodeAll(events)
			if err != nil {
				t.Fatalf("%s in parts of %d: %v", name, partBytes, err)
			}
			if !reflect.DeepEqual(got, c) || int64(size) != c.bytes {
				t.Fatalf("%s in parts of %d:\n%+v\nwant\n%+v", name, partBytes, got, c)
			}
		}
	}
}

func TestChange_Payload_IsGolden(t *testing.T) {
	for name, c := range samples() {
		events, err := c.payloads(nil, defaultPartBytes)
		if err != nil || len(events) != 1 {
			t.Fatal(len(events), err)
		}
		path := filepath.Join("testdata", "record-v1-"+name+".hex")
		if *update {
			if err := os.WriteFile(path, []byte(hexLines(events[0].Payload)), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := hexLines(events[0].Payload); got != string(want) {
			t.Errorf("%s is\n%swant\n%s", name, got, want)
		}
		// An old record stays readable, whatever the encoder does by now.
		old, err := hex.DecodeString(strings.ReplaceAll(string(want), "\n", ""))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := decodeAll([]wal.Event{{Payload: old}}); err != nil || !reflect.DeepEqual(got, c) {
			t.Errorf("%s reads as %+v, %v", name, got, err)
		}
	}
}

func hexLines(b []byte) string {
	var s strings.Builder
	for len(b) > 0 {
		n := min(40, len(b))
		s.WriteString(hex.EncodeToString(b[:n]) + "\n")
		b = b[n:]
	}
	return s.String()
}

func TestDecodeChange_WhatCannotBe_IsRefused(t *testing.T) {
	c := samples()["put-index"]
	events, err := c.payloads(nil, defaultPartBytes)
	if err != nil {
		t.Fatal(err)
	}
	good := events[0].Payload
	for name, damage := range map[string]func([]byte) []byte{
		"nothing":               func([]byte) []byte { return nil },
		"half a head":           func(b []byte) []byte { return b[:20] },
		"a head alone":          func(b []byte) []byte { return b[:headBytes] },
		"cut":                   func(b []byte) []byte { return b[:len(b)-1] },
		"one byte more":         func(b []byte) []byte { return append(b, 0) },
		"version 0":             func(b []byte) []byte { b[0] = 0; return b },
		"unknown op":            func(b []byte) []byte { b[1] = 99; return b },
		"another key":           func(b []byte) []byte { b[12]++; return b },
		"parts that do not fit": func(b []byte) []byte { b[24] = 1; return b },
		"huge length":           func(b []byte) []byte { b[35] = 0xff; return b },
		"body without a flag":   func(b []byte) []byte { b[2] = 0; return b },
		"envelope no JSON":      func(b []byte) []byte { b[headBytes] = 'x'; return b },
	} {
		if _, err := decodeChange(damage(bytes.Clone(good))); !errors.Is(err, errRecord) {
			t.Errorf("%s: %v", name, err)
		}
	}
	newer := bytes.Clone(good)
	newer[0] = recordVersion + 1
	if _, err := decodeChange(newer); !errors.Is(err, wal.ErrNewerFormat) {
		t.Error(err)
	}
}

func TestAssembly_WrongPart_IsRefused(t *testing.T) {
	c := samples()["put-index"]
	events, err := c.payloads(nil, 10)
	if err != nil {
		t.Fatal(err)
	}
	for name, wrong := range map[string][]wal.Event{
		"missing": append(append([]wal.Event{}, events[:2]...), events[3:]...),
		"swapped": append([]wal.Event{events[0], events[2], events[1]}, events[3:]...),
		"short":   events[:len(events)-1],
		"first":   events[1:],
		"another": append(append([]wal.Event{}, events[:2]...), events[0]),
	} {
		if _, err := decodeAll(wrong); !errors.Is(err, errRecord) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzDecodeChange(f *testing.F) {
	for _, c := range samples() {
		for _, partBytes := range []int{100, 1 << 20} {
			events, err := c.payloads(nil, partBytes)
			if err != nil {
				f.Fatal(err)
			}
			var second []byte
			if len(events) > 1 {
				second = events[1].Payload
			}
			f.Add(events[0].Payload, second)
		}
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		if c, err := decodeChange(first); err == nil && c.whole() && c.parts == 0 {
			again, err := c.payloads(nil, 1<<20)
			if err != nil {
				t.Skip() // times that JSON takes and does not give
			}
			got, err := decodeAll(again)
			if err != nil || !bytes.Equal(got.letter.Event, c.letter.Event) || !bytes.Equal(got.letter.Document, c.letter.Document) || !bytes.Equal(got.original, c.original) ||
				got.key != c.key || got.op != c.op || got.seq != c.seq || got.letter.Reason != c.letter.Reason {
				t.Fatalf("%+v became %+v, %v", c, got, err)
			}
		}
		if a, err := newAssembly(first); err == nil && a.add(second) == nil && a.complete() {
			if c, err := a.finish(); err == nil && len(c.letter.Event)+len(c.letter.Document)+len(c.original) != len(a.b) {
				t.Fatalf("%d bytes of bodies", len(a.b))
			}
		}
	})
}

func TestEntry_ComesBack_AndIsRefusedWhenCut(t *testing.T) {
	for name, c := range samples() {
		if !c.whole() {
			continue
		}
		if _, err := c.payloads(nil, 1<<20); err != nil {
			t.Fatal(err)
		}
		e := newEntry(&c, 77, 55)
		e.cause = 99
		b := e.encode()
		got, err := decodeEntry(55, b)
		if err != nil || !reflect.DeepEqual(got, e) {
			t.Fatalf("%s: %+v, %v\nwant %+v", name, got, err, e)
		}
		for n := range b {
			if _, err := decodeEntry(55, b[:n]); !errors.Is(err, errIndex) {
				t.Fatalf("%s cut to %d: %v", name, n, err)
			}
		}
	}
}

func TestCut_KeepsCharactersWhole(t *testing.T) {
	for _, tc := range []struct {
		s    string
		n    int
		want string
	}{{"abc", 5, "abc"}, {"abc", 2, "ab"}, {"aé", 2, "a"}, {"€€", 4, "€"}, {"€", 1, ""}} {
		if got := cut(tc.s, tc.n); got != tc.want {
			t.Errorf("cut(%q, %d) = %q", tc.s, tc.n, got)
		}
	}
}

func FuzzDecodeIndexState(f *testing.F) {
	st := indexState{epoch: 7, applied: 9, bytes: 11}
	f.Add(st.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if st, err := decodeIndexState(b); err == nil && !bytes.Equal(st.encode(), b) {
			t.Fatalf("%x is read as %+v", b, st)
		}
	})
}
