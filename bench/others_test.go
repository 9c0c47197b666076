package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirlog/weir/bench/report"
)

// others runs the command against targets, shortly, and returns its report.
func others(t *testing.T, o othersOptions, sink string) report.Report {
	t.Helper()
	t.Setenv("WEIR_BENCH_TEST_CHILD", "1") // for the children
	dir := t.TempDir()
	o.sink, o.settle = sink, 50*time.Millisecond
	if o.patience == 0 {
		o.patience = time.Minute
	}
	file := filepath.Join(dir, "report.json")
	var out bytes.Buffer
	err := run(t.Context(), options{scenarios: []string{"all"}, seconds: 0.1, rounds: 1, dir: dir, json: file, others: o, out: &out, progress: testWriter{t}})
	if err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var r report.Report
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Failures) > 0 {
		t.Errorf("failures %q", r.Failures)
	}
	return r
}

// roundsOf returns the rounds of a target, of all cases.
func roundsOf(r report.Report, target string) (rounds []report.Round) {
	for _, c := range r.Cases {
		for _, row := range c.Rows {
			if row.Target == target {
				rounds = append(rounds, row.Rounds...)
			}
		}
	}
	return rounds
}

// shipper is a log receiver in this process that acknowledges everything at once with 200 and no body, and then does with
// each event what deliver says: it returns how many copies go to the sink.
func shipper(t *testing.T, sink string, deliver func(n int64) int) string {
	t.Helper()
	var events atomic.Int64
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the client went away
		}
		var bulk bytes.Buffer
		for line := range bytes.Lines(body) {
			text, err := json.Marshal(map[string]any{"log": string(line)}) // as a string, as many do
			if err != nil {
				t.Error(err)
			}
			for range deliver(events.Add(1)) {
				fmt.Fprintf(&bulk, "{\"create\":{\"_index\":\"i\"}}\n%s\n", text)
			}
		}
		if bulk.Len() > 0 {
			resp, err := http.Post("http://"+sink+"/_bulk", "application/x-ndjson", &bulk)
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body) // for the next request on the connection
			resp.Body.Close()
		}
	}))
	t.Cleanup(web.Close)
	return web.URL + "/logs?x=y"
}

func TestRunOthers_FindsWhatIsLostAndDoubled(t *testing.T) {
	sink, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	shippers := []struct {
		name          string
		deliver       func(n int64) int
		lost, doubled float64 // of 10
	}{
		{"honest", func(int64) int { return 1 }, 0, 0},
		{"drops one of 10", func(n int64) int { return min(int(n%10), 1) }, 1, 0},
		{"doubles two of 10", func(n int64) int { return 1 + max(1-int(n%5), 0) }, 0, 2},
	}
	o := othersOptions{patience: 300 * time.Millisecond}
	for _, s := range shippers {
		o.targets = append(o.targets, s.name+"="+shipper(t, sink, s.deliver)+",ndjson")
		o.pids = append(o.pids, fmt.Sprintf("%s=%d", s.name, os.Getppid()))
	}
	r := others(t, o, sink)
	for _, s := range shippers {
		rounds := roundsOf(r, s.name)
		if len(rounds) != len(otherCases) {
			t.Errorf("%s: %d rounds", s.name, len(rounds))
		}
		for _, x := range rounds {
			near := func(n int64, of10 float64) bool { // some requests have no answer at the end
				want := of10 / 10 * float64(x.Acked)
				return math.Abs(float64(n)-want) <= 0.02*float64(x.Acked)+2
			}
			if x.Acked == 0 || !near(x.Lost, s.lost) || !near(x.Doubled, s.doubled) || x.Delivered <= 0 || x.Rate <= 0 || x.PeakMegabytes <= 0 {
				t.Errorf("%s: %+v", s.name, x)
			}
		}
	}
}

func TestRunOthers_AckOnly(t *testing.T) {
	sink, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	r := others(t, othersOptions{targets: []string{"it=" + shipper(t, sink, func(int64) int { return 0 }) + ",object,ack"}}, sink)
	rounds := roundsOf(r, "it")
	if len(rounds) != 1 || rounds[0].Acked == 0 || rounds[0].Lost != 0 || rounds[0].Delivered != 0 || len(r.Notes) > 0 {
		t.Errorf("%+v, notes %q", rounds, r.Notes)
	}
	for _, ceiling := range []string{"noop", "bare"} {
		if len(roundsOf(r, ceiling)) != len(otherCases) {
			t.Errorf("no ceiling %s", ceiling)
		}
	}
}

// TestRunOthers_Weir takes the real binary as somebody else's, in every format that it speaks, and kills it.
func TestRunOthers_Weir(t *testing.T) {
	binary, err := builtWeir()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	sink, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	s := &server{}
	if err := s.launch(t.Context(), binary, dir, "http://"+sink, nil); err != nil {
		t.Fatal(err)
	}
	defer s.process.kill()
	pid := fmt.Sprint(s.process.cmd.Process.Pid)
	url := "=http://" + s.address + "/ingest,"
	t.Run("in every format", func(t *testing.T) {
		r := others(t, othersOptions{targets: []string{"a" + url + "object", "b" + url + "ndjson", "c" + url + "array"}, pids: []string{"a=" + pid, "b=" + pid}}, sink)
		for name, want := range map[string]int{"a": 1, "b": 2, "c": 2} {
			rounds := roundsOf(r, name)
			if len(rounds) != want {
				t.Errorf("%s: %d rounds", name, len(rounds))
			}
			for _, x := range rounds {
				if x.Acked == 0 || x.Lost != 0 || x.Doubled != 0 || x.Delivered <= 0 || (x.CPU > 0) != (name != "c") {
					t.Errorf("%s: %+v", name, x)
				}
			}
		}
	})
	t.Run("killed", func(t *testing.T) {
		restart := "exec env"
		for _, variable := range s.process.cmd.Env {
			if strings.HasPrefix(variable, "WEIR_") {
				restart += " '" + variable + "'"
			}
		}
		r := others(t, othersOptions{targets: []string{"it" + url + "ndjson"}, kills: []string{pid}, restarts: []string{restart + " " + binary + " serve"}}, sink)
		rounds := roundsOf(r, "it, SIGKILL in the middle")
		if len(rounds) != 2 {
			t.Fatalf("%d rounds", len(rounds))
		}
		for _, x := range rounds {
			if x.Acked == 0 || x.Lost != 0 || x.Doubled != 0 || x.Delivered <= 0 || x.CPU <= 0 || x.PeakMegabytes <= 0 {
				t.Errorf("%+v", x)
			}
		}
		if len(r.Notes) != 2 || !strings.Contains(r.Notes[0], "down for") {
			t.Errorf("notes %q", r.Notes)
		}
	})
}

func TestOthersOptions_Validate(t *testing.T) {
	const one, two = "a=http://127.0.0.1:1/x?y=z,ndjson", "b=http://[::1]:2,otlp-json,ack"
	file := filepath.Join(t.TempDir(), "pid")
	if err := os.WriteFile(file, []byte("1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		o    othersOptions
		want string
	}{
		"nothing":               {othersOptions{}, ""},
		"two":                   {othersOptions{targets: []string{one, two}, pids: []string{"b=17"}, kills: []string{"a=" + file}, restarts: []string{"a=X=1 exec y"}}, ""},
		"without their names":   {othersOptions{targets: []string{one}, kills: []string{"17"}, restarts: []string{"X=1 exec y"}}, ""},
		"no target":             {othersOptions{pids: []string{"17"}}, "name one"},
		"no format":             {othersOptions{targets: []string{"a=http://h"}}, "write NAME=URL,FORMAT"},
		"no name":               {othersOptions{targets: []string{"http://h,ndjson"}}, "write NAME=URL,FORMAT"},
		"a format that is none": {othersOptions{targets: []string{"a=http://127.0.0.1,xml"}}, `no format "xml"`},
		"TLS":                   {othersOptions{targets: []string{"a=https://127.0.0.1,object"}}, "http://"},
		"no host":               {othersOptions{targets: []string{"a=http://:80,object"}}, "host"},
		"the same name twice":   {othersOptions{targets: []string{one, one}}, "two of the name"},
		"which of two":          {othersOptions{targets: []string{one, two}, pids: []string{"17"}}, "several targets"},
		"every process":         {othersOptions{targets: []string{one}, kills: []string{"-1"}}, "not the PID"},
		"a number that changes": {othersOptions{targets: []string{one}, kills: []string{"17"}}, "--rounds 1"},
		"a restart for nothing": {othersOptions{targets: []string{one}, restarts: []string{"x"}}, "add --kill"},
		"no patience":           {othersOptions{targets: []string{one}, patience: -1}, "--patience"},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.o.patience == 0 {
				tt.o.patience = time.Second
			}
			err := tt.o.validate(2)
			if (tt.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
	o := othersOptions{targets: []string{one, two}, pids: []string{"b=17"}, kills: []string{"a=" + file}, restarts: []string{"a=X=1 exec y"}, patience: 1}
	if err := o.validate(2); err != nil {
		t.Fatal(err)
	}
	a, b := o.all[0], o.all[1]
	if a.address != "127.0.0.1:1" || a.path != "/x?y=z" || !a.kill || a.restart != "X=1 exec y" || a.ackOnly || b.address != "[::1]:2" || b.path != "/" || b.pid != "17" || !b.ackOnly {
		t.Errorf("%+v, %+v", a, b)
	}
	if _, _, err := a.processID(); err == nil || !strings.Contains(err.Error(), "not the PID") {
		t.Errorf("process 1 may be killed: %v", err)
	}
}
