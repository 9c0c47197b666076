//go:build linux

package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// fullDiskCase is one way in which a disk runs full.
type fullDiskCase struct {
	name  string
	mount string // options of the tmpfs
	env   string
	// byOther fills the rest of the disk as another process would.
	byOther bool
	// killed ends the process while the disk is full, and starts it on the full disk.
	killed bool
	// files is the limit of the size of files, 0 for none.
	files uint64
}

var fullDisks = []fullDiskCase{
	{name: "weir fills it", mount: "size=24m", env: "WEIR_WAL_MIN_FREE_BYTES=4MiB"},
	{name: "the log reaches its limit", mount: "size=64m", env: "WEIR_WAL_MAX_BYTES=1MiB"},
	{name: "another process fills it", mount: "size=24m", byOther: true},
	{name: "another process fills it, and weir is killed", mount: "size=24m", byOther: true, killed: true},
	{name: "inodes are used up", mount: "size=64m,nr_inodes=40"},
	{name: "files may not grow", mount: "size=64m", files: 200 << 10, env: "WEIR_WAL_SEGMENT_BYTES=1MiB"},
}

// tortureFull lets the disk run full in each way, and drains it: weir refuses new events at once, and goes on by itself.
func tortureFull(tt *torture) {
	for round := range tt.rounds(1) {
		for i, c := range fullDisks {
			tt.Run(fmt.Sprintf("%d %s", round, c.name), func(t *testing.T) {
				dir := t.TempDir()
				if err := unix.Mount("tmpfs", dir, "tmpfs", 0, c.mount); err != nil {
					tt.skip(1, "no tmpfs can be mounted: %v", err)
					return
				}
				t.Cleanup(func() {
					if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
						t.Error(err)
					}
				})
				w := newWorldIn(t, filepath.Join(dir, "data"), rand.New(rand.NewPCG(tt.seed+uint64(round), uint64(i))))
				w.environ = append(w.environ, c.env)
				v := verdict{}
				if err := w.runFull(c); err != nil {
					v.byHand = append(v.byHand, err.Error())
				} else {
					v = w.judgeAll()
				}
				tt.try(1)
				tt.judge(v, nil, "%s; it said:\n%s", c.name, w.said)
			})
		}
	}
}

// runFull is a life on a disk that runs full, and the end of it.
func (w *world) runFull(c fullDiskCase) error {
	if err := w.start(); err != nil {
		return err
	}
	if c.files > 0 {
		limit := unix.Rlimit{Cur: c.files, Max: c.files}
		if err := unix.Prlimit(w.proc.cmd.Process.Pid, unix.RLIMIT_FSIZE, &limit, nil); err != nil {
			return err
		}
	}
	w.away(true)
	w.postAll(20, 4, 3000)
	ballast := filepath.Join(w.backing, "ballast")
	if c.byOther {
		if err := fill(ballast); err != nil {
			return err
		}
	}
	refused := c.files > 0 // there the log goes on in a new file each time
	for range 3000 {
		if !w.post(w.rng, 20, 3000) {
			refused = true
			break
		}
	}
	if !refused {
		return errors.New("a full disk still takes events")
	}
	if c.killed {
		w.proc.kill()
		w.keepSaid()
		if err := w.start(); err != nil {
			return fmt.Errorf("it does not start on a full disk: %w", err)
		}
	}
	w.away(false)
	if err := w.drained(); err != nil { // with the ballast in place: checkpoint and reclaim make the room
		return fmt.Errorf("on the full disk: %w\n%s", err, w.proc.logged())
	}
	if err := os.Remove(ballast); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := w.drained(); err != nil {
		return err
	}
	if !w.post(w.rng, 3, 100) {
		return errors.New("it takes no events after there is room again")
	}
	if err := w.drained(); err != nil {
		return err
	}
	if err := w.terminate(); err != nil {
		return err
	}
	return w.proc.err
}

// fill writes a file until nothing is left.
func fill(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	for _, size := range []int{1 << 20, 4096, 1} {
		for err == nil {
			_, err = f.Write(make([]byte, size))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			return err
		}
		err = nil
	}
	return f.Close()
}
