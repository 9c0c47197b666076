package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const testScript = `
function transform(event, meta)
  if event.drop then return nil end
  if event.boom then error("no good \27[31m") end
  if event.split then return event, { part = 2 } end
  if event.elsewhere then meta.index = "secrets" end
  event.seen = true
  event.secret = nil
  return event
end
function test_keeps() assert(transform({a = 1}, {}).seen) end
`

func writeScript(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "t.lua")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// costs are what an event took: no run takes the same.
var costs = regexp.MustCompile(`\([0-9.]+(µs|ms), [0-9.]+ (B|KiB|MiB)\)`)

func TestLuaRun(t *testing.T) {
	script := writeScript(t, testScript)
	events := strings.Join([]string{
		`{"n":1.0,"secret":"x","@timestamp":1}`, ``, `{"drop":true}`, `{"boom":1}`, `{"split":1,"@timestamp":1}`, `{"elsewhere":1}`, `[1]`,
	}, "\n")
	o := &operator{newTestApp(t), t}
	o.stdin = strings.NewReader(events)
	out := costs.ReplaceAllString(o.want(exitFailed, "6 events: 2 made documents, 1 dropped, 2 failed, 1 rejected", "lua", "run", script), "(COST)")
	for _, want := range []string{
		"1: to logs-weir-default  (COST)\n{\"n\":1.0,\"@timestamp\":1,\"seen\":true}\n", "3: dropped  (COST)\n", "4: failed error: t.lua:4: no good \\x1b[31m  (COST)\n",
		"5: document 1 of 2 to logs-weir-default  (COST)\n", "5: document 2 of 2 to logs-weir-default\n", "6: failed index_not_allowed: ", "7: rejected not_an_object: ",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the output lacks %q:\n%s", want, out)
		}
	}

	o.stdin = strings.NewReader(events)
	results := decodeLines[luaResult](t, o.want(exitFailed, "", "lua", "run", script, "-o", "ndjson"))
	if len(results) != 6 || results[0].Result != luaMade || results[3].Line != 5 || len(results[3].Documents) != 2 || results[2].Type != "error" || results[0].Memory == 0 {
		t.Errorf("as NDJSON: %+v", results)
	}

	file := filepath.Join(t.TempDir(), "events")
	if err := os.WriteFile(file, []byte(`{"n":1.0,"secret":"x","@timestamp":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := o.want(exitDone, "", "lua", "run", "--diff", script, file); !strings.Contains(out, `-   "secret": "x"`+"\n") || !strings.Contains(out, `+   "seen": true`) || strings.Contains(out, `"n"`) {
		t.Errorf("diff:\n%s", out)
	}
	o.want(exitUsage, "--diff is for people", "lua", "run", "--diff", "-o", "json", script, file)
	o.want(exitUsage, "--diff is for people", "lua", "run", "--diff", "--summary", script, file)
	o.want(exitFailed, "no such file", "lua", "run", script, file+"x")
}

// TestLuaRun_LongLine: a line beyond the limit is named and not kept; the lines behind it keep their numbers.
func TestLuaRun_LongLine(t *testing.T) {
	script := writeScript(t, testScript)
	o := &operator{newTestApp(t, "WEIR_INGEST_MAX_EVENT_BYTES=1KiB"), t}
	o.stdin = strings.NewReader(`{"a":"` + strings.Repeat("x", 600<<10) + `"}` + "\n{}\n" + `{"b":"` + strings.Repeat("y", 1024-8) + `"}` + "\r\n" + `{"b":"` + strings.Repeat("y", 1024-7) + `"}`)
	results := decodeLines[luaResult](t, o.want(exitFailed, "4 events: 2 made documents, 0 dropped, 0 failed, 2 rejected", "lua", "run", script, "-o", "ndjson"))
	var got []string
	for _, r := range results {
		got = append(got, fmt.Sprintf("%d %s %s", r.Line, r.Result, r.Message))
	}
	want := []string{"1 rejected 614409 bytes, ingest.max_event_bytes is 1024", "2 made ", "3 made ", "4 rejected 1025 bytes, ingest.max_event_bytes is 1024"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestLuaRun_Summary(t *testing.T) {
	script := writeScript(t, `function transform(e) if e.n == 150 then local s = 0 for i = 1, 100000 do s = s + i end end if e.n == 7 then error("odd\27[31m") end return e end`)
	var events strings.Builder
	for n := range 200 {
		fmt.Fprintf(&events, "{\"n\":%d}\n", n)
	}
	run := func(o *operator, code int, args ...string) string {
		o.stdin = strings.NewReader(events.String() + "[1]\n")
		return o.want(code, "", append([]string{"lua", "run", script}, args...)...)
	}
	o := &operator{newTestApp(t, "WEIR_TRANSFORM_TIMEOUT=10s"), t}
	out := run(o, exitFailed, "--summary")
	lines := strings.Split(out, "\n")
	if len(lines) != 10 || lines[0] != "201 events: 199 made documents, 0 dropped, 1 failed, 1 rejected" || !strings.HasPrefix(lines[4], "  line 151 ") || !strings.Contains(lines[4], "1 document to logs-weir-default") {
		t.Errorf("summary:\n%s", out)
	}
	for i, want := range []string{"", `^time +p50 +[0-9.]+µs  p99 .*max .*slowest used .* % of transform.timeout of 10s, `, `^memory +p50 .*largest used less than 0.1 % of transform.max_memory of 16 MiB$`, "^slowest$"} {
		if !regexp.MustCompile(want).MatchString(lines[i]) {
			t.Errorf("line %q does not match %q", lines[i], want)
		}
	}

	var s luaSummary
	if err := json.Unmarshal([]byte(run(o, exitFailed, "--summary", "-o", "json")), &s); err != nil {
		t.Fatal(err)
	}
	if s.Events != 201 || s.Documents != 199 || s.Rejected != 1 || len(s.Slowest) != slowestEvents || s.Slowest[0].Line != 151 || s.Time.Max != s.Slowest[0].TookMicros ||
		s.Time.P50 <= 0 || s.Time.P50 > s.Time.P99 || s.Time.P99 > s.Time.Max || s.Time.Limit != 1e7 || s.Memory.Max < s.Memory.P50 || s.Clock == "" {
		t.Errorf("as JSON: %+v", s)
	}
	for i := 1; i < len(s.Slowest); i++ {
		if s.Slowest[i].TookMicros > s.Slowest[i-1].TookMicros {
			t.Errorf("not the slowest first: %+v", s.Slowest)
		}
	}

	o.terminal(40)
	for line := range strings.Lines(run(o, exitFailed, "--summary")) {
		if strings.HasPrefix(line, "  line") && len([]rune(line)) > 41 || strings.Contains(line, "\x1b") {
			t.Errorf("%q does not fit the terminal", line)
		}
	}
	o.stdin = strings.NewReader("")
	if out := o.want(exitDone, "", "lua", "run", script, "--summary"); out != "0 events: 0 made documents, 0 dropped, 0 failed, 0 rejected\n" {
		t.Errorf("of nothing: %q", out)
	}
}

// TestLuaRun_Interrupted: what an endless input came to until it was broken off is still said.
func TestLuaRun_Interrupted(t *testing.T) {
	o := &operator{newTestApp(t), t}
	o.stdin = strings.NewReader("{}\n{}\n")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	code, out, errText := o.exec(ctx, "lua", "run", "--summary", writeScript(t, testScript))
	if code != exitFailed || !strings.HasPrefix(out, "0 events: ") || !strings.Contains(errText, "context canceled") {
		t.Errorf("exit code %d, output %q, standard error %q", code, out, errText)
	}
}

// TestLuaRun_InterruptedWhileItWaits: somebody who gave no file, and types nothing, gets away with one Ctrl-C. What was
// written until then is whole.
func TestLuaRun_InterruptedWhileItWaits(t *testing.T) {
	script := writeScript(t, testScript)
	for _, args := range [][]string{{"--summary", "-o", "json"}, {"-o", "json"}} {
		o := &operator{newTestApp(t), t}
		in, typed := io.Pipe()
		defer typed.Close()
		o.stdin = in
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			_, _ = typed.Write([]byte("{}\n")) // returns when it is read
			cancel()
		}()
		code, out, errText := o.exec(ctx, append([]string{"lua", "run", script}, args...)...)
		if code != exitFailed || !json.Valid([]byte(out)) || !strings.Contains(errText, "context canceled") {
			t.Errorf("%q: exit code %d, output %q, standard error %q", args, code, out, errText)
		}
	}
}

// TestLuaRun_Bar: a bar shows where events do not go to the terminal, over a file that is worth one.
func TestLuaRun_Bar(t *testing.T) {
	file := filepath.Join(t.TempDir(), "events")
	if err := os.WriteFile(file, []byte(strings.Repeat(`{"a":"`+strings.Repeat("x", 4000)+"\"}\n", barBytes/4000+1)), 0o600); err != nil {
		t.Fatal(err)
	}
	o, script := &operator{newTestApp(t), t}, writeScript(t, testScript)
	o.want(exitDone, "", "lua", "run", script, file, "--summary")
	o.terminal(80)
	o.want(exitDone, "running", "lua", "run", script, file, "--summary")
	if _, _, errText := o.exec(t.Context(), "lua", "run", script, file); strings.Contains(errText, "running") {
		t.Errorf("a bar among the events: %q", errText)
	}
}

func TestDiffLines(t *testing.T) {
	lines := func(texts []string) []textLine {
		var lines []textLine
		for _, text := range texts {
			lines = append(lines, textLine{text: text})
		}
		return lines
	}
	for _, tt := range []struct{ before, after, want string }{
		{"a b c", "a b c", " a  b  c"},
		{"a b c", "a x c", " a -b +x  c"},
		{"", "a", "- +a"},
		{"a b c d", "b d e", "-a  b -c  d +e"},
		{"a a", "a", " a -a"},
	} {
		got := marked(diffLines(lines(strings.Split(tt.before, " ")), lines(strings.Split(tt.after, " "))))
		if text := strings.Join(got, " "); text != tt.want {
			t.Errorf("%q to %q: %q, want %q", tt.before, tt.after, text, tt.want)
		}
	}
	// Texts too large for the table still show every line once.
	long := strings.Split(strings.Repeat("x\n", 3000)+"y", "\n")
	if n := len(diffLines(lines(long), lines(append([]string{"z"}, append(long[:len(long):len(long)], "w")...)))); n < len(long)+2 {
		t.Errorf("%d lines", n)
	}
}

// marked are the lines of a comparison with their marks in front.
func marked(lines []diffLine) []string {
	var texts []string
	for _, l := range lines {
		texts = append(texts, string(l.mark)+l.text)
	}
	return texts
}

func TestChangedLines(t *testing.T) {
	for _, tt := range []struct {
		name, before, after string
		want                []string
	}{
		{"nothing", `{"a":{"b":1}}`, `{"a":{"b":1}}`, nil},
		{"a nested member stands below what it is in", `{"a":{"b":1,"c":2},"d":{"b":1}}`, `{"a":{"b":1,"c":2},"d":{"b":2}}`,
			[]string{`   "d": {`, `-    "b": 1`, `+    "b": 2`}},
		{"a bracket is that of its member", `{"a":{"b":1},"c":{"d":2}}`, `{"a":{"b":2}}`,
			[]string{`   "a": {`, `-    "b": 1`, `+    "b": 2`, `-  "c": {`, `-    "d": 2`, `-  }`}},
		{"what is common stands once", `{"a":{"b":1,"c":{"d":1},"e":1}}`, `{"a":{"b":2,"c":{"d":2},"e":2}}`,
			[]string{`   "a": {`, `-    "b": 1`, `+    "b": 2`, `     "c": {`, `-      "d": 1`, `+      "d": 2`, `-    "e": 1`, `+    "e": 2`}},
		{"in each element of a list", `[{"a":1,"b":0},{"a":1}]`, `[{"a":2,"b":0},{"a":2}]`,
			[]string{`   {`, `-    "a": 1`, `+    "a": 2`, `   {`, `-    "a": 1`, `+    "a": 2`}},
		{"a member of another kind", `{"a":{"b":1}}`, `{"a":["b"]}`, []string{`-  "a": {`, `-    "b": 1`, `-  }`, `+  "a": [`, `+    "b"`, `+  ]`}},
		{"a text that ends like an opening", `{"a":"x{"}`, `{"a":"x["}`, []string{`-  "a": "x{"`, `+  "a": "x["`}},
		{"brackets too many", `}}`, `]`, []string{`-}}`, `+]`}},
		{"no text", ``, `{"a":1}`, []string{`+{`, `+  "a": 1`, `+}`}},
	} {
		if got := marked(changedLines(indentedJSON([]byte(tt.before)), indentedJSON([]byte(tt.after)))); !slices.Equal(got, tt.want) {
			t.Errorf("%s:\n%s\nwant\n%s", tt.name, strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
		}
	}
}

// TestLuaRun_LongDiff: what changed far behind in a long event is shown as well.
func TestLuaRun_LongDiff(t *testing.T) {
	o := &operator{newTestApp(t), t}
	o.stdin = strings.NewReader(`{"@timestamp":1,"pad":["` + strings.Repeat(`x","`, 20_000) + `"],"secret":1}`)
	if out := o.want(exitDone, "", "lua", "run", "--diff", writeScript(t, testScript)); !strings.Contains(out, "-   \"secret\": 1\n") || !strings.Contains(out, "+   \"seen\": true\n") {
		t.Errorf("diff:\n%.200s", out)
	}
}
