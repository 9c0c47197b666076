package main

import "runtime"

// processors is how many goroutines Go would run at a time: the cores that the process may use.
var processors = runtime.GOMAXPROCS(0)

// spareProcessor lets one goroutine more run at a time than there are cores. Go lets a goroutine compute for up to 10 ms before another one
// gets its turn; on few cores two that transform or read a backlog would keep the committer, back from its fsync, and connections
// with an answer waiting for that long at every step. The kernel is quicker: it prefers threads that have slept. Measured on two cores
// while a backlog is delivered, that halves the time of an acknowledgement (docs/benchmarks.md). An environment that sets
// GOMAXPROCS stands.
func spareProcessor(getenv func(string) string) {
	if getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(processors + 1)
	}
}
