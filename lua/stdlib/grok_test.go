package stdlib

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// broken are texts of the library that no expansion makes sense of: names of fields with ? and half a [.
var broken = []string{"CISCOFW302013_302014_302015_302016", "CISCOFW733100"}

// TestCompileGrok_UsualPatterns: every pattern that can be named compiles within the bounds.
func TestCompileGrok_UsualPatterns(t *testing.T) {
	seen := 0
	for _, set := range usualPatterns {
		for _, name := range slices.Sorted(maps.Keys(set)) {
			if _, err := CompileGrok("%{"+name+"}", nil); err != nil && !slices.Contains(broken, name) {
				t.Errorf("%s: %v", name, err)
			}
			seen++
		}
	}
	if seen < 240 {
		t.Errorf("there are %d patterns", seen)
	}
}

// fields shows what a pattern finds in a text: name=part, in order; "" without a match.
func fields(t *testing.T, pattern, text string, definitions map[string]string) string {
	t.Helper()
	g, err := CompileGrok(pattern, definitions)
	if err != nil {
		t.Fatal(err)
	}
	loc := g.Find(text, unlimited)
	if loc == nil {
		return ""
	}
	parts := []string{}
	g.Each(text, loc, func(f *Field, part string) bool {
		parts = append(parts, fmt.Sprintf("%s=%s", f.Name(), part))
		return true
	})
	return strings.Join(parts, " ") + ";"
}

func TestGrok_Find(t *testing.T) {
	for _, tc := range []struct {
		name, pattern, text string
		definitions         map[string]string
		want                string
	}{
		{"program and number of a syslog line", `^%{SYSLOGLINE}`, "Mar  1 06:25:43 web1 sshd[23435]: Server listening", nil,
			"timestamp=Mar  1 06:25:43 host.name=web1 process.name=sshd process.pid=23435 message=Server listening;"},
		{"a program without a number", `^%{SYSLOGBASE} `, "Mar 11 06:25:43 web1 CRON: x", nil, "timestamp=Mar 11 06:25:43 host.name=web1 process.name=CRON;"},
		{"facility of a syslog line", `^%{SYSLOGFACILITY}`, "<4.30>", nil, "log.syslog.facility.code=4 log.syslog.priority=30;"},
		{"the root of a site", `^%{URI:u} %{URIPATH:p} %{UNIXPATH:x}$`, "https://example.com/ / /", nil, "u=https://example.com/ p=/ x=/;"},
		{"a path that ends with a slash", `^%{URIPATH:p}$`, "/a//b/", nil, "p=/a//b/;"},
		{"a line of a load balancer", `^%{ELB_ACCESS_LOG}$`,
			`2015-05-13T23:39:43.945958Z lb 192.0.2.1:2817 10.0.0.1:80 0.1 0.2 0.3 200 200 0 29 "GET http://www.example.com:80/ HTTP/1.1" "curl" - -`, nil,
			"timestamp=2015-05-13T23:39:43.945958Z aws.elb.name=lb source.address=192.0.2.1 source.port=2817 aws.elb.backend.ip=10.0.0.1 aws.elb.backend.port=80 " +
				"aws.elb.request_processing_time.sec=0.1 aws.elb.backend_processing_time.sec=0.2 aws.elb.response_processing_time.sec=0.3 http.response.status_code=200 " +
				"aws.elb.backend.http.response.status_code=200 http.request.body.size=0 http.response.body.size=29 http.request.method=GET url.original=http://www.example.com:80/ " +
				"url.scheme=http url.domain=www.example.com url.port=80 url.path=/ http.version=1.1 user_agent.original=curl;"},
		{"a month of one digit", `^%{DATE_US:d} %{DATE_EU:e}$`, "1/2/2026 2.1.2026", nil, "d=1/2/2026 e=2.1.2026;"},
		{"a sign before a point", `^%{NUMBER:n}$`, "-.5", nil, "n=-.5;"},
		{"names with dots", `%{IP:client.ip} %{NUMBER:n}`, "::1 5.5", nil, "client.ip=::1 n=5.5;"},
		{"names in brackets", `%{IP:[client][ip]}`, "10.1.2.3", nil, "client.ip=10.1.2.3;"},
		{"a group with a name", `(?<a.b>\d+)-(?P<c>x)?`, "12-", nil, "a.b=12;"},
		{"other groups capture nothing", `(a)(?:b)%{INT:n}`, "ab5", nil, "n=5;"},
		{"what matched nothing is left out", `%{WORD:a} ?%{DATA:b}$`, "x", nil, "a=x;"},
		{"a match in the middle", `%{INT:n}`, "abc 17 19", nil, "n=17;"},
		{"no match", `^%{INT:n}$`, "abc", nil, ""},
		{"a name twice", `%{INT:n}|%{WORD:n}`, "abc", nil, "n=abc;"},
		{"own patterns that use others", `%{TICKET:t}`, "T-12/7", map[string]string{"TICKET": `T-%{PART}/%{INT}`, "PART": `\d+`}, "t=T-12/7;"},
		{"an own pattern in place of a usual one", `%{INT:n}`, "x", map[string]string{"INT": "x"}, "n=x;"},
		{"alternatives of a pattern stay within it", `<%{AB:n}>`, "<b>", map[string]string{"AB": "a|b"}, "n=b;"},
		{"escapes and classes are left alone", `\(%{INT:n}\) [()%{]+`, "(5) %{(", nil, "n=5;"},
		{"a class with brackets and names", `[[:alpha:]\]]+[]a^]%{INT:n}`, "x]]7", nil, "n=7;"},
		{"a quotation", `\Q(a)[\E%{INT:n}\Q]`, "(a)[5]", nil, "n=5;"},
		{"flags", `(?i)error %{INT:n}`, "ERROR 5", nil, "n=5;"},
		{"addresses", `^%{IP:a} %{IP:b} %{IP:c} %{IP:d} %{IP:e}$`, "2001:db8::1 1:2:3:4:5:6:7:8 ::ffff:1.2.3.4 fe80::1%eth0 ::", nil,
			"a=2001:db8::1 b=1:2:3:4:5:6:7:8 c=::ffff:1.2.3.4 d=fe80::1%eth0 e=::;"},
		{"a time is no address", `^%{IP:a}`, "10:20:30", nil, ""},
		{"syslog", `%{SYSLOGLINE}`, "Jan  2 03:04:05 web-1 sshd[42]: Accepted publickey", nil,
			"timestamp=Jan  2 03:04:05 host.name=web-1 process.name=sshd process.pid=42 message=Accepted publickey;"},
		{"an ISO time and a level", `%{TIMESTAMP_ISO8601:t} %{LOGLEVEL:l}`, "2026-01-02T03:04:05.678Z WARN", nil, "t=2026-01-02T03:04:05.678Z l=WARN;"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := fields(t, tc.pattern, tc.text, tc.definitions); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestCompileGrok_Refuses(t *testing.T) {
	chain, bomb := map[string]string{"P40": "x"}, map[string]string{"B0": "xxxxxxxx"}
	for i := range 40 {
		chain[fmt.Sprint("P", i)] = fmt.Sprintf("%%{P%d}", i+1)
	}
	for i := range 20 {
		bomb[fmt.Sprint("B", i+1)] = strings.Repeat(fmt.Sprintf("%%{B%d}", i), 4)
	}
	for _, tc := range []struct {
		name, pattern string
		definitions   map[string]string
		want          string
	}{
		{"an unknown pattern", "%{NOPE:x}", nil, `there is no grok pattern "NOPE"`},
		{"an unknown pattern in a definition", "%{A}", map[string]string{"A": "%{NOPE}"}, `there is no grok pattern "NOPE"`},
		{"an unknown type", "%{INT:x:integer}", nil, `the field x cannot be of type "integer"`},
		{"four parts", "%{INT:x:int:y}", nil, "a reference is"},
		{"no end", "%{INT", nil, "a reference is"},
		{"an empty name", "%{INT:}", nil, "is no name of a field"},
		{"two dots", "%{INT:a..b}", nil, "is no name of a field"},
		{"half a bracket", "%{INT:[a}", nil, "is no name of a field"},
		{"a deep name", "%{INT:" + strings.Repeat("a.", 20) + "a}", nil, "is no name of a field"},
		{"a text that is a table too", "%{INT:a.b} %{INT:a.b.c}", nil, "the field a.b cannot be a text and the table of a.b.c"},
		{"a group without the end of its name", "(?<abc", nil, "without the end of its name"},
		{"looking behind", "(?<=a)b", nil, "malformed pattern"},
		{"a pattern that refers to itself", "%{A}", map[string]string{"A": "x%{B}", "B": "%{A}"}, "the pattern A refers to itself: A > B > A"},
		{"a long chain", "%{P0}", chain, "more than 32 deep"},
		{"a bomb", "%{B20}", bomb, "more than 65536 bytes"},
		{"many fields", strings.Repeat("%{INT:a}", 201), nil, "more than 200 fields"},
		{"a large program", strings.Repeat("%{IP}", 50), nil, "too large"},
		{"a long pattern", strings.Repeat("x", MaxPattern+1), nil, "4096 bytes"},
		{"a long definition", "x", map[string]string{"A": strings.Repeat("x", MaxPattern+1)}, "definitions are too long"},
		{"a syntax error", "%{A}", map[string]string{"A": "("}, "malformed pattern: missing closing )"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := CompileGrok(tc.pattern, tc.definitions); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
}

// FuzzGrok: the expansion of any pattern compiles or is refused, and what it finds at the beginning is what
// it would find without that shortcut.
func FuzzGrok(f *testing.F) {
	f.Add("%{IP:a.b} (?<c>x)|%{INT:[d]:int}", "1.2.3.4 x", "a%{INT}")
	f.Add(`\Qa\E[[:alpha:](%{OWN:x})`, "a5", `(b|c)[^]]`)
	f.Fuzz(func(t *testing.T, pattern, text, own string) {
		g, err := CompileGrok(pattern, map[string]string{"OWN": own})
		if err != nil || len(text) > 1024 {
			return
		}
		if got, want := g.Find(text, unlimited), g.re.Find(text, unlimited); !slices.Equal(got, want) {
			t.Fatalf("%q in %q: %v, want %v", pattern, text, got, want)
		}
	})
}
