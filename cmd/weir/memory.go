package main

import "runtime/debug"

// gcPercent keeps the heap small: most of it is long-lived arenas and buffers, of which the default would
// double the share in memory. What it costs in processor time is in docs/benchmarks.md.
const gcPercent = 50

// limitMemory sets how much garbage may lie about. An environment that says when to collect (GOGC) stands.
func limitMemory(getenv func(string) string) {
	if getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}
