package ingest

import (
	"encoding/binary"
	"math/bits"
)

// scanValue checks the JSON value that starts at b[i] and returns the position after it, or the position
// of the first fault. timestamp tells whether the value is an object with a member "@timestamp".
//
// It is one pass without recursion or allocation: the kinds of the open brackets are bits of a fixed
// array. The labels are the states of the grammar (a value comes, a value has ended, a member name
// comes); as separate functions they would cost a call per token, and are no easier to read.
func scanValue(b []byte, i int) (end int, timestamp bool, f fault) {
	var (
		open   [(MaxDepth + 63) / 64]uint64 // bit set: object; clear: array
		depth  int
		object bool // what the innermost open bracket is
		start  int
	)

value:
	if i = skipSpace(b, i); i >= len(b) {
		return i, false, faultEnd
	}
	switch c := b[i]; {
	case c == '"':
		if i, f = scanString(b, i+1); f != faultNone {
			return i, false, f
		}
	case c == '{' || c == '[':
		if depth == MaxDepth {
			return i, false, faultDepth
		}
		object = c == '{'
		if object {
			open[depth>>6] |= 1 << (depth & 63)
		} else {
			open[depth>>6] &^= 1 << (depth & 63)
		}
		depth++
		i = skipSpace(b, i+1)
		if i < len(b) && b[i] == c+2 { // in ASCII '}' and ']' stand two after their opening bracket
			goto closed
		}
		if object {
			goto name
		}
		goto value
	case c == '-' || c-'0' <= 9:
		if i, f = scanNumber(b, i); f != faultNone {
			return i, false, f
		}
	case c == 't' || c == 'f' || c == 'n':
		if i, f = scanLiteral(b, i); f != faultNone {
			return i, false, f
		}
	default:
		return i, false, faultValue
	}

ended:
	if depth == 0 {
		return i, timestamp, faultNone
	}
	if i = skipSpace(b, i); i >= len(b) {
		return i, false, faultEnd
	}
	if object {
		if b[i] == ',' {
			i = skipSpace(b, i+1)
			goto name
		}
		if b[i] != '}' {
			return i, false, faultObjectNext
		}
	} else {
		if b[i] == ',' {
			i++
			goto value
		}
		if b[i] != ']' {
			return i, false, faultArrayNext
		}
	}

closed:
	i++
	depth--
	if depth > 0 {
		object = open[(depth-1)>>6]>>((depth-1)&63)&1 == 1
	}
	goto ended

name:
	if i >= len(b) {
		return i, false, faultEnd
	}
	if b[i] != '"' {
		return i, false, faultKey
	}
	start = i + 1
	if i, f = scanString(b, start); f != faultNone {
		return i, false, f
	}
	if depth == 1 && !timestamp && i-start > len(timestampKey) {
		timestamp = isTimestampKey(b[start : i-1])
	}
	if i = skipSpace(b, i); i >= len(b) {
		return i, false, faultEnd
	}
	if b[i] != ':' {
		return i, false, faultColon
	}
	i++
	goto value
}

// skipSpace returns the position of the first byte at or after i that is no JSON white space.
func skipSpace(b []byte, i int) int {
	for i < len(b) && b[i] <= ' ' && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

const (
	ones  = 0x0101010101010101
	highs = 0x80 * ones
)

// scanString returns the position after the closing quote of the string whose first byte is b[i].
// It steps over plain ASCII eight bytes at a time: a byte that needs a look (a quote, a backslash, a
// control character, anything above 0x7F) sets its top bit in at least one of the four terms. A borrow
// can reach only bytes above one that is a hit itself, so the lowest hit is always exact.
func scanString(b []byte, i int) (int, fault) {
	for {
		for len(b)-i >= 8 {
			x := binary.LittleEndian.Uint64(b[i:])
			hits := (x | (x - ' '*ones) | ((x ^ '"'*ones) - ones) | ((x ^ '\\'*ones) - ones)) & highs
			if hits != 0 {
				i += bits.TrailingZeros64(hits) >> 3
				break
			}
			i += 8
		}
		if i >= len(b) {
			return i, faultEnd
		}
		switch c := b[i]; {
		case c == '"':
			return i + 1, faultNone
		case c == '\\':
			n, f := escapeLen(b, i)
			if f != faultNone {
				return i, f
			}
			i += n
		case c < ' ':
			return i, faultControl
		case c < 0x80:
			i++
		default: // letters above ASCII come in runs
			for i < len(b) && b[i] >= 0x80 {
				if b[i]-0xC2 <= 0xDF-0xC2 && i+1 < len(b) && b[i+1]&0xC0 == 0x80 {
					i += 2
					continue
				}
				n := runeLen(b[i:])
				if n == 0 {
					return i, faultUTF8
				}
				i += n
			}
		}
	}
}

// escapeLen returns the length of the escape at b[i], a backslash. Any four hexadecimal digits may follow
// \u: RFC 8259 (section 8.2) allows surrogates without their partner, and the event is kept as it was sent.
func escapeLen(b []byte, i int) (int, fault) {
	if i+1 >= len(b) {
		return 0, faultEnd
	}
	switch b[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2, faultNone
	case 'u':
		for k := i + 2; k < i+6; k++ {
			if k >= len(b) {
				return 0, faultEnd
			}
			if hexValue(b[k]) < 0 {
				return 0, faultEscape
			}
		}
		return 6, faultNone
	}
	return 0, faultEscape
}

// hexValue returns the value of a hexadecimal digit, or -1.
func hexValue(c byte) int {
	switch {
	case c-'0' <= 9:
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

// runeLen returns the length of the UTF-8 sequence at the start of b, whose first byte is above 0x7F, or 0
// when it is not valid: overlong, a surrogate, above U+10FFFF, cut off (RFC 3629, section 4).
func runeLen(b []byte) int {
	c, low, high := b[0], byte(0x80), byte(0xBF)
	var n int
	switch {
	case c < 0xC2:
		return 0
	case c < 0xE0:
		n = 2
	case c < 0xF0:
		n = 3
		if c == 0xE0 {
			low = 0xA0
		} else if c == 0xED {
			high = 0x9F
		}
	case c < 0xF5:
		n = 4
		if c == 0xF0 {
			low = 0x90
		} else if c == 0xF4 {
			high = 0x8F
		}
	default:
		return 0
	}
	if len(b) < n || b[1] < low || b[1] > high {
		return 0
	}
	for _, c := range b[2:n] {
		if c&0xC0 != 0x80 {
			return 0
		}
	}
	return n
}

// scanNumber returns the position after the number at b[i], which is a minus sign or a digit.
func scanNumber(b []byte, i int) (int, fault) {
	if b[i] == '-' {
		i++
	}
	first := i
	end := skipDigits(b, i)
	if end == first {
		return endOr(b, end, faultNumber)
	}
	if b[first] == '0' && end > first+1 {
		return first + 1, faultNumber
	}
	i = end
	if i < len(b) && b[i] == '.' {
		if end = skipDigits(b, i+1); end == i+1 {
			return endOr(b, end, faultNumber)
		}
		i = end
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		if end = skipDigits(b, i); end == i {
			return endOr(b, end, faultNumber)
		}
		i = end
	}
	return i, faultNone
}

func skipDigits(b []byte, i int) int {
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	return i
}

// endOr tells a fault at position i from bytes that merely end there.
func endOr(b []byte, i int, f fault) (int, fault) {
	if i >= len(b) {
		return i, faultEnd
	}
	return i, f
}

func scanLiteral(b []byte, i int) (int, fault) {
	word := "null"
	switch b[i] {
	case 't':
		word = "true"
	case 'f':
		word = "false"
	}
	for k := range len(word) {
		if i+k >= len(b) {
			return len(b), faultEnd
		}
		if b[i+k] != word[k] {
			return i + k, faultLiteral
		}
	}
	return i + len(word), faultNone
}

// skipBroken returns the position after the value at b[i] when only the inside of its strings is at fault
// or it nests too deep: brackets are counted, strings stepped over, nothing else is looked at. It returns
// false when no end can be found.
func skipBroken(b []byte, i int) (int, bool) {
	depth := 0
	for i < len(b) {
		switch b[i] {
		case '"':
			for i++; i < len(b) && b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		i++
		if depth <= 0 {
			return i, i <= len(b)
		}
	}
	return i, false
}
