package elastic

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/weirlog/weir/flush"
)

// entry is an item of an answer in short: id and status.
func entry(id string, status int) string {
	switch {
	case status == 409:
		return fmt.Sprintf(`{"create":{"_id":%q,"status":409,"error":{"type":"version_conflict_engine_exception","reason":"r"}}}`, id)
	case status > 299:
		return fmt.Sprintf(`{"create":{"_id":%q,"status":%d,"error":{"type":"fail_processor_exception","reason":"about %s"}}}`, id, status, id)
	}
	return fmt.Sprintf(`{"create":{"_id":%q,"status":%d}}`, id, status)
}

func TestParseAnswer_Permuted(t *testing.T) {
	const (
		ok  = flush.Delivered
		dup = flush.Duplicate
		bad = flush.Permanent
		ret = flush.Retry
	)
	tests := []struct {
		name  string
		sent  []string
		items []string
		want  []flush.Verdict
	}{
		// As OpenSearch 2.19 answered: 1 and 4 dropped by a pipeline, 2 and 5 failed, 3 created.
		{"a dropped document stands where a failed one was sent", []string{"1", "2", "3", "4", "5"},
			[]string{entry("1", 200), entry("4", 200), entry("3", 201), entry("2", 500), entry("5", 500)},
			[]flush.Verdict{ok, bad, ok, ok, bad}},
		{"failures among one another", []string{"1", "2", "3"},
			[]string{entry("3", 429), entry("2", 201), entry("1", 500)}, []flush.Verdict{bad, ok, ret}},
		{"a success stands where a failure was sent", []string{"1", "2"},
			[]string{entry("2", 201), entry("1", 400)}, []flush.Verdict{bad, ok}},
		{"one id twice, both created or there", []string{"1", "2", "1"},
			[]string{entry("2", 400), entry("1", 201), entry("1", 409)}, []flush.Verdict{ok, bad, dup}},
		{"one id twice, one of them failed", []string{"1", "2", "1"},
			[]string{entry("2", 400), entry("1", 201), entry("1", 500)}, []flush.Verdict{ret, bad, ret}},
		{"an id given more often than it was sent", []string{"1", "2", "3"},
			[]string{entry("2", 201), entry("1", 201), entry("1", 201)}, []flush.Verdict{ret, ok, ret}},
		{"a pipeline chose another id", []string{"1", "2", "3"},
			[]string{entry("1", 201), entry("new", 201), entry("3", 400)}, []flush.Verdict{ok, ok, bad}},
		{"a pipeline chose other ids, all failed", []string{"1", "2", "3"},
			[]string{entry("1", 201), entry("a", 400), entry("b", 400)}, []flush.Verdict{ok, bad, bad}},
		{"a pipeline chose other ids, some dropped and some failed", []string{"1", "2", "3"},
			[]string{entry("1", 201), entry("a", 200), entry("b", 500)}, []flush.Verdict{ok, ret, ret}},
		{"a stranger stands where a named document was sent", []string{"1", "2"},
			[]string{entry("new", 201), entry("1", 500)}, []flush.Verdict{bad, ret}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			failed := slices.ContainsFunc(tt.items, func(item string) bool { return strings.Contains(item, "error") })
			outcomes, _, err := parseAnswer([]byte(answer(failed, tt.items...)), withIDs(tt.sent...), nil, false)
			if err != nil {
				t.Fatal(err)
			}
			var got []flush.Verdict
			for _, o := range outcomes {
				got = append(got, o.Verdict)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("verdicts are %v, want %v", got, tt.want)
			}
		})
	}
}

// The reason of each letter must be its own.
func TestParseAnswer_PermutedReasons(t *testing.T) {
	body := answer(true, entry("3", 500), entry("1", 500), entry("2", 500))
	outcomes, _, err := parseAnswer([]byte(body), withIDs("1", "2", "3"), nil, false)
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range outcomes {
		if want := fmt.Sprintf("about %d", i+1); o.Reason != want {
			t.Errorf("document %d has the reason %q, want %q", i+1, o.Reason, want)
		}
	}
}
