package report

import (
	"cmp"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
)

// Chart is a picture of figures of a report.
type Chart struct {
	File     string // its name
	Scenario string
	Title    string

	panels []panel // one below the other, over the same x
}

// panel is one pair of axes with its lines.
type panel struct {
	x, y       axis
	lines      []line
	categories []string // of x, whose values are then 0, 1, 2, ...
}

// axis is one direction of a panel.
type axis struct {
	title string
	log   bool
	ticks []float64 // those that are named; nil: as they come
}

// line is one target.
type line struct {
	name string
	xs   []float64
	ys   []float64
	low  []float64 // least and greatest of the rounds; nil: there is one
	high []float64
	dots bool // at each point
}

// Charts are the pictures that the figures allow.
func (r *Report) Charts() []Chart {
	var all []Chart
	for i := range r.Cases {
		c := &r.Cases[i]
		if chart, ok := r.throughput(c); ok {
			all = append(all, chart)
		}
		if chart, ok := c.latency(); ok {
			all = append(all, chart)
		}
		all = append(all, c.backlogs()...)
	}
	return all
}

// load names what the cases of one line have in common: their name without the number of connections.
func (c *Case) load() string {
	number := humanize.Comma(int64(c.Connections))
	return regexp.MustCompile(`\b`+number+` connections?\b`).ReplaceAllString(c.Name, "N connections")
}

// throughput shows acknowledged events against connections, for the first of at least two cases that differ in nothing else.
func (r *Report) throughput(first *Case) (Chart, bool) {
	p := panel{x: axis{title: "connections", log: true}, y: axis{title: "acknowledged events/s"}}
	var cases []*Case
	for i := range r.Cases {
		c := &r.Cases[i]
		if c.Scenario != first.Scenario || c.load() != first.load() || c.Connections == 0 {
			continue
		}
		if len(cases) == 0 && c != first {
			return Chart{}, false // drawn with that one already
		}
		cases = append(cases, c)
		p.x.ticks = append(p.x.ticks, float64(c.Connections))
	}
	slices.SortFunc(cases, func(a, b *Case) int { return cmp.Compare(a.Connections, b.Connections) })
	for _, c := range cases {
		for i := range c.Rows {
			if c.Rows[i].Median(acked.of) > 0 {
				p.add(c.Rows[i].Target, float64(c.Connections), &c.Rows[i], acked.of)
			}
		}
	}
	if len(cases) < 2 || len(p.lines) == 0 {
		return Chart{}, false
	}
	return newChart(first.Scenario, "Throughput: "+first.load(), p), true
}

// latency shows percentiles of a case.
func (c *Case) latency() (Chart, bool) {
	p := panel{x: axis{title: "percentile of the requests"}, y: axis{title: "time of a request, ms", log: true}}
	for k, f := range []*figure{&p50, &p99, &p999, &p9999} {
		p.categories = append(p.categories, strings.TrimSuffix(f.name, " ms"))
		for i := range c.Rows {
			if c.Rows[i].Median(f.of) > 0 {
				p.add(c.Rows[i].Target, float64(k), &c.Rows[i], f.of)
			}
		}
	}
	if len(p.lines) == 0 {
		return Chart{}, false
	}
	return newChart(c.Scenario, "Latency: "+c.Name, p), true
}

// backlogs show how a backlog grew and shrank, for each row that has a series: that of its first round.
func (c *Case) backlogs() (all []Chart) {
	for i := range c.Rows {
		r := &c.Rows[i]
		n := slices.IndexFunc(r.Rounds, func(x Round) bool { return len(x.Series) > 0 })
		if n < 0 {
			continue
		}
		seconds := axis{title: "seconds"}
		rates := panel{x: seconds, y: axis{title: "events/s"}, lines: []line{{name: "acknowledged"}, {name: "delivered"}}}
		backlog := panel{x: seconds, y: axis{title: "events in the backlog"}, lines: []line{{name: "backlog"}}}
		for _, s := range r.Rounds[n].Series {
			rates.lines[0].point(s.Seconds, s.Acked)
			rates.lines[1].point(s.Seconds, s.Delivered)
			backlog.lines[0].point(s.Seconds, s.BacklogEvents)
		}
		all = append(all, newChart(c.Scenario, "Backlog and rates: "+c.Name+"; "+r.Target, rates, backlog))
	}
	return all
}

func newChart(scenario, title string, panels ...panel) Chart {
	return Chart{File: fileName(scenario + " " + title), Scenario: scenario, Title: title, panels: panels}
}

// maxFileName bounds names: file systems do as well.
const maxFileName = 200

// unusual are characters that a name on some system, or in a link, may not have.
var unusual = regexp.MustCompile(`[^a-z0-9.]+`)

// fileName makes a title a name that needs no quoting anywhere.
func fileName(title string) string {
	name := unusual.ReplaceAllString(strings.ToLower(strings.ReplaceAll(title, ",", "")), "-")
	const extension = ".svg"
	return strings.Trim(name[:min(len(name), maxFileName-len(extension))], "-.") + extension
}

// add puts the median of a row and its spread onto the target's line.
func (p *panel) add(target string, x float64, r *Row, f func(Round) float64) {
	i := slices.IndexFunc(p.lines, func(l line) bool { return l.name == target })
	if i < 0 {
		i = len(p.lines)
		p.lines = append(p.lines, line{name: target, dots: true})
	}
	l := &p.lines[i]
	least, most := r.Spread(f)
	l.point(x, r.Median(f))
	l.low, l.high = append(l.low, least), append(l.high, most)
}

func (l *line) point(x, y float64) {
	l.xs, l.ys = append(l.xs, x), append(l.ys, y)
}

// SVG draws the chart.
func (c *Chart) SVG(w io.Writer) error {
	svg, err := c.draw()
	if err != nil {
		return fmt.Errorf("draw %s: %w", c.File, err)
	}
	if _, err := w.Write(svg); err != nil {
		return fmt.Errorf("write %s: %w", c.File, err)
	}
	return nil
}
