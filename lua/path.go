package lua

import (
	glua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/ast"
)

// A read of a field of the event costs a detour in gopher-lua: the empty table, its metatable, a name made a value
// anew, a second run of the interpreter's loop for __index. Where the rewriter sees that a variable is likely to hold an
// object of the event, the read becomes the call of a hook with the names as constants, all of a path in one. What
// is likely is a guess, and only a guess about speed: the hook means the same for every value.

// pathNames is how many names one call takes; they stand in registers, of which a function has 250.
const pathNames = 16

// noteTransform notes the parameters of transform, when the function that is defined is it.
func (r *rewriter) noteTransform(name ast.Expr, f *ast.FunctionExpr) {
	if id, ok := name.(*ast.IdentExpr); !ok || id.Value != "transform" || f.ParList == nil {
		return
	}
	for _, p := range f.ParList.Names {
		r.note(p)
	}
}

// noteLocals notes locals that are assigned something out of the event.
func (r *rewriter) noteLocals(s *ast.LocalAssignStmt) {
	for i, e := range s.Exprs {
		if i < len(s.Names) && r.isView(e) {
			r.note(s.Names[i])
		}
	}
}

// noteLoop notes the values of a loop such as: for i, item in ipairs(event.items).
func (r *rewriter) noteLoop(s *ast.GenericForStmt) {
	if len(s.Exprs) != 1 || len(s.Names) != 2 {
		return
	}
	if call, ok := s.Exprs[0].(*ast.FuncCallExpr); ok && len(call.Args) == 1 && r.isView(call.Args[0]) {
		r.note(s.Names[1])
	}
}

func (r *rewriter) note(name string) {
	if r.views == nil {
		r.views = map[string]bool{}
	}
	r.views[name] = true
}

// isView reports whether e is likely to be an object of the event, or something in one.
func (r *rewriter) isView(e ast.Expr) bool {
	for range maxLevels {
		switch x := e.(type) {
		case *ast.IdentExpr:
			return r.views[x.Value]
		case *ast.AttrGetExpr:
			e = x.Object
		case *ast.LogicalOpExpr: // event.context or {}
			e = x.Lhs
		default:
			return false
		}
	}
	return false
}

// read rewrites the read of a field.
func (r *rewriter) read(e *ast.AttrGetExpr) ast.Expr {
	view := r.isView(e)
	names, object := pathOf(e)
	if !view || len(names) == 0 {
		r.noteField(e, e)
		e.Object, e.Key = r.expr(e.Object), r.expr(e.Key)
		return e
	}
	r.noteSubject(e, names[0].(*ast.StringExpr).Value, object) // of the others readPath knows
	return single(r.call(e, hookPath, append([]ast.Expr{single(r.expr(object))}, names...)...))
}

// pathOf takes the names off the end of a path, at most pathNames, and returns them and what is left of it.
func pathOf(e ast.Expr) (names []ast.Expr, object ast.Expr) {
	for len(names) < pathNames {
		field, ok := e.(*ast.AttrGetExpr)
		if !ok {
			break
		}
		if _, ok := field.Key.(*ast.StringExpr); !ok {
			break
		}
		names = append([]ast.Expr{field.Key}, names...)
		e = field.Object
	}
	return names, e
}

// readPath is hookPath.
func (w *worker) readPath(L *glua.LState) int {
	v := L.Get(1)
	for i, top := 2, L.GetTop(); i <= top; i++ {
		if _, ok := v.(*glua.LTable); !ok && i > 2 {
			w.checkIndexable(L, v, L.Get(i-1))
		}
		v = w.field(L, v, string(L.Get(i).(glua.LString)))
	}
	L.Push(v)
	return 1
}

// checkIndexable refuses to look into the value of a field that has no fields; a string has its methods.
func (w *worker) checkIndexable(L *glua.LState, v, field glua.LValue) {
	if v.Type() != glua.LTString {
		L.RaiseError("attempt to index %s (a %s value)", fieldName(field.String()), kindOf(v, w))
	}
}

// field is v.name.
func (w *worker) field(L *glua.LState, v glua.LValue, name string) glua.LValue {
	if t, ok := v.(*glua.LTable); ok {
		switch t.Metatable {
		case w.objectMT:
			return w.get(L, w.open(L, t), name)
		case w.metaMT:
			return w.metaValue(glua.LString(name))
		}
	}
	return L.GetField(v, name)
}
