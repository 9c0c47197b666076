package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// built says that binary was called.
var built bool

// binary builds weir once for all tests that need the real program.
var binary = sync.OnceValues(func() (string, error) {
	built = true
	dir, err := os.MkdirTemp("", "weir-binary-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "weir")
	out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// removeBinary undoes what binary did, if anything did.
func removeBinary() {
	if built {
		if path, err := binary(); err == nil {
			os.RemoveAll(filepath.Dir(path))
		}
	}
}

func weirBinary(t testing.TB) string {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// process is a running weir.
type process struct {
	t      testing.TB
	cmd    *exec.Cmd
	ingest string // base URL
	admin  string
	ready  chan struct{}
	exited chan struct{}
	err    error // of Wait; set when exited is closed

	mu  sync.Mutex
	log bytes.Buffer
}

// startWeir runs `weir serve` on dataDir with free ports and returns when it is ready. env are further
// variables. The process is killed when the test ends.
func startWeir(t testing.TB, dataDir string, env ...string) *process {
	t.Helper()
	p, err := tryStartWeir(t, dataDir, env...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func tryStartWeir(t testing.TB, dataDir string, env ...string) (*process, error) {
	t.Helper()
	p, err := launchWeir(t, nil, dataDir, env...)
	if err != nil {
		return nil, err
	}
	return p, p.awaitReady()
}

// launchWeir runs `weir serve` and does not wait for it. launcher, which may be nil, is a command that runs the
// command behind it, under limits for example.
func launchWeir(t testing.TB, launcher []string, dataDir string, env ...string) (*process, error) {
	t.Helper()
	p := &process{t: t, ready: make(chan struct{}), exited: make(chan struct{})}
	args := append(slices.Clone(launcher), weirBinary(t), "serve")
	p.cmd = exec.Command(args[0], args[1:]...)
	p.cmd.Env = append(weirEnv(dataDir), env...)
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	t.Cleanup(p.kill)
	go p.follow(stderr)
	return p, nil
}

// awaitReady waits until the process serves.
func (p *process) awaitReady() error {
	patience := time.NewTimer(30 * time.Second)
	defer patience.Stop()
	select {
	case <-p.ready:
		return nil
	case <-p.exited:
		return fmt.Errorf("weir serve ended: %v\n%s", p.err, p.logged())
	case <-patience.C:
		p.kill()
		return fmt.Errorf("weir serve is not ready after 30s\n%s", p.logged())
	}
}

// weirEnv is the environment of a weir that shares nothing with the one of the person who runs the test.
func weirEnv(dataDir string) []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TMPDIR=" + os.TempDir(),
		"WEIR_DATA_DIR=" + dataDir, "WEIR_INGEST_LISTEN=127.0.0.1:0", "WEIR_ADMIN_LISTEN=127.0.0.1:0", "WEIR_LOG_FORMAT=json",
	}
}

// follow reads the process's log to its end and notices when it says that it is ready.
func (p *process) follow(stderr io.Reader) {
	lines := bufio.NewScanner(stderr)
	lines.Buffer(nil, 1<<20)
	said := false
	for lines.Scan() {
		p.mu.Lock()
		p.log.Write(lines.Bytes())
		p.log.WriteByte('\n')
		p.mu.Unlock()
		var entry struct{ Msg, Ingest, Admin string }
		if !said && json.Unmarshal(lines.Bytes(), &entry) == nil && entry.Msg == "weir is ready" {
			p.ingest, p.admin, said = "http://"+entry.Ingest, entry.Admin, true
			close(p.ready)
		}
	}
	p.err = p.cmd.Wait()
	close(p.exited)
}

func (p *process) logged() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// kill ends the process as a power failure of its own would: SIGKILL.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.exited
}

// stop ends the process with SIGTERM and fails the test unless it exits with 0.
func (p *process) stop() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatalf("SIGTERM: %v\n%s", err, p.logged())
	}
	select {
	case <-p.exited:
	case <-time.After(30 * time.Second):
		p.t.Fatalf("still running 30s after SIGTERM\n%s", p.logged())
	}
	if p.err != nil {
		p.t.Fatalf("exit after SIGTERM: %v\n%s", p.err, p.logged())
	}
}

// lag asks the service how many durable records are not settled.
func (p *process) lag() (uint64, error) {
	res, err := http.Get(p.admin + "/api/v1/status")
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	var st struct {
		Flush struct {
			Lag *uint64 `json:"lag_records"`
		} `json:"flush"`
	}
	if err := json.NewDecoder(res.Body).Decode(&st); err != nil {
		return 0, err
	}
	if st.Flush.Lag == nil {
		return 0, fmt.Errorf("status without flush.lag_records")
	}
	return *st.Flush.Lag, nil
}

// drain waits until everything in the log is settled.
func (p *process) drain() {
	p.t.Helper()
	deadline := time.NewTimer(2 * time.Minute)
	defer deadline.Stop()
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	for {
		lag, err := p.lag()
		if err != nil {
			p.t.Fatalf("status: %v\n%s", err, p.logged())
		}
		if lag == 0 {
			return
		}
		select {
		case <-poll.C:
		case <-p.exited:
			p.t.Fatalf("weir ended: %v\n%s", p.err, p.logged())
		case <-deadline.C:
			p.t.Fatalf("still %d records behind\n%s", lag, p.logged())
		}
	}
}

// post sends a body to the ingest endpoint and returns status and answer.
func (p *process) post(path, contentType, body string) (int, string) {
	p.t.Helper()
	res, err := http.Post(p.ingest+path, contentType, strings.NewReader(body))
	if err != nil {
		p.t.Fatalf("post: %v\n%s", err, p.logged())
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatalf("post: %v", err)
	}
	return res.StatusCode, string(answer)
}

// command runs another weir command on the same data directory and returns its output and exit code.
func command(t testing.TB, dataDir string, stdin io.Reader, env []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, weirBinary(t), args...)
	cmd.Env = append(weirEnv(dataDir), env...)
	cmd.Stdin = stdin
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if ctx.Err() != nil {
		t.Fatalf("weir %s: not done after a minute\n%s", strings.Join(args, " "), errs.String())
	}
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		t.Fatalf("weir %s: %v", strings.Join(args, " "), err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// awaitLog waits until the process has said something, or has ended.
func (p *process) awaitLog(what string) {
	p.t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for !strings.Contains(p.logged(), what) {
		select {
		case <-poll.C:
		case <-p.exited:
			return
		case <-deadline.C:
			p.t.Fatalf("it does not say %q\n%s", what, p.logged())
		}
	}
}

// await polls for a while.
func await(ok func() bool, otherwise string) error {
	patience := time.NewTimer(20 * time.Second)
	defer patience.Stop()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for !ok() {
		select {
		case <-poll.C:
		case <-patience.C:
			return errors.New(otherwise)
		}
	}
	return nil
}
