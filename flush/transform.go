package flush

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/weirlog/weir/wal"
)

// transform makes documents, or letters, of every record of the batch that is not settled yet.
func (l *lane) transform(ctx context.Context, b *batch) error {
	for i := range b.records {
		rec := &b.records[i]
		_, declared := l.f.byName[rec.Stream]
		switch {
		case rec.Flags&wal.FlagDamaged != 0:
			b.letters = append(b.letters, damageLetter(rec))
		case rec.Flags&wal.FlagRejected != 0:
			b.letters = append(b.letters, rejectionLetter(rec))
		case !declared:
			err := &TransformError{Type: "unknown_stream", Message: "stream " + rec.Stream + " is not declared"}
			b.letters = append(b.letters, transformLetter(rec, err))
		default:
			if err := l.transformEvent(ctx, b, rec); err != nil {
				return err
			}
		}
	}
	return nil
}

// transformEvent adds the documents of one event to the batch, or its letter.
func (l *lane) transformEvent(ctx context.Context, b *batch, rec *wal.Record) error {
	var known []uint32
	if rec.Offset <= l.f.opts.Redelivered {
		var err error
		if known, err = l.f.known(ctx, rec); err != nil {
			return err
		}
	}
	start := len(b.docs)
	failed, err := l.documents(ctx, b, rec)
	switch {
	case err != nil:
		return err
	case failed != nil:
		b.docs = b.docs[:start]
		b.letters = append(b.letters, transformLetter(rec, failed))
	case len(b.docs) == start:
		b.dropped++
	case len(known) > 0: // these documents are letters already, or were and are settled
		kept := slices.DeleteFunc(b.docs[start:], func(d Document) bool { return slices.Contains(known, d.Key.Ordinal) })
		b.docs = b.docs[:start+len(kept)]
	}
	return nil
}

// documents appends the record's documents to the batch. A TransformError is returned as failed; err
// means that the event could not be tried.
func (l *lane) documents(ctx context.Context, b *batch, rec *wal.Record) (failed *TransformError, err error) {
	start, stream := len(b.docs), &l.stream
	if stream.Transformer == nil {
		b.docs = append(b.docs, Document{Source: rec.Payload})
	} else {
		docs, err := stream.Transformer.Transform(ctx, rec)
		if err != nil {
			return asTransformError(err)
		}
		b.docs = append(b.docs, docs...)
	}
	if err := stream.Route.Prepare(&b.arena, rec, b.docs[start:]); err != nil {
		if failed, err = asTransformError(err); failed != nil && stream.Transformer != nil {
			failed.Script = scriptOf(b.docs[start:], stream.Transformer)
			if t, ok := stream.Transformer.(Blamed); ok && failed.Type == TypeIndexNotAllowed {
				t.Blame(failed)
			}
		}
		return failed, err
	}
	return nil, nil
}

// scriptOf names the version that made the documents. The one in force may be another by now; it is asked only for an event
// without documents.
func scriptOf(docs []Document, t Transformer) string {
	if len(docs) > 0 && docs[0].Script != "" {
		return docs[0].Script
	}
	return t.Version()
}

// asTransformError tells the event's fault from a failure to try it. Apart, so that what errors.As needs on
// the heap is allocated for failures only.
func asTransformError(err error) (*TransformError, error) {
	var failed *TransformError
	if errors.As(err, &failed) {
		return failed, nil
	}
	return nil, err
}

// known asks the dead letters which documents of a record they have had, until they answer.
func (f *Flusher) known(ctx context.Context, rec *wal.Record) ([]uint32, error) {
	wait := f.opts.retryPauses()
	for {
		ordinals, err := f.opts.DeadLetters.Known(rec.Epoch, rec.Offset)
		if err == nil {
			return ordinals, nil
		}
		f.health.failing("looking up dead letters", err)
		if err := sleep(ctx, wait.NextBackOff()); err != nil {
			return nil, err
		}
	}
}

func newLetter(rec *wal.Record, stage Stage) Letter {
	now := time.Now().UTC()
	return Letter{
		Key: Key{Epoch: rec.Epoch, Offset: rec.Offset}, Records: rec.Count, Stage: stage, Attempts: 1,
		FirstAt: now, LastAt: now, Stream: rec.Stream, ReceivedAt: rec.ReceivedAt, Remote: rec.Remote, Event: rec.Payload,
	}
}

func damageLetter(rec *wal.Record) Letter {
	l := newLetter(rec, StageLog)
	l.Type, l.Reason, l.Event = "damaged_record", rec.Reason, nil
	l.Kept = rec.Damage.Kept
	return l
}

// rejectionLetter keeps what ingest rejected; its reason is "code: message".
func rejectionLetter(rec *wal.Record) Letter {
	l := newLetter(rec, StageIngest)
	l.Status = 400
	code, message, _ := strings.Cut(rec.Reason, ": ")
	l.Type, l.Reason = code, message
	return l
}

func transformLetter(rec *wal.Record, err *TransformError) Letter {
	l := newLetter(rec, StageTransform)
	l.Type, l.Reason, l.Script = err.Type, err.Message, err.Script
	return l
}
