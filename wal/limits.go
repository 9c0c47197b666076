package wal

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// space watches the free bytes of the log's file system. Guarded by Log.mu.
type space struct {
	checked time.Time
	free    int64 // when the file system was asked, less what was appended since
	low     bool
}

// spaceInterval bounds how often the file system is asked because of what others write.
const spaceInterval = 100 * time.Millisecond

// refusal returns ErrFull when an append of size bytes would leave less than least free bytes on the file system. Once
// refused, appends are taken again only above a mark that is an eighth higher, so that the log does not flicker. What the
// log itself appends is counted: at full speed it could fill a small disk between two looks.
func (s *space) refusal(free func() int64, least, size int64) error {
	if least <= 0 {
		return nil
	}
	s.free -= size
	if now := time.Now(); now.Sub(s.checked) >= spaceInterval || s.free < least && !s.low {
		s.checked, s.free = now, free()
		if s.free < 0 {
			s.low = false // unknown: a full disk then shows itself as a failed write
		} else if s.low {
			s.low = s.free < least+least/8
		} else {
			s.free -= size
			s.low = s.free < least
		}
	}
	if s.low {
		return fmt.Errorf("%w: %d bytes free on the disk, %d must stay free", ErrFull, s.free, least)
	}
	return nil
}

// freeBytes returns what this process may still write to dir's file system, or -1 when that is unknown.
func freeBytes(dir string) int64 {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return -1
	}
	return int64(st.Bavail) * int64(st.Bsize) // types differ between systems
}
