package lua

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	glua "github.com/yuin/gopher-lua"
)

// manual is where the scripts of testdata are shown.
const manual = "../docs/lua.md"

// luaBlock is one fenced block of Lua in a document.
type luaBlock struct {
	file string
	line int // of its first line of Lua
	text string
}

// name is how the block is called in messages: the document with the line before the block.
func (b luaBlock) name() string { return fmt.Sprintf("%s:%d", filepath.Base(b.file), b.line) }

// documentBlocks cuts the blocks out of a document.
func documentBlocks(t *testing.T, path string) []luaBlock {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var blocks []luaBlock
	var open *luaBlock
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		fence := strings.TrimSpace(line)
		switch {
		case open == nil && fence == "```lua":
			open = &luaBlock{file: path, line: n + 1}
		case open != nil && fence == "```":
			blocks = append(blocks, *open)
			open = nil
		case open != nil:
			open.text += line
		}
	}
	if open != nil {
		t.Fatalf("%s: the block is not closed", open.name())
	}
	return blocks
}

// TestDocs_BlocksRun runs every block of Lua in the documents, so that none can rot.
func TestDocs_BlocksRun(t *testing.T) {
	paths, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	contract, err := os.ReadFile("testdata/contract.lua")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, path := range append(paths, "../README.md") {
		for _, b := range documentBlocks(t, path) {
			found++
			t.Run(b.name(), func(t *testing.T) { runBlock(t, b, string(contract)) })
		}
	}
	if found < 20 {
		t.Fatalf("only %d blocks of Lua in %v", found, paths)
	}
}

// sampleEvent is an event that every script of the documents must get along with.
const sampleEvent = `{"message":"10.1.2.3 \"GET / HTTP/1.1\" 200","context":{},"level":200,"channel":"app","datetime":"2026-01-02T03:04:05+00:00"}`

var usesEvent = regexp.MustCompile(`\b(event|meta)\b`)

// runBlock runs a block as what it is: a whole script, tests of the script of the contract, lines of a transform,
// or assertions.
func runBlock(t *testing.T, b luaBlock, contract string) {
	source, lines := b.text, b.line
	switch {
	case strings.HasPrefix(source, fileMark):
		return // TestGolden runs the file
	case strings.Contains(source, "function transform("):
	case strings.Contains(source, "function test_"), strings.Contains(source, "\ntest_"), strings.HasPrefix(source, "test_"):
		source, lines = contract+"\n"+source, 0
	case usesEvent.MatchString(source):
		source = "function transform(event, meta) " + source + "\nreturn event end"
	default:
		source = "function transform(event) return event end function test_doc() " + source + "\nend"
	}
	s, err := Compile("block.lua", []byte(source), Options{})
	if err != nil {
		t.Fatalf("%v (the block begins in line %d)", err, lines)
	}
	passTests(t, s)
	if _, _, err := s.Transform(record(sampleEvent)); err != nil {
		t.Errorf("%v (the block begins in line %d)", err, lines)
	}
}

// fileMark begins a block that shows a whole file of testdata: "-- lua/testdata/NAME.lua".
const fileMark = "-- lua/testdata/"

var fileBlock = regexp.MustCompile("(?ms)^```lua\n-- (lua/testdata/[a-z_]+\\.lua)\n(.*?)^```$")

// TestDocs_ShowTheFiles compares the recipes of the manual with the files that they are; -update copies them anew.
func TestDocs_ShowTheFiles(t *testing.T) {
	text, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	shown := 0
	renewed := fileBlock.ReplaceAllFunc(text, func(block []byte) []byte {
		shown++
		m := fileBlock.FindSubmatch(block)
		file, err := os.ReadFile("../" + string(m[1]))
		if err != nil {
			t.Fatal(err)
		}
		if !*update && !bytes.Equal(m[2], file) {
			t.Errorf("%s is shown as it was:\n%s", m[1], firstDifference(string(m[2]), string(file)))
		}
		return fmt.Appendf(nil, "```lua\n-- %s\n%s```", m[1], file)
	})
	if shown < 5 {
		t.Errorf("%s shows only %d files", manual, shown)
	}
	if *update {
		if err := os.WriteFile(manual, renewed, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// firstDifference shows the first lines that differ.
func firstDifference(got, want string) string {
	a, b := strings.SplitAfter(got, "\n"), strings.SplitAfter(want, "\n")
	for i := 0; i < max(len(a), len(b)); i++ {
		x, y := "(ended)\n", "(ended)\n"
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if x != y {
			return fmt.Sprintf("line %d\ndocument %sfile     %s", i+1, x, y)
		}
	}
	return "none"
}

// passTests runs the script's own tests and says how many there are.
func passTests(t *testing.T, s *Script) int {
	t.Helper()
	results, err := s.RunTests(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if !r.Passed() {
			t.Errorf("%s: %s", r.Name, r.Message)
		}
	}
	return len(results)
}

// TestDocs_ShowEveryScript makes sure that a script of testdata stands in the manual, whole. Of the contract's the
// manual has the function, and names the file for its tests.
func TestDocs_ShowEveryScript(t *testing.T) {
	text, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	scripts, err := filepath.Glob("testdata/*.lua")
	if err != nil || len(scripts) == 0 {
		t.Fatal(scripts, err)
	}
	for _, path := range scripts {
		name := "lua/" + filepath.ToSlash(path)
		shown := "```lua\n-- " + name + "\n"
		if name == "lua/testdata/contract.lua" {
			shown = name
		}
		if !bytes.Contains(text, []byte(shown)) {
			t.Errorf("%s does not show %s", manual, name)
		}
	}
}

// luaOwn are the libraries that any book about Lua explains; the manual names their functions. Of every other
// one it has an example.
var luaOwn = map[string]bool{"string": true, "table": true, "math": true, "coroutine": true}

// TestDocs_NameEveryFunction makes sure that what a script can call stands in the manual.
func TestDocs_NameEveryFunction(t *testing.T) {
	text, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	var examples strings.Builder
	for _, b := range documentBlocks(t, manual) {
		examples.WriteString(b.text)
	}
	s := mustCompile(t, "function transform(event) return event end")
	for k, v := s.w.base.Next(glua.LNil); k != glua.LNil; k, v = s.w.base.Next(k) {
		name := k.String()
		if name == "transform" || name == "_G" {
			continue
		}
		if !contains(string(text), name) {
			t.Errorf("%s does not name %s", manual, name)
		}
		for _, fn := range functionsOf(s, v) {
			full := name + "." + fn
			switch {
			case luaOwn[name] && !contains(string(text), fn):
				t.Errorf("%s does not name %s", manual, full)
			case !luaOwn[name] && !strings.Contains(examples.String(), full+"("):
				t.Errorf("no example of %s calls %s", manual, full)
			}
		}
	}
}

// contains reports whether a text holds a word.
func contains(text, word string) bool {
	return regexp.MustCompile(`\b` + regexp.QuoteMeta(word) + `\b`).MatchString(text)
}

// functionsOf are the names of the functions of a library; none for anything else.
func functionsOf(s *Script, library glua.LValue) []string {
	front, ok := library.(*glua.LTable)
	if !ok || front.Metatable == nil {
		return nil
	}
	lib, ok := s.w.L.GetField(front.Metatable, "__index").(*glua.LTable)
	if !ok {
		return nil
	}
	var names []string
	for k, v := lib.Next(glua.LNil); k != glua.LNil; k, v = lib.Next(k) {
		if v.Type() == glua.LTFunction {
			names = append(names, k.String())
		}
	}
	return names
}

// TestDocs_ExactNumbers evaluates the manual's table of operations on an integer beyond 2^53.
func TestDocs_ExactNumbers(t *testing.T) {
	text, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "| operation | result | |\n")
	rows := 0
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 {
			break
		}
		operation, result := strings.Trim(cells[1], " `"), strings.Trim(cells[2], " `")
		if strings.HasPrefix(operation, "---") {
			continue
		}
		rows++
		check := fmt.Sprintf("local got, want = %s, %s assert(got == want and type(got) == type(want), tostring(got))", operation, result)
		if result == "an error" {
			check = fmt.Sprintf("assert(not pcall(function() return %s end))", operation)
		}
		s := mustCompile(t, "function transform(event) local id = event.id "+check+" return event end")
		if _, _, err := s.Transform(record(`{"id":9007199254740993}`)); err != nil {
			t.Errorf("%s is not %s: %v", operation, result, err)
		}
	}
	if rows < 15 {
		t.Errorf("only %d rows", rows)
	}
}

// TestDocs_ContentsAreComplete compares the list at the top of the manual with its headings.
func TestDocs_ContentsAreComplete(t *testing.T) {
	text, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	_, contents, _ := strings.Cut(string(text), "**Contents**")
	contents, _, _ = strings.Cut(contents, "\n\n")
	var want []string
	for _, m := range regexp.MustCompile(`(?m)^## (.*)$`).FindAllStringSubmatch(string(text), -1) {
		want = append(want, m[1])
	}
	var got []string
	for _, m := range regexp.MustCompile(`\[([^\]]+)\]`).FindAllStringSubmatch(contents, -1) {
		got = append(got, m[1])
	}
	for i := 0; i < max(len(got), len(want)); i++ {
		if i >= len(got) || i >= len(want) || !strings.HasPrefix(want[i], got[i]) {
			t.Fatalf("contents %q\nheadings %q", got, want)
		}
	}
}
