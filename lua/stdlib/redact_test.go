package stdlib

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/weirlog/weir/flush/rawjson"
)

const (
	jwt    = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
	github = "ghp_0123456789abcdefghijABCDEFGHIJ012345"
)

func TestRedactor_Text(t *testing.T) {
	all := NewRedactor(AllKinds, nil)
	for _, tc := range []struct{ name, in, want string }{
		{"nothing to hide", "User 4711 logged in from 10.2.3.4", ""},
		{"an empty text", "", ""},

		{"a mail address", "mail from jo.doe@example.org, twice", "mail from <mail>, twice"},
		{"with subdomains, plus and digits", "<x_1+tag@a.b-2.example.co.uk>", "<<mail>>"},
		{"at the beginning and at the end", "a@b.de,c@d.de", "<mail>,<mail>"},
		{"at the end of a sentence", "write to a@b.de.", "write to <mail>."},
		{"in other scripts", "müller@straße.de иван@пример.рф", "<mail> <mail>"},
		{"behind quotes of other scripts", "„a@b.de“", "„<mail>“"},
		{"in a query", "/reset?mail=a.b%40example.org&x=1", "/reset?mail=<mail>&x=1"},
		{"one behind another in a query", "a%40b%40c.de", "a%40<mail>"},
		{"a domain that goes on with a number", "a@example.org.1", "<mail>.1"},
		{"a hyphen behind the domain", "a@example.org-", "<mail>-"},
		{"a password in a URL", "mysql://root:s3cret@db.example.org/x", "mysql://root:<mail>/x"},
		{"pictures for fine screens", "GET /img/logo@2x.png /logo%403x.webp?v=1 icon@2X.JPG", ""},
		{"nearly such pictures", "a@2x.de b@2x.png.de c@12x.png", "<mail> <mail> <mail>"},
		{"no domain", "root@localhost UserController@show", ""},
		{"an address of the network", "root@10.2.3.4 a@[10.0.0.1]", ""},
		{"versions", "lodash@4.17.21", ""},
		{"a last part of one letter", "a@b.c", ""},
		{"no name", "@timestamp @example.org , @a.de", ""},
		{"two signs", "a@@b.de a@b@c.de", "a@@b.de a@<mail>"},
		{"a dot too many", "a@b..de a@.de", ""},

		{"a card", "4111111111111111", "<card>"},
		{"in groups with spaces", "card 4111 1111 1111 1111 exp 12/29", "card <card> exp 12/29"},
		{"in groups with hyphens", "4111-1111-1111-1111", "<card>"},
		{"in a query, where blanks are signs", "?card=4111+1111+1111+1111&tel=+4366412345678", "?card=<card>&tel=+4366412345678"},
		{"an exponent", "4.1111e+15 4111e+1111", ""},
		{"of 15 digits", "378282246310005, 3782 822463 10005", "<card>, <card>"},
		{"of 14 digits", "3056 930902 5904", "<card>"},
		{"of 13 digits", "4222222222222", "<card>"},
		{"of 19 digits", "6011 0000 0000 0000 001 and 6304000000000000000", "<card> and <card>"},
		{"a wrong check digit", "4111111111111112 4111 1111 1111 1112", ""},
		{"glued to letters", "pan4111111111111111x CC4111111111111111", "pan<card>x CC<card>"},
		{"behind another number", "User 4711 4111 1111 1111 1111", "User 4711 <card>"},
		{"in front of another number", "4111 1111 1111 1111 12", "<card> 12"},
		{"the longest of two", "4000 0000 0000 0002 000", "<card> 000"},
		{"in a list of numbers", "1,4111111111111111,2", "1,<card>,2"},
		{"with a fraction", "4111111111111111.50", "<card>.50"},
		{"a fraction", "0.4111111111111111 12.4111111111111111", ""},
		{"a sentence's end before it", "No.4111111111111111", "No.<card>"},
		{"within a longer number", "94111111111111111111 41111111111111111111", ""},
		{"two spaces between groups", "4111  1111 1111 1111", ""},
		{"groups that are too small", "41 11 11 11 11 11 11 11", ""},
		{"times", "1767323045678 20260102030405 2026-01-02 03:04:05.678901", ""},
		{"zeros", "0000000000000000", ""},
		{"a hash", "4111111111111111abcdefabcdefabcd abcdefabcdefabcd4111111111111111", ""},
		{"hexadecimal, but short", "abcdefabcdefabc4111111111111111x", "abcdefabcdefabc<card>x"},
		{"ids of requests", "35402092-8390-4660-950d-0b300cb20580 {A6E6C6C1-35A2-4FC1-9111-378282246310}", ""},
		{"an id of digits alone", "41111111-1111-1111-8111-111111111111", ""},
		{"ids of spans and of objects", "span=4345500949156f55 5edcb3679476726409f1e3cd", ""},
		{"across two ids", "Root=1-ab451234-111111109a3f0c1d2e4b7abf", ""},
		{"a card in front of an id", "4111111111111111 003f2092-8390-4660-950d-0b300cb20580", "<card> 003f2092-8390-4660-950d-0b300cb20580"},
		{"a card that an id would make longer", "6011000000000000 001f2092-8390-4660-950d-0b300cb20580", "6011000000000000 001f2092-8390-4660-950d-0b300cb20580"},
		{"nearly an id", "41111111-11111111-8111-abcd-111111111111", "<card>-8111-abcd-111111111111"},
		{"of 16 digits, as an id of a span without letters", "span=4111111111111111", "span=<card>"},
		{"two cards", "4111111111111111 5500005555555559", "<card> <card>"},

		{"a bearer token", "Authorization: Bearer abcDEF0123", "Authorization: Bearer <token>"},
		{"in any case, with spaces", "bEARER   dXNlcjpwYXNz.", "bEARER   <token>."},
		{"basic", "Basic dXNlcjpwYXNz", "Basic <token>"},
		{"a long one without digits", "Bearer abcdefghijklmnopqrst", "Bearer <token>"},
		{"the words in a sentence", "Basic authentication failed. Bearer Authentication: no bearer token. Bearer x", ""},
		{"within another word", "forbearer abcDEF0123", ""},
		{"a web token", "token=" + jwt + ";", "token=<token>;"},
		{"a web token of two parts", "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.", "<token>."},
		{"no web token", "eyJ eyJabc.def eyJhbGciOiJIUzI1NiJ9 eyJhbGciOiJIUzI1NiJ9.x", ""},
		{"keys", "AKIAIOSFODNN7EXAMPLE ASIAIOSFODNN7EXAMPLE " + github + " gho_0123456789abcdefghij github_pat_0123456789abcdefghij_x", "<token> <token> <token> <token> <token>"},
		{"more keys", "glpat-0123456789abcdefghij sk_live_0123456789abcdef rk_test_0123456789abcdef AIza0123456789012345678901234567890123456",
			"<token> <token> <token> <token>"},
		{"keys with hyphens", "sk-proj-0123456789abcdefghij xoxb-0123456789-abc", "<token> <token>"},
		{"words that begin like keys", "task-0123456789abcdefghij sk-this-is-an-ordinary-slug AKIA ghp_x disk_live_0123456789abcdef sk-SK xoxo-love", ""},
		{"many beginnings of web tokens", strings.Repeat("eyJ", 50), ""},

		{"all of it", "Bearer " + jwt + " of a@b.de paid with 4111 1111 1111 1111", "Bearer <token> of <mail> paid with <card>"},
		{"what was hidden before", "<mail> <card> Bearer <token> <removed>", ""},
		{"a card before an @", "4111111111111111@example.org", "<mail>"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.want == "" {
				tc.want = tc.in
			}
			got, n := all.Text([]byte(tc.in), &Room{}, free)
			if string(got) != tc.want {
				t.Fatalf("got  %s\nwant %s", got, tc.want)
			}
			if marks := strings.Count(tc.want, "<mail>") + strings.Count(tc.want, "<card>") + strings.Count(tc.want, "<token>"); n != marks && tc.want != tc.in {
				t.Errorf("%d replaced, want %d", n, marks)
			}
			if n > 0 && !all.Suspicious([]byte(tc.in), free) {
				t.Error("the quick look saw nothing")
			}
			if ref, _ := refText(AllKinds, tc.in); ref != tc.want {
				t.Errorf("the reference has %s", ref)
			}
		})
	}
}

func TestRedactor_Kinds(t *testing.T) {
	const text = "a@b.de 4111111111111111 Bearer abcDEF0123"
	for _, tc := range []struct {
		name  string
		kinds Kinds
		want  string
	}{
		{"mails alone", Mails, "<mail> 4111111111111111 Bearer abcDEF0123"},
		{"cards alone", Cards, "a@b.de <card> Bearer abcDEF0123"},
		{"tokens alone", Tokens, "a@b.de 4111111111111111 Bearer <token>"},
		{"none", 0, text},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := NewRedactor(tc.kinds, nil)
			if got, _ := r.Text([]byte(text), &Room{}, free); string(got) != tc.want {
				t.Errorf("got %s", got)
			}
			if r.Suspicious([]byte(text), free) != (tc.kinds != 0) {
				t.Error("the quick look errs")
			}
		})
	}
}

func TestRedactor_Number(t *testing.T) {
	r := NewRedactor(AllKinds, nil)
	for _, tc := range []struct {
		name, number string
		want         bool
	}{
		{"a card", "4111111111111111", true},
		{"negative", "-4111111111111111", true},
		{"with an empty fraction", "4111111111111111.00", true},
		{"as PHP writes a float", "4.111111111111111e+15", true},
		{"with an exponent and no point", "41111111111111110e-1", true},
		{"with a short mantissa", "411111111111111.1E1", false},
		{"of 19 digits, beyond a float", "6011000000000000001", true},
		{"with a fraction", "4111111111111111.5", false},
		{"a wrong check digit", "4111111111111112", false},
		{"of 20 digits", "41111111111111111111", false},
		{"milliseconds since 1970", "1767323045678", false},
		{"a fraction", "0.4111111111111111", false},
		{"beyond a float", "4111111111111111e400", false},
		{"small", "4711", false},
		{"nothing", "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := r.Number([]byte(tc.number)); got != tc.want {
				t.Errorf("got %v", got)
			}
			if tc.want && !r.Suspicious([]byte(`{"n":`+tc.number+`}`), free) {
				t.Error("the quick look saw nothing")
			}
		})
	}
	if NewRedactor(Mails|Tokens, nil).Number([]byte("4111111111111111")) {
		t.Error("a card that nobody asked for")
	}
}

// TestRedactor_Suspicious: the quick look may see too much, and must never see too little.
func TestRedactor_Suspicious(t *testing.T) {
	r := NewRedactor(AllKinds, []string{"Password", "api-key", "", "a/b"})
	for _, tc := range []struct {
		name, json string
		want       bool
	}{
		{"an ordinary event", `{"@timestamp":"2026-01-02T03:04:05.678901+00:00","message":"User 4711 logged in from 10.2.3.4","level_name":"INFO"}`, false},
		{"an escaped @", `{"m":"a\u0040b.de"}`, true},
		{"an escaped digit", `{"m":"411111111111111\u0031"}`, true},
		{"an escaped letter in a name", `{"p\u0061ssword":1}`, true},
		{"a domain that begins with an escape", `{"m":"a@\u00fc.de"}`, true},
		{"a name with another case", `{"PASSWORD" : 1}`, true},
		{"a name with a hyphen", `{"Api-Key":1}`, true},
		{"the empty name", `{"":1}`, true},
		{"a name that can be spelled with an escape", `{"a\/b":1}`, true},
		{"the name as a value", `{"m":"password"}`, false},
		{"a name that ends like it", `{"xpassword":1}`, false},
		{"a card with an exponent", `{"n":4.111111111111111e+15}`, true},
		{"a float", `{"n":0.1234567890123456}`, false},
		{"an id of many digits", `{"n":1767323045678901234}`, false},
		{"a token in a text in a text", `{"m":"{\"h\":\"Bearer abcDEF0123\"}"}`, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := r.Suspicious([]byte(tc.json), free); got != tc.want {
				t.Errorf("got %v", got)
			}
		})
	}
	plain := NewRedactor(AllKinds, []string{"password"})
	if plain.Suspicious([]byte(`{"m":"M\u00fcller","path":"\/login"}`), free) {
		t.Error("umlauts and slashes are suspicious")
	}
	if !plain.Suspicious([]byte("nothing"), broke) {
		t.Error("nothing was looked at, and nothing was suspicious")
	}
}

func TestRedactor_Removes(t *testing.T) {
	r := NewRedactor(0, []string{"Password", "Schlüssel"})
	for name, want := range map[string]bool{"password": true, "PASSWORD": true, "passwor": false, "passwords": false, "": false,
		"schlüssel": true, "SCHLüSSEL": true, "SCHLÜSSEL": false, "Pa\u017f\u017fword": false} {
		if got := r.Removes([]byte(name)); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// pieces are what texts of the property test are made of.
var pieces = []string{
	" ", " ", ".", "-", "@", "%40", "a", "b.de", "a@b.de", "2x.png", "jo.doe+x@mail.example.org", "ü", "„", "/", ":", ",", "=", "_", "\n", `\`, `"`,
	"1", "4111", "1111", "1111", "+", "4111111111111111", "4111 1111 1111 1111", "5500-0055-5555-5559", "378282246310005", "0.4", "e+15", "e", "20260102",
	"35402092-8390-4660-950d-", "0b300cb20580", "4345500949156f55",
	"abcdef", "0123456789abcdef", "Bearer ", "basic ", "dXNlcjpwYXNz", "eyJ", "eyJhbGciOiJIUzI1NiJ9", ".eyJzdWIiOiIxMjM0In0", jwt, github,
	"AKIA", "IOSFODNN7EXAMPLE", "sk-", "sk_live_", "glpat-", "xoxb-", "AIza", "password", "token", "<mail>", "<card>", "logged in from",
}

func randomText(rnd *rand.Rand) string {
	var s strings.Builder
	for range 1 + rnd.IntN(12) {
		if rnd.IntN(4) == 0 {
			s.WriteByte("0123456789"[rnd.IntN(10)])
		}
		s.WriteString(pieces[rnd.IntN(len(pieces))])
	}
	return s.String()
}

// TestRedactor_TextEqualsReference on random texts, and finds nothing a second time.
func TestRedactor_TextEqualsReference(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	hidden := 0
	for range 2000 {
		hidden += checkText(t, randomText(rnd))
	}
	if hidden < 1000 {
		t.Errorf("only %d were there to hide: the test tests little", hidden)
	}
}

// checkText compares what becomes of a text with the reference, and the quick look with both.
func checkText(t *testing.T, s string) int {
	t.Helper()
	total := 0
	var room Room
	for _, kinds := range []Kinds{AllKinds, Mails, Cards, Tokens} {
		r := redactors[kinds]
		got, n := r.Text([]byte(s), &room, free)
		want, wantN := refText(kinds, s)
		if string(got) != want || n != wantN {
			t.Fatalf("%q\nbecame %q (%d)\nwant   %q (%d)", s, got, n, want, wantN)
		}
		if len(got) > len(s) {
			t.Fatalf("%q grew to %q", s, got)
		}
		if again, n := r.Text([]byte(want), &Room{}, free); n > 0 {
			t.Fatalf("%q has something to hide again, %q", want, again)
		}
		if n > 0 {
			for _, spelled := range spellings(s) {
				if !r.Suspicious([]byte(spelled), free) {
					t.Fatalf("%q: nothing was seen in %s", s, spelled)
				}
			}
		}
		total += n
	}
	return total
}

var redactors = map[Kinds]*Redactor{
	AllKinds: NewRedactor(AllKinds, nil), Mails: NewRedactor(Mails, nil), Cards: NewRedactor(Cards, nil), Tokens: NewRedactor(Tokens, nil),
}

// spellings are ways to write s in JSON: as short as can be, as Go does, as PHP does, all of it in escapes.
func spellings(s string) []string {
	short := string(rawjson.AppendQuoted(nil, s))
	long, _ := json.Marshal(s)
	var escaped strings.Builder
	for _, r := range s {
		if r < 0x10000 {
			escaped.WriteString(`\u` + string("0123456789abcdef"[r>>12]) + string("0123456789abcdef"[r>>8&15]) + string("0123456789abcdef"[r>>4&15]) + string("0123456789abcdef"[r&15]))
		} else {
			escaped.WriteRune(r)
		}
	}
	return []string{short, string(long), strings.ReplaceAll(short, "/", `\/`), `"` + escaped.String() + `"`}
}

func FuzzRedactor(f *testing.F) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		f.Add(randomText(rnd))
	}
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) > 200 { // the reference is slow, and knows no longest mail address
			return
		}
		if validText(s) {
			checkText(t, s)
			return
		}
		if got, _ := redactors[AllKinds].Text([]byte(s), &Room{}, free); len(got) > len(s) {
			t.Fatalf("%q grew to %q", s, got)
		}
	})
}

// TestRedactor_Text_IsLinear counts the bytes that are looked at by how much is to be paid for them.
func TestRedactor_Text_IsLinear(t *testing.T) {
	for _, piece := range []string{"eyJ", "a@", "%40", "a@b.", "sk-", "basic ", "Bearer    ", "4111 ", "4111 1111 1111 1112 ", "1", " ", "xoxb-a", "ü@", "eyJaaaaaa.", "a", "\\u0040", "\"\":"} {
		cost := func(n int) (steps int) {
			s := []byte(strings.Repeat(piece, n/len(piece)))
			spend := func(n int) bool { steps += n; return true }
			r := redactors[AllKinds]
			r.Suspicious(s, spend)
			r.Text(s, &Room{}, spend)
			return steps
		}
		small, large := cost(1<<14), cost(1<<18)
		if large > 16*small+10_000 || large > 4<<18 {
			t.Errorf("%q: %d steps for 16 KiB, %d for 256 KiB", piece, small, large)
		}
	}
}

func TestRedactor_Text_LongParts(t *testing.T) {
	long := strings.Repeat("x", 1000)
	got, n := redactors[AllKinds].Text([]byte(long+"@"+long+".de a@b.de "+long+"ü@b.de"), &Room{}, free)
	want := long + "@" + long + ".de <mail> "
	if n != 2 || !strings.HasPrefix(string(got), want) || !strings.HasSuffix(string(got), "x<mail>") || !utf8.Valid(got) {
		t.Errorf("got %s", got)
	}
}

func BenchmarkRedactor(b *testing.B) {
	r := redactors[AllKinds]
	for _, bc := range []struct{ name, text string }{
		{"prose", strings.Repeat("User 4711 logged in from 10.2.3.4, nothing else happened. ", 10)},
		{"mail", strings.Repeat("User 4711 logged in from 10.2.3.4, nothing else happened. ", 9) + "jo.doe@example.org"},
		{"digits", strings.Repeat("4111 1111 1111 1112 ", 30)},
		{"at", strings.Repeat("a@b.", 150)},
	} {
		b.Run(bc.name, func(b *testing.B) {
			var room Room
			text := []byte(bc.text)
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if r.Suspicious(text, free) {
					r.Text(text, &room, free)
				}
			}
		})
	}
}
