package main

import (
	"context"
	"strings"
	"time"

	"github.com/weirlog/weir/bench/load"
)

// scenario is a table of cases, or, without a server, a measurement of its own.
type scenario struct {
	name    string
	help    string
	cases   []benchCase
	measure func(l *lab, ctx context.Context, scenario string) error // where there are no cases
	takes   func(o *options) (total time.Duration, left int)         // about how long measure takes, and cases that it leaves out
}

// benchCase is one load and the targets that it is put on, which take turns in this order.
type benchCase struct {
	name        string
	connections int
	events      int // of each request
	eventBytes  int
	dialEach    bool          // a new connection for each request
	unix        bool          // over a unix socket
	rate        float64       // requests a second, due at even distances; 0: each connection as fast as it is answered
	idle        bool          // connections send one request each, few of them at a time, and stay open
	full        bool          // left out of a quick run
	backlog     int           // bytes of events in the log beforehand, see options.amount; 0: none
	takes       time.Duration // about how long a round takes, where that does not follow from the window; 0: it does
	total       int           // requests of all connections together, see amount; 0: as many as go into the window
	settles     bool          // the memory at the end is looked at, too
	targets     []target
}

// possible reports whether this process may open the connections of the case.
func (c *benchCase) possible() bool {
	slow := 0
	for _, t := range c.targets {
		slow = max(slow, t.slow)
	}
	return c.connections+slow <= load.MaxConnections()
}

// scenarios are all that there is, in the order in which they run.
var scenarios = []scenario{
	{
		name:  "ack",
		help:  "how fast events are acknowledged, beside a server that does nothing and a bare log",
		cases: ackCases,
	},
	{
		name: "delivery",
		help: "from the first post to the last delivery into a counting Elasticsearch",
		cases: []benchCase{
			{name: "100 events a request, 16 connections", connections: 16, events: 100, eventBytes: 320, targets: []target{bulkLoop, weir, weirFive}},
			{name: "100 events a request, 16 connections, longer scripts", connections: 16, events: 100, eventBytes: 320, full: true, targets: []target{bulkLoop, weirScript, weirHeavy}},
		},
	},
	{
		name: "memory",
		help: "peak memory of weir where it should need most, and after an hour's worth of events",
		cases: []benchCase{
			{name: "30,000 events of 1,000 B a minute, one a request, 16 connections", connections: 16, events: 1, eventBytes: 1000, rate: 500, settles: true, targets: []target{weir}},
			{name: "200,000 events of 1,000 B, as fast as they go", connections: 64, events: 1, eventBytes: 1000, total: 200_000, settles: true, takes: 6 * time.Second, targets: []target{weir}},
			{name: "1,800,000 events of 1,000 B: an hour at 30,000 a minute", connections: 64, events: 1, eventBytes: 1000, total: hourOfEvents, settles: true, full: true, takes: 50 * time.Second, targets: []target{weir}},
			{name: "1 event a request, 1,024 connections", connections: 1024, events: 1, eventBytes: 320, targets: []target{weirScript}},
			{name: "1,000 events of 1,000 B a request, 16 connections", connections: 16, events: 1000, eventBytes: 1000, targets: []target{weirScript}},
			{name: "32 connections, idle after one request each", connections: 32, events: 1, eventBytes: 320, idle: true, targets: []target{weir}},
			{name: "10,000 connections, idle after one request each", connections: 10_000, events: 1, eventBytes: 320, idle: true, targets: []target{weir}},
		},
	},
	{name: "outage", help: "the sink is away and comes back: filling the log, and working it off while new events arrive", cases: outageCases},
	{name: "restart", help: "kill -9 under load: time to the first acknowledgement and the first delivery after it", cases: restartCases},
	{name: "cost", help: "what a backlog, reading it, and many connections add to the cost of an event", cases: costCases},
	{
		name:    "letters",
		help:    "dead letters: put, listed and replayed",
		measure: (*lab).runLetters,
		takes:   lettersTake,
	},
	{
		name:    "store",
		help:    "events into the embedded destination, searched for meanwhile and after",
		measure: (*lab).runStore,
		takes:   storeTakes,
	},
	{
		name:    "transform",
		help:    "scripts over events in memory, beside no transform, the plain way and Go",
		measure: (*lab).runTransforms,
		takes:   transformsTake,
	},
}

// hourOfEvents is an hour's worth at 30,000 events a minute.
const hourOfEvents = 60 * 30_000

func scenarioNames() []string {
	names := make([]string, len(scenarios))
	for i, s := range scenarios {
		names[i] = s.name
	}
	return names
}

func scenarioHelp() string {
	var b strings.Builder
	b.WriteString("Scenarios:\n")
	for _, s := range scenarios {
		b.WriteString("  " + s.name + strings.Repeat(" ", 10-len(s.name)) + s.help + "\n")
	}
	return b.String()
}
