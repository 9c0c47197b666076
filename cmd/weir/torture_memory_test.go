//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// memoryGroup is a cgroup that bounds memory, of either version.
type memoryGroup struct {
	dir                  string
	limit, usage, events string // names of its files
}

// newMemoryGroup makes a group without a limit, below the root of the hierarchy that has the memory controller.
func newMemoryGroup(t *testing.T) (*memoryGroup, error) {
	root, version, err := memoryController()
	if err != nil {
		return nil, err
	}
	g := &memoryGroup{limit: "memory.max", usage: "memory.current", events: "memory.events"}
	if version == 1 {
		g.limit, g.usage, g.events = "memory.limit_in_bytes", "memory.usage_in_bytes", "memory.oom_control"
	}
	left, err := filepath.Glob(filepath.Join(root, "weir-torture-*"))
	if err != nil {
		return nil, err
	}
	for _, dir := range left {
		_ = os.Remove(dir) // of a run that was ended; one in use stays
	}
	if g.dir, err = os.MkdirTemp(root, "weir-torture-"); err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		if err := os.Remove(g.dir); err != nil {
			t.Error(err)
		}
	})
	// With swap, pages would leave instead of the process. Where there is none, there is no such file either.
	for name, value := range map[string]string{"memory.swap.max": "0", "memory.swappiness": "0"} {
		if err := g.write(name, value); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	_, err = g.used()
	return g, err
}

// memoryController finds where cgroups with the memory controller are mounted.
func memoryController() (root string, version int, err error) {
	mounts, err := os.Open("/proc/mounts")
	if err != nil {
		return "", 0, err
	}
	defer mounts.Close()
	lines := bufio.NewScanner(mounts)
	for lines.Scan() {
		f := strings.Fields(lines.Text()) // device, directory, type, options
		switch {
		case len(f) < 4:
		case f[2] == "cgroup" && strings.Contains(","+f[3]+",", ",memory,"):
			return f[1], 1, nil
		case f[2] == "cgroup2":
			on, err := os.ReadFile(filepath.Join(f[1], "cgroup.subtree_control"))
			if err == nil && strings.Contains(" "+strings.TrimSpace(string(on))+" ", " memory ") {
				return f[1], 2, nil
			}
		}
	}
	return "", 0, errors.Join(errors.New("no memory cgroups are mounted"), lines.Err())
}

func (g *memoryGroup) write(name, value string) error {
	f, err := os.OpenFile(filepath.Join(g.dir, name), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

func (g *memoryGroup) add(pid int) error { return g.write("cgroup.procs", strconv.Itoa(pid)) }

func (g *memoryGroup) used() (int, error) {
	b, err := os.ReadFile(filepath.Join(g.dir, g.usage))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(b)))
}

// kills is how many processes of the group the kernel has killed.
func (g *memoryGroup) kills() (int, error) {
	b, err := os.ReadFile(filepath.Join(g.dir, g.events))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if n, ok := strings.CutPrefix(line, "oom_kill "); ok {
			return strconv.Atoi(strings.TrimSpace(n))
		}
	}
	return 0, errors.New("the kernel does not count whom it killed")
}

// squeeze lowers the limit to what cannot be reclaimed and lower, until the process has ended.
func (g *memoryGroup) squeeze(exited <-chan struct{}) error {
	patience := time.NewTimer(30 * time.Second)
	defer patience.Stop()
	step := time.NewTicker(2 * time.Millisecond)
	defer step.Stop()
	for {
		select {
		case <-exited:
			return nil
		case <-patience.C:
			return fmt.Errorf("the kernel did not kill: %w", os.ErrDeadlineExceeded)
		case <-step.C:
		}
		used, err := g.used()
		if err != nil {
			return err
		}
		// Version 1 refuses a limit that it cannot reclaim down to; one at what is used is met by the next page.
		for _, limit := range []int{used - used/4, used - used/32, used} {
			if err = g.write(g.limit, strconv.Itoa(limit)); !errors.Is(err, unix.EBUSY) {
				break
			}
		}
		if err != nil && !errors.Is(err, unix.EBUSY) {
			return err
		}
	}
}
