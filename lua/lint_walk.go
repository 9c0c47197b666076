package lua

import (
	"strings"

	"github.com/yuin/gopher-lua/ast"
)

// script walks the main chunk.
func (l *linter) script(chunk []ast.Stmt) {
	l.fn = &function{main: true, line: 1, stmts: chunk}
	l.functions = append(l.functions, l.fn)
	l.stmts(chunk)
}

func (l *linter) stmts(list []ast.Stmt) {
	for _, s := range list {
		l.stmt(s)
	}
}

// scope walks the statements of a block of its own.
func (l *linter) scope(list []ast.Stmt) {
	leave := l.enter()
	l.stmts(list)
	leave()
}

func (l *linter) stmt(s ast.Stmt) {
	switch s := s.(type) {
	case *ast.AssignStmt:
		l.assign(s)
	case *ast.LocalAssignStmt:
		l.local(s)
	case *ast.FuncCallStmt:
		l.expr(s.Expr)
	case *ast.DoBlockStmt:
		l.scope(s.Stmts)
	case *ast.WhileStmt:
		l.condition(s.Condition, isLiteral(s.Condition))
		l.scope(s.Stmts)
	case *ast.RepeatStmt:
		leave := l.enter() // the condition sees the locals of the body
		l.stmts(s.Stmts)
		l.condition(s.Condition, isLiteral(s.Condition))
		leave()
	case *ast.IfStmt:
		l.condition(s.Condition, false)
		l.scope(s.Then)
		l.scope(s.Else)
	case *ast.NumberForStmt:
		l.numberFor(s)
	case *ast.GenericForStmt:
		l.genericFor(s)
	case *ast.FuncDefStmt:
		l.define(s)
	case *ast.ReturnStmt:
		l.fn.returns = append(l.fn.returns, s)
		for _, e := range s.Exprs {
			if name, ok := e.(*ast.IdentExpr); ok {
				l.returned[name] = l.find(name.Value)
			}
		}
		l.exprs(s.Exprs)
	}
}

// local walks a declaration. The parser makes the same of "local function f" and "local f = function", and
// in both gopher-lua lets the function see its own name.
func (l *linter) local(s *ast.LocalAssignStmt) {
	names := s.Names
	hides := l.hiddenBy(names, s.Line(), false)
	if isLocalFunction(s) {
		b := l.declare(&binding{name: names[0], line: s.Line(), kind: kindFunction, value: s.Exprs[0]})
		l.hide(hides)
		l.function(s.Exprs[0].(*ast.FunctionExpr), "", &b.body)
		return
	}
	l.exprs(s.Exprs)
	l.hide(hides)
	made := make([]*binding, len(names))
	for i, name := range names {
		made[i] = &binding{name: name, line: s.Line()}
		if n := len(s.Exprs); n > 0 {
			l.begin(made[i], s.Exprs[min(i, n-1)], i < n)
		}
	}
	for _, b := range made {
		l.declare(b)
	}
	if n := len(s.Exprs); n > 0 && n < len(names) && isMany(s.Exprs[n-1]) {
		for _, b := range made[n-1:] {
			b.mates = made[n-1:]
		}
	}
}

// begin notes what a new local begins with; first says that it gets the first value of the expression.
func (l *linter) begin(b *binding, value ast.Expr, first bool) {
	b.value = value
	if first {
		b.library, b.data = l.libraryOf(value), l.isData(value)
	}
}

func (l *linter) numberFor(s *ast.NumberForStmt) {
	hides := l.hiddenBy([]string{s.Name}, s.Line(), true)
	l.expr(s.Init)
	l.expr(s.Limit)
	if s.Step != nil {
		l.expr(s.Step)
	}
	l.loop(hides, []string{s.Name}, s.Line(), s.Stmts)
}

func (l *linter) genericFor(s *ast.GenericForStmt) {
	hides := l.hiddenBy(s.Names, s.Line(), true)
	l.exprs(s.Exprs)
	l.loop(hides, s.Names, s.Line(), s.Stmts)
}

func (l *linter) loop(hides []hidden, names []string, line int, body []ast.Stmt) {
	leave := l.enter()
	l.hide(hides)
	for _, name := range names {
		l.declare(&binding{name: name, line: line, kind: kindLoop})
	}
	l.stmts(body)
	leave()
}

// function walks the code of a function expression. name is the global that it is assigned to, if any; self
// receives the function before its code is walked.
func (l *linter) function(f *ast.FunctionExpr, name string, self **function) *function {
	fn := &function{outer: l.fn, line: f.Line(), stmts: f.Stmts}
	fn.test = l.fn.test || l.fn.main && strings.HasPrefix(name, testPrefix)
	fn.entry = l.fn.main && name == transformName
	if self != nil {
		*self = fn
	}
	l.functions = append(l.functions, fn)
	outer := l.fn
	leave := l.enter()
	l.fn = fn
	for _, p := range f.ParList.Names {
		fn.params = append(fn.params, l.declare(&binding{name: p, line: f.Line(), kind: kindParameter}))
	}
	l.stmts(f.Stmts)
	l.fn = outer
	leave()
	return fn
}

// define walks "function name() end", also with fields and methods.
func (l *linter) define(s *ast.FuncDefStmt) {
	if s.Name.Func == nil {
		l.constants[s.Name.Method] = true
		l.assignField(s.Name.Receiver, &ast.StringExpr{Value: s.Name.Method}, s.Line())
		leave := l.enter()
		if !hasName(s.Func.ParList.Names, "self") {
			l.declare(&binding{name: "self", line: s.Line(), kind: kindParameter})
		}
		l.function(s.Func, "", nil)
		leave()
		return
	}
	if field, ok := s.Name.Func.(*ast.AttrGetExpr); ok {
		l.assignField(field.Object, field.Key, s.Line())
		l.function(s.Func, "", nil)
		return
	}
	name := s.Name.Func.(*ast.IdentExpr)
	b := l.find(name.Value)
	if b != nil {
		b.writes++
		l.function(s.Func, "", nil)
		return
	}
	l.writeGlobal(name.Value, s.Line())
	fn := l.function(s.Func, name.Value, nil)
	if name.Value == transformName {
		l.transforms = append(l.transforms, fn)
	}
}

func hasName(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}

// assign walks an assignment: its values first, as Lua does.
func (l *linter) assign(s *ast.AssignStmt) {
	functions := make([]*function, len(s.Rhs))
	for i, value := range s.Rhs {
		f, ok := value.(*ast.FunctionExpr)
		if !ok {
			l.expr(value)
			continue
		}
		name := ""
		if i < len(s.Lhs) {
			if target, ok := s.Lhs[i].(*ast.IdentExpr); ok && l.find(target.Value) == nil {
				name = target.Value
			}
		}
		functions[i] = l.function(f, name, nil)
	}
	for i, target := range s.Lhs {
		var value ast.Expr
		var fn *function
		if i < len(s.Rhs) {
			value, fn = s.Rhs[i], functions[i]
		}
		l.assignTo(target, value, fn)
	}
}

func (l *linter) assignTo(target, value ast.Expr, fn *function) {
	switch t := target.(type) {
	case *ast.IdentExpr:
		if b := l.find(t.Value); b != nil {
			b.writes++
			return
		}
		l.writeGlobal(t.Value, t.Line())
		if t.Value == transformName {
			l.transforms = append(l.transforms, l.functionOf(value, fn))
		}
	case *ast.AttrGetExpr:
		l.assignField(t.Object, t.Key, t.Line())
	}
}

// functionOf is the function that an assigned value is: written there, or a local one that never changes.
func (l *linter) functionOf(value ast.Expr, fn *function) *function {
	if name, ok := value.(*ast.IdentExpr); ok {
		if b := l.find(name.Value); b != nil && b.writes == 0 {
			return b.body
		}
	}
	return fn
}

// assignField walks the target of an assignment to object[key].
func (l *linter) assignField(object, key ast.Expr, line int) {
	name, constant := key.(*ast.StringExpr)
	if owner, ok := object.(*ast.IdentExpr); ok && constant {
		l.constants[name.Value] = true
		if owner.Value == globalsName && l.find(globalsName) == nil {
			l.defined[name.Value] = true
			return
		}
		l.useMember(owner, name, line).written = true
		return
	}
	l.expr(object)
	l.expr(key)
}
