package lua

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// goldenScript writes a script and golden events beside it, and returns the script's path.
func goldenScript(t *testing.T, script, golden string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "transform.lua")
	for name, text := range map[string]string{path: script, GoldenPath(path): golden} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// TestGoldenEvents_RoundTrip: every event comes back byte for byte, from one line.
func TestGoldenEvents_RoundTrip(t *testing.T) {
	for _, tc := range []struct{ name, event string }{
		{"compact", `{"a":1.0,"b":[{}],"a":2}`},
		{"escapes as PHP writes them", `{"a":"\/\u00e9\ud83d","html":"<a href=\"x\">&"}`},
		{"line separators and other odd characters", "{\"a\":\"\u2028\u2029\u007f\ufffd\"}"},
		{"white space", `{ "a" : 1 }`},
		{"line breaks", "\n{\r\n\t\"a\": \"x\\ny\"\n}\r\n"},
		{"large numbers", `{"id":90071992547409931,"huge":1e400,"neg":-0}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := GoldenEvent{
				Name: "odd <name>", From: "letter 1", Stream: "shop", Offset: 7, ReceivedAt: time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC),
				Remote: netip.MustParseAddr("10.1.2.3"), Event: ExactJSON(tc.event), Want: GoldenResult{Documents: []GoldenDocument{{Index: "i", Source: ExactJSON(tc.event)}}},
			}
			text, err := EncodeGolden([]GoldenEvent{e, e})
			if err != nil || bytes.Count(text, []byte("\n")) != 2 {
				t.Fatalf("%s %v", text, err)
			}
			back, err := decodeGolden(text)
			if err != nil || len(back) != 2 {
				t.Fatal(back, err)
			}
			b := back[1]
			if string(b.Event) != tc.event || string(b.Want.Documents[0].Source) != tc.event {
				t.Errorf("%q came back as %q and %q", tc.event, b.Event, b.Want.Documents[0].Source)
			}
			if b.Name != e.Name || b.From != e.From || b.Stream != e.Stream || b.Offset != e.Offset || !b.ReceivedAt.Equal(e.ReceivedAt) || b.Remote != e.Remote || b.Line != 2 {
				t.Errorf("%+v came back as %+v", e, b)
			}
		})
	}
}

func TestEncodeGolden_NotUTF8(t *testing.T) {
	_, err := EncodeGolden([]GoldenEvent{{Name: "broken", Event: ExactJSON("{\"a\":\"\xff\"}"), Want: GoldenResult{Dropped: true}}})
	if err == nil || !strings.Contains(err.Error(), `golden event "broken": it is not UTF-8`) {
		t.Error(err)
	}
}

func TestRunTests_GoldenEvents(t *testing.T) {
	const script = `
function transform(event, meta)
  if event.drop then return nil end
  if event.boom then error("no good") end
  if event.loop then while true do end end
  meta.index = "logs-" .. meta.stream
  event.at = meta.received_at .. " " .. tostring(meta.remote) .. " " .. meta.offset
  return event
end
`
	made := func(n, index string) string {
		return `{"name":"made","stream":"shop","offset":7,"received_at":"2026-01-02T03:04:05Z","remote":"10.1.2.3","event":{"n":1.0},"want":{"documents":[{"index":"` + index + `","source":{"n":` + n + `,"at":"2026-01-02T03:04:05Z 10.1.2.3 7"}}]}}`
	}
	for _, tc := range []struct{ name, golden, want string }{ // want is part of the message, "" passes
		{"a document", made("1.0", "logs-shop"), ""},
		{"bytes count", made("1", "logs-shop"), `the same value in other bytes, from byte 6 on: .0,"at"`},
		{"values first", made("2", "logs-shop"), "n is 1.0, want 2"},
		{"settings count", made("1.0", "logs-other"), `index is "logs-shop", want "logs-other"`},
		{"dropped", `{"event":{"drop":1},"want":{"dropped":true}}`, ""},
		{"not dropped", `{"event":{},"want":{"dropped":true}}`, "1 document, want: it was dropped"},
		{"an error, wherever its line is", `{"event":{"boom":1},"want":{"error":{"type":"error","message":"no good"}}}`, ""},
		{"another error", `{"event":{"boom":1},"want":{"error":{"type":"error","message":"bad"}}}`, "it failed: error: transform.lua:4: no good, want: it failed: error: bad"},
		{"a limit, whatever it is", `{"event":{"loop":1},"want":{"error":{"type":"timeout"}}}`, ""},
		{"an error instead of a document", `{"event":{"boom":1},"want":{"documents":[{"source":{}}]}}`, "it failed: error: transform.lua:4: no good, want: 1 document"},
		{"empty lines", "\n\n" + `{"event":{"drop":1},"want":{"dropped":true}}` + "\n\n", ""},

		{"a line that is no JSON", "\n{", "transform.golden.ndjson: line 2: unexpected EOF"},
		{"an unknown member", `{"event":{},"wnat":{"dropped":true}}`, `line 1: json: unknown field "wnat"`},
		{"two values", `{"event":{},"want":{"dropped":true}} {}`, "line 1: there is more behind the event"},
		{"a bracket too many", `{"event":{},"want":{"dropped":true}}}`, "line 1: there is more behind the event"},
		{"no event", `{"want":{"dropped":true}}`, "line 1: it has no event"},
		{"no result", `{"event":{},"want":{}}`, "line 1: want must be one of"},
		{"two results", `{"event":{},"want":{"dropped":true,"documents":[{"source":{}}]}}`, "line 1: want must be one of"},
		{"a document without source", `{"event":{},"want":{"documents":[{"index":"x"}]}}`, "line 1: document 1 has no source"},
		{"an event that is no object", `{"event":[],"want":{"dropped":true}}`, "line 1: the text is JSON, but no object"},
		{"an event as text that is no JSON", `{"event":"{","want":{"dropped":true}}`, "line 1: the text is not JSON"},
		{"too many events", strings.Repeat(`{"event":{"drop":1},"want":{"dropped":true}}`+"\n", MaxGoldenEvents+1), "the file holds more than 10000 events"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, err := Load(goldenScript(t, script, tc.golden), Options{Timeout: 5 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			results, err := s.RunTests(t.Context())
			if err != nil || len(results) != 1 || results[0].Kind != KindGolden {
				t.Fatalf("%+v %v", results, err)
			}
			if r := results[0]; tc.want == "" && !r.Passed() || !strings.Contains(r.Message, tc.want) || tc.want != "" && r.Passed() {
				t.Errorf("message %q, want %q", r.Message, tc.want)
			}
		})
	}
}

// TestGolden_ErrorsOfAnyBytes: what is captured of a failure is what its test finds, also where the message holds
// other bytes than UTF-8 or is cut.
func TestGolden_ErrorsOfAnyBytes(t *testing.T) {
	for _, message := range []string{`"\255x"`, `("\195\164"):rep(2000)`, `"x" .. ("\195\164"):rep(2000)`} {
		path := goldenScript(t, "function transform(event) error("+message+") end", "")
		s, err := Load(path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		e := GoldenEvent{Stream: "default", Offset: 1, Event: ExactJSON("{}")}
		if e.Want, err = s.Golden(&e); err != nil {
			t.Fatal(err)
		}
		text, err := EncodeGolden([]GoldenEvent{e})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(GoldenPath(path), text, 0o600); err != nil {
			t.Fatal(err)
		}
		if passTests(t, s) != 1 {
			t.Errorf("%s: no golden event", message)
		}
	}
}

// TestTransformer_GoldenEvents: the service takes no script that makes something else of a golden event.
func TestTransformer_GoldenEvents(t *testing.T) {
	const golden = `{"name":"one","event":{"a":1},"want":{"documents":[{"source":{"a":1}}]}}`
	path := goldenScript(t, body(""), golden)
	tr, err := New(Options{Script: path})
	if err != nil {
		t.Fatal(err)
	}
	before := tr.Version()
	if err := os.WriteFile(path, []byte(body("event.b = 2")), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := tr.Reload(t.Context(), false); !errors.Is(err, ErrTestsFailed) || !strings.Contains(err.Error(), "golden event one: b is 2, and is not wanted") || tr.Version() != before {
		t.Fatalf("version %s, before %s, %v", tr.Version(), before, err)
	}
	if err := os.WriteFile(GoldenPath(path), []byte(strings.Replace(golden, `[{"source":{"a":1}}]`, `[{"source":{"a":1,"b":2}}]`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := tr.Reload(t.Context(), false); err != nil || tr.Version() == before {
		t.Errorf("version %s, %v", tr.Version(), err)
	}
}

// TestCompile_ReadsNoFile: a patch that happens to have the name of a file is not held against what stands there.
func TestCompile_ReadsNoFile(t *testing.T) {
	path := goldenScript(t, body(""), "broken")
	s, err := Compile(path, []byte(body("")), Options{})
	if err != nil || s.SelfTest(t.Context()) != nil {
		t.Error(err, s.SelfTest(t.Context()))
	}
	if _, err := ReadGolden(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestScript_Golden(t *testing.T) {
	s, err := Load(goldenScript(t, body(`event.id = nil meta.id = event.key if event.boom then error({ message = "odd" }) end`), ""), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ event, want string }{
		{`{"id":1,"key":"k"}`, `{"documents":[{"id":"k","source":{"key":"k"}}]}`},
		{`{"boom":1}`, `{"error":{"type":"error","message":"odd"}}`},
	} {
		e := GoldenEvent{Event: ExactJSON(tc.event), Stream: "default"}
		if e.Want, err = s.Golden(&e); err != nil {
			t.Fatal(err)
		}
		text, err := e.AppendLine(nil)
		if err != nil || !strings.Contains(string(text), fmt.Sprintf(`"event":%s,"want":%s}`, tc.event, tc.want)) {
			t.Errorf("%s %v", text, err)
		}
	}
}

func TestGoldenPath(t *testing.T) {
	for script, want := range map[string]string{"a/transform.lua": "a/transform.golden.ndjson", "x": "x.golden.ndjson", "a.b/x": "a.b/x.golden.ndjson"} {
		if got := GoldenPath(script); got != want {
			t.Errorf("%s: %s, want %s", script, got, want)
		}
	}
}
