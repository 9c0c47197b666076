package elastic_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/flush/elastic"
	"github.com/weirlog/weir/flush/elastic/elastictest"
)

// logged makes a sink say what it says into a buffer.
func logged(b *bytes.Buffer) func(*elastic.Options) {
	return func(o *elastic.Options) { o.Logger = slog.New(slog.NewTextHandler(b, nil)) }
}

func TestSink_Send_FindsOutOnce(t *testing.T) {
	server := elastictest.Start(t, elastictest.Options{OpenSearch: true})
	var said bytes.Buffer
	sink := newSink(t, server, logged(&said))
	if _, known := sink.Info(); known {
		t.Error("known before anybody asked")
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := sink.Send(t.Context(), documents(5)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	want := elastic.Info{Product: elastic.ProductOpenSearch, Version: "2.19.1", Cluster: "elastictest"}
	if info, known := sink.Info(); !known || info != want {
		t.Errorf("info is %+v, %v", info, known)
	}
	if n := server.Stats().Greetings; n != 1 {
		t.Errorf("asked %d times", n)
	}
	if n := strings.Count(said.String(), "opensearch 2.19.1, cluster"); n != 1 {
		t.Errorf("said %d times: %s", n, said.String())
	}
}

// A key that may only write is refused everything else; its documents arrive all the same, and it is not asked each time.
func TestSink_Send_NobodySaysWhoItIs(t *testing.T) {
	for name, opts := range map[string]elastictest.Options{
		"forbidden":   {Greeting: 403},
		"unavailable": {Greeting: 503},
		"unknown":     {Greeting: 405},
	} {
		server := elastictest.Start(t, opts)
		sink := newSink(t, server, func(o *elastic.Options) { o.Compression = elastic.CompressionZstd; o.RequireDataStream = true })
		for range 5 {
			if _, err := sink.Send(t.Context(), documents(5)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if s := server.Stats(); s.Stored != 5 || s.Greetings != 1 {
			t.Errorf("%s: %+v", name, s)
		}
		if _, known := sink.Info(); known {
			t.Errorf("%s: known", name)
		}
	}
}

func TestSink_Send_Unsupported(t *testing.T) {
	for name, tt := range map[string]struct {
		server elastictest.Options
		change func(*elastic.Options)
		says   string // "" when it is delivered to
	}{
		"Elasticsearch 6":                          {elastictest.Options{Version: "6.8.23"}, func(*elastic.Options) {}, "6.8.23, which is too old"},
		"Elasticsearch 7":                          {elastictest.Options{Version: "7.17.0"}, func(*elastic.Options) {}, ""},
		"OpenSearch 1":                             {elastictest.Options{OpenSearch: true, Version: "1.3.20"}, func(*elastic.Options) {}, ""},
		"OpenSearch and data streams":              {elastictest.Options{OpenSearch: true}, strict, "set elasticsearch.require_data_stream to false"},
		"an early Elasticsearch 8 and data stream": {elastictest.Options{Version: "8.12.2"}, strict, "Elasticsearch from 8.13"},
		"Elasticsearch and data streams":           {elastictest.Options{Version: "8.13.0"}, strict, ""},
	} {
		server := elastictest.Start(t, tt.server)
		sink := newSink(t, server, tt.change)
		outcomes, err := sink.Send(t.Context(), documents(1))
		if tt.says == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		re := requestError(t, outcomes, err)
		if re.Cause != "product" || !re.Parked() || !strings.Contains(re.Error(), tt.says) {
			t.Errorf("%s: error is %+v", name, re)
		}
		if n := server.Stats().Requests; n != 0 {
			t.Errorf("%s: %d bulk requests", name, n)
		}
	}
}

func strict(o *elastic.Options) { o.RequireDataStream = true }

func TestSink_Send_RequireDataStream(t *testing.T) {
	var query string
	server := elastictest.Start(t, elastictest.Options{Request: func(r elastictest.Request) elastictest.Fault {
		query = r.Query
		return elastictest.Fault{}
	}})
	checkVerdicts(t, newSink(t, server, strict), documents(1), flush.Delivered)
	if !strings.Contains(query, "require_data_stream=true") {
		t.Errorf("query is %s", query)
	}
}

// Elasticsearch takes a body of zstd for broken JSON; it must never see one.
func TestSink_Send_Zstd(t *testing.T) {
	for name, tt := range map[string]struct {
		server elastictest.Options
		want   string // encoding
	}{
		"OpenSearch":         {elastictest.Options{OpenSearch: true}, "zstd"},
		"an old OpenSearch":  {elastictest.Options{OpenSearch: true, Version: "2.11.0"}, "gzip"},
		"Elasticsearch":      {elastictest.Options{}, "gzip"},
		"nobody says who":    {elastictest.Options{OpenSearch: true, Greeting: 403}, "gzip"},
		"another that hides": {elastictest.Options{OpenSearch: true, Version: "99"}, "gzip"},
	} {
		var encodings []string
		tt.server.Request = func(r elastictest.Request) elastictest.Fault {
			encodings = append(encodings, r.Encoding)
			return elastictest.Fault{}
		}
		server := elastictest.Start(t, tt.server)
		var said bytes.Buffer
		sink := newSink(t, server, logged(&said), func(o *elastic.Options) { o.Compression = elastic.CompressionZstd })
		checkVerdicts(t, sink, documents(20), flush.Delivered)
		checkVerdicts(t, sink, documents(20), flush.Duplicate)
		if fmt.Sprint(encodings) != fmt.Sprint([]string{tt.want, tt.want}) {
			t.Errorf("%s: encodings are %v, want %s", name, encodings, tt.want)
		}
		if n := strings.Count(said.String(), "requests travel as gzip"); tt.want == "gzip" && n != 1 || tt.want == "zstd" && n != 0 {
			t.Errorf("%s: said %d times: %s", name, n, said.String())
		}
	}
}

// Behind one address there may be more than one kind of server. A 400 for zstd must not end as a dead letter of every document.
func TestSink_Send_ZstdRefused(t *testing.T) {
	server := elastictest.Start(t, elastictest.Options{OpenSearch: true, Request: func(r elastictest.Request) elastictest.Fault {
		if r.Encoding == "zstd" {
			return elastictest.Fault{Status: 400, Body: fmt.Sprintf(jsonError, "x_content_parse_exception", "illegal", 400)}
		}
		return elastictest.Fault{}
	}})
	sink := newSink(t, server, func(o *elastic.Options) { o.Compression = elastic.CompressionZstd })
	outcomes, err := sink.Send(t.Context(), documents(3))
	if re := requestError(t, outcomes, err); re.Verdict != flush.Retry {
		t.Errorf("error is %+v, want retry", re)
	}
	checkVerdicts(t, sink, documents(3), flush.Delivered)
}

func TestSink_Notes(t *testing.T) {
	server := elastictest.Start(t, elastictest.Options{})
	sink := newSink(t, server, strict, func(o *elastic.Options) { o.Compression = elastic.CompressionZstd })
	for version, want := range map[elastic.Info]int{
		{Product: elastic.ProductElasticsearch, Version: "8.19.21"}:                  1, // zstd
		{Product: elastic.ProductElasticsearch, Version: "7.10.2"}:                   3, // and data streams, and age
		{Product: elastic.ProductElasticsearch, Version: "8.11.0", Serverless: true}: 1,
		{Product: elastic.ProductOpenSearch, Version: "3.8.0"}:                       1, // data streams
	} {
		if notes := sink.Notes(version); len(notes) != want {
			t.Errorf("%s: %q, want %d", version, notes, want)
		}
	}
}

// Values of headers reach the server and nothing else.
func TestSink_Send_Headers(t *testing.T) {
	const secret = "s3cret"
	var seen []string
	url := answering(t, func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Header.Get("X-Tenant"))
		w.WriteHeader(http.StatusTeapot)
	})
	var said bytes.Buffer
	sink, err := elastic.New(elastic.Options{Addresses: []string{url}, Headers: http.Header{"x-tenant": {secret}},
		Logger: slog.New(slog.NewTextHandler(&said, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	_, err = sink.Send(t.Context(), documents(1))
	if fmt.Sprint(seen) != fmt.Sprint([]string{secret, secret}) {
		t.Errorf("saw %q", seen)
	}
	if strings.Contains(fmt.Sprint(err, sink.Name(), sink.Nodes(), said.String()), secret) {
		t.Error("the secret is told")
	}
}

// TestSink_Send_UpgradedServer: a server that could not be delivered to is asked again, so that its upgrade ends the park.
func TestSink_Send_UpgradedServer(t *testing.T) {
	var version atomic.Value
	version.Store("8.11.0")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // what is left makes the answer fail
		w.Header().Set("X-Elastic-Product", "Elasticsearch")
		if r.URL.Path == "/" {
			fmt.Fprintf(w, `{"cluster_name":"c","version":{"number":%q},"tagline":"You Know, for Search"}`, version.Load())
			return
		}
		fmt.Fprint(w, `{"errors":false,"items":[{"create":{"_id":"1","status":201}}]}`)
	}))
	defer server.Close()
	sink, err := elastic.New(elastic.Options{Addresses: []string{server.URL}, RequireDataStream: true})
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	docs := []flush.Document{{ID: "1", Index: "logs-a-b", Source: []byte(`{}`)}}
	for range 2 {
		_, err = sink.Send(t.Context(), docs)
		if re := requestError(t, nil, err); !re.Parked() {
			t.Errorf("before the upgrade: %v", err)
		}
	}
	version.Store("8.15.0")
	if _, err := sink.Send(t.Context(), docs); err != nil {
		t.Errorf("after the upgrade: %v", err)
	}
}
