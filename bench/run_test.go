package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/weirlog/weir/bench/report"
)

// measured is a target whose rounds are given.
func measured(name string, measure func() (report.Round, []string, error)) target {
	return target{name: name, measure: func(context.Context, *lab, string, *benchCase) (report.Round, []string, error) { return measure() }}
}

// inTestLab runs measure in a lab that writes all reports into a directory, which it returns. It starts nothing of weir.
func inTestLab(ctx context.Context, t *testing.T, measure func(*lab) error) (reports string, err error) {
	t.Helper()
	reports = filepath.Join(t.TempDir(), "deep", "reports")
	o := options{seconds: 0.1, rounds: 3, threads: 1, weir: "true", dir: t.TempDir(), reports: reports, out: io.Discard, progress: testWriter{t}}
	return reports, inLab(ctx, o, measure)
}

func TestInLab_SignalWritesWhatThereIs(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	n := 0
	c := &benchCase{name: "1 event a request, 64 connections", connections: 64, events: 1, targets: []target{measured("weir", func() (report.Round, []string, error) {
		if n++; n == 3 {
			cancel(errors.New("interrupt signal received"))
			return report.Round{}, nil, errors.New("load: context canceled")
		}
		return report.Round{Rate: 1000, P50: 1, P99: 2}, nil, nil
	})}}
	reports, err := inTestLab(ctx, t, func(l *lab) error { return l.runCase(ctx, "ack", c) })
	if err == nil || err.Error() != "interrupt signal received" {
		t.Errorf("error %v", err)
	}
	r, err := readReport(reports)
	if err != nil {
		t.Fatal(err)
	}
	if got := len(r.Cases[0].Rows[0].Rounds); got != 2 || len(r.Failures) != 1 || r.Failures[0] != "broken off: interrupt signal received" {
		t.Errorf("%d rounds, failures %q", got, r.Failures)
	}
}

func TestInLab_WritesAllReports(t *testing.T) {
	reports, err := inTestLab(t.Context(), t, func(l *lab) error {
		for _, connections := range []int{1, 64} {
			name := map[int]string{1: "1 connection", 64: "64 connections"}[connections]
			c := &benchCase{name: name, connections: connections, targets: []target{measured("noop", func() (report.Round, []string, error) {
				return report.Round{Rate: 1000, P50: 1, P99: 2}, nil, nil
			})}}
			if err := l.runCase(t.Context(), "ack", c); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(reports, "report.md"))
	if err != nil {
		t.Fatal(err)
	}
	charts := 0
	for _, part := range strings.Split(string(text), "](")[1:] {
		file, _, _ := strings.Cut(part, ")")
		if info, err := os.Stat(filepath.Join(reports, file)); err != nil || info.Size() == 0 {
			t.Errorf("report.md shows %s: %v", file, err)
		}
		charts++
	}
	if charts != 3 {
		t.Errorf("%d charts; want the throughput and two of latency:\n%s", charts, text)
	}
}

// TestEstimate_QuickRun bounds what a quick run may take: it is run before each change.
func TestEstimate_QuickRun(t *testing.T) {
	o := options{scenarios: []string{"all"}, seconds: quickSeconds, rounds: quickRounds}
	quick, left := o.estimate()
	if quick < time.Minute || quick > quickRun {
		t.Errorf("a quick run takes about %s, which is not between a minute and %s: mark cases as full, or shorten the window", quick, quickRun)
	}
	full := o
	full.full = true
	if long, none := full.estimate(); long <= quick || none > 0 || left == 0 {
		t.Errorf("a full run takes %s and leaves out %d, a quick one %s and %d", long, none, quick, left)
	}
	one := o
	one.scenarios = []string{"ack"}
	if short, _ := one.estimate(); short >= quick {
		t.Errorf("one scenario takes %s and all take %s", short, quick)
	}
}

func TestOptions_Cases_LeavesOutWhatIsLong(t *testing.T) {
	s := &scenario{cases: []benchCase{{name: "short"}, {name: "long", takes: time.Minute}, {name: "for full runs", full: true}}}
	for name, tt := range map[string]struct {
		o    options
		want string
	}{
		"quick":           {options{}, "short long"},
		"full":            {options{full: true}, "short long for full runs"},
		"only short ones": {options{full: true, longestRound: 5 * time.Second}, "short for full runs"},
		"none":            {options{longestRound: time.Millisecond}, ""},
	} {
		var got []string
		for _, c := range tt.o.cases(s) {
			got = append(got, c.name)
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: %q, want %s", name, got, tt.want)
		}
	}
}

func TestLab_Announce(t *testing.T) {
	var out bytes.Buffer
	l := &lab{options: options{scenarios: []string{"all"}, seconds: 0.1, rounds: 1, longestRound: time.Nanosecond, progress: &out}}
	l.announce()
	if !strings.Contains(out.String(), "this takes about 1 second") || len(l.report.Notes) != 1 || !strings.Contains(l.report.Notes[0], "cases left out") {
		t.Errorf("%s; notes %q", out.String(), l.report.Notes)
	}
	for d, want := range map[time.Duration]string{0: "about 1 second", 61 * time.Second: "about 61 seconds", 8*time.Minute + 40*time.Second: "about 9 minutes"} {
		if got := about(d); got != want {
			t.Errorf("%s: %s", d, got)
		}
	}
}

func TestLab_Bar_StandsInForTheLinesOfRounds(t *testing.T) {
	var out bytes.Buffer
	l := &lab{options: options{rounds: 5, progress: &out}}
	l.bar = progressbar.NewOptions64(1000, progressbar.OptionSetWriter(&out), progressbar.OptionSetWidth(10))
	l.doing("ack", "64 connections", "weir", 1)
	l.done(500*time.Millisecond, "ack", "64 connections", "weir", 1, &report.Round{Rate: 12345})
	l.say("warning: %s", "tmpfs")
	got := out.String()
	for _, want := range []string{"round 2/5  ack: 64 connections  weir", "50%", "warning: tmpfs\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %q", want, got)
		}
	}
	if strings.Contains(got, "12,345") {
		t.Errorf("a line beside the bar: %q", got)
	}
}

func TestCompareReports(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, rate float64) string {
		r := report.Report{Format: report.Format}
		for i := range 5 {
			r.Add(report.Case{Scenario: "ack", Name: "small"}, "weir", report.Round{Rate: rate + float64(i)})
		}
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := writeFile(path, r.JSON); err != nil {
			t.Fatal(err)
		}
		return path
	}
	older := write("old.json", 100)
	write("new/report.json", 200)
	markdown := filepath.Join(dir, "changes.md")
	cmd := newCommand()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetArgs([]string{"compare", older, filepath.Join(dir, "new"), "--markdown", markdown})
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	const verdict = "Of 1 figure 1 changed beyond the noise: 1 better, 0 worse."
	if !strings.Contains(out.String(), verdict) {
		t.Errorf("no verdict in:\n%s", out.String())
	}
	if text, err := os.ReadFile(markdown); err != nil || !strings.Contains(string(text), verdict) {
		t.Errorf("Markdown %s, %v", text, err)
	}
	for name, content := range map[string]string{"missing.json": "", "broken.json": "{"} {
		path := filepath.Join(dir, name)
		if content != "" {
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := compareReports(io.Discard, older, path, ""); err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "--json") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
