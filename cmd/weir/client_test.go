package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

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

func TestCommands_WrongUse(t *testing.T) {
	o := &operator{newTestApp(t, serviceEnviron(t.TempDir())...), t}
	for _, args := range []string{
		"dlq ls --stage indexx", "dlq ls --since yesterday", "dlq ls extra", "dlq show", "dlq show 12", "dlq show --only x 0000000000000001-1-0",
		"dlq replay --rate -1", "dlq replay --as-sent --as-new", "dlq replay --stage log 0000000000000001-1-0", "dlq lss", "dlq edit",
		"wal cat --from 9 --to 3", "wal cat --raw -o json", "wal cat --limit -1", "search --limit 0 x", "search --since never x",
		"status --every 1ms", "lua run", "lua run --stream nosuch x.lua", "lua run x.lua --diff --summary", "lua test",
		"lua test --stream nosuch x.lua", "lua test x.lua --from-wal 0", "lua test x.lua --from-wal 10001", "lua test x.lua --from-wal 1 --from-dlq all",
		"lua test x.lua --from-wal 1 --limit 0", "lua test x.lua --limit 1", "lua test x.lua --dry-run", "lua test x.lua --update --junit y.xml", "lua test x.lua y.lua --update",
		"lua test x.lua --from-dlq stagee=index", "lua test x.lua --from-dlq stage=indexx", "lua test x.lua --from-dlq limit=x", "lua test x.lua --from-dlq 12",
		"lua test x.lua --from-dlq all,stage=index", "lua test x.lua --from-dlq type=a,type=b", "lua test x.lua --from-dlq since=yesterday",
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
