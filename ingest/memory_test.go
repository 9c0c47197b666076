package ingest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// childEnv makes this test binary a server of its own, so that its memory can be told from the clients'.
const childEnv = "WEIR_INGEST_TEST_CHILD"

// TestServer_ManyConnections_Memory holds the memory of idle connections, and of connections that never
// finish their header or body, against the aim: 10,000 of them cost less than 100 MB.
func TestServer_ManyConnections_Memory(t *testing.T) {
	if os.Getenv(childEnv) != "" {
		serveAsChild(t)
		return
	}
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc")
	}
	if raceEnabled {
		t.Skip("the race detector takes memory of its own")
	}
	n := min(10000, raiseFileLimit(t)-200)
	if testing.Short() {
		n = min(n, 2000)
	}
	const aim = 100 << 20 / 10000 // bytes a connection
	event := post("/ingest", monolog)
	for _, tt := range []struct {
		name, first string
		answered    bool
	}{
		{"idle after a request", event, true},
		{"idle after a request of 40 KB", post("/ingest", strings.Repeat(monolog+"\n", 100)), true},
		{"in the middle of a header", event[:30], false},
		{"in the middle of a body", strings.Replace(event, "Content-Length: ", "Content-Length: 1", 1)[:len(event)-300], false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pid, addr := startChild(t)
			before := residentBytes(t, pid)
			conns := make([]net.Conn, n)
			var wg sync.WaitGroup
			next := make(chan int)
			for range 64 {
				wg.Go(func() {
					for i := range next {
						c, err := net.Dial("tcp", addr)
						if err != nil {
							t.Error(err)
							return
						}
						conns[i] = c
						if _, err := io.WriteString(c, tt.first); err != nil {
							t.Error(err)
							return
						}
						if tt.answered {
							if err := skipAnswer(bufio.NewReaderSize(c, 512)); err != nil {
								t.Error(err)
								return
							}
						}
					}
				})
			}
			for i := range n {
				next <- i
			}
			close(next)
			wg.Wait()
			if t.Failed() {
				return
			}
			grown := residentBytes(t, pid) - before
			t.Logf("%d connections: %.1f MB before, %.1f MB more, %d bytes each", n, float64(before)/1e6, float64(grown)/1e6, grown/int64(n))
			if tt.answered && grown/int64(n) > aim {
				t.Errorf("a connection costs %d bytes, want at most %d", grown/int64(n), aim)
			}
			if got := ask(t, addr, event); got.status != 202 {
				t.Errorf("an honest client beside them: %+v", got)
			}
			for _, c := range conns {
				c.Close()
			}
		})
	}
}

// serveAsChild serves until standard input ends.
func serveAsChild(t *testing.T) {
	raiseFileLimit(t)
	s, err := New(Options{Log: &memoryLog{}, Listen: []string{"127.0.0.1:0"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		io.Copy(io.Discard, os.Stdin) //nolint:errcheck // its end is all that counts
		cancel()
	}()
	fmt.Printf("listening on %s\n", s.Addrs()[0])
	s.Run(ctx) //nolint:errcheck // the parent does not care
}

func startChild(t *testing.T) (pid int, addr string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestServer_ManyConnections_Memory$")
	cmd.Env = append(os.Environ(), childEnv+"=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(out)
	t.Cleanup(func() {
		in.Close()
		io.Copy(io.Discard, r) //nolint:errcheck // until it has ended
		cmd.Wait()             //nolint:errcheck // its connections were cut
	})
	text, err := r.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return cmd.Process.Pid, strings.TrimSpace(strings.TrimPrefix(text, "listening on "))
}

func residentBytes(t *testing.T, pid int) int64 {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		t.Fatal(err)
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(raw), &size, &resident); err != nil {
		t.Fatal(err)
	}
	return resident * int64(os.Getpagesize())
}

func raiseFileLimit(t *testing.T) int {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	return int(min(limit.Cur, 1<<20))
}
