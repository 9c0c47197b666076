package lua

import (
	"bytes"

	glua "github.com/yuin/gopher-lua"

	"github.com/weirlog/weir/flush/rawjson"
)

// node is what stands behind one table that came from JSON text, or that the script made with
// json.object or json.array.
//
// An object's table is empty: its metatable sends every access here, and a member is decoded when it
// is read. A list's table holds its elements (objects and lists among them lazy in turn), so that #,
// ipairs and table functions work on it natively; what the script did to it is seen by comparison.
type node struct {
	table   *glua.LTable
	raw     []byte // the text it came from; nil when the script made it
	list    bool
	scanned bool // members are known
	changed bool // an object's members are no longer those of raw
	pass    int  // of the encoder that clean is from
	clean   bool // what untouched said in that pass
	given   bool // raw already is a document of this event
	members []member
	index   map[string]int32 // name to last member, once there are many members
	twice   bool             // some name is there more than once; known once there is an index
}

// states of a member.
const (
	kept    = iota // as in raw; value is set once it was read
	set            // value was assigned
	deleted        // nil was assigned
)

// member is a member of an object, or, of a list, an element as it was received.
type member struct {
	start, keyEnd, valStart, end int32 // in raw; all 0 when the script added it
	escaped                      bool  // the key has escapes
	state                        uint8
	name                         string      // of an added member
	value                        glua.LValue // nil until it is needed
}

// indexFrom is how many members an object needs before finding one by a map is worth its cost.
const indexFrom = 32

// newNode registers a node for table.
func (w *worker) newNode(table *glua.LTable, raw []byte, list bool) *node {
	if w.used == len(w.nodes) {
		w.nodes = append(w.nodes, &node{})
	}
	n := w.nodes[w.used]
	w.used++
	n.table, n.raw, n.list = table, raw, list
	if w.used > indexFrom {
		if len(w.byTable) == 0 {
			for _, m := range w.nodes[:w.used] {
				w.byTable[m.table] = m
			}
		}
		w.byTable[table] = n
	}
	return n
}

// nodeOf returns the node behind table, nil when this event has none for it.
func (w *worker) nodeOf(table *glua.LTable) *node {
	if n := w.last; n != nil && n.table == table {
		return n
	}
	if w.used > indexFrom {
		n := w.byTable[table]
		if n != nil {
			w.last = n
		}
		return n
	}
	for _, n := range w.nodes[:w.used] {
		if n.table == table {
			w.last = n
			return n
		}
	}
	return nil
}

// dropNodes forgets the event's nodes and what they hold.
func (w *worker) dropNodes() {
	for _, n := range w.nodes[:w.used] {
		n.drop()
	}
	if len(w.nodes) > 1024 {
		w.nodes = w.nodes[:0:0]
	}
	if len(w.byTable) > 0 {
		w.byTable = map[*glua.LTable]*node{}
	}
	w.used, w.last = 0, nil
}

// drop makes the node as good as new. Only members that hold something are written: while garbage is collected,
// clearing memory in one piece shows the collector every pointer that was in it.
func (n *node) drop() {
	for i := range n.members {
		if m := &n.members[i]; m.value != nil || m.end == 0 {
			m.value, m.name = nil, ""
		}
	}
	members := n.members[:0]
	if cap(members) > 1024 {
		members = nil
	}
	*n = node{members: members}
}

// newTable takes an empty table from the slab. Tables are never used twice: a script may have kept one.
func (w *worker) newTable(metatable *glua.LTable) *glua.LTable {
	if len(w.tables) == 0 {
		w.tables = make([]glua.LTable, 64)
	}
	t := &w.tables[0]
	w.tables = w.tables[1:]
	t.Metatable = metatable
	return t
}

// newObject makes the table of an object; raw is nil for a new one.
func (w *worker) newObject(raw []byte) *node {
	w.budget.take(bytesNode)
	return w.newNode(w.newTable(w.objectMT), raw, false)
}

// scan finds the members of an object. False when raw is not JSON.
func (n *node) scan() bool {
	if n.scanned || n.raw == nil {
		return true
	}
	escapes := bytes.IndexByte(n.raw, '\\') >= 0
	it := rawjson.MembersOf(n.raw)
	for at, ok := it.NextAt(); ok; at, ok = it.NextAt() {
		m := n.addMember()
		m.start, m.keyEnd, m.valStart, m.end = int32(at.Start), int32(at.KeyEnd), int32(at.Value), int32(at.End)
		m.escaped = escapes && bytes.IndexByte(n.raw[at.Start:at.KeyEnd], '\\') >= 0
		m.state = kept
	}
	n.scanned = true
	return it.Complete()
}

// addMember makes room for one more member, without name and value. Room that was in use before is as drop left it: writing
// nothing there that the collector would have to see is a good part of what scanning costs.
func (n *node) addMember() *member {
	if i := len(n.members); i < cap(n.members) {
		n.members = n.members[:i+1]
	} else {
		n.members = append(n.members, member{})
	}
	return &n.members[len(n.members)-1]
}

// key returns the name of a member.
func (n *node) key(m *member) string {
	if m.end == 0 {
		return m.name
	}
	raw := n.raw[m.start:m.keyEnd]
	if m.escaped {
		return string(rawjson.AppendUnquoted(nil, raw))
	}
	return string(raw[1 : len(raw)-1])
}

func (n *node) is(m *member, name string) bool {
	if m.end == 0 {
		return m.name == name
	}
	if m.escaped {
		return rawjson.KeyIs(n.raw[m.start:m.keyEnd], name)
	}
	return int(m.keyEnd-m.start)-2 == len(name) && string(n.raw[m.start+1:m.keyEnd-1]) == name
}

// find returns the position of the last member of that name, -1 for none; deleted ones are found too.
func (n *node) find(name string) int {
	if len(n.members) < indexFrom {
		quoted := int32(len(name) + 2)
		for i := len(n.members) - 1; i >= 0; i-- {
			m := &n.members[i]
			if m.keyEnd-m.start != quoted && m.end != 0 && !m.escaped { // most of them, without a call
				continue
			}
			if n.is(m, name) {
				return i
			}
		}
		return -1
	}
	if n.index == nil {
		n.index = make(map[string]int32, len(n.members))
		for i := range n.members {
			n.index[n.key(&n.members[i])] = int32(i)
		}
		n.twice = len(n.index) < len(n.members)
	}
	if i, ok := n.index[name]; ok {
		return int(i)
	}
	return -1
}

// open returns the node behind an object's table, its members known.
func (w *worker) open(L *glua.LState, table *glua.LTable) *node {
	n := w.nodeOf(table)
	if n == nil {
		L.RaiseError("this object belongs to an earlier event")
		return nil
	}
	if n.scanned || n.raw == nil {
		return n
	}
	if !n.scan() {
		L.RaiseError("the event is not valid JSON")
	}
	w.budget.grown(len(n.members))
	w.step(L, len(n.raw)>>8)
	bytes := bytesMember
	if len(n.members) >= indexFrom {
		bytes += bytesIndex
	}
	w.charge(L, len(n.members)*bytes)
	return n
}

// get reads a member of an object.
func (w *worker) get(L *glua.LState, n *node, name string) glua.LValue {
	i := n.find(name)
	if i < 0 {
		return glua.LNil
	}
	return w.valueOf(L, n, i)
}

// valueOf decodes a member once.
func (w *worker) valueOf(L *glua.LState, n *node, i int) glua.LValue {
	m := &n.members[i]
	if m.state == deleted {
		return glua.LNil
	}
	if m.value == nil {
		m.value = w.decode(n.raw[m.valStart:m.end])
		if w.budget.tripped != "" {
			w.raiseOverrun(L)
		}
	}
	return m.value
}

// put assigns a member of an object; nil deletes it. Duplicates of the name go with it: nobody could tell
// which of two is meant.
func (w *worker) put(L *glua.LState, n *node, name string, value glua.LValue) {
	i := n.find(name)
	if i < 0 {
		if value == glua.LNil {
			return
		}
		bytes := bytesMember
		if len(n.members) >= indexFrom {
			bytes += bytesIndex
		}
		w.charge(L, bytes)
		w.budget.grown(len(n.members) + 1)
		n.changed = true
		n.members = append(n.members, member{name: name, state: set, value: value, end: 0})
		if n.index != nil {
			n.index[name] = int32(len(n.members) - 1)
		}
		return
	}
	m := &n.members[i]
	if value == glua.LNil {
		m.state, m.value = deleted, nil
	} else {
		m.state, m.value = set, value
	}
	n.changed = true
	if n.index != nil && len(n.index) == len(n.members) {
		return // no name is there twice
	}
	w.step(L, i>>4)
	for j := range n.members[:i] {
		if d := &n.members[j]; d.state == kept && d.end != 0 && n.is(d, name) {
			d.state, d.value = deleted, nil
		}
	}
}

// decode makes the Lua value of JSON text; objects and lists in it stay text as far as can be. A budget
// that it overruns is left for the caller to notice.
func (w *worker) decode(raw []byte) glua.LValue {
	switch rawjson.KindOf(raw) {
	case rawjson.Bool:
		return glua.LBool(raw[0] == 't')
	case rawjson.Number:
		return w.number(raw)
	case rawjson.String:
		if !w.budget.take(len(raw) + 16) {
			return glua.LNil
		}
		w.budget.grown(len(raw))
		if rawjson.Plain(raw) {
			return w.texts.value(raw[1 : len(raw)-1])
		}
		w.scratch = rawjson.AppendUnquoted(w.scratch[:0], raw)
		return w.texts.value(w.scratch)
	case rawjson.Object:
		return w.newObject(raw).table
	case rawjson.Array:
		return w.decodeList(raw).table
	default:
		return w.null
	}
}

// decodeList decodes one level of an array.
func (w *worker) decodeList(raw []byte) *node {
	n := w.newNode(nil, raw, true)
	// Before the walk: lists in lists walk over the same text, once for every level.
	w.budget.work(len(raw) >> 8)
	it := rawjson.ElementsOf(raw)
	for value, ok := it.Next(); ok; value, ok = it.Next() {
		start, end := it.Bounds()
		if !w.budget.take(bytesMember + bytesArraySlot) {
			break
		}
		v := w.decode(value)
		// decode may have made nodes, but n itself stays where it is.
		n.members = append(n.members, member{valStart: int32(start), end: int32(end), value: v})
	}
	w.budget.take(bytesNode)
	w.budget.grown(len(n.members))
	n.table = w.L.CreateTable(len(n.members), 0)
	n.table.Metatable = w.listMT
	for i := range n.members {
		n.table.RawSetInt(i+1, n.members[i].value)
	}
	if w.used > indexFrom {
		delete(w.byTable, nil)
		w.byTable[n.table] = n
	}
	return n
}
