package rawjson

import (
	"encoding/binary"
	"math/bits"
)

// Kind is the type of a JSON value.
type Kind uint8

// The kinds, as their first byte tells them apart.
const (
	Invalid Kind = iota
	Null
	Bool
	Number
	String
	Array
	Object
)

// kinds maps the first byte of a value to its kind.
var kinds = func() (t [256]Kind) {
	t['n'], t['t'], t['f'] = Null, Bool, Bool
	t['"'], t['['], t['{'], t['-'] = String, Array, Object, Number
	for c := '0'; c <= '9'; c++ {
		t[c] = Number
	}
	return t
}()

// KindOf tells the kind of value from its first byte after white space.
func KindOf(value []byte) Kind {
	i := skipSpace(value, 0)
	if i >= len(value) {
		return Invalid
	}
	return kinds[value[i]]
}

// Trim returns value without the white space around it.
func Trim(value []byte) []byte {
	start := skipSpace(value, 0)
	return value[start:trimEnd(value, start)]
}

// trimEnd returns the end of b[start:] without its trailing white space.
func trimEnd(b []byte, start int) int {
	end := len(b)
	for end > start && isSpace(b[end-1]) {
		end--
	}
	return end
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

// skipSpace returns the position of the first byte at or after i that is no white space, len(b) if none.
func skipSpace(b []byte, i int) int {
	for i < len(b) && b[i] <= ' ' && isSpace(b[i]) {
		i++
	}
	return i
}

// skipValue returns the position behind the value that begins at i, -1 when none ends in b.
func skipValue(b []byte, i int) int {
	if i >= len(b) {
		return -1
	}
	switch kinds[b[i]] {
	case String:
		return skipString(b, i)
	case Object, Array:
		return skipContainer(b, i)
	case Invalid:
		return -1
	default:
		return skipLiteral(b, i)
	}
}

// skipLiteral passes a number, true, false or null: everything up to the next delimiter.
func skipLiteral(b []byte, i int) int {
	for i < len(b) {
		switch b[i] {
		case ',', '}', ']', ' ', '\n', '\r', '\t', ':', '"', '{', '[':
			return i
		}
		i++
	}
	return i
}

// skipContainer passes an object or array. It counts brackets of both kinds alike: valid text closes
// them in order, so which bracket it was need not be remembered.
func skipContainer(b []byte, i int) int {
	depth := 0
	for i < len(b) {
		switch b[i] {
		case '"':
			if i = skipString(b, i); i < 0 {
				return -1
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
		i++
	}
	return -1
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// skipString passes the string whose opening quote stands at i, eight bytes at a time.
func skipString(b []byte, i int) int {
	i++
	for i+8 <= len(b) {
		w := binary.LittleEndian.Uint64(b[i:])
		q := w ^ ones*'"'
		s := w ^ ones*'\\'
		// The lowest marked byte is exact; false marks of this test appear only above a true one.
		hit := ((q - ones) &^ q & highs) | ((s - ones) &^ s & highs)
		if hit == 0 {
			i += 8
			continue
		}
		i += bits.TrailingZeros64(hit) >> 3
		if b[i] == '"' {
			return i + 1
		}
		i += 2
	}
	for i < len(b) {
		switch b[i] {
		case '"':
			return i + 1
		case '\\':
			i++
		}
		i++
	}
	return -1
}
