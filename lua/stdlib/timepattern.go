package stdlib

import (
	"errors"
	"fmt"
	"strings"
)

// Directives of strftime that can be written, with those among them that stand for others.
const written = "YyCGgmBbhAawuVUWedjkHlIPpMSsfZz%tncvrFDxTXR+"

var compound = map[byte]string{
	'F': "%Y-%m-%d", 'T': "%H:%M:%S", 'X': "%H:%M:%S", 'R': "%H:%M", 'D': "%m/%d/%y", 'x': "%m/%d/%y",
	'r': "%I:%M:%S %p", 'v': "%e-%b-%Y", 'c': "%a %b %e %H:%M:%S %Y", '+': "%a %b %e %H:%M:%S %Z %Y",
}

// unreadable are directives that only repeat what others say, in a form from which no date follows.
const unreadable = "CGgVUWwu"

// splitPattern checks a pattern and brings it to a form without flags and without directives that stand for
// others: literal bytes, and % with one letter. Widths are refused; a result of any length could be asked for.
func splitPattern(pattern string) (string, error) {
	var out strings.Builder
	for i := 0; i < len(pattern); i++ {
		if pattern[i] != '%' {
			out.WriteByte(pattern[i])
			continue
		}
		i++
		flags := i
		for i < len(pattern) && strings.IndexByte("-_^#0:", pattern[i]) >= 0 {
			i++
		}
		if i == len(pattern) {
			return "", errors.New("a format of times ends within a directive")
		}
		c := pattern[i]
		if strings.IndexByte(written, c) < 0 || i-flags > 1 || strings.Contains(pattern[flags:i], ":") && c != 'z' {
			return "", fmt.Errorf("there is no directive %q for times", pattern[flags-1:i+1])
		}
		if parts, ok := compound[c]; ok {
			out.WriteString(parts)
			continue
		}
		out.Write([]byte{'%', padded(c, pattern[flags:i])})
	}
	return out.String(), nil
}

// padded maps what is written with blanks, by a flag, to the directive that is.
func padded(c byte, flags string) byte {
	if flags == "_" {
		switch c {
		case 'd':
			return 'e'
		case 'H':
			return 'k'
		case 'I':
			return 'l'
		}
	}
	return c
}

// readable returns the directives for scanPattern, or why a time cannot be read by them.
func readable(directives string) (string, error) {
	year := false
	for i := 0; i < len(directives); i++ {
		if directives[i] != '%' {
			continue
		}
		i++
		if strings.IndexByte(unreadable, directives[i]) >= 0 {
			return "", fmt.Errorf("the directive %%%c can be written, not read", directives[i])
		}
		year = year || strings.IndexByte("Yys", directives[i]) >= 0
	}
	if !year {
		return "", errors.New(`the format has no year: put one in front, time.parse(year .. " " .. text, "%Y " .. format)`)
	}
	return directives, nil
}

// scanPattern reads s as directives say; they are what splitPattern returned.
func (r *reading) scanPattern(s, directives string) bool {
	for i := 0; i < len(directives); i++ {
		c := directives[i]
		n := 0
		switch {
		case c == '%':
			i++
			n = r.directive(s, directives[i])
		case c == ' ':
			n = blanks(s)
		case s != "" && s[0] == c:
			n = 1
		}
		if n == 0 {
			return false
		}
		s = s[n:]
	}
	return s == ""
}

// directive reads one directive at the beginning of s and returns how many bytes it took, 0 where it does
// not stand there. It is long because it is the table of directives.
func (r *reading) directive(s string, c byte) (n int) {
	switch c {
	case 'Y':
		var ok bool
		if r.year, ok = digits(s, 0, 4); ok {
			n = 4
		}
	case 'y':
		var ok bool
		if r.year, ok = digits(s, 0, 2); ok {
			n = 2
			if r.year += 1900; r.year < 1969 { // as POSIX has it
				r.year += 100
			}
		}
	case 'm':
		r.month, n = number(s, 2, 1)
	case 'd':
		r.day, n = number(s, 2, 1)
	case 'e':
		r.day, n = paddedNumber(s, 1)
	case 'j':
		r.yearDay, n = number(s, 3, 1)
	case 'H':
		r.hour, n = number(s, 2, 0)
	case 'k':
		r.hour, n = paddedNumber(s, 0)
	case 'I':
		r.hour, n = number(s, 2, 1)
	case 'l':
		r.hour, n = paddedNumber(s, 1)
	case 'M':
		r.minute, n = number(s, 2, 0)
	case 'S':
		r.second, n = number(s, 2, 0)
	case 'f':
		n = r.scanFraction(s, 0)
	case 's':
		n = r.scanEpoch(s)
	case 'b', 'B', 'h':
		r.month, n = word(s, months)
	case 'a', 'A':
		_, n = word(s, weekdays)
	case 'p', 'P':
		r.half, n = word(s, halves)
	case 'z':
		n = r.scanOffset(s)
	case 'Z':
		n = r.scanZoneName(s)
	case 't', 'n':
		n = blanks(s)
	case '%':
		if s != "" && s[0] == '%' {
			n = 1
		}
	}
	return n
}

// number reads one to most digits; what is less than least does not count.
func number(s string, most, least int) (value, n int) {
	for n < most && n < len(s) && isDigit(s[n]) {
		value = value*10 + int(s[n]-'0')
		n++
	}
	if value < least {
		return 0, 0
	}
	return value, n
}

// paddedNumber reads two digits, the first of which may be a blank.
func paddedNumber(s string, least int) (value, n int) {
	if s == "" || s[0] != ' ' {
		return number(s, 2, least)
	}
	if value, n = number(s[1:], 1, least); n > 0 {
		n++
	}
	return value, n
}

// blanks is how much white space s begins with.
func blanks(s string) int {
	n := 0
	for n < len(s) && (s[n] == ' ' || s[n] >= '\t' && s[n] <= '\r') {
		n++
	}
	return n
}

func (r *reading) scanEpoch(s string) int {
	n := 0
	if r.negative = s != "" && s[0] == '-'; r.negative {
		n = 1
	}
	from := n
	for n < len(s) && n-from < 12 && isDigit(s[n]) {
		n++
	}
	if r.epoch, r.counted = readInt(s[from:n]); !r.counted {
		return 0
	}
	return n
}

// scanZoneName reads an abbreviation. All but those of UTC need a zone to mean anything; see named.
func (r *reading) scanZoneName(s string) int {
	n := 0
	for n < len(s) && s[n]|0x20 >= 'a' && s[n]|0x20 <= 'z' {
		n++
	}
	switch strings.ToUpper(s[:n]) {
	case "UTC", "GMT", "Z", "UT":
		r.offset, r.zoned = 0, true
	default:
		r.zoneName = s[:n]
	}
	return n
}

var (
	months = []string{"January", "February", "March", "April", "May", "June", "July", "August", "September",
		"October", "November", "December"}
	weekdays = []string{"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"}
	halves   = []string{"AM", "PM"}
)

// word finds which of the words s begins with, whole or by its first three letters, in any case, from 1 on.
func word(s string, words []string) (which, n int) {
	for i, w := range words {
		if len(s) >= len(w) && strings.EqualFold(s[:len(w)], w) {
			return i + 1, len(w)
		}
		if len(s) >= 3 && len(w) > 3 && strings.EqualFold(s[:3], w[:3]) {
			return i + 1, 3
		}
	}
	return 0, 0
}
