package wal

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// space watches the free bytes of the log's file system. Guarded by Log.mu.
type space struct {
	checked time.Time
	free    int64
	low     bool
}

// spaceInterval bounds how often the file system is asked. What can be written in between at full speed
// is a fraction of any sensible MinFreeBytes.
const spaceInterval = 100 * time.Millisecond

// refusal returns ErrFull while the file system has less than least free bytes. Once refused, appends are
// taken again only above a mark that is an eighth higher, so that the log does not flicker.
func (s *space) refusal(dir string, least int64) error {
	if least <= 0 {
		return nil
	}
	if now := time.Now(); now.Sub(s.checked) >= spaceInterval {
		s.checked, s.free = now, freeBytes(dir)
		if s.free < 0 {
			s.low = false // unknown: a full disk then shows itself as a failed write
		} else if s.low {
			s.low = s.free < least+least/8
		} else {
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
