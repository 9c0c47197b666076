package lua

import (
	"fmt"
	"strconv"
	"strings"

	glua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/ast"
)

// gopher-lua says of what kind a value is that cannot be indexed, and not what the script calls it, which is what its
// author looks for. The rewriter therefore notes what is indexed on each line, and a message is completed when its
// error is caught or told. A script that does not fail pays nothing for it.

// place is where a script looks up a constant name, or uses one of the operators below.
type place struct {
	line int
	key  string
}

const (
	lengthKey = "\x00#"
	concatKey = "\x00.." // and the number of the operand
)

// subjects says what stands before the name, or is the operand; "" where it has no name, or the line has several.
type subjects map[place]string

// noteSubject notes what e is, of which the script reads, sets or calls the field key.
func (r *rewriter) noteSubject(where ast.PositionHolder, key string, e ast.Expr) {
	p, name := place{where.Line(), key}, nameOf(e)
	if other, ok := r.subjects[p]; ok && other != name {
		name = ""
	}
	r.subjects[p] = name
}

// noteField notes of what e is a field, when its name is constant.
func (r *rewriter) noteField(where ast.PositionHolder, e *ast.AttrGetExpr) {
	if key, ok := e.Key.(*ast.StringExpr); ok {
		r.noteSubject(where, key.Value, e.Object)
	}
}

// nameOf is what a message calls e, "" when it has no name.
func nameOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.IdentExpr:
		return "variable '" + e.Value + "'"
	case *ast.AttrGetExpr:
		if key, ok := e.Key.(*ast.StringExpr); ok {
			return fieldName(key.Value)
		}
	}
	return ""
}

func fieldName(key string) string { return "field '" + short(glua.LString(key)) + "'" }

// What gopher-lua says, and what this package says in its way, so that one function completes both.
const (
	badIndex       = "attempt to index a non-table object("
	badIndexKey    = ") with key '"
	badIndexFormat = badIndex + "%s" + badIndexKey + "%s'"
	badLength      = "__len undefined"
)

// raiseIndex raises the error of indexing a value that has no fields.
func (w *worker) raiseIndex(L *glua.LState, v, key glua.LValue) {
	L.RaiseError(badIndexFormat, kindOf(v, w), short(key))
}

// indexNothing is __index of values that have no fields, so that the message says what they are in JSON.
func (w *worker) indexNothing(L *glua.LState) int {
	w.raiseIndex(L, L.Get(1), L.Get(2))
	return 0
}

// named completes a message; one that is about something else stays as it is.
func (p *program) named(message string) string {
	rest, ok := strings.CutPrefix(message, p.name+":")
	number, what, ok2 := strings.Cut(rest, ": ")
	if !ok || !ok2 || what != badLength && !strings.HasPrefix(what, badIndex) {
		return message
	}
	line, err := strconv.Atoi(number)
	if err != nil {
		return message
	}
	if what == badLength {
		return fmt.Sprintf("%s:%d: attempt to get length of %s (no string and no table)", p.name, line, orValue(p.subjects[place{line, lengthKey}]))
	}
	kind, key, _ := strings.Cut(strings.TrimPrefix(what, badIndex), badIndexKey)
	key = strings.TrimSuffix(key, "'")
	if subject := p.subjects[place{line, key}]; subject != "" {
		return fmt.Sprintf("%s:%d: attempt to index %s (a %s value)", p.name, line, subject, kind)
	}
	return fmt.Sprintf("%s:%d: attempt to index a %s value with key '%s'", p.name, line, kind, short(glua.LString(key)))
}

func orValue(subject string) string {
	if subject == "" {
		return "a value"
	}
	return subject
}

// operand is what a message about operand i of a concatenation says of it.
func (w *worker) operand(L *glua.LState, i int, v glua.LValue) string {
	number := strings.TrimSuffix(strings.TrimPrefix(L.Where(1), w.prog.name+":"), ":")
	line, _ := strconv.Atoi(number)
	if subject := w.prog.subjects[place{line, concatKey + strconv.Itoa(i)}]; subject != "" {
		return fmt.Sprintf("%s (a %s value)", subject, kindOf(v, w))
	}
	return "a " + kindOf(v, w) + " value"
}
