package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirlog/weir/flush/deadletter"
)

// TestReal_ConflictsBecomeLetters_APatchReplaysAll takes the events of a grown fleet through one index whose mapping the server
// makes by itself: what does not fit is a letter, nothing else is; what weir dlq stats proposes makes all of them deliverable.
func TestReal_ConflictsBecomeLetters_APatchReplaysAll(t *testing.T) {
	server := sharedServer(t)
	index, rest := server.name("fleet"), "logs-rest-"+server.prefix
	server.gone("/" + rest)
	events := newRealEvents()
	r := startRealRun(t, server, fmt.Sprintf("elasticsearch: {index: %s, timestamp: false}\nstreams: {%s: {}}\n", index, server.prefix), index, rest)
	r.post(server.prefix, events.seeds())
	r.settled("seeds", isOdd)
	mixed := events.mixed(2000)
	r.postAll(server.prefix, mixed)
	_, letters := r.settled("all sent", isOdd)
	if letters != 400 {
		t.Errorf("%d letters, want 400", letters)
	}

	r.weir(exitFailed, "dlq", "replay") // in vain
	if _, again := r.settled("replayed as they are", isOdd); again != letters {
		t.Errorf("%d letters after a replay in vain, want %d", again, letters)
	}
	patch := filepath.Join(t.TempDir(), "patch.lua")
	for round := 1; ; round++ {
		source := r.proposals()
		r.write(patch, source)
		out, stderr, code := command(t, r.dataDir, nil, r.env, "dlq", "replay", "--with", patch)
		_, left := r.patched(fmt.Sprintf("patch %d", round))
		if code == exitDone && left == 0 {
			break
		}
		if left == letters || round == 5 {
			t.Fatalf("%d letters stay\n%s%s\n%s", left, out, stderr, source)
		}
		letters = left
	}
}

// proposals makes a patch of what weir dlq stats proposes first for each group.
func (r *realRun) proposals() string {
	r.Helper()
	var groups []deadletter.Group
	if err := json.Unmarshal([]byte(r.weir(exitDone, "dlq", "stats", "-o", "json")), &groups); err != nil {
		r.Fatal(err)
	}
	var patch strings.Builder
	patch.WriteString("function transform(event, meta)\n")
	for _, g := range groups {
		if len(g.Remedies) == 0 {
			r.Errorf("nothing is proposed for %s %q, field %q", g.Type, g.Reason, g.Field)
			continue
		}
		fmt.Fprintf(&patch, "do -- %d: %s\n%s\nend\n", g.Count, g.Remedies[0].Does, g.Remedies[0].Lua)
	}
	patch.WriteString("return event\nend\n")
	return patch.String()
}

// TestReal_FailureStore: what a data stream's failure store takes is delivered and counted apart, or a letter where the
// configuration says so.
func TestReal_FailureStoreIsAnOutcomeOfItsOwn(t *testing.T) {
	server := sharedServer(t)
	stream := server.dataStream("fs", `"data_stream_options":{"failure_store":{"enabled":true}},`)
	events := newRealEvents()
	make := func() []realEvent {
		made := events.plain(40)
		for i := range made {
			made[i] = numberedEvent(made[i].n, `"amount":3`, "")
			if i%4 == 3 {
				made[i] = numberedEvent(made[i].n, `"amount":"a lot"`, "text in a number")
			}
		}
		return made
	}
	r := startRealRun(t, server, fmt.Sprintf("elasticsearch: {index: %s}\n", stream), stream)
	r.post("default", make())
	r.proc.drain()
	if got := r.metric("weir_flush_settled_total", "failure_store"); got != 10 {
		t.Errorf("%v events count as in the failure store, want 10", got)
	}
	if n := len(r.letters()); n != 0 {
		t.Errorf("%d letters, want none", n)
	}
	if n := len(server.numbers(stream)); n != 30 {
		t.Errorf("%d documents in the data stream, want 30", n)
	}
	r.proc.stop()

	r.write(r.config, fmt.Sprintf("elasticsearch: {index: %s, failure_store: dead_letter}\n", stream))
	r.start()
	r.post("default", make())
	r.proc.drain()
	letters := r.letters()
	if len(letters) != 10 {
		t.Errorf("%d letters, want 10", len(letters))
	}
	for n, l := range letters {
		if r.sent[n].odd == "" || l[0].Type != "failure_store" {
			t.Errorf("event %d (%s): %+v", n, r.sent[n].odd, l[0])
		}
	}
	if n := len(server.numbers(stream)); n != 60 {
		t.Errorf("%d documents in the data stream, want 60", n)
	}
	var failures struct {
		Hits struct{ Total struct{ Value int } }
	}
	server.must("POST", "/"+stream+"::failures/_refresh", "")
	server.decode("GET", "/"+stream+"::failures/_search?size=0", "", &failures)
	if got := failures.Hits.Total.Value; got != 20 {
		t.Errorf("%d documents in the failure store, want 20", got)
	}
}
