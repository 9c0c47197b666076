package lua

import (
	"strconv"

	glua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/ast"
)

// Names that a rewritten script calls. No script can spell them, so no script can reach or replace them.
// They are locals of the main chunk: a call finds them as upvalues, without a table access.
const (
	hookConcat = "\x00concat" // (a, b, ...): a .. b .. ...
	hookSet    = "\x00set"    // (t, k, v [, bytes]): t[k] = v, where v may be a new table, accounted for
	hookTable  = "\x00table"  // ({...}, bytes): the table, accounted for
	hookExtend = "\x00extend" // ({...}, bytes, n, ...): the table with the values behind its first n elements
	hookKey    = "\x00key"    // (k): k, accounted for as a key of a new table
	hookFunc   = "\x00func"   // (function, bytes): the function, accounted for
	hookAll    = "\x00all"    // (): nothing, instead of ... in the main chunk
	hookPath   = "\x00path"   // (t, a, b, ...): t.a.b..., see path.go
)

var hooks = []string{hookConcat, hookSet, hookTable, hookExtend, hookKey, hookFunc, hookAll, hookPath}

// What a table or function costs in gopher-lua, in bytes, rounded up.
const (
	bytesEmptyTable  = 2600 // the first string key makes maps for 32
	bytesTable       = 400
	bytesHashField   = 160
	bytesArraySlot   = 32
	bytesFunction    = 192
	concatPerCall    = 50 // operands of one call; a function has 250 registers
	bytesMember      = 64
	bytesIndex       = 48
	bytesNode        = 256
	bytesCoroutine   = callStack*96 + registrySize*16 + 1024
	callStack        = 512     // nested calls
	registrySize     = 1024    // values; grows to registryMax
	registryMax      = 1 << 14 // values that all frames together may hold
	registryGrowStep = 1 << 11
)

// rewriter replaces what allocates in the middle of an instruction by calls of bounded functions, so that
// nothing a script does escapes its memory limit: string concatenation, assignments to fields, table
// constructors and function expressions.
type rewriter struct {
	depth int // of nested functions; 0 in the main chunk
	level int // of nested statements and expressions
	temps int
	views map[string]bool // variables that are likely to hold an object of the event; see path.go

	subjects subjects // what the messages of errors name
}

// maxLevels bounds how deep statements and expressions are nested, since the compiler goes down them on the
// stack of its goroutine, whose overflow would end the process.
const maxLevels = 2000

// enter goes one level down; the caller must leave it.
func (r *rewriter) enter(where ast.PositionHolder) {
	if r.level++; r.level > maxLevels {
		panic(&SyntaxError{Line: where.Line(), Message: "the script has too many syntax levels"})
	}
}

func (r *rewriter) leave() { r.level-- }

// rewrite returns the chunk with hooks, and what it indexes where; line numbers stay.
func rewrite(chunk []ast.Stmt) ([]ast.Stmt, subjects) {
	r := &rewriter{subjects: subjects{}}
	local := &ast.LocalAssignStmt{Names: hooks, Exprs: []ast.Expr{&ast.Comma3Expr{}}}
	local.SetLine(1)
	local.Exprs[0].SetLine(1)
	return append([]ast.Stmt{local}, r.stmts(chunk)...), r.subjects
}

func (r *rewriter) stmts(in []ast.Stmt) []ast.Stmt {
	out := make([]ast.Stmt, 0, len(in))
	for _, s := range in {
		out = append(out, r.stmt(s))
		if r.definesFunction(s) {
			call := r.call(s, hookFunc, &ast.NilExpr{}, number(bytesFunction))
			out = append(out, at(s, &ast.FuncCallStmt{Expr: call}))
		}
	}
	return out
}

// definesFunction reports whether s makes a closure that no hook around the expression accounts for.
func (r *rewriter) definesFunction(s ast.Stmt) bool {
	if r.depth == 0 {
		return false
	}
	switch s := s.(type) {
	case *ast.FuncDefStmt:
		return true
	case *ast.LocalAssignStmt:
		return isLocalFunction(s)
	}
	return false
}

// isLocalFunction: the compiler lets such a function see its own name, so it must stay as it is.
func isLocalFunction(s *ast.LocalAssignStmt) bool {
	if len(s.Names) != 1 || len(s.Exprs) != 1 {
		return false
	}
	_, ok := s.Exprs[0].(*ast.FunctionExpr)
	return ok
}

func (r *rewriter) stmt(s ast.Stmt) ast.Stmt {
	r.enter(s)
	defer r.leave()
	switch s := s.(type) {
	case *ast.AssignStmt:
		return r.assign(s)
	case *ast.LocalAssignStmt:
		r.noteLocals(s)
		if isLocalFunction(s) {
			r.function(s.Exprs[0].(*ast.FunctionExpr))
		} else {
			r.exprs(s.Exprs)
		}
	case *ast.FuncCallStmt:
		s.Expr = r.expr(s.Expr)
	case *ast.DoBlockStmt:
		s.Stmts = r.stmts(s.Stmts)
	case *ast.WhileStmt:
		s.Condition = r.expr(s.Condition)
		s.Stmts = r.stmts(s.Stmts)
	case *ast.RepeatStmt:
		s.Condition = r.expr(s.Condition)
		s.Stmts = r.stmts(s.Stmts)
	case *ast.IfStmt:
		s.Condition = r.expr(s.Condition)
		s.Then = r.stmts(s.Then)
		s.Else = r.stmts(s.Else)
	case *ast.NumberForStmt:
		s.Init, s.Limit = r.expr(s.Init), r.expr(s.Limit)
		if s.Step != nil {
			s.Step = r.expr(s.Step)
		}
		s.Stmts = r.stmts(s.Stmts)
	case *ast.GenericForStmt:
		r.noteLoop(s)
		r.exprs(s.Exprs)
		s.Stmts = r.stmts(s.Stmts)
	case *ast.FuncDefStmt:
		r.noteTransform(s.Name.Func, s.Func)
		r.function(s.Func)
	case *ast.ReturnStmt:
		r.exprs(s.Exprs)
	}
	return s
}

// assign turns t[k] = v into a call. Several targets get temporaries first, as Lua evaluates all
// expressions before it assigns; gopher-lua 1.1.2 does not even for locals: there a, b = b, a sets both to b.
func (r *rewriter) assign(s *ast.AssignStmt) ast.Stmt {
	if f, ok := s.Rhs[0].(*ast.FunctionExpr); ok {
		r.noteTransform(s.Lhs[0], f)
	}
	r.exprs(s.Rhs)
	for _, l := range s.Lhs {
		if f, ok := l.(*ast.AttrGetExpr); ok {
			r.noteField(s, f)
			f.Object, f.Key = r.expr(f.Object), r.expr(f.Key)
		}
	}
	if len(s.Lhs) > 1 || len(s.Rhs) > 1 {
		return r.assignMany(s)
	}
	if f, ok := s.Lhs[0].(*ast.AttrGetExpr); ok {
		args := []ast.Expr{f.Object, f.Key, single(s.Rhs[0])}
		if t, bytes, ok := newTable(s.Rhs[0]); ok {
			args = []ast.Expr{f.Object, f.Key, t, number(bytes)}
		}
		return at(s, &ast.FuncCallStmt{Expr: r.call(s, hookSet, args...)})
	}
	return s
}

func (r *rewriter) assignMany(s *ast.AssignStmt) ast.Stmt {
	targets := at(s, &ast.LocalAssignStmt{})
	values := at(s, &ast.LocalAssignStmt{Exprs: s.Rhs})
	var sets []ast.Stmt
	for _, l := range s.Lhs {
		value := r.temp()
		values.Names = append(values.Names, value)
		f, ok := l.(*ast.AttrGetExpr)
		if !ok {
			sets = append(sets, at(s, &ast.AssignStmt{Lhs: []ast.Expr{l}, Rhs: []ast.Expr{r.ident(s, value)}}))
			continue
		}
		object, key := r.temp(), r.temp()
		targets.Names = append(targets.Names, object, key)
		targets.Exprs = append(targets.Exprs, single(f.Object), single(f.Key))
		call := r.call(s, hookSet, r.ident(s, object), r.ident(s, key), r.ident(s, value))
		sets = append(sets, at(s, &ast.FuncCallStmt{Expr: call}))
	}
	stmts := []ast.Stmt{values}
	if len(targets.Names) > 0 {
		stmts = []ast.Stmt{targets, values}
	}
	return at(s, &ast.DoBlockStmt{Stmts: append(stmts, sets...)})
}

func (r *rewriter) temp() string {
	r.temps++
	return "\x00" + strconv.Itoa(r.temps)
}

func (r *rewriter) exprs(list []ast.Expr) {
	for i := range list {
		list[i] = r.expr(list[i])
	}
}

func (r *rewriter) expr(e ast.Expr) ast.Expr {
	r.enter(e)
	defer r.leave()
	switch e := e.(type) {
	case *ast.AttrGetExpr:
		return r.read(e)
	case *ast.TableExpr:
		return r.table(e)
	case *ast.FuncCallExpr:
		if e.Func != nil {
			e.Func = r.expr(e.Func)
		}
		if e.Receiver != nil {
			r.noteSubject(e, e.Method, e.Receiver)
			e.Receiver = r.expr(e.Receiver)
		}
		r.exprs(e.Args)
	case *ast.LogicalOpExpr:
		e.Lhs, e.Rhs = r.expr(e.Lhs), r.expr(e.Rhs)
	case *ast.RelationalOpExpr:
		e.Lhs, e.Rhs = r.expr(e.Lhs), r.expr(e.Rhs)
	case *ast.ArithmeticOpExpr:
		e.Lhs, e.Rhs = r.expr(e.Lhs), r.expr(e.Rhs)
	case *ast.StringConcatOpExpr:
		return r.concat(e)
	case *ast.UnaryMinusOpExpr:
		e.Expr = r.expr(e.Expr)
	case *ast.UnaryNotOpExpr:
		e.Expr = r.expr(e.Expr)
	case *ast.UnaryLenOpExpr:
		r.noteSubject(e, lengthKey, e.Expr)
		e.Expr = r.expr(e.Expr)
	case *ast.Comma3Expr:
		if r.depth == 0 {
			return r.nothing(e)
		}
	case *ast.FunctionExpr:
		r.function(e)
		if r.depth > 0 {
			return r.call(e, hookFunc, e, number(bytesFunction))
		}
	}
	return e
}

func (r *rewriter) function(f *ast.FunctionExpr) {
	r.depth++
	f.Stmts = r.stmts(f.Stmts)
	r.depth--
}

// nothing replaces ... of the main chunk, whose values are the hooks.
func (r *rewriter) nothing(e *ast.Comma3Expr) ast.Expr {
	call := r.call(e, hookAll)
	call.AdjustRet = e.AdjustRet
	return call
}

func (r *rewriter) table(t *ast.TableExpr) ast.Expr {
	bytes, elements := bytesTable, 0
	var many ast.Expr
	for _, f := range t.Fields {
		if f.Key != nil {
			f.Key = r.expr(f.Key)
			if _, ok := f.Key.(*ast.StringExpr); !ok {
				f.Key = r.call(t, hookKey, single(f.Key))
			}
			bytes += bytesHashField
		} else {
			bytes += bytesArraySlot
			elements++
		}
		f.Value = r.expr(f.Value)
		if inner, n, ok := newTable(f.Value); ok {
			f.Value, bytes = inner, bytes+n
		}
	}
	if n := len(t.Fields); n > 0 && t.Fields[n-1].Key == nil && isMany(t.Fields[n-1].Value) {
		many, elements, t.Fields = t.Fields[n-1].Value, elements-1, t.Fields[:n-1]
	}
	if len(t.Fields) == 0 {
		bytes = bytesEmptyTable
	}
	if many != nil {
		return r.call(t, hookExtend, t, number(bytes), number(elements), many)
	}
	return r.call(t, hookTable, t, number(bytes))
}

// newTable takes a call of hookTable apart, so that another hook accounts for the table as well: each call
// of a hook takes as long as some five instructions.
func newTable(e ast.Expr) (t ast.Expr, bytes int, ok bool) {
	call, ok := e.(*ast.FuncCallExpr)
	if !ok || !isHook(call) || call.Func.(*ast.IdentExpr).Value != hookTable {
		return nil, 0, false
	}
	bytes, err := strconv.Atoi(call.Args[1].(*ast.NumberExpr).Value)
	return call.Args[0], bytes, err == nil
}

// concat flattens a .. (b .. (c ...)), which is how the parser nests it, into one call.
func (r *rewriter) concat(e *ast.StringConcatOpExpr) ast.Expr {
	var operands []ast.Expr
	var rest ast.Expr = e
	for {
		c, ok := rest.(*ast.StringConcatOpExpr)
		if !ok {
			break
		}
		operands = append(operands, c.Lhs)
		rest = c.Rhs
	}
	operands = append(operands, rest)
	for i, o := range operands {
		if len(operands) <= concatPerCall { // else the calls have other numbers
			r.noteSubject(e, concatKey+strconv.Itoa(i+1), o)
		}
		operands[i] = single(r.expr(o))
	}
	n := min(len(operands), concatPerCall)
	call := r.call(e, hookConcat, operands[:n:n]...)
	for n < len(operands) {
		// What follows goes around it: inside, each call would keep its registers while the next one is made.
		r.enter(e)
		defer r.leave()
		from := n
		n = min(from+concatPerCall-1, len(operands))
		call = r.call(e, hookConcat, append([]ast.Expr{single(call)}, operands[from:n]...)...)
	}
	return call
}

func (r *rewriter) call(where ast.PositionHolder, hook string, args ...ast.Expr) *ast.FuncCallExpr {
	call := at(where, &ast.FuncCallExpr{Func: r.ident(where, hook), Args: args})
	for _, a := range args {
		if a.Line() == 0 {
			a.SetLine(where.Line())
		}
	}
	return call
}

func (r *rewriter) ident(where ast.PositionHolder, name string) ast.Expr {
	return at(where, &ast.IdentExpr{Value: name})
}

// at gives node the position of where.
func at[N ast.PositionHolder](where ast.PositionHolder, node N) N {
	node.SetLine(where.Line())
	node.SetLastLine(where.LastLine())
	return node
}

// isMany reports whether e may yield any number of values.
func isMany(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.FuncCallExpr:
		return !e.AdjustRet && !isHook(e)
	case *ast.Comma3Expr:
		return !e.AdjustRet
	}
	return false
}

// isHook reports whether e calls a hook that yields one value.
func isHook(e *ast.FuncCallExpr) bool {
	name, ok := e.Func.(*ast.IdentExpr)
	return ok && name.Value[0] == 0 && name.Value != hookAll
}

func number(n int) ast.Expr { return &ast.NumberExpr{Value: strconv.Itoa(n)} }

// single makes e yield exactly one value, as parentheses do.
func single(e ast.Expr) ast.Expr {
	switch e := e.(type) {
	case *ast.FuncCallExpr:
		e.AdjustRet = true
	case *ast.Comma3Expr:
		e.AdjustRet = true
	}
	return e
}

// plainCalls turns tail calls into plain ones: gopher-lua counts them, and spells them all out in a stack
// trace. The instruction behind a tail call returns whatever the call left.
func plainCalls(proto *glua.FunctionProto) {
	const opcode = 26 // bits below it
	for i, inst := range proto.Code {
		if int(inst>>opcode) == glua.OP_TAILCALL {
			proto.Code[i] = inst&(1<<opcode-1) | uint32(glua.OP_CALL)<<opcode
		}
	}
	for _, inner := range proto.FunctionPrototypes {
		plainCalls(inner)
	}
}
