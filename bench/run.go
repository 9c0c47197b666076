package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/dustin/go-humanize/english"
	"github.com/schollz/progressbar/v3"

	"github.com/weirlog/weir/bench/report"
)

// lab is one run of the benchmark.
type lab struct {
	options
	self     string   // this binary
	childEnv []string // added to the environment of its children
	weir     string   // binary to measure
	dir      string   // of everything that the run writes, but for the reports
	report   report.Report
	bar      *progressbar.ProgressBar // nil without a terminal
}

// weirPackage is what is built when no binary is given.
const weirPackage = "github.com/weirlog/weir/cmd/weir"

// run runs the chosen scenarios and writes the reports.
func run(ctx context.Context, o options) error {
	if err := o.validate(); err != nil {
		return err
	}
	if o.others.given() {
		return inLab(ctx, o, func(l *lab) error { return l.runOthers(ctx) })
	}
	return inLab(ctx, o, func(l *lab) error { return l.runScenarios(ctx) })
}

// inLab measures something and writes the reports.
func inLab(ctx context.Context, o options, measure func(*lab) error) (err error) {
	l := &lab{options: o}
	if l.self, err = os.Executable(); err != nil {
		return fmt.Errorf("find the own binary: %w", err)
	}
	if l.dir, err = os.MkdirTemp(o.dir, "weir-bench-"); err != nil {
		return fmt.Errorf("make a directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(l.dir)) }()
	if err := l.prepare(ctx); err != nil {
		return err
	}
	err = measure(l)
	l.endBar()
	if err == nil {
		return l.finish()
	}
	if ctx.Err() != nil { // the signal is the reason, not what it made fail
		err = context.Cause(ctx)
	}
	l.report.Failures = append(l.report.Failures, "broken off: "+err.Error())
	return errors.Join(err, l.write()) // what was measured until then is worth showing
}

func (l *lab) runScenarios(ctx context.Context) error {
	l.announce()
	for k := range scenarios {
		s := &scenarios[k]
		if !l.wants(s) {
			continue
		}
		if s.measure != nil {
			if err := s.measure(l, ctx, s.name); err != nil {
				return err
			}
		}
		for _, c := range l.cases(s) {
			if err := l.runCase(ctx, s.name, c); err != nil {
				return err
			}
		}
	}
	return nil
}

// prepare builds weir and looks at the machine.
func (l *lab) prepare(ctx context.Context) error {
	l.report = report.Report{Format: report.Format, Command: l.command, Started: time.Now(), Window: l.seconds, Failures: []string{}}
	sync, err := probeDisk(l.dir)
	if err != nil {
		return err
	}
	l.report.Machine = report.NewMachine(l.dir, sync)
	if l.report.Machine.FileSystem == "tmpfs" {
		l.say("warning: %s is memory, not a disk, and its fsync does nothing; choose another with --dir", l.dir)
	}
	if l.others.given() { // weir is one of them, or none
		l.report.Weir = "Beside others"
		return nil
	}
	if l.weir = l.options.weir; l.weir == "" {
		l.say("building weir")
		l.weir = filepath.Join(l.dir, "weir")
		build := exec.CommandContext(ctx, "go", "build", "-o", l.weir, weirPackage)
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("build weir: %w\n%s", err, out)
		}
	}
	version, err := exec.CommandContext(ctx, l.weir, "version").Output()
	if err != nil {
		return fmt.Errorf("ask %s for its version: %w", l.weir, err)
	}
	l.report.Weir = strings.Join(strings.Fields(string(version)), " ")
	return nil
}

// runCase runs all rounds of one case, the targets in turn.
func (l *lab) runCase(ctx context.Context, scenario string, c *benchCase) error {
	if !c.possible() {
		l.note("%s, %s: left out, it needs more open files than this process may have (ulimit -n)", scenario, c.name)
		return nil
	}
	info := report.Case{Scenario: scenario, Name: c.name, Connections: c.connections, Events: c.events, EventBytes: c.eventBytes}
	for n := range l.rounds {
		for _, t := range l.targets(c) {
			l.doing(scenario, c.name, t.name, n)
			round, problems, err := l.runRound(ctx, c, &t, n == 0)
			for _, p := range problems {
				p = fmt.Sprintf("%s, %s, %s, round %d: %s", scenario, c.name, t.name, n+1, p)
				l.report.Failures = append(l.report.Failures, p)
				l.say("FAILED: %s", p)
			}
			if err != nil {
				return fmt.Errorf("%s, %s, %s, round %d: %w", scenario, c.name, t.name, n+1, err)
			}
			l.report.Add(info, t.name, round)
			l.done(l.takes(c), scenario, c.name, t.name, n, &round)
		}
	}
	return nil
}

// finish writes the reports, and fails when a round did.
func (l *lab) finish() error {
	err := l.write()
	if len(l.report.Failures) > 0 {
		err = errors.Join(err, errFailed)
	}
	return err
}

// write writes the reports of what there is.
func (l *lab) write() error {
	l.report.Seconds = time.Since(l.report.Started).Seconds()
	width, _ := terminalWidth(l.out)
	err := l.report.Table(l.out, width)
	if l.json != "" {
		err = errors.Join(err, writeFile(l.json, l.report.JSON))
	}
	if l.markdown != "" {
		err = errors.Join(err, writeFile(l.markdown, func(w io.Writer) error { return l.report.Markdown(w) }))
	}
	if l.reports != "" {
		err = errors.Join(err, l.writeReports())
	}
	return err
}

// writeReports writes all reports into their directory.
func (l *lab) writeReports() error {
	if err := os.MkdirAll(l.reports, 0o755); err != nil {
		return fmt.Errorf("make the directory of the reports: %w", err)
	}
	charts := l.report.Charts()
	err := writeFile(filepath.Join(l.reports, reportFile), l.report.JSON)
	err = errors.Join(err, writeFile(filepath.Join(l.reports, "report.md"), func(w io.Writer) error { return l.report.Markdown(w, charts...) }))
	for i := range charts {
		err = errors.Join(err, writeFile(filepath.Join(l.reports, charts[i].File), charts[i].SVG))
	}
	if err == nil {
		l.say("wrote %s and %s", filepath.Join(l.reports, "report.md"), english.Plural(len(charts), "chart", ""))
	}
	return err
}
