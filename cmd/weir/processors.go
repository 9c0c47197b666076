package main

import "runtime"

// processors is how many goroutines Go would run at a time: the cores that the process may use.
var processors = runtime.GOMAXPROCS(0)

// spareProcessor lets one goroutine more run at a time than there are cores. Go lets a goroutine compute for up to 10 ms before another one
// gets its turn; on few cores two that transform or read a backlog would keep the committer, back from its fsync, and connections
// with an answer waiting for that long at every step. The kernel is quicker: it prefers threads that have slept. Measured on two cores
// while a backlog is delivered, that halves the time of an acknowledgement (docs/benchmarks.md). An environment that sets
// GOMAXPROCS stands. Go does not follow later changes of a container's limit then, and under a limit in fractions of cores (a quota of time) one
// thread more reaches it sooner: whoever has one sets GOMAXPROCS.
func spareProcessor(getenv func(string) string) {
	if getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(processors + 1)
	}
}
