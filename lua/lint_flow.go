package lua

import (
	"github.com/yuin/gopher-lua/ast"
)

// ending says how a piece of code can be left, apart from returning.
type ending struct {
	next   bool // what follows is reached
	broken bool // a break leaves the loop around it
}

// flow looks for statements that nothing leads to.
type flow struct {
	l *linter
	// raises: error and assert are weir's own
	raises bool
}

// judgeFlow looks at the code of every function.
func (l *linter) judgeFlow() {
	f := &flow{l: l, raises: !l.wide && !l.defined["error"] && !l.defined["assert"]}
	for _, fn := range l.functions {
		fn.ends = f.stmts(fn.stmts).next
	}
}

// stmts reports how a block ends. Of what is not reached the first statement is a finding. A label may be
// reached from anywhere.
func (f *flow) stmts(list []ast.Stmt) ending {
	end := ending{next: true}
	var stop ast.Stmt // behind which nothing was found yet
	for _, s := range list {
		if _, ok := s.(*ast.LabelStmt); ok {
			end.next, stop = true, nil
			continue
		}
		if stop != nil {
			f.l.found(s.Line(), ruleUnreachable, "this is never reached: nothing comes past line %d", stop.Line())
			stop = nil
		}
		e := f.stmt(s)
		end.broken = end.broken || e.broken
		if end.next && !e.next {
			end.next, stop = false, s
		}
	}
	return end
}

func (f *flow) stmt(s ast.Stmt) ending {
	switch s := s.(type) {
	case *ast.ReturnStmt, *ast.GotoStmt:
		return ending{}
	case *ast.BreakStmt:
		return ending{broken: true}
	case *ast.FuncCallStmt:
		return ending{next: !f.isRaise(s.Expr)}
	case *ast.DoBlockStmt:
		return f.stmts(s.Stmts)
	case *ast.IfStmt:
		return f.branches(s)
	case *ast.WhileStmt:
		body := f.stmts(s.Stmts)
		always, known := truth(s.Condition)
		return ending{next: body.broken || !known || !always}
	case *ast.RepeatStmt:
		body := f.stmts(s.Stmts)
		done, known := truth(s.Condition)
		return ending{next: body.broken || body.next && (!known || done)}
	case *ast.NumberForStmt:
		f.stmts(s.Stmts)
	case *ast.GenericForStmt:
		f.stmts(s.Stmts)
	}
	return ending{next: true}
}

func (f *flow) branches(s *ast.IfStmt) ending {
	then, otherwise := f.stmts(s.Then), f.stmts(s.Else)
	holds, known := truth(s.Condition)
	return ending{
		next:   then.next && (!known || holds) || otherwise.next && (!known || !holds),
		broken: then.broken || otherwise.broken,
	}
}

// isRaise reports whether a call always ends in an error: error(...), assert(false).
func (f *flow) isRaise(e ast.Expr) bool {
	call, ok := e.(*ast.FuncCallExpr)
	if !ok || !f.raises || !f.l.raising[call] {
		return false
	}
	if name := call.Func.(*ast.IdentExpr); name.Value == "error" {
		return true
	}
	if len(call.Args) == 0 {
		return true
	}
	holds, known := truth(call.Args[0])
	return known && !holds
}

// condition walks the condition of a branch or a loop. One that is always the same is a finding, except where it is
// a literal that the author wrote on purpose (while true).
func (l *linter) condition(e ast.Expr, onPurpose bool) {
	l.test(e)
	l.expr(e)
	if onPurpose {
		return
	}
	if holds, known := truth(e); known {
		l.found(e.Line(), ruleUnreachable, "this condition is always %s%s", map[bool]string{true: "true", false: "false"}[holds], conditionRemark(e))
	}
}

// conditionRemark explains a condition that is always the same, where the mistake is a common one.
func conditionRemark(e ast.Expr) string {
	if both, ok := e.(*ast.LogicalOpExpr); ok && isContradiction(both) {
		other := map[string]string{"or": "and", "and": "or"}[both.Operator]
		return ": nothing is two values at once; write \"" + other + "\" for \"" + both.Operator + "\""
	}
	operator, compares := "", false
	for {
		both, ok := e.(*ast.LogicalOpExpr)
		if !ok {
			break
		}
		if isText(both.Rhs) {
			operator = both.Operator
		}
		compares = compares || isComparison(both.Rhs)
		e = both.Lhs
	}
	if operator != "" && (compares || isComparison(e)) {
		return ": \"" + operator + "\" joins conditions, not values; write x == \"a\" or x == \"b\""
	}
	switch e := e.(type) {
	case *ast.RelationalOpExpr:
		if _, ok := e.Lhs.(*ast.UnaryNotOpExpr); ok {
			return ": \"not\" binds closer than " + e.Operator + "; write x ~= y, or not (x == y)"
		}
	case *ast.NumberExpr, *ast.StringExpr, *ast.TableExpr:
		return ": in Lua only false and nil are not"
	}
	return ""
}

func isComparison(e ast.Expr) bool {
	_, ok := e.(*ast.RelationalOpExpr)
	return ok
}

func isText(e ast.Expr) bool {
	switch e.(type) {
	case *ast.StringExpr, *ast.NumberExpr:
		return true
	}
	return false
}

func isLiteral(e ast.Expr) bool {
	switch e.(type) {
	case *ast.TrueExpr, *ast.FalseExpr, *ast.NilExpr, *ast.NumberExpr:
		return true
	}
	return false
}

// truth is what an expression is worth as a condition, if that is always the same.
func truth(e ast.Expr) (holds, known bool) {
	switch e := e.(type) {
	case *ast.TrueExpr, *ast.NumberExpr, *ast.StringExpr, *ast.TableExpr, *ast.FunctionExpr:
		return true, true
	case *ast.FalseExpr, *ast.NilExpr:
		return false, true
	case *ast.UnaryNotOpExpr:
		holds, known = truth(e.Expr)
		return !holds, known
	case *ast.LogicalOpExpr:
		return truthOfBoth(e)
	case *ast.RelationalOpExpr:
		return truthOfComparison(e)
	}
	return false, false
}

// truthOfBoth: a false side decides and, a true side decides or; a contradiction is as if one side did.
func truthOfBoth(e *ast.LogicalOpExpr) (holds, known bool) {
	decides := e.Operator == "or"
	left, known1 := truth(e.Lhs)
	right, known2 := truth(e.Rhs)
	if known1 && left == decides || known2 && right == decides || isContradiction(e) {
		return decides, true
	}
	return !decides, known1 && known2
}

// truthOfComparison knows that a boolean is never equal to a text, a number or nil.
func truthOfComparison(e *ast.RelationalOpExpr) (holds, known bool) {
	if e.Operator != "==" && e.Operator != "~=" {
		return false, false
	}
	_, negated := e.Lhs.(*ast.UnaryNotOpExpr)
	if !negated || !isText(e.Rhs) && !isNil(e.Rhs) {
		return false, false
	}
	return e.Operator == "~=", true
}
