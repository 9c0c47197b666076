package stdlib

import (
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // a container may have no zones of its own
)

const maxZoneName = 64

// zones are few: what is kept here exists, and there are some hundred names.
var zones = NewCache[*time.Location](256, 256)

// Zone returns the time zone of a name such as "Europe/Vienna", of an offset such as "+02:00", or UTC for
// "UTC", "Z" and no name at all. The error says what a name may be.
func Zone(name string) (*time.Location, error) {
	if name == "" || name == "UTC" || name == "Z" {
		return time.UTC, nil
	}
	if zone, ok := zones.Get(name); ok {
		return zone, nil
	}
	zone, ok := makeZone(name)
	if !ok {
		return nil, fmt.Errorf(`there is no time zone %q; say a name such as "Europe/Vienna", or an offset such as "+02:00"`, Excerpt(name))
	}
	zones.Put(name, zone, 1)
	return zone, nil
}

func makeZone(name string) (*time.Location, bool) {
	if name[0] == '+' || name[0] == '-' {
		offset, n := readOffset(name)
		return time.FixedZone("", offset), n == len(name)
	}
	// "Local" is the zone of the machine, which would make a script mean different things.
	if len(name) > maxZoneName || name == "Local" {
		return nil, false
	}
	zone, err := time.LoadLocation(strings.Clone(name))
	return zone, err == nil
}

// readOffset reads +hh:mm, +hhmm or +hh at the beginning of s: seconds east of UTC, and how many bytes it
// took, 0 where there is no offset.
func readOffset(s string) (seconds, n int) {
	if len(s) < 3 || s[0] != '+' && s[0] != '-' {
		return 0, 0
	}
	hours, ok := digits(s, 1, 2)
	if !ok || hours > 23 {
		return 0, 0
	}
	n = 3
	minutesAt := n
	if len(s) > n && s[n] == ':' {
		minutesAt++
	}
	minutes, ok := digits(s, minutesAt, 2)
	switch {
	case ok && minutes < 60:
		n = minutesAt + 2
	case ok || minutesAt > n: // +01:75, +01:
		return 0, 0
	}
	seconds = (hours*60 + minutes) * 60
	if s[0] == '-' {
		seconds = -seconds
	}
	return seconds, n
}

// digits reads exactly n digits at s[i:].
func digits(s string, i, n int) (value int, ok bool) {
	if i < 0 || i+n > len(s) {
		return 0, false
	}
	for _, c := range []byte(s[i : i+n]) {
		if !isDigit(c) {
			return 0, false
		}
		value = value*10 + int(c-'0')
	}
	return value, true
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
