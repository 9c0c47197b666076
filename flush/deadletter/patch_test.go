package deadletter

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/wal"
)

// patchFunc is a patch in Go.
type patchFunc func(event string) ([]flush.Document, error)

func (patchFunc) Version() string { return "patch" }

func (f patchFunc) Transform(_ context.Context, rec *wal.Record) ([]flush.Document, error) {
	return f(string(rec.Payload))
}

func texts(sources ...string) ([]flush.Document, error) {
	var docs []flush.Document
	for _, s := range sources {
		docs = append(docs, flush.Document{Source: []byte(s)})
	}
	return docs, nil
}

// upper is a patch that says where it ran: the stream's script splits lines, and sees what a patch before it made.
var upper = patchFunc(func(event string) ([]flush.Document, error) { return texts(strings.ToUpper(event)) })

func TestReplay_Patch_RunsWhereThePageSays(t *testing.T) {
	mend := patchFunc(func(event string) ([]flush.Document, error) {
		if mended, ok := strings.CutPrefix(event, "boom "); ok {
			return texts(mended)
		}
		return texts(event)
	})
	double := patchFunc(func(event string) ([]flush.Document, error) { return texts(event+"1", event+"2") })
	drop := patchFunc(func(string) ([]flush.Document, error) { return nil, nil })
	dropB := patchFunc(func(event string) ([]flush.Document, error) {
		if event == "b" {
			return nil, nil
		}
		return texts(event)
	})
	fails := patchFunc(func(string) ([]flush.Document, error) {
		return nil, &flush.TransformError{Type: "error", Message: "patch.lua:2: oh", Script: "patch"}
	})
	setsID := patchFunc(func(event string) ([]flush.Document, error) {
		return []flush.Document{{Source: []byte(event), ID: "mine"}}, nil
	})
	for name, tc := range map[string]struct {
		letter flush.Letter
		req    Request
		stored map[string]string
		result Result
		cause  string
		byIt   int // dropped by the patch
	}{
		"index: behind the script, only its own document": {letter: indexed(1, 1, 2, "a\nb", "old"), req: Request{Patch: upper}, result: ResultDelivered, stored: map[string]string{id(1, 1): "B"}},
		"index: as sent":        {letter: indexed(1, 1, 2, "a\nb", "old"), req: Request{Patch: upper, AsSent: true}, result: ResultDelivered, stored: map[string]string{id(1, 1): "OLD"}},
		"index: dropped":        {letter: indexed(1, 0, 1, "a", "old"), req: Request{Patch: drop}, result: ResultDropped, byIt: 1},
		"index: several of one": {letter: indexed(1, 1, 2, "a\nb", "old"), req: Request{Patch: double}, result: ResultDelivered, stored: map[string]string{id(1, 1): "b1", id(1, 1) + "-p1": "b2"}},
		"index: the patch fails, the letter keeps its cause": {letter: indexed(1, 0, 1, "a", "old"), req: Request{Patch: fails}, result: ResultSkipped, cause: patchFailed},
		"index: the patch sets an id":                        {letter: indexed(1, 0, 1, "a", "old"), req: Request{Patch: setsID}, result: ResultSkipped, cause: patchFailed},
		"index: an index that is not allowed":                {letter: indexed(1, 0, 1, "a", "old"), req: Request{Patch: patchFunc(func(string) ([]flush.Document, error) { return texts("forbidden") })}, result: ResultSkipped, cause: patchFailed},
		"index: another number of documents is still told":   {letter: indexed(1, 0, 1, "a\nb", "old"), req: Request{Patch: upper}, result: ResultFailed, cause: "document_count"},
		"ingest: behind the script, each document":           {letter: staged(1, flush.StageIngest, "a\nb"), req: Request{Patch: upper}, result: ResultDelivered, stored: map[string]string{id(1, 0): "A", id(1, 1): "B"}},
		"ingest: one of two dropped":                         {letter: staged(1, flush.StageIngest, "a\nb"), req: Request{Patch: dropB}, result: ResultDelivered, stored: map[string]string{id(1, 0): "a"}},
		"ingest: what is no event stays none":                {letter: staged(1, flush.StageIngest, "bad"), req: Request{Patch: upper}, result: ResultFailed, cause: "document_parsing_exception"},
		"transform: before the script, which then works":     {letter: staged(1, flush.StageTransform, "boom a\nb"), req: Request{Patch: mend}, result: ResultDelivered, stored: map[string]string{id(1, 0): "a", id(1, 1): "b"}},
		"transform: the script fails all the same":           {letter: staged(1, flush.StageTransform, "boom a"), req: Request{Patch: double}, result: ResultFailed, cause: "error"},
		"transform: dropped":                                 {letter: staged(1, flush.StageTransform, "boom"), req: Request{Patch: drop}, result: ResultDropped, byIt: 1},
		"transform: two events of one, each through the script": {letter: staged(1, flush.StageTransform, "a"), req: Request{Patch: patchFunc(func(string) ([]flush.Document, error) { return texts("a\nb", "c") })},
			result: ResultDelivered, stored: map[string]string{id(1, 0): "a", id(1, 1): "b", id(1, 2): "c"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newReplayHome(t)
			h.put(tc.letter)
			dry := tc.req
			dry.DryRun = true
			if s := h.replay(dry); s.Total != 1 || len(h.sink.sends) != 0 || s.DroppedByPatch != tc.byIt {
				t.Fatalf("dry run: %+v", s)
			}
			s := h.replay(tc.req)
			if h.tell[0].Result != tc.result || h.tell[0].Type != tc.cause || s.DroppedByPatch != tc.byIt || s.Dropped != tc.byIt {
				t.Fatalf("%+v %+v", h.tell, s)
			}
			if len(s.Outcomes) != 1 || s.Outcomes[0].Count != 1 || s.Outcomes[0].Result != tc.result || s.Outcomes[0].Example != tc.letter.Key {
				t.Errorf("%+v", s.Outcomes)
			}
			h.wantStored(orEmpty(tc.stored))
			l, err := h.Get(tc.letter.Key)
			switch tc.result {
			case ResultDelivered, ResultDropped:
				if !errors.Is(err, ErrUnknownKey) {
					t.Error("the letter stays", err)
				}
			case ResultSkipped:
				if err != nil || l.Attempts != 1 || l.Type != tc.letter.Type || l.Reason != tc.letter.Reason || l.Script != tc.letter.Script {
					t.Errorf("the letter changed: %+v %v", l, err)
				}
			}
		})
	}
}

// TestReplay_Patch_SetsWhereTheDocumentGoes, behind the script always, before it where the script leaves it open.
func TestReplay_Patch_SetsWhereTheDocumentGoes(t *testing.T) {
	h := newReplayHome(t)
	st := h.r.Streams["default"]
	st.Prepare = func(rec *wal.Record, docs []flush.Document) error {
		chosen := make([]string, len(docs))
		for i := range docs {
			chosen[i] = docs[i].Index
		}
		err := prepare(rec, docs)
		for i := range docs {
			if chosen[i] != "" {
				docs[i].Index = chosen[i]
			}
		}
		return err
	}
	h.r.Streams["default"] = st
	h.put(indexed(1, 0, 1, "a", "old"), staged(2, flush.StageTransform, "b"))
	h.replay(Request{Patch: patchFunc(func(event string) ([]flush.Document, error) {
		return []flush.Document{{Source: []byte(event), Index: "logs-rest", Pipeline: "p", Routing: "r"}}, nil
	})})
	h.wantStored(map[string]string{"logs-rest/" + key(1, 0).ID(): "a", "logs-rest/" + key(2, 0).ID(): "b"})
}

// TestReplay_EveryVerdictButSuccess_KeepsTheLetter: also those that were added later.
func TestReplay_EveryVerdictButSuccess_KeepsTheLetter(t *testing.T) {
	for v := flush.Retry + 1; v < flush.Split+3; v++ {
		h := newReplayHome(t)
		h.put(staged(1, flush.StageTransform, "a"))
		h.sink.answer = func(*flush.Document) *flush.Outcome {
			return &flush.Outcome{Verdict: v, Status: 403, Type: "cluster_block_exception", Reason: "index [x] blocked by: [FORBIDDEN/5/index read-only (api)];"}
		}
		s := h.replay(Request{})
		success := v == flush.Delivered || v == flush.Duplicate
		if success != (s.Delivered == 1) || success != (h.Len() == 0) || success == (s.Causes["cluster_block_exception"] == 1) {
			t.Errorf("%s: %+v, %d letters left", v, s, h.Len())
		}
	}
}

func TestReplay_FailureStore_CountsAsTheStreamSays(t *testing.T) {
	for _, policy := range []flush.FailureStorePolicy{"", flush.FailureStoreAccept, flush.FailureStoreDeadLetter} {
		h := newReplayHome(t)
		st := h.r.Streams["default"]
		st.FailureStore = policy
		h.r.Streams["default"] = st
		h.put(staged(1, flush.StageTransform, "a"))
		h.sink.answer = func(*flush.Document) *flush.Outcome {
			return &flush.Outcome{Verdict: flush.Delivered, Status: 201, FailureStore: "used"}
		}
		s := h.replay(Request{})
		if s.FailureStore != 1 || s.Documents != 0 {
			t.Errorf("%q: %+v", policy, s)
		}
		if stays := policy == flush.FailureStoreDeadLetter; stays != (s.Failed == 1 && s.Causes["failure_store"] == 1 && h.Len() == 1) {
			t.Errorf("%q: %+v", policy, s)
		}
	}
}

func TestReplay_ParkedDestination_SaysSo(t *testing.T) {
	h := newReplayHome(t)
	h.put(staged(1, flush.StageTransform, "a"))
	n := 0
	h.sink.failure = func([]flush.Document) error {
		if n++; n == 1 {
			return &flush.RequestError{Cause: "status_401", Status: 401, Verdict: flush.Park, Err: errors.New("who are you")}
		}
		return nil
	}
	h.r.sleep = func(context.Context, time.Duration) error { return nil }
	if s := h.replay(Request{}); s.Delivered != 1 || !h.tell[0].Parked || h.tell[0].Type != "status_401" {
		t.Errorf("%+v %+v", s, h.tell)
	}
}

// scriptedProbe answers by document.
type scriptedProbe struct {
	answer func(d *flush.Document) flush.Outcome
	err    error
	asked  int
	closed int
}

func (p *scriptedProbe) Try(_ context.Context, docs []flush.Document) ([]flush.Outcome, error) {
	if p.err != nil {
		return nil, p.err
	}
	out := make([]flush.Outcome, len(docs))
	for i := range docs {
		p.asked++
		out[i] = p.answer(&docs[i])
	}
	return out, nil
}

func (p *scriptedProbe) Close() []string { p.closed++; return []string{"taken away"} }

func TestReplay_DryRun_AsksTheDestination(t *testing.T) {
	probe := &scriptedProbe{answer: func(d *flush.Document) flush.Outcome {
		switch string(d.Source) {
		case "no":
			return flush.Outcome{Verdict: flush.Permanent, Status: 400, Type: "mapper_parsing_exception", Reason: "failed to parse field [n] of type [long] in document with id 'x'"}
		case "shut":
			return flush.Outcome{Verdict: flush.Blocked, Status: 400, Type: "index_closed_exception", Reason: "closed"}
		case "busy":
			return flush.Outcome{Verdict: flush.Retry, Status: 429}
		}
		return flush.Outcome{Verdict: flush.Delivered, Status: 201}
	}}
	h := newReplayHome(t)
	opened := 0
	for name, st := range h.r.Streams {
		st.NewProbe = func() Probe { opened++; return probe }
		h.r.Streams[name] = st
	}
	for i, event := range []string{"yes", "yes\nno", "shut", "busy", "boom", "yes", "yes"} {
		h.put(staged(wal.Offset(i+1), flush.StageTransform, event))
	}
	s := h.replay(Request{DryRun: true, Sample: 5})
	// boom is not asked about: it fails before; the last letter is beyond the sample.
	if s.Accepted != 2 || s.Refused != 2 || s.Ready != 2 || s.Failed != 1 || opened != 1 || probe.closed != 1 || probe.asked != 6 {
		t.Errorf("%+v, opened %d, closed %d, asked %d", s, opened, probe.closed, probe.asked)
	}
	if len(s.Notes) != 1 || s.Notes[0] != "taken away" || len(h.sink.sends) != 0 || h.mustGet(key(2, 0)).Attempts != 1 {
		t.Errorf("%+v", s)
	}
	found := false
	for _, o := range s.Outcomes {
		found = found || o == OutcomeCount{Result: ResultRefused, Type: "mapper_parsing_exception", Field: "", Count: 1, Example: key(2, 0)} ||
			o == OutcomeCount{Result: ResultRefused, Type: "mapper_parsing_exception", Field: "n", Count: 1, Example: key(2, 0)}
	}
	if !found {
		t.Errorf("%+v", s.Outcomes)
	}

	t.Run("cannot be asked", func(t *testing.T) {
		probe.err = errors.New("privilege missing")
		s := h.replay(Request{DryRun: true, Sample: -1})
		if s.Ready != 6 || len(s.Notes) != 2 || !strings.Contains(s.Notes[0], "memory was not asked, only the transform was checked: privilege missing") {
			t.Errorf("%+v", s)
		}
	})
	t.Run("cut off: what was made is taken away all the same", func(t *testing.T) {
		closed := probe.closed
		ctx, cancel := context.WithCancel(t.Context())
		probe.err = nil
		probe.answer = func(*flush.Document) flush.Outcome { cancel(); return flush.Outcome{} }
		_, err := h.r.Replay(ctx, Request{DryRun: true, Sample: -1}, func(Event) {})
		if probe.closed != closed+1 {
			t.Error("not closed", err)
		}
	})
}
