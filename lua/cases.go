package lua

import (
	"fmt"
	"strings"
	"time"

	glua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/ast"

	"github.com/weirlog/weir/wal"
)

// maxCases bounds the cases of one table.
const maxCases = 10_000

// testEvent is the event of a test, as the log would give it.
type testEvent struct {
	record wal.Record
	quiet  bool // what the script prints and logs about it is of no interest
}

// newTestEvent is an event with what a test need not say.
func newTestEvent() testEvent {
	return testEvent{record: wal.Record{
		Offset: 1, Epoch: 1, Stream: "default", Count: 1, ReceivedAt: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC),
	}}
}

// tableCase is one item of a table of cases: an event, and what shall become of it.
type tableCase struct {
	name  string
	event testEvent
	want  expectation
}

// caseTests makes tests of a table of cases. What is wrong with a case is its failure.
func (s *Script) caseTests(name string, table *glua.LTable) []scriptTest {
	lines := s.prog.tables[name]
	test := func(name string, line int, run func() (verdict, error)) scriptTest {
		return scriptTest{kind: KindCase, name: name, line: line, run: run}
	}
	if fault := listFault(table); fault != "" {
		return []scriptTest{test(name, lines.line, failing("%s", fault))}
	}
	var tests []scriptTest
	for i := 1; i <= table.Len(); i++ {
		line := lines.line
		if i <= len(lines.items) {
			line = lines.items[i-1]
		}
		c, err := s.w.readCase(table.RawGetInt(i))
		title := fmt.Sprintf("%s: %s", name, c.name)
		if c.name == "" {
			title = fmt.Sprintf("%s: case %d", name, i)
		}
		if err != nil {
			tests = append(tests, test(title, line, failing("%s", err)))
			continue
		}
		tests = append(tests, test(title, line, func() (verdict, error) { return s.runCase(c) }))
	}
	return tests
}

func failing(format string, args ...any) func() (verdict, error) {
	v := verdict{message: fmt.Sprintf(format, args...)}
	return func() (verdict, error) { return v, nil }
}

// listFault says why a table is no list of cases.
func listFault(table *glua.LTable) string {
	n := 0
	for k, _ := table.Next(glua.LNil); k != glua.LNil; k, _ = table.Next(k) {
		n++
		if k != glua.LNumber(n) {
			return fmt.Sprintf("the table must be a list of cases, { { event = ..., want = ... }, ... }; it has the key %s", short(k))
		}
	}
	switch {
	case n == 0:
		return "the table holds no cases"
	case n > maxCases:
		return fmt.Sprintf("the table holds %d cases, at most %d are allowed", n, maxCases)
	}
	return ""
}

func (s *Script) runCase(c *tableCase) (verdict, error) {
	docs, failure, err := s.transformed(&c.event)
	if err != nil {
		return verdict{}, err
	}
	return c.want.judge(docs, failure), nil
}

// tableLines says where a table of cases and its items stand in the script.
type tableLines struct {
	line  int
	items []int
}

// caseLines finds the tables of cases that a script assigns outside of functions. gopher-lua's tables do not
// know their lines.
func caseLines(chunk []ast.Stmt) map[string]tableLines {
	lines := map[string]tableLines{}
	for _, stmt := range chunk {
		assign, ok := stmt.(*ast.AssignStmt)
		if !ok {
			continue
		}
		for i, left := range assign.Lhs {
			name, ok := left.(*ast.IdentExpr)
			if !ok || i >= len(assign.Rhs) || !strings.HasPrefix(name.Value, testPrefix) {
				continue
			}
			if table, ok := assign.Rhs[i].(*ast.TableExpr); ok {
				lines[name.Value] = linesOf(table)
			}
		}
	}
	return lines
}

func linesOf(table *ast.TableExpr) tableLines {
	l := tableLines{line: table.Line()}
	for _, field := range table.Fields {
		if field.Key == nil {
			l.items = append(l.items, field.Value.Line())
		}
	}
	return l
}
