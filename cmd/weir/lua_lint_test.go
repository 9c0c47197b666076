package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirlog/weir/lua"
)

const sloppyScript = "function transform(event, meta)\n  local unread = 1\n  meta.idx = event.x\n  return evnt\nend\n"

func TestLuaLint(t *testing.T) {
	o := &operator{newTestApp(t), t}
	dir := t.TempDir()
	good := writeFile(t, dir, "good.lua", "function transform(event) return event end")
	sloppy := writeFile(t, dir, "sloppy.lua", sloppyScript)
	broken := writeFile(t, dir, "broken.lua", "function transform(event)\n  return = event\nend")
	cut := writeFile(t, dir, "cut.lua", "function transform(event)")

	o.want(exitDone, "nothing found in 1 script", "lua", "lint", good)
	out := o.want(exitFailed, "5 findings in 4 scripts", "lua", "lint", good, sloppy, broken, cut)
	want := fmt.Sprintf("%[1]s:2: the local unread is never read; remove it, or begin its name with _ (unused)\n"+
		"%[1]s:3: meta has no field idx; what can be set is index, id, pipeline, routing (signature)\n"+
		"%[1]s:4: there is no evnt here; did you mean the parameter event? (unknown)\n"+
		"%[2]s:2: syntax error near \"=\" (syntax)\n%[3]s: at the end: ", sloppy, broken, cut)
	if !strings.HasPrefix(out, want) {
		t.Errorf("printed\n%swant\n%s", out, want)
	}

	found := decodeLines[lua.Finding](t, o.want(exitFailed, "", "lua", "lint", "-o", "ndjson", sloppy, broken))
	if len(found) != 4 || found[0] != (lua.Finding{File: sloppy, Line: 2, Rule: "unused", Message: found[0].Message}) || found[3].Rule != ruleSyntax {
		t.Errorf("as NDJSON: %+v", found)
	}
	if out := o.want(exitDone, "", "lua", "lint", "-o", "json", good); out != "[]\n" {
		t.Errorf("as JSON: %q", out)
	}
	o.want(exitUsage, "", "lua", "lint")
	o.want(exitFailed, "no such file", "lua", "lint", filepath.Join(dir, "nosuch.lua"))
	if out := o.want(exitFailed, "no such file", "lua", "lint", filepath.Join(dir, "nosuch.lua"), broken); !strings.Contains(out, "(syntax)") {
		t.Errorf("what cannot be read keeps back what another has: %q", out)
	}
}

func TestLuaLint_ColourOnATerminal(t *testing.T) {
	ta := newTestApp(t)
	ta.app.width = func(io.Writer) int { return 80 }
	o := &operator{ta, t}
	if out := o.want(exitFailed, "", "lua", "lint", writeScript(t, sloppyScript)); !strings.Contains(out, "("+colourYellow+"unused"+colourReset+")") {
		t.Errorf("%q", out)
	}
}

func TestLuaLint_HelpNamesTheRules(t *testing.T) {
	o := &operator{newTestApp(t), t}
	out := o.want(exitDone, "", "lua", "lint", "--help")
	for _, r := range lua.LintRules() {
		if !strings.Contains(out, "  "+r.Name+" ") {
			t.Errorf("the help lacks %s", r.Name)
		}
	}
	text, _, _ := strings.Cut(out, "Usage:")
	for line := range strings.Lines(text) {
		if len(line) > 89 {
			t.Errorf("a long line: %s", line)
		}
	}
}

func TestCheck_ShowsWhatLintFinds(t *testing.T) {
	t.Chdir(t.TempDir())
	script := writeFile(t, ".", "sloppy.lua", sloppyScript)
	ta := newTestApp(t, "WEIR_WAL_MIN_FREE_BYTES=0", "WEIR_TRANSFORM_SCRIPT="+script)
	code, lines := findings(t, ta)
	wantFinding(t, lines, "ok transform", "compiles")
	wantFinding(t, lines, "warning transform "+script+":4: there is no evnt here", "")
	if code != exitDone {
		t.Errorf("exit code %d", code)
	}

	writeFile(t, ".", "sloppy.lua", "function transform(event)\n"+strings.Repeat("event.x = nosuch\n", 13)+"return event end")
	_, lines = findings(t, ta)
	wantFinding(t, lines, "warning transform "+script+":11:", "")
	wantFinding(t, lines, "warning transform "+script+": and 3 more; weir lua lint shows all", "")
}
