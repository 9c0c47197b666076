package rawjson

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// KeyIs reports whether the raw string raw, quotes included, means s.
func KeyIs(raw []byte, s string) bool {
	if len(raw) < 2 {
		return false
	}
	body := raw[1 : len(raw)-1]
	if string(body) == s {
		return bytes.IndexByte(body, '\\') < 0
	}
	// An escape never makes text longer than its spelling.
	if len(body) <= len(s) || bytes.IndexByte(body, '\\') < 0 {
		return false
	}
	var buf [utf8.UTFMax]byte
	for len(body) > 0 {
		unit, n := unescape(buf[:0], body)
		if len(s) < len(unit) || string(unit) != s[:len(unit)] {
			return false
		}
		body, s = body[n:], s[len(unit):]
	}
	return s == ""
}

// Plain reports whether the raw string raw holds no escapes, so that its meaning is raw[1:len(raw)-1].
func Plain(raw []byte) bool { return bytes.IndexByte(raw, '\\') < 0 }

// AppendUnquoted appends what the raw string raw, quotes included, means. Surrogate pairs become one
// character, lone surrogates U+FFFD.
func AppendUnquoted(dst, raw []byte) []byte {
	if len(raw) < 2 {
		return dst
	}
	body := raw[1 : len(raw)-1]
	for {
		i := bytes.IndexByte(body, '\\')
		if i < 0 {
			return append(dst, body...)
		}
		dst = append(dst, body[:i]...)
		var n int
		dst, n = unescape(dst, body[i:])
		body = body[i+n:]
	}
}

// unescape appends the meaning of the first character or escape of b, which is not empty, and returns
// how many bytes of b it took. A broken escape stands for itself.
func unescape(dst, b []byte) ([]byte, int) {
	if b[0] != '\\' || len(b) < 2 {
		return append(dst, b[0]), 1
	}
	switch b[1] {
	case 'b':
		return append(dst, '\b'), 2
	case 'f':
		return append(dst, '\f'), 2
	case 'n':
		return append(dst, '\n'), 2
	case 'r':
		return append(dst, '\r'), 2
	case 't':
		return append(dst, '\t'), 2
	case 'u':
		r, ok := hex4(b)
		if !ok {
			return append(dst, '\\'), 1
		}
		if utf16.IsSurrogate(r) {
			if low, ok := hex4(b[6:]); ok {
				if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
					return utf8.AppendRune(dst, pair), 12
				}
			}
			r = utf8.RuneError
		}
		return utf8.AppendRune(dst, r), 6
	default:
		return append(dst, b[1]), 2
	}
}

// hex4 reads the number of a \uXXXX escape at the beginning of b.
func hex4(b []byte) (rune, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range b[2:6] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

const hexDigits = "0123456789abcdef"

// AppendQuoted appends s as a JSON string with quotes. Bytes that are no UTF-8 become U+FFFD; only
// what must be escaped is.
func AppendQuoted[T string | []byte](dst []byte, s T) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		if i+8 <= len(s) && allPlain(word(s, i)) {
			i += 8
			continue
		}
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			if size := validRune(s[i:]); size > 0 {
				i += size
				continue
			}
		}
		dst = append(dst, s[start:i]...)
		dst = appendEscaped(dst, c)
		i++
		start = i
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

// word is the eight bytes of s from i on, the first one lowest.
func word[T string | []byte](s T, i int) uint64 {
	_ = s[i+7]
	return uint64(s[i]) | uint64(s[i+1])<<8 | uint64(s[i+2])<<16 | uint64(s[i+3])<<24 |
		uint64(s[i+4])<<32 | uint64(s[i+5])<<40 | uint64(s[i+6])<<48 | uint64(s[i+7])<<56
}

// allPlain reports whether every byte of w stands for itself in a string: ASCII, no control character, quote or backslash.
func allPlain(w uint64) bool {
	q, s := w^ones*'"', w^ones*'\\'
	return ((w-ones*' ')|(q-ones)|(s-ones)|w)&highs == 0
}

// validRune returns the length of the UTF-8 sequence at the beginning of s, 0 when there is none.
func validRune[T string | []byte](s T) int {
	var buf [utf8.UTFMax]byte
	n := copy(buf[:], s)
	r, size := utf8.DecodeRune(buf[:n])
	if r == utf8.RuneError && size <= 1 {
		return 0
	}
	return size
}

// appendEscaped appends the escape of one byte that cannot stand for itself.
func appendEscaped(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	if c < ' ' {
		return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
	}
	return append(dst, "\uFFFD"...)
}
