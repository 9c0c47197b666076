package lua

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/weirlog/weir/flush/rawjson"
)

// value is JSON as a script sees it, written down a second time and in the plainest way: the reference for
// the view. Objects and lists are shared by whoever refers to them, as tables are.
type value struct {
	kind    rawjson.Kind
	text    string // of a number its spelling, of a string its meaning; "true" or "false"
	members []*slot
}

// slot is a member of an object or, without a name, an element of a list. A member that was removed keeps its
// place, where it comes back when it is set again.
type slot struct {
	name  string
	value *value // nil once removed
}

func (v *value) isTable() bool { return v.kind == rawjson.Object || v.kind == rawjson.Array }

// parseModel reads one JSON value, with duplicates of names and the order of all.
func parseModel(t testing.TB, text []byte) *value {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	v, err := decodeModel(d)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

func decodeModel(d *json.Decoder) (*value, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch x := token.(type) {
	case json.Delim:
		return decodeTable(d, x == '{')
	case json.Number:
		return &value{kind: rawjson.Number, text: x.String()}, nil
	case string:
		return &value{kind: rawjson.String, text: x}, nil
	case bool:
		return &value{kind: rawjson.Bool, text: fmt.Sprint(x)}, nil
	}
	return &value{kind: rawjson.Null}, nil
}

func decodeTable(d *json.Decoder, object bool) (*value, error) {
	v := &value{kind: rawjson.Array}
	if object {
		v.kind = rawjson.Object
	}
	for d.More() {
		s := &slot{}
		if object {
			name, err := d.Token()
			if err != nil {
				return nil, err
			}
			s.name = name.(string)
		}
		var err error
		if s.value, err = decodeModel(d); err != nil {
			return nil, err
		}
		v.members = append(v.members, s)
	}
	_, err := d.Token()
	return v, err
}

// encode writes v as a script's json.encode would, as far as the model knows.
func (v *value) encode() string {
	var parts []string
	switch v.kind {
	case rawjson.Number, rawjson.Bool:
		return v.text
	case rawjson.String:
		return string(rawjson.AppendQuoted(nil, v.text))
	case rawjson.Null:
		return "null"
	}
	for _, s := range v.members {
		if s.value == nil {
			continue
		}
		text := s.value.encode()
		if v.kind == rawjson.Object {
			text = string(rawjson.AppendQuoted(nil, s.name)) + ":" + text
		}
		parts = append(parts, text)
	}
	if v.kind == rawjson.Object {
		return "{" + strings.Join(parts, ",") + "}"
	}
	return "[" + strings.Join(parts, ",") + "]"
}

// contains reports whether v is, or holds, x. size bounds how much is looked at.
func (v *value) contains(x *value, size *int) bool {
	*size--
	if v == x || *size < 0 {
		return true
	}
	for _, s := range v.members {
		if s.value != nil && s.value.contains(x, size) {
			return true
		}
	}
	return false
}

// visible are the slots that pairs shows, in its order: of members with one name the last.
func (v *value) visible() []*slot {
	var out []*slot
	last := map[string]int{}
	for i, s := range v.members {
		last[s.name] = i
	}
	for i, s := range v.members {
		if s.value != nil && (v.kind == rawjson.Array || last[s.name] == i) {
			out = append(out, s)
		}
	}
	return out
}

// set assigns a member of an object; nil removes it, and its duplicates in any case.
func (v *value) set(name string, x *value) {
	at := -1
	for i, s := range v.members {
		if s.name == name {
			at = i
		}
	}
	if at < 0 && x != nil {
		v.members = append(v.members, &slot{name: name, value: x})
		return
	}
	for i, s := range v.members {
		if s.name == name {
			s.value = nil
			if i == at {
				s.value = x
			}
		}
	}
}

// place puts x into v: into a list at a place that at chooses, into an object under name.
func (v *value) place(at int, name string, x *value) {
	if v.kind == rawjson.Array {
		v.members = slices.Insert(v.members, at%(len(v.members)+1), &slot{value: x})
		return
	}
	v.set(name, x)
}

// remove takes a slot out.
func (v *value) remove(s *slot) {
	if v.kind == rawjson.Array {
		v.members = slices.DeleteFunc(v.members, func(m *slot) bool { return m == s })
		return
	}
	v.set(s.name, nil)
}

// assign is v[k] = x for the key of a slot that pairs has shown.
func (v *value) assign(s *slot, x *value) {
	if v.kind == rawjson.Object {
		v.set(s.name, x)
		return
	}
	s.value = x
}

// find goes down the tables of v.
func (v *value) find(path []int) *value {
	for _, step := range path {
		var tables []*value
		for _, s := range v.visible() {
			if s.value.isTable() {
				tables = append(tables, s.value)
			}
		}
		if len(tables) == 0 {
			break
		}
		v = tables[step%len(tables)]
	}
	return v
}

// pick chooses one of the visible slots, nil when there is none.
func (v *value) pick(i int) *slot {
	slots := v.visible()
	if len(slots) == 0 {
		return nil
	}
	return slots[i%len(slots)]
}

// sortScalars sorts a list that holds no tables by the text of its elements.
func (v *value) sortScalars() {
	if v.kind != rawjson.Array || slices.ContainsFunc(v.members, func(s *slot) bool { return s.value.isTable() }) {
		return
	}
	slices.SortStableFunc(v.members, func(a, b *slot) int { return strings.Compare(a.value.encode(), b.value.encode()) })
}
