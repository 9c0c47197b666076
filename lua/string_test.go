package lua

import (
	"strings"
	"testing"
)

// TestStrings_Lua51: the functions that replace gopher-lua's mean what the manual of Lua 5.1 says. Each
// line is an expression and what tostring makes of its values, joined by commas.
func TestStrings_Lua51(t *testing.T) {
	for _, tc := range []struct{ expression, want string }{
		{`("hello"):find("l")`, "3,3"},
		{`("hello"):find("l", -2)`, "4,4"},
		{`("hello"):find("xyz")`, "nil"},
		{`("hello"):find("")`, "1,0"},
		{`("hello"):find("", 10)`, "6,5"},
		{`("a.b"):find(".", 2, true)`, "2,2"},
		{`("a+b"):find("+", 1, true)`, "2,2"},
		{`("key = value"):find("(%w+)%s*=%s*(%w+)")`, "1,11,key,value"},
		{`("key = value"):match("(%w+)%s*=%s*(%w+)")`, "key,value"},
		{`("2026-01-02"):match("^(%d+)-(%d+)-(%d+)$")`, "2026,01,02"},
		{`("hello"):match("()ll()")`, "3,5"},
		{`("hello"):match(".-l")`, "hel"},
		{`("hello"):match(".*l")`, "hell"},
		{`("  x  "):match("^%s*(.-)%s*$")`, "x"},
		{`("f(a(b)c)d"):match("%b()")`, "(a(b)c)"},
		{`("\"x\" 'y'"):match("([\"'])(.-)%1")`, `",x`},
		{`("THE (quick) fox"):find("%((%a+)%)")`, "5,11,quick"},
		{`("01abc45de3"):gsub("%f[%d]", ".")`, ".01abc.45de.3,3"},
		{`("x^y"):match("[%^]")`, "^"},
		{`("a]b"):match("[]]")`, "]"},
		{`("a-b"):match("[a%-]+")`, "a-"},
		{`("abc"):match("[^b]+")`, "a"},
		{`("abc"):gsub("%w", "%0%0")`, "aabbcc,3"},
		{`("abc"):gsub("", "-")`, "-a-b-c-,4"},
		{`("hello world"):gsub("o", "0", 1)`, "hell0 world,1"},
		{`("hello world"):gsub("(%w+) (%w+)", "%2 %1")`, "world hello,1"},
		{`("$name is $what"):gsub("%$(%w+)", {name = "lua"})`, "lua is $what,2"},
		{`("abc"):gsub("%w", function(c) if c == "b" then return "B" end end)`, "aBc,3"},
		{`("abc"):gsub("^a", "x")`, "xbc,1"},
		{`("aaa"):gsub("^a", "x")`, "xaa,1"},
		{`("abc"):gsub("b", "%%")`, "a%c,1"},
		{`(function() local t = {} for k, v in ("a=1, b=2"):gmatch("(%w+)=(%w+)") do t[#t + 1] = k .. v end return table.concat(t, ";") end)()`, "a1;b2"},
		{`("x"):rep(3)`, "xxx"},
		{`("x"):rep(-1)`, ""},
		{`("hello"):sub(2, -2)`, "ell"},
		{`("hello"):sub(-100, 100)`, "hello"},
		{`("hello"):sub(4, 2)`, ""},
		{`("hello"):byte(1, -1)`, "104,101,108,108,111"},
		{`("hello"):byte(10)`, ""},
		{`string.char(72, 105)`, "Hi"},
		{`("Hi Ü"):upper(), ("Hi Ü"):lower()`, "HI Ü,hi Ü"},
		{`("abc"):reverse(), ("abc"):len(), #"abc"`, "cba,3,3"},
		{`string.format("%5d|%-5d|%05d|%+d|%x|%X|%o", 42, 42, 42, 42, 255, 255, 8)`, "   42|42   |00042|+42|ff|FF|10"},
		{`string.format("%5.1f|%e|%g|%g|%g", 3.14159, 1000, 0.1, 1e20, 100000)`, "  3.1|1.000000e+03|0.1|1e+20|100000"},
		{`string.format("%s|%10s|%-10s|%.2s|%q|%c|%%", "a", "b", "c", "def", 'x"y', 65)`, `a|         b|c         |de|"x\"y"|A|%`},
		{`string.format("%d", "10")`, "10"},
		{`1 .. "", 1.5 .. "", -0.1 .. "", 1e100 .. "", 2^53 .. ""`, "1,1.5,-0.1,1e+100,9.007199254740992e+15"},
		{`tonumber("0x10"), tonumber(" 7 "), tonumber("1e2"), tonumber("z"), tonumber("z", 36), tonumber("-ff", 16), tonumber("")`, "16,7,100,nil,35,-255,nil"},
		{`tonumber("+-0x10"), tonumber("--0x10"), tonumber("+0x10"), tonumber("-0x10")`, "nil,nil,16,-16"},
		{`tostring(nil), tostring(true), type(nil), type({}), select("#", 1, nil), select(-1, 1, 2)`, "nil,true,nil,table,2,2"},
		{`"a" .. "b" .. "c" .. 1 .. 2`, "abc12"},
		{`(function(a) a = a .. "x" return a end)("y")`, "yx"},
		{`(function(a, b) a, b = b, a return a .. b end)("1", "2")`, "21"},
		{`(function(...) local t = {..., "z"} return #t, #{...}, select("#", ...) end)(1, 2, 3)`, "2,3,3"},
		{`(function() local t = {1, 2, (function() return 3, 4 end)()} return unpack(t) end)()`, "1,2,3,4"},
		{`(function() local i, t = 1, {} i, t[i] = i + 1, 20 return i, t[1] end)()`, "2,20"},
		{`pcall(error, "x", 0)`, "false,x"},
		{`pcall(error, {1})`, "false,table"},
		{`xpcall(function() error("x", 0) end, function(m) return m .. "!" end)`, "false,x!"},
		{`pcall(function(...) return ... end, 1, 2)`, "true,1,2"},
		{`(function() local co = coroutine.create(function(a) local b = coroutine.yield(a + 1) return b * 2 end) local _, x = coroutine.resume(co, 1) local _, y = coroutine.resume(co, 21) return x, y, coroutine.status(co), (coroutine.resume(co)) end)()`, "2,42,dead,false"},
		{`(function() local n = 0 for v in coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end) do n = n + v end return n end)()`, "6"},
		{`(function() local t = setmetatable({}, {__index = function(_, k) return k .. "!" end, __call = function(_, x) return x end}) return t.a, t(5) end)()`, "a!,5"},
		{`(function() local log = {} local t = setmetatable({}, {__newindex = function(t, k, v) rawset(t, k, v * 2) end}) t.a = 2 return t.a end)()`, "4"},
		{`(function() local t = {5, 2, 9} table.sort(t) table.insert(t, 1, 0) table.remove(t) return table.concat(t, ",", 1, 3), table.getn(t), table.maxn(t) end)()`, "0,2,5,3,3"},
		{`(function() local x = 1 local function get() return x end pcall(error) x = 2 return get() end)()`, "2"},
		{`(function() local x = 1 local function get() return x end pcall(function() x = nil + 1 end) x = 2 return get() end)()`, "2"},
		{`(function() local x = 1 local function get() return x end xpcall(error, function() x = 2 end) return get(), x end)()`, "2,2"},
		{`(function() local inner pcall(function() local y = 1 inner = function() y = y + 1 return y end error() end) return inner(), inner() end)()`, "2,3"},
		{`(function() local f = coroutine.wrap(function() local x = 1 local function get() return x end pcall(error) x = 2 return get() end) return f() end)()`, "2"},
		{`coroutine.resume(coroutine.create(function() return pcall(coroutine.yield, 1) end))`, "true,false,script.lua:10: attempt to yield across pcall, a metamethod, an iterator or a function of the library"},
		{`coroutine.resume(coroutine.create(function() return (select(2, pcall(function() coroutine.yield(1) end))) end))`, "true,script.lua:10: attempt to yield across pcall, a metamethod, an iterator or a function of the library"},
		{`(function() local co = coroutine.wrap(function() for x in coroutine.wrap(function() coroutine.yield(1) coroutine.yield(2) end) do coroutine.yield(x * 2) end end) return co(), co() end)()`, "2,4"},
		{`(function() local function f() error("x", 2) end return pcall(function()
			f() end) end)()`, "false,script.lua:11: x"},
		{`pcall(error, 1.5)`, "false,script.lua:10: 1.5"},
		{`pcall(nil)`, "false,script.lua:10: attempt to call a non-function object"},
		{`pcall(setmetatable({}, {__call = function(_, x) return x, 2 end}), 1)`, "true,1,2"},
		{`xpcall(error, error)`, "false,error in error handling"},
		{`xpcall(function() error("x", 0) end, function() error("y", 0) end)`, "false,error in error handling: y"},
		{`xpcall(function() error("x", 0) end, function(m) return m, 2 end)`, "false,x"},
		{`xpcall(function(...) return select("#", ...), 5 end, error, 1)`, "true,0,5"},
		{`table.maxn({[1] = 1, [2.5] = 1, x = 1}), table.maxn({1, 2}), table.maxn({})`, "2.5,2,0"},
		{`tostring(setmetatable({}, {__tostring = function() return 5 end})) == 5`, "true"},
		{`math.max(1, 3, 2), math.min(1, 3, 2), math.floor(-1.5), math.huge, math.fmod(7, 3)`, "3,1,-2,inf,1"},
		{`next({}), next({a = 1})`, "nil,a,1"},
	} {
		t.Run(tc.expression, func(t *testing.T) {
			s := mustCompile(t, `
				local function show(...)
					local t = {}
					for i = 1, select("#", ...) do
						local v = (select(i, ...))
						t[i] = type(v) == "table" and "table" or tostring(v)
					end
					return table.concat(t, ",")
				end
				function transform(event) event.r = show(`+tc.expression+`) return event end`)
			got := sources(t, s, `{}`)[0]
			want := strings.ReplaceAll(strings.ReplaceAll(tc.want, `\`, `\\`), `"`, `\"`)
			if got != `{"r":"`+want+`"}` {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestStrings_MalformedPatterns(t *testing.T) {
	for pattern, want := range map[string]string{
		"[a":  "malformed pattern (missing ']')",
		"%":   "malformed pattern (ends with '%')",
		"(a":  "unfinished capture",
		"%a)": "invalid pattern capture",
		"%1":  "invalid capture index",
		"%bx": "unbalanced pattern",
		"%f":  "missing '[' after '%f' in pattern",
		"[%":  "malformed pattern (missing ']')",
	} {
		s := mustCompile(t, body(`string.find("xaxx", event.p)`))
		_, _, err := s.Transform(record(`{"p":"` + pattern + `"}`))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", pattern, err, want)
		}
	}
}
