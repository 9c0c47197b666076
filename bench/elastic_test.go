package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/weirlog/weir/bench/load"
	"github.com/weirlog/weir/bench/report"
	"github.com/weirlog/weir/flush/elastic/elastictest"
)

// fakeServer is an elastictest with what the benchmark asks a server beyond bulk requests.
type fakeServer struct {
	*elastictest.Server
	url string

	mu      sync.Mutex
	created []string // indices, in order
	deleted []string
	hidden  int // documents of each index that a count does not find
}

func newFakeServer(t *testing.T, opts elastictest.Options) *fakeServer {
	f := &fakeServer{Server: elastictest.Start(t, opts)}
	behind, err := url.Parse(f.URL())
	if err != nil {
		t.Fatal(err)
	}
	behindProxy := httputil.NewSingleHostReverseProxy(behind)
	// The body is whole before it is passed on. Otherwise the server behind may answer before the proxy has seen where the body ends;
	// net/http closes the body then, the transport takes that for a failed request, and cuts the answer off.
	proxy := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		behindProxy.ServeHTTP(w, r)
	})
	mux := http.NewServeMux()
	mux.Handle("/{$}", proxy)
	mux.Handle("POST /_bulk", proxy)
	mux.Handle("POST /{index}/_bulk", proxy)
	mux.HandleFunc("PUT /{index}", func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Mappings, Settings map[string]any }
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || body.Mappings["dynamic"] != "strict" {
			http.Error(w, "not an index", http.StatusBadRequest)
			return
		}
		f.remember(&f.created, r.PathValue("index"))
	})
	mux.HandleFunc("DELETE /{index}", func(_ http.ResponseWriter, r *http.Request) { f.remember(&f.deleted, r.PathValue("index")) })
	mux.HandleFunc("POST /{index}/_refresh", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /{index}/_count", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"count":%d}`, len(f.sources(r.PathValue("index")))-f.hidden)
	})
	web := httptest.NewServer(mux)
	t.Cleanup(func() {
		web.Close()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections() // of the proxy
	})
	f.url = web.URL
	return f
}

func (f *fakeServer) remember(list *[]string, index string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	*list = append(*list, index)
}

// sources returns the documents of an index, sorted.
func (f *fakeServer) sources(index string) (sources []string) {
	for _, d := range f.Docs() {
		if d.Index == index {
			sources = append(sources, string(d.Source))
		}
	}
	slices.Sort(sources)
	return sources
}

func newElasticLab(t *testing.T, server string, documents int) *elasticLab {
	t.Helper()
	s := newSearchServer(server, 0)
	t.Cleanup(s.close)
	l := newLab(t)
	l.rounds = 1
	return &elasticLab{lab: l, server: s, prefix: "test-", requests: elasticRequests("bench"),
		flags: elasticOptions{url: server, documents: documents, connections: []int{2}, bodies: []float64{0.1}}}
}

// TestRunElastic_SendsTheSameDocuments runs the whole command with a weir that was built from the tree.
func TestRunElastic_SendsTheSameDocuments(t *testing.T) {
	f := newFakeServer(t, elastictest.Options{})
	dir := t.TempDir()
	jsonFile := filepath.Join(dir, "report.json")
	var out bytes.Buffer
	o := elasticOptions{url: f.url + "/", documents: 3000, warmRounds: 3, connections: []int{1, 2}, bodies: []float64{0.1}, serverPID: os.Getpid(),
		options: options{rounds: 1, dir: dir, json: jsonFile, out: &out, progress: testWriter{t}}}
	if err := runElastic(t.Context(), o); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	text, err := os.ReadFile(jsonFile)
	if err != nil {
		t.Fatal(err)
	}
	var r report.Report
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	rounds := 0
	for _, c := range r.Cases {
		for _, row := range c.Rows {
			rounds += len(row.Rounds)
			for _, round := range row.Rounds {
				isWeir := strings.HasPrefix(row.Target, "weir")
				if round.Delivered <= 0 || round.Acked != 3200 || isWeir != (round.PeakMegabytes > 0) || (row.Target == "weir, live") != (round.Rate > 0) {
					t.Errorf("%s, %s, %s: %+v", c.Scenario, c.Name, row.Target, round)
				}
			}
		}
	}
	// Settings: two of each of two loaders, twice; then four targets with ids and at least two without.
	if rounds < 8+6 {
		t.Errorf("%d rounds:\n%s", rounds, text)
	}
	if slices.Sort(f.deleted); !slices.Equal(slices.Sorted(slices.Values(f.created)), f.deleted) {
		t.Errorf("indices %q were made and %q deleted", f.created, f.deleted)
	}
	want := f.sources(f.created[0])
	for _, index := range f.created[1:] {
		if got := f.sources(index); !slices.Equal(got, want) {
			t.Errorf("%s holds %d documents, not those of the first index, first %.500q", index, len(got), got[:min(1, len(got))])
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, "weir-bench-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
}

func TestElasticLab_Record_MissingDocument(t *testing.T) {
	f := newFakeServer(t, elastictest.Options{})
	f.hidden = 1
	e := newElasticLab(t, f.url, 1600)
	for _, name := range []string{report.PlainLoop, report.BulkIndexer} {
		target := loaderTarget(name, e.flags.settings()[0])
		if err := e.record(t.Context(), "test", &target, &elasticCases[1], 0); err != nil {
			t.Fatal(err)
		}
	}
	if got := e.report.Failures; len(got) != 2 || !strings.Contains(got[0], "1600 documents were sent and 1599 are in the index") {
		t.Errorf("failures %q", got)
	}
	if err := e.finish(); !errors.Is(err, errFailed) {
		t.Errorf("finish: %v", err)
	}
}

func TestLoaders_FaultsEndTheRound(t *testing.T) {
	for name, tt := range map[string]struct {
		loader string
		opts   elastictest.Options
		want   string
	}{
		"the plain loop looks at the status": {report.PlainLoop, elastictest.Options{Request: func(r elastictest.Request) elastictest.Fault {
			return elastictest.Fault{Status: 429 * (r.Number / 2 % 2)}
		}}, "429"},
		"esutil is asked for failed items": {report.BulkIndexer, elastictest.Options{Item: func(it elastictest.Item) elastictest.Answer {
			if strings.HasSuffix(it.ID, "-7") {
				return elastictest.Answer{Status: 400, Type: "document_parsing_exception", Reason: "no"}
			}
			return elastictest.Answer{}
		}}, "1 of 1600 items failed"},
		"esutil is asked for failed requests": {report.BulkIndexer, elastictest.Options{Request: func(elastictest.Request) elastictest.Fault {
			return elastictest.Fault{Status: 503, Body: `{"error":{"type":"x","reason":"away"},"status":503}`}
		}}, "index: "},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeServer(t, tt.opts)
			e := newElasticLab(t, f.url, 1600)
			target := loaderTarget(tt.loader, e.flags.settings()[0])
			_, err := e.round(t.Context(), &target, &elasticCases[0], false)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			if !slices.Equal(f.deleted, f.created) {
				t.Errorf("indices %q were made and %q deleted", f.created, f.deleted)
			}
		})
	}
}

func TestSearchServer_SaysWhatWasRefused(t *testing.T) {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no room", http.StatusTooManyRequests) }))
	defer web.Close()
	s := newSearchServer(web.URL, 0)
	defer s.close()
	if _, err := s.count(t.Context(), "some"); err == nil || !strings.Contains(err.Error(), "POST /some/_refresh: 429 Too Many Requests: no room") {
		t.Errorf("error %v", err)
	}
}

func TestSettled(t *testing.T) {
	for name, tt := range map[string]struct {
		counts []int // that weir says, one after the other
		want   string
	}{
		"all come after a while": {[]int{0, 10, 90, 100}, ""},
		"one too many":           {[]int{0, 101}, "weir says that it settled 101 of 100 documents"},
	} {
		t.Run(name, func(t *testing.T) {
			asked := 0
			admin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				fmt.Fprintf(w, "%s %d\n", settledMetric, tt.counts[min(asked, len(tt.counts)-1)])
				asked++
			}))
			defer admin.Close()
			err := settled(t.Context(), &server{admin: admin.URL}, 100)
			if (tt.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			if asked != len(tt.counts) {
				t.Errorf("asked %d times", asked)
			}
		})
	}
}

func TestElasticCase_Takes(t *testing.T) {
	for name, tt := range map[string]struct {
		script string
		want   bool
	}{
		"a weir that knows the key":            {`test "$WEIR_ELASTICSEARCH_ID" = none`, true},
		"one that does not":                    {`echo "failed   configuration  environment WEIR_ELASTICSEARCH_ID: unknown variable"; exit 1`, false},
		"one that fails for some other reason": {`echo "failed   destination"; exit 1`, true},
	} {
		t.Run(name, func(t *testing.T) {
			binary := filepath.Join(t.TempDir(), "weir")
			if err := os.WriteFile(binary, []byte("#!/bin/sh\n"+tt.script+"\n"), 0o700); err != nil {
				t.Fatal(err)
			}
			got, err := elasticCases[1].takes(t.Context(), binary, "http://127.0.0.1:1", t.TempDir())
			if err != nil || got != tt.want {
				t.Errorf("takes: %v, %v", got, err)
			}
		})
	}
	if _, err := elasticCases[1].takes(t.Context(), filepath.Join(t.TempDir(), "nothing"), "", ""); err == nil {
		t.Error("a binary that does not exist knows the key")
	}
}

func TestBulkBodies(t *testing.T) {
	docs := makeDocuments(elasticRequests("bench"), 10)
	with, without := bulkBodies(docs, "i", true, 1000), bulkBodies(docs, "i", false, 1000)
	for _, bodies := range [][][]byte{with, without} {
		documents := 0
		for i, b := range bodies {
			documents += bytes.Count(b, []byte("\n")) / 2
			if last := i == len(bodies)-1; !bytes.HasSuffix(b, []byte("}\n")) || len(b) < 1000 && !last || len(b) > 1600 {
				t.Errorf("body %d has %d bytes", i, len(b))
			}
		}
		if documents != len(docs) {
			t.Errorf("%d documents", documents)
		}
	}
	var action struct {
		Create struct {
			Index string `json:"_index"`
			ID    string `json:"_id"`
		}
	}
	line, _, _ := bytes.Cut(with[len(with)-1], []byte("\n"))
	if err := json.Unmarshal(line, &action); err != nil || action.Create.Index != "i" || len(action.Create.ID) < len("0123456789abcdef-9") {
		t.Errorf("action %s: %v", line, err)
	}
	if line, _, _ := bytes.Cut(without[0], []byte("\n")); string(line) != `{"create":{"_index":"i"}}` {
		t.Errorf("action %s", line)
	}
}

func TestFullRequests_EveryConnectionPostsAsMuch(t *testing.T) {
	for n, want := range map[int]int{1: 1600, 1600: 1600, 1601: 3200, 400_000: 400_000} {
		if got := fullRequests(n); got != want {
			t.Errorf("%d documents become %d, want %d", n, got, want)
		}
	}
}

func TestFastest(t *testing.T) {
	all := (&elasticOptions{connections: []int{1, 2}, bodies: []float64{1, 2.5}}).settings()
	speeds := map[string]float64{"1 connections, 1 MB": 1, "1 connections, 2.5 MB": 7, "2 connections, 1 MB": 9, "2 connections, 2.5 MB": 8}
	best := fastest(all, func(s loaderSettings) float64 { return speeds[s.String()] })
	if best != (loaderSettings{2, 1_000_000}) {
		t.Errorf("fastest of %v is %v", all, best)
	}
}

func TestElasticOptions_Validate(t *testing.T) {
	good := elasticOptions{url: "http://127.0.0.1:9200", documents: 1, connections: []int{1}, bodies: []float64{1}, weirEnv: []string{"WEIR_FLUSH_WORKERS=2"}}
	good.options.rounds = 1
	if err := good.validate(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*elasticOptions){
		"--url":            func(o *elasticOptions) { o.url = "127.0.0.1:9200" },
		"--documents":      func(o *elasticOptions) { o.documents = 0 },
		"--warm-rounds":    func(o *elasticOptions) { o.warmRounds = -1 },
		"--rounds":         func(o *elasticOptions) { o.options.rounds = 0 },
		"--connections":    func(o *elasticOptions) { o.connections = []int{2, 0} },
		"--body-megabytes": func(o *elasticOptions) { o.bodies = []float64{0} },
		"at least one":     func(o *elasticOptions) { o.bodies = nil },
		"--weir-env":       func(o *elasticOptions) { o.weirEnv = []string{"PATH=/"} },
	} {
		o := good
		spoil(&o)
		if err := o.validate(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRequest_Body_IsWhatIsPosted(t *testing.T) {
	r := load.Make("bench", load.Shape{Path: "/ingest", Events: 2, EventBytes: 320, Variants: 1, Seed: 1})[0]
	if body := r.Body(); len(body) != 2*321 || !bytes.HasPrefix(body, []byte(`{"message"`)) || !bytes.HasSuffix(r.Bytes, body) {
		t.Errorf("body of %d bytes: %.100q", len(body), body)
	}
}
