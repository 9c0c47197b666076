package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirlog/weir/lua"
)

// luaTests is one call of weir lua test.
type luaTests struct {
	a      *app
	output outputFormat
	junit  string
	stream string
	golden goldenFlags
}

func newLuaTestCmd(a *app) *cobra.Command {
	t := &luaTests{a: a}
	cmd := &cobra.Command{
		Use:   "test SCRIPT...",
		Short: "Compile scripts, run their tests, capture golden events",
		Long: fmt.Sprintf(`Compiles each script and runs its tests: functions whose names begin with test_, tables
of cases whose names begin with test_, and the golden events beside it, in
transform.golden.ndjson for transform.lua. The service does the same before it takes a
script. Of a document that is not as wanted the lines that differ are shown.

--junit FILE writes a JUnit report for a build server besides.

Golden events are real events, and what the script makes of them. --from-wal N captures
the last N events of the log, --from-dlq FILTER those of dead letters, as they were
received, together with what the script makes of them now; each is shown as a difference
between event and document: look at it, for it is what the tests will want from now on.
They are added to the file; an event that is there already (the same, or one with the
same bytes in the same stream) is not added again. --update renews what is wanted, of
those captured or, alone, of all. --dry-run shows everything and writes nothing.

FILTER is NAME=VALUE, or several separated by commas, with names and meaning of the flags
of weir dlq: stage, status, type, reason, field, index, stream, since, until, limit, skip.
Or it is the key of a letter, or several; or all.

The file holds events as they came, secrets included: a new one can be read by its owner
only (mode 0600). A service that loads the script must be able to read it. It holds at
most %s events and %s.

Exit code 1 when a script does not compile or a test fails.`, humanCount(lua.MaxGoldenEvents), humanBytes(lua.MaxGoldenBytes)),
		Example: `  weir lua test transform.lua
  weir lua test scripts/*.lua --junit report.xml
  weir lua test transform.lua --from-wal 20 --dry-run
  weir lua test transform.lua --from-dlq stage=transform,since=1h
  weir lua test transform.lua --update`,
		Args: cobra.MinimumNArgs(1),
	}
	t.output.addFlag(cmd)
	cmd.Flags().StringVar(&t.junit, "junit", "", "write a JUnit report to this `FILE`")
	cmd.Flags().StringVar(&t.stream, "stream", "", "with the limits of this `STREAM` (default: default); capture only its events")
	t.golden.addFlags(cmd)
	withDataDir(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := t.check(cmd, args); err != nil {
			return err
		}
		cfg, err := a.loadConfig(cmd)
		if err != nil {
			return err
		}
		opts, err := luaOptions(a, cfg, orElse(t.stream, DefaultStream))
		if err != nil {
			return err
		}
		if t.golden.wanted() {
			return t.capture(cmd.Context(), cfg, opts, args[0])
		}
		return t.run(cmd.Context(), opts, args)
	}
	return cmd
}

// check makes wrong use of flags that do not go together.
func (t *luaTests) check(cmd *cobra.Command, scripts []string) error {
	if err := t.golden.check(t.a, cmd); err != nil {
		return err
	}
	switch {
	case !t.golden.wanted():
		return nil
	case t.junit != "":
		return usageErrorf("--junit reports tests; --from-dlq, --from-wal and --update run none")
	case len(scripts) > 1:
		return usageErrorf("--from-dlq, --from-wal and --update work on the golden events of one script, not of %d", len(scripts))
	}
	return nil
}

// scriptReport is what the tests of one script came to.
type scriptReport struct {
	script  string
	version string // "" for one that does not compile
	results []lua.TestResult
	err     error // why the script, or its tests as a whole, cannot run
	took    time.Duration
}

// failed counts the tests that failed.
func (r *scriptReport) failed() int {
	n := 0
	for i := range r.results {
		if !r.results[i].Passed() {
			n++
		}
	}
	return n
}

// run tests all scripts; one that does not compile stops no other.
func (t *luaTests) run(ctx context.Context, opts lua.Options, scripts []string) error {
	var reports []scriptReport
	for _, path := range scripts {
		begin := time.Now()
		report := scriptReport{script: path}
		script, err := lua.Load(path, opts)
		if report.err = err; err == nil {
			report.version = script.Version()
			report.results, report.err = script.RunTests(ctx)
		}
		if err := context.Cause(ctx); err != nil {
			return err
		}
		report.took = time.Since(begin)
		reports = append(reports, report)
	}
	err := t.show(reports)
	if t.junit != "" {
		err = errors.Join(err, writeJUnit(t.junit, t.a.now(), reports))
	}
	if err != nil {
		return err
	}
	for i := range reports {
		if reports[i].err != nil || reports[i].failed() > 0 {
			return errReported
		}
	}
	return nil
}
