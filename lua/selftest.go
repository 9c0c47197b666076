package lua

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	glua "github.com/yuin/gopher-lua"

	"github.com/weirlog/weir/flush"
)

// testPrefix is how the names of a script's own tests begin.
const testPrefix = "test_"

const (
	// maxTestTime bounds all tests of a script together: a reload waits for them.
	maxTestTime = time.Minute
	// maxComparison bounds the bytes of Want and Got that the results of one run keep.
	maxComparison = 4 << 20
	// maxNamedFailures is how many failures SelfTest spells out.
	maxNamedFailures = 5
)

// TestKind says what a test is.
type TestKind string

// The kinds of tests.
const (
	KindFunction TestKind = "function" // a function whose name begins with test_
	KindCase     TestKind = "case"     // an item of a table whose name begins with test_
	KindGolden   TestKind = "golden"   // a line of the golden events beside the script
)

// TestResult is the outcome of one test.
type TestResult struct {
	Kind    TestKind
	Name    string // of the function; of table and case; of the golden event
	Line    int    // where it stands, in the script or in the file of golden events; 0 when that is not known
	Message string // why it failed, in one line; "" when it passed
	Took    time.Duration
	// Want and Got are texts to be compared line by line, where a document is not as wanted. They are left
	// out once many tests have failed.
	Want, Got string
}

// Passed reports whether the test passed.
func (r TestResult) Passed() bool { return r.Message == "" }

// verdict is what a test comes to: the fields of its TestResult.
type verdict struct{ message, want, got string }

// scriptTest is a test that has not been run yet.
type scriptTest struct {
	kind TestKind
	name string
	line int
	// run fails when there is no state to run anything in any more.
	run func() (verdict, error)
}

// RunTests runs the script's own tests: functions and tables of cases in the order in which the script
// defines them, then the golden events that stand beside it, where it was loaded from a file. A function
// fails when it raises an error, as assert does, or overruns ten times the limits of an event; cases and
// golden events have the limits of an event. The error is about running the tests at all; it is ctx's when ctx
// ends, between two tests.
func (s *Script) RunTests(ctx context.Context) ([]TestResult, error) {
	tests := s.tests()
	results := make([]TestResult, 0, len(tests))
	begin, kept := time.Now(), 0
	for _, t := range tests {
		if time.Since(begin) > s.testTime {
			return results, fmt.Errorf("the tests took longer than %v, %d of %d were not run: keep fewer golden events", s.testTime, len(tests)-len(results), len(tests))
		}
		if err := ctx.Err(); err != nil {
			return results, err
		}
		started := time.Now()
		v, err := t.run()
		if err != nil {
			return results, err
		}
		r := TestResult{Kind: t.kind, Name: t.name, Line: t.line, Message: cut(v.message), Took: time.Since(started)}
		if kept += len(v.want) + len(v.got); kept <= maxComparison {
			r.Want, r.Got = v.want, v.got
		}
		results = append(results, r)
	}
	s.fresh()
	return results, nil
}

// tests lists all tests. Cases are read before anything runs: a state that overran a limit takes its tables with it.
func (s *Script) tests() []scriptTest {
	var tests []scriptTest
	s.w.loosen()
	for k, v := s.w.base.Next(glua.LNil); k != glua.LNil; k, v = s.w.base.Next(k) {
		name, ok := k.(glua.LString)
		if !ok || !strings.HasPrefix(string(name), testPrefix) {
			continue
		}
		switch v := v.(type) {
		case *glua.LFunction:
			tests = append(tests, s.functionTest(string(name), v))
		case *glua.LTable:
			tests = append(tests, s.caseTests(string(name), v)...)
		}
	}
	s.w.budget.end()
	s.fresh()
	return append(tests, s.goldenTests()...)
}

func (s *Script) functionTest(name string, fn *glua.LFunction) scriptTest {
	t := scriptTest{kind: KindFunction, name: name, run: func() (verdict, error) { return s.runFunction(name) }}
	if fn.Proto != nil {
		t.line = fn.Proto.LineDefined
	}
	return t
}

// runFunction looks the function up by its name: the state may be another one than when the tests were listed.
func (s *Script) runFunction(name string) (verdict, error) {
	fn, ok := s.w.base.RawGetString(name).(*glua.LFunction)
	if !ok {
		return verdict{}, fmt.Errorf("the test %s is gone from the script", name)
	}
	s.fresh()
	s.w.loosen()
	err := s.w.call(fn, 0)
	if err == nil {
		s.w.clear()
		return verdict{}, nil
	}
	return verdict{message: failureText(err)}, s.renew()
}

// fresh makes the state forget what the test before it left in it; what the script keeps is as it declares it.
func (s *Script) fresh() {
	s.w.clear()
	s.w.restartState()
}

// renew replaces the state.
func (s *Script) renew() error {
	w, err := newWorker(s.prog, &s.opts)
	if err != nil {
		return fmt.Errorf("load %s anew: %w", s.prog.name, err)
	}
	s.w = w
	return nil
}

// transformed runs one event of a test in the limits of an event. The error is about the state; what the
// script does wrong is in failure.
func (s *Script) transformed(e *testEvent) (docs []flush.Document, failure *flush.TransformError, err error) {
	s.fresh()
	if e.quiet {
		defer s.silence()()
	}
	docs, _, err = s.Transform(&e.record)
	if errors.As(err, &failure) {
		return nil, failure, nil
	}
	return docs, nil, err
}

// silence keeps what the script prints and logs to itself until restore is called.
func (s *Script) silence() (restore func()) {
	logger := s.opts.Logger
	s.opts.Logger = slog.New(slog.DiscardHandler)
	return func() { s.opts.Logger = logger }
}

// SelfTest is RunTests with one error for all that failed; it names the first failures. What the script logs meanwhile
// is about events that never were, and not written.
func (s *Script) SelfTest(ctx context.Context) error {
	defer s.silence()()
	results, err := s.RunTests(ctx)
	if err != nil {
		return fmt.Errorf("run tests of %s: %w", s.prog.name, err)
	}
	var failures []string
	failed := 0
	for _, r := range results {
		if r.Passed() {
			continue
		}
		if failed++; failed <= maxNamedFailures {
			failures = append(failures, r.Name+": "+r.Message)
		}
	}
	if failed == 0 {
		return nil
	}
	if more := failed - len(failures); more > 0 {
		failures = append(failures, fmt.Sprintf("and %d more, which weir lua test shows", more))
	}
	return fmt.Errorf("%w: %s", ErrTestsFailed, strings.Join(failures, "; "))
}
