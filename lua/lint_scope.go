package lua

import (
	"strings"

	"github.com/yuin/gopher-lua/ast"
)

// binding is a local name, from its declaration to the end of its block.
type binding struct {
	name    string
	line    int
	kind    bindingKind
	value   ast.Expr  // what gives it its first value; nil for none, and for parameters and loops
	outer   *binding  // the next one that is visible where this one is
	fn      *function // whose local it is
	block   int
	mates   []*binding // those that one call gives together with it, itself included
	body    *function  // the code of a local function
	library string     // the library that it stands for: local s = string
	data    bool       // it begins as a piece of an event, a text or a number: nothing that can be called

	reads  int // outside of its own body
	writes int // after its declaration
}

type bindingKind uint8

const (
	kindLocal bindingKind = iota
	kindFunction
	kindParameter
	kindLoop
)

// function is a function of the script; the main chunk is one.
type function struct {
	outer   *function // nil for the main chunk
	line    int
	params  []*binding
	stmts   []ast.Stmt
	returns []*ast.ReturnStmt // its own, not those of functions inside
	test    bool              // one of the script's tests, or inside of one
	main    bool
	ends    bool // its end can be reached
	entry   bool // it is assigned to transform where it stands
}

// within reports whether fn is f or stands inside of it.
func (f *function) within(outer *function) bool {
	for ; f != nil; f = f.outer {
		if f == outer {
			return true
		}
	}
	return false
}

// find returns the local that a name means here, nil for a global.
func (l *linter) find(name string) *binding {
	for b := l.env; b != nil; b = b.outer {
		if b.name == name {
			return b
		}
	}
	return nil
}

// declare makes a local visible.
func (l *linter) declare(b *binding) *binding {
	b.outer, b.fn, b.block = l.env, l.fn, l.block
	l.env = b
	l.bindings = append(l.bindings, b)
	return b
}

// enter begins a block; the function that it returns ends it.
func (l *linter) enter() (leave func()) {
	env, block := l.env, l.block
	l.blocks++
	l.block = l.blocks
	return func() { l.env, l.block = env, block }
}

// read notes that a local is read.
func (l *linter) read(b *binding) {
	if b.body == nil || !l.fn.within(b.body) {
		b.reads++
	}
}

// hidden is a local that a declaration hides.
type hidden struct {
	local *binding
	line  int // of the declaration
	loop  bool
	reads int // of the hidden one, up to the declaration
}

// hiddenBy lists what a declaration of names is about to hide in its own function.
func (l *linter) hiddenBy(names []string, line int, loop bool) []hidden {
	var list []hidden
	for _, name := range names {
		if b := l.find(name); b != nil && b.fn == l.fn && !strings.HasPrefix(name, "_") {
			list = append(list, hidden{b, line, loop, b.reads})
		}
	}
	return list
}

// hide notes what a declaration hides, after its values were walked. One whose values are made of what it
// hides (local x = x or 1) says that it means to. Below another local of the same block it is the name that
// is used again; but a parameter is out of reach from then on.
func (l *linter) hide(list []hidden) {
	for _, h := range list {
		if h.local.reads > h.reads {
			return
		}
	}
	for _, h := range list {
		if h.local.block != l.block || h.local.kind == kindParameter && !h.loop {
			l.hidings = append(l.hidings, h)
		}
	}
}

// judgeHidings: hiding matters where the hidden one is read again later, since that may be meant to see what
// the block has assigned; and where it is the variable of a loop around.
func (l *linter) judgeHidings() {
	for _, h := range l.hidings {
		b := h.local
		switch {
		case h.loop && b.kind == kindLoop:
			l.found(h.line, ruleShadow, "this loop hides the variable %s of the loop of line %d; take another name", b.name, b.line)
		case h.loop:
		case b.reads > h.reads:
			l.found(h.line, ruleShadow, "this hides the %s of line %d, which is read again later; leave out \"local\" to assign to it, or take another name", b, b.line)
		case b.kind == kindParameter && b.reads == 0:
			l.found(h.line, ruleShadow, "this hides the %s of line %d before anything has read it; leave out \"local\" to assign to it, or take another name", b, b.line)
		}
	}
}

// String names a local in messages.
func (b *binding) String() string {
	switch b.kind {
	case kindFunction:
		return "local function " + b.name
	case kindParameter:
		return "parameter " + b.name
	}
	return "local " + b.name
}

// judgeLocals looks for locals that are never read, and for those that hide a library which the script uses.
func (l *linter) judgeLocals() {
	used := map[string]bool{}
	for _, r := range l.reads {
		used[r.name] = true
	}
	for _, b := range l.bindings {
		l.judgeUnused(b)
		l.judgeHiddenLibrary(b, used)
	}
}

func (l *linter) judgeUnused(b *binding) {
	if b.kind == kindParameter || b.kind == kindLoop || strings.HasPrefix(b.name, "_") || b.reads > 0 {
		return
	}
	for _, mate := range b.mates {
		if mate.reads > 0 {
			return // of the values of one call only some may matter
		}
	}
	if b.kind == kindFunction && b.name == transformName && b.fn.main && len(l.transforms) == 0 {
		return // said better by the rule of the signature
	}
	what := "is never read"
	if b.kind == kindFunction {
		what = "is never called"
	}
	l.found(b.line, ruleUnused, "the %s %s; remove it, or begin its name with _", b, what)
}

func (l *linter) judgeHiddenLibrary(b *binding, used map[string]bool) {
	if b.name == stateName && b.fn.main && b.kind == kindLocal && isTable(b.value) {
		l.found(b.line, ruleShadow, "this local is not the table that weir keeps from event to event; leave out \"local\"")
		return
	}
	if (b.kind != kindLocal && b.kind != kindFunction) || b.library != "" || l.defined[b.name] || !used[b.name] || !l.known.isLibrary(b.name) {
		return
	}
	if mentions(b.value, b.name) {
		return
	}
	l.found(b.line, ruleShadow, "the %s hides the library %s, which the script uses too; take another name", b, b.name)
}

func isTable(e ast.Expr) bool {
	_, ok := e.(*ast.TableExpr)
	return ok
}
