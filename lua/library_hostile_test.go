package lua

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/weirlog/weir/flush"
)

// TestLibrary_Hostile: what TestTransform_Hostile asks of the language it asks of the library: each script
// ends by a limit, within twice its time, and the next event does not notice.
func TestLibrary_Hostile(t *testing.T) {
	const either = "timeout or memory"
	const a1M = `local s = string.rep("a", 1e6) `
	for _, tc := range []struct{ name, script, kind string }{
		{"time.parse without end", `while true do time.parse("2026-01-02T03:04:05Z", "rfc3339") end`, either},
		{"time.parse of what is no time", `while true do time.parse("x", "rfc3339") end`, either},
		{"time.parse by many formats", `local f = {} for i = 1, 1000 do f[i] = "%Y-%m-%d" .. i end while true do time.parse("2026", f) end`, either},
		{"time.parse of a long text", a1M + `while true do time.parse(s, "%Y %Y %Y") end`, either},
		{"time.parse with a new format each time", `local i = 0 while true do i = i + 1 time.parse("2026", "%Y" .. i) end`, either},
		{"time.parse with unknown zones", `local i = 0 while true do i = i + 1 pcall(time.parse, "2026", "%Y", "Zone/" .. i) end`, either},
		{"time.format without end", `while true do time.format(0, string.rep("%c", 100), "Europe/Vienna") end`, either},
		{"time.format with unknown formats", `while true do pcall(time.format, 0, string.rep("%Q", 1000)) end`, either},

		{"a pattern of optional items", `while true do re.match(string.rep("a", 3000), string.rep("a?", 500) .. string.rep("a", 500)) end`, typeTimeout},
		{"stars within stars over a long text", a1M + `re.match(s, "(a*)*(a*)*(a*)*b")`, typeTimeout},
		{"a large pattern over a long text", a1M + `re.match(s, string.rep("(?:a|b|ab)*", 200) .. "c")`, typeTimeout},
		{"a repeated class over a long text", a1M + `re.find(s, [[(?:\w{1,100}\w{1,100}){5}x]])`, typeTimeout},
		{"many captures over a long text", a1M + `re.find(s, string.rep("(a*)", 32) .. "b")`, typeTimeout},
		{"a search in a long text, again and again", a1M + `while true do re.find(s, "b") end`, typeTimeout},
		{"a search in short texts", `while true do re.find("aaaa", "b") end`, either},
		{"a search in bytes that are no UTF-8", `local s = string.rep("\255\226\130", 3e5) while true do re.find(s, "[b-z]é") end`, typeTimeout},
		{"a search that pcall catches", a1M + `while true do pcall(re.match, s, "(a|aa)*b") end`, typeTimeout},
		{"gsub over a long text", a1M + `re.gsub(s, "a", "%0%0")`, either},
		{"gsub that never matches much", a1M + `re.gsub(s, "a.*b|a", "x")`, either},
		{"gsub that looks behind", a1M + `re.gsub(s, [[\Ba]], "x")`, either},
		{"gsub of nothing", a1M + `re.gsub(s, "", "x")`, either},
		{"gsub of empty matches", a1M + `re.gsub(s, [[\b|x*]], "")`, either},
		{"gsub that multiplies a long match", a1M + `re.gsub(s, ".*", string.rep("%0", 1e5))`, typeMemory},
		{"gsub with a long text for each character", a1M + `re.gsub(s, ".", s)`, typeMemory},
		{"gsub with a function without end", `re.gsub("x", ".", function() while true do end end)`, typeTimeout},
		{"gsub within gsub", `local function f(x) return (re.gsub("aaaa", "a", f)) end f()`, typeError},
		{"patterns that are new each time", `local i = 0 while true do i = i + 1 re.match("x", "a" .. i) end`, either},
		{"large patterns that are new each time", `local i = 0 while true do i = i + 1 re.match("x", string.rep("a{1000}", 15) .. i) end`, either},
		{"patterns of classes that are new each time", `local i = 0 while true do i = i + 1 re.match("x", string.rep([[\pL]], 64) .. i) end`, either},
		{"patterns that do not compile", `while true do pcall(re.match, "x", string.rep("(", 900)) end`, either},
		{"ranges without case", `while true do pcall(re.match, "x", "(?i)" .. string.rep("[B-\240\158\165\130]", 200)) end`, either},
		{"ranges without case that are let through", `local i = 0 while true do i = i + 1 re.match("x", "(?i)[" .. string.rep([[\x{100}-\x{400}]], 60) .. "]" .. i) end`, either},
		{"many nested groups", `local i = 0 while true do i = i + 1 pcall(re.match, "x", string.rep("(?:", 800) .. "a" .. i .. string.rep(")*", 800)) end`, either},

		{"grok over a long text", a1M + `grok(s, "%{COMBINEDAPACHELOG}")`, typeTimeout},
		{"grok again and again", `while true do grok("nothing to see", "%{COMBINEDAPACHELOG}") end`, either},
		{"grok with new patterns", `local i = 0 while true do i = i + 1 grok("x", "%{IP:a} " .. i) end`, either},
		{"grok with new definitions", `local i = 0 while true do i = i + 1 grok("x", "%{A:a}", {A = "x" .. i}) end`, either},
		{"grok with many definitions", `local d = {} for i = 1, 100 do d["D" .. i] = string.rep("x", 600) end while true do grok("x", "%{D1}", d) end`, either},
		{"grok with a bomb of definitions", `local d = {B0 = "xxxx"} for i = 1, 20 do d["B" .. i] = string.rep("%{B" .. (i - 1) .. "}", 8) end while true do pcall(grok, "x", "%{B20}", d) end`, either},
		{"grok with definitions in a circle", `while true do pcall(grok, "x", "%{A}", {A = "%{B}", B = "%{A}"}) end`, either},
		{"grok with unknown patterns", `while true do pcall(grok, "x", "%{NOPE}") end`, either},
		{"grok with deep names", `while true do grok("x", "%{WORD:a.b.c.d.e.f.g.h}") end`, either},
		{"grok with a long number", `local s = string.rep("1", 1e6) while true do grok(s, [[^(?<x>.*)$]]) end`, either},
		{"grok with a long number of a type", `local s = string.rep("1", 5e5) while true do grok(s, "^%{GREEDYDATA:x:int}$") end`, either},

		{"kv of many pairs", `local s = {} for i = 1, 20000 do s[i] = i .. "=" .. i end s = table.concat(s, " ") while true do kv(s) end`, typeMemory},
		{"kv of a long text without pairs", a1M + `while true do kv(s) end`, either},
		{"kv of many pieces that are no pairs", `local s = string.rep("a ", 5e5) while true do kv(s) end`, either},
		{"kv of open quotes", `local s = string.rep([[a="\" ]], 2e5) while true do kv(s) end`, either},
		{"kv of quotes that end too early", `local s = string.rep([[a="b]], 2e5) while true do kv(s) end`, either},
		{"kv with a long prefix", a1M + `kv(string.rep("a=1 ", 1000), {prefix = s})`, typeMemory},
		{"kv with many keys", `local k = {} for i = 1, 1000 do k[i] = "k" .. i end local s = string.rep("x=1 ", 1e5) while true do kv(s, {keys = k}) end`, either},
		{"kv with a sign of many letters", a1M + `while true do kv(s, {pairs = string.rep("a", 1000) .. "b"}) end`, either},

		{"csv of many fields", `csv(string.rep(",", 1e6))`, typeMemory},
		{"csv of a long field", a1M + `while true do csv(s) end`, either},
		{"csv of long quotes", `local s = '"' .. string.rep('""', 3e5) .. '"' while true do csv(s) end`, either},
		{"csv of an open quote", `local s = '"' .. string.rep("a\n", 3e5) while true do csv(s) end`, either},
		{"csv again and again", `while true do csv("a,b") end`, either},

		{"url.parse of a long text", a1M + `while true do url.parse(s) end`, either},
		{"url.parse of many parameters", `local s = "/?" .. string.rep("a&", 3e4) while true do url.parse(s) end`, either},
		{"url.parse of one name many times", `local s = "/?" .. string.rep("a=1&", 15000) while true do url.parse(s) end`, either},
		{"url.parse of escapes", `local s = "/" .. string.rep("%41", 20000) while true do url.parse(s) end`, either},
		{"cidr_match with many networks", `local n = {} for i = 1, 1000 do n[i] = "10.0.0.0/8" end while true do ip.cidr_match("11.0.0.1", n) end`, either},
		{"cidr_match of what is no address", a1M + `while true do ip.cidr_match(s, "10.0.0.0/8") end`, either},
	} {
		t.Run(tc.name, func(t *testing.T) {
			opts := Options{Timeout: 30 * time.Millisecond}
			if tc.kind == typeMemory { // however slow the machine
				opts.Timeout, opts.MaxMemory = time.Minute, 4<<20
			}
			source := "function transform(event, meta)\nif event.hostile then\n" + tc.script + "\nend\nevent.ok = true return event\nend"
			s, err := Compile("script.lua", []byte(source), opts)
			if err != nil {
				t.Fatal(err)
			}
			cpu := processTime()
			_, usage, err := s.Transform(record(`{"hostile":true,"l":[1]}`))
			cpu = processTime() - cpu
			var te *flush.TransformError
			if !errors.As(err, &te) || !strings.Contains(tc.kind, te.Type) {
				t.Fatalf("it ended with %v, want %s", err, tc.kind)
			}
			t.Logf("%s after %.0fms of processor time, %d KiB: %s", te.Type, cpu*1000, usage.Memory>>10, te.Message)
			c := s.prog.compiled
			if n := max(c.regexes.Len(), c.groks.Len(), c.formats.Len()); n > maxCompiled {
				t.Errorf("%d patterns are kept", n)
			}
			if got := sources(t, s, `{"a":1.0}`); got[0] != `{"a":1.0,"ok":true}` {
				t.Fatalf("the next event suffers: %s", got)
			}
		})
	}
}
