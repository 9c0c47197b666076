package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weirlog/weir/flush/elastic"
)

// ownServer is a server that belongs to one test, which may stop it, kill it and start it again.
type ownServer struct {
	*realServer
	kind    string
	options []string
	port    string
	pid     int
}

// startOwnServer starts a server of the kind and version of the shared one, by the command in WEIR_TEST_ES_START:
//
//	$WEIR_TEST_ES_START elasticsearch|opensearch --port N [--version V] [--data DIR] [--password PW] [--set KEY=VALUE]...
//
// It has to return when the server answers, and to print shell assignments, of which URL and PID are read. Without the command the test skips.
func startOwnServer(t *testing.T, options ...string) *ownServer {
	t.Helper()
	if os.Getenv(envRealStart) == "" {
		t.Skipf("no servers of the test's own: set %s to a command that starts Elasticsearch and OpenSearch (docs/testing.md)", envRealStart)
	}
	shared := sharedServer(t)
	s := &ownServer{realServer: &realServer{T: t, prefix: realPrefix(), product: shared.product, version: shared.version}, kind: "elasticsearch", options: append(options, "--version", shared.version)}
	if shared.product == elastic.ProductOpenSearch {
		s.kind = "opensearch"
	}
	s.port = freePort(t)
	t.Cleanup(s.stop)
	s.start()
	return s
}

// freePort is one that nobody listens on; whoever starts a server on it has to be quick.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// start runs the server, for the first time or again with the data that it left.
func (s *ownServer) start() {
	s.Helper()
	command := strings.Fields(os.Getenv(envRealStart))
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], append(append(command[1:], s.kind, "--port", s.port), s.options...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		s.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, errs.String())
	}
	for line := range strings.Lines(out.String()) {
		switch name, value, _ := strings.Cut(strings.TrimSpace(line), "="); name {
		case "URL":
			s.url = value
		case "PID":
			s.pid, _ = strconv.Atoi(value)
		}
	}
	if s.url == "" || s.pid == 0 {
		s.Fatalf("%s prints no URL and PID:\n%s", strings.Join(cmd.Args, " "), out.String())
	}
}

// kill ends the server as a power failure of its own would.
func (s *ownServer) kill() {
	s.Helper()
	s.end(syscall.SIGKILL)
}

// stop ends the server in order, and by force where that takes long.
func (s *ownServer) stop() {
	if s.pid != 0 {
		s.end(syscall.SIGTERM)
	}
}

// end waits until the process is gone. It is no child of ours, so that nobody tells.
func (s *ownServer) end(signal syscall.Signal) {
	s.Helper()
	_ = syscall.Kill(s.pid, signal) // it may have ended
	gone := func() bool { return !runs(s.pid) }
	if await(gone, "still running") != nil {
		_ = syscall.Kill(s.pid, syscall.SIGKILL)
		if err := await(gone, fmt.Sprintf("process %d does not end", s.pid)); err != nil {
			s.Error(err)
		}
	}
	s.pid = 0
}

// runs reports whether a process is there and no zombie, which is what is left of one whose parent does not care.
func runs(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	_, state, _ := bytes.Cut(stat, []byte(") "))
	return !bytes.HasPrefix(state, []byte("Z"))
}
