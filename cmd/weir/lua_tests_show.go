package main

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/weirlog/weir/lua"
)

// shownFailures is how many failures are shown with what differs.
const shownFailures = 20

// kindScript is the kind of what is reported when there are no tests to report.
const kindScript lua.TestKind = "script"

// testView is the outcome of a test in JSON.
type testView struct {
	Script     string       `json:"script"`
	Kind       lua.TestKind `json:"kind"` // function, case, golden; script where it does not compile or its tests cannot be run
	Name       string       `json:"name"`
	File       string       `json:"file"`
	Line       int          `json:"line,omitempty"`
	Passed     bool         `json:"passed"`
	Message    string       `json:"message,omitempty"`
	Want       string       `json:"want,omitempty"`
	Got        string       `json:"got,omitempty"`
	TookMillis float64      `json:"took_ms"`
}

// views are the tests of a script, and the script itself where it cannot be tested.
func (r *scriptReport) views() []testView {
	var views []testView
	for i := range r.results {
		t := &r.results[i]
		views = append(views, testView{
			Script: r.script, Kind: t.Kind, Name: t.Name, File: r.fileOf(t), Line: t.Line, Passed: t.Passed(), Message: t.Message,
			Want: t.Want, Got: t.Got, TookMillis: float64(t.Took.Microseconds()) / 1000,
		})
	}
	if r.err != nil {
		views = append(views, testView{Script: r.script, Kind: kindScript, Name: filepath.Base(r.script), File: r.script, Message: r.err.Error()})
	}
	return views
}

// fileOf is the file in which a test stands.
func (r *scriptReport) fileOf(t *lua.TestResult) string {
	if t.Kind == lua.KindGolden {
		return lua.GoldenPath(r.script)
	}
	return r.script
}

// show prints the reports: tests to standard output, what they come to to standard error.
func (t *luaTests) show(reports []scriptReport) error {
	if t.output != outputTable {
		var views []testView
		for i := range reports {
			views = append(views, reports[i].views()...)
		}
		if err := writeList(t.a.stdout, t.output, views); err != nil {
			return err
		}
	}
	for i := range reports {
		if t.output == outputTable {
			if err := t.a.printTests(&reports[i], len(reports) > 1); err != nil {
				return err
			}
		}
		t.a.sayTests(&reports[i], len(reports) > 1)
	}
	return nil
}

// printTests shows the tests of one script, golden events together, and then what failed.
func (a *app) printTests(r *scriptReport, several bool) error {
	if several {
		fmt.Fprintln(a.stdout, printable(r.script))
	}
	table := newTable("test", "result", ">took")
	golden, goldenFailed, goldenTook := 0, 0, time.Duration(0)
	for i := range r.results {
		t := &r.results[i]
		verdict := "passed"
		if !t.Passed() {
			verdict = "FAILED"
		}
		if t.Kind != lua.KindGolden {
			table.add(t.Name, verdict, humanDuration(t.Took))
			continue
		}
		golden++
		goldenTook += t.Took
		if !t.Passed() {
			goldenFailed++
		}
	}
	if golden > 0 {
		verdict := "passed"
		if goldenFailed > 0 {
			verdict = humanCount(goldenFailed) + " FAILED"
		}
		table.add(counted(golden, "golden event", "golden events"), verdict, humanDuration(goldenTook))
	}
	if len(r.results) > 0 {
		if err := table.render(a.stdout, a.width(a.stdout)); err != nil {
			return err
		}
	}
	return a.printFailures(r)
}

func (a *app) printFailures(r *scriptReport) error {
	shown := 0
	for i := range r.results {
		t := &r.results[i]
		if t.Passed() {
			continue
		}
		if shown++; shown > shownFailures {
			_, err := fmt.Fprintf(a.stdout, "\nand %s more; -o ndjson shows all\n", humanCount(r.failed()-shownFailures))
			return err
		}
		where := r.fileOf(t)
		if t.Line > 0 {
			where = fmt.Sprintf("%s:%d", where, t.Line)
		}
		fmt.Fprintf(a.stdout, "\n%s %s (%s)\n  %s\n", a.paint(a.stdout, colourRed, "FAILED"), printable(t.Name), printable(where), printable(t.Message))
		if t.Want != "" || t.Got != "" {
			fmt.Fprintln(a.stdout, a.paint(a.stdout, colourDim, "  - wanted, + got"))
			a.printDiff(a.stdout, a.stdout, "  ", t.Want, t.Got)
		}
	}
	return nil
}

// sayTests says in one line what the tests of a script come to.
func (a *app) sayTests(r *scriptReport, several bool) {
	prefix := ""
	if several {
		prefix = printable(r.script) + ": "
	}
	n, failed := len(r.results), r.failed()
	switch {
	case r.err != nil:
		fmt.Fprintf(a.stderr, "weir: %s%s\n", prefix, printableLines(r.err.Error()))
	case failed > 0:
		fmt.Fprintf(a.stderr, "%s%d of %s failed\n", prefix, failed, counted(n, "test", "tests"))
	case n == 0:
		fmt.Fprintf(a.stderr, "%sversion %s compiles; it has no tests: no functions or tables whose names begin with test_, no golden events in %s\n",
			prefix, r.version, printable(filepath.Base(lua.GoldenPath(r.script))))
	default:
		fmt.Fprintf(a.stderr, "%sversion %s compiles; %s passed\n", prefix, r.version, counted(n, "test", "tests"))
	}
}
