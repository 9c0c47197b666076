package flush

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/weirlog/weir/wal/waltest"
)

// slowSink answers after a while, several at a time.
type slowSink struct {
	calls  atomic.Int64
	answer func(docs []Document) ([]Outcome, error)
}

var _ Sink = (*slowSink)(nil)

func (s *slowSink) Name() string { return "slow" }

func (s *slowSink) Send(ctx context.Context, docs []Document) ([]Outcome, error) {
	s.calls.Add(1)
	if err := sleep(ctx, 100*time.Millisecond); err != nil {
		return nil, err
	}
	return s.answer(docs)
}

func delivered(docs []Document) []Outcome {
	return outcomesOf(docs, func(*Document) Outcome { return Outcome{Verdict: Delivered, Status: 201} })
}

var shardsAway = Outcome{Verdict: Retry, Status: 503, Type: "unavailable_shards_exception", Reason: "primary shard is not active"}

// TestFlusher_ShutGate_BindsThoseWhoQueue: those who wait for their turn when the gate is shut wait with the others.
func TestFlusher_ShutGate_BindsThoseWhoQueue(t *testing.T) {
	s := &slowSink{answer: func([]Document) ([]Outcome, error) {
		return nil, &RequestError{Cause: "status_429", Status: 429, RetryAfter: 90 * time.Second, Err: errors.New("busy")}
	}}
	inBubble(t, func(r *rig) {
		for i := range 10 {
			r.opts.Streams[fmt.Sprint("s", i)] = Stream{Sink: s, Route: Route{Index: "x"}}
		}
	}, func(b *bubble) {
		for range 10 {
			for i := range 10 {
				b.append(fmt.Sprint("s", i), 10)
			}
		}
		time.Sleep(80 * time.Second)
		if n := s.calls.Load(); n != 1 {
			t.Errorf("%d requests in 80 s, the first answer asked for 90", n)
		}
	})
}

// TestFlusher_EveryDocumentRefusedForNow_IsADestinationThatIsDown, be the batches large or of one document.
func TestFlusher_EveryDocumentRefusedForNow_IsADestinationThatIsDown(t *testing.T) {
	for name, trickle := range map[string]bool{"a backlog": false, "a trickle": true} {
		var trouble switchable
		trouble.set(nil, func(*Document) Outcome { return shardsAway })
		inBubble(t, func(r *rig) { r.sink.answer = trouble.answer }, func(b *bubble) {
			if !trickle {
				b.append("default", 500)
			}
			for range 500 {
				if trickle {
					b.append("default", 1)
				}
				time.Sleep(1200 * time.Millisecond)
			}
			st := b.f.Status()
			if n := b.sink.callCount(); n > 60 || st.Destinations[0].State != StateDown || len(st.Failing) == 0 || st.Streams[0].Held > 0 {
				t.Errorf("%s: %d requests in ten minutes, %+v", name, n, st)
			}
			trouble.set(nil, nil)
			if !b.settled(2*time.Minute) || b.sink.storedCount() != 500 {
				t.Errorf("%s: %d stored", name, b.sink.storedCount())
			}
		})
	}
}

// TestFlusher_Refusals_TeachNoPace: that a request was refused quickly says nothing of how long storing takes.
func TestFlusher_Refusals_TeachNoPace(t *testing.T) {
	var refused atomic.Int64
	s := &slowSink{answer: func(docs []Document) ([]Outcome, error) {
		if sourceBytes(docs) > 1200 {
			refused.Add(1)
			return nil, &RequestError{Cause: "status_413", Status: 413, Verdict: Split, Err: errors.New("too large")}
		}
		time.Sleep(time.Second)
		return delivered(docs), nil
	}}
	inBubble(t, func(r *rig) {
		r.opts.Streams["default"] = Stream{Sink: s, Route: Route{Index: "x"}}
		r.opts.BatchEvents, r.opts.BatchBytes = 10000, 2000
	}, func(b *bubble) {
		for range 20 {
			b.append("default", 1000)
		}
		if !b.settled(time.Hour) {
			t.Fatal("not settled")
		}
		if d := b.f.Status().Destinations[0]; d.State != StateOK || d.Limit != b.f.opts.MaxInFlight || refused.Load() == 0 {
			t.Errorf("%+v, %d refused", d, refused.Load())
		}
	})
}

// TestFlusher_Straggler_ThenBlocked: park_timeout begins when the index was found to be blocked.
func TestFlusher_Straggler_ThenBlocked(t *testing.T) {
	var trouble switchable
	trouble.set(nil, ofChosen(shardsAway))
	inBubble(t, func(r *rig) {
		r.sink.answer = trouble.answer
		r.opts.Streams["default"] = Stream{Sink: r.sink, Transformer: chooser(7), Route: Route{Index: "logs-test", AllowedIndices: []string{"logs-*"}}}
	}, func(b *bubble) {
		b.append("default", 10)
		time.Sleep(11 * time.Minute)
		trouble.set(nil, ofChosen(blocked))
		time.Sleep(5 * time.Minute)
		if st := b.f.Status().Streams[0]; st.Held != 1 || b.letters.count() != 0 {
			t.Errorf("after five minutes: %+v, %d letters", st, b.letters.count())
		}
		time.Sleep(6 * time.Minute)
		if b.letters.count() != 1 {
			t.Errorf("%d letters after eleven minutes", b.letters.count())
		}
	})
}

// TestFlusher_MappingRace_BehindAFailedRequest: each document has its second chance, whatever came before.
func TestFlusher_MappingRace_BehindAFailedRequest(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.opts.MaxAttempts = 2
		r.sink.answer = func(call int, docs []Document) ([]Outcome, error) {
			switch call {
			case 1:
				return nil, errRefused
			case 2:
				return outcomesOf(docs, func(*Document) Outcome {
					return Outcome{Verdict: Permanent, Status: 400, Type: "illegal_argument_exception", Reason: "mapper [a] cannot be changed from type [long] to [text]"}
				}), nil
			}
			return delivered(docs), nil
		}
	}, func(b *bubble) {
		b.append("default", 3)
		if !b.settled(time.Minute) || b.letters.count() != 0 || b.sink.storedCount() != 3 {
			t.Errorf("%d letters, %d stored", b.letters.count(), b.sink.storedCount())
		}
	})
}

// TestFlusher_OwnIndexBlocked_AskedOfABusyServer: an answer that says nothing of the index does not open its gate.
func TestFlusher_OwnIndexBlocked_AskedOfABusyServer(t *testing.T) {
	var full atomic.Int64
	inBubble(t, func(r *rig) {
		r.sink.answer = func(_ int, docs []Document) ([]Outcome, error) {
			if len(docs) > 1 {
				full.Add(1)
				return outcomesOf(docs, func(*Document) Outcome { return blocked }), nil
			}
			return outcomesOf(docs, func(*Document) Outcome { return shardsAway }), nil
		}
	}, func(b *bubble) {
		b.append("default", 400)
		time.Sleep(5 * time.Minute)
		if full.Load() > 1 || b.f.Status().Streams[0].State != StateParked {
			t.Errorf("%d full batches were sent to an index that takes nothing, %+v", full.Load(), b.f.Status().Streams[0])
		}
	})
}

// TestFlusher_Hold_CountsWhatItTakes: small documents cost more than their bytes.
func TestFlusher_Hold_CountsWhatItTakes(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.sink.answer = func(_ int, docs []Document) ([]Outcome, error) {
			return outcomesOf(docs, func(*Document) Outcome { return blocked }), nil
		}
		r.opts.Streams["default"] = Stream{Sink: r.sink, Transformer: chooser(1), Route: Route{Index: "logs-test", AllowedIndices: []string{"logs-*"}}}
		r.opts.BatchEvents, r.opts.BatchBytes = 5000, 1<<20
	}, func(b *bubble) {
		for range 10 {
			b.append("default", 1000)
		}
		time.Sleep(20 * time.Second)
		if st := b.f.Status().Streams[0]; st.Held == 0 || int64(st.Held)*int64(unsafe.Sizeof(heldDocument{})) > b.f.holdBytes {
			t.Errorf("%d documents are held, of %d bytes each at the least; %d bytes may be", st.Held, unsafe.Sizeof(heldDocument{}), b.f.holdBytes)
		}
	})
}

// TestFlusher_LargeEvents_StayWithinTheBound: beyond it there is at most one event of each stream.
func TestFlusher_LargeEvents_StayWithinTheBound(t *testing.T) {
	const most, size = 64_000, 15_000
	for _, streams := range []int{1, 3, 10} {
		inBubble(t, func(r *rig) {
			r.opts.MaxInFlightBytes, r.opts.BatchBytes, r.opts.BatchEvents = most, 20_000, 5000
			r.sink.answer = func(int, []Document) ([]Outcome, error) { return nil, errRefused }
			for i := range streams - 1 {
				r.opts.Streams[fmt.Sprint("s", i)] = Stream{Sink: r.sink, Route: Route{Index: "x"}}
			}
		}, func(b *bubble) {
			event := `{"a":"` + strings.Repeat("x", size) + `"}`
			for range 8 {
				for name := range b.opts.Streams {
					waltest.Append(t, b.log, name, event)
				}
			}
			time.Sleep(30 * time.Second)
			if got := b.f.Status().BytesInFlight; got > max(most, int64(streams*len(event))) || got < size {
				t.Errorf("%d streams: %d bytes in flight, the bound is %d", streams, got, most)
			}
		})
	}
}

// TestFlusher_Streams_WhateverHappens: streams part and join in many orders; everything arrives, and at the end they read together
// and hold nothing.
func TestFlusher_Streams_WhateverHappens(t *testing.T) {
	for seed := range uint64(25) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		var sinks []*scriptedSink
		inBubble(t, func(r *rig) {
			r.opts.MaxInFlightBytes, r.opts.RetryMax = 4000, 2*time.Second
			for i := range 5 {
				s := r.stream(fmt.Sprint("s", i), Route{Index: "x"})
				s.answer = troubled(rnd.IntN(3), i*3+int(seed))
				sinks = append(sinks, s)
			}
		}, func(b *bubble) {
			want, undeclared := make([]int, 5), 0
			for range 200 {
				i, n := rnd.IntN(6), 1+rnd.IntN(20)
				if i == 5 {
					b.append("undeclared", 1)
					undeclared++
				} else {
					b.append(fmt.Sprint("s", i), n)
					want[i] += n
				}
				if rnd.IntN(4) == 0 {
					time.Sleep(time.Duration(rnd.IntN(500)) * time.Millisecond)
				}
			}
			if !b.settled(time.Hour) {
				t.Errorf("seed %d: not settled: %+v", seed, b.f.Status())
			}
			for i, s := range sinks {
				if s.storedCount() != want[i] {
					t.Errorf("seed %d: stream %d: %d of %d stored", seed, i, s.storedCount(), want[i])
				}
			}
			if b.letters.count() != undeclared {
				t.Errorf("seed %d: %d letters of %d undeclared events", seed, b.letters.count(), undeclared)
			}
			time.Sleep(5 * time.Second)
			b.f.mu.Lock()
			defer b.f.mu.Unlock()
			lanes := int64(len(b.f.lanes))
			if whole := newBudget(4000-b.f.holdBytes*lanes, int(lanes)); len(b.f.cursors) != 1 || b.f.budget != whole {
				t.Errorf("seed %d: %d cursors, budget %+v of %+v", seed, len(b.f.cursors), b.f.budget, whole)
			}
		})
	}
}

// troubled answers now and then with one kind of trouble.
func troubled(kind, phase int) func(int, []Document) ([]Outcome, error) {
	return func(call int, docs []Document) ([]Outcome, error) {
		k := (call*7 + phase) % 11
		switch {
		case kind == 0 && k < 4:
			return nil, errRefused
		case kind == 1 && k < 3:
			return outcomesOf(docs, func(d *Document) Outcome {
				if d.Key.Offset%3 == 0 {
					return Outcome{Verdict: Retry, Status: 429}
				}
				return Outcome{Verdict: Delivered, Status: 201}
			}), nil
		case kind == 2 && k < 5:
			return outcomesOf(docs, func(*Document) Outcome { return blocked }), nil
		}
		return delivered(docs), nil
	}
}
