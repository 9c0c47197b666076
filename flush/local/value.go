package local

import (
	"bytes"
	"encoding/binary"
	"math"
	"strconv"
	"time"
)

// Numbers and times are indexed as prefixes of an order-preserving eight-byte form, so that a range
// is found by few terms: the whole ones inside it by short prefixes, its edges by long ones.
//
//	term = kind (1 byte: 1 number, 2 time) + number of prefix bytes (1) + prefix
//
// Tokens never begin with a byte below 0x20, so the kinds cannot be taken for text or for one another.
// The layout is on disk.
const (
	kindNumber = 0x01
	kindTime   = 0x02
)

// The prefix lengths that are indexed, longest first. Each costs a term per value, so there are few. The
// first three bytes of a double tell 4,096 values apart between a number and its double; of a time, four
// are 4.3 s and three 18 min.
var (
	numberPrefixes = []int{8, 3}
	timePrefixes   = []int{8, 4, 3}
)

func prefixesOf(kind byte) []int {
	if kind == kindTime {
		return timePrefixes
	}
	return numberPrefixes
}

const valueTermBytes = 2 + 8

// appendValueTerm appends the term for the first n bytes of v.
func appendValueTerm(dst []byte, kind byte, v uint64, n int) []byte {
	dst = append(dst, kind, byte(n))
	dst = binary.BigEndian.AppendUint64(dst, v)
	return dst[:len(dst)-8+n]
}

// sortableFloat maps a float to an integer of the same order.
func sortableFloat(f float64) uint64 {
	f += 0 // -0 and 0 are one number
	bits := math.Float64bits(f)
	if bits>>63 == 1 {
		return ^bits
	}
	return bits | 1<<63
}

// sortableTime maps a time to an integer of the same order; times outside 1678 to 2262 are moved to
// the nearest end.
func sortableTime(t time.Time) uint64 {
	return uint64(clampNano(t)) ^ 1<<63
}

func clampNano(t time.Time) int64 {
	switch {
	case t.Year() < 1678:
		return math.MinInt64
	case t.Year() > 2261:
		return math.MaxInt64
	}
	return t.UnixNano()
}

// maxNumberBytes bounds the spelling of a number that is looked at; 64-bit integers and doubles need
// no more than 25.
const maxNumberBytes = 64

// parseNumber returns the value of a JSON number as a double. ok is false where a double cannot hold
// its order of magnitude or the spelling is longer than maxNumberBytes.
func parseNumber(raw []byte) (float64, bool) {
	if len(raw) > maxNumberBytes {
		return 0, false
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	return f, err == nil
}

// timeLayouts are the spellings of a time, each with the span that it names.
var timeLayouts = [...]struct {
	layout string
	span   time.Duration
}{
	{time.RFC3339Nano, time.Second},
	{"2006-01-02T15:04:05.999999999-0700", time.Second},
	{"2006-01-02T15:04:05", time.Second},
	{"2006-01-02 15:04:05.999999999Z07:00", time.Second},
	{"2006-01-02 15:04:05", time.Second},
	{"2006-01-02", 24 * time.Hour},
}

// parseTime reads the usual spellings of a time that begin with the date, fractions of seconds
// included; without a zone it is UTC. Span is what the spelling covers: a day, a second, or, with a
// fraction, 0.
func parseTime(text []byte) (t time.Time, span time.Duration, ok bool) {
	if len(text) < len("2006-01-02") || len(text) > 40 || text[4] != '-' || text[7] != '-' {
		return time.Time{}, 0, false
	}
	s := string(text)
	for _, l := range timeLayouts {
		if t, err := time.Parse(l.layout, s); err == nil {
			span = l.span
			if bytes.IndexByte(text, '.') >= 0 || bytes.IndexByte(text, ',') >= 0 {
				span = 0
			}
			return t, span, true
		}
	}
	return time.Time{}, 0, false
}

// termRange is an inclusive range of terms of one kind and one prefix length.
type termRange struct{ first, last []byte }

// rangeTerms returns the ranges of terms that together cover low to high, both included: at most two per
// prefix length. Only terms that occur in them are ever looked at.
func rangeTerms(kind byte, low, high uint64) []termRange {
	var out []termRange
	add := func(lo, hi uint64, n int) {
		out = append(out, termRange{appendValueTerm(nil, kind, lo, n), appendValueTerm(nil, kind, hi, n)})
	}
	if low > high {
		return nil
	}
	prefixes := prefixesOf(kind)
	for i, n := range prefixes[:len(prefixes)-1] {
		// What does not fill whole units of the next, shorter prefix is taken at this length.
		mask := uint64(1)<<(64-8*prefixes[i+1]) - 1
		innerLow, innerHigh := low, high
		if low&mask != 0 {
			innerLow = (low | mask) + 1
		}
		if high&mask != mask {
			innerHigh = high&^mask - 1
		}
		if innerLow > innerHigh || innerLow < low || innerHigh > high {
			add(low, high, n)
			return out
		}
		if innerLow > low {
			add(low, innerLow-1, n)
		}
		if innerHigh < high {
			add(innerHigh+1, high, n)
		}
		low, high = innerLow, innerHigh
	}
	add(low, high, prefixes[len(prefixes)-1])
	return out
}
