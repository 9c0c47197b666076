package lua

import (
	"strings"
	"testing"
)

func TestSameNumber(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		same bool
	}{
		{"1", "1.0", true}, {"1", "1e0", true}, {"100", "1E+2", true}, {"0.01", "1e-2", true}, {"-0", "0.00", true}, {"0e5", "0", true},
		{"12.50", "125e-1", true}, {"1e400", "10e399", true}, {"9007199254740993", "9007199254740993.0", true},
		{"1", "-1", false}, {"1", "10", false}, {"0.1", "0.01", false}, {"9007199254740993", "9007199254740992", false}, {"1e400", "1e401", false},
		{"1e99999999999999999999", "1e99999999999999999999", true}, {"1e99999999999999999999", "10e99999999999999999998", false},
	} {
		if got := sameNumber(tc.a, tc.b); got != tc.same || sameNumber(tc.b, tc.a) != tc.same {
			t.Errorf("%s and %s: %t, want %t", tc.a, tc.b, got, tc.same)
		}
	}
}

func TestDifference(t *testing.T) {
	for _, tc := range []struct{ name, got, want, says string }{
		{"white space, order and escapes are no difference", `{"a":"\u0041","b":[1, {}]}`, ` { "b":[ 1,{ }],"\u0061":"A"} `, ""},
		{"of a name that comes twice the last one counts", `{"a":1,"a":2}`, `{"a":2}`, ""},
		{"null is a value", `{"a":null}`, `{}`, "a is null, and is not wanted"},
		{"false is not null", `{"a":{"b":[false]}}`, `{"a":{"b":[null]}}`, "a.b[1] is false, want null"},
		{"the whole document", `{}`, `[]`, "the document is {}, want []"},
		{"long values are cut", `{"a":1}`, `{"a":"` + strings.Repeat("é", 100) + `"}`, `a is 1, want "` + strings.Repeat("é", 39) + "..."},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := difference("", []byte(tc.got), []byte(tc.want)); got != tc.says {
				t.Errorf("%q, want %q", got, tc.says)
			}
		})
	}
}
