package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/weirlog/weir/bench/load"
	"github.com/weirlog/weir/bench/report"
)

// elasticLab is one run against a real server.
type elasticLab struct {
	*lab
	flags    elasticOptions
	server   *searchServer
	requests []load.Request
	prefix   string // of the names of its indices
	indices  int    // made so far
}

// elasticCase says where ids come from.
type elasticCase struct {
	name string
	ids  bool // made by the sender
}

var elasticCases = []elasticCase{{"own ids", true}, {"ids by the server", false}}

// elasticTarget is something that brings documents into a server.
type elasticTarget struct {
	name   string
	binary string // of weir; "": it is none
	live   bool
	// prepare does what is not measured.
	prepare func(ctx context.Context, e *elasticLab, dir, index string, c *elasticCase) (*elasticWork, error)
}

// elasticWork is what is measured of a target.
type elasticWork struct {
	run   func(ctx context.Context) error // returns when the server has confirmed the last document
	usage func() (usage, error)           // of the process that works, so far
	stop  func() error                    // ends it in order; may be nil
	close func()                          // ends it at once; may be nil
	ready func()                          // called by the work when admin serves; may be nil
	admin string                          // URL, from then on
	rate  float64                         // events acknowledged a second, where they are posted meanwhile
}

// runElastic measures and writes the reports.
func runElastic(ctx context.Context, o elasticOptions) error {
	if err := o.validate(); err != nil {
		return err
	}
	o.documents = fullRequests(o.documents)
	return inLab(ctx, o.options, func(l *lab) error {
		e := &elasticLab{lab: l, flags: o, server: newSearchServer(o.url, o.serverPID),
			requests: elasticRequests("bench"), prefix: newIndexPrefix()}
		defer e.server.close()
		return e.measure(ctx)
	})
}

// newIndexPrefix makes names that no other run has. They are letters: weir would take some digits for a date.
func newIndexPrefix() string {
	letters := make([]byte, 12)
	for i := range letters {
		letters[i] = 'a' + byte(rand.IntN(26))
	}
	return "weir-bench-" + string(letters) + "-"
}

func (e *elasticLab) measure(ctx context.Context) error {
	name, err := e.server.name(ctx)
	if err != nil {
		return fmt.Errorf("ask the server who it is: %w", err)
	}
	e.note("Server: %s, one node. Each round: %d documents of about %d bytes into a fresh index of 1 shard without replicas, explicit mapping, "+
		"refresh as the server does by default; all counted afterwards.", name, e.flags.documents, len(makeDocuments(e.requests, 1)[0]))
	if err := e.warmUp(ctx); err != nil {
		return fmt.Errorf("warm up: %w", err)
	}
	plain, err := e.best(ctx, report.PlainLoop)
	if err != nil {
		return err
	}
	esutil, err := e.best(ctx, report.BulkIndexer)
	if err != nil {
		return err
	}
	e.note("%s: %s; %s: %s; weir: its defaults, but for a linger of 50 ms%s.", report.PlainLoop, plain, report.BulkIndexer, esutil, e.otherwise())
	return e.measureInTurn(ctx, []elasticTarget{loaderTarget(report.PlainLoop, plain), loaderTarget(report.BulkIndexer, esutil)})
}

// otherwise says how weir differs from its defaults, where the flags ask for it.
func (e *elasticLab) otherwise() (text string) {
	for _, pair := range e.flags.weirEnv {
		text += ", " + pair
	}
	return text
}

// measureInTurn measures others and weir in turn. The cases take turns as well: what ids cost is a comparison like the rest.
func (e *elasticLab) measureInTurn(ctx context.Context, others []elasticTarget) error {
	targets := make([][]elasticTarget, len(elasticCases))
	for i := range elasticCases {
		weirs, err := e.weirs(ctx, &elasticCases[i])
		if err != nil {
			return err
		}
		targets[i] = append(others[:len(others):len(others)], weirs...)
	}
	for n := range e.rounds {
		for i := range elasticCases {
			for j := range targets[i] {
				if err := e.record(ctx, "elastic", &targets[i][j], &elasticCases[i], n); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// weirs are the targets that are weir, without those that cannot do what the case asks.
func (e *elasticLab) weirs(ctx context.Context, c *elasticCase) (all []elasticTarget, err error) {
	for _, b := range []struct{ binary, prefix string }{{e.weir, ""}, {e.before, report.Before}} {
		if b.binary == "" {
			continue
		}
		ok, err := c.takes(ctx, b.binary, e.flags.url, filepath.Join(e.dir, "none"))
		if err != nil {
			return nil, err
		}
		if !ok {
			e.note("%sweir, %s: left out, it does not know the key elasticsearch.id.", b.prefix, c.name)
			continue
		}
		all = append(all, weirElastic{binary: b.binary}.target(b.prefix+"weir, backlog"), weirElastic{binary: b.binary, live: true}.target(b.prefix+"weir, live"))
	}
	return all, nil
}

// record measures a round and puts it into the report.
func (e *elasticLab) record(ctx context.Context, scenario string, t *elasticTarget, c *elasticCase, n int) error {
	round, err := e.round(ctx, t, c, e.profiles != "" && t.binary != "")
	if wrong := (*wrongCountError)(nil); errors.As(err, &wrong) {
		failure := fmt.Sprintf("%s, %s, %s, round %d: %s", scenario, c.name, t.name, n+1, wrong)
		e.report.Failures = append(e.report.Failures, failure)
		e.say("FAILED: %s", failure)
	} else if err != nil {
		return fmt.Errorf("%s, %s, %s, round %d: %w", scenario, c.name, t.name, n+1, err)
	}
	info := report.Case{Scenario: scenario, Name: c.name, Events: elasticEvents, EventBytes: elasticEventBytes}
	if t.live {
		info.Connections = elasticConnections
	}
	e.report.Add(info, t.name, round)
	e.say("%-16s %-18s round %d  %-42s %7.0f documents/s  CPU s/M %5.2f, server %5.2f  %4.0f MB",
		scenario, c.name, n+1, t.name, round.Delivered, round.CPU, round.ServerCPU, round.PeakMegabytes)
	return nil
}

// wrongCountError says that other than the sent documents are in an index.
type wrongCountError struct{ sent, found int }

func (e *wrongCountError) Error() string {
	return fmt.Sprintf("%d documents were sent and %d are in the index", e.sent, e.found)
}

// round lets a target fill a fresh index, and counts what is in it. The figures are valid with a *wrongCountError too.
func (e *elasticLab) round(ctx context.Context, t *elasticTarget, c *elasticCase, profile bool) (round report.Round, err error) {
	dir, err := os.MkdirTemp(e.dir, "round-")
	if err != nil {
		return round, fmt.Errorf("make a directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	e.indices++
	index := fmt.Sprintf("%s%d", e.prefix, e.indices)
	if err := e.server.create(ctx, index); err != nil {
		return round, err
	}
	// Also after a signal: the server is not ours.
	defer func() { err = errors.Join(err, e.server.delete(context.WithoutCancel(ctx), index)) }()
	work, err := t.prepare(ctx, e, dir, index, c)
	if err != nil {
		return round, err
	}
	if work.close != nil {
		defer work.close()
	}
	profiled := func() error { return nil }
	if profile {
		profiled = e.profileWork(ctx, work, fmt.Sprintf("%s %s %d", t.name, c.name, e.indices))
	}
	if round, err = e.timed(ctx, work); err != nil {
		return round, err
	}
	if err := profiled(); err != nil {
		return round, err
	}
	if work.stop != nil {
		if err := work.stop(); err != nil {
			return round, err
		}
	}
	found, err := e.server.count(ctx, index)
	if err == nil && found != e.flags.documents {
		err = &wrongCountError{sent: e.flags.documents, found: found}
	}
	return round, err
}

// timed runs the work and reads the clocks before and after.
func (e *elasticLab) timed(ctx context.Context, work *elasticWork) (round report.Round, err error) {
	runtime.GC() // what preparing left behind is not the work's
	before, err1 := work.usage()
	serverBefore, err2 := e.server.cpu()
	if err := errors.Join(err1, err2); err != nil {
		return round, err
	}
	begun := time.Now()
	if err := work.run(ctx); err != nil {
		return round, err
	}
	seconds := time.Since(begun).Seconds()
	after, err1 := work.usage()
	serverAfter, err2 := e.server.cpu()
	millions := float64(e.flags.documents) / 1e6
	round = report.Round{
		Rate: work.rate, Delivered: float64(e.flags.documents) / seconds, Acked: int64(e.flags.documents),
		CPU: (after.cpu - before.cpu).Seconds() / millions, ServerCPU: (serverAfter - serverBefore).Seconds() / millions,
		PeakMegabytes: float64(after.peak) / 1e6,
	}
	return round, errors.Join(err1, err2)
}

// profileRate is how many documents a second a profiled weir is expected to deliver. A slower server makes the profile a
// part of the round, a faster one lets it see some idling at the end.
const profileRate = 40_000

// profileWork takes profiles of a weir from when it serves: of every round, because a weir that waits for its server has few
// samples in each, and pprof adds files up. What it returns waits for them.
func (e *elasticLab) profileWork(ctx context.Context, work *elasticWork, name string) func() error {
	length := time.Duration(e.flags.documents) * time.Second / profileRate
	wait := func() error { return errors.New("weir did not start") }
	start := func() { wait = e.profile(ctx, work.admin, name, length) }
	if work.admin != "" {
		start()
	} else {
		work.ready = start
	}
	return func() error { return wait() }
}
