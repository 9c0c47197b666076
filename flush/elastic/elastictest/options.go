package elastictest

import "time"

// Keep says what is remembered of documents.
type Keep int

const (
	// KeepDocuments remembers ids and sources. The zero value.
	KeepDocuments Keep = iota
	// KeepIDs remembers ids and counts, not sources.
	KeepIDs
	// KeepNothing only counts: every create succeeds, and sources are not looked at. For benchmarks.
	KeepNothing
)

// Options configure a Server. The zero value is an Elasticsearch 8 that keeps everything and never fails.
type Options struct {
	Keep Keep
	// OpenSearch makes it answer like OpenSearch: no product header, another greeting.
	OpenSearch bool
	// Version is the number that GET / tells. Default (""): 8.19.21, or 2.19.1 of OpenSearch.
	Version string
	// Greeting, when it is not 0, is the status of GET / and HEAD /, with no more than an error: as for a key that may only write.
	Greeting int
	// MaxContentLength is the largest body taken, in bytes after decompression; a larger one is 413. 0 means no limit.
	MaxContentLength int
	// Authorization is the exact value of the header that every request must have, else 401. "" means none.
	Authorization string
	// Item answers for one document; a zero Answer lets it go its usual way. nil means none. It may also be
	// set while serving, with SetItem.
	Item func(Item) Answer
	// Request may spoil a bulk request; a zero Fault lets it go its usual way. nil means none. It may also be set
	// while serving, with SetRequest.
	Request func(Request) Fault
	// Chaos makes random faults. It may also be set while serving, with SetChaos.
	Chaos Chaos
}

// Item is one action of a bulk request. The source is valid during the call only.
type Item struct {
	Op       string // create or index
	Index    string
	ID       string
	Pipeline string
	Routing  string
	Source   []byte
	Attempt  int // how often this id came, this time included; 0 with KeepNothing
}

// Answer is what an item gets instead of being stored. With a 2xx status it is stored and answered so.
type Answer struct {
	Status       int // 0: the usual way
	Type         string
	Reason       string
	FailureStore string
}

// Request is one bulk request.
type Request struct {
	Number    int      // counts from 1
	Index     string   // from the path, "" when it named none
	Documents int      // 0 when the body is malformed
	Bytes     int      // as sent
	Encoding  string   // Content-Encoding
	Query     string   // as sent
	Host      string   // the Host header: which of its addresses the client meant
	IDs       []string // of the documents, in their order
}

// Fault spoils one request. Fields combine in the order in which they stand here.
type Fault struct {
	// Wait holds the request until the channel is closed or the server stops; Delay for a time.
	Wait  <-chan struct{}
	Delay time.Duration
	// Status answers at once with Body, ContentType and RetryAfter; nothing is stored. 0 means no.
	Status      int
	Body        string
	ContentType string // default application/json
	RetryAfter  string
	Location    string
	// CutBefore ends the connection without an answer; nothing is stored.
	CutBefore bool
	// Mangle changes the body of the answer, which has status 200; the documents are stored. ContentEncoding is what
	// the answer then calls its encoding; "" for none.
	Mangle          func(body []byte) []byte
	ContentEncoding string
	// Raw is written instead of the answer, head and all, and the connection ended; the documents are stored.
	Raw []byte
	// Unstored makes Mangle and Raw lie: nothing is stored, and Mangle changes an answer that says all was.
	Unstored bool
	// CutAfter ends the connection without an answer; the documents are stored.
	CutAfter bool
	// CutAnswer ends the connection in the middle of the answer; the documents are stored.
	CutAnswer bool
	// Reset makes the cuts abrupt (RST), otherwise they are orderly (FIN).
	Reset bool
}

// Chaos gives the share (0 to 1) of requests or items that meet each fault at random.
type Chaos struct {
	Seed uint64 `json:"seed"`
	// Of items.
	ItemRejected    float64 `json:"item_rejected"`    // 429
	ItemUnavailable float64 `json:"item_unavailable"` // 503
	ItemMalformed   float64 `json:"item_malformed"`   // 400, chosen by id, so that a document always or never fails so
	// Of requests.
	Busy        float64 `json:"busy"`        // 429
	Unavailable float64 `json:"unavailable"` // 503
	CutBefore   float64 `json:"cut_before"`
	CutAfter    float64 `json:"cut_after"` // stored, answer lost
	CutAnswer   float64 `json:"cut_answer"`
	Garbage     float64 `json:"garbage"`      // stored, HTML instead of the answer
	BrokenJSON  float64 `json:"broken_json"`  // stored, answer ends too early with the right length
	ItemMissing float64 `json:"item_missing"` // stored, one item too few
}
