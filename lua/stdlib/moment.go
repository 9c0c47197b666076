package stdlib

import (
	"strconv"
	"time"
)

// Moment is a time as a text gives it: with as many digits of a fraction as stood there.
type Moment struct {
	Seconds int64 // since 1970
	Nanos   int   // 0 to 999,999,999
	Digits  int   // of the fraction, 0 to 9
}

// The years that RFC 3339 can write, 0000 to 9999.
const (
	firstSecond = -62167219200
	lastSecond  = 253402300799
)

var powers = [...]int{1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000}

// Float is the number of seconds since 1970, rounded to what a float64 holds.
func (m Moment) Float() float64 { return float64(m.Seconds) + float64(m.Nanos)/1e9 }

// AppendRFC3339 writes the moment in a zone, with its own digits.
func (m Moment) AppendRFC3339(dst []byte, zone *time.Location) []byte {
	dst = time.Unix(m.Seconds, 0).In(zone).AppendFormat(dst, time.RFC3339)
	if m.Digits == 0 {
		return dst
	}
	offset := len("Z")
	if dst[len(dst)-1] != 'Z' {
		offset = len("+00:00")
	}
	var kept [6]byte
	at := len(dst) - offset
	copy(kept[:], dst[at:])
	dst = m.appendFraction(append(dst[:at], '.'), m.Digits)
	return append(dst, kept[:offset]...)
}

// appendFraction writes n digits of the fraction.
func (m Moment) appendFraction(dst []byte, n int) []byte {
	return appendPadded(dst, m.Nanos/powers[9-n], n)
}

// appendCount writes how many units of 10^-places seconds have passed since 1970, rounded down. It writes
// digits instead of computing: years exist whose nanoseconds no int64 holds.
func (m Moment) appendCount(dst []byte, places int) []byte {
	seconds, rest := m.Seconds, m.Nanos/powers[9-places]
	if seconds < 0 {
		dst, seconds = append(dst, '-'), -seconds
		if rest > 0 {
			seconds, rest = seconds-1, powers[places]-rest
		}
	}
	if seconds == 0 {
		return strconv.AppendInt(dst, int64(rest), 10)
	}
	return appendPadded(strconv.AppendInt(dst, seconds, 10), rest, places)
}

// appendPadded writes the last n digits of v.
func appendPadded(dst []byte, v, n int) []byte {
	for i := n - 1; i >= 0; i-- {
		dst = append(dst, byte('0'+v/powers[i]%10))
	}
	return dst
}
