package lua

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/weirlog/weir/flush"
)

// replace puts a script in place of another as editors do: beside it, then by a rename.
func replace(t *testing.T, path, source string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// versionScript sets event.v to n.
func versionScript(n int) string { return body(fmt.Sprintf("event.v = %d", n)) }

// open makes a Transformer over a new file.
func open(t *testing.T, source string, opts Options) (*Transformer, string) {
	t.Helper()
	opts.Script = filepath.Join(t.TempDir(), "transform.lua")
	replace(t, opts.Script, source)
	tr, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return tr, opts.Script
}

// once transforms an empty object and returns the first document.
func once(t *testing.T, tr *Transformer) string {
	t.Helper()
	docs, err := tr.Transform(context.Background(), record(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	return string(docs[0].Source)
}

func TestNew_Refusals(t *testing.T) {
	for _, tc := range []struct{ name, source, want string }{
		{"a script that does not compile", "function transform(", "transform.lua: at the end"},
		{"a script without transform", "x = 1", ErrNoTransform.Error()},
		{"a script whose test fails", body("") + "\nfunction test_a() end\nfunction test_b() assert(1 == 2, 'one is two') end", "test_b: transform.lua:6: one is two"},
		{"a script whose test runs without end", body("") + "\nfunction test_a() while true do end end", "test_a: transform.lua:5: the script ran longer"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "transform.lua")
			replace(t, path, tc.source)
			_, err := New(Options{Script: path})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("New: %v, want %q", err, tc.want)
			}
			if err := Check(t.Context(), path, Options{}); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("Check: %v, want %q", err, tc.want)
			}
		})
	}
	if _, err := New(Options{Script: filepath.Join(t.TempDir(), "none.lua")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

func TestTransformer_Reload(t *testing.T) {
	reg := prometheus.NewRegistry()
	m := NewMetrics(reg)
	tr, path := open(t, versionScript(1), Options{Metrics: m, Logger: slog.New(slog.DiscardHandler)})
	first := tr.Version()
	replace(t, path, versionScript(2))
	if err := tr.Reload(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	second := tr.Version()
	if got := once(t, tr); got != `{"v":2}` || second == first || len(second) != 12 {
		t.Fatalf("got %s of version %s after %s", got, second, first)
	}
	replace(t, path, "function transform(event) return event")
	for range 2 {
		if err := tr.Reload(t.Context(), false); err == nil {
			t.Fatal("a broken script was accepted")
		}
		if got := once(t, tr); got != `{"v":2}` || tr.Version() != second {
			t.Fatalf("the script in force went: %s", got)
		}
	}
	if s := tr.Status().(Status); s.Version != second || !strings.Contains(s.Refused, "transform.lua") {
		t.Errorf("status %+v", s)
	}
	replace(t, path, versionScript(2)) // back to what is in force
	if err := tr.Reload(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if s := tr.Status().(Status); s.Refused != "" {
		t.Errorf("status %+v", s)
	}
	if n := testutil.ToFloat64(m.reloads.WithLabelValues(tr.opts.Script, "refused")); n != 1 {
		t.Errorf("%v refusals counted, want 1", n)
	}
	if n := testutil.ToFloat64(m.reloads.WithLabelValues(tr.opts.Script, "loaded")); n != 1 {
		t.Errorf("%v reloads counted, want 1", n)
	}
}

// TestTransformer_ReloadUnderLoad: every event is transformed by one version or the other.
func TestTransformer_ReloadUnderLoad(t *testing.T) {
	const script = `local v = %d
		function transform(event) event.a = v event.b = v return event end`
	tr, path := open(t, fmt.Sprintf(script, 0), Options{Logger: slog.New(slog.DiscardHandler)})
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				docs, err := tr.Transform(context.Background(), record(`{}`))
				var a, b int
				if err == nil {
					_, err = fmt.Sscanf(string(docs[0].Source), `{"a":%d,"b":%d}`, &a, &b)
				}
				if err != nil || a != b {
					t.Errorf("a=%d b=%d: %v", a, b, err)
					return
				}
			}
		})
	}
	for n := 1; n <= 30; n++ {
		replace(t, path, fmt.Sprintf(script, n))
		if err := tr.Reload(t.Context(), false); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	wg.Wait()
	if got := once(t, tr); got != `{"a":30,"b":30}` {
		t.Error(got)
	}
}

// signalHandler tells a test about every line that is logged.
type signalHandler struct{ lines chan string }

func (h signalHandler) Enabled(context.Context, slog.Level) bool { return true }
func (h signalHandler) Handle(_ context.Context, r slog.Record) error {
	h.lines <- r.Message
	return nil
}
func (h signalHandler) WithAttrs([]slog.Attr) slog.Handler { return h }
func (h signalHandler) WithGroup(string) slog.Handler      { return h }

func TestTransformer_Run_FileReplaced(t *testing.T) {
	lines := make(chan string, 100)
	tr, path := open(t, versionScript(1), Options{Logger: slog.New(signalHandler{lines})})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- tr.Run(ctx) }()
	replace(t, path, versionScript(2))
	if got := <-lines; got != "script loaded" {
		t.Errorf("logged %q", got)
	}
	if got := once(t, tr); got != `{"v":2}` {
		t.Error(got)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestTransformer_Run_TellsFindings of the version that was in force from the start.
func TestTransformer_Run_TellsFindings(t *testing.T) {
	lines := make(chan string, 100)
	tr, _ := open(t, body("oops = event.a"), Options{Logger: slog.New(signalHandler{lines})})
	if len(lines) > 0 {
		t.Errorf("a transformer that does not run says %q", <-lines)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- tr.Run(ctx) }()
	if got := <-lines; !strings.HasPrefix(got, "in the script: transform.lua:2: ") {
		t.Errorf("logged %q", got)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestTransformer_Watch_WaitsUntilQuiet(t *testing.T) {
	tr, path := open(t, versionScript(1), Options{Logger: slog.New(slog.DiscardHandler)})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		events := make(chan fsnotify.Event)
		go tr.watch(ctx, events, nil, nil)
		time.Sleep(2 * settle) // the look at the start
		for n := 2; n < 10; n++ {
			replace(t, path, versionScript(n))
			events <- fsnotify.Event{Name: path, Op: fsnotify.Write}
			time.Sleep(settle / 2)
			synctest.Wait()
			if got := once(t, tr); got != `{"v":1}` {
				t.Fatalf("reloaded while the file was being written: %s", got)
			}
		}
		time.Sleep(settle)
		synctest.Wait()
		if got := once(t, tr); got != `{"v":9}` {
			t.Errorf("not reloaded: %s", got)
		}
		cancel()
		synctest.Wait()
	})
}

func TestTransformer_Transform_ContextEnded(t *testing.T) {
	tr, _ := open(t, versionScript(1), Options{})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var te *flush.TransformError
	if _, err := tr.Transform(ctx, record(`{}`)); !errors.Is(err, context.Canceled) || errors.As(err, &te) {
		t.Error(err)
	}
}

func TestTransformer_Metrics(t *testing.T) {
	m := NewMetrics(prometheus.NewRegistry())
	tr, _ := open(t, `function transform(event) if event.bad then return 1 end error("x") end`, Options{Metrics: m})
	for _, payload := range []string{`{}`, `{}`, `{"bad":1}`} {
		if _, err := tr.Transform(context.Background(), record(payload)); err == nil {
			t.Fatal("no error")
		}
	}
	if e, r := testutil.ToFloat64(m.errors.WithLabelValues(tr.opts.Script, typeError)), testutil.ToFloat64(m.errors.WithLabelValues(tr.opts.Script, typeResult)); e != 2 || r != 1 {
		t.Errorf("counted %v errors and %v results", e, r)
	}
}

// TestTransformer_StateIsMadeAnew: what a script piles up over events is bounded, and goes unnoticed.
func TestTransformer_StateIsMadeAnew(t *testing.T) {
	tr, _ := open(t, `local pile = {}
		function transform(event) pile[#pile + 1] = ("x"):rep(100000) event.n = #pile return event end`, Options{MaxMemory: 1 << 20})
	most, last := 0, 0
	for range 200 {
		var n int
		if _, err := fmt.Sscanf(once(t, tr), `{"n":%d}`, &n); err != nil {
			t.Fatal(err)
		}
		most, last = max(most, n), n
	}
	if most > 60 || last == 200 {
		t.Errorf("%d strings of 100 kB lived in one state of 1 MiB an event", most)
	}
}

// TestBudget_ShortScriptsAreNotTimed: a goroutine that was left waiting does not cost a short script its event.
func TestBudget_ShortScriptsAreNotTimed(t *testing.T) {
	var now time.Duration
	clock := func() time.Duration { now += time.Hour; return now }
	s, err := Compile("script.lua", []byte(body(`for i = 1, 100 do event.x = i end`)), Options{now: clock})
	if err != nil {
		t.Fatal(err)
	}
	if got := sources(t, s, `{}`)[0]; got != `{"x":100}` {
		t.Error(got)
	}
	s, err = Compile("script.lua", []byte(body(`for i = 1, 100000 do event.x = i end`)), Options{now: clock})
	if err != nil {
		t.Fatal(err)
	}
	var te *flush.TransformError
	if _, _, err := s.Transform(record(`{}`)); !errors.As(err, &te) || te.Type != typeTimeout {
		t.Error(err)
	}
}
