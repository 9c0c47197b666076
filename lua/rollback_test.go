package lua

import (
	"bytes"
	"errors"
	"log/slog"
	"math"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/weirlog/weir/flush"
)

// trialClock is a clock that stands until it is moved.
type trialClock struct{ now time.Time }

func (c *trialClock) read() time.Time { return c.now }

// rolling is a transformer on trial, with all that a test asks it.
type rolling struct {
	t     *testing.T
	tr    *Transformer
	path  string
	clock *trialClock
	m     *Metrics
	log   *bytes.Buffer
}

func openRolling(t *testing.T, opts Options) *rolling {
	t.Helper()
	r := &rolling{t: t, clock: &trialClock{time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)}, m: NewMetrics(prometheus.NewRegistry()), log: &bytes.Buffer{}}
	opts.clock, opts.Metrics, opts.Logger = r.clock.read, r.m, slog.New(slog.NewTextHandler(r.log, nil))
	if opts.RollbackErrorRate == 0 {
		opts.RollbackErrorRate = 0.05
	}
	r.tr, r.path = open(t, steered("a"), opts)
	return r
}

// run gives the transformer n events, of which so many of a hundred, evenly spread, have the member.
func (r *rolling) run(n, ofHundred int, member string) {
	r.t.Helper()
	for i := range n {
		event := `{}`
		if i*37%100 < ofHundred {
			event = `{` + member + `}`
		}
		_, err := r.tr.Transform(r.t.Context(), record(event))
		var te *flush.TransformError
		if err != nil && !errors.As(err, &te) {
			r.t.Fatal(err)
		}
	}
}

func (r *rolling) load(source string) string {
	r.t.Helper()
	mustReload(r.t, r.tr, r.path, source)
	return r.tr.Version()
}

func (r *rolling) rolledBack() *Rollback { return r.tr.Status().(Status).RolledBack }

const fails = `"b":"error"`

func TestRollback_Jump(t *testing.T) {
	r := openRolling(t, Options{})
	r.run(1000, 1, `"a":"error"`)
	first := r.tr.Version()
	r.clock.now = r.clock.now.Add(time.Hour)
	loaded := r.clock.now
	second := r.load(steered("b"))
	r.clock.now = r.clock.now.Add(time.Minute)
	r.run(200, 50, fails)
	if r.tr.Version() != second {
		t.Fatal("judged before it was given 200 events")
	}
	r.run(1, 100, fails)
	back := r.rolledBack()
	if r.tr.Version() != first || back == nil {
		t.Fatalf("version %s is in force, status %+v", r.tr.Version(), r.tr.Status())
	}
	if math.Abs(back.Share-101./201) > 1e-9 || math.Abs(back.Before-0.01) > 1e-9 {
		t.Errorf("shares %v and %v", back.Share, back.Before)
	}
	want := Rollback{
		Version: second, To: first, LoadedAt: loaded, At: r.clock.now, Events: 201, Failed: 101, Share: back.Share, Before: back.Before,
		Last: "error: transform.lua:3: boom", Replay: "weir dlq replay --stage transform --since 2026-01-02T04:04:05Z",
	}
	if *back != want {
		t.Errorf("got  %+v\nwant %+v", *back, want)
	}
	if rep := r.tr.Report(); rep.Version != second || rep.Result != resultRolledBack || rep.Why != "50.2 % of its events failed, 1 % of those of version "+first+" before; the last one with: error: transform.lua:3: boom" {
		t.Errorf("report %+v", rep)
	}
	for _, want := range []string{"level=ERROR", "script rolled back", back.Replay, second} {
		if !strings.Contains(r.log.String(), want) {
			t.Errorf("the log lacks %q: %s", want, r.log)
		}
	}
	if n, on := testutil.ToFloat64(r.m.reloads.WithLabelValues(r.path, resultRolledBack)), testutil.ToFloat64(r.m.rolled.WithLabelValues(r.path)); n != 1 || on != 1 {
		t.Errorf("%v rollbacks counted, alarm %v", n, on)
	}
	r.run(100, 100, fails) // the version before takes them
	for _, v := range r.tr.Status().(Status).Versions {
		if want := map[string]VersionCount{first: {first, 1100, 10}, second: {second, 201, 101}}[v.Version]; v != want {
			t.Errorf("counted %+v, want %+v", v, want)
		}
	}
}

// TestRollback_NoVerdict lists what does not bring a version out of force.
func TestRollback_NoVerdict(t *testing.T) {
	for _, tc := range []struct {
		name string
		opts Options
		run  func(r *rolling)
	}{
		{"fewer failures than may be", Options{}, func(r *rolling) { r.load(steered("b")); r.run(5000, 4, fails) }},
		{"no more than chance explains", Options{RollbackErrorRate: 0.01}, func(r *rolling) {
			r.run(1000, 50, `"a":"error"`)
			r.load(steered("b"))
			r.run(1000, 52, fails)
		}},
		{"too few events", Options{RollbackMinEvents: 500}, func(r *rolling) { r.load(steered("b")); r.run(499, 100, fails) }},
		{"a version that was as bad before", Options{}, func(r *rolling) {
			r.run(1000, 60, `"a":"error"`)
			r.load(steered("b"))
			r.run(1000, 63, fails)
		}},
		{"the window is over", Options{RollbackWindow: time.Minute}, func(r *rolling) {
			r.load(steered("b"))
			r.run(1000, 0, fails)
			r.clock.now = r.clock.now.Add(time.Minute + 1)
			r.run(1000, 100, fails)
		}},
		{"letters that are replayed", Options{}, func(r *rolling) {
			r.load(steered("b"))
			for range 1000 {
				if _, err := r.tr.Apart().Transform(r.t.Context(), record(`{`+fails+`}`)); err == nil {
					r.t.Fatal("no error")
				}
			}
		}},
		{"turned off", Options{RollbackErrorRate: -1}, func(r *rolling) { r.load(steered("b")); r.run(1000, 100, fails) }},
		{"the first version", Options{}, func(r *rolling) { r.run(1000, 100, `"a":"error"`) }},
		{"a version that was bad in the shadow as well", Options{ShadowEvents: 300, Recent: recentOf(repeated(300, func(int) string { return `{"a":"error","b":"error"}` })...)}, func(r *rolling) {
			r.load(steered("b"))
			r.run(1000, 100, fails)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := openRolling(t, tc.opts)
			tc.run(r)
			if back := r.rolledBack(); back != nil {
				t.Errorf("rolled back: %v", back)
			}
		})
	}
}

// TestRollback_SuddenlyLate: a million good events do not hide a version that fails on all that come then.
func TestRollback_SuddenlyLate(t *testing.T) {
	r := openRolling(t, Options{})
	r.load(steered("b"))
	r.tr.current.Load().tally.events.Add(1_000_000)
	for n := 1; r.rolledBack() == nil; n++ {
		if r.run(1, 100, fails); n > 600 {
			t.Fatalf("still in force after %d failures in a row", n)
		}
	}
}

// TestRollback_RefusedUntilTheContentChanges, or somebody forces it.
func TestRollback_RefusedUntilTheContentChanges(t *testing.T) {
	r := openRolling(t, Options{})
	first := r.tr.Version()
	bad := r.load(steered("b"))
	r.run(300, 100, fails)
	for _, by := range []asking{watched, asked} {
		if err := r.tr.reload(t.Context(), by); err == nil || !strings.Contains(err.Error(), "version "+bad+" was rolled back at 2026-01-02T03:04:05Z: 100 % of its events failed") ||
			!strings.Contains(err.Error(), "force=true") || r.tr.Version() != first || r.rolledBack() == nil {
			t.Fatalf("the same content again: %v", err)
		}
	}
	if n := testutil.ToFloat64(r.m.reloads.WithLabelValues(r.path, resultRefused)); n != 0 {
		t.Errorf("%v refusals counted of what was told as a rollback", n)
	}
	r.load(steered("b") + " mended")
	if on := testutil.ToFloat64(r.m.rolled.WithLabelValues(r.path)); r.rolledBack() != nil || on != 0 {
		t.Errorf("changed content: %+v, alarm %v", r.rolledBack(), on)
	}
	r.load(steered("b")) // changed again, to what was bad once
	r.run(300, 100, fails)
	if r.rolledBack() == nil {
		t.Fatal("not rolled back a second time")
	}
	if err := r.tr.Reload(t.Context(), true); err != nil || r.tr.Version() != bad {
		t.Fatalf("forced: %v", err)
	}
	r.run(1000, 100, fails)
	if r.rolledBack() != nil || r.tr.Version() != bad {
		t.Error("a version that was forced went by itself")
	}
}

// TestRollback_ForcedOnTrial: whoever forces the version in force, which the watch of its directory has taken already, ends its trial.
func TestRollback_ForcedOnTrial(t *testing.T) {
	r := openRolling(t, Options{})
	version := r.load(steered("b"))
	if err := r.tr.Reload(t.Context(), false); err != nil || r.tr.Status().(Status).OnTrialUntil.IsZero() {
		t.Fatalf("looked at again: %v", err)
	}
	if err := r.tr.Reload(t.Context(), true); err != nil || !r.tr.Status().(Status).OnTrialUntil.IsZero() {
		t.Fatalf("forced: %v", err)
	}
	r.run(1000, 100, fails)
	if r.rolledBack() != nil || r.tr.Version() != version {
		t.Error("a version that was forced went by itself")
	}
}

// TestRollback_ComesBackToTheFile: while a file is written anew, nothing or half of it may be seen; what was rolled back is
// not taken for that.
func TestRollback_ComesBackToTheFile(t *testing.T) {
	for name, between := range map[string]func(path string) error{
		"the file was gone":      os.Remove,
		"the file was empty":     func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"half of it was written": func(path string) error { return os.WriteFile(path, []byte("function transform("), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			r := openRolling(t, Options{})
			first := r.tr.Version()
			r.load(steered("b"))
			r.run(300, 100, fails)
			if err := between(r.path); err != nil {
				t.Fatal(err)
			}
			if err := r.tr.reload(t.Context(), watched); err == nil || r.rolledBack() != nil {
				t.Fatalf("%v, %+v", err, r.rolledBack())
			}
			var back *Rollback
			if err := reloadTo(t, r.tr, r.path, steered("b"), false); !errors.As(err, &back) || r.tr.Version() != first || r.rolledBack() != back {
				t.Errorf("the same content again: %v", err)
			}
			if on := testutil.ToFloat64(r.m.rolled.WithLabelValues(r.path)); on != 1 {
				t.Errorf("the alarm is %v", on)
			}
		})
	}
}

// TestRollback_Blamed: what is refused of a version's documents counts against it, when it is out of force only in its tally.
func TestRollback_Blamed(t *testing.T) {
	r := openRolling(t, Options{})
	first, bad := r.tr.Version(), r.load(steered("b"))
	for range 300 {
		docs, err := r.tr.Transform(t.Context(), record(`{"b":"index"}`))
		if err != nil {
			t.Fatal(err)
		}
		if docs[0].Script == bad {
			r.tr.Blame(&flush.TransformError{Type: flush.TypeIndexNotAllowed, Message: "no", Script: bad})
		}
	}
	if b := r.rolledBack(); b == nil || b.Last != "index_not_allowed: no" || r.tr.Version() != first {
		t.Fatalf("%+v", b)
	}
	r.tr.Blame(&flush.TransformError{Type: flush.TypeIndexNotAllowed, Message: "late", Script: bad})
	for _, v := range r.tr.Status().(Status).Versions {
		if want := map[string]uint64{first: 0, bad: r.rolledBack().Failed + 1}[v.Version]; v.Failed != want {
			t.Errorf("%d events of %s failed, want %d", v.Failed, v.Version, want)
		}
	}
}

// TestRollback_FileOfTheVersionBefore ends the alarm.
func TestRollback_FileOfTheVersionBefore(t *testing.T) {
	r := openRolling(t, Options{})
	first := r.tr.Version()
	r.load(steered("b"))
	r.run(300, 100, fails)
	replace(t, r.path, steered("a"))
	if err := r.tr.Reload(t.Context(), false); err != nil || r.tr.Version() != first || r.rolledBack() != nil {
		t.Errorf("%v, %+v", err, r.rolledBack())
	}
	if on := testutil.ToFloat64(r.m.rolled.WithLabelValues(r.path)); on != 0 {
		t.Errorf("alarm %v", on)
	}
}

// TestRollback_ToTheLastThatStood: a version that was replaced before it could be judged is no measure for the next.
func TestRollback_ToTheLastThatStood(t *testing.T) {
	r := openRolling(t, Options{})
	first := r.tr.Version()
	r.load(steered("b"))
	r.run(199, 100, fails)
	r.load(steered("b") + " 2")
	r.run(300, 100, fails)
	if r.tr.Version() != first {
		t.Fatalf("version %s is in force, want the first, %s: %+v", r.tr.Version(), first, r.rolledBack())
	}
	third := r.load(steered("c"))
	r.run(300, 0, fails)
	r.load(steered("d"))
	r.run(300, 100, `"d":"error"`)
	if r.tr.Version() != third {
		t.Errorf("version %s is in force, want %s, which had stood", r.tr.Version(), third)
	}
}

// TestRollback_StateComesBack: what the version before kept is there again.
func TestRollback_StateComesBack(t *testing.T) {
	r := openRolling(t, Options{})
	counting := `state = {n = 0} function transform(event) state.n = state.n + 1 event.n = state.n return event end`
	r.load(counting)
	r.clock.now = r.clock.now.Add(time.Hour)
	for range 5 {
		once(t, r.tr)
	}
	r.load(steered("b"))
	r.run(200, 100, fails)
	if got := once(t, r.tr); got != `{"n":6}` {
		t.Errorf("got %s", got)
	}
}

// TestRollback_WorkersAreLetGo: a version that waits to come back holds no Lua states.
func TestRollback_WorkersAreLetGo(t *testing.T) {
	r := openRolling(t, Options{})
	before := r.tr.current.Load()
	w, err := before.get(&r.tr.opts)
	if err != nil {
		t.Fatal(err)
	}
	r.load(steered("b"))
	before.put(w, true)
	if len(before.idle) != 0 {
		t.Errorf("%d workers are kept", len(before.idle))
	}
}

// TestRollback_UnderLoad: many goroutines see the jump at once; one rollback comes of it, and each event is of one version.
func TestRollback_UnderLoad(t *testing.T) {
	r := openRolling(t, Options{})
	first := r.tr.Version()
	second := r.load(steered("b"))
	counts := make([]map[string]uint64, 4)
	var wg sync.WaitGroup
	for i := range counts {
		counts[i] = map[string]uint64{}
		wg.Go(func() {
			for range 1000 {
				docs, err := r.tr.Transform(t.Context(), record(`{`+fails+`}`))
				var te *flush.TransformError
				switch {
				case errors.As(err, &te):
					counts[i][te.Script]++
				case err == nil && len(docs) == 1:
					counts[i][docs[0].Script]++
				default:
					t.Errorf("%v %v", docs, err)
				}
			}
		})
	}
	wg.Wait()
	if n := testutil.ToFloat64(r.m.reloads.WithLabelValues(r.path, resultRolledBack)); n != 1 || r.tr.Version() != first {
		t.Fatalf("%v rollbacks, version %s", n, r.tr.Version())
	}
	wantCounts(t, r.tr, counts...)
	if s := r.tr.Status().(Status).Versions[0]; s.Version != second || s.Failed != s.Events || s.Events < 200 {
		t.Errorf("%+v", s)
	}
}

// wantCounts compares what the callers saw with what the transformer counted.
func wantCounts(t *testing.T, tr *Transformer, seen ...map[string]uint64) {
	t.Helper()
	total := map[string]uint64{}
	for _, m := range seen {
		for version, n := range m {
			total[version] += n
		}
	}
	for _, v := range tr.Status().(Status).Versions {
		if total[v.Version] != v.Events {
			t.Errorf("version %s: %d events seen, %d counted", v.Version, total[v.Version], v.Events)
		}
		delete(total, v.Version)
	}
	if len(total) > 0 {
		t.Errorf("not counted: %v", total)
	}
}

func TestTallies_AreBounded(t *testing.T) {
	tr, path := open(t, versionScript(0), Options{Logger: quietLogger()})
	for n := 1; n <= 2*maxTallies; n++ {
		mustReload(t, tr, path, versionScript(n))
		once(t, tr)
	}
	versions := tr.Status().(Status).Versions
	if len(versions) != maxTallies || versions[maxTallies-1] != (VersionCount{tr.Version(), 1, 0}) {
		t.Errorf("%+v", versions)
	}
	mustReload(t, tr, path, versionScript(2*maxTallies-3)) // comes again, and goes on counting
	once(t, tr)
	again := tr.Status().(Status).Versions
	if len(again) != maxTallies || again[maxTallies-1] != (VersionCount{tr.Version(), 2, 0}) || again[0] != versions[0] {
		t.Errorf("%+v", again)
	}
}
