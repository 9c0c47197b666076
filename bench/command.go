package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// commandUse is what a command of weir took.
type commandUse struct {
	length time.Duration
	usage  usage // of the command's own process
}

// runCommand runs a command of weir against the one that s runs. Its output goes to out.
func (s *server) runCommand(ctx context.Context, binary string, out io.Writer, args ...string) (use commandUse, err error) {
	var complaint bytes.Buffer
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), s.env...), out, &complaint
	begun := time.Now()
	err = cmd.Run()
	use.length = time.Since(begun)
	if err != nil {
		return use, fmt.Errorf("weir %s: %w\n%s", strings.Join(args, " "), err, bytes.TrimSpace(complaint.Bytes()))
	}
	use.usage.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if r, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		use.usage.peak = int64(r.Maxrss) * 1024 //nolint:unconvert // not an int64 everywhere
	}
	return use, nil
}

// lineCounter counts lines and forgets them.
type lineCounter struct{ lines int }

func (c *lineCounter) Write(b []byte) (int, error) {
	c.lines += bytes.Count(b, []byte{'\n'})
	return len(b), nil
}
