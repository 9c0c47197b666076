package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/ingest"
	"github.com/weirlog/weir/lua"
	"github.com/weirlog/weir/wal"
)

// The results of an event of lua run.
const (
	luaMade     = "made"
	luaDropped  = "dropped"
	luaFailed   = "failed"
	luaRejected = "rejected" // no acceptable event; a script never sees it
)

// luaResult is what became of one line.
type luaResult struct {
	Line       int64         `json:"line"`
	Result     string        `json:"result"`
	Documents  []luaDocument `json:"documents,omitempty"`
	Type       string        `json:"type,omitempty"` // of the failure
	Message    string        `json:"message,omitempty"`
	Memory     int64         `json:"memory_bytes"` // allocated in Lua
	TookMicros float64       `json:"took_us"`      // by the clock lua.UsageTime

	event []byte // until the next line is read
	usage lua.Usage
}

type luaDocument struct {
	Index    string          `json:"index"`
	ID       string          `json:"id,omitempty"` // when the script or id_field set it
	Pipeline string          `json:"pipeline,omitempty"`
	Routing  string          `json:"routing,omitempty"`
	Source   json.RawMessage `json:"source"`
}

func newLuaRunCmd(a *app) *cobra.Command {
	r := &luaRun{a: a}
	cmd := &cobra.Command{
		Use:   "run SCRIPT [FILE]",
		Short: "Show what a script makes of events",
		Long: fmt.Sprintf(`Runs a script over events, one a line, from FILE or standard input, and shows what each
becomes: its documents with their index, dropped, or failed with file and line, with the
time and the bytes that it took. --diff shows what the script changed instead of whole
documents. Nothing is sent.

At the end stand the counts, how time and bytes were spread, the slowest events, and how
near the most expensive ones came to transform.timeout and transform.max_memory; --summary
shows nothing else. Time is %s.

Exit code 1 when the script failed on an event, or a line is no event.`, lua.UsageTime),
		Example: `  weir lua run transform.lua events.ndjson --diff
  weir lua run transform.lua events.ndjson --summary
  weir wal cat --raw --limit 1000 | weir lua run transform.lua -o ndjson`,
		Args: cobra.RangeArgs(1, 2),
	}
	r.output.addFlag(cmd)
	cmd.Flags().StringVar(&r.stream, "stream", DefaultStream, "run as for events of this `STREAM`")
	cmd.Flags().BoolVar(&r.diff, "diff", false, "show what was changed")
	cmd.Flags().BoolVar(&r.onlySummary, "summary", false, "show no events, only what they come to")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if r.diff && (r.onlySummary || r.output != outputTable) {
			return usageErrorf("--diff is for people who look at events; it does not go with -o json, -o ndjson and --summary")
		}
		cfg, err := a.loadConfig(cmd)
		if err != nil {
			return err
		}
		return r.open(cmd.Context(), cfg, args)
	}
	return cmd
}

// luaRun is one run of a script over events.
type luaRun struct {
	a           *app
	script      *lua.Script
	stream      string
	route       flush.Route
	output      outputFormat
	diff        bool
	onlySummary bool
	limit       int // of an event's bytes

	out     *bufio.Writer
	bar     *progress
	summary *luaSummary
	wrote   int
}

// open loads the script, opens the input, and runs the one over the other.
func (r *luaRun) open(ctx context.Context, cfg *Config, args []string) error {
	opts, err := luaOptions(r.a, cfg, r.stream)
	if err != nil {
		return err
	}
	if r.script, err = lua.Load(args[0], opts); err != nil {
		return err
	}
	r.route, r.limit = (&parts{cfg: cfg}).route(r.stream), int(cfg.Ingest.MaxEventBytes)
	r.summary = newLuaSummary(opts)
	in, size := r.a.stdin, int64(0)
	if len(args) == 2 && args[1] != "-" {
		f, err := os.Open(args[1])
		if err != nil {
			return err
		}
		defer f.Close()
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			size = info.Size()
		}
		in = f
	}
	r.bar = r.startBar(size)
	return r.all(ctx, in)
}

// barBytes is how large a file is that is worth a progress bar.
const barBytes = 1 << 20

// startBar starts a bar where somebody waits and sees nothing: the events do not go to the terminal.
func (r *luaRun) startBar(size int64) *progress {
	if size < barBytes || r.a.isTerminal(r.a.stdout) && !r.onlySummary {
		return &progress{}
	}
	return r.a.newProgress(size, true, "running")
}

func (r *luaRun) all(ctx context.Context, in io.Reader) error {
	r.out = bufio.NewWriterSize(r.a.stdout, 64<<10)
	err := r.each(ctx, in)
	r.bar.finish()
	if brokenOff := errors.Is(err, context.Cause(ctx)); r.output == outputJSON && !r.onlySummary && (err == nil || brokenOff) {
		_, werr := r.out.WriteString(map[bool]string{true: "[]\n", false: "\n]\n"}[r.wrote == 0])
		err = cmp.Or(werr, err)
	}
	if ferr := r.out.Flush(); err == nil {
		err = ferr
	}
	if err != nil && !errors.Is(err, context.Cause(ctx)) {
		return err
	}
	// Also where an endless input was broken off: then it is what one came for.
	if serr := r.summary.show(r); err == nil {
		err = serr
	}
	if err == nil && r.summary.Failed+r.summary.Rejected > 0 {
		return errReported
	}
	return err
}

func (r *luaRun) each(ctx context.Context, in io.Reader) error {
	lines, err := newSplitter(interruptible{ctx, in}, formatNDJSON, r.limit, position{})
	if err != nil {
		return fmt.Errorf("read events: %w", err)
	}
	done := int64(0)
	for {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		line, err := lines.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read events: %w", err)
		}
		r.bar.add(line.after.Bytes - done)
		done = line.after.Bytes
		result := r.run(&line)
		r.summary.add(result)
		if r.onlySummary {
			continue
		}
		if err := r.write(result); err != nil {
			return err
		}
	}
}

// luaEpoch stands in ids of events that no log has numbered.
const luaEpoch = wal.Epoch(1)

// run does to one event what delivery does to it before it is sent.
func (r *luaRun) run(line *sourceEvent) *luaResult {
	event := bytes.TrimSpace(line.data)
	result := &luaResult{Line: line.line, event: event}
	reject := func(typ, message string) *luaResult {
		result.Result, result.Type, result.Message = luaRejected, typ, message
		return result
	}
	if size := max(int(line.size)-len(line.data), 0) + len(event); size > r.limit {
		return reject(ingest.CodeEventTooLarge, fmt.Sprintf("%d bytes, ingest.max_event_bytes is %d", size, r.limit))
	}
	flags, err := ingest.CheckEvent(event)
	if syntax, ok := errors.AsType[*ingest.SyntaxError](err); ok {
		return reject(syntax.Code, fmt.Sprintf("byte %d: %s", syntax.Position, syntax.Message))
	}
	rec := &wal.Record{
		Offset: wal.Offset(line.line), Epoch: luaEpoch, Flags: flags, Stream: r.stream, ReceivedAt: r.a.now().UTC(), Payload: event, Count: 1,
	}
	docs, usage, err := r.script.Measured(rec)
	result.usage, result.TookMicros, result.Memory = usage, float64(usage.Time.Nanoseconds())/1000, usage.Memory
	chosen := make([]string, len(docs))
	for i := range docs {
		chosen[i] = docs[i].ID
	}
	if err == nil {
		err = r.route.Prepare(nil, rec, docs)
	}
	if err != nil {
		result.Result, result.Type, result.Message = luaFailed, "error", err.Error()
		if failure, ok := errors.AsType[*flush.TransformError](err); ok {
			result.Type, result.Message = failure.Type, failure.Message
		}
		return result
	}
	result.Result = luaDropped
	for i := range docs {
		result.Result = luaMade
		d := luaDocument{Index: docs[i].Index, Pipeline: docs[i].Pipeline, Routing: docs[i].Routing, Source: docs[i].Source}
		if chosen[i] != "" || r.route.IDField != "" {
			d.ID = docs[i].ID
		}
		result.Documents = append(result.Documents, d)
	}
	return result
}
