package local

import (
	"github.com/weirlog/weir/flush/rawjson"
)

// Bounds of what is indexed of one document. The source is stored whole whatever they cut off.
const (
	// MaxDepth is how deep objects and arrays are taken apart; what lies deeper is indexed as text
	// of _all.
	MaxDepth = 16
	// MaxValues is how many values of one document are indexed.
	MaxValues = 2_000
	// MaxFields is how many fields of one document are indexed by their name; values of further
	// fields are found without naming the field.
	MaxFields = 200
	// MaxFieldNameBytes is the longest name, dots included, under which a value is indexed.
	MaxFieldNameBytes = 256
	// MaxValueBytes is how much of one string is indexed.
	MaxValueBytes = 32 << 10
	// MaxTextBytes is how much text of one document is indexed.
	MaxTextBytes = 128 << 10
	// MaxPartFields is how many field names one part indexes by name, over all documents.
	MaxPartFields = 2_000
)

// walker visits the values of a document in order, within the bounds. The same walk serves indexing
// and the check of phrases, so that both see the same text.
type walker struct {
	path    []byte // names from the top, joined by dots
	long    bool   // the path is over MaxFieldNameBytes: its values have no name
	scratch []byte // unescaped text
	values  int
	text    int // bytes of text still to index
	// visit gets each value with its path, empty where the value is findable without a name only.
	// Text is unescaped and cut; for other kinds it is the spelling. Both are valid during the call.
	// Returning false ends the walk.
	visit func(path []byte, kind rawjson.Kind, text []byte) bool
}

// walk visits the values of source; false when visit ended it.
func (w *walker) walk(source []byte) bool {
	w.path, w.long, w.values, w.text = w.path[:0], false, 0, MaxTextBytes
	return w.object(source, 1)
}

// isObject reports whether source is one JSON object and nothing more. It does not look inside.
func isObject(source []byte) bool {
	it := rawjson.MembersOf(source)
	for _, _, ok := it.Next(); ok; _, _, ok = it.Next() {
	}
	trimmed := rawjson.Trim(source)
	return it.Complete() && trimmed[len(trimmed)-1] == '}'
}

func (w *walker) object(obj []byte, depth int) bool {
	it := rawjson.MembersOf(obj)
	base, long := len(w.path), w.long
	for key, value, ok := it.Next(); ok; key, value, ok = it.Next() {
		w.push(base, key)
		more := w.value(value, depth)
		w.path, w.long = w.path[:base], long
		if !more {
			return false
		}
	}
	return true
}

// push appends a key to the path.
func (w *walker) push(base int, key []byte) {
	if w.long || base+len(key) > MaxFieldNameBytes {
		w.long = true
		return
	}
	if base > 0 {
		w.path = append(w.path, '.')
	}
	w.path = rawjson.AppendUnquoted(w.path, key)
}

// value visits one value or takes a container apart. Depth is that of the container around it.
func (w *walker) value(value []byte, depth int) bool {
	kind := rawjson.KindOf(value)
	switch kind {
	case rawjson.Object, rawjson.Array:
		if depth >= MaxDepth {
			return w.emit(nil, rawjson.String, value)
		}
		if kind == rawjson.Object {
			return w.object(value, depth+1)
		}
		it := rawjson.ElementsOf(value)
		for element, ok := it.Next(); ok; element, ok = it.Next() {
			if !w.value(element, depth+1) {
				return false
			}
		}
		return true
	case rawjson.String:
		return w.emit(w.name(), kind, w.unquote(value))
	case rawjson.Number, rawjson.Bool:
		return w.emit(w.name(), kind, value)
	}
	return true // null
}

func (w *walker) name() []byte {
	if w.long {
		return nil
	}
	return w.path
}

// unquote returns the meaning of a raw string, cut to MaxValueBytes.
func (w *walker) unquote(raw []byte) []byte {
	if len(raw) > MaxValueBytes+2 {
		cut := raw[: MaxValueBytes+1 : MaxValueBytes+1]
		// A cut through an escape leaves a backslash or a few hex digits behind: harmless, and the
		// same in every walk.
		w.scratch = rawjson.AppendUnquoted(w.scratch[:0], append(cut, '"'))
		return w.scratch
	}
	if rawjson.Plain(raw) {
		return raw[1 : len(raw)-1]
	}
	w.scratch = rawjson.AppendUnquoted(w.scratch[:0], raw)
	return w.scratch
}

func (w *walker) emit(path []byte, kind rawjson.Kind, text []byte) bool {
	if w.values++; w.values > MaxValues || w.text <= 0 {
		return false
	}
	text = text[:min(len(text), w.text, MaxValueBytes)]
	w.text -= len(text)
	return w.visit(path, kind, text)
}
