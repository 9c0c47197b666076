package report

import (
	"bytes"
	"encoding/xml"
	"io"
	"slices"
	"strings"
	"testing"
)

// texts returns the texts of an SVG picture, and fails when it is not well formed.
func texts(t *testing.T, c *Chart) (all []string) {
	t.Helper()
	var out bytes.Buffer
	if err := c.SVG(&out); err != nil {
		t.Fatal(err)
	}
	decoder := xml.NewDecoder(&out)
	for inText := false; ; {
		token, err := decoder.Token()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatalf("%s: %v", c.File, err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			inText = token.Name.Local == "text"
		case xml.CharData:
			if inText {
				all = append(all, strings.TrimSpace(string(token)))
			}
		case xml.EndElement:
			inText = false
		}
	}
}

// named returns the chart of a file.
func named(t *testing.T, charts []Chart, file string) *Chart {
	t.Helper()
	i := slices.IndexFunc(charts, func(c Chart) bool { return c.File == file })
	if i < 0 {
		t.Fatalf("there is no %s in %v", file, files(charts))
	}
	return &charts[i]
}

func files(charts []Chart) (all []string) {
	for _, c := range charts {
		all = append(all, c.File)
	}
	return all
}

func TestReport_Charts_ThroughputAgainstConnections(t *testing.T) {
	r := &Report{}
	for _, c := range []Case{
		{Name: "1 event a request, 1,024 connections", Connections: 1024},
		{Name: "1 event a request, 1 connection", Connections: 1},
		{Name: "1 event a request, 64 connections", Connections: 64},
		{Name: "1 event a request, 64 connections, a new one each", Connections: 64},
		{Name: "100 events a request, 64 connections", Connections: 64},
	} {
		c.Scenario = "ack"
		for i := range 3 {
			r.Add(c, "noop", Round{Rate: float64(c.Connections * (100 + i))})
			r.Add(c, "weir, sink away", Round{Rate: float64(c.Connections * (50 + i))})
		}
	}
	charts := r.Charts()
	if len(charts) != 1 {
		t.Fatalf("charts %v: only one load was put on by different numbers of connections", files(charts))
	}
	chart := named(t, charts, "ack-throughput-1-event-a-request-n-connections.svg")
	lines := chart.panels[0].lines
	if len(lines) != 2 || !slices.Equal(lines[0].xs, []float64{1, 64, 1024}) || !slices.Equal(lines[0].ys, []float64{101, 64 * 101, 1024 * 101}) || lines[0].high[1] != 64*102 {
		t.Errorf("lines %+v", lines)
	}
	got := texts(t, chart)
	for _, want := range []string{"Throughput: 1 event a request, N connections", "connections", "acknowledged events/s", "noop", "weir, sink away", "1", "64", "1,024", "100k", "0"} {
		if !slices.Contains(got, want) {
			t.Errorf("no text %q in %q", want, got)
		}
	}
}

func TestReport_Charts_LatencyOfEachCase(t *testing.T) {
	r := &Report{}
	c := Case{Scenario: "ack", Name: "1 event a request, 64 connections", Connections: 64}
	r.Add(c, "noop", Round{P50: 0.5, P99: 2, P999: 9, P9999: 10})
	r.Add(c, "weir", Round{P50: 1, P99: 3, P999: 80, P9999: 200})
	r.Add(c, "weir", Round{P50: 1, P99: 3})
	r.Add(Case{Scenario: "memory", Name: "idle"}, "weir", Round{PeakMegabytes: 3})
	charts := r.Charts()
	if len(charts) != 1 {
		t.Fatalf("charts %v", files(charts))
	}
	got := texts(t, named(t, charts, "ack-latency-1-event-a-request-64-connections.svg"))
	for _, want := range []string{"p50", "p99", "p99.9", "p99.99", "time of a request, ms", "noop", "weir", "1", "10", "100"} {
		if !slices.Contains(got, want) {
			t.Errorf("no text %q in %q", want, got)
		}
	}
	if again := texts(t, &charts[0]); !slices.Equal(again, got) {
		t.Errorf("drawn twice: %q, then %q", got, again)
	}
}

func TestReport_Charts_BacklogAgainstRates(t *testing.T) {
	r := &Report{}
	c := Case{Scenario: "outage", Name: "1 GB"}
	r.Add(c, "weir", Round{})
	r.Add(c, "weir", Round{Series: []Sample{{0, 0, 2e5, 0}, {1, 2e5, 2e5, 0}, {2, 1e4, 1e4, 2e5}}})
	r.Add(c, "noop", Round{})
	charts := r.Charts()
	if len(charts) != 1 || len(charts[0].panels) != 2 {
		t.Fatalf("charts %v", files(charts))
	}
	got := texts(t, named(t, charts, "outage-backlog-and-rates-1-gb-weir.svg"))
	for _, want := range []string{"seconds", "events/s", "events in the backlog", "acknowledged", "delivered", "200k"} {
		if !slices.Contains(got, want) {
			t.Errorf("no text %q in %q", want, got)
		}
	}
}

// Whatever a report holds, it can be drawn: texts that are longer than the picture, and figures without any difference.
func TestChart_SVG_OddFigures(t *testing.T) {
	r := &Report{}
	long := strings.Repeat("a <name> & more, ", 30)
	c := Case{Scenario: "ack", Name: long + "1 connection", Connections: 1}
	r.Add(c, long, Round{Rate: 1, P50: 1, P99: 1, P999: 1, P9999: 1, Series: []Sample{{}}})
	for _, more := range []float64{0, 1e9} {
		r.Add(Case{Scenario: "ack", Name: long + "2 connections", Connections: 2}, long, Round{Rate: more, P50: more, P99: 1e-9})
	}
	charts := r.Charts()
	if len(charts) != 4 {
		t.Fatalf("charts %v", files(charts))
	}
	for i := range charts {
		if len(charts[i].File) > maxFileName {
			t.Errorf("a name of %d bytes", len(charts[i].File))
		}
		if !slices.Contains(texts(t, &charts[i]), strings.TrimSpace(charts[i].Title)) {
			t.Errorf("%s lacks its title", charts[i].File)
		}
	}
}

func TestLinearTicks(t *testing.T) {
	for _, to := range []float64{0.3, 1, 7, 9.9, 12, 110_000, 3_400_000} {
		ticks := linearTicks(0, to)
		if len(ticks) < 4 || len(ticks) > 11 || ticks[0].Value != 0 {
			t.Errorf("to %v: %v", to, ticks)
		}
	}
}
