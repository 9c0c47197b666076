package lua

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/wal"
)

// recentOf is a log that holds some events.
func recentOf(payloads ...string) func(context.Context, int, func(*wal.Record) error) error {
	return func(_ context.Context, n int, visit func(*wal.Record) error) error {
		for i, p := range payloads[max(0, len(payloads)-n):] {
			rec := record(p)
			rec.Offset = wal.Offset(i + 1)
			if err := visit(rec); err != nil {
				return err
			}
		}
		return nil
	}
}

// repeated is a list of n events, each made from its number.
func repeated(n int, payload func(i int) string) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = payload(i)
	}
	return list
}

func quietLogger() *slog.Logger { return slog.New(slog.DiscardHandler) }

// reloadTo puts a script in place and reloads.
func reloadTo(t *testing.T, tr *Transformer, path, source string, force bool) error {
	t.Helper()
	replace(t, path, source)
	return tr.Reload(t.Context(), force)
}

func mustReload(t *testing.T, tr *Transformer, path, source string) *Report {
	t.Helper()
	if err := reloadTo(t, tr, path, source, false); err != nil {
		t.Fatal(err)
	}
	return tr.Report()
}

// steered does with an event what the event's member for this version says.
func steered(version string) string {
	return `function transform(event, meta)
	local what = event.` + version + `
	if what == "error" then error("boom") end
	if what == "drop" then return nil end
	if what == "two" then return event, {second = true} end
	if what == "index" then meta.index = "logs-other" end
	if what == "id" then meta.id = "mine" end
	if what == "pipeline" then meta.pipeline = "p" end
	if what == "routing" then meta.routing = "r" end
	if what == "change" then event.new = 1 end
	return event
end -- ` + version
}

func TestShadow_Classes(t *testing.T) {
	for _, tc := range []struct {
		name, event   string
		class         Class
		before, after Side
	}{
		{"untouched by both", `{}`, ClassSame, Side{}, Side{}},
		{"both change it alike", `{"a":"change","b":"change"}`, ClassSame, Side{}, Side{}},
		{"both drop it", `{"a":"drop","b":"drop"}`, ClassSame, Side{}, Side{}},
		{"both fail on it", `{"a":"error","b":"error"}`, ClassSame, Side{}, Side{}},
		{"another source", `{"b":"change"}`, ClassChanged, Side{Documents: `{"b":"change"}`}, Side{Documents: `{"b":"change","new":1}`}},
		{"another number", `{"b":"two"}`, ClassChanged, Side{Documents: `{"b":"two"}`}, Side{Documents: `{"b":"two"}` + "\n" + `{"second":true}`}},
		{"another index", `{"b":"index"}`, ClassChanged, Side{Documents: `{"b":"index"}`}, Side{Documents: "index logs-other\n" + `{"b":"index"}`}},
		{"another id", `{"b":"id"}`, ClassChanged, Side{Documents: `{"b":"id"}`}, Side{Documents: "id mine\n" + `{"b":"id"}`}},
		{"another pipeline", `{"b":"pipeline"}`, ClassChanged, Side{Documents: `{"b":"pipeline"}`}, Side{Documents: "pipeline p\n" + `{"b":"pipeline"}`}},
		{"another routing", `{"b":"routing"}`, ClassChanged, Side{Documents: `{"b":"routing"}`}, Side{Documents: "routing r\n" + `{"b":"routing"}`}},
		{"dropped now", `{"b":"drop"}`, ClassDropped, Side{Documents: `{"b":"drop"}`}, Side{}},
		{"fails now", `{"b":"error"}`, ClassFailed, Side{Documents: `{"b":"error"}`}, Side{Error: "transform.lua:3: boom"}},
		{"dropped before, fails now", `{"a":"drop","b":"error"}`, ClassFailed, Side{}, Side{Error: "transform.lua:3: boom"}},
		{"failed before", `{"a":"error"}`, ClassMended, Side{Error: "transform.lua:3: boom"}, Side{Documents: `{"a":"error"}`}},
		{"failed before, dropped now", `{"a":"error","b":"drop"}`, ClassMended, Side{Error: "transform.lua:3: boom"}, Side{}},
		{"dropped before", `{"a":"drop"}`, ClassRestored, Side{}, Side{Documents: `{"a":"drop"}`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tr, path := open(t, steered("a"), Options{ShadowEvents: 2, Recent: recentOf(`{}`, tc.event), Logger: quietLogger()})
			before := tr.Version()
			r := mustReload(t, tr, path, steered("b"))
			want := Shadow{Wanted: 2, Events: 2, Same: 1, Seconds: r.Shadow.Seconds, Examples: []Example{}, failedBefore: r.Shadow.failedBefore}
			*want.count(tc.class)++
			if tc.class != ClassSame {
				want.Examples = append(want.Examples, Example{tc.class, 2, "default", tc.before, tc.after})
			}
			if !reflect.DeepEqual(r.Shadow, want) {
				t.Errorf("got  %+v\nwant %+v", r.Shadow, want)
			}
			if r.Version != tr.Version() || r.Before != before || r.Result != resultLoaded || r.At.IsZero() {
				t.Errorf("report %+v", r)
			}
		})
	}
}

// TestReport_Lint tells what is found and takes the script all the same.
func TestReport_Lint(t *testing.T) {
	var warned atomic.Int32
	tr, path := open(t, versionScript(1), Options{Logger: slog.New(countingHandler{&warned, "in the script: "})})
	for _, tc := range []struct{ mistakes, lines int }{{0, 0}, {1, 1}, {maxFindings, maxFindings}, {maxFindings + 5, maxFindings + 1}} {
		source := "-- " + fmt.Sprint(tc.mistakes) + "\nfunction transform(event, meta)\n"
		for i := range tc.mistakes {
			source += fmt.Sprintf("oops%d = event.a\n", i)
		}
		lint := mustReload(t, tr, path, source+"return event\nend").Lint
		if len(lint) != tc.lines || tc.lines > 0 && !strings.HasPrefix(lint[0], "transform.lua:3: ") {
			t.Errorf("%d mistakes: %q", tc.mistakes, lint)
		}
		if n := warned.Swap(0); int(n) != tc.lines {
			t.Errorf("%d mistakes: %d warnings", tc.mistakes, n)
		}
		if tc.lines > maxFindings && !strings.Contains(lint[maxFindings], "and 5 more") {
			t.Errorf("the last line is %q", lint[maxFindings])
		}
	}
}

// TestShadow_ExamplesAreBounded: five of a class, each side cut to 4 KiB, no character split.
func TestShadow_ExamplesAreBounded(t *testing.T) {
	events := repeated(50, func(i int) string {
		return fmt.Sprintf(`{"b":%q,"long":%q}`, []string{"change", "drop"}[i%2], strings.Repeat("é", 10_000))
	})
	tr, path := open(t, steered("a"), Options{ShadowEvents: 100, Recent: recentOf(events...), Logger: quietLogger()})
	s := mustReload(t, tr, path, steered("b")).Shadow
	if s.Changed != 25 || s.Dropped != 25 || len(s.Examples) != 2*maxExamples {
		t.Fatalf("%d changed, %d dropped, %d examples", s.Changed, s.Dropped, len(s.Examples))
	}
	for _, e := range s.Examples {
		for _, text := range []string{e.Before.Documents, e.After.Documents} {
			if len(text) > maxExampleBytes+3 || strings.ToValidUTF8(text, "?") != text || text != "" && !strings.HasSuffix(text, "é...") {
				t.Errorf("an example of %d bytes: ...%q", len(text), text[max(0, len(text)-10):])
			}
		}
	}
}

// TestShadow_LeavesNoTrace: neither counters nor log lines nor the state of the service's own workers.
func TestShadow_LeavesNoTrace(t *testing.T) {
	var prints atomic.Int32
	logger := slog.New(countingHandler{&prints, "shout"})
	script := func(n int) string {
		return fmt.Sprintf(`state = {n = 0}
function transform(event)
	print("shout")
	if event.bad then error("bad") end
	state.n = state.n + 1
	event.n = state.n
	return event
end -- %d`, n)
	}
	reg := prometheus.NewRegistry()
	m := NewMetrics(reg)
	tr, path := open(t, script(1), Options{ShadowEvents: 100, Recent: recentOf(`{}`, `{"bad":1}`, `{}`), Logger: logger, Metrics: m})
	once(t, tr)
	r := mustReload(t, tr, path, script(2))
	if r.Shadow.Events != 3 || r.Shadow.Same != 3 {
		t.Fatalf("%+v", r.Shadow)
	}
	if got := once(t, tr); got != `{"n":1}` {
		t.Errorf("the new version begins with the shadow's state: %s", got)
	}
	if n := prints.Load(); n != 2 {
		t.Errorf("%d lines of the script in the log, want those of the 2 real events", n)
	}
	if n := testutil.ToFloat64(m.errors.WithLabelValues(path, typeError)); n != 0 {
		t.Errorf("%v errors counted", n)
	}
	for _, v := range tr.Status().(Status).Versions {
		if v.Events != 1 || v.Failed != 0 {
			t.Errorf("counted %+v", v)
		}
	}
}

// countingHandler counts lines that hold a text.
type countingHandler struct {
	n    *atomic.Int32
	text string
}

func (h countingHandler) Enabled(context.Context, slog.Level) bool { return true }
func (h countingHandler) Handle(_ context.Context, r slog.Record) error {
	found := strings.Contains(r.Message, h.text)
	r.Attrs(func(a slog.Attr) bool { found = found || strings.Contains(a.Value.String(), h.text); return true })
	if found {
		h.n.Add(1)
	}
	return nil
}
func (h countingHandler) WithAttrs([]slog.Attr) slog.Handler { return h }
func (h countingHandler) WithGroup(string) slog.Handler      { return h }

// TestShadow_SameDice: a script that throws them makes the same of an event in both versions.
func TestShadow_SameDice(t *testing.T) {
	script := body(`event.r, event.id = math.random(1, 1000000), uuid.v4() if event.bad then while true do end end`)
	tr, path := open(t, script, Options{ShadowEvents: 10, Recent: recentOf(`{}`, `{"bad":1}`, `{"x":1}`), Timeout: 2 * time.Millisecond, Logger: quietLogger()})
	if s := mustReload(t, tr, path, script+"\n-- 2").Shadow; s.Same != 3 {
		t.Errorf("%+v", s)
	}
}

func TestShadow_Prepare(t *testing.T) {
	refuse := errors.New("the script chose the index logs-other, which is not allowed")
	prepare := func(_ *wal.Record, docs []flush.Document) error {
		for i := range docs {
			if docs[i].Index == "logs-other" {
				return refuse
			}
			docs[i].Index = "filled in"
		}
		return nil
	}
	tr, path := open(t, steered("a"), Options{ShadowEvents: 10, Recent: recentOf(`{"b":"index"}`, `{"b":"change"}`), Prepare: prepare, Logger: quietLogger()})
	s := mustReload(t, tr, path, steered("b")).Shadow
	if s.Failed != 1 || s.Changed != 1 || s.Examples[0].After.Error != refuse.Error() || !strings.HasPrefix(s.Examples[1].After.Documents, "index filled in\n{") {
		t.Errorf("%+v", s)
	}
}

// TestShadow_CannotBeRun: the script is taken all the same, and the report says why nothing is known of it.
func TestShadow_CannotBeRun(t *testing.T) {
	broken := func(_ context.Context, _ int, visit func(*wal.Record) error) error {
		if err := visit(record(`{}`)); err != nil {
			return err
		}
		return errors.New("the disk is on fire")
	}
	for _, tc := range []struct {
		name   string
		opts   Options
		events int
		note   string
	}{
		{"none wanted", Options{Recent: recentOf(`{}`)}, 0, "transform.shadow_events is 0"},
		{"no log", Options{ShadowEvents: 10}, 0, "transform.shadow_events is 0"},
		{"an empty log", Options{ShadowEvents: 10, Recent: recentOf()}, 0, "holds no events"},
		{"a log that holds too few", Options{ShadowEvents: 10, Recent: recentOf(`{}`, `{}`)}, 2, "fewer events than the 10 that are wanted"},
		{"a log that holds enough", Options{ShadowEvents: 2, Recent: recentOf(`{}`, `{}`, `{}`)}, 2, ""},
		{"a log that cannot be read", Options{ShadowEvents: 10, Recent: broken}, 1, "not all events could be read from the log: the disk is on fire"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.opts.Logger, tc.opts.RollbackErrorRate = quietLogger(), 0.05
			tr, path := open(t, versionScript(1), tc.opts)
			r := mustReload(t, tr, path, versionScript(2))
			if got := once(t, tr); got != `{"v":2}` || r.Shadow.Events != tc.events || !strings.Contains(r.Shadow.Note, tc.note) || (tc.note == "") != (r.Shadow.Note == "") {
				t.Errorf("%s, %+v", got, r.Shadow)
			}
		})
	}
}

// TestShadow_TimeIsBounded: a clock that jumps ends the run, which reports on what it has.
func TestShadow_TimeIsBounded(t *testing.T) {
	var now atomic.Int64
	clock := func() time.Duration { return time.Duration(now.Load()) }
	recent := func(_ context.Context, _ int, visit func(*wal.Record) error) error {
		for range 1000 {
			if err := visit(record(`{}`)); err != nil {
				return err
			}
			now.Add(int64(time.Second))
		}
		return nil
	}
	tr, path := open(t, versionScript(1), Options{ShadowEvents: 1000, Recent: recent, Logger: quietLogger(), now: clock})
	s := mustReload(t, tr, path, versionScript(2)).Shadow
	if s.Events != 11 || s.Changed != 11 || !strings.Contains(s.Note, "the run ended before all events were through") {
		t.Errorf("%d events, %q", s.Events, s.Note)
	}
}

// TestShadow_Cancelled: at a shutdown the reload ends; nothing is known of the script, and nothing is held against it.
func TestShadow_Cancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	recent := func(ctx context.Context, _ int, visit func(*wal.Record) error) error {
		cancel()
		return visit(record(`{}`))
	}
	tr, path := open(t, versionScript(1), Options{ShadowEvents: 10, Recent: recent, Logger: quietLogger()})
	replace(t, path, versionScript(2))
	if err := tr.Reload(ctx, false); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if s := tr.Status().(Status); s.Refused != "" || s.RolledBack != nil || once(t, tr) != `{"v":1}` {
		t.Errorf("%+v", s)
	}
}

func TestShadow_Verdict(t *testing.T) {
	for _, tc := range []struct {
		name            string
		events, failing int
		rate            float64
		refused         string
	}{
		{"more fail than may", 1000, 51, 0.05, "in the shadow 51 of 1000 events fail that did not: transform.lua:3: boom"},
		{"as many fail as may", 1000, 50, 0.05, ""},
		{"too few events", 199, 199, 0.05, ""},
		{"just enough events", 200, 200, 0.05, "in the shadow 200 of 200 events"},
		{"turned off", 1000, 1000, 0, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			events := repeated(tc.events, func(i int) string {
				if i < tc.failing {
					return `{"b":"error"}`
				}
				return `{}`
			})
			m := NewMetrics(prometheus.NewRegistry())
			tr, path := open(t, steered("a"), Options{ShadowEvents: 1000, Recent: recentOf(events...), RollbackErrorRate: tc.rate, Logger: quietLogger(), Metrics: m})
			before := tr.Version()
			err := reloadTo(t, tr, path, steered("b"), false)
			if tc.refused == "" {
				if err != nil || tr.Version() == before {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !strings.HasPrefix(err.Error(), tc.refused) || tr.Version() != before {
				t.Fatalf("%v, version %s", err, tr.Version())
			}
			if r := tr.Report(); r.Result != resultRefused || r.Why != err.Error() || r.Shadow.Failed != tc.failing {
				t.Errorf("report %+v", r)
			}
			if s := tr.Status().(Status); s.Refused != err.Error() {
				t.Errorf("status %+v", s)
			}
			if n := testutil.ToFloat64(m.reloads.WithLabelValues(path, resultRefused)); n != 1 {
				t.Errorf("%v refusals counted", n)
			}
		})
	}
}

// TestShadow_RefusedVersionIsTriedAgain when somebody asks, not when the directory merely changes; force takes it.
func TestShadow_RefusedVersionIsTriedAgain(t *testing.T) {
	runs := 0
	recent := func(ctx context.Context, n int, visit func(*wal.Record) error) error {
		runs++
		return recentOf(repeated(300, func(int) string { return `{"b":"error"}` })...)(ctx, n, visit)
	}
	tr, path := open(t, steered("a"), Options{ShadowEvents: 1000, Recent: recent, RollbackErrorRate: 0.05, Logger: quietLogger()})
	first := tr.Version()
	want := func(wantRuns int, err error) {
		t.Helper()
		if err == nil || runs != wantRuns || tr.Version() != first {
			t.Fatalf("%d runs, want %d; %v", runs, wantRuns, err)
		}
	}
	replace(t, path, steered("b"))
	want(1, tr.reload(t.Context(), watched))
	want(1, tr.reload(t.Context(), watched))
	want(2, tr.Reload(t.Context(), false))
	if err := tr.Reload(t.Context(), true); err != nil || tr.Version() == first {
		t.Fatalf("forced: %v", err)
	}
	if s, r := tr.Status().(Status), tr.Report(); s.Refused != "" || !s.OnTrialUntil.IsZero() || r.Result != resultLoaded || r.Shadow.Failed != 300 {
		t.Errorf("%+v %+v", s, r)
	}
}
