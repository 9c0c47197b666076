package report

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
)

// rounds makes a report of one case with a row whose acked/s are given, p99 and CPU steady.
func rounds(rates ...float64) *Report {
	r := &Report{Format: Format, Failures: []string{}}
	addRounds(r, "weir", rates...)
	return r
}

func addRounds(r *Report, target string, rates ...float64) {
	for i, rate := range rates {
		r.Add(Case{Scenario: "ack", Name: "64 connections", Connections: 64}, target, Round{Rate: rate, P99: 3 + float64(i%2), CPU: 20})
	}
}

// change returns what was found out about a figure of a target.
func change(t *testing.T, c *Comparison, target, figure string) *Change {
	t.Helper()
	i := slices.IndexFunc(c.Changes, func(change Change) bool { return change.Target == target && change.Figure == figure })
	if i < 0 {
		t.Fatalf("%s of %s is not compared: %+v", figure, target, c.Changes)
	}
	return &c.Changes[i]
}

func TestCompare_MarksWhatExceedsTheNoise(t *testing.T) {
	for name, tt := range map[string]struct {
		old, new []float64
		want     string
	}{
		"all rounds above":                     {[]float64{100, 101, 102, 103, 104}, []float64{105, 106, 107, 108, 109}, "better"},
		"all rounds below":                     {[]float64{100, 101, 102, 103, 104}, []float64{90, 91, 92, 93, 94}, "worse"},
		"the same rounds":                      {[]float64{100, 101, 102, 103, 104}, []float64{100, 101, 102, 103, 104}, ""},
		"one round among the others":           {[]float64{100, 101, 102, 103, 106}, []float64{105, 107, 108, 109, 110}, ""},
		"far apart on average, all mixed":      {[]float64{100, 900, 100, 900, 100}, []float64{900, 100, 900, 100, 900}, ""},
		"far apart, but too few rounds":        {[]float64{100, 101, 102, 103}, []float64{200, 201, 202, 203}, ""},
		"no variation, no change":              {[]float64{100, 100, 100, 100, 100}, []float64{100, 100, 100, 100, 100}, ""},
		"one of many rounds among the others'": {[]float64{100, 101, 102, 103, 104, 105, 110}, []float64{109, 111, 112, 113, 114, 115, 116}, "better"},
	} {
		c, err := Compare(rounds(tt.old...), rounds(tt.new...))
		if err != nil {
			t.Fatal(err)
		}
		if got := change(t, c, "weir", "acked/s"); got.verdict() != tt.want || got.Old != median(tt.old) || got.New != median(tt.new) {
			t.Errorf("%s: %q, %+v; want %q", name, got.verdict(), got, tt.want)
		}
		if got := change(t, c, "weir", "CPU s/M"); got.Marked {
			t.Errorf("%s: CPU changed: %+v", name, got)
		}
	}
}

func TestCompare_KnowsWhichWayIsBetter(t *testing.T) {
	older, newer := &Report{}, &Report{}
	for i := range noiseRounds {
		by := 1 + float64(i)/100
		older.Add(Case{Scenario: "all", Name: "every figure"}, "weir", everyFigure(by))
		newer.Add(Case{Scenario: "all", Name: "every figure"}, "weir", everyFigure(2*by))
	}
	c, err := Compare(older, newer)
	if err != nil {
		t.Fatal(err)
	}
	for figure, want := range map[string]string{"acked/s": "better", "end to end/s": "better", "drained/s": "better", "handled/s": "better",
		"p50 ms": "worse", "p99.99 ms": "worse", "CPU s/M": "worse", "server": "worse", "peak MB": "worse", "first ack ms": "worse"} {
		if got := change(t, c, "weir", figure).verdict(); got != want {
			t.Errorf("%s doubled: %q, want %q", figure, got, want)
		}
	}
	for _, figure := range []string{"offered/s", "backlog MB", "generator"} {
		if slices.ContainsFunc(c.Changes, func(change Change) bool { return change.Figure == figure }) {
			t.Errorf("%s is of the load and was compared", figure)
		}
	}
}

func TestCompare_SortsByEffect(t *testing.T) {
	older, newer := rounds(100, 101, 102, 103, 104), rounds(50, 51, 52, 53, 54)
	addRounds(older, "other", 100, 101, 102, 103, 104)
	addRounds(newer, "other", 300, 301, 302, 303, 304)
	addRounds(older, "wild", 1, 1000, 1, 1000, 1)
	addRounds(newer, "wild", 1000, 1, 1000, 1, 1000)
	c, err := Compare(older, newer)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, change := range c.Changes[:3] {
		got = append(got, change.Target+" "+change.verdict())
	}
	if strings.Join(got, ", ") != "other better, weir worse, wild " {
		t.Errorf("order %q", got)
	}
}

// A machine that became slower makes weir slower; its share of the ceiling stays.
func TestCompare_ACeilingThatMovedIsTheMachine(t *testing.T) {
	older, newer := &Report{}, &Report{}
	for i := range noiseRounds {
		by := 1 + float64(i)/100
		for _, side := range []struct {
			r     *Report
			speed float64
		}{{older, 1}, {newer, 0.5}} {
			c := Case{Scenario: "ack", Name: "64 connections"}
			side.r.Add(c, "noop", Round{Rate: 100 * by * side.speed})
			side.r.Add(c, "weir", Round{Rate: 60 * by * side.speed})
		}
	}
	c, err := Compare(older, newer)
	if err != nil {
		t.Fatal(err)
	}
	if got := change(t, c, "weir", "of noop"); got.Marked || got.Old < 0.59 || got.Old > 0.61 {
		t.Errorf("share of noop: %+v", got)
	}
	if got := change(t, c, "weir", "acked/s").mark(); got != "worse, like noop" {
		t.Errorf("mark %s", got)
	}
	if verdict := c.Verdict(); !strings.HasPrefix(verdict, "Of 3 figures 1 changed beyond the noise: 0 better, 1 worse.") || !strings.Contains(verdict, "1 of the above went the same way") {
		t.Errorf("verdict %s", verdict)
	}
}

func TestCompare_Warns(t *testing.T) {
	older, newer := rounds(100, 101, 102), rounds(200, 201, 202, 203, 204)
	older.Machine, newer.Machine = Machine{Cores: 2, CPU: "abacus", SyncMillis: 0.1}, Machine{Cores: 4, CPU: "abacus", SyncMillis: 0.5}
	newer.Failures = []string{"one event is missing"}
	c, err := Compare(older, newer)
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(c.Warnings, "\n")
	for _, want := range []string{"differ in their cores: 2 and 4", "the disks differ: an append with fdatasync took 0.10 and 0.50 ms", "fewer than 5 rounds", "the new run failed: one event is missing"} {
		if !strings.Contains(all, want) {
			t.Errorf("no warning %q in:\n%s", want, all)
		}
	}
	if strings.Contains(all, "processors") {
		t.Errorf("warnings of what is the same:\n%s", all)
	}
}

func TestCompare_NothingInCommon(t *testing.T) {
	other := &Report{}
	other.Add(Case{Scenario: "delivery", Name: "64 connections"}, "weir", Round{Rate: 1})
	if _, err := Compare(rounds(1, 2), other); !errors.Is(err, errNothingInCommon) {
		t.Errorf("error %v", err)
	}
}

func TestComparison_Writers(t *testing.T) {
	older, newer := rounds(100, 101, 102, 103, 104), rounds(125, 126, 127, 128, 129)
	for i := range newer.Cases[0].Rows[0].Rounds {
		older.Cases[0].Rows[0].Rounds[i].Marked = true
		newer.Cases[0].Rows[0].Rounds[i].Marked, newer.Cases[0].Rows[0].Rounds[i].Lost = true, 7
	}
	c, err := Compare(older, newer)
	if err != nil {
		t.Fatal(err)
	}
	var tableText, markdown bytes.Buffer
	if err := errors.Join(c.Table(&tableText), c.Markdown(&markdown)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| ack: 64 connections | weir | lost | 0 | 7 | from 0 | 0.008 | worse |", "| ack: 64 connections | weir | acked/s | 102 | 127 | +24.5 % | 0.008 | better |",
		"| ack: 64 connections | weir | CPU s/M | 20.00 | 20.00 | 0.0 % | 1.000 |  |", "Of 4 figures 2 changed beyond the noise: 1 better, 1 worse."} {
		if !strings.Contains(markdown.String(), want) {
			t.Errorf("the Markdown lacks %q:\n%s", want, markdown.String())
		}
	}
	for _, want := range []string{"+24.5 %", "better", "Mann-Whitney", c.Verdict()} {
		if !strings.Contains(tableText.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, tableText.String())
		}
	}
}

func TestRead(t *testing.T) {
	var good bytes.Buffer
	if err := rounds(1, 2).JSON(&good); err != nil {
		t.Fatal(err)
	}
	if r, err := Read(&good); err != nil || len(r.Cases) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	for name, tt := range map[string]struct{ text, want string }{
		"empty":               {"", "it is no JSON report"},
		"no JSON":             {"# Results", "it is no JSON report"},
		"cut off":             {`{"format": 1, "cases": [{"na`, "it is no JSON report"},
		"another JSON":        {`{"name": "weir"}`, "it holds no rounds"},
		"a broken off run":    {`{"format": 1, "cases": []}`, "it holds no rounds"},
		"a case without rows": {`{"format": 1, "cases": [{"name": "small", "rows": [{"target": "weir"}]}]}`, "it holds no rounds"},
		"of the future":       {`{"format": 2, "cases": [{"name": "small", "rows": []}]}`, "it has format 2 and this bench reads 1"},
		"two reports":         {`{"format": 1, "cases": [{"name": "small", "rows": []}]} {}`, "more follows"},
	} {
		if _, err := Read(strings.NewReader(tt.text)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}
