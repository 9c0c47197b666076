package lua

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/weirlog/weir/wal"
)

func TestState_Values(t *testing.T) {
	s := mustCompile(t, `
state = {n = 0, text = "x", yes = true}
local also = state
function transform(event)
  state.n = state.n + 1
  also.last = event.id
  if event.forget then state.text = nil end
  event.n, event.text, event.yes, event.last = also.n, state.text, state.yes, state.last
  event.names = ""
  for name, value in pairs(state) do event.names = event.names .. name .. "=" .. tostring(value) .. " " end
  event.raw, event.same = rawget(state, "n"), state == also
  return event
end`)
	for i, tc := range []struct{ event, want string }{
		{`{"id":7}`, `{"id":7,"n":1,"text":"x","yes":true,"last":7,"names":"n=1 text=x yes=true last=7 ","raw":1,"same":true}`},
		{`{"id":9007199254740993}`, `{"id":9007199254740993,"n":2,"text":"x","yes":true,"last":9007199254740993,"names":"n=2 text=x yes=true last=9007199254740993 ","raw":2,"same":true}`},
		{`{"forget":true}`, `{"forget":true,"n":3,"yes":true,"names":"n=3 yes=true ","raw":3,"same":true}`},
	} {
		if got := sources(t, s, tc.event); len(got) != 1 || got[0] != tc.want {
			t.Errorf("event %d: got\n%s\nwant\n%s", i, got, tc.want)
		}
	}
}

// counting counts events, and fails in every way that the event names.
const counting = `
state = {n = 0}
function transform(event)
  state.n = state.n + 1
  state.gone, state.fresh = nil, state.n
  if event.fail == "error" then error("boom") end
  if event.fail == "memory" then local s = ("x"):rep(1e9) end
  if event.fail == "timeout" then while true do end end
  if event.fail == "result" then return {0/0} end
  event.n, event.fresh = state.n, state.fresh
  return event
end`

func TestState_AFailedEventLeavesItAsItWas(t *testing.T) {
	s := mustCompile(t, counting)
	for i := 1; i <= 3; i++ {
		for _, fail := range []string{"error", "memory", "timeout", "result"} {
			if _, _, err := s.Transform(record(`{"fail":"` + fail + `"}`)); err == nil {
				t.Fatalf("%s did not fail", fail)
			}
		}
		if got, want := sources(t, s, `{}`)[0], fmt.Sprintf(`{"n":%d,"fresh":%d}`, i, i); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	}
}

// TestState_OutlivesItsWorker: workers are thrown away after an overrun and when they are worn.
func TestState_OutlivesItsWorker(t *testing.T) {
	tr, _ := open(t, `
state = {n = 0}
function transform(event)
  state.n = state.n + 1
  local s = ("x"):rep(60000)
  event.n = state.n
  return event
end`, Options{MaxMemory: 64 << 10})
	workers := map[*worker]bool{}
	for i := 1; i <= 50; i++ {
		if got, want := once(t, tr), fmt.Sprintf(`{"n":%d}`, i); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
		for _, w := range tr.current.Load().idle {
			workers[w] = true
		}
		if left := len(tr.current.Load().left); left > 1 {
			t.Fatalf("%d states are left behind", left)
		}
	}
	if len(workers) < 3 {
		t.Fatalf("the worker was never made anew: the test tests nothing")
	}
}

func TestState_IsNewForATestAndAReload(t *testing.T) {
	tr, path := open(t, counting+`
function test_first() assert(transform({}).n == 1) end
function test_again() assert(transform({}).n == 1) state.n = 100 end`, Options{})
	if got := once(t, tr); got != `{"n":1,"fresh":1}` {
		t.Fatalf("tests left traces: %s", got)
	}
	replace(t, path, counting)
	if err := tr.Reload(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if got := once(t, tr); got != `{"n":1,"fresh":1}` {
		t.Fatalf("the new version sees the old one's state: %s", got)
	}
}

func TestState_Refusals(t *testing.T) {
	for _, tc := range []struct{ name, script, want string }{
		{"a table", `state.t = {}`, "state.t must be a string, a number or a boolean, not a table; json.encode makes a string of a table"},
		{"an object of the event", `state.t = event`, "not a table"},
		{"null", `state.t = json.null`, "not a null"},
		{"a function", `state.f = print`, "not a function"},
		{"a name that is none", `state[1] = 1`, "the names in state must be strings, not a number (1)"},
		{"by rawset", `rawset(state, 1, 1)`, "the names in state must be strings"},
		{"by table.insert", `table.insert(state, 1)`, "this table cannot be changed"},
		{"anew", `state = {}`, "state cannot be assigned by an event"},
		{"too many names", `for i = 1, 10001 do state["k" .. i] = 1 end`, "state holds 10000 names, which is its limit"},
		{"too many bytes", `state.s = ("x"):rep(2e6)`, "state would hold more than 1048576 bytes"},
		{"bytes by bytes", `for i = 1, 100 do state["k" .. i] = ("x"):rep(2e4) end`, "state would hold more than 1048576 bytes"},
		{"as the event", `event = state`, "is the state table"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := mustCompile(t, "state = {} "+body(tc.script))
			if _, _, err := s.Transform(record(`{}`)); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got %v, want %s", err, tc.want)
			}
			if n := len(s.w.state.entries) - s.w.state.live; s.w.state.live != 0 || s.w.state.bytes != 0 || n > 16 {
				t.Fatalf("a failed event leaves %d values, %d bytes, %d places", s.w.state.live, s.w.state.bytes, n)
			}
		})
	}
	for _, declared := range []string{"{a = {}}", "{1}", "setmetatable({}, {})"} {
		_, err := Compile("script.lua", []byte("state = "+declared+body("")), Options{})
		if err == nil || !strings.Contains(err.Error(), "state") {
			t.Errorf("state = %s: %v", declared, err)
		}
	}
}

// TestState_NamesThatComeAndGo: what was forgotten leaves no place behind, however often.
func TestState_NamesThatComeAndGo(t *testing.T) {
	s := mustCompile(t, "state = {} "+body(`state[event.name] = true for name in pairs(state) do if name ~= event.name then state[name] = nil end end`))
	for i := range 2000 {
		sources(t, s, fmt.Sprintf(`{"name":"n%d"}`, i))
	}
	if st := s.w.state; st.live != 1 || len(st.entries) > 32 || len(st.places) > 32 || len(st.undo) != 0 {
		t.Fatalf("%d live, %d entries, %d places, %d to undo", st.live, len(st.entries), len(st.places), len(st.undo))
	}
}

// TestState_HoldsNoMoreThanItCounts: a piece of a text is kept without the text that it was cut from.
func TestState_HoldsNoMoreThanItCounts(t *testing.T) {
	s := mustCompile(t, "state = {} "+body(`state[event.text:sub(1, 30) .. meta.offset], state.text = event.text:sub(1, 30), event.text:sub(2, 40)
		state[event.text:sub(-40)] = true`))
	long := strings.Repeat("x", 1<<20)
	var before, after runtime.MemStats
	sources(t, s, `{"text":"`+long+`"}`)
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range 20 {
		rec := record(`{"text":"` + long + strconv.Itoa(i) + `"}`)
		rec.Offset = wal.Offset(i)
		if _, _, err := s.Transform(rec); err != nil {
			t.Fatal(err)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if kept := int64(after.HeapAlloc) - int64(before.HeapAlloc); kept > 2<<20 {
		t.Errorf("%d KiB are kept for %d bytes", kept>>10, s.w.state.bytes)
	}
	runtime.KeepAlive(s)
}
