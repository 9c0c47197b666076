package rawjson

// Members walks the members of an object in the order in which they stand, duplicates included.
//
//	it := rawjson.MembersOf(obj)
//	for key, value, ok := it.Next(); ok; key, value, ok = it.Next() { ... }
//	if !it.Complete() { ... } // obj is no valid object
//
// The zero value has no members and is not complete.
type Members struct{ walk }

// Elements walks the elements of an array in order. Use it like Members.
type Elements struct{ walk }

// walk is what both iterators share: where they are in the text.
type walk struct {
	b        []byte
	pos      int // behind the last item
	from     int // where it begins
	first    bool
	complete bool
}

// MembersOf returns an iterator over the object obj; one without members when obj is no object.
func MembersOf(obj []byte) Members { return Members{open(obj, '{')} }

// ElementsOf returns an iterator over the array arr; one without elements when arr is no array.
func ElementsOf(arr []byte) Elements { return Elements{open(arr, '[')} }

func open(b []byte, bracket byte) walk {
	i := skipSpace(b, 0)
	if i >= len(b) || b[i] != bracket {
		return walk{}
	}
	return walk{b: b, pos: i + 1, first: true}
}

// Complete reports, once Next has returned false, whether the container's end was reached.
func (w *walk) Complete() bool { return w.complete }

// Next returns the next member: the key with its quotes and escapes, and the value.
func (m *Members) Next() (key, value []byte, ok bool) {
	at, ok := m.NextAt()
	if !ok {
		return nil, nil, false
	}
	return m.b[at.Start:at.KeyEnd:at.KeyEnd], m.b[at.Value:at.End:at.End], true
}

// Place is where a member stands in its object.
type Place struct {
	Start, KeyEnd int // of the key, with its quotes
	Value, End    int // of the value
}

// NextAt is Next for who wants to know where the member stands.
func (m *Members) NextAt() (at Place, ok bool) {
	i, ok := m.advance('}')
	if !ok || m.b[i] != '"' {
		m.b = nil
		return Place{}, false
	}
	at.Start = i
	if i = skipString(m.b, i); i < 0 {
		m.b = nil
		return Place{}, false
	}
	at.KeyEnd = i
	if i = skipSpace(m.b, i); i >= len(m.b) || m.b[i] != ':' {
		m.b = nil
		return Place{}, false
	}
	at.Value = skipSpace(m.b, i+1)
	if at.End = skipValue(m.b, at.Value); at.End < 0 {
		m.b = nil
		return Place{}, false
	}
	m.pos = at.End
	return at, true
}

// Next returns the next element.
func (e *Elements) Next() (value []byte, ok bool) {
	i, ok := e.advance(']')
	if !ok {
		e.b = nil
		return nil, false
	}
	return e.take(i)
}

// advance moves to the first byte of the next item, past the comma; false at the end and on a fault.
func (w *walk) advance(bracket byte) (int, bool) {
	i := skipSpace(w.b, w.pos)
	if i >= len(w.b) {
		return 0, false
	}
	if w.b[i] == bracket {
		w.complete = true
		return 0, false
	}
	if w.first {
		w.first = false
		w.from = i
		return i, true
	}
	if w.b[i] != ',' {
		return 0, false
	}
	i = skipSpace(w.b, i+1)
	w.from = i
	return i, i < len(w.b)
}

// take cuts out the value that begins at i and moves behind it.
func (w *walk) take(i int) ([]byte, bool) {
	end := skipValue(w.b, i)
	if end < 0 {
		w.b = nil
		return nil, false
	}
	w.pos = end
	return w.b[i:end:end], true
}

// Lookup returns the value of the top-level member of obj whose key is key. Keys that are spelled with
// escapes are compared by what they mean. Of duplicates the last one wins, as it does at the destination.
// ok is false when there is none, and when obj is no object or ends early.
func Lookup(obj []byte, key string) (value []byte, ok bool) {
	it := MembersOf(obj)
	for k, v, more := it.Next(); more; k, v, more = it.Next() {
		if KeyIs(k, key) {
			value, ok = v, true
		}
	}
	if !it.Complete() {
		return nil, false
	}
	return value, ok
}

// Bounds returns where the item that Next returned last begins (a member with its key) and ends.
func (w *walk) Bounds() (start, end int) { return w.from, w.pos }
