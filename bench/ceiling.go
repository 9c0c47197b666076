package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirlog/weir/bench/baseline"
	"github.com/weirlog/weir/bench/load"
	"github.com/weirlog/weir/bench/report"
)

// Loops are ceilings without a server: child processes that do one thing only, for as long as a round.
var (
	diskLoop  = target{name: report.DiskLoop, measure: loopRound("disk")}
	bareWrite = target{name: report.BareWrite, measure: loopRound("disk")}
	bulkLoop  = target{name: report.BulkLoop, measure: bulkRound}
)

// loop is one of these processes.
type loop struct {
	kind           string
	dir            string // for its data
	sink           string // host:port, of a bulk loop
	connections    int    // of the case
	events         int    // of each request
	eventBytes     int
	warmUp, window time.Duration
}

// bulkConnections and bulkDocuments are how the bulk loop sends: in requests of the size of weir's batches.
const (
	bulkConnections = 2
	bulkDocuments   = 5000
)

// newLoopChild is the command of the processes that loop.
func newLoopChild() *cobra.Command {
	var c loop
	cmd := &cobra.Command{
		Use:       "loop {disk|bulk}",
		Hidden:    true,
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{"disk", "bulk"},
		RunE: func(cmd *cobra.Command, args []string) error {
			c.kind = args[0]
			return c.run(cmd.Context(), cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&c.dir, "dir", "", "directory for the file")
	flags.StringVar(&c.sink, "sink", "", "address of the sink")
	flags.IntVar(&c.connections, "connections", 1, "requests that go into one write")
	flags.IntVar(&c.events, "events", 1, "events of each request")
	flags.IntVar(&c.eventBytes, "event-bytes", 320, "bytes of each event")
	flags.DurationVar(&c.warmUp, "warm-up", time.Second, "before the window")
	flags.DurationVar(&c.window, "window", time.Second, "what is measured")
	return cmd
}

func (c *loop) args() []string {
	return []string{"child", "loop", c.kind, "--dir", c.dir, "--sink", c.sink, "--connections", fmt.Sprint(c.connections),
		"--events", fmt.Sprint(c.events), "--event-bytes", fmt.Sprint(c.eventBytes), "--warm-up", c.warmUp.String(), "--window", c.window.String()}
}

// run measures and prints the round.
func (c *loop) run(ctx context.Context, out io.Writer) error {
	work := c.disk
	if c.kind == "bulk" {
		work = c.bulk
	}
	round, err := work(ctx)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(round)
}

// disk writes what all connections of the case have in flight, at once: a group cannot be larger.
func (c *loop) disk(ctx context.Context) (*report.Round, error) {
	var group []byte
	for _, r := range c.requests("disk", c.connections) {
		group = append(group, r.Body()...)
	}
	before, err1 := readUsage(os.Getpid())
	result, err2 := baseline.Disk{Group: group, WarmUp: c.warmUp, Window: c.window}.Run(ctx, filepath.Join(c.dir, "loop"))
	after, err3 := readUsage(os.Getpid())
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	events := int64(c.connections * c.events)
	millis := func(p float64) float64 { return float64(result.Latency.ValueAtPercentile(p)) / 1e6 }
	round := &report.Round{Rate: float64(result.Groups*events) / result.Window.Seconds(), Acked: result.All * events,
		P50: millis(50), P99: millis(99), P999: millis(99.9), P9999: millis(99.99)}
	addUse(round, before, after)
	return round, nil
}

// bulk posts bodies that are made before, and looks at the status.
func (c *loop) bulk(ctx context.Context) (*report.Round, error) {
	requests := c.bulkRequests()
	before, err1 := readUsage(os.Getpid())
	result, err2 := load.Run(ctx, load.Plan{Address: c.sink, Connections: bulkConnections, Status: 200, Requests: requests, WarmUp: c.warmUp, Window: c.window})
	after, err3 := readUsage(os.Getpid())
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	if problems := refusals(result); len(problems) > 0 {
		return nil, errors.New(problems[0])
	}
	round := &report.Round{Delivered: float64(result.Acked) / result.Ended.Sub(result.Begun).Seconds(), Acked: result.Acked}
	addUse(round, before, after)
	return round, nil
}

// bulkRequests are bulk requests with what weir makes of the events of the case.
func (c *loop) bulkRequests() (all []load.Request) {
	const actionBytes = 100 // more than any action line has
	size := bulkDocuments * (c.eventBytes + actionBytes + len(`"@timestamp":"2006-01-02T15:04:05.000000+00:00",`))
	docs := makeDocuments(c.requests(c.sink, max(bulkDocuments/c.events, 1)), max(variantBytes/size, 1)*bulkDocuments)
	for ; len(docs) > 0; docs = docs[bulkDocuments:] {
		body := bulkBodies(docs[:bulkDocuments], "logs-weir-default", true, size)[0]
		head := fmt.Appendf(nil, "POST /_bulk?filter_path=errors HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-ndjson\r\nContent-Length: %d\r\n\r\n", c.sink, len(body))
		all = append(all, load.Request{Bytes: append(head, body...), Events: bulkDocuments})
	}
	return all
}

// requests are n requests of the case.
func (c *loop) requests(host string, n int) []load.Request {
	return load.Make(host, load.Shape{Path: "/ingest", Events: c.events, EventBytes: c.eventBytes, Variants: n, Seed: 1})
}

// addUse puts what a process used from before to after into a round with Acked.
func addUse(round *report.Round, before, after usage) {
	if round.Acked > 0 {
		round.CPU = (after.cpu - before.cpu).Seconds() / (float64(round.Acked) / 1e6)
	}
	round.PeakMegabytes = float64(after.peak) / 1e6
}

// loopRound runs such a process for a round.
func loopRound(kind string) roundFunc {
	return func(ctx context.Context, l *lab, dir string, c *benchCase) (report.Round, []string, error) {
		round, err := l.loop(ctx, loop{kind: kind, dir: dir}, c)
		return round, nil, err
	}
}

// bulkRound lets the bulk loop send to a sink of its own, which then has to have everything.
func bulkRound(ctx context.Context, l *lab, dir string, c *benchCase) (round report.Round, problems []string, err error) {
	sink, address, err := startChild(ctx, l, dir, "sink", 0)
	if err != nil {
		return round, nil, err
	}
	defer sink.kill()
	if round, err = l.loop(ctx, loop{kind: "bulk", sink: address}, c); err != nil {
		return round, nil, sink.orEnded(err)
	}
	if _, err := delivered(ctx, "http://"+address, round.Acked); err != nil {
		problems = append(problems, err.Error())
	}
	return round, problems, nil
}

// loop runs the process with the load of a case and returns what it found.
func (l *lab) loop(ctx context.Context, child loop, c *benchCase) (round report.Round, err error) {
	child.connections, child.events, child.eventBytes = c.connections, c.events, c.eventBytes
	child.warmUp, child.window = l.window()/5, l.window()
	var complaint bytes.Buffer
	cmd := exec.CommandContext(ctx, l.self, child.args()...)
	cmd.Env, cmd.Stderr = append(os.Environ(), l.childEnv...), &complaint
	out, err := cmd.Output()
	if err != nil {
		return round, fmt.Errorf("run the %s loop: %w\n%s", child.kind, err, bytes.TrimSpace(complaint.Bytes()))
	}
	if err := json.Unmarshal(out, &round); err != nil {
		return round, fmt.Errorf("read the result of the %s loop: %w", child.kind, err)
	}
	return round, nil
}
