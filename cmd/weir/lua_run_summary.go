package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/weirlog/weir/lua"
)

const (
	// slowestEvents is how many events the summary names.
	slowestEvents = 5
	// The largest values that the summary tells apart, and its digits.
	maxEventTime   = int64(time.Hour)
	maxEventMemory = int64(1) << 40
	summaryDigits  = 3
)

// luaSummary is what a run comes to. Its memory is bounded, however many events there are.
type luaSummary struct {
	Events    int       `json:"events"`
	Made      int       `json:"made"`
	Dropped   int       `json:"dropped"`
	Failed    int       `json:"failed"`
	Rejected  int       `json:"rejected"`
	Documents int       `json:"documents"`
	Time      luaSpread `json:"took_us"`
	Memory    luaSpread `json:"memory_bytes"`
	Clock     string    `json:"clock"` // of the time
	Slowest   []luaSlow `json:"slowest"`

	times, sizes *hdrhistogram.Histogram // of the events that the script saw
	maxTime      time.Duration
	maxMemory    int64
	timeout      time.Duration
	memoryLimit  int64
}

// luaSpread is how a figure is spread over the events that the script saw.
type luaSpread struct {
	P50          float64 `json:"p50"`
	P99          float64 `json:"p99"`
	Max          float64 `json:"max"`
	Limit        float64 `json:"limit"`
	PercentOfMax float64 `json:"max_percent_of_limit"`
}

// luaSlow is one of the slowest events.
type luaSlow struct {
	Line       int64   `json:"line"`
	TookMicros float64 `json:"took_us"`
	Memory     int64   `json:"memory_bytes"`
	Became     string  `json:"became"`

	took time.Duration
}

func newLuaSummary(opts lua.Options) *luaSummary {
	return &luaSummary{
		Clock: lua.UsageTime, Slowest: []luaSlow{}, timeout: opts.Timeout, memoryLimit: opts.MaxMemory,
		times: hdrhistogram.New(1, maxEventTime, summaryDigits), sizes: hdrhistogram.New(1, maxEventMemory, summaryDigits),
	}
}

func (s *luaSummary) add(r *luaResult) {
	s.Events++
	s.Documents += len(r.Documents)
	switch r.Result {
	case luaMade:
		s.Made++
	case luaDropped:
		s.Dropped++
	case luaFailed:
		s.Failed++
	case luaRejected:
		s.Rejected++
		return
	}
	// Neither fails for a value in its range.
	_ = s.times.RecordValue(min(int64(r.usage.Time), maxEventTime))
	_ = s.sizes.RecordValue(min(r.usage.Memory, maxEventMemory))
	s.maxTime, s.maxMemory = max(s.maxTime, r.usage.Time), max(s.maxMemory, r.usage.Memory)
	s.rank(r)
}

// rank keeps the slowest events, the slowest first.
func (s *luaSummary) rank(r *luaResult) {
	if n := len(s.Slowest); n == slowestEvents && r.usage.Time <= s.Slowest[n-1].took {
		return
	}
	slow := luaSlow{Line: r.Line, TookMicros: r.TookMicros, Memory: r.Memory, Became: r.became(), took: r.usage.Time}
	i := slices.IndexFunc(s.Slowest, func(x luaSlow) bool { return x.took < slow.took })
	if i < 0 {
		i = len(s.Slowest)
	}
	s.Slowest = slices.Insert(s.Slowest, i, slow)
	s.Slowest = s.Slowest[:min(len(s.Slowest), slowestEvents)]
}

// became says in one line what became of an event.
func (r *luaResult) became() string {
	switch r.Result {
	case luaFailed:
		return "failed " + r.Type + ": " + r.Message
	case luaDropped:
		return "dropped"
	}
	text := "to " + r.Documents[0].Index
	for _, d := range r.Documents[1:] {
		if d.Index != r.Documents[0].Index {
			text = "to several indices"
		}
	}
	return counted(len(r.Documents), "document", "documents") + " " + text
}

// show writes the summary: as the output where that is wanted, else beside it.
func (s *luaSummary) show(r *luaRun) error {
	s.finish()
	switch {
	case !r.onlySummary:
		return s.print(r.a, r.a.stderr)
	case r.output != outputTable:
		return r.output.write(r.a.stdout, s)
	}
	return s.print(r.a, r.a.stdout)
}

func (s *luaSummary) finish() {
	spread := func(h *hdrhistogram.Histogram, most, limit, unit float64) luaSpread {
		p := luaSpread{P50: float64(h.ValueAtQuantile(50)) / unit, P99: float64(h.ValueAtQuantile(99)) / unit, Max: most / unit, Limit: limit / unit}
		if limit > 0 {
			p.PercentOfMax = most / limit * 100
		}
		// The histogram rounds upwards, the maximum is exact.
		p.P50, p.P99 = min(p.P50, p.Max), min(p.P99, p.Max)
		return p
	}
	s.Time = spread(s.times, float64(s.maxTime), float64(s.timeout), float64(time.Microsecond))
	s.Memory = spread(s.sizes, float64(s.maxMemory), float64(s.memoryLimit), 1)
}

func (s *luaSummary) print(a *app, w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s made documents, %s dropped, %s failed, %s rejected\n", counted(s.Events, "event", "events"),
		humanCount(s.Made), humanCount(s.Dropped), humanCount(s.Failed), humanCount(s.Rejected))
	if s.Events > s.Rejected {
		micros := func(v float64) string { return eventTime(time.Duration(v * float64(time.Microsecond))) }
		bytes := func(v float64) string { return humanBytes(int64(v)) }
		s.Time.line(&b, "time", micros, "slowest used", "transform.timeout of "+s.timeout.String()+", "+s.Clock)
		s.Memory.line(&b, "memory", bytes, "largest used", "transform.max_memory of "+humanBytes(s.memoryLimit))
		fmt.Fprintln(&b, "slowest")
		for _, slow := range s.Slowest {
			line := fmt.Sprintf("  line %-7d %9s %10s  %s", slow.Line, eventTime(slow.took), humanBytes(slow.Memory), slow.Became)
			if width := a.width(w); width > 0 {
				line = cutColumns(line, width)
			}
			fmt.Fprintln(&b, printable(line))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// line prints a spread and how near its worst came to the limit.
func (p luaSpread) line(w io.Writer, name string, say func(float64) string, worst, limit string) {
	fmt.Fprintf(w, "%-8s p50 %9s  p99 %9s  max %9s  %s %s of %s\n", name, say(p.P50), say(p.P99), say(p.Max), worst, percent(p.PercentOfMax), limit)
}

func percent(p float64) string {
	switch {
	case p < 0.1:
		return "less than 0.1 %"
	case p < 10:
		return fmt.Sprintf("%.1f %%", p)
	}
	return fmt.Sprintf("%.0f %%", p)
}

// cutColumns cuts a line that a terminal would break.
func cutColumns(line string, width int) string {
	runes := []rune(line)
	if len(runes) <= width {
		return line
	}
	return string(runes[:width-1]) + "…"
}
