package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirlog/weir/flush/deadletter"
	"github.com/weirlog/weir/wal"
)

// operator runs commands on a test service's data directory.
type operator struct {
	*testApp
	t testing.TB
}

func newOperator(s *testService) *operator {
	return &operator{newTestApp(s.t.(*testing.T), s.environ...), s.t}
}

// want runs a command and returns standard output after it has checked exit code and standard error.
func (o *operator) want(code int, stderr string, args ...string) string {
	o.t.Helper()
	got, out, errText := o.exec(o.t.Context(), args...)
	if got != code || !strings.Contains(errText, stderr) {
		o.t.Fatalf("weir %s: exit code %d, want %d; standard error %q, want %q; output %q", strings.Join(args, " "), got, code, errText, stderr, out)
	}
	return out
}

// terminal makes the operator's outputs a terminal of so many columns.
func (o *operator) terminal(width int) { o.width = func(io.Writer) int { return width } }

const (
	asksService = "asking the running service (pid "
	opensDir    = "no service runs; opened "
)

// bothWays runs a test with a running service, and again on the data directory that it left behind.
func bothWays(t *testing.T, fill func(*testService), test func(t *testing.T, o *operator, says string)) {
	t.Helper()
	t.Run("running", func(t *testing.T) {
		s := startService(t)
		fill(s)
		test(t, newOperator(s), asksService)
	})
	t.Run("stopped", func(t *testing.T) {
		s := startService(t)
		fill(s)
		s.end()
		test(t, newOperator(s), opensDir)
	})
}

func TestCommands_Letters(t *testing.T) {
	keep := "" // key of the letter that is replayed
	fill := func(s *testService) {
		l := s.letterAt(10, "{\"level\":\n1.0}")
		keep = l.Key.String()
		other := s.letterAt(11, `{"level":"\u001b[31m"}`)
		other.Type, other.Reason = "strange", "an escape \x1b[31m and a line\nbreak"
		s.putLetters(l, other)
		s.refuseBody("garbage\x1b[2J")
	}
	bothWays(t, fill, func(t *testing.T, o *operator, says string) {
		ls := o.want(exitDone, says, "dlq", "ls")
		if strings.Count(ls, "\n") != 4 || !strings.Contains(ls, keep) || strings.Contains(ls, "\x1b") || !strings.Contains(ls, `\x1b[31m and a line\nbreak`) {
			t.Errorf("ls:\n%s", ls)
		}
		if got := decodeLines[deadletter.Entry](t, o.want(exitDone, says, "dlq", "ls", "-o", "ndjson", "--stage", "index")); len(got) != 2 {
			t.Errorf("ls as NDJSON: %+v", got)
		}
		var list []deadletter.Entry
		if err := json.Unmarshal([]byte(o.want(exitDone, says, "dlq", "ls", "-o", "json", "--until", "2026-03-04T05:06:18Z", "--since", "2020-01-01", "--skip", "0")), &list); err != nil || len(list) < 1 {
			t.Errorf("ls as JSON: %+v %v", list, err)
		}
		if out := o.want(exitDone, "1 of 3; --limit", "dlq", "ls", "--limit", "1"); strings.Count(out, "\n") != 2 {
			t.Errorf("limited: %s", out)
		}
		if out := o.want(exitDone, says, "dlq", "ls", "--type", "nothing", "-o", "json"); out != "[]\n" {
			t.Errorf("nothing as JSON: %q", out)
		}
		if out := o.want(exitDone, says, "dlq", "stats"); strings.Count(out, "\n") != 4 || strings.Contains(out, "\x1b") {
			t.Errorf("stats:\n%s", out)
		}
		if out := o.want(exitDone, says, "dlq", "show", keep); !strings.Contains(out, "mapper_parsing_exception") || !strings.Contains(out, `"level": 1.0`) {
			t.Errorf("show:\n%s", out)
		}
		if out := o.want(exitDone, says, "dlq", "show", "--only", "event", keep); out != "{\"level\":\n1.0}" {
			t.Errorf("show --only event: %q", out)
		}
		o.want(exitFailed, "no dead letter has this key", "dlq", "show", "0000000000000001-7-0")
		if out := o.want(exitDone, "2 letters written, 1 left out", "dlq", "export"); out != "{\"level\":1.0}\n{\"level\":\"\\u001b[31m\"}\n" {
			t.Errorf("export: %q", out)
		}
		if out := decodeLines[letterView](t, o.want(exitDone, "3 letters written", "dlq", "export", "--with-envelope")); len(out) != 3 || string(out[2].Event.Bytes) != "garbage\x1b[2J" {
			t.Errorf("export with envelopes: %+v", out)
		}

		o.stdin = strings.NewReader(`{"level":2.0}`)
		o.want(exitDone, says, "dlq", "edit", "--file", "-", keep)
		if out := o.want(exitDone, says, "dlq", "show", "--only", "original", keep); out != "{\"level\":\n1.0}" {
			t.Errorf("the original is %q", out)
		}
		o.stdin = strings.NewReader(`{"level":`)
		o.want(exitFailed, "the event is refused", "dlq", "edit", "--file", "-", keep)
		o.want(exitUsage, "--file", "dlq", "edit", keep)

		if out := o.want(exitDone, says, "dlq", "replay", "--dry-run", keep); !strings.Contains(out, "1 letter: 1 would be sent") {
			t.Errorf("dry run: %s", out)
		}
		if out := o.want(exitDone, says, "dlq", "replay", keep); !strings.Contains(out, "1 delivered") {
			t.Errorf("replay: %s", out)
		}
		if out := o.want(exitFailed, says, "dlq", "replay", keep, "-o", "ndjson"); !strings.Contains(out, `"type":"unknown_key"`) || !strings.Contains(out, `"skipped":1`) {
			t.Errorf("replay of a key that is gone: %s", out)
		}
		if out := o.want(exitDone, says, "search", "level:2", "-o", "ndjson"); !strings.Contains(out, `"level":2.0`) {
			t.Errorf("the replayed event is not found: %s", out)
		}
		if out := o.want(exitFailed, says, "dlq", "replay"); !strings.Contains(out, "1 failed again") || strings.Contains(out, "\x1b") {
			t.Errorf("replay of all: %s", out)
		}

		o.want(exitUsage, "give keys or a filter", "dlq", "drop")
		o.want(exitUsage, "--all does not go with", "dlq", "drop", "--all", "--stage", "index")
		if out := o.want(exitDone, says, "dlq", "drop", "--stage", "ingest", "--dry-run"); out != "1 dead letter would be dropped\n" {
			t.Errorf("dry run: %q", out)
		}
		if out := o.want(exitDone, says, "dlq", "drop", "--all", "-o", "json"); !strings.Contains(out, `"letters": 1`) {
			t.Errorf("drop: %q", out)
		}
		if out := o.want(exitDone, says, "dlq", "ls"); out != "no dead letters\n" {
			t.Errorf("after the drop: %q", out)
		}
	})
}

func TestCommands_WrongUse(t *testing.T) {
	o := &operator{newTestApp(t, serviceEnviron(t.TempDir())...), t}
	for _, args := range []string{
		"dlq ls --stage indexx", "dlq ls --since yesterday", "dlq ls extra", "dlq show", "dlq show 12", "dlq show --only x 0000000000000001-1-0",
		"dlq replay --rate -1", "dlq replay --as-sent --as-new", "dlq replay --stage log 0000000000000001-1-0", "dlq lss", "dlq edit",
		"wal cat --from 9 --to 3", "wal cat --raw -o json", "wal cat --limit -1", "search --limit 0 x", "search --since never x",
		"status --every 1ms", "lua run", "lua run --stream nosuch x.lua", "lua test",
	} {
		o.want(exitUsage, "", strings.Fields(args)...)
	}
	// A directory without data is not made into one.
	for _, args := range []string{"status", "dlq ls", "dlq replay", "wal info", "wal repair", "search x"} {
		o.want(exitFailed, "is no data directory of weir", strings.Fields(args)...)
	}
	if left, err := os.ReadDir(o.getenv("WEIR_DATA_DIR")); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestDLQDrop_OnATerminal_Asks(t *testing.T) {
	s := startService(t)
	s.putLetters(s.letterAt(10, `{}`))
	o := newOperator(s)
	o.terminal(100)
	for _, no := range []string{"\n", "n\n", "", "yess\n"} {
		o.stdin = strings.NewReader(no)
		o.want(exitFailed, "drop 1 dead letter for good?", "dlq", "drop", "--all")
	}
	if s.letters.Len() != 1 {
		t.Fatal("dropped without a yes")
	}
	o.stdin = strings.NewReader("y\n")
	o.want(exitDone, "for good?", "dlq", "drop", "--all")
	if s.letters.Len() != 0 {
		t.Error("not dropped after a yes")
	}
}

func TestDLQEdit_InAnEditor(t *testing.T) {
	s := startService(t)
	l := s.letterAt(10, `{"level":1}`)
	s.putLetters(l)
	o := newOperator(s)
	o.terminal(100)
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	editor := func(command string) {
		o.environ = append(o.environ[:len(o.environ):len(o.environ)], "PATH="+os.Getenv("PATH"))
		o.environ = append([]string{"EDITOR=" + command}, o.environ...)
	}
	editor("true")
	if out := o.want(exitDone, "", "dlq", "edit", l.Key.String()); !strings.Contains(out, "nothing was changed") {
		t.Errorf("%s", out)
	}
	editor("sed -i s/1/2/")
	o.want(exitDone, "", "dlq", "edit", l.Key.String())
	if got, err := s.letters.Get(l.Key); err != nil || string(got.Event) != "{\n  \"level\": 2\n}" || string(got.Original) != `{"level":1}` {
		t.Errorf("event %q, original %q, %v", got.Event, got.Original, err)
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) != 0 {
		t.Errorf("files left behind: %v %v", left, err)
	}
	editor("sed -i s/}//")
	o.want(exitFailed, "mend it and run weir dlq edit --file", "dlq", "edit", l.Key.String())
	if left, err := os.ReadDir(tmp); err != nil || len(left) != 1 {
		t.Errorf("the work is lost: %v %v", left, err)
	}
}

func TestCommands_LogAndStatus(t *testing.T) {
	fill := func(s *testService) {
		origin := wal.Origin{Stream: DefaultStream, ReceivedAt: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)}
		events := []wal.Event{{Payload: []byte("{\"n\":\n1.0}")}, {Payload: []byte("bad\x1b[31m"), Flags: wal.FlagRejected, Reason: "malformed_json: byte 0"}}
		if _, err := s.service.log.Append(s.t.Context(), origin, events); err != nil {
			s.t.Fatal(err)
		}
	}
	bothWays(t, fill, func(t *testing.T, o *operator, says string) {
		info := o.want(exitDone, says, "wal", "info")
		if !strings.Contains(info, "1 to 2 durable") || !strings.Contains(info, "00000000000000000001") {
			t.Errorf("info:\n%s", info)
		}
		if out := o.want(exitDone, says, "wal", "verify"); !strings.HasPrefix(out, "ok 2 records") {
			t.Errorf("verify: %s", out)
		}
		if out := o.want(exitDone, says, "wal", "cat", "--raw"); out != "{\"n\":\n1.0}\nbad\x1b[31m\n" {
			t.Errorf("cat --raw: %q", out)
		}
		if out := o.want(exitDone, says, "wal", "cat", "--from", "2"); strings.Contains(out, "\x1b") || !strings.Contains(out, "REJECTED (malformed_json: byte 0)") || strings.Count(out, "\n") != 1 {
			t.Errorf("cat: %q", out)
		}
		if out := decodeLines[recordView](t, o.want(exitDone, says, "wal", "cat", "-o", "ndjson", "--limit", "1")); len(out) != 1 || string(out[0].Event.Bytes) != "{\"n\":\n1.0}" {
			t.Errorf("cat -o ndjson: %+v", out)
		}
		state := stateOK
		if says == opensDir {
			state = stateStopped
		}
		if out := o.want(exitDone, says, "status"); !strings.Contains(out, " is "+state) {
			t.Errorf("status:\n%s", out)
		}
		var st statusReport
		if err := json.Unmarshal([]byte(o.want(exitDone, says, "status", "-o", "json")), &st); err != nil || st.State != state || st.Log.DurableOffset != 2 {
			t.Errorf("status: %+v %v", st, err)
		}
		o.terminal(60)
		for _, args := range []string{"status", "wal info", "dlq ls", "dlq stats", "search x", "wal verify"} {
			out := o.want(exitDone, says, strings.Fields(args)...)
			for line := range strings.Lines(out) {
				if plain := strings.NewReplacer(colourGreen, "", colourRed, "", colourReset, "", colourYellow, "").Replace(line); strings.Contains(plain, "\x1b") {
					t.Errorf("%s prints an escape sequence: %q", args, line)
				}
			}
		}
	})
}

func TestWALVerify_Damage_ExitsWithOne(t *testing.T) {
	s := startService(t)
	origin := wal.Origin{Stream: DefaultStream, ReceivedAt: time.Now()}
	for _, text := range []string{`{"first":1}`, `{"second":"to be damaged"}`, `{"third":1}`} {
		if _, err := s.service.log.Append(t.Context(), origin, []wal.Event{{Payload: []byte(text)}}); err != nil {
			t.Fatal(err)
		}
	}
	s.end()
	segment := filepath.Join(layoutOf(s.cfg.DataDir).wal, "00000000000000000001")
	b, err := os.ReadFile(segment)
	if err != nil {
		t.Fatal(err)
	}
	at := strings.Index(string(b), "to be damaged")
	if at < 0 { // the library may have written the payload encoded
		t.Fatalf("the event is not in %s as it is", segment)
	}
	b[at] ^= 1
	if err := os.WriteFile(segment, b, 0o600); err != nil {
		t.Fatal(err)
	}
	o := newOperator(s)
	if out := o.want(exitFailed, opensDir, "wal", "verify"); !strings.Contains(out, "2 to 2") || !strings.Contains(out, "2 records are sound, 1 cannot be read") {
		t.Errorf("verify:\n%s", out)
	}
	var rep verifyReport
	if err := json.Unmarshal([]byte(o.want(exitFailed, opensDir, "wal", "verify", "-o", "json")), &rep); err != nil || rep.Lost != 1 || rep.Damage[0].First != 2 || rep.Damage[0].Reason == "" {
		t.Errorf("%+v %v", rep, err)
	}
	if out := o.want(exitDone, opensDir, "wal", "cat", "--from", "2", "--to", "2"); !strings.Contains(out, "DAMAGED, 1 record") {
		t.Errorf("cat: %s", out)
	}
	if out := o.want(exitDone, opensDir, "wal", "repair", "--dry-run"); !strings.Contains(out, "become dead letters of stage log") || !strings.Contains(out, "nothing was changed") {
		t.Errorf("repair: %s", out)
	}
}

func TestWALRepair_TornTail_IsSetAside(t *testing.T) {
	s := startService(t)
	if _, err := s.service.log.Append(t.Context(), wal.Origin{Stream: DefaultStream, ReceivedAt: time.Now()}, []wal.Event{{Payload: []byte(`{"kept":1}`)}}); err != nil {
		t.Fatal(err)
	}
	// A copy taken while the log is open has no clean mark, as after a kill.
	dir := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(dir, os.DirFS(s.cfg.DataDir)); err != nil {
		t.Fatal(err)
	}
	o := newOperator(s)
	o.want(exitFailed, "a running log needs no repair", "wal", "repair")
	s.end()
	segment := filepath.Join(layoutOf(dir).wal, "00000000000000000001")
	f, err := os.OpenFile(segment, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("half a frame"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if out := o.want(exitDone, opensDir, "wal", "repair", "--dry-run", "--data-dir", dir); !strings.Contains(out, "would set 12 B aside") {
		t.Errorf("dry run: %s", out)
	}
	if exists(layoutOf(dir).repair) {
		t.Error("a dry run has made repair/")
	}
	var rep repairReport
	if err := json.Unmarshal([]byte(o.want(exitDone, opensDir, "wal", "repair", "--data-dir", dir, "-o", "json")), &rep); err != nil || !rep.Done || rep.TornBytes != 12 || rep.Records != 1 {
		t.Errorf("%+v %v", rep, err)
	}
	if out := o.want(exitDone, opensDir, "wal", "repair", "--data-dir", dir); !strings.Contains(out, "nothing is torn") || !strings.Contains(out, "1 records are sound") {
		t.Errorf("afterwards: %s", out)
	}
	if kept, err := os.ReadDir(layoutOf(dir).repair); err != nil || len(kept) != 1 {
		t.Errorf("kept %v %v", kept, err)
	}
}

func TestClient_DirectoryHeldWithoutAdmin_SaysWho(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	lock, err := wal.LockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lock.Unlock() })
	o := &operator{newTestApp(t, serviceEnviron(dir)...), t}
	o.want(exitFailed, "which has no admin listener yet", "status")
}

func TestClient_Token(t *testing.T) {
	s := startService(t, "WEIR_ADMIN_TOKEN=s3cret-token")
	o := newOperator(s)
	o.want(exitDone, asksService, "status")
	o.environ = append(o.environ[:len(o.environ):len(o.environ)], "WEIR_ADMIN_TOKEN=another-token")
	o.environ = append([]string{"WEIR_ADMIN_TOKEN=another-token"}, o.environ...)
	o.want(exitFailed, "this command has none or another one", "status")
	s.end()
	o.want(exitDone, opensDir, "status") // who can open the directory needs no token
}

func TestHandlerTransport_BodyClosedEarly_EndsTheHandler(t *testing.T) {
	ended := make(chan error, 1)
	client := &http.Client{Transport: &handlerTransport{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out := newStream(w, contentTypeND)
		for {
			if err := out.line("x", true); err != nil {
				<-r.Context().Done()
				ended <- err
				return
			}
		}
	})}}
	res, err := client.Get("http://localhost/")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(res.Body, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	if err := res.Body.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	default:
		t.Error("Close did not wait for the handler")
	}
}

func TestClient_AnswerThatBreaksOff_IsAnError(t *testing.T) {
	for name, body := range map[string]string{
		"an error at the end": `{"bytes":1}` + "\n" + `{"error":{"code":"internal","message":"the disk is gone"}}` + "\n",
		"no end of the line":  `{"bytes":1}` + "\n" + `{"rep`,
	} {
		t.Run(name, func(t *testing.T) {
			c := &adminClient{base: "http://localhost", http: &http.Client{Transport: &handlerTransport{http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, body)
			})}}}
			seen := 0
			if _, err := c.lines(t.Context(), "GET", "/", nil, nil, func([]byte) error { seen++; return nil }); err == nil || seen != 1 {
				t.Errorf("%d lines, error %v", seen, err)
			}
		})
	}
}

func TestOneLine(t *testing.T) {
	event := "{\r\n \"a\" :\n 1.0, \"b\":\"\\n\"\n}\n"
	if got := string(oneLine([]byte(event))); got != `{ "a" : 1.0, "b":"\n"}` {
		t.Errorf("%q", got)
	}
	if !json.Valid(oneLine([]byte(event))) {
		t.Error("not valid any more")
	}
}
