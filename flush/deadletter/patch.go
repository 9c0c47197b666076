package deadletter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/wal"
)

// A patch is a script for one replay, so that a few lines can mend what was refused while the stream's script stays as it is.
//
//	stage             order                                     the patch's event is
//	index, ingest     event -> stream's script -> patch         a document that the stream's script made
//	transform         event -> patch -> stream's script         the event as received: the stream's script fails on it as it is
//	as sent           stored document -> patch                  that document
//
// A patch that fails says nothing about the letter: it is skipped, and keeps its own cause. Ids stay those of the letter (D7): a
// patch cannot set meta.id, and where it makes several documents of one, the further ones get -p1, -p2, ... behind that one's id.

// patchFailed is the type of letters that are skipped because of the patch.
const patchFailed = "patch_failed"

// patchError says that the patch, not the letter, is at fault.
type patchError struct{ cause error }

func (e *patchError) Error() string { return "patch: " + e.cause.Error() }
func (e *patchError) Unwrap() error { return e.cause }

// runPatch runs the patch on one event or document of the record. The results' Index, Pipeline and Routing are what the patch set.
func (p *replay) runPatch(ctx context.Context, rec *wal.Record, event []byte) ([]flush.Document, error) {
	patched := *rec
	patched.Payload, patched.Flags = event, 0
	docs, err := p.req.Patch.Transform(ctx, &patched)
	var failed *flush.TransformError
	if errors.As(err, &failed) {
		return nil, &patchError{err}
	}
	if err != nil {
		return nil, err
	}
	for i := range docs {
		if docs[i].ID != "" {
			return nil, &patchError{errors.New("it sets meta.id: a replay keeps the letter's id, so that it can be cut off and repeated")}
		}
	}
	return docs, nil
}

// patchEvents is the patch before the stream's script: it returns what each event that the patch made became, as one event's
// documents. Where the stream's script chooses no index, pipeline or routing of its own, what the patch set holds.
func (p *replay) patchEvents(ctx context.Context, it *item, rec *wal.Record) ([]flush.Document, error) {
	events, err := p.runPatch(ctx, rec, rec.Payload)
	if err != nil {
		return nil, err
	}
	it.patchDropped = len(events) == 0
	var all []flush.Document
	for i := range events {
		patched := *rec
		patched.Payload, patched.Flags = events[i].Source, 0
		docs, err := it.script(ctx, &patched)
		if err != nil {
			return nil, err
		}
		for j := range docs {
			d := &docs[j]
			d.Index, d.Pipeline, d.Routing = cmp.Or(d.Index, events[i].Index), cmp.Or(d.Pipeline, events[i].Pipeline), cmp.Or(d.Routing, events[i].Routing)
		}
		all = append(all, docs...)
	}
	if err := it.stream.Prepare(rec, all); err != nil {
		return nil, err
	}
	distinctIDs(all)
	return all, nil
}

// patchDocuments is the patch behind the stream's script: each document that the item would send goes through it.
func (p *replay) patchDocuments(ctx context.Context, it *item) error {
	if p.req.Patch == nil || it.result != "" || it.letter.Stage == flush.StageTransform && !it.sent {
		return nil
	}
	rec := it.record()
	var all []flush.Document
	for i := range it.docs {
		docs, err := p.patchDocument(ctx, it, rec, &it.docs[i])
		if err != nil {
			return err
		}
		all = append(all, docs...)
	}
	it.docs = all
	if len(all) == 0 {
		it.result, it.patchDropped = ResultDropped, true
	}
	return nil
}

// patchDocument returns what the patch makes of a prepared document.
func (p *replay) patchDocument(ctx context.Context, it *item, rec *wal.Record, doc *flush.Document) ([]flush.Document, error) {
	docs, err := p.runPatch(ctx, rec, doc.Source)
	if err != nil {
		return nil, err
	}
	for i := range docs {
		d := &docs[i]
		d.Script = cmp.Or(doc.Script, d.Script)
		id := doc.ID
		if i > 0 && id != "" {
			id = fmt.Sprintf("%s-p%d", doc.ID, i)
		}
		d.ID, d.Index, d.Pipeline, d.Routing = id, cmp.Or(d.Index, doc.Index), cmp.Or(d.Pipeline, doc.Pipeline), cmp.Or(d.Routing, doc.Routing)
		// The same checks as for a script's documents: a patch is no way around the indices that are allowed.
		if err := it.stream.Prepare(rec, docs[i:i+1]); err != nil {
			return nil, &patchError{err}
		}
		d.Key, d.Of, d.Op, d.ID = doc.Key, doc.Of, doc.Op, id
	}
	return docs, nil
}

// distinctIDs makes sure that no document of one letter stands in for another: a script that takes ids from the event gives all
// that a patch made of it the same one.
func distinctIDs(docs []flush.Document) {
	for i := range docs {
		same := func(d flush.Document) bool { return d.ID == docs[i].ID && d.Index == docs[i].Index }
		if docs[i].ID != "" && slices.ContainsFunc(docs[:i], same) {
			docs[i].ID = fmt.Sprintf("%s-p%d", docs[i].ID, i)
		}
	}
}
