package lua

import (
	"strconv"
	"time"

	glua "github.com/yuin/gopher-lua"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/wal"
)

// meta is what the script's second argument reads and sets.
type meta struct {
	rec                          *wal.Record
	index, id, pipeline, routing string
	stream                       glua.LValue // of streamName, kept from event to event
	streamName                   string
}

// metaFields is the order in which pairs shows them.
var metaFields = []string{"stream", "received_at", "offset", "remote", "index", "id", "pipeline", "routing"}

func (m *meta) begin(rec *wal.Record) {
	m.rec = rec
	m.index, m.id, m.pipeline, m.routing = "", "", "", ""
}

// apply gives the settings to a document; a further document of the event has its ordinal behind the id.
func (m *meta) apply(doc *flush.Document, ordinal int) {
	doc.Index, doc.Pipeline, doc.Routing = m.index, m.pipeline, m.routing
	if m.id != "" {
		doc.ID = m.id
		if ordinal > 0 {
			doc.ID += "-" + strconv.Itoa(ordinal)
		}
	}
}

func (w *worker) openMeta() {
	mt := w.L.NewTable()
	mt.RawSetString("__index", w.L.NewFunction(func(L *glua.LState) int {
		L.Push(w.metaValue(L.Get(2)))
		return 1
	}))
	mt.RawSetString("__newindex", w.L.NewFunction(func(L *glua.LState) int {
		w.assignMeta(L, L.Get(2), L.Get(3))
		return 0
	}))
	mt.RawSetString("__metatable", glua.LFalse)
	w.metaMT = mt
	w.metaTable = w.newTable(mt)
}

func (w *worker) metaValue(key glua.LValue) glua.LValue {
	name, _ := key.(glua.LString)
	m := &w.meta
	if m.rec == nil {
		return glua.LNil
	}
	switch name {
	case "stream":
		if m.stream == nil || m.streamName != m.rec.Stream {
			m.streamName, m.stream = m.rec.Stream, glua.LString(m.rec.Stream)
		}
		return m.stream
	case "received_at":
		return glua.LString(m.rec.ReceivedAt.UTC().Format(time.RFC3339Nano))
	case "offset":
		return glua.LNumber(m.rec.Offset)
	case "remote":
		if !m.rec.Remote.IsValid() {
			return glua.LNil
		}
		return glua.LString(m.rec.Remote.String())
	case "index":
		return text(m.index)
	case "id":
		return text(m.id)
	case "pipeline":
		return text(m.pipeline)
	case "routing":
		return text(m.routing)
	}
	return glua.LNil
}

func text(s string) glua.LValue {
	if s == "" {
		return glua.LNil
	}
	return glua.LString(s)
}

// assignMeta: only what belongs to the document can be set.
func (w *worker) assignMeta(L *glua.LState, key, value glua.LValue) {
	name, _ := key.(glua.LString)
	var field *string
	switch name {
	case "index":
		field = &w.meta.index
	case "id":
		field = &w.meta.id
	case "pipeline":
		field = &w.meta.pipeline
	case "routing":
		field = &w.meta.routing
	case "stream", "received_at", "offset", "remote":
		L.RaiseError("meta.%s can be read, not set", string(name))
	default:
		L.RaiseError("meta has no field %s; index, id, pipeline and routing can be set", short(key))
	}
	if value == glua.LNil {
		*field = ""
		return
	}
	s, ok := w.asText(value)
	if !ok || s == "" {
		L.RaiseError("meta.%s must be a string that is not empty, not %s", string(name), describe(value, w))
	}
	*field = s
}

// describe names a value in messages.
func describe(v glua.LValue, w *worker) string {
	if s, ok := v.(glua.LString); ok && s == "" {
		return "an empty one"
	}
	return "a " + kindOf(v, w)
}

func (w *worker) nextMeta(L *glua.LState, key glua.LValue) int {
	from := 0
	if key != glua.LNil {
		from = len(metaFields)
		for i, f := range metaFields {
			if glua.LString(f) == key {
				from = i + 1
			}
		}
	}
	for _, f := range metaFields[from:] {
		if v := w.metaValue(glua.LString(f)); v != glua.LNil {
			L.Push(glua.LString(f))
			L.Push(v)
			return 2
		}
	}
	L.Push(glua.LNil)
	return 1
}
