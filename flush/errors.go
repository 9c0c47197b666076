package flush

import "errors"

// Errors of dead letters.
var (
	// ErrDeadLettersFull is returned by Put while the live letters fill their limit. The flusher waits
	// and tries again; nothing is dropped to make room.
	ErrDeadLettersFull = errors.New("dead letters are at their limit")
)
