package lua

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	glua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/ast"
	"github.com/yuin/gopher-lua/parse"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/wal"
)

// program is a compiled script. It is shared by all its states and never changes, except for what it keeps
// of the patterns that the script used, and what bounds the lines that it logs.
type program struct {
	name    string // of the file, without directories, as it stands in messages
	version string
	proto   *glua.FunctionProto
	line    int // where transform is defined
	tables  map[string]tableLines

	subjects subjects // for messages

	compiled *compiled  // safe for concurrent use
	log      *scriptLog // likewise
}

// versionOf names a script: the first 12 hexadecimal digits of its SHA-256.
func versionOf(source []byte) string {
	sum := sha256.Sum256(source)
	return hex.EncodeToString(sum[:])[:12]
}

func compile(name string, source []byte) (prog *program, err error) {
	prog = &program{name: filepath.Base(name), version: versionOf(source), compiled: newCompiled(), log: newScriptLog()}
	defer func() {
		// The compiler of gopher-lua panics for some faults that its parser lets pass.
		switch r := recover().(type) {
		case nil:
		case *SyntaxError: // of the rewriter
			r.File = filepath.Base(name)
			prog, err = nil, r
		default:
			prog, err = nil, &SyntaxError{File: filepath.Base(name), Message: fmt.Sprint(r)}
		}
	}()
	chunk, err := parseScript(prog.name, source)
	if err != nil {
		return nil, syntaxError(prog.name, err)
	}
	prog.tables = caseLines(chunk)
	chunk, prog.subjects = rewrite(chunk)
	prog.proto, err = glua.Compile(chunk, prog.name)
	if err != nil {
		return nil, syntaxError(prog.name, err)
	}
	plainCalls(prog.proto)
	return prog, nil
}

func syntaxError(name string, err error) error {
	var p *parse.Error
	if errors.As(err, &p) {
		e := &SyntaxError{File: name, Line: p.Pos.Line, Message: strings.TrimSpace(p.Message)}
		if p.Pos.Line == parse.EOF {
			e.Line = 0
		} else if p.Token != "" {
			e.Message += fmt.Sprintf(" near %q", p.Token)
		}
		return e
	}
	var c *glua.CompileError
	if errors.As(err, &c) {
		return &SyntaxError{File: name, Line: c.Line, Message: c.Message}
	}
	return &SyntaxError{File: name, Message: err.Error()}
}

// Script is one compiled script outside of any log, for commands: it has one state, and is not for
// concurrent use.
type Script struct {
	prog     *program
	opts     Options
	w        *worker
	golden   string        // path of its golden events, which need not be there; "" for a script without a file
	testTime time.Duration // of all tests together
}

// Compile compiles source, runs its main chunk and makes sure that it defines transform. name is the
// file's name in messages; no file is read. It does not run the script's tests; RunTests does.
func Compile(name string, source []byte, opts Options) (*Script, error) {
	s := &Script{opts: opts.withDefaults(), testTime: maxTestTime}
	var err error
	if s.prog, err = compile(name, source); err != nil {
		return nil, err
	}
	if s.w, err = newWorker(s.prog, &s.opts); err != nil {
		return nil, fmt.Errorf("load %s: %w", s.prog.name, err)
	}
	if s.w.transform == nil {
		return nil, fmt.Errorf("%s: %w", s.prog.name, ErrNoTransform)
	}
	s.prog.line = s.w.transform.Proto.LineDefined
	return s, nil
}

// Load reads and compiles the file path.
func Load(path string, opts Options) (*Script, error) {
	source, err := readScript(path)
	if err != nil {
		return nil, err
	}
	return compileFile(path, source, opts)
}

// compileFile is Compile for the content of a file, beside which its golden events may stand.
func compileFile(path string, source []byte, opts Options) (*Script, error) {
	s, err := Compile(path, source, opts)
	if err == nil {
		s.golden = GoldenPath(path)
	}
	return s, err
}

// parseScript reads the syntax tree of a script. A byte order mark, which editors leave in front, is skipped, and so is
// a first line that begins with "#", which tells a shell what to start.
func parseScript(name string, source []byte) ([]ast.Stmt, error) {
	text := strings.TrimPrefix(string(source), "\ufeff")
	if rest, ok := strings.CutPrefix(text, "#"); ok {
		text = "--" + rest // lines keep their numbers
	}
	return parse.Parse(strings.NewReader(text), name)
}

// Check says what is wrong with the script file path, its own tests included; nil when it would be
// accepted. It ends between two tests when ctx does.
func Check(ctx context.Context, path string, opts Options) error {
	source, err := readScriptFile(path)
	if err != nil {
		return err
	}
	s, err := compileFile(path, source, opts)
	if err != nil {
		return err
	}
	return s.SelfTest(ctx)
}

// Version names the script.
func (s *Script) Version() string { return s.prog.version }

// Usage is what one event used of its limits.
type Usage struct {
	Memory int64         // bytes allocated in Lua
	Time   time.Duration // by the clock of the limit, see UsageTime; 0 where it was not measured
}

// UsageTime names the clock of Usage.Time.
const UsageTime = timeKind

// Transform runs the script over one record. Sources of the documents stay valid for as long as they are
// referred to. The error is a *flush.TransformError.
func (s *Script) Transform(rec *wal.Record) ([]flush.Document, Usage, error) {
	docs, usable, err := s.w.run(rec)
	return s.ran(docs, usable, err)
}

// Measured is Transform with the time that it took, which costs two looks at the clock.
func (s *Script) Measured(rec *wal.Record) ([]flush.Document, Usage, error) {
	runtime.LockOSThread() // the clock is the thread's
	begin := threadTime()
	docs, usable, err := s.w.run(rec)
	took := threadTime() - begin
	runtime.UnlockOSThread()
	docs, usage, err := s.ran(docs, usable, err)
	usage.Time = took
	return docs, usage, err
}

// ran ends an event: a state that cannot be used again is replaced.
func (s *Script) ran(docs []flush.Document, usable bool, err error) ([]flush.Document, Usage, error) {
	usage := Usage{Memory: s.w.budget.memory}
	if !usable {
		kept := s.w.state
		if renewErr := s.renew(); renewErr != nil {
			return nil, usage, renewErr
		}
		s.w.state = kept
	}
	return docs, usage, err
}
