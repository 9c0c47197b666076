package main

import (
	"math"
	"runtime"
	"testing"
)

func TestMemoryLimit_FollowsTheHeap(t *testing.T) {
	for _, tt := range []struct {
		live uint64
		want int64
	}{
		{0, smallMemory}, {40 << 20, smallMemory}, {64 << 20, 88 << 20}, {largeHeap, 108 << 20}, {largeHeap + 1, math.MaxInt64}, {1 << 40, math.MaxInt64},
	} {
		if got := memoryLimit(tt.live); got != tt.want {
			t.Errorf("%d MiB in use: limit %d MiB, want %d", tt.live>>20, got>>20, tt.want>>20)
		}
	}
	for live := uint64(0); live <= largeHeap; live += 1 << 20 {
		if room := memoryLimit(live) - int64(live); room < 16<<20 {
			t.Errorf("%d MiB in use: room for %d MiB only, collections would follow one another", live>>20, room>>20)
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
