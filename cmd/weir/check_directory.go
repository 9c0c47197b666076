package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/weirlog/weir/wal"
)

const subjectData = "data directory"

// dataDirectory looks at the data directory and changes nothing in it.
func (c *checker) dataDirectory(ctx context.Context) {
	if c.faulty("data_dir") {
		c.add(subjectData, resultSkipped, "the configuration is not valid")
		return
	}
	dir := c.cfg.DataDir
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c.missingDirectory(dir)
		return
	case err != nil:
		c.dataFault("%s: %s", dir, reasonOf(err))
		return
	case !info.IsDir():
		c.dataFault("%s is not a directory", dir)
		return
	}
	usable := !c.foreignDirectory(dir) && c.directoryAccess(dir)
	holder, held, err := wal.LockHolder(dir)
	switch {
	case err != nil:
		c.dataFault("%s: %s", dir, err)
		usable = false
	case held && holder.PID != 0:
		c.add(subjectData, resultOK, "%s is in use by process %d%s", dir, holder.PID, prefixed(", admin listener ", holder.Admin))
		c.runningService(ctx, holder)
	case held:
		c.add(subjectData, resultOK, "%s is in use by another process", dir)
	case usable && looksLikeDataDir(dir) != nil:
		c.add(subjectData, resultOK, "%s can be used; there is no data in it yet", dir)
	case usable:
		c.dataContent(ctx, dir)
	}
	c.freeSpace(dir)
}

func prefixed(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + s
}

// dataFault reports a failure with the place where data_dir was set.
func (c *checker) dataFault(format string, args ...any) {
	c.add(subjectData, resultFailed, "%s: data_dir: "+format, append([]any{c.cfg.origins["data_dir"]}, args...)...)
}

// missingDirectory sees whether serve could make the directory.
func (c *checker) missingDirectory(dir string) {
	parent := filepath.Clean(dir)
	for {
		parent = filepath.Dir(parent)
		info, err := os.Stat(parent)
		if errors.Is(err, fs.ErrNotExist) && parent != filepath.Dir(parent) {
			continue
		}
		if err == nil && !info.IsDir() {
			err = syscall.ENOTDIR
		}
		if err == nil {
			err = unix.Access(parent, unix.W_OK|unix.X_OK)
		}
		if err != nil {
			c.dataFault("%s does not exist and cannot be made in %s: %s", dir, parent, reasonOf(err))
			return
		}
		c.add(subjectData, resultOK, "%s does not exist yet; weir serve makes it", dir)
		c.freeSpace(parent)
		return
	}
}

// directoryAccess checks rights and owner of the directory and of what is directly in it.
func (c *checker) directoryAccess(dir string) bool {
	if err := unix.Access(dir, unix.R_OK|unix.W_OK|unix.X_OK); err != nil {
		c.dataFault("%s cannot be written by %s: %s", dir, userName(os.Geteuid()), err)
		return false
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		c.dataFault("%s: %s", dir, reasonOf(err))
		return false
	}
	paths := []string{dir}
	for _, e := range entries {
		paths = append(paths, filepath.Join(dir, e.Name()))
	}
	usable := true
	for _, path := range paths {
		var st unix.Stat_t
		if unix.Lstat(path, &st) != nil || int(st.Uid) == os.Geteuid() {
			continue // gone meanwhile, or ours
		}
		format := "%s belongs to %s and this is %s; run weir as its owner, or change the owner"
		if os.Geteuid() == 0 {
			c.add(subjectData, resultWarning, format, path, userName(int(st.Uid)), userName(0))
			continue
		}
		c.dataFault(format, path, userName(int(st.Uid)), userName(os.Geteuid()))
		usable = false
	}
	return usable
}

func userName(uid int) string {
	id := strconv.Itoa(uid)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return "user " + id
}

// freeSpace compares the file system's free space with what the log needs at once and may need.
func (c *checker) freeSpace(dir string) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		c.dataFault("%s: free space: %s", dir, err)
		return
	}
	free := int64(st.Bavail) * int64(st.Bsize)
	log := c.cfg.WAL
	switch room := int64(log.MaxBytes) - treeBytes(filepath.Join(c.cfg.DataDir, "wal")); {
	case free < int64(log.MinFreeBytes):
		c.add("free space", resultFailed, "%s is less than wal.min_free_bytes (%s): every event would be refused", humanBytes(free), log.MinFreeBytes)
	case log.MaxBytes > 0 && free-int64(log.MinFreeBytes) < room:
		c.add("free space", resultWarning, "%s; the log may grow by %s (wal.max_bytes is %s) and keeps %s free", humanBytes(free),
			humanBytes(room), log.MaxBytes, log.MinFreeBytes)
	default:
		c.add("free space", resultOK, "%s", humanBytes(free))
	}
}

// treeBytes adds up the files below a directory; what cannot be read counts nothing.
func treeBytes(dir string) int64 {
	var total int64
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return nil
		}
		if info, err := e.Info(); err == nil {
			total += info.Size()
		}
		return nil
	})
	return total
}
