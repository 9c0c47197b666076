package main

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/weirlog/weir/ingest"
)

// sendBatch is a run of events that travels in one request.
type sendBatch struct {
	seq     int
	data    []byte // the events, each followed by a line break
	ends    []int  // end of each event in data, without the line break
	lines   []int64
	array   bool     // sent as a JSON array, because an event holds a line break
	after   position // where the source goes on
	counts  sendCounts
	refused []refusedEvent
	dead    []refusedEvent // accepted as dead letters
	err     error
}

// sendCounts are the figures of a source, or of a whole run.
type sendCounts struct {
	Events       int64 `json:"events"`
	Bytes        int64 `json:"bytes"`
	Accepted     int64 `json:"accepted"`
	DeadLettered int64 `json:"dead_lettered"`
	Refused      int64 `json:"refused"`
}

func (c *sendCounts) add(o sendCounts) {
	c.Events += o.Events
	c.Bytes += o.Bytes
	c.Accepted += o.Accepted
	c.DeadLettered += o.DeadLettered
	c.Refused += o.Refused
}

// refusedEvent names an event that the service did not take as one, and why.
type refusedEvent struct {
	Source  string `json:"source"`
	Line    int64  `json:"line"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

func (b *sendBatch) reset() {
	*b = sendBatch{data: b.data[:0], ends: b.ends[:0], lines: b.lines[:0]}
}

func (b *sendBatch) add(e sourceEvent) {
	b.array = b.array || bytes.IndexByte(e.data, '\n') >= 0
	b.data = append(b.data, e.data...)
	b.ends = append(b.ends, len(b.data))
	b.data = append(b.data, '\n')
	b.lines = append(b.lines, e.line)
	b.after = e.after
	b.counts.Events++
	b.counts.Bytes += e.size
}

// refuse records an event of the batch's range that is not sent, or that the service did not take.
func (b *sendBatch) refuse(source string, line int64, code, message string) {
	b.counts.Refused++
	if len(b.refused) < maxReported {
		b.refused = append(b.refused, refusedEvent{source, line, code, message})
	}
}

func (b *sendBatch) event(i int) []byte { return b.data[b.start(i):b.ends[i]] }

func (b *sendBatch) start(i int) int {
	if i == 0 {
		return 0
	}
	return b.ends[i-1] + 1
}

// body returns what is posted for the events from lo up to but not including hi. Lines are preferred:
// among them the service takes the good ones, while one broken event spoils a whole array.
func (b *sendBatch) body(lo, hi int) (body []byte, contentType string) {
	if !b.array {
		return b.data[b.start(lo) : b.ends[hi-1]+1], "application/x-ndjson"
	}
	body = make([]byte, 0, b.ends[hi-1]-b.start(lo)+2)
	body = append(body, '[')
	for i := lo; i < hi; i++ {
		if i > lo {
			body = append(body, ',')
		}
		body = append(body, b.event(i)...)
	}
	return append(body, ']'), "application/json"
}

// batcher cuts the events of a source into batches.
type batcher struct {
	split     *splitter
	source    string
	maxBytes  int // of a batch
	maxEvents int
	alone     int   // an event of more bytes travels alone, so that a refusal is its own
	bodyLimit int64 // an event of more bytes cannot be sent at all
	seq       int
	held      sourceEvent // read, but left for the next batch
	holding   bool
}

// fill reads the next batch into b. It returns false at the end of the source. With an error, b holds
// the events before it and is to be sent first.
func (r *batcher) fill(b *sendBatch) (more bool, err error) {
	b.reset()
	b.seq = r.seq
	r.seq++
	for {
		event := r.held
		if !r.holding {
			if event, err = r.split.next(); err != nil {
				return len(b.ends) > 0 || b.counts.Events > 0, err
			}
		}
		r.holding = false
		switch {
		case event.size > int64(len(event.data)) || event.size > r.bodyLimit:
			b.counts.Events++
			b.counts.Bytes += event.size
			b.after = event.after
			b.refuse(r.source, event.line, ingest.CodeEventTooLarge, humanBytes(event.size)+" is more than a request may hold ("+humanBytes(r.bodyLimit)+"); not sent")
		case len(b.ends) > 0 && (len(b.data)+len(event.data) > r.maxBytes || len(event.data) > r.alone):
			r.held, r.holding = event, true
			return true, nil
		default:
			b.add(event)
		}
		if len(b.data) >= r.maxBytes || len(b.ends) >= r.maxEvents || len(event.data) > r.alone {
			return true, nil
		}
	}
}

// checkEvent says what is wrong with an event, as the service would; "" when nothing is.
func checkEvent(event []byte, limit int) (code, message string) {
	if len(event) > limit {
		return ingest.CodeEventTooLarge, humanBytes(int64(len(event))) + " is more than an event may have (" + Bytes(limit).String() + ")"
	}
	err := ingest.ValidateEvent(event)
	if wrong, ok := errors.AsType[*ingest.SyntaxError](err); ok {
		return wrong.Code, fmt.Sprintf("byte %d: %s", wrong.Position+1, wrong.Message)
	}
	return "", ""
}
