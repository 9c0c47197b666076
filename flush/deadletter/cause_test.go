package deadletter

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/lua"
	"github.com/weirlog/weir/wal"
)

// serverCase is a sentence of a real server, the document it was about, and what the first remedy makes of the document.
type serverCase struct {
	name, typ, reason, document string
	want                        Cause
	mended                      string // "": no Lua is proposed
	does                        string // part of what the remedy says
}

const parsing, mapper = "document_parsing_exception", "mapper_parsing_exception"

var serverCases = []serverCase{
	{"Elasticsearch 8.19, text in a long", parsing, "[1:7] failed to parse field [n] of type [long] in document with id 'LUqUEKIB2LMsgWLRN2qp'. Preview of field's value: 'abc'",
		`{"n":"abc","x":1.0}`, Cause{CauseType, "n", "long"}, `{"x":1.0,"n_text":"abc"}`, "n_text"},
	{"OpenSearch 2.19, text in a long", mapper, "failed to parse field [n] of type [long] in document with id 'i795479342'. Preview of field's value: 'abc'",
		`{"n":"abc"}`, Cause{CauseType, "n", "long"}, `{"n_text":"abc"}`, "n_text"},
	{"a nested field", parsing, "[1:22] failed to parse field [context.time] of type [long] in document with id 'O0qUEKIB2LMsgWLROGoS'. Preview of field's value: 'soon'",
		`{"context":{"time":"soon"}}`, Cause{CauseType, "context.time", "long"}, `{"context":{"time_text":"soon"}}`, "context.time_text"},
	{"an object in a nested long", mapper, "failed to parse field [context.time] of type [long] in document with id 'i438425829'. Preview of field's value: '{x=1}'",
		`{"context":{"time":{"x":1}}}`, Cause{CauseType, "context.time", "long"}, `{"context":{"time_text":"{\"x\":1}"}}`, ""},
	{"a field in objects of a list", parsing, "[1:9] failed to parse field [items.price.eur] of type [float] in document with id 'x'. Preview of field's value: 'free'",
		`{"items":[{"price":{"eur":1.5}},3,{"price":{"eur":"free"}},{"price":null}]}`, Cause{CauseType, "items.price.eur", "float"},
		`{"items":[{"price":{"eur":1.5}},3,{"price":{"eur_text":"free"}},{"price":null}]}`, "items[].price.eur_text"},
	{"a field with dots in its name", mapper, "failed to parse field [a.b] of type [long] in document with id 'x'. Preview of field's value: 'z'",
		`{"a":{"b":1},"a.b":"z"}`, Cause{CauseType, "a.b", "long"}, `{"a":{"b":1},"a_b_text":"z"}`, "a.b_text"},
	{"a name that is no Lua name", mapper, "failed to parse field [odd.a-b] of type [long] in document with id 'i334549717'. Preview of field's value: 'x'",
		`{"odd":{"a-b":"x"}}`, Cause{CauseType, "odd.a-b", "long"}, `{"odd":{"a-b_text":"x"}}`, ""},
	{"a name that is a word of Lua, with quotes and brackets", mapper, `failed to parse field [end.q"\]] of type [long] in document with id 'x'. Preview of field's value: 'x'`,
		`{"end":{"q\"\\]":"x"}}`, Cause{CauseType, `end.q"\]`, "long"}, `{"end":{"q\"\\]_text":"x"}}`, ""},
	{"a number out of range", parsing, "[1:7] failed to parse field [n] of type [long] in document with id 'L0qUEKIB2LMsgWLRN2q4'. Preview of field's value: '99999999999999999999999'",
		`{"n":99999999999999999999999}`, Cause{CauseType, "n", "long"}, `{"n_text":"99999999999999999999999"}`, ""},
	{"a list of which one does not fit", mapper, "failed to parse field [n] of type [long] in document with id 'i643921059'. Preview of field's value: 'x'",
		`{"n":[1,"x"]}`, Cause{CauseType, "n", "long"}, `{"n_text":"[1,\"x\"]"}`, ""},
	{"a date", parsing, "[1:7] failed to parse field [d] of type [date] in document with id 'MUqUEKIB2LMsgWLRN2rS'. Preview of field's value: 'yesterday'",
		`{"d":"yesterday"}`, Cause{CauseType, "d", "date"}, `{"d_text":"yesterday"}`, ""},
	{"a boolean", parsing, "[1:7] failed to parse field [b] of type [boolean] in document with id 'NEqUEKIB2LMsgWLRN2rk'. Preview of field's value: 'maybe'",
		`{"b":"maybe"}`, Cause{CauseType, "b", "boolean"}, `{"b_text":"maybe"}`, ""},
	{"an address", mapper, "failed to parse field [ip] of type [ip] in document with id 'i869514776'. Preview of field's value: '300.1.1.1'",
		`{"ip":"300.1.1.1"}`, Cause{CauseType, "ip", "ip"}, `{"ip_text":"300.1.1.1"}`, ""},
	{"an object in a text", parsing, "[1:14] failed to parse field [t] of type [text] in document with id 'P0qUEKIB2LMsgWLROGoo'. Preview of field's value: '{a=1}'",
		`{"t":{"a":1.0}}`, Cause{CauseType, "t", "text"}, `{"t":"{\"a\":1.0}"}`, "as text"},
	{"an object in a list of keywords", mapper, "failed to parse field [kw] of type [keyword] in document with id 'i871392637'. Preview of field's value: '{a=1}'",
		`{"kw":["x",{"a":1}]}`, Cause{CauseType, "kw", "keyword"}, `{"kw":"[\"x\",{\"a\":1}]"}`, ""},
	{"dots below a text, Elasticsearch", parsing, "[1:9] failed to parse field [t] of type [text] in document with id 'REqUEKIB2LMsgWLROGo_'. Preview of field's value: '{x=1}'",
		`{"t.x":1}`, Cause{CauseType, "t", "text"}, `{"t_x":1}`, "renames it to t_x"},
	{"dots below a number, Elasticsearch", parsing, "[1:9] failed to parse field [n] of type [long] in document with id 'Q0qUEKIB2LMsgWLROGo8'. Preview of field's value: '{x=1}'",
		`{"n":1,"n.x":1}`, Cause{CauseType, "n", "long"}, `{"n":1,"n_x":1}`, "renames it to n_x"},
	{"dots below a text, OpenSearch", mapper, "Could not dynamically add mapping for field [t.x]. Existing mapping for [t] must be of type object but found [text].",
		`{"t.x":1}`, Cause{CauseObject, "t.x", ""}, `{"t_x_text":"1"}`, ""},
	{"a term too long, Elasticsearch", parsing, "[1:8] failed to parse field [kw] of type [keyword] in document with id 'PkqUEKIB2LMsgWLROGod'. Preview of field's value: 'kkk",
		`{"kw":"` + strings.Repeat("k", 40000) + `"}`, Cause{CauseType, "kw", "keyword"}, `{"kw":"` + strings.Repeat("k", cutTerm) + `"}`, "cuts"},
	{"a term too long, OpenSearch", "illegal_argument_exception", `Document contains at least one immense term in field="kw" (whose UTF8 encoding is longer than the max length 32766), all of which were skipped.`,
		`{"kw":"` + strings.Repeat("k", 40000) + `"}`, Cause{CauseTooLong, "kw", ""}, `{"kw":"` + strings.Repeat("k", cutTerm) + `"}`, "cuts"},
	{"a value where an object should be", parsing, "[1:13] object mapping for [context] tried to parse field [context] as object, but found a concrete value",
		`{"context":"x"}`, Cause{CauseObject, "context", "object"}, `{"context_text":"x"}`, ""},
	{"a value among objects of a list", mapper, "object mapping for [o] tried to parse field [null] as object, but found a concrete value",
		`{"o":[1,{"x":2}]}`, Cause{CauseObject, "o", "object"}, `{"o_text":"[1,{\"x\":2}]"}`, ""},
	{"two shapes in one document", "illegal_argument_exception", "can't merge a non object mapping [new1.a] with an object mapping",
		`{"new1":{"a":1},"new1.a":{"b":1}}`, Cause{CauseObject, "new1.a", ""}, `{"new1":{"a":1},"new1_a_text":"{\"b\":1}"}`, ""},
	{"two types in one document", "illegal_argument_exception", "mapper [mixed] cannot be changed from type [long] to [text]",
		`{"mixed":[1,"x"]}`, Cause{CauseType, "mixed", "long"}, `{"mixed_text":"[1,\"x\"]"}`, ""},
	{"two types in one document, version 7", "illegal_argument_exception", "mapper [x] of different type, current_type [long], merged_type [text]",
		`{"x":"y"}`, Cause{CauseType, "x", "long"}, `{"x_text":"y"}`, ""},
	{"a strict mapping", "strict_dynamic_mapping_exception", "[1:9] mapping set to strict, dynamic introduction of [foo] within [_doc] is not allowed",
		`{"foo":1,"a":2}`, Cause{CauseStrict, "foo", ""}, `{"a":2}`, "leaves it out"},
	{"a strict mapping, within an object", "strict_dynamic_mapping_exception", "mapping set to strict, dynamic introduction of [bar] within [o] is not allowed",
		`{"o":{"bar":1,"x":2}}`, Cause{CauseStrict, "o.bar", ""}, `{"o":{"x":2}}`, ""},
	{"too many fields, Elasticsearch", parsing, "[1:35] failed to parse: Limit of total fields [3] has been exceeded while adding new fields [4]",
		`{"a1":1}`, Cause{Kind: CauseLimit}, `{"a1":1}`, "another index"},
	{"too many fields, OpenSearch", "illegal_argument_exception", "Limit of total fields [3] has been exceeded",
		`{"a1":1}`, Cause{Kind: CauseLimit}, `{"a1":1}`, "another index"},
	{"too deep", parsing, "[1:13] failed to parse: Limit of mapping depth [2] has been exceeded due to object field [a.b]",
		`{"a":{"b":{"c":{"d":1}},"e":[{"f":1}]},"g":{"h":"x"}}`, Cause{CauseLimit, "a.b", ""}, `{"a":{"b":"{\"c\":{\"d\":1}}","e":"[{\"f\":1}]"},"g":{"h":"x"}}`, "as text"},
	{"too deep, OpenSearch with its cause", mapper, "failed to parse: The depth of the field has exceeded the allowed limit of [2]. This limit can be set by changing the [index.mapping.depth.limit] index level setting.",
		`{"x":{"y":1},"a":[{"b":{"c":{"d":1}}}]}`, Cause{Kind: CauseLimit}, `{"x":{"y":1},"a":[{"b":"{\"c\":{\"d\":1}}"}]}`, "as text"},
	{"dots below a number in an object, OpenSearch", mapper, "Could not dynamically add mapping for field [n.x.y]. Existing mapping for [o.n] must be of type object but found [long].",
		`{"o":{"n.x.y":true}}`, Cause{CauseObject, "o.n.x.y", ""}, `{"o":{"n_x_y_text":"true"}}`, ""},
	{"an empty name, OpenSearch with its cause", mapper, "failed to parse: field name cannot be an empty string", `{"":1}`, Cause{Kind: CauseName}, `{"_unnamed":1}`, ""},
	{"an empty name", parsing, "[1:8] failed to parse: field name cannot be an empty string",
		`{"x":{"":1}}`, Cause{Kind: CauseName}, `{"x":{"_unnamed":1}}`, "x._unnamed"},
	{"a blank name", parsing, "[1:2] Field name cannot contain only whitespace: [ ]", `{" ":1}`, Cause{CauseName, " ", ""}, `{"_unnamed":1}`, ""},
	{"nothing between dots", parsing, "[1:2] failed to parse: field name cannot contain only whitespace: ['a..b']",
		`{"l":[1,{"a..b":1}]}`, Cause{CauseName, "a..b", ""}, `{"l":[1,{"a__b_unnamed":1}]}`, ""},
	{"only dots", parsing, "[1:2] failed to parse: field name cannot contain only dots", `{".":1}`, Cause{Kind: CauseName}, `{"_unnamed":1}`, ""},
	{"a dot at the start, OpenSearch, with its cause", mapper, "failed to parse: object field starting or ending with a [.] makes object resolution ambiguous: [.a]",
		`{".a":1}`, Cause{CauseName, ".a", ""}, `{"a_unnamed":1}`, ""},
	{"a name, OpenSearch leaves it at that", mapper, "failed to parse", `{"x":{"":1}}`, Cause{}, `{"x":{"_unnamed":1}}`, ""},
	{"something, OpenSearch leaves it at that", mapper, "failed to parse", `{"x":1}`, Cause{}, "", ""},
	{"a name too long", "illegal_argument_exception", "Field name [averylongname] is longer than the limit of [10] characters",
		`{"averylongname":1}`, Cause{CauseName, "averylongname", ""}, "", ""},
	{"a field of the server's", parsing, "[1:9] failed to parse field [_id] of type [_id] in document with id 'i177599267'. Preview of field's value: 'x'",
		`{"_id":"x"}`, Cause{CauseReserved, "_id", ""}, `{"id_value":"x"}`, ""},
	{"an alias", parsing, "[1:8] Cannot write to a field alias [al].", `{"al":1}`, Cause{CauseReserved, "al", ""}, `{"al_value":1}`, ""},
	{"a field twice", parsing, "[1:6] failed to parse: [1:11] Duplicate field 'a'\n at [Source: (byte[])\"{\"a\":1,\"a\":2}\"; line: 1, column: 11]",
		`{"a":1,"b":0,"a":2.0}`, Cause{CauseDuplicate, "a", ""}, `{"b":0,"a":2.0}`, ""},
	{"a field twice, OpenSearch 3.8", mapper, "failed to parse: Duplicate Object property \"a\"\n at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); byte offset: #10]",
		`{"a":1,"a":2}`, Cause{CauseDuplicate, "a", ""}, `{"a":2}`, ""},
	{"a data stream without time", parsing, "[1:7] failed to parse: data stream timestamp field [@timestamp] is missing",
		`{"a":1}`, Cause{CauseTimestamp, "@timestamp", ""}, `{"a":1,"@timestamp":"2026-03-01T12:00:00.123456789Z"}`, ""},
	{"a data stream with a time that is none", mapper, "failed to parse field [@timestamp] of type [date] in document with id 'x'. Preview of field's value: 'x'",
		`{"@timestamp":"x"}`, Cause{CauseType, "@timestamp", "date"}, `{"@timestamp":"2026-03-01T12:00:00.123456789Z","timestamp_text":"x"}`, ""},
	{"an index that cannot be", "invalid_index_name_exception", "Invalid index name [A], must be lowercase", `{}`, Cause{Kind: CauseIndex}, `{}`, "another index"},
	{"one of several documents", parsing, "document 2 of 3, abc-1 in logs-x: [1:6] failed to parse field [n] of type [long] in document with id 'abc-1'.",
		`{"n":"x"}`, Cause{CauseType, "n", "long"}, `{"n_text":"x"}`, ""},
	{"a value that looks like another cause", mapper, "object mapping for [o] tried to parse field [o] as object, but found a concrete value; failed to parse field [x] of type [long]",
		`{"o":"failed to parse field [x] of type [long]"}`, Cause{CauseObject, "o", "object"}, `{"o_text":"failed to parse field [x] of type [long]"}`, ""},
	{"cut off in the field's name", parsing, "[1:6] failed to parse field [averyverylong", `{}`, Cause{}, "", ""},
	{"words that nobody knows", "x", "something else [n] of type [long]", `{}`, Cause{}, "", ""},
}

// TestRemedies: what each server says is understood, and the remedy mends the document, byte for byte elsewhere. Every other
// document it leaves alone or at least does not fail on.
func TestRemedies(t *testing.T) {
	for _, tc := range serverCases {
		t.Run(tc.name, func(t *testing.T) {
			if got := ParseReason(tc.typ, tc.reason); got != tc.want {
				t.Errorf("understood %+v, want %+v", got, tc.want)
			}
			list := remedies(tc.want, tc.typ, tc.reason, []byte(tc.document))
			if tc.mended == "" {
				if list != nil {
					t.Errorf("proposed %+v", list)
				}
				return
			}
			if len(list) == 0 {
				t.Fatal("nothing is proposed")
			}
			if !strings.Contains(list[0].Does, tc.does) {
				t.Errorf("does %q, want %q in it", list[0].Does, tc.does)
			}
			if got := runRemedy(t, list[0].Lua, tc.document); got != tc.mended {
				t.Errorf("%s\nmade    %.200s\nwant    %.200s", list[0].Lua, got, tc.mended)
			}
			for _, r := range list {
				if n := strings.Count(r.Lua, "\n"); n > 1 {
					t.Errorf("%d lines: %s", n+1, r.Lua)
				}
				for _, other := range serverCases {
					runRemedy(t, r.Lua, other.document)
				}
				for _, odd := range []string{`{}`, `{"context":null,"items":{"price":1},"o":null,"odd":[],"n":null,"a":5,"d":null,"b":null,"t":null,"kw":null}`, `{"context":[{}],"items":[[1]],"l":{"x":1},"x":[]}`} {
					runRemedy(t, r.Lua, odd)
				}
			}
		})
	}
}

// TestRemedies_WithoutAnExample are made for objects within objects.
func TestRemedies_WithoutAnExample(t *testing.T) {
	list := remedies(Cause{CauseType, "a.b.c", "long"}, parsing, "", nil)
	if len(list) != 2 || runRemedy(t, list[0].Lua, `{"a":{"b":{"c":"x"}}}`) != `{"a":{"b":{"c_text":"x"}}}` || runRemedy(t, list[1].Lua, `{"a":{"b":{"c":"x"}}}`) != `{"a":{"b":{}}}` {
		t.Errorf("%+v", list)
	}
}

// TestRemedies_LeaveGoodValuesAlone: a patch goes over all letters of a replay.
func TestRemedies_LeaveGoodValuesAlone(t *testing.T) {
	for _, tc := range []struct {
		cause     Cause
		bad, good string
	}{
		{Cause{CauseType, "n", "long"}, `{"n":"abc"}`, `{"n":5}`},
		{Cause{CauseType, "n", "long"}, `{"n":"abc"}`, `{"n":"5"}`},
		{Cause{CauseType, "n", "byte"}, `{"n":1000}`, `{"n":100}`},
		{Cause{CauseType, "n", "boolean"}, `{"n":"maybe"}`, `{"n":true}`},
		{Cause{CauseType, "n", "date"}, `{"n":"soon"}`, `{"n":"2026-03-01T12:00:00Z"}`},
		{Cause{CauseType, "n", "text"}, `{"n":{"a":1}}`, `{"n":"text"}`},
		{Cause{CauseObject, "n", "object"}, `{"n":"x"}`, `{"n":{"a":1.0}}`},
		{Cause{CauseType, "n", "long"}, `{"n":"abc"}`, `{"n":null}`},
	} {
		r := remedies(tc.cause, parsing, "", []byte(tc.bad))[0]
		if got := runRemedy(t, r.Lua, tc.good); got != tc.good {
			t.Errorf("%s\nmade %s of %s", r.Lua, got, tc.good)
		}
		if got := runRemedy(t, r.Lua, tc.bad); got == tc.bad {
			t.Errorf("%s\nleft %s", r.Lua, got)
		}
	}
}

// runRemedy runs lines in weir's own sandbox, as a patch.
func runRemedy(t *testing.T, lines, document string) string {
	t.Helper()
	s, err := lua.Compile("patch.lua", []byte("function transform(event, meta)\n"+lines+"\nreturn event\nend"), lua.Options{})
	if err != nil {
		t.Fatalf("%v in\n%s", err, lines)
	}
	docs, _, err := s.Transform(&wal.Record{Offset: 1, Epoch: 1, Stream: "default", Payload: []byte(document), Count: 1, ReceivedAt: start})
	if err != nil || len(docs) != 1 {
		t.Fatalf("%v, %d documents of %.200s by\n%s", err, len(docs), document, lines)
	}
	return string(docs[0].Source)
}

func FuzzParseReason(f *testing.F) {
	for _, tc := range serverCases {
		if len(tc.document) < 1000 {
			f.Add(tc.typ, tc.reason, tc.document)
		}
	}
	f.Fuzz(func(t *testing.T, typ, reason, document string) {
		c := ParseReason(typ, reason)
		if !strings.Contains(reason, c.Field) && c.Kind != CauseStrict && c.Kind != CauseObject { // these two may be put together of two names
			t.Fatalf("%+v of %q", c, reason)
		}
		NormaliseReason(reason)
		for _, r := range remedies(c, typ, reason, []byte(document)) {
			if _, err := lua.Compile("patch.lua", []byte("function transform(event, meta)\n"+r.Lua+"\nreturn event\nend"), lua.Options{}); err != nil {
				t.Fatalf("%v in\n%s", err, r.Lua)
			}
		}
	})
}

func TestNormaliseReason_WhatQuotesTheDocumentGoes(t *testing.T) {
	one := NormaliseReason("[1:6] failed to parse field [n] of type [long] in document with id 'it's'. Preview of field's value: 'isn't it 'odd''")
	other := NormaliseReason("[1:60] failed to parse field [n] of type [long] in document with id 'x'. Preview of field's value: 'plain'")
	if one != other || one != "[N:N] failed to parse field [n] of type [long] in document with id '…'. Preview of field's value: '…'" {
		t.Errorf("%q\n%q", one, other)
	}
}

func TestStore_Stats_NamesFieldAndRemedy(t *testing.T) {
	h := newHome(t, Options{})
	var letters []flush.Letter
	for i := range wal.Offset(7) {
		l := letter(i + 1)
		l.Reason = "[1:6] failed to parse field [context.time] of type [long] in document with id 'x'. Preview of field's value: 'abc'"
		l.Document = []byte(`{"context":[{"time":"abc"}]}`)
		if i >= 4 {
			l.Reason = strings.ReplaceAll(l.Reason, "context.time", "n")
		}
		letters = append(letters, l)
	}
	script := staged(20, flush.StageTransform, "x")
	letters = append(letters, script)
	h.put(letters...)
	groups, err := h.Stats(context.Background(), Filter{})
	if err != nil || len(groups) != 3 {
		t.Fatalf("%+v %v", groups, err)
	}
	h.Propose(groups)
	g := groups[0]
	if g.Count != 4 || g.Field != "context.time" || g.Wanted != "long" || !g.First.Equal(start.Add(time.Second)) || len(g.Remedies) != 2 || !strings.Contains(g.Remedies[0].Lua, "ipairs") {
		t.Errorf("%+v", g)
	}
	if g := groups[2]; g.Remedies != nil || !strings.Contains(g.Advice, "mend the script") {
		t.Errorf("%+v", g)
	}
	if n, err := h.Count(context.Background(), Filter{Field: "n"}); err != nil || n != 3 {
		t.Errorf("%d letters of field n, %v", n, err)
	}
}

func BenchmarkParseReason(b *testing.B) {
	for i := range b.N {
		tc := &serverCases[i%len(serverCases)]
		ParseReason(tc.typ, tc.reason)
	}
}
