package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/weirlog/weir/flush/elastic/elastictest"
)

// awkward are events whose bytes a careless reader would change.
var awkward = []string{
	`{"a":1.0,"b":1e400,"c":12345678901234567890,"d":-0.0,"e":1E+2}`,
	`{"z":1,"a":2,"z":3}`,
	`{ "spaced" :  [ 1 , 2 ] , "empty":{},"list":[],"null":null }`,
	`{"escapes":"\u00e9\ud83d\ude00\/\b\f\n\r\t\"\\","raw":"é😀"}`,
	`{"lone":"\ud800","nul":"\u0000"}`,
	`{"deep":` + strings.Repeat("[", 500) + strings.Repeat("]", 500) + `}`,
	`{"":"","@timestamp":"2024-01-01T00:00:00Z"}`,
	`{"long":"` + strings.Repeat("x", 100_000) + `"}`,
	`{}`,
}

func TestEndToEnd_BytesArriveAsTheyWereSent(t *testing.T) {
	es := elastictest.Start(t, elastictest.Options{})
	p := startWeir(t, filepath.Join(t.TempDir(), "data"), "WEIR_ELASTICSEARCH_ADDRESSES="+es.URL(), "WEIR_ELASTICSEARCH_TIMESTAMP=false", "WEIR_FLUSH_LINGER=10ms")
	for i, body := range []struct{ contentType, body string }{
		{"application/json", awkward[0]},
		{"application/x-ndjson", strings.Join(awkward, "\n")},
		{"application/json", "[" + strings.Join(awkward, " ,\r\n") + "]"},
	} {
		if status, answer := p.post("/ingest", body.contentType, body.body); status != http.StatusAccepted {
			t.Fatalf("body %d: %d %s", i, status, answer)
		}
	}
	p.drain()
	p.stop()
	var got []string
	for _, d := range es.Docs() {
		got = append(got, string(d.Source))
	}
	want := slices.Concat(awkward[:1], awkward, awkward)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%d documents differ from the %d events sent:\n%.2000s", len(got), len(want), strings.Join(got, "\n"))
	}
}

func TestEndToEnd_TimestampIsAddedAndNothingElse(t *testing.T) {
	es := elastictest.Start(t, elastictest.Options{})
	p := startWeir(t, filepath.Join(t.TempDir(), "data"), "WEIR_ELASTICSEARCH_ADDRESSES="+es.URL(), "WEIR_FLUSH_LINGER=10ms")
	p.post("/ingest", "application/json", `{"n":1.0,"datetime":"2024-05-06T07:08:09.123456+02:00"}`)
	p.drain()
	p.stop()
	docs := es.Docs()
	if want := `{"n":1.0,"datetime":"2024-05-06T07:08:09.123456+02:00","@timestamp":"2024-05-06T07:08:09.123456+02:00"}`; len(docs) != 1 || string(docs[0].Source) != want {
		t.Errorf("stored %s, want %s", docs[0].Source, want)
	}
}

// TestEndToEnd_DeadLettersFromRefusalToReplay takes one bad line, one event that the script fails on, and
// one document that the destination refuses through listing, mending and replay.
func TestEndToEnd_DeadLettersFromRefusalToReplay(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "t.lua")
	write := func(source string) {
		t.Helper()
		if err := os.WriteFile(script, []byte(source), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(`function transform(event) if event.bad then error("no luck") end return event end`)
	es := elastictest.Start(t, elastictest.Options{Item: func(it elastictest.Item) elastictest.Answer {
		if strings.Contains(string(it.Source), "conflict") {
			return elastictest.Answer{Status: 400, Type: "document_parsing_exception", Reason: "failed to parse field [a]"}
		}
		return elastictest.Answer{}
	}})
	dataDir := filepath.Join(dir, "data")
	env := []string{"WEIR_ELASTICSEARCH_ADDRESSES=" + es.URL(), "WEIR_ELASTICSEARCH_TIMESTAMP=false", "WEIR_FLUSH_LINGER=10ms", "WEIR_TRANSFORM_SCRIPT=" + script}
	p := startWeir(t, dataDir, env...)
	status, answer := p.post("/ingest", "application/x-ndjson", "{\"n\":1}\n{\"n\":2\n{\"n\":3,\"bad\":true}\n{\"n\":4,\"a\":\"conflict\"}\n")
	if status != http.StatusAccepted || !strings.Contains(answer, `"accepted":3,"dead_lettered":1`) || !strings.Contains(answer, `"line":2`) {
		t.Fatalf("%d %s", status, answer)
	}
	p.drain()
	stages := func() string {
		t.Helper()
		stdout, stderr, code := command(t, dataDir, nil, env, "dlq", "ls", "-o", "ndjson")
		if code != 0 {
			t.Fatalf("dlq ls: %d %s", code, stderr)
		}
		var s []string
		for _, stage := range []string{"ingest", "transform", "index", "log"} {
			if n := strings.Count(stdout, fmt.Sprintf(`"stage":%q`, stage)); n > 0 {
				s = append(s, fmt.Sprintf("%s %d", stage, n))
			}
		}
		return strings.Join(s, ", ")
	}
	if got := stages(); got != "ingest 1, transform 1, index 1" {
		t.Fatalf("letters: %s", got)
	}
	if _, stderr, code := command(t, dataDir, nil, env, "dlq", "replay"); code != exitFailed {
		t.Errorf("replay of letters that fail again exits with %d, want 1: %s", code, stderr)
	}
	if got := stages(); got != "ingest 1, transform 1, index 1" {
		t.Fatalf("letters after a replay in vain: %s", got)
	}

	write(`function transform(event) event.bad = nil return event end`)
	if _, stderr, code := command(t, dataDir, nil, env, "status"); code != 0 {
		t.Errorf("status: %d %s", code, stderr)
	}
	reload(t, p)
	es.SetItem(nil)
	if _, stderr, code := command(t, dataDir, nil, env, "dlq", "replay", "--stage", "transform"); code != 0 {
		t.Errorf("replay of the mended script: %d %s", code, stderr)
	}
	if _, stderr, code := command(t, dataDir, nil, env, "dlq", "replay", "--stage", "index"); code != 0 {
		t.Errorf("replay to the mended destination: %d %s", code, stderr)
	}
	if got := stages(); got != "ingest 1" {
		t.Fatalf("letters after the replays: %s", got)
	}
	p.stop()

	// The last one is edited and replayed while no service runs.
	stdout, _, _ := command(t, dataDir, nil, env, "dlq", "ls", "-o", "ndjson")
	_, key, _ := strings.Cut(stdout, `"key":"`)
	key, _, _ = strings.Cut(key, `"`)
	if _, stderr, code := command(t, dataDir, strings.NewReader(`{"n":2}`), env, "dlq", "edit", key, "--file", "-"); code != 0 {
		t.Fatalf("dlq edit %s: %d %s", key, code, stderr)
	}
	if _, stderr, code := command(t, dataDir, nil, env, "dlq", "replay", key); code != 0 {
		t.Errorf("offline replay: %d %s", code, stderr)
	}
	if got := stages(); got != "" {
		t.Errorf("letters at the end: %s", got)
	}
	var got []string
	for _, d := range es.Docs() {
		got = append(got, string(d.Source))
	}
	slices.Sort(got)
	if want := []string{`{"n":1}`, `{"n":2}`, `{"n":3}`, `{"n":4,"a":"conflict"}`}; !slices.Equal(got, want) {
		t.Errorf("stored %q, want %q", got, want)
	}
}

// reload asks the service to read its scripts again.
func reload(t *testing.T, p *process) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, p.admin+"/api/v1/reload", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Weir", "1")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("reload: %s", res.Status)
	}
}

func TestEndToEnd_EmbeddedDestinationFindsAnEvent(t *testing.T) {
	dataDir := filepath.Join(t.TempDir(), "data")
	p := startWeir(t, dataDir, "WEIR_FLUSH_LINGER=10ms")
	p.post("/ingest", "application/json", `{"message":"payment timeout at checkout","level":500}`)
	p.post("/ingest", "application/json", `{"message":"all is well","level":200}`)
	p.drain()
	for _, when := range []string{"beside the service", "without a service"} {
		stdout, stderr, code := command(t, dataDir, nil, nil, "search", "+level:>=400 +message:timeout", "-o", "ndjson")
		if code != 0 || strings.Count(stdout, "\n") != 1 || !strings.Contains(stdout, "payment timeout at checkout") {
			t.Errorf("%s: exit %d, found %q, %s", when, code, stdout, stderr)
		}
		if when == "beside the service" {
			p.stop()
		}
	}
}

func TestServe_SecondProcessIsToldWhoHoldsTheDirectory(t *testing.T) {
	dataDir := filepath.Join(t.TempDir(), "data")
	p := startWeir(t, dataDir)
	_, stderr, code := command(t, dataDir, nil, nil, "serve")
	if want := fmt.Sprintf("process %d", p.cmd.Process.Pid); code != exitFailed || !strings.Contains(stderr, want) {
		t.Errorf("exit %d: %q, want 1 and %q", code, stderr, want)
	}
	p.stop()
}

func TestServe_StreamThatLeavesTheConfigurationMustBeSettled(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "weir.yaml")
	if err := os.WriteFile(file, []byte("streams:\n  audit: {}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	es := elastictest.Start(t, elastictest.Options{Request: func(elastictest.Request) elastictest.Fault { return elastictest.Fault{Status: 503} }})
	dataDir := filepath.Join(dir, "data")
	env := []string{"WEIR_ELASTICSEARCH_ADDRESSES=" + es.URL(), "WEIR_SHUTDOWN_TIMEOUT=100ms", "WEIR_FLUSH_LINGER=10ms"}
	p := startWeir(t, dataDir, append(env, "WEIR_CONFIG="+file)...)
	if status, answer := p.post("/ingest/audit", "application/json", `{"a":1}`); status != http.StatusAccepted {
		t.Fatalf("%d %s", status, answer)
	}
	p.stop()
	if _, stderr, code := command(t, dataDir, nil, env, "serve"); code != exitFailed || !strings.Contains(stderr, `"audit"`) {
		t.Fatalf("serve without the stream: exit %d, %s", code, stderr)
	}
	es.SetRequest(nil)
	p = startWeir(t, dataDir, append(env, "WEIR_CONFIG="+file)...)
	p.drain()
	p.stop()
	startWeir(t, dataDir, env...).stop()
}

func TestServe_ForeignDirectoryIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "passwd"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, stderr, code := command(t, dir, nil, nil, "serve")
	entries, err := os.ReadDir(dir)
	if code != exitFailed || !strings.Contains(stderr, "holds other files") || err != nil || len(entries) != 1 {
		t.Errorf("exit %d, %s; %d entries, %v", code, stderr, len(entries), err)
	}
}

// TestServe_RestoredCopyDoesNotHideNewEvents goes on from an older copy of the data directory: its offsets
// are given out a second time, and the new events must arrive all the same.
func TestServe_RestoredCopyDoesNotHideNewEvents(t *testing.T) {
	dir := t.TempDir()
	es := elastictest.Start(t, elastictest.Options{})
	env := []string{"WEIR_ELASTICSEARCH_ADDRESSES=" + es.URL(), "WEIR_ELASTICSEARCH_TIMESTAMP=false", "WEIR_FLUSH_LINGER=10ms"}
	live := func(dataDir, event string) {
		t.Helper()
		p := startWeir(t, dataDir, env...)
		p.post("/ingest", "application/json", event)
		p.drain()
		p.stop()
	}
	live(filepath.Join(dir, "data"), `{"n":1}`)
	if err := os.CopyFS(filepath.Join(dir, "copy"), os.DirFS(filepath.Join(dir, "data"))); err != nil {
		t.Fatal(err)
	}
	live(filepath.Join(dir, "data"), `{"n":2}`)
	live(filepath.Join(dir, "copy"), `{"n":3}`)
	var got []string
	for _, d := range es.Docs() {
		got = append(got, string(d.Source))
	}
	slices.Sort(got)
	if want := []string{`{"n":1}`, `{"n":2}`, `{"n":3}`}; !slices.Equal(got, want) {
		t.Errorf("stored %q, want %q", got, want)
	}
}

// TestServe_FirstStartThatWasCut goes on with what a power cut during the very first start may leave: any one
// of the names that weir makes.
func TestServe_FirstStartThatWasCut(t *testing.T) {
	for _, name := range []string{"LOCK", "weir.db.new", "weir.db", "RESERVE", "RESERVE.1"} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o640); err != nil {
			t.Fatal(err)
		}
		startServiceIn(t, dir).end()
	}
}

// Each stream's documents go to its own server with that server's credentials, and to no other; so does a replay.
func TestEndToEnd_StreamsWithDestinations(t *testing.T) {
	broken := func(it elastictest.Item) elastictest.Answer {
		if strings.Contains(string(it.Source), "conflict") {
			return elastictest.Answer{Status: 400, Type: "document_parsing_exception", Reason: "no"}
		}
		return elastictest.Answer{}
	}
	logs := elastictest.Start(t, elastictest.Options{Authorization: "APIKey bG9n", Item: broken})
	audit := elastictest.Start(t, elastictest.Options{Authorization: "Basic dTpw", OpenSearch: true, Item: broken})
	dir := t.TempDir()
	config := writeFile(t, dir, "weir.yaml", "elasticsearch: {addresses: "+logs.URL()+", api_key: bG9n, index: \"logs-{stream}-2006\", pipeline: all, op: index}\nflush: {linger: 10ms}\nstreams:\n"+
		"  audit: {elasticsearch: {addresses: "+audit.URL()+", username: u, password: p, compression: zstd, index: audit, op: create}}\n")
	p := startWeir(t, filepath.Join(dir, "data"), "WEIR_CONFIG="+config)
	for _, path := range []string{"/ingest", "/ingest/audit"} {
		if status, answer := p.post(path, "application/x-ndjson", `{"path":"`+path+`"}`+"\n"+`{"conflict":"`+path+`"}`+"\n"); status != http.StatusAccepted {
			t.Fatalf("%d %s", status, answer)
		}
	}
	p.drain()
	logs.SetItem(nil)
	audit.SetItem(nil)
	if _, stderr, code := command(t, filepath.Join(dir, "data"), nil, []string{"WEIR_CONFIG=" + config}, "dlq", "replay"); code != exitDone {
		t.Errorf("replay: %d %s", code, stderr)
	}
	p.stop()
	for server, want := range map[*elastictest.Server]string{logs: `"/ingest"`, audit: `"/ingest/audit"`} {
		docs := server.Docs()
		if len(docs) != 2 {
			t.Errorf("%s has %d documents", want, len(docs))
		}
		for _, d := range docs {
			if !strings.Contains(string(d.Source), want) {
				t.Errorf("%s got %s", want, d.Source)
			}
			dated := regexp.MustCompile(`^logs-default-20[0-9]{2}$`).MatchString(d.Index) && d.Pipeline == "all"
			if server == logs && !dated || server == audit && d.Index != "audit" {
				t.Errorf("%s went to %s by %q", want, d.Index, d.Pipeline)
			}
		}
	}
}
