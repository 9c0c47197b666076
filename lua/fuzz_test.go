package lua

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/flush/rawjson"
)

// acceptable reports whether ingest would have let payload in.
func acceptable(payload []byte) bool {
	return json.Valid(payload) && utf8.Valid(payload) && rawjson.KindOf(payload) == rawjson.Object && shallow(payload)
}

func tree(t *testing.T, doc []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", doc, err)
	}
	return v
}

// FuzzTransform: any event goes unharmed through scripts that read all of it, move all of it, or rewrite it.
func FuzzTransform(f *testing.F) {
	for _, s := range []string{
		monolog, `{}`, `{"a":[1.0,{"b":[]},null,[[{}]]],"a":1e400,"\u0061":{"x":12345678901234567890}}`,
		`{"e":0.0,"-":-0,"E":1E2,"s":"\ud83d\ude00\u0000\ud800"}`, `{"":{"":[[],{}]}}`,
	} {
		f.Add([]byte(s))
	}
	read := mustCompile(f, `local function walk(v)
			if type(v) == "table" then for _, x in pairs(v) do walk(x) end end
		end
		function transform(event) walk(event) return event end`)
	move := mustCompile(f, `function transform(event)
			local copy, n = json.object(), 0
			for k, v in pairs(event) do copy[k] = v n = n + 1 end
			return copy
		end`)
	deep := mustCompile(f, `local function copy(v)
			if type(v) ~= "table" then return v end
			local out = json.encode(v):sub(1, 1) == "[" and json.array() or json.object()
			for k, x in pairs(v) do out[k] = copy(x) end
			return out
		end
		function transform(event) return copy(event) end`)
	touch := mustCompile(f, `function transform(event) event.added_by_script = 1 return event end`)
	f.Fuzz(func(t *testing.T, payload []byte) {
		if !acceptable(payload) || len(payload) > 4096 || bytes.Contains(payload, []byte("added_by_script")) {
			return
		}
		if got := transformed(t, read, payload); !bytes.Equal(got, payload) {
			t.Fatalf("read: %q became %q", payload, got)
		}
		want := tree(t, payload)
		for name, s := range map[string]*Script{"move": move, "deep": deep} {
			if got := transformed(t, s, payload); got != nil && !reflect.DeepEqual(tree(t, got), want) {
				t.Fatalf("%s: %s became %s", name, payload, got)
			}
		}
		got := transformed(t, touch, payload)
		if !json.Valid(got) || !bytes.HasSuffix(got, []byte(`"added_by_script":1}`)) {
			t.Fatalf("touch: %q became %q", payload, got)
		}
		inner := rawjson.Trim(payload)
		inner = rawjson.Trim(inner[1 : len(inner)-1])
		if !bytes.HasPrefix(got[1:], inner) {
			t.Fatalf("touch: %q became %q", payload, got)
		}
	})
}

// transformed returns the one document of an event; nil where only a deep stack was in the way.
func transformed(t *testing.T, s *Script, payload []byte) []byte {
	t.Helper()
	docs, _, err := s.Transform(record(string(payload)))
	var te *flush.TransformError
	if errors.As(err, &te) && strings.Contains(te.Message, "overflow") {
		return nil
	}
	if err != nil || len(docs) != 1 {
		t.Fatalf("%s: %d documents, %v", payload, len(docs), err)
	}
	return docs[0].Source
}

// FuzzScript: whatever compiles ends, and leaves the next event alone.
func FuzzScript(f *testing.F) {
	for _, s := range []string{`event.a = event.b .. 1`, `for k, v in pairs(event) do event[k] = {v, ...} end`, `a, b.c = 1, f()`,
		`local t = {x = 1, [2] = 3, f()} return t`, `goto x ::x:: return (f())`, `repeat local a = function() end until a`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, statements string) {
		s, err := Compile("script.lua", []byte("function transform(event, meta, ...)\nif event.fuzz then\n"+statements+"\nend\nreturn event\nend"),
			Options{Timeout: 5e6, MaxMemory: 1 << 20})
		if err != nil {
			return
		}
		_, _, err = s.Transform(record(`{"fuzz":true,"b":[1,{"c":2}]}`))
		var te *flush.TransformError
		if err != nil && !errors.As(err, &te) {
			t.Fatal(err)
		}
		docs, _, err := s.Transform(record(`{"x":1.0}`))
		if err != nil || len(docs) > 1 {
			t.Skip("the fuzzer broke out of the condition")
		}
	})
}
