package marks

import (
	"encoding/json"
	"fmt"
	"testing"
)

func mark(r Run, n int64) string {
	b := []byte(r.Blank())
	Put(b, n)
	return string(b)
}

func TestPlaces_FindsEachMarkOnce(t *testing.T) {
	run := Run(7)
	b := []byte("x" + run.Blank() + run.Blank() + "weirmark, but no mark" + Run(8).Blank() + run.Blank())
	places := run.Places(b)
	if len(places) != 3 || places[0] != 1 || places[1] != 1+Width {
		t.Fatalf("places %v", places)
	}
	for i, p := range places {
		Put(b[p:], int64(i)+0xabc)
	}
	var got []string
	for r, n, rest, ok := next(b); ok; r, n, rest, ok = next(rest) {
		got = append(got, fmt.Sprintf("%d:%x", r, n))
	}
	if fmt.Sprint(got) != "[7:abc 7:abd 8:0 7:abe]" {
		t.Errorf("marks %v", got)
	}
}

func TestArrivals_Document(t *testing.T) {
	run := Run(0xdeadbeef)
	event := func(n int64) string { return fmt.Sprintf(`{"message":"a","id":%q}`, mark(run, n)) }
	escaped := func(s string) string {
		b, err := json.Marshal(map[string]any{"log": s, "deep": map[string]string{"log": s}})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	type doc struct {
		source, id string
		again      bool
	}
	for name, tt := range map[string]struct {
		docs                             []doc
		documents, events, twice, strays int64
	}{
		"each once":                             {[]doc{{event(0), "a", false}, {event(1), "b", false}}, 2, 2, 0, 0},
		"a string in a string, and twice in it": {[]doc{{escaped(escaped(event(5))), "a", false}}, 1, 1, 0, 0},
		"another id":                            {[]doc{{event(0), "a", false}, {event(0), "b", false}}, 2, 1, 1, 0},
		"three times is doubled once":           {[]doc{{event(0), "a", false}, {event(0), "b", false}, {event(0), "c", false}}, 3, 1, 1, 0},
		"the same id is the same document":      {[]doc{{event(0), "a", false}, {event(0), "a", true}}, 2, 1, 0, 0},
		"several events in one document":        {[]doc{{event(0) + event(1), "a", false}, {event(1), "b", false}}, 2, 2, 1, 0},
		"some of them new":                      {[]doc{{event(0), "a", false}, {event(0) + event(1), "a", false}}, 2, 2, 0, 0},
		"of a round that is over":               {[]doc{{mark(1, 0), "a", false}, {event(0), "b", false}}, 1, 1, 0, 1},
		"no mark":                               {[]doc{{`{"a":"weirmark"}`, "a", false}, {`weirmarkzzzzzzzz000000000000`, "a", false}}, 0, 0, 0, 0},
		"a number that nobody gave":             {[]doc{{event(1 << 40), "a", false}}, 0, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var a Arrivals
			a.Begin(run)
			for _, d := range tt.docs {
				if again := a.Document([]byte(d.source), d.id); again != d.again {
					t.Errorf("%s with id %s: again %v", d.source, d.id, again)
				}
			}
			c := a.Counts()
			if c.Documents != tt.documents || c.Events != tt.events || c.Doubled != tt.twice || c.Strays != tt.strays || a.Arrived().Count() != tt.events {
				t.Errorf("counts %+v", c)
			}
			if c.Touched.IsZero() || c.Latest.IsZero() != (tt.events == 0) {
				t.Errorf("times %+v", c)
			}
			a.Begin(1)
			if c := a.Counts(); c.Events != 0 || len(a.Arrived()) != 0 {
				t.Errorf("after Begin: %+v", c)
			}
		})
	}
}

func TestLedger_Compare(t *testing.T) {
	var l Ledger
	for first, n := int64(0), 0; n < 50; n++ { // 50 requests of 3; every fifth has no answer
		if got := l.Take(3); got != first {
			t.Fatalf("first %d, want %d", got, first)
		}
		if n%5 != 0 {
			l.Acknowledge(first, 3)
		}
		first += 3
	}
	var arrived Bits
	for n := range int64(149) { // 149 is missing; 0, 1, 2, 15, ... had no answer
		if n != 70 && n != 3 && n != 1 {
			arrived.Set(n)
		}
	}
	want := Verdict{Sent: 150, Acked: 120, Lost: 3, Unanswered: 30, UnansweredIn: 29}
	if got := l.Compare(ReadBits(arrived.Bytes())); got != want {
		t.Errorf("verdict %+v, want %+v", got, want)
	}
	if got := l.Compare(nil); got.Lost != 120 || got.UnansweredIn != 0 {
		t.Errorf("verdict with nothing arrived %+v", got)
	}
}
