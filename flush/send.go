package flush

import (
	"context"
	"time"
)

// send delivers docs, makes letters of those that never will be delivered, or holds them back. It goes on until every
// one of them is one of the three, or ctx ends.
func (l *lane) send(ctx context.Context, b *batch, docs []Document) error {
	for len(docs) > 0 {
		// A transform may have made more of a batch than a request should hold.
		n := Fitting(len(docs), func(i int) int { return len(docs[i].Source) }, 2*l.f.opts.BatchBytes, l.f.opts.BatchEvents)
		if err := l.sendRequest(ctx, b, docs[:n]); err != nil {
			return err
		}
		docs = docs[n:]
	}
	return nil
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
		re := asRequestError(err)
		if re != nil {
			l.own.giveUp(turn.probe)
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case re.Split() && len(asked) > 1:
			return l.halve(ctx, b, docs)
		case re.Split():
			b.letters = append(b.letters, l.letter(b.record(docs[0].Key.Offset), &docs[0], refusal(re), failed+1))
			docs = docs[1:]
		case re != nil: // the destination's gate makes the pause
			docs = l.requestFailed(b, docs, &failed, re)
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

// halve sends the two halves of a request that was refused for what it holds.
func (l *lane) halve(ctx context.Context, b *batch, docs []Document) error {
	if err := l.sendRequest(ctx, b, docs[:len(docs)/2]); err != nil {
		return err
	}
	return l.sendRequest(ctx, b, docs[len(docs)/2:])
}
