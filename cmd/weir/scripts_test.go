package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/weirlog/weir/flush/elastic/elastictest"
	"github.com/weirlog/weir/lua"
)

// placeScript puts a script in place of another at once, so that nobody reads half of it.
func placeScript(t testing.TB, path, source string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// postEvents posts events and waits until they are settled.
func (s *testService) postEvents(path string, events ...string) {
	s.t.Helper()
	res, err := s.client.Post("http://"+s.ingest.Addrs()[0].String()+path, "application/x-ndjson", strings.NewReader(strings.Join(events, "\n")))
	if err != nil {
		s.t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusAccepted {
		s.t.Fatalf("post: %s", res.Status)
	}
	if err := await(func() bool { return s.flusher.Status().Lag == 0 }, "the events are not settled"); err != nil {
		s.t.Fatal(err)
	}
}

// reloadScript places a script and asks the service to take it.
func (s *testService) reloadScript(path, source, query string) answer {
	s.t.Helper()
	placeScript(s.t, path, source)
	return s.ask(http.MethodPost, "/api/v1/reload"+query, "")
}

// scriptsNow returns what /api/v1/scripts says, by name.
func (s *testService) scriptsNow() map[string]scriptView {
	s.t.Helper()
	a := s.ask(http.MethodGet, "/api/v1/scripts", "")
	var list struct {
		Scripts []scriptView `json:"scripts"`
	}
	if err := json.Unmarshal([]byte(a.body), &list); err != nil || a.status != http.StatusOK {
		s.t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	views := map[string]scriptView{}
	for _, v := range list.Scripts {
		views[v.Name] = v
	}
	return views
}

// repeat makes a list of one event.
func repeat(n int, event string) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = event
	}
	return list
}

const (
	passing = "function transform(event, meta) return event end"
	failing = "function transform(event, meta) if event.bad then error('no luck') end return event end"
)

// startScripted starts a service with a script and one more stream that has none.
func startScripted(t *testing.T, source, config string, more ...string) (*testService, string) {
	t.Helper()
	dir := t.TempDir()
	script := filepath.Join(dir, "t.lua")
	placeScript(t, script, source)
	config = strings.ReplaceAll(config, "SCRIPT", script)
	if config == "" {
		config = "transform: {script: " + script + "}\nstreams: {plain: {transform: {script: ''}}}\n"
	}
	return startServiceWith(t, slog.New(slog.DiscardHandler), writeConfig(t, config), filepath.Join(dir, "data"), more...), script
}

// TestScripts_ShadowOnTheLog: a changed script is tried on what is in the log, of its own streams only.
func TestScripts_ShadowOnTheLog(t *testing.T) {
	s, script := startScripted(t, passing, "", "WEIR_TRANSFORM_SHADOW_EVENTS=50")
	s.postEvents("/ingest", repeat(60, `{"n":1}`)...)
	s.postEvents("/ingest/plain", repeat(30, `{"n":2}`)...)
	s.postEvents("/ingest", `{"drop":1}`, `{"broken`, `{"index":"secrets"}`, `{"change":1}`)
	a := s.reloadScript(script, `function transform(event, meta)
		if event.drop then return nil end
		meta.index = event.index
		if event.change then event.more = 1 end
		return event
	end`, "")
	if a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.body)
	}
	v := s.scriptsNow()[script]
	r := v.Report
	if r == nil || r.Version != v.Version || r.Result != "loaded" || v.InForceSince.IsZero() || v.OnTrialUntil.IsZero() || v.Timeout != "100ms" || v.MaxMemory != "16MiB" || fmt.Sprint(v.Streams) != "[default]" {
		t.Fatalf("%+v %+v", v, r)
	}
	sh := r.Shadow
	if sh.Events != 50 || sh.Dropped != 1 || sh.Failed != 1 || sh.Changed != 1 || sh.Same != 47 || sh.Note != "" {
		t.Errorf("%+v", sh)
	}
	for _, e := range sh.Examples {
		if e.Stream != DefaultStream || e.Offset < 91 || !strings.HasPrefix(e.Before.Documents, "index logs-weir-default, id ") {
			t.Errorf("%+v", e)
		}
		if e.Class == lua.ClassFailed && !strings.Contains(e.After.Error, "allowed_indices") {
			t.Errorf("an index that is not allowed: %+v", e)
		}
	}
	if got := v.Versions; len(got) != 2 || got[0].Events != 63 || got[1].Events != 0 {
		t.Errorf("counted %+v", got)
	}
	if st := s.ask(http.MethodGet, "/api/v1/status", ""); strings.Contains(st.body, `"examples"`) || !strings.Contains(st.body, v.Version) {
		t.Errorf("the status holds events: %s", st.body)
	}
}

// TestScripts_RefusedByTheShadow, and forced.
func TestScripts_RefusedByTheShadow(t *testing.T) {
	s, script := startScripted(t, passing, "")
	s.postEvents("/ingest", repeat(250, `{"bad":1}`)...)
	before := s.scriptsNow()[script].Version
	a := s.reloadScript(script, failing, "")
	if a.status != http.StatusUnprocessableEntity || a.code(t) != "reload_refused" || !strings.Contains(a.body, "in the shadow 250 of 250 events fail that did not: t.lua:1: no luck") {
		t.Fatalf("%d %s", a.status, a.body)
	}
	v := s.scriptsNow()[script]
	if v.Version != before || v.Refused == "" || v.Report.Result != "refused" {
		t.Errorf("%+v", v)
	}
	if page := html.UnescapeString(s.ask("GET", "/", "").body); !strings.Contains(page, "newest refused") || !strings.Contains(page, "fail now and did not before") {
		t.Error("the page does not show it")
	}
	if a := s.ask(http.MethodPost, "/api/v1/reload?force=perhaps", ""); a.status != http.StatusBadRequest {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := s.ask(http.MethodPost, "/api/v1/reload?force=true", ""); a.status != http.StatusOK || s.scriptsNow()[script].Version == before {
		t.Errorf("forced: %d %s", a.status, a.body)
	}
}

// TestScripts_OneOfTwoIsRefused: the answer says which, the other one is taken.
func TestScripts_OneOfTwoIsRefused(t *testing.T) {
	dir := t.TempDir()
	other := filepath.Join(dir, "other.lua")
	placeScript(t, other, passing)
	s, script := startScripted(t, passing, "transform: {script: SCRIPT}\nstreams: {audit: {transform: {script: "+other+"}}}\n")
	placeScript(t, other, "function transform(")
	a := s.reloadScript(script, failing, "")
	if a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, "stays: "+other+": other.lua: at the end: syntax error") || strings.Contains(a.body, script) {
		t.Errorf("%d %s", a.status, a.body)
	}
	if v := s.scriptsNow(); v[other].Refused == "" || v[script].Report == nil || v[script].Report.Result != "loaded" {
		t.Errorf("%+v", v)
	}
}

// TestScripts_RolledBackForItsIndex: events are lost to an index that is not allowed as they are to an error.
func TestScripts_RolledBackForItsIndex(t *testing.T) {
	s, script := startScripted(t, passing, "")
	before := s.scriptsNow()[script].Version
	if a := s.reloadScript(script, "function transform(event, meta) if event.bad then meta.index = 'secrets' end return event end", ""); a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.body)
	}
	s.postEvents("/ingest", repeat(400, `{"bad":1}`)...)
	v := s.scriptsNow()[script]
	if v.Version != before || v.RolledBack == nil || !strings.Contains(v.RolledBack.Last, `index_not_allowed: the script chose the index "secrets"`) {
		t.Fatalf("%+v", v)
	}
	if r := v.RolledBack; r.Failed != r.Events || v.InForce().Failed != 0 {
		t.Errorf("%+v, %+v", r, v.Versions)
	}
}

// TestScripts_RolledBack goes the operator's way: the status names it and a command, the command delivers the letters.
func TestScripts_RolledBack(t *testing.T) {
	s, script := startScripted(t, passing, "")
	before := s.scriptsNow()[script].Version
	if a := s.reloadScript(script, failing, ""); a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.body)
	}
	s.postEvents("/ingest", repeat(400, `{"bad":1}`)...)
	v := s.scriptsNow()[script]
	if v.Version != before || v.RolledBack == nil || v.RolledBack.To != before || v.Report.Result != "rolled_back" {
		t.Fatalf("%+v", v)
	}
	for path, wants := range map[string][]string{
		"/":               {"rolled back", v.RolledBack.Replay, "the file is refused until its content changes"},
		"/metrics":        {`weir_lua_script_rolled_back{script="` + script + `"} 1`, `result="rolled_back",script="` + script + `"} 1`},
		"/api/v1/status":  {"was rolled back at", v.RolledBack.Replay},
		"/api/v1/scripts": {`"rolled_back":{"version":"` + v.RolledBack.Version},
	} {
		body := html.UnescapeString(s.ask(http.MethodGet, path, "").body)
		for _, want := range wants {
			if !strings.Contains(body, want) {
				t.Errorf("%s lacks %q", path, want)
			}
		}
	}
	o := newOperator(s)
	if out := o.want(exitDone, asksService, "status"); !strings.Contains(out, "version "+v.RolledBack.Version+" was rolled back") || !strings.Contains(out, v.RolledBack.Replay) {
		t.Errorf("status: %s", out)
	}
	if a := s.ask(http.MethodPost, "/api/v1/reload", ""); a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, "was rolled back") {
		t.Errorf("the same content again: %d %s", a.status, a.body)
	}
	letters := v.RolledBack.Failed
	if out := o.want(exitDone, asksService, strings.Fields(v.RolledBack.Replay)[1:]...); !strings.HasPrefix(out, fmt.Sprintf("%d letters: %d delivered", letters, letters)) {
		t.Errorf("replay of %d letters: %s", letters, out)
	}
	if a := s.ask(http.MethodPost, "/api/v1/reload?force=true", ""); a.status != http.StatusOK || s.scriptsNow()[script].Version != v.RolledBack.Version {
		t.Errorf("forced: %d %s", a.status, a.body)
	}
}

// TestScripts_ReplaysAreNotHeldAgainstAScript: letters that fail again say nothing about the version that mends others.
func TestScripts_ReplaysAreNotHeldAgainstAScript(t *testing.T) {
	s, script := startScripted(t, failing, "")
	s.postEvents("/ingest", repeat(300, `{"bad":1}`)...)
	if a := s.reloadScript(script, failing+" -- 2", ""); a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.body)
	}
	version := s.scriptsNow()[script].Version
	newOperator(s).want(exitFailed, asksService, "dlq", "replay", "--stage", "transform")
	if v := s.scriptsNow()[script]; v.Version != version || v.RolledBack != nil || v.InForce().Events != 0 {
		t.Errorf("%+v", v)
	}
}

// TestScripts_StreamsWithLimits: one file in two sets of limits is two scripts, each judged and counted for itself.
func TestScripts_StreamsWithLimits(t *testing.T) {
	hungry := "function transform(event) event.s = #(('x'):rep(1000000)) return event end"
	s, script := startScripted(t, hungry, `
transform: {script: SCRIPT, max_memory: 512KiB}
streams:
  same:
  large: {transform: {max_memory: 8MiB}}
  plain: {transform: {script: ""}}
`)
	for _, stream := range []string{"default", "same", "large", "plain"} {
		s.postEvents("/ingest/"+stream, `{"n":1}`)
	}
	small, large := s.scriptsNow()[script+" (100ms, 512KiB)"], s.scriptsNow()[script+" (100ms, 8MiB)"]
	if fmt.Sprint(small.Streams, large.Streams) != "[default same] [large]" || small.MaxMemory != "512KiB" || large.MaxMemory != "8MiB" {
		t.Fatalf("%+v\n%+v", small, large)
	}
	if small.InForce() != (lua.VersionCount{Version: small.Version, Events: 2, Failed: 2}) || large.InForce() != (lua.VersionCount{Version: small.Version, Events: 1}) {
		t.Errorf("%+v %+v", small.Versions, large.Versions)
	}
	metrics := s.ask(http.MethodGet, "/metrics", "").body
	for _, want := range []string{
		`weir_lua_errors_total{script="` + small.Name + `",type="memory"} 2`, `weir_lua_errors_total{script="` + large.Name + `",type="memory"} 0`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no metric %s", want)
		}
	}
}

func TestScripts_VersionField(t *testing.T) {
	s, script := startScripted(t, passing, "", "WEIR_TRANSFORM_VERSION_FIELD=script_version", "WEIR_ELASTICSEARCH_TIMESTAMP=false")
	s.postEvents("/ingest", `{"by":"script"}`)
	s.postEvents("/ingest/plain", `{"by":"nobody"}`)
	version := s.scriptsNow()[script].Version
	for query, want := range map[string]string{
		"by:script": `"source":{"by":"script","script_version":"` + version + `"}`, "by:nobody": `"source":{"by":"nobody"}`,
	} {
		if a := s.ask(http.MethodGet, "/api/v1/search?q="+query, ""); !strings.Contains(a.body, want) {
			t.Errorf("%s: %s, want %s", query, a.body, want)
		}
	}
	// The version differs in every document of a changed script. That is no news.
	if a := s.reloadScript(script, passing+" -- 2", ""); a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if sh := s.scriptsNow()[script].Report.Shadow; sh.Events != 1 || sh.Same != 1 {
		t.Errorf("%+v", sh)
	}
}

// TestScripts_HostileContent: what events hold is text on the page, and so is what scripts say.
func TestScripts_HostileContent(t *testing.T) {
	text, err := json.Marshal(hostileText)
	if err != nil {
		t.Fatal(err)
	}
	s, script := startScripted(t, passing, "")
	s.postEvents("/ingest", `{"kind":"change","m":`+string(text)+`}`, `{"kind":"fail","m":`+string(text)+`}`)
	if a := s.reloadScript(script, `function transform(event, meta)
		if event.kind == "fail" then error(event.m) end
		event.more = 1
		return event
	end`, ""); a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.body)
	}
	page := s.ask("GET", "/", "").body
	for _, bad := range []string{"<script>alert", "<img", `" onfocus`, "\x1b", "\x07", "\u202e"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page holds %q as it is", bad)
		}
	}
	if !strings.Contains(page, "become other documents") || !strings.Contains(page, "fail now and did not before") {
		t.Error("the examples are not shown")
	}
}

// TestReload_ServiceUnderLoad replaces the script of a real process many times while clients post. Every event is stored once, by one
// version; and the service counts by version what the destination has.
func TestReload_ServiceUnderLoad(t *testing.T) {
	const clients, bodies, perBody, versions, reloads = 3, 40, 25, 3, 30
	dir := t.TempDir()
	script := filepath.Join(dir, "t.lua")
	stamp := func(n int) string {
		return fmt.Sprintf("local v = %d\nfunction other() return v end\nfunction transform(event, meta)\n event.first = v\n for i = 1, 200 do event.work = i end\n event.second = other()\n emit({twin = event.id, first = v, second = other()})\n return event\nend", n)
	}
	placeScript(t, script, stamp(0))
	es := elastictest.Start(t, elastictest.Options{})
	p := startWeir(t, filepath.Join(dir, "data"), "WEIR_ELASTICSEARCH_ADDRESSES="+es.URL(), "WEIR_ELASTICSEARCH_TIMESTAMP=false", "WEIR_FLUSH_LINGER=5ms",
		"WEIR_FLUSH_BATCH_EVENTS=20", "WEIR_TRANSFORM_SCRIPT="+script, "WEIR_TRANSFORM_VERSION_FIELD=version", "WEIR_TRANSFORM_SHADOW_EVENTS=50")
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for b := range bodies {
				var body bytes.Buffer
				for i := range perBody {
					fmt.Fprintf(&body, "{\"id\":%d}\n", (c*bodies+b)*perBody+i)
				}
				if status, answer := p.post("/ingest", "application/x-ndjson", body.String()); status != http.StatusAccepted {
					t.Errorf("%d %s", status, answer)
				}
			}
		})
	}
	for n := 1; n <= reloads; n++ {
		placeScript(t, script, stamp(n%versions))
		reload(t, p)
	}
	wg.Wait()
	p.drain()
	counted := p.eventsByVersion(t)
	p.stop()
	stored := storedOnce(t, es.Docs(), clients*bodies*perBody)
	for version, n := range stored {
		if counted[version] != n {
			t.Errorf("version %s made %d events of the destination, and counts %d", version, n, counted[version])
		}
	}
	if len(stored) < 2 {
		t.Errorf("only %d versions had events: the reloads were not under load", len(stored))
	}
}

// eventsByVersion asks a process how many events each version of its script was given.
func (p *process) eventsByVersion(t *testing.T) map[string]uint64 {
	t.Helper()
	res, err := http.Get(p.admin + "/api/v1/scripts")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var list struct{ Scripts []scriptView }
	if err := json.NewDecoder(res.Body).Decode(&list); err != nil || len(list.Scripts) != 1 {
		t.Fatalf("%v %v", list, err)
	}
	counts := map[string]uint64{}
	for _, v := range list.Scripts[0].Versions {
		counts[v.Version] = v.Events
		if v.Failed > 0 {
			t.Errorf("version %s failed on %d events", v.Version, v.Failed)
		}
	}
	return counts
}

// storedOnce checks that each event and its twin are there once, made by one version, and counts events by version.
func storedOnce(t *testing.T, docs []elastictest.Doc, events int) map[string]uint64 {
	t.Helper()
	by, twins, stamps := map[int]string{}, map[int]string{}, map[string]int{}
	for _, d := range docs {
		var doc struct {
			ID, Twin      *int
			First, Second int
			Version       string
		}
		if err := json.Unmarshal(d.Source, &doc); err != nil {
			t.Fatal(err)
		}
		seen, id := by, doc.ID
		if id == nil {
			seen, id = twins, doc.Twin
		}
		if before, ok := stamps[doc.Version]; ok && before != doc.First || doc.First != doc.Second || seen[*id] != "" {
			t.Errorf("mixed or doubled: %s", d.Source)
		}
		stamps[doc.Version], seen[*id] = doc.First, doc.Version
	}
	counts := map[string]uint64{}
	for id, version := range by {
		if twins[id] != version {
			t.Errorf("event %d is of version %s, its twin of %s", id, version, twins[id])
		}
		counts[version]++
	}
	if len(by) != events || len(twins) != events {
		t.Errorf("%d events and %d twins are stored, want %d each", len(by), len(twins), events)
	}
	return counts
}
