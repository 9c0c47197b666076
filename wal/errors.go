package wal

import (
	"errors"
	"fmt"
)

// Errors of Open.
var (
	// ErrNewerFormat is returned when a file was written by a newer version of weir.
	ErrNewerFormat = errors.New("written by a newer version of weir")
	// ErrLocked is returned when another process holds the data directory.
	ErrLocked = errors.New("data directory is in use")
)

// Errors of Append. After any of them but ErrCommit nothing of the append is in the log.
var (
	// ErrFull is returned while the log is at its byte limit or the disk is below its free-space mark.
	ErrFull = errors.New("log is full")
	// ErrFailed is returned while the log recovers from a failed write or sync.
	ErrFailed = errors.New("log has failed and is being reopened")
	// ErrCommit is returned to the appends of the group whose write or sync failed. Whether their
	// records surface after recovery is open; the client is told to send again.
	ErrCommit = errors.New("commit failed")
	// ErrClosed is returned once the log is closing or closed, also by a Reader that waits.
	ErrClosed = errors.New("log is closed")
	// ErrEmptyPayload is returned for an event without bytes.
	ErrEmptyPayload = errors.New("event is empty")
)

// CorruptionError says where bytes of the log are damaged and which records they held.
type CorruptionError struct {
	Segment  string // file name
	Position int64  // first damaged byte in the segment
	Length   int64  // damaged bytes; 0 when a whole segment is missing
	First    Offset // offsets whose records cannot be read; none when Last is below First
	Last     Offset
	Kept     string // file below repair/ that holds a copy of the damaged bytes; "" when there are none
	Err      error  // what the first damaged byte failed
}

func (e *CorruptionError) Error() string {
	if e.Last < e.First {
		return fmt.Sprintf("segment %s: damaged at byte %d (%d bytes), no record is lost: %v", e.Segment, e.Position, e.Length, e.Err)
	}
	return fmt.Sprintf("segment %s: offsets %d to %d damaged at byte %d (%d bytes): %v",
		e.Segment, e.First, e.Last, e.Position, e.Length, e.Err)
}

func (e *CorruptionError) Unwrap() error { return e.Err }
