package elastic

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/weirlog/weir/flush"
)

// withIDs returns documents of these ids.
func withIDs(ids ...string) []flush.Document {
	docs := make([]flush.Document, len(ids))
	for i, id := range ids {
		docs[i].ID = id
	}
	return docs
}

func answer(errors bool, items ...string) string {
	return fmt.Sprintf(`{"errors":%v,"items":[%s]}`, errors, strings.Join(items, ","))
}

const (
	created1  = `{"create":{"_id":"1","status":201}}`
	created2  = `{"create":{"_id":"2","status":201}}`
	conflict2 = `{"create":{"_id":"2","status":409,"error":{"type":"version_conflict_engine_exception","reason":"[2]: version conflict"}}}`
	mapping2  = `{"create":{"_id":"2","status":400,"error":{"type":"document_parsing_exception","reason":"no \"long\""}}}`
	busy2     = `{"create":{"_id":"2","status":429,"error":{"type":"es_rejected_execution_exception","reason":"full"}}}`
)

func TestParseAnswer(t *testing.T) {
	delivered := flush.Outcome{Verdict: flush.Delivered, Status: 201}
	tests := []struct {
		name string
		body string
		want []flush.Outcome // for the ids 1 and 2
	}{
		{"all created", answer(false, created1, created2), []flush.Outcome{delivered, delivered}},
		{"white space, other order, more members, as without filter_path",
			"\n{ \"took\" : 3 ,\"ingest_took\":1, \"items\" : [ " + created1 + ` , {"create":{"_shards":{"total":[1,2.5e3,-0,true,null,"\u00e9"]},"status":201,"_id":"2","result":"created"}} ] , "errors" : false } ` + "\n",
			[]flush.Outcome{delivered, delivered}},
		{"duplicate", answer(true, created1, conflict2), []flush.Outcome{delivered,
			{Verdict: flush.Duplicate, Status: 409, Type: "version_conflict_engine_exception"}}},
		{"mapping conflict", answer(true, created1, mapping2), []flush.Outcome{delivered,
			{Verdict: flush.Permanent, Status: 400, Type: "document_parsing_exception", Reason: `no "long"`}}},
		{"a reason that says nothing, with its cause", answer(true, created1,
			`{"create":{"_id":"2","status":400,"error":{"type":"mapper_parsing_exception","reason":"failed to parse","caused_by":{"type":"x","reason":"field name cannot be \u0061n empty string","caused_by":{"reason":"deeper"}}}}}`),
			[]flush.Outcome{delivered, {Verdict: flush.Permanent, Status: 400, Type: "mapper_parsing_exception", Reason: "failed to parse: field name cannot be an empty string"}}},
		{"a reason that says enough, with its cause before it", answer(true, created1,
			`{"create":{"_id":"2","status":400,"error":{"caused_by":{"reason":"For input string"},"type":"mapper_parsing_exception","reason":"failed to parse field [n]"}}}`),
			[]flush.Outcome{delivered, {Verdict: flush.Permanent, Status: 400, Type: "mapper_parsing_exception", Reason: "failed to parse field [n]"}}},
		{"rejected", answer(true, created1, busy2), []flush.Outcome{delivered,
			{Verdict: flush.Retry, Status: 429, Type: "es_rejected_execution_exception", Reason: "full"}}},
		{"failure not flagged at the top", answer(false, created1, busy2), []flush.Outcome{delivered,
			{Verdict: flush.Retry, Status: 429, Type: "es_rejected_execution_exception", Reason: "full"}}},
		{"failure store used", answer(false, created1, `{"create":{"_id":"2","status":201,"failure_store":"used"}}`),
			[]flush.Outcome{delivered, {Verdict: flush.Delivered, Status: 201, FailureStore: "used"}}},
		{"failure store not enabled", answer(true, created1,
			`{"create":{"_id":"2","status":400,"failure_store":"not_enabled","error":{"type":"document_parsing_exception","reason":"r"}}}`),
			[]flush.Outcome{delivered, {Verdict: flush.Permanent, Status: 400, Type: "document_parsing_exception", Reason: "r", FailureStore: "not_enabled"}}},
		{"dropped by a pipeline", answer(false, created1, `{"create":{"_id":"2","status":200}}`),
			[]flush.Outcome{delivered, {Verdict: flush.Delivered, Status: 200}}},
		{"failure without an error", answer(true, created1, `{"create":{"_id":"2","status":400}}`),
			[]flush.Outcome{delivered, {Verdict: flush.Permanent, Status: 400}}},
		{"error that is a string", answer(true, created1, `{"create":{"_id":"2","status":503,"error":"away"}}`),
			[]flush.Outcome{delivered, {Verdict: flush.Retry, Status: 503, Reason: "away"}}},
		{"error whose parts are no strings", answer(true, created1, `{"create":{"_id":"2","status":503,"error":{"type":1,"reason":null}}}`),
			[]flush.Outcome{delivered, {Verdict: flush.Retry, Status: 503}}},
		{"conflict without an error is no success", answer(true, created1, `{"create":{"_id":"2","status":409}}`),
			[]flush.Outcome{delivered, {Verdict: flush.Permanent, Status: 409}}},
		{"no ids at all, as emulators answer", answer(false, `{"create":{"status":201}}`, `{"create":{"status":201}}`),
			[]flush.Outcome{delivered, delivered}},
		{"id spelled with escapes", answer(false, created1, `{"create":{"_id":"\u0032","status":201}}`),
			[]flush.Outcome{delivered, delivered}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, _, err := parseAnswer([]byte(tt.body), withIDs("1", "2"), nil, false)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("outcomes are\n%+v\nwant\n%+v", got, tt.want)
			}
		})
	}
}

func TestParseAnswer_Untrusted(t *testing.T) {
	good := answer(false, created1, created2)
	tests := map[string]string{
		"empty":                      "",
		"white space":                " \n",
		"HTML":                       "<!DOCTYPE html><title>Sign in</title>",
		"null":                       "null",
		"array":                      "[" + good + "]",
		"string":                     `"` + "ok" + `"`,
		"empty object":               "{}",
		"error instead of items":     `{"error":{"type":"x","reason":"y"},"status":500}`,
		"no errors flag":             `{"items":[` + created1 + "," + created2 + `]}`,
		"errors is no boolean":       strings.Replace(good, "false", "0", 1),
		"errors twice":               strings.Replace(good, `{`, `{"errors":false,`, 1),
		"items twice":                strings.TrimSuffix(good, "}") + `,"items":[]}`,
		"items is an object":         `{"errors":false,"items":{}}`,
		"items is null":              `{"errors":false,"items":null}`,
		"no items":                   answer(false),
		"one item too few":           answer(false, created1),
		"one item too many":          answer(false, created1, created2, created2),
		"garbage behind":             good + "x",
		"a second answer behind":     good + good,
		"comma behind the last item": answer(false, created1, created2, ""),
		"no comma between items":     answer(false, created1+created2),
		"item is null":               answer(false, created1, "null"),
		"item is empty":              answer(false, created1, "{}"),
		"item of another action":     answer(false, created1, `{"delete":{"_id":"2","status":200}}`),
		"item with two actions":      answer(false, created1, `{"create":{"_id":"2","status":201},"index":{"status":201}}`),
		"item without status":        answer(false, created1, `{"create":{"_id":"2"}}`),
		"item with two statuses":     answer(false, created1, `{"create":{"_id":"2","status":400,"status":201}}`),
		"item with two ids":          answer(false, created1, `{"create":{"_id":"3","_id":"2","status":201}}`),
		"item with two errors":       answer(true, created1, `{"create":{"_id":"2","error":{},"error":{},"status":400}}`),
		"status is a string":         answer(false, created1, `{"create":{"_id":"2","status":"201"}}`),
		"status is a fraction":       answer(false, created1, `{"create":{"_id":"2","status":201.0}}`),
		"status is null":             answer(false, created1, `{"create":{"_id":"2","status":null}}`),
		"status is out of range":     answer(false, created1, `{"create":{"_id":"2","status":2010}}`),
		"status is negative":         answer(false, created1, `{"create":{"_id":"2","status":-201}}`),
		"success with an error":      answer(true, created1, `{"create":{"_id":"2","status":201,"error":{"type":"x","reason":"y"}}}`),
		"errors, but none failed":    answer(true, created1, created2),
		"id is a number":             answer(false, created1, `{"create":{"_id":2,"status":201}}`),
		"only some ids":              answer(false, created1, `{"create":{"status":201}}`),
		"line break in a string":     answer(false, created1, "{\"create\":{\"_id\":\"2\n\",\"status\":201}}"),
		"broken escape":              answer(false, created1, `{"create":{"_id":"\x32","status":201}}`),
		"broken number elsewhere":    strings.Replace(good, "{", `{"took":01,`, 1),
		"broken word elsewhere":      strings.Replace(good, "{", `{"took":nul,`, 1),
		"nested without end":         strings.Replace(good, "{", `{"took":`+strings.Repeat("[", 100_000)+`,`, 1),
	}
	for name, body := range tests {
		t.Run(name, func(t *testing.T) {
			if got, _, err := parseAnswer([]byte(body), withIDs("1", "2"), nil, false); err == nil {
				t.Errorf("trusted %.100s: %+v", body, got)
			}
		})
	}
}

// Wherever an answer is cut, nothing in it may be believed.
func TestParseAnswer_CutAnywhere(t *testing.T) {
	body := answer(true, created1, mapping2)
	for n := range len(body) {
		if _, _, err := parseAnswer([]byte(body[:n]), withIDs("1", "2"), nil, false); err == nil {
			t.Errorf("trusted %s", body[:n])
		}
	}
}

func TestParseAnswer_LongReason(t *testing.T) {
	for name, long := range map[string]string{
		"plain":      strings.Repeat("x", 1<<20),
		"characters": "x" + strings.Repeat("漢", 1<<10),
		"escapes":    strings.Repeat(`\u6f22`, 1<<10),
		"surrogates": "x" + strings.Repeat(`\ud83e\udd8a`, 1<<10),
	} {
		body := answer(true, created1, `{"create":{"_id":"2","status":400,"error":{"type":"t`+long+`","reason":"`+long+`"}}}`)
		got, _, err := parseAnswer([]byte(body), withIDs("1", "2"), nil, false)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for what, s := range map[string]string{"reason": got[1].Reason, "type": got[1].Type} {
			most := map[string]int{"reason": maxReason, "type": maxType}[what]
			if len(s) > most || len(s) < most-utf8.UTFMax || !utf8.ValidString(s) || strings.Contains(s, "\uFFFD") {
				t.Errorf("%s: %s of %d bytes, want about %d, ends %q", name, what, len(s), most, s[max(0, len(s)-12):])
			}
		}
	}
}

func TestParseAnswer_ManyDepths(t *testing.T) {
	for depth := range maxDepth {
		body := strings.Replace(answer(false, created1, created2), "{", `{"x":`+strings.Repeat("[", depth)+strings.Repeat("]", depth)+`,`, 1)
		if depth == 0 {
			continue // no value
		}
		if _, _, err := parseAnswer([]byte(body), withIDs("1", "2"), nil, false); err != nil {
			t.Errorf("depth %d: %v", depth, err)
		}
	}
}

// What is accepted must be JSON that says the same to another reader.
func FuzzParseAnswer(f *testing.F) {
	for _, items := range [][]string{{created1, created2}, {created1, conflict2}, {created1, mapping2}, {busy2, created1}} {
		f.Add([]byte(answer(true, items...)))
		f.Add([]byte(answer(false, items...)))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, _, err := parseAnswer(body, withIDs("1", "2"), nil, false)
		if err != nil {
			return
		}
		var want struct {
			Errors *bool
			Items  []map[string]struct {
				ID     *string `json:"_id"`
				Status int
			}
		}
		if err := json.Unmarshal(body, &want); err != nil && !json.Valid(body) {
			t.Fatalf("accepted what is not JSON: %q: %v", body, err)
		} else if err != nil {
			return // member names that differ in case, or types that a stricter schema refuses
		}
		if len(want.Items) != 2 || len(got) != 2 {
			t.Fatalf("%d outcomes for %d items", len(got), len(want.Items))
		}
		for i := range got {
			if got[i].Verdict != flush.Delivered {
				continue
			}
			id := fmt.Sprint(i + 1)
			said := false
			for at, it := range want.Items {
				for _, op := range it {
					mine := op.ID != nil && *op.ID == id || (op.ID == nil || *op.ID != "1" && *op.ID != "2") && at == i
					said = said || mine && op.Status/100 == 2
				}
			}
			if !said {
				t.Errorf("document %s was called delivered by %q", id, body)
			}
		}
	})
}

func BenchmarkParseAnswer(b *testing.B) {
	const n = 5000
	for _, name := range []string{"created", "conflict"} {
		var items []string
		docs := make([]flush.Document, n)
		for i := range docs {
			docs[i].ID = flush.Key{Epoch: 0xc0ffee, Offset: 1_000_000 + 1}.ID() + fmt.Sprint(i)
			item := created1
			if name == "conflict" {
				item = conflict2
			}
			items = append(items, strings.NewReplacer(`"1"`, `"`+docs[i].ID+`"`, `"2"`, `"`+docs[i].ID+`"`).Replace(item))
		}
		body := []byte(answer(name != "created", items...))
		b.Run("items="+name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			var ids [][]byte
			for b.Loop() {
				var err error
				if _, ids, err = parseAnswer(body, docs, ids, false); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Each action has its own word in the answer, and a conflict means another thing for index.
func TestParseAnswer_Ops(t *testing.T) {
	const (
		indexed1  = `{"index":{"_id":"1","status":201}}`
		replaced1 = `{"index":{"_id":"1","status":200}}`
		conflict1 = `{"index":{"_id":"1","status":409,"error":{"type":"version_conflict_engine_exception","reason":"r"}}}`
	)
	docs := withIDs("1", "2")
	docs[0].Op, docs[1].Op = flush.OpIndex, flush.OpCreate
	for name, tt := range map[string]struct {
		first, second string
		want          flush.Verdict // of the first; the second is created
	}{
		"new":       {indexed1, created2, flush.Delivered},
		"replaced":  {replaced1, created2, flush.Delivered},
		"conflict":  {conflict1, created2, flush.Permanent},
		"permuted":  {created2, replaced1, flush.Delivered},
		"untrusted": {created1, `{"delete":{"_id":"2","status":200}}`, flush.Retry},
	} {
		got, _, err := parseAnswer([]byte(answer(tt.first == conflict1, tt.first, tt.second)), docs, nil, true)
		if name == "untrusted" {
			if err == nil {
				t.Errorf("%s: %+v", name, got)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got[0].Verdict != tt.want || got[1].Verdict != flush.Delivered {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if _, _, err := parseAnswer([]byte(answer(false, indexed1, created2)), withIDs("1", "2"), nil, true); err == nil {
		t.Error("an index was answered and none was sent")
	}
}

// Without ids only positions tell, and those of failed and dropped documents do not on every server: no failure may
// end as a success.
func TestParseAnswer_WithoutIDs(t *testing.T) {
	const (
		stored  = `{"create":{"_id":"a1b2","status":201}}`
		dropped = `{"create":{"_id":null,"status":200}}`
		failed  = `{"create":{"_id":null,"status":500,"error":{"type":"fail_processor_exception","reason":"no"}}}`
		busy    = `{"create":{"_id":null,"status":429,"error":{"type":"es_rejected_execution_exception","reason":"full"}}}`
	)
	const (
		ok  = flush.Delivered
		bad = flush.Permanent
		ret = flush.Retry
	)
	for _, tt := range []struct {
		name  string
		items []string
		exact bool
		want  []flush.Verdict
	}{
		{"stored and dropped", []string{stored, dropped, stored}, false, []flush.Verdict{ok, ok, ok}},
		{"stored and failed", []string{stored, failed, stored}, false, []flush.Verdict{ok, bad, ok}},
		{"dropped and failed", []string{dropped, stored, failed}, false, []flush.Verdict{bad, ok, bad}},
		{"dropped and failed, where positions hold", []string{dropped, stored, failed}, true, []flush.Verdict{ok, ok, bad}},
		{"dropped, failed and busy", []string{dropped, busy, failed}, false, []flush.Verdict{bad, ret, bad}},
		{"dropped and busy", []string{dropped, stored, busy}, false, []flush.Verdict{ret, ok, ret}},
	} {
		got, _, err := parseAnswer([]byte(answer(strings.Contains(strings.Join(tt.items, ""), "error"), tt.items...)), withIDs("", "", ""), nil, tt.exact)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		for i := range got {
			if got[i].Verdict != tt.want[i] {
				t.Errorf("%s: document %d is %+v, want %s", tt.name, i, got[i], tt.want[i])
			}
		}
	}
}
