package baseline

import (
	"os"

	"golang.org/x/sys/unix"
)

// Datasync is fdatasync: the data, and of the metadata only what is needed to read it.
func Datasync(f *os.File) error {
	for {
		if err := unix.Fdatasync(int(f.Fd())); err != unix.EINTR {
			return err
		}
	}
}
