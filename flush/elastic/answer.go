package elastic

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/flush/rawjson"
)

// filterPath asks for what is needed of an answer and no more. Entries of successes stay, because their status
// and id match; without items.*.status only failed items would come back, and positions would be lost.
const filterPath = "errors,items.*._id,items.*.status,items.*.error.type,items.*.error.reason,items.*.error.caused_by.reason,items.*.failure_store"

// sparseReason is all that OpenSearch says of a document that it cannot map; what is wrong stands in caused_by. Elasticsearch
// writes both in one.
const sparseReason = "failed to parse"

const (
	maxReason = 1 << 10
	maxType   = 128
)

// item is one entry of an answer.
type item struct {
	op           flush.Op
	id           []byte // raw string; nil when the answer gave none
	status       int
	failed       bool   // an error was given
	errType      []byte // raw string
	reason       []byte // raw string
	causedBy     []byte // raw string: the reason behind the reason
	failureStore []byte // raw string
}

// answerReader reads the answer to a bulk of docs.
type answerReader struct {
	scanner
	docs     []flush.Document
	outcomes []flush.Outcome
	ids      [][]byte // raw id of each item
	exact    bool     // the server keeps items in their documents' places, whatever an ingest pipeline does
	inOrder  bool     // every id, and op, so far was that of the document at its position
	withIDs  int      // items that gave an id
	lastRaw  []byte   // the raw reason read last and its text: neighbours often fail alike
	lastText string
	fault    error
}

// parseAnswer returns what an answer of status 200 says of each document. An error means that the answer cannot be
// trusted in any part. ids is a buffer; it is returned for the next use. exact says that the server is one that keeps positions.
func parseAnswer(b []byte, docs []flush.Document, ids [][]byte, exact bool) ([]flush.Outcome, [][]byte, error) {
	r := &answerReader{
		scanner:  scanner{b: b},
		docs:     docs,
		outcomes: make([]flush.Outcome, 0, len(docs)),
		ids:      ids[:0],
		exact:    exact,
		inOrder:  true,
	}
	if err := r.read(); err != nil {
		return nil, r.ids, err
	}
	if !r.inOrder {
		r.reorder()
	}
	if !r.exact {
		r.doubt()
	}
	return r.outcomes, r.ids, nil
}

func (r *answerReader) read() error {
	var hasErrors, hasItems, errorsFlag bool
	r.members(func(key []byte) {
		switch string(key) {
		case `"errors"`:
			errorsFlag = r.peek() == 't'
			r.once(&hasErrors, "errors")
			if errorsFlag {
				r.word("true")
			} else {
				r.word("false")
			}
		case `"items"`:
			r.once(&hasItems, "items")
			r.list('[', ']', r.item)
		default:
			r.skip(1)
		}
	})
	switch {
	case r.fault != nil:
		return r.fault
	case !r.end():
		return fmt.Errorf("not valid JSON at byte %d of %d", r.pos, len(r.b))
	case !hasItems:
		return errors.New("no items")
	case !hasErrors:
		return errors.New("no errors flag")
	case len(r.outcomes) != len(r.docs):
		return fmt.Errorf("%d items for %d documents", len(r.outcomes), len(r.docs))
	case r.withIDs != 0 && r.withIDs != len(r.docs):
		return fmt.Errorf("%d of %d items without id", len(r.docs)-r.withIDs, len(r.docs))
	case errorsFlag && r.allStored():
		return errors.New("errors flagged, but no item failed")
	}
	return nil
}

// refuse ends reading with a reason.
func (r *answerReader) refuse(format string, args ...any) {
	if r.fault == nil {
		r.fault = fmt.Errorf(format, args...)
	}
	r.bad = true
}

// once marks a member as seen; a second one contradicts the first.
func (r *answerReader) once(seen *bool, name string) {
	if *seen {
		r.refuse("%s given twice", name)
	}
	*seen = true
}

// item consumes one entry: {"create":{...}} or {"index":{...}}.
func (r *answerReader) item() {
	i := len(r.outcomes)
	if i == len(r.docs) {
		r.refuse("more than %d items for %d documents", i, len(r.docs))
		return
	}
	if r.created(&r.docs[i]) {
		r.ids = append(r.ids, nil)
		r.withIDs++
		r.outcomes = append(r.outcomes, flush.Outcome{Verdict: flush.Delivered, Status: 201})
		return
	}
	var it item
	ops := 0
	r.members(func(op []byte) {
		it.op = opName(op)
		if ops++; ops > 1 || !r.sent(it.op, i) {
			r.refuse("item %d is of an action that was not sent", i)
			return
		}
		r.members(func(key []byte) { r.field(&it, key) })
	})
	switch {
	case r.bad:
	case ops == 0:
		r.refuse("item %d is empty", i)
	case it.status == 0:
		r.refuse("item %d has no status", i)
	case it.failed && it.status/100 == 2:
		r.refuse("item %d has status %d and an error", i, it.status)
	default:
		r.add(&it, &r.docs[i])
	}
}

func opName(raw []byte) flush.Op {
	switch string(raw) {
	case `"create"`:
		return flush.OpCreate
	case `"index"`:
		return flush.OpIndex
	}
	return ""
}

// sent reports whether an action of this kind was sent: for the document at position i, as nearly always, or, since items may
// be permuted, for any.
func (r *answerReader) sent(op flush.Op, i int) bool {
	if op == opOf(&r.docs[i]) {
		return true
	}
	for j := range r.docs {
		if op == opOf(&r.docs[j]) {
			return true
		}
	}
	return false
}

// created consumes the entry of a document that was stored, as nearly all are, when it is
// spelled as servers spell it. It takes nothing when it is not.
func (r *answerReader) created(d *flush.Document) bool {
	const after = `","status":201}}`
	before := `{"create":{"_id":"`
	if d.Op == flush.OpIndex {
		before = `{"index":{"_id":"`
	}
	for i := 0; i < len(d.ID); i++ {
		if c := d.ID[i]; c < ' ' || c == '"' || c == '\\' {
			return false // its spelling is not itself
		}
	}
	r.space()
	rest, ok := bytes.CutPrefix(r.b[r.pos:], []byte(before))
	if d.ID == "" || !ok || len(rest) < len(d.ID)+len(after) ||
		string(rest[:len(d.ID)]) != d.ID || string(rest[len(d.ID):len(d.ID)+len(after)]) != after {
		return false
	}
	r.pos += len(before) + len(d.ID) + len(after)
	return true
}

// field consumes one member of an item.
func (r *answerReader) field(it *item, key []byte) {
	switch string(key) {
	case `"_id"`:
		if it.id != nil {
			r.refuse("_id given twice")
		}
		if r.peek() == 'n' {
			r.word("null") // a document without an id of its own that failed
			return
		}
		it.id = r.str()
	case `"status"`:
		if it.status != 0 {
			r.refuse("status given twice")
		}
		n := r.number()
		status, err := strconv.Atoi(string(n))
		if err != nil || status < 100 || status > 599 {
			r.refuse("status %.10q", n)
		}
		it.status = status
	case `"error"`:
		if it.failed {
			r.refuse("error given twice")
		}
		it.failed = true
		r.itemError(it)
	case `"failure_store"`:
		it.failureStore = r.str()
	default:
		r.skip(3)
	}
}

func (r *answerReader) itemError(it *item) {
	if r.peek() == '"' {
		it.reason = r.str()
		return
	}
	r.members(func(key []byte) {
		switch {
		case string(key) == `"type"` && r.peek() == '"':
			it.errType = r.str()
		case string(key) == `"reason"` && r.peek() == '"':
			it.reason = r.str()
		case string(key) == `"caused_by"` && r.peek() == '{':
			r.members(func(key []byte) {
				if string(key) == `"reason"` && r.peek() == '"' {
					it.causedBy = r.str()
				} else {
					r.skip(5)
				}
			})
		default:
			r.skip(4)
		}
	})
}

// add notes the outcome at the item's position; reorder moves it when its id is another document's.
func (r *answerReader) add(it *item, d *flush.Document) {
	o := flush.Outcome{Status: it.status, Type: typeName(it.errType)}
	if it.reason != nil && o.Status != http.StatusConflict {
		o.Reason = r.reasonText(it.reason)
	}
	if it.causedBy != nil && o.Reason == sparseReason {
		o.Reason = cutText(sparseReason+": "+shortText(it.causedBy, maxReason), maxReason)
	}
	o.Verdict = flush.Classify(o.Status, o.Type, o.Reason)
	if it.op == flush.OpIndex && o.Verdict == flush.Duplicate {
		o.Verdict = flush.Permanent // it would have taken the place of the one that is there, and did not
	}
	if it.reason != nil && o.Status == http.StatusConflict && o.Verdict != flush.Duplicate {
		o.Reason = r.reasonText(it.reason)
	}
	if it.failureStore != nil {
		o.FailureStore = shortText(it.failureStore, maxType)
	}
	r.outcomes = append(r.outcomes, o)
	r.ids = append(r.ids, it.id)
	r.inOrder = r.inOrder && it.op == opOf(d)
	if it.id != nil {
		r.withIDs++
		r.inOrder = r.inOrder && (d.ID == "" || sameID(it.id, d.ID))
	} else if d.ID == "" {
		r.withIDs++ // nothing to compare
	}
}

func (r *answerReader) allStored() bool {
	for i := range r.outcomes {
		if r.outcomes[i].Verdict != flush.Delivered {
			return false
		}
	}
	return true
}

func (r *answerReader) reasonText(raw []byte) string {
	if r.lastText == "" || !bytes.Equal(raw, r.lastRaw) {
		r.lastRaw, r.lastText = raw, shortText(raw, maxReason)
	}
	return r.lastText
}

// shortText returns what a raw string means, valid UTF-8 and cut to limit bytes.
func shortText(raw []byte, limit int) string {
	// An escape is at most six times as long as what it means; what is beyond cannot be needed.
	if most := 6*limit + 12; len(raw) > most {
		raw = raw[:most]
	}
	text := strings.ToValidUTF8(string(rawjson.AppendUnquoted(nil, raw)), "\uFFFD")
	return cutText(text, limit)
}

// cutText shortens s to at most limit bytes without breaking a character.
func cutText(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

// sameID reports whether a raw string means the id that was sent.
func sameID(raw []byte, id string) bool {
	if rawjson.Plain(raw) && string(raw[1:len(raw)-1]) == id {
		return true
	}
	return string(rawjson.AppendUnquoted(nil, raw)) == sentID(id)
}

// sentID is the id as it travels: bytes that are no UTF-8 cannot.
func sentID(id string) string {
	if utf8.ValidString(id) {
		return id
	}
	return string(rawjson.AppendUnquoted(nil, rawjson.AppendQuoted(nil, id)))
}

// typeName returns the text of an error type, without allocating for the usual ones.
func typeName(raw []byte) string {
	if len(raw) < 2 {
		return ""
	}
	if name, ok := usualTypes[string(raw[1:len(raw)-1])]; ok {
		return name
	}
	return shortText(raw, maxType)
}

var usualTypes = func() map[string]string {
	m := make(map[string]string)
	for _, name := range []string{
		"version_conflict_engine_exception", "es_rejected_execution_exception", "rejected_execution_exception",
		"cluster_block_exception", "document_parsing_exception", "mapper_parsing_exception",
		"illegal_argument_exception", "strict_dynamic_mapping_exception", "unavailable_shards_exception",
		"index_closed_exception", "index_not_found_exception", "security_exception", "fail_processor_exception",
		"circuit_breaking_exception", "mapper_exception",
	} {
		m[name] = name
	}
	return m
}()
