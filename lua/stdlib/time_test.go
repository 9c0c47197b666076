package stdlib

import (
	"strings"
	"testing"
	"time"
)

// parsed reads text and shows it in UTC; "" is no time.
func parsed(t *testing.T, format, text, zone string) string {
	t.Helper()
	f, err := CompileTimeFormat(format)
	if err == nil {
		err = f.Readable()
	}
	if err != nil {
		t.Fatalf("%s: %v", format, err)
	}
	loc, err := Zone(zone)
	if err != nil {
		t.Fatal(err)
	}
	m, ok := f.Parse(text, loc)
	if !ok {
		return ""
	}
	return string(m.AppendRFC3339(nil, time.UTC))
}

func TestTimeFormat_Parse(t *testing.T) {
	const vienna = "Europe/Vienna"
	for _, tc := range []struct{ name, format, text, zone, want string }{
		{"UTC", "rfc3339", "2026-01-02T03:04:05Z", "", "2026-01-02T03:04:05Z"},
		{"the digits of the fraction stay", "rfc3339", "2026-01-02T03:04:05.1200Z", "", "2026-01-02T03:04:05.1200Z"},
		{"nanoseconds", "rfc3339", "2026-01-02T03:04:05.123456789Z", "", "2026-01-02T03:04:05.123456789Z"},
		{"beyond nanoseconds", "rfc3339", "2026-01-02T03:04:05.1234567899Z", "", "2026-01-02T03:04:05.123456789Z"},
		{"an offset", "rfc3339", "2026-01-02T03:04:05.5+05:45", "", "2026-01-01T21:19:05.5Z"},
		{"an offset to the west", "rfc3339", "2026-01-02T03:04:05-03:30", "", "2026-01-02T06:34:05Z"},
		{"an offset without a colon", "rfc3339", "2026-01-02T03:04:05+0100", "", "2026-01-02T02:04:05Z"},
		{"an offset of hours", "rfc3339", "2026-01-02T03:04:05+01", "", "2026-01-02T02:04:05Z"},
		{"a blank for the T", "rfc3339", "2026-01-02 03:04:05Z", "", "2026-01-02T03:04:05Z"},
		{"small letters", "rfc3339", "2026-01-02t03:04:05z", "", "2026-01-02T03:04:05Z"},
		{"an offset counts more than the zone", "rfc3339", "2026-01-02T03:04:05Z", vienna, "2026-01-02T03:04:05Z"},
		{"a leap second", "rfc3339", "2016-12-31T23:59:60.5Z", "", "2017-01-01T00:00:00.5Z"},
		{"a leap second elsewhere", "rfc3339", "2017-01-01T05:29:60+05:30", "", "2017-01-01T00:00:00Z"},
		{"second 60 in the middle of a day", "rfc3339", "2016-12-31T12:00:60Z", "", ""},
		{"second 61", "rfc3339", "2016-12-31T23:59:61Z", "", ""},
		{"the 29th of February of a leap year", "rfc3339", "2024-02-29T00:00:00Z", "", "2024-02-29T00:00:00Z"},
		{"the 29th of February of another", "rfc3339", "2026-02-29T00:00:00Z", "", ""},
		{"the 29th of February 1900", "rfc3339", "1900-02-29T00:00:00Z", "", ""},
		{"the 31st of April", "rfc3339", "2026-04-31T00:00:00Z", "", ""},
		{"month 13", "rfc3339", "2026-13-01T00:00:00Z", "", ""},
		{"month 0", "rfc3339", "2026-00-01T00:00:00Z", "", ""},
		{"day 0", "rfc3339", "2026-01-00T00:00:00Z", "", ""},
		{"hour 24", "rfc3339", "2026-01-01T24:00:00Z", "", ""},
		{"minute 60", "rfc3339", "2026-01-01T00:60:00Z", "", ""},
		{"no zone", "rfc3339", "2026-01-02T03:04:05", "", ""},
		{"a point without a fraction", "rfc3339", "2026-01-02T03:04:05.Z", "", ""},
		{"something behind it", "rfc3339", "2026-01-02T03:04:05Zx", "", ""},
		{"something in front", "rfc3339", " 2026-01-02T03:04:05Z", "", ""},
		{"a bad offset", "rfc3339", "2026-01-02T03:04:05+01:75", "", ""},
		{"an offset that is cut off", "rfc3339", "2026-01-02T03:04:05+01:", "", ""},
		{"letters for digits", "rfc3339", "20x6-01-02T03:04:05Z", "", ""},
		{"nothing", "rfc3339", "", "", ""},
		{"the year 0", "rfc3339", "0000-01-01T00:00:00Z", "", "0000-01-01T00:00:00Z"},
		{"before the year 0", "rfc3339", "0000-01-01T00:00:00+01:00", "", ""},
		{"the last second", "rfc3339", "9999-12-31T23:59:59.9Z", "", "9999-12-31T23:59:59.9Z"},
		{"behind the last second", "rfc3339", "9999-12-31T23:59:59-00:01", "", ""},

		{"Monolog 1", "monolog", "2026-01-02 03:04:05", "", "2026-01-02T03:04:05Z"},
		{"Monolog 1 in its zone", "monolog", "[2026-07-02 03:04:05]", vienna, "2026-07-02T01:04:05Z"},
		{"Monolog 3", "monolog", "2026-01-02T03:04:05.678901+00:00", "", "2026-01-02T03:04:05.678901Z"},
		{"Monolog 3 in brackets", "monolog", "[2026-01-02T03:04:05.678901+02:00]", "", "2026-01-02T01:04:05.678901Z"},
		{"half a bracket", "monolog", "[2026-01-02 03:04:05", "", ""},

		{"Apache", "apache", "02/Jan/2026:03:04:05 +0100", "", "2026-01-02T02:04:05Z"},
		{"Apache in brackets", "apache", "[10/Dec/2026:23:04:05 -0800]", "", "2026-12-11T07:04:05Z"},
		{"Apache with a month that is none", "apache", "02/Jam/2026:03:04:05 +0100", "", ""},
		{"Apache with the 31st of February", "apache", "31/Feb/2026:03:04:05 +0100", "", ""},
		{"Apache without an offset", "apache", "02/Jan/2026:03:04:05", "", ""},
		{"Apache with day 0", "apache", "00/Jan/2026:03:04:05 +0000", "", ""},

		{"a load balancer", "elb", "2026-01-02T03:04:05.678901Z", "", "2026-01-02T03:04:05.678901Z"},

		{"seconds", "epoch", "1767323045", "", "2026-01-02T03:04:05Z"},
		{"seconds with a fraction", "epoch", "1767323045.678", "", "2026-01-02T03:04:05.678Z"},
		{"milliseconds", "epoch_ms", "1767323045678", "", "2026-01-02T03:04:05.678Z"},
		{"microseconds", "epoch_us", "1767323045678901", "", "2026-01-02T03:04:05.678901Z"},
		{"nanoseconds since 1970", "epoch_ns", "1767323045678901234", "", "2026-01-02T03:04:05.678901234Z"},
		{"a fraction of milliseconds", "epoch_ms", "1767323045678.25", "", "2026-01-02T03:04:05.67825Z"},
		{"a few milliseconds", "epoch_ms", "5", "", "1970-01-01T00:00:00.005Z"},
		{"zero", "epoch", "0", "", "1970-01-01T00:00:00Z"},
		{"zeros in front", "epoch_ms", "0000000000000005000", "", "1970-01-01T00:00:05.000Z"},
		{"before 1970", "epoch", "-1.5", "", "1969-12-31T23:59:58.5Z"},
		{"milliseconds before 1970", "epoch_ms", "-1500", "", "1969-12-31T23:59:58.500Z"},
		{"seconds of the year 10000", "epoch", "253402300800", "", ""},
		{"milliseconds taken for seconds", "epoch", "1767323045678", "", ""},
		{"many digits", "epoch", strings.Repeat("9", 200), "", ""},
		{"an exponent", "epoch", "1e9", "", ""},
		{"a plus", "epoch", "+1", "", ""},
		{"a minus alone", "epoch", "-", "", ""},
		{"a point alone", "epoch", ".", "", ""},
		{"a point at the end", "epoch", "1.", "", ""},
		{"infinity", "epoch", "+Inf", "", ""},

		{"a date", "%Y-%m-%d", "2026-01-02", "", "2026-01-02T00:00:00Z"},
		{"a German date", "%d.%m.%Y %H:%M:%S", "2.1.2026 3:04:05", "", "2026-01-02T03:04:05Z"},
		{"the 31st of February by a pattern", "%d.%m.%Y", "31.02.2026", "", ""},
		{"a fraction behind a comma", "%F %T,%f", "2026-01-02 03:04:05,678", "", "2026-01-02T03:04:05.678Z"},
		{"nanoseconds by a pattern", "%F %T.%f", "2026-01-02 03:04:05.123456789", "", "2026-01-02T03:04:05.123456789Z"},
		{"a time in a zone", "%F %T", "2026-07-02 03:04:05", vienna, "2026-07-02T01:04:05Z"},
		{"a zone that is an offset", "%F %T", "2026-07-02 03:04:05", "-03:30", "2026-07-02T06:34:05Z"},
		{"an offset by a pattern", "%F %T %z", "2026-01-02 03:04:05 +0100", vienna, "2026-01-02T02:04:05Z"},
		{"an offset with a colon", "%F %T%:z", "2026-01-02 03:04:05+01:00", "", "2026-01-02T02:04:05Z"},
		{"the name of a month", "%d %B %Y", "2 january 2026", "", "2026-01-02T00:00:00Z"},
		{"the short name of a month", "%d %b %Y", "2 Sept 2026", "", ""},
		{"three letters of a month", "%d %B %Y", "2 Sep 2026", "", "2026-09-02T00:00:00Z"},
		{"May", "%d %b %Y", "2 May 2026", "", "2026-05-02T00:00:00Z"},
		{"syslog with its padding", "%Y %b %e %H:%M:%S", "2026 Jan  2 03:04:05", "", "2026-01-02T03:04:05Z"},
		{"syslog without", "%Y %b %e %H:%M:%S", "2026 Jan 12 03:04:05", "", "2026-01-12T03:04:05Z"},
		{"the evening", "%D %I:%M %p", "01/02/26 03:04 pm", "", "2026-01-02T15:04:00Z"},
		{"midnight", "%D %I:%M %p", "01/02/26 12:04 AM", "", "2026-01-02T00:04:00Z"},
		{"noon", "%D %I:%M %p", "01/02/26 12:04 PM", "", "2026-01-02T12:04:00Z"},
		{"13 o'clock in the morning", "%D %I:%M %p", "01/02/26 13:04 AM", "", ""},
		{"the last century", "%y", "69", "", "1969-01-01T00:00:00Z"},
		{"this century", "%y", "68", "", "2068-01-01T00:00:00Z"},
		{"the day of the year", "%Y %j", "2024 366", "", "2024-12-31T00:00:00Z"},
		{"a day that the year has not", "%Y %j", "2026 366", "", ""},
		{"a weekday is read over", "%A, %d %b %Y", "Friday, 02 Jan 2026", "", "2026-01-02T00:00:00Z"},
		{"ctime", "%c", "Fri Jan  2 03:04:05 2026", "", "2026-01-02T03:04:05Z"},
		{"seconds by a pattern", "%s.%f", "1767323045.25", "", "2026-01-02T03:04:05.25Z"},
		{"negative seconds", "%s", "-1", "", "1969-12-31T23:59:59Z"},
		{"negative seconds with a fraction", "%s.%f", "-1.25", "", "1969-12-31T23:59:58.75Z"},
		{"less than a second before 1970", "%s.%f", "-0.25", "", "1969-12-31T23:59:59.75Z"},
		{"percent", "%Y%%", "2026%", "", "2026-01-01T00:00:00Z"},
		{"GMT", "%F %T %Z", "2026-01-02 03:04:05 GMT", vienna, "2026-01-02T03:04:05Z"},
		{"an abbreviation of the zone", "%F %T %Z", "2026-07-02 03:04:05 CEST", vienna, "2026-07-02T01:04:05Z"},
		{"an abbreviation of another zone", "%F %T %Z", "2026-07-02 03:04:05 EST", vienna, ""},
		{"an abbreviation that is not in force", "%F %T %Z", "2026-07-02 03:04:05 CET", vienna, ""},
		{"the first 02:30 of the night of two", "%F %T %Z", "2026-10-25 02:30:00 CEST", vienna, "2026-10-25T00:30:00Z"},
		{"the second 02:30", "%F %T %Z", "2026-10-25 02:30:00 CET", vienna, "2026-10-25T01:30:00Z"},
		{"02:30 of that night without a name is the first", "%F %T", "2026-10-25 02:30:00", vienna, "2026-10-25T00:30:00Z"},
		{"a time that no clock shows is an hour later", "%F %T", "2026-03-29 02:30:00", vienna, "2026-03-29T01:30:00Z"},
		{"so it is west of Greenwich", "%F %T", "2026-03-08 02:30:00", "America/New_York", "2026-03-08T07:30:00Z"},
		{"and where summer is half an hour", "%F %T", "2026-10-04 02:15:00", "Australia/Lord_Howe", "2026-10-03T15:45:00Z"},
		{"and where summer is two hours", "%F %T", "2026-03-29 02:30:00", "Antarctica/Troll", "2026-03-29T02:30:00Z"},
		{"01:30 is the first of two in New York", "%F %T", "2026-11-01 01:30:00", "America/New_York", "2026-11-01T05:30:00Z"},
		{"the time behind the gap", "%F %T", "2026-03-08 03:30:00", "America/New_York", "2026-03-08T07:30:00Z"},
		{"an empty text for an empty name of a zone", "%Y%Z", "2026", "", ""},
		{"a long text", "%Y%n%m", "2026" + strings.Repeat(" ", 300) + "1", "", ""},
		{"flags are no matter", "%-d.%-m.%Y %_H", "2.1.2026  3", "", "2026-01-02T03:00:00Z"},
		{"a text that ends early", "%F %T", "2026-01-02 03:04", "", ""},
		{"a text that goes on", "%F", "2026-01-02 03:04", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := parsed(t, tc.format, tc.text, tc.zone); got != tc.want {
				t.Errorf("%q in %s: got %q, want %q", tc.text, tc.format, got, tc.want)
			}
		})
	}
}

func TestTimeFormat_Append(t *testing.T) {
	const when = "2026-01-02T03:04:05.678901234Z"
	for _, tc := range []struct{ name, text, format, zone, want string }{
		{"RFC 3339 keeps its digits", "2026-01-02T03:04:05.6780Z", "rfc3339", "", "2026-01-02T03:04:05.6780Z"},
		{"RFC 3339 in a zone", when, "rfc3339", "Europe/Vienna", "2026-01-02T04:04:05.678901234+01:00"},
		{"RFC 3339 without a fraction in a zone", "2026-07-02T03:04:05Z", "rfc3339", "America/St_Johns", "2026-07-02T00:34:05-02:30"},
		{"Monolog", when, "monolog", "", "2026-01-02T03:04:05.678901+00:00"},
		{"Apache", when, "apache", "-08:00", "01/Jan/2026:19:04:05 -0800"},
		{"a load balancer writes UTC", when, "elb", "Europe/Vienna", "2026-01-02T03:04:05.678901Z"},
		{"seconds", when, "epoch", "", "1767323045"},
		{"milliseconds", when, "epoch_ms", "", "1767323045678"},
		{"microseconds", when, "epoch_us", "", "1767323045678901"},
		{"nanoseconds", when, "epoch_ns", "", "1767323045678901234"},
		{"milliseconds before 1970", "1969-12-31T23:59:58.5Z", "epoch_ms", "", "-1500"},
		{"milliseconds before 1970, rounded down", "1969-12-31T23:59:59.9995Z", "epoch_ms", "", "-1"},
		{"nanoseconds of the year 0", "0000-01-01T00:00:00Z", "epoch_ns", "", "-62167219200000000000"},
		{"milliseconds of 1970", "1970-01-01T00:00:00.005Z", "epoch_ms", "", "5"},
		{"strftime", when, "%a %-d. %B %Y, %H:%M:%S.%f %Z", "Europe/Vienna", "Fri 2. January 2026, 04:04:05.678901 CET"},
		{"the week", when, "%G-W%V-%u", "", "2026-W01-5"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f, err := CompileTimeFormat(tc.format)
			if err != nil {
				t.Fatal(err)
			}
			zone, err := Zone(tc.zone)
			if err != nil {
				t.Fatal(err)
			}
			m, ok := namedFormats["rfc3339"].Parse(tc.text, zone)
			if !ok {
				t.Fatalf("%s is no time", tc.text)
			}
			got := string(f.Append(nil, m, zone))
			if got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
			if len(got) > f.MaxText() {
				t.Errorf("%d bytes are more than %d", len(got), f.MaxText())
			}
		})
	}
}

func TestCompileTimeFormat_Refuses(t *testing.T) {
	for _, tc := range []struct{ name, format, want string }{
		{"an unknown name", "iso8601", "is no format of times"},
		{"nothing", "", "is no format of times"},
		{"an unknown directive", "%Y %E", "no directive \"%E\""},
		{"a width", "%9Y", "no directive \"%9\""},
		{"two flags", "%-_d", "no directive"},
		{"a colon where it means nothing", "%:d", "no directive"},
		{"a percent at the end", "%Y%", "ends within a directive"},
		{"a flag at the end", "%Y%-", "ends within a directive"},
		{"a long one", strings.Repeat("%Y", 200), "256 bytes, not 400"},
		{"no year", "%b %e %T", "has no year"},
		{"a week", "%G-W%V", "can be written, not read"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f, err := CompileTimeFormat(tc.format)
			if err == nil {
				err = f.Readable()
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
}

func TestZone_Refuses(t *testing.T) {
	for _, name := range []string{"Local", "Mars/Olympus", "+1", "+25:00", "+01:00x", "../../../etc/passwd", "/etc/localtime", strings.Repeat("A", 1000)} {
		if zone, err := Zone(name); err == nil {
			t.Errorf("%q is %v", name, zone)
		}
	}
}

// FuzzTimeFormat: whatever is read comes back from what is written of it, and nothing panics.
func FuzzTimeFormat(f *testing.F) {
	for _, s := range []struct{ text, format string }{
		{"2026-01-02T03:04:05.678901+01:00", "rfc3339"}, {"[2026-01-02 03:04:05]", "monolog"},
		{"02/Jan/2026:03:04:05 +0000", "apache"}, {"1767323045678", "epoch_ms"}, {"-1.5", "epoch"},
		{"2 Jan 26 03:04:05 pm CET", "%e %b %y %I:%M:%S %p %Z"}, {"2026 366", "%Y %j"}, {"Fri Jan  2 03:04:05 2026", "%c"},
	} {
		f.Add(s.text, s.format)
	}
	vienna, err := Zone("Europe/Vienna")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text, format string) {
		tf, err := CompileTimeFormat(format)
		if err != nil {
			return
		}
		m, ok := tf.Parse(text, vienna)
		if !ok {
			return
		}
		for _, zone := range []*time.Location{time.UTC, vienna} {
			written := string(m.AppendRFC3339(nil, zone))
			local := time.Unix(m.Seconds, 0).In(zone)
			if _, offset := local.Zone(); local.Year() > 9999 || offset%60 != 0 {
				continue // no RFC 3339 for the year 10000, nor for the seconds by which Vienna's noon was early
			}
			if again, ok := namedFormats["rfc3339"].Parse(written, time.UTC); !ok || again != m {
				t.Fatalf("%q in %q is %+v, written %s, read as %+v", text, format, m, written, again)
			}
		}
		if got := tf.Append(nil, m, vienna); len(got) > tf.MaxText() {
			t.Fatalf("%q: %d bytes", format, len(got))
		}
		nanos := namedFormats["epoch_ns"].Append(nil, m, time.UTC)
		if again, ok := namedFormats["epoch_ns"].Parse(string(nanos), time.UTC); !ok || again.Seconds != m.Seconds || again.Nanos != m.Nanos {
			t.Fatalf("%+v as nanoseconds is %s, read as %+v", m, nanos, again)
		}
	})
}
