package deadletter

import (
	"context"
	"errors"
	"fmt"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/wal"
)

// item is a letter on its way through a replay.
type item struct {
	entry  Entry
	letter Letter
	stream Stream
	docs   []flush.Document // to send
	open   int              // of docs, without a final outcome
	sent   bool             // docs are the document as sent

	unsure bool // dry run: the destination could not say of a document

	patchDropped bool // the patch, and not the stream's script, dropped it

	result   Result  // "" while open
	cause    Attempt // with ResultFailed and ResultSkipped
	recorded bool
}

func (it *item) fail(status int, typ, reason string) {
	it.result = ResultFailed
	it.cause.Key = it.entry.Key
	it.cause.Status, it.cause.Type, it.cause.Reason = status, typ, reason
}

func (it *item) skip(typ, reason string) {
	it.result = ResultSkipped
	it.cause.Script = ""
	it.cause.Type, it.cause.Reason = typ, reason
}

// prepare makes the documents of a letter, or its result when there is nothing to send. An error means that the letter could
// not be tried.
//
//	stage      sent                                               settled when
//	ingest     the event, validated, then as transform            all its documents are delivered, or the script drops it
//	transform  what the script makes of the event                 likewise
//	index      the document of the same ordinal; or as sent       it is delivered
//	log        nothing                                            somebody drops it
func (p *replay) prepare(ctx context.Context, it *item, damage error) error {
	l := &it.letter
	stream, declared := p.Streams[l.Stream]
	it.stream = stream
	switch {
	case damage != nil:
		it.skip("dead_letter_damaged", damage.Error())
	case l.Stage == flush.StageLog:
		it.skip("nothing_to_send", "its bytes are damaged; drop it when it has been looked at")
	case !declared:
		it.skip("unknown_stream", fmt.Sprintf("stream %q is not declared", l.Stream))
	case l.Stage == flush.StageIndex && p.req.AsSent:
		it.asSent()
	default:
		if err := p.transform(ctx, it); err != nil {
			return p.blame(it, err)
		}
	}
	if err := p.patchDocuments(ctx, it); err != nil {
		return p.blame(it, err)
	}
	p.ready(it)
	return nil
}

// blame makes a result of what the patch, the stream's script or Prepare said against the letter. Other errors end the replay.
func (p *replay) blame(it *item, err error) error {
	var patch *patchError
	var failed *flush.TransformError
	switch {
	case errors.As(err, &patch):
		it.skip(patchFailed, patch.Error())
	case errors.As(err, &failed):
		it.fail(0, failed.Type, failed.Message)
		if failed.Script != "" {
			it.cause.Script = failed.Script
		}
	default:
		return fmt.Errorf("transform letter %s: %w", it.letter.Key, err)
	}
	it.docs = nil
	return nil
}

// ready notes how many documents wait for an outcome; in a dry run that is the result.
func (p *replay) ready(it *item) {
	if it.result != "" {
		return
	}
	if it.open = len(it.docs); it.open > 0 && p.req.DryRun {
		it.result = ResultReady
	}
}

// asSent takes the stored document.
func (it *item) asSent() {
	l := &it.letter
	switch {
	case l.Document == nil:
		it.skip("nothing_to_send", "the letter holds no document")
	case !l.EditedAt.IsZero():
		it.skip("edited", "the event was edited after the document was made; replay it without --as-sent")
	default:
		it.sent = true
		it.docs = []flush.Document{{
			Key: l.Key, Of: max(1, l.Of), Stream: l.Stream, ReceivedAt: l.ReceivedAt, Index: l.Index, ID: l.ID,
			Pipeline: l.Pipeline, Routing: l.Routing, Source: l.Document, Op: it.stream.Op,
		}}
	}
}

// transform makes the documents with the script in force.
func (p *replay) transform(ctx context.Context, it *item) error {
	l := &it.letter
	if l.Stage == flush.StageIngest || !l.EditedAt.IsZero() {
		if err := p.Validate(l.Event); err != nil {
			it.invalid(err)
			return nil
		}
	}
	rec := it.record()
	var docs []flush.Document
	var err error
	if p.req.Patch != nil && l.Stage == flush.StageTransform {
		docs, err = p.patchEvents(ctx, it, rec)
	} else if docs, err = it.script(ctx, rec); err == nil {
		err = it.stream.Prepare(rec, docs)
	}
	if err != nil {
		return err
	}
	p.choose(it, docs)
	return nil
}

// invalid fails an event that is none. A letter that ingest refused and nobody has edited fails as it did: its type and reason
// say more than a new one would.
func (it *item) invalid(err error) {
	if l := &it.letter; l.Stage == flush.StageIngest && l.EditedAt.IsZero() {
		it.fail(l.Status, l.Type, l.Reason)
		return
	}
	it.fail(400, "invalid_event", err.Error())
}

// record is the letter's event as the log had it.
func (it *item) record() *wal.Record {
	l := &it.letter
	return &wal.Record{
		Offset: l.Key.Offset, Epoch: l.Key.Epoch, Stream: l.Stream, Remote: l.Remote, ReceivedAt: l.ReceivedAt,
		Payload: l.Event, Count: 1,
	}
}

// script makes documents of an event with the stream's script in force.
func (it *item) script(ctx context.Context, rec *wal.Record) ([]flush.Document, error) {
	if it.stream.Transformer == nil {
		return []flush.Document{{Source: rec.Payload}}, nil
	}
	it.cause.Script = it.stream.Transformer.Version()
	docs, err := it.stream.Transformer.Transform(ctx, rec)
	if len(docs) > 0 && docs[0].Script != "" {
		it.cause.Script = docs[0].Script // the version in force may have been exchanged in between
	}
	return docs, err
}

// choose takes those of the event's documents that the letter stands for.
func (p *replay) choose(it *item, docs []flush.Document) {
	l := &it.letter
	was := max(1, l.Of)
	switch {
	case l.Stage != flush.StageIndex:
		it.docs = docs
	case len(docs) == was && int(l.Key.Ordinal) < was:
		it.docs = docs[l.Key.Ordinal : l.Key.Ordinal+1 : l.Key.Ordinal+1]
		return
	case !p.req.AsNew:
		it.fail(0, "document_count", fmt.Sprintf(
			"the script now makes %d documents of this event, it made %d; --as-new sends all of them under new ids", len(docs), was))
		return
	default:
		for i := range docs {
			docs[i].ID = newID(l.Key, i, len(docs))
		}
		it.docs = docs
	}
	if len(docs) == 0 {
		it.result = ResultDropped
	}
}

// newID names a document that is sent under a new id. It is made from the record and not from the letter, so that several
// letters of one event send each document once; and from the number of documents, so that those of a script that made another
// number do not stand in for these.
func newID(k flush.Key, ordinal, of int) string {
	return fmt.Sprintf("%s-%d-n%d-%d", k.Epoch, k.Offset, of, ordinal)
}
