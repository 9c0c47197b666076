package elastic_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/flush/elastic"
)

// setUp makes what a data stream needs, and removes it with the test.
func (r *realServer) setUp(t *testing.T, sink *elastic.Sink, opts elastic.SetupOptions) []elastic.SetupStep {
	t.Helper()
	_, steps, err := sink.Setup(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, target := range opts.Targets {
			r.call(t, "DELETE", "/_data_stream/"+target.Index, "")
			r.call(t, "DELETE", "/_index_template/weir-"+strings.TrimSuffix(target.Index, "-*"), "")
		}
	})
	for _, s := range steps {
		t.Logf("%s %s %s: %s", s.Result, s.Kind, s.Name, s.Why)
		if s.Result == elastic.SetupFailed {
			t.Errorf("failed: %+v", s)
		}
	}
	return steps
}

func results(steps []elastic.SetupStep) string {
	var list []string
	for _, s := range steps {
		list = append(list, s.Kind+" "+string(s.Result))
	}
	return strings.Join(list, ", ")
}

// The first thousand logs of a new user: any keys, any values, and not one dead letter.
func TestReal_Setup_NoMappingExplosion(t *testing.T) {
	r, sink := startReal(t)
	stream := r.prefix + "-setup"
	opts := elastic.SetupOptions{Targets: []elastic.SetupTarget{{Index: stream, DataStream: true}}, Retention: "30d", RolloverSize: "50gb", FailureStore: true}
	r.setUp(t, sink, opts)
	var sources []string
	for i := range 2000 {
		sources = append(sources, fmt.Sprintf(`{"@timestamp":"2026-01-02T03:04:05Z","message":"m","context":{"key%d":%d,"deep":{"key%d":"v"}},"extra":{"k%d":[1,"a"]}}`, i, i, i, i))
	}
	for _, odd := range []string{
		`"context":[]`, `"context":{}`, `"context":null`, `"extra":{"a":null,"b":[],"c":{}}`, `"context":{"a":{"b":{"c":[{"d":1}]}}}`,
		`"context":{"long":"` + strings.Repeat("x", 40_000) + `"}`, `"level":200`, `"level":"error"`, `"at":"2026-01-02"`, `"at":"yesterday"`,
		`"context":{"a.b":1,"a":{"b":2}}`, `"long":"` + strings.Repeat("y", 40_000) + `"`, `"message":"` + strings.Repeat("z ", 40_000) + `"`,
	} {
		sources = append(sources, `{"@timestamp":"2026-01-02T03:04:05Z",`+odd+`}`)
	}
	outcomes, err := sink.Send(t.Context(), realDocs(stream, sources...))
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range outcomes {
		if r.info.Product == elastic.ProductOpenSearch && strings.Contains(sources[i], `{"long":"xxx`) {
			if o.Verdict != flush.Permanent {
				t.Errorf("a long value in a flat_object is %s; setup says that it is refused", o.Verdict)
			}
			continue
		}
		if o.Verdict != flush.Delivered || o.FailureStore != "" {
			t.Errorf("%.100s: %+v", sources[i], o)
		}
	}
	var mapping map[string]struct {
		Mappings struct{ Properties map[string]json.RawMessage }
	}
	if err := json.Unmarshal(r.must(t, "GET", "/"+stream+"/_mapping", ""), &mapping); err != nil {
		t.Fatal(err)
	}
	for index, m := range mapping {
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(text), `"type":`); n > 20 {
			t.Errorf("%s has %d fields: %.500s", index, n, text)
		}
	}
	r.must(t, "POST", "/"+stream+"/_refresh", "")
	if r.info.AtLeast(elastic.ProductElasticsearch, 8, 0) || r.info.AtLeast(elastic.ProductOpenSearch, 2, 7) {
		var found struct{ Count int }
		if err := json.Unmarshal(r.must(t, "POST", "/"+stream+"/_count", `{"query":{"term":{"context.deep.key77":"v"}}}`), &found); err != nil || found.Count != 1 {
			t.Errorf("found %d documents by a key of context, %v", found.Count, err)
		}
	}
}

// Where the server can leave fields out, a document of any number of them is taken.
func TestReal_Setup_ManyFieldsAtTheTop(t *testing.T) {
	r, sink := startReal(t)
	if !r.info.AtLeast(elastic.ProductElasticsearch, 8, 14) {
		t.Skip("this server refuses fields beyond the limit")
	}
	stream := r.prefix + "-many"
	r.setUp(t, sink, elastic.SetupOptions{Targets: []elastic.SetupTarget{{Index: stream, DataStream: true}}})
	source := `{"@timestamp":"2026-01-02T03:04:05Z"`
	for i := range 3000 {
		source += fmt.Sprintf(`,"f%d":%d`, i, i)
	}
	check(t, sink, realDocs(stream, source+"}"), delivered)
}

func TestReal_Setup_AgainAndForeign(t *testing.T) {
	r, sink := startReal(t)
	opts := elastic.SetupOptions{Replicas: 0, Retention: "30d", Targets: []elastic.SetupTarget{{Index: r.prefix + "-again", DataStream: true}, {Index: r.prefix + "-dated-*"}}}
	dry := opts
	dry.DryRun = true
	_, planned, err := sink.Setup(t.Context(), dry)
	if err != nil {
		t.Fatal(err)
	}
	if status, _ := r.call(t, "GET", "/_data_stream/"+opts.Targets[0].Index, ""); status != 404 {
		t.Errorf("a dry run made a data stream: %d", status)
	}
	const want = "policy skipped, index template created, data stream created, policy skipped, index template created"
	made := r.setUp(t, sink, opts)
	if results(made) != want || results(planned) != want {
		t.Errorf("planned %s, made %s, want %s", results(planned), results(made), want)
	}
	if again := results(r.setUp(t, sink, opts)); again != "policy skipped, index template unchanged, data stream unchanged, policy skipped, index template unchanged" {
		t.Errorf("again: %s", again)
	}
	opts.Replicas = 1
	if changed := results(r.setUp(t, sink, opts)); !strings.Contains(changed, "index template updated, data stream unchanged") {
		t.Errorf("changed: %s", changed)
	}
	t.Cleanup(func() { r.call(t, "DELETE", "/"+r.prefix+"-dated-2026.01.02", "") })
	check(t, sink, realDocs(r.prefix+"-dated-2026.01.02", `{"message":"no time is needed"}`), delivered)

	foreign := r.prefix + "-foreign"
	r.must(t, "PUT", "/_index_template/weir-"+foreign, fmt.Sprintf(`{"index_patterns":["%s"],"priority":700,"data_stream":{}}`, foreign))
	opts.Targets = []elastic.SetupTarget{{Index: foreign, DataStream: true}}
	if got := results(r.setUp(t, sink, opts)); !strings.Contains(got, "index template skipped") {
		t.Errorf("foreign: %s", got)
	}
	opts.Force = true
	if got := results(r.setUp(t, sink, opts)); !strings.Contains(got, "index template updated") {
		t.Errorf("foreign, forced: %s", got)
	}
}
