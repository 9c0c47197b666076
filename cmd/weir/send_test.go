package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

// fakeIngest answers like the ingest listener and remembers every event that it accepted.
type fakeIngest struct {
	*httptest.Server
	maxEvent int
	// before may answer instead: n counts requests from 1. It is called under the lock.
	before func(n int, w http.ResponseWriter, r *http.Request) (answered bool)

	mu       sync.Mutex
	requests int
	paths    []string
	events   []string
	dead     []string
}

func newFakeIngest(t *testing.T) *fakeIngest {
	t.Helper()
	f := &fakeIngest{maxEvent: 1 << 20}
	f.Server = httptest.NewServer(f)
	t.Cleanup(func() {
		f.Close()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	})
	return f
}

func (f *fakeIngest) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests++
	f.paths = append(f.paths, r.URL.Path)
	w.Header().Set("X-Request-Id", r.Header.Get("X-Request-Id"))
	if f.before != nil && f.before(f.requests, w, r) {
		return
	}
	body := r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(body)
		if err != nil {
			panic(err)
		}
		body = z
	}
	text, err := io.ReadAll(body)
	if err != nil {
		panic(err)
	}
	f.take(w, r.Header.Get("Content-Type"), text)
}

func (f *fakeIngest) take(w http.ResponseWriter, contentType string, text []byte) {
	var items []json.RawMessage
	array := contentType == "application/json"
	if array {
		if err := json.Unmarshal(text, &items); err != nil {
			w.WriteHeader(400)
			fmt.Fprint(w, `{"error":{"code":"malformed_json","message":"the array is broken","retry":false}}`)
			return
		}
	} else {
		for line := range bytes.Lines(text) {
			items = append(items, bytes.TrimSuffix(line, []byte("\n")))
		}
	}
	if len(items) == 1 && len(items[0]) > f.maxEvent {
		w.WriteHeader(413)
		fmt.Fprint(w, `{"error":{"code":"event_too_large","message":"too large","retry":false}}`)
		return
	}
	var good, bad []string
	var problems []string
	for i, item := range items {
		if json.Valid(item) && item[0] == '{' && len(item) <= f.maxEvent {
			good = append(good, string(item))
			continue
		}
		bad = append(bad, string(item))
		place := fmt.Sprintf(`"line":%d`, i+1)
		if array {
			place = fmt.Sprintf(`"index":%d`, i)
		}
		problems = append(problems, fmt.Sprintf(`{%s,"code":"malformed_json","message":"bad one"}`, place))
	}
	if len(good) == 0 {
		w.WriteHeader(400)
		fmt.Fprintf(w, `{"error":{"code":"malformed_json","message":"none","retry":false},"errors":[%s]}`, strings.Join(problems, ","))
		return
	}
	f.events = append(f.events, good...)
	f.dead = append(f.dead, bad...)
	w.WriteHeader(202)
	fmt.Fprintf(w, `{"accepted":%d,"dead_lettered":%d,"errors":[%s]}`, len(good), len(bad), strings.Join(problems, ","))
}

func refuseWith(status int, code string) func(w http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"error":{"code":%q,"message":"for a test","retry":%t}}`, code, status == 503)
	}
}

func writeFile(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// numbered returns n events, one a line.
func numbered(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"n":%d}`+"\n", i)
	}
	return b.String()
}

func wantNumbered(t *testing.T, f *fakeIngest, n int) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	got := slices.Clone(f.events)
	want := strings.Fields(numbered(n))
	slices.Sort(got)
	slices.Sort(want)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%d events arrived, want %d, each once", len(got), n)
	}
}

func listDir(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func gzipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.WriteString(z, text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func zstded(t *testing.T, text string) string {
	t.Helper()
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(z.EncodeAll([]byte(text), nil))
}

func TestSend_EveryKindOfSource(t *testing.T) {
	two := []string{`{"a":1.0}`, `{"b": [1, "]"]}`}
	tests := []struct {
		name, content string
		args          []string
		want          []string
	}{
		{"lines", "{\"a\":1.0}\n{\"b\": [1, \"]\"]}\n", nil, two},
		{"CRLF, empty lines, no last line break", "\r\n{\"a\":1.0}\r\n\n  \n{\"b\": [1, \"]\"]}", nil, two},
		{"byte order mark", "\ufeff{\"a\":1.0}\n{\"b\": [1, \"]\"]}\n", nil, two},
		{"an array", ` [ {"a":1.0} , {"b": [1, "]"]} ] `, nil, two},
		{"an array over lines", "[\n{\"a\":1.0},\n{\"b\": [1, \"]\"]}\n]\n", nil, two},
		{"arrays one after the other", `[{"a":1.0}][{"b": [1, "]"]}]`, nil, two},
		{"objects over several lines", "{\n  \"a\": 1\n}\n{\n  \"b\": \"}\\\"\"\n}\n", nil, []string{"{\n  \"a\": 1\n}", "{\n  \"b\": \"}\\\"\"\n}"}},
		{"objects in one line", `{"a":1.0}{"b": [1, "]"]}`, nil, two},
		{"gzip", gzipped(t, "{\"a\":1.0}\n{\"b\": [1, \"]\"]}\n"), nil, two},
		{"zstd", zstded(t, "{\"a\":1.0}\n{\"b\": [1, \"]\"]}\n"), nil, two},
		{"compressed on the way", "{\"a\":1.0}\n{\"b\": [1, \"]\"]}\n", []string{"--gzip"}, two},
		{"plain text", "a \"b\" \\c\t\x01\r\n\nl\xe4 ü\n", []string{"--lines"}, []string{`{"message":"a \"b\" \\c\t\u0001"}`, `{"message":"l\\xe4 ü"}`}},
		{"empty", "", nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFakeIngest(t)
			path := writeFile(t, t.TempDir(), "events", tt.content)
			args := append([]string{"send", "--url", f.URL, path}, tt.args...)
			code, stdout, stderr := newTestApp(t).exec(t.Context(), args...)
			if code != exitDone || !reflect.DeepEqual(f.events, tt.want) {
				t.Errorf("exit code %d, events %q, want %q\n%s%s", code, f.events, tt.want, stdout, stderr)
			}
			if names := listDir(t, filepath.Dir(path)); !reflect.DeepEqual(names, []string{"events"}) {
				t.Errorf("left behind: %q", names)
			}
		})
	}
}

func TestSend_StandardInputAndStream(t *testing.T) {
	f := newFakeIngest(t)
	ta := newTestApp(t)
	ta.stdin = strings.NewReader(gzipped(t, numbered(10)))
	code, stdout, _ := ta.exec(t.Context(), "send", "--url", f.URL+"/ingest/", "--stream", "shop", "--batch-events", "3", "-o", "json", "-")
	var report sendReport
	if err := json.Unmarshal([]byte(stdout), &report); err != nil {
		t.Fatal(err)
	}
	if code != exitDone || report.Counts.Accepted != 10 || report.Counts.Events != 10 || len(report.Sources) != 1 {
		t.Errorf("exit code %d, %s", code, stdout)
	}
	if f.requests != 4 || f.paths[0] != "/ingest/shop" {
		t.Errorf("%d requests to %q", f.requests, f.paths)
	}
	wantNumbered(t, f, 10)
}

func TestSend_AddressFromTheConfiguration(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeIngest{maxEvent: 1 << 20}
	server := &http.Server{Handler: f, ReadHeaderTimeout: time.Minute}
	served := make(chan error)
	go func() { served <- server.Serve(listener) }()
	defer func() {
		server.Close()
		<-served
	}()
	ta := newTestApp(t, "WEIR_INGEST_LISTEN=unix://"+socket)
	ta.stdin = strings.NewReader(numbered(3))
	if code, _, stderr := ta.exec(t.Context(), "send", "-"); code != exitDone {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	wantNumbered(t, f, 3)
}

func TestSend_BadEventAmongGood_BecomesADeadLetter(t *testing.T) {
	f := newFakeIngest(t)
	path := writeFile(t, t.TempDir(), "e", "{\"n\":0}\n{\"n\":\n{\"n\":1}\n")
	code, stdout, stderr := newTestApp(t).exec(t.Context(), "send", "--url", f.URL, path)
	if code != exitDone || !strings.Contains(stdout, "2 accepted, 1 dead-lettered") || !strings.Contains(stderr, path+":2: malformed_json: bad one") {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
	wantNumbered(t, f, 2)
}

func TestSend_BadEventInAnArray_IsFoundByHalves(t *testing.T) {
	f := newFakeIngest(t)
	path := writeFile(t, t.TempDir(), "e", "[{\"n\":0},{\"n\":1},{\"n\"\n2},{\"n\":2},{\"n\":3}]")
	code, stdout, stderr := newTestApp(t).exec(t.Context(), "send", "--url", f.URL, path)
	if code != exitFailed || !strings.Contains(stdout, "4 accepted, 1 refused") || !strings.Contains(stderr, path+":1: malformed_json: the array is broken") {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
	wantNumbered(t, f, 4)
}

func TestSend_EventsOverTheLimits_AreNamedAndTheRestGoesOn(t *testing.T) {
	f := newFakeIngest(t)
	f.maxEvent = 2000
	large := `{"a":"` + strings.Repeat("x", 3000) + `"}` // refused by the service
	huge := `{"a":"` + strings.Repeat("x", 9000) + `"}`  // more than a body may have
	for _, format := range []string{"ndjson", "json"} {
		f.events = nil
		path := writeFile(t, t.TempDir(), "e", "{\"n\":0}\n"+large+"\n"+huge+"\n{\"n\":1}\n")
		ta := newTestApp(t, "WEIR_INGEST_MAX_EVENT_BYTES=2000", "WEIR_INGEST_MAX_BODY_BYTES=8000")
		code, stdout, stderr := ta.exec(t.Context(), "send", "--url", f.URL, "--format", format, path)
		if code != exitFailed || !strings.Contains(stdout, "2 accepted, 2 refused") ||
			!strings.Contains(stderr, path+":2: event_too_large: too large") || !strings.Contains(stderr, path+":3: event_too_large: 8.8 KiB is more") {
			t.Errorf("%s: exit code %d\n%s%s", format, code, stdout, stderr)
		}
		wantNumbered(t, f, 2)
	}
}

func TestSend_RefusedEventsListIsBounded(t *testing.T) {
	f := newFakeIngest(t)
	path := writeFile(t, t.TempDir(), "e", strings.Repeat("nonsense \x1b[31m\n", 1000))
	code, _, stderr := newTestApp(t).exec(t.Context(), "send", "--url", f.URL, "--batch-events", "100", path)
	if code != exitFailed || !strings.Contains(stderr, "and 980 more") || strings.Count(stderr, "\n") != maxReported+2 {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
}

func TestSend_FinalRefusals_AreNotSentAgain(t *testing.T) {
	tests := []struct {
		name  string
		reply func(w http.ResponseWriter)
		says  string
	}{
		{"unknown stream", refuseWith(404, "unknown_stream"), "404 Not Found: unknown_stream: for a test"},
		{"credentials", refuseWith(401, "unauthorized"), "401"},
		{"redirect", func(w http.ResponseWriter) { w.Header().Set("Location", "/else"); w.WriteHeader(307) }, "307"},
		{"a page", func(w http.ResponseWriter) { fmt.Fprint(w, "<html>") }, "200 OK"},
		{"accepted, but not JSON", func(w http.ResponseWriter) { w.WriteHeader(202); fmt.Fprint(w, "<html>") }, "not JSON"},
		{"somebody else's answer", func(w http.ResponseWriter) {
			w.Header().Set("X-Request-Id", "other")
			w.WriteHeader(202)
			fmt.Fprint(w, `{"accepted":2}`)
		}, "X-Request-Id"},
		{"counts too few", func(w http.ResponseWriter) { w.WriteHeader(202); fmt.Fprint(w, `{"accepted":1}`) }, "2 events were sent, but the service counted 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFakeIngest(t)
			f.before = func(_ int, w http.ResponseWriter, _ *http.Request) bool { tt.reply(w); return true }
			dir := t.TempDir()
			writeFile(t, dir, "1.ndjson", numbered(2))
			writeFile(t, dir, "2.ndjson", numbered(2))
			code, _, stderr := newTestApp(t).exec(t.Context(), "send", "--url", f.URL, dir)
			if code != exitFailed || f.requests != 1 || !strings.Contains(stderr, tt.says) || !strings.Contains(stderr, "1 further sources were not tried") {
				t.Errorf("exit code %d after %d requests\n%s", code, f.requests, stderr)
			}
			if names := listDir(t, dir); !slices.Contains(names, "1.ndjson") || !slices.Contains(names, "2.ndjson") {
				t.Errorf("files are gone: %q left", names)
			}
		})
	}
}

func TestSend_DryRun_SendsNothing(t *testing.T) {
	f := newFakeIngest(t)
	dir := t.TempDir()
	path := writeFile(t, dir, "e.ndjson", "{\"n\":0}\n{\"n\":}\n[]\n")
	code, stdout, stderr := newTestApp(t).exec(t.Context(), "send", "--url", f.URL, "--dry-run", dir)
	if code != exitFailed || f.requests != 0 || !strings.Contains(stdout, "checked 3 events") || !strings.Contains(stderr, path+":2: malformed_json: byte 6") ||
		!strings.Contains(stderr, path+":3: not_an_object") {
		t.Errorf("exit code %d after %d requests\n%s%s", code, f.requests, stdout, stderr)
	}
	if names := listDir(t, dir); !reflect.DeepEqual(names, []string{"e.ndjson"}) {
		t.Errorf("left behind: %q", names)
	}
}

func TestSend_TruncatedGzip_SendsWholeLinesOnly(t *testing.T) {
	f := newFakeIngest(t)
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	fmt.Fprint(z, numbered(100)+`{"n":1`)
	if err := z.Flush(); err != nil { // no end of stream follows
		t.Fatal(err)
	}
	path := writeFile(t, t.TempDir(), "e.gz", b.String())
	code, _, stderr := newTestApp(t).exec(t.Context(), "send", "--url", f.URL, path)
	if code != exitFailed || !strings.Contains(stderr, "unexpected EOF") {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
	wantNumbered(t, f, 100)
}

func TestSend_InterruptedWhileStandardInputIsSilent(t *testing.T) {
	f := newFakeIngest(t)
	ta := newTestApp(t)
	r, w := io.Pipe()
	ta.stdin = r
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		_, _ = io.WriteString(w, numbered(5)) // taken whole by the reader
		cancel(errInterrupted)
	}()
	code, _, stderr := ta.exec(ctx, "send", "--url", f.URL, "-")
	if code != exitFailed || !strings.Contains(stderr, "interrupted") {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
	if err := w.Close(); err != nil { // releases the goroutine that reads standard input
		t.Fatal(err)
	}
}
