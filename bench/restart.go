package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/weirlog/weir/bench/load"
	"github.com/weirlog/weir/bench/report"
)

// restartCases are backlogs that a weir has when it is killed.
var restartCases = []benchCase{
	{name: "0.1 GB behind", connections: 16, events: 100, eventBytes: 320, backlog: gigabyte / 10, takes: 1500 * time.Millisecond, targets: restartTargets},
	{name: "1 GB behind", connections: 16, events: 100, eventBytes: 320, backlog: gigabyte, takes: 10 * time.Second, full: true, targets: restartTargets},
	{name: "10 GB behind", connections: 16, events: 100, eventBytes: 320, backlog: 10 * gigabyte, takes: 100 * time.Second, full: true, targets: restartTargets},
}

var restartTargets = []target{weirTarget("weir, killed", weirSetup{round: restartRound})}

// restartRound kills a weir under load that has a backlog, and starts another on its data, with a sink that takes everything.
func restartRound(w weirSetup, ctx context.Context, l *lab, dir string, c *benchCase) (round report.Round, problems []string, err error) {
	b, err := w.holdUp(ctx, l, dir)
	if err != nil {
		return round, nil, err
	}
	defer b.close()
	acked, err := b.fill(ctx, c, l.amount(c.backlog))
	if err != nil {
		return round, nil, err
	}
	if round.BacklogMegabytes, err = b.megabytes(ctx); err != nil {
		return round, nil, err
	}
	more, err := b.killUnderLoad(ctx, c, acked)
	if err != nil {
		return round, nil, err
	}
	acked += more
	if err := b.tell(ctx, taking); err != nil {
		return round, nil, err
	}
	first, attempts, err := b.startAgain(ctx, &round)
	if err != nil {
		return round, nil, err
	}
	round.Acked = acked + 1 // the client that waited
	now, err := b.read(ctx)
	if err != nil {
		return round, nil, err
	}
	unknown := int64(c.connections*c.events + attempts) // had no answer, and may be in the log
	if now.acked < round.Acked || now.acked > round.Acked+unknown {
		problems = append(problems, fmt.Sprintf("%d events were acknowledged, at most %d more could be in the log, and it ends at offset %d", round.Acked, unknown, now.acked))
		round.Lost = max(round.Acked-now.acked, 0)
		return round, problems, nil
	}
	used, err := readUsage(b.process.cmd.Process.Pid)
	if err != nil {
		return round, nil, b.process.orEnded(err)
	}
	end, problems := b.settle(ctx, &round, now.acked)
	round.Drained = float64(now.acked) / end.Sub(first).Seconds()
	round.PeakMegabytes = float64(used.peak) / 1e6
	return round, problems, nil
}

// killUnderLoad kills weir while events arrive, of which acked are there already, and returns how many more were acknowledged.
func (b *heldUp) killUnderLoad(ctx context.Context, c *benchCase, acked int64) (more int64, err error) {
	plan := b.lab.plan(c, &target{}, b.server)
	plan.WarmUp, plan.Window = 0, longest
	loadCtx, stop := context.WithCancel(ctx)
	arriving := startLoad(loadCtx, plan)
	defer func() { stop(); <-arriving.done }()
	var failed error
	err = b.process.await(ctx, startPatience, func() bool {
		var now reading
		now, failed = b.read(ctx)
		return failed != nil || now.acked > acked
	})
	if err := errors.Join(err, failed); err != nil {
		return 0, err
	}
	b.process.kill()
	result, err := arriving.end() // its connections are gone
	if err == nil && result.Acked == 0 {
		err = errors.New("weir was killed before it had acknowledged anything of the load")
	}
	return result.Acked, err
}

// startAgain starts a weir on the data and asks it, from then on, for an acknowledgement, and the sink for a delivery. It
// returns when the first one came and how often the client had tried in vain.
func (b *heldUp) startAgain(ctx context.Context, round *report.Round) (firstDelivery time.Time, attempts int, err error) {
	begun := time.Now()
	if err := b.again(ctx); err != nil {
		return firstDelivery, 0, err
	}
	var acked time.Time
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		acked, attempts, err = b.firstAck(groupCtx)
		return err
	})
	group.Go(func() (err error) {
		firstDelivery, err = b.firstDelivery(groupCtx)
		return err
	})
	if err := group.Wait(); err != nil {
		return firstDelivery, attempts, err
	}
	round.FirstAck = acked.Sub(begun).Seconds() * 1e3
	round.FirstDelivery = firstDelivery.Sub(begun).Seconds() * 1e3
	return firstDelivery, attempts, nil
}

// knockEvery is how often the waiting client tries.
const knockEvery = time.Millisecond

// firstAck posts an event again and again until it is acknowledged.
func (b *heldUp) firstAck(ctx context.Context) (when time.Time, attempts int, err error) {
	event := load.Make(b.address, load.Shape{Path: b.path, Events: 1, EventBytes: 320, Variants: 1, Seed: 1})[0].Body()
	deadline := time.Now().Add(startPatience)
	tick := time.NewTicker(knockEvery)
	defer tick.Stop()
	for ; ; attempts++ {
		status, err := b.postEvent(ctx, event)
		now := time.Now()
		switch {
		case status == http.StatusAccepted:
			return now, attempts, nil
		case now.After(deadline):
			return now, attempts, fmt.Errorf("weir had acknowledged nothing %s after its start: status %d, %w\n%s", startPatience, status, err, b.process.tail())
		}
		select {
		case <-ctx.Done():
			return now, attempts, context.Cause(ctx)
		case <-b.process.exited:
			return now, attempts, b.process.orEnded(nil)
		case <-tick.C:
		}
	}
}

// postEvent posts one event and returns the status of the answer; 0 with an error when there is none.
func (b *heldUp) postEvent(ctx context.Context, event []byte) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+b.address+b.path, bytes.NewReader(event))
	if err != nil {
		return 0, fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := control.Do(req)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}
