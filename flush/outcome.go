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
	Reason  string // the destination's words; cut to a bounded length; "" for a Duplicate
	// FailureStore is what a data stream's failure store had to do with the document: "" for nothing,
	// "used" when the document is Delivered into the failure store instead of the stream itself,
	// "not_enabled" or "failed" when it could not go there either.
	FailureStore string
}

// meaning is one row of the table that Classify reads. The first row that fits decides.
type meaning struct {
	from, to int    // statuses, both included
	typ      string // the destination's error type; "" fits every one
	verdict  Verdict
}

// meanings gives every answer for one document its one meaning. Rows with a type stand before the row of
// their status range. An answer that says something about the document is Permanent: asking again
// would give the same answer for ever, and a dead letter can be shown, edited and replayed. An answer that
// says something about the destination is Retry.
var meanings = []meaning{
	{200, 299, "", Delivered}, // 200 with result noop, too: a pipeline dropped it on purpose

	// A document of this id was there. Ids are ours and creates find themselves, so this is success. A
	// conflict of another kind proves nothing about the document and may not pass for success.
	{409, 409, "version_conflict_engine_exception", Duplicate},

	// An operator's doing (a read-only index, a missing privilege), and an operator can undo it.
	{403, 403, "cluster_block_exception", Retry},
	{403, 403, "security_exception", Retry},

	{408, 408, "", Retry}, // an emulator's time-out; Elasticsearch has none per document
	{429, 429, "", Retry}, // full queues, and also disks over the flood stage

	{400, 499, "", Permanent}, // mapping conflicts, limits, broken names, missing or closed indices

	// Ingest pipelines that fail on a document answer 500 although nothing is wrong with the server.
	{500, 500, "fail_processor_exception", Permanent},
	{500, 500, "ingest_processor_exception", Permanent},
	{500, 500, "script_exception", Permanent},

	{500, 599, "", Retry}, // shards away, mapping updates that time out, a bug of the server
}

// Classify says what one document's answer means: its HTTP status and the destination's error type, ""
// when there was none. What no row of the table names, 0 and 3xx among them, is Retry: a status that nobody can read
// must not end a document's way. Safe for concurrent use, and quick: a success is the first row.
func Classify(status int, errType string) Verdict {
	for i := range meanings {
		m := &meanings[i]
		if status >= m.from && status <= m.to && (m.typ == "" || m.typ == errType) {
			return m.verdict
		}
	}
	return Retry
}

// RequestError says that a request as a whole failed; nothing is known of its documents but what
// Verdict says. A Sink returns it from Send.
type RequestError struct {
	Cause      string        // bounded class for metrics: refused, timeout, status_503, untrusted, ...
	Status     int           // HTTP status; 0 when there was no answer
	TooLarge   bool          // 413: the same documents in smaller requests may pass; one alone never will
	Refused    bool          // 400 for what the request holds: as with TooLarge, parts of it may pass
	Operator   bool          // nothing will change until somebody acts: credentials, TLS, wrong product
	RetryAfter time.Duration // what the destination asked for; 0 when nothing
	Type       string        // the destination's error type, when it gave one
	Err        error
}

// Split reports that the request has to be halved and sent again in parts. A request of one document
// that still is to be split cannot be delivered: that document is Permanent.
func (e *RequestError) Split() bool { return e.TooLarge || e.Refused }

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
