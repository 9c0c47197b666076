package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirlog/weir/bench/load"
	"github.com/weirlog/weir/bench/report"
)

// asChild makes the test's binary the command, so that it can run its own children.
const asChild = "WEIR_BENCH_TEST_CHILD=1"

func TestMain(m *testing.M) {
	if os.Getenv("WEIR_BENCH_TEST_CHILD") != "" {
		main()
		return
	}
	code := m.Run()
	if binaries != "" {
		_ = os.RemoveAll(binaries) // what is left is in the temporary directory
	}
	os.Exit(code)
}

// binaries is the directory of builtWeir; "" before it was called.
var binaries string

// builtWeir builds weir, once for all tests, and returns the binary.
var builtWeir = sync.OnceValues(func() (path string, err error) {
	if binaries, err = os.MkdirTemp("", "weir-bench-test-"); err != nil {
		return "", err
	}
	path = filepath.Join(binaries, "weir")
	if out, err := exec.Command("go", "build", "-o", path, weirPackage).CombinedOutput(); err != nil {
		return "", fmt.Errorf("build weir: %w\n%s", err, out)
	}
	return path, nil
})

// newLab returns a lab with rounds of a fraction of a second. It needs no weir.
func newLab(t *testing.T) *lab {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{
		options: options{seconds: 0.1, rounds: 2, threads: 1, out: io.Discard, progress: testWriter{t}},
		self:    self, childEnv: []string{asChild}, dir: t.TempDir(),
	}
	l.report.Failures = []string{}
	return l
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

// runOne runs a small case on targets.
func runOne(t *testing.T, l *lab, c benchCase) report.Case {
	t.Helper()
	c.name, c.eventBytes = "small", 320
	if err := l.runCase(t.Context(), "test", &c); err != nil {
		t.Fatal(err)
	}
	return l.report.Cases[0]
}

func TestRunCase_Baselines(t *testing.T) {
	l := newLab(t)
	got := runOne(t, l, benchCase{connections: 4, events: 3, targets: []target{noop, bare}})
	if len(l.report.Failures) > 0 {
		t.Errorf("failures: %q", l.report.Failures)
	}
	if len(got.Rows) != 2 {
		t.Fatalf("%d rows", len(got.Rows))
	}
	for _, row := range got.Rows {
		if len(row.Rounds) != l.rounds {
			t.Errorf("%s: %d rounds", row.Target, len(row.Rounds))
		}
		for _, r := range row.Rounds {
			if r.Rate <= 0 || r.Acked <= 0 || r.Acked%3 != 0 || r.P50 <= 0 || r.P99 < r.P50 || r.P999 < r.P99 || r.PeakMegabytes <= 0 || r.Delivered != 0 {
				t.Errorf("%s: %+v", row.Target, r)
			}
		}
	}
	left, err := os.ReadDir(l.dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
}

func TestRunCase_IdleConnections(t *testing.T) {
	l := newLab(t)
	l.rounds = 1
	got := runOne(t, l, benchCase{connections: 50, events: 1, idle: true, targets: []target{noop}})
	if r := got.Rows[0].Rounds[0]; r.Acked != 50 || r.Rate != 0 || r.PeakMegabytes <= 0 || len(l.report.Failures) > 0 {
		t.Errorf("%+v, failures %q", r, l.report.Failures)
	}
}

func TestRunCase_FinalCheckFails(t *testing.T) {
	l := newLab(t)
	l.rounds = 1
	late := target{name: "late", start: func(ctx context.Context, l *lab, dir string, c *benchCase) (*server, error) {
		s, err := noop.start(ctx, l, dir, c)
		if err == nil {
			s.final = func(_ context.Context, acked int64) error { return compare(acked, acked+1, 0) }
		}
		return s, err
	}}
	runOne(t, l, benchCase{connections: 1, events: 1, targets: []target{late}})
	if len(l.report.Failures) != 1 || !strings.Contains(l.report.Failures[0], "at the end: ") {
		t.Errorf("failures %q", l.report.Failures)
	}
}

func TestProcess_Stop(t *testing.T) {
	for name, tt := range map[string]struct {
		script, want string
		patience     time.Duration
	}{
		"in order":       {`trap 'exit 0' TERM; touch ready; while :; do sleep 0.01; done`, "", time.Minute},
		"with a failure": {`trap 'echo it broke; exit 3' TERM; touch ready; while :; do sleep 0.01; done`, "it broke", time.Minute},
		"never":          {`trap '' TERM; touch ready; while :; do sleep 0.01; done`, "had not stopped", time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			p, err := startProcess(t.Context(), "sh", dir, nil, "sh", "-c", "cd "+dir+"; "+tt.script)
			if err != nil {
				t.Fatal(err)
			}
			defer p.kill()
			ready := func() bool { _, err := os.Stat(filepath.Join(dir, "ready")); return err == nil }
			if err := p.await(t.Context(), time.Minute, ready); err != nil {
				t.Fatal(err)
			}
			err = p.stop(tt.patience)
			if (tt.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

// faulty is a target in this process that acknowledges everything, and whose arrived is given.
func faulty(t *testing.T, answer http.HandlerFunc, arrived func(int64) error) target {
	return target{name: "faulty", start: func(ctx context.Context, l *lab, dir string, c *benchCase) (*server, error) {
		web := httptest.NewServer(answer)
		t.Cleanup(web.Close)
		p, _, err := startChild(ctx, l, dir, "noop", 1) // only for its process id
		if err != nil {
			return nil, err
		}
		return &server{address: web.Listener.Addr().String(), path: "/ingest", process: p,
			arrived: func(_ context.Context, acked int64) (time.Time, error) { return time.Now(), arrived(acked) }}, nil
	}}
}

func TestRunCase_FindsWhatIsWrong(t *testing.T) {
	var served atomic.Int64
	tests := []struct {
		name    string
		answer  http.HandlerFunc
		arrived error
		want    string
	}{
		{"a request is refused", func(w http.ResponseWriter, r *http.Request) {
			if served.Add(1) == 3 {
				w.WriteHeader(503)
				return
			}
			w.WriteHeader(202)
			_, _ = w.Write(load.Accepted(1)) // a client that is gone is the generator's to report
		}, nil, "1 requests failed, the first: status 503"},
		{"nothing is accepted", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(400) }, nil, "nothing was acknowledged"},
		{"an event is lost", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(202)
			_, _ = w.Write(load.Accepted(1)) // as above
		}, errors.New("1 event is missing"), "1 event is missing"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t)
			l.rounds = 1
			runOne(t, l, benchCase{connections: 2, events: 1, targets: []target{faulty(t, tt.answer, func(int64) error { return tt.arrived })}})
			if all := strings.Join(l.report.Failures, "\n"); !strings.Contains(all, tt.want) {
				t.Errorf("failures %q, want %q", all, tt.want)
			}
			if err := l.finish(); !errors.Is(err, errFailed) {
				t.Errorf("finish: %v", err)
			}
		})
	}
}

func TestRunCase_TargetDies(t *testing.T) {
	dead := target{name: "dead", start: func(ctx context.Context, l *lab, dir string, _ *benchCase) (*server, error) {
		first, _, err := startChild(ctx, l, dir, "bare", 1)
		if err != nil {
			return nil, err
		}
		defer first.kill()
		if err := os.Remove(filepath.Join(dir, "bare.address")); err != nil { // of the first
			return nil, err
		}
		_, _, err = startChild(ctx, l, dir, "bare", 1) // its file exists already
		return nil, err
	}}
	l := newLab(t)
	c := benchCase{name: "small", connections: 1, events: 1, eventBytes: 320, targets: []target{dead}}
	if err := l.runCase(t.Context(), "test", &c); err == nil || !strings.Contains(err.Error(), "start") {
		t.Errorf("error %v", err)
	}
}

func TestRunCase_TargetDiesUnderLoad(t *testing.T) {
	mortal := target{name: "mortal", start: func(ctx context.Context, l *lab, dir string, c *benchCase) (*server, error) {
		s, err := noop.start(ctx, l, dir, c)
		if err == nil {
			s.arrived = func(context.Context, int64) (time.Time, error) {
				s.process.kill()
				return time.Now(), errors.New("nobody answers")
			}
		}
		return s, err
	}}
	l := newLab(t)
	c := benchCase{name: "small", connections: 1, events: 1, eventBytes: 320, targets: []target{mortal}}
	if err := l.runCase(t.Context(), "test", &c); err == nil || !strings.Contains(err.Error(), "noop ended: signal: killed") {
		t.Errorf("error %v", err)
	}
	if len(l.report.Failures) != 1 || !strings.Contains(l.report.Failures[0], "nobody answers") {
		t.Errorf("failures %q", l.report.Failures)
	}
}

func TestRunCase_Connections(t *testing.T) {
	for name, c := range map[string]benchCase{
		"new each":       {connections: 3, events: 1, dialEach: true},
		"unix":           {connections: 3, events: 2, unix: true},
		"unix, new each": {connections: 3, events: 1, unix: true, dialEach: true},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			l.rounds = 1
			c.targets = []target{noop, bare}
			for _, row := range runOne(t, l, c).Rows {
				if r := row.Rounds[0]; r.Acked == 0 || r.Offered != 0 || len(l.report.Failures) > 0 {
					t.Errorf("%s: %+v, failures %q", row.Target, r, l.report.Failures)
				}
			}
		})
	}
}

func TestRunCase_FixedRateBesideSlowConnections(t *testing.T) {
	l := newLab(t)
	l.rounds = 1
	beside := noop
	beside.slow = 50
	got := runOne(t, l, benchCase{connections: 4, events: 2, rate: 500, targets: []target{beside}})
	if r := got.Rows[0].Rounds[0]; r.Offered != 1000 || r.Acked != 2*60 || r.P9999 < r.P50 || len(l.report.Failures) > 0 {
		t.Errorf("%+v, failures %q", r, l.report.Failures)
	}
}

func TestDelivered_CountsAtTheSink(t *testing.T) {
	l := newLab(t)
	sink, address, err := startChild(t.Context(), l, l.dir, "sink", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer sink.kill()
	bulk := strings.Repeat(`{"create":{"_index":"i","_id":"1"}}`+"\n{}\n", 5)
	resp, err := http.Post("http://"+address+"/_bulk", "application/x-ndjson", strings.NewReader(bulk))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if _, err := delivered(t.Context(), "http://"+address, 5); err != nil {
		t.Errorf("all five arrived: %v", err)
	}
	if _, err := delivered(t.Context(), "http://"+address, 4); err == nil {
		t.Error("one too many arrived and nothing was said")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := delivered(ctx, "http://"+address, 6); err == nil {
		t.Error("one is missing and nothing was said")
	}
}

func TestCompare(t *testing.T) {
	for _, tt := range []struct {
		acked, created, failed int64
		want                   string
	}{
		{5, 5, 0, ""}, {5, 4, 0, "1 of 5 acknowledged events were not delivered"}, {5, 6, 0, "5 events were acknowledged and 6 delivered"},
		{5, 3, 2, "the sink refused 2"},
	} {
		err := compare(tt.acked, tt.created, tt.failed)
		if (tt.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v", tt, err)
		}
	}
}

func TestDurable_ReadsTheMetric(t *testing.T) {
	admin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "# HELP weir_wal_durable_offset x\nweir_wal_durable_offset_not 9\nweir_wal_durable_offset 1.2e+06\n")
	}))
	defer admin.Close()
	if _, err := durable(t.Context(), admin.URL, 1_200_000); err != nil {
		t.Error(err)
	}
	if _, err := durable(t.Context(), admin.URL, 1_200_001); err == nil {
		t.Error("an event is missing and nothing was said")
	}
	if _, err := metric(t.Context(), admin.URL, "weir_wal"); err == nil {
		t.Error("a metric that does not exist was found")
	}
}

func TestOptions_Validate(t *testing.T) {
	good := options{scenarios: []string{"all"}, seconds: 1, rounds: 1}
	if o := good; o.validate() != nil || o.threads < 1 {
		t.Errorf("%+v: %v", o, o.validate())
	}
	for name, spoil := range map[string]func(*options){
		"scenario": func(o *options) { o.scenarios = []string{"ack", "nonsense"} },
		"seconds":  func(o *options) { o.seconds = 0 },
		"rounds":   func(o *options) { o.rounds = 0 },
		"threads":  func(o *options) { o.threads = -1 },
	} {
		o := good
		spoil(&o)
		if err := o.validate(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLab_Targets_BeforeStandsBesideEachWeir(t *testing.T) {
	l := newLab(t)
	names := func() (all []string) {
		for _, target := range l.targets(&benchCase{targets: groupTargets}) {
			all = append(all, target.name)
		}
		return all
	}
	if got := strings.Join(names(), "; "); got != "noop; bare; disk loop; weir; weir, sink away" {
		t.Errorf("targets %s", got)
	}
	l.before = "older"
	if got := strings.Join(names(), "; "); got != "noop; bare; disk loop; weir; before: weir; weir, sink away; before: weir, sink away" {
		t.Errorf("targets %s", got)
	}
}

func TestScenarios_AreCompleteAndDistinct(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range scenarios {
		if (s.measure == nil) != (s.takes == nil) {
			t.Errorf("%s: what measures by itself says how long it takes, and nothing else does", s.name)
		}
		for _, c := range s.cases {
			key := s.name + c.name
			if seen[key] || len(c.targets) == 0 || c.connections < 1 || c.events < 1 || c.eventBytes < load.MinEventBytes {
				t.Errorf("%s: %+v", s.name, c)
			}
			seen[key] = true
		}
	}
}

func TestReadUsage_OfThisProcess(t *testing.T) {
	u, err := readUsage(os.Getpid())
	if err != nil || u.peak < 1<<20 {
		t.Errorf("%+v, %v", u, err)
	}
	if _, err := readUsage(1 << 30); err == nil {
		t.Error("a process that does not exist has a usage")
	}
}

func TestFreeAddress(t *testing.T) {
	address, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
}

// rowsOf are the rows of scenarios that have no targets.
var rowsOf = map[string]int{"letters": 7, "store": 3}

// checkRound fails when a round lacks what its scenario is for.
func checkRound(t *testing.T, c *report.Case, target string, r *report.Round) {
	t.Helper()
	complete := false
	switch c.Scenario {
	case "outage":
		complete = target == report.NoOutage && r.Delivered > 0 ||
			r.Filled > 0 && r.Drained > 0 && r.CatchUp > 0 && r.FirstDelivery > 0 && r.BacklogMegabytes > 0 && len(r.Series) > 1
	case "restart":
		complete = r.FirstAck > 0 && r.FirstDelivery > 0 && r.Drained > 0 && r.BacklogMegabytes > 0
	case "cost":
		complete = r.Rate > 0 && r.CPU > 0 && strings.Contains(target, "draining") == (r.Drained > 0) && strings.Contains(target, "log read") == (r.Handled > 0)
	default:
		delivers := strings.HasPrefix(target, "weir") && !strings.Contains(target, "away") && !strings.Contains(c.Name, "idle") || target == report.BulkLoop
		complete = delivers == (r.Delivered > 0)
	}
	if !complete || r.Acked == 0 || r.Lost != 0 || r.Doubled != 0 {
		t.Errorf("%s, %s, %s: %+v", c.Scenario, c.Name, target, r)
	}
}

// TestRun_Weir runs every scenario on the real binary, shortly, through the command.
func TestRun_Weir(t *testing.T) {
	dir := t.TempDir()
	jsonFile, markdown := filepath.Join(dir, "report.json"), filepath.Join(dir, "report.md")
	t.Setenv("WEIR_BENCH_TEST_CHILD", "1") // for the children
	binary, err := builtWeir()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	o := options{scenarios: []string{"all"}, weir: binary, seconds: 0.05, rounds: 1, longestRound: 3 * time.Second, dir: dir, json: jsonFile, markdown: markdown,
		out: &out, progress: testWriter{t}}
	if err := run(t.Context(), o); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	text, err := os.ReadFile(jsonFile)
	if err != nil {
		t.Fatal(err)
	}
	var r report.Report
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	rows := 0
	for _, c := range r.Cases {
		for _, row := range c.Rows {
			rows++
			if c.Scenario == "transform" {
				if len(row.Rounds) != 1 || row.Rounds[0].CoreRate == 0 || row.Rounds[0].PeakMegabytes == 0 {
					t.Errorf("%s, %s: %+v", c.Name, row.Target, row)
				}
				continue
			}
			if rowsOf[c.Scenario] > 0 {
				if x := row.Rounds[0]; len(row.Rounds) != 1 || x.Handled == 0 && x.Delivered == 0 && x.P50 == 0 {
					t.Errorf("%s, %s: %+v", c.Name, row.Target, row)
				}
				continue
			}
			if len(row.Rounds) != 1 {
				t.Errorf("%s, %s: %+v", c.Name, row.Target, row)
				continue
			}
			checkRound(t, &c, row.Target, &row.Rounds[0])
		}
	}
	want := 0
	for range o.letterCounts() {
		want += rowsOf["letters"]
	}
	for range o.storeCounts() {
		want += rowsOf["store"]
	}
	for i := range scenarios {
		for _, c := range o.cases(&scenarios[i]) {
			if c.possible() {
				want += len(c.targets)
			}
		}
	}
	for _, c := range o.chosenTransforms() {
		want += len(c.rows)
	}
	if rows != want {
		t.Errorf("%d rows, want %d", rows, want)
	}
	if md, err := os.ReadFile(markdown); err != nil || !bytes.Contains(md, []byte("### delivery")) {
		t.Errorf("Markdown: %v\n%s", err, md)
	}
}
