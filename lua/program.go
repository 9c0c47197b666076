package lua

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	glua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/parse"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/wal"
)

// program is a compiled script. It is shared by all its states and never changes, but for what bounds
// the lines that they log.
type program struct {
	name    string // of the file, without directories, as it stands in messages
	version string
	proto   *glua.FunctionProto
	line    int // where transform is defined
	log     *scriptLog
}

// versionOf names a script: the first 12 hexadecimal digits of its SHA-256.
func versionOf(source []byte) string {
	sum := sha256.Sum256(source)
	return hex.EncodeToString(sum[:])[:12]
}

func compile(name string, source []byte) (prog *program, err error) {
	prog = &program{name: filepath.Base(name), version: versionOf(source), log: newScriptLog()}
	defer func() {
		// The compiler of gopher-lua panics for some faults that its parser lets pass.
		if r := recover(); r != nil {
			prog, err = nil, &SyntaxError{File: filepath.Base(name), Message: fmt.Sprint(r)}
		}
	}()
	chunk, err := parse.Parse(strings.NewReader(string(source)), prog.name)
	if err != nil {
		return nil, syntaxError(prog.name, err)
	}
	prog.proto, err = glua.Compile(rewrite(chunk), prog.name)
	if err != nil {
		return nil, syntaxError(prog.name, err)
	}
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
	prog *program
	opts Options
	w    *worker
}

// Compile compiles source, runs its main chunk and makes sure that it defines transform. name is the
// file's name in messages. It does not run the script's tests; RunTests does.
func Compile(name string, source []byte, opts Options) (*Script, error) {
	s := &Script{opts: opts.withDefaults()}
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
	source, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read script: %w", err)
	}
	return Compile(path, source, opts)
}

// Check says what is wrong with the script file path, its own tests included; nil when it would be
// accepted.
func Check(path string, opts Options) error {
	s, err := Load(path, opts)
	if err != nil {
		return err
	}
	return s.SelfTest()
}

// Version names the script.
func (s *Script) Version() string { return s.prog.version }

// Usage is what one event used of its limits.
type Usage struct {
	Memory int64 // bytes allocated in Lua
}

// Transform runs the script over one record. Sources of the documents stay valid for as long as they are
// referred to. The error is a *flush.TransformError.
func (s *Script) Transform(rec *wal.Record) ([]flush.Document, Usage, error) {
	docs, usable, err := s.w.run(rec)
	usage := Usage{Memory: s.w.budget.memory}
	if !usable {
		w, remakeErr := newWorker(s.prog, &s.opts)
		if remakeErr != nil {
			return nil, usage, remakeErr
		}
		w.state = s.w.state
		s.w = w
	}
	return docs, usage, err
}
