package lua

import (
	"strconv"

	"github.com/yuin/gopher-lua/ast"
)

// table walks a table constructor and looks for keys that come twice. The last value counts for those that
// are written out, the one without a key against [1] = ... .
func (l *linter) table(t *ast.TableExpr) {
	lines := map[string]int{}
	element := 0
	for _, f := range t.Fields {
		line := f.Value.Line()
		key := ""
		if f.Key == nil {
			element++
			key = strconv.Itoa(element)
		} else {
			line = f.Key.Line()
			key = constantKey(f.Key)
			l.expr(f.Key)
		}
		l.expr(f.Value)
		if key == "" {
			continue
		}
		if first, twice := lines[key]; twice {
			l.found(line, ruleDuplicate, "the key %s stands in line %d already; only one of the values counts", key, first)
			continue
		}
		lines[key] = line
	}
}

// constantKey spells a key that is written out so that equal keys are spelled alike; "" for all others.
func constantKey(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StringExpr:
		return strconv.Quote(e.Value)
	case *ast.NumberExpr:
		if n, ok := parseNumber(e.Value); ok {
			return strconv.FormatFloat(n, 'g', -1, 64)
		}
	case *ast.TrueExpr:
		return "true"
	case *ast.FalseExpr:
		return "false"
	}
	return ""
}
