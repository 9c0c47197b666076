package flush

import (
	"context"
	"errors"
	"time"

	"github.com/weirlog/weir/wal"
)

// send delivers docs, or makes letters of those that never will be. It goes on until every one of them
// is one or the other, or ctx ends. Documents that may be stored later are sent again, alone, with the
// same bytes.
func (f *Flusher) send(ctx context.Context, b *batch, docs []Document) error {
	for len(docs) > 0 {
		n := f.requestSize(docs)
		if err := f.sendRequest(ctx, b, docs[:n]); err != nil {
			return err
		}
		docs = docs[n:]
	}
	return nil
}

// requestSize returns how many of docs go into one request: a transform may have made more of a batch
// than a request should hold.
func (f *Flusher) requestSize(docs []Document) int {
	bytes := 0
	for i := range docs {
		bytes += len(docs[i].Source)
		if i > 0 && (bytes > 2*f.opts.BatchBytes || i >= f.opts.BatchEvents) {
			return i
		}
	}
	return len(docs)
}

// sendRequest settles docs, which fit into one request as far as we know.
func (f *Flusher) sendRequest(ctx context.Context, b *batch, docs []Document) error {
	wait := f.newBackOff()
	for len(docs) > 0 {
		start := time.Now()
		outcomes, err := f.opts.Sink.Send(ctx, docs)
		f.opts.Metrics.bulk(time.Since(start), len(docs))
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var pause time.Duration
		if err == nil {
			var again int
			if again = f.sort(b, docs, outcomes); again < len(docs) {
				wait.Reset() // something went through
			}
			docs = docs[:again]
			if again > 0 {
				pause = wait.NextBackOff()
			}
		} else {
			var split bool
			if split, pause = f.requestFailed(err, wait.NextBackOff()); split {
				return f.halve(ctx, b, docs, err)
			}
		}
		if len(docs) == 0 {
			return nil
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
	return nil
}

// sort counts outcomes, makes letters of permanent failures, and moves the documents that are to be sent
// again to the front of docs. It returns how many those are.
func (f *Flusher) sort(b *batch, docs []Document, outcomes []Outcome) (again int) {
	var delivered, duplicates int
	var retried *Outcome
	for i := range docs {
		o := &outcomes[i]
		switch o.Verdict {
		case Delivered:
			delivered++
		case Duplicate:
			duplicates++
		case Permanent:
			b.letters = append(b.letters, f.indexLetter(b, &docs[i], o))
		default:
			retried = o
			docs[again] = docs[i]
			again++
		}
	}
	f.opts.Metrics.settled("delivered", delivered)
	f.opts.Metrics.settled("duplicate", duplicates)
	if again > 0 {
		f.opts.Metrics.retried("item_" + statusClass(retried.Status))
		f.health.failing("indexing", &ItemError{Documents: again, Outcome: *retried})
	} else {
		f.health.delivered()
	}
	return again
}

// requestFailed decides what follows a request that failed as a whole.
func (f *Flusher) requestFailed(err error, backOff time.Duration) (split bool, pause time.Duration) {
	f.health.failing("indexing", err)
	var re *RequestError
	if !errors.As(err, &re) {
		f.opts.Metrics.retried("other")
		return false, backOff
	}
	f.opts.Metrics.retried(re.Cause)
	if re.Parked() {
		backOff = f.opts.RetryMax // nothing changes until somebody acts: do not hammer
	}
	return re.Split(), max(backOff, re.RetryAfter)
}

// halve sends the two halves of a request that was refused for what it holds. A single document that is
// refused like this never will be stored.
func (f *Flusher) halve(ctx context.Context, b *batch, docs []Document, err error) error {
	if len(docs) > 1 {
		if err := f.sendRequest(ctx, b, docs[:len(docs)/2]); err != nil {
			return err
		}
		return f.sendRequest(ctx, b, docs[len(docs)/2:])
	}
	o := Outcome{Verdict: Permanent, Type: "request_refused", Reason: err.Error()}
	var re *RequestError
	if errors.As(err, &re) {
		o.Status = re.Status
		if re.Type != "" {
			o.Type = re.Type
		}
	}
	b.letters = append(b.letters, f.indexLetter(b, &docs[0], &o))
	return nil
}

// indexLetter keeps a document that the destination refused for good, with the event that it came from.
func (f *Flusher) indexLetter(b *batch, d *Document, o *Outcome) Letter {
	l := newLetter(b.record(d.Key.Offset), StageIndex)
	l.Key, l.Status, l.Type, l.Reason = d.Key, o.Status, o.Type, o.Reason
	l.Destination, l.Index, l.ID, l.Pipeline, l.Routing, l.Of = f.opts.Sink.Name(), d.Index, d.ID, d.Pipeline, d.Routing, d.Of
	l.Document, l.Script = d.Source, d.Script
	return l
}

// record returns the record of the batch with the given offset.
func (b *batch) record(o wal.Offset) *wal.Record {
	lo, hi := 0, len(b.records)-1
	for lo < hi {
		mid := (lo + hi + 1) / 2
		if b.records[mid].Offset <= o {
			lo = mid
		} else {
			hi = mid - 1
		}
	}
	return &b.records[lo]
}

// statusClass names a status for a metric's label.
func statusClass(status int) string {
	switch {
	case status == 429:
		return "429"
	case status == 403:
		return "403"
	case status >= 500:
		return "5xx"
	}
	return "other"
}
