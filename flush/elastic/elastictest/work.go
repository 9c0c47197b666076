package elastictest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"unsafe"

	"github.com/valyala/fasthttp"

	"github.com/weirlog/weir/flush/rawjson"
)

// work is one bulk request being handled.
type work struct {
	items  []Item // strings and sources point into the request's body
	answer []byte
	rand   *rand.Rand // nil without chaos
}

var works = sync.Pool{New: func() any { return new(work) }}

func getWork() *work { return works.Get().(*work) }

func (w *work) put() {
	clear(w.items)
	w.items, w.rand = w.items[:0], nil
	works.Put(w)
}

// refusal is why a whole request was refused.
type refusal struct {
	status      int
	typ, reason string
	cut         bool // no answer at all
}

func (r *refusal) answer(ctx *fasthttp.RequestCtx) {
	switch {
	case r.cut:
		(&Fault{}).cut(ctx, nil)
	case r.status == 413:
		ctx.SetStatusCode(413) // no body, like the server
		ctx.Response.Header.Del("X-elastic-product")
		ctx.SetConnectionClose()
	default:
		refuse(ctx, r.status, r.typ, r.reason)
	}
}

// notJSON is what a server says that ignores the encoding.
var notJSON = &refusal{status: 400, typ: "x_content_parse_exception", reason: "not JSON: the encoding is ignored"}

// parse reads the actions of a request.
func (w *work) parse(s *Server, ctx *fasthttp.RequestCtx, index string) *refusal {
	body := ctx.Request.Body()
	switch string(ctx.Request.Header.ContentEncoding()) {
	case "":
	case "gzip":
		plain, err := ctx.Request.BodyGunzip()
		if err != nil {
			return &refusal{cut: true}
		}
		body = plain
	case "zstd":
		if !s.opts.OpenSearch {
			return notJSON
		}
		plain, err := ctx.Request.BodyUncompressed()
		if err != nil {
			return &refusal{cut: true}
		}
		body = plain
	default:
		return notJSON
	}
	if s.opts.OpenSearch && ctx.QueryArgs().Has("require_data_stream") {
		return &refusal{status: 400, typ: "illegal_argument_exception", reason: "request [/_bulk] contains unrecognized parameter: [require_data_stream]"}
	}
	contentType, _, _ := strings.Cut(string(ctx.Request.Header.ContentType()), ";")
	switch {
	case contentType != "application/x-ndjson" && contentType != "application/json":
		return &refusal{status: 406, typ: "media_type_header_exception", reason: "Invalid media-type value on headers [Content-Type]"}
	case s.opts.MaxContentLength > 0 && len(body) > s.opts.MaxContentLength:
		return &refusal{status: 413}
	case len(body) == 0:
		return &refusal{status: 400, typ: "parse_exception", reason: "request body is required"}
	case body[len(body)-1] != '\n':
		return &refusal{status: 400, typ: "illegal_argument_exception",
			reason: `The bulk request must be terminated by a newline [\n]`}
	}
	return w.lines(body, index)
}

// ids returns the ids of the documents, which may be kept.
func (w *work) ids() []string {
	ids := make([]string, len(w.items))
	for i := range w.items {
		ids[i] = strings.Clone(w.items[i].ID)
	}
	return ids
}

func (w *work) lines(body []byte, index string) *refusal {
	for line := 1; len(body) > 0; line += 2 {
		action, rest, _ := bytes.Cut(body, []byte{'\n'})
		item := Item{Index: index}
		if !item.read(action) {
			w.items = w.items[:0]
			return &refusal{status: 400, typ: "illegal_argument_exception",
				reason: fmt.Sprintf("Malformed action/metadata line [%d], expected START_OBJECT", line)}
		}
		if len(item.ID) > 512 {
			w.items = w.items[:0]
			return &refusal{status: 400, typ: "action_request_validation_exception",
				reason: "Validation Failed: 1: id is too long, must be no longer than 512 bytes;"}
		}
		item.Source, body, _ = bytes.Cut(rest, []byte{'\n'})
		w.items = append(w.items, item)
	}
	return nil
}

// read takes an action line: the common spelling without decoding, any other by the book.
func (it *Item) read(line []byte) bool {
	if rest, ok := bytes.CutPrefix(line, []byte(`{"create":{"_index":"`)); ok {
		index, rest, ok := bytes.Cut(rest, []byte(`","_id":"`))
		id, isPlain := bytes.CutSuffix(rest, []byte(`"}}`))
		if ok && isPlain && plain(index) && plain(id) {
			it.Op, it.Index, it.ID = "create", text(index), text(id)
			return true
		}
	}
	type meta struct {
		Index    *string `json:"_index"`
		ID       string  `json:"_id"`
		Pipeline string  `json:"pipeline"`
		Routing  string  `json:"routing"`
	}
	var action map[string]meta
	if json.Unmarshal(line, &action) != nil || len(action) != 1 {
		return false
	}
	for op, m := range action {
		if op != "create" && op != "index" {
			return false
		}
		it.Op, it.ID, it.Pipeline, it.Routing = op, m.ID, m.Pipeline, m.Routing
		if m.Index != nil {
			it.Index = *m.Index
		}
	}
	return true
}

func plain(b []byte) bool { return bytes.IndexByte(b, '"') < 0 && bytes.IndexByte(b, '\\') < 0 }

// text shares memory with the body, which outlives the work; what is kept is cloned.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// apply stores the items, or only says so, and returns the answer, valid until the work is put back.
func (s *Server) apply(w *work, filter string, lie bool) []byte {
	hook, chaos := s.item.Load(), s.chaos.Load()
	failed := false
	b := w.answer[:0]
	long := filter == ""
	withIDs := long || strings.Contains(filter, "._id")
	for i := range w.items {
		it := &w.items[i]
		if n := s.counts.documents.Add(1); it.ID == "" { // one step, or requests at the same time make the same id
			it.ID = "auto-" + strconv.FormatInt(n, 36)
		}
		a := Answer{Status: 201}
		if !lie {
			a = s.decide(it, hook, chaos, w.rand)
		}
		failed = failed || a.Status > 299
		if i > 0 {
			b = append(b, ',')
		}
		b = appendItem(b, it, a, long, withIDs)
	}
	w.answer = b
	head := `{"errors":false,"items":[`
	if failed {
		head = `{"errors":true,"items":[`
	}
	if long {
		head = strings.Replace(head, `{`, `{"took":1,`, 1)
	}
	return append(append([]byte(head), b...), "]}"...)
}

// decide stores one item or says why not.
func (s *Server) decide(it *Item, hook *func(Item) Answer, chaos *Chaos, rnd *rand.Rand) Answer {
	it.Attempt = s.store.attempt(it)
	var a Answer
	if hook != nil {
		mine := *it // the hook may keep the strings, which share memory with the request
		mine.Index, mine.ID = strings.Clone(it.Index), strings.Clone(it.ID)
		a = (*hook)(mine)
	}
	if a.Status == 0 && chaos != nil && rnd != nil {
		a = chaos.item(it, rnd)
	}
	if a.Status == 0 && s.opts.Keep != KeepNothing && !isObject(it.Source) {
		a = Answer{Status: 400, Type: "document_parsing_exception", Reason: "[1:1] failed to parse"}
	}
	if a.Status > 299 {
		s.counts.failed.Add(1)
		return a
	}
	if !s.store.put(it) {
		s.counts.conflicts.Add(1)
		return Answer{Status: 409, Type: "version_conflict_engine_exception",
			Reason: "[" + it.ID + "]: version conflict, document already exists (current version [1])"}
	}
	s.counts.created.Add(1)
	if a.Status == 0 {
		a.Status = 201
	}
	return a
}

func isObject(source []byte) bool {
	trimmed := bytes.TrimLeft(source, " \t\r")
	return len(trimmed) > 0 && trimmed[0] == '{' && json.Valid(source)
}

func appendItem(b []byte, it *Item, a Answer, long, withID bool) []byte {
	b = append(b, `{"`...)
	b = append(b, it.Op...)
	b = append(b, `":{`...)
	if long {
		b = append(b, `"_index":`...)
		b = rawjson.AppendQuoted(b, it.Index)
		b = append(b, ',')
	}
	if withID {
		b = append(b, `"_id":`...)
		b = rawjson.AppendQuoted(b, it.ID)
		b = append(b, ',')
	}
	b = append(b, `"status":`...)
	b = strconv.AppendInt(b, int64(a.Status), 10)
	if a.FailureStore != "" {
		b = append(b, `,"failure_store":`...)
		b = rawjson.AppendQuoted(b, a.FailureStore)
	}
	if a.Status > 299 {
		b = append(b, `,"error":{"type":`...)
		b = rawjson.AppendQuoted(b, a.Type)
		b = append(b, `,"reason":`...)
		b = rawjson.AppendQuoted(b, a.Reason)
		b = append(b, '}')
	}
	return append(b, "}}"...)
}
