package lua

import (
	"strings"
	"testing"
)

// TestMessages_NameWhatIsMissing: the commonest faults of scripts say which field was not there.
func TestMessages_NameWhatIsMissing(t *testing.T) {
	for _, tt := range []struct{ name, script, want string }{
		{"a field of a field", `return event.nothing.x`, "attempt to index field 'nothing' (a nil value)"},
		{"deep in the event", `return event.a.nothing.x.y`, "attempt to index field 'nothing' (a nil value)"},
		{"a method", `return event.nothing:find("x")`, "attempt to index field 'nothing' (a nil value)"},
		{"a method of null", `return event.none:find("x")`, "attempt to index field 'none' (a null value)"},
		{"a method of an exact number", `return event.big:len()`, "attempt to index field 'big' (a number value)"},
		{"a field that is set", `event.nothing.x = 1`, "attempt to index field 'nothing' (a nil value)"},
		{"a field of null that is set", `event.none.x = 1`, "attempt to index field 'none' (a null value)"},
		{"several that are set", `event.y, event.nothing.x = 1, 2`, "attempt to index field 'nothing' (a nil value)"},
		{"a global", `return nosuch.x`, "attempt to index variable 'nosuch' (a nil value)"},
		{"a local", "local t\nreturn t.x", "attempt to index variable 't' (a nil value)"},
		{"a local out of the event", "local c = event.nothing\nreturn c.x", "attempt to index variable 'c' (a nil value)"},
		{"a field of a table", `local t = {} return t.a.b`, "attempt to index field 'a' (a nil value)"},
		{"a result", `return tonumber("x").y`, "attempt to index a nil value with key 'y'"},
		{"an element", `local t = {} return t[1].x`, "attempt to index a nil value with key 'x'"},
		{"a name that is computed", `local k = "x" return event.nothing[k]`, "attempt to index a nil value with key 'x'"},
		{"one of two on a line", `local a, b = {} return a.x or b.x`, "attempt to index a nil value with key 'x'"},
		{"in a coroutine", `return coroutine.wrap(function() return event.nothing.x end)()`, "attempt to index field 'nothing' (a nil value)"},
		{"a length", `return #event.nothing`, "attempt to get length of field 'nothing' (no string and no table)"},
		{"a length of a result", `return #tonumber("x")`, "attempt to get length of a value (no string and no table)"},
		{"a text", `return "a" .. event.nothing .. "b"`, "attempt to concatenate field 'nothing' (a nil value)"},
		{"the end of a text", "local x\nreturn 'a' .. 'b' .. x", "attempt to concatenate variable 'x' (a nil value)"},
		{"a text of sixty", `local a, x = "a" return a` + strings.Repeat(" .. a", 55) + ` .. x .. a .. a`, "attempt to concatenate a nil value"},
		{"a text with a result", `return "a" .. (tonumber("x") or {})`, "attempt to concatenate a table value"},
		{"a text of what a metamethod gave", `local t = setmetatable({}, {__concat = function() return {} end}) return "a" .. t .. t`, "attempt to concatenate a table value"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			const payload = `{"a":{"b":1},"none":null,"big":9007199254740993}`
			_, _, err := mustCompile(t, body("do "+tt.script+" end")).Transform(record(payload))
			if err == nil {
				t.Fatal("no error")
			}
			told := failureText(err)
			caught := sources(t, mustCompile(t, body("local _, e = pcall(function() "+tt.script+" end) event = {e = e}")), payload)[0]
			for _, text := range []string{told, caught} {
				if !strings.Contains(text, ": "+tt.want) {
					t.Errorf("%s\nwant %s", text, tt.want)
				}
			}
		})
	}
}
