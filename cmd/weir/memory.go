package main

import (
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// gcPercent keeps the heap small: most of it is long-lived arenas and buffers, of which the default would
// double the share in memory. What it costs in processor time is in docs/benchmarks.md.
const gcPercent = 50

// smallMemory is what Go's part of the process stays within while no more than smallHeap is in use: the stacks of many connections,
// which only a collection shrinks, go earlier then. With more in use the limit would make collections follow one another, which costs
// more than the memory is worth; gcPercent alone rules.
const (
	smallMemory = 72 << 20
	smallHeap   = 40 << 20
)

// limitMemory sets how much garbage may lie about. An environment that says when to collect (GOGC) stands, and so does the most
// that it allows (GOMEMLIMIT).
func limitMemory(getenv func(string) string) {
	if getenv("GOGC") != "" {
		return
	}
	debug.SetGCPercent(gcPercent)
	followHeap(debug.SetMemoryLimit(-1))
}

// followHeap sets the limit, most at most, now and after every collection.
func followHeap(most int64) {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	limit := int64(0)
	eachCollection(func() {
		metrics.Read(live)
		if next := min(memoryLimit(live[0].Value.Uint64()), most); next != limit {
			limit = next
			debug.SetMemoryLimit(limit)
		}
	})
}

// memoryLimit is the limit for a heap of which so much is in use.
func memoryLimit(live uint64) int64 {
	if live > smallHeap {
		return math.MaxInt64
	}
	return smallMemory
}

// eachCollection calls do now and after every collection, on a goroutine of the runtime's: an object that nobody holds is
// found by each.
func eachCollection(do func()) {
	do()
	sentinel := new(struct{ p *byte }) // with a pointer, so that it shares its memory with no other object
	runtime.AddCleanup(sentinel, eachCollection, do)
}
