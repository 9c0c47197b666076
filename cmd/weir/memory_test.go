package main

import (
	"math"
	"runtime"
	"testing"
)

func TestMemoryLimit_OnlyOfASmallHeap(t *testing.T) {
	for live, want := range map[uint64]int64{0: smallMemory, smallHeap: smallMemory, smallHeap + 1: math.MaxInt64, 1 << 40: math.MaxInt64} {
		if got := memoryLimit(live); got != want {
			t.Errorf("%d bytes in use: limit %d, want %d", live, got, want)
		}
	}
}

func TestEachCollection_RunsAgainAndAgain(t *testing.T) {
	ran := make(chan struct{}, 1)
	eachCollection(func() {
		select {
		case ran <- struct{}{}:
		default: // after the test nobody takes it
		}
	})
	<-ran
	for range 3 {
		runtime.GC()
		<-ran
	}
}
