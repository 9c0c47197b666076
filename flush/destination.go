package flush

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// destination is a sink with what is known of how it takes documents. Streams with the same sink share it.
type destination struct {
	sink     Sink
	name     string // of the sink; with a number where two have the same
	gate     gate
	limiter  *limiter
	standing standing
	retries  func() *backoff.ExponentialBackOff
	parks    func() *backoff.ExponentialBackOff
	// lastTaken is when it stored a document last, in nanoseconds since 1970.
	lastTaken atomic.Int64
	fullSize  int // bytes from which a request's time says something
	metrics   *Metrics
}

func newDestination(sink Sink, name string, opts *Options) *destination {
	d := &destination{
		sink: sink, name: name,
		limiter:  newLimiter(opts.MaxInFlight),
		retries:  opts.retryPauses,
		parks:    opts.parkPauses,
		fullSize: opts.BatchBytes / 4,
		metrics:  opts.Metrics,
	}
	d.standing.begin(opts.Logger.With("destination", name))
	return d
}

// turn waits until the destination may be sent a request: while it takes nothing, one of all who wait asks it
// now and then (probe). send has to follow. waiting ends the waiting while it takes nothing, ctx all of it.
func (d *destination) turn(ctx, waiting context.Context) (probe bool, err error) {
	for {
		if probe, err = d.gate.pass(waiting); err != nil {
			return false, err
		}
		if err := d.limiter.acquire(ctx); err != nil {
			d.gate.giveUp(probe)
			return false, err
		}
		if probe || !d.gate.isShut() {
			return probe, nil
		}
		d.limiter.cancel() // it was shut while others had their turn
	}
}

// cancel gives a turn back that was not used.
func (d *destination) cancel(probe bool) {
	d.limiter.cancel()
	d.gate.giveUp(probe)
}

// send makes one request, and learns from it. An error is ctx's, or that of the request.
func (d *destination) send(ctx context.Context, probe bool, docs []Document) ([]Outcome, error) {
	r := reply{sent: time.Now(), bytes: sourceBytes(docs)}
	outcomes, err := d.sink.Send(ctx, docs)
	if err == nil && len(outcomes) != len(docs) {
		err = fmt.Errorf("%d outcomes for %d documents", len(outcomes), len(docs)) // a sink that breaks its contract
	}
	r.took = time.Since(r.sent)
	r.full = r.bytes >= d.fullSize
	d.metrics.bulk(r.took, len(docs))
	if ctx.Err() != nil {
		d.cancel(probe) // what it would have said is not known
		return nil, ctx.Err()
	}
	d.learn(r, outcomes, err, probe)
	return outcomes, err
}

// learn draws the conclusions of one answer.
func (d *destination) learn(r reply, outcomes []Outcome, err error, probe bool) {
	re := asRequestError(err)
	taken := d.count(outcomes)
	r.full = r.full && 2*taken > len(outcomes) // a refusal is quick, and tells nothing of how long storing takes
	refused := d.nothingTaken(outcomes, r.sent)
	r.rejected = re != nil && !re.Split() || refused != nil || firstOf(outcomes, isBusy) != nil
	answers := false
	switch {
	case re != nil && re.Parked():
		d.gate.close(d.parks, probe, 0)
		d.standing.become(StateParked, err.Error())
	case re != nil && !re.Split():
		d.gate.close(d.retries, probe, re.RetryAfter)
		d.standing.become(refusing(re.Status), err.Error())
	case refused != nil:
		d.gate.close(d.retries, probe, 0)
		d.standing.become(refusing(refused.Status), refused.describe())
	default:
		answers = d.gate.open(probe) // also where it refuses what a request holds: it answers
	}
	// The turn is given back behind the gate: whoever gets it looks whether that is shut.
	if slow := d.limiter.release(time.Now(), r); answers {
		d.answered(outcomes, slow, r.took)
	}
}

// refusing is the state of a destination that takes nothing for now.
func refusing(status int) State {
	if status == http.StatusTooManyRequests {
		return StateRejecting
	}
	return StateDown
}

// answered notes the state that a request tells of which went through, in parts at least.
func (d *destination) answered(outcomes []Outcome, slow bool, took time.Duration) {
	switch retry := firstOf(outcomes, isRetry); {
	case retry != nil:
		d.standing.become(StateRejecting, retry.describe())
	case slow || took > slowAnswer:
		d.standing.become(StateSlow, fmt.Sprintf("the last answer took %s", took.Round(time.Millisecond)))
	default:
		d.standing.become(StateOK, "")
	}
}

// parked reports whether somebody has to act before it takes anything.
func (d *destination) parked() bool { return d.standing.condition().State == StateParked }

func isRetry(o *Outcome) bool { return o.Verdict == Retry }

// isBusy reports whether the destination had too much to do for a document.
func isBusy(o *Outcome) bool { return o.Verdict == Retry && o.Status == http.StatusTooManyRequests }

// firstOf returns the first outcome of a kind; nil when there is none.
func firstOf(outcomes []Outcome, is func(*Outcome) bool) *Outcome {
	for i := range outcomes {
		if is(&outcomes[i]) {
			return &outcomes[i]
		}
	}
	return nil
}

// count returns how many documents were stored, and remembers when any was.
func (d *destination) count(outcomes []Outcome) (taken int) {
	known := false
	for i := range outcomes {
		switch outcomes[i].Verdict {
		case Delivered:
			taken++
		case Duplicate:
			known = true
		}
	}
	if taken > 0 || known {
		d.lastTaken.Store(time.Now().UnixNano())
	}
	return taken
}

// tookSince reports whether the destination has stored anything since a time.
func (d *destination) tookSince(t time.Time) bool { return d.lastTaken.Load() >= t.UnixNano() }

// nothingTaken returns an outcome when the destination refused every document for now: because it had too much to do, or for whatever
// reason while it has stored nothing else of late. Otherwise the trouble is with the shards of those documents, and others may go on.
func (d *destination) nothingTaken(outcomes []Outcome, sent time.Time) *Outcome {
	if len(outcomes) == 0 || firstOf(outcomes, func(o *Outcome) bool { return !isRetry(o) }) != nil {
		return nil
	}
	if firstOf(outcomes, func(o *Outcome) bool { return !isBusy(o) }) == nil || !d.tookSince(sent.Add(-settleTime)) {
		return &outcomes[0]
	}
	return nil
}

// slowAnswer is what nobody calls quick, however slow the destination has always been.
const slowAnswer = 20 * time.Second

// DestinationStatus is a snapshot of a destination.
type DestinationStatus struct {
	Name string `json:"name"`
	Condition
	Limit    int `json:"limit"`     // requests at a time that it is sent now
	InFlight int `json:"in_flight"` // requests under way
}

func (d *destination) status() DestinationStatus {
	st := DestinationStatus{Name: d.name, Condition: d.standing.condition()}
	st.Limit, st.InFlight = d.limiter.load()
	return st
}

func sourceBytes(docs []Document) int {
	n := 0
	for i := range docs {
		n += len(docs[i].Source)
	}
	return n
}
