package lua

import (
	"strings"
	"testing"
)

// TestBudget_AfterALargeValue: one large event shortens the windows of those behind it, which might meet what it left,
// but not for long.
func TestBudget_AfterALargeValue(t *testing.T) {
	const small = `{"text":"x"}`
	large := `{"text":"` + strings.Repeat("x", 1<<20) + `"}`
	s := mustCompile(t, body(`local n = #event.text`))
	sources(t, s, large)
	sources(t, s, small)
	if s.w.budget.interval >= window {
		t.Fatal("a value that may have been kept shortens no window")
	}
	for range calmEvents + 1 {
		sources(t, s, small)
	}
	if got := s.w.budget.interval; got != window {
		t.Errorf("long after a large event a window has %d steps, not %d", got, window)
	}
}

// TestBudget_LargeValuesOfTheScript: making the state anew would not help, and would load all of it again and again.
func TestBudget_LargeValuesOfTheScript(t *testing.T) {
	s := mustCompile(t, `local long = string.rep("x", 1e6) `+body(`local n = #long`))
	first := s.w
	for range 4 * calmEvents {
		sources(t, s, `{}`)
	}
	if s.w != first {
		t.Error("the state was made anew")
	}
	if got := s.w.budget.interval; got >= window {
		t.Errorf("a window has %d steps", got)
	}
}

// TestBudget_LargeValuesInState: what another Lua state has made shortens windows as well.
func TestBudget_LargeValuesInState(t *testing.T) {
	s := mustCompile(t, `state = {} `+body(`if event.first then state.long = string.rep("x", 5e5) else local n = #state.long end`))
	sources(t, s, `{"first":true}`)
	kept := s.w.state
	if err := s.renew(); err != nil {
		t.Fatal(err)
	}
	s.w.state = kept
	sources(t, s, `{}`)
	if got := s.w.budget.interval; got >= window {
		t.Errorf("a window has %d steps", got)
	}
}
