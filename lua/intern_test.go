package lua

import (
	"strconv"
	"strings"
	"testing"

	glua "github.com/yuin/gopher-lua"
)

func TestTexts_AreWhatWasAskedFor(t *testing.T) {
	var kept texts
	for range 2 {
		for i := range 10 * internedTexts {
			want := strings.Repeat("x", i%(2*internedBytes)) + strconv.Itoa(i)
			b := []byte(want)
			got := kept.value(b)
			clear(b) // the caller's again
			if got != glua.LValue(glua.LString(want)) {
				t.Fatalf("%q, want %q", got, want)
			}
		}
	}
	if got := kept.value(nil); got != glua.LValue(glua.LString("")) {
		t.Errorf("%q of nothing", got)
	}
}

func TestTexts_KnownOnesAllocateNothing(t *testing.T) {
	var kept texts
	short, long := []byte("warning"), []byte(strings.Repeat("x", internedBytes+1))
	if n := testing.AllocsPerRun(100, func() { kept.value(short) }); n != 0 {
		t.Errorf("%v allocations for a text that is known", n)
	}
	kept.value(long)
	for _, v := range kept {
		if s, ok := v.(glua.LString); ok && len(s) > internedBytes {
			t.Errorf("%q is kept", s)
		}
	}
}
