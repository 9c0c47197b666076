package lua

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// patternScript uses all functions that look for a pattern, and tells what they gave, errors too.
const patternScript = `
local function show(...)
  local t = {}
  for i = 1, select("#", ...) do t[i] = tostring((select(i, ...))) end
  return table.concat(t, ",")
end

function transform(event)
  local s, p, out = event.s, event.p, {}
  for i, f in ipairs({
    function() return s:find(p) end,
    function() return s:find(p, 4) end,
    function() return s:match(p) end,
    function() return s:gsub(p, "<%0>") end,
    function() return s:gsub(p, "", 2) end,
    function() return s:gsub(p, function(a, b) return b and s:match(p, 3) end) end,
    function() local n, t = 0, "" for a, b in s:gmatch(p) do n, t = n + 1, t .. show(a, b) .. ";" end return n, t end,
  }) do out[i] = show(pcall(f)) end
  return { out = out }
end`

// TestHints_ChangeNothing compares random patterns over random texts with and without hints.
func TestHints_ChangeNothing(t *testing.T) {
	rnd := rand.New(rand.NewPCG(6, 51))
	pieces := []string{"a", "b", "1", ".", " ", "%a", "%d", "%.", "%s", "[ab]", "[^a]", "[%d.]", "[a-]", "(", ")", "()", "%b()", "%f[%a]", "%1", "*", "+", "-", "?", "$", "^", "]", "[", "%", "(a)", "(.)"}
	random := func(from []string, n int) string {
		var b strings.Builder
		for range n {
			b.WriteString(from[rnd.IntN(len(from))])
		}
		return b.String()
	}
	with, without := mustCompile(t, patternScript), mustCompile(t, patternScript)
	hinted := 0
	for range 4000 {
		pattern := random(pieces, 1+rnd.IntN(5))
		text := random([]string{"a", "b", "1", ".", " ", "(", ")", "aa", "ab1"}, rnd.IntN(24))
		event := fmt.Sprintf(`{"s":%q,"p":%q}`, text, pattern)
		without.w.hints = map[string]*hint{pattern: nil}
		got, want := sources(t, with, event)[0], sources(t, without, event)[0]
		if got != want {
			t.Fatalf("%s\nwith hints    %s\nwithout hints %s", event, got, want)
		}
		if with.w.hints[pattern] != nil {
			hinted++
		}
	}
	if hinted < 1000 {
		t.Errorf("only %d patterns had a hint", hinted)
	}
}

func TestHints_OfPatterns(t *testing.T) {
	w := mustCompile(t, body("")).w
	for _, tt := range []struct {
		pattern, first string // first: some of the characters that a match can begin with, in order; "" for any
		need           string
	}{
		{"user (%d+)", "u", "u"},
		{"[%w.+-]+@[%w-]+%.[%w.-]+", "+-.0", "@"},
		{"(%d%d%d%d)-(%d%d)", "0123", "-"},
		{"%[(%a+)%]", "[", "["},
		{"a*b", "", "b"},
		{"%s*x", "", "x"},
		{".-=", "", "="},
		{".", ".", ""}, // every character, but there must be one
		{"()a", "a", "a"},
		{"x%.y", "x", "."},
		{"%f[%a]a", "", ""},
		{"%b()", "", ""},
		{"(.)%1", "", ""},
		{"^a", "", ""},
		{"(a", "", ""},
		{"a)", "", ""},
		{"[a", "", ""},
		{"a%", "", ""},
		{strings.Repeat("a", maxRecurse), "", ""},
		{strings.Repeat("(a)", maxCaptures), "", ""},
	} {
		h := (&matcher{w: w, L: w.L, src: "a text that is long enough", pat: tt.pattern})
		got := w.hintFor(h)
		if got == nil {
			if tt.first != "" || tt.need != "" {
				t.Errorf("%q has no hint", tt.pattern)
			}
			continue
		}
		need := ""
		if got.need >= 0 {
			need = string(rune(got.need))
		}
		var first strings.Builder
		for c, ok := range got.first {
			if ok {
				first.WriteByte(byte(c))
			}
		}
		if need != tt.need || (got.firstAt >= 0) != (tt.first != "") || !strings.Contains(first.String(), tt.first) {
			t.Errorf("%q: first %q, need %q", tt.pattern, first.String(), need)
		}
	}
}

func TestHints_AreFew(t *testing.T) {
	s := mustCompile(t, `function transform(event) for i = 1, 1000 do event.s:find("x" .. i .. "y+") end return event end`)
	sources(t, s, `{"s":"a text that is long enough"}`)
	if n := len(s.w.hints); n == 0 || n > keptHints {
		t.Errorf("%d hints are kept", n)
	}
}

func TestMatchers_AreUsedAgainAndNested(t *testing.T) {
	s := mustCompile(t, `function transform(event)
		event.s = event.s:gsub("%a+", function(w) return (w:gsub("%a", function(c) return c:match("(.)") .. "." end)) end)
		pcall(string.gsub, event.s, "%a", error)
		return event
	end`)
	for range 3 {
		if got := sources(t, s, `{"s":"some text, longer"}`)[0]; got != `{"s":"s.o.m.e. t.e.x.t., l.o.n.g.e.r."}` {
			t.Errorf("%s", got)
		}
	}
	if n := len(s.w.matchers); n == 0 || n > keptMatchers {
		t.Errorf("%d matchers wait", n)
	}
	for _, m := range s.w.matchers {
		if m.src != "" || m.pat != "" || m.L != nil {
			t.Errorf("a matcher keeps a text: %q", m.src)
		}
	}
}

// TestMatchers_OfRE2: patterns of re.* are not studied as if they were Lua's, and their matchers are used again too.
func TestMatchers_OfRE2(t *testing.T) {
	s := mustCompile(t, `function transform(event)
		event.a, event.b = re.match(event.s, "(o.)"), re.gsub(event.s, "[a-z]+", function(w) return re.match(w, "^.") end)
		return event
	end`)
	for range 3 {
		if got := sources(t, s, `{"s":"some text, longer"}`)[0]; got != `{"s":"some text, longer","a":"om","b":"s t, l"}` {
			t.Errorf("%s", got)
		}
	}
	if len(s.w.hints) != 0 || len(s.w.matchers) == 0 {
		t.Errorf("%d hints, %d matchers wait", len(s.w.hints), len(s.w.matchers))
	}
}
