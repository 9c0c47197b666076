package flush

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/weirlog/weir/wal"
)

// send delivers docs, makes letters of those that never will be delivered, or holds them back. It goes on until every
// one of them is one of the three, or ctx ends.
func (l *lane) send(ctx context.Context, b *batch, docs []Document) error {
	for len(docs) > 0 {
		n := l.f.requestSize(docs)
		if err := l.sendRequest(ctx, b, docs[:n]); err != nil {
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

// sendRequest settles docs, which fit into one request as far as we know. Documents that may be stored later are
// sent again, alone, with the same bytes.
func (l *lane) sendRequest(ctx context.Context, b *batch, docs []Document) error {
	pauses := l.f.opts.retryPauses()
	begun := time.Now()
	failed := 0 // attempts; what an operator has to end does not count
	for len(docs) > 0 {
		l.ownFirst(docs)
		turn, err := l.wait(ctx, docs)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && l.dest.parked():
			continue // it was parked while they waited for something else
		case err != nil: // the first became too old
			docs = l.giveUp(b, docs, failed, &Outcome{Type: "too_old", Reason: "the destination took nothing meanwhile"})
			continue
		}
		asked := docs
		if turn.probe {
			asked = docs[:1] // while its own index takes nothing, the stream asks for one document
		}
		outcomes, err := l.dest.send(ctx, turn.destination, asked)
		if err != nil {
			l.own.giveUp(turn.probe)
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case isSplit(err) && len(asked) > 1:
			return l.halve(ctx, b, docs)
		case isSplit(err):
			b.letters = append(b.letters, l.letter(b.record(docs[0].Key.Offset), &docs[0], refusal(err), failed+1))
			docs = docs[1:]
		case err != nil: // the destination's gate makes the pause
			docs = l.requestFailed(b, docs, &failed, err)
		default:
			kept, why := l.sort(b, asked, outcomes, failed+1)
			l.ownAnswered(why, turn.probe)
			if len(kept) < len(asked) {
				pauses.Reset() // something went through
			}
			docs = append(kept, docs[len(asked):]...)
			if why.retry == nil || why.own != nil {
				continue
			}
			if !why.raced {
				failed++
			}
			if docs, err = l.again(ctx, b, docs, failed, begun, why.retry, pauses.NextBackOff()); err != nil {
				return err
			}
		}
	}
	return nil
}

// again decides what follows documents that were not taken: a letter where they were tried often enough, the hold for few of
// many, and a pause for the others.
func (l *lane) again(ctx context.Context, b *batch, docs []Document, failed int, begun time.Time, why *Outcome, pause time.Duration) ([]Document, error) {
	docs = l.giveUp(b, docs, failed, why)
	if failed >= stragglerAttempts && len(docs) <= max(len(b.docs)/stragglerShare, 1) && l.dest.tookSince(begun) {
		docs = l.holdBack(b, docs, failed, why)
	}
	if len(docs) == 0 {
		return nil, nil
	}
	return docs, sleep(ctx, pause)
}

// Documents that are not taken although most of their batch is, or other batches are, attempt after attempt, are stragglers: they are
// held back, so that they keep no worker from the batches behind.
const (
	stragglerAttempts = 3
	stragglerShare    = 4 // at most a fourth of the batch
)

// turn is the right to make one request.
type turn struct {
	probe       bool // of the stream's own index
	destination bool // of the destination
}

// wait waits until the lane may make a request: until its own index takes documents, where one of docs goes there, or its
// turn to ask has come; and then until the destination does. An error is ctx's, or that the first of docs became
// older than MaxAge while the destination failed; a park is an operator's matter and makes nothing too old.
func (l *lane) wait(ctx context.Context, docs []Document) (t turn, err error) {
	for {
		t, err = l.waitOnce(ctx, docs)
		if err != nil || t.probe || docs[0].Chosen || !l.own.isShut() {
			return t, err
		}
		l.dest.cancel(t.destination) // the index was found to take nothing while the destination's turn was awaited
		l.ownFirst(docs)
	}
}

func (l *lane) waitOnce(ctx context.Context, docs []Document) (t turn, err error) {
	if !docs[0].Chosen {
		if t.probe, err = l.own.pass(ctx); err != nil {
			return turn{}, err
		}
	}
	waiting := ctx
	if age := l.f.opts.MaxAge; age > 0 && !l.dest.parked() {
		var cancel context.CancelFunc
		waiting, cancel = context.WithDeadline(ctx, docs[0].ReceivedAt.Add(age))
		defer cancel()
	}
	if t.destination, err = l.dest.turn(ctx, waiting); err != nil {
		l.own.giveUp(t.probe)
		return turn{}, err
	}
	return t, nil
}

// causes are the outcomes that say why documents are sent again; nil for none.
type causes struct {
	retry *Outcome
	own   *Outcome // the stream's own index takes nothing
	raced bool     // retry is only for documents that may have lost a race for a mapping
}

// sort counts outcomes, makes letters of permanent failures, holds back what goes to an index that a script chose and
// that takes nothing, and moves the documents that are to be sent again to the front of docs.
func (l *lane) sort(b *batch, docs []Document, outcomes []Outcome, attempt int) (again []Document, why causes) {
	var count tally
	again = docs[:0]
	for i := range docs {
		o, d := &outcomes[i], &docs[i]
		raced := o.mayHaveRaced() && b.mayRace(d.Key)
		if raced {
			o.Verdict = Retry
		}
		switch {
		case l.ended(&count, d, o):
			if o.Verdict == Permanent {
				b.letters = append(b.letters, l.letter(b.record(d.Key.Offset), d, o, attempt))
			}
			continue
		case o.Verdict == Blocked && d.Chosen:
			if len(l.holdBack(b, docs[i:i+1], attempt, o)) == 0 {
				continue
			}
			full := *o
			full.Reason = fmt.Sprintf("an index or pipeline that a script chose takes nothing, and too much waits for it already (flush.park_timeout): %s", o.Reason)
			b.letters = append(b.letters, l.letter(b.record(d.Key.Offset), d, &full, attempt))
			continue
		case o.Verdict == Blocked:
			why.own = o
		default:
			why.raced = raced && (why.retry == nil || why.raced)
			why.retry = o
		}
		again = append(again, *d)
	}
	l.publish(&count)
	if why.retry != nil {
		l.f.opts.Metrics.retried("item_" + statusClass(why.retry.Status))
		l.f.health.failed("indexing", &ItemError{Documents: len(again), Outcome: *why.retry})
	}
	return again, why
}

// tally counts documents by outcome.
type tally struct {
	delivered, duplicates, failureStore int
}

// ended counts a document whose way is at its end: stored, or a letter. Into the failure store is delivered, or with
// that policy a letter: o says so then.
func (l *lane) ended(count *tally, d *Document, o *Outcome) bool {
	switch o.Verdict {
	case Delivered:
		switch {
		case o.FailureStore != "used":
			count.delivered++
		case l.stream.FailureStore == FailureStoreDeadLetter:
			o.Verdict, o.Type = Permanent, "failure_store"
			o.Reason = "the destination keeps it in the failure store of " + d.Index + ", not in the stream itself"
		default:
			count.failureStore++
		}
	case Duplicate:
		count.duplicates++
		if d.ID != d.Key.ID() {
			l.noteConflict(d)
		}
	case Permanent:
	default:
		return false
	}
	return true
}

func (l *lane) publish(count *tally) {
	m := l.f.opts.Metrics
	m.settled(outcomeDelivered, count.delivered)
	m.settled(outcomeDuplicate, count.duplicates)
	m.settled(outcomeFailureStore, count.failureStore)
	if count.delivered+count.duplicates+count.failureStore > 0 {
		l.f.health.delivered()
	}
}

// ownAnswered opens or shuts the lane's gate by what was said of documents for the stream's own index.
func (l *lane) ownAnswered(why causes, probe bool) {
	if probe && why.own == nil && why.retry != nil { // it was not asked whether the index takes documents: the destination is busy
		l.own.close(l.f.opts.parkPauses, probe, 0)
		return
	}
	if why.own != nil {
		l.f.opts.Metrics.retried("blocked")
		l.own.close(l.f.opts.parkPauses, probe, 0)
		l.ownStanding.become(StateParked, why.own.describe())
		return
	}
	if probe {
		l.own.open(probe)
		l.ownStanding.become(StateOK, "")
	}
}

// ownFirst puts documents for the stream's own index before the others while that takes nothing: the first one decides
// whether, and what, the lane asks for.
func (l *lane) ownFirst(docs []Document) {
	if !l.own.isShut() {
		return
	}
	rank := func(d *Document) int {
		if d.Chosen {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(docs, func(a, b Document) int { return rank(&a) - rank(&b) })
}

// requestFailed counts a request that failed as a whole. It returns the documents that are sent again.
func (l *lane) requestFailed(b *batch, docs []Document, failed *int, err error) []Document {
	cause := "other"
	var re *RequestError
	if errors.As(err, &re) {
		cause = re.Cause
	}
	l.f.opts.Metrics.retried(cause)
	l.f.health.failed("indexing", err)
	if re != nil && re.Parked() {
		return docs // an operator's matter: no number of attempts makes it the documents'
	}
	*failed++
	return l.giveUp(b, docs, *failed, refusal(err))
}

// giveUp makes letters of documents that were tried too often, or are too old, and returns the others. Both limits are off
// unless they are configured.
func (l *lane) giveUp(b *batch, docs []Document, attempts int, last *Outcome) []Document {
	kept := docs[:0]
	for i := range docs {
		reason := l.f.opts.exhausted(attempts, docs[i].ReceivedAt)
		if reason == "" {
			kept = append(kept, docs[i])
			continue
		}
		o := *last
		o.Reason = reason + ": " + last.Reason
		b.letters = append(b.letters, l.letter(b.record(docs[i].Key.Offset), &docs[i], &o, attempts))
	}
	return kept
}

// exhausted says why a document is not tried again; "" when it is.
func (o *Options) exhausted(attempts int, received time.Time) string {
	switch {
	case o.MaxAttempts > 0 && attempts >= o.MaxAttempts:
		return fmt.Sprintf("given up after %d attempts (flush.max_attempts)", attempts)
	case o.MaxAge > 0 && time.Since(received) >= o.MaxAge:
		return fmt.Sprintf("given up because it was received more than %s ago (flush.max_age)", o.MaxAge)
	}
	return ""
}

// halve sends the two halves of a request that was refused for what it holds.
func (l *lane) halve(ctx context.Context, b *batch, docs []Document) error {
	if err := l.sendRequest(ctx, b, docs[:len(docs)/2]); err != nil {
		return err
	}
	return l.sendRequest(ctx, b, docs[len(docs)/2:])
}

func isSplit(err error) bool {
	var re *RequestError
	return errors.As(err, &re) && re.Split()
}

// refusal is what a failed request says of a document of it.
func refusal(err error) *Outcome {
	o := &Outcome{Verdict: Permanent, Type: "request_refused", Reason: err.Error()}
	var re *RequestError
	if errors.As(err, &re) {
		o.Status = re.Status
		switch {
		case re.Type != "":
			o.Type = re.Type
		case !re.Split():
			o.Type = re.Cause
		}
	}
	return o
}

// letter keeps a document that the destination refused for good, with the event that it came from.
func (l *lane) letter(rec *wal.Record, d *Document, o *Outcome, attempts int) Letter {
	letter := newLetter(rec, StageIndex)
	letter.Key, letter.Status, letter.Type, letter.Reason, letter.Attempts = d.Key, o.Status, o.Type, o.Reason, max(attempts, 1)
	letter.Destination, letter.Index, letter.ID, letter.Pipeline, letter.Routing, letter.Of = l.dest.sink.Name(), d.Index, d.ID, d.Pipeline, d.Routing, d.Of
	letter.Document, letter.Script = d.Source, d.Script
	return letter
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
