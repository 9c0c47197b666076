package lua

import (
	"math"

	glua "github.com/yuin/gopher-lua"
)

func init() {
	// The table "arg" of Lua 5.0, which gopher-lua builds for variadic functions unasked and unaccounted.
	glua.CompatVarArg = false
}

// openLibraries builds what a script can reach. What is not named here does not exist for it.
func (w *worker) openLibraries() {
	L := w.L
	w.frozen = map[*glua.LTable]bool{}
	w.base, w.live = L.NewTable(), L.CreateTable(0, 0)
	w.openView()
	w.openExact()
	w.openMeta()
	w.openState()
	w.openBase()
	strings := w.library("string", w.stringFunctions(), nil)
	strings.RawSetString("gfind", strings.RawGetString("gmatch")) // its name in Lua 5.0
	w.library("table", w.tableFunctions(), nil)
	w.library("math", w.mathFunctions(), map[string]glua.LValue{"pi": glua.LNumber(math.Pi), "huge": glua.LNumber(math.Inf(1))})
	w.library("coroutine", w.coroutineFunctions(), nil)
	w.library("json", w.jsonFunctions(), map[string]glua.LValue{"null": w.null})
	w.openParsing()
	w.openHashes()
	w.base.RawSetString("redact", L.NewFunction(w.redactFn))
	w.openLog()
	w.openMetric()

	methods := L.NewTable() // where ("x"):upper() looks
	methods.RawSetString("__index", strings)
	methods.RawSetString("__metatable", glua.LFalse)
	L.SetMetatable(glua.LString(""), methods)

	globals := L.NewTable()
	globals.RawSetString("__index", w.base)
	globals.RawSetString("__newindex", L.NewFunction(w.setGlobal))
	globals.RawSetString("__metatable", glua.LFalse)
	w.live.Metatable = globals
	w.frozen[w.live] = true
	w.base.RawSetString("_G", w.live)
}

// library registers functions and values under a global name, behind a table that scripts cannot change.
// It returns the table that they do not see.
func (w *worker) library(name string, functions map[string]glua.LGFunction, values map[string]glua.LValue) *glua.LTable {
	lib := w.L.CreateTable(0, len(functions)+len(values))
	for n, fn := range functions {
		lib.RawSetString(n, w.L.NewFunction(fn))
	}
	for n, v := range values {
		lib.RawSetString(n, v)
	}
	mt := w.L.CreateTable(0, 3)
	mt.RawSetString("__index", lib)
	mt.RawSetString("__newindex", w.L.NewFunction(func(L *glua.LState) int {
		L.RaiseError("the library %s cannot be changed", name)
		return 0
	}))
	mt.RawSetString("__metatable", glua.LFalse)
	front := w.L.CreateTable(0, 0)
	front.Metatable = mt
	w.frozen[front] = true
	w.base.RawSetString(name, front)
	return lib
}

// accessors makes the metatable of an empty table whose fields are kept elsewhere.
func (w *worker) accessors(get func(key glua.LValue) glua.LValue, set func(L *glua.LState, key, value glua.LValue)) *glua.LTable {
	mt := w.L.NewTable()
	mt.RawSetString("__index", w.L.NewFunction(func(L *glua.LState) int {
		L.Push(get(L.Get(2)))
		return 1
	}))
	mt.RawSetString("__newindex", w.L.NewFunction(func(L *glua.LState) int {
		set(L, L.Get(2), L.Get(3))
		return 0
	}))
	mt.RawSetString("__metatable", glua.LFalse)
	return mt
}

// openView makes the metatables of tables that came from JSON.
func (w *worker) openView() {
	L := w.L
	w.objectMT, w.listMT = L.NewTable(), L.NewTable()
	w.objectMT.RawSetString("__index", L.NewFunction(w.index))
	w.objectMT.RawSetString("__newindex", L.NewFunction(w.newIndexHook))
	w.objectMT.RawSetString("__metatable", glua.LFalse)
	w.listMT.RawSetString("__metatable", glua.LFalse)
	nullMT := L.NewTable()
	nullMT.RawSetString("__tostring", L.NewFunction(func(L *glua.LState) int {
		L.Push(glua.LString("null"))
		return 1
	}))
	nullMT.RawSetString("__index", L.NewFunction(w.indexNothing))
	nullMT.RawSetString("__metatable", glua.LFalse)
	w.null = &glua.LUserData{Metatable: nullMT, Env: w.live}
}

// setGlobal is an assignment to a global that the event at hand has not assigned yet. While the script is
// loaded it defines a global for good; later it lasts until the event ends.
func (w *worker) setGlobal(L *glua.LState) int {
	name, ok := L.Get(2).(glua.LString)
	if !ok {
		L.RaiseError("the name of a global must be a string")
	}
	if name == stateName && w.keeps {
		L.RaiseError("state cannot be assigned by an event, only its fields")
	}
	value := L.Get(3)
	w.newEntry(L, bytesHashField)
	if w.loading {
		w.base.RawSetString(string(name), value)
		return 0
	}
	if value == glua.LNil && w.base.RawGetString(string(name)) != glua.LNil {
		L.RaiseError("the global %s was defined when the script was loaded and cannot be removed", string(name))
	}
	w.dirty = append(w.dirty, string(name))
	w.names[string(name)] = struct{}{}
	w.live.RawSetString(string(name), value)
	return 0
}

// hooks are the arguments of a rewritten main chunk, in the order of the names there.
func (w *worker) hooks() []glua.LValue {
	accounted := w.L.NewFunction(func(L *glua.LState) int {
		w.charge(L, int(L.Get(2).(glua.LNumber)))
		L.SetTop(1)
		return 1
	})
	return []glua.LValue{
		w.L.NewFunction(w.concat),
		w.L.NewFunction(w.set),
		accounted, // hookTable
		w.L.NewFunction(w.extend),
		w.L.NewFunction(func(L *glua.LState) int {
			// A list is filled up to the index that is set, also by a constructor.
			if i, ok := L.Get(1).(glua.LNumber); ok && i > 1 && i < glua.LNumber(glua.MaxArrayIndex) {
				w.charge(L, int(i)*bytesArraySlot)
			}
			L.SetTop(1)
			return 1
		}),
		accounted, // hookFunc
		w.L.NewFunction(func(L *glua.LState) int { return L.GetTop() }),
		w.L.NewFunction(w.readPath),
	}
}

// extend ends a table constructor whose last item yields many values.
func (w *worker) extend(L *glua.LState) int {
	const fixed = 3
	t, n := L.Get(1).(*glua.LTable), int(L.Get(3).(glua.LNumber))
	top := L.GetTop()
	for top > fixed && L.Get(top) == glua.LNil {
		top--
	}
	w.charge(L, int(L.Get(2).(glua.LNumber))+(top-fixed)*bytesArraySlot)
	w.step(L, (top-fixed)>>4)
	w.budget.grown(top - fixed + 1)
	for i := fixed + 1; i <= top; i++ {
		t.RawSetInt(n+i-fixed, L.Get(i))
	}
	L.SetTop(1)
	return 1
}

// concat is the operator .. for any number of operands, from right to left as Lua has it.
func (w *worker) concat(L *glua.LState) int {
	n := L.GetTop()
	size := 0
	for i := 1; i <= n; i++ {
		switch v := L.Get(i).(type) {
		case glua.LString:
			size += len(v)
		case glua.LNumber:
			size += 24
		default:
			return w.concatSlowly(L, n)
		}
	}
	w.text(L, size)
	buf := w.scratch[:0]
	for i := 1; i <= n; i++ {
		switch v := L.Get(i).(type) {
		case glua.LString:
			buf = append(buf, v...)
		case glua.LNumber:
			buf = numberText(buf, float64(v))
		}
	}
	w.scratch = buf
	L.Push(w.texts.value(buf))
	return 1
}

// concatSlowly goes pair by pair, with metatables.
func (w *worker) concatSlowly(L *glua.LState, n int) int {
	right := L.Get(n)
	for i := n - 1; i >= 1; i-- {
		left := L.Get(i)
		a, ok1 := w.asText(left)
		b, ok2 := w.asText(right)
		if ok1 && ok2 {
			w.text(L, len(a)+len(b))
			right = glua.LString(a + b)
			continue
		}
		op := L.GetMetaField(left, "__concat")
		if op == glua.LNil {
			op = L.GetMetaField(right, "__concat")
		}
		if op == glua.LNil {
			bad, at := left, i
			if ok1 {
				bad, at = right, n // or it is what a metamethod gave
			}
			if at == n && i < n-1 {
				at = 0
			}
			L.RaiseError("attempt to concatenate %s", w.operand(L, at, bad))
		}
		L.Push(op)
		L.Push(left)
		L.Push(right)
		L.Call(2, 1)
		right = L.Get(-1)
		L.Pop(1)
	}
	L.Push(right)
	return 1
}

// asText converts what Lua converts to a string by itself: strings and numbers, exact ones too.
func (w *worker) asText(v glua.LValue) (string, bool) {
	switch v := v.(type) {
	case glua.LString:
		return string(v), true
	case glua.LNumber:
		var buf [32]byte
		return string(numberText(buf[:0], float64(v))), true
	}
	return exactOf(v)
}

// argText is an argument that must be a string, or a number that becomes one.
func (w *worker) argText(L *glua.LState, i int) string {
	s, ok := w.asText(L.Get(i))
	if !ok {
		L.ArgError(i, "string expected, got "+kindOf(L.Get(i), w))
	}
	return s
}
