package lua

import (
	"sync"

	glua "github.com/yuin/gopher-lua"

	"github.com/weirlog/weir/flush/rawjson"
	"github.com/weirlog/weir/lua/stdlib"
)

const (
	maxRedactors    = 32  // kept by a worker, each of 8 KiB
	maxRedactFields = 100 // names in fields
	maxFieldName    = 128 // bytes of each
	bytesVisit      = 96  // a table that is walked
)

// redaction is what redact works with. One call uses it at a time: redact calls nothing of the script.
type redaction struct {
	known map[string]*stdlib.Redactor // by options
	room  stdlib.Room
	text  []byte // an unescaped one
	key   []byte // of known
	todo  []visit
	seen  map[*glua.LTable]struct{}

	r     *stdlib.Redactor
	count int
}

// visit is a table that is still to be walked.
type visit struct {
	table *glua.LTable
	raw   suspicion
}

// suspicion is what is known of the text that a table came from.
type suspicion uint8

const (
	unknown suspicion = iota
	harmless
	suspect
)

// redactAll is what hides everything, without options.
var redactAll = sync.OnceValue(func() *stdlib.Redactor { return stdlib.NewRedactor(stdlib.AllKinds, nil) })

// redactFn is redact(value [, options]).
func (w *worker) redactFn(L *glua.LState) int {
	d := &w.redaction
	d.r, d.count = w.redactorOf(L), 0
	w.step(L, 4)
	var result glua.LValue
	switch v := L.CheckAny(1).(type) {
	case *glua.LTable:
		if v.Metatable != w.objectMT {
			w.checkWritable(L, v)
		}
		w.redactTables(L, v)
		result = v
	case *glua.LFunction, *glua.LState:
		L.ArgError(1, "a text or a table is wanted, not a "+kindOf(v, w))
	default:
		result = v
		if hidden := w.redactValue(L, v, nil); hidden != nil {
			result = hidden
		}
	}
	L.Push(result)
	L.Push(glua.LNumber(d.count))
	return 2
}

// redactTables walks a table and those in it, each once.
func (w *worker) redactTables(L *glua.LState, t *glua.LTable) {
	d := &w.redaction
	if d.seen == nil {
		d.seen = map[*glua.LTable]struct{}{}
	}
	clear(d.seen) // an overrun may have left something
	d.todo = append(d.todo[:0], visit{t, unknown})
	for len(d.todo) > 0 {
		next := d.todo[len(d.todo)-1]
		d.todo = d.todo[:len(d.todo)-1]
		if _, ok := d.seen[next.table]; ok {
			continue
		}
		w.charge(L, bytesVisit)
		w.step(L, 4)
		d.seen[next.table] = struct{}{}
		switch {
		case next.table.Metatable == w.objectMT:
			w.redactObject(L, next)
		case next.table.Metatable == w.listMT:
			w.redactList(L, next)
		case next.table.Metatable == w.metaMT || next.table.Metatable == w.stateMT || w.frozen[next.table]:
		default:
			w.redactPlain(L, next.table)
		}
	}
	if len(d.seen) > 1024 {
		d.seen = nil
	} else {
		clear(d.seen)
	}
	if cap(d.todo) > 1024 {
		d.todo = nil
	}
}

// judge looks through the text of a node, unless the answer is known.
func (w *worker) judge(L *glua.LState, raw []byte, known suspicion) suspicion {
	if known != unknown || raw == nil {
		return known
	}
	suspicious := w.redaction.r.Suspicious(raw, w.spend)
	w.stopped(L)
	if suspicious {
		return suspect
	}
	return harmless
}

// redactObject changes members in their place, also those that a later one of the same name hides: they are written
// with the others. A member that nobody has read is decoded only if something in it may have to go.
func (w *worker) redactObject(L *glua.LState, v visit) {
	n := w.nodeOf(v.table)
	if n != nil && !n.scanned {
		if v.raw = w.judge(L, n.raw, v.raw); v.raw == harmless {
			return
		}
	}
	n = w.open(L, v.table)
	v.raw = w.judge(L, n.raw, v.raw)
	for i := range n.members {
		w.step(L, 1)
		m := &n.members[i]
		if m.state == deleted {
			continue
		}
		if hidden := w.redactMember(L, n, m, i, v.raw); hidden != nil {
			m.state, m.value = set, hidden
			n.changed = true
		}
	}
}

// redactMember returns what takes the place of a member's value, nil when it stays. raw is about the object's text.
func (w *worker) redactMember(L *glua.LState, n *node, m *member, i int, raw suspicion) glua.LValue {
	asReceived := m.state == kept
	if raw == harmless && asReceived {
		if t, ok := m.value.(*glua.LTable); ok {
			w.later(t, harmless)
		}
		return nil
	}
	if (raw != harmless || m.end == 0) && w.redaction.r.HasFields() && w.redaction.r.Removes(w.nameOf(n, m)) {
		return w.remove(m.value)
	}
	if m.value != nil {
		var spelled []byte
		if asReceived {
			spelled = n.raw[m.valStart:m.end]
		}
		return w.redactValue(L, m.value, spelled)
	}
	value := n.raw[m.valStart:m.end]
	switch rawjson.KindOf(value) {
	case rawjson.String:
		return w.redactText(L, w.unquoted(L, value))
	case rawjson.Number:
		return w.redactNumber(value)
	case rawjson.Object, rawjson.Array:
		if w.judge(L, value, unknown) == suspect {
			w.later(w.valueOf(L, n, i).(*glua.LTable), suspect)
		}
	}
	return nil
}

// nameOf is the name of a member, valid until the next call.
func (w *worker) nameOf(n *node, m *member) []byte {
	switch {
	case m.end == 0:
		return stdlib.Bytes(m.name)
	case m.escaped:
		w.redaction.text = rawjson.AppendUnquoted(w.redaction.text[:0], n.raw[m.start:m.keyEnd])
		return w.redaction.text
	}
	return n.raw[m.start+1 : m.keyEnd-1]
}

// unquoted is the meaning of a JSON string, valid until the next call.
func (w *worker) unquoted(L *glua.LState, raw []byte) []byte {
	if rawjson.Plain(raw) {
		return raw[1 : len(raw)-1]
	}
	d := &w.redaction
	w.step(L, len(raw)>>5)
	if len(raw) > cap(d.text) {
		w.charge(L, len(raw))
	} else if cap(d.text) > 1<<20 {
		d.text = nil
	}
	d.text = rawjson.AppendUnquoted(d.text[:0], raw)
	return d.text
}

// redactList changes elements in their place.
func (w *worker) redactList(L *glua.LState, v visit) {
	var received []member
	n := w.nodeOf(v.table)
	if n != nil && n.raw != nil {
		received = n.members
		v.raw = w.judge(L, n.raw, v.raw)
	}
	t := v.table
	for k, value := t.Next(glua.LNil); k != glua.LNil; k, value = t.Next(k) {
		w.step(L, 1)
		var spelled []byte
		if i, ok := k.(glua.LNumber); ok && i >= 1 && int(i) <= len(received) && received[int(i)-1].value == value {
			if v.raw == harmless {
				if inner, ok := value.(*glua.LTable); ok {
					w.later(inner, harmless)
				}
				continue
			}
			m := &received[int(i)-1]
			spelled = n.raw[m.valStart:m.end]
		}
		if hidden := w.redactValue(L, value, spelled); hidden != nil {
			t.RawSet(k, hidden)
		}
	}
}

// redactPlain changes the fields of a table that the script made.
func (w *worker) redactPlain(L *glua.LState, t *glua.LTable) {
	for k, value := t.Next(glua.LNil); k != glua.LNil; k, value = t.Next(k) {
		w.step(L, 1)
		hidden := glua.LValue(nil)
		if name, ok := k.(glua.LString); ok && w.redaction.r.Removes(stdlib.Bytes(string(name))) {
			hidden = w.remove(value)
		} else {
			hidden = w.redactValue(L, value, nil)
		}
		if hidden != nil {
			t.RawSet(k, hidden)
		}
	}
}

// later has a table walked.
func (w *worker) later(t *glua.LTable, raw suspicion) {
	w.redaction.todo = append(w.redaction.todo, visit{t, raw})
}

// remove is what takes the place of a field that is not to be there; nil when it does already.
func (w *worker) remove(value glua.LValue) glua.LValue {
	if value == glua.LValue(glua.LString(stdlib.Removed)) {
		return nil
	}
	w.redaction.count++
	return glua.LString(stdlib.Removed)
}

// redactValue returns what takes the place of a value, nil when it stays. Of a table it only notes that it is to be
// walked. spelled is the JSON that the value was received as, nil when there is none.
func (w *worker) redactValue(L *glua.LState, value glua.LValue, spelled []byte) glua.LValue {
	switch v := value.(type) {
	case glua.LString:
		return w.redactText(L, stdlib.Bytes(string(v)))
	case *glua.LTable:
		w.later(v, unknown)
	case glua.LNumber:
		if spelled == nil {
			spelled = w.spelling(v)
		}
		if spelled == nil {
			var buf [32]byte
			spelled = appendNumber(buf[:0], float64(v))
		}
		return w.redactNumber(spelled)
	case *glua.LUserData:
		if text, ok := exactOf(v); ok {
			return w.redactNumber([]byte(text))
		}
	}
	return nil
}

func (w *worker) redactNumber(spelled []byte) glua.LValue {
	if !w.redaction.r.Number(spelled) {
		return nil
	}
	w.redaction.count++
	return glua.LString(stdlib.Card)
}

func (w *worker) redactText(L *glua.LState, text []byte) glua.LValue {
	d := &w.redaction
	suspicious := d.r.Suspicious(text, w.spend)
	w.stopped(L)
	if !suspicious {
		return nil
	}
	w.charge(L, 2*len(text))
	out, n := d.r.Text(text, &d.room, w.spend)
	w.stopped(L)
	if n == 0 {
		return nil
	}
	d.count += n
	w.text(L, len(out))
	return glua.LString(out)
}

// redactorOf makes a Redactor of the options, or finds the one that it has made of the same.
func (w *worker) redactorOf(L *glua.LState) *stdlib.Redactor {
	if L.Get(2) == glua.LNil {
		return redactAll()
	}
	d := &w.redaction
	kinds, fields := stdlib.AllKinds, []string(nil)
	w.eachField(L, L.CheckTable(2), func(key, value glua.LValue) {
		switch key {
		case glua.LString("kinds"):
			kinds = w.redactKinds(L, value)
		case glua.LString("fields"):
			fields = w.redactFields(L, value)
		default:
			L.RaiseError("redact: there is no option %s; kinds and fields can be set", short(key))
		}
	})
	d.key = append(d.key[:0], byte(kinds))
	for _, name := range fields {
		d.key = append(append(d.key, name...), 0xff) // no part of a text in UTF-8
	}
	if r := d.known[string(d.key)]; r != nil {
		return r
	}
	w.charge(L, 16<<10+len(fields)*64)
	w.step(L, 256)
	if len(d.known) >= maxRedactors || d.known == nil {
		d.known = map[string]*stdlib.Redactor{}
	}
	r := stdlib.NewRedactor(kinds, fields)
	d.known[string(d.key)] = r
	return r
}

func (w *worker) redactKinds(L *glua.LState, list glua.LValue) (kinds stdlib.Kinds) {
	for _, name := range w.textList(L, list, "redact: the option kinds", maxRedactFields) {
		kind, err := stdlib.KindsNamed(name)
		if err != nil {
			L.RaiseError("redact: %s", err.Error())
		}
		kinds |= kind
	}
	return kinds
}

func (w *worker) redactFields(L *glua.LState, list glua.LValue) []string {
	names := w.textList(L, list, "redact: the option fields", maxRedactFields)
	for _, name := range names {
		if len(name) > maxFieldName {
			L.RaiseError("redact: a name in fields is longer than %d bytes", maxFieldName)
		}
	}
	return names
}
