package stdlib

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// pairsOf shows all pairs of a text.
func pairsOf(t testing.TB, text, pairs, values string) string {
	t.Helper()
	p, err := NewPairs(text, pairs, values, unlimited)
	if err != nil {
		t.Fatal(err)
	}
	var shown []string
	for {
		name, value, ok := p.Next()
		if !ok {
			return strings.Join(shown, " ")
		}
		shown = append(shown, fmt.Sprintf("%s<%s>", name, value))
	}
}

func TestPairs_Next(t *testing.T) {
	for _, tc := range []struct{ name, text, pairs, values, want string }{
		{"nothing", "", "", "=", ""},
		{"simple pairs", "a=1 b=2", "", "=", "a<1> b<2>"},
		{"any white space", " a=1\t\n b=2 ", "", "=", "a<1> b<2>"},
		{"quotes", `a="x y" b='z "q"'`, "", "=", `a<x y> b<z "q">`},
		{"escaped quotes", `a="x \"y\" \\" b=2`, "", "=", `a<x "y" \> b<2>`},
		{"other escapes stay", `a="\d\n"`, "", "=", `a<\d\n>`},
		{"empty values", `a= b="" c=`, "", "=", "a<> b<> c<>"},
		{"what is no pair is skipped", "at noon a=1 (ok) =5 b=2", "", "=", "a<1> b<2>"},
		{"an open quote is a character", `a="x y b=2`, "", "=", `a<"x> b<2>`},
		{"an open quote does not open others", `a='x b="y z"`, "", "=", `a<'x> b<y z>`},
		{"a quote that ends too early", `a="x"y b=2`, "", "=", `a<"x"y> b<2>`},
		{"a quote within", `a=x"y z"`, "", "=", `a<x"y>`},
		{"values with the sign", "a=b=c", "", "=", "a<b=c>"},
		{"other signs", "a: 1; b: x y;c:; ", ";", ":", "a<1> b<x y> c<>"},
		{"quotes between other signs", `a = "x; y" ; b = 2`, ";", "=", "a<x; y> b<2>"},
		{"signs of several letters", "a->1, b->2", ", ", "->", "a<1> b<2>"},
		{"a query", "a=1&b=%20&&c", "&", "=", "a<1> b<%20>"},
		{"characters beyond ASCII", "ä=ö ü=\xff", "", "=", "ä<ö> ü<\xff>"},
		{"a no-break space is none", "a=1\u00a0b=2", "", "=", "a<1\u00a0b=2>"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := pairsOf(t, tc.text, tc.pairs, tc.values); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestNewPairs_Refuses(t *testing.T) {
	for _, s := range [][2]string{{"", ""}, {`"`, "="}, {"", `\`}, {"", "='"}} {
		if _, err := NewPairs("", s[0], s[1], unlimited); err == nil {
			t.Errorf("%q was taken", s)
		}
	}
}

// FuzzPairs: what is written with quotes is read again, between whatever stands around.
func FuzzPairs(f *testing.F) {
	f.Add("a=1", "x y", "", "=")
	f.Add(`b="`, `q"\`, ";", ":")
	f.Fuzz(func(t *testing.T, noise, value, pairs, values string) {
		p, err := NewPairs(noise, pairs, values, unlimited)
		if err != nil {
			return
		}
		for n := 0; ; n++ {
			name, v, ok := p.Next()
			if !ok {
				break
			}
			if name == "" || n > len(noise) || len(name)+len(v) > len(noise) {
				t.Fatalf("%q: pair %d is %q, %q", noise, n, name, v)
			}
		}
		quoted := `key="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`
		if got := pairsOf(t, quoted, "", "="); got != "key<"+value+">" {
			t.Fatalf("%s is read as %s", quoted, got)
		}
	})
}

func TestCSVRecord(t *testing.T) {
	for _, tc := range []struct{ name, text, separator, want string }{
		{"fields", "a,b,c", ",", "a|b|c"},
		{"empty fields", ",,", ",", "||"},
		{"quotes", `a,"b, ""c""",d`, ",", `a|b, "c"|d`},
		{"a line break within quotes", "a,\"b\nc\"\n", ",", "a|b\nc"},
		{"a line break at the end", "a,b\r\n", ",", "a|b"},
		{"blanks stay", " a , b", ",", " a | b"},
		{"a semicolon", "a;b,c", ";", "a|b,c"},
		{"a tab", "a\tb", "\t", "a|b"},
		{"a character beyond ASCII", "a·b", "·", "a|b"},
		{"an open quote", `a,"b`, ",", "broken quotes in line 1, column 5"},
		{"a bare quote", `a,b"c`, ",", "broken quotes in line 1, column 4"},
		{"two records", "a\nb", ",", "there is more than one record"},
		{"nothing", "", ",", "there is no record"},
		{"an empty line", "\n", ",", "there is no record"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			separator, err := Separator(tc.separator)
			if err != nil {
				t.Fatal(err)
			}
			fields, err := CSVRecord(tc.text, separator, unlimited)
			got := strings.Join(fields, "|")
			if err != nil {
				got = err.Error()
			}
			if got != tc.want && (err == nil || !strings.HasPrefix(got, tc.want)) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
	for _, s := range []string{"", ",,", `"`, "\n", "\xff"} {
		if _, err := Separator(s); err == nil {
			t.Errorf("%q separates fields", s)
		}
	}
	if fields, err := CSVRecord("a,b", ',', func(int) bool { return false }); fields != nil || err != nil {
		t.Errorf("without time: %q, %v", fields, err)
	}
}

func TestParseURL(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"all parts", "https://u:p@example.com:8443/a%20b/c?q=1&x#frag", "https u example.com 8443 /a%20b/c q=1&x frag"},
		{"a path and a query", "/path?a=b", "- - - 0 /path a=b -"},
		{"a path", "/", "- - - 0 / - -"},
		{"a host alone", "http://example.com", "http - example.com 0 - - -"},
		{"brackets belong to the domain", "http://[2001:db8::1]:80/x", "http - [2001:db8::1] 80 /x - -"},
		{"brackets without a port", "http://[2001:db8::1]/x", "http - [2001:db8::1] 0 /x - -"},
		{"an empty port", "http://example.com:/x", "http - example.com 0 /x - -"},
		{"a mail address", "mailto:joe@example.com", "mailto - - 0 joe@example.com - -"},
		{"letters beyond ASCII", "/ü?ö#ß", "- - - 0 /ü ö ß"},
		{"what should have been escaped", "/a\"b|c\\d%20e%2Ff?g|h#i#j", "- - - 0 /a\"b|c\\d%20e%2Ff g|h i#j"},
		{"a broken escape in the query", "/a?b=%zz", "- - - 0 /a b=%zz -"},
		{"a broken escape in the path", "/%zz", `invalid URL escape "%zz"`},
		{"a port that is a word", "http://example.com:http/", `invalid port ":http" after host`},
		{"a port that is too large", "http://example.com:65536/", "the port is no port: 65536"},
		{"no scheme", "example.com:443", "there is no scheme in front of the host"},
		{"no scheme in front of an address", "10.1.2.3:443/x", "first path segment in URL cannot contain colon"},
		{"a control character", "/a\nb", "net/url: invalid control character in URL"},
		{"a long text", strings.Repeat("a", maxURL+1), "the text is too long for a URL"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := ""
			u, err := ParseURL(tc.text)
			if err != nil {
				got = err.Error()
			} else {
				parts := []string{u.Scheme, u.Username, u.Domain, fmt.Sprint(u.Port), u.Path, u.Query, u.Fragment}
				for i := range parts {
					if parts[i] == "" {
						parts[i] = "-"
					}
				}
				got = strings.Join(parts, " ")
			}
			if got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestNextParameter(t *testing.T) {
	var got []string
	for rest := "a=1&&b=x+y%21&c&d=%zz&=e&%C3%BC="; ; {
		name, value, next, ok := NextParameter(rest)
		if !ok {
			break
		}
		got, rest = append(got, name+":"+value), next
	}
	if want := []string{"a:1", "b:x y!", "c:", "d:%zz", ":e", "ü:"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestNetwork_Contains(t *testing.T) {
	for _, tc := range []struct {
		name, address, network string
		want                   bool
	}{
		{"within", "10.1.2.3", "10.0.0.0/8", true},
		{"outside", "11.1.2.3", "10.0.0.0/8", false},
		{"v4 in v6 in a v4 network", "::ffff:10.1.2.3", "10.0.0.0/8", true},
		{"a v4 network in v6", "10.1.2.3", "::ffff:10.0.0.0/104", true},
		{"a v6 network larger than v4 is one of v6", "10.1.2.3", "::/0", false},
		{"v6", "2001:db8::1", "2001:db8::/32", true},
		{"v6 in a v4 network", "2001:db8::1", "0.0.0.0/0", false},
		{"a zone is left out", "fe80::1%eth0", "fe80::/10", true},
		{"bits behind the prefix are no matter", "10.1.2.3", "10.9.9.9/8", true},
		{"an address as a network", "10.1.2.3", "10.1.2.3", true},
		{"everything", "10.1.2.3", "0.0.0.0/0", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a, err := Address(tc.address)
			if err != nil {
				t.Fatal(err)
			}
			n, err := Network(tc.network)
			if err != nil || n.Contains(a) != tc.want {
				t.Errorf("%s in %s: got %v (%v)", a, n, n.Contains(a), err)
			}
		})
	}
	for _, s := range []string{"", "10.0.0.0/33", "10.0.0/8", "10.0.0.0/", "localhost", strings.Repeat("1", 1000), "fe80::1%" + strings.Repeat("z", 1000)} {
		if _, err := Network(s); err == nil {
			t.Errorf("%q is a network", s)
		}
		if _, err := Address(s); err == nil {
			t.Errorf("%q is an address", s)
		}
	}
}
