package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/weirlog/weir/bench/load"
	"github.com/weirlog/weir/bench/report"
)

// variants is how many different requests of a case are sent in turn, bounded by variantBytes together.
const (
	variants     = 512
	variantBytes = 16 << 20
)

// idleAtOnce is how many of many idle connections send their one request at the same time: memory for all of them at
// once would hide what an idle one costs.
const idleAtOnce = 32

// runRound puts the load of a case on a fresh server and checks what came of it. problems are what fails the run;
// err is why the round could not be carried out.
func (l *lab) runRound(ctx context.Context, c *benchCase, t *target, first bool) (round report.Round, problems []string, err error) {
	dir, err := os.MkdirTemp(l.dir, "round-")
	if err != nil {
		return round, nil, fmt.Errorf("make a directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if t.connections > 0 {
		with := *c
		with.connections = t.connections
		c = &with
	}
	if t.measure != nil {
		return t.measure(ctx, l, dir, c)
	}
	s, err := t.start(ctx, l, dir, c)
	if err != nil {
		return round, nil, fmt.Errorf("start: %w", err)
	}
	defer s.close()

	profiled := func() error { return nil }
	if first && l.profiles != "" && s.admin != "" {
		profiled = l.profile(ctx, s.admin, t.name+" "+c.name, l.window())
	}
	before, err := readUsage(s.process.cmd.Process.Pid)
	if err != nil {
		return round, nil, err
	}
	own, err := readUsage(os.Getpid())
	if err != nil {
		return round, nil, err
	}
	result, err := load.Run(ctx, l.plan(c, t, s))
	if err != nil {
		return round, nil, fmt.Errorf("load: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return round, nil, context.Cause(ctx)
	}
	l.noteLoad(c, t, result)
	ownAfter, err := readUsage(os.Getpid())
	if err != nil {
		return round, nil, err
	}
	end, problems := s.check(ctx, result)
	after, err := readUsage(s.process.cmd.Process.Pid)
	if err != nil {
		return round, problems, s.process.orEnded(err)
	}
	round.Acked = result.Acked
	if !c.idle { // its requests only open the connections
		round = figures(result, s, end)
		round.Offered = c.rate * float64(c.events)
	}
	addUse(&round, before, after)
	if millions := float64(result.Acked) / 1e6; millions > 0 {
		round.GeneratorCPU = (ownAfter.cpu - own.cpu).Seconds() / millions
	}
	if c.idle {
		round.CPU, round.GeneratorCPU = 0, 0
	}
	if c.settles {
		round.EndMegabytes = float64(after.now) / 1e6
	}
	if err := profiled(); err != nil {
		return round, problems, err
	}
	if s.final != nil && len(problems) == 0 {
		if err := s.final(ctx, result.Acked); err != nil {
			problems = append(problems, "at the end: "+err.Error())
		}
	}
	return round, problems, nil
}

// plan is the load of a case on a target's server.
func (l *lab) plan(c *benchCase, t *target, s *server) load.Plan {
	shape := load.Shape{Path: s.path, Events: c.events, EventBytes: c.eventBytes, Seed: 1, Close: c.dialEach,
		Variants: min(variants, max(variantBytes/(c.events*c.eventBytes), 1))}
	p := load.Plan{
		Address: s.address, Connections: c.connections, DialEach: c.dialEach, Rate: c.rate, Slow: t.slow, Threads: l.threads,
		Requests: load.Make(host(s.address), shape), WarmUp: l.window() / 5, Window: l.window(),
	}
	if c.total > 0 {
		total := c.total
		if !c.full {
			total = l.amount(total)
		}
		p.WarmUp, p.Window, p.Limit = 0, 0, max(total/c.connections, 1)
	}
	if c.idle {
		p.WarmUp, p.Window, p.Limit, p.AtOnce = 0, 0, 1, idleAtOnce
	}
	return p
}

// host is the Host header for an address.
func host(address string) string {
	if strings.HasPrefix(address, unixAddress("")) {
		return "localhost"
	}
	return address
}

// check holds what was acknowledged against what was asked and what arrived.
func (s *server) check(ctx context.Context, r *load.Result) (end time.Time, problems []string) {
	problems = refusals(r)
	if s.arrived == nil {
		return r.Ended, problems
	}
	end, err := s.arrived(ctx, r.Acked)
	if err != nil {
		problems = append(problems, err.Error())
	}
	return end, problems
}

// refusals are what of a load was not acknowledged.
func refusals(r *load.Result) (problems []string) {
	if r.Failures > 0 {
		problems = append(problems, fmt.Sprintf("%d requests failed, the first: %s", r.Failures, r.Failure))
	}
	if r.Unanswered > 0 {
		problems = append(problems, fmt.Sprintf("%d requests had no answer", r.Unanswered))
	}
	if r.Acked == 0 {
		problems = append(problems, "nothing was acknowledged")
	}
	return problems
}

// noteLoad says in the report what of the load did not come about as its case says: the figures are of less, then.
func (l *lab) noteLoad(c *benchCase, t *target, r *load.Result) {
	if r.Unsent > 0 {
		l.note("%s, %s: %d requests were due and never sent, because no connection was free in time", c.name, t.name, r.Unsent)
	}
	if t.slow > 0 && (r.SlowOpen < t.slow || r.SlowCuts > 0) {
		l.note("%s, %s: %d of %d slow connections were open at the end; the server had ended slow ones %d times, and they came again", c.name, t.name, r.SlowOpen, t.slow, r.SlowCuts)
	}
}

// figures are what the load itself tells.
func figures(r *load.Result, s *server, end time.Time) report.Round {
	millis := func(p float64) float64 { return r.Percentile(p).Seconds() * 1e3 }
	round := report.Round{Rate: r.Rate(), Acked: r.Acked, P50: millis(50), P99: millis(99), P999: millis(99.9), P9999: millis(99.99)}
	if s.delivers {
		round.Delivered = float64(r.Acked) / end.Sub(r.Begun).Seconds()
	}
	return round
}
