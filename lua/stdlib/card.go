package stdlib

import (
	"bytes"
	"math"
	"strconv"
)

// A card number has 13 to 19 digits that pass the Luhn check and begins as those of payment cards do: with 22 to 27,
// 3 to 6, 81, 82 or 97. It stands in one piece or in groups of four or more digits, the last of them of any length,
// with one space or hyphen between two, or one +, as in the query of a URL. Of several that begin at one digit the
// longest counts. These are none:
//
//   - digits that are part of a longer number: of more than 19, or behind a decimal point,
//   - digits, or groups of them, that begin or end in an id: a hexadecimal word of 32 or more letters and digits (a hash, an
//     id of a trace), one of 16 or 24 that has letters (an id of a span, of an object), or a UUID. Of random ids one in a
//     thousand has a card in it.

const (
	cardMark  = "<card>"
	minCard   = 13
	maxCard   = 19
	cardGroup = 4 // digits of a group that is not the last one
	hashWord  = 32
	uuidSize  = 36
	// fewestDigits stand in a row in what is looked at: a number with an exponent, such as 4.111111111111111e+15, has
	// fewer than a card.
	fewestDigits = 12
)

var (
	cardByte = setOf("0123456789 -+")
	hexDigit = setOf("0123456789abcdefABCDEF")
	// cardStart says of the first two digits whether a card begins so.
	cardStart = func() (t [100]bool) {
		for i := range t {
			t[i] = i >= 22 && i <= 27 || i >= 30 && i <= 69 || i == 81 || i == 82 || i == 97
		}
		return t
	}()
)

// cardRun returns the next run of digits, and of what may stand between groups, at or behind i that is long enough for a
// card: it looks at every twelfth byte only. ok is false at the end.
func cardRun(s []byte, i int) (from, end int, ok bool) {
	for p := i + fewestDigits - 1; p < len(s); p += fewestDigits {
		if !cardByte[s[p]] {
			continue
		}
		from, end = p, p+1
		for from > i && cardByte[s[from-1]] {
			from--
		}
		for end < len(s) && cardByte[s[end]] {
			end++
		}
		if end-from >= fewestDigits {
			return from, end, true
		}
		p = end // the next probe is behind it
		i = end
	}
	return 0, 0, false
}

// cardIn returns the first card in the run from i to end; the last one before it ended at done. loose takes also what
// may be part of a decimal or an id.
func cardIn(s []byte, i, end, done int, loose bool, spend Spend) (from, to int) {
	for i < end {
		if !isDecimal(s[i]) {
			i++
			continue
		}
		to, next := cardAt(s, i, end, done, loose)
		if !spend(1 + (next-i)>>3) {
			return 0, 0
		}
		if to > 0 && (loose || (!behindPoint(s, i) || i-1 == done) && !inID(s, i, next, done)) {
			return i, to
		}
		i = next
	}
	return 0, 0
}

// cardAt returns where the longest card that begins with the group of digits at i ends, 0 for none, and where that
// group ends. Whether that group is part of an id it does not ask, only of further ones, unless loose.
func cardAt(s []byte, i, end, done int, loose bool) (to, next int) {
	var digits [maxCard]byte
	n := 0
	for {
		group := i
		for ; i < end && isDecimal(s[i]) && (n <= maxCard || next == 0); i++ {
			if n < maxCard {
				digits[n] = s[i] - '0'
			}
			n++
		}
		first := next == 0
		if first {
			next = i
		}
		if n > maxCard || n < 2 || !cardStart[digits[0]*10+digits[1]] {
			return to, next
		}
		if n >= minCard && luhn(digits[:n]) && (loose || first || !inID(s, group, i, done)) {
			to = i
		}
		if i-group < cardGroup || i+1 >= end || !isDecimal(s[i+1]) {
			return to, next
		}
		i++ // one space, hyphen or plus
	}
}

// luhn is the check that the last digit of a card is for.
func luhn(digits []byte) bool {
	sum := 0
	for i := range digits {
		d := int(digits[len(digits)-1-i])
		if i&1 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}

// behindPoint reports whether the digits at i are a fraction.
func behindPoint(s []byte, i int) bool { return i >= 2 && s[i-1] == '.' && isDecimal(s[i-2]) }

// inID reports whether the digits from i to end are part of an id that begins at floor or later.
func inID(s []byte, i, end, floor int) bool {
	from, letters := i, false
	for ; i > floor && from-i < hashWord && hexDigit[s[i-1]]; i-- {
		letters = letters || !isDecimal(s[i-1])
	}
	for ; end < len(s) && end-i < hashWord && hexDigit[s[end]]; end++ {
		letters = letters || !isDecimal(s[end])
	}
	switch size := end - i; size {
	case 16, 24:
		return letters
	case 8:
		return uuidAt(s, i, floor)
	case 4:
		return uuidAt(s, i-9, floor) || uuidAt(s, i-14, floor) || uuidAt(s, i-19, floor)
	case 12:
		return uuidAt(s, i-24, floor)
	default:
		return size >= hashWord
	}
}

// uuidAt reports whether a UUID begins at i, and not before floor.
func uuidAt(s []byte, i, floor int) bool {
	if i < floor || i+uuidSize > len(s) || i > floor && hexDigit[s[i-1]] || i+uuidSize < len(s) && hexDigit[s[i+uuidSize]] {
		return false
	}
	for at, c := range s[i : i+uuidSize] {
		switch at {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if !hexDigit[c] {
				return false
			}
		}
	}
	return true
}

// hideCards is as hideMails.
func hideCards(dst, s []byte, spend Spend) ([]byte, int) {
	found, done := 0, 0
	for i := 0; ; {
		from, end, ok := cardRun(s, i)
		if !ok || !spend(1+(end-i)>>5) {
			break
		}
		for i = from; i < end; {
			card, to := cardIn(s, i, end, done, false, spend)
			if to == 0 {
				break
			}
			dst = append(append(dst, s[done:card]...), cardMark...)
			found++
			done, i = to, to
		}
		i = end
	}
	if found > 0 {
		dst = append(dst, s[done:]...)
	}
	return dst, found
}

// mayHoldCard looks through JSON text.
func mayHoldCard(s []byte, spend Spend) bool {
	for i := 0; ; {
		from, end, ok := cardRun(s, i)
		if !ok || !spend(1+(end-i)>>5) {
			return false
		}
		if end < len(s) && toLower(s[end]) == 'e' && isDecimal(s[end-1]) {
			return true // perhaps a number with an exponent
		}
		if _, to := cardIn(s, from, end, 0, true, spend); to > 0 {
			return true
		}
		if behind := escapeEnd(s, from); behind > from {
			if _, to := cardIn(s, behind, end, 0, true, spend); to > 0 {
				return true
			}
		}
		i = end
	}
}

// escapeEnd returns where the escape \uXXXX ends that the digits at i may be the end of, 0 when there is none. It may be
// none also where it looks like one: \\u0000.
func escapeEnd(s []byte, i int) int {
	for j := i - 2; j >= 0 && j > i-6; j-- {
		if s[j] == '\\' && s[j+1] == 'u' {
			return j + 6
		}
	}
	return 0
}

// isCard reports whether digits, in one piece, are a card.
func isCard(digits []byte) bool {
	to, _ := cardAt(digits, 0, len(digits), 0, true)
	return to > 0 && to == len(digits)
}

// cardNumber reports whether a JSON number is a card, however it is spelled.
func cardNumber(raw []byte) bool {
	if len(raw) > 0 && raw[0] == '-' {
		raw = raw[1:]
	}
	if point := bytes.IndexByte(raw, '.'); point > 0 && len(bytes.Trim(raw[point+1:], "0")) == 0 {
		raw = raw[:point]
	}
	if len(raw) < minCard || len(raw) > 64 {
		return false
	}
	exponent := bytes.IndexAny(raw, "eE")
	if exponent < 0 {
		return isCard(raw)
	}
	row := exponent - 1 - bytes.LastIndexByte(raw[:exponent], '.')
	if row < fewestDigits {
		return false
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || f != math.Trunc(f) || f < 1e12 || f >= 1e19 {
		return false
	}
	return isCard(strconv.AppendUint(nil, uint64(f), 10))
}
