package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
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
	if err = cmd.Start(); err == nil {
		peak := followPeak(cmd.Process.Pid)
		err = cmd.Wait()
		use.length = time.Since(begun)
		use.usage.peak = peak()
	}
	if err != nil {
		return use, fmt.Errorf("weir %s: %w\n%s", strings.Join(args, " "), err, bytes.TrimSpace(complaint.Bytes()))
	}
	use.usage.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return use, nil
}

// followPeak looks at the peak of a process's memory until the function that it returns is called, which tells the last one
// seen. What the kernel tells at the end of a child (ru_maxrss) begins with the peak of its parent.
func followPeak(pid int) (stop func() int64) {
	peak := make(chan int64)
	ended := make(chan struct{})
	go func() {
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		most := int64(0)
		for {
			if u, err := readUsage(pid); err == nil { // it may have ended
				most = max(most, u.peak)
			}
			select {
			case <-tick.C:
			case <-ended:
				peak <- most
				return
			}
		}
	}()
	return func() int64 {
		close(ended)
		return <-peak
	}
}

// lineCounter counts lines and forgets them.
type lineCounter struct{ lines int }

func (c *lineCounter) Write(b []byte) (int, error) {
	c.lines += bytes.Count(b, []byte{'\n'})
	return len(b), nil
}
