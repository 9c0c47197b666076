package flush

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Outcome is what became of one document of a batch.
type Outcome struct {
	Verdict Verdict
	Status  int    // HTTP status of the item; 0 when there was none
	Type    string // the destination's error type, e.g. document_parsing_exception
	Reason  string // the destination's words; cut to a bounded length; "" for a Duplicate
	// FailureStore is what a data stream's failure store had to do with the document: "" for nothing,
	// FailureStoreUsed when the document is Delivered into the failure store instead of the stream itself,
	// "not_enabled" or "failed" when it could not go there either.
	FailureStore string
}

// mayHaveRaced reports whether a document may have been refused only because another one with the same new field was mapped at the
// same moment: it fits the mapping that is there now, or is refused again. Words: Elasticsearch 8.19 and 9.1, OpenSearch 2.19 and 3.8.
func (o *Outcome) mayHaveRaced() bool {
	return o.Verdict == Permanent && o.Status == 400 && o.Type == "illegal_argument_exception" && strings.HasPrefix(o.Reason, "mapper [")
}

// FailureStoreUsed in an Outcome says that the document is in the failure store, and not in the stream itself.
const FailureStoreUsed = "used"

// Judge applies a stream's policy to a document that is in a failure store: where it counts as a dead letter, the outcome is Permanent
// and says so.
func (o *Outcome) Judge(policy FailureStorePolicy, index string) {
	if o.Verdict != Delivered || o.FailureStore != FailureStoreUsed || policy != FailureStoreDeadLetter {
		return
	}
	o.Verdict, o.Type = Permanent, "failure_store"
	o.Reason = cmp.Or(o.Reason, "the data stream "+index+" refused the document and its failure store took it; a replay after the cause is mended stores it in the stream too")
}

// describe says in one line what was answered.
func (o *Outcome) describe() string {
	return strings.TrimSuffix(fmt.Sprintf("%d %s: %s", o.Status, o.Type, o.Reason), ": ")
}

// RequestError says that a request as a whole failed; nothing is known of its documents but what
// Verdict says. A Sink returns it from Send.
type RequestError struct {
	Cause      string        // bounded class for metrics: refused, timeout, status_503, untrusted, ...
	Status     int           // HTTP status; 0 when there was no answer
	Verdict    Verdict       // Retry, Park or Split, as ClassifyRequest said
	RetryAfter time.Duration // what the destination asked for; 0 when nothing
	Type       string        // the destination's error type, when it gave one
	Err        error
}

// Split reports that the request has to be halved and sent again in parts. A request of one document
// that still is to be split cannot be delivered: that document is Permanent. nil is no failure.
func (e *RequestError) Split() bool { return e != nil && e.Verdict == Split }

// Refusal is what such a request says of a document that was alone in it.
func (e *RequestError) Refusal() Outcome {
	return Outcome{Verdict: Permanent, Status: e.Status, Type: e.Type, Reason: e.Error()}
}

// Parked reports that nothing will change until somebody acts: credentials, TLS, wrong product.
func (e *RequestError) Parked() bool { return e.Verdict == Park }

func (e *RequestError) Error() string {
	return fmt.Sprintf("bulk request (%s): %v", e.Cause, e.Err)
}

func (e *RequestError) Unwrap() error { return e.Err }

// asRequestError returns err as what it says of a request; nil for none. What a sink says in its own words is a failure that may pass.
func asRequestError(err error) *RequestError {
	if err == nil {
		return nil
	}
	if re, ok := errors.AsType[*RequestError](err); ok {
		return re
	}
	return &RequestError{Cause: "other", Err: err}
}

// TransformError says why a transform made no documents of an event.
type TransformError struct {
	Type    string // error, timeout, memory, result, index_not_allowed
	Message string // with file and line where there are any
	Script  string // version of the script that said so
}

func (e *TransformError) Error() string { return e.Type + ": " + e.Message }
