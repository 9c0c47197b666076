//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// fileSystem is a real one that can be cut.
type fileSystem struct {
	name  string
	bytes int64 // of its image
	mkfs  []string
}

var fileSystems = []fileSystem{
	{"ext4", 256 << 20, []string{"mkfs.ext4", "-q"}},
	{"xfs", 320 << 20, []string{"mkfs.xfs", "-q"}},
}

// cutsOfOne is how often one file system is cut before it is judged and another one is made.
const cutsOfOne = 5

// tortureDisk cuts real file systems on loop devices under load, as a power cut would, and starts weir on what is left. In
// turn with that it lets fsync really fail on them.
func tortureDisk(tt *torture) {
	failed := make([]syncTally, len(thinFileSystems))
	for round := range tt.rounds(1) {
		for i := range fileSystems {
			fs := &fileSystems[i]
			tt.Run(fmt.Sprintf("%d %s", round, fs.name), func(t *testing.T) { fs.torture(tt, t, uint64(round)) })
		}
		for i := range thinFileSystems {
			fs, c := &thinFileSystems[i], &syncCases[(int(tt.seed%uint64(len(syncCases)))+round)%len(syncCases)]
			tt.Run(fmt.Sprintf("%d %s, fsync fails, %s", round, fs.name, c.name), func(t *testing.T) { failed[i].failSyncs(tt, t, fs, c, uint64(round)) })
		}
		if tt.skipped > 0 {
			break
		}
	}
	for i := range failed {
		failed[i].note(tt, thinFileSystems[i].name)
	}
}

func (fs *fileSystem) torture(tt *torture, t *testing.T, round uint64) {
	image, dir := filepath.Join(memoryDir(t), "image"), t.TempDir()
	if err := fs.make(image); err != nil {
		tt.skip(1, "%s: %v", fs.name, err)
		return
	}
	if err := mount(image, dir); err != nil {
		tt.skip(1, "%s: %v", fs.name, err)
		return
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	w := newWorldIn(t, filepath.Join(dir, "data"), rand.New(rand.NewPCG(tt.seed+round, uint64(fs.bytes))))
	cuts := cutsOfOne
	if tt.quick() {
		cuts = 2
	}
	v := verdict{}
	for range cuts {
		if err := w.cut(image, dir); err != nil {
			v.byHand = append(v.byHand, err.Error())
			break
		}
		tt.try(1)
	}
	if v.ok() {
		if err := w.lastLife(); err != nil {
			v.byHand = append(v.byHand, err.Error())
		} else {
			v = w.judgeAll()
		}
	}
	tt.judge(v, nil, "round %d, cuts of %s; it said:\n%s", round, fs.name, w.said)
}

func (fs *fileSystem) make(image string) error {
	f, err := os.Create(image)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(fs.bytes), f.Close()); err != nil {
		return err
	}
	return run(append(fs.mkfs, image)...)
}

func mount(image, dir string) error { return run("mount", "-o", "loop", image, dir) }

func run(args ...string) error {
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// cut is a life under load that ends with the file system being shut down, as it would be without power.
func (w *world) cut(image, dir string) error {
	if err := w.start(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var load sync.WaitGroup
	for c := range 4 {
		rng := rand.New(rand.NewPCG(w.rng.Uint64(), uint64(c)))
		load.Go(func() {
			for ctx.Err() == nil && w.post(rng, rng.IntN(30), 2000) {
			}
		})
	}
	// What is written back meanwhile, and fsynced for another file, makes tails tear.
	load.Go(func() {
		for ctx.Err() == nil {
			unix.Sync()
		}
	})
	time.Sleep(time.Duration(50+w.rng.IntN(300)) * time.Millisecond) // the moment of the cut
	// From here on nothing counts: an fsync whose journal is aborted under it may still say yes (seen on ext4), which
	// without power nobody would live to hear.
	w.cutting.Store(true)
	err := shutDown(dir)
	w.proc.kill()
	w.keepSaid()
	cancel()
	load.Wait()
	w.cutting.Store(false)
	return errors.Join(err, run("umount", dir), mount(image, dir))
}

// shutDown cuts a file system off from its disk without writing its journal. The number of the call and its argument are
// those of EXT4_IOC_SHUTDOWN and XFS_IOC_GOINGDOWN.
func shutDown(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	const goingDown, noLogFlush = 0x8004587d, 2
	flag := uint32(noLogFlush)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), goingDown, uintptr(unsafe.Pointer(&flag))); errno != 0 {
		return fmt.Errorf("shut %s down: %w", dir, errno)
	}
	return nil
}
