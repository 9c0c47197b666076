package lua

import (
	"github.com/yuin/gopher-lua/ast"
)

func (l *linter) exprs(list []ast.Expr) {
	for _, e := range list {
		l.expr(e)
	}
}

func (l *linter) expr(e ast.Expr) {
	switch e := e.(type) {
	case *ast.IdentExpr:
		l.name(e)
	case *ast.StringExpr:
		l.constants[e.Value] = true
	case *ast.AttrGetExpr:
		l.field(e)
	case *ast.TableExpr:
		l.table(e)
	case *ast.FuncCallExpr:
		l.call(e)
	case *ast.LogicalOpExpr:
		l.test(e.Lhs)
		l.expr(e.Lhs)
		l.expr(e.Rhs)
	case *ast.RelationalOpExpr:
		l.compare(e)
	case *ast.StringConcatOpExpr:
		l.expr(e.Lhs)
		l.expr(e.Rhs)
	case *ast.ArithmeticOpExpr:
		l.expr(e.Lhs)
		l.expr(e.Rhs)
	case *ast.UnaryMinusOpExpr:
		l.expr(e.Expr)
	case *ast.UnaryLenOpExpr:
		l.expr(e.Expr)
	case *ast.UnaryNotOpExpr:
		l.test(e.Expr)
		l.expr(e.Expr)
	case *ast.FunctionExpr:
		l.function(e, "", nil)
	}
}

// compare walks a comparison; one with nil asks whether something is there.
func (l *linter) compare(e *ast.RelationalOpExpr) {
	if isNil(e.Rhs) {
		l.test(e.Lhs)
	}
	if isNil(e.Lhs) {
		l.test(e.Rhs)
	}
	l.expr(e.Lhs)
	l.expr(e.Rhs)
}

func isNil(e ast.Expr) bool {
	_, ok := e.(*ast.NilExpr)
	return ok
}

// test marks names that an expression only asks for. That they do not exist is what the script may want to know.
func (l *linter) test(e ast.Expr) {
	if l.tested[e] {
		return // a long chain of operators is marked once, not by each of them
	}
	switch e := e.(type) {
	case *ast.IdentExpr, *ast.AttrGetExpr:
		l.tested[e] = true
	case *ast.LogicalOpExpr:
		l.tested[e] = true
		l.test(e.Lhs)
		l.test(e.Rhs)
	}
}

func (l *linter) name(e *ast.IdentExpr) {
	if b := l.find(e.Value); b != nil {
		l.read(b)
		return
	}
	if e.Value == globalsName {
		l.wide = true
		return
	}
	l.reads = append(l.reads, &globalRead{name: e.Value, line: e.Line(), env: l.env, tested: l.tested[e]})
}

func (l *linter) field(e *ast.AttrGetExpr) {
	owner, plain := e.Object.(*ast.IdentExpr)
	key, constant := e.Key.(*ast.StringExpr)
	if !plain || !constant {
		l.expr(e.Object)
		l.expr(e.Key)
		return
	}
	l.constants[key.Value] = true
	if owner.Value == globalsName && l.find(globalsName) == nil {
		if key.Value == emitName || key.Value == transformName {
			l.wide = true
		}
		return
	}
	l.useMember(owner, key, key.Line()).tested = l.tested[e]
}

// useMember notes owner.key, and that owner is read.
func (l *linter) useMember(owner *ast.IdentExpr, key *ast.StringExpr, line int) *memberUse {
	use := &memberUse{owner: owner.Value, local: l.find(owner.Value), member: key.Value, line: line}
	l.members = append(l.members, use)
	if use.local != nil {
		l.read(use.local)
	} else {
		l.reads = append(l.reads, &globalRead{name: owner.Value, member: key.Value, line: line, env: l.env, tested: l.tested[owner]})
	}
	return use
}

// call walks a call, and looks at those that tell something about globals.
func (l *linter) call(e *ast.FuncCallExpr) {
	if e.Method != "" {
		l.method(e)
		return
	}
	if name, ok := e.Func.(*ast.IdentExpr); ok && l.find(name.Value) == nil {
		if l.callGlobal(name.Value, e) {
			return
		}
	}
	l.noteLocalCall(e)
	l.expr(e.Func)
	l.exprs(e.Args)
}

// callGlobal looks at a call of a global. It reports whether it has walked the call.
func (l *linter) callGlobal(name string, e *ast.FuncCallExpr) bool {
	switch name {
	case "type":
		for _, arg := range e.Args {
			l.test(arg)
		}
	case "error", "assert":
		l.raising[e] = true
	case "setmetatable":
		l.metatables = true
	case "rawget", "rawset":
		return l.rawGlobal(name, e)
	case emitName:
		l.judgeSettings(e)
	}
	return false
}

// rawGlobal walks rawget(_G, "name") and rawset(_G, "name", value), which say what they mean.
func (l *linter) rawGlobal(name string, e *ast.FuncCallExpr) bool {
	if len(e.Args) < 2 || l.find(globalsName) != nil {
		return false
	}
	target, ok1 := e.Args[0].(*ast.IdentExpr)
	key, ok2 := e.Args[1].(*ast.StringExpr)
	if !ok1 || !ok2 || target.Value != globalsName {
		return false
	}
	if name == "rawset" {
		l.defined[key.Value] = true
	}
	l.exprs(e.Args[2:])
	return true
}

func (l *linter) method(e *ast.FuncCallExpr) {
	call := &methodCall{name: e.Method, line: e.Line()}
	switch receiver := e.Receiver.(type) {
	case *ast.StringExpr, *ast.StringConcatOpExpr:
		call.text = true
	case *ast.IdentExpr:
		if l.find(receiver.Value) == nil {
			call.library = receiver.Value
		}
	}
	l.methods = append(l.methods, call)
	l.expr(e.Receiver)
	l.exprs(e.Args)
}

// noteLocalCall notes calls of what may be weir's function hidden by a local.
func (l *linter) noteLocalCall(e *ast.FuncCallExpr) {
	switch f := e.Func.(type) {
	case *ast.IdentExpr:
		if b := l.find(f.Value); b != nil && l.known.has(f.Value) {
			l.calls = append(l.calls, &localCall{local: b, line: e.Line()})
		}
	case *ast.AttrGetExpr:
		owner, ok1 := f.Object.(*ast.IdentExpr)
		key, ok2 := f.Key.(*ast.StringExpr)
		if !ok1 || !ok2 {
			return
		}
		if b := l.find(owner.Value); b != nil && l.known.members(owner.Value)[key.Value] {
			l.calls = append(l.calls, &localCall{local: b, member: key.Value, line: key.Line()})
		}
	}
}
