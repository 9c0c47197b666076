package ingest

import (
	"errors"

	"github.com/weirlog/weir/wal"
)

// Errors of New and Listen.
var (
	// ErrOptions is returned by New for options that contradict themselves.
	ErrOptions = errors.New("ingest options")
	// ErrInUse is returned by Listen when somebody serves the unix socket already.
	ErrInUse = errors.New("socket is in use")
	// ErrNotSocket is returned by Listen when the path of a unix socket is taken by another kind of file.
	ErrNotSocket = errors.New("path exists and is not a socket")
)

// Codes of events that cannot be accepted. They are stable: clients and dead letters name them.
const (
	CodeMalformedJSON = "malformed_json"
	CodeInvalidUTF8   = "invalid_utf8"
	CodeTooDeep       = "too_deep"
	CodeNotAnObject   = "not_an_object"
	CodeEventTooLarge = "event_too_large"
)

// refusal is an answer that accepts nothing. The code and what it means for the client are stable.
type refusal struct {
	status     int
	code       string
	message    string
	retryAfter int    // seconds; above 0 exactly for answers after which the same request may succeed
	allow      string // methods, with 405
	hangUp     bool   // what follows on the connection cannot be told apart from the body
}

// Refusals of whole requests. Each message says what to do.
var (
	refuseBadRequest = &refusal{status: 400, code: "bad_request", hangUp: true,
		message: "the request line or a header is not valid HTTP/1.1, or they contradict each other: mend the client or the proxy before it"}
	refuseBadChunk = &refusal{status: 400, code: "bad_chunk", hangUp: true,
		message: "the chunked body is broken: mend the client or the proxy before it"}
	refuseIncomplete = &refusal{status: 400, code: "incomplete_body", hangUp: true,
		message: "the connection ended before the body did: compare Content-Length with what was sent, then send again"}
	refuseEmpty = &refusal{status: 400, code: "empty_body",
		message: "the body holds no event: send a JSON object, an array of objects or NDJSON"}
	refuseCorrupt = &refusal{status: 400, code: "corrupt_encoding",
		message: "the body is not what Content-Encoding says, is cut off, or has bytes after its end: compress it anew"}
	refuseNothing = &refusal{status: 400, code: "nothing_accepted",
		message: "no event of the body could be accepted: see errors"}

	refuseRoute = &refusal{status: 404, code: "not_found",
		message: "there is nothing at this path: POST events to /ingest or /ingest/{stream}"}
	refuseStream = &refusal{status: 404, code: "unknown_stream",
		message: "this stream is not declared: add it under streams in the configuration, or POST to /ingest"}
	refuseNotPost = &refusal{status: 405, code: "method_not_allowed", allow: "POST",
		message: "events are sent with POST"}
	refuseNotGet = &refusal{status: 405, code: "method_not_allowed", allow: "GET, HEAD",
		message: "this path is read with GET; events go to POST /ingest"}
	refuseSlow = &refusal{status: 408, code: "too_slow", retryAfter: 1, hangUp: true,
		message: "the request did not arrive within ingest.read_timeout: send it again, faster or in smaller bodies"}
	refuseBody = &refusal{status: 413, code: "body_too_large",
		message: "the body is larger than ingest.max_body_bytes, which counts after decompression: send fewer events at once"}
	refuseEvents = &refusal{status: 413, code: "too_many_events",
		message: "the body holds more events than one request may: send fewer events at once"}
	refuseEvent = &refusal{status: 413, code: CodeEventTooLarge,
		message: faults[faultTooLarge].message}
	refuseEncoding = &refusal{status: 415, code: "unsupported_encoding",
		message: "Content-Encoding must be one of gzip, zstd, deflate and identity, only one, with a zstd window of at most 8 MiB"}
	refuseExpect = &refusal{status: 417, code: "unsupported_expectation",
		message: "only Expect: 100-continue is known: leave the header out"}
	refuseHeader = &refusal{status: 431, code: "header_too_large", hangUp: true,
		message: "request line and headers together are larger than 8 KiB: send fewer or shorter headers"}

	refuseBusy = &refusal{status: 503, code: "too_much_in_flight", retryAfter: 1,
		message: "ingest.max_in_flight_bytes are being read or written already: send again a little later"}
	refuseFull = &refusal{status: 503, code: "log_full", retryAfter: 5,
		message: "the log is full until delivery catches up: keep the events and send again later"}
	refuseFailed = &refusal{status: 503, code: "log_failed", retryAfter: 1,
		message: "the log recovers from a failed write: send again a little later"}
	refuseCommit = &refusal{status: 503, code: "commit_failed", retryAfter: 1,
		message: "the write failed underway; whether the events will be delivered is open: send again, id_field makes that harmless"}
	refuseShutdown = &refusal{status: 503, code: "shutting_down", retryAfter: 5, hangUp: true,
		message: "the service is stopping: connect and send again"}
	refuseInternal = &refusal{status: 503, code: "internal", retryAfter: 5, hangUp: true,
		message: "the service failed on this request, stored nothing of it and has logged why: send again a little later"}
	refuseConnections = &refusal{status: 503, code: "too_many_connections", retryAfter: 1, hangUp: true,
		message: "too many connections are open: keep fewer, or raise the limit of open files"}
)

// refuseAppend says what an error of Appender means for the client. known is false for errors that
// wal does not name; the server logs those, and since nobody can say what was stored, the client hears
// the one code that leaves it open.
func refuseAppend(err error) (r *refusal, known bool) {
	switch {
	case errors.Is(err, wal.ErrFull):
		return refuseFull, true
	case errors.Is(err, wal.ErrCommit):
		return refuseCommit, true
	case errors.Is(err, wal.ErrFailed):
		return refuseFailed, true
	case errors.Is(err, wal.ErrClosed):
		return refuseShutdown, true
	}
	return refuseCommit, false
}
