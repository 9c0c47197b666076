package lua

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// pass is a transform for scripts that are about something else.
const pass = "function transform(event) return event end "

// checkLint compares the findings of a script with want: "line rule" and, behind a colon, a piece of the message.
func checkLint(t *testing.T, script string, want ...string) {
	t.Helper()
	found, err := Lint("x.lua", []byte(script))
	if err != nil {
		t.Fatalf("%v in\n%s", err, script)
	}
	for i, f := range found {
		place := fmt.Sprintf("%d %s", f.Line, f.Rule)
		if i >= len(want) {
			t.Errorf("also found: %s", f)
			continue
		}
		wantPlace, part, _ := strings.Cut(want[i], ": ")
		if place != wantPlace || !strings.Contains(f.Message, part) {
			t.Errorf("found: %s\nwant:  %s", f, want[i])
		}
	}
	for _, w := range want[min(len(found), len(want)):] {
		t.Errorf("not found: %s", w)
	}
}

type lintRow struct {
	name, script string
	want         []string
}

func checkLintRows(t *testing.T, rows []lintRow) {
	t.Helper()
	for _, tt := range rows {
		t.Run(tt.name, func(t *testing.T) { checkLint(t, tt.script, tt.want...) })
	}
}

func TestLint_Global(t *testing.T) {
	checkLintRows(t, []lintRow{
		{"a function assigns one", "function transform(event)\n count = 1\n event.n = count\n return event end",
			[]string{"2 global: the global count is gone when the event ends; write local count, or keep it as state.count"}},
		{"it was meant for a local", "function transform(event)\n local service = 'x'\n servce = event.s\n event.s = service return event end",
			[]string{"3 global: did you mean the local service?"}},
		{"one that was defined at load", "count = 0\nfunction transform(event)\n count = count + 1\n event.n = count\n return event end",
			[]string{"3 global: has its old value again"}},
		{"a function inside a function", "function transform(event)\n function helper() return 1 end\n event.n = helper()\n return event end",
			[]string{"2 global: the global helper"}},
		{"one of weir's own", "function transform(event)\n type = event.type\n event.t = type return event end",
			[]string{"2 global: replaces weir's own type"}},
		{"the whole state", "state = {}\nfunction transform(event)\n state = {}\n return event end",
			[]string{"3 global: state.name = value"}},
		{"a member of a library", pass + "\nfunction string.trim(s) return s end", []string{"2 global: the library string cannot be changed"}},
		{"definitions at load are none, in blocks neither", "limit = 3\nif limit > 2 then big = true end\nfunction transform(event) event.l, event.b = limit, big return event end", nil},
		{"fields of the state are none", "state = { n = 0 }\nfunction transform(event) state.n = state.n + 1 return event end", nil},
		{"tricks with _G are left alone", "function transform(event) _G.x = 1 rawset(_G, 'y', 2) event.x = x + y return event end", nil},
		{"a test may replace what the script defines", "function clock() return 1 end\nfunction transform(event) event.t = clock() return event end\n" +
			"function test_it() clock = function() return 2 end assert(transform({}).t == 2) end", nil},
		{"but nothing else", pass + "\nfunction test_it() e = transform({}) assert(e) end", []string{"2 global: the global e "}},
		{"a value that nobody wants", "function transform(event) _, event.x = pcall(error) return event end", nil},
		{"an upvalue is none", "local last\nfunction transform(event) last, event.l = event.n, last return event end", nil},
		{"a name with several targets", "function transform(event)\n local a\n a, b = 1, 2\n event.x = a + b return event end", []string{"3 global: the global b"}},
	})
}

func TestLint_Unknown(t *testing.T) {
	checkLintRows(t, []lintRow{
		{"the clock", "function transform(event)\n event.t = os.time()\n return event end", []string{"2 unknown: there is no os.time here: a script has no clock; use meta.received_at"}},
		{"another part of os", "function transform(event)\n event.t = os.remove('x')\n return event end", []string{"2 unknown: there is no os here: "}},
		{"other code", "local x = require('x')\n" + pass + "assert(x)", []string{"1 unknown: there is no require here"}},
		{"a misspelt parameter", "function transform(event)\n evnt.a = 1\n return event end", []string{"2 unknown: did you mean the parameter event?"}},
		{"a misspelt function", "function transform(event)\n event.n = tonumbr(event.n)\n return event end", []string{"2 unknown: did you mean tonumber?"}},
		{"a misspelt function of the script", "function severity(e) return e.level end\nfunction transform(event)\n event.n = severty(event)\n return event end", []string{"3 unknown: did you mean severity?"}},
		{"a member that no library has", "function transform(event)\n event.s = string.trim(event.s)\n return event end", []string{"2 unknown: string has no trim: use s:match"}},
		{"a member of another library", "function transform(event)\n string.insert(event.l, 1)\n return event end", []string{"2 unknown: did you mean table.insert?"}},
		{"a misspelt member", "function transform(event)\n event.s = string.fromat('%d', 1)\n return event end", []string{"2 unknown: did you mean string.format?"}},
		{"a member on its own line", "function transform(event)\n event.s = json\n  .parse(event.s)\n return event end", []string{"3 unknown: json has no parse: use json.decode"}},
		{"a member through a local", "local str = string\nfunction transform(event)\n event.s = str.trim(event.s)\n return event end", []string{"3 unknown: string has no trim"}},
		{"a local that is something else later", "local str = string\nstr = { trim = function(s) return s end }\nfunction transform(event)\n event.s = str.trim(event.s)\n return event end", nil},
		{"a method that no value has", "function transform(event)\n event.s = event.s:split(',')\n return event end", []string{"2 unknown: nothing here has a method split: use s:gmatch"}},
		{"a method of the script", "local M = {}\nfunction M:split() return self end\nfunction transform(event) event.s = M:split() return event end", nil},
		{"a method in a constructor", "local M = { split = function(self) return self end }\nfunction transform(event) event.s = M:split() return event end", nil},
		{"a method that a metatable may have", "local M = setmetatable({}, { __index = function() return print end })\nfunction transform(event) M:split() return event end", nil},
		{"a method of a text", "function transform(event) return (event.a .. 'x'):trimmed() end", []string{"1 unknown: nothing here has a method trimmed"}},
		{"a library with a colon", "function transform(event)\n return json:decode(event.x) end", []string{"2 unknown: write json.decode"}},
		{"a local that comes later", "function transform(event)\n return helper(event)\nend\nlocal function helper(e) return e end",
			[]string{"2 unknown: the local function helper is declared only in line 4: move that in front"}},
		{"a local whose block has ended", "function transform(event)\n do local x = 1 event.x = x end\n event.y = x\n return event end", []string{"3 unknown: the local x of line 2 is not visible here"}},
		{"the event outside of transform", "local function level()\n return event.level\nend\nfunction transform(event) event.l = level() return event end",
			[]string{"2 unknown: the parameter event of line 4 is not visible here: pass it on"}},
		{"the condition of repeat sees the body", "function transform(event) repeat local done = event.x until done return event end", nil},
		{"what follows repeat does not", "function transform(event)\n repeat local fin = event.x until fin\n event.fin = fin return event end", []string{"3 unknown: the local fin of line 2"}},
		{"the bounds of a loop do not see its variable", "function transform(event)\n for idx = 1, idx do event.n = idx end\n return event end", []string{"2 unknown: the local idx"}},
		{"a value does not see its name", "function transform(event)\n local first = first + 1\n event.n = first return event end", []string{"2 unknown: the local first"}},
		{"a function sees its name", "local function depth(t) return type(t) == 'table' and 1 + depth(t.x) or 0 end\nfunction transform(event) event.d = depth(event) return event end", nil},
		{"also in the other spelling", "local depth = function(t) return type(t) == 'table' and 1 + depth(t.x) or 0 end\nfunction transform(event) event.d = depth(event) return event end", nil},
		{"a state that is not declared", "function transform(event)\n state.n = 1\n return event end", []string{"2 unknown: declare it outside of any function: state = { }"}},
		{"names that are only asked for", "local unpack = table.unpack or unpack\nif jit then jit.off() end\nif type(bit32) == 'table' then bit32.band(1) end\n" +
			"local old = setfenv ~= nil\n" + pass + "assert(unpack, old)", nil},
		{"a misspelt name that is asked for", "function transform(event)\n if evnt then return nil end\n return event end", []string{"2 unknown: did you mean the parameter event?"}},
		{"what _G may define", "for _, n in ipairs({ 'a' }) do _G[n] = 1 end\nfunction transform(event) event.a = a return event end", nil},
		{"self in a method", "local M = {}\nfunction M:get() return self.x end\nfunction transform(event) event.x = M:get() return event end", nil},
		{"varargs", "local function all(...) return select('#', ...), { ... } end\nfunction transform(event) event.n = all(event, 1) return event end", nil},
		{"arg", "local function all(...)\n return #arg\nend\nfunction transform(event) event.n = all(event, 1) return event end", []string{"2 unknown: there is no arg here: use select"}},
		{"goto and labels are no names", "function transform(event) for i = 1, 3 do if i == 2 then goto continue end event.n = i ::continue:: end return event end", nil},
	})
}

func TestLint_Unreachable(t *testing.T) {
	in := func(code string) string { return "function transform(event)\n" + code + "\nreturn event end" }
	checkLintRows(t, []lintRow{
		{"behind a return", in("do return event end\nevent.x = 1\nevent.y = 1"), []string{"3 unreachable: nothing comes past line 2"}},
		{"behind both branches", in("if event.x then return event else error('no') end"), []string{"3 unreachable: nothing comes past line 2"}},
		{"one branch goes on", in("if event.x then return event end if event.y then error('no') elseif event.z then return nil end"), nil},
		{"behind error", in("error('no')"), []string{"3 unreachable"}},
		{"behind assert of what is false", in("assert(false, 'no')"), []string{"3 unreachable"}},
		{"an assert that may hold", in("assert(event.x, 'no')"), nil},
		{"an error of the script's own", in("local function error() end error('no')"), nil},
		{"a global error of the script's own", "function error() end\n" + in("error('no')"), nil},
		{"behind an endless loop", in("while true do event.x = 1 end"), []string{"3 unreachable"}},
		{"a loop with a break", in("while true do if event.x then break end end"), nil},
		{"a break of an inner loop", in("while true do for i = 1, 2 do if event.x then break end end end"), []string{"3 unreachable"}},
		{"a loop that is left by goto", in("while true do if event.x then goto out end end ::out::"), nil},
		{"behind goto", in("goto out event.x = 1\n::out::"), []string{"2 unreachable"}},
		{"a label in front", in("do goto out end\n::back:: event.x = 1\n::out::\nif event.y then goto back end"), nil},
		{"repeat that returns", in("repeat do return nil end until event.x"), []string{"3 unreachable"}},
		{"repeat as a block to break out of", in("repeat if event.x then break end event.y = 1 until true"), nil},
		{"a function that returns does not end this one", in("local function f() do return 1 end end event.x = f()"), nil},
		{"never", in("if false then event.x = 1 end"), []string{"2 unreachable: always false"}},
		{"always", in("if event.level == 'a' or 'b' then event.x = 1 end"), []string{`2 unreachable: always true: "or" joins conditions, not values; write x == "a" or x == "b"`}},
		{"two values at once", in("if event.a.b == 'x' and event.a.b == 'y' then event.x = 1 end"), []string{`2 unreachable: always false: nothing is two values at once; write "or" for "and"`}},
		{"other than one or the other", in("if event.level ~= 100 or event.level ~= 200 or event.z then event.x = 1 end"), []string{"2 unreachable: always true"}},
		{"one of two values, or of two fields", in("if event.a == 'x' or event.a == 'y' or event.a ~= 'x' or event.b ~= 'y' then event.x = 1 end"), nil},
		{"the same value twice, in two spellings", in("if event.a ~= 1 or event.a ~= 1.0 then event.x = 1 end"), nil},
		{"a call gives another value each time", in("if math.random(2) == 1 and math.random(2) == 2 then event.x = 1 end"), nil},
		{"in a later branch", in("if event.a then event.x = 1\nelseif nil then event.x = 2 end"), []string{"3 unreachable: always false"}},
		{"a comparison with what not gives", in("if not event.a == 'x' then event.x = 1 end"), []string{`2 unreachable: always false: "not" binds closer than ==`}},
		{"zero is true", in("if 0 then event.x = 1 end"), []string{"2 unreachable: in Lua only false and nil are not"}},
		{"a default is no condition", in("local x = event.x or {} if event.y or x.z then event.x = x end"), nil},
		{"a condition that is decided by its end", in("while event.x and false do event.x = 1 end"), []string{"2 unreachable: always false"}},
	})
}

func TestLint_Unused(t *testing.T) {
	in := func(code string) string { return "function transform(event)\n" + code + "\nreturn event end" }
	checkLintRows(t, []lintRow{
		{"a local", in("local x = event.x"), []string{"2 unused: the local x is never read"}},
		{"only assigned", in("local x\nx = event.x"), []string{"2 unused: the local x"}},
		{"a function", in("local function f() end"), []string{"2 unused: the local function f is never called"}},
		{"a function that only calls itself", in("local function f() return f() end"), []string{"2 unused: f is never called"}},
		{"through a function inside", in("local function f() return function() return f end end"), []string{"2 unused: f is never called"}},
		{"at the level of the script", "local x = 1\n" + pass, []string{"1 unused: the local x"}},
		{"all that a call gives", in("local a, b = pcall(error)"), []string{"2 unused: the local a", "2 unused: the local b"}},
		{"some of what a call gives", in("local ok, value, why = pcall(error) event.v = value"), nil},
		{"one of two values", in("local a, b = 1, 2 event.a = a"), []string{"2 unused: the local b"}},
		{"with an underscore", in("local _, b = 1, 2 local _c = 3 event.b = b"), nil},
		{"read in a function inside", in("local x = 1 local function f() return x end event.f = f()"), nil},
		{"written as a table", in("local x = {} x.y = 1 event.x = x"), nil},
		{"parameters and variables of loops", "function transform(event, meta) for i, v in pairs(event) do break end for i = 1, 2 do break end return event end", nil},
		{"the hidden one", in("local x = 1 do local x = 2 event.x = x end"), []string{"2 unused: the local x"}},
		{"read in the condition of repeat", in("repeat local x = event.x until x"), nil},
		{"mutual recursion", "local a\nlocal function b(e) return a(e) end\nfunction a(e) return e or b(e) end\nfunction transform(event) return a(event) end", nil},
	})
}

func TestLint_Shadow(t *testing.T) {
	in := func(code string) string { return "function transform(event, meta)\n" + code + "\nreturn event end" }
	checkLintRows(t, []lintRow{
		{"an assignment that became a declaration", in("local s = 'unknown'\nif event.s then\nlocal s = event.s .. '!'\nmeta.id = s end event.s = s"),
			[]string{`4 shadow: this hides the local s of line 2, which is read again later; leave out "local"`}},
		{"a name that is used again below", in("local s = event.a event.b = s local s = 'x' event.c = s"), nil},
		{"one that nobody asks again", in("local s = event.a event.b = s do local s = 'x' event.c = s end"), nil},
		{"a function", in("local function f() return 1 end\ndo local function f() return 2 end event.b = f() end event.a = f()"), []string{"3 shadow: this hides the local function f of line 2"}},
		{"a loop in a block with a local of its variable's name", in("local i = 1 for i = i, 2 do event.n = i end for i = 3, 4 do event.n = i end event.i = i"), nil},
		{"a parameter that was read", in("local old = event.x local event = { x = old } meta.id = event.x"), nil},
		{"a parameter", in("local event = json.object()"), []string{"2 shadow: this hides the parameter event of line 1 before anything has read it"}},
		{"a variable of a loop", in("for i = 1, 2 do for i = 1, 3 do event.n = i end end"), []string{"2 shadow: this loop hides the variable i of the loop of line 2"}},
		{"one that is made of the hidden one", in("local event = json.decode(json.encode(event))"), nil},
		{"nested loops over the same names", in("for k, v in pairs(event) do for k, v in pairs(v) do event[k] = v end end"), nil},
		{"pairs of value and reason", in("local a, why = pcall(error) local b, why = pcall(error) event.x = a or b or why"), nil},
		{"in another function", "local x = 1\nfunction transform(event) local x = event.x + 1 event.x = x return event end event = x", nil},
		{"a library that is used", in("local string = event.string\nevent.s = string") + "\nfunction low(s) return string.lower(s) end", []string{"2 shadow: the local string hides the library string"}},
		{"one that is not used", in("local string = event.string\nevent.s = string"), nil},
		{"the library itself", "local string, json = string, json\nfunction transform(event) event.s = string.lower(json.encode(event)) return event end", nil},
		{"a call that misses weir's function", in("local type = event.type\nif type(event.x) == 'string' then event.x = type end"), []string{"3 shadow: the local type of line 2 hides weir's type"}},
		{"a call that misses a library", in("local json = event.json or ''\nevent.x = json.decode(json)"), []string{"3 shadow: hides weir's json.decode"}},
		{"a call of what a library gave", in("local json = json.decode(event.x)\nevent.x = json.decode(json)"), []string{"3 shadow: hides weir's json.decode"}},
		{"a table of the script", "local json = { decode = function(s) return s end }\nfunction transform(event) event.x = json.decode(event.x) return event end", nil},
		{"a function of the script", "local function tostring(x) return x end\nfunction transform(event) event.x = tostring(event.x) return event end", nil},
		{"a local state", "local state = { n = 0 }\nfunction transform(event) state.n = state.n + 1 return event end", []string{"1 shadow: not the table that weir keeps"}},
	})
}

func TestLint_Transform(t *testing.T) {
	checkLintRows(t, []lintRow{
		{"returns nothing", "function transform(event)\n event.x = 1\nend", []string{"1 result: every event is dropped"}},
		{"returns nil only", "function transform(event)\n if event.x then return nil end\n return\nend", []string{"1 result: every event is dropped"}},
		{"a return of a function inside is none", "\nfunction transform(event)\n local f = function() return event end\n f()\nend", []string{"2 result: every event is dropped"}},
		{"emits instead", "function transform(event)\n emit(event)\nend", nil},
		{"emits somewhere else", "local function out(e) emit(e) end\nfunction transform(event)\n out(event)\nend", nil},
		{"emits by another name", "local out = emit\nfunction transform(event)\n out(event)\nend", nil},
		{"always fails", "function transform(event)\n error('not yet')\nend", nil},
		{"returns a number first", "function transform(event)\n return 1, event\nend", []string{"2 result: returns a number, which is no document"}},
		{"returns a boolean", "function transform(event)\n return event.x == 1\nend", []string{"2 result: returns a boolean"}},
		{"returns its settings", "function transform(event, meta)\n return event, meta\nend", []string{"2 result: returns meta, which is no document"}},
		{"returns a call or a choice", "function transform(event)\n if event.x then return unpack(event.x) end\n return event.y and event or nil\nend", nil},
		{"a third parameter", "function transform(event, meta, tag)\n return event\nend", []string{"1 signature: its parameter tag is always nil"}},
		{"varargs", "function transform(event, ...)\n return event\nend", nil},
		{"an assigned function", "transform = function(event)\n event.x = 1\nend", []string{"1 result: every event is dropped"}},
		{"an assigned local function", "local function t(event)\n event.x = 1\nend\ntransform = t", []string{"1 result: every event is dropped"}},
		{"an assigned value", "local function make() return function(e) return e end end\ntransform = make()", nil},
		{"none at all", "local x = 1\nassert(x)", []string{"1 signature: defines no function transform"}},
		{"a local one", "local function transform(event)\n return event\nend", []string{`1 signature: leave out "local"`}},
		{"through _G", "_G.transform = function(event) return event end", nil},
		{"a field that can be read only", "function transform(event, meta)\n meta.stream = 'x'\n return event\nend", []string{"2 signature: meta.stream can be read, not set"}},
		{"a field that does not exist", "function transform(event, m)\n m.target = 'x'\n return event\nend", []string{"2 signature: m has no field target; what can be set is index, id, pipeline, routing"}},
		{"a misspelt field", "function transform(event, meta)\n event.at = meta.receivedAt\n return event\nend", []string{"2 signature: did you mean received_at?"}},
		{"in a function inside", "function transform(event, meta)\n local function f() meta.idx = 1 end\n f()\n return event\nend", []string{"2 signature: meta has no field idx"}},
		{"meta of a test", pass + "\nfunction test_it() local meta = {} meta.x = 1 assert(transform({}, meta)) end", nil},
		{"a setting of emit", "function transform(event)\n emit(event, { indx = 'x', id = 'y' })\nend", []string{"2 signature: emit has no setting indx; did you mean index?"}},
	})
}

func TestLint_Duplicate(t *testing.T) {
	checkLintRows(t, []lintRow{
		{"a name", "local t = { a = 1,\n b = 2,\n [\"a\"] = 3 }\n" + pass + "assert(t)", []string{`3 duplicate: the key "a" stands in line 1 already`}},
		{"a number", "local t = { [1] = 1, [0x1] = 2 }\n" + pass + "assert(t)", []string{"1 duplicate: the key 1 "}},
		{"an element", "local t = { 'x', 'y', [2] = 'z' }\n" + pass + "assert(t)", []string{"1 duplicate: the key 2 "}},
		{"a number and its text", "local t = { [1] = 1, ['1'] = 2, [true] = 3, ['true'] = 4 }\n" + pass + "assert(t)", nil},
		{"in a table inside", "local t = { a = { a = 1 }, b = { a = 2 } }\n" + pass + "assert(t)", nil},
		{"what is computed", "local k = 'a'\nlocal t = { [k] = 1, [k] = 2 }\n" + pass + "assert(t)", nil},
	})
}

func TestLint_Ignore(t *testing.T) {
	checkLintRows(t, []lintRow{
		{"behind the line", pass + "x1 = y1 -- lint: ignore unknown", nil},
		{"above it", "-- lint: ignore unknown\n\n-- because\nx1 = y1\n" + pass, nil},
		{"not below it", "x1 = y1\n-- lint: ignore unknown\n" + pass, []string{"1 unknown"}},
		{"another rule", "x1 = y1 -- lint: ignore shadow, unused\n" + pass, []string{"1 unknown"}},
		{"several, with a reason", "local z = y1 --lint: ignore unused, unknown (on purpose)\n" + pass, nil},
		{"in a text", "x1 = y1 .. '-- lint: ignore unknown' .. [==[\n-- lint: ignore unknown]==]\n" + pass, []string{"1 unknown"}},
		{"behind texts of several lines", "a1 = [[\n]] b1 = '\\\n\\'' --[=[ \n ]=] c1 = y1 -- lint: ignore unknown\n" + pass, nil},
		{"line ends of all systems", "a1 = 1\r\nb1 = 2\n\rc1 = 3\rd1 = y1 -- lint: ignore unknown\r\ne1 = y1\r\n" + pass, []string{"5 unknown"}},
	})
}

// TestLint_NoFalseAlarms: nothing is found in scripts that we give away.
func TestLint_NoFalseAlarms(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.lua")
	if err != nil || len(paths) < 5 {
		t.Fatal(paths, err)
	}
	more, err := filepath.Glob("../bench/testdata/*.lua")
	if err != nil || len(more) == 0 {
		t.Fatal(more, err)
	}
	for _, path := range append(paths, more...) {
		found, err := LintFile(path)
		if err != nil {
			t.Error(err)
		}
		for _, f := range found {
			t.Error(f)
		}
	}
}

var (
	luaFence     = regexp.MustCompile("(?s)```lua\n(.*?)```")
	definesTests = regexp.MustCompile(`(?m)^(function )?test_`)
)

// documented returns the manual, and its part about lint.
func documented(t *testing.T) (rest, lint string) {
	t.Helper()
	text, err := os.ReadFile("../docs/lua.md")
	if err != nil {
		t.Fatal(err)
	}
	before, lint, ok := strings.Cut(string(text), "\n## Lint\n")
	lint, after, ok2 := strings.Cut(lint, "\n## ")
	if !ok || !ok2 {
		t.Fatal("docs/lua.md has no part about lint")
	}
	return before + "\n## " + after, lint
}

func TestLint_NoFalseAlarms_Manual(t *testing.T) {
	rest, _ := documented(t)
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := luaFence.FindAllStringSubmatch(rest+string(readme), -1)
	if len(blocks) < 10 {
		t.Fatalf("%d blocks", len(blocks))
	}
	for _, b := range blocks {
		script := b[1]
		if !strings.Contains(script, "function transform") {
			if definesTests.MatchString(script) {
				script += pass
			} else {
				script = "function transform(event, meta) local function block()\n" + script + "\nend block() meta.id = 'x' return event end"
			}
		}
		checkLint(t, script)
	}
}

// TestLint_Manual: the example of the manual has the findings that stand there, and knows every rule.
func TestLint_Manual(t *testing.T) {
	_, text := documented(t)
	fences := regexp.MustCompile("(?s)```[a-z ]*\n(.*?)```").FindAllStringSubmatch(text, -1)
	if len(fences) < 2 {
		t.Fatalf("%d fences", len(fences))
	}
	found, err := Lint("bad.lua", []byte(fences[0][1]))
	if err != nil {
		t.Fatal(err)
	}
	var lines strings.Builder
	for _, f := range found {
		fmt.Fprintln(&lines, f)
	}
	if lines.String() != fences[1][1] {
		t.Errorf("found\n%s\nthe manual says\n%s", lines.String(), fences[1][1])
	}
	for _, r := range LintRules() {
		if !strings.Contains(lines.String(), "("+r.Name+")") || !strings.Contains(text, "| `"+r.Name+"` |") {
			t.Errorf("the manual lacks the rule %s", r.Name)
		}
	}
}

func TestLint_DoesNotCompile(t *testing.T) {
	for _, source := range []string{"x =", "goto nowhere", "break", "function transform(event) return return end"} {
		var syntax *SyntaxError
		if found, err := Lint("dir/x.lua", []byte(source)); !errors.As(err, &syntax) || found != nil {
			t.Errorf("%q: %v, %v", source, found, err)
		}
	}
	if _, err := LintFile(filepath.Join(t.TempDir(), "x.lua")); err == nil || !strings.HasPrefix(err.Error(), "read script: ") {
		t.Error(err)
	}
}

// TestAdvice: what is recommended is in the manual, and what is there needs no advice.
func TestAdvice(t *testing.T) {
	rest, _ := documented(t)
	known, err := sandboxNames()
	if err != nil {
		t.Fatal(err)
	}
	if !known.isLibrary("string") || !known.members("json")["null"] || !known.has("pairs") || known.isLibrary("_G") || known.has("transform") {
		t.Errorf("the sandbox is said to hold %v", known.globals)
	}
	call := regexp.MustCompile(`\b(?:time|re|json|hash|log|meta|string|table|math)\.([a-z0-9_]+)`)
	for name, text := range advice {
		library, member, ok := strings.Cut(name, ".")
		if known.has(name) || ok && known.members(library)[member] {
			t.Errorf("%s exists", name)
		}
		for _, m := range call.FindAllStringSubmatch(text, -1) {
			library, _, _ := strings.Cut(m[0], ".")
			if !strings.Contains(rest, m[0]) && !strings.Contains(rest, m[1]) && !known.members(library)[m[1]] {
				t.Errorf("%s: the manual does not know %s", name, m[0])
			}
		}
	}
}

func TestNearest(t *testing.T) {
	for _, tt := range []struct{ name, want string }{
		{"evnt", "event"}, {"recievedat", "received_at"}, {"EVENT", "event"}, {"evetn", "event"}, {"os", ""}, {"xy", ""},
		{"event", ""}, {"something", ""}, {strings.Repeat("event", 20), ""}, {"", ""},
	} {
		if got := nearest(tt.name, []string{"event", "received_at", "oz", "event2x", "eventual"}); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// FuzzLint: whatever compiles, Lint ends and points at lines that exist.
func FuzzLint(f *testing.F) {
	for _, source := range []string{
		pass, "local a <b", "goto x ::x::", "repeat local x = 1 until x", "function a.b.c:d(...) return ... end",
		"transform = function(e, m, x) m.y, _G.z = #arg, {1, [1] = 2, f{}, ...} return not e == 1 end",
		"for i = 1, 2 do for k, v in next, {} do break end end --[[x]] -- lint: ignore unused", "x = ('a'):b'c'.d[e](f)", "local function f() return f end while 1 do end x()",
		"\r\n--\n\r[=[\n]=]", "emit({}, {a = 1, 2})",
	} {
		f.Add(source)
	}
	f.Fuzz(func(t *testing.T, source string) {
		if len(source) > 4096 {
			return
		}
		found, err := Lint("x.lua", []byte(source))
		lines := strings.Count(source, "\n") + strings.Count(source, "\r") + 1
		for _, finding := range found {
			if err != nil || finding.Line < 1 || finding.Line > lines || finding.Message == "" || len(finding.Message) > maxMessage+len("...") || !isRule(finding.Rule) {
				t.Errorf("%s, %v", finding, err)
			}
		}
	})
}
