package stdlib

import (
	"strings"
	"time"
)

// reading is what was found in a text so far. Its zero value is the beginning of the year 0.
type reading struct {
	year, month, day      int
	yearDay               int // 1 to 366 in place of month and day
	hour, minute, second  int
	half                  int // of the day: 1 is AM, 2 is PM
	nanos, fractionDigits int
	offset                int // seconds east of UTC, where zoned
	zoned                 bool
	zoneName              string // an abbreviation that only the zone at hand can explain
	epoch                 int64  // seconds since 1970, where counted
	counted               bool
	negative              bool // a minus stands in front of the epoch and of its fraction
}

// moment puts the parts together. It refuses what no calendar and no clock shows, such as the 31st of
// February; zone is for texts without one.
func (r *reading) moment(zone *time.Location) (Moment, bool) {
	m := Moment{Seconds: r.epoch, Nanos: r.nanos, Digits: r.fractionDigits}
	if r.negative {
		m.Seconds = -m.Seconds
		if m.Nanos > 0 {
			m.Seconds, m.Nanos = m.Seconds-1, powers[9]-m.Nanos
		}
	}
	if !r.counted {
		if !r.valid() {
			return Moment{}, false
		}
		var ok bool
		if m.Seconds, ok = r.seconds(zone); !ok {
			return Moment{}, false
		}
		// A leap second is the last one of a day of UTC. It counts as the first of the next.
		if r.second == 60 && m.Seconds%86400 != 0 {
			return Moment{}, false
		}
	}
	return m, m.Seconds >= firstSecond && m.Seconds <= lastSecond
}

// valid checks the date and the time of day, and completes them.
func (r *reading) valid() bool {
	if r.yearDay > 0 {
		if r.yearDay > 365+leapDay(r.year) {
			return false
		}
		r.month, r.day = 1, r.yearDay // time.Date goes on from the 31st of January
	} else {
		r.month, r.day = max(r.month, 1), max(r.day, 1)
		if r.month > 12 || r.day > monthDays(r.year, r.month) {
			return false
		}
	}
	if r.half > 0 {
		if r.hour < 1 || r.hour > 12 {
			return false
		}
		r.hour = r.hour%12 + 12*(r.half-1)
	}
	return r.hour < 24 && r.minute < 60 && r.second <= 60
}

func leapDay(year int) int {
	if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
		return 1
	}
	return 0
}

func monthDays(year, month int) int {
	switch month {
	case 2:
		return 28 + leapDay(year)
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// seconds is when the text's clock shows its time in its zone.
func (r *reading) seconds(zone *time.Location) (int64, bool) {
	utc := r.date(time.UTC).Unix()
	switch {
	case r.zoned:
		return utc - int64(r.offset), true
	case r.zoneName != "":
		return r.named(utc, zone)
	case zone == time.UTC:
		return utc, true
	}
	return r.local(utc, zone), true
}

// local is when a clock in zone shows the time. What it shows twice, in autumn, is the first of the two; what it leaves
// out, in spring, is read as if it had not been put forward yet.
func (r *reading) local(utc int64, zone *time.Location) int64 {
	at := r.date(zone)
	_, before := at.Add(-3 * time.Hour).Zone()
	first := utc - int64(before)
	if _, offset := time.Unix(first, 0).In(zone).Zone(); offset == before {
		return first
	}
	if _, offset := at.Zone(); at.Unix()+int64(offset) == utc {
		return at.Unix()
	}
	return first // time.Date takes either side of a gap, as it comes
}

func (r *reading) date(zone *time.Location) time.Time {
	return time.Date(r.year, time.Month(r.month), r.day, r.hour, r.minute, r.second, 0, zone)
}

// named finds the moment at which zone is called by the abbreviation that the text has. An abbreviation
// alone means nothing: IST is three zones. In the hour that a clock shows twice it tells which one is meant.
func (r *reading) named(utc int64, zone *time.Location) (int64, bool) {
	around := r.date(zone)
	for _, near := range []time.Time{around, around.Add(-2 * time.Hour), around.Add(2 * time.Hour)} {
		name, offset := near.Zone()
		if !strings.EqualFold(name, r.zoneName) {
			continue
		}
		at := utc - int64(offset)
		if shown, _ := time.Unix(at, 0).In(zone).Zone(); shown == name {
			return at, true
		}
	}
	return 0, false
}

// scanISO reads date, T or a blank, time, fraction and zone, from s[i:] on, and returns the position behind
// it, -1 where that is not what stands there.
func (r *reading) scanISO(s string, i int) int {
	const shortest = len("2006-01-02T03:04:05")
	if len(s)-i < shortest || s[i+4] != '-' || s[i+7] != '-' || s[i+13] != ':' || s[i+16] != ':' ||
		s[i+10] != 'T' && s[i+10] != ' ' && s[i+10] != 't' {
		return -1
	}
	var ok [6]bool
	r.year, ok[0] = digits(s, i, 4)
	r.month, ok[1] = digits(s, i+5, 2)
	r.day, ok[2] = digits(s, i+8, 2)
	r.hour, ok[3] = digits(s, i+11, 2)
	r.minute, ok[4] = digits(s, i+14, 2)
	r.second, ok[5] = digits(s, i+17, 2)
	if ok != [6]bool{true, true, true, true, true, true} || r.month == 0 || r.day == 0 {
		return -1
	}
	i += shortest
	if i < len(s) && s[i] == '.' {
		n := r.scanFraction(s, i+1)
		if n == 0 {
			return -1
		}
		i += 1 + n
	}
	return i + r.scanOffset(s[i:])
}

// scanFraction reads the digits of a fraction at s[i:] and returns how many there are. Those behind the
// ninth are left out.
func (r *reading) scanFraction(s string, i int) int {
	n := 0
	r.nanos = 0
	for i+n < len(s) && isDigit(s[i+n]) {
		if n < 9 {
			r.nanos = r.nanos*10 + int(s[i+n]-'0')
		}
		n++
	}
	r.fractionDigits = min(n, 9)
	r.nanos *= powers[9-r.fractionDigits]
	return n
}

// scanOffset reads Z or an offset at the beginning of s and returns its length, 0 where there is none.
func (r *reading) scanOffset(s string) int {
	if s != "" && (s[0] == 'Z' || s[0] == 'z') {
		r.offset, r.zoned = 0, true
		return 1
	}
	seconds, n := readOffset(s)
	if n > 0 {
		r.offset, r.zoned = seconds, true
	}
	return n
}
