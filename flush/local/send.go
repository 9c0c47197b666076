package local

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/weirlog/weir/flush"
)

// A call's documents are stored in batches of at most this size, which bounds memory: a batch takes about
// ten times its source while it is made.
const (
	batchDocuments = 1_000
	batchBytes     = 1 << 20
)

// maxIDBytes is the longest document id, as in Elasticsearch.
const maxIDBytes = 512

// Send stores the documents. Delivered means on disk and found by the next search; Duplicate that a
// document of that id and index was there, whose bytes stay as they are. Permanent is what is no JSON
// object or has no usable id. A *flush.RequestError says that nothing was stored; where only part was,
// the outcomes of the rest are Retry. Calls at the same time share the library's writes.
//
// A batch that was begun is finished though ctx ends.
func (s *Store) Send(ctx context.Context, docs []flush.Document) ([]flush.Outcome, error) {
	if err := s.enter(); err != nil {
		return nil, requestError(err)
	}
	defer s.leave()
	defer s.metrics.observeSend(time.Now())
	outcomes := make([]flush.Outcome, len(docs))
	for start := 0; start < len(docs); {
		end := batchEnd(docs, start)
		if err := s.sendBatch(ctx, docs[start:end], outcomes[start:end]); err != nil {
			if start == 0 {
				return nil, requestError(err)
			}
			for i := start; i < len(docs); i++ {
				outcomes[i] = flush.Outcome{Verdict: flush.Retry, Type: "store_failed", Reason: err.Error()}
			}
			break
		}
		start = end
	}
	s.countOutcomes(outcomes)
	return outcomes, nil
}

// batchEnd returns the end of the batch that begins at start; it holds at least one document.
func batchEnd(docs []flush.Document, start int) int {
	size := 0
	for i := start; i < len(docs); i++ {
		size += len(docs[i].Source)
		if i > start && (size > batchBytes || i-start == batchDocuments) {
			return i
		}
	}
	return len(docs)
}

func (s *Store) countOutcomes(outcomes []flush.Outcome) {
	var n [flush.Permanent + 1]int
	for _, o := range outcomes {
		n[o.Verdict]++
	}
	for v, count := range n {
		s.metrics.countVerdict(flush.Verdict(v).String(), count)
	}
}

// requestError says in the flusher's terms why nothing was stored.
func requestError(err error) *flush.RequestError {
	e := &flush.RequestError{Cause: "store", Err: err}
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		e.Cause = "canceled"
	case errors.Is(err, ErrClosed):
		e.Cause = "closed"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		e.Cause = "disk_full"
	case errors.Is(err, syscall.EROFS), errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		e.Cause = "not_writable"
	}
	e.Verdict = flush.ClassifyRequest(0, e.Cause, "", "")
	return e
}

// pick is one batch on its way: the documents that may be stored, each id once.
type pick struct {
	ids   []string
	at    []int       // ids[i] is docs[at[i]]
	twins map[int]int // document -> earlier document of the same identity
}

// choose judges what can be judged by looking, and picks the rest.
func choose(docs []flush.Document, outcomes []flush.Outcome) pick {
	p := pick{ids: make([]string, 0, len(docs)), at: make([]int, 0, len(docs))}
	seen := make(map[string]int, len(docs))
	for i := range docs {
		if refusal, ok := refuse(&docs[i]); ok {
			outcomes[i] = refusal
			continue
		}
		id := identity(&docs[i])
		if first, ok := seen[id]; ok {
			if p.twins == nil {
				p.twins = make(map[int]int)
			}
			p.twins[i] = first
			continue
		}
		seen[id] = i
		p.ids, p.at = append(p.ids, id), append(p.at, i)
	}
	return p
}

func refuse(doc *flush.Document) (flush.Outcome, bool) {
	no := func(typ, reason string) (flush.Outcome, bool) {
		return flush.Outcome{Verdict: flush.Permanent, Status: 400, Type: typ, Reason: reason}, true
	}
	id := documentID(doc)
	switch {
	case len(id) > maxIDBytes:
		return no("illegal_argument_exception", fmt.Sprintf("id has %d bytes, at most %d are allowed", len(id), maxIDBytes))
	case strings.IndexByte(id, 0) >= 0:
		return no("illegal_argument_exception", "id holds a NUL byte")
	case strings.IndexByte(doc.Index, 0) >= 0 || len(doc.Index) > 255:
		return no("invalid_index_name_exception", "index name holds a NUL byte or is over 255 bytes long")
	case !isObject(doc.Source):
		return no("document_parsing_exception", "source is not a JSON object")
	}
	return flush.Outcome{}, false
}

// sendBatch stores one batch and fills in its outcomes; after an error they mean nothing.
func (s *Store) sendBatch(ctx context.Context, docs []flush.Document, outcomes []flush.Outcome) error {
	picked := choose(docs, outcomes)
	release, err := s.claims.take(ctx, picked.ids)
	if err != nil {
		return err
	}
	defer release()
	select {
	case s.writers <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.writers }()

	if err := s.heal(s.active()); err != nil {
		return err
	}
	found, err := s.existing(ctx, picked.ids)
	if err != nil {
		return err
	}
	if err := s.store(docs, picked, found); err != nil {
		return err
	}
	for i, id := range picked.ids {
		outcomes[picked.at[i]] = flush.Outcome{Verdict: flush.Delivered, Status: 201}
		if _, ok := found[id]; ok {
			outcomes[picked.at[i]] = flush.Outcome{Verdict: flush.Duplicate, Status: 409}
		}
	}
	for i := range picked.twins {
		outcomes[i] = flush.Outcome{Verdict: flush.Duplicate, Status: 409}
	}
	return nil
}

// store writes the picked documents that were not found.
func (s *Store) store(docs []flush.Document, picked pick, found map[string]struct{}) error {
	if len(found) == len(picked.ids) {
		return nil
	}
	s.rotation.RLock()
	p := s.active()
	b := newBuilder(p.names)
	batch := make([]*document, 0, len(picked.ids))
	b.reserve(len(picked.ids))
	for i, id := range picked.ids {
		if _, ok := found[id]; !ok {
			batch = append(batch, b.add(&docs[picked.at[i]], id))
		}
	}
	err := p.write(batch)
	s.rotation.RUnlock()
	if err != nil {
		// The library may still hold the documents: the builder is not used again.
		return errors.Join(err, s.heal(p))
	}
	b.release()
	s.tidy()
	return nil
}
