package lua

import (
	"github.com/yuin/gopher-lua/ast"
)

// globalRead is a place where a global is read.
type globalRead struct {
	name, member string // member is set for name.member
	line         int
	env          *binding // what was visible
	tested       bool     // only asked for: if name then
}

// globalWrite is a place where a global is assigned.
type globalWrite struct {
	name string
	line int
	env  *binding
	fn   *function
}

// memberUse is name.member of a plain name.
type memberUse struct {
	owner   string
	local   *binding // nil when owner is a global
	member  string
	line    int
	tested  bool
	written bool
}

// methodCall is receiver:name(...).
type methodCall struct {
	name    string
	line    int
	text    bool   // the receiver is a string, by its form
	library string // the receiver is this global
}

// localCall is a call of a local whose name is one of weir's: type(x), time.parse(x).
type localCall struct {
	local  *binding
	member string
	line   int
}

// libraryOf is the library that a value of a declaration stands for, "" for none.
func (l *linter) libraryOf(e ast.Expr) string {
	name, ok := e.(*ast.IdentExpr)
	if !ok {
		return ""
	}
	if b := l.find(name.Value); b != nil {
		return b.library
	}
	if l.known.isLibrary(name.Value) {
		return name.Value
	}
	return ""
}

// isData reports whether an expression gives a piece of the event that transform was given, a text or a
// number, as far as its form says.
func (l *linter) isData(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.StringExpr, *ast.NumberExpr, *ast.TrueExpr, *ast.FalseExpr, *ast.NilExpr:
		return true
	case *ast.StringConcatOpExpr, *ast.ArithmeticOpExpr, *ast.RelationalOpExpr, *ast.UnaryLenOpExpr, *ast.UnaryMinusOpExpr, *ast.UnaryNotOpExpr:
		return true
	case *ast.TableExpr:
		return len(e.Fields) == 0
	case *ast.LogicalOpExpr:
		return l.isData(e.Lhs) && l.isData(e.Rhs)
	case *ast.AttrGetExpr:
		return l.isData(e.Object)
	case *ast.IdentExpr:
		b := l.find(e.Value)
		return b != nil && b.writes == 0 && (b.data || b.kind == kindParameter && b.fn.entry && b.fn.params[0] == b)
	}
	return false
}

// mentions reports whether a name is read by the outermost parts of an expression: name, name.x, name(...), name or x.
func mentions(e ast.Expr, name string) bool {
	switch e := e.(type) {
	case *ast.IdentExpr:
		return e.Value == name
	case *ast.AttrGetExpr:
		return mentions(e.Object, name)
	case *ast.FuncCallExpr:
		return e.Func != nil && mentions(e.Func, name) || e.Receiver != nil && mentions(e.Receiver, name)
	case *ast.LogicalOpExpr:
		return mentions(e.Lhs, name) || mentions(e.Rhs, name)
	}
	return false
}

// calls reports whether an expression is name.member(...): what it gives is no library.
func calls(e ast.Expr, name string) bool {
	call, ok := e.(*ast.FuncCallExpr)
	if !ok || call.Func == nil {
		return false
	}
	f, ok := call.Func.(*ast.AttrGetExpr)
	if !ok {
		return false
	}
	owner, ok := f.Object.(*ast.IdentExpr)
	return ok && owner.Value == name
}
