package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// replaceFile writes a file durably, all of it or nothing: under another name beside it, which is synced and
// renamed. A crash leaves the old content or the new one. mode is that of a new file; one that is there keeps
// its mode and, where the user may give it, its group. A link stays, and what it leads to is replaced; a device or
// a pipe (/dev/stdout) is only written to.
func replaceFile(path string, content []byte, mode fs.FileMode) error {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return writeInto(path, content)
	}
	temp := tempName(path)
	// One that a crash left has a mode of its own, and a link would be followed.
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	err = keepAccess(f, path)
	if err == nil {
		_, err = f.Write(content)
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return syncDir(filepath.Dir(path))
}

// tempName is the name of a file before it has its own; no other process uses it.
func tempName(path string) string { return fmt.Sprintf("%s.%d.tmp", path, os.Getpid()) }

// writeInto writes to what can be neither replaced nor synced.
func writeInto(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Close())
}

// keepAccess gives f mode and group of the file at path, if there is one.
func keepAccess(f *os.File, path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		// A group that the user is no member of cannot be given; that is no reason not to write.
		_ = f.Chown(-1, int(sys.Gid))
	}
	return f.Chmod(info.Mode().Perm())
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("sync directory %s: %w", dir, err)
	}
	return nil
}
