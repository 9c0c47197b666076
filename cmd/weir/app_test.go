package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weirlog/weir/flush/elastic/elastictest"
)

func TestMain(m *testing.M) {
	cleanup := goleak.Cleanup(func(code int) {
		removeBinary()
		os.Exit(code)
	})
	goleak.VerifyTestMain(m, append(elastictest.IgnoreLeaks(), cleanup)...)
}

// testApp is an app of buffers; width is 0, so that nothing is a terminal.
type testApp struct {
	*app
	out, err bytes.Buffer
}

func newTestApp(t *testing.T, environ ...string) *testApp {
	t.Helper()
	ta := &testApp{}
	ta.app = &app{
		stdin: strings.NewReader(""), stdout: &ta.out, stderr: &ta.err,
		environ: append([]string{"XDG_STATE_HOME=" + t.TempDir()}, environ...),
		now:     time.Now, width: func(io.Writer) int { return 0 },
	}
	return ta
}

// exec runs one command line and returns its exit code, standard output and standard error.
func (ta *testApp) exec(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	ta.out.Reset()
	ta.err.Reset()
	ta.started = false
	code = ta.run(ctx, args)
	return code, ta.out.String(), ta.err.String()
}

func TestApp_Run_ExitCodes(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want int
		says string
	}{
		{"version", []string{"version"}, exitDone, ""},
		{"help", []string{"--help"}, exitDone, ""},
		{"nothing shows help", nil, exitDone, ""},
		{"completion", []string{"completion", "bash"}, exitDone, ""},
		{"unknown command", []string{"sned"}, exitUsage, `unknown command "sned" for weir; did you mean send?`},
		{"unknown flag", []string{"version", "--colour"}, exitUsage, "unknown flag: --colour"},
		{"too many arguments", []string{"version", "now"}, exitUsage, "version"},
		{"missing argument", []string{"send"}, exitUsage, "requires at least 1 arg"},
		{"bad value of a flag", []string{"version", "-o", "xml"}, exitUsage, "write table, json or ndjson"},
		{"bad value of a flag, seen by the command", []string{"send", "--stream", "A", "-"}, exitUsage, "--stream"},
		{"missing configuration", []string{"send", "--config", "/nonexistent", "-"}, exitFailed, "/nonexistent: cannot read"},
		{"missing source", []string{"send", "/nonexistent"}, exitFailed, "/nonexistent: no such file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, _, stderr := newTestApp(t).exec(t.Context(), tt.args...)
			if code != tt.want || !strings.Contains(stderr, tt.says) {
				t.Errorf("exit code %d with %q, want %d with %q", code, stderr, tt.want, tt.says)
			}
		})
	}
}

func TestVersion_JSON(t *testing.T) {
	_, out, _ := newTestApp(t).exec(t.Context(), "version", "-o", "ndjson")
	if !strings.HasPrefix(out, `{"version":`) || !strings.Contains(out, `"go":"go1.`) || strings.Count(out, "\n") != 1 {
		t.Errorf("version prints %q", out)
	}
}
