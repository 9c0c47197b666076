package main

// ackCases are what clients do that differ: how many events a request, how large, over how many and what kind of
// connections, and whether they wait for one another.
var ackCases = []benchCase{
	{name: "1 event a request, 1 connection", connections: 1, events: 1, eventBytes: 320, targets: []target{noop, bare, bareWrite, weir, weirAway}},
	{name: "1 event a request, 8 connections", connections: 8, events: 1, eventBytes: 320, full: true, targets: groupTargets},
	{name: "1 event a request, 64 connections", connections: 64, events: 1, eventBytes: 320, targets: groupTargets},
	{name: "1 event a request, 1,024 connections", connections: 1024, events: 1, eventBytes: 320, targets: groupTargets},
	{name: "1 event a request, 10,000 connections", connections: 10_000, events: 1, eventBytes: 320, full: true, targets: groupTargets},

	{name: "10 events a request, 16 connections", connections: 16, events: 10, eventBytes: 320, full: true, targets: groupTargets},
	{name: "100 events a request, 16 connections", connections: 16, events: 100, eventBytes: 320, targets: groupTargets},
	{name: "1,000 events a request, 16 connections", connections: 16, events: 1000, eventBytes: 320, full: true, targets: groupTargets},

	{name: "1 event of 100 B, 64 connections", connections: 64, events: 1, eventBytes: 100, full: true, targets: groupTargets},
	{name: "1 event of 10 kB, 64 connections", connections: 64, events: 1, eventBytes: 10_000, full: true, targets: groupTargets},
	{name: "1 event of 100 kB, 64 connections", connections: 64, events: 1, eventBytes: 100_000, full: true, targets: groupTargets},
	{name: "1 event of 1 MB, 16 connections", connections: 16, events: 1, eventBytes: 1_000_000, full: true, targets: groupTargets},

	{name: "a new connection each, 64 at a time", connections: 64, events: 1, eventBytes: 320, dialEach: true, targets: ackTargets},
	{name: "unix socket, 64 connections", connections: 64, events: 1, eventBytes: 320, unix: true, full: true, targets: ackTargets},
	{name: "unix socket, a new connection each, 64 at a time", connections: 64, events: 1, eventBytes: 320, unix: true, dialEach: true, full: true, targets: ackTargets},

	{name: "5,000 requests/s, 64 connections", connections: 64, events: 1, eventBytes: 320, rate: 5_000, full: true, targets: ackTargets},
	{name: "20,000 requests/s, 64 connections", connections: 64, events: 1, eventBytes: 320, rate: 20_000, targets: ackTargets},
	{name: "10,000 slow connections beside 5,000 requests/s", connections: 64, events: 1, eventBytes: 320, rate: 5_000, full: true, targets: []target{weir, weirSlow}},
}

// ackTargets: weir is measured twice, because on a small machine delivery takes the cores that
// acknowledging needs. "weir" does all its work meanwhile; "weir, sink away" fills its log only.
var (
	ackTargets   = []target{noop, bare, weir, weirAway}
	groupTargets = []target{noop, bare, diskLoop, weir, weirAway} // where all connections can share a write
)

// weirSlow has company that takes its time: what it costs the honest clients is its distance from weir in the same case.
var weirSlow = func() target {
	t := weirTarget("weir, 10,000 slow connections", weirSetup{})
	t.slow = 10_000
	return t
}()
