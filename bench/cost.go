package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/weirlog/weir/bench/load"
	"github.com/weirlog/weir/bench/report"
)

// costCases are what should not make an event dearer.
var costCases = []benchCase{
	{name: "writing with 0.5 GB behind", connections: 16, events: 100, eventBytes: 320, backlog: gigabyte / 2, takes: 3 * time.Second, targets: fewCostTargets},
	{name: "writing with 1 GB behind", connections: 16, events: 100, eventBytes: 320, backlog: gigabyte, takes: 7 * time.Second, full: true, targets: costTargets},
	{name: "writing with 10 GB behind", connections: 16, events: 100, eventBytes: 320, backlog: 10 * gigabyte, takes: 35 * time.Second, full: true, targets: costTargets},
	// A fixed number of requests, so that many connections do not send fewer.
	{name: "1 event a request, many connections", connections: 10_000, events: 1, eventBytes: 320, total: 200_000, takes: 5 * time.Second, full: true, targets: []target{
		weirTarget(report.FewConnections, weirSetup{connections: 64, round: connectionsRound}),
		weirTarget("weir, 10,000 connections", weirSetup{round: connectionsRound}),
	}},
}

// costTargets write at full rate. On a small machine delivery, and the sink, take processor time from whoever writes. So the
// backlog also goes to a sink that takes no more than a real one of such a machine would, and reading alone is a row of its
// own: weir verifies its log meanwhile, again and again, which reads every frame as fast as it can and sends nothing.
var (
	costTargets    = []target{emptyLog, nothingRead, logRead, drainingSlowly, draining}
	fewCostTargets = []target{emptyLog, nothingRead, draining}

	emptyLog       = costs(report.EmptyLog, cost{})
	nothingRead    = costs(report.NothingRead, cost{behind: true})
	logRead        = costs("weir, log read", cost{behind: true, verifies: true})
	drainingSlowly = costs("weir, draining 100,000/s", cost{behind: true, drains: true, pace: 100_000})
	draining       = costs("weir, draining", cost{behind: true, drains: true})
)

// cost is what a weir has behind it while it is written to.
type cost struct {
	name     string // of the target
	behind   bool   // the backlog of the case
	verifies bool   // it reads it
	drains   bool   // it delivers it
	pace     int    // documents that the sink takes a second; 0: as many as come
}

func costs(name string, k cost) target {
	k.name = name
	return weirTarget(name, weirSetup{round: k.round})
}

// connectionsRound looks at what an event costs, without what opening the connections costs.
func connectionsRound(w weirSetup, ctx context.Context, l *lab, dir string, c *benchCase) (round report.Round, problems []string, err error) {
	s, err := w.start(ctx, l, dir, c)
	if err != nil {
		return round, nil, fmt.Errorf("start: %w", err)
	}
	defer s.close()
	var before usage
	var errBefore error
	plan := l.plan(c, &target{}, s)
	plan.AtStart = func() { before, errBefore = readUsage(s.process.cmd.Process.Pid) }
	result, err := load.Run(ctx, plan)
	if err := errors.Join(err, errBefore); err != nil {
		return round, nil, fmt.Errorf("load: %w", err)
	}
	if ctx.Err() != nil {
		return round, nil, context.Cause(ctx)
	}
	end, problems := s.check(ctx, result)
	after, err := readUsage(s.process.cmd.Process.Pid)
	if err != nil {
		return round, problems, s.process.orEnded(err)
	}
	round = figures(result, s, end)
	addUse(&round, before, after)
	if len(problems) == 0 {
		if err := s.final(ctx, result.Acked); err != nil {
			problems = append(problems, "at the end: "+err.Error())
		}
	}
	return round, problems, nil
}

// outlasts is a backlog in bytes that is not drained within a round's window, at more events a second than weir delivers.
func (o *options) outlasts(c *benchCase) int {
	const most, besides = 1_200_000, 100 * time.Millisecond
	return int(o.roundTakes(besides).Seconds() * most * float64(c.eventBytes))
}

// round writes for a window.
func (k cost) round(w weirSetup, ctx context.Context, l *lab, dir string, c *benchCase) (round report.Round, problems []string, err error) {
	b, err := w.holdUp(ctx, l, dir, "--pace", fmt.Sprint(k.pace))
	if err != nil {
		return round, nil, err
	}
	defer b.close()
	behind := int64(0)
	if k.behind {
		if behind, err = b.fill(ctx, c, max(l.amount(c.backlog), l.outlasts(c))); err != nil {
			return round, nil, err
		}
	}
	size, err := b.megabytes(ctx)
	if err != nil {
		return round, nil, err
	}
	plan := l.plan(c, &target{}, b.server) // takes its time, while the backlog should not shrink
	meanwhile, err := k.begin(ctx, b, behind)
	if err != nil {
		return round, nil, err
	}
	profiled := func() error { return nil }
	if l.profiles != "" {
		profiled = l.profile(ctx, b.admin, k.name+" "+c.name, l.window())
	}
	before, err := readUsage(b.process.cmd.Process.Pid)
	if err != nil {
		return round, nil, b.process.orEnded(err)
	}
	result, err := load.Run(ctx, plan)
	after, err2 := readUsage(b.process.cmd.Process.Pid)
	errBeside := meanwhile(&round)
	if err := errors.Join(err, err2, errBeside, profiled()); err != nil {
		return round, nil, b.process.orEnded(err)
	}
	beside := round
	round = figures(result, b.server, time.Time{})
	round.Handled, round.Drained, round.BacklogMegabytes = beside.Handled, beside.Drained, size
	addUse(&round, before, after)
	problems = refusals(result)
	if _, err := durable(ctx, b.admin, behind+result.Acked); err != nil {
		problems = append(problems, err.Error())
	}
	return round, problems, nil
}

// begin starts what happens beside the writing to a weir with so many events behind. What it returns ends it, and puts its
// rate into the round.
func (k cost) begin(ctx context.Context, b *heldUp, behind int64) (end func(*report.Round) error, err error) {
	switch {
	case k.verifies:
		return b.beginVerifying(ctx, behind)
	case k.drains:
		return b.beginDraining(ctx, behind)
	}
	return func(*report.Round) error { return nil }, nil
}

// beginDraining lets the sink take the backlog.
func (b *heldUp) beginDraining(ctx context.Context, behind int64) (end func(*report.Round) error, err error) {
	if err := b.tell(ctx, taking); err != nil {
		return nil, err
	}
	begun, err := b.firstDelivery(ctx)
	if err != nil {
		return nil, err
	}
	return func(round *report.Round) error {
		stats, err := arrivals(ctx, b.sink)
		if err != nil {
			return err
		}
		if stats.Created >= behind { // speed never fails a run
			b.lab.note("cost: a backlog was delivered before the writing ended; acked/s beside it is too good: give shorter windows (--seconds)")
		}
		round.Drained = float64(stats.Created) / time.Since(begun).Seconds()
		return nil
	}, nil
}

// beginVerifying makes weir read its log over and over.
func (b *heldUp) beginVerifying(ctx context.Context, behind int64) (end func(*report.Round) error, err error) {
	size, err := metric(ctx, b.admin, "weir_wal_bytes")
	if err != nil {
		return nil, err
	}
	readCtx, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	begun, bytes := time.Now(), int64(0)
	go func() {
		for readCtx.Err() == nil {
			n, err := b.verify(readCtx)
			bytes += n
			if err != nil && readCtx.Err() == nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	return func(round *report.Round) error {
		stop()
		err := <-done
		round.Handled = float64(behind) * float64(bytes) / size / time.Since(begun).Seconds() // its events are of one size
		return err
	}, nil
}

// verify lets weir prove its log and returns how many bytes it had read when it, or ctx, ended.
func (b *heldUp) verify(ctx context.Context) (bytes int64, err error) {
	err = getWith(ctx, patient, b.admin+"/api/v1/wal/verify", func(r io.Reader) error {
		lines := bufio.NewScanner(r)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var progress struct {
				Bytes  int64
				Report *struct{ Lost uint64 }
				Error  *struct{ Message string }
			}
			if err := json.Unmarshal(lines.Bytes(), &progress); err != nil {
				return fmt.Errorf("read how far the verification is: %w", err)
			}
			switch {
			case progress.Error != nil:
				return fmt.Errorf("verify the log: %s", progress.Error.Message)
			case progress.Report != nil && progress.Report.Lost > 0:
				return fmt.Errorf("verify the log: %d records cannot be read", progress.Report.Lost)
			}
			bytes = max(bytes, progress.Bytes)
		}
		return lines.Err()
	})
	return bytes, err
}
