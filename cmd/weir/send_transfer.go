package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
)

// transfer moves one source to the service. One goroutine reads batches, a few post them, and the
// caller's collects: the position of the source moves only over an unbroken run of acknowledged
// batches, so that it never stands behind an event that was not acknowledged.
type transfer struct {
	source      string
	client      *ingestClient
	batches     *batcher
	concurrency int
	pace        func(ctx context.Context, events int) error // waits for the rate; nil for none
	// settled is called in the order of the source with each acknowledged batch.
	settled func(b *sendBatch) error
}

// run returns when every batch is settled, or after the first failure, or when ctx ends; what is under
// way then is still waited for and counted.
func (t *transfer) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var failed atomic.Bool
	work := make(chan *sendBatch)
	results := make(chan *sendBatch, t.concurrency)
	free := make(chan *sendBatch, 2*t.concurrency)
	for range cap(free) {
		free <- &sendBatch{}
	}
	var readErr error // written before work is closed, read after results is
	var reader, workers sync.WaitGroup
	reader.Go(func() {
		defer close(work)
		readErr = t.read(ctx, free, work)
	})
	for range t.concurrency {
		workers.Go(func() {
			for b := range work {
				// A batch in hand is sent although ctx has ended: later ones may be acknowledged already, and
				// would be sent twice if this one held the position back.
				if b.err = errNotSent; !failed.Load() {
					b.err = t.deliver(ctx, b, 0, len(b.ends))
				}
				results <- b
			}
		})
	}
	go func() {
		workers.Wait()
		close(results)
	}()
	err := t.collect(results, free, func(err error) {
		failed.Store(true)
		cancel(err)
	})
	reader.Wait()
	if err != nil {
		return err // readErr repeats it, or comes from later in the source
	}
	return readErr
}

func (t *transfer) read(ctx context.Context, free <-chan *sendBatch, work chan<- *sendBatch) error {
	for {
		var b *sendBatch
		select {
		case b = <-free:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		more, err := t.batches.fill(b)
		if more {
			if t.pace != nil && len(b.ends) > 0 && t.pace(ctx, len(b.ends)) != nil {
				return context.Cause(ctx)
			}
			select {
			case work <- b:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// collect puts the results back into the order of the source.
func (t *transfer) collect(results <-chan *sendBatch, free chan<- *sendBatch, stop func(error)) error {
	waiting := map[int]*sendBatch{}
	next := 0
	var failure error // the first; what follows it is mostly its echo
	fail := func(err error) {
		if failure == nil {
			failure = err
			stop(err)
		}
	}
	for b := range results {
		if b.err != nil {
			fail(b.err)
			continue // next never passes it
		}
		waiting[b.seq] = b
		for ready := waiting[next]; ready != nil; ready = waiting[next] {
			delete(waiting, next)
			next++
			if err := t.settled(ready); err != nil {
				fail(err)
			}
			free <- ready
		}
	}
	return failure
}

// errNotSent marks a batch that was read before another one failed.
var errNotSent = errors.New("not sent")

// serviceError is a failure that the next source would meet as well.
type serviceError struct{ err error }

func (e *serviceError) Error() string { return e.err.Error() }
func (e *serviceError) Unwrap() error { return e.err }

// deliver posts the events from lo up to hi of a batch. A nil error means that the service has
// answered for each of them: accepted, dead letter, or refused for good.
func (t *transfer) deliver(ctx context.Context, b *sendBatch, lo, hi int) error {
	if lo == hi {
		return nil // all of the batch was too large to send
	}
	body, contentType := b.body(lo, hi)
	answer, err := t.client.post(ctx, body, contentType)
	if err != nil {
		return &serviceError{err}
	}
	switch {
	case answer.Status == http.StatusAccepted:
		return t.accepted(b, lo, hi, answer)
	case hi-lo > 1 && (b.array || answer.Status == http.StatusRequestEntityTooLarge):
		// Too large together, or an array refused whole for one broken event: halves find which.
		middle := lo + (hi-lo)/2
		if err := t.deliver(ctx, b, lo, middle); err != nil {
			return err
		}
		return t.deliver(ctx, b, middle, hi)
	}
	t.refused(b, lo, hi, answer)
	return nil
}

func (t *transfer) accepted(b *sendBatch, lo, hi int, answer *ingestAnswer) error {
	if answer.Accepted < 0 || answer.DeadLettered < 0 || answer.Accepted+answer.DeadLettered != hi-lo {
		return &serviceError{fmt.Errorf("line %d: %d events were sent, but the service counted %d accepted and %d dead-lettered",
			b.lines[lo], hi-lo, answer.Accepted, answer.DeadLettered)}
	}
	b.counts.Accepted += int64(answer.Accepted)
	b.counts.DeadLettered += int64(answer.DeadLettered)
	for _, e := range answer.Errors {
		if len(b.dead) < maxReported {
			b.dead = append(b.dead, refusedEvent{t.source, b.lineOf(lo, hi, e), e.Code, e.Message})
		}
	}
	return nil
}

// refused notes that none of the events was taken, with the service's words for each where it has any.
func (t *transfer) refused(b *sendBatch, lo, hi int, answer *ingestAnswer) {
	reasons := map[int64]itemError{}
	for _, e := range answer.Errors {
		reasons[b.lineOf(lo, hi, e)] = e
	}
	for i := lo; i < hi; i++ {
		code, message := answer.Error.Code, answer.Error.Message
		if e, ok := reasons[b.lines[i]]; ok {
			code, message = e.Code, e.Message
		}
		if message == "" {
			message = "answered " + answer.String()
		}
		b.refuse(t.source, b.lines[i], code, message)
	}
}

// lineOf returns the line of the source that an answer about the events lo up to hi speaks of; 0 when
// it names none of them.
func (b *sendBatch) lineOf(lo, hi int, e itemError) int64 {
	i := lo + e.Line - 1
	if e.Index != nil {
		i = lo + *e.Index
	}
	if i < lo || i >= hi {
		return 0
	}
	return b.lines[i]
}
