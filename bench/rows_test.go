package main

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/weirlog/weir/bench/report"
)

func TestRunRows_BothBinaries_EachInADirectoryOfItsOwn(t *testing.T) {
	l := newLab(t)
	l.weir, l.before = "new", "old"
	var asked []string
	err := l.runRows(t.Context(), report.Case{Scenario: "s", Name: "c"}, time.Second, func(_ context.Context, dir, binary string, first bool) ([]measuredRow, []string, error) {
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("not a new directory: %v, %v", left, err)
		}
		asked = append(asked, binary)
		if first == (len(asked) > 2) {
			t.Errorf("round %d is first: %t", len(asked), first)
		}
		return []measuredRow{{"a", report.Round{Handled: 1}}, {"b", report.Round{Handled: 2}}}, nil, os.WriteFile(dir+"/f", nil, 0o600)
	})
	if err != nil || strings.Join(asked, " ") != "new old new old" {
		t.Errorf("%v, asked %v", err, asked)
	}
	var names []string
	for _, r := range l.report.Cases[0].Rows {
		if names = append(names, r.Target); len(r.Rounds) != l.rounds {
			t.Errorf("%s: %d rounds", r.Target, len(r.Rounds))
		}
	}
	if got := strings.Join(names, "; "); got != "a; b; before: a; before: b" {
		t.Errorf("rows %s", got)
	}
	if left, err := os.ReadDir(l.dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestRunRows_ProblemsFailTheRun_AndWhatWasMeasuredStays(t *testing.T) {
	l := newLab(t)
	broken := errors.New("the round broke off")
	err := l.runRows(t.Context(), report.Case{Scenario: "s", Name: "c"}, time.Second, func(context.Context, string, string, bool) ([]measuredRow, []string, error) {
		return []measuredRow{{"a", report.Round{Handled: 1}}}, []string{"one is missing"}, broken
	})
	if !errors.Is(err, broken) || len(l.report.Failures) != 1 || !strings.HasSuffix(l.report.Failures[0], "one is missing") || len(l.report.Cases[0].Rows) != 1 {
		t.Errorf("%v, failures %q, %+v", err, l.report.Failures, l.report.Cases)
	}
}

func TestRunCommand_TellsWhatItTook(t *testing.T) {
	mine := bytes.Repeat([]byte{1}, 64<<20) // a child's peak is its own, not that of its parent
	s := &server{env: []string{"GREETING=hello"}}
	var out bytes.Buffer
	use, err := s.runCommand(t.Context(), "sh", &out, "-c", `echo "$GREETING"; i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done`)
	if err != nil || out.String() != "hello\n" || use.length <= 0 || use.usage.cpu <= 0 || use.usage.peak < 100<<10 || use.usage.peak > int64(len(mine))/2 {
		t.Errorf("%+v, %v, output %q", use, err, &out)
	}
	if _, err := s.runCommand(t.Context(), "sh", &out, "-c", "echo the reason >&2; exit 3"); err == nil || !strings.Contains(err.Error(), "the reason") {
		t.Errorf("error %v", err)
	}
}

func TestLineCounter_CountsAcrossWrites(t *testing.T) {
	var c lineCounter
	for _, part := range []string{"a\nb", "", "c\n\n", "d"} {
		if n, err := c.Write([]byte(part)); n != len(part) || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	}
	if c.lines != 3 {
		t.Errorf("%d lines", c.lines)
	}
}

func TestForgetPeak_BeginsAnew(t *testing.T) {
	const much = 128 << 20
	b := bytes.Repeat([]byte{1}, much)
	pid := os.Getpid()
	before, err := readUsage(pid)
	if err != nil || before.peak < much || before.now < much || int64(len(b)) != much {
		t.Fatalf("%+v, %v", before, err)
	}
	b = nil
	debug.FreeOSMemory()
	if err := forgetPeak(pid); err != nil {
		t.Fatal(err)
	}
	if after, err := readUsage(pid); err != nil || after.peak > before.peak-much/2 {
		t.Errorf("%+v after %+v, %v", after, before, err)
	}
}

func TestSearcher_CountsFromWhenASearchWasDue(t *testing.T) {
	var asked []string
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.FormValue("q")+" "+r.FormValue("limit"))
		_, _ = w.Write([]byte(`{"total":7,"hits":[]}`)) // a client that is gone fails the test
	}))
	defer web.Close()
	s := newSearcher(web.URL)
	defer s.client.CloseIdleConnections()
	if n, err := s.search(t.Context(), "", 1); err != nil || n != 7 {
		t.Errorf("%d, %v", n, err)
	}
	if err := s.next(t.Context(), time.Now().Add(-10*time.Second)); err != nil {
		t.Fatal(err)
	}
	if r := s.round(); r.P50 < 10_000 || r.P99 < 10_000 {
		t.Errorf("%+v", r)
	}
	if len(asked) != 2 || asked[0] != " 1" || asked[1] != searchQueries[0]+" 20" {
		t.Errorf("asked %q", asked)
	}
}

func TestSearcher_SaysWhichSearchFailed(t *testing.T) {
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	s := newSearcher(web.URL)
	for name, err := range map[string]error{"one by one": s.times(t.Context(), 1), "at a rate": s.atRate(t.Context())} {
		if err == nil || !strings.Contains(err.Error(), "404") || !strings.Contains(err.Error(), "search for") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOptions_Amount_ShrinksWithShortWindows(t *testing.T) {
	for seconds, want := range map[float64]int{0.0001: 1, 0.5: 500, 1: 1000, 10: 1000} {
		if got := (&options{seconds: seconds}).amount(1000); got != want {
			t.Errorf("%g s: %d, want %d", seconds, got, want)
		}
	}
}
