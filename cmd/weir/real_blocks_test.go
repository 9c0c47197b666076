package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/flush/elastic"
)

// twoStreams is a configuration in which one stream can be held up and the other has to go on.
func twoStreams(held, free string) string {
	return fmt.Sprintf("streams:\n  held: {elasticsearch: {index: %s}}\n  free: {elasticsearch: {index: %s}}\n", held, free)
}

// TestReal_IndexTakesNothing_ItsStreamIsParked: whatever an operator can do to an index so that it takes nothing, and undo again, costs no
// event and makes no letter, and the other stream of the same server does not wait.
func TestReal_IndexTakesNothing_ItsStreamIsParked(t *testing.T) {
	server := sharedServer(t)
	held, free := server.index("held", "", ""), server.index("free", "", "")
	events := newRealEvents()
	r := startRealRun(t, server, twoStreams(held, free), held, free)
	block := func(name, value string) func() {
		return func() { server.set(held, "index.blocks."+name, value) }
	}
	for _, tt := range []struct {
		name   string
		do     func()
		undo   func()
		reason string
	}{
		{"read-only", block("read_only", "true"), block("read_only", "null"), "FORBIDDEN/5/index read-only"},
		{"no writes", block("write", "true"), block("write", "null"), "FORBIDDEN/8/index write"},
		{"flood stage of the disk", block("read_only_allow_delete", "true"), block("read_only_allow_delete", "null"), "flood-stage watermark"},
		{"closed", func() { server.must("POST", "/"+held+"/_close", "") }, func() { server.must("POST", "/"+held+"/_open", "") }, "closed"},
	} {
		r.post("held", events.plain(50))
		r.post("free", events.plain(50))
		r.settled(tt.name+": before", nil)
		tt.do()
		r.postAll("held", events.plain(600))
		if why := r.parked("held"); !strings.Contains(why, tt.reason) {
			t.Errorf("%s: parked because of %q, want %q in it", tt.name, why, tt.reason)
		}
		if out := r.weir(exitDone, "status"); !strings.Contains(out, stateHeldUp) || !strings.Contains(out, "parked") {
			t.Errorf("%s: weir status does not say so:\n%s", tt.name, out)
		}
		r.postAll("free", events.plain(600))
		r.await(func() bool { return r.stream("free").Lag == 0 }, tt.name+": the other stream does not go on")
		if s := r.stream("held"); s.State != flush.StateParked || s.Lag == 0 {
			t.Errorf("%s: when the other stream was through this one was %s, %d behind", tt.name, s.State, s.Lag)
		}
		if stored := len(server.numbers(free)); stored%650 != 0 || stored == 0 {
			t.Errorf("%s: %d documents of the other stream", tt.name, stored)
		}
		tt.undo()
		r.settled(tt.name+": after", nil)
		if s := r.stream("held"); s.State != flush.StateOK {
			t.Errorf("%s: the stream is %s afterwards, %s", tt.name, s.State, s.Why)
		}
	}
	if n := r.metric("weir_flush_settled_total", "dead_lettered"); n != 0 {
		t.Errorf("%v letters were made, want none", n)
	}
}

// TestReal_MissingIndexAndPipeline_AreWaitedFor: what the configuration names and the server lacks is an operator's to make.
func TestReal_MissingIndexAndPipeline_AreWaitedFor(t *testing.T) {
	server := sharedServer(t)
	held, free := server.index("held", "", ""), server.index("free", "", "")
	pipeline := server.prefix + "-pipe"
	events := newRealEvents()
	config := fmt.Sprintf("streams:\n  held: {elasticsearch: {index: %s, pipeline: %s}}\n  free: {elasticsearch: {index: %s}}\n", held, pipeline, free)
	r := startRealRun(t, server, config, held, free)
	r.postAll("held", events.plain(700))
	r.postAll("free", events.plain(700))
	if why := r.parked("held"); !strings.Contains(why, "pipeline with id ["+pipeline+"] does not exist") {
		t.Errorf("parked because of %q", why)
	}
	r.await(func() bool { return r.stream("free").Lag == 0 }, "the other stream does not go on")
	server.must("PUT", "/_ingest/pipeline/"+pipeline, `{"processors":[]}`)
	server.gone("/_ingest/pipeline/" + pipeline)
	r.settled("pipeline put", nil)
	r.proc.stop() // before the pipeline goes
}

// TestReal_PipelineFailsOnSome: exactly the documents that an ingest pipeline fails on are letters, those that it drops are
// delivered, and all others are stored. A mended pipeline takes the letters.
func TestReal_PipelineFailsOnSome(t *testing.T) {
	server := sharedServer(t)
	if server.product != elastic.ProductOpenSearch {
		t.Skip("this server has no processors to fail with")
	}
	index, pipeline := server.index("pipes", "", ""), server.prefix+"-pipe"
	server.must("PUT", "/_ingest/pipeline/"+pipeline, `{"processors":[{"fail":{"if":"ctx.extra.n % 7 == 0","message":"seven is refused"}},{"convert":{"field":"level","type":"string"}},{"convert":{"if":"ctx.extra.n % 7 == 1","field":"message","type":"integer"}}]}`)
	server.gone("/_ingest/pipeline/" + pipeline)
	server.gone("/" + index) // before the pipeline
	events := newRealEvents()
	r := startRealRun(t, server, fmt.Sprintf("elasticsearch: {index: %s, pipeline: %s}\n", index, pipeline), index)
	r.postAll("default", events.plain(2100))
	fails := func(e realEvent) bool { return e.n%7 < 2 }
	if _, letters := r.settled("pipeline fails", fails); letters != 600 {
		t.Errorf("%d letters, want 600", letters)
	}
	types := map[string]int{}
	for _, l := range r.letters() {
		types[l[0].Type]++
	}
	if types["fail_processor_exception"] != 300 || len(types) != 2 {
		t.Errorf("letters by type: %v", types)
	}
	server.must("PUT", "/_ingest/pipeline/"+pipeline, `{"processors":[]}`)
	r.weir(exitDone, "dlq", "replay")
	r.settled("pipeline mended", nil)
	r.proc.stop()
}

// TestReal_ScriptChoosesABlockedIndex: the stream goes on, the documents for that index wait apart for a while and are letters then, which
// a replay delivers when the block is lifted.
func TestReal_ScriptChoosesABlockedIndex(t *testing.T) {
	server := sharedServer(t)
	main, other := server.index("main", "", ""), server.index("other", "", "")
	script := filepath.Join(t.TempDir(), "choose.lua")
	events := newRealEvents()
	config := fmt.Sprintf("elasticsearch: {index: %s, allowed_indices: [%q]}\ntransform: {script: %s}\nflush: {park_timeout: 3s}\n", main, server.prefix+"-*", script)
	source := fmt.Sprintf("function transform(event, meta) if event.channel == \"auth\" then meta.index = %q end return event end", other)
	if err := os.WriteFile(script, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	chosen := func(e realEvent) bool { return strings.Contains(e.raw, `"channel":"auth"`) }
	r := startRealRun(t, server, config, main, other)
	r.postAll("default", events.plain(100))
	r.settled("before", nil)
	server.set(other, "index.blocks.write", "true")
	r.postAll("default", events.plain(1000))
	r.await(func() bool { return len(server.numbers(main)) == 880 }, "the stream does not go on")
	if s := r.stream("default"); s.State != flush.StateOK || s.Held != 200 {
		t.Errorf("the stream is %s, with %d documents apart, want ok with 200", s.State, s.Held)
	}
	begun := time.Now()
	blocked := func(e realEvent) bool { return chosen(e) && e.n > 100 }
	_, letters := r.settled("park_timeout is over", blocked)
	t.Logf("letters after %s", time.Since(begun).Round(time.Millisecond))
	if letters != 200 {
		t.Errorf("%d letters, want 200", letters)
	}
	server.set(other, "index.blocks.write", "null")
	r.weir(exitDone, "dlq", "replay")
	r.settled("replayed", nil)
}
