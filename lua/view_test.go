package lua

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// TestView: tables that came from JSON behave as Lua's tables do. A row's script asserts; want is what the
// event has become, the same as before where it is empty.
func TestView(t *testing.T) {
	const nested = `{"a":{"b":{"c":1}},"l":[3,1,2],"m":[{"x":1},{"x":2}],"e":{},"f":[],"s":"text","n":null,"id":9007199254740993}`
	for _, tc := range []struct{ name, script, in, want string }{
		{"a path of fields", `assert(event.a.b.c == 1 and event["a"]["b"].c == 1 and event.x == nil and event.a.x == nil)`, nested, ""},
		{"a field of a field that is missing is an error", `assert(not pcall(function() return event.x.y end))`, nested, ""},
		{"a field of a text is a function of the library or nil", `assert(event.s.x == nil and event.s:upper() == "TEXT")`, nested, ""},
		{"the same table read twice", `assert(event.a == event.a and event.a.b == event.a.b and event.m[1] == event.m[1] and event.a ~= event.e and rawequal(event.a, event.a))`, nested, ""},
		{"the same table as key", `local seen = {[event.a] = 1, [event.l] = 2} assert(seen[event.a] == 1 and seen[event.l] == 2 and seen[event.e] == nil)`, nested, ""},
		{"type", `assert(type(event) == "table" and type(event.l) == "table" and type(event.n) == "userdata" and type(event.id) == "userdata" and type(event.s) == "string")`, nested, ""},
		{"the length of lists", `assert(#event.l == 3 and #event.f == 0 and table.getn(event.l) == 3 and table.maxn(event.l) == 3)`, nested, ""},
		{"the length of an object is 0", `assert(#event == 0 and #event.a == 0 and table.getn(event) == 0 and table.maxn(event) == 0)`, nested, ""},
		{"ipairs", `local s = "" for i, v in ipairs(event.l) do s = s .. i .. v end assert(s == "132132" or s == "132312" or s == "13" .. "21" .. "32") for _ in ipairs(event) do error("an object has no elements") end`, nested, ""},
		{"next of an object", `local k, v = next(event) assert(k == "a" and v == event.a) assert(next(event, "id") == nil and next(event.e) == nil and next(event.a) == "b")`, nested, ""},
		{"next of a list", `local k, v = next(event.l) assert(k == 1 and v == 3 and next(event.l, 3) == nil and next(event.f) == nil)`, nested, ""},
		{"next after a field that is not there", `assert(not pcall(next, event, "zzz") and not pcall(next, event, 1))`, nested, ""},
		{"pairs in the order of the text", `local s = {} for k in pairs(event) do s[#s + 1] = k end assert(table.concat(s, " ") == "a l m e f s n id")`, nested, ""},
		{"pairs of a list", `local s = "" for k, v in pairs(event.l) do s = s .. k .. "=" .. v .. " " end assert(s == "1=3 2=1 3=2 ")`, nested, ""},
		{"assigning existing fields while iterating", `for k, v in pairs(event) do if type(v) == "number" then event[k] = v + 1 end end`, `{"a":1,"s":"x","b":2}`, `{"a":2,"s":"x","b":3}`},
		{"removing the field at hand while iterating", `local n = 0 for k in pairs(event) do event[k] = nil n = n + 1 end assert(n == 3 and next(event) == nil)`, `{"a":1,"s":"x","b":2}`, `{}`},
		{"removing a later field while iterating", `local s = "" for k in pairs(event) do event.b = nil s = s .. k end assert(s == "ac")`, `{"a":1,"b":2,"c":3}`, `{"a":1,"c":3}`},
		{"removing elements while iterating", `for k in pairs(event.l) do event.l[k] = nil end assert(#event.l == 0)`, `{"l":[1,2,3]}`, `{"l":[]}`},
		{"setting elements to others while iterating", `for i, v in ipairs(event.l) do event.l[i] = v * 10 end`, `{"l":[1,2,3]}`, `{"l":[10,20,30]}`},
		{"table.insert at each end and in the middle", `table.insert(event.l, "z") table.insert(event.l, 1, "a") table.insert(event.l, 3, event.o)`, `{"l":[1.0,2.0],"o":{"k":1.0}}`, `{"l":["a",1.0,{"k":1.0},2.0,"z"],"o":{"k":1.0}}`},
		{"table.remove gives the element", `local o = table.remove(event.l, 1) event.o = o assert(table.remove(event.l) == 2 and table.remove(event.l) == nil)`, `{"l":[{"k":1.0}, 2]}`, `{"l":[],"o":{"k":1.0}}`},
		{"table.concat", `event.s = table.concat(event.l, "-") .. table.concat(event.l, "", 2, 3)`, `{"l":[1.5,"x",9007199254740993]}`, `{"l":[1.5,"x",9007199254740993],"s":"1.5-x-9007199254740993x9007199254740993"}`},
		{"table.concat of null and tables is an error", `assert(not pcall(table.concat, event.l) and not pcall(table.concat, event.m))`, `{"l":[null],"m":[{}]}`, ""},
		{"table.sort of tables", `table.sort(event.m, function(x, y) return x.x > y.x end)`, nested, strings.Replace(nested, `[{"x":1},{"x":2}]`, `[{"x":2},{"x":1}]`, 1)},
		{"table.sort of numbers and exact numbers", `assert(not pcall(table.sort, event.l)) table.sort(event.l, function(x, y) return tonumber(x) < tonumber(y) end) table.sort(event.x)`,
			`{"l":[9007199254740995,1.0,-9007199254740993],"x":[9007199254740994,9007199254740993,-9007199254740993]}`, `{"l":[-9007199254740993,1.0,9007199254740995],"x":[-9007199254740993,9007199254740993,9007199254740994]}`},
		{"a comparator that fails leaves the list as it was", `assert(not pcall(table.sort, event.l, function() error("x") end))`, nested, ""},
		{"functions for lists refuse objects", `for _, f in ipairs({table.insert, table.remove, table.sort}) do assert(not pcall(f, event, 1)) end`, nested, ""},
		{"unpack and select", `local a, b, c, d = unpack(event.l) assert(a == 3 and c == 2 and d == nil and select("#", unpack(event.l)) == 3 and select(2, unpack(event.l)) == 1 and select("#", unpack(event)) == 0)`, nested, ""},
		{"rawget, rawset, rawequal", `assert(rawget(event, "s") == "text" and rawget(event, "x") == nil and rawget(event, 1) == nil and rawget(event.l, 1) == 3) rawset(event.a, "b", 1) rawset(event.l, 1, 9)`, `{"s":"text","a":{"b":1.0},"l":[3]}`, `{"s":"text","a":{"b":1},"l":[9]}`},
		{"metatables of views are out of reach", `assert(getmetatable(event) == false and getmetatable(event.l) == false and not pcall(setmetatable, event, {}) and not pcall(setmetatable, event.l, nil) and not pcall(setmetatable, {}, event))`, nested, ""},
		{"a view behind a metatable", `local t = setmetatable({}, {__index = event, __newindex = event.a}) assert(t.s == "text" and t.x == nil) t.x = 1 assert(rawget(t, "x") == nil and event.a.x == 1)`, nested, strings.Replace(nested, `{"c":1}}`, `{"c":1},"x":1}`, 1)},
		{"a swap", `event.a, event.l = event.l, event.a`, `{"a":{"k":1.0},"l":[1.0]}`, `{"a":[1.0],"l":{"k":1.0}}`},
		{"a swap of elements", `event.l[1], event.l[3] = event.l[3], event.l[1]`, `{"l":[{"k":1.0}, 2.0, [ ]]}`, `{"l":[[ ],2.0,{"k":1.0}]}`},
		{"a table moved between places", `event.b = event.a event.a = nil event.b.x = 1`, `{"a":{"k":1.0}}`, `{"b":{"k":1.0,"x":1}}`},
		{"a table in two places is one table", `event.b = event.a event.b.x = 1 assert(event.a.x == 1) event.a.y = 2`, `{"a":{"k":1.0}}`, `{"a":{"k":1.0,"x":1,"y":2},"b":{"k":1.0,"x":1,"y":2}}`},
		{"out of the event into a new table and back", `local t = {keep = event.a, l = {event.a, event.e}} event.a = nil t.keep.x = 1 event.t = t`, `{"a":{"k":1.0},"e":[ ]}`, `{"e":[ ],"t":{"keep":{"k":1.0,"x":1},"l":[{"k":1.0,"x":1},[ ]]}}`},
		{"an element moved out of a list", `local o = table.remove(event.l, 1) o.x = 1 event.o = o.y`, `{"l":[{"y":{"k":1.0}},5]}`, `{"l":[5],"o":{"k":1.0}}`},
		{"a list of the event taken over by a new table", `event.t = {a = event.f, b = event.l} table.insert(event.f, 1.5)`, `{"f":[],"l":[1.0]}`, `{"f":[1.5],"l":[1.0],"t":{"a":[1.5],"b":[1.0]}}`},
		{"empty ones keep their kind", `event.o = {event.e, event.f} event.e2, event.f2 = event.e, event.f event.e, event.f = nil`, `{"e":{},"f":[]}`, `{"o":[{},[]],"e2":{},"f2":[]}`},
		{"emptied ones keep their kind", `event.e.x = nil table.remove(event.f)`, `{"e":{"x":1},"f":[1]}`, `{"e":{},"f":[]}`},
		{"a filled one keeps its kind", `table.insert(event.f, 1) event.e.x = 1`, `{"e":{},"f":[]}`, `{"e":{"x":1},"f":[1]}`},
		{"of duplicates the last is read, and pairs shows it at its place", `local s = "" for k, v in pairs(event) do s = s .. k .. v end assert(s == "b2a3" and event.a == 3)`, `{"a":1,"b":2,"a":3}`, ""},
		{"duplicates are kept beside a change", `event.b = 5`, `{"a":1.0,"b":2,"a":3}`, `{"a":1.0,"b":5,"a":3}`},
		{"64-bit integers", `assert(event.a == event.b and event.a ~= event.c and event.a < event.c and event.c > event.a and event.a <= event.b and not (event.a < event.b)) assert(event.a ~= 9007199254740993 and not pcall(function() return event.a < 5 end)) assert(tostring(event.a) == "9007199254740993" and event.a .. "" == "9007199254740993" and string.format("%d %s", event.a, event.a) == "9007199254740993 9007199254740993") local t = {[event.a] = "x"} assert(t[event.b] == "x" and t[event.c] == nil) assert(event.a + 0 == 2^53 and tonumber(event.a) == 2^53 and -event.a == -2^53)`,
			`{"a":9007199254740993,"b":9007199254740993,"c":9007199254740994}`, ""},
		{"the edge of what a number holds", `assert(type(event.a) == "number" and event.a == 2^53 and type(event.b) == "userdata" and event.c == -2^53 and type(event.d) == "userdata") event.e = event.a`, `{"a":9007199254740992,"b":9007199254740993,"c":-9007199254740992,"d":-9007199254740993}`,
			`{"a":9007199254740992,"b":9007199254740993,"c":-9007199254740992,"d":-9007199254740993,"e":9007199254740992}`},
		{"numbers beyond a float", `assert(type(event.a) == "userdata" and event.a == event.b and event.a + 0 == math.huge and tostring(event.a) == "1e400") event.c = event.a`, `{"a":1e400,"b":1e400}`, `{"a":1e400,"b":1e400,"c":1e400}`},
		{"negative zero", `assert(event.a == 0 and 1 / event.a == -math.huge) event.b = event.a`, `{"a":-0}`, `{"a":-0,"b":-0}`},
		{"spelling is kept by a move, and only by a move", `event.b, event.c, event.d = event.a, event.a + 0, tostring(event.a)`, `{"a":1.0}`, `{"a":1.0,"b":1.0,"c":1,"d":"1"}`},
		{"json round trips", `for k, v in pairs(event) do event[k] = json.decode(json.encode(v)) end`, nested, nested},
		{"json.encode sees changes", `event.a.b.c = 2 event.s = json.encode(event.a)`, nested, strings.Replace(strings.Replace(nested, `"c":1`, `"c":2`, 1), `"text"`, `"{\"b\":{\"c\":2}}"`, 1)},
		{"json.decode of a scalar", `assert(json.decode("null") == json.null and json.decode(" 5 ") == 5 and json.decode('"x"') == "x" and json.decode("true") == true) event.x = json.decode("1.0")`, `{}`, `{"x":1.0}`},
		{"names with escapes, other characters and none", `assert(event["a\"b"] == 1 and event["é"] == 2 and event[""] == 3 and event["\n"] == 4 and event["😀"] == 5) for k, v in pairs(event) do event[k] = v + 1 end event["\0"] = 0`,
			`{"a\"b":1,"\u00e9":2,"":3,"\n":4,"\ud83d\ude00":5}`, `{"a\"b":2,"\u00e9":3,"":4,"\n":5,"\ud83d\ude00":6,"\u0000":0}`},
		{"names of metamethods are only names", `assert(event.__index == 1 and getmetatable(event) == false) event.__newindex = 2`, `{"__index":1}`, `{"__index":1,"__newindex":2}`},
		{"null is a value", `assert(event.n == json.null and event.n ~= nil and event.n and tostring(event.n) == "null") event.m = event.n event.n = nil`, `{"n":null}`, `{"m":null}`},
		{"a list that ends in null", `assert(#event.l == 2 and event.l[2] == json.null) event.l[3] = json.null`, `{"l":[1,null]}`, `{"l":[1,null,null]}`},
		{"meta can be read by rawget", `assert(rawget(meta, "offset") == 42 and rawget(meta, "index") == nil)`, `{}`, ""},
		{"_G can be read by rawget", `assert(rawget(_G, "type") == type and rawget(_G, "nobody") == nil) here = 1 assert(rawget(_G, "here") == 1)`, `{}`, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.want == "" {
				tc.want = tc.in
			}
			s := mustCompile(t, body(tc.script))
			for range 2 {
				if got := sources(t, s, tc.in); len(got) != 1 || got[0] != tc.want {
					t.Fatalf("got  %s\nwant %s", got, tc.want)
				}
			}
		})
	}
}

// TestView_Deep: what is nested as deep as can be is read and changed at its bottom.
func TestView_Deep(t *testing.T) {
	for _, tc := range []struct{ name, open, bottom, shut, want string }{
		{"objects", `{"d":`, `{"x":1.0}`, `}`, `{"x":2}`},
		{"lists", `[`, `{"x":1.0}`, `]`, `{"x":2}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := maxDepth - 2 // with the event and the bottom itself
			doc := func(bottom string) string {
				return `{"e":` + strings.Repeat(tc.open, n) + bottom + strings.Repeat(tc.shut, n) + `}`
			}
			s := mustCompile(t, body(`local t = event.e while t.d or t[1] do t = t.d or t[1] end t.x = t.x + 1`))
			if got := sources(t, s, doc(tc.bottom)); got[0] != doc(tc.want) {
				t.Fatalf("got %.100s", got[0])
			}
			s = mustCompile(t, body(`event = json.decode(json.encode(event))`))
			if got := sources(t, s, doc(tc.bottom)); got[0] != doc(tc.bottom) {
				t.Fatalf("got %.100s", got[0])
			}
		})
	}
}

// TestView_ManyMembers: an object of many members, which has a map of them, is like one of few.
func TestView_ManyMembers(t *testing.T) {
	for _, n := range []int{indexFrom - 2, indexFrom - 1, indexFrom, indexFrom + 1, 3000} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			in, want := []string{}, []string{`"k0":0`, `"k1":-1`}
			for i := range n {
				in = append(in, fmt.Sprintf(`"k%d":%d.0`, i, i))
				if i%2 == 0 && i > 0 {
					want = append(want, fmt.Sprintf(`"k%d":%d`, i, i+1))
				}
			}
			want = append(want, `"new":1`, `"last":0`)
			s := mustCompile(t, body(`
				local n = 0
				for k, v in pairs(event) do
					assert(event[k] == v)
					n = n + 1
					if v % 2 == 0 then event[k] = v + 1 else event[k] = nil end
				end
				assert(n == `+strconv.Itoa(n)+` and event.new == nil)
				event.new, event.last = 1, 0
				event.k1 = -1 -- at its old place
				event.k0 = 0
				assert(event.new == 1 and event.k1 == -1 and event.k3 == nil)`))
			if got := sources(t, s, "{"+strings.Join(in, ",")+"}"); got[0] != "{"+strings.Join(want, ",")+"}" {
				t.Fatalf("got  %.200s\nwant %.200s", got[0], "{"+strings.Join(want, ",")+"}")
			}
		})
	}
}
