package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/ingest"
	"github.com/weirlog/weir/lua"
	"github.com/weirlog/weir/wal"
)

func newLuaCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lua",
		Short: "Try a script, run its tests, find its mistakes",
		Long: `Runs a transform script outside of the service, with the limits of the configuration
(transform.timeout, transform.max_memory), or looks for mistakes without running it.
docs/lua.md is the manual of scripts.`,
		Example: "  weir lua run transform.lua events.ndjson --diff\n  weir lua test transform.lua\n  weir lua lint transform.lua",
	}
	cmd.AddCommand(newLuaRunCmd(a), newLuaTestCmd(a), newLuaLintCmd(a))
	return cmd
}

func luaOptions(a *app, cfg *Config) lua.Options {
	return lua.Options{
		Timeout: cfg.Transform.Timeout.Std(), MaxMemory: int64(cfg.Transform.MaxMemory),
		// What the script prints is on level debug.
		Logger: slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
}

// The results of an event of lua run.
const (
	luaMade     = "made"
	luaDropped  = "dropped"
	luaFailed   = "failed"
	luaRejected = "rejected" // no acceptable event; a script never sees it
)

// luaResult is what became of one line.
type luaResult struct {
	Line       int           `json:"line"`
	Result     string        `json:"result"`
	Documents  []luaDocument `json:"documents,omitempty"`
	Type       string        `json:"type,omitempty"` // of the failure
	Message    string        `json:"message,omitempty"`
	Memory     int64         `json:"memory_bytes"` // allocated in Lua
	TookMicros float64       `json:"took_us"`

	event []byte
}

type luaDocument struct {
	Index    string          `json:"index"`
	ID       string          `json:"id,omitempty"` // when the script or id_field set it
	Pipeline string          `json:"pipeline,omitempty"`
	Routing  string          `json:"routing,omitempty"`
	Source   json.RawMessage `json:"source"`
}

func newLuaRunCmd(a *app) *cobra.Command {
	var output outputFormat
	var stream string
	var diff bool
	cmd := &cobra.Command{
		Use:   "run SCRIPT [FILE]",
		Short: "Show what a script makes of events",
		Long: `Runs a script over events, one a line, from FILE or standard input, and shows what each
becomes: its documents with their index, dropped, or failed with file and line. --diff
shows what the script changed instead of whole documents. Nothing is sent.

Exit code 1 when the script failed on an event.`,
		Example: `  weir lua run transform.lua events.ndjson --diff
  weir wal cat --raw --limit 1000 | weir lua run transform.lua -o ndjson`,
		Args: cobra.RangeArgs(1, 2),
	}
	output.addFlag(cmd)
	cmd.Flags().StringVar(&stream, "stream", DefaultStream, "run as for events of this `STREAM`")
	cmd.Flags().BoolVar(&diff, "diff", false, "show what was changed")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if diff && cmd.Flags().Changed("output") && output != outputTable {
			return usageErrorf("--diff is for people; it does not go with -o %s", output)
		}
		cfg, err := a.loadConfig(cmd)
		if err != nil {
			return err
		}
		if _, ok := cfg.Streams[stream]; !ok {
			return usageErrorf("--stream %s is not declared; the streams are %s", stream, strings.Join(cfg.StreamNames(), ", "))
		}
		script, err := lua.Load(args[0], luaOptions(a, cfg))
		if err != nil {
			return err
		}
		in := a.stdin
		if len(args) == 2 && args[1] != "-" {
			f, err := os.Open(args[1])
			if err != nil {
				return err
			}
			defer f.Close()
			in = f
		}
		run := &luaRun{a: a, script: script, stream: stream, route: (&parts{cfg: cfg}).route(stream), output: output, diff: diff, limit: int(cfg.Ingest.MaxEventBytes)}
		return run.all(cmd.Context(), in)
	}
	return cmd
}

// luaRun is one run of a script over events.
type luaRun struct {
	a      *app
	script *lua.Script
	stream string
	route  flush.Route
	output outputFormat
	diff   bool
	limit  int // of an event's bytes

	out    *bufio.Writer
	counts map[string]int
	events int
	wrote  int
}

func (r *luaRun) all(ctx context.Context, in io.Reader) error {
	r.out = bufio.NewWriterSize(r.a.stdout, 64<<10)
	r.counts = map[string]int{}
	err := r.each(ctx, in)
	if r.output == outputJSON && err == nil {
		_, err = r.out.WriteString(map[bool]string{true: "[]\n", false: "\n]\n"}[r.wrote == 0])
	}
	if ferr := r.out.Flush(); err == nil {
		err = ferr
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(r.a.stderr, "%s: %s made documents, %s dropped, %s failed, %s rejected\n", counted(r.events, "event", "events"),
		humanCount(r.counts[luaMade]), humanCount(r.counts[luaDropped]), humanCount(r.counts[luaFailed]), humanCount(r.counts[luaRejected]))
	if r.counts[luaFailed]+r.counts[luaRejected] > 0 {
		return errReported
	}
	return nil
}

func (r *luaRun) each(ctx context.Context, in io.Reader) error {
	lines := bufio.NewReaderSize(in, 64<<10)
	for n := 1; ; n++ {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		line, err := lines.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read events: %w", err)
		}
		if event := bytes.TrimSpace(line); len(event) > 0 {
			result := r.run(n, event)
			r.events++
			r.counts[result.Result]++
			if err := r.write(result); err != nil {
				return err
			}
		}
		if err != nil {
			return nil
		}
	}
}

// luaEpoch stands in ids of events that no log has numbered.
const luaEpoch = wal.Epoch(1)

// run does to one event what delivery does to it before it is sent.
func (r *luaRun) run(n int, event []byte) *luaResult {
	result := &luaResult{Line: n, event: event}
	reject := func(typ, message string) *luaResult {
		result.Result, result.Type, result.Message = luaRejected, typ, message
		return result
	}
	if len(event) > r.limit {
		return reject(ingest.CodeEventTooLarge, fmt.Sprintf("%d bytes, ingest.max_event_bytes is %d", len(event), r.limit))
	}
	flags, err := ingest.CheckEvent(event)
	if syntax, ok := errors.AsType[*ingest.SyntaxError](err); ok {
		return reject(syntax.Code, fmt.Sprintf("byte %d: %s", syntax.Position, syntax.Message))
	}
	rec := &wal.Record{
		Offset: wal.Offset(n), Epoch: luaEpoch, Flags: flags, Stream: r.stream, ReceivedAt: r.a.now().UTC(), Payload: event, Count: 1,
	}
	begin := time.Now()
	docs, usage, err := r.script.Transform(rec)
	result.TookMicros, result.Memory = float64(time.Since(begin).Nanoseconds())/1000, usage.Memory
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

func (r *luaRun) write(result *luaResult) error {
	r.wrote++
	switch r.output {
	case outputNDJSON:
		return r.output.write(r.out, result)
	case outputJSON:
		sep := ",\n"
		if r.wrote == 1 {
			sep = "[\n"
		}
		if _, err := r.out.WriteString(sep); err != nil {
			return err
		}
		var b bytes.Buffer
		if err := outputNDJSON.write(&b, result); err != nil {
			return err
		}
		_, err := r.out.Write(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
		return err
	}
	return r.print(result)
}

// print shows a result to a person.
func (r *luaRun) print(result *luaResult) error {
	a, out := r.a, r.out
	switch result.Result {
	case luaFailed, luaRejected:
		fmt.Fprintf(out, "%d: %s %s: %s\n", result.Line, a.paint(a.stdout, colourRed, result.Result), result.Type, printable(result.Message))
	case luaDropped:
		fmt.Fprintf(out, "%d: %s\n", result.Line, a.paint(a.stdout, colourYellow, "dropped"))
	}
	for i, d := range result.Documents {
		head := "to " + d.Index
		for _, set := range [][2]string{{"id", d.ID}, {"pipeline", d.Pipeline}, {"routing", d.Routing}} {
			if set[1] != "" {
				head += ", " + set[0] + " " + set[1]
			}
		}
		if len(result.Documents) > 1 {
			head = fmt.Sprintf("document %d of %d %s", i+1, len(result.Documents), head)
		}
		fmt.Fprintf(out, "%d: %s\n", result.Line, printable(head))
		if r.diff {
			r.printDiff(pretty(result.event), pretty(d.Source))
			continue
		}
		fmt.Fprintf(out, "%s\n", printable(string(oneLine(d.Source))))
	}
	return nil
}

func (r *luaRun) printDiff(before, after string) {
	changed := false
	for _, l := range diffLines(strings.Split(before, "\n"), strings.Split(after, "\n")) {
		colour := map[byte]string{'-': colourRed, '+': colourGreen}[l.mark]
		if colour == "" {
			continue
		}
		changed = true
		fmt.Fprintf(r.out, "  %s\n", r.a.paint(r.a.stdout, colour, string(l.mark)+" "+l.text))
	}
	if !changed {
		fmt.Fprintln(r.out, "  unchanged")
	}
}

func newLuaTestCmd(a *app) *cobra.Command {
	var output outputFormat
	cmd := &cobra.Command{
		Use:   "test SCRIPT",
		Short: "Compile a script and run its tests",
		Long: `Compiles a script and runs its functions whose names begin with test_. The service does
the same before it takes a script. Exit code 1 when the script does not compile or a
test fails.`,
		Example: "  weir lua test transform.lua",
		Args:    cobra.ExactArgs(1),
	}
	output.addFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, err := a.loadConfig(cmd)
		if err != nil {
			return err
		}
		script, err := lua.Load(args[0], luaOptions(a, cfg))
		if err != nil {
			return err
		}
		results, err := script.RunTests()
		if err != nil {
			return err
		}
		return a.printTests(script.Version(), results, output)
	}
	return cmd
}

// testView is the outcome of a test in JSON.
type testView struct {
	Name       string  `json:"name"`
	Passed     bool    `json:"passed"`
	Message    string  `json:"message,omitempty"`
	TookMillis float64 `json:"took_ms"`
}

func (a *app) printTests(version string, results []lua.TestResult, output outputFormat) error {
	failed := 0
	var views []testView
	table := newTable("test", "result", ">took", "")
	for _, t := range results {
		views = append(views, testView{t.Name, t.Passed(), t.Message, float64(t.Took.Microseconds()) / 1000})
		verdict := "passed"
		if !t.Passed() {
			verdict = "FAILED"
			failed++
		}
		table.add(t.Name, verdict, humanDuration(t.Took), t.Message)
	}
	if output != outputTable {
		if err := writeList(a.stdout, output, views); err != nil {
			return err
		}
	} else if len(results) > 0 {
		if err := table.render(a.stdout, a.width(a.stdout)); err != nil {
			return err
		}
	}
	if failed > 0 {
		fmt.Fprintf(a.stderr, "%d of %s failed\n", failed, counted(len(results), "test", "tests"))
		return errReported
	}
	if len(results) == 0 {
		fmt.Fprintf(a.stderr, "version %s compiles; it has no functions whose names begin with test_\n", version)
		return nil
	}
	fmt.Fprintf(a.stderr, "version %s compiles; %s passed\n", version, counted(len(results), "test", "tests"))
	return nil
}
