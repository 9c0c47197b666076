package lua

import (
	"sort"

	glua "github.com/yuin/gopher-lua"
)

func (w *worker) tableFunctions() map[string]glua.LGFunction {
	return map[string]glua.LGFunction{
		"insert": w.tableInsert, "remove": w.tableRemove, "concat": w.tableConcat, "sort": w.tableSort,
		"getn": w.tableGetn, "maxn": w.tableMaxn,
	}
}

func (w *worker) list(L *glua.LState) *glua.LTable {
	t := L.CheckTable(1)
	w.checkWritable(L, t)
	return t
}

func (w *worker) tableInsert(L *glua.LState) int {
	t := w.list(L)
	n := t.Len()
	switch L.GetTop() {
	case 2:
		w.rawSet(L, t, glua.LNumber(n+1), L.Get(2))
	case 3:
		at := L.CheckInt(2)
		if at < 1 || at > n+1 {
			w.rawSet(L, t, L.Get(2), L.Get(3))
			return 0
		}
		w.newEntry(L, bytesArraySlot)
		w.budget.grown(n)
		w.step(L, (n-at)>>4)
		for i := n; i >= at; i-- {
			t.RawSetInt(i+1, t.RawGetInt(i))
		}
		t.RawSetInt(at, L.Get(3))
	default:
		L.RaiseError("wrong number of arguments to 'insert'")
	}
	return 0
}

func (w *worker) tableRemove(L *glua.LState) int {
	t := w.list(L)
	n := t.Len()
	at := L.OptInt(2, n)
	if at < 1 || at > n {
		return 0
	}
	w.step(L, (n-at)>>4)
	v := t.RawGetInt(at)
	for i := at; i < n; i++ {
		t.RawSetInt(i, t.RawGetInt(i+1))
	}
	t.RawSetInt(n, glua.LNil)
	L.Push(v)
	return 1
}

func (w *worker) tableConcat(L *glua.LState) int {
	t := w.list(L)
	sep := ""
	if L.Get(2) != glua.LNil {
		sep = w.argText(L, 2)
	}
	from, to := L.OptInt(3, 1), L.OptInt(4, t.Len())
	var buf []byte
	for i := from; i <= to; i++ {
		v := t.RawGetInt(i)
		s, ok := w.asText(v)
		if !ok {
			L.RaiseError("invalid value (%s) at index %d in table for 'concat'", kindOf(v, w), i)
		}
		w.text(L, len(s)+len(sep))
		w.step(L, 1)
		buf = append(buf, s...)
		if i < to {
			buf = append(buf, sep...)
		}
	}
	w.text(L, len(buf))
	L.Push(glua.LString(buf))
	return 1
}

// sorter sorts a copy, so that a comparator which fails or looks at the table sees it as it was.
type sorter struct {
	w      *worker
	L      *glua.LState
	less   glua.LValue
	values []glua.LValue
}

func (s *sorter) Len() int      { return len(s.values) }
func (s *sorter) Swap(i, j int) { s.values[i], s.values[j] = s.values[j], s.values[i] }
func (s *sorter) Less(i, j int) bool {
	s.w.step(s.L, 1)
	if s.less == glua.LNil {
		return s.L.LessThan(s.values[i], s.values[j])
	}
	s.L.Push(s.less)
	s.L.Push(s.values[i])
	s.L.Push(s.values[j])
	s.L.Call(2, 1)
	less := s.L.ToBool(-1)
	s.L.Pop(1)
	return less
}

func (w *worker) tableSort(L *glua.LState) int {
	t := w.list(L)
	n := t.Len()
	s := &sorter{w: w, L: L, less: L.Get(2)}
	if s.less != glua.LNil {
		L.CheckFunction(2)
	}
	w.charge(L, n*16)
	s.values = make([]glua.LValue, n)
	for i := range s.values {
		s.values[i] = t.RawGetInt(i + 1)
	}
	sort.Sort(s)
	for i, v := range s.values {
		t.RawSetInt(i+1, v)
	}
	return 0
}

func (w *worker) tableGetn(L *glua.LState) int {
	L.Push(glua.LNumber(L.CheckTable(1).Len()))
	return 1
}

// tableMaxn is the largest number among the keys, which may have a fraction.
func (w *worker) tableMaxn(L *glua.LState) int {
	t := L.CheckTable(1)
	n := t.MaxN()
	w.step(L, n>>10)
	largest, from := glua.LNumber(n), glua.LValue(glua.LNil)
	if n > 0 {
		from = largest
	}
	for k, _ := t.Next(from); k != glua.LNil; k, _ = t.Next(k) {
		w.step(L, 1)
		if i, ok := k.(glua.LNumber); ok && i > largest {
			largest = i
		}
	}
	L.Push(largest)
	return 1
}
