package lua

import (
	"cmp"
	"fmt"
	"os"
	"slices"

	"github.com/yuin/gopher-lua/ast"
)

// Finding is a place of a script that compiles, and still hardly does what its author wants.
type Finding struct {
	File    string `json:"file"` // as Lint was given it
	Line    int    `json:"line"`
	Rule    string `json:"rule"`    // one of LintRules
	Message string `json:"message"` // at most 1 KiB, with names as the script has them: not for a terminal as it is
}

// String is the finding on one line: file:line: message (rule).
func (f Finding) String() string {
	return fmt.Sprintf("%s:%d: %s (%s)", f.File, f.Line, f.Message, f.Rule)
}

// LintRule is one kind of finding.
type LintRule struct {
	Name string // as it stands in findings and in "-- lint: ignore NAME"
	Says string // what is found, on one line
}

// The names of the rules.
const (
	ruleGlobal      = "global"
	ruleUnknown     = "unknown"
	ruleUnreachable = "unreachable"
	ruleUnused      = "unused"
	ruleShadow      = "shadow"
	ruleResult      = "result"
	ruleSignature   = "signature"
	ruleDuplicate   = "duplicate"
)

// LintRules returns all rules, in the order in which docs/lua.md explains them.
func LintRules() []LintRule {
	return []LintRule{
		{ruleGlobal, "a function assigns a global, whose value is gone when the event ends"},
		{ruleUnknown, "a global, a function or a method that neither the script nor weir has"},
		{ruleUnreachable, "code that nothing leads to, and conditions that are always the same"},
		{ruleUnused, "a local variable or function that is never read"},
		{ruleShadow, "a local that hides another one of its function, or a library"},
		{ruleResult, "transform drops every event, or returns what is no document"},
		{ruleSignature, "parameters, fields of meta or settings of emit that do not exist"},
		{ruleDuplicate, "the same key twice in a table"},
	}
}

// Lint finds what is most probably a mistake in a script that compiles; it runs nothing of it. It is made to
// be right rather than to find everything. name is the file's name in findings. Findings are in the order of
// their lines; "-- lint: ignore RULE" behind a line, or on a line of its own above it, keeps them back. The
// error is a *SyntaxError.
func Lint(name string, source []byte) ([]Finding, error) {
	if _, err := compile(name, source); err != nil {
		return nil, err
	}
	// Again, because the compiler's tree is rewritten.
	chunk, err := parseScript(name, source)
	if err != nil {
		return nil, syntaxError(name, err)
	}
	known, err := sandboxNames()
	if err != nil {
		return nil, err
	}
	l := newLinter(name, known)
	l.script(chunk)
	l.judge()
	return l.sorted(ignoredRules(source)), nil
}

// LintFile is Lint for the script file path.
func LintFile(path string) ([]Finding, error) {
	source, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read script: %w", err)
	}
	return Lint(path, source)
}

// linter walks the syntax tree once and notes what it sees (lint_walk.go, lint_expr.go); what that means is
// judged afterwards, when it is known what the script defines anywhere.
type linter struct {
	file     string
	known    *inventory
	findings []Finding

	// Where the walk is.
	env       *binding  // the newest local that is visible
	fn        *function // whose code it is
	block     int       // number of the block
	blocks    int       // how many there were
	tested    map[ast.Expr]bool
	constants map[string]bool // texts of all string constants, and names of methods

	// What was seen.
	bindings   []*binding
	byName     map[string][]*binding // made when it is needed
	functions  []*function
	hidings    []hidden
	reads      []*globalRead
	writes     []*globalWrite
	members    []*memberUse
	methods    []*methodCall
	calls      []*localCall
	transforms []*function                 // what the script assigns to transform; nil for what is not seen to be a function
	defined    map[string]bool             // globals that the script assigns anywhere
	raising    map[*ast.FuncCallExpr]bool  // calls of error and assert
	returned   map[*ast.IdentExpr]*binding // locals that are returned by name
	settings   []memberUse                 // settings of emit that do not exist
	wide       bool                        // globals are defined through _G in a way that a parser cannot follow
	metatables bool
	hints      int // that were looked for
}

func newLinter(file string, known *inventory) *linter {
	return &linter{
		file: file, known: known,
		raising: map[*ast.FuncCallExpr]bool{}, returned: map[*ast.IdentExpr]*binding{},
		tested: map[ast.Expr]bool{}, constants: map[string]bool{}, defined: map[string]bool{},
	}
}

// found notes a finding. Names in its text are the script's, and may be of any length.
func (l *linter) found(line int, rule, format string, args ...any) {
	l.findings = append(l.findings, Finding{File: l.file, Line: line, Rule: rule, Message: cut(fmt.Sprintf(format, args...))})
}

// judge applies the rules that need to know the whole script.
func (l *linter) judge() {
	l.judgeReads()
	l.judgeMembers()
	l.judgeMethods()
	l.judgeWrites()
	l.judgeLocals()
	l.judgeHidings()
	l.judgeLocalCalls()
	l.judgeFlow()
	l.judgeTransform()
}

// sorted returns the findings by line, each once, without those that the script ignores.
func (l *linter) sorted(ignored map[int][]string) []Finding {
	list := slices.DeleteFunc(l.findings, func(f Finding) bool { return slices.Contains(ignored[f.Line], f.Rule) })
	slices.SortFunc(list, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Message, b.Message))
	})
	return slices.Compact(list)
}
