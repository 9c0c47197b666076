package lua

import (
	"time"

	glua "github.com/yuin/gopher-lua"

	"github.com/weirlog/weir/wal"
)

// meta is what the script's second argument reads and sets.
type meta struct {
	settings
	rec        *wal.Record
	stream     glua.LValue // of streamName, kept from event to event
	streamName string
}

// metaFields is the order in which pairs shows them.
var metaFields = append([]string{"stream", "received_at", "offset", "remote"}, settingNames...)

func (m *meta) begin(rec *wal.Record) {
	m.rec = rec
	m.settings = settings{}
}

func (w *worker) openMeta() {
	w.metaMT = w.accessors(w.metaValue, w.assignMeta)
	w.metaTable = w.newTable(w.metaMT)
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
	}
	if set := m.field(string(name)); set != nil {
		return text(*set)
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
	field := w.meta.field(string(name))
	if field == nil {
		switch name {
		case "stream", "received_at", "offset", "remote":
			L.RaiseError("meta.%s can be read, not set", string(name))
		}
		L.RaiseError("meta has no field %s; index, id, pipeline and routing can be set", short(key))
	}
	if value == glua.LNil {
		*field = ""
		return
	}
	*field = w.settingText(L, "meta.", name, value)
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
