package lua

import (
	"slices"
	"strings"

	"github.com/yuin/gopher-lua/ast"
)

// transformArguments is how many arguments transform is called with: event and meta.
const transformArguments = 2

// judgeTransform looks at the function that weir calls.
func (l *linter) judgeTransform() {
	l.judgeEmits()
	if l.defined[transformName] && len(l.transforms) == 0 || l.wide {
		return // assigned through _G
	}
	if len(l.transforms) == 0 {
		l.judgeNoTransform()
		return
	}
	if len(l.transforms) > 1 || l.transforms[0] == nil {
		return // a parser cannot tell which one it is
	}
	fn := l.transforms[0]
	l.judgeParameters(fn)
	l.judgeMeta(fn)
	l.judgeReturns(fn)
}

func (l *linter) judgeNoTransform() {
	for _, b := range l.bindings {
		if b.name == transformName && b.fn.main {
			l.found(b.line, ruleSignature, "transform must be a global function; leave out \"local\"")
			return
		}
	}
	l.found(1, ruleSignature, "the script defines no function transform(event, meta)")
}

func (l *linter) judgeParameters(fn *function) {
	for _, p := range fn.params[min(len(fn.params), transformArguments):] {
		l.found(fn.line, ruleSignature, "transform is called with event and meta; its parameter %s is always nil", p.name)
	}
}

// judgeMeta looks at the fields of transform's second argument, as long as the script calls it by that name.
func (l *linter) judgeMeta(fn *function) {
	if len(fn.params) < transformArguments || fn.params[1].writes > 0 {
		return
	}
	meta := fn.params[1]
	for _, m := range l.members {
		if m.local != meta {
			continue
		}
		exists, settable := slices.Contains(metaFields, m.member), slices.Contains(settingNames, m.member)
		switch {
		case m.written && exists && !settable:
			l.found(m.line, ruleSignature, "%s.%s can be read, not set", meta.name, m.member)
		case !exists:
			l.found(m.line, ruleSignature, "%s has no field %s%s", meta.name, m.member, fieldRemark(m))
		}
	}
}

func fieldRemark(m *memberUse) string {
	fields, does := metaFields, "there are "
	if m.written {
		fields, does = settingNames, "what can be set is "
	}
	if near := nearest(m.member, fields); near != "" {
		return "; did you mean " + near + "?"
	}
	return "; " + does + strings.Join(fields, ", ")
}

// judgeSettings looks at the second argument of emit, where it is written there.
func (l *linter) judgeSettings(call *ast.FuncCallExpr) {
	if len(call.Args) < 2 {
		return
	}
	t, ok := call.Args[1].(*ast.TableExpr)
	if !ok {
		return
	}
	for _, f := range t.Fields {
		if key, ok := f.Key.(*ast.StringExpr); ok && !slices.Contains(settingNames, key.Value) {
			l.settings = append(l.settings, memberUse{member: key.Value, line: key.Line(), written: true})
		}
	}
}

func (l *linter) judgeEmits() {
	if l.defined[emitName] {
		return
	}
	for _, m := range l.settings {
		l.found(m.line, ruleSignature, "emit has no setting %s%s", m.member, fieldRemark(&m))
	}
}

// judgeReturns looks at what transform gives back.
func (l *linter) judgeReturns(fn *function) {
	values := false
	for _, r := range fn.returns {
		for _, e := range r.Exprs {
			if isNil(e) {
				continue
			}
			values = true
			if kind := l.noDocument(e, fn); kind != "" {
				l.found(e.Line(), ruleResult, "transform returns %s, which is no document: return the event, several tables, or nothing", kind)
			}
		}
	}
	if values || l.emits() || len(fn.returns) == 0 && !fn.ends {
		return
	}
	l.found(fn.line, ruleResult, "transform never returns a table and the script never calls emit: every event is dropped")
}

func (l *linter) emits() bool {
	for _, r := range l.reads {
		if r.name == emitName {
			return true
		}
	}
	return false
}

// noDocument names what an expression gives that is certainly no table, "" for all others.
func (l *linter) noDocument(e ast.Expr, fn *function) string {
	switch e := e.(type) {
	case *ast.StringExpr, *ast.StringConcatOpExpr:
		return "a string"
	case *ast.NumberExpr, *ast.UnaryLenOpExpr:
		return "a number"
	case *ast.TrueExpr, *ast.FalseExpr, *ast.UnaryNotOpExpr, *ast.RelationalOpExpr:
		return "a boolean"
	case *ast.FunctionExpr:
		return "a function"
	case *ast.IdentExpr:
		if len(fn.params) >= transformArguments && l.returned[e] == fn.params[1] && fn.params[1].writes == 0 {
			return fn.params[1].name
		}
	}
	return ""
}
