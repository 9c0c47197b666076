package lua

import (
	"strconv"

	"github.com/yuin/gopher-lua/ast"
)

// isContradiction reports whether a condition asks that one thing be two values (x == "a" and x == "b"), or for the
// opposite (x ~= "a" or x ~= "b").
func isContradiction(e *ast.LogicalOpExpr) bool {
	operator := map[string]string{"and": "==", "or": "~="}[e.Operator]
	left, ok := e.Lhs.(*ast.RelationalOpExpr)
	right, ok2 := e.Rhs.(*ast.RelationalOpExpr)
	if !ok || !ok2 || left.Operator != operator || right.Operator != operator {
		return false
	}
	place := placeOf(left.Lhs)
	return place != "" && place == placeOf(right.Lhs) && areDifferent(left.Rhs, right.Rhs)
}

// placeOf writes a variable, or a field by constant names of one; "" for what may be another value each time.
func placeOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.IdentExpr:
		return e.Value
	case *ast.AttrGetExpr:
		key, ok := e.Key.(*ast.StringExpr)
		if object := placeOf(e.Object); ok && object != "" {
			return object + "." + strconv.Quote(key.Value)
		}
	}
	return ""
}

// areDifferent reports whether two constants are known to be different values.
func areDifferent(a, b ast.Expr) bool {
	switch a := a.(type) {
	case *ast.StringExpr:
		other, ok := b.(*ast.StringExpr)
		return ok && a.Value != other.Value
	case *ast.NumberExpr:
		other, ok := b.(*ast.NumberExpr)
		if !ok {
			return false
		}
		x, err := strconv.ParseFloat(a.Value, 64)
		y, err2 := strconv.ParseFloat(other.Value, 64)
		return err == nil && err2 == nil && x != y
	}
	return false
}
