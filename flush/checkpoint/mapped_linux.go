package checkpoint

import "golang.org/x/sys/unix"

// dropMapped takes the pages of a mapped file out of the process's memory; the next access brings them back. It takes the
// address as bbolt gives it. A kernel that refuses leaves everything as it is.
func dropMapped(address uintptr, size int64) {
	_, _, _ = unix.Syscall(unix.SYS_MADVISE, address, uintptr(size), unix.MADV_DONTNEED)
}
