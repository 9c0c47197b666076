package flush

import (
	"context"
	"strings"
	"sync"
	"time"
	"unsafe"

	"github.com/weirlog/weir/wal"
)

// hold keeps documents apart from their batches that must not keep others waiting: those for an index or pipeline that a
// script chose and that takes nothing until an operator acts, and stragglers. Their records stay unsettled. They are
// sent again after pauses that grow, the former for ParkTimeout.
type hold struct {
	mu      sync.Mutex
	docs    []*heldDocument
	bytes   int64
	serving bool // a goroutine sends them
}

// heldDocument is a document with bytes of its own.
type heldDocument struct {
	doc      Document
	rec      wal.Record
	flight   *flight
	outcome  Outcome   // the last one
	since    time.Time // when it was held back, or was found to be blocked since
	size     int64     // that the hold counts
	raced    bool      // see Outcome.mayHaveRaced
	attempts int
}

// bytes is what the document takes of memory, as far as that is its own.
func (h *heldDocument) bytes() int64 {
	n := int(unsafe.Sizeof(*h)) + len(h.doc.ID) + len(h.doc.Index) + len(h.outcome.Reason) + len(h.rec.Payload)
	if !isUntouched(&h.rec, &h.doc) {
		n += len(h.doc.Source)
	}
	return int64(n)
}

// target is what documents are grouped by: what takes one of them takes the others.
type target struct{ index, pipeline string }

func (h *heldDocument) target() target { return target{h.doc.Index, h.doc.Pipeline} }

// holdBack takes documents out of their batch. It returns those that there is no room for.
func (l *lane) holdBack(b *batch, docs []Document, attempts int, o *Outcome) (rest []Document) {
	rest = docs[:0]
	h := &l.held
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range docs {
		held := newHeldDocument(b.record(docs[i].Key.Offset), &docs[i], attempts, o)
		if h.bytes+held.size > l.f.holdBytes && len(h.docs) > 0 {
			rest = append(rest, docs[i])
			continue
		}
		held.flight = b.flight
		l.tracker.hold(b.flight, 1)
		h.docs = append(h.docs, held)
		h.bytes += held.size
	}
	if !h.serving && len(h.docs) > 0 {
		h.serving = true
		l.f.goes(l.serveHeld)
	}
	return rest
}

// newHeldDocument copies what the batch will use again.
func newHeldDocument(rec *wal.Record, d *Document, attempts int, o *Outcome) *heldDocument {
	h := &heldDocument{doc: *d, rec: *rec, outcome: *o, since: time.Now(), attempts: attempts}
	h.rec.Payload = append([]byte(nil), rec.Payload...)
	h.doc.ID = strings.Clone(d.ID) // out of the allocation that it shares with others
	if isUntouched(rec, d) {
		h.doc.Source = h.rec.Payload
	} else {
		h.doc.Source = append([]byte(nil), d.Source...)
	}
	h.size = h.bytes()
	return h
}

// serveHeld sends held documents again until none is left, or ctx ends.
func (l *lane) serveHeld(ctx context.Context) error {
	pauses := l.f.opts.parkPauses()
	for {
		pause := min(pauses.NextBackOff(), l.untilExpiry(time.Now()))
		if err := sleep(ctx, pause); err != nil {
			return err
		}
		for _, docs := range l.held.groups() {
			went, err := l.sendHeld(ctx, docs)
			if err != nil {
				return err
			}
			if went {
				pauses.Reset()
			}
		}
		if l.held.done() {
			return nil
		}
	}
}

// done reports, and notes, that nothing is held any more.
func (h *hold) done() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.serving = len(h.docs) > 0
	return !h.serving
}

// groups returns the held documents by target.
func (h *hold) groups() [][]*heldDocument {
	h.mu.Lock()
	defer h.mu.Unlock()
	var groups [][]*heldDocument
	places := map[target]int{}
	for _, d := range h.docs {
		at, ok := places[d.target()]
		if !ok {
			at = len(groups)
			places[d.target()] = at
			groups = append(groups, nil)
		}
		groups[at] = append(groups[at], d)
	}
	return groups
}

// untilExpiry returns when the next of the held documents is given up; those whose time is over wait for an answer.
func (l *lane) untilExpiry(now time.Time) time.Duration {
	l.held.mu.Lock()
	defer l.held.mu.Unlock()
	least := time.Hour
	for _, d := range l.held.docs {
		if d.outcome.Verdict == Blocked {
			if left := d.since.Add(l.f.opts.ParkTimeout).Sub(now); left > 0 {
				least = min(least, left)
			}
		}
	}
	return least
}

// sendHeld sends the documents of one target: one of them while the target took nothing the last time, and the others when it
// is taken. It reports whether any was.
func (l *lane) sendHeld(ctx context.Context, docs []*heldDocument) (went bool, err error) {
	for len(docs) > 0 {
		n := 1
		if docs[0].outcome.Verdict != Blocked || went {
			n = Fitting(len(docs), func(i int) int { return len(docs[i].doc.Source) }, l.f.opts.BatchBytes, l.f.opts.BatchEvents)
		}
		ended, answered, err := l.tryHeld(ctx, docs[:n])
		if err != nil {
			return went, err
		}
		if ended == 0 {
			return went, l.expire(ctx, docs, answered)
		}
		went = true
		docs = docs[n:]
	}
	return went, nil
}

// tryHeld sends held documents once. It returns how many of them are at the end of their way, and whether there was an answer.
func (l *lane) tryHeld(ctx context.Context, docs []*heldDocument) (ended int, answered bool, err error) {
	request := make([]Document, len(docs))
	for i, d := range docs {
		request[i] = d.doc
	}
	turn, err := l.dest.turn(ctx, ctx)
	if err != nil {
		return 0, false, err
	}
	outcomes, err := l.dest.send(ctx, turn, request)
	re := asRequestError(err)
	switch {
	case ctx.Err() != nil:
		return 0, false, ctx.Err()
	case re.Split() && len(docs) > 1:
		first, _, err := l.tryHeld(ctx, docs[:len(docs)/2])
		if err != nil {
			return 0, false, err
		}
		second, answered, err := l.tryHeld(ctx, docs[len(docs)/2:])
		return first + second, answered, err
	case re.Split():
		return 1, true, l.settleHeld(ctx, docs, []Outcome{*refusal(re)})
	case re != nil:
		return 0, false, nil
	}
	var done []*heldDocument
	var how []Outcome
	for i, d := range docs {
		d.attempts++
		outcomes[i].Judge(l.stream.FailureStore, d.doc.Index)
		if outcomes[i].mayHaveRaced() && !d.raced {
			d.raced = true
			outcomes[i].Verdict = Retry
		}
		if outcomes[i].Verdict == Blocked && d.outcome.Verdict != Blocked {
			d.since = time.Now()
		}
		if d.outcome = outcomes[i]; !d.doc.Chosen && d.outcome.Verdict == Blocked {
			d.outcome.Verdict = Retry // the stream's own index: until an operator has acted, however long that takes
		}
		if v := outcomes[i].Verdict; v != Retry && v != Blocked {
			done, how = append(done, d), append(how, outcomes[i])
		}
	}
	return len(done), true, l.settleHeld(ctx, done, how)
}

// expire makes letters of documents that were held for long enough. That an index takes nothing counts only when
// the destination has just said so.
func (l *lane) expire(ctx context.Context, docs []*heldDocument, answered bool) error {
	var done []*heldDocument
	var how []Outcome
	for _, d := range docs {
		o := d.outcome
		reason := l.f.opts.exhausted(d.attempts, d.doc.ReceivedAt)
		if answered && o.Verdict == Blocked && time.Since(d.since) >= l.f.opts.ParkTimeout {
			reason = "the index or pipeline that a script chose took nothing for " + l.f.opts.ParkTimeout.String() + " (flush.park_timeout)"
		}
		if reason == "" {
			continue
		}
		o.Verdict, o.Reason = Permanent, reason+": "+o.Reason
		done, how = append(done, d), append(how, o)
	}
	for len(done) > 0 { // letters go into memory once more when they are put
		n := min(len(done), 1000)
		if err := l.settleHeld(ctx, done[:n], how[:n]); err != nil {
			return err
		}
		done, how = done[n:], how[n:]
	}
	return nil
}

// settleHeld takes documents that are at the end of their way out of the hold, after their letters are durable.
func (l *lane) settleHeld(ctx context.Context, docs []*heldDocument, outcomes []Outcome) error {
	if len(docs) == 0 {
		return nil
	}
	var count tally
	var letters []Letter
	gone := make(map[*heldDocument]bool, len(docs))
	for i, d := range docs {
		if l.ended(&count, &d.doc, &outcomes[i]); outcomes[i].Verdict == Permanent {
			letters = append(letters, l.letter(&d.rec, &d.doc, &outcomes[i], d.attempts))
		}
		gone[d] = true
	}
	if err := l.f.putLetters(ctx, letters); err != nil {
		return err
	}
	l.publish(&count)
	l.held.remove(gone)
	for _, d := range docs {
		l.tracker.settle(d.flight, 1)
	}
	return nil
}

func (h *hold) remove(gone map[*heldDocument]bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	kept := h.docs[:0]
	for _, d := range h.docs {
		if gone[d] {
			h.bytes -= d.size
		} else {
			kept = append(kept, d)
		}
	}
	clear(h.docs[len(kept):])
	h.docs = kept
}

// load returns how many documents are held, and their bytes.
func (h *hold) load() (docs int, bytes int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.docs), h.bytes
}
