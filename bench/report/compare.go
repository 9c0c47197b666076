package report

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/dustin/go-humanize/english"
	"golang.org/x/perf/benchmath"
)

// noise is the rule that tells a change from noise: how probable it may be that rounds of one and the same thing lie as far
// apart as those of the two reports (Mann-Whitney U test, which takes no shape of the noise for granted). Five rounds a
// side reach it when none of the one side's lies among the other's; with fewer nothing can.
var noise = benchmath.Thresholds{CompareAlpha: 0.01}

// noiseRounds is how many rounds of each side the rule needs.
const noiseRounds = 5

// Rule says the same to people.
const Rule = "Marked is what chance would bring about less than once in a hundred figures (Mann-Whitney U test over the rounds, p < 0.01)."

// errNothingInCommon says that two reports cannot be held against each other.
var errNothingInCommon = errors.New("the reports have no case, target and figure in common: compare runs of the same scenarios")

// Comparison is what changed from one report to another.
type Comparison struct {
	Changes  []Change // those beyond the noise first, each kind by its effect
	Warnings []string // why the figures may say less than they seem to
}

// Change is one figure of a target that both reports have.
type Change struct {
	Scenario, Case, Target, Figure string

	Old, New float64 // medians
	Marked   bool    // beyond the noise
	P        float64 // how probable it is without any change

	better  direction
	ceiling bool   // of a target that holds nothing of weir
	like    string // a ceiling of the same case whose figure moved the same way; "": none
	text    func(float64) string
}

// Compare holds a report against an older one.
func Compare(older, newer *Report) (*Comparison, error) {
	c := &Comparison{Warnings: older.Machine.differences(newer.Machine)}
	if older.Window != newer.Window && older.Window > 0 && newer.Window > 0 {
		c.Warnings = append(c.Warnings, fmt.Sprintf("windows are of %g s in the old report and of %g s in the new one: loads of the same name differ in length and amount", older.Window, newer.Window))
	}
	few := false
	for i := range newer.Cases {
		b := &newer.Cases[i]
		at := slices.IndexFunc(older.Cases, func(a Case) bool { return a.Scenario == b.Scenario && a.Name == b.Name })
		if at < 0 {
			continue
		}
		a := &older.Cases[at]
		for j := range b.Rows {
			k := slices.IndexFunc(a.Rows, func(r Row) bool { return r.Target == b.Rows[j].Target })
			if k < 0 {
				continue
			}
			few = few || min(len(a.Rows[k].Rounds), len(b.Rows[j].Rounds)) < noiseRounds
			c.Changes = append(c.Changes, changes(a, &a.Rows[k], b, &b.Rows[j])...)
		}
	}
	if len(c.Changes) == 0 {
		return nil, errNothingInCommon
	}
	if few {
		c.Warnings = append(c.Warnings, fmt.Sprintf("some targets have fewer than %d rounds in one of the reports, which is too few to tell a change from noise: measure with --rounds %d or more", noiseRounds, noiseRounds))
	}
	for i, r := range []*Report{older, newer} {
		if len(r.Failures) > 0 {
			c.Warnings = append(c.Warnings, fmt.Sprintf("the %s run failed: %s", []string{"old", "new"}[i], r.Failures[0]))
		}
	}
	for i := range c.Changes {
		c.Changes[i].like = c.movedAlike(&c.Changes[i])
	}
	slices.SortStableFunc(c.Changes, func(a, b Change) int {
		if a.Marked != b.Marked {
			return cmp.Compare(b.marked(), a.marked())
		}
		return cmp.Compare(b.effect(), a.effect())
	})
	return c, nil
}

// changes are those of one target.
func changes(a *Case, old *Row, b *Case, new *Row) (all []Change) {
	for k := range columns {
		col := &columns[k]
		before, after := col.samples(a, old), col.samples(b, new)
		if col.better == neither || !says(before) && !says(after) || len(before) == 0 || len(after) == 0 {
			continue
		}
		change := Change{Scenario: b.Scenario, Case: b.Name, Target: new.Target, Figure: col.name,
			Old: median(before), New: median(after), better: col.better, ceiling: isCeiling(new.Target), text: col.text}
		test := benchmath.AssumeNothing.Compare(benchmath.NewSample(before, &noise), benchmath.NewSample(after, &noise))
		// The test fails on equal samples, which it reports as 1.
		change.P, change.Marked = test.P, test.P < noise.CompareAlpha && change.Old != change.New
		all = append(all, change)
	}
	return all
}

// movedAlike returns a ceiling beside the target of a change whose figure moved the same way: then it is the machine, or other work
// on it, rather than weir. Rounds of one run tell nothing of the noise between two runs.
func (c *Comparison) movedAlike(change *Change) string {
	if change.ceiling || !change.Marked {
		return ""
	}
	for i := range c.Changes {
		top := &c.Changes[i]
		if top.ceiling && top.Marked && top.Scenario == change.Scenario && top.Case == change.Case && top.Figure == change.Figure && top.verdict() == change.verdict() {
			return top.Target
		}
	}
	return ""
}

// says reports whether there is a figure at all.
func says(samples []float64) bool {
	return slices.ContainsFunc(samples, func(v float64) bool { return v != 0 })
}

func (c *Change) marked() int {
	if c.Marked {
		return 1
	}
	return 0
}

// effect is how far the figures lie apart, the same for a half and for a double.
func (c *Change) effect() float64 {
	switch {
	case c.Old == c.New:
		return 0
	case c.Old <= 0 || c.New <= 0:
		return math.Inf(1)
	}
	return math.Abs(math.Log(c.New / c.Old))
}

// delta writes the change.
func (c *Change) delta() string {
	switch {
	case c.Old == c.New:
		return "0.0 %"
	case c.Old == 0:
		return "from 0"
	}
	return fmt.Sprintf("%+.1f %%", 100*(c.New/c.Old-1))
}

// verdict is the mark of a change; "" within the noise.
func (c *Change) verdict() string {
	switch {
	case !c.Marked:
		return ""
	case (c.New > c.Old) == (c.better == higher):
		return "better"
	}
	return "worse"
}

// mark is what a table says of a change.
func (c *Change) mark() string {
	if c.like != "" {
		return c.verdict() + ", like " + c.like
	}
	return c.verdict()
}

// Verdict sums up in a line or two.
func (c *Comparison) Verdict() string {
	var better, worse, ceilings, alike int
	for i := range c.Changes {
		change := &c.Changes[i]
		if change.like != "" {
			alike++
		}
		switch {
		case !change.Marked:
		case change.ceiling:
			ceilings++
		case change.verdict() == "better":
			better++
		default:
			worse++
		}
	}
	text := fmt.Sprintf("Of %s %d changed beyond the noise: %d better, %d worse.", english.Plural(len(c.Changes), "figure", ""), better+worse, better, worse)
	if better+worse == 0 {
		text = fmt.Sprintf("Of %s none changed beyond the noise.", english.Plural(len(c.Changes), "figure", ""))
	}
	if ceilings > 0 {
		text += fmt.Sprintf(" Besides, %d changed of targets that hold nothing of weir, and %d of the above went the same way: that is the machine. Shares (of noop, of bare, ...) say more than rates.", ceilings, alike)
	}
	return text
}

// cells are the lines of a table, heading first.
func (c *Comparison) cells() [][]string {
	lines := [][]string{{"case", "target", "figure", "old", "new", "change", "p", ""}}
	for i := range c.Changes {
		change := &c.Changes[i]
		lines = append(lines, []string{change.Scenario + ": " + change.Case, change.Target, change.Figure,
			change.text(change.Old), change.text(change.New), change.delta(), fmt.Sprintf("%.3f", change.P), change.mark()})
	}
	return lines
}

// Table writes the comparison for a terminal.
func (c *Comparison) Table(w io.Writer) error {
	var b strings.Builder
	b.WriteString(render(c.cells(), 3) + "\n\n" + Rule + "\n")
	for _, warning := range c.Warnings {
		b.WriteString("warning: " + warning + "\n")
	}
	b.WriteString(c.Verdict() + "\n")
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write comparison: %w", err)
	}
	return nil
}

// Markdown writes the comparison for a document.
func (c *Comparison) Markdown(w io.Writer) error {
	var b strings.Builder
	for i, line := range c.cells() {
		markdownRow(&b, line)
		if i == 0 {
			b.WriteString("| --- | --- | --- | ---: | ---: | ---: | ---: | --- |\n")
		}
	}
	b.WriteString("\n" + Rule + "\n")
	for _, warning := range c.Warnings {
		b.WriteString("\n**Warning:** " + warning + "\n")
	}
	b.WriteString("\n" + c.Verdict() + "\n")
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write comparison: %w", err)
	}
	return nil
}

// otherDisk is how many times slower an fdatasync may be before the disk counts as another.
const otherDisk = 1.5

// differences says what makes figures of two machines hard to compare.
func (m Machine) differences(n Machine) (all []string) {
	for _, d := range []struct {
		what string
		a, b any
	}{
		{"cores", m.Cores, n.Cores},
		{"processors", m.CPU, n.CPU},
		{"gigabytes of memory", math.Round(m.MemoryGB), math.Round(n.MemoryGB)},
		{"kernels", m.Kernel, n.Kernel},
		{"file systems", m.FileSystem, n.FileSystem},
		{"versions of Go", m.Go, n.Go},
	} {
		if d.a != d.b {
			all = append(all, fmt.Sprintf("the machines differ in their %s: %v and %v", d.what, d.a, d.b))
		}
	}
	if slow, fast := max(m.SyncMillis, n.SyncMillis), min(m.SyncMillis, n.SyncMillis); fast > 0 && slow > otherDisk*fast {
		all = append(all, fmt.Sprintf("the disks differ: an append with fdatasync took %.2f and %.2f ms", m.SyncMillis, n.SyncMillis))
	}
	return all
}
