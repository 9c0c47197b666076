package flush

import "strings"

// Verdict is what an answer of a destination means for the documents that it is about.
type Verdict uint8

const (
	// Retry: not stored now, may be later. The zero value, so that an outcome nobody filled in is retried.
	Retry Verdict = iota
	// Delivered: the destination said that it stored this document.
	Delivered
	// Duplicate: a document of this id was there already; success.
	Duplicate
	// Permanent: it will never be stored like this; becomes a dead letter.
	Permanent
	// Blocked: the index, or the pipeline, takes no document until an operator acts. A stream whose own
	// index says so is parked; an index that a script chose is asked again for a while, and then its
	// documents are dead letters.
	Blocked
	// Park, of a request: the destination takes nothing until an operator acts.
	Park
	// Split, of a request: parts of it may be taken. One document alone is Permanent.
	Split
)

var verdictNames = [...]string{
	Retry: "retry", Delivered: "delivered", Duplicate: "duplicate", Permanent: "dead letter", Blocked: "blocked", Park: "park", Split: "split",
}

func (v Verdict) String() string {
	if int(v) < len(verdictNames) {
		return verdictNames[v]
	}
	return verdictNames[Retry]
}

// Level says what an answer is about.
type Level string

// The levels.
const (
	// LevelItem: one document of a request that was answered with status 200.
	LevelItem Level = "item"
	// LevelRequest: a request as a whole, by the status of its answer.
	LevelRequest Level = "request"
	// LevelConnection: a request that got no answer, or none that can be trusted, by its cause.
	LevelConnection Level = "connection"
)

// NoType in a Meaning fits answers without an error type only: those of proxies and login pages.
const NoType = "(none)"

// Meaning is a row of the table that Classify and ClassifyRequest read. The first row that fits decides.
type Meaning struct {
	Level    Level
	From, To int    // statuses, both included
	Cause    string // LevelConnection only: the class that the sink gave the fault
	Type     string // the destination's error type; "" fits every one
	// Prefix is how the destination's reason begins; "" fits every one. Only a beginning is compared: what
	// follows may quote the document, and an event must not be able to park a stream.
	Prefix  string
	Verdict Verdict
	Why     string
}

// meanings gives every answer its one meaning; docs/delivery.md shows the same table. An answer that says
// something about the document is Permanent: asking again would give the same answer for ever, and a dead
// letter can be shown, edited and replayed. An answer that says something about the index is Blocked, one
// about the destination Retry or Park.
//
// Statuses and words: docs/bulk and docs/data-streams/failure-store of elastic/elasticsearch, and what
// Elasticsearch 8.19 and 9.1 and OpenSearch 2.19 and 3.8 answered in the integration tests.
var meanings = []Meaning{
	{Level: LevelItem, From: 200, To: 299, Verdict: Delivered, Why: "stored, or dropped on purpose by an ingest pipeline (200, noop). With `failure_store: used` it is in the failure store: an outcome of its own"},
	{Level: LevelItem, From: 409, To: 409, Type: "version_conflict_engine_exception", Verdict: Duplicate, Why: "a document of this id is there: our own create of an earlier attempt, or a client's id given twice"},

	{Level: LevelItem, From: 403, To: 403, Type: "cluster_block_exception", Verdict: Blocked, Why: "the index is read-only"},
	{Level: LevelItem, From: 429, To: 429, Type: "cluster_block_exception", Verdict: Blocked, Why: "the disk is over its flood stage"},
	{Level: LevelItem, From: 403, To: 403, Type: "security_exception", Verdict: Blocked, Why: "the credentials may not write to this index"},
	{Level: LevelItem, From: 400, To: 400, Type: "index_closed_exception", Verdict: Blocked, Why: "the index is closed"},
	{Level: LevelItem, From: 404, To: 404, Type: "index_not_found_exception", Verdict: Blocked, Why: "the index is missing and may not be made"},
	{Level: LevelItem, From: 400, To: 400, Type: "validation_exception", Prefix: "Validation Failed: 1: this action would add [", Verdict: Blocked, Why: "the cluster has as many shards as it may have"},
	{Level: LevelItem, From: 400, To: 400, Type: "illegal_argument_exception", Prefix: "Validation Failed: 1: this action would add [", Verdict: Blocked, Why: "the same, in other versions"},
	{Level: LevelItem, From: 400, To: 400, Type: "illegal_argument_exception", Prefix: "pipeline with id [", Verdict: Blocked, Why: "the ingest pipeline is missing"},
	{Level: LevelItem, From: 500, To: 500, Type: "illegal_state_exception", Prefix: "Pipeline processor configured for non-existent pipeline [", Verdict: Blocked, Why: "an ingest pipeline calls one that is missing"},
	{Level: LevelItem, From: 400, To: 400, Type: "illegal_argument_exception", Prefix: "only write ops with an op_type of create are allowed in data streams", Verdict: Blocked, Why: "`op: index` and a data stream do not go together"},

	{Level: LevelItem, From: 408, To: 408, Verdict: Retry, Why: "a time-out of an emulator; Elasticsearch has none per document"},
	{Level: LevelItem, From: 429, To: 429, Verdict: Retry, Why: "queues or memory are full"},
	{Level: LevelItem, From: 400, To: 499, Verdict: Permanent, Why: "a mapping conflict, a limit, a broken name, a conflict of another kind: asking again gives the same answer"},
	{Level: LevelItem, From: 500, To: 500, Type: "fail_processor_exception", Verdict: Permanent, Why: "an ingest pipeline refuses this document; nothing is wrong with the server"},
	{Level: LevelItem, From: 500, To: 500, Type: "ingest_processor_exception", Verdict: Permanent, Why: "an ingest pipeline fails on this document"},
	{Level: LevelItem, From: 500, To: 500, Type: "script_exception", Verdict: Permanent, Why: "a script of an ingest pipeline fails on this document"},
	{Level: LevelItem, From: 500, To: 500, Type: "not_x_content_exception", Verdict: Permanent, Why: "the document is no JSON object (Elasticsearch 9)"},
	{Level: LevelItem, From: 500, To: 599, Verdict: Retry, Why: "shards away, a mapping update that timed out, a fault of the server"},

	{Level: LevelRequest, From: 413, To: 413, Verdict: Split, Why: "smaller requests may pass"},
	{Level: LevelRequest, From: 400, To: 400, Type: NoType, Verdict: Park, Why: "not an answer of the bulk API: a proxy, or another product"},
	{Level: LevelRequest, From: 400, To: 400, Type: "parse_exception", Prefix: "request body is required", Verdict: Park, Why: "something on the way takes the body out of requests"},
	{Level: LevelRequest, From: 400, To: 400, Type: "illegal_argument_exception", Prefix: "request [/_bulk] contains unrecognized parameter", Verdict: Park, Why: "the server does not know an option that is configured"},
	{Level: LevelRequest, From: 400, To: 400, Verdict: Split, Why: "something in it is refused, and refuses all of it (an id over 512 bytes); halving finds it"},
	{Level: LevelRequest, From: 408, To: 408, Verdict: Retry, Why: "a proxy's time-out"},
	{Level: LevelRequest, From: 429, To: 429, Verdict: Retry, Why: "queues or memory are full; `Retry-After` is obeyed"},
	{Level: LevelRequest, From: 500, To: 599, Verdict: Retry, Why: "the server or a proxy is in trouble; `Retry-After` is obeyed"},
	{Level: LevelRequest, From: 300, To: 399, Verdict: Park, Why: "redirects are not followed: credentials go to the configured addresses only"},
	{Level: LevelRequest, From: 401, To: 401, Verdict: Park, Why: "the credentials are wrong"},
	{Level: LevelRequest, From: 403, To: 403, Verdict: Park, Why: "the credentials do not suffice"},
	{Level: LevelRequest, From: 400, To: 499, Verdict: Park, Why: "a wrong address, method or product"},
	{Level: LevelRequest, From: 200, To: 299, Verdict: Retry, Why: "200 with a body that says nothing reliable of every document, or 202 and 204, which say nothing: all is sent again, ids make that harmless"},

	{Level: LevelConnection, Cause: "tls", Verdict: Park, Why: "certificates or protocol do not fit"},
	{Level: LevelConnection, Cause: "product", Verdict: Park, Why: "a server, or a version of one, that weir does not deliver to"},
	{Level: LevelConnection, Cause: "disk_full", Verdict: Park, Why: "the embedded destination has no room on its disk"},
	{Level: LevelConnection, Cause: "not_writable", Verdict: Park, Why: "the embedded destination may not write to its disk"},
	{Level: LevelConnection, Verdict: Retry, Why: "refused, reset, closed, timed out, no route, no name: whether it was stored is not known, and ids make sending again harmless"},
}

// Meanings returns the table, for documents and tests.
func Meanings() []Meaning { return append([]Meaning(nil), meanings...) }

// Classify says what one document's answer means: its HTTP status, the destination's error type and reason, ""
// when there was none. What no row of the table names, 0 and 3xx among them, is Retry: a status that nobody can read
// must not end a document's way. Safe for concurrent use, and quick: a success is the first row.
func Classify(status int, errType, reason string) Verdict {
	for i := range meanings {
		if m := &meanings[i]; m.Level == LevelItem && m.fits(status, errType, reason) {
			return m.Verdict
		}
	}
	return Retry
}

// ClassifyRequest says what a failed request means: Retry, Park or Split. status is that of its answer, or 0 and then cause
// names the fault of the connection.
func ClassifyRequest(status int, cause, errType, reason string) Verdict {
	for i := range meanings {
		m := &meanings[i]
		switch {
		case status == 0 && m.Level == LevelConnection && (m.Cause == "" || m.Cause == cause),
			status != 0 && m.Level == LevelRequest && m.fits(status, errType, reason):
			return m.Verdict
		}
	}
	return Retry
}

func (m *Meaning) fits(status int, errType, reason string) bool {
	switch {
	case status < m.From || status > m.To:
		return false
	case m.Type == NoType && errType != "", m.Type != NoType && m.Type != "" && m.Type != errType:
		return false
	}
	return m.Prefix == "" || strings.HasPrefix(reason, m.Prefix)
}
