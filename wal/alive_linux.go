package wal

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// askFileSystem asks the file system of a directory in which a segment was just fsynced whether it has failed meanwhile. An fsync whose
// journal fails under it, while another one writes that journal, may say yes though nothing became durable (measured on
// ext4 and XFS, see docs/testing.md). Whoever wants to change something afterwards hears the truth; so we want to remove an
// attribute that does not exist, which changes nothing. (A write of nothing is not enough: ext4 takes it until somebody else
// has met the failed journal.) Other errors, such as there being no attributes, say nothing of the file system.
func askFileSystem(dir string) error {
	err := unix.Removexattr(dir, "user.weir.none")
	if errors.Is(err, unix.EIO) || errors.Is(err, unix.EROFS) {
		return fmt.Errorf("the file system failed during its fsync: %w", err)
	}
	return nil
}
