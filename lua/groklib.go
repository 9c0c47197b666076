package lua

import (
	"slices"
	"strconv"
	"strings"

	glua "github.com/yuin/gopher-lua"

	"github.com/weirlog/weir/lua/stdlib"
)

// maxDefinitions is how many patterns a script may define for one call.
const maxDefinitions = 100

// grok is grok(text, pattern [, definitions]).
func (w *worker) grok(L *glua.LState) int {
	text := w.argText(L, 1)
	g := w.compiledGrok(L)
	loc := g.Find(text, w.spend)
	if loc == nil {
		w.stopped(L)
		L.Push(glua.LNil)
		return 1
	}
	w.charge(L, len(loc)*8)
	result := w.plainTable(L, len(g.Fields))
	var wrong *stdlib.Field
	var odd string
	g.Each(text, loc, func(f *stdlib.Field, part string) bool {
		v, ok := w.typed(L, part, f.Type)
		if !ok {
			wrong, odd = f, part
			return false
		}
		w.setPath(L, result, f.Path, v)
		return true
	})
	if wrong != nil {
		return w.unfit(L, "%s: %q is no %s", wrong.Name(), stdlib.Excerpt(odd), wrong.Type)
	}
	L.Push(result)
	return 1
}

// compiledGrok returns the compiled form of arguments 2 and 3.
func (w *worker) compiledGrok(L *glua.LState) *stdlib.Grok {
	pattern := w.argText(L, 2)
	var own []definition
	key := pattern
	if L.Get(3) != glua.LNil {
		own = w.definitions(L, L.CheckTable(3))
		key = w.grokKey(L, pattern, own)
	}
	if g, ok := w.prog.compiled.groks.Get(key); ok {
		return g
	}
	w.compiling(L, stdlib.GrokCost(pattern))
	byName := make(map[string]string, len(own))
	for _, d := range own {
		byName[d.name] = d.pattern
	}
	g, err := stdlib.CompileGrok(pattern, byName)
	if err != nil {
		L.ArgError(2, err.Error())
	}
	w.prog.compiled.groks.Put(key, g, g.Weight())
	w.charge(L, g.Weight()*bytesInstruction)
	return g
}

// definition is a pattern of the script's own.
type definition struct{ name, pattern string }

// definitions reads a table of patterns by name.
func (w *worker) definitions(L *glua.LState, t *glua.LTable) []definition {
	if t.Metatable == w.objectMT {
		L.ArgError(3, "definitions are a table of the script, not an object of the event")
	}
	var own []definition
	w.eachField(L, t, func(k, v glua.LValue) {
		name, ok1 := k.(glua.LString)
		pattern, ok2 := w.asText(v)
		if !ok1 || !ok2 || len(own) == maxDefinitions {
			L.ArgError(3, "definitions are at most "+strconv.Itoa(maxDefinitions)+" patterns by name")
		}
		w.charge(L, 2*bytesHashField)
		w.step(L, 1)
		own = append(own, definition{string(name), pattern})
	})
	slices.SortFunc(own, func(a, b definition) int { return strings.Compare(a.name, b.name) })
	return own
}

// grokKey names a pattern with its definitions by their contents: the table may be another one, or the same
// with other contents, each time.
func (w *worker) grokKey(L *glua.LState, pattern string, own []definition) string {
	size := len(pattern)
	for _, d := range own {
		size += len(d.name) + len(d.pattern) + 16
	}
	w.text(L, size)
	key := append(make([]byte, 0, size), pattern...)
	for _, d := range own {
		for _, part := range []string{d.name, d.pattern} {
			key = append(strconv.AppendInt(append(key, 0), int64(len(part)), 10), 0)
			key = append(key, part...)
		}
	}
	return string(key)
}

// setPath sets a field in a table within tables, which it makes.
func (w *worker) setPath(L *glua.LState, t *glua.LTable, path []string, v glua.LValue) {
	for _, name := range path[:len(path)-1] {
		inner, ok := t.RawGetString(name).(*glua.LTable)
		if !ok {
			inner = w.plainTable(L, 0)
			w.setField(L, t, name, inner)
		}
		t = inner
	}
	w.setField(L, t, path[len(path)-1], v)
}

// typed makes the value of a part of a text; ok is false where the text is not of that type.
func (w *worker) typed(L *glua.LState, part string, t stdlib.Type) (v glua.LValue, ok bool) {
	switch t {
	case stdlib.Int:
		return w.integer(L, part)
	case stdlib.Float:
		f, ok := parseNumber(part)
		w.charge(L, 8)
		return glua.LNumber(f), ok && !strings.ContainsAny(part, "xX")
	case stdlib.Bool:
		switch strings.ToLower(part[:min(len(part), 8)]) {
		case "true", "yes", "on", "1":
			return glua.LTrue, true
		case "false", "no", "off", "0":
			return glua.LFalse, true
		}
		return nil, false
	}
	w.text(L, 0)
	return glua.LString(part), true
}

// integer reads a decimal number and leaves its fraction out, as Logstash does. One that is beyond a Lua
// number becomes an exact number.
func (w *worker) integer(L *glua.LState, part string) (glua.LValue, bool) {
	whole, fraction, _ := strings.Cut(part, ".")
	unsigned := strings.TrimLeft(whole, "+-")
	if unsigned == "" || len(whole)-len(unsigned) > 1 || strings.Trim(unsigned+fraction, "0123456789") != "" {
		return nil, false
	}
	raw := strings.TrimLeft(unsigned[:len(unsigned)-1], "0") + unsigned[len(unsigned)-1:]
	if whole[0] == '-' && raw != "0" {
		raw = "-" + raw
	}
	w.text(L, 2*len(part))
	return w.number([]byte(raw)), true
}
