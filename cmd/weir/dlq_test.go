package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/flush/deadletter"
)

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
		if out := o.want(exitDone, says, "dlq", "stats"); strings.Count(out, "example") != 3 || strings.Contains(out, "\x1b") || !strings.Contains(out, "2026-03-04") {
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
		o.stdin = strings.NewReader(`{"level":2.0}`)
		o.want(exitFailed, "nothing was changed", "dlq", "edit", "--file", "-", keep)
		if out := o.want(exitDone, says, "dlq", "show", "--original", keep); out != "{\"level\":\n1.0}" {
			t.Errorf("show --original: %q", out)
		}

		if out := o.want(exitDone, says, "dlq", "replay", "--dry-run", keep); !strings.Contains(out, "1 letter: 1 would be delivered, 0 would be refused again, 0 dropped by the script, 0 would stay") {
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
	o.want(exitFailed, "nothing was changed", "dlq", "edit", l.Key.String())
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
	// The letter goes while somebody edits it: what was written stays in its file, which is named.
	gone := s.letterAt(11, `{"level":2}`)
	s.putLetters(gone)
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(t.TempDir(), "editor.sh")
	if err := os.WriteFile(script, []byte("sed -i s/2/3/ \"$1\"; read line < "+fifo+"; true\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	editor("sh " + script)
	done := make(chan string)
	go func() {
		_, _, stderr := o.exec(t.Context(), "dlq", "edit", gone.Key.String())
		done <- stderr
	}()
	f, err := os.OpenFile(fifo, os.O_WRONLY, 0) // returns when the editor waits there
	if err != nil {
		t.Fatal(err)
	}
	if n, err := s.letters.Drop(t.Context(), []flush.Key{gone.Key}, false); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	stderr := <-done
	_, name, _ := strings.Cut(stderr, "the event as edited is in ")
	name, _, _ = strings.Cut(name, ": mend it")
	if b, err := os.ReadFile(name); err != nil || string(b) != "{\n  \"level\": 3\n}" {
		t.Errorf("%q in %q, %v: %s", b, name, err, stderr)
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

// writerFunc is an io.Writer.
type writerFunc func(b []byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func TestDLQReplay_CutOff_FailsAndLettersStay(t *testing.T) {
	environ := []string{"WEIR_ELASTICSEARCH_ADDRESSES=http://127.0.0.1:1", "WEIR_SHUTDOWN_TIMEOUT=10ms"} // nobody listens there
	for _, tt := range []struct {
		name    string
		stopped bool // no service runs
		cutOff  func(s *testService, interrupt context.CancelCauseFunc)
		says    string
	}{
		{"interrupted, with a running service", false, func(_ *testService, interrupt context.CancelCauseFunc) { interrupt(errInterrupted) }, "letters that were not settled stay"},
		{"interrupted, on the data directory", true, func(_ *testService, interrupt context.CancelCauseFunc) { interrupt(errInterrupted) }, "letters that were not settled stay"},
		{"the service stops", false, func(s *testService, _ context.CancelCauseFunc) { go s.end() }, "the service"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := startService(t, environ...)
			s.putLetters(s.letterAt(10, `{}`))
			if tt.stopped {
				s.end()
			}
			o := newOperator(s)
			ctx, interrupt := context.WithCancelCause(t.Context())
			defer interrupt(nil)
			o.stderr = writerFunc(func(b []byte) (int, error) {
				if strings.Contains(string(b), "the destination does not take 1 document") {
					tt.cutOff(s, interrupt)
				}
				return o.err.Write(b)
			})
			if code, out, stderr := o.exec(ctx, "dlq", "replay"); code != exitFailed || !strings.Contains(stderr, tt.says) {
				t.Errorf("exit code %d, %q, %q", code, out, stderr)
			}
			s.end()
			if out := newOperator(s).want(exitDone, opensDir, "dlq", "ls"); strings.Count(out, "\n") != 2 {
				t.Errorf("left: %s", out)
			}
		})
	}
}
