package elastic_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/flush/elastic"
)

// probedServer answers what a probe asks, and remembers it.
type probedServer struct {
	mu       sync.Mutex
	asked    []string // method and path
	bodies   map[string]string
	get      func() (int, string) // GET /index
	simulate func(sources []json.RawMessage) (int, string)
	create   func() (int, string)
	delete   func() (int, string)
	bulk     func()
}

func newProbedServer(t *testing.T) (*probedServer, *elastic.Sink) {
	t.Helper()
	p := &probedServer{bodies: map[string]string{}}
	web := httptest.NewServer(p)
	t.Cleanup(web.Close)
	sink, err := elastic.New(elastic.Options{Addresses: []string{web.URL}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sink.Close() })
	return p, sink
}

func (p *probedServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	what := r.Method + " " + r.URL.RequestURI()
	p.mu.Lock()
	p.asked = append(p.asked, what)
	p.bodies[what] = string(body)
	p.mu.Unlock()
	status, answer := p.answer(r, body)
	w.Header().Set("X-Elastic-Product", "Elasticsearch")
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, answer)
}

func (p *probedServer) answer(r *http.Request, body []byte) (int, string) {
	or := func(f func() (int, string), answer string) (int, string) {
		if f != nil {
			return f()
		}
		return 200, answer
	}
	switch {
	case r.URL.Path == "/_bulk":
		if p.bulk != nil {
			p.bulk()
		}
		var items []string
		for i, line := range strings.Split(strings.TrimSpace(string(body)), "\n") {
			if i%2 == 1 {
				continue
			}
			var action map[string]struct {
				Index string `json:"_index"`
				ID    string `json:"_id"`
			}
			if json.Unmarshal([]byte(line), &action) != nil {
				return 500, "{}"
			}
			a := action["create"]
			items = append(items, fmt.Sprintf(`{"create":{"_id":%q,"status":400,"error":{"type":"x","reason":"in %s"}}}`, a.ID, a.Index))
		}
		return 200, `{"errors":true,"items":[` + strings.Join(items, ",") + `]}`
	case r.URL.Path == "/_ingest/_simulate":
		var request struct {
			Docs []struct {
				Source json.RawMessage `json:"_source"`
			}
		}
		if p.simulate == nil {
			return 400, `{"error":"no handler found"}`
		}
		if json.Unmarshal(body, &request) != nil {
			return 500, "{}"
		}
		var sources []json.RawMessage
		for _, d := range request.Docs {
			sources = append(sources, d.Source)
		}
		return p.simulate(sources)
	case strings.HasPrefix(r.URL.Path, "/_index_template/"):
		return 200, `{"template":{"mappings":{"dynamic":"strict"},"settings":{"index":{"number_of_replicas":"0"}}}}`
	case r.Method == http.MethodGet:
		return or(p.get, `{"logs-x-000001":{"mappings":{"properties":{"old":{"type":"long"}}}},"logs-x-000002":{"mappings":{"properties":{"n":{"type":"long"}}},
			"settings":{"index":{"number_of_shards":"5","number_of_replicas":"2","default_pipeline":"evil","blocks":{"write":"false"},"mapping":{"total_fields":{"limit":"7"}}}}}}`)
	case r.Method == http.MethodPut:
		return or(p.create, `{"acknowledged":true}`)
	case r.Method == http.MethodDelete:
		return or(p.delete, `{"acknowledged":true}`)
	}
	return 405, "{}"
}

// requests returns those of a method, by their path.
func (p *probedServer) requests(method string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var found []string
	for _, a := range p.asked {
		if m, path, _ := strings.Cut(a, " "); m == method {
			found = append(found, path)
		}
	}
	return found
}

func probedDocs() []flush.Document {
	return []flush.Document{
		{Index: "logs-x", ID: "a-1", Source: []byte(`{"n":1}`)},
		{Index: "logs-x", ID: "a-2", Source: []byte(`{"n":"x"}`), Pipeline: "p"},
	}
}

func TestProbe_ScratchIndex_IsLikeTheTargetAndGoes(t *testing.T) {
	server, sink := newProbedServer(t)
	probe := sink.NewProbe()
	out, err := probe.Try(t.Context(), probedDocs())
	if err != nil || len(out) != 2 || out[0].Verdict != flush.Permanent || out[1].Reason != "in logs-x" {
		t.Fatalf("%+v %v", out, err)
	}
	if _, err := probe.Try(t.Context(), probedDocs()[:1]); err != nil {
		t.Fatal(err)
	}
	made := server.requests(http.MethodPut)
	if len(made) != 1 || !strings.HasPrefix(made[0], "/weir-scratch-") {
		t.Fatalf("made %q", made)
	}
	body := server.bodies["PUT "+made[0]]
	for _, want := range []string{`"n":{"type":"long"}`, `"number_of_shards":1`, `"number_of_replicas":0`, `"limit":"7"`} {
		if !strings.Contains(body, want) {
			t.Errorf("%s lacks %s", body, want)
		}
	}
	if strings.Contains(body, "evil") || strings.Contains(body, `"old"`) {
		t.Errorf("a pipeline, or the index before: %s", body)
	}
	for what, sent := range server.bodies {
		if strings.Contains(what, "_bulk") && (!strings.Contains(sent, `"pipeline":"_none"`) || strings.Contains(sent, `"pipeline":"p"`) || strings.Contains(sent, `"logs-x"`)) {
			t.Errorf("sent %s", sent)
		}
	}
	notes := probe.Close()
	if gone := server.requests(http.MethodDelete); !slices.Equal(gone, made) {
		t.Errorf("deleted %q, made %q", gone, made)
	}
	if text := strings.Join(notes, "; "); !strings.Contains(text, "now deleted") || !strings.Contains(text, "pipelines were not run") {
		t.Errorf("%q", notes)
	}
}

func TestProbe_CutOff_ScratchIndexGoesAllTheSame(t *testing.T) {
	server, sink := newProbedServer(t)
	ctx, cancel := context.WithCancel(t.Context())
	server.bulk = cancel
	probe := sink.NewProbe()
	if _, err := probe.Try(ctx, probedDocs()); err == nil {
		t.Error("no error although the context has ended")
	}
	probe.Close()
	if made, gone := server.requests(http.MethodPut), server.requests(http.MethodDelete); len(made) != 1 || !slices.Equal(made, gone) {
		t.Errorf("made %q, deleted %q", made, gone)
	}
}

func TestProbe_AnswerToMakingIsLost_IsDeletedAllTheSame(t *testing.T) {
	server, sink := newProbedServer(t)
	ctx, cancel := context.WithCancel(t.Context())
	server.create = func() (int, string) { cancel(); return 200, `{"acknowledged":true}` }
	probe := sink.NewProbe()
	_, _ = probe.Try(ctx, probedDocs())
	probe.Close()
	if gone := server.requests(http.MethodDelete); len(gone) != 1 {
		t.Errorf("deleted %q", gone)
	}
}

func TestProbe_RefusedByTheServer_SaysWhatItMayNot(t *testing.T) {
	denied := func() (int, string) {
		return 403, `{"error":{"type":"security_exception","reason":"action [x] is unauthorized"},"status":403}`
	}
	for name, refuse := range map[string]func(*probedServer){
		"read the mapping":     func(s *probedServer) { s.get = denied },
		"make a scratch index": func(s *probedServer) { s.create = denied },
	} {
		t.Run(name, func(t *testing.T) {
			server, sink := newProbedServer(t)
			refuse(server)
			probe := sink.NewProbe()
			for range 2 { // the second time without asking again
				if _, err := probe.Try(t.Context(), probedDocs()); err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "unauthorized") {
					t.Errorf("%v", err)
				}
			}
			if n := len(server.requests(http.MethodGet)) + len(server.requests(http.MethodPut)); n > 2 {
				t.Errorf("asked %q", server.asked)
			}
			probe.Close()
		})
	}
	t.Run("delete it", func(t *testing.T) {
		server, sink := newProbedServer(t)
		server.delete = denied
		probe := sink.NewProbe()
		if _, err := probe.Try(t.Context(), probedDocs()); err != nil {
			t.Fatal(err)
		}
		if notes := strings.Join(probe.Close(), "; "); !strings.Contains(notes, "is still there, delete it") || !strings.Contains(notes, "weir-scratch-") {
			t.Errorf("%q", notes)
		}
	})
}

func TestProbe_Simulate(t *testing.T) {
	server, sink := newProbedServer(t)
	server.simulate = func(sources []json.RawMessage) (int, string) {
		var docs []string
		for _, s := range sources {
			switch string(s) {
			case `{"":0}`, `{"n":"x"}`:
				docs = append(docs, `{"doc":{"error":{"type":"document_parsing_exception","reason":"[1:6] failed to parse field [n] of type [long]"}}}`)
			case `{"drop":1}`:
				docs = append(docs, `{"doc":null}`)
			default:
				docs = append(docs, `{"doc":{"_id":"1"}}`)
			}
		}
		return 200, `{"docs":[` + strings.Join(docs, ",") + `]}`
	}
	probe := sink.NewProbe()
	out, err := probe.Try(t.Context(), append(probedDocs(), flush.Document{Index: "logs-x", Source: []byte(`{"drop":1}`)}))
	if err != nil || out[0].Verdict != flush.Delivered || out[1].Verdict != flush.Permanent || out[1].Type != "document_parsing_exception" || out[2].Verdict != flush.Delivered {
		t.Fatalf("%+v %v", out, err)
	}
	if asked := server.requests(http.MethodPost); !slices.Equal(asked, []string{"/_ingest/_simulate", "/_ingest/_simulate?pipeline=p"}) {
		t.Errorf("asked %q", asked)
	}
	probe.Close()
	if made := server.requests(http.MethodPut); len(made) != 0 {
		t.Errorf("made %q", made)
	}
}

// TestProbe_SimulatesWithoutMappings as servers before 8.15 do: what says yes to everything is not believed.
func TestProbe_SimulatesWithoutMappings_AsksAScratchIndex(t *testing.T) {
	server, sink := newProbedServer(t)
	server.simulate = func(sources []json.RawMessage) (int, string) {
		return 200, `{"docs":[` + strings.TrimSuffix(strings.Repeat(`{"doc":{}},`, len(sources)), ",") + `]}`
	}
	probe := sink.NewProbe()
	if out, err := probe.Try(t.Context(), probedDocs()); err != nil || out[0].Verdict != flush.Permanent {
		t.Errorf("%+v %v", out, err)
	}
	probe.Close()
	if n := len(server.requests(http.MethodDelete)); n != 1 {
		t.Errorf("%d scratch indices deleted", n)
	}
}

func TestProbe_IndexThatTakesNothing(t *testing.T) {
	for settings, typ := range map[string]string{
		`"blocks":{"read_only":"true"}`:  "cluster_block_exception",
		`"verified_before_close":"true"`: "index_closed_exception",
	} {
		server, sink := newProbedServer(t)
		server.get = func() (int, string) {
			return 200, `{"logs-x":{"mappings":{},"settings":{"index":{` + settings + `}}}}`
		}
		probe := sink.NewProbe()
		if out, err := probe.Try(t.Context(), probedDocs()); err != nil || out[0].Verdict != flush.Blocked || out[1].Type != typ {
			t.Errorf("%+v %v", out, err)
		}
		probe.Close()
	}
}

func TestProbe_IndexThatIsNotThereYet_IsLikeItsTemplate(t *testing.T) {
	server, sink := newProbedServer(t)
	server.get = func() (int, string) { return 404, `{"error":{"type":"index_not_found_exception","reason":"no"}}` }
	probe := sink.NewProbe()
	if _, err := probe.Try(t.Context(), probedDocs()); err != nil {
		t.Fatal(err)
	}
	probe.Close()
	if made := server.requests(http.MethodPut); len(made) != 1 || !strings.Contains(server.bodies["PUT "+made[0]], "strict") {
		t.Errorf("%q", server.bodies)
	}
}

// TestReal_Probe compares what a probe foretells with what the server then does.
func TestReal_Probe(t *testing.T) {
	r, sink := startReal(t)
	mapping := `"properties":{"n":{"type":"long"},"kw":{"type":"keyword","ignore_above":100000},"context":{"properties":{"time":{"type":"date"}}}}`
	index := r.index(t, "probe", `,"index.mapping.total_fields.limit":12`, mapping)
	stream := r.prefix + "-stream"
	r.must(t, "PUT", "/_index_template/"+r.prefix, fmt.Sprintf(`{"index_patterns":[%q],"data_stream":{},"priority":200,"template":{"settings":{"number_of_replicas":0},"mappings":{%s}}}`, stream, mapping))
	r.must(t, "PUT", "/_data_stream/"+stream, "") // OpenSearch does not say of a template that it makes a data stream
	t.Cleanup(func() {
		r.call(t, "DELETE", "/_data_stream/"+stream, "")
		r.call(t, "DELETE", "/_index_template/"+r.prefix, "")
	})
	docs := realDocs(index, `{"n":1}`, `{"n":"abc"}`, `{"context":"x"}`, `{"context":{"time":"soon"}}`, `{"":1}`, `{"new":true}`)
	onlyStream := realDocs(stream, `{"n":1}`, `{"@timestamp":"2026-01-01T00:00:00Z","n":1}`, `{"@timestamp":"2026-01-01T00:00:00Z","n":"x"}`)
	for i := range onlyStream {
		onlyStream[i].ID += "-s"
	}
	docs = append(docs, onlyStream...)
	for name, probe := range map[string]*elastic.Probe{"best": sink.NewProbe(), "scratch": sink.NewProbe().WithoutSimulate()} {
		foretold, err := probe.Try(t.Context(), docs)
		notes := probe.Close()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		t.Logf("%s: %q", name, notes)
		if status, body := r.call(t, "GET", "/weir-scratch-*", ""); status == 200 && strings.TrimSpace(string(body)) != "{}" {
			t.Errorf("%s left %s", name, body)
		}
		if n := r.count(t, index); n != 0 {
			t.Fatalf("%s stored %d documents", name, n)
		}
		if name != "scratch" {
			continue
		}
		defer func() {
			did, err := sink.Send(t.Context(), docs)
			if err != nil {
				t.Fatal(err)
			}
			for i := range docs {
				if did[i].Verdict != foretold[i].Verdict || did[i].Type != foretold[i].Type {
					t.Errorf("%s: foretold %+v, and it was %+v", docs[i].Source, foretold[i], did[i])
				}
			}
		}()
	}
}
