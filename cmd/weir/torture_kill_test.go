//go:build linux

package main

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/weirlog/weir/flush/elastic/elastictest"
)

var tortureKills = flag.Int("torture.kills", 0, "so many kills of the service instead of as many as there is time for")

// tortureKill ends the whole service in the middle of its work: with SIGKILL while the destination fails in every way and
// replays run, with SIGTERM, with a second signal, and by the kernel when memory runs out.
func tortureKill(tt *torture) {
	tt.Run("SIGTERM", tt.lives(func(c *crashTest) {
		for i := range 2 {
			c.orderly(i)
			tt.try(1)
		}
		for _, d := range c.es.Docs() {
			if d.Attempts != 1 {
				tt.judge(verdict{doubled: []string{fmt.Sprintf("document %s was sent %d times", d.ID, d.Attempts)}}, nil, "SIGTERM under load")
			}
		}
	}))
	tt.Run("second signal", tt.lives(func(c *crashTest) {
		c.es.SetChaos(elastictest.Chaos{Unavailable: 1}) // so that the first one waits
		c.life(0, false, func(p *process) {
			for range 2 {
				if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
					c.t.Error(err)
				}
				p.awaitLog("stopping")
			}
			<-p.exited
		})
		tt.try(1)
	}))
	tt.Run("out of memory", func(t *testing.T) { tortureMemory(tt, t) })
	tt.Run("SIGKILL", tt.lives(func(c *crashTest) {
		if *tortureKills > 0 {
			for i := range *tortureKills {
				c.round(i)
				tt.try(1)
			}
			return
		}
		for i := range tt.rounds(3) {
			c.round(i)
			tt.try(1)
		}
	}))
}

// lives gives a test that ends a service as end says, then lets it settle everything, and counts.
func (tt *torture) lives(end func(*crashTest)) func(*testing.T) {
	return func(t *testing.T) { tt.livesOf(newCrashTest(t, tt.seed), end) }
}

func (tt *torture) livesOf(c *crashTest, end func(*crashTest)) {
	end(c)
	c.settleAll()
	lost, doubled := c.judge(1)
	tt.mu.Lock()
	defer tt.mu.Unlock()
	tt.lost += lost
	tt.doubled += doubled
}

// tortureMemory gives the service so little memory that the kernel kills it.
func tortureMemory(tt *torture, t *testing.T) {
	group, err := newMemoryGroup(t, 8<<20)
	if err != nil {
		tt.skip(1, "out of memory: %v", err)
		return
	}
	c := newCrashTest(t, tt.seed)
	c.env = append(c.env, "GOGC=400")
	c.started = func(p *process) {
		if err := group.add(p.cmd.Process.Pid); err != nil {
			t.Fatal(err)
		}
	}
	killed := false
	tt.livesOf(c, func(c *crashTest) {
		c.rng = rand.New(rand.NewPCG(tt.seed, 5))
		for i := 0; i < 20 && !killed; i++ {
			c.life(i, false, func(p *process) {
				select {
				case <-p.exited:
					killed = strings.Contains(fmt.Sprint(p.err), "killed")
				default:
					p.kill()
				}
			})
		}
		c.started = nil
	})
	if !killed {
		tt.skip(1, "out of memory: the service stayed within 8 MiB")
		return
	}
	tt.try(1)
}

// memoryGroup is a cgroup that bounds memory.
type memoryGroup struct{ dir string }

func newMemoryGroup(t *testing.T, limit int) (*memoryGroup, error) {
	parent, file := "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
	if _, err := os.Stat(filepath.Join(parent, file)); err != nil {
		parent, file = "/sys/fs/cgroup", "memory.max"
	}
	g := &memoryGroup{filepath.Join(parent, fmt.Sprintf("weir-torture-%d", os.Getpid()))}
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		if err := os.Remove(g.dir); err != nil {
			t.Error(err)
		}
	})
	return g, os.WriteFile(filepath.Join(g.dir, file), fmt.Append(nil, limit), 0o644)
}

func (g *memoryGroup) add(pid int) error {
	return os.WriteFile(filepath.Join(g.dir, "cgroup.procs"), fmt.Append(nil, pid), 0o644)
}
