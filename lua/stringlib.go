package lua

import (
	"strings"

	glua "github.com/yuin/gopher-lua"
)

// stringFunctions replace gopher-lua's, which know no limits and are not Lua's in details.
func (w *worker) stringFunctions() map[string]glua.LGFunction {
	return map[string]glua.LGFunction{
		"byte": w.strByte, "char": w.strChar, "find": w.strFind, "format": w.strFormat, "gmatch": w.strGmatch,
		"gsub": w.strGsub, "len": w.strLen, "lower": w.strLower, "match": w.strMatch, "rep": w.strRep,
		"reverse": w.strReverse, "sub": w.strSub, "upper": w.strUpper,
	}
}

// position turns Lua's index, which may count from the end, into one from 1; it may lie outside.
func position(i, length int) int {
	if i < 0 {
		return max(i+length+1, 0)
	}
	return i
}

func (w *worker) strByte(L *glua.LState) int {
	s := w.argText(L, 1)
	from := position(L.OptInt(2, 1), len(s))
	to := position(L.OptInt(3, from), len(s))
	from, to = max(from, 1), min(to, len(s))
	if to-from >= registryMax/2 {
		L.RaiseError("string slice too long")
	}
	w.charge(L, max(to-from, 0)*8)
	for i := from; i <= to; i++ {
		L.Push(glua.LNumber(s[i-1]))
	}
	return max(to-from+1, 0)
}

func (w *worker) strChar(L *glua.LState) int {
	buf := make([]byte, L.GetTop())
	w.text(L, len(buf))
	for i := range buf {
		c := L.CheckInt(i + 1)
		if c < 0 || c > 255 {
			L.ArgError(i+1, "invalid value")
		}
		buf[i] = byte(c)
	}
	L.Push(glua.LString(buf))
	return 1
}

func (w *worker) strLen(L *glua.LState) int {
	L.Push(glua.LNumber(len(w.argText(L, 1))))
	return 1
}

func (w *worker) strSub(L *glua.LState) int {
	s := w.argText(L, 1)
	from := max(position(L.CheckInt(2), len(s)), 1)
	to := min(position(L.OptInt(3, -1), len(s)), len(s))
	if from > to {
		L.Push(glua.LString(""))
		return 1
	}
	w.text(L, 0)
	L.Push(glua.LString(s[from-1 : to]))
	return 1
}

// mapped returns s with every byte mapped.
func (w *worker) mapped(L *glua.LState, f func(byte) byte) int {
	s := w.argText(L, 1)
	w.text(L, len(s))
	buf := make([]byte, len(s))
	for i := range buf {
		buf[i] = f(s[i])
	}
	L.Push(glua.LString(buf))
	return 1
}

func (w *worker) strLower(L *glua.LState) int {
	return w.mapped(L, func(c byte) byte {
		if c >= 'A' && c <= 'Z' {
			return c | 0x20
		}
		return c
	})
}

func (w *worker) strUpper(L *glua.LState) int {
	return w.mapped(L, func(c byte) byte {
		if c >= 'a' && c <= 'z' {
			return c &^ 0x20
		}
		return c
	})
}

func (w *worker) strReverse(L *glua.LState) int {
	s := w.argText(L, 1)
	i := len(s)
	return w.mapped(L, func(byte) byte { i--; return s[i] })
}

func (w *worker) strRep(L *glua.LState) int {
	s, n := w.argText(L, 1), L.CheckInt(2)
	if n <= 0 || len(s) == 0 {
		L.Push(glua.LString(""))
		return 1
	}
	if int64(n) > w.budget.maxMemory || int64(len(s)) > w.budget.maxMemory {
		w.charge(L, int(w.budget.maxMemory)+1)
	}
	w.text(L, len(s)*n)
	L.Push(glua.LString(strings.Repeat(s, n)))
	return 1
}

func (w *worker) strFind(L *glua.LState) int  { return w.search(L, true) }
func (w *worker) strMatch(L *glua.LState) int { return w.search(L, false) }

func (w *worker) search(L *glua.LState, find bool) int {
	m := w.matcher(L)
	defer m.done()
	from := max(position(L.OptInt(3, 1), len(m.src)), 1) - 1
	if from > len(m.src) {
		from = len(m.src) // as Lua 5.1 has it
	}
	if find && (L.ToBool(4) || !strings.ContainsAny(m.pat, "^$*+?.([%-")) {
		w.step(L, (len(m.src)-from)>>6)
		i := strings.Index(m.src[from:], m.pat)
		if i < 0 {
			L.Push(glua.LNil)
			return 1
		}
		L.Push(glua.LNumber(from + i + 1))
		L.Push(glua.LNumber(from + i + len(m.pat)))
		return 2
	}
	s, e, ok := m.find(from)
	if !ok {
		L.Push(glua.LNil)
		return 1
	}
	if !find {
		return m.pushCaptures(s, e, true)
	}
	L.Push(glua.LNumber(s + 1))
	L.Push(glua.LNumber(e))
	return 2 + m.pushCaptures(s, e, false)
}

func (w *worker) strGmatch(L *glua.LState) int {
	m := w.matcher(L)
	w.charge(L, bytesFunction+maxCaptures*16)
	from := 0
	L.Push(L.NewFunction(func(L *glua.LState) int {
		m.L = L
		for from <= len(m.src) {
			s, ok := m.next(from)
			if !ok {
				break
			}
			m.n, m.deep = 0, 0
			e := m.at(s, 0) // an anchor has no meaning here: it would stop the iteration
			if e < 0 {
				from = s + 1
				continue
			}
			from = e
			if e == s {
				from++
			}
			return m.pushCaptures(s, e, true)
		}
		L.Push(glua.LNil)
		return 1
	}))
	return 1
}

func (w *worker) strGsub(L *glua.LState) int {
	m := w.matcher(L)
	defer m.done()
	L.CheckTypes(3, glua.LTNumber, glua.LTString, glua.LTTable, glua.LTFunction)
	limit := L.OptInt(4, len(m.src)+1)
	p := 0
	if strings.HasPrefix(m.pat, "^") {
		p = 1
	}
	var out []byte
	s, count := 0, 0
	w.charge(L, len(m.src)) // what is not replaced
	for count < limit {
		begin, ok := m.next(s)
		if !ok {
			break
		}
		out = append(out, m.src[s:begin]...)
		s = begin
		m.n, m.deep = 0, 0
		e := m.at(s, p)
		if e >= 0 {
			count++
			out = m.replace(out, s, e)
		}
		switch {
		case e > s:
			s = e
		case s < len(m.src):
			out = append(out, m.src[s])
			s++
		default:
			s++
		}
		if s > len(m.src) || p == 1 {
			break
		}
	}
	if s < len(m.src) {
		out = append(out, m.src[s:]...)
	}
	w.text(L, len(out))
	L.Push(glua.LString(out))
	L.Push(glua.LNumber(count))
	return 2
}

// replace appends what the match from s to e is replaced by.
func (m *matcher) replace(out []byte, s, e int) []byte {
	var v glua.LValue
	switch repl := m.L.Get(3).(type) {
	case glua.LString:
		return m.template(out, string(repl), s, e)
	case glua.LNumber:
		return numberText(out, float64(repl))
	case *glua.LTable:
		v = m.L.GetTable(repl, m.capture(0, s, e))
	default:
		m.L.Push(repl)
		n := m.pushCaptures(s, e, true)
		m.L.Call(n, 1)
		v = m.L.Get(-1)
		m.L.Pop(1)
	}
	if v == glua.LNil || v == glua.LFalse {
		return append(out, m.src[s:e]...)
	}
	text, ok := m.w.asText(v)
	if !ok {
		m.fail("invalid replacement value (a " + kindOf(v, m.w) + ")")
	}
	m.w.charge(m.L, len(text))
	return append(out, text...)
}

// template appends a replacement text with its captures. Each one is paid for: a long template with a long
// match multiplies.
func (m *matcher) template(out []byte, repl string, s, e int) []byte {
	m.w.charge(m.L, len(repl))
	m.w.step(m.L, len(repl)>>6)
	for i := 0; i < len(repl); i++ {
		c := repl[i]
		if c != '%' {
			out = append(out, c)
			continue
		}
		if i++; i == len(repl) {
			return append(out, '%')
		}
		switch c = repl[i]; {
		case c == '0':
			m.w.charge(m.L, e-s)
			out = append(out, m.src[s:e]...)
		case isDigit(c):
			text, _ := m.w.asText(m.capture(int(c-'1'), s, e))
			m.w.charge(m.L, len(text))
			out = append(out, text...)
		default:
			out = append(out, c)
		}
	}
	return out
}
