package flush

import (
	"fmt"
	"time"
)

// Verdict is the one meaning that each answer of a destination has.
type Verdict uint8

const (
	// Retry: not stored now, may be later. The zero value, so that an outcome nobody filled in is retried.
	Retry Verdict = iota
	// Delivered: the destination said that it stored this document.
	Delivered
	// Duplicate: a document of our own id was there already; success.
	Duplicate
	// Permanent: it will never be stored like this; becomes a dead letter.
	Permanent
)

func (v Verdict) String() string {
	switch v {
	case Delivered:
		return "delivered"
	case Duplicate:
		return "duplicate"
	case Permanent:
		return "permanent"
	default:
		return "retry"
	}
}

// Outcome is what became of one document of a batch.
type Outcome struct {
	Verdict Verdict
	Status  int    // HTTP status of the item; 0 when there was none
	Type    string // the destination's error type, e.g. document_parsing_exception
	Reason  string // the destination's words; cut to a bounded length
}

// RequestError says that a request as a whole failed; nothing is known of its documents but what
// Verdict says. A Sink returns it from Send.
type RequestError struct {
	Cause      string        // bounded class for metrics: refused, timeout, status_503, untrusted, ...
	Status     int           // HTTP status; 0 when there was no answer
	TooLarge   bool          // the same documents in smaller requests may pass
	Operator   bool          // nothing will change until somebody acts: credentials, TLS, wrong product
	RetryAfter time.Duration // what the destination asked for; 0 when nothing
	Err        error
}

func (e *RequestError) Error() string {
	return fmt.Sprintf("bulk request (%s): %v", e.Cause, e.Err)
}

func (e *RequestError) Unwrap() error { return e.Err }

// TransformError says why a transform made no documents of an event.
type TransformError struct {
	Type    string // error, timeout, memory, result, index_not_allowed
	Message string // with file and line where there are any
	Script  string // version of the script that said so
}

func (e *TransformError) Error() string { return e.Type + ": " + e.Message }
