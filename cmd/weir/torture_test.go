//go:build linux

package main

import (
	"bytes"
	"flag"
	"fmt"
	"iter"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"
)

// The torture test tries every fault that we can make on all of weir's files together, and counts. make test runs a small,
// fixed share of each kind; make torture BUDGET=10m all of them for a time. docs/testing.md says what each kind does.
var (
	tortureBudget = flag.Duration("torture.budget", 0, "how long the torture test takes, all kinds together; 0: a small, fixed share of each kind")
	tortureSeed   = flag.Uint64("torture.seed", 0, "repeats the random choices of a run; 0: new ones")
	tortureKeep   = flag.String("torture.keep", "", "a directory that receives the data directories of failures")
)

// tortureKinds are the kinds of fault, in the order in which they are tried. share weighs a kind's part of the budget.
var tortureKinds []tortureKind

// The table refers to functions that refer to it.
func init() {
	tortureKinds = []tortureKind{
		{"cut", "states after a power cut", 4, tortureCut},
		{"fault", "lives with failing operations", 5, tortureFault},
		{"rot", "damaged data directories", 5, tortureRot},
		{"kill", "lives that were ended", 4, tortureKill},
		{"full", "full disks", 1, tortureFull},
		{"disk", "cuts and failures of real file systems", 2, tortureDisk},
		{"model", "sequences", 2, tortureModel},
	}
}

type tortureKind struct {
	name  string
	units string // what is counted
	share int
	run   func(*torture)
}

// TestTorture runs the kinds one after the other; each of them may use all processors.
func TestTorture(t *testing.T) {
	defer func(b int64) { reserveBytes = b }(reserveBytes)
	reserveBytes = 64 << 10
	// A system call that waits keeps its processor until the scheduler looks. Measured, four times as many as there are make
	// half as many states again.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4 * runtime.NumCPU()))
	seed := *tortureSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	total := 0
	for _, k := range tortureKinds {
		total += k.share
	}
	var kinds []*torture
	for _, k := range tortureKinds {
		t.Run(k.name, func(t *testing.T) {
			tt := &torture{T: t, kind: k, seed: seed, started: time.Now()}
			tt.budget = *tortureBudget * time.Duration(k.share) / time.Duration(total)
			kinds = append(kinds, tt)
			tell(t, "%s, %s: repeat with: go test ./cmd/weir -run '^TestTorture$/^%s$' -timeout 0 -torture.seed=%d -torture.budget=%s", k.name, k.units, k.name, seed, *tortureBudget)
			defer func() { tt.took = time.Since(tt.started) }()
			k.run(tt)
		})
	}
	tell(t, "seed %d\n%s", seed, tortureTable(kinds))
}

// tell prints at once where somebody waits for a long run, and into the test's log in a short one.
func tell(t *testing.T, format string, args ...any) {
	t.Helper()
	if *tortureBudget == 0 && *tortureKills == 0 {
		t.Logf(format, args...)
		return
	}
	fmt.Fprintf(os.Stdout, format+"\n", args...)
}

// tortureTable is what the run found, a line for each kind.
func tortureTable(kinds []*torture) string {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "kind\tunits\ttried\tlost\tinvented\tdoubled\tnot noticed\tby hand\tskipped\ttook")
	for _, tt := range kinds {
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\n", tt.kind.name, tt.kind.units, tt.tried, tt.lost, tt.invented, tt.doubled, tt.unnoticed, tt.byHand, tt.skipped, tt.took.Round(time.Second))
	}
	w.Flush() //nolint:errcheck // a bytes.Buffer never fails
	for _, tt := range kinds {
		for _, why := range tt.reasons {
			fmt.Fprintf(&b, "%s: %s\n", tt.kind.name, why)
		}
	}
	return b.String()
}

// torture is one kind's run: its clock, its choices, and what it found. Its methods may be called concurrently.
type torture struct {
	*testing.T
	kind    tortureKind
	seed    uint64
	budget  time.Duration // 0: the small share
	started time.Time
	took    time.Duration

	mu                                                         sync.Mutex
	tried, lost, invented, doubled, unnoticed, byHand, skipped int
	failures                                                   int
	reasons                                                    []string // lines below the kind's own in the table
}

// quick says that this is the small share, which does a fixed amount of work.
func (tt *torture) quick() bool { return tt.budget == 0 }

// timeLeft reports whether the kind's part of the budget is not used up. The small share has no clock.
func (tt *torture) timeLeft() bool { return tt.quick() || time.Since(tt.started) < tt.budget }

// rounds counts up from 0: n rounds in the small share, otherwise at least n and on until the time is used up.
func (tt *torture) rounds(n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := 0; i < n || !tt.quick() && tt.timeLeft(); i++ {
			if !yield(i) {
				return
			}
		}
	}
}

// try counts n units.
func (tt *torture) try(n int) {
	tt.mu.Lock()
	defer tt.mu.Unlock()
	tt.tried += n
}

// skip counts units that this machine does not allow, and says why, once for each reason.
func (tt *torture) skip(n int, format string, args ...any) {
	why := fmt.Sprintf("skipped: "+format, args...)
	tt.mu.Lock()
	defer tt.mu.Unlock()
	tt.skipped += n
	for _, r := range tt.reasons {
		if r == why {
			return
		}
	}
	tt.reasons = append(tt.reasons, why)
}

// note adds a line to the table: a figure that counts tell nothing of.
func (tt *torture) note(format string, args ...any) {
	tt.mu.Lock()
	defer tt.mu.Unlock()
	tt.reasons = append(tt.reasons, fmt.Sprintf(format, args...))
}

// verdict is what a judge found wrong with one unit; each entry says what. The zero value finds nothing.
type verdict struct {
	lost      []string // acknowledged, and neither delivered, dropped on purpose, nor a dead letter
	invented  []string // nobody sent it, or not with this content
	doubled   []string // more than once in the destination, or two bodies under one id
	unnoticed []string // damage that nothing told of
	byHand    []string // somebody would have to do something before weir works again
}

func (v *verdict) ok() bool {
	return len(v.lost)+len(v.invented)+len(v.doubled)+len(v.unnoticed)+len(v.byHand) == 0
}

// String lists what was found, a line for each.
func (v verdict) String() string {
	var b strings.Builder
	for _, l := range []struct {
		what string
		all  []string
	}{{"lost", v.lost}, {"invented", v.invented}, {"doubled", v.doubled}, {"not noticed", v.unnoticed}, {"needs a person", v.byHand}} {
		for _, s := range l.all[:min(len(l.all), 5)] {
			fmt.Fprintf(&b, "\n  %s: %s", l.what, s)
		}
		if len(l.all) > 5 {
			fmt.Fprintf(&b, "\n  %s: %d more", l.what, len(l.all)-5)
		}
	}
	return b.String()
}

// maxTortureFailures is how many failures a kind describes. Further ones are only counted.
const maxTortureFailures = 20

// judge counts what was found. unit says what was tried, so that it can be tried again; keep, which may be nil, copies
// the data directory to where it is told.
func (tt *torture) judge(v verdict, keep func(dir string) error, unit string, args ...any) {
	if v.ok() {
		return
	}
	tt.Helper()
	tt.mu.Lock()
	tt.lost += len(v.lost)
	tt.invented += len(v.invented)
	tt.doubled += len(v.doubled)
	tt.unnoticed += len(v.unnoticed)
	tt.byHand += len(v.byHand)
	tt.failures++
	n := tt.failures
	tt.mu.Unlock()
	if n > maxTortureFailures {
		tt.Fail()
		return
	}
	var b strings.Builder
	fmt.Fprintf(&b, unit, args...)
	fmt.Fprint(&b, v)
	if *tortureKeep != "" && keep != nil {
		dir := fmt.Sprintf("%s/%s-%d", *tortureKeep, tt.kind.name, n)
		if err := os.MkdirAll(dir, 0o750); err != nil {
			fmt.Fprintf(&b, "\n  not kept: %v", err)
		} else if err := keep(dir); err != nil {
			fmt.Fprintf(&b, "\n  not kept: %v", err)
		} else {
			fmt.Fprintf(&b, "\n  kept in %s", dir)
		}
	}
	tt.Error(b.String())
}
