package lua

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// expect compares all series of scripts, and the refused ones, with want: lines as of an exposition, without HELP and TYPE.
func expect(t *testing.T, reg *prometheus.Registry, want ...string) {
	t.Helper()
	var text strings.Builder
	names, last := []string{"weir_lua_series_refused_total"}, ""
	for _, line := range want {
		name, _, _ := strings.Cut(line, "{")
		if name != last {
			fmt.Fprintf(&text, "# HELP %s Counted by scripts with metric.inc.\n# TYPE %s counter\n", name, name)
			names, last = append(names, name), name
		}
		text.WriteString(line + "\n")
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "weir_script_") {
			names = append(names, f.GetName())
		}
	}
	text.WriteString("# HELP weir_lua_series_refused_total Calls of metric.inc that were not counted, because scripts have as many metrics or series as they may have.\n" +
		"# TYPE weir_lua_series_refused_total counter\nweir_lua_series_refused_total 0\n")
	if err := testutil.GatherAndCompare(reg, strings.NewReader(text.String()), names...); err != nil {
		t.Error(err)
	}
}

// metered opens a script whose metrics are in the registry that comes with it.
func metered(t *testing.T, source string) (*Transformer, string, *prometheus.Registry) {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	tr, path := open(t, source, Options{Metrics: NewMetrics(reg), Name: "transform.lua"})
	return tr, path, reg
}

// feed transforms events, whatever becomes of them.
func feed(tr *Transformer, events ...string) {
	for _, e := range events {
		tr.Transform(context.Background(), record(e))
	}
}

func TestMetric_Inc(t *testing.T) {
	for _, tc := range []struct {
		name, script string
		events       []string
		want         []string
	}{
		{"a name alone", `metric.inc("logins")`, []string{`{}`, `{}`}, []string{`weir_script_logins_total{script="transform.lua"} 2`}},
		{"labels", `metric.inc("logins", {channel = event.c})`, []string{`{"c":"app"}`, `{"c":"api"}`, `{"c":"app"}`},
			[]string{`weir_script_logins_total{channel="api",script="transform.lua"} 1`, `weir_script_logins_total{channel="app",script="transform.lua"} 2`}},
		{"a label that is missing, null or empty", `metric.inc("logins", {channel = event.c})`, []string{`{}`, `{"c":null}`, `{"c":""}`, `{"c":"app"}`},
			[]string{`weir_script_logins_total{channel="app",script="transform.lua"} 1`, `weir_script_logins_total{script="transform.lua"} 3`}},
		{"values of all kinds", `metric.inc("x", {b = true, n = 1.5, i = 3, e = event.id, t = "a\nb"})`, []string{`{"id":9007199254740993}`},
			[]string{`weir_script_x_total{b="true",e="9007199254740993",i="3",n="1.5",script="transform.lua",t="a\nb"} 1`}},
		{"the order in which labels are given is one", `if event.a then metric.inc("x", {a = 1, b = 2}) else metric.inc("x", {b = 2, a = 1}) end`, []string{`{}`, `{"a":1}`},
			[]string{`weir_script_x_total{a="1",b="2",script="transform.lua"} 2`}},
		{"labels out of the event", `metric.inc("x", event.l)`, []string{`{"l":{"b":1,"a":"y"}}`}, []string{`weir_script_x_total{a="y",b="1",script="transform.lua"} 1`}},
		{"a name that the event has twice counts once, with its last value", `metric.inc("x", event.l)`, []string{`{"l":{"a":1,"a":2}}`, `{"l":{"a":2}}`, `{"l":{"a":3,"a":null}}`},
			[]string{`weir_script_x_total{a="2",script="transform.lua"} 2`, `weir_script_x_total{script="transform.lua"} 1`}},
		{"more than one, and fractions", `metric.inc("bytes", nil, event.n)`, []string{`{"n":1.5}`, `{"n":40}`, `{"n":0}`}, []string{`weir_script_bytes_total{script="transform.lua"} 41.5`}},
		{"several in one event", `metric.inc("a") metric.inc("b") metric.inc("a") metric.inc("a")`, []string{`{}`},
			[]string{`weir_script_a_total{script="transform.lua"} 3`, `weir_script_b_total{script="transform.lua"} 1`}},
		{"an event that fails counts nothing", `metric.inc("a") if event.bad then error("x") end`, []string{`{"bad":1}`, `{}`, `{"bad":1}`}, []string{`weir_script_a_total{script="transform.lua"} 1`}},
		{"nor does one that overruns a limit", `metric.inc("a") if event.bad then local s = string.rep("x", 1e9) end`, []string{`{"bad":1}`, `{}`}, []string{`weir_script_a_total{script="transform.lua"} 1`}},
		{"nor one whose result is none", `metric.inc("a") if event.bad then return 5 end`, []string{`{"bad":1}`, `{}`}, []string{`weir_script_a_total{script="transform.lua"} 1`}},
		{"an event that is dropped counts", `metric.inc("a") do return end`, []string{`{}`}, []string{`weir_script_a_total{script="transform.lua"} 1`}},
		{"long values are cut between characters", `metric.inc("a", {v = ("ä"):rep(100), w = "\255"})`, []string{`{}`},
			[]string{`weir_script_a_total{script="transform.lua",v="` + strings.Repeat("ä", 64) + `",w="` + "\uFFFD" + `"} 1`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tr, _, reg := metered(t, body(tc.script))
			feed(tr, tc.events...)
			expect(t, reg, tc.want...)
		})
	}
}

func TestMetric_TestsAndCommandsCountNothing(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	opts := Options{Metrics: NewMetrics(reg), Name: "transform.lua"}
	tr, path := open(t, body(`metric.inc("a")`)+"\nfunction test_a() transform({}, {}) end", opts)
	expect(t, reg)
	s, err := Load(path, opts)
	if err != nil {
		t.Fatal(err)
	}
	sources(t, s, `{}`)
	expect(t, reg)
	feed(tr, `{}`) // and what the test counted does not come with it
	expect(t, reg, `weir_script_a_total{script="transform.lua"} 1`)
}

// TestMetric_ReplaysCountNothing: a letter's event was counted when it was delivered first, or is run by a dry run.
func TestMetric_ReplaysCountNothing(t *testing.T) {
	tr, _, reg := metered(t, body(`metric.inc("a")`))
	if _, err := tr.Apart().Transform(context.Background(), record(`{}`)); err != nil {
		t.Fatal(err)
	}
	expect(t, reg)
	feed(tr, `{}`)
	expect(t, reg, `weir_script_a_total{script="transform.lua"} 1`)
}

func TestMetric_SurvivesReload(t *testing.T) {
	tr, path, reg := metered(t, body(`metric.inc("a", {x = 1})`))
	feed(tr, `{}`, `{}`)
	replace(t, path, body(`metric.inc("a", {x = 1}) metric.inc("a", {y = 2})`)) // other labels than before are no fault
	if err := tr.Reload(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	feed(tr, `{}`)
	expect(t, reg, `weir_script_a_total{script="transform.lua",x="1"} 3`, `weir_script_a_total{script="transform.lua",y="2"} 1`)
}

func TestMetric_SeveralScripts(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	m, dir := NewMetrics(reg), t.TempDir()
	for i, name := range []string{"b.lua", "a.lua"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(body(fmt.Sprintf(`metric.inc("x", {l%d = 1})`, i))), 0o600); err != nil {
			t.Fatal(err)
		}
		tr, err := New(Options{Script: path, Metrics: m, Name: name})
		if err != nil {
			t.Fatal(err)
		}
		feed(tr, `{}`)
	}
	expect(t, reg, `weir_script_x_total{l0="1",script="b.lua"} 1`, `weir_script_x_total{l1="1",script="a.lua"} 1`)
}

// TestMetric_Bounds: what is beyond is counted as refused, and the event is none the worse for it.
func TestMetric_Bounds(t *testing.T) {
	for _, tc := range []struct {
		name, script    string
		events          int
		series, refused float64
	}{
		{"as many metrics as there may be", `metric.inc("m" .. event.i)`, maxScriptMetrics, maxScriptMetrics, 0},
		{"more metrics", `metric.inc("m" .. event.i)`, maxScriptMetrics + 5, maxScriptMetrics, 5},
		{"as many series as there may be", `metric.inc("m", {i = event.i})`, maxScriptSeries, maxScriptSeries, 0},
		{"more series", `metric.inc("m", {i = event.i}) metric.inc("m", {i = 1})`, maxScriptSeries + 200, maxScriptSeries, 200},
		{"the same one, again and again", `metric.inc("m", {i = math.min(event.i, 1001)})`, maxScriptSeries + 200, maxScriptSeries, 200},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tr, _, reg := metered(t, body(tc.script))
			for i := 1; i <= tc.events; i++ {
				if _, err := tr.Transform(context.Background(), record(fmt.Sprintf(`{"i":%d}`, i))); err != nil {
					t.Fatal(err)
				}
			}
			m := tr.opts.Metrics.scripts
			if n := testutil.CollectAndCount(m); float64(n) != tc.series {
				t.Errorf("%d series, want %v", n, tc.series)
			}
			if n := testutil.ToFloat64(m.refused); n != tc.refused {
				t.Errorf("%v refused, want %v", n, tc.refused)
			}
			if _, err := reg.Gather(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestMetric_WorkerForgetsSeries(t *testing.T) {
	s := mustCompile(t, body(`for i = 1, 600 do metric.inc("m", {i = event.base + i}) end`))
	for i := range 5 {
		sources(t, s, fmt.Sprintf(`{"base":%d}`, i*600))
	}
	if n := len(s.w.counts.known); n > maxKnownSeries {
		t.Errorf("the worker knows %d series", n)
	}
}

// TestMetric_HoldsNoTexts: a label that was cut from a text is kept without the text.
func TestMetric_HoldsNoTexts(t *testing.T) {
	s := mustCompile(t, body(`metric.inc("m", {label = event.text:sub(1, 30)})`))
	long := strings.Repeat("x", 1<<20)
	var before, after runtime.MemStats
	sources(t, s, `{"text":"`+long+`"}`)
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range 20 {
		sources(t, s, fmt.Sprintf(`{"text":"%030d%s"}`, i, long))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if kept := int64(after.HeapAlloc) - int64(before.HeapAlloc); kept > 2<<20 {
		t.Errorf("%d KiB are kept", kept>>10)
	}
	runtime.KeepAlive(s)
}

// TestMetric_Concurrent: workers and versions count into the same series, and none is lost.
func TestMetric_Concurrent(t *testing.T) {
	source := body(`metric.inc("a", {w = event.w % 3}) metric.inc("b", nil, 2)`)
	tr, path, reg := metered(t, source)
	const workers, events = 4, 300
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for range events {
				feed(tr, fmt.Sprintf(`{"w":%d}`, w))
			}
		})
	}
	for i := range 5 {
		replace(t, path, source+strings.Repeat(" ", i))
		if err := tr.Reload(t.Context(), false); err != nil {
			t.Error(err)
		}
		if _, err := reg.Gather(); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
	expect(t, reg, `weir_script_a_total{script="transform.lua",w="0"} 600`, `weir_script_a_total{script="transform.lua",w="1"} 300`,
		`weir_script_a_total{script="transform.lua",w="2"} 300`, `weir_script_b_total{script="transform.lua"} 2400`)
}

func TestMetric_WhileLoaded(t *testing.T) {
	_, err := Compile("script.lua", []byte(`metric.inc("a") `+body(``)), Options{})
	if err == nil || !strings.Contains(err.Error(), "nothing is counted while the script is loaded") {
		t.Errorf("got %v", err)
	}
}

func BenchmarkMetric(b *testing.B) {
	for _, bc := range []struct{ name, script string }{
		{"calls=0", ``},
		{"calls=1/labels=0", `metric.inc("logins")`},
		{"calls=1/labels=2", `metric.inc("logins", {channel = event.channel, level = event.level_name})`},
		{"calls=10/labels=2", `for i = 1, 10 do metric.inc("logins", {channel = event.channel, level = event.level_name}) end`},
	} {
		b.Run(bc.name, func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "transform.lua")
			if err := os.WriteFile(path, []byte(body(bc.script)), 0o600); err != nil {
				b.Fatal(err)
			}
			tr, err := New(Options{Script: path, Metrics: NewMetrics(prometheus.NewRegistry())})
			if err != nil {
				b.Fatal(err)
			}
			rec := record(monolog)
			b.ReportAllocs()
			cpu := processTime()
			for b.Loop() {
				if _, err := tr.Transform(context.Background(), rec); err != nil {
					b.Fatal(err)
				}
			}
			report(b, processTime()-cpu)
		})
	}
}
