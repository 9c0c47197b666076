package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// options are the flags, and where the output goes.
type options struct {
	scenarios []string
	seconds   float64 // of a window
	rounds    int
	weir      string // binary; "": build it
	before    string // another binary, measured beside it; "": none
	dir       string
	threads   int // of the generator; 0: half of the cores
	json      string
	markdown  string
	reports   string // directory of all reports; "": none
	profiles  string
	others    othersOptions // log receivers that the user started, in place of the scenarios

	full         bool          // cases that a quick run leaves out
	longestRound time.Duration // leaves out cases whose rounds take longer; 0: none

	command       string // as it was given, for the report
	out, progress io.Writer
}

// With these the cases of a quick run take less than quickRun together.
const (
	quickSeconds = 1
	quickRounds  = 5
	quickRun     = 10 * time.Minute
)

// commonFlags are the flags that every command has.
func (o *options) commonFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.weir, "weir", "", "measure `BINARY`; without it, ./cmd/weir is built")
	flags.StringVar(&o.before, "before", "", "measure `BINARY` beside it, round by round: what a change brings")
	flags.StringVar(&o.dir, "dir", os.TempDir(), "put the data of the run into `DIRECTORY`, on the disk to be measured")
	flags.StringVar(&o.json, "json", "", "write the report as JSON to `FILE`")
	flags.StringVar(&o.markdown, "markdown", "", "write the report as Markdown to `FILE`")
	flags.StringVar(&o.reports, "report", "", "write report.json, report.md and charts (SVG) into `DIRECTORY`, which is made")
	flags.StringVar(&o.profiles, "profile", "", "keep CPU and heap profiles of weir in `DIRECTORY`")
}

// longest is the greatest length of a window, so that a slip of the pen does not fill a disk.
const longest = 10 * time.Minute

func (o *options) validate() error {
	if o.threads == 0 {
		o.threads = max(runtime.NumCPU()/2, 1)
	}
	var errs []error
	if w := o.window(); w <= 0 || w > longest {
		errs = append(errs, fmt.Errorf("--seconds: %g is not between 0 and %g", o.seconds, longest.Seconds()))
	}
	if o.rounds < 1 {
		errs = append(errs, fmt.Errorf("--rounds: %d is not a number of rounds", o.rounds))
	}
	if o.longestRound < 0 {
		errs = append(errs, fmt.Errorf("--longest-round: %s is not a time, write 5s, or 0 for no limit", o.longestRound))
	}
	if o.threads < 0 {
		errs = append(errs, fmt.Errorf("--threads: %d is not a number of threads", o.threads))
	}
	for _, name := range o.scenarios {
		if name != "all" && !slices.ContainsFunc(scenarios, func(s scenario) bool { return s.name == name }) {
			errs = append(errs, fmt.Errorf("--scenario: there is no %q; write all or some of %s", name, strings.Join(scenarioNames(), ",")))
		}
	}
	return errors.Join(append(errs, o.others.validate(o.rounds))...)
}

func (o *options) window() time.Duration { return time.Duration(o.seconds * float64(time.Second)) }

// amount is how many of n a case has that is measured by amounts: n, or fewer where windows are shorter than a second.
func (o *options) amount(n int) int { return max(int(float64(n)*min(o.seconds, 1)), 1) }

// amounts are those of a case that are to run: few in any run, many in a full one. takes says about how long a round takes.
func (o *options) amounts(few, many int, takes func(n int) time.Duration) (chosen []int) {
	if n := o.amount(few); !o.leavesOut(false, takes(n)) {
		chosen = append(chosen, n)
	}
	if !o.leavesOut(true, takes(many)) {
		chosen = append(chosen, many)
	}
	return chosen
}

// amountsTake is about how long a scenario of such amounts takes, and how many of them are left out.
func (o *options) amountsTake(few, many int, takes func(n int) time.Duration) (total time.Duration, left int) {
	chosen := o.amounts(few, many, takes)
	for _, n := range chosen {
		total += time.Duration(o.rounds) * takes(n)
	}
	if o.before != "" {
		total *= 2
	}
	return total, 2 - len(chosen)
}

// wants reports whether a scenario is to run.
func (o *options) wants(s *scenario) bool {
	return slices.Contains(o.scenarios, "all") || slices.Contains(o.scenarios, s.name)
}
