package lua

import (
	"errors"
	"net/netip"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"go.uber.org/goleak"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/wal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// record makes a record of an event.
func record(payload string) *wal.Record {
	return &wal.Record{
		Offset: 42, Epoch: 7, Stream: "default", Payload: []byte(payload), Count: 1,
		Remote: netip.MustParseAddr("10.1.2.3"), ReceivedAt: time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC),
	}
}

// mustCompile compiles a script in small limits.
func mustCompile(t testing.TB, source string) *Script {
	t.Helper()
	s, err := Compile("script.lua", []byte(source), Options{})
	if err != nil {
		t.Fatalf("compile: %v", err)
	}
	return s
}

// body wraps statements into a transform that returns the event.
func body(statements string) string {
	return "function transform(event, meta)\n" + statements + "\nreturn event\nend"
}

// sources runs one event and returns the documents as strings.
func sources(t testing.TB, s *Script, payload string) []string {
	t.Helper()
	docs, _, err := s.Transform(record(payload))
	if err != nil {
		t.Fatalf("transform %s: %v", payload, err)
	}
	var out []string
	for _, d := range docs {
		out = append(out, string(d.Source))
	}
	return out
}

// TestTransform_Fidelity: what is not touched keeps its bytes, what is changed stays in its place.
func TestTransform_Fidelity(t *testing.T) {
	const odd = `{ "z":1.0,"id":90071992547409931, "huge":1e400,"a":"\/\u00e9","a":2,"e":{},"l":[ ],"n":null,"neg":-0 }`
	for _, tc := range []struct{ name, script, in, want string }{
		{"nothing touched", ``, odd, odd},
		{"everything read", `local function walk(v) if type(v) == "table" then for _, x in pairs(v) do walk(x) end end end walk(event)`, odd, odd},
		{"a field changed in its place", `event.id = 5`, odd, `{"z":1.0,"id":5,"huge":1e400,"a":"\/\u00e9","a":2,"e":{},"l":[ ],"n":null,"neg":-0}`},
		{"a field deleted", `event.huge = nil`, odd, `{"z":1.0,"id":90071992547409931,"a":"\/\u00e9","a":2,"e":{},"l":[ ],"n":null,"neg":-0}`},
		{"the first field deleted", `event.z = nil`, `{"z":1,"a":2}`, `{"a":2}`},
		{"all fields deleted", `event.z = nil event.a = nil`, `{"z":1,"a":2}`, `{}`},
		{"a read field deleted", `local x = event.z event.z = nil assert(event.z == nil)`, `{"z":1,"a":2}`, `{"a":2}`},
		{"a deleted field set again", `event.z = nil event.z = "x"`, `{"z":1,"a":2}`, `{"z":"x","a":2}`},
		{"a duplicate set", `event.a = 1`, `{"a":"x","b":1,"a":2}`, `{"b":1,"a":1}`},
		{"a duplicate deleted", `event.a = nil`, `{"a":"x","b":1,"a":2}`, `{"b":1}`},
		{"the last duplicate is read", `event.b = event.a`, `{"a":1,"a":2}`, `{"a":1,"a":2,"b":2}`},
		{"an escaped name is its meaning", `event["@t"] = event["@t"] .. "!"`, `{"\u0040t":"x"}`, `{"\u0040t":"x!"}`},
		{"new fields in the order of assignment", `event.y = 1 event.x = 2`, `{"a":1}`, `{"a":1,"y":1,"x":2}`},
		{"odd numbers survive being moved", `event.b, event.c, event.d, event.e, event.f = event.z, event.id, event.huge, event.neg, event.zero`,
			`{"z":1.0,"id":90071992547409931,"huge":1e400,"neg":-0,"zero":0.0}`,
			`{"z":1.0,"id":90071992547409931,"huge":1e400,"neg":-0,"zero":0.0,"b":1.0,"c":90071992547409931,"d":1e400,"e":-0,"f":0.0}`},
		{"a literal is not taken for a spelling", `local x = event.z + 0 event.b = 1 event.c = 0 local y = event.o`, `{"z":1.0,"o":0.0}`, `{"z":1.0,"o":0.0,"b":1,"c":0}`},
		{"odd numbers survive in lists", `table.insert(event.l, event.z) table.insert(event.l, 1, 7)`, `{"z":1.0,"l":[2.0]}`, `{"z":1.0,"l":[7,2.0,1.0]}`},
		{"an equal number is not the same", `table.remove(event.l, 1) event.m[1] = 1`, `{"l":[0,1.0,1],"m":[1.0]}`, `{"l":[1.0,1],"m":[1]}`},
		{"objects move as they are", `event.b = event.a event.a = nil`, `{"a":{"x":1.0, "y":[ ]}}`, `{"b":{"x":1.0, "y":[ ]}}`},
		{"a change deep down", `event.a.b.c = true`, `{"p":1.0,"a":{"q":1.0,"b":{"c":1,"r":1.0}},"s":[1.0]}`, `{"p":1.0,"a":{"q":1.0,"b":{"c":true,"r":1.0}},"s":[1.0]}`},
		{"a change in a list", `event.l[2].x = 9`, `{"l":[{"x":1.0},{"x":2.0,"y":1.0},3.0]}`, `{"l":[{"x":1.0},{"x":9,"y":1.0},3.0]}`},
		{"list functions", `table.remove(event.l, 1) event.n = #event.l event.s = table.concat(event.l, "-")`, `{"l":["a","b","c"]}`, `{"l":["b","c"],"n":2,"s":"b-c"}`},
		{"sorting", `table.sort(event.l) table.sort(event.m, function(a, b) return a > b end)`, `{"l":[3,1,2],"m":[3,1,2]}`, `{"l":[1,2,3],"m":[3,2,1]}`},
		{"empty kinds", `event.a = {} event.b = json.array() event.c = json.object() event.d = event.x event.e = event.y`, `{"x":[],"y":{}}`, `{"x":[],"y":{},"a":{},"b":[],"c":{},"d":[],"e":{}}`},
		{"an emptied list stays a list", `table.remove(event.x)`, `{"x":[1]}`, `{"x":[]}`},
		{"null", `event.a = json.null assert(event.n == json.null) assert(event.l[2] == json.null) event.l[2] = nil event.l[2] = 5`, `{"n":null,"l":[1,null,3]}`, `{"n":null,"l":[1,5,3],"a":null}`},
		{"plain tables", `event.a = {x = 1, y = {1, 2, {z = "q"}}}`, `{}`, `{"a":{"x":1,"y":[1,2,{"z":"q"}]}}`},
		{"text that is not UTF-8 is replaced", `event.a = string.sub("é", 1, 1)`, `{}`, `{"a":"` + "\uFFFD" + `"}`},
		{"pairs goes in the order of the text", `local s = "" for k in pairs(event) do s = s .. k end event.s = s`, `{"z":1,"a":2,"m":3,"a":4}`, `{"z":1,"a":2,"m":3,"a":4,"s":"zma"}`},
		{"deleting while iterating", `for k, v in pairs(event) do if v == 1 then event[k] = nil end end`, `{"a":1,"b":2,"c":1,"d":1}`, `{"b":2}`},
		{"tables are equal to themselves", `assert(event.a == event.a) assert(event.a ~= event.b) event.b = event.a assert(event.b == event.a)`, `{"a":{},"b":{}}`, `{"a":{},"b":{}}`},
		{"multiple assignment", `event.a, event.b = event.b, event.a`, `{"a":1.0,"b":2}`, `{"a":2,"b":1.0}`},
		{"exact ids", `assert(tostring(event.a) == "9007199254740993") assert(event.a == event.b) assert(event.a < event.c) event.s = "id-" .. event.a event.f = event.a - event.a event.p = string.format("%d", event.a)`,
			`{"a":9007199254740993,"b":9007199254740993,"c":9007199254740994}`, `{"a":9007199254740993,"b":9007199254740993,"c":9007199254740994,"s":"id-9007199254740993","f":0,"p":"9007199254740993"}`},
		{"json functions", `event.e = json.encode(event.a) event.d = json.decode('{"x": [1.0, {}]}')`, `{"a":{"k":1.0}}`, `{"a":{"k":1.0},"e":"{\"k\":1.0}","d":{"x": [1.0, {}]}}`},
		{"a change seen between two encodings", `local a = json.encode(event) event.l[1].x = 2 event.l[1].x = 3 local b = json.encode(event.l) event.a, event.b = a, b`, `{"l":[{"x":1.0}]}`, `{"l":[{"x":3}],"a":"{\"l\":[{\"x\":1.0}]}","b":"[{\"x\":3}]"}`},
		{"rawget and rawset", `rawset(event, "b", rawget(event, "a")) assert(rawequal(event, event))`, `{"a":1}`, `{"a":1,"b":1}`},
		{"white space around the event", `event.b = 1`, "  {\n \"a\" : 1.0\n}\n", `{"a" : 1.0,"b":1}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := mustCompile(t, body(tc.script))
			for range 2 { // a state that was used is as good as a new one
				if got := sources(t, s, tc.in); len(got) != 1 || got[0] != tc.want {
					t.Fatalf("got  %s\nwant %s", got, tc.want)
				}
			}
		})
	}
}

func TestTransform_UntouchedIsNotCopied(t *testing.T) {
	s := mustCompile(t, body(`local x = event.a.b`))
	rec := record(`{"a":{"b":1}}`)
	docs, _, err := s.Transform(rec)
	if err != nil || len(docs) != 1 {
		t.Fatal(docs, err)
	}
	if &docs[0].Source[0] != &rec.Payload[0] || len(docs[0].Source) != len(rec.Payload) {
		t.Error("an untouched event was copied")
	}
}

// TestTransform_LetsGo: what a worker has handed out is nobody's but the caller's, however large.
func TestTransform_LetsGo(t *testing.T) {
	for name, script := range map[string]string{"untouched": ``, "changed": `event.x = 1`, "split": `emit(event)`} {
		s := mustCompile(t, body(script))
		var before, after runtime.MemStats
		sources(t, s, `{"a":1}`)
		runtime.GC()
		runtime.ReadMemStats(&before)
		for range 20 {
			sources(t, s, `{"a":"`+strings.Repeat("x", 1<<20)+`"}`)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		if kept := int64(after.HeapAlloc) - int64(before.HeapAlloc); kept > 4<<20 {
			t.Errorf("%s: %d KiB are kept", name, kept>>10)
		}
		runtime.KeepAlive(s)
	}
}

// TestTransform_AfterALargeEvent: the numbers of one event leave no room behind that the worker keeps.
func TestTransform_AfterALargeEvent(t *testing.T) {
	for name, list := range map[string]string{
		"spelled numbers": `[` + strings.Repeat("1.0,", 50_000) + `1]`,
		"exact numbers":   `[` + numbersFrom(9007199254740993, 40_000) + `]`,
	} {
		s := mustCompile(t, `function transform(event) return { n = #event.list, p = event.p } end`)
		const small = `{"p":1.0,"list":[9007199254740993]}`
		var before, after runtime.MemStats
		sources(t, s, small)
		runtime.GC()
		runtime.ReadMemStats(&before)
		sources(t, s, `{"list":`+list+`}`)
		sources(t, s, small)
		runtime.GC()
		runtime.ReadMemStats(&after)
		if kept := int64(after.HeapAlloc) - int64(before.HeapAlloc); kept > 1<<20 {
			t.Errorf("%s: %d KiB are kept", name, kept>>10)
		}
		runtime.KeepAlive(s)
	}
}

func numbersFrom(first, n int) string {
	var list []byte
	for i := range n {
		list = append(strconv.AppendInt(list, int64(first+i), 10), ',')
	}
	return string(list[:len(list)-1])
}

func TestTransform_Results(t *testing.T) {
	for _, tc := range []struct {
		name, script string
		want         []string
	}{
		{"nothing", `return`, nil},
		{"nil", `return nil`, nil},
		{"several", `local b = {x = 1} return event, b`, []string{`{"a":1}`, `{"x":1}`}},
		{"nil among several is skipped", `return nil, event, nil`, []string{`{"a":1}`}},
		{"a call's results", `local function two() return event, {y = 2} end return two()`, []string{`{"a":1}`, `{"y":2}`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := mustCompile(t, "function transform(event, meta)\n"+tc.script+"\nend")
			got := sources(t, s, `{"a":1}`)
			if strings.Join(got, " ") != strings.Join(tc.want, " ") {
				t.Fatalf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestTransform_Failures(t *testing.T) {
	for _, tc := range []struct{ name, script, kind, message string }{
		{"a string", `return "x"`, typeResult, "script.lua:1: result of transform: a table or nil is wanted, not a string"},
		{"false", `return false`, typeResult, "not a boolean"},
		{"a list", `return {event}`, typeResult, "a document must be an object, not a list"},
		{"meta", `return meta`, typeResult, "meta table"},
		{"not a number", `event.a = {x = {0/0}} return event`, typeResult, "a.x[1]: nan is no JSON number"},
		{"infinity", `event.a = math.huge return event`, typeResult, "a: inf is no JSON number"},
		{"a function", `event.a = {b = print} return event`, typeResult, "a.b: a function cannot be JSON"},
		{"a cycle", `event.a = event return event`, typeResult, "contains itself"},
		{"a cycle of plain tables", `local t = {} t.t = t return t`, typeResult, "contains itself"},
		{"a mixed table", `return {a = {1, 2, x = 3}}`, typeResult, "a: has both list elements and fields"},
		{"a hole", `event.a = {1, nil, 3} return event`, typeResult, "a: is a list without an element 2"},
		{"a boolean key", `return {a = {[true] = 1}}`, typeResult, "a boolean cannot be the name of a field"},
		{"a number as field name", "\nevent[1] = 2", typeError, "script.lua:2: the name of a field must be a string, not a number (1)"},
		{"a text as list index", `event.l.x = 2`, typeError, "script.lua:1: a list takes whole numbers from 1 as keys, not x"},
		{"an index of nil", `return event.a.b.c`, typeError, "script.lua:1: attempt to index field 'b' (a nil value)"},
		{"an assignment to nil", "local x\nx.a = 1", typeError, "script.lua:2: attempt to index variable 'x' (a nil value)"},
		{"concatenation of nil", "local x\nlocal y = 'a' .. x", typeError, "script.lua:2: attempt to concatenate variable 'x' (a nil value)"},
		{"error with a text", `error("no way")`, typeError, "script.lua:1: no way"},
		{"error with a table", `error({message = "why"})`, typeError, "why"},
		{"meta that can only be read", `meta.offset = 1`, typeError, "script.lua:1: meta.offset can be read, not set"},
		{"meta that does not exist", `meta.indx = "x"`, typeError, "meta has no field indx"},
		{"meta of a wrong type", `meta.index = {}`, typeError, "meta.index must be a string that is not empty, not a table"},
		{"the library is read-only", `string.format = nil`, typeError, "the library string cannot be changed"},
		{"the library is read-only for rawset", `rawset(string, "format", 1)`, typeError, "cannot be changed"},
		{"the string metatable is protected", `setmetatable("", {})`, typeError, "table expected"},
		{"the event's metatable is protected", `setmetatable(event, {})`, typeError, "protected"},
		{"stack overflow", `local function f() return 1 + f() end f()`, typeError, "stack overflow"},
		{"an unfinished coroutine library call", `coroutine.yield(1)`, typeError, "outside a coroutine"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := mustCompile(t, "function transform(event, meta) "+tc.script+"\nend")
			for range 2 {
				_, _, err := s.Transform(record(`{"a":{},"l":[1]}`))
				var te *flush.TransformError
				if !errors.As(err, &te) {
					t.Fatalf("got %v", err)
				}
				if te.Type != tc.kind || !strings.Contains(te.Message, tc.message) || te.Script != s.Version() {
					t.Fatalf("got %+v, want %s: %s", te, tc.kind, tc.message)
				}
			}
		})
	}
}

func TestTransform_Sandbox(t *testing.T) {
	s := mustCompile(t, body(`
		for _, name in ipairs({"io", "os", "debug", "package", "require", "load", "loadstring", "loadfile", "dofile",
			"collectgarbage", "newproxy", "module", "setfenv", "getfenv", "channel", "_printregs"}) do
			assert(_G[name] == nil, name)
		end
		assert(string.dump == nil)
		assert(getmetatable("") == false)
		assert(getmetatable(event) == false)
		assert(getmetatable(_G) == false)
		assert(("x"):upper() == "X")`))
	sources(t, s, `{}`)
}

// TestTransform_Globals: what one event assigns, the next does not see.
func TestTransform_Globals(t *testing.T) {
	s := mustCompile(t, `
		limit = 5
		function helper(x) return x + limit end
		function transform(event, meta)
			assert(leak == nil, "leaked")
			assert(limit == 5, "limit")
			leak = event
			_G.leak2 = 1
			rawset(_G, "leak3", 1)
			limit = 6
			event.x = helper(1)
			function helper() return 0 end
			assert(helper() == 0 and leak2 == 1 and leak3 == 1)
			return event
		end`)
	for range 3 {
		if got := sources(t, s, `{}`); got[0] != `{"x":7}` {
			t.Fatal(got)
		}
	}
}

func TestTransform_EarlierEvent(t *testing.T) {
	s := mustCompile(t, `
		local kept
		function transform(event, meta)
			if kept then event.x = kept.a end
			kept = event
			return event
		end`)
	sources(t, s, `{"a":1}`)
	_, _, err := s.Transform(record(`{"a":2}`))
	if err == nil || !strings.Contains(err.Error(), "belongs to an earlier event") {
		t.Fatal(err)
	}
}

func TestTransform_Meta(t *testing.T) {
	s := mustCompile(t, `
		function transform(event, meta)
			local seen = {}
			for k, v in pairs(meta) do table.insert(seen, k .. "=" .. v) end
			event.seen = table.concat(seen, " ")
			meta.index = "logs-" .. event.s
			meta.id, meta.pipeline = event.id, "p"
			meta.routing = "gone"
			meta.routing = nil
			assert(meta.index == "logs-x" and meta.routing == nil)
			return event, {b = 1}
		end`)
	docs, _, err := s.Transform(record(`{"s":"x","id":9007199254740993}`))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"s":"x","id":9007199254740993,"seen":"stream=default received_at=2026-01-02T03:04:05.000000678Z offset=42 remote=10.1.2.3"}`
	if string(docs[0].Source) != want {
		t.Errorf("got %s", docs[0].Source)
	}
	if d := docs[0]; d.Index != "logs-x" || d.ID != "9007199254740993" || d.Pipeline != "p" || d.Routing != "" {
		t.Errorf("got %+v", d)
	}
	if d := docs[1]; d.Index != "logs-x" || d.ID != "9007199254740993-1" {
		t.Errorf("got %+v", d)
	}
	docs, _, err = mustCompile(t, body("")).Transform(record(`{}`))
	if err != nil || docs[0].Index != "" || docs[0].ID != "" {
		t.Errorf("got %+v, %v", docs, err)
	}
}

func TestCompile_Refusals(t *testing.T) {
	for _, tc := range []struct{ name, source, want string }{
		{"a syntax error", "function transform(event)\n  x = = 1\nend", "script.lua:2: "},
		{"an unfinished file", "function transform(event)\n", "script.lua: at the end: "},
		{"a misplaced break", "function transform(event)\n break\nend", "script.lua:2: no loop to break"},
		{"an error while it is loaded", "local x = nil\nx.y = 1\nfunction transform() end", "script.lua:2: attempt to index variable 'x' (a nil value)"},
		{"no transform", "function Transform(event) end", ErrNoTransform.Error()},
		{"the hooks of the rewriter are out of reach", "local n = select('#', ...) assert(n == 0 and (...) == nil and #{...} == 0)", ErrNoTransform.Error()},
		{"an endless load", "while true do end", "longer than its limit"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Compile("dir/script.lua", []byte(tc.source), Options{Timeout: time.Millisecond})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got %v, want %q", err, tc.want)
			}
		})
	}
}

// TestCompile_Nesting: a script cannot overflow the stack of the compiler, which nothing could catch.
// TestCompile_WhatStandsInFront: editors and shells put something before a script; its lines keep their numbers.
func TestCompile_WhatStandsInFront(t *testing.T) {
	for _, front := range []string{"\ufeff", "#!/usr/bin/env weir", "\ufeff# a shell's line", "#"} {
		s, err := Compile("t.lua", []byte(front+"\nfunction transform(event)\n  error('no')\nend"), Options{})
		if err != nil {
			t.Errorf("%q: %v", front, err)
			continue
		}
		if _, _, err := s.Transform(record("{}")); err == nil || !strings.Contains(err.Error(), "t.lua:3: no") {
			t.Errorf("%q: %v", front, err)
		}
		if found, err := Lint("t.lua", []byte(front+"\nfunction transform(event) return evnt end")); err != nil || len(found) != 1 || found[0].Line != 2 {
			t.Errorf("%q: lint finds %v, %v", front, found, err)
		}
	}
}

func TestCompile_Nesting(t *testing.T) {
	const n = 20_000
	for _, tc := range []struct{ name, source string }{
		{"tables", "x = " + strings.Repeat("{", n) + strings.Repeat("}", n)},
		{"calls", "x = " + strings.Repeat("f(", n) + strings.Repeat(")", n)},
		{"blocks", "\n" + strings.Repeat("do ", n) + strings.Repeat(" end", n)},
		{"functions", "x = " + strings.Repeat("function() return ", n) + strings.Repeat(" end", n)},
		{"fields", "x = a" + strings.Repeat(".a", n)},
		{"operators", "x = a" + strings.Repeat(" and a", n)},
		{"concatenations", "x = a" + strings.Repeat("..a", 5*n)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := compile("script.lua", []byte(tc.source)); err == nil || !strings.Contains(err.Error(), ": the script has too many syntax levels") {
				t.Fatal(err)
			}
		})
	}
	long := "x = 'a'" + strings.Repeat(" .. 'a'", 5000) + " .. #(1 .. 2) .. 'z' assert(#x == 5003)\nfunction transform() end"
	mustCompile(t, long)
}

// TestMessages_AreText: what is cut is cut between characters, and what is no text does not reach a letter.
func TestMessages_AreText(t *testing.T) {
	for name, script := range map[string]string{
		"a long text":         `error("x" .. string.rep("é", 1000))`,
		"a long name":         `event[("x" .. string.rep("é", 50))].y = 1`,
		"bytes that are none": `error("\255\254")`,
	} {
		_, _, err := mustCompile(t, body(script)).Transform(record(`{}`))
		if err == nil || !utf8.ValidString(err.Error()) {
			t.Errorf("%s: %q", name, err)
		}
	}
}
