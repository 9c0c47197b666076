package report

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/jedib0t/go-pretty/v6/text"
)

// everyFigure returns a round in which no figure is 0.
func everyFigure(by float64) Round {
	return Round{Rate: 1e5 * by, Delivered: 9e4 * by, Acked: 5, P50: by, P99: 2 * by, P999: 30 * by, P9999: 400 * by, Offered: 1e5, CPU: 10 * by, GeneratorCPU: 8,
		ServerCPU: 20 * by, PeakMegabytes: 60 * by, Marked: true, Lost: 3, Doubled: 4, BacklogMegabytes: 1000, FirstAck: 50 * by, FirstDelivery: 90 * by, Drained: 5e5 * by,
		Handled: 2e4 * by, CoreRate: 3e5 * by, Transformed: 2e5 * by, AllocatedBytes: 800, Allocations: 2, GCShare: 0.1, WorkerKilobytes: 300}
}

func TestReport_Table_KeepsToTheWidth(t *testing.T) {
	r := sample()
	c := Case{Scenario: "all", Name: "every figure"}
	for _, target := range []string{"noop", "bare", "weir, with a name as long as they get"} {
		for i := range 3 {
			r.Add(c, target, everyFigure(1+float64(i)/10))
		}
	}
	for _, width := range []int{80, TableWidth} {
		var out bytes.Buffer
		if err := r.Table(&out, width); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(out.String()) {
			if wide := text.StringWidthWithoutEscSequences(strings.TrimSuffix(line, "\n")); strings.ContainsAny(line, "│┌") && wide > width {
				t.Errorf("%d columns where %d are to be kept:\n%s", wide, width, line)
			}
		}
		for _, used := range filled(r.Cases[1:]) {
			if n := strings.Count(out.String(), " "+used.name+" │"); n < 1 {
				t.Errorf("%d columns: there is no column %q", width, used.name)
			}
		}
	}
}

func TestSplit_NarrowerThanAColumn(t *testing.T) {
	parts := split([][]string{{"target", "acked/s", "p50"}, {"weir", "1", "2"}}, 5)
	if len(parts) != 2 || !slices.Equal(parts[1][1], []string{"weir", "2"}) {
		t.Errorf("%v", parts)
	}
}

func TestColumn_Cell_GivesTheMedianAndTheSpread(t *testing.T) {
	r := &Report{}
	c := Case{Scenario: "ack", Name: "small"}
	for _, rate := range []float64{30_400, 10_200, 20_300} {
		r.Add(c, "weir", Round{Rate: rate, PeakMegabytes: rate / 1000, CPU: 3})
	}
	row := &r.Cases[0].Rows[0]
	for name, want := range map[string][2]string{"acked/s": {"20,300", "10k-30k"}, "peak MB": {"30", "10.2-30.4"}, "CPU s/M": {"3.00", ""}, "p50 ms": {"", ""}} {
		k := slices.IndexFunc(columns, func(col column) bool { return col.name == name })
		if value, spread := columns[k].cell(&r.Cases[0], row); value != want[0] || spread != want[1] {
			t.Errorf("%s: %q, %q; want %q", name, value, spread, want)
		}
	}
}

func TestColumns_HaveNamesOfTheirOwnAndADirection(t *testing.T) {
	seen := map[string]bool{}
	for _, col := range columns {
		if seen[col.name] || col.means == "" {
			t.Errorf("column %+v", col.figure)
		}
		seen[col.name] = true
	}
	for _, top := range ceilings {
		if !seen[top.column] {
			t.Errorf("there is no column %q", top.column)
		}
	}
}

// A ceiling may stand anywhere in a case; of two ceilings only one has a share of the other.
func TestCase_Share_OfACeilingBelow(t *testing.T) {
	r := &Report{}
	c := Case{Scenario: "delivery", Name: "small"}
	for _, row := range []struct {
		target string
		rate   float64
	}{{"weir", 40}, {"noop", 100}, {"bare", 80}} {
		r.Add(c, row.target, Round{Rate: row.rate})
	}
	got := &r.Cases[0]
	if share, ok := got.Share(&got.Rows[0], "noop", acked.of); !ok || share != 0.4 {
		t.Errorf("weir of noop: %v, %v", share, ok)
	}
	if share, ok := got.Share(&got.Rows[2], "noop", acked.of); !ok || share != 0.8 {
		t.Errorf("bare of noop: %v, %v", share, ok)
	}
	if share, ok := got.Share(&got.Rows[1], "bare", acked.of); ok {
		t.Errorf("noop of bare: %v", share)
	}
}
