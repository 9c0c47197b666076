package main

import (
	"context"
	"errors"
	"time"

	"github.com/weirlog/weir/bench/load"
	"github.com/weirlog/weir/bench/report"
)

// gigabyte is 10^9 bytes, of events: the log takes somewhat more.
const gigabyte = 1_000_000_000

// outageCases are backlogs that come about while the sink refuses, and are worked off while new events arrive.
var outageCases = []benchCase{
	{name: "1 GB behind", connections: 16, events: 100, eventBytes: 320, backlog: gigabyte, takes: 7 * time.Second, targets: outageTargets},
	{name: "10 GB behind", connections: 16, events: 100, eventBytes: 320, backlog: 10 * gigabyte, takes: 60 * time.Second, full: true, targets: outageTargets},
}

// outageTargets: what an event costs with an outage and without one.
var outageTargets = []target{
	weirTarget(report.NoOutage, weirSetup{round: steadyRound}),
	weirTarget("weir, outage", weirSetup{round: outageRound}),
}

// noOutageBytes bounds the events of the round without an outage: what one costs is known by then.
const noOutageBytes = 3 * gigabyte / 10

// steadyRound posts events to a weir whose sink takes them, as many as the backlog of the case has.
func steadyRound(w weirSetup, ctx context.Context, l *lab, dir string, c *benchCase) (round report.Round, problems []string, err error) {
	b, err := w.holdUp(ctx, l, dir)
	if err != nil {
		return round, nil, err
	}
	defer b.close()
	if err := b.tell(ctx, taking); err != nil {
		return round, nil, err
	}
	result, err := startLoad(ctx, b.fillPlan(c, min(l.amount(c.backlog), noOutageBytes))).wait(ctx)
	if err != nil {
		return round, nil, err
	}
	end, err := delivered(ctx, b.sink, result.Acked)
	if err != nil {
		return round, []string{err.Error()}, nil
	}
	b.delivers = true
	round = figures(result, b.server, end)
	used, err := readUsage(b.process.cmd.Process.Pid)
	if err != nil {
		return round, nil, b.process.orEnded(err)
	}
	addUse(&round, usage{}, used)
	_, problems = b.settle(ctx, &round, result.Acked)
	return round, problems, nil
}

// outageRound: the sink refuses while the backlog grows, then takes everything while new events arrive.
func outageRound(w weirSetup, ctx context.Context, l *lab, dir string, c *benchCase) (round report.Round, problems []string, err error) {
	b, err := w.holdUp(ctx, l, dir)
	if err != nil {
		return round, nil, err
	}
	defer b.close()
	seen := newSamples(b.read)
	filling := startLoad(ctx, b.fillPlan(c, l.amount(c.backlog)))
	err = seen.follow(ctx, filling.ended)
	filled, errFill := filling.wait(ctx)
	if err := errors.Join(err, errFill); err != nil {
		return round, nil, err
	}
	live, round, err := b.workOff(ctx, c, seen)
	if err != nil {
		return round, nil, err
	}
	round.Filled, round.Acked, round.Series = filled.Rate(), filled.Acked+live.Acked, seen.series
	used, err := readUsage(b.process.cmd.Process.Pid)
	if err != nil {
		return round, nil, b.process.orEnded(err)
	}
	addUse(&round, usage{}, used)
	_, problems = b.settle(ctx, &round, round.Acked)
	return round, problems, nil
}

// workOff lets the sink take what there is while new events arrive, until it has caught up with them.
func (b *heldUp) workOff(ctx context.Context, c *benchCase, seen *samples) (live *load.Result, round report.Round, err error) {
	size, err := b.megabytes(ctx)
	if err != nil {
		return nil, round, err
	}
	loadCtx, stop := context.WithCancel(ctx)
	arriving := startLoad(loadCtx, b.arrivingPlan(c))
	defer func() { stop(); <-arriving.done }()
	back := time.Now()
	if err := b.tell(ctx, taking); err != nil {
		return nil, round, err
	}
	first, err := b.firstDelivery(ctx)
	if err != nil {
		return nil, round, err
	}
	if err := seen.follow(ctx, caughtUp()); err != nil {
		return nil, round, err
	}
	stop()
	if live, err = arriving.wait(ctx); err != nil {
		return nil, round, err
	}
	round = figures(live, b.server, back)
	round.BacklogMegabytes, round.Offered = size, arrivingRate*float64(c.events)
	round.FirstDelivery = first.Sub(back).Seconds() * 1e3
	round.CatchUp = seen.last.at.Sub(back).Seconds()
	round.Drained = float64(seen.last.arrived) / seen.last.at.Sub(first).Seconds()
	return live, round, nil
}

// arrivingRate is how many requests a second come while a backlog is worked off, over arrivingConnections.
const (
	arrivingRate        = 200
	arrivingConnections = 4
)

// arrivingPlan is the load while a backlog is worked off.
func (b *heldUp) arrivingPlan(c *benchCase) load.Plan {
	p := b.lab.plan(c, &target{}, b.server)
	p.Connections, p.Rate, p.Threads, p.WarmUp, p.Window = arrivingConnections, arrivingRate, 1, 0, longest
	return p
}
