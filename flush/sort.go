package flush

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/weirlog/weir/wal"
)

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
		o.Judge(l.stream.FailureStore, d.Index)
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

// ended counts a document whose way is at its end: stored, or a letter. It reports false when it is not.
func (l *lane) ended(count *tally, d *Document, o *Outcome) bool {
	switch o.Verdict {
	case Delivered:
		if o.FailureStore == FailureStoreUsed {
			count.failureStore++
		} else {
			count.delivered++
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
func (l *lane) requestFailed(b *batch, docs []Document, failed *int, re *RequestError) []Document {
	l.f.opts.Metrics.retried(re.Cause)
	l.f.health.failed("indexing", re)
	if re.Parked() {
		return docs // an operator's matter: no number of attempts makes it the documents'
	}
	*failed++
	return l.giveUp(b, docs, *failed, refusal(re))
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

// refusal is what a failed request says of a document of it.
func refusal(re *RequestError) *Outcome {
	o := re.Refusal()
	if o.Type == "" && re.Split() {
		o.Type = "request_refused"
	}
	o.Type = cmp.Or(o.Type, re.Cause)
	return &o
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
