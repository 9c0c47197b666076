package elastic_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/weirlog/weir/flush/elastic"
)

// setupServer keeps what Setup makes and answers as servers do.
type setupServer struct {
	greeting string
	lacks    []string // beginnings of paths that it does not know
	refuses  string   // beginning of paths that are 403

	mu       sync.Mutex
	things   map[string]json.RawMessage
	requests []string // that change something
}

const (
	greetES = `{"cluster_name":"c","tagline":"You Know, for Search","version":{"number":"8.19.21","build_flavor":"default"}}`
	greetOS = `{"cluster_name":"c","version":{"number":"2.19.1","distribution":"opensearch"}}`
)

func (s *setupServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	say := func(status int, format string, args ...any) {
		w.WriteHeader(status)
		fmt.Fprintf(w, format, args...)
	}
	if r.URL.Path == "/" {
		say(200, "%s", s.greeting)
		return
	}
	for _, begin := range s.lacks {
		if strings.HasPrefix(r.URL.Path, begin) {
			say(400, `{"error":"no handler found for uri [%s] and method [%s]"}`, r.URL.Path, r.Method)
			return
		}
	}
	if s.refuses != "" && strings.HasPrefix(r.URL.Path, s.refuses) {
		say(403, `{"error":{"type":"security_exception","reason":"action is unauthorized"},"status":403}`)
		return
	}
	thing, there := s.things[r.URL.Path]
	switch {
	case r.Method == "GET" && !there:
		say(404, `{"error":{"type":"resource_not_found_exception","reason":"not found"},"status":404}`)
	case r.Method == "GET":
		say(200, "%s", s.shown(r.URL.Path, thing))
	case r.Method == "PUT" && strings.HasPrefix(r.URL.Path, "/_plugins") && there && r.URL.Query().Get("if_seq_no") != "7":
		say(409, `{"error":{"type":"version_conflict_engine_exception","reason":"document already exists"},"status":409}`)
	case r.Method == "PUT":
		body, err := io.ReadAll(r.Body)
		if err != nil {
			say(500, `{"error":{"type":"x","reason":"read"}}`)
			return
		}
		s.requests = append(s.requests, r.Method+" "+r.URL.Path)
		s.things[r.URL.Path] = body
		say(200, `{"acknowledged":true}`)
	default:
		say(405, `{"error":"Incorrect HTTP method"}`)
	}
}

// shown wraps a thing as the server does when it is asked.
func (s *setupServer) shown(path string, thing json.RawMessage) string {
	name := path[strings.LastIndex(path, "/")+1:]
	switch {
	case strings.HasPrefix(path, "/_ilm"):
		return fmt.Sprintf(`{%q:{"version":1,%s}`, name, string(thing)[1:])
	case strings.HasPrefix(path, "/_plugins"):
		return fmt.Sprintf(`{"_id":%q,"_seq_no":7,"_primary_term":1,%s`, name, string(thing)[1:])
	case strings.HasPrefix(path, "/_index_template"):
		return fmt.Sprintf(`{"index_templates":[{"name":%q,"index_template":%s}]}`, name, thing)
	}
	return `{"data_streams":[]}`
}

func startSetup(t *testing.T, s *setupServer) *elastic.Sink {
	t.Helper()
	s.things = map[string]json.RawMessage{}
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	sink, err := elastic.New(elastic.Options{Addresses: []string{web.URL}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sink.Close() })
	return sink
}

func setUp(t *testing.T, sink *elastic.Sink, opts elastic.SetupOptions) []elastic.SetupStep {
	t.Helper()
	_, steps, err := sink.Setup(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return steps
}

var logTargets = []elastic.SetupTarget{{Index: "logs-a", DataStream: true}, {Index: "logs-a", DataStream: true}, {Index: "dated-*"}}

func setupOptions() elastic.SetupOptions {
	return elastic.SetupOptions{Targets: logTargets, RolloverSize: "50gb", RolloverAge: "30d", Retention: "90d", Replicas: -1}
}

const allCreated = "policy created, index template created, data stream created, policy created, index template created"

func TestSink_Setup_MakesAllOnce(t *testing.T) {
	for name, tt := range map[string]struct {
		greeting, policy string
		holds            map[string][]string // by path, parts of what was made
	}{
		"Elasticsearch": {greetES, "/_ilm/policy/", map[string][]string{
			"/_ilm/policy/weir-logs-a":     {`"max_age":"30d"`, `"max_primary_shard_size":"50gb"`, `"min_age":"90d"`, `"managed_by":"weir"`},
			"/_ilm/policy/weir-dated":      {`"hot":{"actions":{}`, `"min_age":"90d"`},
			"/_index_template/weir-logs-a": {`"data_stream":{}`, `"index.lifecycle.name":"weir-logs-a"`, `"flattened"`, `ignore_dynamic_beyond_limit":true`},
			"/_index_template/weir-dated":  {`"index_patterns":["dated-*"]`, `"index.lifecycle.name":"weir-dated"`},
		}},
		"OpenSearch": {greetOS, "/_plugins/_ism/policies/", map[string][]string{
			"/_plugins/_ism/policies/weir-logs-a": {`"min_index_age":"30d"`, `"min_primary_shard_size":"50gb"`, `"min_index_age":"90d"`, `"index_patterns":["logs-a"]`},
			"/_plugins/_ism/policies/weir-dated":  {`"actions":[]`, `"index_patterns":["dated-*"]`},
			"/_index_template/weir-logs-a":        {`"data_stream":{}`, `"flat_object"`},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := &setupServer{greeting: tt.greeting}
			sink := startSetup(t, s)
			dry := setupOptions()
			dry.DryRun = true
			planned := setUp(t, sink, dry)
			if len(s.requests) != 0 {
				t.Errorf("a dry run made %q", s.requests)
			}
			made := setUp(t, sink, setupOptions())
			if results(planned) != allCreated || results(made) != allCreated {
				t.Errorf("planned %s, made %s, want %s", results(planned), results(made), allCreated)
			}
			for i, step := range planned {
				if got := step.Method + " " + step.Path; got != s.requests[i] || string(step.Body) != string(s.things[step.Path]) {
					t.Errorf("the dry run showed %s %s, made was %s %s", got, step.Body, s.requests[i], s.things[step.Path])
				}
			}
			for path, parts := range tt.holds {
				for _, part := range parts {
					if !strings.Contains(string(s.things[path]), part) {
						t.Errorf("%s is %s, without %s", path, s.things[path], part)
					}
				}
			}
			if name == "OpenSearch" && strings.Contains(string(s.things["/_index_template/weir-logs-a"]), "lifecycle") {
				t.Error("a setting that OpenSearch does not know")
			}
			done := len(s.requests)
			if again := results(setUp(t, sink, setupOptions())); again != strings.ReplaceAll(allCreated, "created", "unchanged") || len(s.requests) != done {
				t.Errorf("again: %s, %q", again, s.requests[done:])
			}
			changed := setupOptions()
			changed.Retention = "10d"
			if got := results(setUp(t, sink, changed)); got != "policy updated, index template unchanged, data stream unchanged, policy updated, index template unchanged" {
				t.Errorf("changed: %s", got)
			}
		})
	}
}

// What others made stays; what weir made stays too, as somebody changed it, until the configuration changes.
func TestSink_Setup_Foreign(t *testing.T) {
	s := &setupServer{greeting: greetES}
	sink := startSetup(t, s)
	theirs := json.RawMessage(`{"index_patterns":["logs-a"],"priority":900,"_meta":{"managed_by":"fleet"}}`)
	s.things["/_index_template/weir-logs-a"] = theirs
	s.things["/_ilm/policy/weir-logs-a"] = json.RawMessage(`{"policy":{"phases":{}}}`)
	opts := setupOptions()
	opts.Targets = opts.Targets[:1]
	steps := setUp(t, sink, opts)
	if results(steps) != "policy skipped, index template skipped, data stream created" || !strings.Contains(steps[0].Why, "--force") || string(s.things["/_index_template/weir-logs-a"]) != string(theirs) {
		t.Errorf("steps are %+v", steps)
	}
	opts.Force = true
	if got := results(setUp(t, sink, opts)); got != "policy updated, index template updated, data stream unchanged" {
		t.Errorf("forced: %s", got)
	}
}

func TestSink_Setup_WhatServersLack(t *testing.T) {
	for name, tt := range map[string]struct {
		server *setupServer
		want   string
	}{
		"no ILM":                {&setupServer{greeting: greetES, lacks: []string{"/_ilm"}}, "policy skipped, index template created, data stream created"},
		"no ISM":                {&setupServer{greeting: greetOS, lacks: []string{"/_plugins"}}, "policy skipped, index template created, data stream created"},
		"no data streams":       {&setupServer{greeting: greetES, lacks: []string{"/_data_stream"}}, "policy created, index template created, data stream skipped"},
		"no right to policies":  {&setupServer{greeting: greetES, refuses: "/_ilm"}, "policy failed, index template created, data stream created"},
		"no right to templates": {&setupServer{greeting: greetES, refuses: "/_index_template"}, "policy created, index template failed, data stream created"},
	} {
		sink := startSetup(t, tt.server)
		opts := setupOptions()
		opts.Targets = opts.Targets[:1]
		steps := setUp(t, sink, opts)
		if results(steps) != tt.want {
			t.Errorf("%s: %s, want %s", name, results(steps), tt.want)
		}
		for _, step := range steps {
			if (step.Result == elastic.SetupSkipped || step.Result == elastic.SetupFailed) && step.Why == "" {
				t.Errorf("%s: %+v without a reason", name, step)
			}
		}
		if strings.Contains(tt.want, "policy skipped") && strings.Contains(string(tt.server.things["/_index_template/weir-logs-a"]), "lifecycle") {
			t.Errorf("%s: the template names a policy that is not there", name)
		}
	}
}
