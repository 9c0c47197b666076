package lua

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"
)

// logged runs a script over events and returns the lines it wrote, as JSON.
func logged(t *testing.T, source string, events ...string) []map[string]any {
	t.Helper()
	var out bytes.Buffer
	s, err := Compile("dir/script.lua", []byte(source), Options{Logger: slog.New(slog.NewJSONHandler(&out, nil))})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		s.Transform(record(e)) // may fail: lines are written all the same
	}
	var lines []map[string]any
	for _, line := range strings.Split(strings.TrimSpace(out.String()), "\n") {
		var l map[string]any
		if line == "" {
			continue
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("a line that is no JSON: %s", line)
		}
		lines = append(lines, l)
	}
	return lines
}

func TestLog_Lines(t *testing.T) {
	for _, tc := range []struct{ name, script, event, want string }{
		{"a text", `log.info("no service")`, `{}`,
			`{"component":"lua","level":"INFO","msg":"script logs","offset":42,"script":"script.lua","stream":"default","text":"no service"}`},
		{"a warning with fields", `log.warn("x", {channel = event.channel, n = 1, f = 1.5, b = true, none = json.null, t = {1, {a = "b"}}, id = event.id})`, `{"channel":"app","id":9007199254740993}`,
			`{"component":"lua","fields":{"b":true,"channel":"app","f":1.5,"id":"9007199254740993","n":1,"none":"null","t":"[1,{\"a\":\"b\"}]"},"level":"WARN","msg":"script logs","offset":42,"script":"script.lua","stream":"default","text":"x"}`},
		{"an object of the event as fields", `log.info("x", event.context)`, `{"context":{"a":"b"}}`,
			`{"component":"lua","fields":{"a":"b"},"level":"INFO","msg":"script logs","offset":42,"script":"script.lua","stream":"default","text":"x"}`},
		{"fields named as weir's own", `log.info("x", {level = "fake", component = "wal", msg = "disk full"})`, `{}`,
			`{"component":"lua","fields":{"component":"wal","level":"fake","msg":"disk full"},"level":"INFO","msg":"script logs","offset":42,"script":"script.lua","stream":"default","text":"x"}`},
		{"a value that is no text", `log.info(event.missing)`, `{}`,
			`{"component":"lua","level":"INFO","msg":"script logs","offset":42,"script":"script.lua","stream":"default","text":"nil"}`},
		{"of an event that fails behind it", `log.info("before") error("x")`, `{}`,
			`{"component":"lua","level":"INFO","msg":"script logs","offset":42,"script":"script.lua","stream":"default","text":"before"}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			lines := logged(t, body(tc.script), tc.event)
			if len(lines) != 1 {
				t.Fatalf("%d lines: %v", len(lines), lines)
			}
			if version, _ := lines[0]["version"].(string); len(version) != 12 {
				t.Errorf("version %q", version)
			}
			delete(lines[0], "version")
			delete(lines[0], "time")
			if got, _ := json.Marshal(lines[0]); string(got) != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

func TestLog_Bounds(t *testing.T) {
	lines := logged(t, body(`
		local fields = {}
		for i = 1, 40 do fields[("%02d%s"):format(i, ("n"):rep(100))] = ("ä"):rep(300) end
		log.info(("ü"):rep(2000), fields)`), `{}`)
	text := lines[0]["text"].(string)
	if text != strings.Repeat("ü", 512)+"..." {
		t.Errorf("the text has %d bytes", len(text))
	}
	fields := lines[0]["fields"].(map[string]any)
	if len(fields) != maxLogFields {
		t.Errorf("%d fields", len(fields))
	}
	for name, value := range fields {
		if len(name) > maxLogFieldName+3 || value != strings.Repeat("ä", 128)+"..." {
			t.Errorf("field %s: %v", name, value)
		}
	}
}

// TestLog_RateAndLeftOut: 16 lines of an event, 10 a second of a version, all workers together; what was left out is said.
func TestLog_RateAndLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		tr, path := open(t, body(`for i = 1, event.n or 1 do log.info("line " .. i) end`),
			Options{Logger: slog.New(slog.NewTextHandler(&out, nil))})
		send := func(event string) (lines []string) {
			out.Reset()
			if _, err := tr.Transform(context.Background(), record(event)); err != nil {
				t.Fatal(err)
			}
			return strings.Split(strings.TrimSpace(out.String()), "\n")
		}
		if lines := send(`{"n":12}`); len(lines) != 10 || !strings.Contains(lines[9], `text="line 10"`) {
			t.Fatalf("%d lines at once: %s", len(lines), lines)
		}
		time.Sleep(100 * time.Millisecond) // of the bubble
		if lines := send(`{"n":1}`); len(lines) != 1 || !strings.Contains(lines[0], "left_out=2") {
			t.Fatalf("after a tenth of a second: %s", lines)
		}
		time.Sleep(10 * time.Second)
		if lines := send(`{"n":40}`); len(lines) != 10 || strings.Contains(lines[0], "left_out") {
			t.Fatalf("after ten seconds: %s", lines)
		}
		time.Sleep(10 * time.Second)
		if lines := send(`{}`); len(lines) != 1 || !strings.Contains(lines[0], "left_out=30") {
			t.Fatalf("the next event: %s", lines)
		}
		replace(t, path, body(`log.info("new")`)) // a version has an account of its own
		if err := tr.Reload(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		for range 10 {
			if lines := send(`{}`); len(lines) != 1 || lines[0] == "" {
				t.Fatalf("the new version: %s", lines)
			}
		}
	})
}

func TestLog_SixteenOfAnEvent(t *testing.T) {
	var out bytes.Buffer
	s, err := Compile("script.lua", []byte(body(`for i = 1, 20 do log.info("line") end`)), Options{Logger: slog.New(slog.NewTextHandler(&out, nil))})
	if err != nil {
		t.Fatal(err)
	}
	s.prog.log.limiter.SetLimit(1e9)
	s.prog.log.limiter.SetBurst(1e9)
	for range 2 {
		sources(t, s, `{}`)
	}
	if n := strings.Count(out.String(), "text=line"); n != 2*maxLogLines || strings.Count(out.String(), "left_out=4") != 1 {
		t.Errorf("%d lines:\n%s", n, out.String())
	}
}

// TestLog_HostileContent: whatever an event holds, a line stays a line, and its keys stay keys.
func TestLog_HostileContent(t *testing.T) {
	hostile := []string{"a\nlevel=ERROR msg=fake", "\x1b[2J\x1b]0;x\x07", "\r\x00\b", "x\" component=wal text=\"", "\u202egpj.exe", "\xff\xfe", "a=b c", "\u2028"}
	for name, handler := range map[string]func(*bytes.Buffer) slog.Handler{
		"text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		"json": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
	} {
		var out bytes.Buffer
		s, err := Compile("script.lua", []byte(body(`log.warn(event.m, {[event.m] = event.m, l = {event.m}})`)), Options{Logger: slog.New(handler(&out))})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range hostile {
			out.Reset()
			quoted, _ := json.Marshal(m)
			if m == "\xff\xfe" {
				quoted = []byte(`"\ud800"`)
			}
			sources(t, s, fmt.Sprintf(`{"m":%s}`, quoted))
			line := out.String()
			if strings.Count(line, "\n") != 1 || !strings.HasSuffix(line, "\n") || !utf8.ValidString(line) {
				t.Errorf("%s: %q is no line", name, line)
			}
			for _, c := range strings.TrimSuffix(line, "\n") {
				if c < ' ' || c == 0x7f || c == 0x202e && name == "text" {
					t.Errorf("%s: %q holds %q", name, line, c)
				}
			}
			if name == "text" && strings.Contains(line, "component=wal text=\"") && !strings.Contains(line, `\" component=wal`) {
				t.Errorf("%q forges a field", line)
			}
		}
	}
}

func TestLog_QuietLevelsCostNothing(t *testing.T) {
	var out bytes.Buffer
	s, err := Compile("script.lua", []byte(body(`for i = 1, 100 do log.info("x") end log.warn("y")`)),
		Options{Logger: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	if err != nil {
		t.Fatal(err)
	}
	sources(t, s, `{}`)
	if n := strings.Count(out.String(), "\n"); n != 1 || strings.Contains(out.String(), "left_out") {
		t.Errorf("%s", out.String())
	}
}

func TestLog_SelfTestIsQuiet(t *testing.T) {
	var out bytes.Buffer
	opts := Options{Logger: slog.New(slog.NewTextHandler(&out, nil))}
	tr, path := open(t, body(`log.info("line")`)+"\nfunction test_a() transform({}, {}) end", opts)
	if out.Len() > 0 {
		t.Errorf("a test was logged: %s", out.String())
	}
	feed(tr, `{}`)
	if strings.Count(out.String(), "text=line") != 1 {
		t.Errorf("an event was not: %s", out.String())
	}
	out.Reset()
	s, err := Load(path, opts)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.RunTests(t.Context()); err != nil || !strings.Contains(out.String(), "text=line") {
		t.Errorf("whoever runs tests by hand sees their lines: %v, %s", err, out.String())
	}
}

// TestLog_GoldenEventsAreQuiet, also where somebody runs the tests by hand: there may be thousands.
func TestLog_GoldenEventsAreQuiet(t *testing.T) {
	var out bytes.Buffer
	script := body(`print("printed") for i = 1, 100 do log.warn("line") end`)
	s, err := Load(goldenScript(t, script, `{"event":{"a":1},"want":{"documents":[{"source":{"a":1}}]}}`),
		Options{Logger: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	if results, err := s.RunTests(t.Context()); err != nil || len(results) != 1 || !results[0].Passed() || out.Len() > 0 {
		t.Errorf("%v %v, logged: %s", results, err, out.String())
	}
	sources(t, s, `{}`)
	if strings.Contains(out.String(), "left_out") || !strings.Contains(out.String(), "printed") {
		t.Errorf("the event behind them: %s", out.String())
	}
}

// TestLog_WhileLoaded: there is no event then, and in tests none with an offset.
func TestLog_WhileLoaded(t *testing.T) {
	lines := logged(t, `log.info("loaded") `+body(``))
	if len(lines) != 1 || lines[0]["offset"] != nil || lines[0]["text"] != "loaded" {
		t.Errorf("%v", lines)
	}
}
