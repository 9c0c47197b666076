package report

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Format is the version of the JSON form.
const Format = 1

// Report is everything that one call of the benchmark found.
type Report struct {
	Format   int       `json:"format"`
	Command  string    `json:"command"`
	Started  time.Time `json:"started"`
	Seconds  float64   `json:"seconds"`                  // from start to end
	Window   float64   `json:"window_seconds,omitempty"` // of each round; amounts follow from it where it is below 1
	Weir     string    `json:"weir"`                     // what weir version says
	Machine  Machine   `json:"machine"`
	Cases    []Case    `json:"cases"`
	Notes    []string  `json:"notes,omitempty"` // what else belongs to the figures: settings, what was left out
	Failures []string  `json:"failures"`        // empty when all that was acknowledged arrived and no request failed
}

// Case is one load and the targets that it was put on.
type Case struct {
	Scenario    string `json:"scenario"`
	Name        string `json:"name"`
	Connections int    `json:"connections"`
	Events      int    `json:"events_per_request"`
	EventBytes  int    `json:"event_bytes"`
	Rows        []Row  `json:"rows"`
}

// Row is one target.
type Row struct {
	Target string  `json:"target"`
	Rounds []Round `json:"rounds"`
}

// Round is one run of a target under a load. Times are in the unit of the name, rates in events.
type Round struct {
	Rate         float64 `json:"acked_per_second"`     // within the window
	Delivered    float64 `json:"delivered_per_second"` // from first post to last delivery; 0 when nothing is delivered
	Acked        int64   `json:"acked_events"`         // from beginning to end
	P50          float64 `json:"p50_ms"`
	P99          float64 `json:"p99_ms"`
	P999         float64 `json:"p999_ms"`
	P9999        float64 `json:"p9999_ms,omitempty"`
	Offered      float64 `json:"offered_per_second,omitempty"` // of an open loop, whose latencies count from when a request was due; 0: a closed loop
	CPU          float64 `json:"cpu_seconds_per_million"`      // of the target, delivery included
	GeneratorCPU float64 `json:"generator_cpu_seconds_per_million"`
	// ServerCPU is of the Elasticsearch that was delivered into; 0 where it was not looked at.
	ServerCPU     float64 `json:"server_cpu_seconds_per_million,omitempty"`
	PeakMegabytes float64 `json:"peak_megabytes"`          // VmHWM; 1 MB is 10^6 bytes
	EndMegabytes  float64 `json:"end_megabytes,omitempty"` // VmRSS when all was over; 0: not looked at
	// Of a command that asked the target; 0 where there is none.
	ClientCPU       float64 `json:"client_cpu_seconds_per_million,omitempty"`
	ClientMegabytes float64 `json:"client_peak_megabytes,omitempty"`

	// What was checked against the sink, by the events' own marks.
	Marked  bool  `json:"events_marked,omitempty"`  // events were told apart, so that the next two say something
	Lost    int64 `json:"lost_events,omitempty"`    // acknowledged and not arrived
	Doubled int64 `json:"doubled_events,omitempty"` // arrived more than once

	// Of backlogs, restarts and commands that work on many events; 0 where there are none.
	BacklogMegabytes float64  `json:"backlog_megabytes,omitempty"`  // of the log when the measurement began
	FirstAck         float64  `json:"first_ack_ms,omitempty"`       // from the start of the process
	FirstDelivery    float64  `json:"first_delivery_ms,omitempty"`  // the same, or from when the sink took events again
	Filled           float64  `json:"filled_per_second,omitempty"`  // events acknowledged while the sink was away
	CatchUp          float64  `json:"catch_up_seconds,omitempty"`   // from when the sink took events again until what was acknowledged arrived at once
	Drained          float64  `json:"drained_per_second,omitempty"` // of the backlog
	Handled          float64  `json:"handled_per_second,omitempty"` // letters or documents that a command went through
	Series           []Sample `json:"series,omitempty"`             // how the backlog grew and shrank

	// Of transforms in memory; 0 for loads.
	CoreRate        float64 `json:"events_per_core_second,omitempty"` // of processor time, garbage collection included
	Transformed     float64 `json:"transformed_per_second,omitempty"` // on the clock, all cores of the row together
	AllocatedBytes  float64 `json:"allocated_bytes_per_event,omitempty"`
	Allocations     float64 `json:"allocations_per_event,omitempty"`
	GCShare         float64 `json:"gc_share,omitempty"`         // of the processor time, 0 to 1
	WorkerKilobytes float64 `json:"worker_kilobytes,omitempty"` // of heap that one worker keeps; 1 kB is 10^3 bytes
}

// Sample is a moment of a round. Rates are of the time since the sample before.
type Sample struct {
	Seconds       float64 `json:"seconds"`        // since the round began
	BacklogEvents float64 `json:"backlog_events"` // acknowledged and not yet delivered
	Acked         float64 `json:"acked_per_second"`
	Delivered     float64 `json:"delivered_per_second"`
}

// Before begins the name of a target that is an older weir, measured beside the newer one of the same name.
const Before = "before: "

// samples returns f of each round.
func (r *Row) samples(f func(Round) float64) []float64 {
	values := make([]float64, len(r.Rounds))
	for i := range r.Rounds {
		values[i] = f(r.Rounds[i])
	}
	return values
}

// Median returns the median of f over the rounds; 0 without rounds.
func (r *Row) Median(f func(Round) float64) float64 { return median(r.samples(f)) }

// Spread returns the least and the greatest of f over the rounds.
func (r *Row) Spread(f func(Round) float64) (least, greatest float64) {
	for i, round := range r.Rounds {
		v := f(round)
		if i == 0 {
			least, greatest = v, v
		}
		least, greatest = min(least, v), max(greatest, v)
	}
	return least, greatest
}

// Share returns the median over the pairs of rounds of r's f divided by that of the row named target; ok is false when there
// is nothing to divide by (see shares).
func (c *Case) Share(r *Row, target string, f func(Round) float64) (share float64, ok bool) {
	shares := c.shares(r, target, f)
	return median(shares), len(shares) > 0
}

// shares returns r's f divided by that of the row named target, pair by pair of neighbouring rounds. There are none of a row
// by itself, and a ceiling has them only of those above it: the other way round they would say the same again. An older weir is
// held against the older one in the other state where there is one.
func (c *Case) shares(r *Row, target string, f func(Round) float64) (shares []float64) {
	if strings.HasPrefix(r.Target, Before) && slices.ContainsFunc(c.Rows, func(have Row) bool { return have.Target == Before+target }) {
		target = Before + target
	}
	own := slices.IndexFunc(c.Rows, func(have Row) bool { return have.Target == r.Target })
	i := slices.IndexFunc(c.Rows, func(have Row) bool { return have.Target == target })
	if i < 0 || i == own || i > own && isCeiling(r.Target) {
		return nil
	}
	base := &c.Rows[i]
	for j := range min(len(r.Rounds), len(base.Rounds)) {
		if f(base.Rounds[j]) > 0 {
			shares = append(shares, f(r.Rounds[j])/f(base.Rounds[j]))
		}
	}
	return shares
}

func median(values []float64) float64 {
	n := len(values)
	if n == 0 {
		return 0
	}
	values = slices.Sorted(slices.Values(values))
	if n%2 == 1 {
		return values[n/2]
	}
	return (values[n/2-1] + values[n/2]) / 2
}

// Add puts a round into its case and row, which are made when they are not there.
func (r *Report) Add(c Case, target string, round Round) {
	i := slices.IndexFunc(r.Cases, func(have Case) bool { return have.Scenario == c.Scenario && have.Name == c.Name })
	if i < 0 {
		c.Rows = nil
		r.Cases = append(r.Cases, c)
		i = len(r.Cases) - 1
	}
	rows := &r.Cases[i].Rows
	j := slices.IndexFunc(*rows, func(have Row) bool { return have.Target == target })
	if j < 0 {
		*rows = append(*rows, Row{Target: target})
		j = len(*rows) - 1
	}
	(*rows)[j].Rounds = append((*rows)[j].Rounds, round)
}

// Row returns the row of a target, in the first case of a scenario that has it; nil when none has.
func (r *Report) Row(scenario, target string) *Row {
	for i := range r.Cases {
		for j := range r.Cases[i].Rows {
			if row := &r.Cases[i].Rows[j]; r.Cases[i].Scenario == scenario && row.Target == target {
				return row
			}
		}
	}
	return nil
}

// JSON writes the report for programs.
func (r *Report) JSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(r); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return nil
}
