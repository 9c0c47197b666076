package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
)

// direction says which way a figure is better.
type direction int

const (
	neither direction = iota // it tells of the load, not of the target
	higher
	lower
)

// figure is one quantity that a round measures.
type figure struct {
	name   string // heading of its column, with the unit
	means  string // for below the tables
	of     func(Round) float64
	text   func(float64) string
	better direction
	limit  bool // its cell is the greatest of the rounds instead of their median
}

// column is one column of the tables: a figure, or its share of a ceiling.
type column struct {
	figure
	samples func(c *Case, r *Row) []float64 // one of each round; none where there is nothing to say
	zero    bool                            // 0 says something
}

// DiskLoop, BareWrite and BulkLoop name the targets that do one thing only: write, write little, send.
const (
	DiskLoop  = "disk loop"
	BareWrite = "bare write"
	BulkLoop  = "bulk loop"
)

// NothingRead, EmptyLog, NoOutage and FewConnections name the weirs that the same weir is compared with in another state.
const (
	NothingRead    = "weir, nothing read"
	EmptyLog       = "weir, empty log"
	NoOutage       = "weir, no outage"
	FewConnections = "weir, 64 connections"
)

// PlainLoop and BulkIndexer name the targets that weir's delivery into a real server is compared with, PlainWay the
// one that its transforms are compared with.
const (
	PlainLoop   = "plain loop"
	BulkIndexer = "esutil.BulkIndexer"
	PlainWay    = "plain way"
)

// ceiling is a target that shows what could be reached at all, and the figure by which the others are held against it.
type ceiling struct {
	target, column string
	figure         *figure
}

// ceilings are all targets of that kind, wherever a case has them. A figure of one machine says little about another; a
// share of its neighbour's says more.
var ceilings = []ceiling{
	{"noop", "of noop", &acked},
	{"bare", "of bare", &acked},
	{DiskLoop, "of disk", &acked},
	{BulkLoop, "of bulk", &delivered},
	{PlainLoop, "of plain loop", &delivered},
	{BulkIndexer, "of esutil", &delivered},
	{PlainWay, "of plain way", &coreRate},
	{"plain read", "of plain read", &handled},
	{BareWrite, "p50 of bare write", &p50},
	{"bare", "p99 of bare", &p99},
}

// otherwise are weirs that the same weir is compared with in another state. They are no ceilings: what makes weir slower makes
// them slower, too.
var otherwise = []ceiling{
	{NothingRead, "of nothing read", &acked},
	{EmptyLog, "CPU of empty log", &cpu},
	{NoOutage, "CPU of no outage", &cpu},
	{FewConnections, "CPU of 64 connections", &cpu},
}

var (
	acked = figure{"acked/s", "events acknowledged a second", func(x Round) float64 { return x.Rate }, count, higher, false}
	// Offered is a setting, not a result.
	offered   = figure{"offered/s", "events that were due a second; times count from when a request was due", func(x Round) float64 { return x.Offered }, count, neither, false}
	delivered = figure{"end to end/s", "events a second from the first post to the last delivery, or documents from the first bulk request to the last confirmed one", Delivered, count, higher, false}
	filledUp  = figure{"filled/s", "events acknowledged a second while the sink was away", func(x Round) float64 { return x.Filled }, count, higher, false}
	drained   = figure{"drained/s", "events of the backlog delivered a second", func(x Round) float64 { return x.Drained }, count, higher, false}
	handled   = figure{"handled/s", "letters or documents that a command went through a second", func(x Round) float64 { return x.Handled }, count, higher, false}
	coreRate  = figure{"events/core-s", "events for a second of processor time, garbage collection included", func(x Round) float64 { return x.CoreRate }, count, higher, false}

	p50   = figure{"p50 ms", timeOfARequest, func(x Round) float64 { return x.P50 }, small, lower, false}
	p99   = figure{"p99 ms", timeOfARequest, func(x Round) float64 { return x.P99 }, small, lower, false}
	p999  = figure{"p99.9 ms", timeOfARequest, func(x Round) float64 { return x.P999 }, small, lower, false}
	p9999 = figure{"p99.99 ms", timeOfARequest, func(x Round) float64 { return x.P9999 }, small, lower, false}

	cpu = figure{"CPU s/M", "processor seconds of the target for a million events, delivery included", func(x Round) float64 { return x.CPU }, small, lower, false}
)

const timeOfARequest = "time of a request"

// Delivered is the rate of a round from end to end, for Median and Share.
func Delivered(x Round) float64 { return x.Delivered }

// columns are those of all tables, in their order; a table leaves out its empty ones.
var columns = slices.Concat(
	acked.column(), offered.column(), delivered.column(), filledUp.column(), drained.column(), handled.column(), coreRate.column(),
	figure{"ns/event", "processor time of an event", nanoseconds, count, lower, false}.column(),
	figure{"events/s", "events a second on the clock, all cores of the row together", func(x Round) float64 { return x.Transformed }, count, higher, false}.column(),
	figure{"B/event", "allocated for an event", func(x Round) float64 { return x.AllocatedBytes }, count, lower, false}.column(),
	figure{"allocs/event", "allocated for an event", func(x Round) float64 { return x.Allocations }, small, lower, false}.column(),
	figure{"GC %", "part of the processor time that the garbage collector took", func(x Round) float64 { return 100 * x.GCShare }, small, lower, false}.column(),
	figure{"worker kB", "heap that the transformer keeps for each core, most of the rounds", func(x Round) float64 { return x.WorkerKilobytes }, count, lower, true}.column(),
	p50.column(), p99.column(), p999.column(), p9999.column(),
	figure{"first ack ms", "from the start of the process", func(x Round) float64 { return x.FirstAck }, small, lower, false}.column(),
	figure{"first delivery ms", "from the start of the process, or from when the sink took events again", func(x Round) float64 { return x.FirstDelivery }, small, lower, false}.column(),
	figure{"catch-up s", "from when the sink took events again until what was acknowledged arrived at once", func(x Round) float64 { return x.CatchUp }, small, lower, false}.column(),
	marked("lost", "events acknowledged that never arrived, most of the rounds", func(x Round) int64 { return x.Lost }),
	marked("doubled", "events that arrived more than once, most of the rounds", func(x Round) int64 { return x.Doubled }),
	cpu.column(),
	figure{"generator", "processor seconds of the load generator for a million events", func(x Round) float64 { return x.GeneratorCPU }, small, neither, false}.column(),
	figure{"server", "processor seconds of the Elasticsearch for a million events", func(x Round) float64 { return x.ServerCPU }, small, lower, false}.column(),
	figure{"backlog MB", "size of the log when the measurement began, most of the rounds", func(x Round) float64 { return x.BacklogMegabytes }, count, neither, true}.column(),
	figure{"peak MB", "VmHWM of the process, most of the rounds; 1 MB is 10^6 bytes", func(x Round) float64 { return x.PeakMegabytes }, count, lower, true}.column(),
	figure{"end MB", "VmRSS of the process when all had arrived, most of the rounds", func(x Round) float64 { return x.EndMegabytes }, count, lower, true}.column(),
	figure{"client s/M", "processor seconds of the command that asked, for a million letters", func(x Round) float64 { return x.ClientCPU }, small, lower, false}.column(),
	figure{"client MB", "VmHWM of the command that asked, most of the rounds", func(x Round) float64 { return x.ClientMegabytes }, count, lower, true}.column(),
)

// column returns the figure's own column and those of its ceilings.
func (f figure) column() []column {
	all := []column{{figure: f, samples: func(_ *Case, r *Row) []float64 { return r.samples(f.of) }}}
	for _, top := range slices.Concat(ceilings, otherwise) {
		if top.figure.name != f.name {
			continue
		}
		part, of := f, f.of
		if f.name == acked.name {
			of = atWill
		}
		part.name, part.text, part.limit = top.column, small, false
		part.means = f.name + " over that target's, median of neighbouring rounds"
		all = append(all, column{figure: part, samples: func(c *Case, r *Row) []float64 { return c.shares(r, top.target, of) }})
	}
	return all
}

// atWill is acked/s where the load did not set it: a share of what keeps to a rate would only say that both kept to it.
func atWill(x Round) float64 {
	if x.Offered > 0 {
		return 0
	}
	return x.Rate
}

// marked returns the column of a number of events of which 0 is worth saying, where events were told apart.
func marked(name, means string, of func(Round) int64) []column {
	f := figure{name, means, func(x Round) float64 { return float64(of(x)) }, count, lower, true}
	return []column{{figure: f, zero: true, samples: func(_ *Case, r *Row) []float64 {
		var samples []float64
		for _, x := range r.Rounds {
			if x.Marked {
				samples = append(samples, f.of(x))
			}
		}
		return samples
	}}}
}

// cell is what stands in a table: the median, or the limit, and how far the rounds lie apart, "" when they do not.
func (col *column) cell(c *Case, r *Row) (value, spread string) {
	samples := col.samples(c, r)
	if len(samples) == 0 || slices.Max(samples) == 0 && !col.zero {
		return "", ""
	}
	least, most := slices.Min(samples), slices.Max(samples)
	value = col.text(median(samples))
	if col.limit {
		value = col.text(most)
	}
	if from, to := ends(least, most); from != to {
		spread = from + "-" + to
	}
	return value, spread
}

// summary are the figures of a line of progress.
var summary = []string{acked.name, delivered.name, drained.name, handled.name, coreRate.name, p50.name, p99.name, "first ack ms", "first delivery ms", "filled/s", "catch-up s",
	"lost", "doubled", "CPU s/M", "B/event", "peak MB"}

// Summary writes the main figures that a round has, for a line of progress.
func (x *Round) Summary() string {
	row := Row{Rounds: []Round{*x}}
	var parts []string
	for k := range columns {
		if value, _ := columns[k].cell(&Case{}, &row); value != "" && slices.Contains(summary, columns[k].name) {
			parts = append(parts, columns[k].name+" "+value)
		}
	}
	return strings.Join(parts, ", ")
}

// isCeiling reports whether a target shows what could be reached.
func isCeiling(target string) bool {
	return slices.ContainsFunc(ceilings, func(c ceiling) bool { return c.target == target })
}

// nanoseconds is the processor time of one transformed event.
func nanoseconds(x Round) float64 {
	if x.CoreRate == 0 {
		return 0
	}
	return 1e9 / x.CoreRate
}

// ends writes a spread, both of its ends as exactly as the greater one deserves.
func ends(least, most float64) (from, to string) {
	format, unit := "%.0f", 1.0
	switch {
	case most < 10:
		format = "%.2f"
	case most < 100:
		format = "%.1f"
	case most >= 10_000_000:
		format, unit = "%.1fM", 1e6
	case most >= 10_000:
		format, unit = "%.0fk", 1e3
	}
	return fmt.Sprintf(format, least/unit), fmt.Sprintf(format, most/unit)
}

func count(v float64) string { return humanize.Comma(int64(v + 0.5)) }

func small(v float64) string { return fmt.Sprintf("%.2f", v) }
