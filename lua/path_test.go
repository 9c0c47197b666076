package lua

import (
	"strings"
	"testing"
)

// TestPaths reads fields through variables that the rewriter takes for objects of the event, whatever they hold.
func TestPaths(t *testing.T) {
	const payload = `{"a":{"b":{"c":"deep","n":7}},"list":[{"x":1},{"x":2}],"text":"abc","none":null,"big":9007199254740993,"b":true}`
	for _, tt := range []struct{ name, script, want string }{
		{"a path of the event", `return event.a.b.c`, "deep"},
		{"a name in brackets", `return event["a"]["b"].n`, "7"},
		{"a name that is computed", `local k = "b"; return event.a[k].c`, "deep"},
		{"a member that is not there", `return event.nothing`, "nil"},
		{"a member of one that is not there", `return event.nothing.x`, "script.lua:1: attempt to index field 'nothing' (a nil value)"},
		{"a member of a boolean", `return event.b.x`, "attempt to index field 'b' (a boolean value)"},
		{"a member of a number", `return event.a.b.n.x`, "attempt to index field 'n' (a number value)"},
		{"a member of null", `return event.none.x`, "attempt to index field 'none' (a null value)"},
		{"a method of a string, as a field", `return event.text.upper("x")`, "X"},
		{"a method of a string", `return event.text:upper()`, "ABC"},
		{"a list by number", `return event.list[2].x`, "2"},
		{"a list by name", `return event.list.x`, "nil"},
		{"meta", `return meta.stream`, "default"},
		{"meta, a setting", `meta.index = "i"; return meta.index`, "i"},
		{"a local", `local a = event.a; return a.b.c`, "deep"},
		{"a local with an alternative", `local o = event.nothing or { x = "plain" }; return o.x`, "plain"},
		{"an alternative in parentheses", `return (event.nothing or { x = "plain" }).x`, "plain"},
		{"an element of a loop", `local s = ""; for _, item in ipairs(event.list) do s = s .. item.x end; return s`, "12"},
		{"a parameter that holds something else", `event = { x = { y = "mine" } }; return event.x.y`, "mine"},
		{"a metatable", `event = setmetatable({}, { __index = function(t, k) return k .. "!" end }); return event.x`, "x!"},
		{"a metatable that fails", `event = setmetatable({}, { __index = function() error("no") end }); return event.x`, "script.lua:1: no"},
		{"a field as an argument", `return select("#", event.a, event.nothing)`, "2"},
		{"a field that is called", `event = { f = function(...) return select("#", ...) end }; return event.f(1, nil)`, "2"},
		{"a field as the last of a table", `return #{ event.text, event.text }`, "2"},
		{"a field that decides", `if event.b and not event.nothing then return "yes" end`, "yes"},
		{"more names than one call takes", `return event` + strings.Repeat(".a", 40) + ` or "no"`, "attempt to index field 'a' (a nil value)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			script := "function transform(event, meta) local out = json.object(); local function f() " + tt.script + " end; out.r = tostring(f()); return out end"
			docs, _, err := mustCompile(t, script).Transform(record(payload))
			if err != nil {
				if !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error %v, want %q", err, tt.want)
				}
				return
			}
			if got, want := string(docs[0].Source), `{"r":"`+tt.want+`"}`; got != want {
				t.Errorf("%s, want %s", got, want)
			}
		})
	}
}

func TestPaths_OfAnEarlierEvent(t *testing.T) {
	s := mustCompile(t, `local kept; function transform(event) kept = kept or event.a; return { x = kept.b } end`)
	if _, _, err := s.Transform(record(`{"a":{"b":1}}`)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Transform(record(`{"a":{"b":1}}`)); err == nil || !strings.Contains(err.Error(), "belongs to an earlier event") {
		t.Errorf("error %v", err)
	}
}

func TestPaths_AreFewCalls(t *testing.T) {
	for name, script := range map[string]string{
		"a function":    "function transform(event) return event.a.b.c and event end",
		"an assignment": "transform = function(event) return event.a.b.c and event end",
	} {
		s := mustCompile(t, script)
		used := testing.AllocsPerRun(100, func() {
			if _, _, err := s.Transform(record(`{"a":{"b":{"c":true}}}`)); err != nil {
				t.Fatal(err)
			}
		})
		// A record and its bytes; names that were made values anew would be three more.
		if used > 2 {
			t.Errorf("%s: %v allocations", name, used)
		}
	}
}
