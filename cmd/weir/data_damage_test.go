package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirlog/weir/flush/checkpoint"
	"github.com/weirlog/weir/wal"
)

// stoppedDirectory makes a data directory with events, a letter and a refused body, closed in order.
func stoppedDirectory(t *testing.T) string {
	t.Helper()
	s := startService(t)
	for i := range 3 {
		s.appendEvent(fmt.Sprintf(`{"event":"number %d"}`, i))
	}
	s.putLetters(s.letterAt(1000, `{"letter":1}`))
	s.refuseBody("garbage")
	s.end()
	return s.cfg.DataDir
}

func (s *testService) appendEvent(text string) wal.Offset {
	s.t.Helper()
	offset, err := s.service.log.Append(s.t.Context(), wal.Origin{Stream: DefaultStream, ReceivedAt: time.Now()}, []wal.Event{{Payload: []byte(text)}})
	if err != nil {
		s.t.Fatal(err)
	}
	return offset
}

// copyDirectory copies a data directory, as an operator would.
func copyDirectory(t *testing.T, from string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

// treeHash is over every name and byte below a directory.
func treeHash(t *testing.T, dir string) string {
	t.Helper()
	h := sha256.New()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fmt.Fprintln(h, path, e.Type())
		if e.IsDir() {
			return nil
		}
		b, err := os.ReadFile(path)
		h.Write(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// firstSegment is the oldest segment of a log.
func firstSegment(t *testing.T, dir string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "[0-9]*"))
	if err != nil || len(names) == 0 {
		t.Fatal("no segment in", dir, err)
	}
	return names[0]
}

func changeFile(t *testing.T, path string, change func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, change(b), 0o600); err != nil {
		t.Fatal(err)
	}
}

// flipAt flips a bit of the byte at a place; below 0 counts from the end.
func flipAt(at int) func([]byte) []byte {
	return func(b []byte) []byte {
		i := at
		if i < 0 {
			i += len(b)
		}
		b[i] ^= 4
		return b
	}
}

// mishap is what happens to a directory, what wal verify calls it, and what a start then says.
type mishap struct {
	do      func(t *testing.T, dir dataLayout)
	part    string // of the row; "" when it is no damage
	says    string // in the table
	repair  string // what a repair would do; "" for nothing
	logged  string // by the start, in one line; "" when there is nothing to say
	counted string // the series of weir_set_aside_total that has counted it
}

var mishaps = map[string]mishap{
	"nothing": {do: func(*testing.T, dataLayout) {}},
	"a frame's header": {
		do:   func(t *testing.T, d dataLayout) { changeFile(t, firstSegment(t, d.wal), flipAt(70)) },
		part: partLog, says: "none",
	},
	"a length prefix": {
		do:   func(t *testing.T, d dataLayout) { changeFile(t, firstSegment(t, d.wal), flipAt(61)) },
		part: partLog, says: "none",
	},
	"a record": {
		do: func(t *testing.T, d dataLayout) {
			changeFile(t, firstSegment(t, d.wal), func(b []byte) []byte { return flipAt(bytes.Index(b, []byte("number 1")))(b) })
		},
		part: partLog, says: "2 to 2",
	},
	"the mark of the stop": {
		do:   func(t *testing.T, d dataLayout) { changeFile(t, firstSegment(t, d.wal), flipAt(-3)) },
		part: partLog, says: "the mark of a start or an orderly stop is damaged", repair: "set 61 B aside",
		logged: "a torn tail was set aside", counted: `{kind="torn",part="wal"}`,
	},
	"the end of the log": {
		do: func(t *testing.T, d dataLayout) {
			changeFile(t, firstSegment(t, d.wal), func(b []byte) []byte { return b[:len(b)-80] })
		},
		part: partLog, says: "3 to 3", repair: "go on behind offset 3", logged: "the log lost its end", counted: `{kind="lost_end",part="wal"}`,
	},
	"all of the log": {
		do:   func(t *testing.T, d dataLayout) { removeAll(t, d.wal) },
		part: partLog, says: "the log is known to have been longer", repair: "go on behind offset 3",
		logged: "the log lost its end", counted: `{kind="lost_end",part="wal"}`,
	},
	"a letter": {
		do:   func(t *testing.T, d dataLayout) { changeFile(t, firstSegment(t, d.dead), flipAt(300)) },
		part: partDead, says: "1 to 1",
	},
	"the dead letters": {
		do:   func(t *testing.T, d dataLayout) { removeAll(t, firstSegment(t, d.dead)) },
		part: partDead, says: "1 to 1", repair: "go on behind offset 1", logged: "the log lost its end", counted: `{kind="lost_end",part="dead"}`,
	},
	"a refused body": {
		do:   func(t *testing.T, d dataLayout) { changeFile(t, firstSegment(t, d.refused), flipAt(300)) },
		part: partRefused, says: "1 to 1",
	},
	"a torn end": {
		do: func(t *testing.T, d dataLayout) {
			changeFile(t, firstSegment(t, d.wal), func(b []byte) []byte { return append(b, "half a frame"...) })
		},
		repair: "set 12 B aside", logged: "a torn tail was set aside", counted: `{kind="torn",part="wal"}`,
	},
	"weir.db": {
		do: func(t *testing.T, d dataLayout) {
			changeFile(t, d.db, func(b []byte) []byte { return make([]byte, len(b)) })
		},
		part: partDB, says: "checkpoint database is damaged", repair: "set it aside as weir.db.damaged-TIME",
		logged: "the checkpoint was damaged, is set aside and made anew", counted: `{kind="rebuilt",part="weir.db"}`,
	},
	"weir.db is gone": {
		do:   func(t *testing.T, d dataLayout) { removeAll(t, d.db) },
		part: partDB, says: "checkpoint database is missing", repair: "make it, since it is missing",
		logged: "the checkpoint (weir.db) was lost and is made anew", counted: `{kind="rebuilt",part="weir.db"}`,
	},
}

func removeAll(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

// TestDamage_EveryCommand does each damage to a copy of a stopped directory, asks every command about it, and starts on it.
func TestDamage_EveryCommand(t *testing.T) {
	whole := stoppedDirectory(t)
	for name, d := range mishaps {
		t.Run(name, func(t *testing.T) {
			dir := copyDirectory(t, whole)
			layout := layoutOf(dir)
			d.do(t, layout)
			before := treeHash(t, dir)
			o := &operator{newTestApp(t, serviceEnviron(dir)...), t}
			code := exitDone
			if d.part != "" {
				code = exitFailed
			}
			table := o.want(code, opensDir, "wal", "verify")
			var rep verifyReport
			if err := json.Unmarshal([]byte(o.want(code, opensDir, "wal", "verify", "-o", "json")), &rep); err != nil {
				t.Fatal(err)
			}
			if d.part != "" && (len(rep.Damage) != 1 || rep.Damage[0].Part != d.part || !strings.Contains(table, d.says) || !strings.Contains(table, "\ndamaged ")) ||
				d.part == "" && (len(rep.Damage) != 0 || !strings.Contains(table, "\nok ")) {
				t.Errorf("verify: %+v\n%s", rep.Damage, table)
			}
			dry := o.want(exitDone, opensDir, "wal", "repair", "--dry-run")
			if !strings.Contains(dry, "nothing was changed") || (d.repair == "") != strings.Contains(dry, "a repair would do nothing") || !strings.Contains(dry, d.repair) {
				t.Errorf("repair --dry-run:\n%s", dry)
			}
			for _, args := range []string{"wal info", "wal cat", "wal cat --raw", "wal info -o json", "wal cat -o ndjson", "status", "status -o json"} {
				o.want(exitDone, opensDir, strings.Fields(args)...)
			}
			o.exec(t.Context(), "check")
			if treeHash(t, dir) != before {
				t.Fatal("commands that only look have changed the directory")
			}
			d.startSays(t, copyDirectory(t, dir))
			d.repairThenVerify(t, o)
		})
	}
}

// startSays starts a service on the directory and looks at what it says, once.
func (d mishap) startSays(t *testing.T, dir string) {
	t.Helper()
	var log lockedBuffer
	s := startServiceLogging(t, slog.New(slog.NewTextHandler(&log, nil)), dir)
	page, metrics := s.ask("GET", "/", "").body, s.ask("GET", "/metrics", "").body
	var st statusReport
	if err := json.Unmarshal([]byte(s.ask("GET", "/api/v1/status", "").body), &st); err != nil {
		t.Fatal(err)
	}
	s.end()
	if d.logged == "" {
		if st.SetAside.any() {
			t.Errorf("set aside: %+v", st.SetAside)
		}
		return
	}
	lines := 0
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, "level=WARN") || strings.Contains(line, "level=ERROR") {
			if !strings.Contains(line, "was last used at") && !strings.Contains(line, "a part of the log is missing") {
				lines++
			}
		}
	}
	if lines != 1 || !strings.Contains(log.String(), d.logged) {
		t.Errorf("the start has logged:\n%s", log.String())
	}
	if !strings.Contains(metrics, "weir_set_aside_total"+d.counted+" 1\n") {
		t.Errorf("the metric %s did not count", d.counted)
	}
	if !strings.Contains(page, "Set aside</h2>") || !st.SetAside.any() || !strings.Contains(page, "since the start: ") {
		t.Errorf("the page or the status says nothing: %+v", st.SetAside)
	}
}

// repairThenVerify: after a repair there is nothing to repair, and verify finds what the repair said would stay.
func (d mishap) repairThenVerify(t *testing.T, o *operator) {
	t.Helper()
	var done repairReport
	if err := json.Unmarshal([]byte(o.want(exitDone, opensDir, "wal", "repair", "-o", "json")), &done); err != nil || !done.Done || (len(done.Steps) == 0) != (d.repair == "") {
		t.Errorf("repair: %+v, %v", done, err)
	}
	if out := o.want(exitDone, opensDir, "wal", "repair", "--dry-run"); !strings.Contains(out, "a repair would do nothing") {
		t.Errorf("after a repair:\n%s", out)
	}
	_, text, _ := o.exec(t.Context(), "wal", "verify", "-o", "json")
	var rep verifyReport
	if err := json.Unmarshal([]byte(text), &rep); err != nil || rep.Lost > verifiedLost(done.Damage) {
		t.Errorf("verify after repair: %+v, the repair said %+v, %v", rep.Damage, done.Damage, err)
	}
}

func verifiedLost(damage []damageView) (n uint64) {
	for _, d := range damage {
		n += uint64(d.Last + 1 - d.First)
	}
	return n
}

// TestWALVerify_Running_CoversEverything: beside a running service too.
func TestWALVerify_Running_CoversEverything(t *testing.T) {
	dir := copyDirectory(t, stoppedDirectory(t))
	layout := layoutOf(dir)
	changeFile(t, firstSegment(t, layout.dead), flipAt(300))
	changeFile(t, firstSegment(t, layout.wal), flipAt(-3)) // set aside by the start
	s := startServiceIn(t, dir)
	o := newOperator(s)
	var rep verifyReport
	if err := json.Unmarshal([]byte(o.want(exitFailed, asksService, "wal", "verify", "-o", "json")), &rep); err != nil || len(rep.Damage) != 1 || rep.Damage[0].Part != partDead || len(rep.Parts) != 4 {
		t.Errorf("%+v, %v", rep, err)
	}
	o.want(exitFailed, "the service repairs by itself when it starts", "wal", "repair", "--dry-run")
}

// TestSetAside_DamageWhileRunning: damage that delivery meets is shown with its place, once, however often it is met.
func TestSetAside_DamageWhileRunning(t *testing.T) {
	s := startService(t, "WEIR_ELASTICSEARCH_ADDRESSES=http://127.0.0.1:1", "WEIR_SHUTDOWN_TIMEOUT=10ms")
	for i := range 3 {
		s.appendEvent(fmt.Sprintf(`{"event":"number %d"}`, i))
	}
	s.end()
	changeFile(t, firstSegment(t, layoutOf(s.cfg.DataDir).wal), func(b []byte) []byte { return flipAt(bytes.Index(b, []byte("number 1")))(b) })
	s = startServiceIn(t, s.cfg.DataDir, "WEIR_ELASTICSEARCH_ADDRESSES=http://127.0.0.1:1", "WEIR_SHUTDOWN_TIMEOUT=10ms")
	for range 3 { // readers that meet it, as the flusher does
		r := s.service.log.NewReader(1)
		for r.Position() <= 3 {
			if _, err := r.Next(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	st := s.asides.report()
	if st.Damaged != 1 || st.Records != 1 || len(st.Last) != 1 {
		t.Fatalf("%+v", st)
	}
	d := st.Last[0]
	if d.Part != partLog || d.Position == 0 || d.First != 2 || d.Last != 2 || !exists(filepath.Join(s.cfg.DataDir, d.Kept)) {
		t.Errorf("%+v", d)
	}
	page := s.ask("GET", "/", "").body
	for _, want := range []string{d.Segment, fmt.Sprint(d.Position), "2 to 2", d.Kept, "1 damaged place, 1 record lost"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if out := newOperator(s).want(exitDone, asksService, "status"); !strings.Contains(out, "1 place damaged (1 record lost); the last: wal, segment "+d.Segment) || !strings.Contains(out, "kept as "+d.Kept) {
		t.Errorf("status:\n%s", out)
	}
}

// TestHome_Elsewhere: a copy says where it was used before, in every place, and goes on.
func TestHome_Elsewhere(t *testing.T) {
	whole := stoppedDirectory(t)
	dir := copyDirectory(t, whole)
	o := &operator{newTestApp(t, serviceEnviron(dir)...), t}
	if out := o.want(exitDone, opensDir, "wal", "info"); !strings.Contains(out, "last used at "+whole+", which is still there (pid ") {
		t.Errorf("a copy on the same machine:\n%s", out)
	}
	removeAll(t, whole)
	if out := o.want(exitDone, opensDir, "wal", "info"); !strings.Contains(out, "last used at "+whole+" (pid ") {
		t.Errorf("moved:\n%s", out)
	}
	db, err := checkpoint.Open(layoutOf(dir).db, checkpoint.Options{})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	if err := db.SetHome(checkpoint.Home{Host: "shop-1\x1b[31m<b>", Machine: "other", Path: "/var/lib/weir", PID: 4711, Started: at}); err != nil || db.Close() != nil {
		t.Fatal(err)
	}
	const text = "last used by host shop-1"
	if out := o.want(exitDone, opensDir, "wal", "info"); !strings.Contains(out, text) || !strings.Contains(out, "pid 4711, started 2026-03-04T05:06:07Z, not stopped in order") || strings.Contains(out, "\x1b") {
		t.Errorf("info:\n%s", out)
	}
	_, lines := findings(t, o.testApp)
	wantFinding(t, lines, "warning data directory", text)
	var log lockedBuffer
	s := startServiceLogging(t, slog.New(slog.NewTextHandler(&log, nil)), dir)
	if strings.Count(log.String(), text) != 1 || !strings.Contains(log.String(), "under the same ids") {
		t.Errorf("the start has logged:\n%s", log.String())
	}
	if page := s.ask("GET", "/", "").body; !strings.Contains(page, text) || strings.Contains(page, "31m<b>") || strings.Contains(page, "\x1b") {
		t.Error("the page does not say it, or not escaped")
	}
	s.end()
	s = startServiceIn(t, dir)
	if s.elsewhere != "" {
		t.Errorf("the second start here says %q", s.elsewhere)
	}
	if out := newOperator(s).want(exitDone, asksService, "wal", "info", "-o", "json"); !strings.Contains(out, `"path":"`+dir) && !strings.Contains(out, `"path": "`+dir) {
		t.Errorf("info: %s", out)
	}
}

// TestSettled_LostEndNoticedByARepair: what is missing is reported, too, when the start comes after a repair.
func TestSettled_LostEndNoticedByARepair(t *testing.T) {
	s := startService(t, "WEIR_ELASTICSEARCH_ADDRESSES=http://127.0.0.1:1", "WEIR_SHUTDOWN_TIMEOUT=10ms")
	for range 3 {
		s.appendEvent(`{"event":"never delivered"}`)
	}
	s.end()
	dir := layoutOf(s.cfg.DataDir)
	removeAll(t, firstSegment(t, dir.wal))
	newOperator(s).want(exitDone, opensDir, "wal", "repair")
	s = startServiceIn(t, s.cfg.DataDir, "WEIR_ELASTICSEARCH_ADDRESSES=http://127.0.0.1:1", "WEIR_SHUTDOWN_TIMEOUT=10ms")
	if err := await(func() bool { return s.letters.Len() > 0 }, "nothing says what is missing"); err != nil {
		t.Fatal(err)
	}
	if n := s.letters.Status().Records["log"]; n != 1 {
		t.Errorf("%d letters of stage log stand for what is missing, want 1", n)
	}
}
