package lua

import (
	"context"
	"log/slog"
	"strconv"
	"strings"

	glua "github.com/yuin/gopher-lua"
)

// openBase registers the global functions. Not among them: dofile, load, loadfile, loadstring, require,
// module, collectgarbage, newproxy, getfenv, setfenv.
func (w *worker) openBase() {
	functions := map[string]glua.LGFunction{
		"assert": w.assert, "error": w.raise, "getmetatable": getMetatable, "setmetatable": w.setMetatable,
		"ipairs": w.ipairs, "pairs": w.pairs, "pcall": w.pcall, "xpcall": w.xpcall, "print": w.print,
		"rawequal": rawEqual, "rawget": w.rawGet, "rawset": w.rawSetFn, "select": selectArgs, "emit": w.emit,
		"tonumber": w.toNumber, "tostring": w.toString, "type": typeOf, "unpack": w.unpack,
	}
	for name, fn := range functions {
		w.base.RawSetString(name, w.L.NewFunction(fn))
	}
	w.nextFn, w.ipairsFn = w.L.NewFunction(w.next), w.L.NewFunction(w.ipairsNext)
	w.base.RawSetString("next", w.nextFn)
	w.base.RawSetString("_VERSION", glua.LString("Lua 5.1"))
}

func (w *worker) assert(L *glua.LState) int {
	L.CheckAny(1)
	if L.ToBool(1) {
		return L.GetTop()
	}
	switch m := L.Get(2).(type) {
	case *glua.LNilType:
		L.RaiseError("assertion failed")
	case glua.LString:
		w.text(L, 3*len(m))
		L.RaiseError("%s", string(m))
	default:
		L.Error(m, 1)
	}
	return 0
}

// raise is error. gopher-lua counts this function as a level of its own, except for level 1.
func (w *worker) raise(L *glua.LState) int {
	v, level := L.Get(1), L.OptInt(2, 1)
	if n, ok := v.(glua.LNumber); ok {
		v = glua.LString(numberText(nil, float64(n)))
	}
	if level > 1 {
		level++
	}
	if s, ok := v.(glua.LString); ok {
		w.text(L, 2*len(s)) // gopher-lua puts the place in front
	}
	L.Error(v, level)
	return 0
}

func getMetatable(L *glua.LState) int {
	L.Push(L.GetMetatable(L.CheckAny(1)))
	return 1
}

func (w *worker) setMetatable(L *glua.LState) int {
	t := L.CheckTable(1)
	L.CheckTypes(2, glua.LTNil, glua.LTTable)
	if old, ok := t.Metatable.(*glua.LTable); ok && old.RawGetString("__metatable") != glua.LNil {
		L.RaiseError("the metatable of this table is protected")
	}
	if mt, ok := L.Get(2).(*glua.LTable); ok && mt.Metatable == w.objectMT {
		L.RaiseError("an object of the event cannot be a metatable")
	}
	t.Metatable = L.Get(2)
	L.SetTop(1)
	return 1
}

const (
	maxPrints    = 16   // lines of one event that reach the log
	maxPrintText = 1024 // bytes of a line
)

// print goes to the debug log.
func (w *worker) print(L *glua.LState) int {
	w.step(L, 16)
	if w.prints++; w.prints > maxPrints || !w.opts.Logger.Enabled(context.Background(), slog.LevelDebug) {
		return 0
	}
	var parts []string
	for i := 1; i <= L.GetTop() && i <= 32; i++ {
		s := w.stringOf(L, L.Get(i))
		parts = append(parts, s[:min(len(s), maxPrintText)])
	}
	line := strings.Join(parts, "\t")
	line = line[:min(len(line), maxPrintText)]
	w.opts.Logger.Debug("script prints", "component", "lua", "script", w.prog.version, "text", line)
	return 0
}

func rawEqual(L *glua.LState) int {
	L.Push(glua.LBool(L.CheckAny(1) == L.CheckAny(2)))
	return 1
}

func selectArgs(L *glua.LState) int {
	if s, ok := L.Get(1).(glua.LString); ok && s == "#" {
		L.Push(glua.LNumber(L.GetTop() - 1))
		return 1
	}
	i, n := L.CheckInt(1), L.GetTop()
	if i < 0 {
		i += n
	}
	if i < 1 {
		L.ArgError(1, "index out of range")
	}
	return max(n-i, 0)
}

func (w *worker) toNumber(L *glua.LState) int {
	v := L.CheckAny(1)
	base := L.OptInt(2, 10)
	if base < 2 || base > 36 {
		L.ArgError(2, "base out of range")
	}
	if base == 10 {
		if _, ok := v.(glua.LNumber); ok {
			L.Push(v)
		} else if f, ok := float(v); ok {
			L.Push(glua.LNumber(f))
		} else {
			L.Push(glua.LNil)
		}
		return 1
	}
	s := strings.TrimSpace(w.argText(L, 1))
	if len(s) > maxNumeral {
		L.Push(glua.LNil)
		return 1
	}
	s, negative := strings.CutPrefix(strings.ToLower(s), "-")
	if base == 16 {
		s = strings.TrimPrefix(s, "0x")
	}
	n, err := strconv.ParseUint(s, base, 64)
	switch {
	case err == nil && negative:
		L.Push(glua.LNumber(-float64(n)))
	case err == nil:
		L.Push(glua.LNumber(n))
	default:
		L.Push(glua.LNil)
	}
	return 1
}

// maxNumeral is how long a text can be that is taken for a number.
const maxNumeral = 4096

// parseNumber reads a number as Lua does: decimal, with exponent, or hexadecimal, white space around it.
func parseNumber(s string) (float64, bool) {
	s = strings.Trim(s, " \t\n\r\v\f")
	if s == "" || len(s) > maxNumeral {
		return 0, false
	}
	digits := s
	if s[0] == '+' || s[0] == '-' {
		digits = s[1:]
	}
	if len(digits) > 2 && digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X') {
		n, err := strconv.ParseUint(digits[2:], 16, 64)
		if s[0] == '-' {
			return -float64(n), err == nil
		}
		return float64(n), err == nil
	}
	if strings.ContainsAny(s, "_xXpPiInN") {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	if ne, ok := err.(*strconv.NumError); ok && ne.Err == strconv.ErrRange {
		err = nil
	}
	return f, err == nil
}

func (w *worker) toString(L *glua.LState) int {
	v := L.CheckAny(1)
	if _, ok := v.(glua.LString); ok {
		L.Push(v)
		return 1
	}
	if fn := L.GetMetaField(v, "__tostring"); fn != glua.LNil && v.Type() != glua.LTUserData {
		L.Push(fn)
		L.Push(v)
		L.Call(1, 1) // whatever it gives, as Lua 5.1 has it
		return 1
	}
	s := w.stringOf(L, v)
	w.text(L, len(s))
	L.Push(glua.LString(s))
	return 1
}

// stringOf is tostring: numbers in our spelling, __tostring where there is one.
func (w *worker) stringOf(L *glua.LState, v glua.LValue) string {
	if s, ok := w.asText(v); ok {
		return s
	}
	if fn := L.GetMetaField(v, "__tostring"); fn != glua.LNil {
		L.Push(fn)
		L.Push(v)
		L.Call(1, 1)
		s, ok := w.asText(L.Get(-1))
		L.Pop(1)
		if !ok {
			L.RaiseError("__tostring must return a string")
		}
		return s
	}
	return v.String()
}

// typeNames are values so that type() does not allocate.
var typeNames = func() (t [9]glua.LValue) {
	for i := range t {
		t[i] = glua.LString(glua.LValueType(i).String())
	}
	return t
}()

func typeOf(L *glua.LState) int {
	L.Push(typeNames[L.CheckAny(1).Type()])
	return 1
}

func (w *worker) unpack(L *glua.LState) int {
	t := L.CheckTable(1)
	from, to := L.OptInt(2, 1), L.OptInt(3, t.Len())
	if to < from {
		return 0
	}
	if to-from >= registryMax/2 || to-from < 0 {
		L.RaiseError("too many values to unpack")
	}
	n := to - from + 1
	w.step(L, n>>4)
	for i := from; i <= to; i++ {
		L.Push(t.RawGetInt(i))
	}
	return n
}
