package lua

import (
	"strconv"

	glua "github.com/yuin/gopher-lua"

	"github.com/weirlog/weir/flush"
)

// settings are what a script chooses for a document; "" leaves it open.
type settings struct{ index, id, pipeline, routing string }

// settingNames is their order in messages and in pairs(meta).
var settingNames = []string{"index", "id", "pipeline", "routing"}

// field returns the setting of a name, nil for a name that is none.
func (s *settings) field(name string) *string {
	switch name {
	case "index":
		return &s.index
	case "id":
		return &s.id
	case "pipeline":
		return &s.pipeline
	case "routing":
		return &s.routing
	}
	return nil
}

// apply gives the settings to a document, except where own has its own. Ordinal is the document's number
// among those of its event; from the second one on it stands behind an id that is meant for all of them.
func (s *settings) apply(doc *flush.Document, own settings, ordinal int) {
	doc.Index, doc.Pipeline, doc.Routing = own.index, own.pipeline, own.routing
	if doc.Index == "" {
		doc.Index = s.index
	}
	if doc.Pipeline == "" {
		doc.Pipeline = s.pipeline
	}
	if doc.Routing == "" {
		doc.Routing = s.routing
	}
	switch {
	case own.id != "":
		doc.ID = own.id
	case s.id != "" && ordinal == 0:
		doc.ID = s.id
	case s.id != "":
		doc.ID = s.id + "-" + strconv.Itoa(ordinal)
	}
}

// maxSetting is how long a setting can be: what Elasticsearch takes for an id, and more than an index may have. A bulk
// request has it once for each document.
const maxSetting = 512 // bytes

// settingText is the value of a setting; of and name say which one it is in messages.
func (w *worker) settingText(L *glua.LState, of string, name glua.LString, value glua.LValue) string {
	s, ok := w.asText(value)
	if !ok || s == "" {
		L.RaiseError("%s%s must be a string that is not empty, not %s", of, string(name), describe(value, w))
	}
	if len(s) > maxSetting {
		L.RaiseError("%s%s may have %d bytes, not %d", of, string(name), maxSetting, len(s))
	}
	return s
}

// sizeOfIDs is at most what the ids take that apply makes for so many documents.
func (s *settings) sizeOfIDs(documents int) int {
	if s.id == "" {
		return 0
	}
	return (documents - 1) * (len(s.id) + len("-12345"))
}

// emission is a document that emit has added, as it was at that moment.
type emission struct {
	source []byte
	own    settings
}

// bytesEmission is what a document costs besides its text.
const bytesEmission = 512

// emit adds a document to those that transform returns.
func (w *worker) emit(L *glua.LState) int {
	if w.loading {
		L.RaiseError("emit is for transform; there is no event while the script is loaded")
	}
	t := L.CheckTable(1)
	var own settings
	if L.Get(2) != glua.LNil {
		w.readSettings(L, L.CheckTable(2), &own)
	}
	source, err := w.document(t)
	if err == errOverrun {
		w.raiseOverrun(L)
	}
	if err != nil {
		L.RaiseError("emit: %s", err.Error())
	}
	w.charge(L, bytesEmission)
	w.emitted = append(w.emitted, emission{source, own})
	return 0
}

// readSettings reads the second argument of emit.
func (w *worker) readSettings(L *glua.LState, t *glua.LTable, own *settings) {
	if t.Metatable == w.metaMT {
		L.RaiseError("emit: what meta says counts for this document anyway; leave the second argument out")
	}
	w.eachField(L, t, func(key, value glua.LValue) {
		name, _ := key.(glua.LString)
		field := own.field(string(name))
		if field == nil {
			L.RaiseError("emit: there is no setting %s; index, id, pipeline and routing can be set", short(key))
		}
		*field = w.settingText(L, "emit: ", name, value)
	})
}

// eachField visits the fields of an ordinary table or of an object of the event, each name once: of one that the text
// has twice the last one counts.
func (w *worker) eachField(L *glua.LState, t *glua.LTable, visit func(key, value glua.LValue)) {
	if t.Metatable != w.objectMT {
		for k, v := t.Next(glua.LNil); k != glua.LNil; k, v = t.Next(k) {
			w.step(L, 1)
			visit(k, v)
		}
		return
	}
	n := w.open(L, t)
	for i := range n.members {
		w.step(L, 1)
		name := n.key(&n.members[i])
		if n.members[i].state == deleted || n.find(name) != i {
			continue
		}
		visit(glua.LString(name), w.valueOf(L, n, i))
	}
}
