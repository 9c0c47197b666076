package lua

import (
	"fmt"
	"strings"
	"time"

	glua "github.com/yuin/gopher-lua"
)

// testPrefix is how the names of a script's own tests begin.
const testPrefix = "test_"

// TestResult is the outcome of one test_* function of a script.
type TestResult struct {
	Name    string
	Message string // why it failed, with file and line; "" when it passed
	Took    time.Duration
}

// Passed reports whether the test passed.
func (r TestResult) Passed() bool { return r.Message == "" }

// RunTests runs the script's test_* functions in the order in which the script defines them. A test fails
// when it raises an error, as assert does, or overruns ten times the limits of an event.
func (s *Script) RunTests() ([]TestResult, error) {
	var names []string
	for k, v := s.w.base.Next(glua.LNil); k != glua.LNil; k, v = s.w.base.Next(k) {
		if name, ok := k.(glua.LString); ok && strings.HasPrefix(string(name), testPrefix) && v.Type() == glua.LTFunction {
			names = append(names, string(name))
		}
	}
	results := make([]TestResult, 0, len(names))
	for _, name := range names {
		result, err := s.runTest(name)
		if err != nil {
			return results, err
		}
		results = append(results, result)
	}
	s.w.restartState()
	return results, nil
}

func (s *Script) runTest(name string) (TestResult, error) {
	result := TestResult{Name: name}
	fn, ok := s.w.base.RawGetString(name).(*glua.LFunction)
	if !ok {
		return result, fmt.Errorf("the test %s is gone from the script", name)
	}
	s.w.restartState()
	s.w.loosen()
	begin := time.Now()
	err := s.w.call(fn, 0)
	result.Took = time.Since(begin)
	if err == nil {
		s.w.clear()
		return result, nil
	}
	result.Message = failureText(err)
	w, err := newWorker(s.prog, &s.opts)
	if err != nil {
		return result, err
	}
	s.w = w
	return result, nil
}

// SelfTest is RunTests with one error for all that failed.
func (s *Script) SelfTest() error {
	results, err := s.RunTests()
	if err != nil {
		return fmt.Errorf("run tests of %s: %w", s.prog.name, err)
	}
	var failures []string
	for _, r := range results {
		if !r.Passed() {
			failures = append(failures, r.Name+": "+r.Message)
		}
	}
	if len(failures) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrTestsFailed, strings.Join(failures, "; "))
}
