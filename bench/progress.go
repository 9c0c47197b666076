package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/weirlog/weir/bench/report"
)

// startBar shows a bar for a run that takes about as long as total, where the progress goes to a terminal. Elsewhere there is a
// line for each round.
func (l *lab) startBar(total time.Duration) {
	if _, ok := terminalWidth(l.progress); !ok || total <= 0 {
		return
	}
	l.bar = progressbar.NewOptions64(total.Milliseconds(),
		progressbar.OptionSetWriter(l.progress), progressbar.OptionSetPredictTime(true), progressbar.OptionFullWidth(),
		progressbar.OptionClearOnFinish())
}

// doing says what runs now.
func (l *lab) doing(scenario, name, target string, n int) {
	if l.bar != nil {
		what := []rune(fmt.Sprintf("round %d/%d  %s: %s  %s ", n+1, l.rounds, scenario, name, target))
		if width, _ := terminalWidth(l.progress); len(what) > width-barWidth {
			what = what[:max(width-barWidth, 0)]
		}
		l.bar.Describe(string(what))
	}
}

// barWidth is what the bar itself and the time need of a line.
const barWidth = 40

// done says what a round found, which was expected to take so long.
func (l *lab) done(took time.Duration, scenario, name, target string, n int, round *report.Round) {
	if l.bar == nil {
		l.say("%-10s %-50s round %d/%d  %-24s %s", scenario, name, n+1, l.rounds, target, round.Summary())
		return
	}
	_ = l.bar.Add64(took.Milliseconds()) // a bar that cannot be drawn is no reason to fail
}

// note says what belongs to the figures, now and in the reports.
func (l *lab) note(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	l.report.Notes = append(l.report.Notes, text)
	l.say("%s", text)
}

// say prints a line of progress.
func (l *lab) say(format string, args ...any) {
	if l.bar != nil {
		_ = l.bar.Clear() // as above
	}
	fmt.Fprintf(l.progress, format+"\n", args...) //nolint:errcheck // progress is for whoever looks
}

// endBar removes the bar.
func (l *lab) endBar() {
	if l.bar != nil {
		_ = l.bar.Clear() // as above
		l.bar = nil
	}
}

// terminalWidth returns the columns of the terminal that w is; ok is false when it is none.
func terminalWidth(w io.Writer) (columns int, ok bool) {
	file, isFile := w.(*os.File)
	if !isFile || !term.IsTerminal(int(file.Fd())) {
		return report.TableWidth, false
	}
	columns, _, err := term.GetSize(int(file.Fd()))
	if err != nil || columns <= 0 {
		return report.TableWidth, true
	}
	return columns, true
}
