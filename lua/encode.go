package lua

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"

	glua "github.com/yuin/gopher-lua"

	"github.com/weirlog/weir/flush/rawjson"
)

// maxDepth bounds the nesting of what a script returns, and finds tables that contain themselves.
const maxDepth = 1000

var errOverrun = errors.New("limit overrun") // the budget says which

// faultError says where in a result the value stands that cannot be JSON.
type faultError struct {
	path   string
	reason string
}

func (e *faultError) Error() string {
	if e.path == "" {
		return e.reason
	}
	return e.path + ": " + e.reason
}

// within puts a step in front of the path of a fault, on its way up.
func within(err error, step string) error {
	var f *faultError
	if errors.As(err, &f) && len(f.path) < 256 {
		if f.path != "" && f.path[0] != '[' {
			step += "."
		}
		f.path = step + f.path
	}
	return err
}

func fault(format string, args ...any) error {
	return &faultError{reason: fmt.Sprintf(format, args...)}
}

// untouched reports whether n still is what raw says, in all that was decoded of it. The answer is kept for
// the pass: nothing changes while a document is encoded, and every level of nesting asks again.
func (w *worker) untouched(n *node) bool {
	if n.changed || n.raw == nil {
		return false
	}
	if n.pass != w.pass {
		w.budget.work(1 + len(n.members)>>4)
		n.clean = w.compare(n)
		n.pass = w.pass
	}
	return n.clean
}

// compare looks at what was decoded of n.
func (w *worker) compare(n *node) bool {
	if n.list {
		return w.sameElements(n)
	}
	for i := range n.members {
		if !w.sameValue(n.members[i].value) {
			return false
		}
	}
	return true
}

// sameValue reports whether a value that was decoded in place still is what its text says.
func (w *worker) sameValue(v glua.LValue) bool {
	t, ok := v.(*glua.LTable)
	if !ok {
		return true
	}
	n := w.nodeOf(t)
	return n != nil && w.untouched(n)
}

// sameElements compares a list with what was received.
func (w *worker) sameElements(n *node) bool {
	for i := range n.members {
		v := n.members[i].value
		if !w.sameElement(n.table.RawGetInt(i+1), v) || !w.sameValue(v) {
			return false
		}
	}
	// No further elements, and no other keys.
	last := glua.LValue(glua.LNil)
	if len(n.members) > 0 {
		last = glua.LNumber(len(n.members))
	}
	k, _ := n.table.Next(last)
	return k == glua.LNil
}

// sameElement reports whether a would be written as b is. 1 and 1.0 are equal, and are not the same.
func (w *worker) sameElement(a, b glua.LValue) bool {
	if a != b {
		return false
	}
	if _, ok := a.(glua.LNumber); !ok || identity(a) == identity(b) {
		return true
	}
	return bytes.Equal(w.spelling(a), w.spelling(b))
}

// encode appends v as JSON.
func (w *worker) encode(dst []byte, v glua.LValue, depth int) ([]byte, error) {
	if !w.budget.work(1) || int64(len(dst)) > w.budget.maxMemory && !w.budget.take(len(dst)) {
		return dst, errOverrun
	}
	switch v := v.(type) {
	case *glua.LTable:
		return w.encodeTable(dst, v, depth)
	case glua.LString:
		if len(v) > longText && !w.fits(len(dst), string(v)) {
			return dst, errOverrun
		}
		return rawjson.AppendQuoted(dst, string(v)), nil
	case glua.LNumber:
		return w.encodeNumber(dst, v)
	case glua.LBool:
		if v {
			return append(dst, "true"...), nil
		}
		return append(dst, "false"...), nil
	case *glua.LUserData:
		if v == w.null {
			return append(dst, "null"...), nil
		}
		if e, ok := v.Value.(exact); ok {
			return append(dst, e...), nil
		}
	}
	return dst, fault("a %s cannot be JSON", v.Type())
}

// longText is how long a text is whose escapes are counted before it is written.
const longText = 64 << 10

// fits reports whether what is written and a long text, with its escapes, is within the limit of memory.
func (w *worker) fits(written int, text string) bool {
	size := written + len(text)
	for i := range len(text) {
		switch c := text[i]; {
		case c < ' ':
			size += 5
		case c == '"' || c == '\\':
			size++
		case c >= utf8.RuneSelf:
			size += 2 // were it not UTF-8
		}
	}
	if int64(size) > w.budget.maxMemory {
		return w.budget.take(size)
	}
	return w.budget.work(len(text) >> 8)
}

func (w *worker) encodeNumber(dst []byte, n glua.LNumber) ([]byte, error) {
	v := float64(n)
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return dst, fault("%s is no JSON number", numberText(nil, v))
	}
	return appendNumber(dst, v), nil
}

// encodeValue is encode with the spelling of a number that came from the event.
func (w *worker) encodeValue(dst []byte, v glua.LValue, depth int) ([]byte, error) {
	if _, ok := v.(glua.LNumber); ok {
		if raw := w.spelling(v); raw != nil {
			return append(dst, raw...), nil
		}
	}
	return w.encode(dst, v, depth)
}

func (w *worker) encodeTable(dst []byte, t *glua.LTable, depth int) ([]byte, error) {
	if depth > maxDepth {
		return dst, fault("is nested more than %d deep, or contains itself", maxDepth)
	}
	switch t.Metatable {
	case w.objectMT:
		n := w.nodeOf(t)
		if n == nil {
			return dst, fault("belongs to an earlier event")
		}
		return w.encodeObject(dst, n, depth)
	case w.listMT:
		return w.encodeList(dst, t, w.nodeOf(t), depth)
	case w.metaMT:
		return dst, fault("is the meta table, which is no document")
	case w.stateMT:
		return dst, fault("is the state table, which is no document")
	}
	k, v := t.Next(glua.LNil)
	switch k.(type) {
	case glua.LNumber:
		return w.encodeList(dst, t, nil, depth)
	case glua.LString:
		return w.encodePlain(dst, t, k, v, depth)
	}
	if k == glua.LNil {
		return append(dst, '{', '}'), nil
	}
	return dst, fault("a %s cannot be the name of a field", k.Type())
}

// encodeObject copies runs of members that nobody touched in one piece, with the white space inside them.
func (w *worker) encodeObject(dst []byte, n *node, depth int) ([]byte, error) {
	if w.untouched(n) {
		return append(dst, n.raw...), nil
	}
	var err error
	dst = append(dst, '{')
	empty := true
	from, to := int32(-1), int32(0) // the run that waits to be copied
	for i := range n.members {
		m := &n.members[i]
		if m.state == kept && w.sameValue(m.value) {
			if from < 0 {
				from = m.start
			}
			to = m.end
			continue
		}
		if from >= 0 {
			dst, empty, from = appendRun(dst, n.raw[from:to], empty), false, -1
		}
		if m.state == deleted {
			continue
		}
		if !empty {
			dst = append(dst, ',')
		}
		empty = false
		if m.end != 0 {
			dst = append(dst, n.raw[m.start:m.keyEnd]...)
		} else {
			dst = rawjson.AppendQuoted(dst, m.name)
		}
		dst = append(dst, ':')
		if dst, err = w.encodeValue(dst, m.value, depth+1); err != nil {
			return dst, within(err, n.key(m))
		}
	}
	if from >= 0 {
		dst = appendRun(dst, n.raw[from:to], empty)
	}
	return append(dst, '}'), nil
}

func appendRun(dst, run []byte, first bool) []byte {
	if !first {
		dst = append(dst, ',')
	}
	return append(dst, run...)
}

// encodeList writes a list; elements that are where they were received keep their text. n is nil for a
// table that the script made.
func (w *worker) encodeList(dst []byte, t *glua.LTable, n *node, depth int) ([]byte, error) {
	if n != nil && w.untouched(n) {
		return append(dst, n.raw...), nil
	}
	var err error
	dst = append(dst, '[')
	count := 0
	for k, v := t.Next(glua.LNil); k != glua.LNil; k, v = t.Next(k) {
		i, ok := k.(glua.LNumber)
		if !ok {
			return dst, fault("has both list elements and fields such as %q", k.String())
		}
		if int(i) != count+1 || glua.LNumber(int(i)) != i {
			return dst, fault("is a list without an element %d; use table.remove, or json.null", count+1)
		}
		if count > 0 {
			dst = append(dst, ',')
		}
		if n != nil && count < len(n.members) && w.sameElement(n.members[count].value, v) && w.sameValue(v) {
			dst = append(dst, n.raw[n.members[count].valStart:n.members[count].end]...)
		} else if dst, err = w.encodeValue(dst, v, depth+1); err != nil {
			return dst, within(err, fmt.Sprintf("[%d]", count+1))
		}
		count++
	}
	return append(dst, ']'), nil
}

// encodePlain writes a table that the script made with { }, in the order in which its fields were set.
func (w *worker) encodePlain(dst []byte, t *glua.LTable, k, v glua.LValue, depth int) ([]byte, error) {
	var err error
	dst = append(dst, '{')
	for first := true; k != glua.LNil; k, v = t.Next(k) {
		name, ok := k.(glua.LString)
		if !ok {
			return dst, fault("has both fields and the key %s (a %s)", k.String(), k.Type())
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = rawjson.AppendQuoted(dst, string(name))
		dst = append(dst, ':')
		if dst, err = w.encodeValue(dst, v, depth+1); err != nil {
			return dst, within(err, string(name))
		}
	}
	return append(dst, '}'), nil
}
