package stdlib

import (
	"bytes"
	"slices"
	"unicode"
	"unicode/utf8"
)

// A mail address is what stands before an @ (or %40, as in the query of a URL) and the domain behind it. Before it:
// one or more letters and digits of any script, and . _ % + -. The domain: labels of letters, digits and hyphens with
// dots between, two at least, up to the last label that begins with a letter and has two bytes or more.
//
// The name of a picture for fine screens (logo@2x.png) is none. Quoted names ("a b"@example.org) and addresses without a
// domain of that kind (root@localhost, a@[10.0.0.1]) are not recognised; of a name or a domain that is longer than
// maxMailPart, the part next to the @ counts.

const (
	mailMark = "<mail>"
	// maxMailPart is more than the 64 and 255 bytes that a name and a domain can have, and bounds the work for one @.
	maxMailPart = 256
)

var (
	mailName   = setOf(alphanumeric + "._%+-")
	mailDomain = setOf(alphanumeric + "-")
	pictures   = []string{"png", "jpg", "jpeg", "gif", "webp", "avif", "svg"}
)

// ats finds the @ of a text, and what stands for one.
type ats struct {
	s            []byte
	plain, coded int // position of the next @ and %40 at or behind where next last looked, len(s) for none
}

func newAts(s []byte) ats { return ats{s: s, plain: -1, coded: -1} }

// next returns where the first one at or behind from begins and ends.
func (a *ats) next(from int) (at, end int, ok bool) {
	if a.plain < from {
		a.plain = indexFrom(a.s, from, func(s []byte) int { return bytes.IndexByte(s, '@') })
	}
	if a.coded < from {
		a.coded = indexFrom(a.s, from, func(s []byte) int { return bytes.Index(s, []byte("%40")) })
	}
	switch {
	case a.plain < a.coded:
		return a.plain, a.plain + 1, true
	case a.coded < len(a.s):
		return a.coded, a.coded + 3, true
	}
	return 0, 0, false
}

// indexFrom is index in s[from:], as a position in s; len(s) for none.
func indexFrom(s []byte, from int, index func([]byte) int) int {
	if i := index(s[from:]); i >= 0 {
		return from + i
	}
	return len(s)
}

// hideMails appends text with its mail addresses replaced to dst, and returns how many there were; with none, dst is
// as it was.
func hideMails(dst, s []byte, spend Spend) ([]byte, int) {
	found, done, floor := 0, 0, 0
	signs := newAts(s)
	for {
		at, behind, ok := signs.next(floor)
		if !ok || !spend(4+(at-floor)>>8) {
			break
		}
		from := nameStart(s, max(floor, at-maxMailPart), at)
		if end := domainEnd(s, behind); from < at && end > 0 && !pictureScale(s[behind:end]) {
			dst = append(append(dst, s[done:from]...), mailMark...)
			found++
			done, floor = end, end
			continue
		}
		floor = behind
	}
	if found > 0 {
		dst = append(dst, s[done:]...)
	}
	return dst, found
}

// nameStart returns where the name that ends at end begins, floor at the earliest.
func nameStart(s []byte, floor, end int) int {
	i := end
	for i > floor {
		if c := s[i-1]; c < utf8.RuneSelf {
			if !mailName[c] {
				break
			}
			i--
			continue
		}
		r, n := utf8.DecodeLastRune(s[floor:i])
		if !wordRune(r) {
			break
		}
		i -= n
	}
	return i
}

// wordRune reports whether a character beyond ASCII may be part of a name or a label.
func wordRune(r rune) bool { return unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsDigit(r) }

// domainEnd returns where the domain that begins at i ends, 0 where none does.
func domainEnd(s []byte, i int) int {
	s = s[:min(len(s), i+maxMailPart)]
	end := 0
	for first := true; ; first = false {
		from := i
		i = labelEnd(s, from)
		stop := i
		for stop > from && s[stop-1] == '-' {
			stop--
		}
		if !first && stop-from >= 2 && beginsWithLetter(s[from:]) {
			end = stop
		}
		if i == from || i == len(s) || s[i] != '.' {
			return end
		}
		i++
	}
}

// pictureScale reports whether what looks like a domain is how the name of a picture ends: 2x.png.
func pictureScale(domain []byte) bool {
	if len(domain) < len("2x.png") || !isDecimal(domain[0]) || toLower(domain[1]) != 'x' || domain[2] != '.' {
		return false
	}
	return slices.ContainsFunc(pictures, func(kind string) bool { return equalFold(domain[3:], kind) })
}

func labelEnd(s []byte, i int) int {
	for i < len(s) {
		if s[i] < utf8.RuneSelf {
			if !mailDomain[s[i]] {
				break
			}
			i++
			continue
		}
		r, n := utf8.DecodeRune(s[i:])
		if !wordRune(r) {
			break
		}
		i += n
	}
	return i
}

func beginsWithLetter(s []byte) bool {
	if s[0] < utf8.RuneSelf {
		return isLetter(s[0])
	}
	r, _ := utf8.DecodeRune(s)
	return unicode.IsLetter(r)
}

// addMailPairs notes which neighbours an address cannot do without.
func addMailPairs(p *pairSet) {
	for c := range 256 {
		if mailName[c] || c >= utf8.RuneSelf {
			p.add(byte(c), '@')
		}
	}
	p.add('%', '4')
}

// mayBeMail looks at the pair that ends at i, in JSON text: an escape may begin a domain, and ends in a hexadecimal
// digit or in what is no part of a name.
func mayBeMail(s []byte, i int) bool {
	behind := i + 1
	if s[i] != '@' {
		if behind++; behind > len(s) || s[behind-1] != '0' {
			return false
		}
	}
	return behind < len(s) && (mailDomain[s[behind]] || s[behind] == '\\' || s[behind] >= utf8.RuneSelf)
}
