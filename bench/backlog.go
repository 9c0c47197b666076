package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weirlog/weir/bench/load"
	"github.com/weirlog/weir/bench/report"
)

// heldUp is a weir beside a sink of its own that refuses and takes as it is told: how backlogs come about. The sink runs all
// the time, so that its counts hold for the whole round.
type heldUp struct {
	*server
	lab    *lab
	binary string
	dir    string
	sink   string // URL
}

// Controls of the sink.
const (
	refusing = `{"unavailable":1}` // 503 for every bulk request
	taking   = `{}`
)

// holdUp starts a weir whose sink, a child with these flags, refuses. Without a bound, since the default of 10 GiB is less than 10 GB of events take.
func (w weirSetup) holdUp(ctx context.Context, l *lab, dir string, flags ...string) (_ *heldUp, err error) {
	sink, address, err := startChild(ctx, l, dir, "sink", 0, flags...)
	if err != nil {
		return nil, err
	}
	b := &heldUp{server: &server{path: "/ingest", others: []*process{sink}}, lab: l, binary: cmp.Or(w.binary, l.weir), dir: dir, sink: "http://" + address}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	if err := b.tell(ctx, refusing); err != nil {
		return nil, err
	}
	return b, b.launch(ctx, b.binary, dir, b.sink, unbounded)
}

var unbounded = []string{"WEIR_WAL_MAX_BYTES=0"}

// again begins another weir on the same data. It does not wait.
func (b *heldUp) again(ctx context.Context) error {
	return b.begin(ctx, b.binary, b.dir, b.sink, unbounded)
}

// tell sets what the sink makes of bulk requests.
func (b *heldUp) tell(ctx context.Context, chaos string) error {
	return post(ctx, b.sink+"/_elastictest/chaos", chaos)
}

// read says how much was acknowledged and delivered.
func (b *heldUp) read(ctx context.Context) (reading, error) {
	arrived, err := arrivals(ctx, b.sink) // first, so that no event is delivered before it is acknowledged
	if err != nil {
		return reading{}, err
	}
	offset, err := metric(ctx, b.admin, "weir_wal_durable_offset")
	if err != nil {
		return reading{}, b.process.orEnded(err)
	}
	return reading{time.Now(), int64(offset), arrived.Created}, nil
}

// fillPlan posts events of so many bytes together, as fast as they are acknowledged.
func (b *heldUp) fillPlan(c *benchCase, bytes int) load.Plan {
	p := b.lab.plan(c, &target{}, b.server)
	p.WarmUp, p.Window = 0, 0
	p.Limit = max(bytes/(c.events*c.eventBytes*c.connections), 1)
	return p
}

// fill makes a backlog of so many bytes of events and returns how many they are.
func (b *heldUp) fill(ctx context.Context, c *benchCase, bytes int) (events int64, err error) {
	result, err := startLoad(ctx, b.fillPlan(c, bytes)).wait(ctx)
	return result.Acked, err
}

// megabytes is the size of the log.
func (b *heldUp) megabytes(ctx context.Context) (float64, error) {
	size, err := metric(ctx, b.admin, "weir_wal_bytes")
	return size / 1e6, err
}

// firstDelivery waits until something has arrived at the sink and returns when.
func (b *heldUp) firstDelivery(ctx context.Context) (when time.Time, err error) {
	var failed error
	err = b.process.await(ctx, catchUpPatience, func() bool {
		var stats sinkStats
		stats, failed = arrivals(ctx, b.sink)
		when = time.Now()
		return failed != nil || stats.Created > 0
	})
	return when, errors.Join(err, failed)
}

// settle waits until the sink has everything, ends weir in order, and looks whether more came.
func (b *heldUp) settle(ctx context.Context, round *report.Round, events int64) (end time.Time, problems []string) {
	end, err := delivered(ctx, b.sink, events)
	if err == nil {
		if err = b.process.stop(stopPatience); err == nil {
			_, err = delivered(ctx, b.sink, events)
		}
	}
	if err != nil {
		problems = append(problems, err.Error())
	}
	if stats, err := arrivals(ctx, b.sink); err == nil { // else it is among the problems
		round.Lost, round.Doubled = max(events-stats.Created, 0), max(stats.Created-events, 0)
	}
	return end, problems
}

// underway is a load that runs beside something else.
type underway struct {
	done   chan struct{}
	result *load.Result
	err    error // both valid after done
}

// startLoad starts a load, which ends when it has sent what it may, or ctx ends.
func startLoad(ctx context.Context, plan load.Plan) *underway {
	u := &underway{done: make(chan struct{})}
	go func() {
		u.result, u.err = load.Run(ctx, plan)
		close(u.done)
	}()
	return u
}

// end returns what came of the load when it has ended. Result is never nil.
func (u *underway) end() (*load.Result, error) {
	<-u.done
	if u.err != nil {
		return &load.Result{}, fmt.Errorf("load: %w", u.err)
	}
	return u.result, nil
}

// wait is end for a load that has to be acknowledged to the last. ctx is that of the round.
func (u *underway) wait(ctx context.Context) (*load.Result, error) {
	r, err := u.end()
	if problems := refusals(r); err == nil && len(problems) > 0 {
		err = errors.New(problems[0])
	}
	if ctx.Err() != nil { // the signal is the reason, not what it made fail
		err = context.Cause(ctx)
	}
	return r, err
}

// ended reports whether the load has ended, for samples.follow.
func (u *underway) ended(_, _ reading) (bool, error) {
	select {
	case <-u.done:
		return true, nil
	default:
		return false, nil
	}
}
