package main

import (
	"bytes"
	"context"
	_ "embed" // the scripts
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirlog/weir/bench/report"
	"github.com/weirlog/weir/bench/transform"
)

var (
	//go:embed testdata/contract.lua
	contractScript []byte
	//go:embed testdata/everything.lua
	everythingScript []byte
)

// benchScript is a script that events pass.
type benchScript struct {
	name   string
	source []byte
}

var (
	contract   = benchScript{"contract's script", contractScript}
	tenLine    = benchScript{"ten-line script", tenLines}
	everything = benchScript{"everything script", everythingScript}
)

// transformRow is one way to transform the events of a case.
type transformRow struct {
	way        string
	goroutines int // that share one transformer, and the cores that they may use
}

// name is the row's in the report.
func (r transformRow) name() string {
	if r.goroutines > 1 {
		return fmt.Sprintf("%s, %d cores", r.way, r.goroutines)
	}
	return r.way
}

// transformCase is a script and a size of events. Its rows take turns, in this order.
type transformCase struct {
	script     benchScript
	eventBytes int
	full       bool // left out of a quick run
	rows       []transformRow
}

func (c *transformCase) name() string { return fmt.Sprintf("%s, %d B", c.script.name, c.eventBytes) }

var (
	contractRows = []transformRow{{transform.None, 1}, {transform.Plain, 1}, {transform.GoJSON, 1}, {transform.GoBytes, 1},
		{transform.WeirsLua, 1}, {transform.WeirsLua, 2}}
	scriptRows = []transformRow{{transform.Plain, 1}, {transform.WeirsLua, 1}}
)

var transformCases = []transformCase{
	{contract, 320, false, contractRows}, {contract, 500, true, contractRows},
	{tenLine, 320, false, scriptRows}, {tenLine, 500, true, scriptRows},
	{everything, 320, false, scriptRows}, {everything, 500, true, scriptRows},
}

// chosenTransforms are the cases that are to run.
func (o *options) chosenTransforms() (chosen []*transformCase) {
	for i := range transformCases {
		if c := &transformCases[i]; !o.leavesOut(c.full, o.roundTakes(transformExtra)) {
			chosen = append(chosen, c)
		}
	}
	return chosen
}

// transformsTake is about how long the scenario takes, and the cases that it leaves out.
func transformsTake(o *options) (total time.Duration, left int) {
	chosen := o.chosenTransforms()
	for _, c := range chosen {
		total += time.Duration(o.rounds*len(c.rows)) * o.roundTakes(transformExtra)
	}
	return total, len(transformCases) - len(chosen)
}

// runTransforms runs all rounds of the scenario, the rows of a case in turn, each round in a process of its own.
func (l *lab) runTransforms(ctx context.Context, scenario string) error {
	for _, c := range l.chosenTransforms() {
		info := report.Case{Scenario: scenario, Name: c.name(), EventBytes: c.eventBytes}
		for n := range l.rounds {
			for _, row := range c.rows {
				l.doing(scenario, c.name(), row.name(), n)
				round, err := l.transformRound(ctx, c, row, n == 0)
				if err != nil {
					return fmt.Errorf("%s, %s, %s, round %d: %w", scenario, c.name(), row.name(), n+1, err)
				}
				l.report.Add(info, row.name(), round)
				l.done(l.roundTakes(transformExtra), scenario, c.name(), row.name(), n, &round)
			}
		}
	}
	return nil
}

// transformRound measures one row once.
func (l *lab) transformRound(ctx context.Context, c *transformCase, row transformRow, first bool) (round report.Round, err error) {
	dir, err := os.MkdirTemp(l.dir, "round-")
	if err != nil {
		return round, fmt.Errorf("make a directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	child := transformChild{plan: transform.Plan{Way: row.way, EventBytes: c.eventBytes, Goroutines: row.goroutines,
		WarmUp: l.window() / 5, Window: l.window(), Dir: dir}, script: filepath.Join(dir, "bench.lua")}
	if err := os.WriteFile(child.script, c.script.source, 0o600); err != nil {
		return round, fmt.Errorf("write script: %w", err)
	}
	if first && l.profiles != "" {
		if child.profile, err = l.profilePath("transform " + row.name() + " " + c.name()); err != nil {
			return round, err
		}
	}
	return l.transformIn(ctx, child)
}

// transformIn runs the child.
func (l *lab) transformIn(ctx context.Context, child transformChild) (report.Round, error) {
	var complaint bytes.Buffer
	cmd := exec.CommandContext(ctx, l.self, child.args()...)
	cmd.Env, cmd.Stderr = append(os.Environ(), l.childEnv...), &complaint
	out, err := cmd.Output()
	if err != nil {
		return report.Round{}, fmt.Errorf("measure: %w\n%s", err, bytes.TrimSpace(complaint.Bytes()))
	}
	var found transformFound
	if err := json.Unmarshal(out, &found); err != nil {
		return report.Round{}, fmt.Errorf("read the result: %w", err)
	}
	return found.round(), nil
}

// transformChild is a measurement in a process of its own.
type transformChild struct {
	plan    transform.Plan
	script  string // file
	profile string // beginning of the names of profiles; "": none
}

// transformFound is what the process prints.
type transformFound struct {
	transform.Result
	Peak int64 `json:"peak"` // VmHWM
}

// round gives the figures of one event.
func (f *transformFound) round() report.Round {
	events := float64(f.Events)
	return report.Round{
		CoreRate: events / f.CPUSeconds, Transformed: events / f.Seconds,
		AllocatedBytes: float64(f.Allocated) / events, Allocations: float64(f.Allocations) / events,
		GCShare: f.GCShare, WorkerKilobytes: float64(f.WorkerBytes) / 1e3, PeakMegabytes: float64(f.Peak) / 1e6,
	}
}

func (c *transformChild) args() []string {
	return []string{"child", "transform", "--way", c.plan.Way, "--script", c.script, "--dir", c.plan.Dir, "--profile", c.profile,
		"--event-bytes", fmt.Sprint(c.plan.EventBytes), "--goroutines", fmt.Sprint(c.plan.Goroutines),
		"--warm-up", c.plan.WarmUp.String(), "--window", c.plan.Window.String()}
}

// newTransformChild is the command of the processes that measure.
func newTransformChild() *cobra.Command {
	var c transformChild
	cmd := &cobra.Command{
		Use:    "transform",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE:   func(cmd *cobra.Command, _ []string) error { return c.run(cmd.Context(), cmd.OutOrStdout()) },
	}
	flags := cmd.Flags()
	flags.StringVar(&c.plan.Way, "way", transform.WeirsLua, "way to transform")
	flags.StringVar(&c.script, "script", "", "file of the script")
	flags.StringVar(&c.plan.Dir, "dir", "", "directory for files")
	flags.StringVar(&c.profile, "profile", "", "beginning of the names of profiles")
	flags.IntVar(&c.plan.EventBytes, "event-bytes", 320, "bytes of each event")
	flags.IntVar(&c.plan.Goroutines, "goroutines", 1, "goroutines, and cores that they may use")
	flags.DurationVar(&c.plan.WarmUp, "warm-up", time.Second, "before the window")
	flags.DurationVar(&c.plan.Window, "window", time.Second, "what is measured")
	return cmd
}

// run measures and prints what it found.
func (c *transformChild) run(ctx context.Context, out io.Writer) (err error) {
	if c.plan.Script, err = os.ReadFile(c.script); err != nil {
		return fmt.Errorf("read script: %w", err)
	}
	profiled, err := startProfile(c.profile)
	if err != nil {
		return err
	}
	var found transformFound
	found.Result, err = transform.Measure(ctx, c.plan)
	if err := errors.Join(err, profiled()); err != nil {
		return err
	}
	u, err := readUsage(os.Getpid())
	if err != nil {
		return err
	}
	found.Peak = u.peak
	return json.NewEncoder(out).Encode(found)
}

// startProfile takes a CPU profile until the function that it returns is called, and then one of allocations.
func startProfile(path string) (stop func() error, err error) {
	if path == "" {
		return func() error { return nil }, nil
	}
	cpu, err := os.Create(path + ".cpu.pprof")
	if err != nil {
		return nil, fmt.Errorf("profile: %w", err)
	}
	if err := pprof.StartCPUProfile(cpu); err != nil {
		return nil, errors.Join(fmt.Errorf("profile: %w", err), cpu.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		allocs := func(w io.Writer) error { return pprof.Lookup("allocs").WriteTo(w, 0) }
		return errors.Join(cpu.Close(), writeFile(path+".allocs.pprof", allocs))
	}, nil
}
