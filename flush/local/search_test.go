package local

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirlog/weir/flush"
)

// library returns a store with a handful of telling documents, numbered from 0.
func library(t *testing.T) *Store {
	t.Helper()
	s := openStore(t, t.TempDir())
	docs := []flush.Document{
		event(0, `{"message":"Connection reset by peer, timeout after 30s","level":400,"channel":"app","context":{"user":{"id":7},"ip":"10.0.0.1"}}`),
		event(1, `{"message":"workerEnv.init() ok /etc/httpd/conf","level":250,"channel":"apache","@timestamp":"2026-01-02T03:04:05.5Z"}`),
		event(2, `{"message":"peer reset the connection","level":500.5,"channel":"app","ok":true,"@timestamp":"2026-02-03"}`),
		event(3, `{"message":"Überlauf im Zähler — 東京 タワー","level":-3,"channel":"app","tags":["red","Green",7,{"deep":"blue"}]}`),
		event(4, `{"message":"10.0.0.11 and 1.10.0.0","level":1e400,"channel":"sys","id":9007199254740993,"nothing":null}`),
		event(5, `{"a.b":"dotted","a":{"b":"nested"},"note":"a\nphrase \u00fcber\tlines","_id":"mine","_all":"sneaky","received_at":"own"}`),
		event(6, `{"dup":"one","dup":"two","message":"time","datetime":"2026-11-20 10:00:00"}`),
	}
	docs[6].Stream, docs[6].Index = "Billing", "logs-billing"
	docs[6].ID = "client id: 42/a"
	deliver(t, s, docs, flush.Delivered)
	return s
}

func TestStore_Search_Queries(t *testing.T) {
	s := library(t)
	for _, tt := range []struct {
		query string
		want  []int
	}{
		{"", []int{0, 1, 2, 3, 4, 5, 6}},
		{" * ", []int{0, 1, 2, 3, 4, 5, 6}},
		{"timeout", []int{0}},
		{"TIMEOUT", []int{0}},
		{"timeout time", []int{0, 6}},
		{"+level:>=400 +message:timeout", []int{0}},
		{"+level:>=400 +message:absent", nil},
		{"+level:>=400 message:absent", []int{0, 2}},
		{"level:>=400", []int{0, 2}},
		{"level:>400", []int{2}},
		{"level:<250", []int{3}},
		{"level:<=250", []int{1, 3}},
		{"level:>-4 -level:>0", []int{3}},
		{"level:400", []int{0}},
		{"level:500.5", []int{2}},
		{"level:-3", []int{3}},
		{"400", []int{0}},
		{`"connection reset"`, []int{0}},
		{`"reset connection"`, nil},
		{`message:"peer reset"`, []int{2}},
		{`channel:"peer reset"`, nil},
		{"peer reset", []int{0, 2}},
		{`"peer timeout"`, []int{0}}, // the comma is no word
		{`"timeout app"`, nil},       // two values are no row of words
		{"init", []int{1}},
		{"workerEnv.init", []int{1}},
		{"message:/etc\\/ht.*/", nil},
		{"message:/ht+p./", []int{1}},
		{"10.0.0.1", []int{0}},
		{"context.ip:10.0.0.1", []int{0}},
		{"context.user.id:7", []int{0}},
		{"context.user.id:>6", []int{0}},
		{"channel:app", []int{0, 2, 3}},
		{"-channel:app", []int{1, 4, 5, 6}},
		{"+channel:app -reset", []int{3}},
		{"+channel:app -absent", []int{0, 2, 3}},
		{"time*", []int{0, 6}},
		{"TIME*", []int{0, 6}},
		{"channel:a?p", []int{0, 2, 3}},
		{"timeuot~2", []int{0}},
		{"level:*", []int{0, 1, 2, 3, 4}},
		{"nothing:*", nil},
		{"ok:true", []int{2}},
		{"ok:false", nil},
		{"überlauf", []int{3}},
		{"ZÄHLER", []int{3}},
		{"東京", []int{3}},
		{"京東", nil},
		{"tags:red", []int{3}},
		{"tags:green", []int{3}},
		{"tags:7", []int{3}},
		{"tags.deep:blue", []int{3}},
		{"9007199254740993", []int{4}},
		{"9007199254740992", nil},
		{"a.b:dotted", []int{5}},
		{"a.b:nested", []int{5}},
		{`note:"phrase über lines"`, []int{5}},
		{"mine", []int{5}},
		{"sneaky", []int{5}},
		{"dup:one", []int{6}},
		{"dup:two", []int{6}},
		{"_stream:Billing", []int{6}},
		{"_stream:billing", nil},
		{"_stream:default", []int{0, 1, 2, 3, 4, 5}},
		{"_index:logs-billing", []int{6}},
		{"_index:logs-*", []int{0, 1, 2, 3, 4, 5, 6}},
		{`_id:"client id: 42/a"`, []int{6}},
		{`_id:"client id: 42"`, nil},
		{"_id:0123456789abcdef-3", []int{2}},
		{"_id:0123456789abcdef*", []int{0, 1, 2, 3, 4, 5}},
		{`@timestamp:>="2026-01-02T03:04:05.5Z"`, []int{1, 2}},
		{`@timestamp:>"2026-01-02T03:04:05.5Z"`, []int{2}},
		{`@timestamp:<"2026-02-03"`, []int{1}},
		{`@timestamp:<="2026-02-03T00:00:00Z"`, []int{1, 2}},
		{`@timestamp:"2026-01-02"`, []int{1}},
		{`@timestamp:"2026-01-02T03:04:05Z"`, []int{1}},
		{`datetime:"2026-11-20"`, []int{6}},
		{`received_at:>="2026-11-20T10:00:00.005Z"`, []int{5, 6}},
		{`+received_at:>"2026-11-20T10:00:00.001Z" +received_at:<"2026-11-20T10:00:00.004Z"`, []int{2, 3}},
		{"absent", nil},
		{"absent:word", nil},
	} {
		t.Run(tt.query, func(t *testing.T) {
			res, err := s.Search(t.Context(), Query{Text: tt.query, OldestFirst: true})
			if err != nil {
				t.Fatal(err)
			}
			var got []int
			for _, h := range res.Hits {
				got = append(got, int(h.ReceivedAt.Sub(day)/time.Millisecond))
			}
			if !slices.Equal(got, tt.want) || int(res.Total) != len(tt.want) {
				t.Errorf("found %v (total %d), want %v", got, res.Total, tt.want)
			}
		})
	}
}

func TestStore_Search_BadQueries(t *testing.T) {
	s := library(t)
	for _, tt := range []struct {
		query Query
		says  []string
	}{
		{Query{Text: `level:>400 "open quote`}, []string{"at character 12", `open quote`, "not closed", "\\\""}},
		{Query{Text: "timeout +"}, []string{"at character 9", `"+"`, "nothing after the sign"}},
		{Query{Text: "a level:"}, []string{"at character 3", "no value after the colon", "field:*"}},
		{Query{Text: ":x"}, []string{"at character 1", "no field before the colon"}},
		{Query{Text: "ü level:>=x"}, []string{"at character 3", "x is no number", "level:>=400"}},
		{Query{Text: "level:>="}, []string{"at character 1", "no value after the comparison"}},
		{Query{Text: `@timestamp:>"yesterday"`}, []string{"at character 1", "is no time", "2026-01-31"}},
		{Query{Text: "word~x"}, []string{"at character 1", "~", "word~1"}},
		{Query{Text: "word^x"}, []string{"at character 1", "^"}},
		{Query{Text: "url:http://x"}, []string{"at character 1", "quotes"}},
		{Query{Text: "/a(/"}, []string{"regular expression"}},
		{Query{Text: "!!! ---"}, []string{"sign"}},
		{Query{Text: "!!!"}, []string{"no letter or digit"}},
		{Query{Text: strings.Repeat("x", MaxQueryBytes+1)}, []string{"longer than 8192 bytes"}},
		{Query{Limit: MaxLimit + 1}, []string{"limit is 10001", "10000"}},
		{Query{Skip: -1}, []string{"skip is -1"}},
		{Query{Skip: MaxWindow}, []string{"100000", "narrow"}},
		{Query{Since: day, Until: day}, []string{"not before"}},
	} {
		_, err := s.Search(t.Context(), tt.query)
		var bad *QueryError
		if !errors.As(err, &bad) {
			t.Errorf("%.60q: %v is no query error", tt.query.Text, err)
			continue
		}
		for _, part := range tt.says {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%.60q says %q, without %q", tt.query.Text, err, part)
			}
		}
	}
}

func TestStore_Search_Hit(t *testing.T) {
	s := openStore(t, t.TempDir())
	doc := event(1, "{ \"b\" : 1.0,\n\"a\":1e400,\"@timestamp\":\"2026-01-02T03:04:05+02:00\" }")
	doc.ReceivedAt = day.Add(123456789)
	deliver(t, s, []flush.Document{doc}, flush.Delivered)
	res, err := s.Search(t.Context(), Query{})
	if err != nil || len(res.Hits) != 1 {
		t.Fatalf("%+v, %v", res, err)
	}
	h := res.Hits[0]
	if h.ID != doc.ID || h.Index != doc.Index || h.Stream != doc.Stream || !h.ReceivedAt.Equal(doc.ReceivedAt) ||
		string(h.Source) != string(doc.Source) || !h.Timestamp.Equal(time.Date(2026, 1, 2, 1, 4, 5, 0, time.UTC)) {
		t.Errorf("hit %+v of %+v", h, doc)
	}
	if res.Took <= 0 || res.Truncated {
		t.Errorf("result %+v", res)
	}
}

// TestStore_Search_Pages walks through the result of many parts in both directions.
func TestStore_Search_Pages(t *testing.T) {
	s := openStore(t, t.TempDir(), small)
	docs := monolog(0, fill(t, s, 0, 4))
	late := event(len(docs)+5, `{"message":"received early, sent late"}`)
	late.ReceivedAt = day.Add(10*time.Millisecond + 1)
	deliver(t, s, []flush.Document{late}, flush.Delivered)

	want := make([]string, 0, len(docs)+1)
	for i, d := range docs {
		want = append(want, d.ID)
		if i == 10 {
			want = append(want, late.ID)
		}
	}
	for _, oldest := range []bool{true, false} {
		var got []string
		for len(got) < len(want) {
			res, err := s.Search(t.Context(), Query{Skip: len(got), Limit: 997, OldestFirst: oldest})
			if err != nil {
				t.Fatal(err)
			}
			if int(res.Total) != len(want) || len(res.Hits) == 0 {
				t.Fatalf("total %d, %d hits after %d; want %d", res.Total, len(res.Hits), len(got), len(want))
			}
			for _, h := range res.Hits {
				got = append(got, h.ID)
			}
		}
		if !oldest {
			slices.Reverse(got)
		}
		if !slices.Equal(got, want) {
			t.Errorf("oldest first %v: pages do not add up to all in order", oldest)
		}
	}
}

func TestStore_Search_SinceUntil(t *testing.T) {
	s := openStore(t, t.TempDir())
	deliver(t, s, monolog(0, 1500), flush.Delivered)
	at := func(ms int) time.Time { return day.Add(time.Duration(ms) * time.Millisecond) }
	for _, tt := range []struct {
		since, until time.Time
		text         string
		want         int
	}{
		{time.Time{}, time.Time{}, "*", 1500},
		{at(100), time.Time{}, "*", 1400},
		{time.Time{}, at(100), "*", 100},
		{at(100), at(101), "*", 1},
		{at(100).Add(1), at(101), "*", 0},
		{at(0), at(1000), "channel:ch0", 200},
		{at(0), at(1000), "-channel:ch0", 800},
		{at(-5000), at(-1), "*", 0},
		{at(2000), time.Time{}, "*", 0},
	} {
		res, err := s.Search(t.Context(), Query{Text: tt.text, Since: tt.since, Until: tt.until, Limit: 7})
		if err != nil || int(res.Total) != tt.want || len(res.Hits) != min(7, tt.want) {
			t.Errorf("%s from %v to %v: total %d, %d hits, %v; want %d", tt.text, tt.since, tt.until, res.Total, len(res.Hits), err, tt.want)
		}
	}
}

func TestStore_Search_Truncates(t *testing.T) {
	s := openStore(t, t.TempDir())
	deliver(t, s, monolog(0, 100), flush.Delivered)
	s.resultBytes = 10 * len(monolog(0, 1)[0].Source)
	res, err := s.Search(t.Context(), Query{Limit: 100})
	size := 0
	for _, h := range res.Hits {
		size += len(h.Source)
	}
	if err != nil || !res.Truncated || res.Total != 100 || size > s.resultBytes || len(res.Hits) < 7 {
		t.Errorf("total %d, %d hits of %d bytes, truncated %v, %v", res.Total, len(res.Hits), size, res.Truncated, err)
	}
	s.resultBytes = 1
	if res, err = s.Search(t.Context(), Query{}); err != nil || len(res.Hits) != 1 {
		t.Errorf("a hit over the bound: %d hits, %v; want 1", len(res.Hits), err)
	}
}

func TestStore_Search_Cancelled(t *testing.T) {
	s := openStore(t, t.TempDir())
	deliver(t, s, monolog(0, 100), flush.Delivered)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, text := range []string{"request", `"to api"`, "node*"} {
		if _, err := s.Search(ctx, Query{Text: text}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := s.Send(ctx, monolog(1000, 1)); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("send: %v", err)
	}
}

func FuzzStore_Search(f *testing.F) {
	for _, q := range []string{"+a:>=1 -b", `"a b`, `a:"x\"y"~2^3`, "/a.*/", "*:*", "_id:*", "received_at:>\"2026-01-01\"", "a\\", "::", "+-", "a~9", "<>="} {
		f.Add(q)
	}
	s := openStore(f, f.TempDir())
	deliver(f, s, monolog(0, 20), flush.Delivered)
	f.Fuzz(func(t *testing.T, text string) {
		res, err := s.Search(t.Context(), Query{Text: text})
		var bad *QueryError
		if err != nil && !errors.As(err, &bad) {
			t.Errorf("%q: %v", text, err)
		}
		if len(res.Hits) != int(res.Total) {
			t.Errorf("%q: %d hits of %d", text, len(res.Hits), res.Total)
		}
	})
}
