package elastic_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/flush/elastic"
	"github.com/weirlog/weir/flush/flushtest"
)

// realServer is an Elasticsearch or OpenSearch that tests may write to. Every test uses index names of its own.
type realServer struct {
	url    string
	prefix string
	info   elastic.Info
}

// startReal returns the server that the environment names, or skips.
func startReal(t *testing.T) (*realServer, *elastic.Sink) {
	t.Helper()
	address := os.Getenv("WEIR_TEST_ES_URL")
	if address == "" {
		t.Skip("no real server: set WEIR_TEST_ES_URL to the URL of an Elasticsearch or OpenSearch that tests may write to")
	}
	sink, err := elastic.New(elastic.Options{Addresses: []string{address}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sink.Close() })
	r := &realServer{url: address, prefix: fmt.Sprintf("weirtest-%08x", rand.Uint32())}
	if r.info, err = sink.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("server: %s", r.info)
	return r, sink
}

// call makes a request and returns status and body. It has a context of its own, so that cleanups may use it.
func (r *realServer) call(t *testing.T, method, path, body string) (int, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, r.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, b
}

// must makes a request that has to succeed.
func (r *realServer) must(t *testing.T, method, path, body string) []byte {
	t.Helper()
	status, b := r.call(t, method, path, body)
	if status/100 != 2 {
		t.Fatalf("%s %s: %d %s", method, path, status, b)
	}
	return b
}

// index makes an index without replicas and removes it with the test.
func (r *realServer) index(t *testing.T, name, settings, mappings string) string {
	t.Helper()
	name = r.prefix + "-" + name
	r.must(t, "PUT", "/"+name, fmt.Sprintf(`{"settings":{"number_of_replicas":0%s},"mappings":{%s}}`, settings, mappings))
	t.Cleanup(func() { r.call(t, "DELETE", "/"+name, "") })
	return name
}

func (r *realServer) count(t *testing.T, target string) int {
	t.Helper()
	r.must(t, "POST", "/"+target+"/_refresh", "")
	var answer struct{ Count int }
	if err := json.Unmarshal(r.must(t, "GET", "/"+target+"/_count", ""), &answer); err != nil {
		t.Fatal(err)
	}
	return answer.Count
}

func realDocs(index string, sources ...string) []flush.Document {
	docs := make([]flush.Document, len(sources))
	for i, source := range sources {
		docs[i] = flush.Document{Index: index, ID: fmt.Sprintf("00c0ffee-%d", i+1), Source: []byte(source)}
	}
	return docs
}

// check sends docs and compares verdict and, where it is given, error type of each.
func check(t *testing.T, sink *elastic.Sink, docs []flush.Document, want ...flush.Outcome) {
	t.Helper()
	got, err := sink.Send(t.Context(), docs)
	if err != nil {
		t.Fatal(err)
	}
	for i := range want {
		t.Logf("%s: %d %s %q failure_store=%q", got[i].Verdict, got[i].Status, got[i].Type, got[i].Reason, got[i].FailureStore)
		if got[i].Verdict != want[i].Verdict || got[i].Status != want[i].Status || want[i].Type != "" && got[i].Type != want[i].Type {
			t.Errorf("document %d is %+v, want %+v", i, got[i], want[i])
		}
		if got[i].Verdict == flush.Permanent && got[i].Reason == "" {
			t.Errorf("document %d has no reason", i)
		}
	}
}

var (
	delivered = flush.Outcome{Verdict: flush.Delivered, Status: 201}
	duplicate = flush.Outcome{Verdict: flush.Duplicate, Status: 409, Type: "version_conflict_engine_exception"}
)

func TestReal_Contract(t *testing.T) {
	r, _ := startReal(t)
	for name, compression := range map[string]elastic.Compression{
		"plain": elastic.CompressionNone, "gzip": elastic.CompressionGzip, "zstd": elastic.CompressionZstd} {
		t.Run(name, func(t *testing.T) {
			n := 0
			flushtest.RunSink(t, func(t *testing.T) flushtest.SinkFixture {
				n++
				sink, err := elastic.New(elastic.Options{Addresses: []string{r.url}, Compression: compression})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { sink.Close() })
				index := r.index(t, fmt.Sprintf("%s-%d", name, n), "", `"enabled":false`)
				second := r.index(t, fmt.Sprintf("%s-%d-2", name, n), "", `"enabled":false`)
				return flushtest.SinkFixture{
					Sink:   sink,
					Index:  index,
					Choosy: true,
					Source: func(t *testing.T, index, id string) ([]byte, bool) {
						status, b := r.call(t, "GET", "/"+index+"/_doc/"+url.PathEscape(id), "")
						var doc struct {
							Source json.RawMessage `json:"_source"`
						}
						if status != 200 {
							return nil, false
						}
						if err := json.Unmarshal(b, &doc); err != nil {
							t.Fatal(err)
						}
						return doc.Source, true
					},
					Count: func(t *testing.T) int { return r.count(t, index) + r.count(t, second) },
				}
			})
		})
	}
}

func TestReal_Items(t *testing.T) {
	r, sink := startReal(t)
	index := r.index(t, "items", `,"index.mapping.total_fields.limit":3`, `"properties":{"n":{"type":"long"}}`)
	docs := realDocs(index,
		`{"n":1}`,
		`{"n":"abc"}`,
		`{"n":2}`,
		`{"n":`,
		`[1]`,
		``,
		`{"a":1,"b":2,"c":3,"d":4}`,
		`{"x":`+strings.Repeat("[", 2000)+strings.Repeat("]", 2000)+`}`,
	)
	bad := flush.Outcome{Verdict: flush.Permanent, Status: 400}
	check(t, sink, docs, delivered, bad, delivered, bad, bad, bad, bad, bad)
	check(t, sink, docs, duplicate, bad, duplicate, bad, bad, bad, bad, bad)
	if n := r.count(t, index); n != 2 {
		t.Errorf("%d documents are stored, want 2", n)
	}
}

func TestReal_BadNames(t *testing.T) {
	r, sink := startReal(t)
	good := r.index(t, "names", "", "")
	invalid := flush.Outcome{Verdict: flush.Permanent, Status: 400, Type: "invalid_index_name_exception"}
	docs := realDocs("", `{}`, `{}`, `{}`, `{}`, `{}`, `{}`)
	for i, index := range []string{good, "UPPER", "a,b", "..", strings.Repeat("x", 300), ""} {
		docs[i].Index = index
	}
	check(t, sink, docs, delivered, invalid, invalid, invalid, invalid, invalid)
	docs = realDocs(good, `{}`)
	docs[0].ID, docs[0].Pipeline = "p", "no-such-pipeline"
	check(t, sink, docs, flush.Outcome{Verdict: flush.Blocked, Status: 400, Type: "illegal_argument_exception"})
}

// One id that is too long refuses the whole request; splitting finds it.
func TestReal_LongID(t *testing.T) {
	r, sink := startReal(t)
	docs := realDocs(r.index(t, "longid", "", ""), `{}`, `{}`)
	docs[1].ID = strings.Repeat("i", 513)
	_, err := sink.Send(t.Context(), docs)
	var re *flush.RequestError
	if !errors.As(err, &re) || !re.Split() || re.Status != 400 {
		t.Fatalf("error is %v, want refused", err)
	}
	t.Logf("%s", err)
	check(t, sink, docs[:1], delivered)
}

func TestReal_Blocks(t *testing.T) {
	r, sink := startReal(t)
	index := r.index(t, "blocks", "", "")
	block := func(name string, on bool) {
		t.Helper()
		r.must(t, "PUT", "/"+index+"/_settings", fmt.Sprintf(`{"index.blocks.%s":%v}`, name, on))
	}
	for i, tt := range []struct {
		block string
		want  flush.Outcome
	}{
		{"read_only", flush.Outcome{Verdict: flush.Blocked, Status: 403, Type: "cluster_block_exception"}},
		{"write", flush.Outcome{Verdict: flush.Blocked, Status: 403, Type: "cluster_block_exception"}},
		{"read_only_allow_delete", flush.Outcome{Verdict: flush.Blocked, Status: 429, Type: "cluster_block_exception"}},
	} {
		docs := realDocs(index, `{"a":1}`)
		docs[0].ID = fmt.Sprint("block-", i)
		block(tt.block, true)
		check(t, sink, docs, tt.want)
		block(tt.block, false)
		check(t, sink, docs, delivered)
	}
	r.must(t, "POST", "/"+index+"/_close", "")
	docs := realDocs(index, `{"a":1}`)
	check(t, sink, docs, flush.Outcome{Verdict: flush.Blocked, Status: 400, Type: "index_closed_exception"})
	r.must(t, "POST", "/"+index+"/_open", "")
	check(t, sink, docs, delivered)
}

func TestReal_DataStream(t *testing.T) {
	r, sink := startReal(t)
	stream := r.prefix + "-stream"
	r.must(t, "PUT", "/_index_template/"+stream, fmt.Sprintf(
		`{"index_patterns":["%s*"],"data_stream":{},"priority":500,"template":{"settings":{"number_of_replicas":0},"mappings":{"properties":{"n":{"type":"long"}}}}}`, stream))
	t.Cleanup(func() {
		r.call(t, "DELETE", "/_data_stream/"+stream, "")
		r.call(t, "DELETE", "/_index_template/"+stream, "")
	})
	docs := realDocs(stream, `{"@timestamp":"2026-01-02T03:04:05Z","n":1}`, `{"n":1}`, `{"@timestamp":"2026-01-02T03:04:05Z","n":"x"}`)
	bad := flush.Outcome{Verdict: flush.Permanent, Status: 400}
	check(t, sink, docs, delivered, bad, bad)
	replacing := realDocs(stream, `{"@timestamp":"2026-01-02T03:04:05Z","n":1}`)
	replacing[0].Op = flush.OpIndex
	check(t, sink, replacing, flush.Outcome{Verdict: flush.Blocked, Status: 400, Type: "illegal_argument_exception"})
	check(t, sink, docs, duplicate, bad, bad)
	if n := r.count(t, stream); n != 1 {
		t.Errorf("%d documents are stored, want 1", n)
	}
}

func TestReal_FailureStore(t *testing.T) {
	r, sink := startReal(t)
	stream := r.prefix + "-fs"
	status, body := r.call(t, "PUT", "/_index_template/"+stream, fmt.Sprintf(
		`{"index_patterns":["%s*"],"data_stream":{},"priority":500,"template":{"data_stream_options":{"failure_store":{"enabled":true}},"settings":{"number_of_replicas":0},"mappings":{"properties":{"n":{"type":"long"}}}}}`, stream))
	if status != 200 {
		t.Skipf("this server has no failure store: %d %.200s", status, body)
	}
	t.Cleanup(func() {
		r.call(t, "DELETE", "/_data_stream/"+stream, "")
		r.call(t, "DELETE", "/_index_template/"+stream, "")
	})
	docs := realDocs(stream, `{"@timestamp":"2026-01-02T03:04:05Z","n":"x"}`, `{"@timestamp":"2026-01-02T03:04:05Z","n":1}`)
	got, err := sink.Send(t.Context(), docs)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", got)
	if got[0].Verdict != flush.Delivered || got[0].FailureStore != "used" || got[1] != delivered {
		t.Errorf("outcomes are %+v, want the first in the failure store", got)
	}
}

// Ingest pipelines permute items: every verdict must still be its own document's.
func TestReal_Pipelines(t *testing.T) {
	r, sink := startReal(t)
	index := r.index(t, "pipes", "", "")
	pipeline := r.prefix + "-pipe"
	status, body := r.call(t, "PUT", "/_ingest/pipeline/"+pipeline,
		`{"processors":[{"drop":{"if":"ctx.d == 1"}},{"fail":{"if":"ctx.f == 1","message":"about {{n}}"}}]}`)
	if status != 200 {
		t.Skipf("this server has no such processors: %d %.200s", status, body)
	}
	t.Cleanup(func() { r.call(t, "DELETE", "/_ingest/pipeline/"+pipeline, "") })
	var sources []string
	for n := range 40 {
		sources = append(sources, fmt.Sprintf(`{"n":%d,"%s":1}`, n, string("fdx"[n%3])))
	}
	docs := realDocs(index, sources...)
	for i := range docs {
		docs[i].Pipeline = pipeline
	}
	got, err := sink.Send(t.Context(), docs)
	if err != nil {
		t.Fatal(err)
	}
	for n, o := range got {
		want := []flush.Outcome{
			{Verdict: flush.Permanent, Status: 500, Type: "fail_processor_exception", Reason: fmt.Sprintf("about %d", n)},
			{Verdict: flush.Delivered, Status: 200},
			delivered,
		}[n%3]
		if o != want {
			t.Errorf("document %d is %+v, want %+v", n, o, want)
		}
	}
}

// The server's default limit is 100 MB; the documents share one source.
func TestReal_TooLarge(t *testing.T) {
	r, sink := startReal(t)
	source := `{"a":"` + strings.Repeat("x", 1<<20) + `"}`
	docs := make([]flush.Document, 110)
	for i := range docs {
		docs[i] = flush.Document{Index: r.prefix + "-toolarge", ID: fmt.Sprint(i), Source: []byte(source)}
	}
	for range 5 { // whether the answer or the broken connection is seen first is a race that 413 must win
		_, err := sink.Send(t.Context(), docs)
		var re *flush.RequestError
		if !errors.As(err, &re) || !re.Split() {
			t.Fatalf("error is %v, want 413", err)
		}
	}
}

// An index that nobody made, where none may be made: an operator's matter, not the document's.
func TestReal_MissingIndex(t *testing.T) {
	r, sink := startReal(t)
	index := r.prefix + "-missing"
	r.must(t, "PUT", "/_cluster/settings", fmt.Sprintf(`{"transient":{"action.auto_create_index":"-%s,+*"}}`, index))
	t.Cleanup(func() { r.call(t, "PUT", "/_cluster/settings", `{"transient":{"action.auto_create_index":null}}`) })
	docs := realDocs(index, `{"a":1}`)
	check(t, sink, docs, flush.Outcome{Verdict: flush.Blocked, Status: 404, Type: "index_not_found_exception"})
	r.index(t, "missing", "", "")
	check(t, sink, docs, delivered)
}

// The action index puts a document in the place of one of its id.
func TestReal_OpIndex(t *testing.T) {
	r, sink := startReal(t)
	index := r.index(t, "op", "", "")
	docs := realDocs(index, `{"a":1}`, `{"a":2}`)
	docs[0].Op = flush.OpIndex
	check(t, sink, docs, delivered, delivered)
	docs[0].Source = []byte(`{"a":3}`)
	check(t, sink, docs, flush.Outcome{Verdict: flush.Delivered, Status: 200}, duplicate)
	if body := r.must(t, "GET", "/"+index+"/_doc/"+docs[0].ID, ""); !strings.Contains(string(body), `"a":3`) {
		t.Errorf("document is %s", body)
	}
}

// Without ids of ours the server makes them, and sending again stores again.
func TestReal_WithoutIDs(t *testing.T) {
	r, sink := startReal(t)
	index := r.index(t, "noid", "", `"properties":{"n":{"type":"long"}}`)
	docs := realDocs(index, `{"n":1}`, `{"n":"x"}`, `{"n":3}`)
	for i := range docs {
		docs[i].ID = ""
	}
	bad := flush.Outcome{Verdict: flush.Permanent, Status: 400}
	check(t, sink, docs, delivered, bad, delivered)
	check(t, sink, docs, delivered, bad, delivered)
	if n := r.count(t, index); n != 4 {
		t.Errorf("%d documents are stored, want 4", n)
	}
}

// A server that knows require_data_stream makes no index by mistake; one that does not is found out before anything is sent.
func TestReal_RequireDataStream(t *testing.T) {
	r, _ := startReal(t)
	sink, err := elastic.New(elastic.Options{Addresses: []string{r.url}, RequireDataStream: true})
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	outcomes, err := sink.Send(t.Context(), realDocs(r.prefix+"-plain", `{"@timestamp":"2026-01-02T03:04:05Z"}`))
	if !r.info.AtLeast(elastic.ProductElasticsearch, 8, 13) {
		if re := requestError(t, outcomes, err); re.Cause != "product" || !re.Parked() {
			t.Errorf("error is %+v, want product", re)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if outcomes[0].Verdict != flush.Blocked || outcomes[0].Status != 404 {
		t.Errorf("outcome is %+v, want a missing data stream", outcomes[0])
	}
}

// One node of three away costs nothing but attempts.
func TestReal_Failover(t *testing.T) {
	r, _ := startReal(t)
	index := r.index(t, "failover", "", "")
	sink, err := elastic.New(elastic.Options{Addresses: []string{"http://" + closedAddress(t), r.url, strings.Replace(r.url, "127.0.0.1", "localhost", 1)}})
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	for i := range 20 {
		docs := realDocs(index, `{"a":1}`)
		docs[0].ID = fmt.Sprint(i)
		check(t, sink, docs, delivered)
	}
}
