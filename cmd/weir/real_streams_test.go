package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
)

// TestReal_DataStreamRollsOverUnderLoad: as long as no answer is lost, rollovers cost nothing.
func TestReal_DataStreamRollsOverUnderLoad(t *testing.T) {
	server := sharedServer(t)
	stream := server.dataStream("roll", "")
	r := startRealRun(t, server, "elasticsearch: {index: "+stream+"}\nflush: {batch_events: 200}\n", stream)
	load := r.load("default", newRealEvents())
	for range 5 {
		load.reaches(300)
		server.must("POST", "/"+stream+"/_rollover", "")
	}
	load.stop()
	documents, letters := r.settled("five rollovers", nil)
	if int64(documents) != load.acked.Load() || letters != 0 {
		t.Errorf("%d documents and %d letters of %d events", documents, letters, load.acked.Load())
	}
	var said struct {
		Streams []struct{ Generation int } `json:"data_streams"`
	}
	if server.decode("GET", "/_data_stream/"+stream, "", &said); len(said.Streams) != 1 || said.Streams[0].Generation != 6 {
		t.Errorf("it did not roll over five times: %+v", said)
	}
}

// TestReal_LostAnswer: a bulk request that the server carried out, and whose answer nobody got, is sent again. In an index, and in a
// data stream, it finds itself there. Where the stream rolled over in between it cannot: this is the one way left to a second document.
// (docs/delivery.md; the test says so when a server learns better.)
func TestReal_LostAnswer(t *testing.T) {
	for _, tt := range []struct {
		name     string
		stream   bool
		rollover bool
		twice    int // documents that are there twice
	}{
		{"index", false, false, 0},
		{"data stream", true, false, 0},
		{"data stream that rolls over in between", true, true, 100},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := sharedServer(t)
			target := ""
			if tt.stream {
				target = server.dataStream("lost", "")
			} else {
				target = server.index("lost", "", "")
			}
			proxy, lost := losesOneAnswer(t, server.url, func() {
				if tt.rollover {
					server.must("POST", "/"+target+"/_rollover", "")
				}
			})
			events := newRealEvents()
			r := startRealRun(t, server, "elasticsearch: {index: "+target+"}\n", target)
			r.post("default", events.plain(100))
			r.settled("before", nil)
			r.proc.stop()
			r.env = append(r.env, "WEIR_ELASTICSEARCH_ADDRESSES="+proxy)
			r.start()
			second := events.plain(100)
			r.post("default", second)
			r.proc.drain()
			if lost() != 1 {
				t.Fatalf("%d answers were lost, want 1", lost())
			}
			duplicates := int(r.metric("weir_flush_settled_total", "duplicate"))
			stored := server.numbers(target)
			twice := 0
			for _, e := range second {
				switch stored[e.n] {
				case 1:
				case 2:
					twice++
				default:
					t.Errorf("event %d: %d documents", e.n, stored[e.n])
				}
			}
			if len(stored) != 200 || twice != tt.twice || duplicates != 100-tt.twice {
				t.Errorf("%d events are stored, %d of them twice, %d were found there; want 200, %d, %d", len(stored), twice, duplicates, tt.twice, 100-tt.twice)
			}
		})
	}
}

// losesOneAnswer is a proxy that carries out the first bulk request and then cuts its connection, after in between.
func losesOneAnswer(t *testing.T, server string, between func()) (address string, lost func() int) {
	t.Helper()
	target, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	var count atomic.Int64
	proxy := httputil.NewSingleHostReverseProxy(target)
	transport := &http.Transport{DisableKeepAlives: true}
	proxy.Transport = transport
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if !strings.HasSuffix(req.URL.Path, "/_bulk") || !count.CompareAndSwap(0, 1) {
			proxy.ServeHTTP(w, req)
			return
		}
		answer := httptest.NewRecorder()
		proxy.ServeHTTP(answer, req)
		if answer.Code != http.StatusOK || bytes.Contains(answer.Body.Bytes(), []byte(`"errors":true`)) {
			t.Errorf("the request that is to be lost: %d %.300s", answer.Code, answer.Body)
		}
		between()
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(front.Close)
	return front.URL, func() int { return int(count.Load()) }
}
