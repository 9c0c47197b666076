package flush

import (
	"errors"
	"fmt"
)

// Errors of dead letters.
var (
	// ErrDeadLettersFull is returned by Put while the live letters fill their limit. The flusher waits
	// and tries again; nothing is dropped to make room.
	ErrDeadLettersFull = errors.New("dead letters are at their limit")
)

// ItemError is the failure of documents that will be sent again, with the answer that one of them got.
type ItemError struct {
	Documents int
	Outcome   Outcome
}

func (e *ItemError) Error() string {
	return fmt.Sprintf("%d documents to be sent again: status %d %s: %s", e.Documents, e.Outcome.Status, e.Outcome.Type, e.Outcome.Reason)
}
