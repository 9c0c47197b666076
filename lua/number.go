package lua

import (
	"math"
	"reflect"
	"strconv"
	"strings"
	"unsafe"

	glua "github.com/yuin/gopher-lua"
)

// exact is the value of the userdata that stands for a number which a Lua number cannot hold: an
// integer beyond 2^53, or one whose magnitude is beyond a float64. It is its text.
type exact string

// maxExact is the largest integer up to which all integers are Lua numbers.
const (
	maxExact     = 1 << 53
	maxExactText = "9007199254740992"
)

// number makes the Lua value of a JSON number. Text that the number would not be written as again
// (1.0, 1e2, 3.10) is remembered, so that it survives when the script moves the value.
func (w *worker) number(raw []byte) glua.LValue {
	if v, ok := smallInteger(raw); ok {
		w.budget.take(8)
		return glua.LNumber(v)
	}
	w.budget.take(64 + len(raw))
	w.budget.work(len(raw) >> 5)
	w.budget.grown(len(raw)) // arithmetic on it reads all of its digits
	v, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || math.Abs(v) >= maxExact && isInteger(raw) && strings.TrimPrefix(string(raw), "-") != maxExactText {
		return w.exactNumber(string(raw))
	}
	var buf [32]byte
	if string(appendNumber(buf[:0], v)) == string(raw) {
		return glua.LNumber(v)
	}
	lv := boxNumber(v)
	w.spelled[identity(lv)] = raw
	return lv
}

// exactNumber returns the one userdata of this event that stands for text, so that equal ids are equal.
func (w *worker) exactNumber(text string) glua.LValue {
	if ud := w.exacts[text]; ud != nil {
		return ud
	}
	ud := &glua.LUserData{Value: exact(text), Metatable: w.exactMT, Env: w.live}
	w.exacts[text] = ud
	return ud
}

// spelling returns the text that a number was received as, nil when it has none of its own.
func (w *worker) spelling(v glua.LValue) []byte {
	if len(w.spelled) == 0 {
		return nil
	}
	return w.spelled[identity(v)]
}

// identity tells one boxed number from another of the same value: gopher-lua copies the interface when
// it moves a value, and the box stays the same. Should that ever change, a moved 1.0 becomes 1, no more.
// Keeping the pointer keeps the box, so no other number gets its address meanwhile.
func identity(v glua.LValue) unsafe.Pointer {
	return (*[2]unsafe.Pointer)(unsafe.Pointer(&v))[1]
}

// boxNumber boxes v in memory of its own. A plain conversion would share one box for all zeros.
func boxNumber(v float64) glua.LValue {
	n := glua.LNumber(v)
	return reflect.ValueOf(&n).Elem().Interface().(glua.LValue)
}

// smallInteger reads integers of up to 15 digits, most numbers in logs, without a float parser.
func smallInteger(raw []byte) (int64, bool) {
	digits := raw
	if len(raw) > 0 && raw[0] == '-' {
		digits = raw[1:]
	}
	if len(digits) == 0 || len(digits) > 15 || len(digits) < len(raw) && digits[0] == '0' {
		return 0, false
	}
	var v int64
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		v = v*10 + int64(c-'0')
	}
	if len(digits) < len(raw) {
		v = -v
	}
	return v, true
}

func isInteger(raw []byte) bool {
	for _, c := range raw {
		if c == '.' || c == 'e' || c == 'E' {
			return false
		}
	}
	return true
}

// appendNumber writes a finite number as JSON: integers without a fraction, others as short as they can be
// without losing a bit.
func appendNumber(dst []byte, v float64) []byte {
	if v == math.Trunc(v) && math.Abs(v) < 1e15 {
		if v == 0 && math.Signbit(v) {
			return append(dst, '-', '0')
		}
		return strconv.AppendInt(dst, int64(v), 10)
	}
	if a := math.Abs(v); a < 1e-6 || a >= 1e21 {
		return strconv.AppendFloat(dst, v, 'e', -1, 64)
	}
	return strconv.AppendFloat(dst, v, 'f', -1, 64)
}

// numberText is what tostring gives.
func numberText(dst []byte, v float64) []byte {
	if v == math.Trunc(v) && math.Abs(v) < 1e15 {
		return strconv.AppendInt(dst, int64(v), 10)
	}
	switch {
	case math.IsNaN(v):
		return append(dst, "nan"...)
	case math.IsInf(v, 1):
		return append(dst, "inf"...)
	case math.IsInf(v, -1):
		return append(dst, "-inf"...)
	}
	return strconv.AppendFloat(dst, v, 'g', -1, 64)
}

// float returns what arithmetic sees of a value; ok is false for what is no number.
func float(v glua.LValue) (float64, bool) {
	switch v := v.(type) {
	case glua.LNumber:
		return float64(v), true
	case *glua.LUserData:
		if e, ok := v.Value.(exact); ok {
			f, _ := strconv.ParseFloat(string(e), 64) // out of range gives ±Inf, which is the best answer
			return f, true
		}
	case glua.LString:
		return parseNumber(string(v))
	}
	return 0, false
}

// openExact gives exact numbers arithmetic (as floats), comparison among themselves (exact for integers),
// tostring and concatenation.
func (w *worker) openExact() {
	mt := w.L.NewTable()
	arith := map[string]func(a, b float64) float64{
		"__add": func(a, b float64) float64 { return a + b },
		"__sub": func(a, b float64) float64 { return a - b },
		"__mul": func(a, b float64) float64 { return a * b },
		"__div": func(a, b float64) float64 { return a / b },
		"__pow": math.Pow,
		"__mod": func(a, b float64) float64 { return a - math.Floor(a/b)*b },
		"__unm": func(a, _ float64) float64 { return -a },
	}
	for name, op := range arith {
		mt.RawSetString(name, w.L.NewFunction(func(L *glua.LState) int {
			a, ok1 := float(L.Get(1))
			b, ok2 := float(L.Get(2))
			if name == "__unm" {
				b, ok2 = 0, true
			}
			if !ok1 || !ok2 {
				L.RaiseError("attempt to perform arithmetic on a %s and a %s value", L.Get(1).Type(), L.Get(2).Type())
			}
			L.Push(glua.LNumber(op(a, b)))
			return 1
		}))
	}
	compare := func(name string, holds func(int) bool) {
		mt.RawSetString(name, w.L.NewFunction(func(L *glua.LState) int {
			a, ok1 := exactOf(L.Get(1))
			b, ok2 := exactOf(L.Get(2))
			if !ok1 || !ok2 {
				L.RaiseError("attempt to compare two userdata values")
			}
			L.Push(glua.LBool(holds(compareExact(a, b))))
			return 1
		}))
	}
	compare("__lt", func(c int) bool { return c < 0 })
	compare("__le", func(c int) bool { return c <= 0 })
	mt.RawSetString("__tostring", w.L.NewFunction(func(L *glua.LState) int {
		e, _ := exactOf(L.Get(1))
		L.Push(glua.LString(e))
		return 1
	}))
	mt.RawSetString("__index", w.L.NewFunction(w.indexNothing))
	mt.RawSetString("__metatable", glua.LFalse)
	w.exactMT = mt
}

func exactOf(v glua.LValue) (string, bool) {
	if ud, ok := v.(*glua.LUserData); ok {
		if e, ok := ud.Value.(exact); ok {
			return string(e), true
		}
	}
	return "", false
}

// compareExact compares integers by their digits, and whatever else as floats.
func compareExact(a, b string) int {
	if !isInteger([]byte(a)) || !isInteger([]byte(b)) {
		x, _ := strconv.ParseFloat(a, 64)
		y, _ := strconv.ParseFloat(b, 64)
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	}
	negA, negB := a[0] == '-', b[0] == '-'
	if negA != negB {
		if negA {
			return -1
		}
		return 1
	}
	sign := 1
	if negA {
		sign = -1
	}
	switch {
	case len(a) != len(b):
		if len(a) < len(b) {
			return -sign
		}
		return sign
	case a < b:
		return -sign
	case a > b:
		return sign
	}
	return 0
}
