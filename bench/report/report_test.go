package report

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

func sample() *Report {
	r := &Report{Format: Format, Command: "bench --scenario ack", Started: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC), Seconds: 12, Weir: "weir 1",
		Machine: Machine{Cores: 2, CPU: "abacus", Kernel: "linux 1", FileSystem: "ext4", Go: "go1"}, Failures: []string{}}
	c := Case{Scenario: "ack", Name: "64 connections", Connections: 64, Events: 1, EventBytes: 320}
	// weir's rounds are half, a quarter and a tenth of its neighbours: the share is of pairs, not of medians.
	for i, rates := range [][2]float64{{100_000, 50_000}, {200_000, 50_000}, {30_000, 3_000}} {
		r.Add(c, "noop", Round{Rate: rates[0], P50: 1, P99: 2, P999: 3, CPU: 4, PeakMegabytes: 10})
		r.Add(c, "weir", Round{Rate: rates[1], Delivered: float64(1000 * (i + 1)), P50: 1, P99: 2, P999: 3, CPU: 4, PeakMegabytes: float64(60 + i)})
	}
	return r
}

func TestCase_Share_IsOfNeighbouringRounds(t *testing.T) {
	c := &sample().Cases[0]
	weir := &c.Rows[1]
	if share, ok := c.Share(weir, "noop", acked.of); !ok || share != 0.25 {
		t.Errorf("share %v, %v; want 0.25", share, ok)
	}
	if _, ok := c.Share(weir, "bare", acked.of); ok {
		t.Error("a share of a target that did not run")
	}
	if _, ok := c.Share(&c.Rows[0], "noop", acked.of); ok {
		t.Error("a share of itself")
	}
	if _, ok := c.Share(weir, "noop", Delivered); ok {
		t.Error("a share of nothing")
	}
	if got := weir.Median(acked.of); got != 50_000 {
		t.Errorf("median %v", got)
	}
	if least, most := weir.Spread(acked.of); least != 3_000 || most != 50_000 {
		t.Errorf("spread %v to %v", least, most)
	}
}

func TestReport_Markdown_DeliveryIntoARealServer(t *testing.T) {
	r := sample()
	r.Notes = append(r.Notes, "Elasticsearch 8 on an abacus")
	c := Case{Scenario: "elastic", Name: "own ids", Events: 1, EventBytes: 320}
	r.Add(c, PlainLoop, Round{Delivered: 40_000, ServerCPU: 30})
	r.Add(c, BulkIndexer, Round{Delivered: 10_000, ServerCPU: 30})
	r.Add(c, "weir, backlog", Round{Delivered: 30_000, ServerCPU: 31.5})
	var tableText, markdown bytes.Buffer
	for _, err := range []error{r.Table(&tableText, TableWidth), r.Markdown(&markdown)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"own ids", "weir, backlog", "30,000", "0.75", "3.00", "31.50"}
	if row := lineWith(markdown.String(), "weir, backlog"); row != "| "+strings.Join(want, " | ")+" |" {
		t.Errorf("row %s", row)
	}
	if row := r.Row("elastic", "weir, backlog"); row == nil || row.Rounds[0].ServerCPU != 31.5 || r.Row("ack", "weir, backlog") != nil {
		t.Errorf("row %+v", row)
	}
	for name, text := range map[string]string{"table": tableText.String(), "Markdown": markdown.String()} {
		if !strings.Contains(text, "Elasticsearch 8 on an abacus") {
			t.Errorf("the %s lacks the note:\n%s", name, text)
		}
	}
}

// lineWith returns the first line that holds a text.
func lineWith(text, part string) string {
	for line := range strings.Lines(text) {
		if strings.Contains(line, part) {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

func TestMedian(t *testing.T) {
	for want, values := range map[float64][]float64{0: nil, 3: {3}, 2: {3, 1}, 5: {9, 1, 5}} {
		if got := median(values); got != want {
			t.Errorf("median of %v is %v", values, got)
		}
	}
}

func TestReport_Writers(t *testing.T) {
	r := sample()
	r.Failures = append(r.Failures, "one event is missing")
	var tableText, markdown, js bytes.Buffer
	for _, err := range []error{r.Table(&tableText, TableWidth), r.Markdown(&markdown), r.JSON(&js)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{"table": tableText.String(), "Markdown": markdown.String()} {
		for _, want := range []string{"64 connections", "noop", "weir", "50,000", "0.25", "2,000", "62", "abacus", "ext4", "one event is missing", "2026-03-04"} {
			if !strings.Contains(text, want) {
				t.Errorf("the %s lacks %q:\n%s", name, want, text)
			}
		}
		if strings.Contains(text, "of bare") {
			t.Errorf("the %s has an empty column:\n%s", name, text)
		}
	}
	var back Report
	if err := json.Unmarshal(js.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(back, *r) {
		t.Errorf("JSON gave back\n%+v\nwant\n%+v", back, *r)
	}
}

func TestNewMachine(t *testing.T) {
	m := NewMachine(t.TempDir(), 1500*time.Microsecond)
	if m.Cores < 1 || m.Go == "" || m.FileSystem == "" || m.SyncMillis != 1.5 {
		t.Errorf("machine %+v", m)
	}
	if _, err := os.Stat("/proc/meminfo"); err == nil && m.MemoryGB <= 0 {
		t.Errorf("machine %+v", m)
	}
}

func TestReport_Markdown_Transforms(t *testing.T) {
	r := &Report{Format: Format, Failures: []string{}}
	c := Case{Scenario: "transform", Name: "contract's script, 320 B", EventBytes: 320}
	r.Add(c, PlainWay, Round{CoreRate: 50_000, Transformed: 40_000, AllocatedBytes: 9_000, Allocations: 100, GCShare: 0.1, WorkerKilobytes: 200, PeakMegabytes: 30})
	r.Add(c, "weir's Lua", Round{CoreRate: 400_000, Transformed: 300_000, AllocatedBytes: 900, Allocations: 9.5, GCShare: 0.025, WorkerKilobytes: 250.4, PeakMegabytes: 31})
	var markdown, tableText bytes.Buffer
	for _, err := range []error{r.Table(&tableText, TableWidth), r.Markdown(&markdown)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"contract's script, 320 B", "weir's Lua", "400,000", "8.00", "2,500", "300,000", "900", "9.50", "2.50", "250", "31"}
	if row := lineWith(markdown.String(), "weir's Lua"); row != "| "+strings.Join(want, " | ")+" |" {
		t.Errorf("row %s", row)
	}
	for _, text := range []string{markdown.String(), tableText.String()} {
		if !strings.Contains(text, "events/core-s: ") || strings.Contains(text, "acked/s") {
			t.Errorf("the columns are not explained, or those of loads are:\n%s", text)
		}
	}
}

func TestCase_Share_OfAWeirInAnotherState(t *testing.T) {
	c := Case{Rows: []Row{
		{Target: EmptyLog, Rounds: []Round{{Rate: 900, CPU: 2}}},
		{Target: NothingRead, Rounds: []Round{{Rate: 1000, CPU: 2.2}}},
		{Target: "weir, draining", Rounds: []Round{{Rate: 250, CPU: 4}}},
	}}
	for i, want := range []float64{0.9, 0, 0.25} { // also of the row above it: it is no ceiling
		if got, _ := c.Share(&c.Rows[i], NothingRead, acked.of); got != want {
			t.Errorf("%s: %g of nothing read", c.Rows[i].Target, got)
		}
	}
	if got, ok := c.Share(&c.Rows[2], EmptyLog, cpu.of); !ok || got != 2 {
		t.Errorf("%g times the processor time", got)
	}
	if isCeiling(NothingRead) || isCeiling(EmptyLog) || !isCeiling(DiskLoop) || !isCeiling(BulkLoop) {
		t.Error("a weir is no ceiling, and a loop is one")
	}
}
