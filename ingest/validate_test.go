package ingest

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/weirlog/weir/wal"
)

// monolog is an event of the size and shape that most clients send.
const monolog = `{"message":"Order 8812 could not be charged: card declined by issuer","context":{"order_id":8812,"customer":{"id":"c_91ab","plan":"business"},"amount":129.90,"currency":"EUR","retries":2},"level":400,"level_name":"ERROR","channel":"billing","datetime":"2026-11-21T07:01:13.482913+00:00","extra":{"uid":"7be2c1d","url":"/checkout/confirm","ip":"203.0.113.9","http_method":"POST","memory":"14 MB"}}`

func TestValidateEvent(t *testing.T) {
	nested := func(n int) string { return `{"a":` + strings.Repeat("[", n-1) + strings.Repeat("]", n-1) + `}` }
	tests := []struct {
		name     string
		event    string
		code     string // "" means acceptable
		position int
	}{
		{"an ordinary event", monolog, "", 0},
		{"an empty object", `{}`, "", 0},
		{"white space of every kind around everything", " \t\r\n{ \n\"a\"\t:\r[ 1 , 2 ] , \"b\" : { } } \n", "", 0},
		{"a number of 10,000 digits", `{"a":` + strings.Repeat("7", 10000) + `}`, "", 0},
		{"every spelling of numbers", `{"a":[0,-0,0.0,-1.5e+10,1E-7,1e400,18446744073709551615]}`, "", 0},
		{"a key of 1 MB", `{"` + strings.Repeat("k", 1<<20) + `":1}`, "", 0},
		{"every escape", `{"a":"\"\\\/\b\f\n\r\t\u00e9\uD83D\uDE00"}`, "", 0},
		{"a surrogate without its partner, as an escape", `{"a":"\ud800"}`, "", 0},
		{"UTF-8 of every length", `{"é":"ß€😀"}`, "", 0},
		{"the last code point", "{\"a\":\"\U0010FFFF\"}", "", 0},
		{"DEL is no control character to JSON", "{\"a\":\"\x7f\"}", "", 0},
		{"the same member twice", `{"a":1,"a":2}`, "", 0},
		{"nesting of exactly 1,000", nested(1000), "", 0},

		{"nothing", ``, CodeMalformedJSON, 0},
		{"only white space", "  \n", CodeMalformedJSON, 3},
		{"garbage", "\x00\xff\xfe", CodeMalformedJSON, 0},
		{"a number alone", `42`, CodeNotAnObject, 0},
		{"an array", `[{}]`, CodeNotAnObject, 0},
		{"null", `null`, CodeNotAnObject, 0},
		{"a string", `"{}"`, CodeNotAnObject, 0},
		{"two objects", `{} {}`, CodeMalformedJSON, 3},
		{"cut in a value", `{"a":`, CodeMalformedJSON, 5},
		{"cut in a string", `{"a":"b`, CodeMalformedJSON, 7},
		{"cut in an escape", `{"a":"\`, CodeMalformedJSON, 6},
		{"cut in a unicode escape", `{"a":"\u00`, CodeMalformedJSON, 6},
		{"cut in a literal", `{"a":tr`, CodeMalformedJSON, 7},
		{"cut after a minus", `{"a":-`, CodeMalformedJSON, 6},
		{"cut after the last member", `{"a":1`, CodeMalformedJSON, 6},
		{"a comma at the end of an object", `{"a":1,}`, CodeMalformedJSON, 7},
		{"a comma at the end of an array", `{"a":[1,]}`, CodeMalformedJSON, 8},
		{"a comma alone", `{,}`, CodeMalformedJSON, 1},
		{"no colon", `{"a" 1}`, CodeMalformedJSON, 5},
		{"no comma in an object", `{"a":1 "b":2}`, CodeMalformedJSON, 7},
		{"no comma in an array", `{"a":[1 2]}`, CodeMalformedJSON, 8},
		{"the wrong closing bracket", `{"a":[1}`, CodeMalformedJSON, 7},
		{"the wrong closing bracket of an object", `{"a":1]`, CodeMalformedJSON, 6},
		{"a name without quotes", `{a:1}`, CodeMalformedJSON, 1},
		{"single quotes", `{'a':1}`, CodeMalformedJSON, 1},
		{"a comment", `{"a":1/**/}`, CodeMalformedJSON, 6},
		{"NaN", `{"a":NaN}`, CodeMalformedJSON, 5},
		{"a literal in capitals", `{"a":True}`, CodeMalformedJSON, 5},
		{"a misspelt literal", `{"a":nul1}`, CodeMalformedJSON, 8},
		{"a literal that goes on", `{"a":nullx}`, CodeMalformedJSON, 9},
		{"a leading zero", `{"a":01}`, CodeMalformedJSON, 6},
		{"a leading plus", `{"a":+1}`, CodeMalformedJSON, 5},
		{"a point without digits", `{"a":1.}`, CodeMalformedJSON, 7},
		{"a point first", `{"a":.5}`, CodeMalformedJSON, 5},
		{"an exponent without digits", `{"a":1e+}`, CodeMalformedJSON, 8},
		{"a hexadecimal number", `{"a":0x10}`, CodeMalformedJSON, 6},
		{"a NUL between tokens", "{\"a\":\x001}", CodeMalformedJSON, 5},
		{"a NUL in a string", "{\"a\":\"x\x00y\"}", CodeMalformedJSON, 7},
		{"a line feed in a string", "{\"a\":\"x\ny\"}", CodeMalformedJSON, 7},
		{"a control character late in a long string", "{\"a\":\"" + strings.Repeat("x", 21) + "\x1f\"}", CodeMalformedJSON, 27},
		{"an unknown escape", `{"a":"\x41"}`, CodeMalformedJSON, 6},
		{"a bad unicode escape", `{"a":"\u00g0"}`, CodeMalformedJSON, 6},
		{"a form feed as white space", "{\f}", CodeMalformedJSON, 1},
		{"a no-break space as white space", "{\u00a0}", CodeMalformedJSON, 1},
		{"a byte order mark", "\uFEFF{}", CodeMalformedJSON, 0},

		{"a lone continuation byte", "{\"a\":\"\x80\"}", CodeInvalidUTF8, 6},
		{"an overlong slash", "{\"a\":\"\xc0\xaf\"}", CodeInvalidUTF8, 6},
		{"an overlong sequence of three", "{\"a\":\"\xe0\x80\xaf\"}", CodeInvalidUTF8, 6},
		{"an overlong sequence of four", "{\"a\":\"\xf0\x80\x80\xaf\"}", CodeInvalidUTF8, 6},
		{"a surrogate in UTF-8", "{\"a\":\"\xed\xa0\x80\"}", CodeInvalidUTF8, 6},
		{"above the last code point", "{\"a\":\"\xf4\x90\x80\x80\"}", CodeInvalidUTF8, 6},
		{"a first byte that never is one", "{\"a\":\"\xff\"}", CodeInvalidUTF8, 6},
		{"a sequence cut by the quote", "{\"a\":\"\xe2\x82\"}", CodeInvalidUTF8, 6},
		{"Latin-1 in a name", "{\"caf\xe9\":1}", CodeInvalidUTF8, 5},

		{"nesting of 1,001", nested(1001), CodeTooDeep, 1004},
		{"nesting of 100,000", strings.Repeat(`{"a":`, 100000), CodeTooDeep, 5000},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := ValidateEvent([]byte(tt.event))
			if tt.code == "" {
				if err != nil {
					t.Fatalf("ValidateEvent: %v, want no error", err)
				}
				return
			}
			var syntax *SyntaxError
			if !errors.As(err, &syntax) {
				t.Fatalf("ValidateEvent: %v, want a *SyntaxError", err)
			}
			if syntax.Code != tt.code || syntax.Position != tt.position || syntax.Message == "" {
				t.Errorf("got %s at byte %d (%q), want %s at byte %d", syntax.Code, syntax.Position, syntax.Message, tt.code, tt.position)
			}
		})
	}
}

func TestCheckEvent_Timestamp(t *testing.T) {
	tests := []struct {
		event string
		want  bool
	}{
		{`{"@timestamp":"2026-01-01T00:00:00Z"}`, true},
		{`{"a":{"b":[1]},"@timestamp":null}`, true},
		{`{"\u0040timestamp":1}`, true},
		{`{"@time\u0073tamp":1}`, true},
		{`{"\u0040\u0074\u0069\u006D\u0065\u0073\u0074\u0061\u006d\u0070":1}`, true},
		{`{"a":{"@timestamp":1}}`, false},
		{`{"a":[{"@timestamp":1}]}`, false},
		{`{"@Timestamp":1}`, false},
		{`{"@timestamp ":1}`, false},
		{`{"@timestam\t":1}`, false},
		{`{"@timestam\u0170":1}`, false},
		{`{"a":"@timestamp"}`, false},
		{`{"timestamp":1}`, false},
	}
	for _, tt := range tests {
		flags, err := CheckEvent([]byte(tt.event))
		if err != nil {
			t.Errorf("CheckEvent(%s): %v", tt.event, err)
		}
		if got := flags&wal.FlagTimestamp != 0; got != tt.want {
			t.Errorf("CheckEvent(%s): timestamp %v, want %v", tt.event, got, tt.want)
		}
	}
}

// TestScanString_EveryByteAtEveryPlace holds the eight-bytes step against the plain rule.
func TestScanString_EveryByteAtEveryPlace(t *testing.T) {
	for c := range 256 {
		for place := range 20 {
			s := []byte(strings.Repeat("~", 24) + `"`)
			s[place] = byte(c)
			end, f := scanString(s, 0)
			switch {
			case c == '"':
				if f != faultNone || end != place+1 {
					t.Fatalf("quote at %d: end %d, fault %d", place, end, f)
				}
			case c == '\\' || c < ' ' || c >= 0x80:
				if f == faultNone || end != place {
					t.Fatalf("byte %#x at %d: end %d, fault %d; want a fault at %d", c, place, end, f, place)
				}
			default:
				if f != faultNone || end != len(s) {
					t.Fatalf("byte %#x at %d: end %d, fault %d", c, place, end, f)
				}
			}
		}
	}
}

func FuzzValidateEvent(f *testing.F) {
	for _, seed := range []string{monolog, `{}`, `[1]`, `{"a":[tru`, "{\"\xff\":1}", `{"a":"\ud800"}`, `{"@timest\u0061mp":-0.1e9}`, "\uFEFF{}", "{\"a\":\"x\x00\"}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, event []byte) {
		flags, err := CheckEvent(event)
		// encoding/json takes broken UTF-8 and nests ten times deeper; else the two must agree.
		var object map[string]json.RawMessage
		valid := json.Valid(event) && json.Unmarshal(event, &object) == nil && object != nil
		var syntax *SyntaxError
		switch {
		case err == nil && (!valid || !utf8.Valid(event)):
			t.Fatalf("accepted %q", event)
		case errors.As(err, &syntax) && syntax.Code == CodeTooDeep:
		case err != nil && valid && utf8.Valid(event):
			t.Fatalf("refused %q: %v", event, err)
		}
		if syntax != nil && (syntax.Position < 0 || syntax.Position > len(event)) {
			t.Fatalf("position %d outside %q", syntax.Position, event)
		}
		if _, has := object[timestampKey]; err == nil && has != (flags&wal.FlagTimestamp != 0) {
			t.Fatalf("timestamp flag %v, member there: %v, in %q", flags, has, event)
		}
	})
}

func BenchmarkCheckEvent(b *testing.B) {
	for _, bm := range []struct{ name, event string }{
		{"monolog", monolog},
		{"long_text", `{"message":"` + strings.Repeat("plain text without anything special ", 30) + `"}`},
		{"cyrillic", `{"message":"` + strings.Repeat("быстрая лиса ", 40) + `"}`},
		{"numbers", `{"a":[` + strings.Repeat("1234.5678,", 60) + `0]}`},
		{"escapes", `{"a":"` + strings.Repeat(`C:\\dir\\file\n`, 30) + `"}`},
	} {
		b.Run(fmt.Sprintf("event=%s", bm.name), func(b *testing.B) {
			event := []byte(bm.event)
			b.SetBytes(int64(len(event)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := CheckEvent(event); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
