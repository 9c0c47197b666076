package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// column is one column of the tables.
type column struct {
	name string
	cell func(c *Case, r *Row) string // "" when there is nothing to say
}

// PlainLoop and BulkIndexer name the targets that weir's delivery into a real server is compared with, PlainWay the
// one that its transforms are compared with.
const (
	PlainLoop   = "plain loop"
	BulkIndexer = "esutil.BulkIndexer"
	PlainWay    = "plain way"
)

func rate(x Round) float64     { return x.Rate }
func coreRate(x Round) float64 { return x.CoreRate }

// Delivered is the rate of a round from end to end, for Median and Share.
func Delivered(x Round) float64 { return x.Delivered }

var columns = []column{
	{"case", func(c *Case, _ *Row) string { return c.Name }},
	{"target", func(_ *Case, r *Row) string { return r.Target }},
	{"acked/s", func(_ *Case, r *Row) string { return count(r.Median(rate)) }},
	{"least-most", func(_ *Case, r *Row) string { return spread(r, rate) }},
	{"of noop", func(c *Case, r *Row) string { return share(c, r, "noop", rate) }},
	{"of bare", func(c *Case, r *Row) string { return share(c, r, "bare", rate) }},
	{"end to end/s", func(_ *Case, r *Row) string { return count(r.Median(Delivered)) }},
	{"least-most", func(_ *Case, r *Row) string { return spread(r, Delivered) }},
	{"of plain loop", func(c *Case, r *Row) string { return share(c, r, PlainLoop, Delivered) }},
	{"of esutil", func(c *Case, r *Row) string { return share(c, r, BulkIndexer, Delivered) }},
	{"events/core-s", func(_ *Case, r *Row) string { return count(r.Median(coreRate)) }},
	{"least-most", func(_ *Case, r *Row) string { return spread(r, coreRate) }},
	{"of plain way", func(c *Case, r *Row) string { return share(c, r, PlainWay, coreRate) }},
	{"ns/event", func(_ *Case, r *Row) string { return count(r.Median(nanoseconds)) }},
	{"events/s", func(_ *Case, r *Row) string { return count(r.Median(func(x Round) float64 { return x.Transformed })) }},
	{"B/event", func(_ *Case, r *Row) string {
		return count(r.Median(func(x Round) float64 { return x.AllocatedBytes }))
	}},
	{"allocs/event", func(_ *Case, r *Row) string { return small(r.Median(func(x Round) float64 { return x.Allocations })) }},
	{"GC %", func(_ *Case, r *Row) string { return small(100 * r.Median(func(x Round) float64 { return x.GCShare })) }},
	{"worker kB", func(_ *Case, r *Row) string {
		return count(most(r, func(x Round) float64 { return x.WorkerKilobytes }))
	}},
	{"p50 ms", func(_ *Case, r *Row) string { return millis(r.Median(func(x Round) float64 { return x.P50 })) }},
	{"p99", func(_ *Case, r *Row) string { return millis(r.Median(func(x Round) float64 { return x.P99 })) }},
	{"p99.9", func(_ *Case, r *Row) string { return millis(r.Median(func(x Round) float64 { return x.P999 })) }},
	{"CPU s/M", func(_ *Case, r *Row) string { return small(r.Median(func(x Round) float64 { return x.CPU })) }},
	{"generator", func(_ *Case, r *Row) string { return small(r.Median(func(x Round) float64 { return x.GeneratorCPU })) }},
	{"server", func(_ *Case, r *Row) string { return small(r.Median(func(x Round) float64 { return x.ServerCPU })) }},
	{"peak MB", func(_ *Case, r *Row) string { return count(most(r, func(x Round) float64 { return x.PeakMegabytes })) }},
}

// nanoseconds is the processor time of one transformed event.
func nanoseconds(x Round) float64 {
	if x.CoreRate == 0 {
		return 0
	}
	return 1e9 / x.CoreRate
}

// most is the greatest of the rounds, for limits.
func most(r *Row, f func(Round) float64) float64 {
	_, greatest := r.Spread(f)
	return greatest
}

// Explained says what the columns mean, for below the tables.
const Explained = `acked/s, end to end/s: events a second, median of the rounds (least and most beside it); end to end: from the first post to the
last delivery, or from the first bulk request to the last confirmed document. of noop, of bare: share of that target's acked/s, median of
neighbouring rounds; of plain loop, of esutil: of that target's end to end/s. p50, p99, p99.9: time of a request. CPU s/M: processor
seconds of the target for a million events, delivery included (generator: of the load generator; server: of the Elasticsearch); peak MB: VmHWM.`

// ExplainedTransform says what the columns of transforms mean.
const ExplainedTransform = `events/core-s: events for a second of processor time, garbage collection included, median of the rounds (least and most beside it); of plain
way: how many times that of the plain way with the same script, median of neighbouring rounds; ns/event: processor time of an event; events/s: on the
clock, all cores of the row together; B/event, allocs/event: allocated; GC %: part of the processor time that the garbage collector took; worker kB: heap
that the transformer keeps for each core, most of the rounds; peak MB: VmHWM of the process, its events included.`

// explained says what the columns of this report mean.
func (r *Report) explained() string {
	var texts []string
	for _, e := range []struct {
		text      string
		transform bool
	}{{Explained, false}, {ExplainedTransform, true}} {
		if slices.ContainsFunc(r.Cases, func(c Case) bool { return c.transforms() == e.transform }) {
			texts = append(texts, e.text)
		}
	}
	return strings.Join(texts, "\n\n")
}

// transforms reports whether the case measured transforms in memory.
func (c *Case) transforms() bool {
	return slices.ContainsFunc(c.Rows, func(r Row) bool { return r.Median(coreRate) > 0 })
}

// Table writes the report for a terminal.
func (r *Report) Table(w io.Writer) error {
	var b strings.Builder
	r.each(func(scenario string, cells [][]string) {
		for i := 1; i < len(cells); {
			name := cells[i][0]
			tw := table.NewWriter()
			tw.SetStyle(table.StyleLight)
			tw.Style().Format.Header = text.FormatDefault
			tw.AppendHeader(tableRow(cells[0][1:]))
			for ; i < len(cells) && cells[i][0] == name; i++ {
				tw.AppendRow(tableRow(cells[i][1:]))
			}
			tw.SetColumnConfigs(rightAligned(len(cells[0]) - 1))
			b.WriteString(scenario + ": " + name + "\n" + tw.Render() + "\n\n")
		}
	})
	b.WriteString(r.explained() + "\n\n" + r.Machine.String() + "\n" + r.origin() + "\n")
	for _, note := range r.Notes {
		b.WriteString(note + "\n")
	}
	for _, f := range r.Failures {
		b.WriteString("FAILED: " + f + "\n")
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	return nil
}

func tableRow(cells []string) table.Row {
	row := make(table.Row, len(cells))
	for i := range cells {
		row[i] = cells[i]
	}
	return row
}

func rightAligned(n int) []table.ColumnConfig {
	configs := make([]table.ColumnConfig, 0, n)
	for i := 2; i <= n; i++ { // numbers from 1; the first is a name
		configs = append(configs, table.ColumnConfig{Number: i, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	return configs
}

// Markdown writes the report for a document.
func (r *Report) Markdown(w io.Writer) error {
	var b strings.Builder
	r.each(func(scenario string, cells [][]string) {
		b.WriteString("### " + scenario + "\n\n")
		for i, row := range cells {
			b.WriteString("| " + strings.Join(row, " | ") + " |\n")
			if i == 0 {
				b.WriteString("| --- | --- |" + strings.Repeat(" ---: |", len(row)-2) + "\n")
			}
		}
		b.WriteString("\n")
	})
	b.WriteString(r.explained() + "\n\n" + r.Machine.String() + "\n\n`" + r.Command + "`\n\n" + r.origin() + "\n")
	for _, note := range r.Notes {
		b.WriteString("\n" + note + "\n")
	}
	for _, f := range r.Failures {
		b.WriteString("\n**Failed:** " + f + "\n")
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write Markdown: %w", err)
	}
	return nil
}

func (r *Report) origin() string {
	return fmt.Sprintf("%s, %s, took %.0f s", r.Weir, r.Started.UTC().Format("2006-01-02 15:04 MST"), r.Seconds)
}

// each calls f for each scenario with its cells, headers first, without the columns that are empty.
func (r *Report) each(f func(scenario string, cells [][]string)) {
	for i := 0; i < len(r.Cases); {
		scenario := r.Cases[i].Scenario
		var lines [][]string
		for ; i < len(r.Cases) && r.Cases[i].Scenario == scenario; i++ {
			c := &r.Cases[i]
			for j := range c.Rows {
				line := make([]string, len(columns))
				for k, col := range columns {
					line[k] = col.cell(c, &c.Rows[j])
				}
				lines = append(lines, line)
			}
		}
		f(scenario, withoutEmpty(lines))
	}
}

func withoutEmpty(lines [][]string) [][]string {
	cells := make([][]string, 1+len(lines))
	for k, col := range columns {
		empty := true
		for _, line := range lines {
			empty = empty && line[k] == ""
		}
		if empty {
			continue
		}
		cells[0] = append(cells[0], col.name)
		for i, line := range lines {
			cells[1+i] = append(cells[1+i], line[k])
		}
	}
	return cells
}

func share(c *Case, r *Row, target string, f func(Round) float64) string {
	if s, ok := c.Share(r, target, f); ok && s > 0 {
		return fmt.Sprintf("%.2f", s)
	}
	return ""
}

func spread(r *Row, f func(Round) float64) string {
	least, most := r.Spread(f)
	if most == 0 {
		return ""
	}
	return short(least) + "-" + short(most)
}

func short(v float64) string {
	if v < 10_000 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.0fk", v/1000)
}

func count(v float64) string {
	if v == 0 {
		return ""
	}
	return humanize.Comma(int64(v + 0.5))
}

func millis(v float64) string {
	if v == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", v)
}

func small(v float64) string {
	if v == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", v)
}
