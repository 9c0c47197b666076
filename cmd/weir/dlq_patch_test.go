package main

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/flush/deadletter"
)

func writeTemp(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDLQReplay_Patch(t *testing.T) {
	var key, gone string
	fill := func(s *testService) {
		l, other := s.letterAt(10, `{"level":"abc","n":1.0}`), s.letterAt(11, `{"level":"drop me"}`)
		key, gone = l.Key.String(), other.Key.String()
		s.putLetters(l, other)
	}
	bothWays(t, fill, func(t *testing.T, o *operator, says string) {
		patch := func(text string) string { return writeTemp(t, "mend.lua", text) }
		o.want(exitFailed, "the patch is refused: mend.lua:2:", "dlq", "replay", "--with", patch("function transform(event)\nevent.x = = 1 end"))
		o.want(exitFailed, "the script defines no function transform", "dlq", "replay", "--with", patch("local x = 1"))
		o.want(exitFailed, "the script's tests fail: test_it: mend.lua:2: no", "dlq", "replay", "--with", patch("function transform(e) return e end\nfunction test_it() assert(false, 'no') end"))
		o.want(exitFailed, "at most 65536 are taken", "dlq", "replay", "--with", patch("function transform(e) return e end --"+strings.Repeat("x", maxPatchBytes)))
		o.want(exitFailed, "no such file", "dlq", "replay", "--with", "/nonexistent/patch.lua")
		o.want(exitUsage, "[lua with]", "dlq", "replay", "--with", "x", "--lua", "y")
		o.want(exitUsage, "--sample goes with --dry-run", "dlq", "replay", "--sample", "5")
		if out := o.want(exitFailed, says, "dlq", "replay", "--lua", "error('oh')"); !strings.Contains(out, "2 stay because of patch_failed") || !strings.Contains(out, "--lua:1: oh") {
			t.Errorf("a patch that fails: %s", out)
		}
		if out := o.want(exitFailed, says, "dlq", "replay", "--lua", "meta.index = 'secret'"); !strings.Contains(out, "allowed_indices") {
			t.Errorf("an index that is not allowed: %s", out)
		}
		var l letterView
		if err := json.Unmarshal([]byte(strings.Trim(o.want(exitDone, says, "dlq", "show", key, "-o", "ndjson"), "\n")), &l); err != nil || l.Attempts != 1 || l.Type != "mapper_parsing_exception" {
			t.Errorf("a patch that fails changed the letter: %+v %v", l, err)
		}
		lines := "if event.level == 'drop me' then return nil end\nevent.level_text, event.level = event.level, nil"
		if out := o.want(exitDone, says, "dlq", "replay", "--dry-run", "--lua", lines); out != "2 letters: 1 would be delivered, 0 would be refused again, 0 dropped by the script, 1 by the patch, 0 would stay\n" {
			t.Errorf("dry run: %q", out)
		}
		if out := o.want(exitDone, says, "dlq", "replay", "--dry-run", "--sample", "0", "--lua", lines); !strings.Contains(out, "1 would be sent, the destination was not asked about them") {
			t.Errorf("dry run without asking: %q", out)
		}
		if out := o.want(exitDone, says, "dlq", "replay", "--field", "level", "--lua", lines); !strings.HasPrefix(out, "2 letters: 1 delivered, 0 dropped by the script, 1 by the patch,") {
			t.Errorf("replay: %q", out)
		}
		if out := o.want(exitDone, says, "search", "level_text:abc", "-o", "ndjson"); !strings.Contains(out, `{"n":1.0,"@timestamp"`) && !strings.Contains(out, `"level_text":"abc"`) {
			t.Errorf("stored: %s", out)
		}
		if out := o.want(exitDone, says, "dlq", "ls"); out != "no dead letters\n" {
			t.Errorf("left: %s, %s", out, gone)
		}
	})
}

// TestAdmin_Replay_PatchOverHTTP: the body is bounded and the error names the line.
func TestAdmin_Replay_PatchOverHTTP(t *testing.T) {
	s := startService(t)
	a := s.ask(http.MethodPost, lettersPath+"/replay", `{"patch":"function transform(event)\n\n  oops oops","patch_name":"../../etc/x.lua"}`)
	if a.status != http.StatusBadRequest || a.code(t) != "bad_patch" || !strings.Contains(a.body, "x.lua:3:") || strings.Contains(a.body, "etc") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := s.ask(http.MethodPost, lettersPath+"/replay", `{"patch":"function transform(event) return event end","dry_run":true}`); a.status != http.StatusOK || !strings.Contains(a.body, `"summary"`) {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestDLQStats_FitsTheTerminal(t *testing.T) {
	s := startService(t)
	for i := range 3 {
		l := s.letterAt(10, `{}`)
		l.Key.Offset += 1
		l.Key.Ordinal = uint32(i)
		l.Reason = "[1:22] failed to parse field [context.time] of type [long] in document with id 'O0qUEKIB2LMsgWLROGoS'. Preview of field's value: 'soon'"
		l.Document = []byte(`{"context":{"time":"soon"}}`)
		s.putLetters(l)
	}
	s.refuseBody("garbage")
	for _, width := range []int{80, 120} {
		o := newOperator(s)
		o.terminal(width)
		o.now = func() time.Time { return time.Date(2026, 3, 7, 12, 0, 0, 0, time.UTC) }
		out := o.want(exitDone, "", "dlq", "stats")
		for line := range strings.Lines(out) {
			if n := len([]rune(strings.TrimSpace(line))); n > width && !strings.Contains(line, "local ") && !strings.Contains(line, "if type") {
				t.Errorf("%d columns for %d: %q", n, width, line)
			}
		}
		for _, want := range []string{"Wednesday 05:06", "context.time", "mapper_parsing_exception", "where the field is of type", "keeps it as text in context.time_text:", `           if type(p) == "table" then`, "mend the client"} {
			if !strings.Contains(out, want) {
				t.Errorf("at %d columns %q is missing:\n%s", width, want, out)
			}
		}
	}
	o := newOperator(s)
	var groups []deadletter.Group
	if err := json.Unmarshal([]byte(o.want(exitDone, "", "dlq", "stats", "-o", "json")), &groups); err != nil || len(groups) != 2 || groups[0].Field != "context.time" || len(groups[0].Remedies) != 2 {
		t.Errorf("%+v %v", groups, err)
	}
}

func TestSince(t *testing.T) {
	zone := time.FixedZone("", 2*3600)
	now := time.Date(2026, 3, 4, 1, 30, 0, 0, zone) // a Wednesday
	for at, want := range map[time.Time]string{
		time.Date(2026, 3, 3, 22, 30, 0, 0, time.UTC): "today 00:30",
		time.Date(2026, 3, 3, 21, 30, 0, 0, time.UTC): "Tuesday 23:30",
		time.Date(2026, 2, 26, 12, 0, 0, 0, zone):     "Thursday 12:00",
		time.Date(2026, 2, 25, 23, 59, 0, 0, zone):    "2026-02-25 23:59",
		time.Date(2027, 2, 25, 23, 59, 0, 0, zone):    "2027-02-25 23:59", // a clock that is wrong
		{}: "-",
	} {
		if got := since(now, at); got != want {
			t.Errorf("%s is %q, want %q", at, got, want)
		}
	}
}

// TestDLQExport_IntoSend sends what an export wrote: new events, byte for byte.
func TestDLQExport_IntoSend(t *testing.T) {
	s := startServiceWith(t, slog.New(slog.DiscardHandler), writeTemp(t, "weir.yaml", "streams: {audit: {}}\n"), filepath.Join(t.TempDir(), "data"))
	o := newOperator(s)
	first := s.letterAt(10, "{\n \"n\":1.0,\r\n\"id\":90071992547409931, \"s\":\"\\u00e9\"}")
	audit := s.letterAt(11, `{"n":2}`)
	audit.Stream = "audit"
	again := s.letterAt(12, `{"n":3}`)
	again.Of = 2
	twin := again
	twin.Key.Ordinal = 1
	s.putLetters(first, audit, again, twin)
	s.refuseBody("garbage\n[1,2]")
	config := writeTemp(t, "weir.yaml", "streams: {audit: {}}\n")
	with := func(args ...string) []string { return append(args, "--config", config) }

	out := o.want(exitDone, "3 letters written, 1 of events that were written already, 1 left out because their bytes are no event", with("dlq", "export")...)
	if out != "{ \"n\":1.0,\"id\":90071992547409931, \"s\":\"\\u00e9\"}\n{\"n\":2}\n{\"n\":3}\n" {
		t.Errorf("export: %q", out)
	}
	if !strings.Contains(o.err.String(), "new events of them, with new ids") {
		t.Errorf("said %q", o.err.String())
	}
	url := "http://" + s.service.ingest.Addrs()[0].String()
	o.stdin = strings.NewReader(out)
	o.want(exitDone, "", with("send", "--url", url, "-")...)
	if err := await(func() bool { return s.flusher.Status().Lag == 0 && s.flusher.Status().Delivered == 3 }, "not delivered"); err != nil {
		t.Fatal(err)
	}
	hits := o.want(exitDone, "", with("search", "n:*", "-o", "ndjson")...)
	if !strings.Contains(hits, `{ \"n\":1.0,\"id\":90071992547409931, \"s\":\"\\u00e9\"`) && !strings.Contains(hits, `"id":90071992547409931`) {
		t.Errorf("stored %s", hits)
	}
	if s.letters.Len() != 4 {
		t.Errorf("%d letters stay, want all", s.letters.Len())
	}

	dir := filepath.Join(t.TempDir(), "letters")
	o.want(exitDone, "3 letters written", with("dlq", "export", "--dir", dir)...)
	for name, want := range map[string]string{"audit": "{\"n\":2}\n", DefaultStream: "{ \"n\":1.0,\"id\":90071992547409931, \"s\":\"\\u00e9\"}\n{\"n\":3}\n"} {
		if b, err := os.ReadFile(filepath.Join(dir, name+".ndjson")); err != nil || string(b) != want {
			t.Errorf("%s: %q %v", name, b, err)
		}
	}
	o.want(exitFailed, "is not written over", with("dlq", "export", "--dir", dir)...)
	if files, err := os.ReadDir(dir); err != nil || len(files) != 2 {
		t.Errorf("%v %v", files, err)
	}
	o.want(exitDone, "", with("send", "--url", url, "--stream", "audit", filepath.Join(dir, "audit.ndjson"))...)
}

// TestRetention_IsSaid in the status and beside the groups.
func TestRetention_IsSaid(t *testing.T) {
	s := startService(t, "WEIR_DEAD_LETTERS_MAX_BYTES=20KiB", "WEIR_DEAD_LETTERS_ON_FULL=drop_oldest")
	var letters []flush.Letter
	for i := range 60 {
		letters = append(letters, s.letterAt(10, `{}`))
		letters[i].Key.Offset += 1
		letters[i].Key.Ordinal = uint32(i)
	}
	for _, l := range letters { // one after the other: what comes in one piece makes no room in itself
		s.putLetters(l)
	}
	o := newOperator(s)
	dropped := 60 - int(s.letters.Len())
	for _, args := range [][]string{{"status"}, {"dlq", "stats"}} {
		out := o.want(exitDone, "", args...) + o.err.String()
		for _, want := range []string{"% of dead_letters.max_bytes, where the oldest are dropped", counted(dropped, "", "dead letters were") + " dropped to make room"} {
			if !strings.Contains(out, want) {
				t.Errorf("%v lacks %q:\n%s", args, want, out)
			}
		}
	}
}

// TestMaxAge_CommandsDropNothing: a look at a stopped directory is no sweep.
func TestMaxAge_CommandsDropNothing(t *testing.T) {
	s := startService(t, "WEIR_DEAD_LETTERS_MAX_AGE=1h")
	s.end()
	o := newOperator(s)
	o.want(exitDone, "", "dlq", "ls")
	quiet := startServiceIn(t, s.cfg.DataDir)
	quiet.putLetters(quiet.letterAt(10, `{}`)) // of March
	quiet.end()
	for range 2 {
		if out := o.want(exitDone, opensDir, "dlq", "ls"); strings.Count(out, "\n") != 2 {
			t.Fatalf("a command dropped letters: %s", out)
		}
	}
	swept := startServiceIn(t, s.cfg.DataDir, "WEIR_DEAD_LETTERS_MAX_AGE=1h")
	if err := await(func() bool { return swept.letters.Len() == 0 }, "a service does not drop what is too old"); err != nil {
		t.Error(err)
	}
}
