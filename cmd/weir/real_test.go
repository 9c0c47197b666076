package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/weirlog/weir/flush/elastic"
)

// The tests that are called TestReal_... run the real program against a real Elasticsearch or OpenSearch. After each step they take
// stock: every acknowledged event is one document or one dead letter, never both, never two of one, and every letter is one
// that had to become one (see realRun.stock).
const (
	// envRealURL names a server that tests may write to. What they make there is called weirtest-... and removed again.
	envRealURL = "WEIR_TEST_ES_URL"
	// envRealStart is a command that starts further servers; see startOwnServer.
	envRealStart = "WEIR_TEST_ES_START"
)

// realServer is a search server, seen by somebody who is not weir.
type realServer struct {
	*testing.T
	url      string
	password string // of the user elastic; "" where there is no security
	prefix   string // of all names that the test makes
	product  string
	version  string
}

// sharedServer returns the server that the environment names, or skips the test.
func sharedServer(t *testing.T) *realServer {
	t.Helper()
	url := os.Getenv(envRealURL)
	if url == "" {
		t.Skipf("no real server: set %s to the URL of an Elasticsearch or OpenSearch that tests may write to", envRealURL)
	}
	s := &realServer{T: t, url: strings.TrimSuffix(url, "/"), prefix: realPrefix()}
	s.identify()
	return s
}

func realPrefix() string { return fmt.Sprintf("weirtest-%08x", rand.Uint32()) }

// identify finds out what the server is, as an operator would.
func (s *realServer) identify() {
	s.Helper()
	var root struct {
		Version struct {
			Number       string `json:"number"`
			Distribution string `json:"distribution"`
		} `json:"version"`
	}
	s.decode("GET", "/", "", &root)
	s.product, s.version = elastic.ProductElasticsearch, root.Version.Number
	if root.Version.Distribution == "opensearch" {
		s.product = elastic.ProductOpenSearch
	}
	s.Logf("server: %s %s", s.product, s.version)
}

// try makes a request and returns status and body; an error when nobody answers.
func (s *realServer) try(method, path, body string) (int, []byte, error) {
	req, err := http.NewRequest(method, s.url+path, strings.NewReader(body)) // not the test's context: cleanups use it, too
	if err != nil {
		return 0, nil, err
	}
	req.Close = true
	req.Header.Set("Content-Type", "application/json")
	if s.password != "" {
		req.SetBasicAuth("elastic", s.password)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, b, err
}

// must makes a request that has to succeed.
func (s *realServer) must(method, path, body string) []byte {
	s.Helper()
	status, b, err := s.try(method, path, body)
	if err != nil || status/100 != 2 {
		s.Fatalf("%s %s: %d %v %s", method, path, status, err, b)
	}
	return b
}

// gone removes something when the test ends, if it is there.
func (s *realServer) gone(path string) {
	s.Cleanup(func() {
		if status, b, err := s.try("DELETE", path, ""); err == nil && status/100 != 2 && status != http.StatusNotFound {
			s.Errorf("DELETE %s: %d %s", path, status, b)
		}
	})
}

func (s *realServer) decode(method, path, body string, into any) {
	s.Helper()
	if err := json.Unmarshal(s.must(method, path, body), into); err != nil {
		s.Fatalf("%s %s: %v", method, path, err)
	}
}

// name makes a name that nobody else uses, and removes the index of that name with the test.
func (s *realServer) name(what string) string {
	name := s.prefix + "-" + what
	s.gone("/" + name)
	return name
}

// index makes an index. settings are further ones, each with a comma before it; mappings is the inside of an object.
func (s *realServer) index(what, settings, mappings string) string {
	s.Helper()
	name := s.name(what)
	s.must("PUT", "/"+name, fmt.Sprintf(`{"settings":{"number_of_shards":1,"number_of_replicas":0%s},"mappings":{%s}}`, settings, mappings))
	return name
}

// dataStream makes a data stream out of a template.
func (s *realServer) dataStream(what, options string) string {
	s.Helper()
	name := s.prefix + "-" + what
	status, b, err := s.try("PUT", "/_index_template/"+name, fmt.Sprintf(
		`{"index_patterns":[%q],"data_stream":{},"priority":500,"template":{%s"settings":{"number_of_replicas":0},"mappings":{"properties":{"context":{"properties":{"amount":{"type":"long"}}}}}}}`, name, options))
	if err != nil {
		s.Fatal(err)
	}
	if status/100 != 2 {
		s.Skipf("this server makes no such data stream: %d %.300s", status, b)
	}
	s.gone("/_index_template/" + name)
	s.must("PUT", "/_data_stream/"+name, "")
	s.gone("/_data_stream/" + name) // before its template
	return name
}

// set changes settings of an index.
func (s *realServer) set(index, key, value string) {
	s.Helper()
	s.must("PUT", "/"+index+"/_settings", fmt.Sprintf(`{%q:%s}`, key, value))
}

// numbers returns how many documents there are of each event, by its number, in indices that are there.
func (s *realServer) numbers(targets ...string) map[int]int {
	s.Helper()
	found := map[int]int{}
	for _, target := range targets {
		s.must("POST", "/"+target+"/_refresh?ignore_unavailable=true", "")
		var page struct {
			Scroll string `json:"_scroll_id"`
			Hits   struct {
				Hits []struct {
					Source json.RawMessage `json:"_source"`
				} `json:"hits"`
			} `json:"hits"`
		}
		s.decode("POST", "/"+target+"/_search?scroll=1m&ignore_unavailable=true", `{"size":5000,"sort":["_doc"],"_source":["extra.n"]}`, &page)
		for len(page.Hits.Hits) > 0 {
			for _, hit := range page.Hits.Hits {
				n, ok := realNumber(hit.Source)
				if !ok {
					s.Fatalf("a document of %s is none of ours: %.200s", target, hit.Source)
				}
				found[n]++
			}
			scroll := page.Scroll
			page.Hits.Hits = nil
			s.decode("POST", "/_search/scroll", fmt.Sprintf(`{"scroll":"1m","scroll_id":%q}`, scroll), &page)
		}
		_, _, _ = s.try("DELETE", "/_search/scroll", fmt.Sprintf(`{"scroll_id":%q}`, page.Scroll)) // ends by itself otherwise
	}
	return found
}

// realNumber finds out which event a document or a letter was made of.
func realNumber(b []byte) (int, bool) {
	var event struct {
		Extra struct {
			N int `json:"n"`
		} `json:"extra"`
	}
	err := json.NewDecoder(bytes.NewReader(b)).Decode(&event)
	return event.Extra.N, err == nil && event.Extra.N > 0
}
