package lua

import (
	"fmt"
	"slices"
	"strings"

	glua "github.com/yuin/gopher-lua"

	"github.com/weirlog/weir/lua/stdlib"
)

// compiled holds what a script's patterns and formats were compiled to. All states of the script share it,
// and it outlives them; see stdlib.Cache.
type compiled struct {
	regexes *stdlib.Cache[*stdlib.Regex]
	groks   *stdlib.Cache[*stdlib.Grok]
	formats *stdlib.Cache[*stdlib.TimeFormat]
}

const (
	maxCompiled     = 256     // of each kind
	maxInstructions = 100_000 // of all regexes together, some 4 MB; twice that for grok
	// bytesInstruction is what a compiled pattern takes for each unit of its weight, at most.
	bytesInstruction = 128
)

func newCompiled() *compiled {
	return &compiled{
		regexes: stdlib.NewCache[*stdlib.Regex](maxCompiled, maxInstructions),
		groks:   stdlib.NewCache[*stdlib.Grok](maxCompiled, 2*maxInstructions),
		formats: stdlib.NewCache[*stdlib.TimeFormat](maxCompiled, maxCompiled),
	}
}

// openParsing registers the functions that read times, patterns and the texts that logs are made of.
func (w *worker) openParsing() {
	w.library("time", map[string]glua.LGFunction{"parse": w.timeParse, "format": w.timeFormat}, nil)
	w.library("re", map[string]glua.LGFunction{"match": w.reMatch, "find": w.reFind, "gsub": w.reGsub}, nil)
	w.library("url", map[string]glua.LGFunction{"parse": w.urlParse}, nil)
	w.library("ip", map[string]glua.LGFunction{"cidr_match": w.cidrMatch}, nil)
	for name, fn := range map[string]glua.LGFunction{"grok": w.grok, "kv": w.keyValues, "csv": w.csv} {
		w.base.RawSetString(name, w.L.NewFunction(fn))
	}
}

// unfit gives nil and a message, for text that is not what it was taken for.
func (w *worker) unfit(L *glua.LState, format string, args ...any) int {
	message := fmt.Sprintf(format, args...)
	w.text(L, len(message))
	L.Push(glua.LNil)
	L.Push(glua.LString(message))
	return 2
}

// stopped raises when a function of stdlib came back because there was no time left.
func (w *worker) stopped(L *glua.LState) {
	if w.budget.tripped != "" {
		w.raiseOverrun(L)
	}
}

// compiling accounts for compiling a pattern at a cost of so many bytes.
func (w *worker) compiling(L *glua.LState, cost int) {
	w.charge(L, cost)
	w.step(L, window)
}

// plainTable makes an ordinary table for so many fields.
func (w *worker) plainTable(L *glua.LState, fields int) *glua.LTable {
	w.charge(L, bytesEmptyTable)
	return L.CreateTable(0, min(fields, 32))
}

// setField sets a field of a table that a library function is making.
func (w *worker) setField(L *glua.LState, t *glua.LTable, name string, value glua.LValue) {
	w.step(L, 1)
	w.rawSet(L, t, glua.LString(name), value)
}

// setText sets a field to a text that is new, or a part of one.
func (w *worker) setText(L *glua.LState, t *glua.LTable, name, text string) {
	w.text(L, 0)
	w.setField(L, t, name, glua.LString(text))
}

// options returns the table of options that argument i is, nil where there is none. Names that are not
// among those given are refused: a misspelt option would be left out in silence.
func (w *worker) options(L *glua.LState, i int, names ...string) *glua.LTable {
	if L.Get(i) == glua.LNil {
		return nil
	}
	t := L.CheckTable(i)
	if t.Metatable == w.objectMT {
		return t
	}
	for k, _ := t.Next(glua.LNil); k != glua.LNil; k, _ = t.Next(k) {
		if name, ok := k.(glua.LString); !ok || !slices.Contains(names, string(name)) {
			L.ArgError(i, fmt.Sprintf("there is no option %s, but %s", short(k), strings.Join(names, ", ")))
		}
	}
	return t
}

// option returns the value of an option, nil in Lua where it is not set.
func (w *worker) option(L *glua.LState, t *glua.LTable, name string) glua.LValue {
	if t == nil {
		return glua.LNil
	}
	return L.GetField(t, name)
}

// optionText is an option that must be a text.
func (w *worker) optionText(L *glua.LState, t *glua.LTable, name, fallback string) string {
	v := w.option(L, t, name)
	if v == glua.LNil {
		return fallback
	}
	s, ok := w.asText(v)
	if !ok {
		L.RaiseError("the option %s must be a string, not a %s", name, kindOf(v, w))
	}
	return s
}

// maxTexts is how many texts a list of names, formats or networks may have.
const maxTexts = 1000

// textList reads a list of at most so many texts; what names it in messages.
func (w *worker) textList(L *glua.LState, v glua.LValue, what string, most int) []string {
	t, ok := v.(*glua.LTable)
	if !ok || t.Metatable == w.objectMT {
		L.RaiseError("%s must be a list of strings, not a %s", what, kindOf(v, w))
	}
	n := t.Len()
	if n > most {
		L.RaiseError("%s may have %d elements, not %d", what, most, n)
	}
	w.charge(L, n*16)
	w.step(L, 1+n>>2)
	list := make([]string, n)
	for i := range list {
		if list[i], ok = w.asText(t.RawGetInt(i + 1)); !ok {
			L.RaiseError("%s: element %d is a %s, not a string", what, i+1, kindOf(t.RawGetInt(i+1), w))
		}
	}
	return list
}
