package deadletter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/wal"
)

// memorySink stores documents by index and id, as a create would, and lets a test answer instead.
type memorySink struct {
	mu      sync.Mutex
	stored  map[string]string // index/id -> source
	sends   [][]string        // ids of each request
	answer  func(d *flush.Document) *flush.Outcome
	failure func(docs []flush.Document) error // the request fails, nothing is stored
	lost    func() error                      // the answer is lost, everything is stored
}

func newMemorySink() *memorySink { return &memorySink{stored: map[string]string{}} }

func (m *memorySink) Name() string { return "memory" }

func (m *memorySink) Send(ctx context.Context, docs []flush.Document) ([]flush.Outcome, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var ids []string
	for i := range docs {
		ids = append(ids, docs[i].ID)
	}
	m.sends = append(m.sends, ids)
	if m.failure != nil {
		if err := m.failure(docs); err != nil {
			return nil, err
		}
	}
	out := make([]flush.Outcome, len(docs))
	for i := range docs {
		d := &docs[i]
		at := d.Index + "/" + d.ID
		_, there := m.stored[at]
		switch {
		case there:
			out[i] = flush.Outcome{Verdict: flush.Duplicate, Status: 409}
			continue
		case m.answer != nil:
			if o := m.answer(d); o != nil {
				out[i] = *o
				continue
			}
		}
		m.stored[at] = string(d.Source)
		out[i] = flush.Outcome{Verdict: flush.Delivered, Status: 201}
	}
	if m.lost != nil {
		if err := m.lost(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// splitter makes one document of each line of an event.
type splitter struct {
	lines func(event []byte) ([]string, error)
}

func (s splitter) Version() string { return "v-now" }

func (s splitter) Transform(_ context.Context, rec *wal.Record) ([]flush.Document, error) {
	lines, err := s.lines(rec.Payload)
	var docs []flush.Document
	for _, l := range lines {
		docs = append(docs, flush.Document{Source: []byte(l), Script: "v-made"}) // the version in force may be another one by now
	}
	return docs, err
}

func splitLines(event []byte) ([]string, error) {
	switch {
	case bytes.HasPrefix(event, []byte("boom")):
		return nil, &flush.TransformError{Type: "error", Message: "script.lua:1: boom", Script: "v-now"}
	case len(event) == 0:
		return nil, nil
	}
	return strings.Split(string(event), "\n"), nil
}

func prepare(rec *wal.Record, docs []flush.Document) error {
	for i := range docs {
		d := &docs[i]
		d.Key = flush.Key{Epoch: rec.Epoch, Offset: rec.Offset, Ordinal: uint32(i)}
		d.Of, d.Stream, d.ReceivedAt, d.Index, d.ID = len(docs), rec.Stream, rec.ReceivedAt, "logs-"+rec.Stream, d.Key.ID()
		if string(d.Source) == "forbidden" {
			return &flush.TransformError{Type: "index_not_allowed", Message: "no"}
		}
	}
	return nil
}

func validate(event []byte) error {
	if bytes.HasPrefix(event, []byte("bad")) {
		return errors.New("not an object")
	}
	return nil
}

type replayHome struct {
	*home
	sink *memorySink
	r    *Replayer
	tell []Event
}

func newReplayHome(t *testing.T) *replayHome {
	h := &replayHome{home: newHome(t, Options{}), sink: newMemorySink()}
	h.r = &Replayer{
		Store: h.Store, Validate: validate,
		Streams: map[string]Stream{
			"default": {Transformer: splitter{splitLines}, Prepare: prepare, Sink: h.sink},
			"plain":   {Prepare: prepare, Sink: h.sink},
		},
		sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
	}
	return h
}

func (h *replayHome) replay(req Request) Summary {
	h.t.Helper()
	h.tell = nil
	s, err := h.r.Replay(h.t.Context(), req, func(e Event) { h.tell = append(h.tell, e) })
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

// staged makes a letter of a stage with an event.
func staged(offset wal.Offset, stage flush.Stage, event string) flush.Letter {
	l := letter(offset)
	l.Stage, l.Event = stage, []byte(event)
	if stage != flush.StageIndex {
		l.Document, l.Of, l.Index, l.ID = nil, 0, "", ""
	}
	if stage == flush.StageLog {
		l.Event = nil
	}
	return l
}

func indexed(offset wal.Offset, ordinal uint32, of int, event, document string) flush.Letter {
	l := staged(offset, flush.StageIndex, event)
	l.Key.Ordinal, l.Of, l.Document = ordinal, of, []byte(document)
	l.Index, l.ID = "logs-default", l.Key.ID()
	return l
}

func (h *replayHome) wantStored(want map[string]string) {
	h.t.Helper()
	if !maps.Equal(h.sink.stored, want) {
		h.t.Fatalf("stored\n%q\nwant\n%q", h.sink.stored, want)
	}
}

func id(offset wal.Offset, ordinal uint32) string { return "logs-default/" + key(offset, ordinal).ID() }

func TestReplay_EachStage_FollowsTheTable(t *testing.T) {
	refuse := func(bad string) func(d *flush.Document) *flush.Outcome {
		return func(d *flush.Document) *flush.Outcome {
			if string(d.Source) == bad {
				return &flush.Outcome{Verdict: flush.Permanent, Status: 400, Type: "mapping", Reason: "no"}
			}
			return nil
		}
	}
	newIDs := func(of int, sources ...string) map[string]string {
		m := map[string]string{}
		for i, s := range sources {
			m[fmt.Sprintf("logs-default/%s-1-n%d-%d", epoch, of, i)] = s
		}
		return m
	}
	for name, tc := range map[string]struct {
		letter flush.Letter
		edit   string
		req    Request
		answer func(d *flush.Document) *flush.Outcome
		stored map[string]string
		result Result
		cause  string // type
	}{
		"ingest: accepted now":                            {letter: staged(1, flush.StageIngest, "a\nb"), result: ResultDelivered, stored: map[string]string{id(1, 0): "a", id(1, 1): "b"}},
		"ingest: still not acceptable":                    {letter: staged(1, flush.StageIngest, "bad"), result: ResultFailed, cause: "document_parsing_exception"},
		"ingest: edited":                                  {letter: staged(1, flush.StageIngest, "bad"), edit: "good", result: ResultDelivered, stored: map[string]string{id(1, 0): "good"}},
		"ingest: as sent means nothing":                   {letter: staged(1, flush.StageIngest, "a"), req: Request{AsSent: true}, result: ResultDelivered, stored: map[string]string{id(1, 0): "a"}},
		"transform: script mended":                        {letter: staged(1, flush.StageTransform, "a"), result: ResultDelivered, stored: map[string]string{id(1, 0): "a"}},
		"transform: script still fails":                   {letter: staged(1, flush.StageTransform, "boom"), result: ResultFailed, cause: "error"},
		"transform: script drops it":                      {letter: staged(1, flush.StageTransform, "x"), edit: "drop", result: ResultDropped},
		"transform: index not allowed":                    {letter: staged(1, flush.StageTransform, "forbidden"), result: ResultFailed, cause: "index_not_allowed"},
		"transform: edited into nonsense":                 {letter: staged(1, flush.StageTransform, "boom"), edit: "bad", result: ResultFailed, cause: "invalid_event"},
		"transform: one of three refused":                 {letter: staged(1, flush.StageTransform, "a\nb\nc"), answer: refuse("b"), result: ResultFailed, cause: "mapping", stored: map[string]string{id(1, 0): "a", id(1, 2): "c"}},
		"index: the document of now":                      {letter: indexed(1, 1, 2, "a\nb", "old"), result: ResultDelivered, stored: map[string]string{id(1, 1): "b"}},
		"index: refused again":                            {letter: indexed(1, 0, 1, "a", "old"), answer: refuse("a"), result: ResultFailed, cause: "mapping"},
		"index: script fails now":                         {letter: indexed(1, 0, 1, "boom", "old"), result: ResultFailed, cause: "error"},
		"index: as sent":                                  {letter: indexed(1, 1, 2, "a\nb", "old"), req: Request{AsSent: true}, result: ResultDelivered, stored: map[string]string{id(1, 1): "old"}},
		"index: as sent after an edit":                    {letter: indexed(1, 0, 1, "a", "old"), edit: "b", req: Request{AsSent: true}, result: ResultSkipped, cause: "edited"},
		"index: edited":                                   {letter: indexed(1, 0, 1, "a", "old"), edit: "b", result: ResultDelivered, stored: map[string]string{id(1, 0): "b"}},
		"index: more documents now":                       {letter: indexed(1, 0, 1, "a\nb", "old"), result: ResultFailed, cause: "document_count"},
		"index: fewer documents now":                      {letter: indexed(1, 1, 3, "a\nb", "old"), result: ResultFailed, cause: "document_count"},
		"index: no documents now":                         {letter: indexed(1, 0, 1, "x", "old"), edit: "drop", result: ResultFailed, cause: "document_count"},
		"index: more documents, as new":                   {letter: indexed(1, 0, 1, "a\nb", "old"), req: Request{AsNew: true}, result: ResultDelivered, stored: newIDs(2, "a", "b")},
		"index: as new, one refused":                      {letter: indexed(1, 0, 1, "a\nb", "old"), req: Request{AsNew: true}, answer: refuse("b"), result: ResultFailed, cause: "mapping", stored: newIDs(2, "a")},
		"index: no documents, as new":                     {letter: indexed(1, 0, 1, "x", "old"), edit: "drop", req: Request{AsNew: true}, result: ResultDropped},
		"index: as new with the same number keeps its id": {letter: indexed(1, 1, 2, "a\nb", "old"), req: Request{AsNew: true}, result: ResultDelivered, stored: map[string]string{id(1, 1): "b"}},
		"log: nothing to send":                            {letter: staged(1, flush.StageLog, ""), result: ResultSkipped, cause: "nothing_to_send"},
		"a stream that is gone": {letter: func() flush.Letter { l := staged(1, flush.StageTransform, "a"); l.Stream = "gone"; return l }(),
			result: ResultSkipped, cause: "unknown_stream"},
		"a stream without a script": {letter: func() flush.Letter { l := staged(1, flush.StageTransform, "a\nb"); l.Stream = "plain"; return l }(),
			result: ResultDelivered, stored: map[string]string{"logs-plain/" + key(1, 0).ID(): "a\nb"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newReplayHome(t)
			h.r.Streams["default"] = Stream{Prepare: prepare, Sink: h.sink, Transformer: splitter{func(event []byte) ([]string, error) {
				if string(event) == "drop" {
					return nil, nil
				}
				return splitLines(event)
			}}}
			h.sink.answer = tc.answer
			h.put(tc.letter)
			if tc.edit != "" {
				if err := h.Edit(t.Context(), tc.letter.Key, []byte(tc.edit)); err != nil {
					t.Fatal(err)
				}
			}
			dry := tc.req
			dry.DryRun = true
			if s := h.replay(dry); s.Total != 1 || len(h.sink.sends) != 0 || h.mustGet(tc.letter.Key).Attempts != 1 || len(h.tell) != 1 {
				t.Fatalf("dry run: %+v, %q", s, h.sink.sends)
			}
			for round := range 2 { // a letter that stays is tried again, and nothing is doubled
				s := h.replay(tc.req)
				if len(h.tell) != 1 || h.tell[0].Result != tc.result || h.tell[0].Type != tc.cause || h.tell[0].Done != 1 || h.tell[0].Total != 1 {
					t.Fatalf("told %+v", h.tell)
				}
				if s.Total != 1 || tc.cause != "" && s.Causes[tc.cause] != 1 {
					t.Fatalf("%+v", s)
				}
				h.wantStored(orEmpty(tc.stored))
				if tc.result == ResultDelivered || tc.result == ResultDropped {
					if _, err := h.Get(tc.letter.Key); !errors.Is(err, ErrUnknownKey) {
						t.Fatal(err)
					}
					break
				}
				l := h.mustGet(tc.letter.Key)
				wantAttempts, wantType := 1, tc.letter.Type
				if tc.result == ResultFailed {
					wantAttempts, wantType = round+2, tc.cause
				}
				if l.Attempts != wantAttempts || l.Type != wantType || l.Stage != tc.letter.Stage || !bytes.Equal(l.Document, tc.letter.Document) {
					t.Fatalf("%+v", l)
				}
			}
		})
	}
}

func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

func TestReplay_AsNew_OfSeveralLettersOfOneEvent_SendsEachDocumentOnce(t *testing.T) {
	h := newReplayHome(t)
	for o := range uint32(3) {
		h.put(indexed(1, o, 3, "a\nb", "old"))
	}
	if s := h.replay(Request{AsNew: true}); s.Delivered != 3 || s.Documents != 2 || s.Duplicates != 4 || len(h.sink.stored) != 2 {
		t.Fatalf("%+v %q", s, h.sink.stored)
	}
}

func TestReplay_RetriesOnlyWhatMayBeStoredLater(t *testing.T) {
	h := newReplayHome(t)
	tries := map[string]int{}
	h.sink.answer = func(d *flush.Document) *flush.Outcome {
		tries[d.ID]++
		switch {
		case string(d.Source) == "never":
			return &flush.Outcome{Verdict: flush.Permanent, Status: 400, Type: "mapping", Reason: "no"}
		case string(d.Source) == "later" && tries[d.ID] < 4:
			return &flush.Outcome{Verdict: flush.Retry, Status: 429, Type: "es_rejected_execution_exception"}
		}
		return nil
	}
	h.put(staged(1, flush.StageTransform, "now"), staged(2, flush.StageTransform, "later"), staged(3, flush.StageTransform, "never"),
		staged(4, flush.StageTransform, "now\nlater\nnever"))
	var pauses int
	h.r.sleep = func(context.Context, time.Duration) error {
		pauses++
		if got := h.Len(); got != 3 { // 1 is settled while 2 and 4 wait
			t.Errorf("%d letters during pause %d", got, pauses)
		}
		return nil
	}
	s := h.replay(Request{})
	if s.Delivered != 2 || s.Failed != 2 || s.Documents != 4 || pauses != 3 {
		t.Fatalf("%+v, %d pauses", s, pauses)
	}
	for i, want := range []int{6, 2, 2, 2} {
		if got := len(h.sink.sends[i]); got != want {
			t.Fatalf("request %d had %d documents: %q", i, got, h.sink.sends)
		}
	}
	if !slices.Equal(h.offsets(), []wal.Offset{3, 4}) {
		t.Fatal(h.offsets())
	}
	if l := h.mustGet(key(4, 0)); l.Reason != fmt.Sprintf("document 3 of 3, %s in logs-default: no", key(4, 2).ID()) || l.Destination != "memory" || l.Script != "v-made" {
		t.Fatalf("%+v", l)
	}
}

func TestReplay_FailedRequests(t *testing.T) {
	put := func(h *replayHome) {
		var letters []flush.Letter
		for i := range wal.Offset(10) {
			letters = append(letters, staged(i+1, flush.StageTransform, fmt.Sprintf("%d", i)))
		}
		h.put(letters...)
	}
	t.Run("a destination that is away is asked until it answers", func(t *testing.T) {
		h := newReplayHome(t)
		put(h)
		n := 0
		h.sink.failure = func([]flush.Document) error {
			if n++; n < 6 {
				return &flush.RequestError{Cause: "refused", RetryAfter: time.Duration(n) * time.Hour, Err: errors.New("connection refused")}
			}
			return nil
		}
		var pauses []time.Duration
		h.r.sleep = func(_ context.Context, d time.Duration) error { pauses = append(pauses, d); return nil }
		if s := h.replay(Request{}); s.Delivered != 10 || h.Len() != 0 {
			t.Fatalf("%+v", s)
		}
		for i, p := range pauses {
			if p != time.Duration(i+1)*time.Hour {
				t.Fatal("what the destination asked for is not obeyed", pauses)
			}
		}
		if w := h.tell[0]; w.Result != ResultWaiting || w.Type != "refused" || w.Pause != time.Hour {
			t.Fatalf("%+v", w)
		}
	})
	t.Run("a request too large is halved, down to the one document", func(t *testing.T) {
		h := newReplayHome(t)
		put(h)
		h.sink.failure = func(docs []flush.Document) error {
			if len(docs) > 3 || slices.ContainsFunc(docs, func(d flush.Document) bool { return string(d.Source) == "7" }) {
				return &flush.RequestError{Cause: "too_large", Status: http.StatusRequestEntityTooLarge, Verdict: flush.Split, Err: errors.New("413")}
			}
			return nil
		}
		if s := h.replay(Request{}); s.Delivered != 9 || s.Failed != 1 || !slices.Equal(h.offsets(), []wal.Offset{8}) {
			t.Fatalf("%+v", s)
		}
		if l := h.mustGet(key(8, 0)); l.Status != 413 || l.Type != "too_large" || l.Attempts != 2 {
			t.Fatalf("%+v", l)
		}
	})
	t.Run("an answer that is lost is asked for again", func(t *testing.T) {
		h := newReplayHome(t)
		put(h)
		n := 0
		h.sink.lost = func() error {
			if n++; n == 1 {
				return &flush.RequestError{Cause: "timeout", Err: errors.New("no answer")}
			}
			return nil
		}
		if s := h.replay(Request{}); s.Delivered != 10 || s.Duplicates != 10 || len(h.sink.stored) != 10 {
			t.Fatalf("%+v", s)
		}
	})
	t.Run("too few outcomes are no outcomes", func(t *testing.T) {
		h := newReplayHome(t)
		put(h)
		short := &shortSink{memorySink: h.sink}
		st := h.r.Streams["default"]
		st.Sink = short
		h.r.Streams["default"] = st
		if s := h.replay(Request{}); s.Delivered != 10 || short.n != 2 {
			t.Fatalf("%+v", s)
		}
	})
}

// shortSink loses the last outcome of its first answer.
type shortSink struct {
	*memorySink
	n int
}

func (s *shortSink) Send(ctx context.Context, docs []flush.Document) ([]flush.Outcome, error) {
	out, err := s.memorySink.Send(ctx, docs)
	if s.n++; s.n == 1 {
		out = out[:len(out)-1]
	}
	return out, err
}

func TestReplay_EndedInTheMiddle_LosesAndDoublesNothing(t *testing.T) {
	h := newReplayHome(t)
	var letters []flush.Letter
	for i := range wal.Offset(30) {
		letters = append(letters, staged(i+1, flush.StageTransform, fmt.Sprintf("%d\n%d", i, i)))
	}
	h.put(letters...)
	// However far a replay comes before its context ends, the next ones finish the work.
	for k := 0; h.Len() > 0; k++ {
		if k > 20 {
			t.Fatal("no progress")
		}
		ctx, cancel := context.WithCancel(t.Context())
		tries := 0
		h.sink.answer = func(d *flush.Document) *flush.Outcome {
			if tries++; tries%7 == k%7 { // some documents come late in every round
				return &flush.Outcome{Verdict: flush.Retry, Status: 429}
			}
			return nil
		}
		h.r.sleep = func(ctx context.Context, _ time.Duration) error { cancel(); return ctx.Err() }
		_, err := h.r.Replay(ctx, Request{}, nil)
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		cancel()
	}
	if len(h.sink.stored) != 60 {
		t.Fatal(len(h.sink.stored))
	}
}

func TestReplay_OnlyOneAtATime_AndOnlyWhatWasThere(t *testing.T) {
	h := newReplayHome(t)
	var letters []flush.Letter
	for i := range wal.Offset(replayBatch + 10) {
		letters = append(letters, staged(i+1, flush.StageTransform, "a"))
	}
	h.put(letters...)
	put := 0
	h.sink.failure = func([]flush.Document) error {
		// Called while the replay runs: another one is refused, and new letters wait for the next one.
		if _, err := h.r.Replay(t.Context(), Request{}, nil); !errors.Is(err, ErrReplayRunning) {
			t.Error(err)
		}
		if !h.Status().Replay {
			t.Error("status does not show the replay")
		}
		if put++; put < 10 {
			h.put(staged(wal.Offset(10_000+put), flush.StageTransform, "new"))
		}
		return nil
	}
	if s := h.replay(Request{}); s.Delivered != len(letters) || s.Total != len(letters) || !slices.Equal(h.offsets(), []wal.Offset{10_001, 10_002}) {
		t.Fatalf("%+v %v", s, h.offsets())
	}
	h.sink.failure = nil
	if s := h.replay(Request{}); s.Delivered != 2 {
		t.Fatalf("%+v", s)
	}
}

func TestReplay_LetterEditedWhileItIsSent_Stays(t *testing.T) {
	h := newReplayHome(t)
	h.put(staged(1, flush.StageTransform, "a"), staged(2, flush.StageTransform, "b"))
	h.sink.answer = func(d *flush.Document) *flush.Outcome {
		if d.Key.Offset == 1 {
			if err := h.Edit(t.Context(), key(1, 0), []byte("edited")); err != nil {
				t.Error(err)
			}
		}
		return nil
	}
	h.replay(Request{})
	if !slices.Equal(h.offsets(), []wal.Offset{1}) {
		t.Fatal(h.offsets())
	}
}

func TestReplay_ByKey_AndByFilter(t *testing.T) {
	h := newReplayHome(t)
	for i := range wal.Offset(6) {
		h.put(staged(i+1, flush.StageTransform, "a"))
	}
	s := h.replay(Request{Keys: []flush.Key{key(5, 0), key(2, 0), key(5, 0), key(99, 0)}})
	if s.Total != 3 || s.Delivered != 2 || s.Skipped != 1 || s.Causes["unknown_key"] != 1 || !slices.Equal(h.offsets(), []wal.Offset{1, 3, 4, 6}) {
		t.Fatalf("%+v %v", s, h.offsets())
	}
	if s := h.replay(Request{Filter: Filter{Skip: 1, Limit: 2}}); s.Delivered != 2 || !slices.Equal(h.offsets(), []wal.Offset{1, 6}) {
		t.Fatalf("%+v %v", s, h.offsets())
	}
}

func TestReplay_ManyBatches_InTheOrderOfPut(t *testing.T) {
	h := newReplayHome(t)
	var letters []flush.Letter
	for i := range wal.Offset(3*replayBatch + 200) {
		letters = append(letters, staged(i+1, flush.StageTransform, "a"))
	}
	h.put(letters...)
	if s := h.replay(Request{}); s.Delivered != 3*replayBatch+200 || h.Len() != 0 {
		t.Fatalf("%+v", s)
	}
	var all []string
	for _, ids := range h.sink.sends {
		if len(ids) > replayBatch {
			t.Fatal(len(ids))
		}
		all = append(all, ids...)
	}
	for i, got := range all {
		if got != key(wal.Offset(i+1), 0).ID() {
			t.Fatalf("%d is %s", i, got)
		}
	}
}

// replacingSink stores what is sent as index, and has everything else already.
type replacingSink struct{ got []flush.Document }

func (s *replacingSink) Name() string { return "replacing" }

func (s *replacingSink) Send(_ context.Context, docs []flush.Document) ([]flush.Outcome, error) {
	s.got = append(s.got, docs...)
	out := make([]flush.Outcome, len(docs))
	for i := range docs {
		out[i] = flush.Outcome{Verdict: flush.Delivered, Status: 200}
		if docs[i].Op != flush.OpIndex {
			out[i] = flush.Outcome{Verdict: flush.Duplicate, Status: 409}
		}
	}
	return out, nil
}

// TestReplay_AsSent_KeepsTheOp: with op index, a create would find an earlier state of the document and pass for success.
func TestReplay_AsSent_KeepsTheOp(t *testing.T) {
	h := newReplayHome(t)
	sink := &replacingSink{}
	stream := h.r.Streams["default"]
	stream.Sink, stream.Op = sink, flush.OpIndex
	h.r.Streams["default"] = stream
	h.put(indexed(1, 0, 1, "a", "old"))
	if sum := h.replay(Request{AsSent: true}); sum.Delivered != 1 || sum.Duplicates != 0 || sink.got[0].Op != flush.OpIndex {
		t.Errorf("%+v, sent as %q", sum, sink.got[0].Op)
	}
}

// TestReplay_ChangedBeforeItsTurn: a letter that is edited or dropped while those before it are sent goes as it is then.
func TestReplay_ChangedBeforeItsTurn(t *testing.T) {
	h := newReplayHome(t)
	h.put(staged(1, flush.StageTransform, "a"), staged(2, flush.StageTransform, "b"), staged(3, flush.StageTransform, "c"))
	first := true
	h.sink.answer = func(*flush.Document) *flush.Outcome {
		if first {
			first = false
			if err := h.Edit(t.Context(), key(2, 0), []byte("edited")); err != nil {
				t.Error(err)
			}
			if n, err := h.Drop(t.Context(), []flush.Key{key(3, 0)}, false); err != nil || n != 1 {
				t.Errorf("dropped %d: %v", n, err)
			}
		}
		return nil
	}
	s := h.replay(Request{Rate: 10}) // one at a time
	var stored []string
	for _, document := range h.sink.stored {
		stored = append(stored, string(document))
	}
	slices.Sort(stored)
	if s.Delivered != 2 || h.Len() != 0 || !slices.Equal(stored, []string{"a", "edited"}) {
		t.Errorf("%+v, %d letters left, stored %q", s, h.Len(), stored)
	}
}
