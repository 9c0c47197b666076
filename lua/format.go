package lua

import (
	"fmt"
	"math"
	"strings"

	glua "github.com/yuin/gopher-lua"
)

// maxSpec bounds flags, width and precision of one conversion, as C's Lua does.
const maxSpec = 10

// strFormat is string.format. Results are bounded: a width has two digits, and text is charged for.
func (w *worker) strFormat(L *glua.LState) int {
	format := w.argText(L, 1)
	w.step(L, len(format)>>4)
	var out []byte
	charged, arg := 0, 1
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			out = append(out, format[i])
			continue
		}
		if i++; i < len(format) && format[i] == '%' {
			out = append(out, '%')
			continue
		}
		spec, verb := conversion(L, format[i:])
		i += len(spec)
		arg++
		out = w.convert(L, out, spec, verb, arg)
		w.charge(L, len(out)-charged)
		charged = len(out)
	}
	w.text(L, len(out))
	L.Push(glua.LString(out))
	return 1
}

// conversion splits flags, width and precision from the letter behind them.
func conversion(L *glua.LState, s string) (spec string, verb byte) {
	n := len(s) - len(strings.TrimLeft(s, "-+ #0"))
	digits := func(limit int) {
		for k := 0; n < len(s) && isDigit(s[n]); k++ {
			if k == limit {
				L.RaiseError("invalid format (width or precision too long)")
			}
			n++
		}
	}
	digits(2)
	if n < len(s) && s[n] == '.' {
		n++
		digits(2)
	}
	if n > maxSpec {
		L.RaiseError("invalid format (repeated flags)")
	}
	if n == len(s) {
		L.RaiseError("%s", "invalid format (ends with '%')")
	}
	return s[:n], s[n]
}

// convert appends one argument.
func (w *worker) convert(L *glua.LState, out []byte, spec string, verb byte, arg int) []byte {
	if L.GetTop() < arg {
		L.ArgError(arg, "no value")
	}
	v := L.Get(arg)
	switch verb {
	case 's':
		s := w.stringOf(L, v)
		w.step(L, len(s)>>6)
		if spec == "" {
			w.charge(L, len(s))
			return append(out, s...)
		}
		return padded(out, spec, s)
	case 'q':
		s := w.argText(L, arg)
		w.charge(L, 2*len(s))
		return quoted(out, s)
	case 'c':
		return append(out, byte(L.CheckInt(arg)))
	}
	if e, ok := exactOf(v); ok && (verb == 'd' || verb == 'i') && isInteger([]byte(e)) {
		return padded(out, spec, e)
	}
	f, ok := float(v)
	if !ok {
		L.ArgError(arg, "number expected, got "+kindOf(v, w))
	}
	switch verb {
	case 'd', 'i':
		return appendInteger(out, spec, 'd', f)
	case 'u':
		return fmt.Appendf(out, "%"+spec+"d", uint64(int64(f)))
	case 'x', 'X', 'o':
		return fmt.Appendf(out, "%"+spec+string(verb), uint64(int64(f)))
	case 'e', 'E', 'f', 'g', 'G':
		return appendFloat(out, spec, verb, f)
	}
	L.RaiseError("invalid option '%%%s' to 'format'", string(verb))
	return out
}

func appendInteger(out []byte, spec string, verb byte, f float64) []byte {
	if math.IsNaN(f) || math.Abs(f) >= math.MaxInt64 {
		return appendFloat(out, spec, 'f', f)
	}
	// With a precision, C ignores the flag 0; Go agrees.
	return fmt.Appendf(out, "%"+spec+string(verb), int64(f))
}

// appendFloat writes a float as C does: Go's %g has no default precision, its %e agrees.
func appendFloat(out []byte, spec string, verb byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return padded(out, strings.ReplaceAll(strings.SplitN(spec, ".", 2)[0], "0", ""), string(numberText(nil, f)))
	}
	if (verb == 'g' || verb == 'G') && !strings.Contains(spec, ".") {
		spec += ".6"
	}
	return fmt.Appendf(out, "%"+spec+string(verb), f)
}

// padded is %s with width and precision, both in bytes as in Lua.
func padded(out []byte, spec, s string) []byte {
	left := strings.Contains(spec, "-")
	width, precision, hasPrecision := strings.Cut(strings.TrimLeft(spec, "-+ #0"), ".")
	if hasPrecision {
		s = s[:min(len(s), atoi(precision))]
	}
	pad := max(atoi(width)-len(s), 0)
	if left {
		return append(append(out, s...), strings.Repeat(" ", pad)...)
	}
	return append(append(out, strings.Repeat(" ", pad)...), s...)
}

func atoi(s string) int {
	n := 0
	for i := range len(s) {
		n = n*10 + int(s[i]-'0')
	}
	return n
}

// quoted is %q.
func quoted(out []byte, s string) []byte {
	out = append(out, '"')
	for i := range len(s) {
		switch c := s[i]; c {
		case '"', '\\', '\n':
			out = append(out, '\\', c)
		case '\r':
			out = append(out, "\\r"...)
		case 0:
			out = append(out, "\\000"...)
		default:
			out = append(out, c)
		}
	}
	return append(out, '"')
}
