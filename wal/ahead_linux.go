package wal

import "golang.org/x/sys/unix"

// gainsFromZeros reports whether dir is on a file system that overwrites blocks in place, or on one in user space, which mostly hands
// writes on to one. Others write each block to a new place, zeros or not.
func gainsFromZeros(dir string) bool {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return false
	}
	return st.Type == unix.EXT4_SUPER_MAGIC || st.Type == unix.XFS_SUPER_MAGIC || st.Type == unix.FUSE_SUPER_MAGIC
}
