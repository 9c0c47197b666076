package elastictest_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/weirlog/weir/flush/elastic/elastictest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, elastictest.IgnoreLeaks()...)
}

// call makes a request on a connection of its own and returns status and body.
func call(t *testing.T, method, url, body string, header ...string) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	req.Header.Set("Content-Type", "application/x-ndjson")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error(), nil
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error(), nil
	}
	return res.StatusCode, string(b), res.Header
}

func TestServer_Bulk(t *testing.T) {
	long := strings.Repeat("i", 513)
	tests := []struct {
		name   string
		path   string
		body   string
		status int
		want   string
		stored int
	}{
		{"long answer", "/_bulk", "{\"create\":{\"_index\":\"i\",\"_id\":\"1\"}}\n{}\n", 200,
			`{"took":1,"errors":false,"items":[{"create":{"_index":"i","_id":"1","status":201}}]}`, 1},
		{"short answer", "/_bulk?filter_path=errors,items.*.status", "{\"create\":{\"_index\":\"i\",\"_id\":\"1\"}}\n{}\n", 200,
			`{"errors":false,"items":[{"create":{"status":201}}]}`, 1},
		{"index from the path", "/i/_bulk?filter_path=errors,items.*._id,items.*.status", "{\"create\":{\"_id\":\"1\"}}\n{}\n", 200,
			`{"errors":false,"items":[{"create":{"_id":"1","status":201}}]}`, 1},
		{"conflict", "/_bulk?filter_path=errors,items.*.status,items.*.error.type", "{\"create\":{\"_index\":\"i\",\"_id\":\"1\"}}\n{}\n{\"create\":{\"_index\":\"i\",\"_id\":\"1\"}}\n{\"b\":2}\n", 200,
			`{"errors":true,"items":[{"create":{"status":201}},{"create":{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"[1]: version conflict, document already exists (current version [1])"}}}]}`, 1},
		{"index replaces", "/_bulk?filter_path=errors,items.*.status", "{\"index\":{\"_index\":\"i\",\"_id\":\"1\"}}\n{}\n{\"index\":{\"_index\":\"i\",\"_id\":\"1\"}}\n{}\n", 200,
			`{"errors":false,"items":[{"index":{"status":201}},{"index":{"status":201}}]}`, 1},
		{"broken document among good ones", "/_bulk?filter_path=errors,items.*.status", "{\"create\":{\"_index\":\"i\",\"_id\":\"1\"}}\n{\"a\":\n{\"create\":{\"_index\":\"i\",\"_id\":\"2\"}}\n{}\n", 200,
			`{"errors":true,"items":[{"create":{"status":400,"error":{"type":"document_parsing_exception","reason":"[1:1] failed to parse"}}},{"create":{"status":201}}]}`, 1},
		{"malformed action refuses all", "/_bulk", "{\"create\":{\"_index\":\"i\",\"_id\":\"1\"}}\n{}\n{\"a\":1}\n{}\n", 400, "Malformed action/metadata line [3]", 0},
		{"no final newline", "/_bulk", "{\"create\":{\"_index\":\"i\",\"_id\":\"1\"}}\n{}", 400, "terminated by a newline", 0},
		{"empty body", "/_bulk", "", 400, "request body is required", 0},
		{"long id refuses all", "/_bulk", "{\"create\":{\"_index\":\"i\",\"_id\":\"" + long + "\"}}\n{}\n", 400, "id is too long", 0},
		{"too large", "/_bulk", "{\"create\":{\"_index\":\"i\",\"_id\":\"1\"}}\n{\"a\":\"" + strings.Repeat("x", 4096) + "\"}\n", 413, "", 0},
		{"other route", "/_search", "", 400, "no handler found", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := elastictest.Start(t, elastictest.Options{MaxContentLength: 4096})
			status, body, header := call(t, "POST", s.URL()+tt.path, tt.body)
			if status != tt.status {
				t.Errorf("status %d, want %d: %s", status, tt.status, body)
			}
			if status == 200 && body != tt.want || !strings.Contains(body, tt.want) {
				t.Errorf("answer is\n%s\nwant\n%s", body, tt.want)
			}
			if got := header.Get("X-Elastic-Product"); status == 200 && got != "Elasticsearch" {
				t.Errorf("product header is %q", got)
			}
			if n := len(s.Docs()); n != tt.stored {
				t.Errorf("%d documents stored, want %d", n, tt.stored)
			}
		})
	}
}

func TestServer_KeepsBytesAndCounts(t *testing.T) {
	const action = "{\"create\":{\"_index\":\"i\",\"_id\":\"\\u0031\",\"pipeline\":\"p\",\"routing\":\"r\"}}\n"
	const source = `{ "b":1.0 , "a":{} }`
	for _, tt := range []struct {
		keep elastictest.Keep
		want []elastictest.Doc
	}{
		{elastictest.KeepDocuments, []elastictest.Doc{{Index: "i", ID: "1", Pipeline: "p", Routing: "r", Source: []byte(source), Created: 1, Conflicts: 2, Attempts: 3}}},
		{elastictest.KeepIDs, []elastictest.Doc{{Index: "i", ID: "1", Pipeline: "p", Routing: "r", Created: 1, Conflicts: 2, Attempts: 3}}},
		{elastictest.KeepNothing, nil},
	} {
		s := elastictest.Start(t, elastictest.Options{Keep: tt.keep})
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		if _, err := io.WriteString(w, action+source+"\n"); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if status, body, _ := call(t, "POST", s.URL()+"/_bulk", packed.String(), "Content-Encoding", "gzip"); status != 200 {
				t.Fatalf("%d %s", status, body)
			}
		}
		if got := s.Docs(); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("keep %d: documents are %+v, want %+v", tt.keep, got, tt.want)
		}
		if got := s.Stats(); got.Requests != 3 || got.Documents != 3 || got.Bytes != int64(3*packed.Len()) || got.Created+got.Conflicts != 3 {
			t.Errorf("keep %d: counts are %+v", tt.keep, got)
		}
		s.Reset()
		if got := s.Stats(); got != (elastictest.Stats{}) || len(s.Docs()) != 0 {
			t.Errorf("keep %d: after Reset the counts are %+v", tt.keep, got)
		}
	}
}

func TestServer_WhatShippersAskFirst(t *testing.T) {
	s := elastictest.Start(t, elastictest.Options{})
	for path, want := range map[string]string{"/_license": `"status":"active"`, "/_cluster/health": `"status":"green"`} {
		if status, body, header := call(t, "GET", s.URL()+path, ""); status != 200 || !strings.Contains(body, want) || header.Get("X-elastic-product") == "" {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
}

func TestServer_Greeting(t *testing.T) {
	for _, openSearch := range []bool{false, true} {
		s := elastictest.Start(t, elastictest.Options{OpenSearch: openSearch})
		status, body, header := call(t, "GET", s.URL(), "")
		if status != 200 || strings.Contains(body, `"opensearch"`) != openSearch || (header.Get("X-Elastic-Product") == "") != openSearch {
			t.Errorf("OpenSearch %v: %d %s %v", openSearch, status, body, header)
		}
		if status, body, _ := call(t, "HEAD", s.URL(), ""); status != 200 || body != "" {
			t.Errorf("HEAD: %d %q", status, body)
		}
	}
}

func TestServer_Authorization(t *testing.T) {
	s := elastictest.Start(t, elastictest.Options{Authorization: "APIKey x"})
	if status, _, _ := call(t, "GET", s.URL(), ""); status != 401 {
		t.Errorf("without credentials: %d", status)
	}
	if status, _, _ := call(t, "GET", s.URL(), "", "Authorization", "APIKey x"); status != 200 {
		t.Errorf("with credentials: %d", status)
	}
}

// A hook sees which address and which documents a request is for; what it says of the answer is done, and stored or not.
func TestServer_AnswersThatLie(t *testing.T) {
	const action = `{"create":{"_index":"i","_id":"a"}}` + "\n{}\n" + `{"create":{"_index":"i","_id":"b"}}` + "\n{}\n"
	for _, tt := range []struct {
		name   string
		fault  elastictest.Fault
		status int
		stored int
		answer string
	}{
		{"mangled", elastictest.Fault{Mangle: func(b []byte) []byte { return append(b, '!') }}, 200, 2, `]}!`},
		{"mangled, not stored", elastictest.Fault{Mangle: func(b []byte) []byte { return b }, Unstored: true}, 200, 0, `"_id":"b","status":201`},
		{"raw", elastictest.Fault{Raw: []byte("HTTP/1.1 299 Odd\r\nContent-Length: 2\r\n\r\nhm")}, 299, 2, "hm"},
		{"raw, not stored", elastictest.Fault{Raw: []byte("HTTP/1.1 299 Odd\r\nContent-Length: 2\r\n\r\nhm"), Unstored: true}, 299, 0, "hm"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			seen := make(chan elastictest.Request, 1)
			s := elastictest.Start(t, elastictest.Options{Request: func(r elastictest.Request) elastictest.Fault {
				seen <- r
				return tt.fault
			}})
			status, body, _ := call(t, "POST", s.URL()+"/_bulk", action)
			if status != tt.status || !strings.Contains(body, tt.answer) {
				t.Errorf("answered %d %s", status, body)
			}
			if n := len(s.Docs()); n != tt.stored {
				t.Errorf("%d documents are stored, want %d", n, tt.stored)
			}
			if r := <-seen; "http://"+r.Host != s.URL() || !reflect.DeepEqual(r.IDs, []string{"a", "b"}) {
				t.Errorf("the hook saw host %s and ids %v", r.Host, r.IDs)
			}
		})
	}
}

// A server in a process of its own is steered and read over HTTP.
func TestServer_Control(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := elastictest.NewServer(elastictest.Options{})
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	defer func() {
		s.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	url := "http://" + ln.Addr().String()
	bulk := "{\"create\":{\"_index\":\"i\",\"_id\":\"2\"}}\n{\"b\":1.0}\n{\"create\":{\"_index\":\"i\",\"_id\":\"1\\\"\"}}\n{}\n"
	if status, body, _ := call(t, "POST", url+"/_bulk", bulk); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	const docs = `{"_index":"i","_id":"1\"","created":1,"conflicts":0,"_source":{}}` + "\n" +
		`{"_index":"i","_id":"2","created":1,"conflicts":0,"_source":{"b":1.0}}` + "\n"
	if _, body, _ := call(t, "GET", url+"/_elastictest/docs", ""); body != docs {
		t.Errorf("documents are\n%s\nwant\n%s", body, docs)
	}
	if _, body, _ := call(t, "GET", url+"/_elastictest/docs?source=false", ""); strings.Contains(body, "_source") || !strings.Contains(body, `"_id":"2"`) {
		t.Errorf("without sources: %s", body)
	}
	var stats elastictest.Stats
	_, body, _ := call(t, "GET", url+"/_elastictest/stats", "")
	if err := json.Unmarshal([]byte(body), &stats); err != nil || stats != s.Stats() || stats.Stored != 2 {
		t.Errorf("counts are %s, %v", body, err)
	}
	if status, _, _ := call(t, "POST", url+"/_elastictest/chaos", `{"unavailable":1}`); status != 200 {
		t.Errorf("set chaos: %d", status)
	}
	if status, _, _ := call(t, "POST", url+"/_bulk", bulk); status != 503 {
		t.Errorf("with chaos: %d, want 503", status)
	}
	if status, _, _ := call(t, "POST", url+"/_elastictest/chaos", `{}`); status != 200 {
		t.Errorf("end chaos: %d", status)
	}
	if status, _, _ := call(t, "POST", url+"/_elastictest/reset", ""); status != 200 || len(s.Docs()) != 0 {
		t.Errorf("reset: %d, %d documents", status, len(s.Docs()))
	}
	for _, bad := range []string{"chaos", "nothing"} {
		if status, _, _ := call(t, "POST", url+"/_elastictest/"+bad, "{"); status/100 != 4 {
			t.Errorf("%s: %d", bad, status)
		}
	}
}

// Tests that find a fault need it again.
func TestServer_ChaosRepeats(t *testing.T) {
	chaos := elastictest.Chaos{Seed: 7, ItemRejected: 0.2, ItemUnavailable: 0.1, ItemMalformed: 0.1, Busy: 0.1,
		Unavailable: 0.1, CutBefore: 0.1, CutAfter: 0.1, CutAnswer: 0.1, Garbage: 0.1, BrokenJSON: 0.1, ItemMissing: 0.1}
	run := func() []string {
		s := elastictest.Start(t, elastictest.Options{Chaos: chaos})
		var seen []string
		for n := range 60 {
			var body strings.Builder
			for i := range 5 {
				fmt.Fprintf(&body, "{\"create\":{\"_index\":\"i\",\"_id\":\"%d\"}}\n{}\n", n*5+i)
			}
			status, answer, _ := call(t, "POST", s.URL()+"/_bulk?filter_path=errors,items.*._id,items.*.status", body.String())
			if status == 0 {
				answer = "cut" // which way the client saw it does not repeat
			}
			seen = append(seen, fmt.Sprint(status, answer, s.Stats().Created))
		}
		return seen
	}
	first, second := run(), run()
	if !reflect.DeepEqual(first, second) {
		t.Errorf("two runs with one seed differ:\n%s\n%s", strings.Join(first, "\n"), strings.Join(second, "\n"))
	}
	kinds := make(map[string]bool)
	for _, s := range first {
		kinds[s[:3]] = true
	}
	if len(kinds) < 4 {
		t.Errorf("only the statuses %v in 60 requests", kinds)
	}
}

func TestServer_HooksFromManyGoroutines(t *testing.T) {
	var mu sync.Mutex
	attempts := make(map[string]int)
	s := elastictest.Start(t, elastictest.Options{Item: func(it elastictest.Item) elastictest.Answer {
		mu.Lock()
		defer mu.Unlock()
		attempts[it.ID] = max(attempts[it.ID], it.Attempt) // ids may be kept
		return elastictest.Answer{}
	}})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 20 {
				body := fmt.Sprintf("{\"create\":{\"_index\":\"i\",\"_id\":\"%d\"}}\n{}\n", i)
				if status, answer, _ := call(t, "POST", s.URL()+"/_bulk", body); status != 200 {
					t.Errorf("%d %s", status, answer)
				}
			}
		})
	}
	wg.Wait()
	for id, n := range attempts {
		if d, _ := s.Doc("i", id); n != 8 || d.Created != 1 || d.Conflicts != 7 {
			t.Errorf("id %s: attempts %d, %+v", id, n, d)
		}
	}
	if len(attempts) != 20 {
		t.Errorf("%d ids, want 20", len(attempts))
	}
}

func TestServer_MakesIDsForManyAtOnce(t *testing.T) {
	s := elastictest.Start(t, elastictest.Options{})
	const clients, documents = 8, 2000
	body := strings.Repeat("{\"create\":{\"_index\":\"i\"}}\n{}\n", documents)
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			if status, answer, _ := call(t, "POST", s.URL()+"/_bulk?filter_path=errors", body); status != 200 || strings.Contains(answer, "409") {
				t.Errorf("%d %.300s", status, answer)
			}
		})
	}
	wg.Wait()
	if st := s.Stats(); st.Stored != clients*documents || st.Conflicts != 0 {
		t.Errorf("%+v", st)
	}
}
