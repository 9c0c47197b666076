package lua

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weirlog/weir/flush"
)

// placed is a document as the table below writes it: index, id, pipeline, routing, source.
func placed(docs []flush.Document) string {
	var out []string
	for _, d := range docs {
		out = append(out, fmt.Sprintf("%s|%s|%s|%s|%s", d.Index, d.ID, d.Pipeline, d.Routing, d.Source))
	}
	return strings.Join(out, "\n")
}

func TestEmit(t *testing.T) {
	for _, tc := range []struct{ name, script, want string }{
		{"behind what is returned, in order", `emit({n = 1}) emit({n = 2}) return event, {n = 3}`,
			"||||{\"a\":1.0}\n||||{\"n\":3}\n||||{\"n\":1}\n||||{\"n\":2}"},
		{"alone", `emit(event)`, "||||{\"a\":1.0}"},
		{"as it was at that moment", `emit(event) event.a = 2 emit(event) event.a = nil return event`,
			"||||{}\n||||{\"a\":1.0}\n||||{\"a\":2}"},
		{"with settings of its own", `emit(event, {index = "i", id = "d", pipeline = "p", routing = 7}) return event`,
			"||||{\"a\":1.0}\ni|d|p|7|{\"a\":1.0}"},
		{"what it leaves open is as meta says at the end", `meta.index = "early" emit({}, {pipeline = "p"}) meta.index = "late" meta.id = "x" return event`,
			"late|x|||{\"a\":1.0}\nlate|x-1|p||{}"},
		{"an id of its own takes no number from others", `meta.id = "x" emit({}, {id = "own"}) emit({}) return event`,
			"|x|||{\"a\":1.0}\n|own|||{}\n|x-2|||{}"},
		{"settings that came as JSON", `emit(event, json.decode('{"index":"i","index":"j"}')) `, "j||||{\"a\":1.0}"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := mustCompile(t, "function transform(event, meta)\n"+tc.script+"\nend")
			for range 2 { // the second event has none of the first one's documents
				docs, _, err := s.Transform(record(`{"a":1.0}`))
				if err != nil {
					t.Fatal(err)
				}
				if got := placed(docs); got != tc.want {
					t.Fatalf("got\n%s\nwant\n%s", got, tc.want)
				}
			}
		})
	}
}

func TestEmit_Refusals(t *testing.T) {
	for _, tc := range []struct{ name, script, kind, want string }{
		{"no table", `emit("x")`, typeError, "script.lua:2: bad argument #1 to emit"},
		{"a list", `emit({1, 2})`, typeError, "script.lua:2: emit: a document must be an object"},
		{"what JSON cannot say", `emit({a = {b = 0/0}})`, typeError, "script.lua:2: emit: a.b: nan is no JSON number"},
		{"an unknown setting", `emit(event, {indx = "x"})`, typeError, "emit: there is no setting indx; index, id, pipeline and routing can be set"},
		{"an empty setting", `emit(event, {index = ""})`, typeError, "emit: index must be a string that is not empty"},
		{"meta as settings", `emit(event, meta)`, typeError, "emit: what meta says counts"},
		{"the state", `emit(state)`, typeError, "emit: is the state table"},
		{"an event that fails later", `emit(event) error("late")`, typeError, "late"},
		{"without end", `while true do emit(event) end`, typeMemory, "script.lua:2: the script allocated more"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := mustCompile(t, "state = {} function transform(event, meta)\n"+tc.script+"\nend")
			docs, _, err := s.Transform(record(`{"a":1}`))
			var te *flush.TransformError
			if !errors.As(err, &te) || te.Type != tc.kind || !strings.Contains(te.Message, tc.want) || docs != nil {
				t.Fatalf("got %v, documents %v; want %s: %s", err, docs, tc.kind, tc.want)
			}
		})
	}
	if _, err := Compile("script.lua", []byte("emit({}) function transform() end"), Options{}); err == nil || !strings.Contains(err.Error(), "emit is for transform") {
		t.Fatalf("emit while loading: %v", err)
	}
}

func TestSettings_AreShort(t *testing.T) {
	for _, tc := range []struct{ script, want string }{
		{`meta.routing = ("x"):rep(513)`, "meta.routing may have 512 bytes, not 513"},
		{`emit(event, { id = ("x"):rep(513) })`, "emit: id may have 512 bytes, not 513"},
		{`meta.id = ("x"):rep(512)`, ""},
	} {
		_, _, err := mustCompile(t, body(tc.script)).Transform(record(`{}`))
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: %v", tc.script, err)
		}
	}
}

// TestSettings_IDsArePaidFor: each document has an id of its own, made of one.
func TestSettings_IDsArePaidFor(t *testing.T) {
	for name, script := range map[string]string{
		"returned": `meta.id = ("x"):rep(512) local t = {} for i = 1, 4000 do t[i] = event end return unpack(t)`,
		"emitted":  `meta.id = ("x"):rep(512) for i = 1, 1500 do emit(event) end return nil`,
	} {
		s, err := Compile("script.lua", []byte("function transform(event, meta) "+script+" end"), Options{MaxMemory: 1 << 20, Timeout: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		var te *flush.TransformError
		if _, _, err := s.Transform(record(`{}`)); !errors.As(err, &te) || te.Type != typeMemory {
			t.Errorf("%s: %v", name, err)
		}
	}
}
