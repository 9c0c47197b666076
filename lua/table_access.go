package lua

import (
	"math"

	glua "github.com/yuin/gopher-lua"

	"github.com/weirlog/weir/lua/stdlib"
)

// set is hookSet: t[k] = v, for every assignment to a field that a script spells.
func (w *worker) set(L *glua.LState) int {
	if L.GetTop() == 4 {
		w.charge(L, int(L.Get(4).(glua.LNumber)))
	}
	w.assign(L, L.Get(1), L.Get(2), L.Get(3))
	return 0
}

// assign is the assignment t[k] = v with metatables, each step of it bounded.
func (w *worker) assign(L *glua.LState, object, key, value glua.LValue) {
	for range 100 {
		t, ok := object.(*glua.LTable)
		if !ok {
			w.raiseIndex(L, object, key)
		}
		switch t.Metatable {
		case w.objectMT:
			w.assignMember(L, t, key, value)
			return
		case glua.LNil, w.listMT:
			w.rawSet(L, t, key, value)
			return
		case w.metaMT:
			w.assignMeta(L, key, value)
			return
		case w.stateMT:
			w.assignState(L, key, value)
			return
		}
		newindex := glua.LValue(glua.LNil)
		if t.RawGet(key) == glua.LNil {
			newindex = L.GetMetaField(t, "__newindex")
		}
		if newindex == glua.LNil {
			w.rawSet(L, t, key, value)
			return
		}
		if newindex.Type() == glua.LTFunction {
			L.Push(newindex)
			L.Push(t)
			L.Push(key)
			L.Push(value)
			L.Call(3, 0)
			return
		}
		object = newindex
	}
	L.RaiseError("a chain of __newindex is too long")
}

func (w *worker) assignMember(L *glua.LState, t *glua.LTable, key, value glua.LValue) {
	name, ok := key.(glua.LString)
	if !ok {
		L.RaiseError("the name of a field must be a string, not a %s (%s)", kindOf(key, w), short(key))
	}
	w.put(L, w.open(L, t), string(name), value)
}

// rawSet is a raw assignment to a table that holds its own values. It accounts for what the table may
// grow by, above all for gopher-lua's filling of a list up to the index that is set.
func (w *worker) rawSet(L *glua.LState, t *glua.LTable, key, value glua.LValue) {
	if t.Metatable == w.listMT {
		if i, ok := key.(glua.LNumber); !ok || i < 1 || i != glua.LNumber(math.Floor(float64(i))) {
			L.RaiseError("a list takes whole numbers from 1 as keys, not %s", short(key))
		}
	}
	if s, ok := key.(glua.LString); ok {
		if value != glua.LNil && t.RawGetString(string(s)) == glua.LNil {
			w.newEntry(L, bytesHashField)
		}
		t.RawSetString(string(s), value)
		return
	}
	if key == glua.LNil {
		L.RaiseError("a table key cannot be nil")
	}
	if t.RawGet(key) == glua.LNil {
		if value == glua.LNil {
			return
		}
		if i, ok := key.(glua.LNumber); ok {
			w.newIndex(L, t, float64(i))
		} else {
			w.newEntry(L, bytesHashField)
		}
	}
	t.RawSet(key, value)
}

// newIndex accounts for a number as a new key.
func (w *worker) newIndex(L *glua.LState, t *glua.LTable, i float64) {
	if math.IsNaN(i) {
		L.RaiseError("a table key cannot be NaN")
	}
	if i < 1 || i >= float64(glua.MaxArrayIndex) || i != math.Floor(i) {
		w.newEntry(L, bytesHashField)
		return
	}
	gap := max(int(i)-t.MaxN(), 1)
	w.newEntry(L, gap*bytesArraySlot)
	if gap > 1 {
		w.budget.grown(int(i))
		w.step(L, gap>>6)
	}
}

func (w *worker) newEntry(L *glua.LState, bytes int) {
	w.entries++
	w.fresh++
	w.budget.grown(w.fresh)
	w.charge(L, bytes)
}

// index is __index of objects.
func (w *worker) index(L *glua.LState) int {
	t := L.Get(1).(*glua.LTable)
	name, ok := L.Get(2).(glua.LString)
	if !ok {
		L.Push(glua.LNil)
		return 1
	}
	L.Push(w.get(L, w.open(L, t), string(name)))
	return 1
}

// newIndexHook is __newindex of objects, for assignments that are not spelled as such (a metatable's chain).
func (w *worker) newIndexHook(L *glua.LState) int {
	w.assignMember(L, L.CheckTable(1), L.Get(2), L.Get(3))
	return 0
}

// next is Lua's next, and what pairs returns. Objects come in the order of their text, then what was added.
func (w *worker) next(L *glua.LState) int {
	t := L.CheckTable(1)
	w.step(L, 1)
	switch t.Metatable {
	case w.objectMT:
		return w.nextMember(L, w.open(L, t), L.Get(2))
	case w.metaMT:
		return w.nextMeta(L, L.Get(2))
	case w.stateMT:
		return w.nextState(L, L.Get(2))
	}
	k, v := t.Next(L.Get(2))
	L.Push(k)
	if k == glua.LNil {
		return 1
	}
	L.Push(v)
	return 2
}

func (w *worker) nextMember(L *glua.LState, n *node, key glua.LValue) int {
	i := 0
	if key != glua.LNil {
		name, ok := key.(glua.LString)
		if ok {
			i = n.find(string(name)) + 1
		}
		if !ok || i == 0 {
			L.RaiseError("next: %s is no field of the object", short(key))
		}
	}
	for ; i < len(n.members); i++ {
		m := &n.members[i]
		if m.state == deleted {
			continue
		}
		name := n.key(m)
		if n.find(name) != i { // an earlier duplicate
			continue
		}
		w.text(L, len(name))
		value := w.valueOf(L, n, i)
		L.Push(glua.LString(name))
		L.Push(value)
		return 2
	}
	L.Push(glua.LNil)
	return 1
}

// eachField visits the fields of an ordinary table or of an object of the event, each name once: of one that the text
// has twice the last one counts.
func (w *worker) eachField(L *glua.LState, t *glua.LTable, visit func(key, value glua.LValue)) {
	if t.Metatable != w.objectMT {
		for k, v := t.Next(glua.LNil); k != glua.LNil; k, v = t.Next(k) {
			w.step(L, 1)
			visit(k, v)
		}
		return
	}
	n := w.open(L, t)
	for i := range n.members {
		w.step(L, 1)
		name := n.key(&n.members[i])
		if n.members[i].state == deleted || n.find(name) != i {
			continue
		}
		visit(glua.LString(name), w.valueOf(L, n, i))
	}
}

func (w *worker) pairs(L *glua.LState) int {
	t := L.CheckTable(1)
	L.Push(w.nextFn)
	L.Push(t)
	L.Push(glua.LNil)
	return 3
}

func (w *worker) ipairs(L *glua.LState) int {
	t := L.CheckTable(1)
	L.Push(w.ipairsFn)
	L.Push(t)
	L.Push(glua.LNumber(0))
	return 3
}

func (w *worker) ipairsNext(L *glua.LState) int {
	t := L.CheckTable(1)
	i := L.CheckInt(2) + 1
	v := t.RawGetInt(i)
	if v == glua.LNil {
		L.Push(glua.LNil)
		return 1
	}
	L.Push(glua.LNumber(i))
	L.Push(v)
	return 2
}

// rawGet passes by the metatables of the script, not by those that make a table what it is.
func (w *worker) rawGet(L *glua.LState) int {
	t, key := L.CheckTable(1), L.CheckAny(2)
	v := t.RawGet(key)
	switch {
	case t.Metatable == w.objectMT:
		return w.index(L)
	case t.Metatable == w.metaMT:
		v = w.metaValue(key)
	case t.Metatable == w.stateMT:
		v = w.stateValue(key)
	case t == w.live && v == glua.LNil:
		v = w.base.RawGet(key)
	}
	L.Push(v)
	return 1
}

func (w *worker) rawSetFn(L *glua.LState) int {
	t, key, value := L.CheckTable(1), L.CheckAny(2), L.Get(3)
	switch {
	case t.Metatable == w.objectMT || t.Metatable == w.metaMT || t.Metatable == w.stateMT || t == w.live:
		w.assign(L, t, key, value)
	default:
		w.checkWritable(L, t)
		w.rawSet(L, t, key, value)
	}
	L.SetTop(1)
	return 1
}

// checkWritable refuses tables whose elements a native function must not change behind their back.
func (w *worker) checkWritable(L *glua.LState, t *glua.LTable) {
	switch {
	case t.Metatable == w.objectMT:
		L.RaiseError("a list is needed here, not an object")
	case t.Metatable == w.metaMT || t.Metatable == w.stateMT || w.frozen[t]:
		L.RaiseError("this table cannot be changed")
	}
}

// kindOf names the type of a value in messages.
func kindOf(v glua.LValue, w *worker) string {
	if v == glua.LValue(w.null) {
		return "null"
	}
	if _, ok := exactOf(v); ok {
		return "number"
	}
	return v.Type().String()
}

// short is a value's text, cut to a length fit for messages.
func short(v glua.LValue) string {
	return stdlib.Excerpt(v.String())
}
