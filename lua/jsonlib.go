package lua

import (
	"encoding/json"
	"unicode/utf8"

	glua "github.com/yuin/gopher-lua"

	"github.com/weirlog/weir/flush/rawjson"
)

func (w *worker) jsonFunctions() map[string]glua.LGFunction {
	return map[string]glua.LGFunction{
		"encode": w.jsonEncode, "decode": w.jsonDecode, "array": w.jsonArray, "object": w.jsonObject,
	}
}

func (w *worker) jsonEncode(L *glua.LState) int {
	w.pass++
	out, err := w.encodeValue(nil, L.CheckAny(1), 1)
	if err == errOverrun {
		w.raiseOverrun(L)
	}
	if err != nil {
		L.RaiseError("json.encode: %s", err.Error())
	}
	w.text(L, len(out))
	L.Push(glua.LString(out))
	return 1
}

// jsonDecode checks the whole text, then decodes as lazily as the event itself.
func (w *worker) jsonDecode(L *glua.LState) int {
	s := w.argText(L, 1)
	w.text(L, len(s))
	w.step(L, len(s)>>4)
	raw := []byte(s)
	if !json.Valid(raw) || !utf8.Valid(raw) || !shallow(raw) {
		L.RaiseError("json.decode: the text is not JSON")
	}
	v := w.decode(rawjson.Trim(raw))
	if w.budget.tripped != "" {
		w.raiseOverrun(L)
	}
	L.Push(v)
	return 1
}

// shallow reports whether valid JSON is nested no deeper than an event may be.
func shallow(raw []byte) bool {
	depth, quoted := 0, false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return false
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return true
}

// jsonArray marks a table as a list, so that it is [] when it is empty; without an argument it makes one.
func (w *worker) jsonArray(L *glua.LState) int {
	t := w.newTable(w.listMT)
	if L.GetTop() == 0 {
		w.charge(L, bytesEmptyTable)
	} else {
		t = L.CheckTable(1)
		switch t.Metatable {
		case w.listMT:
		case glua.LNil:
			t.Metatable = w.listMT
		default:
			L.RaiseError("json.array: this table cannot become a list")
		}
	}
	L.Push(t)
	return 1
}

// jsonObject makes an object with the fields of a table. It keeps the order in which they are set, and is
// {} when it is empty.
func (w *worker) jsonObject(L *glua.LState) int {
	n := w.newObject(nil)
	n.scanned = true
	w.charge(L, bytesNode)
	if L.GetTop() > 0 {
		t := L.CheckTable(1)
		if t.Metatable == w.objectMT {
			L.Push(t)
			return 1
		}
		w.eachField(L, t, func(k, v glua.LValue) { w.assignMember(L, n.table, k, v) })
	}
	L.Push(n.table)
	return 1
}
