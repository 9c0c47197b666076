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
