package main

import (
	"encoding/xml"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// The report of tests as build servers read it. Its form was never written down by those who began it; this
// is the part that all readers know.
type (
	junitReport struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Name     string       `xml:"name,attr"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Errors   int          `xml:"errors,attr"`
		Time     junitSeconds `xml:"time,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name      string       `xml:"name,attr"`
		Tests     int          `xml:"tests,attr"`
		Failures  int          `xml:"failures,attr"`
		Errors    int          `xml:"errors,attr"`
		Skipped   int          `xml:"skipped,attr"`
		Time      junitSeconds `xml:"time,attr"`
		Timestamp string       `xml:"timestamp,attr"`
		Cases     []junitCase  `xml:"testcase"`
	}
	junitCase struct {
		Name    string        `xml:"name,attr"`
		Class   string        `xml:"classname,attr"`
		File    string        `xml:"file,attr"`
		Line    int           `xml:"line,attr,omitempty"`
		Time    junitSeconds  `xml:"time,attr"`
		Failure *junitFailure `xml:"failure"`
		Error   *junitFailure `xml:"error"`
	}
	junitFailure struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
		Text    string `xml:",chardata"`
	}
)

// junitSeconds is a span in seconds, never in the form 1e-05, which not every reader takes.
type junitSeconds float64

// MarshalText implements encoding.TextMarshaler.
func (s junitSeconds) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%.6f", float64(s)), nil }

// writeJUnit writes the report of all scripts.
func writeJUnit(path string, now time.Time, reports []scriptReport) error {
	all := junitReport{Name: "weir lua test"}
	for i := range reports {
		suite := newJUnitSuite(&reports[i], now)
		all.Tests += suite.Tests
		all.Failures += suite.Failures
		all.Errors += suite.Errors
		all.Time += suite.Time
		all.Suites = append(all.Suites, suite)
	}
	text, err := xml.MarshalIndent(all, "", "  ")
	if err == nil {
		// Not only for its owner: the build server is often somebody else.
		err = replaceFile(path, append([]byte(xml.Header), append(text, '\n')...), 0o644)
	}
	if err != nil {
		return fmt.Errorf("write the JUnit report: %w", err)
	}
	return nil
}

func newJUnitSuite(r *scriptReport, now time.Time) junitSuite {
	s := junitSuite{Name: r.script, Time: junitSeconds(r.took.Seconds()), Timestamp: now.UTC().Format("2006-01-02T15:04:05")}
	class := strings.TrimSuffix(filepath.Base(r.script), filepath.Ext(r.script))
	for _, v := range r.views() {
		c := junitCase{Name: v.Name, Class: class + "." + string(v.Kind), File: v.File, Line: v.Line, Time: junitSeconds(v.TookMillis / 1000)}
		switch {
		case v.Kind == kindScript:
			c.Error = &junitFailure{Message: v.Message, Type: string(v.Kind), Text: v.Message}
			s.Errors++
		case !v.Passed:
			c.Failure = &junitFailure{Message: v.Message, Type: string(v.Kind), Text: junitText(&v)}
			s.Failures++
		}
		s.Tests++
		s.Cases = append(s.Cases, c)
	}
	return s
}

// junitText is the message, and the lines that differ.
func junitText(v *testView) string {
	var b strings.Builder
	b.WriteString(v.File)
	if v.Line > 0 {
		fmt.Fprintf(&b, ":%d", v.Line)
	}
	fmt.Fprintf(&b, "\n%s\n", v.Message)
	if v.Want == "" && v.Got == "" {
		return b.String()
	}
	b.WriteString("- wanted, + got\n")
	for _, l := range changedLines(v.Want, v.Got) {
		fmt.Fprintf(&b, "%c %s\n", l.mark, l.text)
	}
	return b.String()
}
