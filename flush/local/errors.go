package local

import (
	"errors"
	"fmt"
)

// Errors of opening.
var (
	// ErrFormat is returned by Open for a store that a newer weir wrote.
	ErrFormat = errors.New("store has a newer format")
	// ErrTooSmall is returned by Open when Options.MaxBytes is below MinBytes.
	ErrTooSmall = errors.New("store size limit is too small")
	// ErrDamaged marks a part whose files are damaged. It is set aside and never returned by Open.
	ErrDamaged = errors.New("part is damaged")
)

// Errors of use.
var (
	// ErrClosed is returned by every call after Close.
	ErrClosed = errors.New("store is closed")
)

// QueryError says what is wrong with a query and how it should look. Its text is for people.
type QueryError struct {
	Position int    // byte in the query text where it went wrong; -1 when it concerns another part of the query
	Near     string // the piece of the query that is wrong; "" when it concerns another part
	Reason   string
	Hint     string // what would be right; "" when Reason says it
}

func (e *QueryError) Error() string {
	s := "query"
	if e.Position >= 0 {
		s += fmt.Sprintf(", at character %d", e.Position+1)
		if e.Near != "" {
			s += fmt.Sprintf(" (%q)", e.Near)
		}
	}
	s += ": " + e.Reason
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}
