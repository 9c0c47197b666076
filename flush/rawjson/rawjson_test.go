package rawjson

import (
	"bytes"
	"encoding/json"
	"testing"
)

const monolog = `{"message":"User logged in","context":{"user_id":90071992547409931,"service":"billing","ip":"10.0.0.1",` +
	`"tags":["a","b"],"nested":{"a":{"b":1.0}}},"level":200,"level_name":"INFO","channel":"app",` +
	`"datetime":"2026-01-02T03:04:05.678901+00:00","extra":{"uid":"abc1234","memory_usage":"12 MB","url":"\/login?x=1",` +
	`"referrer":null}}`

func TestLookup(t *testing.T) {
	for _, tc := range []struct {
		name, obj, key, want string
		ok                   bool
	}{
		{"a plain member is found", `{"a":1,"b":"x"}`, "b", `"x"`, true},
		{"white space does not matter", " \n{ \"a\" :\t[1, 2] , \"b\":2 } \n", "a", `[1, 2]`, true},
		{"an escaped key means what it says", `{"\u0040time\u0073tamp":"x"}`, "@timestamp", `"x"`, true},
		{"an escaped surrogate pair is one character", `{"\ud83d\ude00":1}`, "😀", `1`, true},
		{"a key that looks like an escape is none", `{"\u0040":1}`, `\u0040`, ``, false},
		{"the last duplicate wins", `{"a":1,"\u0061":2,"a":3,"b":4}`, "a", `3`, true},
		{"nested keys are not top-level", `{"x":{"a":1},"y":[{"a":2}]}`, "a", ``, false},
		{"brackets and quotes in strings are text", `{"x":"}\"]\\","a":true}`, "a", `true`, true},
		{"an empty key is a key", `{"":null}`, "", `null`, true},
		{"an empty object has none", `{}`, "a", ``, false},
		{"an array has no members", `["a",1]`, "a", ``, false},
		{"an object that ends early is not answered from", `{"a":1,"b":`, "a", ``, false},
		{"a missing colon is noticed", `{"a" 1}`, "a", ``, false},
		{"a missing comma is noticed", `{"a":1 "b":2}`, "a", ``, false},
		{"nothing at all", ``, "a", ``, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, ok := Lookup([]byte(tc.obj), tc.key)
			if ok != tc.ok || string(got) != tc.want {
				t.Fatalf("Lookup(%s, %q) = %q, %v; want %q, %v", tc.obj, tc.key, got, ok, tc.want, tc.ok)
			}
		})
	}
}

func TestLookupLate(t *testing.T) {
	for _, tc := range []struct {
		name, obj, key, want string
		known                bool
	}{
		{"the last member", `{"a":1,"b":"x"}`, "b", `"x"`, true},
		{"the first of many kinds", `{"a":1.5,"b":"}","c":{"a":[2]},"d":[{"a":3},[]],"e":null,"f":{},"g":-1e9}`, "a", `1.5`, true},
		{"white space does not matter", " \n{ \"a\" :\t[1, 2] , \"b\" : { } } \n", "a", `[1, 2]`, true},
		{"the last duplicate wins", `{"a":1,"a":2,"b":3}`, "a", `2`, true},
		{"nested keys are not top-level", `{"x":{"a":1},"y":[{"a":2}]}`, "a", ``, true},
		{"a value that reads like a key is none", `{"x":"a","y":["a",1]}`, "a", ``, true},
		{"an empty object has none", `{ }`, "a", ``, true},
		{"what a backslash hides is not known", `{"\u0061":1,"b":2}`, "a", ``, false},
		{"nor before a backslash", `{"a":1,"b":"\n"}`, "a", ``, false},
		{"an array has no members", `["a",1]`, "a", ``, false},
		{"an object that ends early", `{"a":1,"b":`, "a", ``, false},
		{"one without a beginning", `"b":1}`, "a", ``, false},
		{"a missing colon", `{"a" 1}`, "a", ``, false},
		{"a missing comma", `{"x":1 "b":2}`, "a", ``, false},
		{"a missing key", `{:1}`, "a", ``, false},
		{"nothing at all", ``, "a", ``, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, known := LookupLate([]byte(tc.obj), tc.key)
			if known != tc.known || string(got) != tc.want {
				t.Fatalf("LookupLate(%s, %q) = %q, %v; want %q, %v", tc.obj, tc.key, got, known, tc.want, tc.known)
			}
		})
	}
}

func TestAppendMember(t *testing.T) {
	for _, tc := range []struct{ name, obj, want string }{
		{"behind the last member", `{"a":1.0}`, `{"a":1.0,"@t":"now"}`},
		{"an empty object gets no comma", `{}`, `{"@t":"now"}`},
		{"white space inside stays", "{ \n}", "{\"@t\":\"now\" \n}"},
		{"white space around stays", " {\"a\":{} \n} \r\n", " {\"a\":{},\"@t\":\"now\" \n} \r\n"},
		{"an empty array as last value is no empty object", `{"a":[]}`, `{"a":[],"@t":"now"}`},
		{"a brace in the last string is text", `{"a":"{"}`, `{"a":"{","@t":"now"}`},
		{"what is no object stays as it is", `[1]`, `[1]`},
		{"one brace is no object", `{`, `{`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := AppendMember([]byte("x"), []byte(tc.obj), "@t", []byte(`"now"`))
			if string(got) != "x"+tc.want {
				t.Fatalf("got %q, want %q", got, "x"+tc.want)
			}
		})
	}
}

func TestIterators_FaultyInput(t *testing.T) {
	for _, in := range []string{`{`, `{"`, `{"a`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":"\`, `{,}`, `{1:2}`, `[`, `[1`, `[1,`, `["`, `]`, ``, `{"a":}`} {
		m := MembersOf([]byte(in))
		for _, _, ok := m.Next(); ok; _, _, ok = m.Next() {
		}
		if m.Complete() {
			t.Errorf("%q: an object that is none is complete", in)
		}
		e := ElementsOf([]byte(in))
		for _, ok := e.Next(); ok; _, ok = e.Next() {
		}
		if e.Complete() {
			t.Errorf("%q: an array that is none is complete", in)
		}
	}
}

func TestKindOf(t *testing.T) {
	for in, want := range map[string]Kind{
		`null`: Null, ` true`: Bool, `false`: Bool, `-1`: Number, `0`: Number, `9e9`: Number, "\n\"\"": String,
		`[]`: Array, `{}`: Object, ``: Invalid, `x`: Invalid, ` `: Invalid,
	} {
		if got := KindOf([]byte(in)); got != want {
			t.Errorf("KindOf(%q) = %d, want %d", in, got, want)
		}
	}
}

func TestLookup_Allocations(t *testing.T) {
	obj := []byte(monolog)
	if n := testing.AllocsPerRun(100, func() {
		if _, ok := Lookup(obj, "extra"); !ok {
			t.Fatal("not found")
		}
	}); n != 0 {
		t.Errorf("Lookup allocates %v times", n)
	}
}

func FuzzLookup(f *testing.F) {
	for _, s := range []string{monolog, `{}`, `[1,{"a":[]}]`, `{"a":1,"a":2}`, `{"\u0061":"\ud800"}`, `{"a":"\`} {
		f.Add([]byte(s), "a")
	}
	f.Fuzz(func(t *testing.T, doc []byte, key string) {
		got, ok := Lookup(doc, key)
		late, known := LookupLate(doc, key)
		AppendMember(nil, doc, key, []byte("1"))
		if !json.Valid(doc) {
			return
		}
		if known != (KindOf(doc) == Object && bytes.IndexByte(doc, '\\') < 0) || known && !bytes.Equal(late, got) {
			t.Fatalf("LookupLate(%q, %q) = %q, %v; Lookup says %q", doc, key, late, known, got)
		}
		var want map[string]json.RawMessage
		isObject := KindOf(doc) == Object
		if err := json.Unmarshal(doc, &want); (err == nil && want != nil) != isObject {
			t.Fatalf("KindOf says object=%v, encoding/json %v", isObject, err)
		}
		// encoding/json replaces broken UTF-8 in keys, which the ingest edge refuses.
		if raw, there := want[key]; bytes.Equal(doc, bytes.ToValidUTF8(doc, nil)) && (there != ok || !bytes.Equal(raw, got)) {
			t.Fatalf("Lookup(%q, %q) = %q, %v; want %q, %v", doc, key, got, ok, raw, there)
		}
		if !isObject {
			return
		}
		longer := AppendMember(nil, doc, key, []byte("[7]"))
		if !json.Valid(longer) {
			t.Fatalf("AppendMember(%q) = %q is not valid", doc, longer)
		}
	})
}

func FuzzElements(f *testing.F) {
	f.Add([]byte(`[1, "a,]", {"x":[]},[ ] ]`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		var got [][]byte
		it := ElementsOf(doc)
		for v, ok := it.Next(); ok; v, ok = it.Next() {
			got = append(got, v)
		}
		var want []json.RawMessage
		if !json.Valid(doc) || json.Unmarshal(doc, &want) != nil || want == nil {
			return
		}
		if !it.Complete() || len(got) != len(want) {
			t.Fatalf("%q: %d elements, want %d", doc, len(got), len(want))
		}
		for i := range got {
			if !bytes.Equal(got[i], want[i]) {
				t.Fatalf("%q: element %d is %q, want %q", doc, i, got[i], want[i])
			}
		}
	})
}

func FuzzText(f *testing.F) {
	for _, s := range []string{`"a"`, `"\ud83d\ude00\ud800x\n"`, `"\u0000\/\b\f"`, "\"\xff\"", `"\u12"`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		AppendUnquoted(nil, raw)
		KeyIs(raw, string(raw))
		quoted := AppendQuoted(nil, raw)
		var back string
		if err := json.Unmarshal(quoted, &back); err != nil {
			t.Fatalf("AppendQuoted(%q) = %q: %v", raw, quoted, err)
		}
		if want := string([]rune(string(raw))); back != want {
			t.Fatalf("AppendQuoted(%q) means %q", raw, back)
		}
		if !bytes.Equal(AppendQuoted(nil, string(raw)), quoted) {
			t.Fatal("a string and its bytes are quoted differently")
		}
		raw = Trim(raw)
		var want string
		if KindOf(raw) != String || !bytes.Equal(raw, bytes.ToValidUTF8(raw, nil)) || json.Unmarshal(raw, &want) != nil {
			return
		}
		if got := AppendUnquoted(nil, raw); string(got) != want {
			t.Fatalf("AppendUnquoted(%q) = %q, want %q", raw, got, want)
		}
		if !KeyIs(raw, want) || KeyIs(raw, want+"x") {
			t.Fatalf("KeyIs(%q) does not agree with encoding/json", raw)
		}
	})
}

func BenchmarkLookup(b *testing.B) {
	obj := []byte(monolog)
	b.Run("rawjson", func(b *testing.B) {
		b.SetBytes(int64(len(obj)))
		for b.Loop() {
			Lookup(obj, "@timestamp")
		}
	})
	b.Run("encoding", func(b *testing.B) {
		b.SetBytes(int64(len(obj)))
		for b.Loop() {
			var m map[string]json.RawMessage
			if err := json.Unmarshal(obj, &m); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkAppendQuoted(b *testing.B) {
	s := "A line of a log with \"quotes\" and a new line\n and ümlauts, as they come."
	var buf []byte
	b.SetBytes(int64(len(s)))
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendQuoted(buf[:0], s)
	}
}
