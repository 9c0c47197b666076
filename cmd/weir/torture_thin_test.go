//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// thinDisk is a disk that promises more than it has, as thin-provisioned ones do: a loop device over an image with holes, in a
// tmpfs that is smaller than the image. Once the tmpfs is full, blocks that were never written cannot be written, and the
// fsync that needs one really fails.
type thinDisk struct {
	fs    *fileSystem
	pool  string // the tmpfs
	image string
	dir   string // where the file system is mounted
}

// thinFileSystems write nothing but whole pages of the image; see oneByOne. Their journals lie in written blocks, so that it
// is the file whose bytes have no place, and the file system goes on.
var thinFileSystems = []fileSystem{
	{"ext4", 128 << 20, []string{"env", "UNIX_IO_NOZEROOUT=1", "mkfs.ext4", "-q", "-b", "4096", "-J", "size=4", "-E", "lazy_journal_init=0"}},
	{"xfs", 320 << 20, []string{"mkfs.xfs", "-q", "-s", "size=4096"}},
}

// newThinDisk makes a disk and mounts its file system. Without a place for its journal the file system itself fails: it turns
// read-only (ext4) or shuts itself down (XFS).
func newThinDisk(t *testing.T, fs *fileSystem, journal bool) (*thinDisk, error) {
	d := &thinDisk{fs: fs, pool: t.TempDir(), dir: t.TempDir()}
	if err := tmpfs(fmt.Sprintf("size=%d,huge=never", fs.bytes/2))(t, d.pool); err != nil {
		return nil, err
	}
	d.image = filepath.Join(d.pool, "image")
	if err := fs.make(d.image); err != nil {
		return nil, err
	}
	if !journal {
		if err := run("fallocate", "--dig-holes", d.image); err != nil {
			return nil, err
		}
	}
	if err := d.mount(); err != nil {
		return nil, err
	}
	unmountAfter(t, d.dir)
	return d, nil
}

// mount gives the image a new loop device, which goes when the file system is unmounted.
func (d *thinDisk) mount() error {
	out, err := exec.Command("losetup", "--show", "--find", "--sector-size", "4096", d.image).Output()
	if err != nil {
		return fmt.Errorf("no loop device with sectors of a page: %w", err)
	}
	device := strings.TrimSpace(string(out))
	err = oneByOne(device)
	if err == nil {
		err = run("mount", device, d.dir)
	}
	return errors.Join(err, run("losetup", "--detach", device))
}

// oneByOne makes the loop driver write page by page. It takes a write of which only the first part found room for success,
// and loses the rest after an fsync that said yes: no disk does that. A page has room or has none.
func oneByOne(device string) error {
	path := filepath.Join("/sys/block", filepath.Base(device), "queue/max_sectors_kb")
	if err := os.WriteFile(path, []byte("4"), 0); err != nil {
		return fmt.Errorf("the loop driver would take short writes for success: %w", err)
	}
	return nil
}

// exhaust takes what the disk has left but for some pages.
func (d *thinDisk) exhaust(pages int) error {
	if err := fill(d.pool); err != nil {
		return err
	}
	ballast := filepath.Join(d.pool, "ballast", "bytes")
	info, err := os.Stat(ballast)
	if err != nil {
		return err
	}
	return os.Truncate(ballast, max(0, info.Size()-int64(pages)<<12))
}

// refill gives it all back.
func (d *thinDisk) refill() error { return os.RemoveAll(filepath.Join(d.pool, "ballast")) }

// healthy reports whether the file system still takes files. One that failed itself is to be mounted again.
func (d *thinDisk) healthy() bool {
	path := filepath.Join(d.dir, "probe")
	f, err := os.Create(path)
	if err != nil {
		return false
	}
	return errors.Join(f.Sync(), f.Close(), os.Remove(path)) == nil
}

// remount takes the page cache away: what is there afterwards is what the disk has.
func (d *thinDisk) remount() error {
	if err := unix.Unmount(d.dir, 0); err != nil {
		return fmt.Errorf("unmount: %w", err)
	}
	return d.mount()
}

// syncFailures counts what really failed below a process.
type syncFailures struct {
	log      int // fsyncs and writes of the log
	letters  int // of the dead-letter logs
	database int // commits of weir.db
}

// failuresIn counts the failures that a process told of.
func failuresIn(logged string) syncFailures {
	var n syncFailures
	for line := range strings.Lines(logged) {
		var entry struct{ Msg, Component, Error string }
		if json.Unmarshal([]byte(line), &entry) != nil || !isDiskError(entry.Error) {
			continue
		}
		switch {
		case strings.Contains(entry.Error, "store checkpoint"), strings.Contains(entry.Error, "update index of dead letters"):
			n.database++
		case !strings.HasPrefix(entry.Msg, "commit failed"):
		case entry.Component == "wal":
			n.log++
		default:
			n.letters++
		}
	}
	return n
}

func isDiskError(text string) bool {
	for _, errno := range []unix.Errno{unix.EIO, unix.ENOSPC, unix.EROFS, unix.EUCLEAN} {
		if strings.Contains(text, errno.Error()) {
			return true
		}
	}
	return false
}
