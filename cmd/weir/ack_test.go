package main

import (
	"bufio"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestAckAfterFsync watches the real service's system calls: the write of an event's bytes to the log,
// the fsync of that file, and the fsync of a directory in which the file was made, all come before the
// first byte of the answer.
func TestAckAfterFsync(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace is not installed; the order of system calls is not watched")
	}
	if out, err := exec.Command(strace, "-f", "-o", os.DevNull, "true").CombinedOutput(); err != nil {
		t.Skipf("strace may not trace here: %v: %s", err, out)
	}
	dir := t.TempDir()
	p := startWeir(t, filepath.Join(dir, "data"), "WEIR_WAL_SEGMENT_BYTES=64KiB")
	trace := filepath.Join(dir, "trace")
	tracer := exec.Command(strace, "-f", "-y", "-s", "200000", "-e", "trace=write,pwrite64,writev,fsync,fdatasync,openat", "-o", trace, "-p", strconv.Itoa(p.cmd.Process.Pid))
	if err := tracer.Start(); err != nil {
		t.Fatal(err)
	}
	waitAttached(t, p.cmd.Process.Pid)
	// Bodies of half a segment, so that some of them make a new one.
	tokens := []string{"token-one", "token-two", "token-three", "token-four", "token-five"}
	for _, token := range tokens {
		status, answer := p.post("/ingest", "application/json", `{"token":"`+token+`","pad":"`+strings.Repeat("x", 40<<10)+`"}`)
		if status != http.StatusAccepted || answer != `{"accepted":1}` {
			t.Fatalf("%d %s", status, answer)
		}
	}
	// The tracer ends with the process: ended before, it might miss the return of the last write.
	p.stop()
	if err := tracer.Wait(); err != nil {
		t.Fatalf("strace: %v", err)
	}
	checkOrder(t, readTrace(t, trace), tokens)
}

// call is a system call at the moment when it returned.
type call struct{ name, target, text string }

var (
	callLine    = regexp.MustCompile(`^\d+ +(\w+)\((.*)$`)
	unfinished  = regexp.MustCompile(`^(\d+) +(\w+)\((.*) <unfinished \.\.\.>$`)
	resumed     = regexp.MustCompile(`^(\d+) +<\.\.\. (\w+) resumed>(.*)$`)
	firstTarget = regexp.MustCompile(`^[^<]*<([^>]*)>`)
)

// readTrace returns the calls in the order in which they returned.
func readTrace(t *testing.T, path string) []call {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var calls []call
	begun := map[string]string{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		line := lines.Text()
		if m := unfinished.FindStringSubmatch(line); m != nil {
			begun[m[1]+m[2]] = m[3]
			continue
		}
		name, text := "", ""
		if m := resumed.FindStringSubmatch(line); m != nil {
			name, text = m[2], begun[m[1]+m[2]]+m[3]
		} else if m := callLine.FindStringSubmatch(line); m != nil {
			name, text = m[1], m[2]
		} else {
			continue
		}
		c := call{name: name, text: text}
		if m := firstTarget.FindStringSubmatch(text); m != nil {
			c.target = m[1]
		}
		calls = append(calls, c)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return calls
}

// checkOrder walks the calls and checks the state of things at each answer.
func checkOrder(t *testing.T, calls []call, tokens []string) {
	t.Helper()
	dirty := map[string]bool{}    // log files with bytes that are not synced
	nameless := map[string]bool{} // log files whose directory was not synced since they were made
	written, marked, answers, made := 0, 0, 0, 0
	for _, c := range calls {
		inLog := strings.Contains(c.target, "/data/wal/")
		switch {
		case strings.HasSuffix(c.target, "/data/wal/DURABLE"): // the durable mark, which is never fsynced
			if len(dirty) > 0 || len(nameless) > 0 {
				t.Errorf("the durable mark was written with unsynced bytes in %v and unsynced names %v", dirty, nameless)
			}
			marked = written
		case c.name == "openat" && strings.Contains(c.text, "O_CREAT") && strings.Contains(c.text, "/data/wal/0"):
			path := regexp.MustCompile(`"([^"]*)"`).FindStringSubmatch(c.text)[1]
			nameless[filepath.Base(path)] = true
			made++
		case strings.HasPrefix(c.name, "write") && inLog || c.name == "pwrite64" && inLog:
			dirty[filepath.Base(c.target)] = true
			if written < len(tokens) && strings.Contains(c.text, tokens[written]) {
				written++
			}
		case (c.name == "fsync" || c.name == "fdatasync") && strings.HasSuffix(c.text, "= 0"):
			if strings.HasSuffix(c.target, "/data/wal") {
				clear(nameless)
			}
			delete(dirty, filepath.Base(c.target))
		case strings.HasPrefix(c.name, "write") && strings.Contains(c.text, "HTTP/1.1 202"):
			answers++
			if written < answers || marked < answers {
				t.Errorf("answer %d was written after %d events and their marks up to %d", answers, written, marked)
			}
			if len(dirty) > 0 || len(nameless) > 0 {
				t.Errorf("answer %d was written with unsynced bytes in %v and unsynced names %v", answers, dirty, nameless)
			}
		}
	}
	if answers != len(tokens) || written != len(tokens) || made == 0 {
		t.Errorf("%d answers, %d event writes and %d new segments seen, want %d, %d and some: the test watched nothing", answers, written, made, len(tokens), len(tokens))
	}
}

// waitAttached returns when a tracer is attached to every thread of the process.
func waitAttached(t *testing.T, pid int) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for time.Now().Before(deadline) {
		statuses, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/status")
		if err != nil {
			t.Fatal(err)
		}
		attached := 0
		for _, path := range statuses {
			b, err := os.ReadFile(path)
			if err == nil && !strings.Contains(string(b), "TracerPid:\t0\n") {
				attached++
			}
		}
		if attached == len(statuses) && attached > 0 {
			return
		}
		<-time.After(10 * time.Millisecond)
	}
	t.Fatal("strace did not attach within 10s")
}
