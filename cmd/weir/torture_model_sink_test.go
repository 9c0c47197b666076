//go:build linux

package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/weirlog/weir/flush"
)

// modelSink is a destination that outlives weir. Each request waits until it is answered.
type modelSink struct {
	mu      sync.Mutex
	seen    []func(*reference) // what the reference is to be told once it knows of the appends; guarded by mu, like the fields below
	stored  map[string]string  // bodies by id
	pending []*modelRequest
	obeys   bool // everything is stored at once
	sends   int  // documents that came
}

type modelRequest struct {
	docs   []flush.Document
	answer chan modelAnswer // buffered
}

type modelAnswer struct {
	outcomes []flush.Outcome
	err      error
}

func (s *modelSink) take(ctx context.Context, docs []flush.Document) ([]flush.Outcome, error) {
	req := &modelRequest{docs: docs, answer: make(chan modelAnswer, 1)}
	s.mu.Lock()
	s.sends += len(docs)
	for _, d := range docs {
		d.Source = bytes.Clone(d.Source) // it may be another batch's when the reference hears of it
		s.seen = append(s.seen, func(r *reference) { r.sent(&d) })
	}
	if s.obeys {
		defer s.mu.Unlock()
		return s.storeLocked(docs), nil
	}
	s.pending = append(s.pending, req)
	s.mu.Unlock()
	select {
	case a := <-req.answer:
		return a.outcomes, a.err
	case <-ctx.Done():
		s.mu.Lock()
		defer s.mu.Unlock()
		s.pending = slices.DeleteFunc(s.pending, func(r *modelRequest) bool { return r == req })
		return nil, ctx.Err()
	}
}

// requests are those that wait, by the offsets that they begin with.
func (s *modelSink) requests() []*modelRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.SortFunc(s.pending, func(a, b *modelRequest) int { return cmp.Compare(a.docs[0].Key.Offset, b.docs[0].Key.Offset) })
	return slices.Clone(s.pending)
}

// respond answers a request.
func (s *modelSink) respond(r *modelRequest, a modelAnswer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending = slices.DeleteFunc(s.pending, func(other *modelRequest) bool { return r == other })
	r.answer <- a
}

// obey stores everything that waits and everything that comes; with false, requests wait again.
func (s *modelSink) obey(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.obeys = on
	for _, r := range s.pending {
		if on {
			r.answer <- modelAnswer{outcomes: s.storeLocked(r.docs)}
		}
	}
	if on {
		s.pending = nil
	}
}

// store stores documents and answers for each.
func (s *modelSink) store(docs []flush.Document) []flush.Outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.storeLocked(docs)
}

func (s *modelSink) storeLocked(docs []flush.Document) []flush.Outcome {
	outcomes := make([]flush.Outcome, len(docs))
	for i := range docs {
		d := &docs[i]
		outcomes[i] = flush.Outcome{Verdict: flush.Delivered, Status: 201}
		if body, there := s.stored[d.ID]; there {
			if body != string(d.Source) {
				s.seen = append(s.seen, func(r *reference) { r.wrong(&r.doubled, "a document comes with two bodies") })
			}
			outcomes[i] = flush.Outcome{Verdict: flush.Duplicate, Status: 409}
		}
		s.stored[d.ID] = string(d.Source)
		key := d.Key
		s.seen = append(s.seen, func(r *reference) { r.becomes(key, stored) })
	}
	return outcomes
}

// kept notes that letters are durable.
func (s *modelSink) kept(letters []flush.Letter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range letters {
		s.seen = append(s.seen, func(r *reference) { r.becomes(l.Key, lettered) })
	}
}

// tell tells the reference what happened since the last time.
func (s *modelSink) tell(r *reference) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.seen {
		f(r)
	}
	s.seen = nil
}

// has reports whether a document is stored.
func (s *modelSink) has(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, there := s.stored[id]
	return there
}

var errModelAnswerLost = errors.New("the answer was lost")

// lifeSink is the destination as one life sees it: one that has crashed reaches it no more.
type lifeSink struct {
	*modelSink
	life *modelLife
}

var _ flush.Sink = lifeSink{}

func (s lifeSink) Name() string { return "model" }

func (s lifeSink) Send(ctx context.Context, docs []flush.Document) ([]flush.Outcome, error) {
	if s.life.crashed.Load() {
		return nil, errModelCrashed
	}
	return s.take(ctx, docs)
}
