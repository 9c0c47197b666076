package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// interruptAt makes the service end ctx while it handles its nth request, which it still answers.
func interruptAt(t *testing.T, f *fakeIngest, n int) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	f.before = func(i int, _ http.ResponseWriter, _ *http.Request) bool {
		if i == n {
			cancel(errInterrupted)
		}
		return false
	}
	return ctx
}

func TestSend_InterruptedAndRunAgain_SendsEachEventOnce(t *testing.T) {
	array := "[" + strings.ReplaceAll(strings.TrimSpace(numbered(100)), "\n", " ,\n") + "]"
	contents := map[string]string{"lines": numbered(100), "array": array, "gzip": gzipped(t, numbered(100)), "zstd": zstded(t, array)}
	for name, content := range contents {
		for _, concurrency := range []string{"1", "4"} {
			t.Run(name+"/concurrency="+concurrency, func(t *testing.T) {
				f := newFakeIngest(t)
				path := writeFile(t, t.TempDir(), "e", content)
				ta := newTestApp(t)
				args := []string{"send", "--url", f.URL, "--batch-events", "7", "--concurrency", concurrency, path}
				code, _, stderr := ta.exec(interruptAt(t, f, 5), args...)
				if code != exitFailed || !strings.Contains(stderr, "the same command goes on") {
					t.Fatalf("exit code %d\n%s", code, stderr)
				}
				if len(f.events) == 0 || len(f.events) == 100 {
					t.Fatalf("%d events before the interruption", len(f.events))
				}
				f.before = nil
				code, stdout, stderr := ta.exec(t.Context(), append(args, "-o", "json")...)
				if code != exitDone || !strings.Contains(stdout, `"resumed": true`) {
					t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
				}
				wantNumbered(t, f, 100)
				if names := listDir(t, filepath.Dir(path)); !reflect.DeepEqual(names, []string{"e"}) {
					t.Errorf("left behind: %q", names)
				}
			})
		}
	}
}

// A batch that fails must hold the position back, although later batches are acknowledged.
func TestSend_FailedBatchAmongAcknowledged_IsSentByTheNextRun(t *testing.T) {
	f := newFakeIngest(t)
	path := writeFile(t, t.TempDir(), "e", numbered(100))
	f.before = func(n int, w http.ResponseWriter, _ *http.Request) bool {
		if n == 3 {
			refuseWith(403, "forbidden")(w)
		}
		return n == 3
	}
	ta := newTestApp(t)
	args := []string{"send", "--url", f.URL, "--batch-events", "5", "--concurrency", "4", path}
	if code, _, stderr := ta.exec(t.Context(), args...); code != exitFailed {
		t.Fatalf("exit code %d\n%s", code, stderr)
	}
	f.before = nil
	if code, _, stderr := ta.exec(t.Context(), args...); code != exitDone {
		t.Fatalf("exit code %d\n%s", code, stderr)
	}
	seen := map[string]bool{}
	for _, e := range f.events {
		seen[e] = true
	}
	if len(seen) != 100 {
		t.Errorf("%d of 100 events arrived", len(seen))
	}
}

func TestSend_StateElsewhere_WhenTheDirectoryCannotBeWritten(t *testing.T) {
	home := t.TempDir()
	path := writeFile(t, t.TempDir(), "e", numbered(10))
	paths, err := statePaths(path, home)
	if err != nil {
		t.Fatal(err)
	}
	s := &sendState{Version: sendStateVersion, Path: path, Position: position{Bytes: 5}}
	blocked := filepath.Join(path, "no directory", "state") // root may write anywhere, but not below a file
	if err := s.save([]string{blocked, paths[1]}); err != nil {
		t.Fatal(err)
	}
	got, err := loadState(paths)
	if err != nil || got == nil || got.Position != s.Position || got.file != paths[1] {
		t.Errorf("loaded %+v, %v", got, err)
	}
}

func TestSend_EarlierRunInPart(t *testing.T) {
	tests := []struct {
		name   string
		change func(t *testing.T, path string)
		args   []string
		code   int
		says   string
		want   int // events of the second run
	}{
		{"nothing changed", func(*testing.T, string) {}, nil, exitDone, "", 80},
		{"file has grown", func(t *testing.T, path string) { appendFile(t, path, `{"n":100}`) }, nil, exitDone, "", 81},
		{"file was written anew", func(t *testing.T, path string) {
			writeFile(t, filepath.Dir(path), "new", numbered(50))
			if err := os.Rename(filepath.Join(filepath.Dir(path), "new"), path); err != nil {
				t.Fatal(err)
			}
		}, nil, exitDone, "has changed since", 50},
		{"file was cut in place", func(t *testing.T, path string) {
			if err := os.Truncate(path, 80); err != nil {
				t.Fatal(err)
			}
		}, nil, exitDone, "has changed since", 10},
		{"told to begin again", func(*testing.T, string) {}, []string{"--restart"}, exitDone, "", 100},
		{"other stream", func(*testing.T, string) {}, []string{"--stream", "shop"}, exitFailed, "to the stream default", 0},
		{"other way of reading", func(*testing.T, string) {}, []string{"--lines"}, exitFailed, "--lines", 0},
		{"state is damaged", func(t *testing.T, path string) {
			writeFile(t, filepath.Dir(path), "."+filepath.Base(path)+".weir-send", "{")
		}, nil, exitFailed, "is damaged; --restart", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFakeIngest(t)
			path := writeFile(t, t.TempDir(), "e", numbered(100))
			ta := newTestApp(t)
			args := []string{"send", "--url", f.URL, "--batch-events", "10", "--concurrency", "1", path}
			ta.exec(interruptAt(t, f, 2), args...)
			if len(f.events) != 20 {
				t.Fatalf("%d events in the first run, want 20", len(f.events))
			}
			f.events, f.before = nil, nil
			tt.change(t, path)
			code, _, stderr := ta.exec(t.Context(), append(args, tt.args...)...)
			if code != tt.code || !strings.Contains(stderr, tt.says) || len(f.events) != tt.want {
				t.Errorf("exit code %d, %d events, want %d and %d\n%s", code, len(f.events), tt.code, tt.want, stderr)
			}
		})
	}
}

func appendFile(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString(text)
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestSend_Spool(t *testing.T) {
	f := newFakeIngest(t)
	dir := t.TempDir()
	writeFile(t, dir, "b.ndjson", `{"n":1}`)
	writeFile(t, dir, "a.ndjson.gz", gzipped(t, `{"n":0}`))
	writeFile(t, dir, "c.json", `[{"n":2},{"n":3}]`)
	writeFile(t, dir, ".d.ndjson", `{"n":9}`)
	writeFile(t, dir, "e.ndjson.tmp", `{"n":9}`)
	writeFile(t, dir, "f.jsonl", "nonsense")
	ta := newTestApp(t)
	code, stdout, stderr := ta.exec(t.Context(), "send", "--url", f.URL, dir)
	if code != exitFailed || !strings.Contains(stderr, "f.jsonl:1: malformed_json: bad one") {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
	if want := strings.Fields(numbered(4)); !reflect.DeepEqual(f.events, want) {
		t.Errorf("events %q, want %q in the order of the names", f.events, want)
	}
	if names := listDir(t, dir); !reflect.DeepEqual(names, []string{".d.ndjson", ".f.jsonl.weir-send", "e.ndjson.tmp", "f.jsonl"}) {
		t.Errorf("left %q", names)
	}

	requests := f.requests
	code, _, stderr = ta.exec(t.Context(), "send", "--url", f.URL, dir)
	if code != exitFailed || f.requests != requests || !strings.Contains(stderr, "1 of its events were refused by an earlier run") {
		t.Errorf("second run: exit code %d after %d requests\n%s", code, f.requests-requests, stderr)
	}

	writeFile(t, dir, "f.jsonl", `{"n":4}`)
	if code, _, stderr = ta.exec(t.Context(), "send", "--url", f.URL, dir); code != exitDone {
		t.Errorf("third run: exit code %d\n%s", code, stderr)
	}
	wantNumbered(t, f, 5)
	if names := listDir(t, dir); !reflect.DeepEqual(names, []string{".d.ndjson", "e.ndjson.tmp"}) {
		t.Errorf("left %q", names)
	}
}

func TestSend_Spool_KeepSendsOnce(t *testing.T) {
	f := newFakeIngest(t)
	dir := t.TempDir()
	writeFile(t, dir, "a.ndjson", numbered(3))
	ta := newTestApp(t)
	for range 2 {
		if code, _, stderr := ta.exec(t.Context(), "send", "--keep", "--url", f.URL, dir); code != exitDone {
			t.Errorf("exit code %d\n%s", code, stderr)
		}
	}
	wantNumbered(t, f, 3)
	if code, _, stderr := ta.exec(t.Context(), "send", "--url", f.URL, dir); code != exitDone {
		t.Errorf("without --keep: exit code %d\n%s", code, stderr)
	}
	wantNumbered(t, f, 3)
	if names := listDir(t, dir); len(names) != 0 {
		t.Errorf("left %q", names)
	}
}

func TestSend_Spool_FileGrowsWhileItIsSent_Stays(t *testing.T) {
	f := newFakeIngest(t)
	dir := t.TempDir()
	path := writeFile(t, dir, "a.ndjson", numbered(3))
	f.before = func(n int, _ http.ResponseWriter, _ *http.Request) bool {
		if n == 1 {
			appendFile(t, path, `{"n":3}`)
		}
		return false
	}
	ta := newTestApp(t)
	code, _, stderr := ta.exec(t.Context(), "send", "--url", f.URL, dir)
	if code != exitFailed || !strings.Contains(stderr, "changed while it was sent") {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
	if code, _, stderr := ta.exec(t.Context(), "send", "--url", f.URL, dir); code != exitDone {
		t.Errorf("second run: exit code %d\n%s", code, stderr)
	}
	wantNumbered(t, f, 4)
}

// A kill between a file's last acknowledgement and its removal leaves it under its hidden name. A new
// file of the old name is another file, even with the same bytes.
func TestSend_Spool_KilledBeforeRemoval(t *testing.T) {
	f := newFakeIngest(t)
	dir := t.TempDir()
	writeFile(t, dir, ".a.ndjson"+sentSuffix, numbered(3))
	writeFile(t, dir, ".a.ndjson.weir-send", `{"version":1,"position":{"bytes":24}}`)
	writeFile(t, dir, "a.ndjson", numbered(3))
	if code, _, stderr := newTestApp(t).exec(t.Context(), "send", "--url", f.URL, dir); code != exitDone {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
	wantNumbered(t, f, 3)
	if names := listDir(t, dir); len(names) != 0 {
		t.Errorf("left %q", names)
	}
}

func TestSend_Spool_OneRunAtATime(t *testing.T) {
	f := newFakeIngest(t)
	dir := t.TempDir()
	writeFile(t, dir, "a.ndjson", numbered(3))
	d, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := syscall.Flock(int(d.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := newTestApp(t).exec(t.Context(), "send", "--url", f.URL, dir)
	if code != exitFailed || f.requests != 0 || !strings.Contains(stderr, "another weir send") {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
}

// recordingWait makes time a count: waiting moves the clock and is written down.
type recordingWait struct {
	now   time.Time
	waits []time.Duration
}

func (w *recordingWait) wait(ctx context.Context, d time.Duration) error {
	w.waits = append(w.waits, d)
	w.now = w.now.Add(d)
	return ctx.Err()
}

func newTestClient(f *fakeIngest, w *recordingWait) (*ingestClient, *[]string) {
	notices := &[]string{}
	return &ingestClient{
		http: f.Client(), url: f.URL, shown: f.URL, timeout: time.Minute, giveUp: 5 * time.Minute,
		now: func() time.Time { return w.now }, wait: w.wait, notice: func(m string) { *notices = append(*notices, m) },
	}, notices
}

func TestIngestClient_Post_WaitsAndSendsAgain(t *testing.T) {
	f := newFakeIngest(t)
	f.before = func(n int, w http.ResponseWriter, _ *http.Request) bool {
		switch n {
		case 1:
			w.Header().Set("Retry-After", "7")
			refuseWith(503, "log_full")(w)
		case 2:
			panic(http.ErrAbortHandler) // a connection that is cut
		case 3:
			w.Header().Del("X-Request-Id") // a proxy answers
			w.WriteHeader(502)
		case 4:
			w.WriteHeader(429)
			fmt.Fprint(w, `{"error":{"code":"slow_down","message":"later","retry":true}}`)
		default:
			return false
		}
		return true
	}
	w := &recordingWait{now: time.Unix(1e9, 0)}
	c, notices := newTestClient(f, w)
	answer, err := c.post(t.Context(), []byte(`{"n":0}`), "application/x-ndjson")
	if err != nil || answer.Accepted != 1 {
		t.Fatalf("answer %+v, %v", answer, err)
	}
	if len(w.waits) != 4 || w.waits[0] < 7*time.Second || w.waits[0] > 8*time.Second || w.waits[3] > time.Second {
		t.Errorf("waits %v", w.waits)
	}
	if len(*notices) != 1 || !strings.Contains((*notices)[0], "503 Service Unavailable: log_full") {
		t.Errorf("notices %q", *notices)
	}
	wantNumbered(t, f, 1)
}

func TestIngestClient_Post_GivesUp(t *testing.T) {
	f := newFakeIngest(t)
	f.before = func(_ int, w http.ResponseWriter, _ *http.Request) bool { refuseWith(503, "log_full")(w); return true }
	w := &recordingWait{now: time.Unix(1e9, 0)}
	c, _ := newTestClient(f, w)
	_, err := c.post(t.Context(), []byte(`{}`), "application/x-ndjson")
	if err == nil || !strings.HasPrefix(err.Error(), "gave up after 5m: ") || !strings.Contains(err.Error(), "log_full") {
		t.Errorf("error %v", err)
	}
	if longest := slices.Max(w.waits); longest > retryPauseMax || f.requests < 30 {
		t.Errorf("%d requests, longest pause %v", f.requests, longest)
	}
}

func TestIngestURL(t *testing.T) {
	tests := []struct{ server, stream, target, socket string }{
		{"http://a:1", "default", "http://a:1/ingest", ""},
		{"a:1", "shop", "http://a:1/ingest/shop", ""},
		{"https://a/weir/", "shop", "https://a/weir/ingest/shop", ""},
		{"https://a/weir/ingest", "default", "https://a/weir/ingest", ""},
		{"unix:///run/s", "shop", "http://unix/ingest/shop", "/run/s"},
	}
	for _, tt := range tests {
		if target, socket, err := ingestURL(tt.server, tt.stream); err != nil || target != tt.target || socket != tt.socket {
			t.Errorf("ingestURL(%q, %q) = %q, %q, %v, want %q, %q", tt.server, tt.stream, target, socket, err, tt.target, tt.socket)
		}
	}
	for _, bad := range []string{"", "ftp://a", "unix://a", "http://", "http://a?b=c", "http://u:hush@[a"} {
		if _, _, err := ingestURL(bad, "default"); err == nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("ingestURL(%q): error %v", bad, err)
		}
	}
	for listen, want := range map[string]string{":80": "127.0.0.1:80", "0.0.0.0:80": "127.0.0.1:80", "[::]:80": "[::1]:80", "h:80": "h:80"} {
		if got := dialAddress(listen); got != want {
			t.Errorf("dialAddress(%q) = %q, want %q", listen, got, want)
		}
	}
}
