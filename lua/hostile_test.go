package lua

import (
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/weirlog/weir/flush"
)

// TestTransform_Hostile: each script tries to take more than it may. It must end by a limit, and the next
// event, in whatever state it then meets, must not notice.
func TestTransform_Hostile(t *testing.T) {
	const either = "timeout or memory"
	for _, tc := range []struct{ name, script, kind string }{
		{"an endless loop", `while true do end`, typeTimeout},
		{"an endless repeat", `repeat until false`, typeTimeout},
		{"an endless for", `for i = 1, math.huge do end`, typeTimeout},
		{"an endless goto", `::again:: goto again`, typeTimeout},
		{"an endless loop in pcall, again and again", `while true do pcall(function() while true do end end) end`, typeTimeout},
		{"nested pcalls", `local function f() while true do pcall(f) end end f()`, typeTimeout},
		{"pcall of pcall", `while true do pcall(pcall, pcall, error) end`, typeTimeout},
		{"xpcall whose handler loops", `xpcall(function() while true do end end, function() while true do end end)`, typeTimeout},
		{"errors without end", `while true do pcall(error, {}) end`, either},
		{"errors at the bottom of a deep stack", `local function f(n) if n == 0 then while true do pcall(error, "x") end end return 1 + f(n - 1) end f(400)`, typeTimeout},
		{"recursion without end, caught", `local function f() return 1 + f() end while true do pcall(f) end`, typeTimeout},
		{"tail calls without end", `local function f(n) return f(n + 1) end while true do pcall(f, 1) end`, typeTimeout},
		{"string.rep", `local s = string.rep("x", 1e9)`, typeMemory},
		{"string.rep of a rep", `local s = string.rep(string.rep("x", 1e6), 1e6)`, typeMemory},
		{"string.rep with an absurd count", `local s = string.rep("xx", 2^62)`, typeMemory},
		{"doubling by ..", `local s = "x" while true do s = s .. s end`, typeMemory},
		{"growing by ..", `local s = "" while true do s = s .. "0123456789" end`, typeMemory},
		{"many operands of ..", `local s = string.rep("x", 1e6) local t = s..s..s..s..s..s..s..s..s..s..s..s..s..s..s..s..s..s`, typeMemory},
		{"a concatenation caught", `local s = "x" while true do pcall(function() s = s .. s end) end`, either},
		{"__concat without end", `local t = setmetatable({}, {__concat = function(a, b) return a .. b end}) local x = t .. t`, typeError},
		{"table.concat", `local t = {} for i = 1, 1000 do t[i] = string.rep("x", 1000) end while true do local s = table.concat(t) end`, typeMemory},
		{"table.concat of the same large text", `local s, t = string.rep("x", 1e6), {} for i = 1, 100 do t[i] = s end table.concat(t)`, typeMemory},
		{"string.format with a width", `while true do local s = string.format("%99d", 1) end`, either},
		{"string.format of large texts", `local s = string.rep("x", 1e6) local t = string.format(string.rep("%s", 100), unpack((function() local t = {} for i = 1, 100 do t[i] = s end return t end)()))`, typeMemory},
		{"gsub that doubles", `local s = "x" while true do s = s:gsub(".", "%0%0") end`, typeMemory},
		{"gsub that multiplies a long match", `local s = string.rep("x", 1e6) s:gsub(".*", string.rep("%0", 1e6))`, typeMemory},
		{"gsub with a long text for each character", `local s = string.rep("x", 1e6) s:gsub(".", s)`, typeMemory},
		{"gsub with a function that gives long texts", `local s = string.rep("x", 1e6) s:gsub(".", function() return s end)`, typeMemory},
		{"gsub with a table that gives long texts", `local s = string.rep("x", 1e6) s:gsub(".", {x = s})`, typeMemory},
		{"a huge index in a constructor", `local t = {[60000000] = 1}`, typeMemory},
		{"a quoted text that doubles", `local s = string.rep("\n", 6e6) string.format("%q%q", s, s)`, typeMemory},
		{"gsub with an endless function", `("x"):gsub(".", function() while true do end end)`, typeTimeout},
		{"gsub with a table that computes", `("x"):gsub(".", setmetatable({}, {__index = function() while true do end end}))`, typeTimeout},
		{"a pattern of optional items", `local n = 28 string.find(string.rep("a", n), string.rep("a?", n) .. string.rep("a", n))`, typeTimeout},
		{"a pattern of many stars", `string.find(string.rep("a", 300), string.rep("a*", 30) .. "b")`, typeTimeout},
		{"a pattern of lazy items", `string.match(string.rep("a", 300), string.rep(".-", 30) .. "b")`, typeTimeout},
		{"a pattern over a long text", `local s = string.rep("a", 1e6) while true do s:find(".-b") end`, typeTimeout},
		{"balanced patterns over a long text", `local s = string.rep("(", 1e6) s:find("%b()")`, typeTimeout},
		{"gmatch that backtracks", `for x in string.gmatch(string.rep("a", 3000), "a*a*a*b") do end`, typeTimeout},
		{"a plain find in a long text, again and again", `local s = string.rep("a", 8e6) while true do s:find("b", 1, true) end`, typeTimeout},
		{"a comparison of long texts", `local a, b = string.rep("a", 6e6), string.rep("a", 6e6) while a <= b do end`, typeTimeout},
		{"equality of long texts", `local a, b = string.rep("a", 6e6), string.rep("a", 6e6) while a == b do end`, typeTimeout},
		{"a long text as key", `local k, t = string.rep("a", 8e6), {} while not t[k] do end`, typeTimeout},
		{"lower of a long text", `local s = string.rep("A", 1e6) while true do s:lower() end`, typeMemory},
		{"tostring without end", `while true do tostring(1.5) end`, either},
		{"a list that grows", `local t = {} while true do t[#t + 1] = 1 end`, typeMemory},
		{"a list that table.insert grows", `local t = {} while true do table.insert(t, 1) end`, typeMemory},
		{"table.insert at the front", `local t = {} while true do table.insert(t, 1, 1) end`, either},
		{"a table that grows by names", `local t, i = {}, 0 while true do i = i + 1 t["k" .. i] = i end`, typeMemory},
		{"names set and removed", `local t, i = {}, 0 while true do i = i + 1 t["k" .. i] = i t["k" .. i] = nil end`, typeMemory},
		{"a huge index", `local t = {} t[60000000] = 1`, typeMemory},
		{"a huge index by rawset", `rawset({}, 60000000, 1)`, typeMemory},
		{"a huge index by table.insert", `table.insert({}, 60000000, 1)`, typeMemory},
		{"a huge index through __newindex", `setmetatable({}, {__newindex = {}})[60000000] = 1`, typeMemory},
		{"a huge index in a list of the event", `event.l[60000000] = 1`, typeMemory},
		{"many small tables", `local t = {} while true do t[#t + 1] = {} end`, typeMemory},
		{"many small tables with names", `local t while true do t = {t, a = 1, b = 2} end`, typeMemory},
		{"many closures", `local t while true do local u = t t = function() return u end end`, typeMemory},
		{"many local functions", `local t while true do local u = t local function f() return u end t = f end`, typeMemory},
		{"tables of many values", `local l = {} for i = 1, 4000 do l[i] = i end local function many() return unpack(l) end local t = {} while true do t[#t + 1] = {many()} end`, typeMemory},
		{"tables of many nils", `local function many() return unpack({}, 1, 8000) end local t = {} while true do t[#t + 1] = {many()} end`, either},
		{"many globals", `local i = 0 while true do i = i + 1 _G["g" .. i] = i end`, typeMemory},
		{"fields of the event without end", `local i = 0 while true do i = i + 1 event["k" .. i] = i end`, typeMemory},
		{"fields added while iterating", `for k in pairs(event) do event[k .. "x"] = 1 end`, typeMemory},
		{"many coroutines", `local t = {} while true do t[#t + 1] = coroutine.create(print) end`, typeMemory},
		{"an endless coroutine", `coroutine.wrap(function() while true do end end)()`, typeTimeout},
		{"an endless coroutine, resumed and caught", `while true do coroutine.resume(coroutine.create(function() while true do end end)) end`, typeTimeout},
		{"coroutines in coroutines", `local function f() coroutine.wrap(f)() end f()`, typeError},
		{"yields without end", `local co = coroutine.wrap(function() while true do coroutine.yield(1) end end) while true do co() end`, typeTimeout},
		{"a comparator without end", `table.sort({3, 2, 1}, function() while true do end end)`, typeTimeout},
		{"a comparator that lies", `local t = {} for i = 1, 5000 do t[i] = i end while true do table.sort(t, function() return true end) end`, either},
		{"sorting large lists", `local t = {} for i = 1, 100000 do t[i] = -i end while true do table.sort(t) end`, either},
		{"__index without end", `local t = setmetatable({}, {}) getmetatable(t).__index = function(x, k) while true do end end local x = t.a`, typeTimeout},
		{"__index that calls itself", `local t = setmetatable({}, {__index = function(t, k) return t[k .. "x"] end}) while true do pcall(function() return t.a end) end`, either},
		{"__eq, __lt and __le without end", `local mt = {} mt.__lt = function() while true do end end local a, b = setmetatable({}, mt), setmetatable({}, mt) local x = a < b`, typeTimeout},
		{"__tostring without end", `tostring(setmetatable({}, {__tostring = function() while true do end end}))`, typeTimeout},
		{"__call without end", `local t = setmetatable({}, {}) getmetatable(t).__call = function(self) while true do end end t()`, typeTimeout},
		{"json.decode without end", `local s = "[" .. string.rep("{},", 100000) .. "{}]" while true do json.decode(s) end`, either},
		{"json.encode of a growing graph", `local t = {1} for i = 1, 64 do t = {t, t} end json.encode(t)`, either},
		{"a result that is a graph of its own", `local t = {1} for i = 1, 64 do t = {a = t, b = t} end return t`, either},
		{"the event many times in the result", `local t = {} for i = 1, 100000 do t[i] = event end return {t = t}`, either},
		{"encoding a deep, wide event without end", `local d = json.decode(string.rep('{"w":[{},{},{},{},{},{},{},{}],"d":', 400) .. "1" .. string.rep("}", 400)) local function walk(v) for _, x in pairs(v) do if type(x) == "table" then walk(x) end end end walk(d) while true do json.encode(d) end`, either},
		{"print without end", `while true do print(("x"):rep(1000)) end`, either},
		{"unpack of much", `while true do pcall(unpack, {}, 1, 1e8) end`, either},
		{"many arguments", `local function f(...) return select("#", ...) end local t = {} for i = 1, 8000 do t[i] = i end while true do f(unpack(t)) end`, typeTimeout},
		{"string.byte of much", `local s = string.rep("x", 1e6) while true do pcall(string.byte, s, 1, -1) end`, typeTimeout},
		{"random numbers", `while true do math.random(1, 100) end`, typeTimeout},
		{"next on a table of holes", `local t = {} for i = 1, 50000 do t["k" .. i] = 1 end for i = 2, 49999 do t["k" .. i] = nil end while true do next(t, "k1") end`, either},
	} {
		t.Run(tc.name, func(t *testing.T) {
			source := "function transform(event, meta)\nif event.hostile then\n" + tc.script + "\nend\nevent.ok = true return event\nend"
			opts := Options{Timeout: 30 * time.Millisecond}
			if tc.kind == typeMemory { // however slow the machine
				opts.Timeout, opts.MaxMemory = time.Minute, 4<<20
			}
			s, err := Compile("script.lua", []byte(source), opts)
			if err != nil {
				t.Fatal(err)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			begin := time.Now()
			_, _, err = s.Transform(record(`{"hostile":true,"l":[1]}`))
			took := time.Since(begin)
			runtime.ReadMemStats(&after)
			var te *flush.TransformError
			if !errors.As(err, &te) {
				t.Fatalf("it was not stopped: %v", err)
			}
			if !strings.Contains(tc.kind, te.Type) {
				t.Fatalf("stopped by %s (%s), want %s", te.Type, te.Message, tc.kind)
			}
			if te.Type != typeMemory && !strings.Contains(te.Message, "script.lua:") {
				t.Errorf("the message does not say where: %s", te.Message)
			}
			t.Logf("%s after %v, %d KiB allocated: %s", te.Type, took.Round(time.Millisecond), (after.TotalAlloc-before.TotalAlloc)>>10, te.Message)
			if got := sources(t, s, `{"a":1.0}`); got[0] != `{"a":1.0,"ok":true}` {
				t.Fatalf("the next event suffers: %s", got)
			}
		})
	}
}
