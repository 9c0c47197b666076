package flush

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weirlog/weir/wal"
	"github.com/weirlog/weir/wal/waltest"
)

func TestFlusher_DeliversEverythingOnceAndAdvancesTheCheckpoint(t *testing.T) {
	r := newRig(t)
	for range 20 {
		r.append("default", 17)
	}
	f := r.run()
	if len(r.sink.stored) != 340 {
		t.Errorf("%d documents stored, want 340", len(r.sink.stored))
	}
	for o := 1; o <= 340; o++ {
		if got, want := r.sink.stored[r.id(o)], fmt.Sprintf(`{"n":%d}`, (o-1)%17); got != want {
			t.Fatalf("offset %d is stored as %s, want %s", o, got, want)
		}
	}
	if got := r.check.offsets["default"]; got != 340 {
		t.Errorf("checkpoint %d, want 340", got)
	}
	if st := f.Status(); st.Lag != 0 || st.BatchesInFlight != 0 || st.BytesInFlight != 0 || st.Settled != 340 {
		t.Errorf("status %+v", st)
	}
}

func TestFlusher_RetriesOnlyWhatMayBeStoredLaterWithTheSameBytes(t *testing.T) {
	r := newRig(t)
	r.append("default", 10)
	busy := map[string]int{}
	r.sink.answer = func(_ int, docs []Document) ([]Outcome, error) {
		return outcomesOf(docs, func(d *Document) Outcome {
			if d.Key.Offset%3 == 0 && busy[d.ID] < 5 {
				busy[d.ID]++
				return Outcome{Verdict: Retry, Status: 429, Type: "es_rejected_execution_exception"}
			}
			return Outcome{Verdict: Delivered, Status: 201}
		}), nil
	}
	r.run()
	for o := 1; o <= 10; o++ {
		want := 1
		if o%3 == 0 {
			want = 6
		}
		sent := r.sink.sent[r.id(o)]
		if len(sent) != want {
			t.Errorf("offset %d was sent %d times, want %d", o, len(sent), want)
		}
		for _, body := range sent {
			if body != sent[0] {
				t.Errorf("offset %d was sent with other bytes: %s and %s", o, body, sent[0])
			}
		}
	}
	if got := r.check.offsets["default"]; got != 10 {
		t.Errorf("checkpoint %d, want 10", got)
	}
}

func TestFlusher_PermanentFailureIsALetterAndItsNeighboursAreDelivered(t *testing.T) {
	r := newRig(t)
	r.append("default", 10)
	r.sink.answer = func(_ int, docs []Document) ([]Outcome, error) {
		return outcomesOf(docs, func(d *Document) Outcome {
			if d.Key.Offset == 4 {
				return Outcome{Verdict: Permanent, Status: 400, Type: "document_parsing_exception", Reason: "no"}
			}
			return Outcome{Verdict: Delivered, Status: 201}
		}), nil
	}
	r.run()
	if len(r.sink.stored) != 9 || len(r.letters.letters) != 1 {
		t.Fatalf("%d stored, %d letters; want 9 and 1", len(r.sink.stored), len(r.letters.letters))
	}
	l := r.letters.letters[Key{Epoch: r.log.Epoch(), Offset: 4}]
	if l.Stage != StageIndex || l.Status != 400 || l.Type != "document_parsing_exception" || l.Reason != "no" || l.Index != "logs-test" ||
		l.ID != r.id(4) || l.Destination != "scripted" || l.Of != 1 || string(l.Event) != `{"n":3}` || string(l.Document) != `{"n":3}` || l.Records != 1 || l.Remote.String() != "192.0.2.7" {
		t.Errorf("letter %+v", l)
	}
	if got := r.check.offsets["default"]; got != 10 {
		t.Errorf("checkpoint %d, want 10", got)
	}
}

func TestFlusher_WhateverFailsWithARequest_EverythingArrivesOnce(t *testing.T) {
	for name, failure := range map[string]struct {
		err    error
		stored bool // although the answer says otherwise
	}{
		"refused":                  {err: &RequestError{Cause: "refused", Err: errors.New("connection refused")}},
		"answer lost":              {err: &RequestError{Cause: "reset", Err: errors.New("connection reset")}, stored: true},
		"untrusted answer":         {err: &RequestError{Cause: "untrusted", Err: errors.New("<html>")}, stored: true},
		"an operator has to act":   {err: &RequestError{Cause: "status_401", Status: 401, Verdict: Park, Err: errors.New("who are you")}},
		"an error of another kind": {err: errors.New("something")},
	} {
		r := newRig(t)
		r.append("default", 30)
		r.sink.answer = func(call int, docs []Document) ([]Outcome, error) {
			all := outcomesOf(docs, func(*Document) Outcome { return Outcome{Verdict: Delivered} })
			if call > 7 {
				return all, nil
			}
			if failure.stored {
				return all, failure.err
			}
			return nil, failure.err
		}
		f := r.run()
		if len(r.sink.stored) != 30 || len(r.letters.letters) != 0 || r.check.offsets["default"] != 30 {
			t.Errorf("%s: %d stored, %d letters, checkpoint %d", name, len(r.sink.stored), len(r.letters.letters), r.check.offsets["default"])
		}
		if st := f.Status(); len(st.Failing) != 0 || st.LastError == nil || !strings.Contains(st.LastError.Error, failure.err.Error()) {
			t.Errorf("%s: status %+v", name, st)
		}
	}
}

func TestFlusher_RequestTooLarge_IsHalvedDownToOneDocument(t *testing.T) {
	r := newRig(t)
	r.append("default", 10)
	r.sink.answer = func(_ int, docs []Document) ([]Outcome, error) {
		for i := range docs {
			if docs[i].Key.Offset == 6 {
				return nil, &RequestError{Cause: "status_413", Status: 413, Verdict: Split, Err: errors.New("too large")}
			}
		}
		return outcomesOf(docs, func(*Document) Outcome { return Outcome{Verdict: Delivered} }), nil
	}
	r.run()
	l, ok := r.letters.letters[Key{Epoch: r.log.Epoch(), Offset: 6}]
	if len(r.sink.stored) != 9 || !ok || l.Status != 413 || l.Stage != StageIndex {
		t.Errorf("%d stored, letter %+v", len(r.sink.stored), l)
	}
}

func TestFlusher_DeadLettersFull_WaitsAndLosesNothing(t *testing.T) {
	r := newRig(t)
	r.append("default", 3)
	r.letters.full = 5
	r.sink.answer = func(_ int, docs []Document) ([]Outcome, error) {
		return outcomesOf(docs, func(*Document) Outcome { return Outcome{Verdict: Permanent, Status: 400} }), nil
	}
	r.run()
	if len(r.letters.letters) != 3 || r.check.offsets["default"] != 3 {
		t.Errorf("%d letters, checkpoint %d", len(r.letters.letters), r.check.offsets["default"])
	}
}

func TestFlusher_Transform(t *testing.T) {
	r := newRig(t)
	r.append("default", 6)
	r.opts.Streams["default"] = Stream{
		Sink:  r.sink,
		Route: Route{Index: "logs-{stream}", AllowedIndices: []string{"logs-*"}},
		Transformer: funcTransformer(func(rec *wal.Record) ([]Document, error) {
			switch rec.Offset {
			case 1:
				return nil, nil
			case 2:
				return []Document{{Source: []byte(`{"a":1}`)}, {Source: []byte(`{"b":2}`), Index: "logs-b"}}, nil
			case 3:
				return nil, &TransformError{Type: "error", Message: "x.lua:3: boom", Script: "v1"}
			case 4: // by a version that is not in force any more
				return []Document{{Source: []byte(`{}`), Index: "secrets", Script: "v0"}}, nil
			}
			return []Document{{Source: rec.Payload}}, nil
		}),
	}
	r.run()
	second := Key{Epoch: r.log.Epoch(), Offset: 2, Ordinal: 1}.ID()
	for id, want := range map[string]string{r.id(2): `{"a":1}`, second: `{"b":2}`, r.id(5): `{"n":4}`, r.id(6): `{"n":5}`} {
		if r.sink.stored[id] != want {
			t.Errorf("%s is stored as %q, want %q", id, r.sink.stored[id], want)
		}
	}
	if len(r.sink.stored) != 4 || len(r.letters.letters) != 2 {
		t.Errorf("%d stored, %d letters", len(r.sink.stored), len(r.letters.letters))
	}
	for offset, want := range map[wal.Offset][2]string{3: {"error", "v1"}, 4: {"index_not_allowed", "v0"}} {
		l := r.letters.letters[Key{Epoch: r.log.Epoch(), Offset: offset}]
		if l.Stage != StageTransform || l.Type != want[0] || l.Script != want[1] || string(l.Event) != fmt.Sprintf(`{"n":%d}`, offset-1) {
			t.Errorf("offset %d: letter %+v", offset, l)
		}
	}
}

// blamed is a transformer that is told what became of its documents.
type blamed struct {
	funcTransformer
	told []string
}

func (b *blamed) Blame(err *TransformError) { b.told = append(b.told, err.Type+" "+err.Script) }

// TestFlusher_BlamesTheScript for an index that it must not choose, and for nothing that the event itself lacks.
func TestFlusher_BlamesTheScript(t *testing.T) {
	r := newRig(t)
	r.append("default", 3)
	tr := &blamed{funcTransformer: func(rec *wal.Record) ([]Document, error) {
		switch rec.Offset {
		case 1:
			return nil, &TransformError{Type: "error", Script: "v1"}
		case 2:
			return []Document{{Source: []byte(`{}`), Index: "secrets", Script: "v0"}}, nil
		}
		return []Document{{Source: rec.Payload, Script: "v1"}}, nil
	}}
	r.opts.Streams["default"] = Stream{Sink: r.sink, Route: Route{Index: "logs"}, Transformer: tr}
	r.run()
	if got := fmt.Sprint(tr.told); got != "[index_not_allowed v0]" || len(r.letters.letters) != 2 {
		t.Errorf("told %s, %d letters", got, len(r.letters.letters))
	}
}

func TestFlusher_RejectedAndUndeclaredRecordsAreLetters(t *testing.T) {
	r := newRig(t)
	origin := wal.Origin{Stream: "default"}
	if _, err := r.log.Append(context.Background(), origin, []wal.Event{
		{Payload: []byte(`{"good":1}`)},
		{Payload: []byte(`{bad`), Flags: wal.FlagRejected, Reason: "malformed_json: expected a key: at byte 1"},
	}); err != nil {
		t.Fatal(err)
	}
	waltest.Append(t, r.log, "gone", `{"x":1}`)
	r.run()
	bad := r.letters.letters[Key{Epoch: r.log.Epoch(), Offset: 2}]
	if bad.Stage != StageIngest || bad.Type != "malformed_json" || bad.Reason != "expected a key: at byte 1" || string(bad.Event) != `{bad` || bad.Status != 400 {
		t.Errorf("letter of the rejected line: %+v", bad)
	}
	gone := r.letters.letters[Key{Epoch: r.log.Epoch(), Offset: 3}]
	if gone.Stage != StageTransform || gone.Type != "unknown_stream" {
		t.Errorf("letter of the undeclared stream: %+v", gone)
	}
	if len(r.sink.stored) != 1 {
		t.Errorf("%d stored, want 1", len(r.sink.stored))
	}
}

func TestFlusher_Redelivery_DoesNotSendWhatIsALetterAlready(t *testing.T) {
	r := newRig(t)
	r.append("default", 5)
	r.letters.letters = map[Key]Letter{{Epoch: r.log.Epoch(), Offset: 3}: {Stage: StageIndex}}
	r.opts.Redelivered = 5
	r.run()
	if _, sent := r.sink.sent[r.id(3)]; sent || len(r.sink.stored) != 4 {
		t.Errorf("%d stored, letter's document sent: %v", len(r.sink.stored), sent)
	}
	if r.check.offsets["default"] != 5 {
		t.Errorf("checkpoint %d, want 5", r.check.offsets["default"])
	}
}

// TestFlusher_Start_FollowsTheCheckpointOfBefore: a process that ended between a checkpoint and what follows it leaves a log that
// may be full of what is settled. Nothing new is taken then, so that no later checkpoint would come.
func TestFlusher_Start_FollowsTheCheckpointOfBefore(t *testing.T) {
	r := newRig(t)
	r.append("default", 5)
	r.opts.Streams["default"] = Stream{Sink: r.sink, Settled: 5}
	settled := make(chan wal.Offset, 2)
	failed := false
	r.opts.Settle = func(upTo wal.Offset) error {
		settled <- upTo
		if !failed {
			failed = true
			return errors.New("once")
		}
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- New(r.opts).Run(ctx) }()
	for range 2 { // it failed, and is tried again
		select {
		case upTo := <-settled:
			if upTo != 5 {
				t.Errorf("settled up to %d, want 5", upTo)
			}
		case <-time.After(10 * time.Second):
			t.Error("nothing follows the checkpoint")
		}
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if len(r.check.offsets) != 0 {
		t.Errorf("the checkpoint was stored again: %v", r.check.offsets)
	}
}

func TestFlusher_SkipsWhatAStreamHasSettled(t *testing.T) {
	r := newRig(t)
	r.append("default", 5)
	r.append("audit", 5)
	r.opts.Streams["audit"] = Stream{Sink: r.sink, Route: Route{Index: "audit"}, Settled: 8}
	r.opts.Streams["default"] = Stream{Sink: r.sink, Route: Route{Index: "logs-test"}, Settled: 2}
	r.run()
	if len(r.sink.stored) != 3+2 {
		t.Errorf("%d stored, want 5", len(r.sink.stored))
	}
}

// TestFlusher_Stop_NeverPassesWhatIsUnsettled stops delivery while one document can never be stored: the
// checkpoint must stand before it, although everything behind it was delivered.
func TestFlusher_Stop_NeverPassesWhatIsUnsettled(t *testing.T) {
	r := newRig(t)
	for range 30 {
		r.append("default", 10)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.sink.answer = func(_ int, docs []Document) ([]Outcome, error) {
		if len(r.sink.stored) >= 299 {
			cancel()
		}
		return outcomesOf(docs, func(d *Document) Outcome {
			if d.Key.Offset == 155 {
				return Outcome{Verdict: Retry, Status: 503}
			}
			return Outcome{Verdict: Delivered}
		}), nil
	}
	if err := New(r.opts).Run(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("run: %v", err)
	}
	if got := r.check.offsets["default"]; got >= 155 || got < 100 {
		t.Errorf("checkpoint %d: it must not pass 154, and should be near", got)
	}
}

func TestFlusher_CheckpointFails_IsToldAndNothingIsReclaimed(t *testing.T) {
	r := newRig(t)
	r.append("default", 5)
	r.check.err = errors.New("disk full")
	r.opts.Settle = func(upTo wal.Offset) error {
		if upTo > 0 { // else it follows the checkpoint of before
			t.Error("reclaim although the checkpoint was not stored")
		}
		return nil
	}
	r.run()
	if len(r.sink.stored) != 5 {
		t.Errorf("%d stored", len(r.sink.stored))
	}
}
