package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a child process whose output goes to a file.
type process struct {
	name   string
	cmd    *exec.Cmd
	log    string        // file with its output
	exited chan struct{} // closed when it ended
	err    error         // of its end; valid after exited
}

// startProcess starts a child with env added to the environment. It is killed when ctx ends.
func startProcess(ctx context.Context, name, dir string, env []string, path string, args ...string) (*process, error) {
	p := &process{name: name, log: filepath.Join(dir, name+".out"), exited: make(chan struct{})}
	out, err := os.Create(p.log)
	if err != nil {
		return nil, fmt.Errorf("create log of %s: %w", name, err)
	}
	defer out.Close() // the child has its own
	p.cmd = exec.CommandContext(ctx, path, args...)
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

// errExited is the end of a process that says that all was well.
var errExited = errors.New("exit status 0")

// stop asks the process to end in order and waits for it. It fails when that takes longer than patience, or the
// process says that something went wrong.
func (p *process) stop(patience time.Duration) error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop %s: %w", p.name, err)
	}
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	select {
	case <-p.exited:
	case <-deadline.C:
		return fmt.Errorf("%s had not stopped after %s\n%s", p.name, patience, p.tail())
	}
	if p.err != nil {
		return fmt.Errorf("%s did not stop in order: %w\n%s", p.name, p.err, p.tail())
	}
	return nil
}

// kill ends the process at once and waits for it. It may be called more than once.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended already
	<-p.exited
}

// await calls ready every few milliseconds until it reports true. It fails when the process or ctx ends, or
// after patience.
func (p *process) await(ctx context.Context, patience time.Duration, ready func() bool) error {
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ready() {
		select {
		case <-p.exited:
			return p.orEnded(nil)
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-deadline.C:
			return fmt.Errorf("%s was not ready after %s\n%s", p.name, patience, p.tail())
		case <-tick.C:
		}
	}
	return nil
}

// orEnded returns why the process ended, or err while it runs.
func (p *process) orEnded(err error) error {
	select {
	case <-p.exited:
		return fmt.Errorf("%s ended: %w\n%s", p.name, cmp.Or(p.err, errExited), p.tail())
	default:
		return err
	}
}

// tail returns the last lines of the process's output.
func (p *process) tail() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte{'\n'})
	return string(bytes.Join(lines[max(len(lines)-10, 0):], []byte{'\n'}))
}

// usage is what a process has used so far.
type usage struct {
	cpu  time.Duration // user and system
	peak int64         // bytes of memory at most (VmHWM)
	now  int64         // bytes of memory at present (VmRSS)
}

// ticks is USER_HZ, which is 100 on every Linux that Go runs on.
const ticks = 100

// readUsage reads the usage of a process from /proc.
func readUsage(pid int) (usage, error) {
	dir := "/proc/" + strconv.Itoa(pid)
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return usage{}, fmt.Errorf("read usage: %w", err)
	}
	// The second field is the name in parentheses, which may hold anything.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 13 {
		return usage{}, fmt.Errorf("read usage: %s/stat is too short", dir)
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	status, err3 := os.ReadFile(dir + "/status")
	if err := errors.Join(err1, err2, err3); err != nil {
		return usage{}, fmt.Errorf("read usage: %w", err)
	}
	u := usage{cpu: time.Duration(user+system) * time.Second / ticks}
	for name, to := range map[string]*int64{"VmHWM:": &u.peak, "VmRSS:": &u.now} {
		_, rest, _ := strings.Cut(string(status), name)
		text, _, _ := strings.Cut(rest, " kB")
		kilobytes, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
		if err != nil {
			return usage{}, fmt.Errorf("read usage: %s of %s/status: %w", name, dir, err)
		}
		*to = kilobytes * 1024
	}
	return u, nil
}

// forgetPeak makes a process's peak of memory begin anew with what it has at present.
func forgetPeak(pid int) error {
	if err := os.WriteFile("/proc/"+strconv.Itoa(pid)+"/clear_refs", []byte("5"), 0); err != nil {
		return fmt.Errorf("begin a new peak of memory: %w", err)
	}
	return nil
}
