package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/weirlog/weir/wal"
	"github.com/weirlog/weir/wal/waltest"
)

// filledLog is a log of many small segments: streams a and b in turn, each event holding its offset.
func filledLog(t *testing.T, events, bytes int) *wal.Log {
	t.Helper()
	log := waltest.Open(t, wal.Options{SegmentBytes: 16 << 10})
	for i := 1; i <= events; i++ {
		waltest.Append(t, log, string(rune('a'+i%2)), fmt.Sprintf(`{"n":%d,"x":%q}`, i, strings.Repeat("x", bytes)))
	}
	return log
}

// offsets writes the offsets of records as first..last, and fails unless they go up in steps.
func offsets(t *testing.T, events []wal.Record, step wal.Offset) string {
	t.Helper()
	if len(events) == 0 {
		return "none"
	}
	for i := range events {
		if i > 0 && events[i].Offset != events[i-1].Offset+step {
			t.Fatalf("offset %d follows %d", events[i].Offset, events[i-1].Offset)
		}
		if !strings.HasPrefix(string(events[i].Payload), fmt.Sprintf(`{"n":%d,`, events[i].Offset)) {
			t.Fatalf("offset %d holds %.20s", events[i].Offset, events[i].Payload)
		}
	}
	return fmt.Sprintf("%d..%d", events[0].Offset, events[len(events)-1].Offset)
}

func TestNewestEvents(t *testing.T) {
	log := filledLog(t, 200, 1000)
	if n := len(log.Segments()); n < 8 {
		t.Fatalf("%d segments", n)
	}
	for _, tc := range []struct {
		name, streams string
		n             int
		step          wal.Offset
		want          string
	}{
		{"of the last segment", "ab", 3, 1, "198..200"},
		{"of several segments", "ab", 100, 1, "101..200"},
		{"of one stream", "b", 50, 2, "101..199"},
		{"more than there are", "ab", 1000, 1, "1..200"},
		{"of a stream without any", "c", 10, 1, "none"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			events, err := newestEvents(t.Context(), log, tc.n, recentScanBytes, func(s string) bool { return strings.Contains(tc.streams, s) })
			if got := offsets(t, events, tc.step); err != nil || got != tc.want {
				t.Errorf("%s, want %s; %v", got, tc.want, err)
			}
		})
	}
}

// TestNewestEvents_MemoryIsBounded: what is held is the newest, and without a gap.
func TestNewestEvents_MemoryIsBounded(t *testing.T) {
	const size = 256 << 10
	log := waltest.Open(t, wal.Options{SegmentBytes: 1 << 20})
	for i := 1; i <= 60; i++ {
		waltest.Append(t, log, "a", fmt.Sprintf(`{"n":%d,"x":%q}`, i, strings.Repeat("x", size)))
	}
	events, err := newestEvents(t.Context(), log, 1000, recentScanBytes, func(string) bool { return true })
	var held int
	for i := range events {
		held += len(events[i].Payload)
	}
	if got := offsets(t, events, 1); err != nil || !strings.HasSuffix(got, "..60") || held > recentKeptBytes || held < recentKeptBytes-2*size {
		t.Errorf("%s with %d bytes; %v", got, held, err)
	}
}

// TestNewestEvents_ReadingIsBounded: of a segment that is larger than what may be read, the last part is.
func TestNewestEvents_ReadingIsBounded(t *testing.T) {
	log := waltest.Open(t, wal.Options{})
	list := make([]string, 2000)
	for i := range list {
		list[i] = fmt.Sprintf(`{"n":%d,"x":%q}`, i+1, strings.Repeat("x", 1000))
	}
	waltest.Append(t, log, "a", list...)
	if n := len(log.Segments()); n != 1 {
		t.Fatalf("%d segments", n)
	}
	events, err := newestEvents(t.Context(), log, 10_000, 100_000, func(string) bool { return true })
	if got := offsets(t, events, 1); err != nil || !strings.HasSuffix(got, "..2000") || len(events) < 80 || len(events) > 100 {
		t.Errorf("%s; %v", got, err)
	}
}

// TestNewestEvents_WhatIsNoEvent is passed over: rejected lines, and one too large to hold.
func TestNewestEvents_WhatIsNoEvent(t *testing.T) {
	log := waltest.Open(t, wal.Options{})
	if _, err := log.Append(t.Context(), wal.Origin{Stream: "a"}, []wal.Event{
		{Payload: []byte(`{"n":1,}`)}, {Payload: []byte(`{bad`), Flags: wal.FlagRejected, Reason: "malformed_json: no"},
		{Payload: []byte(strings.Repeat("x", recentKeptBytes+1))}, {Payload: []byte(`{"n":4,}`)},
	}); err != nil {
		t.Fatal(err)
	}
	events, err := newestEvents(t.Context(), log, 10, recentScanBytes, func(string) bool { return true })
	if got := offsets(t, events, 3); err != nil || got != "1..4" || len(events) != 2 {
		t.Errorf("%s; %v", got, err)
	}
}

func TestNewestEvents_Cancelled(t *testing.T) {
	log := filledLog(t, 10, 10)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := newestEvents(ctx, log, 10, recentScanBytes, func(string) bool { return true }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestRecentEvents_OneAtATime: who waits for another run does so no longer than its context lasts.
func TestRecentEvents_OneAtATime(t *testing.T) {
	log := filledLog(t, 10, 10)
	r := newRecentEvents(func() (logView, error) { return log, nil })
	ctx, cancel := context.WithCancel(t.Context())
	nothing := func(*wal.Record) error { return nil }
	err := r.visit(t.Context(), 1, []string{"a"}, func(*wal.Record) error {
		cancel()
		return r.visit(ctx, 1, []string{"a"}, nothing)
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("while another one runs: %v", err)
	}
	if err := r.visit(t.Context(), 1, []string{"a"}, nothing); err != nil {
		t.Errorf("after it: %v", err)
	}
}

func TestRecentEvents_NoLog(t *testing.T) {
	var r recentEvents
	if err := r.visit(t.Context(), 10, []string{"a"}, func(*wal.Record) error { return nil }); !errors.Is(err, errNoLog) {
		t.Error(err)
	}
}
