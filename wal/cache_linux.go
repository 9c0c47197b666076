package wal

import (
	"os"

	"golang.org/x/sys/unix"
)

// dropCache asks the kernel to forget a file's cached pages, so that the next read is from the disk. Advice
// only: where the file system ignores it, the cache is all there is to read.
func dropCache(f *os.File) {
	_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
}
