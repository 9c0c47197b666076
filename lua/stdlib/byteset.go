package stdlib

import "unsafe"

// Bytes returns the bytes of s without a copy. They must not be written to.
func Bytes(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// byteSet is a set of bytes.
type byteSet [256]bool

func setOf(members string) *byteSet {
	var s byteSet
	for i := range len(members) {
		s[members[i]] = true
	}
	return &s
}

const (
	upperAlphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	alphanumeric      = "abcdefghijklmnopqrstuvwxyz" + upperAlphanumeric
)

func isDecimal(c byte) bool { return c-'0' <= 9 }

func isLetter(c byte) bool { return toLower(c)-'a' <= 'z'-'a' }

// toLower is the lower case of an ASCII letter, and any other byte itself.
func toLower(c byte) byte {
	if c-'A' <= 'Z'-'A' {
		return c | 0x20
	}
	return c
}

// toUpper is the upper case of an ASCII letter, and any other byte itself.
func toUpper(c byte) byte {
	if c-'a' <= 'z'-'a' {
		return c &^ 0x20
	}
	return c
}

// equalFold reports whether s is want but for the case of ASCII letters. want is in lower case.
func equalFold(s []byte, want string) bool {
	if len(s) != len(want) {
		return false
	}
	for i, c := range s {
		if toLower(c) != want[i] {
			return false
		}
	}
	return true
}

// pairSet is a set of pairs of neighbouring bytes: 8 KiB, which fit a first-level cache.
type pairSet [1 << 10]uint64

func (p *pairSet) add(a, b byte) {
	i := uint16(a)<<8 | uint16(b)
	p[i>>6] |= 1 << (i & 63)
}

func (p *pairSet) has(a, b byte) bool {
	i := uint16(a)<<8 | uint16(b)
	return p[i>>6]&(1<<(i&63)) != 0
}
