package transform

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/weirlog/weir/wal"
)

func script(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile("../testdata/" + name + ".lua")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// document is one result in a form to compare.
type document struct {
	index  string
	fields map[string]any
}

func documents(t testing.TB, way Way, source []byte, records []wal.Record) []document {
	t.Helper()
	transformer, err := way.open(t.TempDir(), source)
	if err != nil {
		t.Fatal(err)
	}
	all := make([]document, len(records))
	for i := range records {
		docs, err := transformer.Transform(t.Context(), &records[i])
		if err != nil || len(docs) != 1 {
			t.Fatalf("%s: %d documents, %v, of %s", way.Name, len(docs), err, records[i].Payload)
		}
		all[i].index = docs[0].Index
		if err := json.Unmarshal(docs[0].Source, &all[i].fields); err != nil {
			t.Fatalf("%s: %v in %s", way.Name, err, docs[0].Source)
		}
	}
	return all
}

func TestWays_MakeTheSameDocuments(t *testing.T) {
	records := Records(500, 320)
	for name, others := range map[string][]string{
		"contract":   {GoJSON, GoBytes, WeirsLua},
		"five_lines": {WeirsLua},
		"ten_lines":  {WeirsLua},
		"everything": {WeirsLua},
	} {
		t.Run(name, func(t *testing.T) {
			source := script(t, name)
			plain, err := ByName(Plain)
			if err != nil {
				t.Fatal(err)
			}
			want := documents(t, plain, source, records)
			for _, other := range others {
				way, err := ByName(other)
				if err != nil {
					t.Fatal(err)
				}
				for i, got := range documents(t, way, source, records) {
					if !reflect.DeepEqual(got, want[i]) {
						t.Fatalf("%s: of %s\nmade %v\nwant %v", other, records[i].Payload, got, want[i])
					}
				}
			}
		})
	}
}

func TestWays_HaveHelpAndAreKnownByName(t *testing.T) {
	for _, want := range ways {
		if got, err := ByName(want.Name); err != nil || got.Name != want.Name || want.Help == "" {
			t.Errorf("%q: %q, %v", want.Name, got.Name, err)
		}
	}
	if _, err := ByName("magic"); err == nil {
		t.Error("a way that does not exist was found")
	}
}

func TestWays_SayWhatTheyCannotTransform(t *testing.T) {
	for _, name := range []string{Plain, GoJSON, GoBytes, WeirsLua} {
		way, err := ByName(name)
		if err != nil {
			t.Fatal(err)
		}
		transformer, err := way.open(t.TempDir(), script(t, "contract"))
		if err != nil {
			t.Fatal(err)
		}
		rec := wal.Record{Offset: 1, Payload: []byte(`{"message":"no context"}`)}
		if docs, err := transformer.Transform(t.Context(), &rec); err == nil {
			t.Errorf("%s made %s of an event without context", name, docs[0].Source)
		}
	}
}

func TestEvents_AreOfTheSizeAndDiffer(t *testing.T) {
	for _, size := range []int{MinEventBytes, 320, 500} {
		seen, shapes := map[string]bool{}, map[string]bool{}
		for _, event := range Events(2000, size, 7) {
			var decoded struct{ Context map[string]any }
			if err := json.Unmarshal(event, &decoded); err != nil || len(event) != size {
				t.Fatalf("%d bytes, %v: %s", len(event), err, event)
			}
			if seen[string(event)] {
				t.Fatalf("twice: %s", event)
			}
			seen[string(event)] = true
			keys, err := json.Marshal(decoded.Context)
			if err != nil {
				t.Fatal(err)
			}
			shapes[strings.SplitN(string(keys), ":", 2)[0]+fmt.Sprint(len(decoded.Context))] = true
		}
		if len(shapes) < len(contexts)-1 {
			t.Errorf("%d bytes: %d shapes of context", size, len(shapes))
		}
	}
	if a, b := Events(3, 320, 1), Events(3, 320, 1); !bytes.Equal(a[2], b[2]) {
		t.Error("the same arguments gave other events")
	}
}

func TestMeasure(t *testing.T) {
	for _, tt := range []struct {
		way, script string
		goroutines  int
	}{{None, "contract", 1}, {Plain, "contract", 1}, {WeirsLua, "everything", 2}} {
		r, err := Measure(t.Context(), Plan{Way: tt.way, Script: script(t, tt.script), EventBytes: 320, Goroutines: tt.goroutines, Window: time.Millisecond, Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		if r.Events < batchEvents || r.Documents != r.Events || r.Seconds <= 0 || r.CPUSeconds <= 0 || r.Allocated < uint64(r.Events) && tt.way != None {
			t.Errorf("%s: %+v", tt.way, r)
		}
	}
}

func TestMeasure_FailsWhereEventsAreLost(t *testing.T) {
	for name, tt := range map[string]struct {
		source string
		want   string
	}{
		"an event is dropped": {"function transform(event) return nil end", "1000 events became 0 documents"},
		"an event fails":      {"function transform(event) error('no') end", "no"},
		"no script":           {"x =", "syntax"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Measure(t.Context(), Plan{Way: WeirsLua, Script: []byte(tt.source), EventBytes: 320, Goroutines: 1, Dir: t.TempDir()})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Measure(ctx, Plan{Way: None, EventBytes: 320, Goroutines: 1}); err == nil {
		t.Error("a measurement that was broken off has a result")
	}
}
