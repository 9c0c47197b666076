package main

import (
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirlog/weir/lua"
)

func TestLuaTest(t *testing.T) {
	o := &operator{newTestApp(t), t}
	if out := o.want(exitDone, "1 test passed", "lua", "test", writeScript(t, testScript)); !strings.Contains(out, "test_keeps  passed") {
		t.Errorf("%s", out)
	}
	failing := writeScript(t, testScript+"\nfunction test_fails() assert(false, 'told you') end")
	if out := o.want(exitFailed, "1 of 2 tests failed", "lua", "test", failing); !strings.Contains(out, "\nFAILED test_fails ("+failing+":13)\n  t.lua:13: told you\n") {
		t.Errorf("%s", out)
	}
	if out := decodeLines[testView](t, o.want(exitFailed, "", "lua", "test", "-o", "ndjson", failing)); len(out) != 2 || out[0].Kind != lua.KindFunction || !out[0].Passed || out[1].Passed || out[1].Line != 13 || out[1].File != failing {
		t.Errorf("%+v", out)
	}
	o.want(exitFailed, "t.lua:2:", "lua", "test", writeScript(t, "function transform(e)\n  return = e\nend"))
	o.want(exitDone, "it has no tests", "lua", "test", writeScript(t, "function transform(e) return e end"))
	o.want(exitFailed, "no such file", "lua", "test", failing+"x")
}

// failingCases is testScript with a case that fails and one that passes.
const failingCases = testScript + `
test_cases = {
  { name = "is seen\27[31m", event = '{"a":1.0,"b":"<&>"}', want = { a = 1, b = "<&>", seen = false } },
  { name = "is dropped", event = { drop = true }, dropped = true },
}
`

func TestLuaTest_Cases(t *testing.T) {
	o := &operator{newTestApp(t), t}
	script := writeScript(t, failingCases)
	out := o.want(exitFailed, "1 of 3 tests failed", "lua", "test", script)
	for _, want := range []string{
		"test_cases: is dropped", "\nFAILED test_cases: is seen\\x1b[31m (" + script + ":14)\n  seen is true, want false\n  - wanted, + got\n  -   \"seen\": false\n  +   \"seen\": true\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the output lacks %q:\n%s", want, out)
		}
	}
	o.terminal(100)
	if out := o.want(exitFailed, "", "lua", "test", script); !strings.Contains(out, colourRed+"-   \"seen\": false"+colourReset) || strings.Contains(out, "\x1b[31m (") {
		t.Errorf("on a terminal: %q", out)
	}
	o.environ = append(o.environ, "NO_COLOR=1")
	if out := o.want(exitFailed, "", "lua", "test", script); strings.Contains(out, "\x1b") {
		t.Errorf("with NO_COLOR: %q", out)
	}
}

func TestLuaTest_ManyFailures_ShowsSome(t *testing.T) {
	o := &operator{newTestApp(t), t}
	script := writeScript(t, testScript+"test_many = {"+strings.Repeat("{ event = {}, dropped = true },", 30)+"}")
	out := o.want(exitFailed, "30 of 31 tests failed", "lua", "test", script)
	if strings.Count(out, "\nFAILED ") != shownFailures || !strings.Contains(out, "and 10 more; -o ndjson shows all") {
		t.Error(out)
	}
}

func TestLuaTest_SeveralScripts(t *testing.T) {
	o := &operator{newTestApp(t), t}
	good, broken, failing := writeScript(t, testScript), writeScript(t, "x"), writeScript(t, failingCases)
	out := o.want(exitFailed, good+": version ", "lua", "test", broken, good, failing)
	if !strings.Contains(out, good+"\n") || !strings.Contains(out, "is dropped") {
		t.Errorf("%s", out)
	}
	views := decodeLines[testView](t, o.want(exitFailed, "weir: "+broken+": t.lua", "lua", "test", "-o", "ndjson", broken, good, failing))
	if len(views) != 5 || views[0].Kind != kindScript || views[0].Passed || views[0].Script != broken || views[4].Script != failing {
		t.Errorf("%+v", views)
	}
}

// TestLuaTest_JUnit reads the report as a build server would: by its names alone.
func TestLuaTest_JUnit(t *testing.T) {
	o := &operator{newTestApp(t), t}
	broken, failing := writeScript(t, "x"), writeScript(t, failingCases)
	path := filepath.Join(t.TempDir(), "report.xml")
	o.want(exitFailed, "", "lua", "test", "--junit", path, failing, broken)
	text, err := os.ReadFile(path)
	if err != nil || !strings.HasPrefix(string(text), "<?xml ") {
		t.Fatalf("%s %v", text, err)
	}
	type outcome struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
	type counts struct {
		Tests    int     `xml:"tests,attr"`
		Failures int     `xml:"failures,attr"`
		Errors   int     `xml:"errors,attr"`
		Time     float64 `xml:"time,attr"`
	}
	var report struct {
		XMLName xml.Name `xml:"testsuites"`
		counts
		Suites []struct {
			counts
			Name  string `xml:"name,attr"`
			Cases []struct {
				Name    string    `xml:"name,attr"`
				Class   string    `xml:"classname,attr"`
				File    string    `xml:"file,attr"`
				Line    int       `xml:"line,attr"`
				Time    float64   `xml:"time,attr"`
				Failure []outcome `xml:"failure"`
				Error   []outcome `xml:"error"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(text, &report); err != nil {
		t.Fatalf("%s %v", text, err)
	}
	if report.Tests != 4 || report.Failures != 1 || report.Errors != 1 || len(report.Suites) != 2 || report.Time <= 0 {
		t.Fatalf("%s", text)
	}
	first, second := report.Suites[0], report.Suites[1]
	if first.Name != failing || first.Tests != 3 || first.Failures != 1 || first.Errors != 0 || len(first.Cases) != 3 || second.Errors != 1 || len(second.Cases) != 1 {
		t.Errorf("%s", text)
	}
	c := first.Cases[1]
	if c.Name != "test_cases: is seen\uFFFD[31m" || c.Class != "t.case" || c.File != failing || c.Line != 14 || len(c.Failure) != 1 || len(c.Error) != 0 {
		t.Fatalf("%+v\n%s", c, text)
	}
	if f := c.Failure[0]; f.Message != "seen is true, want false" || !strings.HasPrefix(f.Text, failing+":14\nseen is true") || !strings.Contains(f.Text, "\n-   \"seen\": false\n+   \"seen\": true\n") {
		t.Errorf("%+v", f)
	}
	if broken := second.Cases[0]; len(broken.Error) != 1 || !strings.Contains(broken.Error[0].Message, "t.lua") {
		t.Errorf("%+v", broken)
	}
	o.want(exitFailed, "write the JUnit report", "lua", "test", "--junit", filepath.Join(path, "x"), failing)
}
