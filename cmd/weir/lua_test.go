package main

import (
	"os"
	"path/filepath"
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

func TestLuaRun(t *testing.T) {
	script := writeScript(t, testScript)
	events := strings.Join([]string{
		`{"n":1.0,"secret":"x","@timestamp":1}`, ``, `{"drop":true}`, `{"boom":1}`, `{"split":1,"@timestamp":1}`, `{"elsewhere":1}`, `[1]`,
	}, "\n")
	o := &operator{newTestApp(t), t}
	o.stdin = strings.NewReader(events)
	out := o.want(exitFailed, "6 events: 2 made documents, 1 dropped, 2 failed, 1 rejected", "lua", "run", script)
	for _, want := range []string{
		"1: to logs-weir-default\n{\"n\":1.0,\"@timestamp\":1,\"seen\":true}", "3: dropped\n", "4: failed error: t.lua:4: no good \\x1b[31m",
		"5: document 1 of 2 to logs-weir-default", "6: failed index_not_allowed", "7: rejected not_an_object",
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
	if out := o.want(exitDone, "", "lua", "run", "--diff", script, file); !strings.Contains(out, `-   "secret": "x",`) || !strings.Contains(out, `+   "seen": true`) || strings.Contains(out, `"n"`) {
		t.Errorf("diff:\n%s", out)
	}
	o.want(exitUsage, "--diff is for people", "lua", "run", "--diff", "-o", "json", script, file)
	o.want(exitFailed, "no such file", "lua", "run", script, file+"x")
}

func TestLuaTest(t *testing.T) {
	o := &operator{newTestApp(t), t}
	if out := o.want(exitDone, "1 test passed", "lua", "test", writeScript(t, testScript)); !strings.Contains(out, "test_keeps  passed") {
		t.Errorf("%s", out)
	}
	failing := writeScript(t, testScript+"\nfunction test_fails() assert(false, 'told you') end")
	if out := o.want(exitFailed, "1 of 2 tests failed", "lua", "test", failing); !strings.Contains(out, "told you") {
		t.Errorf("%s", out)
	}
	if out := o.want(exitFailed, "", "lua", "test", "-o", "ndjson", failing); len(decodeLines[testView](t, out)) != 2 {
		t.Errorf("%s", out)
	}
	o.want(exitFailed, "t.lua:2:", "lua", "test", writeScript(t, "function transform(e)\n  return = e\nend"))
	o.want(exitDone, "no functions whose names begin with test_", "lua", "test", writeScript(t, "function transform(e) return e end"))
}

func TestDiffLines(t *testing.T) {
	for _, tt := range []struct{ before, after, want string }{
		{"a b c", "a b c", " a  b  c"},
		{"a b c", "a x c", " a -b +x  c"},
		{"", "a", "- +a"},
		{"a b c d", "b d e", "-a  b -c  d +e"},
		{"a a", "a", " a -a"},
	} {
		var got strings.Builder
		for i, l := range diffLines(strings.Split(tt.before, " "), strings.Split(tt.after, " ")) {
			if i > 0 {
				got.WriteByte(' ')
			}
			got.WriteByte(l.mark)
			got.WriteString(l.text)
		}
		if got.String() != tt.want {
			t.Errorf("%q to %q: %q, want %q", tt.before, tt.after, got.String(), tt.want)
		}
	}
	// Texts too large for the table still show every line once.
	long := strings.Split(strings.Repeat("x\n", 3000)+"y", "\n")
	if n := len(diffLines(long, append([]string{"z"}, append(long[:len(long):len(long)], "w")...))); n < len(long)+2 {
		t.Errorf("%d lines", n)
	}
}
