package ingest

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/weirlog/weir/wal"
)

var fuzzLimits = limits{eventBytes: 64, events: 50}

// FuzzSplit checks what must hold for whatever body: payloads are slices of it in its order, accepted
// ones are objects, nothing is both stored and refused, and what JSON calls one object or an array of
// objects is accepted.
func FuzzSplit(f *testing.F) {
	for _, seed := range []string{
		monolog, "{\"a\":1}\n{\"a\":2}\r\n\r\n{", "[{},1,{\"a\":\"\xff\"}]", "\uFEFF [ ]", "{\n\"a\":1\n}\n{}", "{} {}", "[{\"a\":\"\\\xff]\"},{}",
	} {
		f.Add([]byte(seed), false)
		f.Add([]byte(seed), true)
	}
	f.Fuzz(func(t *testing.T, body []byte, ndjson bool) {
		sent := bytes.Clone(body)
		var d batch
		d.split(body, ndjson, fuzzLimits)
		if !bytes.Equal(sent, body) {
			t.Fatal("the body was changed")
		}
		if d.refused == nil && d.accepted == 0 {
			t.Fatalf("nothing accepted and not refused: %q", body)
		}
		at, accepted := 0, 0
		for _, e := range d.events {
			if len(e.Payload) == 0 {
				t.Fatal("an event without bytes")
			}
			n := bytes.Index(body[at:], e.Payload)
			if n < 0 {
				t.Fatalf("event %q is not in the rest of the body %q", e.Payload, body[at:])
			}
			at += n + len(e.Payload)
			if e.Flags&wal.FlagRejected != 0 {
				if e.Reason == "" {
					t.Fatalf("rejected without a reason: %q", e.Payload)
				}
				continue
			}
			accepted++
			if !json.Valid(e.Payload) || e.Payload[0] != '{' || len(e.Payload) > fuzzLimits.eventBytes {
				t.Fatalf("accepted %q", e.Payload)
			}
		}
		if accepted != d.accepted || len(d.events) != d.accepted+d.rejected || len(d.problems) > maxListed {
			t.Fatalf("counted %d and %d of %d events", d.accepted, d.rejected, len(d.events))
		}
		if !ndjson && ValidateEvent(body) == nil && len(bytes.TrimSpace(body)) <= fuzzLimits.eventBytes && (d.refused != nil || d.accepted != 1) {
			t.Fatalf("one object was not accepted: %q", body)
		}
	})
}

// FuzzServer_Connection sends arbitrary bytes to a server, which must answer or hang up and go on.
func FuzzServer_Connection(f *testing.F) {
	for _, seed := range []string{
		post("/ingest", "{}"), chunkedHead + "2\r\n{}\r\n0\r\n\r\n", "GET / HTTP/1.0\r\n\r\n", "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n",
		post("/ingest", "x", "Content-Encoding: gzip"), post("/ingest", "\x78\x9c", "Content-Encoding: deflate"),
		post("/ingest", "{}", "Expect: 100-continue") + "\r\n\n\r" + post("/ingest", "{}\nx"),
	} {
		f.Add([]byte(seed))
	}
	log, metrics := &memoryLog{}, NewMetrics(nil)
	s := startServer(f, Options{Log: log, Metrics: metrics})
	f.Fuzz(func(t *testing.T, sent []byte) {
		talk(t, s.addr, sent)
		if n := s.budget.used.Load(); n != 0 {
			t.Fatalf("%d bytes in flight after the connection ended", n)
		}
		if n := counted(metrics.panics); n != 0 {
			t.Fatal("the request met a defect")
		}
	})
}
