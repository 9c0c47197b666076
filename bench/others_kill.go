package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/weirlog/weir/bench/load"
)

// loadUntilKilled puts the first half of a plan on the receiver and kills it then, with requests in flight.
func (r *otherRound) loadUntilKilled(ctx context.Context, plan load.Plan) (*load.Result, error) {
	sending, stop := context.WithCancel(ctx)
	defer stop()
	killed := make(chan error, 1)
	timer := time.AfterFunc(plan.WarmUp+plan.Window/2, func() {
		killed <- r.kill()
		stop() // what is in flight ends with its connection; the rest of the window comes after the restart
	})
	result, err := load.Run(sending, plan)
	if timer.Stop() { // it did not come to that
		return nil, errors.Join(err, errors.New("the receiver took no more requests before it was killed"))
	}
	return result, errors.Join(err, <-killed)
}

// kill sends SIGKILL and waits for the end of the process, so that its port is free.
func (r *otherRound) kill() error {
	pid, known, err := r.other.processID()
	if err == nil && !known {
		err = errors.New("nobody tells the number of its process after a restart; name a file that holds it, or --restart with exec")
	}
	if err == nil {
		err = r.count(1)
	}
	if err != nil {
		return fmt.Errorf("kill %s: %w", r.other.name, err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill %s: process %d: %w", r.other.name, pid, err)
	}
	r.other.killed = true
	for deadline := time.Now().Add(stopPatience); !ended(pid); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("kill %s: process %d still runs %s after SIGKILL", r.other.name, pid, stopPatience)
		}
	}
	return nil
}

// ended reports whether a process is gone, or only waits for its parent to take notice.
func ended(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	_, rest, _ := bytes.Cut(stat[bytes.LastIndexByte(stat, ')'):], []byte{' '})
	return bytes.HasPrefix(rest, []byte{'Z'}) || bytes.HasPrefix(rest, []byte{'X'})
}

// restart starts the receiver again, or waits until the user has, and returns when it takes connections.
func (r *otherRound) restart(ctx context.Context) error {
	t := r.other
	if old := t.restarted; old != nil {
		old.kill() // waits for its end
		t.restarted = nil
	}
	if t.restart == "" {
		r.say("%s was killed: start it again within %s", t.name, r.others.patience)
	} else {
		p, err := startProcess(ctx, notInNames.ReplaceAllString(strings.ToLower(t.name), "-"), r.dir, nil, "sh", "-c", t.restart)
		if err != nil {
			return err
		}
		t.restarted = p
	}
	deadline := time.NewTimer(r.others.patience)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !t.listens() {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-deadline.C:
			return fmt.Errorf("%s did not take connections within %s of its end; give it more with --patience\n%s", t.name, r.others.patience, t.output())
		case <-tick.C:
		}
	}
	return nil
}

// listens reports whether the receiver takes connections.
func (t *other) listens() bool {
	c, err := net.DialTimeout("tcp", t.address, time.Second)
	if err != nil {
		return false
	}
	_ = c.Close() // nothing was sent
	return true
}

// output is what the restarted receiver last said.
func (t *other) output() string {
	if t.restarted == nil {
		return ""
	}
	return t.restarted.tail()
}

// processID returns the number of the receiver's process; known is false where nobody told it.
func (t *other) processID() (pid int, known bool, err error) {
	if t.restarted != nil {
		select {
		case <-t.restarted.exited: // it only told somebody else to start it
		default:
			return t.restarted.cmd.Process.Pid, true, nil
		}
	}
	switch {
	case t.pid == "":
		return 0, false, nil
	case isNumber(t.pid):
		pid, err = strconv.Atoi(t.pid)
		return pid, !t.killed, err
	}
	text, err := os.ReadFile(t.pid)
	if err != nil {
		return 0, false, fmt.Errorf("read PID: %w", err)
	}
	pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
	if err == nil {
		err = checkPID(strconv.Itoa(pid))
	}
	if err != nil {
		return 0, false, fmt.Errorf("read PID of %s: %w", filepath.Base(t.pid), err)
	}
	return pid, true, nil
}

// count takes what the receiver's process has used so far into the round: with sign -1 at the beginning, 1 at its end.
func (r *otherRound) count(sign time.Duration) error {
	pid, known, err := r.other.processID()
	if err != nil || !known {
		r.known = false
		return err
	}
	u, err := readUsage(pid)
	if err != nil {
		return fmt.Errorf("%w; is %d the PID of %s?", err, pid, r.other.name)
	}
	r.cpu += sign * u.cpu
	r.peak = max(r.peak, u.peak)
	return nil
}
