package load

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/weirlog/weir/bench/marks"
)

// Request is one HTTP request as it goes over the wire.
type Request struct {
	Bytes  []byte
	Events int    // that it carries
	Want   []byte // body of the answer that acknowledges all of them; nil: any
	Marks  []int  // where the marks of the events stand, where there is a ledger
}

// Body returns what the request carries: one event, or several with a line break behind each.
func (r *Request) Body() []byte {
	_, body, _ := bytes.Cut(r.Bytes, []byte("\r\n\r\n"))
	return body
}

// Plan says what Run sends.
type Plan struct {
	Address     string        // host:port for TCP, or unix:/path
	Connections int           // kept open, each with one request in flight
	DialEach    bool          // a new connection for each request instead: connecting is part of the latency
	Rate        float64       // requests a second over all connections (open loop); 0: each as fast as it is answered
	Threads     int           // 0 means 1; never more than Connections
	Requests    []Request     // sent in turn
	Status      int           // that acknowledges; 0 means 202
	WarmUp      time.Duration // before the window; its answers count in Acked only
	Window      time.Duration // what is measured; 0 needs Limit
	Limit       int           // requests of each connection; 0: as many as fit into the time
	AtOnce      int           // connections of each thread that may be busy at a time, with a Limit; 0: all
	Patience    time.Duration // for answers that are missing at the end; 0 means 30s
	AtStart     func()        // called when the connections are open, before the first request; may be nil
	AtEnd       func()        // called when all answers are in and the connections still open; may be nil

	// Slow is how many further connections send one byte a second each of a request that does not end.
	Slow int
	// Acknowledges, when it is set, decides in place of Status and Want whether an answer acknowledges its request.
	Acknowledges func(status int, body []byte) bool
	// Ledger numbers the events and knows which were acknowledged; nil: nobody asks for single events.
	Ledger *marks.Ledger
	// Reopen opens a connection again that the server ended, as long as the server takes new ones.
	Reopen bool
}

// acknowledges reports whether an answer acknowledges a request.
func (p *Plan) acknowledges(r *Request, a *answer) bool {
	if p.Acknowledges != nil {
		return p.Acknowledges(a.status, a.body)
	}
	return a.status == p.Status && (r.Want == nil || bytes.Equal(a.body, r.Want))
}

// Result is what came back.
type Result struct {
	Requests   int64         // acknowledged within the window
	Events     int64         // of these requests
	Window     time.Duration // that was measured
	Acked      int64         // events acknowledged from beginning to end
	Failures   int64         // requests with another answer, or connections that ended
	Failure    string        // the first of them; "" when there are none
	Unanswered int64         // requests without any answer
	Unsent     int64         // requests of an open loop that were due and for which patience ended before a connection was free
	SlowCuts   int64         // times that the server ended a slow connection
	SlowOpen   int           // slow connections that were open at the end
	Begun      time.Time     // before the first write
	Ended      time.Time     // after the last answer
	Latency    *hdrhistogram.Histogram
}

// Latencies are recorded in microseconds, exact to three digits, up to a minute.
const (
	latencyMax    = 60_000_000
	latencyDigits = 3
)

// Rate returns the events acknowledged per second of the window.
func (r *Result) Rate() float64 {
	if r.Window <= 0 {
		return 0
	}
	return float64(r.Events) / r.Window.Seconds()
}

// Add takes a later part of the same load into the result: the window is that of both parts.
func (r *Result) Add(later *Result) {
	r.Requests += later.Requests
	r.Events += later.Events
	r.Window += later.Window
	r.Acked += later.Acked
	r.Failures += later.Failures
	r.Failure = cmp.Or(r.Failure, later.Failure)
	r.Unanswered += later.Unanswered
	r.Unsent += later.Unsent
	r.SlowCuts, r.SlowOpen = r.SlowCuts+later.SlowCuts, later.SlowOpen
	r.Ended = later.Ended
	r.Latency.Merge(later.Latency)
}

// Percentile returns the latency that p per cent of the requests of the window did not exceed.
func (r *Result) Percentile(p float64) time.Duration {
	return time.Duration(r.Latency.ValueAtPercentile(p)) * time.Microsecond
}

func (p Plan) withDefaults() (Plan, error) {
	if p.Threads == 0 {
		p.Threads = 1
	}
	if p.Status == 0 {
		p.Status = 202
	}
	if p.Patience == 0 {
		p.Patience = 30 * time.Second
	}
	switch {
	case p.Connections < 1:
		return p, errors.New("a plan needs connections")
	case len(p.Requests) == 0:
		return p, errors.New("a plan needs requests")
	case p.Window <= 0 && p.Limit <= 0:
		return p, errors.New("a plan needs a window or a limit")
	case p.Threads < 1:
		return p, fmt.Errorf("%d threads", p.Threads)
	case p.Rate < 0 || p.Rate > 0 && (p.Window <= 0 || p.Limit > 0):
		return p, errors.New("a plan with a rate needs a window and no limit")
	}
	p.Threads = min(p.Threads, p.Connections)
	return p, nil
}
