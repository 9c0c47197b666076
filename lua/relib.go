package lua

import (
	"unicode/utf8"

	glua "github.com/yuin/gopher-lua"

	"github.com/weirlog/weir/lua/stdlib"
)

// regex returns the compiled form of argument i, a RE2 pattern; one that does not compile is an error.
func (w *worker) regex(L *glua.LState, i int) *stdlib.Regex {
	pattern := w.argText(L, i)
	if re, ok := w.prog.compiled.regexes.Get(pattern); ok {
		return re
	}
	w.compiling(L, stdlib.CompileCost(pattern))
	re, err := stdlib.CompileRegex(pattern)
	if err != nil {
		L.ArgError(i, err.Error())
	}
	if re.Groups() > maxCaptures {
		L.ArgError(i, "too many captures")
	}
	w.prog.compiled.regexes.Put(pattern, re, re.Weight())
	w.charge(L, re.Weight()*bytesInstruction)
	return re
}

// found makes a match of a regex one of the matcher that string.* use, so that captures and replacements
// mean the same there and here. It returns where the match begins and ends.
func (m *matcher) found(loc []int) (s, e int) {
	m.n = len(loc)/2 - 1
	for i := range m.n {
		from, to := loc[2*i+2], loc[2*i+3]
		m.capt[i].start, m.capt[i].length = from, to-from
		if from < 0 {
			m.capt[i].length = captureAbsent
		}
	}
	return loc[0], loc[1]
}

func (w *worker) reMatch(L *glua.LState) int { return w.reSearch(L, false) }
func (w *worker) reFind(L *glua.LState) int  { return w.reSearch(L, true) }

// reSearch is re.match and re.find. The text begins at init, as it does for string.find: ^ matches there.
func (w *worker) reSearch(L *glua.LState, find bool) int {
	m := w.bareMatcher(L)
	defer m.done()
	re := w.regex(L, 2)
	from := max(position(L.OptInt(3, 1), len(m.src)), 1) - 1
	from = min(from, len(m.src))
	m.src = m.src[from:]
	loc := re.Find(m.src, w.spend)
	if loc == nil {
		w.stopped(L)
		L.Push(glua.LNil)
		return 1
	}
	w.charge(L, len(loc)*8)
	s, e := m.found(loc)
	if !find {
		return m.pushCaptures(s, e, true)
	}
	L.Push(glua.LNumber(from + s + 1))
	L.Push(glua.LNumber(from + e))
	return 2 + m.pushCaptures(s, e, false)
}

// reGsub is re.gsub. As RE2 has it, an empty match directly behind another match is none.
func (w *worker) reGsub(L *glua.LState) int {
	m := w.bareMatcher(L)
	defer m.done()
	re := w.regex(L, 2)
	L.CheckTypes(3, glua.LTNumber, glua.LTString, glua.LTTable, glua.LTFunction)
	limit := L.OptInt(4, len(m.src)+1)
	var out []byte
	copied, count, last := 0, 0, -1
	w.charge(L, len(m.src)) // what is not replaced
	for at := 0; count < limit && at <= len(m.src); {
		w.step(L, 1)
		loc := re.FindNext(m.src, at, w.spend)
		if loc == nil {
			w.stopped(L)
			break
		}
		w.charge(L, len(loc)*8)
		s, e := m.found(loc)
		if at = e; s == e {
			_, width := utf8.DecodeRuneInString(m.src[e:])
			at += max(width, 1)
		}
		if s == e && s == last {
			continue
		}
		out = m.replace(append(out, m.src[copied:s]...), s, e)
		copied, last = e, e
		count++
	}
	out = append(out, m.src[copied:]...)
	w.text(L, len(out))
	L.Push(glua.LString(out))
	L.Push(glua.LNumber(count))
	return 2
}
