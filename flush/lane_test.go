package flush

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirlog/weir/wal"
)

// bubble runs fn on a simulated clock, with a flusher that runs until fn returns.
type bubble struct {
	*rig
	f      *Flusher
	cancel context.CancelFunc
	done   chan error
}

func inBubble(t *testing.T, prepare func(r *rig), fn func(b *bubble)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.opts.Linger, r.opts.RetryMin, r.opts.RetryMax, r.opts.CheckpointEvery = time.Second, 100*time.Millisecond, 30*time.Second, 200*time.Millisecond
		prepare(r)
		b := &bubble{rig: r, f: New(r.opts), done: make(chan error, 1)}
		var ctx context.Context
		ctx, b.cancel = context.WithCancel(t.Context())
		go func() { b.done <- b.f.Run(ctx) }()
		fn(b)
		b.cancel()
		if err := <-b.done; err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("run: %v", err)
		}
	})
}

// stream adds a stream that goes to a sink of its own.
func (r *rig) stream(name string, route Route) *scriptedSink {
	s := &scriptedSink{name: name}
	r.opts.Streams[name] = Stream{Sink: s, Route: route}
	return s
}

func (s *scriptedSink) storedCount() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.stored)
}

func (s *scriptedSink) callCount() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

// settled waits until everything that is in the log is settled, or for most.
func (b *bubble) settled(most time.Duration) bool {
	for end := time.Now().Add(most); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if b.f.Status().Lag == 0 {
			return true
		}
	}
	return false
}

// appendNow puts n events into the log that are received now, on the simulated clock.
func (r *rig) appendNow(n int) {
	r.t.Helper()
	events := make([]wal.Event, n)
	for i := range events {
		events[i].Payload = fmt.Appendf(nil, `{"n":%d}`, i)
	}
	if _, err := r.log.Append(context.Background(), wal.Origin{Stream: "default", ReceivedAt: time.Now()}, events); err != nil {
		r.t.Fatal(err)
	}
}

// switchable answers everything alike, and can be changed.
type switchable struct {
	mu  sync.Mutex
	err error
	out func(d *Document) Outcome
}

func (s *switchable) set(err error, out func(d *Document) Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err, s.out = err, out
}

func (s *switchable) answer(_ int, docs []Document) ([]Outcome, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, s.err
	}
	return outcomesOf(docs, func(d *Document) Outcome {
		if s.out != nil {
			return s.out(d)
		}
		return Outcome{Verdict: Delivered, Status: 201}
	}), nil
}

var errRefused = &RequestError{Cause: "refused", Err: errors.New("connection refused")}

func TestFlusher_DeadDestinationOfOneStream_DoesNotStopAnother(t *testing.T) {
	var dead *scriptedSink
	var trouble switchable
	inBubble(t, func(r *rig) {
		dead = r.stream("audit", Route{Index: "audit"})
		dead.answer = trouble.answer
		trouble.set(errRefused, nil)
		r.opts.MaxInFlightBytes = 8000
	}, func(b *bubble) {
		for range 100 {
			b.append("audit", 20)
			b.append("default", 20)
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(5 * time.Second)
		if n := b.sink.storedCount(); n != 2000 {
			t.Errorf("%d of 2000 documents of the other stream are stored while one destination is dead", n)
		}
		st := b.f.Status()
		byName := map[string]StreamStatus{}
		for _, s := range st.Streams {
			byName[s.Name] = s
		}
		if a := byName["audit"]; !a.Alone || !a.HoldsLog || a.Settled != 0 || a.Lag == 0 {
			t.Errorf("the stream that is held up: %+v", a)
		}
		if d := byName["default"]; d.HoldsLog || d.Lag != 0 {
			t.Errorf("the other stream: %+v", d)
		}
		for _, d := range st.Destinations {
			if want := map[string]State{"audit": StateDown, "scripted": StateOK}[d.Name]; d.State != want {
				t.Errorf("destination %s is %s, want %s", d.Name, d.State, want)
			}
		}
		if got := b.check.of("default"); got < 3900 {
			t.Errorf("checkpoint of the other stream is %d", got)
		}
		if got := b.check.of("audit"); got != 0 {
			t.Errorf("checkpoint of the dead stream is %d", got)
		}
		trouble.set(nil, nil)
		if !b.settled(5 * time.Minute) {
			t.Fatalf("not settled: %+v", b.f.Status())
		}
		if n := dead.storedCount(); n != 2000 {
			t.Errorf("%d of 2000 documents arrived at last", n)
		}
		b.f.mu.Lock()
		defer b.f.mu.Unlock()
		if len(b.f.cursors) != 1 || b.f.budget.common+b.f.budget.part*2 != 8000-2*b.f.holdBytes {
			t.Errorf("%d cursors, budget %+v", len(b.f.cursors), b.f.budget)
		}
	})
}

// TestFlusher_DeadDestination_IsNotHammered: pauses double up to the longest, and one asks for all who wait.
func TestFlusher_DeadDestination_IsNotHammered(t *testing.T) {
	for name, err := range map[string]error{
		"refused": errRefused,
		"parked":  &RequestError{Cause: "status_401", Status: 401, Verdict: Park, Err: errors.New("who are you")},
	} {
		var trouble switchable
		trouble.set(err, nil)
		inBubble(t, func(r *rig) { r.sink.answer = trouble.answer }, func(b *bubble) {
			b.append("default", 500)
			time.Sleep(10 * time.Minute)
			if n := b.sink.callCount(); n < 15 || n > 60 {
				t.Errorf("%s: %d requests in ten minutes", name, n)
			}
			want := StateDown
			if name == "parked" {
				want = StateParked
			}
			if d := b.f.Status().Destinations[0]; d.State != want || d.Why == "" || d.Since.IsZero() {
				t.Errorf("%s: %+v", name, d)
			}
			trouble.set(nil, nil)
			if !b.settled(2*time.Minute) || b.sink.storedCount() != 500 || b.letters.count() != 0 {
				t.Errorf("%s: %d stored, %d letters", name, b.sink.storedCount(), b.letters.count())
			}
		})
	}
}

func TestFlusher_RetryAfter_IsObeyed(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.sink.answer = func(call int, docs []Document) ([]Outcome, error) {
			if call == 1 {
				return nil, &RequestError{Cause: "status_429", Status: 429, RetryAfter: 90 * time.Second, Err: errors.New("busy")}
			}
			return outcomesOf(docs, func(*Document) Outcome { return Outcome{Verdict: Delivered} }), nil
		}
	}, func(b *bubble) {
		b.append("default", 300)
		time.Sleep(89 * time.Second)
		if n := b.sink.callCount(); n != 1 {
			t.Errorf("%d requests before the time that the destination asked for", n)
		}
		if !b.settled(time.Minute) {
			t.Errorf("not settled afterwards")
		}
	})
}

var blocked = Outcome{Verdict: Blocked, Status: 403, Type: "cluster_block_exception", Reason: "index read-only"}

func TestFlusher_OwnIndexBlocked_ParksTheStreamOnly(t *testing.T) {
	var trouble switchable
	trouble.set(nil, func(d *Document) Outcome {
		if d.Index == "audit" {
			return blocked
		}
		return Outcome{Verdict: Delivered, Status: 201}
	})
	inBubble(t, func(r *rig) {
		r.sink.answer = trouble.answer
		r.opts.Streams["audit"] = Stream{Sink: r.sink, Route: Route{Index: "audit"}}
	}, func(b *bubble) {
		for range 50 {
			b.append("audit", 10)
			b.append("default", 10)
		}
		time.Sleep(10 * time.Minute)
		b.sink.mu.Lock()
		asked := 0
		for id, bodies := range b.sink.sent {
			if key, _ := ParseKey(id); (key.Offset-1)/10%2 == 0 { // of audit
				asked += len(bodies)
			}
		}
		b.sink.mu.Unlock()
		// A first batch from each worker, then one document at a time.
		if asked > 10*4+10*8+60 {
			t.Errorf("%d documents were sent to an index that takes nothing", asked)
		}
		st := b.f.Status()
		if st.Destinations[0].State != StateOK {
			t.Errorf("destination %+v", st.Destinations[0])
		}
		for _, s := range st.Streams {
			if want := map[string]State{"audit": StateParked, "default": StateOK}[s.Name]; s.State != want || s.Name == "default" && s.Lag > 0 {
				t.Errorf("stream %+v", s)
			}
		}
		trouble.set(nil, nil)
		if !b.settled(2*time.Minute) || b.sink.storedCount() != 1000 || b.letters.count() != 0 {
			t.Errorf("%d stored, %d letters, %+v", b.sink.storedCount(), b.letters.count(), b.f.Status())
		}
	})
}

// chooser sends every nth event to an index of its script's choice.
func chooser(n wal.Offset) funcTransformer {
	return func(rec *wal.Record) ([]Document, error) {
		d := Document{Source: rec.Payload}
		if rec.Offset%n == 0 {
			d.Index = "logs-chosen"
		}
		return []Document{d}, nil
	}
}

// ofChosen answers o for what a chooser sent to its index, and takes everything else.
func ofChosen(o Outcome) func(*Document) Outcome {
	return func(d *Document) Outcome {
		if d.Index == "logs-chosen" {
			return o
		}
		return Outcome{Verdict: Delivered, Status: 201}
	}
}

func TestFlusher_ChosenIndexBlocked_DoesNotHoldTheStreamUp(t *testing.T) {
	for name, lifted := range map[string]bool{"for ever": false, "lifted in time": true} {
		var trouble switchable
		trouble.set(nil, ofChosen(blocked))
		inBubble(t, func(r *rig) {
			r.sink.answer = trouble.answer
			r.opts.Streams["default"] = Stream{Sink: r.sink, Transformer: chooser(5), Route: Route{Index: "logs-test", AllowedIndices: []string{"logs-*"}}}
		}, func(b *bubble) {
			b.append("default", 1000)
			time.Sleep(30 * time.Second)
			if n := b.sink.storedCount(); n != 800 {
				t.Errorf("%s: %d of 800 others are stored", name, n)
			}
			if st := b.f.Status(); st.Streams[0].Held != 200 || st.Streams[0].State != StateOK || b.letters.count() != 0 || st.Settled != 0 {
				t.Errorf("%s: %+v, %d letters", name, st.Streams[0], b.letters.count())
			}
			if lifted {
				trouble.set(nil, nil)
			}
			time.Sleep(10 * time.Minute)
			stored, letters := 1000, 0
			if !lifted {
				stored, letters = 800, 200
			}
			if st := b.f.Status(); b.sink.storedCount() != stored || b.letters.count() != letters || st.Lag != 0 || st.Streams[0].Held != 0 || st.Streams[0].HeldBytes != 0 {
				t.Errorf("%s: %d stored, %d letters, %+v", name, b.sink.storedCount(), b.letters.count(), st)
			}
			for key, l := range b.letters.all() {
				if key.Offset%5 != 0 || l.Status != 403 || l.Index != "logs-chosen" || string(l.Event) != fmt.Sprintf(`{"n":%d}`, key.Offset-1) || string(l.Document) != string(l.Event) {
					t.Fatalf("letter %+v", l)
				}
			}
		})
	}
}

// TestFlusher_ChosenIndexBlocked_HoldIsBounded: what finds no room among the held documents is a letter at once.
func TestFlusher_ChosenIndexBlocked_HoldIsBounded(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.sink.answer = func(_ int, docs []Document) ([]Outcome, error) {
			return outcomesOf(docs, func(*Document) Outcome { return blocked }), nil
		}
		r.opts.MaxInFlightBytes = 32_000
		r.opts.Streams["default"] = Stream{Sink: r.sink, Transformer: chooser(1), Route: Route{Index: "logs-test", AllowedIndices: []string{"logs-*"}}}
	}, func(b *bubble) {
		b.append("default", 1000)
		time.Sleep(30 * time.Second)
		st := b.f.Status().Streams[0]
		if st.HeldBytes > 2000 || st.Held == 0 || st.Held+b.letters.count() != 1000 {
			t.Errorf("%+v, %d letters", st, b.letters.count())
		}
	})
}

// TestFlusher_Straggler_KeepsNoWorker: a document that is never taken must not keep those behind it waiting, even with one worker.
func TestFlusher_Straggler_KeepsNoWorker(t *testing.T) {
	var trouble switchable
	trouble.set(nil, func(d *Document) Outcome {
		if d.Key.Offset%10 == 3 {
			return Outcome{Verdict: Retry, Status: 503, Type: "unavailable_shards_exception"}
		}
		return Outcome{Verdict: Delivered, Status: 201}
	})
	inBubble(t, func(r *rig) {
		r.opts.MaxInFlight = 1
		r.sink.answer = trouble.answer
	}, func(b *bubble) {
		b.append("default", 100)
		time.Sleep(time.Minute)
		if n := b.sink.storedCount(); n != 90 {
			t.Errorf("%d of 90 neighbours are stored", n)
		}
		if st := b.f.Status(); st.Settled != 0 || st.Streams[0].Held != 10 {
			t.Errorf("%+v", st)
		}
		trouble.set(nil, nil)
		if !b.settled(2*time.Minute) || b.sink.storedCount() != 100 || b.letters.count() != 0 {
			t.Errorf("%d stored, %d letters", b.sink.storedCount(), b.letters.count())
		}
	})
}

func TestFlusher_GivesUp_OnlyWhenItIsToldTo(t *testing.T) {
	for name, tt := range map[string]struct {
		attempts int
		age      time.Duration
		out      func(d *Document) Outcome
		err      error
		letters  int
		reason   string
	}{
		"off":                   {out: func(*Document) Outcome { return Outcome{Verdict: Retry, Status: 503} }},
		"items, by attempts":    {attempts: 5, out: func(*Document) Outcome { return Outcome{Verdict: Retry, Status: 503} }, letters: 50, reason: "given up after 5 attempts"},
		"requests, by attempts": {attempts: 5, err: errRefused, letters: 50, reason: "given up after 5 attempts"},
		"stragglers": {attempts: 7, out: func(d *Document) Outcome {
			if d.Key.Offset%10 == 0 {
				return Outcome{Verdict: Retry, Status: 503}
			}
			return Outcome{Verdict: Delivered, Status: 201}
		}, letters: 5, reason: "given up after 7 attempts"},
		"items, by age":    {age: time.Minute, out: func(*Document) Outcome { return Outcome{Verdict: Retry, Status: 503} }, letters: 50, reason: "received more than 1m0s ago"},
		"requests, by age": {age: time.Minute, err: errRefused, letters: 50, reason: "received more than 1m0s ago"},
		"parked, never by age": {age: time.Minute,
			err: &RequestError{Cause: "status_401", Status: 401, Verdict: Park, Err: errors.New("who are you")}},
		"its index blocked, never by either": {attempts: 2, age: time.Minute, out: func(*Document) Outcome { return blocked }},
		"parked, never by attempts": {attempts: 2,
			err: &RequestError{Cause: "status_401", Status: 401, Verdict: Park, Err: errors.New("who are you")}},
	} {
		var trouble switchable
		trouble.set(tt.err, tt.out)
		inBubble(t, func(r *rig) {
			r.sink.answer = trouble.answer
			r.opts.MaxAttempts, r.opts.MaxAge = tt.attempts, tt.age
		}, func(b *bubble) {
			b.appendNow(50)
			time.Sleep(20 * time.Minute)
			if b.letters.count() != tt.letters {
				t.Errorf("%s: %d letters, want %d", name, b.letters.count(), tt.letters)
			}
			for _, l := range b.letters.all() {
				if !strings.Contains(l.Reason, tt.reason) || l.Stage != StageIndex || l.Attempts < 1 {
					t.Fatalf("%s: letter %+v", name, l)
				}
			}
			trouble.set(nil, nil)
			if !b.settled(2*time.Minute) || b.sink.storedCount() != 50-tt.letters {
				t.Errorf("%s: %d stored, %+v", name, b.sink.storedCount(), b.f.Status())
			}
		})
	}
}

// TestFlusher_MaxAge_LeavesABacklogAlone: age counts for what fails, not for what waited in the log.
func TestFlusher_MaxAge_LeavesABacklogAlone(t *testing.T) {
	inBubble(t, func(r *rig) { r.opts.MaxAge = time.Minute }, func(b *bubble) {
		b.cancel()
		<-b.done
		b.appendNow(50)
		time.Sleep(time.Hour)
		f := New(b.opts)
		ctx, cancel := context.WithCancel(context.Background())
		go func() { b.done <- f.Run(ctx) }()
		time.Sleep(10 * time.Second)
		cancel()
		<-b.done
		b.done <- nil
		if b.sink.storedCount() != 50 || b.letters.count() != 0 {
			t.Errorf("%d stored, %d letters", b.sink.storedCount(), b.letters.count())
		}
	})
}

func TestFlusher_FailureStore_IsAnOutcomeOfItsOwn(t *testing.T) {
	for policy, letters := range map[FailureStorePolicy]int{FailureStoreAccept: 0, "": 0, FailureStoreDeadLetter: 3} {
		r := newRig(t)
		r.append("default", 30)
		r.sink.answer = func(_ int, docs []Document) ([]Outcome, error) {
			return outcomesOf(docs, func(d *Document) Outcome {
				o := Outcome{Verdict: Delivered, Status: 201}
				if d.Key.Offset%10 == 0 {
					o.FailureStore = "used"
				}
				return o
			}), nil
		}
		r.opts.Streams["default"] = Stream{Sink: r.sink, Route: Route{Index: "logs-test"}, FailureStore: policy}
		r.opts.Metrics = newTestMetrics()
		st := r.run().Status()
		if len(r.letters.letters) != letters || st.FailureStore != uint64(3-letters) || st.Delivered != 27 || st.DeadLettered != uint64(letters) || r.check.offsets["default"] != 30 {
			t.Errorf("%q: %d letters, %+v", policy, len(r.letters.letters), st)
		}
	}
}

func TestFlusher_ConflictOfAClientsID_HasAnExample(t *testing.T) {
	r := newRig(t)
	r.append("default", 3)
	r.append("default", 3)
	r.opts.Streams["default"] = Stream{Sink: r.sink, Route: Route{Index: "logs-test", IDField: "n"}}
	st := r.run().Status()
	if c := st.Streams[0].Conflicts; len(r.sink.stored) != 3 || c == nil || c.Count != 3 || c.Key.Offset != 6 || c.ID != "2" || c.Index != "logs-test" {
		t.Errorf("%d stored, conflicts %+v", len(r.sink.stored), c)
	}
}

// TestFlusher_Start_StreamsFarApart begins where each stream stands: one that is far behind must not keep the others waiting.
func TestFlusher_Start_StreamsFarApart(t *testing.T) {
	far := wal.Offset(3 * nearby)
	for name, tt := range map[string]struct {
		settled map[string]wal.Offset
		cursors int
	}{
		"together":            {map[string]wal.Offset{"a": 7, "b": 7}, 1},
		"near":                {map[string]wal.Offset{"a": 7, "b": nearby}, 1},
		"far":                 {map[string]wal.Offset{"a": 7, "b": far}, 2},
		"a new one":           {map[string]wal.Offset{"a": far, "b": far, "new": 0}, 2},
		"each at its own end": {map[string]wal.Offset{"a": 0, "b": far, "c": 2 * far}, 3},
	} {
		r := newRig(t)
		r.opts.Streams = map[string]Stream{}
		for stream, at := range tt.settled {
			r.opts.Streams[stream] = Stream{Sink: r.sink, Settled: at}
		}
		f := New(r.opts)
		if len(f.cursors) != tt.cursors {
			t.Errorf("%s: %d cursors, want %d", name, len(f.cursors), tt.cursors)
		}
		for _, l := range f.lanes {
			if l.watermark() != tt.settled[l.name] {
				t.Errorf("%s: %s begins at %d", name, l.name, l.watermark())
			}
		}
		for _, c := range f.cursors {
			if err := c.source.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestFlusher_MappingRace_IsAskedTwice: a document that lost a race for a new field's mapping may fit it all the same; one that
// does not is a letter at the second answer.
func TestFlusher_MappingRace_IsAskedTwice(t *testing.T) {
	r := newRig(t)
	r.append("default", 10)
	asked := map[wal.Offset]int{}
	r.sink.answer = func(_ int, docs []Document) ([]Outcome, error) {
		return outcomesOf(docs, func(d *Document) Outcome {
			asked[d.Key.Offset]++
			if d.Key.Offset == 3 || d.Key.Offset == 7 && asked[7] == 1 {
				return Outcome{Verdict: Permanent, Status: 400, Type: "illegal_argument_exception", Reason: "mapper [n] cannot be changed from type [long] to [text]"}
			}
			return Outcome{Verdict: Delivered, Status: 201}
		}), nil
	}
	r.run()
	if len(r.sink.stored) != 9 || r.letters.count() != 1 || asked[3] != 2 || asked[7] != 2 {
		t.Errorf("%d stored, %d letters, asked %v", len(r.sink.stored), r.letters.count(), asked)
	}
}
