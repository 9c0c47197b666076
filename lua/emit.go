package lua

import (
	glua "github.com/yuin/gopher-lua"
)

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
