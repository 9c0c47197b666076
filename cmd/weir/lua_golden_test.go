package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirlog/weir/lua"
	"github.com/weirlog/weir/wal"
)

// goldenEvents reads the golden events beside a script.
func goldenEvents(t *testing.T, script string) []lua.GoldenEvent {
	t.Helper()
	events, err := lua.ReadGolden(lua.GoldenPath(script))
	if err != nil {
		t.Fatal(err)
	}
	return events
}

func TestLuaTest_FromLog(t *testing.T) {
	received := time.Date(2026, 3, 4, 5, 6, 7, 89, time.UTC)
	fill := func(s *testService) {
		for _, text := range []string{`{"n":1}`, "{\"n\":\n2.0, \"secret\":\"x\"}", `{"n":2,"drop":true}`, `{"n":2,"drop":true}`, `{"n":3,"boom":1}`} {
			events := []wal.Event{{Payload: []byte(text)}, {Payload: []byte("bad\x1b[31m"), Flags: wal.FlagRejected, Reason: "malformed_json: byte 0"}}
			if _, err := s.service.log.Append(s.t.Context(), wal.Origin{Stream: DefaultStream, ReceivedAt: received}, events); err != nil {
				s.t.Fatal(err)
			}
		}
	}
	bothWays(t, fill, func(t *testing.T, o *operator, says string) {
		script := writeScript(t, testScript)
		out := o.want(exitDone, "3 added, 1 there already; 1 of them: the tests will want the script to fail on it; nothing was written (--dry-run)", "lua", "test", script, "--from-wal", "4", "--dry-run")
		for _, want := range []string{"added default 3: 1 document\n  -   \"secret\": \"x\"\n", "+   \"seen\": true", "added default 5: it was dropped\n", "added default 9: it failed: error: t.lua:4: no good \\x1b[31m\n"} {
			if !strings.Contains(out, want) {
				t.Errorf("the output lacks %q:\n%s", want, out)
			}
		}
		if _, err := os.Stat(lua.GoldenPath(script)); !os.IsNotExist(err) {
			t.Fatal("a dry run wrote", err)
		}
		o.want(exitDone, says, "lua", "test", script, "--from-wal", "4")
		o.want(exitDone, "4 there already", "lua", "test", script, "--from-wal", "4")
		o.want(exitDone, "1 added, 4 there already", "lua", "test", script, "--from-wal", "5", "--limit", "1")

		events := goldenEvents(t, script)
		if len(events) != 4 {
			t.Fatalf("%+v", events)
		}
		e := events[0]
		if string(e.Event) != "{\"n\":\n2.0, \"secret\":\"x\"}" || e.Offset != 3 || e.Stream != DefaultStream || !e.ReceivedAt.Equal(received) || !strings.HasSuffix(e.From, "-3") || string(e.Want.Documents[0].Source) != "{\"n\":\n2.0,\"seen\":true}" {
			t.Errorf("%+v", e)
		}
		if info, err := os.Stat(lua.GoldenPath(script)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v %v", info.Mode(), err)
		}
		if out := o.want(exitDone, "5 tests passed", "lua", "test", script); !strings.Contains(out, "4 golden events  passed") {
			t.Errorf("%s", out)
		}
	})
}

func TestLuaTest_FromLetters(t *testing.T) {
	edited := ""
	fill := func(s *testService) {
		l, other, third := s.letterAt(10, `{"level":"a"}`), s.letterAt(11, `{"level":"b"}`), s.letterAt(12, `{"level":"c"}`)
		second := l // of the same event
		second.Key.Ordinal = 1
		other.Type = "strange"
		third.Stream = "audit"
		edited = other.Key.String()
		s.putLetters(l, second, other, third)
		s.refuseBody("garbage\x1b[2J")
	}
	bothWays(t, fill, func(t *testing.T, o *operator, says string) {
		o.stdin = strings.NewReader(`{"level":1}`)
		o.want(exitDone, says, "dlq", "edit", "--file", "-", edited)
		script := writeScript(t, testScript)
		test := func(says string, args ...string) string {
			t.Helper()
			return o.want(exitDone, says, append([]string{"lua", "test", script}, args...)...)
		}
		if out := test("1 added; nothing was written", "--from-dlq", "type=strange,stage=index", "--dry-run"); !strings.Contains(out, `+   "seen": true`) {
			t.Errorf("%s", out)
		}
		test("golden.ndjson: 1 added, 1 there already; --limit 1 is reached; nothing", "--from-dlq", "all", "--limit", "1", "--dry-run")
		test("golden.ndjson: 1 added; nothing", "--from-dlq", "stream=audit", "--dry-run")
		test("golden.ndjson: 2 added, 1 there already, 1 left out; nothing", "--from-dlq", "all", "--stream", DefaultStream, "--dry-run")
		test("golden.ndjson: no events were found", "--from-dlq", "type=none", "--dry-run")

		if out := test("3 added, 1 there already, 1 left out", "--from-dlq", "all"); !strings.Contains(out, "left out ingest malformed_json ") || strings.Contains(out, "\x1b") {
			t.Errorf("%s", out)
		}
		events := goldenEvents(t, script)
		if len(events) != 3 || string(events[1].Event) != `{"level":"b"}` || events[1].From != "letter "+edited || events[1].Name != "index strange 11" || events[2].Stream != "audit" {
			t.Fatalf("%+v", events)
		}
		views := decodeLines[captureView](t, test("1 there already", "--from-dlq", edited, "-o", "ndjson"))
		if len(views) != 1 || views[0].Action != captureSame || views[0].Want == nil {
			t.Errorf("%+v", views)
		}
		test("4 tests passed")
		o.want(exitUsage, "--from-dlq is empty", "lua", "test", script, "--from-dlq", "")
	})
}

// TestLuaTest_OwnStreams: of the log come the events of the streams that have the script.
func TestLuaTest_OwnStreams(t *testing.T) {
	s := startService(t)
	for _, stream := range []string{DefaultStream, "audit", DefaultStream, "audit", "audit", "audit", "audit", "audit"} {
		events := []wal.Event{{Payload: []byte(`{"of":"` + stream + `","at":` + time.Now().Format("150405.000000000") + `}`)}}
		if _, err := s.service.log.Append(t.Context(), wal.Origin{Stream: stream, ReceivedAt: time.Now()}, events); err != nil {
			t.Fatal(err)
		}
	}
	o, script := newOperator(s), writeScript(t, testScript)
	o.want(exitDone, "events of all streams are taken", "lua", "test", script, "--from-wal", "2", "--dry-run")
	config := filepath.Join(t.TempDir(), "weir.yaml")
	if err := os.WriteFile(config, []byte("streams:\n  default:\n    transform:\n      script: "+script+"\n  audit: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o.want(exitDone, "2 added", "lua", "test", script, "--from-wal", "2", "--config", config)
	for _, e := range goldenEvents(t, script) {
		if e.Stream != DefaultStream {
			t.Errorf("%+v", e)
		}
	}
}

func TestLuaTest_Update(t *testing.T) {
	o := &operator{newTestApp(t), t}
	script := writeScript(t, testScript)
	golden := lua.GoldenPath(script)
	const old = `{"name":"renamed by somebody","stream":"default","offset":1,"received_at":"2026-01-02T03:04:05Z","event":{"n":1.0},"want":{"documents":[{"source":{"n":1.0}}]}}
{"name":"right","stream":"default","offset":2,"received_at":"2026-01-02T03:04:05Z","event":{"drop":1},"want":{"dropped":true}}
`
	if err := os.WriteFile(golden, []byte(old), 0o640); err != nil {
		t.Fatal(err)
	}
	if out := o.want(exitFailed, "1 of 3 tests failed", "lua", "test", script); !strings.Contains(out, "1 FAILED") || !strings.Contains(out, "("+golden+":1)\n  seen is true, and is not wanted\n") || !strings.Contains(out, `+   "seen": true`) {
		t.Errorf("%s", out)
	}
	if out := o.want(exitDone, "1 renewed, 1 there already; nothing was written", "lua", "test", script, "--update", "--dry-run"); !strings.Contains(out, "renewed renamed by somebody: 1 document\n") || !strings.Contains(out, `+         "seen": true`) {
		t.Errorf("%s", out)
	}
	if text, err := os.ReadFile(golden); err != nil || string(text) != old {
		t.Fatalf("a dry run wrote %s %v", text, err)
	}
	o.want(exitDone, "1 renewed", "lua", "test", script, "--update")
	if text, err := os.ReadFile(golden); err != nil || string(text) != strings.Replace(old, `"source":{"n":1.0}`, `"source":{"n":1.0,"seen":true}`, 1) {
		t.Errorf("wrote %s %v", text, err)
	}
	if info, err := os.Stat(golden); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("the mode that somebody gave is gone: %v %v", info, err)
	}
	o.want(exitDone, "3 tests passed", "lua", "test", script)
	if left, err := filepath.Glob(filepath.Dir(script) + "/*"); err != nil || len(left) != 2 {
		t.Errorf("left behind: %v", left)
	}
	if err := os.WriteFile(golden, []byte(old+"{"), 0o640); err != nil {
		t.Fatal(err)
	}
	o.want(exitFailed, "t.golden.ndjson: line 3: ", "lua", "test", script, "--update")
}

// TestLuaTest_Unsteady: what is different each time is of no use as something to want.
func TestLuaTest_Unsteady(t *testing.T) {
	o := &operator{newTestApp(t), t}
	script := writeScript(t, "function transform(e) e.r = math.random() return e end")
	if err := os.WriteFile(lua.GoldenPath(script), []byte(`{"name":"one","event":{},"want":{"dropped":true}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := o.want(exitDone, "1 left out", "lua", "test", script, "--update"); out != "left out one: the script makes something else of it each time\n" {
		t.Errorf("%q", out)
	}
}
