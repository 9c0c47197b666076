package stdlib

import (
	"fmt"
	"strings"
	"time"

	"github.com/itchyny/timefmt-go"
)

// kind is how a format reads and writes times.
type kind uint8

const (
	kindRFC3339 kind = iota
	kindMonolog
	kindApache
	kindELB
	kindEpoch
	kindEpochMillis
	kindEpochMicros
	kindEpochNanos
	kindPattern
)

// TimeFormat is a format of times: one of the names, or a pattern with %.
type TimeFormat struct {
	kind    kind
	source  string
	parsing string // a pattern's directives, one by one, as scanPattern reads them
	refused error  // why a pattern cannot be read, only written
}

var namedFormats = map[string]*TimeFormat{
	"rfc3339": {kind: kindRFC3339}, "monolog": {kind: kindMonolog}, "apache": {kind: kindApache}, "elb": {kind: kindELB},
	"epoch": {kind: kindEpoch}, "epoch_ms": {kind: kindEpochMillis}, "epoch_us": {kind: kindEpochMicros}, "epoch_ns": {kind: kindEpochNanos},
}

const (
	maxTimeFormat = 256
	maxTimeText   = 256 // bytes; what is longer is no time
)

// CompileTimeFormat understands a name or a pattern. The error says what a format may be.
func CompileTimeFormat(format string) (*TimeFormat, error) {
	if f := namedFormats[format]; f != nil {
		return f, nil
	}
	if !strings.Contains(format, "%") {
		return nil, fmt.Errorf("%q is no format of times: it is rfc3339, monolog, apache, elb, epoch, epoch_ms, epoch_us, epoch_ns, or a pattern with %%", Excerpt(format))
	}
	if len(format) > maxTimeFormat {
		return nil, fmt.Errorf("a format of times may have %d bytes, not %d", maxTimeFormat, len(format))
	}
	f := &TimeFormat{kind: kindPattern, source: strings.Clone(format)}
	directives, err := splitPattern(f.source)
	if err != nil {
		return nil, err
	}
	f.parsing, f.refused = readable(directives)
	return f, nil
}

// Epoch reports whether the format is a number since 1970, and of how many digits of a second.
func (f *TimeFormat) Epoch() (places int, ok bool) {
	if f.kind < kindEpoch || f.kind > kindEpochNanos {
		return 0, false
	}
	return 3 * int(f.kind-kindEpoch), true
}

// Readable returns nil when the format can be parsed, or why it cannot.
func (f *TimeFormat) Readable() error { return f.refused }

// Parse reads a time. zone is for texts without one. ok is false for what is no time in this format, and
// for what no clock shows, such as the 31st of February.
func (f *TimeFormat) Parse(text string, zone *time.Location) (m Moment, ok bool) {
	if len(text) > maxTimeText || f.refused != nil {
		return Moment{}, false
	}
	if places, ok := f.Epoch(); ok {
		return readCount(text, places)
	}
	var r reading
	switch f.kind {
	case kindRFC3339, kindELB:
		ok = r.scanISO(text, 0) == len(text) && r.zoned
	case kindMonolog:
		text = unbracketed(text)
		ok = r.scanISO(text, 0) == len(text)
	case kindApache:
		ok = r.scanApache(unbracketed(text))
	case kindPattern:
		ok = r.scanPattern(text, f.parsing)
	}
	if !ok {
		return Moment{}, false
	}
	return r.moment(zone)
}

func unbracketed(s string) string {
	if len(s) > 1 && s[0] == '[' && s[len(s)-1] == ']' {
		return s[1 : len(s)-1]
	}
	return s
}

// scanApache reads 02/Jan/2026:03:04:05 +0000.
func (r *reading) scanApache(s string) bool {
	const length = len("02/Jan/2006:03:04:05 -0700")
	if len(s) != length || s[2] != '/' || s[6] != '/' || s[11] != ':' || s[14] != ':' || s[17] != ':' || s[20] != ' ' {
		return false
	}
	var ok [6]bool
	var n int
	r.day, ok[0] = digits(s, 0, 2)
	r.month, n = word(s[3:6], months)
	r.year, ok[1] = digits(s, 7, 4)
	r.hour, ok[2] = digits(s, 12, 2)
	r.minute, ok[3] = digits(s, 15, 2)
	r.second, ok[4] = digits(s, 18, 2)
	ok[5] = n == 3 && r.day > 0 && s[21] != 'Z' && r.scanOffset(s[21:]) == 5
	return ok == [6]bool{true, true, true, true, true, true}
}

// readCount reads a decimal number of units of 10^-places seconds. Digits are moved, not computed with, so
// none is lost.
func readCount(text string, places int) (Moment, bool) {
	number, negative := strings.CutPrefix(text, "-")
	whole, fraction, dotted := strings.Cut(number, ".")
	if whole == "" || dotted && fraction == "" || !allDigits(whole) || !allDigits(fraction) {
		return Moment{}, false
	}
	if len(whole) < places {
		whole = strings.Repeat("0", places-len(whole)) + whole
	}
	all := whole[len(whole)-places:] + fraction
	whole = strings.TrimLeft(whole[:len(whole)-places], "0")
	if len(whole) > 12 { // beyond the year 9999
		return Moment{}, false
	}
	var r reading
	r.scanFraction(all, 0)
	r.epoch, _ = readInt(whole)
	r.counted, r.negative = true, negative
	return r.moment(time.UTC)
}

func allDigits(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return true
}

// readInt reads up to 18 digits.
func readInt(s string) (v int64, ok bool) {
	for i := range len(s) {
		v = v*10 + int64(s[i]-'0')
	}
	return v, s != ""
}

// Writable reports whether the year of a moment, in a zone, has four digits, which is what all formats but epochs write.
func (f *TimeFormat) Writable(m Moment, zone *time.Location) bool {
	if _, epoch := f.Epoch(); epoch {
		return true
	}
	year := time.Unix(m.Seconds, 0).In(zone).Year()
	return year >= 0 && year <= 9999
}

// Append writes a moment in a zone; formats that are epochs write their number.
func (f *TimeFormat) Append(dst []byte, m Moment, zone *time.Location) []byte {
	if places, ok := f.Epoch(); ok {
		return m.appendCount(dst, places)
	}
	t := time.Unix(m.Seconds, int64(m.Nanos)).In(zone)
	switch f.kind {
	case kindRFC3339:
		return m.AppendRFC3339(dst, zone)
	case kindMonolog:
		return t.AppendFormat(dst, "2006-01-02T15:04:05.000000-07:00")
	case kindApache:
		return t.AppendFormat(dst, "02/Jan/2006:15:04:05 -0700")
	case kindELB: // always in UTC
		return t.UTC().AppendFormat(dst, "2006-01-02T15:04:05.000000Z")
	}
	return timefmt.AppendFormat(dst, t, f.source)
}

// MaxText bounds what Append writes, in bytes.
func (f *TimeFormat) MaxText() int { return 64 + 16*len(f.source) }
