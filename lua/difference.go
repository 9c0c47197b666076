package lua

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/weirlog/weir/flush/rawjson"
)

// difference says in what got differs from want: both are valid JSON, compared by value. The order of members
// does not matter, of a name that comes twice the last one counts, numbers are equal when they are the same
// number, however they are written and however large. It is "" when there is no difference, else it names the first.
func difference(path string, got, want []byte) string {
	got, want = rawjson.Trim(got), rawjson.Trim(want)
	kind := rawjson.KindOf(got)
	switch {
	case kind != rawjson.KindOf(want):
	case kind == rawjson.Object:
		return objectDifference(path, got, want)
	case kind == rawjson.Array:
		return listDifference(path, got, want)
	case sameScalar(kind, got, want):
		return ""
	}
	return fmt.Sprintf("%s is %s, want %s", named(path), excerpt(got), excerpt(want))
}

func named(path string) string {
	if path == "" {
		return "the document"
	}
	return path
}

func below(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func objectDifference(path string, got, want []byte) string {
	has, wants := membersOf(got), membersOf(want)
	it := rawjson.MembersOf(want)
	for key, _, ok := it.Next(); ok; key, _, ok = it.Next() {
		name := string(rawjson.AppendUnquoted(nil, key))
		value, there := has[name]
		if !there {
			return fmt.Sprintf("%s is missing, want %s", below(path, name), excerpt(wants[name]))
		}
		if d := difference(below(path, name), value, wants[name]); d != "" {
			return d
		}
	}
	for _, name := range slices.Sorted(maps.Keys(has)) {
		if _, wanted := wants[name]; !wanted {
			return fmt.Sprintf("%s is %s, and is not wanted", below(path, name), excerpt(has[name]))
		}
	}
	return ""
}

func membersOf(object []byte) map[string][]byte {
	members := map[string][]byte{}
	it := rawjson.MembersOf(object)
	for key, value, ok := it.Next(); ok; key, value, ok = it.Next() {
		members[string(rawjson.AppendUnquoted(nil, key))] = value
	}
	return members
}

func listDifference(path string, got, want []byte) string {
	has, wants := elementsOf(got), elementsOf(want)
	for i := range min(len(has), len(wants)) {
		if d := difference(fmt.Sprintf("%s[%d]", path, i+1), has[i], wants[i]); d != "" {
			return d
		}
	}
	if len(has) != len(wants) {
		return fmt.Sprintf("%s has %d elements, want %d", named(path), len(has), len(wants))
	}
	return ""
}

func elementsOf(list []byte) [][]byte {
	var elements [][]byte
	it := rawjson.ElementsOf(list)
	for value, ok := it.Next(); ok; value, ok = it.Next() {
		elements = append(elements, value)
	}
	return elements
}

func sameScalar(kind rawjson.Kind, a, b []byte) bool {
	switch kind {
	case rawjson.String:
		return string(rawjson.AppendUnquoted(nil, a)) == string(rawjson.AppendUnquoted(nil, b))
	case rawjson.Number:
		return sameNumber(string(a), string(b))
	}
	return string(a) == string(b)
}

// sameNumber compares JSON numbers by their decimal digits: a float would call different 64-bit integers equal.
func sameNumber(a, b string) bool {
	if a == b {
		return true
	}
	x, okX := decimalOf(a)
	y, okY := decimalOf(b)
	return okX && okY && x == y
}

// decimal is digits times ten to the exponent; zero is the zero value.
type decimal struct {
	negative bool
	digits   string // without zeros at its ends
	exponent int64
}

// decimalOf takes a number apart; ok is false for an exponent that is absurd.
func decimalOf(s string) (d decimal, ok bool) {
	s, d.negative = strings.CutPrefix(s, "-")
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		e, err := strconv.ParseInt(s[i+1:], 10, 32)
		if err != nil {
			return d, false
		}
		s, d.exponent = s[:i], e
	}
	whole, fraction, _ := strings.Cut(s, ".")
	d.exponent -= int64(len(fraction))
	d.digits = strings.TrimLeft(whole+fraction, "0")
	short := strings.TrimRight(d.digits, "0")
	d.exponent += int64(len(d.digits) - len(short))
	if d.digits = short; short == "" {
		return decimal{}, true
	}
	return d, true
}

// aligned writes JSON over several lines, so that a comparison by line with other, written likewise, shows
// nothing but what differs by value: members are sorted, and what has the same value in other has its spelling.
func aligned(value, other []byte) string { return string(appendAligned(nil, value, other, "\n")) }

func appendAligned(dst, value, other []byte, lineBreak string) []byte {
	value, other = rawjson.Trim(value), rawjson.Trim(other)
	inner := lineBreak + "  "
	switch kind := rawjson.KindOf(value); kind {
	case rawjson.Object:
		members, others := membersOf(value), membersOf(other)
		dst = append(dst, '{')
		for i, name := range slices.Sorted(maps.Keys(members)) {
			dst = append(appendSeparator(dst, i), inner...)
			dst = append(rawjson.AppendQuoted(dst, name), ": "...)
			dst = appendAligned(dst, members[name], others[name], inner)
		}
		return appendClose(dst, '}', len(members), lineBreak)
	case rawjson.Array:
		elements, others := elementsOf(value), elementsOf(other)
		dst = append(dst, '[')
		for i, element := range elements {
			dst = append(appendSeparator(dst, i), inner...)
			var beside []byte
			if i < len(others) {
				beside = others[i]
			}
			dst = appendAligned(dst, element, beside, inner)
		}
		return appendClose(dst, ']', len(elements), lineBreak)
	case rawjson.String:
		return rawjson.AppendQuoted(dst, rawjson.AppendUnquoted(nil, value))
	case rawjson.Number:
		if rawjson.KindOf(other) == kind && string(other) < string(value) && sameNumber(string(value), string(other)) {
			return append(dst, other...)
		}
	}
	return append(dst, value...)
}

func appendSeparator(dst []byte, i int) []byte {
	if i > 0 {
		return append(dst, ',')
	}
	return dst
}

func appendClose(dst []byte, bracket byte, members int, lineBreak string) []byte {
	if members > 0 {
		dst = append(dst, lineBreak...)
	}
	return append(dst, bracket)
}
