package checkpoint

import "errors"

// Errors of opening and of use.
var (
	// ErrDamaged is returned when bbolt met a page that cannot be right while the database was in use. From then on every
	// call returns it; the next Open sets the file aside.
	ErrDamaged = errors.New("checkpoint database is damaged")
	// ErrMissing is the Fault of a database whose file is not there.
	ErrMissing = errors.New("checkpoint database is missing")
	// ErrTooManyStreams is returned by Advance when the streams no longer fit into one value.
	ErrTooManyStreams = errors.New("too many streams")
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("checkpoint database is closed")
)

// errState is returned by the decoder of the state value; Open treats it as damage.
var errState = errors.New("state value is invalid")

// errHome is what Verify finds of the home value; nothing else cares.
var errHome = errors.New("home value is invalid")
