package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/flush/deadletter"
	"github.com/weirlog/weir/wal"
)

func TestAdmin_Routes_RefuseInJSON(t *testing.T) {
	s := startService(t)
	for _, tt := range []struct {
		name, method, path, body string
		status                   int
		code                     string
	}{
		{"unknown path", "GET", "/api/v2/status", "", 404, "not_found"},
		{"a directory of assets", "GET", "/assets/", "", 404, "not_found"},
		{"an asset that is not for the browser", "GET", "/assets/page.html", "", 404, "not_found"},
		{"a path out of the assets", "GET", "/assets/..%2fadmin.go", "", 404, "not_found"},
		{"wrong method", "POST", "/api/v1/status", "", 405, "method_not_allowed"},
		{"deleting", "DELETE", "/api/v1/dead-letters", "", 405, "method_not_allowed"},
		{"unknown parameter", "GET", "/api/v1/dead-letters?stagee=index", "", 400, "bad_request"},
		{"unknown parameter of the status", "GET", "/api/v1/status?x=1", "", 400, "bad_request"},
		{"unknown stage", "GET", "/api/v1/dead-letters?stage=indexx", "", 400, "bad_request"},
		{"a time that is none", "GET", "/api/v1/dead-letters/stats?since=yesterday", "", 400, "bad_request"},
		{"a negative limit", "GET", "/api/v1/dead-letters?limit=-1", "", 400, "bad_request"},
		{"a key that is none", "GET", "/api/v1/dead-letters/1-2", "", 400, "bad_key"},
		{"a key of no letter", "GET", "/api/v1/dead-letters/0000000000000001-9-0", "", 404, "unknown_key"},
		{"export of a key of no letter", "GET", "/api/v1/dead-letters/export?key=0000000000000001-9-0", "", 404, "unknown_key"},
		{"keys and a filter", "GET", "/api/v1/dead-letters/export?key=0000000000000001-9-0&stage=log", "", 400, "bad_request"},
		{"dropping everything by an empty body", "POST", "/api/v1/dead-letters/drop", "{}", 400, "bad_request"},
		{"dropping with a misspelt filter", "POST", "/api/v1/dead-letters/drop", `{"filter":{"stages":"log"},"all":true}`, 400, "bad_request"},
		{"dropping with two bodies", "POST", "/api/v1/dead-letters/drop", `{"all":true}{"all":true}`, 400, "bad_request"},
		{"dropping without a body", "POST", "/api/v1/dead-letters/drop", ``, 400, "bad_request"},
		{"a negative rate", "POST", "/api/v1/dead-letters/replay", `{"rate":-1}`, 400, "bad_request"},
		{"a broken query", "GET", "/api/v1/search?q=" + "%2B%22open", "", 400, "bad_query"},
		{"a limit beyond all", "GET", "/api/v1/search?limit=1000000000", "", 400, "bad_query"},
		{"an offset that is none", "GET", "/api/v1/wal/records?from=-1", "", 400, "bad_request"},
		{"an edit of no letter", "PUT", "/api/v1/dead-letters/0000000000000001-9-0/event", "{}", 404, "unknown_key"},
		{"an edit that is no object", "PUT", "/api/v1/dead-letters/0000000000000001-9-0/event", "[1]", 400, "not_an_object"},
		{"an edit that is too large", "PUT", "/api/v1/dead-letters/0000000000000001-9-0/event", strings.Repeat(" ", 1<<20+1), 413, "body_too_large"},
		{"an empty edit", "PUT", "/api/v1/dead-letters/0000000000000001-9-0/event", "", 400, "empty_event"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := s.ask(tt.method, tt.path, tt.body)
			if got.status != tt.status || got.code(t) != tt.code {
				t.Errorf("%d %s, want %d %s", got.status, got.body, tt.status, tt.code)
			}
			if tt.status == 405 && got.header.Get("Allow") == "" {
				t.Error("no Allow header")
			}
		})
	}
}

func TestAdmin_Status_SaysHowItIs(t *testing.T) {
	s := startService(t)
	if _, err := s.service.log.Append(t.Context(), wal.Origin{Stream: DefaultStream, ReceivedAt: time.Now()}, []wal.Event{{Payload: []byte(`{"a":1}`)}}); err != nil {
		t.Fatal(err)
	}
	s.putLetters(s.letterAt(900, `{"level":"x"}`))
	var st statusReport
	if err := json.Unmarshal([]byte(s.ask("GET", "/api/v1/status", "").body), &st); err != nil {
		t.Fatal(err)
	}
	if st.State != stateOK || st.PID != os.Getpid() || st.Log.DurableOffset != 1 || st.DeadLetters.Records[flush.StageIndex] != 1 ||
		st.Store == nil || len(st.Streams) != 1 || st.Streams[0].Index != "logs-weir-default" || st.Flush == nil {
		t.Errorf("%+v", st)
	}
	if ready := s.ask("GET", "/readyz", ""); ready.status != 200 {
		t.Errorf("ready: %+v", ready)
	}
	metrics := s.ask("GET", "/metrics", "").body
	for _, name := range []string{"weir_wal_durable_offset 1", `weir_deadletter_records{`, "weir_flush_lag_records", "go_goroutines"} {
		if !strings.Contains(metrics, name) {
			t.Errorf("metrics lack %s", name)
		}
	}
	if p := s.ask("GET", "/debug/pprof/goroutine?debug=1", ""); p.status != 200 || !strings.Contains(p.body, "goroutine profile") {
		t.Errorf("profile: %d", p.status)
	}
}

func TestAdmin_Status_FullLog_IsRefusing(t *testing.T) {
	s := startService(t, "WEIR_WAL_MIN_FREE_BYTES=1024TiB")
	var st statusReport
	if err := json.Unmarshal([]byte(s.ask("GET", "/api/v1/status", "").body), &st); err != nil {
		t.Fatal(err)
	}
	if st.State != stateRefusing || !strings.Contains(st.Why, "503") {
		t.Errorf("state %q, %q", st.State, st.Why)
	}
	ready := s.ask("GET", "/readyz", "")
	if ready.status != 503 || ready.code(t) != "not_ready" || ready.header.Get("Retry-After") == "" || !strings.Contains(ready.body, `"retry":true`) {
		t.Errorf("%+v", ready)
	}
}

func TestAdmin_Letters_FromListToReplay(t *testing.T) {
	s := startService(t)
	hostile := "{\"message\":\"a\xffb\"}"
	first, second := s.letterAt(10, `{"level":1,"big":1.0}`), s.letterAt(11, hostile)
	second.Stage, second.Document = flush.StageTransform, nil
	s.putLetters(first, second)
	refused := s.refuseBody("garbage")

	entries := decodeLines[deadletter.Entry](t, s.ask("GET", "/api/v1/dead-letters", "").body)
	if len(entries) != 3 || entries[0].Key != first.Key || entries[1].Key != second.Key || entries[2].Key != refused {
		t.Fatalf("listed %+v", entries)
	}
	// Limit and skip count over both stores.
	page := s.ask("GET", "/api/v1/dead-letters?skip=1&limit=2&total=true", "")
	if got := decodeLines[deadletter.Entry](t, page.body); len(got) != 2 || got[0].Key != second.Key || got[1].Key != refused || page.header.Get(totalHeader) != "3" {
		t.Errorf("page %+v of %s", got, page.header.Get(totalHeader))
	}

	var view letterView
	if err := json.Unmarshal([]byte(s.ask("GET", "/api/v1/dead-letters/"+second.Key.String(), "").body), &view); err != nil {
		t.Fatal(err)
	}
	if string(view.Event.Bytes) != hostile || view.Event.Text != nil || view.Document != nil {
		t.Errorf("bytes that are no text came as %+v", view.Event)
	}
	if err := json.Unmarshal([]byte(s.ask("GET", "/api/v1/dead-letters/"+refused.String(), "").body), &view); err != nil || string(view.Event.Bytes) != "garbage" {
		t.Errorf("refused body: %+v %v", view.Event, err)
	}

	edit := s.ask("PUT", "/api/v1/dead-letters/"+refused.String()+"/event", ` {"mended": 1.0}`)
	if edit.status != 200 {
		t.Fatalf("edit: %+v", edit)
	}
	if err := json.Unmarshal([]byte(s.ask("GET", "/api/v1/dead-letters/"+refused.String(), "").body), &view); err != nil ||
		*view.Event.Text != ` {"mended": 1.0}` || string(view.Original.Bytes) != "garbage" || view.EditedAt.IsZero() {
		t.Errorf("after the edit %+v (%v)", view, err)
	}

	dry := s.ask("POST", "/api/v1/dead-letters/drop", fmt.Sprintf(`{"keys":[%q],"dry_run":true}`, second.Key))
	if dry.body != `{"letters":1,"dry_run":true}`+"\n" || s.letters.Len() != 2 {
		t.Errorf("dry run of drop: %+v, %d letters left", dry, s.letters.Len())
	}
	if gone := s.ask("POST", "/api/v1/dead-letters/drop", fmt.Sprintf(`{"keys":[%q]}`, second.Key)); gone.body != `{"letters":1}`+"\n" {
		t.Errorf("drop: %+v", gone)
	}

	lines := decodeLines[replayLine](t, s.ask("POST", "/api/v1/dead-letters/replay", "{}").body)
	last := lines[len(lines)-1]
	if len(lines) != 3 || last.Summary == nil || last.Summary.Delivered != 2 || lines[1].Done != 2 || lines[0].Total != 2 || lines[1].Total != 2 {
		t.Fatalf("replay said %+v", lines)
	}
	if s.letters.Len()+s.refused.Len() != 0 {
		t.Errorf("%d letters are left", s.letters.Len()+s.refused.Len())
	}
	var found searchAnswer
	if err := json.Unmarshal([]byte(s.ask("GET", "/api/v1/search?q=%2Bbig:1", "").body), &found); err != nil || found.Total != 1 ||
		!strings.HasPrefix(string(found.Hits[0].Source), `{"level":1,"big":1.0`) || found.Hits[0].ID != first.Key.ID() {
		t.Errorf("found %+v (%v)", found, err)
	}
}

func TestAdmin_Replay_ClientGoesAway_LettersStayAndTheNextReplayRuns(t *testing.T) {
	// Nobody listens there: the replay waits for the destination.
	s := startService(t, "WEIR_ELASTICSEARCH_ADDRESSES=http://127.0.0.1:1", "WEIR_FLUSH_RETRY_MIN=1ms", "WEIR_FLUSH_RETRY_MAX=1ms", "WEIR_SHUTDOWN_TIMEOUT=10ms")
	s.putLetters(s.letterAt(10, `{"a":1}`))
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "POST", "http://"+s.admin.Addr()+"/api/v1/dead-letters/replay", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set(changeHeader, "1")
	res, err := s.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	line, err := bufio.NewReader(res.Body).ReadString('\n')
	if err != nil || !strings.Contains(line, `"result":"waiting"`) {
		t.Fatalf("%q %v", line, err)
	}
	if busy := s.ask("POST", "/api/v1/dead-letters/replay", "{}"); busy.status != 409 || busy.code(t) != "replay_running" {
		t.Errorf("a second replay: %+v", busy)
	}
	cancel()
	for s.letters.Status().Replay { // ends when the server notices; the test's own time limit bounds it
		if err := t.Context().Err(); err != nil {
			t.Fatal(err)
		}
		s.ask("GET", "/livez", "")
	}
	if s.letters.Len() != 1 {
		t.Errorf("%d letters are left, want 1", s.letters.Len())
	}
}

func TestAdmin_Stop_EndsAReplayThatWaits(t *testing.T) {
	s := startService(t, "WEIR_ELASTICSEARCH_ADDRESSES=http://127.0.0.1:1", "WEIR_SHUTDOWN_TIMEOUT=100ms")
	s.putLetters(s.letterAt(10, `{"a":1}`))
	req, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+s.admin.Addr()+"/api/v1/dead-letters/replay", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set(changeHeader, "1")
	res, err := s.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	s.end() // fails the test when the service does not end in order
}

func TestAdmin_Export_IsExact(t *testing.T) {
	s := startService(t)
	event := []byte("{\"a\": 1.0,\n \"b\":\"\xff\"}")
	l := s.letterAt(10, string(event))
	s.putLetters(l)
	body := s.ask("GET", "/api/v1/dead-letters/export", "").body
	if !strings.Contains(body, `"event":{"base64":"`+base64.StdEncoding.EncodeToString(event)+`"}`) {
		t.Errorf("export: %s", body)
	}
	if again := s.ask("GET", "/api/v1/dead-letters/export?key="+l.Key.String(), "").body; again != body {
		t.Errorf("by key %s, by filter %s", again, body)
	}
}

func TestAdmin_WAL_RecordsAndVerify(t *testing.T) {
	s := startService(t)
	events := []wal.Event{{Payload: []byte(`{"n":1.0}`)}, {Payload: []byte("bad\x1b[31m"), Flags: wal.FlagRejected, Reason: "malformed_json: byte 0"}}
	if _, err := s.service.log.Append(t.Context(), wal.Origin{Stream: DefaultStream, ReceivedAt: time.Now()}, events); err != nil {
		t.Fatal(err)
	}
	records := decodeLines[recordView](t, s.ask("GET", "/api/v1/wal/records", "").body)
	if len(records) != 2 || string(records[0].Event.Bytes) != `{"n":1.0}` || !records[1].Rejected || string(records[1].Event.Bytes) != "bad\x1b[31m" {
		t.Fatalf("records %+v", records)
	}
	if one := decodeLines[recordView](t, s.ask("GET", "/api/v1/wal/records?from=2&to=99", "").body); len(one) != 1 || one[0].Offset != 2 {
		t.Errorf("from 2: %+v", one)
	}
	lines := decodeLines[verifyLine](t, s.ask("GET", "/api/v1/wal/verify", "").body)
	if rep := lines[len(lines)-1].Report; rep == nil || rep.Parts[0].Records != 2 || len(rep.Damage) != 0 { // the letter of the rejected one is in another part
		t.Errorf("verify said %+v", lines)
	}
	var info walReport
	if err := json.Unmarshal([]byte(s.ask("GET", "/api/v1/wal", "").body), &info); err != nil || info.Status.DurableOffset != 2 || info.Clean != nil || !info.Segments[0].Active {
		t.Errorf("info %+v (%v)", info, err)
	}
}

func TestAdmin_Reload_RefusedScriptStaysOut(t *testing.T) {
	script := filepath.Join(t.TempDir(), "t.lua")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(script, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("function transform(event) return event end")
	s := startService(t, "WEIR_TRANSFORM_SCRIPT="+script)
	if got := s.ask("POST", "/api/v1/reload", ""); got.status != 200 {
		t.Fatalf("%+v", got)
	}
	write("function transform(event")
	if got := s.ask("POST", "/api/v1/reload", ""); got.status != 422 || got.code(t) != "reload_refused" || !strings.Contains(got.body, "t.lua") {
		t.Errorf("%+v", got)
	}
	if st := s.ask("GET", "/api/v1/status", "").body; !strings.Contains(st, "the newest version of") {
		t.Errorf("the status does not say it: %s", st)
	}
}

func TestParseWhen(t *testing.T) {
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"15m": "2026-03-04T11:45:00Z", "2d": "2026-03-02T12:00:00Z", "1.5d": "2026-03-03T00:00:00Z", "1h30m": "2026-03-04T10:30:00Z",
		"2026-01-31": "2026-01-31T00:00:00Z", "2026-01-31 08:09": "2026-01-31T08:09:00Z", "2026-01-31T12:00:00+02:00": "2026-01-31T10:00:00Z",
	} {
		got, err := parseWhen(text, now)
		if err != nil || got.UTC().Format(time.RFC3339) != want {
			t.Errorf("%q: %v %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"yesterday", "-1h", "5", "d", "1e99d", "NaNd", "2026-13-01", " "} {
		if got, err := parseWhen(text, now); err == nil {
			t.Errorf("%q is %v, want an error", text, got)
		}
	}
}

func TestRateSampler_Rates(t *testing.T) {
	var s rateSampler
	at := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	s.add(tally{at: at})
	if s.rates() != nil {
		t.Error("one sample makes no rate")
	}
	for i := 1; i <= 2*sampleCount; i++ {
		s.add(tally{at: at.Add(time.Duration(i) * sampleEvery), durable: wal.Offset(i * 200), settled: uint64(i) * 100})
	}
	r := s.rates()
	if r.Accepted.TenSeconds != 100 || r.Settled.FiveMinutes != 50 || len(r.History) != sampleCount-1 {
		t.Errorf("%+v", r)
	}
	// A log that begins again behind a lost one has lower numbers.
	s.add(tally{at: at.Add(time.Hour), durable: 1})
	if r := s.rates(); r.Accepted.TenSeconds != 0 {
		t.Errorf("rate %v after a step back", r.Accepted)
	}
}
