package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/weirlog/weir/bench/load"
	"github.com/weirlog/weir/bench/marks"
	"github.com/weirlog/weir/bench/report"
)

// otherCases are what the receivers and the ceilings get, as far as their formats carry so many events in a request.
var otherCases = []benchCase{
	{name: "1 event a request, 64 connections", connections: 64, events: 1, eventBytes: 320},
	{name: "100 events a request, 16 connections", connections: 16, events: 100, eventBytes: 320},
}

// runOthers puts loads on the receivers that the user has started, in turn with the ceilings. What they lose or double is
// in the report; it fails nothing, because it is nothing of ours. The error says what kept the measurement from being made.
func (l *lab) runOthers(ctx context.Context) error {
	defer l.endRestarted()
	sink, address, err := startChild(ctx, l, l.dir, "counter", 0, "--bulk", l.others.sink)
	if err != nil {
		return err
	}
	defer sink.kill()
	l.say("the sink takes bulk requests at http://%s", l.others.sink)
	counter := &counterClient{url: "http://" + address}
	cases := make([]benchCase, len(otherCases))
	total := time.Duration(0)
	taken := map[*other]bool{}
	for i, c := range otherCases {
		c.targets = []target{noop, bare}
		for _, t := range l.others.all {
			if most := t.format.MaxEvents(); (most == 0 || c.events <= most) && !(taken[t] && t.killedOnce()) {
				taken[t] = true
				c.targets = append(c.targets, l.otherTarget(counter, t))
			}
		}
		cases[i] = c
		total += time.Duration(l.rounds*len(c.targets)) * (l.takes(&c) + l.others.settle)
	}
	l.say("this takes %s, and more where events do not arrive", about(total))
	l.startBar(total)
	for i := range cases {
		if err := l.runCase(ctx, "beside others", &cases[i]); err != nil {
			return err
		}
	}
	return nil
}

// endRestarted ends what --restart started.
func (l *lab) endRestarted() {
	for _, t := range l.others.all {
		if t.restarted != nil {
			t.restarted.kill()
		}
	}
}

// otherTarget is a receiver as a target with rounds of its own.
func (l *lab) otherTarget(counter *counterClient, t *other) target {
	name := t.name
	if t.kill {
		name += ", SIGKILL in the middle"
	}
	return target{name: name, measure: func(ctx context.Context, l *lab, _ string, c *benchCase) (report.Round, []string, error) {
		r := otherRound{lab: l, other: t, counter: counter, title: c.name + ", " + name, known: true}
		round, err := r.make(ctx, c)
		return round, nil, err
	}}
}

// otherRound is one round of a receiver.
type otherRound struct {
	*lab
	other   *other
	counter *counterClient
	title   string // for notes
	ledger  marks.Ledger

	cpu   time.Duration // that its processes had used at their ends, less what they had at the round's beginning
	peak  int64         // of its processes
	known bool          // cpu and peak are of all of its processes
	down  time.Duration // from its end until it took connections again
}

// make puts the load on the receiver, and holds what it acknowledged against what arrived.
func (r *otherRound) make(ctx context.Context, c *benchCase) (round report.Round, err error) {
	run := marks.Run(rand.Uint32()) // a receiver may still hold events of an earlier call of the benchmark
	if err := r.counter.begin(ctx, run); err != nil {
		return round, err
	}
	if err := r.count(-1); err != nil {
		return round, err
	}
	own, err := readUsage(os.Getpid())
	if err != nil {
		return round, err
	}
	result, err := r.load(ctx, r.plan(c, run))
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return round, fmt.Errorf("load: %w", err)
	}
	ownAfter, err := readUsage(os.Getpid())
	if err != nil {
		return round, err
	}
	round = figures(result, &server{}, result.Ended)
	if err := r.judge(ctx, result, &round); err != nil {
		return round, err
	}
	if err := r.count(1); err != nil {
		return round, err
	}
	millions := float64(max(result.Acked, 1)) / 1e6
	round.GeneratorCPU = (ownAfter.cpu - own.cpu).Seconds() / millions
	if r.known {
		round.CPU, round.PeakMegabytes = r.cpu.Seconds()/millions, float64(r.peak)/1e6
	}
	return round, nil
}

// plan is the load of a case in the receiver's format. Connections that the receiver ends are opened again: some do that
// after a number of requests.
func (r *otherRound) plan(c *benchCase, run marks.Run) load.Plan {
	t := r.other
	shape := load.Shape{Path: t.path, Events: c.events, EventBytes: c.eventBytes, Seed: 1, Format: t.format, Run: &run,
		Variants: min(variants, max(variantBytes/(c.events*c.eventBytes), 1))}
	return load.Plan{
		Address: t.address, Connections: c.connections, Threads: r.threads, Requests: load.Make(t.host, shape),
		WarmUp: r.window() / 5, Window: r.window(), Patience: r.others.patience,
		Acknowledges: t.format.Acknowledges, Ledger: &r.ledger, Reopen: true,
	}
}

// load puts the plan on the receiver, in two parts with SIGKILL between them where that was asked for.
func (r *otherRound) load(ctx context.Context, plan load.Plan) (*load.Result, error) {
	if !r.other.kill {
		return load.Run(ctx, plan)
	}
	first, err := r.loadUntilKilled(ctx, plan)
	if err != nil {
		return nil, err
	}
	down := time.Now()
	if err := r.restart(ctx); err != nil {
		return nil, err
	}
	r.down = time.Since(down)
	plan.WarmUp, plan.Window = 0, plan.Window/2
	second, err := load.Run(ctx, plan)
	if err != nil {
		return nil, err
	}
	first.Add(second)
	return first, nil
}

// judge waits until what was acknowledged has arrived, and says what did not, and what arrived twice.
func (r *otherRound) judge(ctx context.Context, result *load.Result, round *report.Round) error {
	if result.Failures > 0 && !r.other.kill { // around SIGKILL connections fail
		r.note("%d requests were not acknowledged or lost their connection, the first: %s", result.Failures, result.Failure)
	}
	if r.other.ackOnly {
		return nil
	}
	v, counts, err := r.counter.await(ctx, &r.ledger, r.others.patience, r.others.settle)
	if err != nil {
		return err
	}
	round.Marked, round.Lost, round.Doubled = true, v.Lost, counts.Doubled
	if took := counts.Latest.Sub(result.Begun).Seconds(); counts.Events > 0 && took > 0 {
		round.Delivered = float64(counts.Events) / took
	}
	switch {
	case r.other.kill:
		r.note("down for %.2f s; %d of %d events had no acknowledgement, of these %d arrived: neither lost nor doubled", r.down.Seconds(), v.Unanswered, v.Sent, v.UnansweredIn)
	case v.Unanswered > 0:
		r.note("%d of %d events had no acknowledgement, of these %d arrived: neither lost nor doubled", v.Unanswered, v.Sent, v.UnansweredIn)
	}
	switch {
	case counts.Events == 0 && v.Acked > 0:
		r.note("nothing arrived: does it deliver to http://%s? Where it cannot, write ,ack behind its format", r.others.sink)
	case v.Lost+counts.Doubled > 0:
		r.note("of %d acknowledged events %d never arrived; %d events arrived more than once", v.Acked, v.Lost, counts.Doubled)
	}
	return nil
}

// note puts a sentence about the round into the report.
func (r *otherRound) note(format string, args ...any) {
	r.lab.note("%s: %s", r.title, fmt.Sprintf(format, args...))
}
