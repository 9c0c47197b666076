package deadletter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weirlog/weir/flush"
)

// Largest request of a replay.
const (
	requestBytes     = 5 << 20
	requestDocuments = 5000
)

// sending is a document of an item without a final outcome.
type sending struct {
	it  *item
	doc int
}

func (s sending) document() *flush.Document { return &s.it.docs[s.doc] }

// deliver sends the documents of the items, stream by stream, until each has a final outcome.
func (p *replay) deliver(ctx context.Context, items []*item) error {
	var names []string
	byStream := map[string][]sending{}
	for _, it := range items {
		if it.open == 0 {
			continue
		}
		name := it.letter.Stream
		if byStream[name] == nil {
			names = append(names, name)
		}
		for d := range it.docs {
			byStream[name] = append(byStream[name], sending{it, d})
		}
	}
	for _, name := range names {
		err := inRequests(byStream[name], func(docs []sending) error { return p.deliverRequest(ctx, docs) })
		if err != nil {
			return err
		}
	}
	return nil
}

// inRequests calls do for as many of the documents at a time as go into one request, until it fails.
func inRequests(docs []sending, do func([]sending) error) error {
	for len(docs) > 0 {
		n := flush.Fitting(len(docs), func(i int) int { return len(docs[i].document().Source) }, requestBytes, requestDocuments)
		if err := do(docs[:n]); err != nil {
			return err
		}
		docs = docs[n:]
	}
	return nil
}

// deliverRequest sends documents of one stream. Those that may be stored later are sent again alone, with the same bytes, after
// pauses; letters that are done are recorded before each pause.
func (p *replay) deliverRequest(ctx context.Context, docs []sending) error {
	wait := p.newBackOff()
	items := itemsOf(docs)
	for {
		n := len(docs)
		again, why, err := p.round(ctx, docs)
		if recordErr := p.record(ctx, items); err != nil || recordErr != nil {
			return errors.Join(err, recordErr)
		}
		if len(again) == 0 {
			return nil
		}
		if len(again) < n {
			wait.Reset() // something went through
		}
		docs = again
		pause := max(wait.NextBackOff(), why.after)
		p.progress(Event{
			Done: p.done, Total: p.summary.Total, Key: docs[0].it.entry.Key, Result: ResultWaiting,
			Documents: len(docs), Type: why.typ, Reason: why.reason, Pause: pause, Parked: why.parked,
		})
		if err := p.pause(ctx, pause); err != nil {
			return err
		}
	}
}

func itemsOf(docs []sending) []*item {
	var items []*item
	for _, d := range docs {
		if n := len(items); n == 0 || items[n-1] != d.it {
			items = append(items, d.it)
		}
	}
	return items
}

// reason says why documents are sent again.
type reason struct {
	typ, reason string
	after       time.Duration // what the destination asked for
	parked      bool          // nothing changes until an operator acts
}

// round sends documents once and returns those that are to be sent again. A request that is too large is halved. An error means
// that ctx ended; the outcomes are not known then.
func (p *replay) round(ctx context.Context, docs []sending) (again []sending, why reason, err error) {
	request := make([]flush.Document, len(docs))
	for i := range docs {
		request[i] = *docs[i].document()
	}
	outcomes, err := docs[0].it.stream.Sink.Send(ctx, request)
	if err != nil && ctx.Err() != nil {
		return docs, why, ctx.Err()
	}
	if err == nil && len(outcomes) != len(docs) {
		err = fmt.Errorf("%d outcomes for %d documents", len(outcomes), len(docs))
	}
	if err != nil {
		return p.requestFailed(ctx, docs, err)
	}
	for i := range docs {
		if outcomes[i].Verdict == flush.Retry {
			again = append(again, docs[i])
			why = reason{typ: outcomes[i].Type, reason: outcomes[i].Reason}
			continue
		}
		p.settleDocument(docs[i], &outcomes[i])
	}
	return again, why, nil
}

// requestFailed decides what a failed request means for its documents.
func (p *replay) requestFailed(ctx context.Context, docs []sending, err error) (again []sending, why reason, _ error) {
	why = reason{typ: "request", reason: err.Error()}
	var request *flush.RequestError
	if !errors.As(err, &request) {
		return docs, why, nil
	}
	why.typ, why.after, why.parked = request.Cause, request.RetryAfter, request.Parked()
	if !request.Split() {
		return docs, why, nil
	}
	if len(docs) == 1 {
		refused := request.Refusal()
		refused.Type = cmp.Or(refused.Type, request.Cause)
		p.settleDocument(docs[0], &refused)
		return nil, why, nil
	}
	half := len(docs) / 2
	again, why, err = p.round(ctx, docs[:half])
	if err != nil {
		return docs, why, err
	}
	more, whyMore, err := p.round(ctx, docs[half:])
	if len(more) > 0 {
		why = whyMore
	}
	return append(again, more...), why, err
}

// settleDocument takes a final outcome. A letter whose documents are not all delivered stays whole, whatever its stage: the next
// replay sends all of them again, and those that are there already answer as duplicates. Only what the destination says it holds
// counts as delivered: any other verdict, also one that this code does not know, leaves the letter.
func (p *replay) settleDocument(d sending, o *flush.Outcome) {
	it := d.it
	kept := o.Verdict == flush.Delivered && o.FailureStore == flush.FailureStoreUsed
	if kept {
		p.summary.FailureStore++
	}
	o.Judge(it.stream.FailureStore, d.document().Index)
	switch {
	case o.Verdict == flush.Delivered && kept:
	case o.Verdict == flush.Delivered:
		p.summary.Documents++
	case o.Verdict == flush.Duplicate:
		p.summary.Duplicates++
	default:
		it.refused(d.document(), o)
	}
	it.open--
	switch {
	case it.open > 0:
	case it.cause.Type != "":
		it.result = ResultFailed
	default:
		it.result = ResultDelivered
	}
}

// refused notes why a document was not taken. The first refusal is the letter's cause.
func (it *item) refused(doc *flush.Document, o *flush.Outcome) {
	if it.cause.Type != "" {
		return
	}
	why := o.Reason
	if len(it.docs) > 1 {
		why = fmt.Sprintf("document %d of %d, %s in %s: %s", doc.Key.Ordinal+1, len(it.docs), doc.ID, doc.Index, why)
	}
	it.cause.Key, it.cause.Status, it.cause.Type, it.cause.Reason = it.entry.Key, o.Status, cmp.Or(o.Type, "refused"), why
	it.cause.Destination = it.stream.Sink.Name()
}
