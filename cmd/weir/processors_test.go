package main

import (
	"runtime"
	"testing"
)

func TestSpareProcessor(t *testing.T) {
	t.Cleanup(func() { runtime.GOMAXPROCS(processors) })
	spareProcessor(func(string) string { return "2" })
	if got := runtime.GOMAXPROCS(0); got != processors {
		t.Errorf("with GOMAXPROCS set: %d, want %d", got, processors)
	}
	for range 2 {
		spareProcessor(func(string) string { return "" })
		if got := runtime.GOMAXPROCS(0); got != processors+1 {
			t.Errorf("%d, want one more than %d", got, processors)
		}
	}
}
