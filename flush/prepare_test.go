package flush

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirlog/weir/wal"
)

func TestRoute_Prepare(t *testing.T) {
	received := time.Date(2026, 3, 1, 12, 0, 0, 5, time.UTC)
	for name, tc := range map[string]struct {
		route  Route
		event  string
		flags  wal.Flags
		source string
		id     string // "" for the key's
	}{
		"an untouched event keeps its bytes":            {route: Route{}, event: `{ "a" : 1.0 }`, source: `{ "a" : 1.0 }`},
		"no timestamp: the receive time":                {route: Route{Timestamp: true}, event: `{"a":1}`, source: `{"a":1,"@timestamp":"2026-03-01T12:00:00.000000005Z"}`},
		"datetime in RFC 3339":                          {route: Route{Timestamp: true}, event: `{"datetime":"2024-01-01T12:00:00.123456+02:00"}`, source: `{"datetime":"2024-01-01T12:00:00.123456+02:00","@timestamp":"2024-01-01T12:00:00.123456+02:00"}`},
		"datetime that is no time":                      {route: Route{Timestamp: true}, event: `{"datetime":"yesterday, at noon!"}`, source: `{"datetime":"yesterday, at noon!","@timestamp":"2026-03-01T12:00:00.000000005Z"}`},
		"datetime that is an object":                    {route: Route{Timestamp: true}, event: `{"datetime":{"date":"2024-01-01"}}`, source: `{"datetime":{"date":"2024-01-01"},"@timestamp":"2026-03-01T12:00:00.000000005Z"}`},
		"the last datetime of several":                  {route: Route{Timestamp: true}, event: `{"datetime":"2024-01-01T12:00:00Z","datetime":"2024-01-02T12:00:00Z"}`, source: `{"datetime":"2024-01-01T12:00:00Z","datetime":"2024-01-02T12:00:00Z","@timestamp":"2024-01-02T12:00:00Z"}`},
		"datetime before a backslash":                   {route: Route{Timestamp: true}, event: `{"datetime":"2024-01-01T12:00:00Z","a":"\n"}`, source: `{"datetime":"2024-01-01T12:00:00Z","a":"\n","@timestamp":"2024-01-01T12:00:00Z"}`},
		"a datetime further down is another":            {route: Route{Timestamp: true}, event: `{"a":{"datetime":"2024-01-01T12:00:00Z"}}`, source: `{"a":{"datetime":"2024-01-01T12:00:00Z"},"@timestamp":"2026-03-01T12:00:00.000000005Z"}`},
		"a timestamp further down is another":           {route: Route{Timestamp: true}, event: `{"a":{"@timestamp":1}}`, source: `{"a":{"@timestamp":1},"@timestamp":"2026-03-01T12:00:00.000000005Z"}`},
		"a timestamp, as the validator saw":             {route: Route{Timestamp: true}, flags: wal.FlagTimestamp, event: `{"@timestamp":1}`, source: `{"@timestamp":1}`},
		"a timestamp that nobody told of":               {route: Route{Timestamp: true}, event: `{"\u0040timestamp":1}`, source: `{"\u0040timestamp":1}`},
		"an empty object":                               {route: Route{Timestamp: true}, event: `{}`, source: `{"@timestamp":"2026-03-01T12:00:00.000000005Z"}`},
		"a client's id":                                 {route: Route{IDField: "uuid"}, event: `{"uuid":"a\u0062c"}`, source: `{"uuid":"a\u0062c"}`, id: "abc"},
		"a client's id that is a number":                {route: Route{IDField: "n"}, event: `{"n":12345678901234567890}`, source: `{"n":12345678901234567890}`, id: "12345678901234567890"},
		"a client's id that is missing, null or object": {route: Route{IDField: "n"}, event: `{"n":null}`, source: `{"n":null}`},
	} {
		rec := &wal.Record{Epoch: 0xab, Offset: 7, Count: 1, Stream: "default", ReceivedAt: received, Flags: tc.flags, Payload: []byte(tc.event)}
		docs := []Document{{Source: rec.Payload}, {Source: rec.Payload}}
		if err := tc.route.Prepare(&Arena{}, rec, docs); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if string(docs[0].Source) != tc.source {
			t.Errorf("%s: %s, want %s", name, docs[0].Source, tc.source)
		}
		first, second := "00000000000000ab-7", "00000000000000ab-7-1"
		if tc.id != "" {
			first, second = tc.id, tc.id+"-1"
		}
		if docs[0].ID != first || docs[1].ID != second || docs[1].Of != 2 {
			t.Errorf("%s: ids %q and %q, want %q and %q", name, docs[0].ID, docs[1].ID, first, second)
		}
	}
}

// TestIsTime: what the quick way takes for a time, package time does too, and so does what it leaves to that.
func TestIsTime(t *testing.T) {
	whole := "2026-02-28T23:59:59.123456+01:30"
	texts := []string{
		whole, "2026-03-01T12:00:00Z", "2026-03-01T12:00:00.1Z", "2024-02-29T00:00:00Z", "2026-02-29T00:00:00Z", "2026-04-31T00:00:00Z",
		"2026-01-31T00:00:00-23:59", "2026-03-01T12:00:60Z", "2026-03-01T12:00:00.Z", "2026-03-01T12:00:00,5Z", "2026-03-01T12:00:00.5", "2026-03-01T12:00:00",
		"2026-03-01T12:00:00+24:00", "2026-03-01T12:00:00+00:60", "2026-03-01T12:00:00+0000", "0000-01-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-01-00T00:00:00Z",
	}
	for i := range whole { // each byte of one that is right, wrong in several ways
		for _, c := range "0123456789-+:.,TZ t/\x00é" {
			texts = append(texts, whole[:i]+string(c)+whole[i+1:])
		}
		texts = append(texts, whole[:i]+whole[i+1:], whole[:i]+"0"+whole[i:])
	}
	for _, text := range texts {
		if len(text) < len("2006-01-02T15:04:05Z") || len(text) > len("2006-01-02T15:04:05.999999999+00:00") {
			continue // too short or too long to be looked at
		}
		_, err := time.Parse(time.RFC3339, text)
		if got := isTime([]byte(`"` + text + `"`)); got != (err == nil) {
			t.Errorf("%q: %v, and package time says %v", text, got, err)
		}
	}
	if !isCommonTime([]byte(whole)) || !isCommonTime([]byte("2026-03-01T12:00:00Z")) {
		t.Error("the quick way takes no time at all")
	}
}

func TestArena_String_StaysAfterReset(t *testing.T) {
	for _, arena := range []*Arena{nil, {}} {
		var got, want []string
		for i := range 3 * arenaText / 16 {
			text := strconv.Itoa(i) + strings.Repeat("x", i%40)
			b := []byte(text)
			got, want = append(got, arena.String(b)), append(want, text)
			clear(b)
			if arena != nil && i%100 == 0 {
				arena.Reset()
				clear(arena.Alloc(64))
			}
		}
		got, want = append(got, arena.String(nil), arena.String(make([]byte, arenaText))), append(want, "", string(make([]byte, arenaText)))
		if !slices.Equal(got, want) {
			t.Error("a string has changed")
		}
	}
}

// TestRoute_Prepare_Version: what a script made says so, once, behind everything else.
func TestRoute_Prepare_Version(t *testing.T) {
	received := time.Date(2026, 3, 1, 12, 0, 0, 5, time.UTC)
	for name, tc := range map[string]struct {
		route                 Route
		flags                 wal.Flags
		script, event, source string
	}{
		"turned off":                      {Route{}, 0, "0123456789ab", `{"a":1}`, `{"a":1}`},
		"made by no script":               {Route{VersionField: "v"}, 0, "", `{"a":1}`, `{"a":1}`},
		"all other bytes stay":            {Route{VersionField: "v"}, 0, "0123456789ab", "{ \"a\" : 1.0\n}", "{ \"a\" : 1.0,\"v\":\"0123456789ab\"\n}"},
		"an empty object":                 {Route{VersionField: "script.version"}, 0, "0123456789ab", `{}`, `{"script.version":"0123456789ab"}`},
		"a name that needs escapes":       {Route{VersionField: "v\"é"}, 0, "0123456789ab", `{}`, `{"v\"é":"0123456789ab"}`},
		"the document has its own":        {Route{VersionField: "v"}, 0, "0123456789ab", `{"v":null}`, `{"v":null}`},
		"its own, spelled with an escape": {Route{VersionField: "v"}, 0, "0123456789ab", `{"\u0076":1}`, `{"\u0076":1}`},
		"one further down is another":     {Route{VersionField: "v"}, 0, "0123456789ab", `{"a":{"v":1}}`, `{"a":{"v":1},"v":"0123456789ab"}`},
		"behind the time":                 {Route{VersionField: "v", Timestamp: true}, 0, "0123456789ab", `{}`, `{"@timestamp":"2026-03-01T12:00:00.000000005Z","v":"0123456789ab"}`},
		"the validator saw a time":        {Route{VersionField: "v", Timestamp: true}, wal.FlagTimestamp, "0123456789ab", `{"@timestamp":1}`, `{"@timestamp":1,"v":"0123456789ab"}`},
	} {
		rec := &wal.Record{Epoch: 0xab, Offset: 7, Count: 1, Stream: "default", ReceivedAt: received, Flags: tc.flags, Payload: []byte(tc.event)}
		for _, arena := range []*Arena{nil, {}} {
			docs := []Document{{Source: rec.Payload, Script: tc.script}}
			if err := tc.route.Prepare(arena, rec, docs); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if string(docs[0].Source) != tc.source {
				t.Errorf("%s: %s, want %s", name, docs[0].Source, tc.source)
			}
		}
		if string(rec.Payload) != tc.event {
			t.Errorf("%s: the event's own bytes changed: %s", name, rec.Payload)
		}
	}
}

// BenchmarkRoute_Prepare shows what the version of the script costs in a document, and that it costs nothing when it is off.
func BenchmarkRoute_Prepare(b *testing.B) {
	event := []byte(`{"message":"order charged","context":{"service":"billing","order":12345},"level":200,"channel":"app","datetime":"2026-03-01T12:00:00.123456+00:00","extra":{}}`)
	for _, field := range []string{"", "script_version"} {
		b.Run("field="+field, func(b *testing.B) {
			r := &Route{Index: "logs-weir-default", Timestamp: true, VersionField: field, last: &atomic.Pointer[namedIndex]{}}
			rec := &wal.Record{Epoch: 0xab, Offset: 7, Count: 1, Stream: "default", ReceivedAt: time.Unix(1e9, 0), Payload: event}
			var arena Arena
			docs := make([]Document, 1)
			b.ReportAllocs()
			for b.Loop() {
				docs[0] = Document{Source: event, Script: "0123456789ab"}
				if err := r.Prepare(&arena, rec, docs); err != nil {
					b.Fatal(err)
				}
				arena.Reset()
			}
		})
	}
}

func TestMatchPattern(t *testing.T) {
	for _, tc := range []struct {
		pattern, s string
		want       bool
	}{
		{"logs-*", "logs-a", true}, {"logs-*", "logs-", true}, {"logs-*", "log", false}, {"*", "", true},
		{"a*b*c", "a1b2c", true}, {"a*b*c", "abc", true}, {"a*b*c", "acb", false}, {"exact", "exact", true},
		{"exact", "exact1", false}, {"a*a", "a", false}, {"*-prod", "x-prod", true}, {"*-prod", "x-prod1", false},
	} {
		if got := matchPattern(tc.pattern, tc.s); got != tc.want {
			t.Errorf("matchPattern(%q, %q) = %v", tc.pattern, tc.s, got)
		}
	}
}

func TestKey_RoundTrip(t *testing.T) {
	for _, s := range []string{"0123456789abcdef-1-0", "ffffffffffffffff-18446744073709551615-4294967295"} {
		k, err := ParseKey(s)
		if err != nil || k.String() != s {
			t.Errorf("%s: %v, %v", s, k, err)
		}
	}
	if k, err := ParseKey("0123456789abcdef-12"); err != nil || k.Ordinal != 0 || k.ID() != "0123456789abcdef-12" {
		t.Errorf("an id as key: %+v, %v", k, err)
	}
	for _, s := range []string{"", "x", "0123456789abcdef", "0123456789abcdef-0", "0123456789abcdef-1-x", "0123456789abcdeg-1-0", "0123456789abcdef-1-2-3", "0000000000000000-1-0"} {
		if k, err := ParseKey(s); err == nil {
			t.Errorf("%q parses as %+v", s, k)
		}
	}
}

func TestRoute_Prepare_Routing(t *testing.T) {
	received := time.Date(2026, 3, 1, 23, 30, 0, 0, time.FixedZone("west", -2*3600)) // the 2nd in UTC
	for name, tc := range map[string]struct {
		route    Route
		doc      Document
		index    string
		pipeline string
		id       string
		op       Op
		chosen   bool
		fault    string // type of the TransformError
	}{
		"as configured":                         {route: Route{Index: "logs-{stream}"}, index: "logs-y2006", id: "00000000000000ab-7"},
		"a day":                                 {route: Route{Index: "logs-{stream}-2006.01.02"}, index: "logs-y2006-2026.03.02", id: "00000000000000ab-7"},
		"an hour, with dashes":                  {route: Route{Index: "logs-2006-01-02-15"}, index: "logs-2026-03-02-01", id: "00000000000000ab-7"},
		"a month, and the stream behind it":     {route: Route{Index: "2006.01-{stream}"}, index: "2026.03-y2006", id: "00000000000000ab-7"},
		"chosen by the script":                  {route: Route{Index: "a", AllowedIndices: []string{"logs-*"}}, doc: Document{Index: "logs-x"}, index: "logs-x", id: "00000000000000ab-7", chosen: true},
		"chosen, and what is configured anyway": {route: Route{Index: "logs-2006"}, doc: Document{Index: "logs-2026"}, index: "logs-2026", id: "00000000000000ab-7"},
		"chosen and not allowed":                {route: Route{Index: "a", AllowedIndices: []string{"logs-*"}}, doc: Document{Index: "secrets"}, fault: "index_not_allowed"},
		"a configured pipeline":                 {route: Route{Index: "a", Pipeline: "p"}, index: "a", pipeline: "p", id: "00000000000000ab-7"},
		"a chosen pipeline":                     {route: Route{Index: "a", Pipeline: "p"}, doc: Document{Pipeline: "q"}, index: "a", pipeline: "q", id: "00000000000000ab-7", chosen: true},
		"op index":                              {route: Route{Index: "a", Op: OpIndex}, index: "a", id: "00000000000000ab-7", op: OpIndex},
		"no ids":                                {route: Route{Index: "a", IDs: IDNone}, index: "a"},
		"no ids, and the script gives one":      {route: Route{Index: "a", IDs: IDNone}, doc: Document{ID: "mine"}, index: "a", id: "mine"},
		"the field's id":                        {route: Route{Index: "a", IDs: IDField, IDField: "uuid"}, index: "a", id: "u-1"},
		"no field, no document":                 {route: Route{Index: "a", IDs: IDField, IDField: "nothing"}, fault: "id_missing"},
		"no field, and auto":                    {route: Route{Index: "a", IDs: IDAuto, IDField: "nothing"}, index: "a", id: "00000000000000ab-7"},
	} {
		rec := &wal.Record{Epoch: 0xab, Offset: 7, Count: 1, Stream: "y2006", ReceivedAt: received, Payload: []byte(`{"uuid":"u-1"}`)}
		docs := []Document{tc.doc}
		docs[0].Source = rec.Payload
		err := tc.route.Prepare(&Arena{}, rec, docs)
		var fault *TransformError
		if errors.As(err, &fault) != (tc.fault != "") || fault != nil && fault.Type != tc.fault {
			t.Errorf("%s: error %v, want %q", name, err, tc.fault)
		}
		d := docs[0]
		if err == nil && (d.Index != tc.index || d.Pipeline != tc.pipeline || d.ID != tc.id || d.Op != tc.op || d.Chosen != tc.chosen) {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

// TestAppendTime compares with package time's own way.
func TestAppendTime(t *testing.T) {
	for _, at := range []time.Time{
		time.Unix(0, 0), time.Unix(1, 1), time.Unix(1_700_000_000, 123_456_789), time.Unix(1_700_000_000, 100_000_000),
		time.Date(2026, 12, 31, 23, 59, 59, 999_999_999, time.FixedZone("east", 7*3600)), time.Date(33, 1, 2, 3, 4, 5, 60, time.UTC),
	} {
		if got, want := string(appendTime(nil, at)), at.UTC().Format("2006-01-02T15:04:05.000000000Z"); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
