package local

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/weirlog/weir/flush"
)

// manyFields returns an object of n members whose names are all different from those of other seeds.
func manyFields(seed, n int) string {
	var b strings.Builder
	b.WriteString(`{"message":"needle`)
	fmt.Fprintf(&b, `%d"`, seed)
	for i := range n {
		fmt.Fprintf(&b, `,"f%d_%d":"v%d"`, seed, i, i)
	}
	b.WriteByte('}')
	return b.String()
}

// TestStore_Send_Hostile stores what is meant to hurt, and finds it again. K4, K7.
func TestStore_Send_Hostile(t *testing.T) {
	digits := strings.Repeat("7", 10_000)
	for _, tt := range []struct{ name, source, query string }{
		{"10,000 names", manyFields(1, 10_000), "message:needle1"},
		{"nesting of 1,000", strings.Repeat(`{"a":`, 999) + `{"deep":"needle2"}` + strings.Repeat("}", 999), "needle2"},
		{"nesting of 100,000", strings.Repeat(`{"a":`, 99_999) + `{}` + strings.Repeat("}", 99_999), "*"},
		{"arrays in arrays", `{"a":` + strings.Repeat("[", 500) + `"needle3"` + strings.Repeat("]", 500) + "}", "needle3"},
		{"a string of 1 MB", `{"message":"needle4","long":"` + strings.Repeat("word ", 200_000) + `"}`, "+message:needle4 +long:word"},
		{"a word of 1 MB", `{"word":"needle5` + strings.Repeat("y", 1<<20) + `"}`, "word:needle5*"},
		{"a key of 1 MB", `{"` + strings.Repeat("k", 1<<20) + `":"needle6"}`, "needle6"},
		{"a number of 10,000 digits", `{"n":` + digits + `,"m":-` + digits + `e` + digits + `,"message":"needle7"}`, "message:needle7"},
		{"numbers at the edge", `{"n":[1e308,-1e308,1e-320,1e309,0,-0,-0.0,18446744073709551616],"message":"needle8"}`, "+needle8 +n:>=18446744073709551615 +n:<-5 +n:0"},
		{"one key a thousand times", "{" + strings.Repeat(`"k":"needle9",`, 1000) + `"k":1}`, "+k:needle9 +k:1"},
		{"mixed array", `{"a":[1,"needle10",null,true,{"b":[{"c":"x"}]},[2,[3]]]}`, "+a:needle10 +a:3 +a:true +a.b.c:x"},
		{"a million numbers", `{"message":"needle11","a":[` + strings.Repeat("1,", 500_000) + `1]}`, "message:needle11"},
		{"dots and empty names", `{"":"needle12",".":"x","a..b":"y","...":{"":"z"}}`, "+needle12 +a..b:y"},
		{"control characters", `{"message":"needle13 \u0000\u0001\uffff\ud800 x","\u0000":"n"}`, `"needle13 x"`},
		{"broken UTF-8", "{\"message\":\"needle14 \xff\xfe x\"}", "needle14"},
		{"reserved names", `{"_id":"a","_all":"b","_source":"c","_order":"d","_index":"e","message":"needle15"}`, "message:needle15"},
		{"terms that look like values", `{"n":"\u0001\b@y\u0000","message":"needle16"}`, "+message:needle16 -n:>=0"},
		{"an escape at the cut", `{"message":"needle17 ` + strings.Repeat("x", MaxValueBytes-12) + `\u00e9\u00e9\u00e9"}`, "needle17"},
		{"white space", " \r\n\t{ \"message\"\n:\t\"needle18\" } \n", "needle18"},
		{"many words", `{"message":"needle19 ` + func() string {
			var b strings.Builder
			for i := range 100_000 {
				fmt.Fprintf(&b, "w%d ", i)
			}
			return b.String()
		}() + `"}`, "+needle19 +w100"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := openStore(t, t.TempDir())
			docs := append(monolog(0, 3), event(9, tt.source))
			deliver(t, s, docs, flush.Delivered)
			res, err := s.Search(t.Context(), Query{Text: tt.query})
			if err != nil || len(res.Hits) == 0 {
				t.Fatalf("%s: %d hits, %v", tt.query, len(res.Hits), err)
			}
			if got := res.Hits[0].Source; string(got) != tt.source {
				t.Errorf("source of %d bytes came back as %d bytes", len(tt.source), len(got))
			}
			if tt.query != "*" && res.Total != 1 {
				t.Errorf("%s finds %d documents", tt.query, res.Total)
			}
			deliver(t, s, monolog(100, 3), flush.Delivered)
		})
	}
}

// TestStore_NamesAreBounded sends ever new names. K7.
func TestStore_NamesAreBounded(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	for seed := range 12 {
		deliver(t, s, []flush.Document{event(seed, manyFields(seed, 250))}, flush.Delivered)
	}
	if got := len(s.active().names.names); got != MaxPartFields {
		t.Errorf("%d names are indexed, want %d", got, MaxPartFields)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, dir)
	if got := len(s.active().names.names); got != MaxPartFields {
		t.Errorf("%d names after reopening, want %d", got, MaxPartFields)
	}
	for _, query := range []string{"f0_0:v0", "needle11", "f11_0:v0"} {
		want := 1
		if query == "f11_0:v0" {
			want = 0 // beyond the bound: found without its name only
		}
		if got := total(t, s, query); got != want {
			t.Errorf("%s finds %d, want %d", query, got, want)
		}
	}
}

// FuzzStore_Send takes any bytes: an object is delivered, kept byte for byte and found; the rest is refused.
func FuzzStore_Send(f *testing.F) {
	for _, source := range []string{`{}`, `{"a":1}`, `{"a":{"b":[1,2,{"c":null}]}}`, `{"a":"\u00e9\ud83d\ude00\\"}`, `{"a"`, `[]`, `{"a":1}}`, "{\"\xff\":\"\xff\"}", `{"@timestamp":"2026-01-01"}`, `{"a":tru}`} {
		f.Add([]byte(source))
	}
	s := openStore(f, f.TempDir())
	f.Fuzz(func(t *testing.T, source []byte) {
		n := rand.IntN(1 << 50)
		doc := event(n, string(source))
		doc.ReceivedAt = day
		outcomes, err := s.Send(t.Context(), []flush.Document{doc})
		if err != nil {
			t.Fatal(err)
		}
		hit, ok, err := s.Get(t.Context(), doc.Index, doc.ID)
		if err != nil || ok != (outcomes[0].Verdict == flush.Delivered) {
			t.Fatalf("%q is %v, found: %v, %v", source, outcomes[0].Verdict, ok, err)
		}
		if ok && !bytes.Equal(hit.Source, source) {
			t.Errorf("%q came back as %q", source, hit.Source)
		}
	})
}
