package ingest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

func send(t testing.TB, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatalf("send: %v", err)
	}
}

// expectEnd fails unless the server has ended the connection.
func expectEnd(t testing.TB, r *bufio.Reader) {
	t.Helper()
	if b, err := r.ReadByte(); err != io.EOF {
		t.Errorf("after the last answer: byte %q, error %v; want the end", b, err)
	}
}

func TestConn_KeepAlive(t *testing.T) {
	log := &scriptedLog{}
	s := startServer(t, Options{Log: log})
	c := dial(t, s.addr)
	r := bufio.NewReader(c)
	// Answers that say no leave the connection usable, too, when the body was there.
	for i, path := range []string{"/ingest", "/nope", "/ingest/nope", "/ingest", "/"} {
		send(t, c, post(path, "{}", fmt.Sprintf("X-Request-Id: %d", i)))
		got := readReply(t, r, "POST")
		if got.close || got.header.Get("X-Request-Id") != fmt.Sprint(i) {
			t.Errorf("%s: %+v", path, got)
		}
	}
	send(t, c, post("/ingest", "{}", "Connection: Close"))
	if got := readReply(t, r, "POST"); got.status != 202 || !got.close {
		t.Errorf("asked to close: %+v", got)
	}
	expectEnd(t, r)
	if n := len(log.take()); n != 3 {
		t.Errorf("%d appends, want 3", n)
	}
}

func TestConn_HTTP10(t *testing.T) {
	s := startServer(t, Options{Log: &scriptedLog{}})
	c := dial(t, s.addr)
	r := bufio.NewReader(c)
	send(t, c, "POST /ingest HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n{}")
	if got := readReply(t, r, "POST"); got.status != 202 || got.header.Get("Connection") != "keep-alive" {
		t.Errorf("kept alive: %+v", got)
	}
	send(t, c, "POST /ingest HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}")
	if got := readReply(t, r, "POST"); got.status != 202 || !got.close {
		t.Errorf("not kept alive: %+v", got)
	}
	expectEnd(t, r)
}

func TestConn_Pipelining(t *testing.T) {
	log := &scriptedLog{}
	s := startServer(t, Options{Log: log})
	c := dial(t, s.addr)
	var all strings.Builder
	const n = 300 // some headers and bodies lie across the ends of reads
	for i := range n {
		all.WriteString(post("/ingest", fmt.Sprintf(`{"n":%d,"pad":%q}`, i, strings.Repeat("p", i%97)), fmt.Sprintf("X-Request-Id: %d", i)))
		all.WriteString("\r\n") // stray line ends between requests are passed over
	}
	done := make(chan error, 1)
	go func() { _, err := io.WriteString(c, all.String()); done <- err }()
	r := bufio.NewReader(c)
	for i := range n {
		if got := readReply(t, r, "POST"); got.status != 202 || got.header.Get("X-Request-Id") != fmt.Sprint(i) {
			t.Fatalf("answer %d: %+v", i, got)
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for i, a := range log.take() {
		if want := fmt.Sprintf(`{"n":%d,`, i); !strings.HasPrefix(string(a.events[0].Payload), want) {
			t.Fatalf("append %d: %s", i, a.events[0].Payload)
		}
	}
}

// TestConn_AnyCut sends requests in two pieces, cut at every byte, and in single bytes.
func TestConn_AnyCut(t *testing.T) {
	log := &scriptedLog{}
	s := startServer(t, Options{Log: log})
	chunked := "POST /ingest HTTP/1.1\r\nHost: weir\r\nX-Request-Id: c\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n{\"a\"\r\n3\r\n:1}\r\n0\r\n\r\n"
	c := dial(t, s.addr)
	c.(*net.TCPConn).SetNoDelay(true) //nolint:errcheck // only makes the test weaker
	r := bufio.NewReader(c)
	for _, request := range []string{post("/ingest", `{"a":1}`, "X-Request-Id: c"), chunked} {
		for cut := 1; cut < len(request); cut++ {
			send(t, c, request[:cut])
			send(t, c, request[cut:])
			if got := readReply(t, r, "POST"); got.status != 202 || got.header.Get("X-Request-Id") != "c" {
				t.Fatalf("cut at %d: %+v", cut, got)
			}
		}
		for i := range request {
			send(t, c, request[i:i+1])
		}
		if got := readReply(t, r, "POST"); got.status != 202 {
			t.Fatalf("single bytes: %+v", got)
		}
	}
	for _, a := range log.take() {
		if string(a.events[0].Payload) != `{"a":1}` {
			t.Fatalf("stored %q", a.events[0].Payload)
		}
	}
}

// TestConn_LargeBodies: bodies around every size at which reading changes its way.
func TestConn_LargeBodies(t *testing.T) {
	log := &scriptedLog{}
	s := startServer(t, Options{Log: log, MaxEventBytes: 8 << 20})
	c := dial(t, s.addr)
	r := bufio.NewReader(c)
	for _, n := range []int{100, headerBytes - 200, headerBytes - 64, headerBytes, headerBytes + 1, 64 << 10, 64<<10 + 1, 1 << 20, 5<<20 + 3} {
		event := exactly(n)
		requests := []string{post("/ingest", event), "POST /ingest HTTP/1.1\r\nHost: w\r\nTransfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", n, event)}
		for _, request := range requests {
			go io.WriteString(c, request) //nolint:errcheck // the answer tells
			if got := readReply(t, r, "POST"); got.status != 202 {
				t.Fatalf("%d bytes: %+v", n, got)
			}
			if a := log.take(); len(a) != 1 || string(a[0].events[0].Payload) != event {
				t.Fatalf("%d bytes arrived changed", n)
			}
		}
	}
}

func TestConn_Expect(t *testing.T) {
	s := startServer(t, Options{Log: &scriptedLog{}, MaxBodyBytes: testBody, MaxEventBytes: testEvent})
	head := "POST %s HTTP/1.1\r\nHost: weir\r\nX-Request-Id: e\r\nExpect: 100-Continue\r\nContent-Length: %d\r\n\r\n"
	c := dial(t, s.addr)
	r := bufio.NewReader(c)
	send(t, c, fmt.Sprintf(head, "/ingest", 2))
	for _, want := range []string{"HTTP/1.1 100 Continue\r\n", "\r\n"} {
		if got, err := r.ReadString('\n'); got != want || err != nil {
			t.Fatalf("line %q, %v; want %q", got, err, want)
		}
	}
	send(t, c, "{}")
	if got := readReply(t, r, "POST"); got.status != 202 || got.header.Get("X-Request-Id") != "e" {
		t.Errorf("after the body: %+v", got)
	}
	send(t, c, fmt.Sprintf(head, "/ingest", 2)+"{}") // it did not wait, and needs no permission
	if got := readReply(t, r, "POST"); got.status != 202 {
		t.Errorf("body at once: %+v", got)
	}
	for request, status := range map[string]int{fmt.Sprintf(head, "/ingest", testBody+1): 413, fmt.Sprintf(head, "/ingest/nope", 2): 404} {
		if got := ask(t, s.addr, request); got.status != status || !got.close || got.header.Get("X-Request-Id") != "e" {
			t.Errorf("want %d without the body: %+v", status, got)
		}
	}
}

// TestConn_RefusedUpload: an answer that comes before the body is read must survive the upload.
func TestConn_RefusedUpload(t *testing.T) {
	s := startServer(t, Options{Log: &scriptedLog{}, MaxBodyBytes: 1 << 20})
	c := dial(t, s.addr)
	go io.WriteString(c, post("/ingest", strings.Repeat("x", 3<<20))) //nolint:errcheck // may be cut off
	r := bufio.NewReader(c)
	if got := readReply(t, r, "POST"); got.status != 413 || !got.close || got.body != text(refuseBody) {
		t.Errorf("answer %+v", got)
	}
	expectEnd(t, r)
}

func TestConn_TooSlow(t *testing.T) {
	tests := []struct{ name, sent, id string }{
		{"in the request line", "POS", ""},
		{"in the header", "POST /ingest HTTP/1.1\r\nHost: weir\r\nX-Requ", ""},
		{"before the body", "POST /ingest HTTP/1.1\r\nHost: weir\r\nX-Request-Id: s\r\nContent-Length: 10\r\n\r\n", "s"},
		{"in the body", "POST /ingest HTTP/1.1\r\nHost: weir\r\nX-Request-Id: s\r\nContent-Length: 3\r\n\r\n{}", "s"},
		{"in a chunk", "POST /ingest HTTP/1.1\r\nHost: weir\r\nX-Request-Id: s\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{", "s"},
	}
	log := &scriptedLog{}
	s := startServer(t, Options{Log: log, ReadTimeout: 30 * time.Millisecond})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := dial(t, s.addr)
			send(t, c, tt.sent)
			r := bufio.NewReader(c)
			if got := readReply(t, r, "POST"); got.status != 408 || got.body != text(refuseSlow) || !got.close || got.header.Get("X-Request-Id") != tt.id {
				t.Errorf("answer %+v", got)
			}
		})
	}
	if a := log.take(); a != nil {
		t.Errorf("stored %v", a)
	}
	t.Run("a connection that never says anything ends in silence", func(t *testing.T) {
		expectEnd(t, bufio.NewReader(dial(t, s.addr)))
	})
}

func TestConn_IdleTimeout(t *testing.T) {
	s := startServer(t, Options{Log: &scriptedLog{}, IdleTimeout: 30 * time.Millisecond})
	c := dial(t, s.addr)
	r := bufio.NewReader(c)
	send(t, c, post("/ingest", "{}"))
	if got := readReply(t, r, "POST"); got.status != 202 || got.close {
		t.Errorf("answer %+v", got)
	}
	expectEnd(t, r)
}

// TestConn_LyingContentLength: nothing is stored of what does not fit its length.
func TestConn_LyingContentLength(t *testing.T) {
	log := &scriptedLog{}
	s := startServer(t, Options{Log: log})
	t.Run("more was announced and the client hangs up", func(t *testing.T) {
		c := dial(t, s.addr)
		send(t, c, "POST /ingest HTTP/1.1\r\nHost: weir\r\nContent-Length: 50\r\n\r\n{}")
		c.(*net.TCPConn).CloseWrite() //nolint:errcheck // the answer tells
		if got := readReply(t, bufio.NewReader(c), "POST"); got.status != 400 || got.body != text(refuseIncomplete) {
			t.Errorf("answer %+v", got)
		}
	})
	t.Run("less was announced", func(t *testing.T) {
		c := dial(t, s.addr)
		send(t, c, "POST /ingest HTTP/1.1\r\nHost: weir\r\nContent-Length: 4\r\n\r\n{\"a\":1}\r\n\r\n")
		r := bufio.NewReader(c)
		if got := readReply(t, r, "POST"); got.status != 400 || !strings.Contains(got.body, CodeMalformedJSON) {
			t.Errorf("the body: %+v", got)
		}
		if got := readReply(t, r, "POST"); got.status != 400 || got.body != text(refuseBadRequest) || !got.close {
			t.Errorf("what follows: %+v", got)
		}
	})
	if a := log.take(); a != nil {
		t.Errorf("stored %v", a)
	}
}
