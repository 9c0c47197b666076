package lua

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// show prints values as the tables below have them: tables as JSON, all joined by bars.
const show = `
	local function show(...)
		local t = {}
		for i = 1, select("#", ...) do
			local v = (select(i, ...))
			t[i] = type(v) == "table" and json.encode(v) or tostring(v)
		end
		return table.concat(t, " | ")
	end
`

// values is what show says of an expression; event.ns is a number that no Lua number holds, event.l a list.
func values(t *testing.T, expression string) string {
	t.Helper()
	s := mustCompile(t, show+`function transform(event) return json.object({r = show(`+expression+`)}) end`)
	got := sources(t, s, `{"ns":1767323045678901234,"n":5,"l":["10.0.0.0/8"],"null":null}`)[0]
	return tree(t, []byte(got)).(map[string]any)["r"].(string)
}

func TestLibrary(t *testing.T) {
	for _, tc := range []struct{ expression, want string }{
		{`time.parse("2026-01-02T03:04:05.678901+01:00", "rfc3339")`, "2026-01-02T02:04:05.678901Z | 1.767319445678901e+09"},
		{`time.parse("2026-01-02 03:04:05", "monolog", "Europe/Vienna")`, "2026-01-02T02:04:05Z | 1767319445"},
		{`time.parse("02/Jan/2026", {"rfc3339", "%d.%m.%Y", "%d/%b/%Y"})`, "2026-01-02T00:00:00Z | 1767312000"},
		{`time.parse("31.02.2026", "%d.%m.%Y")`, `nil | "31.02.2026" is no time in the format %d.%m.%Y`},
		{`time.parse("soon", {"rfc3339", "apache"})`, `nil | "soon" is no time in any of the 2 formats`},
		{`time.parse(event.ns, "epoch_ns")`, "2026-01-02T03:04:05.678901234Z | 1.7673230456789012e+09"},
		{`time.parse(1767323045.678, "epoch")`, "2026-01-02T03:04:05.678Z | 1.767323045678e+09"},
		{`time.parse(1767323045678901, "epoch_us")`, "2026-01-02T03:04:05.678901Z | 1.767323045678901e+09"},
		{`time.parse(20260102, "%Y%m%d")`, "2026-01-02T00:00:00Z | 1767312000"},
		{`time.parse(math.huge, "epoch")`, `nil | "+Inf" is no time in the format epoch`},
		{`time.parse(0/0, "epoch")`, `nil | "NaN" is no time in the format epoch`},
		{`time.format(0, "rfc3339")`, "1970-01-01T00:00:00Z"},
		{`time.format(1767323045.5, "rfc3339", "+02:00")`, "2026-01-02T05:04:05.5+02:00"},
		{`time.format("2026-01-02T03:04:05Z", "%d.%m.%Y %H:%M", "Europe/Vienna")`, "02.01.2026 04:04"},
		{`time.format("2026-01-02T03:04:05.678Z", "epoch"), type(time.format(0, "epoch"))`, "1.767323045678e+09 | number"},
		{`time.format("2026-01-02T03:04:05.678901234Z", "epoch_ns")`, "1767323045678901234"},
		{`time.format("2026-01-02T03:04:05.678Z", "epoch_ms") + 1`, "1767323045679"},
		{`time.format("9999-12-31T23:59:59Z", "rfc3339", "+14:00")`, `nil | "9999-12-31T23:59:59Z" is beyond the years 0000 to 9999 there`},
		{`time.format("0000-01-01T00:00:00Z", "%Y", "-01:00")`, `nil | "0000-01-01T00:00:00Z" is beyond the years 0000 to 9999 there`},
		{`time.format("9999-12-31T23:59:59Z", "epoch", "+14:00")`, "253402300799"},
		{`time.format("soon", "rfc3339")`, `nil | "soon" is no time; it takes a number of seconds or RFC 3339`},
		{`time.format(1e18, "rfc3339")`, `nil | "1000000000000000000" is no time; it takes a number of seconds or RFC 3339`},

		{`re.match("key = value", [[(\w+)\s*=\s*(\w+)]])`, "key | value"},
		{`re.match("abc", "b.")`, "bc"},
		{`re.match("abc", "x")`, "nil"},
		{`re.match("ac", "(a)(b)?(c)")`, "a | nil | c"},
		{`re.match("foobar", "^bar", 4)`, "bar"},
		{`re.match("foobar", "o", -4)`, "o"},
		{`re.match("foo", "o*", 100)`, ""},
		{`re.match(event.n, [[\d]])`, "5"},
		{`re.find("a1b22", [[\d+]], 3)`, "4 | 5"},
		{`re.find("äb", "(b)")`, "3 | 3 | b"},
		{`re.find("abc", "")`, "1 | 0"},
		{`re.gsub("hello world", "o", "0")`, "hell0 w0rld | 2"},
		{`re.gsub("hello world", "o", "0", 1)`, "hell0 world | 1"},
		{`re.gsub("hello world", "o", "0", 0)`, "hello world | 0"},
		{`re.gsub("hello world", [[(\w+) (\w+)]], "%2 %1 %0 %%")`, "world hello hello world % | 1"},
		{`re.gsub("abc", "[ab]", "<%1>")`, "<a><b>c | 2"},
		{`re.gsub("ab", "(a)|(b)", "<%1%2>")`, "<a><b> | 2"},
		{`re.gsub("$name is $what", [[\$(\w+)]], {name = "lua"})`, "lua is $what | 2"},
		{`re.gsub("abc", ".", function(c) if c == "b" then return 5 end end)`, "a5c | 3"},
		{`re.gsub("ab", "(a)|b", function(c) return c == nil and "-" or nil end)`, "a- | 2"},
		{`re.gsub("aab", [[\ba]], "x")`, "xab | 1"},
		{`re.gsub("aaa", "^a", "x")`, "xaa | 1"},
		{`re.gsub("a\nb", "(?m)^", "> ")`, "> a\n> b | 2"},
		{`re.gsub("äöü", "", "-")`, "-ä-ö-ü- | 4"},
		{`re.gsub("abc", "b*", "-")`, "-a-c- | 3"},
		{`re.gsub("abc", "x", "-")`, "abc | 0"},

		{`grok("10.1.2.3 17", "%{IP:client.ip} %{NUMBER:http.response.bytes:int}")`, `{"client":{"ip":"10.1.2.3"},"http":{"response":{"bytes":17}}}`},
		{`grok("x", "%{INT:n}")`, "nil"},
		{`grok("x", "x")`, "{}"},
		{`grok("T-12", "%{TICKET:[ticket][id]}", {TICKET = [[T-\d+]]})`, `{"ticket":{"id":"T-12"}}`},
		{`grok("+007.9 1.50 yes", "%{NUMBER:i:int} %{NUMBER:f:float} %{WORD:b:bool}")`, `{"i":7,"f":1.5,"b":true}`},
		{`grok("-0 OFF", "%{NUMBER:i:int} %{WORD:b:bool}")`, `{"i":0,"b":false}`},
		{`grok("12345678901234567890", "%{INT:i:int}")`, `{"i":12345678901234567890}`},
		{`grok("abc", "%{WORD:a.b:int}")`, `nil | a.b: "abc" is no int`},
		{`grok("0x1F", "%{BASE16NUM:a:float}")`, `nil | a: "0x1F" is no float`},
		{`grok("maybe", "%{WORD:a:bool}")`, `nil | a: "maybe" is no bool`},
		{`grok("a b", "%{WORD:x} %{WORD:x}")`, `{"x":"b"}`},

		{`kv([[a=1 b="x y"]])`, `{"a":"1","b":"x y"}`},
		{`kv("a=1 a=2")`, `{"a":"2"}`},
		{`kv("a: 1; b: 2; c: 3", {pairs = ";", values = ":", prefix = "x_", keys = {"a", "c"}})`, `{"x_a":"1","x_c":"3"}`},
		{`kv("nothing here")`, "{}"},
		{`kv("a=1", {keys = {}})`, "{}"},
		{`csv('a,"b, c",,d')`, `["a","b, c","","d"]`},
		{`csv("1;2", {separator = ";", columns = {"x", "y", "z"}})`, `{"x":"1","y":"2"}`},
		{`csv("1,2", {columns = {"x"}})`, "nil | the record has 2 fields for 1 columns"},
		{`csv('a,"b')`, `nil | broken quotes in line 1, column 5: extraneous or missing " in quoted-field`},

		{`url.parse("https://u:p@example.com:8443/a%20b?q=1&q=2&q=3&x=%C3%BC#f")`,
			`{"scheme":"https","domain":"example.com","path":"/a%20b","query":"q=1&q=2&q=3&x=%C3%BC","fragment":"f","username":"u","port":8443} | {"q":["1","2","3"],"x":"ü"}`},
		{`url.parse("/path?a=b")`, `{"path":"/path","query":"a=b"} | {"a":"b"}`},
		{`url.parse("http://[::1")`, `nil | "http://[::1" is no URL: missing ']' in host`},
		{`ip.cidr_match("10.1.2.3", "10.0.0.0/8"), ip.cidr_match("11.1.2.3", {"10.0.0.0/8"}), ip.cidr_match("::ffff:10.1.2.3", event.l)`, "true | false | true"},
		{`ip.cidr_match("10.1.2.3", {})`, "false"},
		{`ip.cidr_match("localhost", "10.0.0.0/8")`, `nil | "localhost" is no IP address`},
	} {
		t.Run(tc.expression, func(t *testing.T) {
			if got := values(t, tc.expression); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

// TestLibrary_WrongUse: what is no fault of the text is an error, with file and line, that says what is right.
func TestLibrary_WrongUse(t *testing.T) {
	for _, tc := range []struct{ name, statement, want string }{
		{"an unknown format", `time.parse("x", "iso")`, `bad argument #2 to parse ("iso" is no format of times: it is rfc3339`},
		{"an unknown format in a list", `time.parse("x", {"rfc3339", 5})`, `"5" is no format of times`},
		{"a list of formats with a table", `time.parse("x", {{}})`, "the list of formats: element 1 is a table, not a string"},
		{"a list of formats that is an object", `time.parse("x", event)`, "the list of formats must be a list of strings"},
		{"a format without a year", `time.parse("x", "%d.%m.")`, "the format has no year: put one in front"},
		{"an unknown zone", `time.parse("x", "rfc3339", "Vienna")`, `there is no time zone "Vienna"; say a name such as "Europe/Vienna"`},
		{"no text", `time.parse(nil, "rfc3339")`, "bad argument #1 to parse (string expected, got nil)"},
		{"null", `time.parse(json.null, "rfc3339")`, "bad argument #1 to parse (string expected, got null)"},
		{"a pattern that does not compile", `re.match("x", "(")`, "bad argument #2 to match (malformed pattern: missing closing ): ()"},
		{"many captures", `re.match("x", ("(x)"):rep(33))`, "too many captures"},
		{"a replacement of another type", `re.gsub("x", "x", true)`, "bad argument #3 to gsub"},
		{"a capture that is not there", `re.gsub("x", "(x)", "%2")`, "invalid capture index"},
		{"a table of tables", `re.gsub("x", "x", {x = {}})`, "invalid replacement value (a table)"},
		{"an unknown grok pattern", `grok("x", "%{NOPE}")`, `bad argument #2 to grok (there is no grok pattern "NOPE")`},
		{"definitions that are no texts", `grok("x", "x", {A = {}})`, "definitions are at most 100 patterns by name"},
		{"definitions of the event", `grok("x", "x", event)`, "definitions are a table of the script"},
		{"an unknown option", `kv("a=1", {pair = ";"})`, "there is no option pair, but pairs, values, prefix, keys"},
		{"an option of another type", `kv("a=1", {pairs = {}})`, "the option pairs must be a string, not a table"},
		{"keys that are no list", `kv("a=1", {keys = "a"})`, "the option keys must be a list of strings, not a string"},
		{"values that are empty", `kv("a=1", {values = ""})`, "must not be empty"},
		{"a separator of two letters", `csv("a", {separator = "::"})`, `"::" cannot separate fields`},
		{"a network that is none", `ip.cidr_match("10.1.2.3", "10.0.0.0/99")`, `"10.0.0.0/99" is no network; say 10.0.0.0/8`},
		{"many networks", `local n = {} for i = 1, 1001 do n[i] = "::/0" end ip.cidr_match("::", n)`, "the list of networks may have 1000 elements, not 1001"},
		{"a library that is changed", `time.parse = nil`, "the library time cannot be changed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, _, err := mustCompile(t, body(tc.statement)).Transform(record(`{"a":1}`))
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "script.lua:2:") {
				t.Errorf("got %v, want script.lua:2: and %s", err, tc.want)
			}
		})
	}
}

// TestLibrary_Examples: the examples of the manual hold, and there is one for each function.
func TestLibrary_Examples(t *testing.T) {
	manual, err := os.ReadFile("../docs/lua.md")
	if err != nil {
		t.Fatal(err)
	}
	for heading, functions := range map[string][]string{
		"time": {"time.parse", "time.format"}, "re": {"re.match", "re.find", "re.gsub"}, "grok": {"grok"}, "kv, csv": {"kv", "csv"},
		"url, ip": {"url.parse", "ip.cidr_match"},
	} {
		t.Run(heading, func(t *testing.T) {
			_, part, _ := strings.Cut(section(string(manual), "## Library"), "\n### "+heading+"\n")
			part, _, _ = strings.Cut(part, "\n### ")
			_, examples := luaBlocks(part)
			for _, f := range functions {
				if !regexp.MustCompile(`(?m)^(assert|local).*\b` + regexp.QuoteMeta(f) + `\(`).MatchString(examples) {
					t.Errorf("there is no example of %s", f)
				}
			}
			if _, _, err := mustCompile(t, body(examples)).Transform(record(`{}`)); err != nil {
				t.Errorf("%s\n%v", examples, err)
			}
		})
	}
}
