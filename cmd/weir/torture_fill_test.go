//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// tmpfs mounts one that is as small as the options say.
func tmpfs(options string) func(*testing.T, string) error {
	return func(t *testing.T, dir string) error {
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
			return fmt.Errorf("no tmpfs can be mounted: %w", err)
		}
		unmountAfter(t, dir)
		return nil
	}
}

// ext4 mounts a small one from a loop device. On it a file system's own structures take room as well.
func ext4(t *testing.T, dir string) error {
	fs := fileSystem{name: "ext4", bytes: 48 << 20, mkfs: []string{"mkfs.ext4", "-q"}}
	return mountImage(t, &fs, dir)
}

// quota mounts a btrfs whose quota is far below its size: it is the one that bounds the superuser, too.
func quota(t *testing.T, dir string) error {
	fs := fileSystem{name: "btrfs", bytes: 256 << 20, mkfs: []string{"mkfs.btrfs", "-q"}}
	if err := mountImage(t, &fs, dir); err != nil {
		return err
	}
	return errors.Join(run("btrfs", "quota", "enable", dir), run("btrfs", "qgroup", "limit", "24M", dir))
}

func mountImage(t *testing.T, fs *fileSystem, dir string) error {
	image := filepath.Join(memoryDir(t), "image")
	if err := fs.make(image); err != nil {
		return err
	}
	if err := mount(image, dir); err != nil {
		return err
	}
	unmountAfter(t, dir)
	return nil
}

func unmountAfter(t *testing.T, dir string) {
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// fill writes files below dir until nothing is left.
func fill(dir string) error {
	ballast := filepath.Join(dir, "ballast")
	if err := os.MkdirAll(ballast, 0o755); err != nil && !isDiskFull(err) {
		return err
	}
	f, err := os.OpenFile(filepath.Join(ballast, "bytes"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if isDiskFull(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, size := range []int{1 << 20, 4096, 1} {
		for err == nil {
			_, err = f.Write(make([]byte, size))
		}
		if !isDiskFull(err) {
			return errors.Join(err, f.Close())
		}
		err = nil
	}
	if err := f.Close(); err != nil && !isDiskFull(err) {
		return err
	}
	return nil
}

// fillInodes makes empty files below dir until no name is left for another.
func fillInodes(dir string) error {
	ballast := filepath.Join(dir, "ballast")
	if err := os.MkdirAll(ballast, 0o755); err != nil && !isDiskFull(err) {
		return err
	}
	for i := 0; ; i++ {
		f, err := os.Create(filepath.Join(ballast, fmt.Sprint(i)))
		if errors.Is(err, syscall.ENOSPC) {
			return nil
		}
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
}
