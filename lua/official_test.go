package lua

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	glua "github.com/yuin/gopher-lua"
)

// suiteDir is the test suite of Lua 5.1, which comes with the module of gopher-lua. The path in the debug
// information of gopher-lua leads there; a binary that was built without paths has to ask the go command.
func suiteDir(t *testing.T) string {
	t.Helper()
	file, _ := runtime.FuncForPC(reflect.ValueOf(glua.NewState).Pointer()).FileLine(0)
	dir := filepath.Join(filepath.Dir(file), "_lua5.1-tests")
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/yuin/gopher-lua").Output()
	dir = filepath.Join(string(bytes.TrimSpace(out)), "_lua5.1-tests")
	if _, statErr := os.Stat(dir); err != nil || statErr != nil {
		t.Fatalf("the suite was not found in the module gopher-lua (run go mod download): %v, %v", err, statErr)
	}
	return dir
}

// TestOfficialSuite runs files of Lua's own test suite in our sandbox: compiled, rewritten and with the
// library that scripts have. suiteEdits says what of them is left out or written differently, and why. The
// number of assertions that held is part of the table, so that none is lost without notice.
func TestOfficialSuite(t *testing.T) {
	dir := suiteDir(t)
	for _, tc := range []struct {
		file       string
		assertions int
	}{
		{"pm", 150}, {"strings", 142}, {"sort", 150030}, {"nextvar", 9333}, {"vararg", 61}, {"errors", 29}, {"events", 174},
		{"calls", 62}, {"closure", 99}, {"constructs", 41008}, {"locals", 1270}, {"math", 99}, {"literals", 292},
	} {
		t.Run(tc.file, func(t *testing.T) {
			source, err := os.ReadFile(filepath.Join(dir, tc.file+".lua"))
			if err != nil {
				t.Fatal(err)
			}
			s := newSuite(t)
			if err := s.run(tc.file+".lua", edited(t, tc.file, source)); err != nil {
				t.Error(err)
			}
			if s.assertions != tc.assertions {
				t.Errorf("%d assertions held, not %d", s.assertions, tc.assertions)
			}
		})
	}
}

// suite is a state with limits that the suite does not reach. What the sandbox lacks and the suite needs only
// as a tool has a stand-in: loadstring, collectgarbage, os.clock, debug.setmetatable.
type suite struct {
	w          *worker
	assertions int
}

func newSuite(t *testing.T) *suite {
	t.Helper()
	script, err := Compile("suite.lua", []byte("function transform() end"), Options{Timeout: time.Minute, MaxMemory: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	s := &suite{w: script.w}
	for name, fn := range map[string]glua.LGFunction{
		"assert": s.assert, "loadstring": s.loadstring,
		"collectgarbage": func(L *glua.LState) int { return 0 },
	} {
		s.w.base.RawSetString(name, s.w.L.NewFunction(fn))
	}
	s.library("os", "clock", func(L *glua.LState) int {
		L.Push(glua.LNumber(threadTime().Seconds()))
		return 1
	})
	s.library("debug", "setmetatable", func(L *glua.LState) int {
		L.SetMetatable(L.Get(1), L.Get(2))
		return 0
	})
	return s
}

// library defines a table with one function.
func (s *suite) library(name, function string, fn glua.LGFunction) {
	t := s.w.L.NewTable()
	t.RawSetString(function, s.w.L.NewFunction(fn))
	s.w.base.RawSetString(name, t)
}

// assert counts those that hold.
func (s *suite) assert(L *glua.LState) int {
	n := s.w.assert(L)
	s.assertions++
	return n
}

// loadstring compiles as scripts are compiled. The text becomes the body of a function.
func (s *suite) loadstring(L *glua.LState) int {
	prog, err := compile(L.OptString(2, "string"), []byte("return function(...) "+L.CheckString(1)+"\nend"))
	if err != nil {
		L.Push(glua.LNil)
		L.Push(glua.LString(err.Error()))
		return 2
	}
	main := s.w.L.NewFunctionFromProto(prog.proto)
	main.Env = s.w.live
	L.Push(main)
	hooks := s.w.hooks()
	for _, h := range hooks {
		L.Push(h)
	}
	L.Call(len(hooks), 1)
	return 1
}

// run runs source as a script is loaded.
func (s *suite) run(name string, source []byte) error {
	prog, err := compile(name, source)
	if err != nil {
		return err
	}
	s.w.loading = true
	s.w.loosen()
	main := s.w.L.NewFunctionFromProto(prog.proto)
	main.Env = s.w.live
	return s.w.call(main, 0, s.w.hooks()...)
}

// edited applies the edits of a file. Lines stay where they are.
func edited(t *testing.T, file string, source []byte) []byte {
	t.Helper()
	lines := strings.Split(string(source), "\n")
	for _, e := range suiteEdits {
		if e.file != file {
			continue
		}
		if e.to == 0 {
			e.to = e.from
		}
		if e.why == "" || e.to > len(lines) || !strings.HasPrefix(strings.TrimSpace(lines[e.from-1]), e.begins) {
			t.Fatalf("%s.lua:%d does not begin with %q, or the edit has no reason: look at suiteEdits", file, e.from, e.begins)
		}
		for i := e.from - 1; i < e.to; i++ {
			lines[i] = e.apply(lines[i])
		}
	}
	return []byte(strings.Join(lines, "\n"))
}

// suiteEdit changes lines of a file of the suite. Without more they are left out.
type suiteEdit struct {
	file     string
	from, to int    // lines; to is 0 for one line
	begins   string // how the first line begins
	why      string // required
	uncover  bool   // the lines are comments in gopher-lua's copy, because its own library fails on them: run them
	old, new string // replace old by new
}

func (e suiteEdit) apply(line string) string {
	switch {
	case e.uncover:
		return strings.TrimPrefix(strings.TrimPrefix(line, "--"), " ")
	case e.old != "":
		return strings.Replace(line, e.old, e.new, 1)
	default:
		return ""
	}
}
