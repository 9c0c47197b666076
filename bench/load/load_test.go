package load

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve runs a server that gives each request to answer until the test ends. number counts the requests of all
// connections from 1.
func serve(t *testing.T, answer func(c net.Conn, number int, body []byte) error) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	number := 0
	one := func(c net.Conn, r *bufio.Reader) error {
		req, err := http.ReadRequest(r)
		if err != nil {
			return err
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return err
		}
		mu.Lock()
		number++
		n := number
		mu.Unlock()
		return answer(c, n, body)
	}
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				for r := bufio.NewReader(c); one(c, r) == nil; {
				}
			})
		}
	})
	t.Cleanup(func() { ln.Close(); wg.Wait() })
	return ln.Addr().String()
}

func accept(c net.Conn, events int) error {
	body := Accepted(events)
	_, err := fmt.Fprintf(c, "HTTP/1.1 202 Accepted\r\ncontent-length: %d\r\n\r\n%s", len(body), body)
	return err
}

func plan(address string, events, limit int) Plan {
	return Plan{Address: address, Connections: 3, Threads: 2, Limit: limit, Patience: 10 * time.Second,
		Requests: Make(address, Shape{Path: "/ingest", Events: events, EventBytes: 320, Variants: max(5000/events, 1), Seed: 1})}
}

func run(t *testing.T, p Plan) *Result {
	t.Helper()
	r, err := Run(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRun_CountsWhatIsAcknowledged(t *testing.T) {
	var mu sync.Mutex
	lines, bad := 0, 0
	address := serve(t, func(c net.Conn, _ int, body []byte) error {
		mu.Lock()
		for line := range bytes.Lines(body) {
			lines++
			if !json.Valid(line) {
				bad++
			}
		}
		mu.Unlock()
		return accept(c, 4)
	})
	open := false
	p := plan(address, 4, 7)
	p.AtEnd = func() { open = true }
	r := run(t, p)
	if r.Failures != 0 || r.Unanswered != 0 || r.Acked != 3*7*4 || r.Events != r.Acked || r.Requests != 3*7 || !open {
		t.Errorf("result %+v, connections open at the end: %v", r, open)
	}
	if r.Latency.TotalCount() != r.Requests || r.Percentile(50) <= 0 || r.Rate() <= 0 {
		t.Errorf("latency of %d requests, median %s, rate %f", r.Latency.TotalCount(), r.Percentile(50), r.Rate())
	}
	mu.Lock()
	defer mu.Unlock()
	if lines != 3*7*4 || bad != 0 {
		t.Errorf("the server saw %d events, %d of them not JSON", lines, bad)
	}
}

func TestRun_AtOnce_BoundsBusyConnections(t *testing.T) {
	var mu sync.Mutex
	busy, most := 0, 0
	note := func(n int) {
		mu.Lock()
		defer mu.Unlock()
		busy += n
		most = max(most, busy)
	}
	address := serve(t, func(c net.Conn, _ int, _ []byte) error {
		note(1)
		runtime.Gosched() // let others in, if they may come
		note(-1)
		return accept(c, 1)
	})
	p := plan(address, 1, 2)
	p.Connections, p.AtOnce, p.Threads = 40, 3, 1
	r := run(t, p)
	mu.Lock()
	defer mu.Unlock()
	if r.Acked != 80 || r.Failures != 0 || most > 3 {
		t.Errorf("result %+v, %d busy at once", r, most)
	}
}

func TestRun_WarmUpIsAckedButNotMeasured(t *testing.T) {
	address := serve(t, func(c net.Conn, _ int, _ []byte) error { return accept(c, 1) })
	p := plan(address, 1, 2)
	p.WarmUp, p.Window = time.Hour, time.Hour
	if r := run(t, p); r.Acked != 6 || r.Events != 0 || r.Latency.TotalCount() != 0 {
		t.Errorf("result %+v", r)
	}
}

func TestRun_WindowEndsSending(t *testing.T) {
	address := serve(t, func(c net.Conn, _ int, _ []byte) error { return accept(c, 1) })
	p := plan(address, 1, 0)
	p.Window = 50 * time.Millisecond
	if r := run(t, p); r.Acked < 3 || r.Window != p.Window || r.Failures != 0 || r.Unanswered != 0 {
		t.Errorf("result %+v", r)
	}
}

func TestRun_FindsWhatIsWrong(t *testing.T) {
	text := func(s string) func(net.Conn, int, []byte) error {
		return func(c net.Conn, _ int, _ []byte) error { _, err := io.WriteString(c, s); return err }
	}
	tests := []struct {
		name   string
		answer func(net.Conn, int, []byte) error
		want   string
	}{
		{"another status", text("HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy"), `status 503, body "busy"`},
		{"fewer accepted than sent", func(c net.Conn, _ int, _ []byte) error { return accept(c, 1) }, `status 202, body "{\"accepted\":1}"`},
		{"the connection ends without an answer", func(net.Conn, int, []byte) error { return io.EOF }, "closed by the server"},
		{"the connection ends in the middle", func(c net.Conn, _ int, _ []byte) error {
			_, _ = io.WriteString(c, "HTTP/1.1 202 Accepted\r\nContent-Length: 14\r\n\r\n{\"acc") // the end is the point
			return io.EOF
		}, "closed by the server"},
		{"not HTTP", text("hello, this is not HTTP\r\n\r\n"), "not an HTTP answer"},
		{"no length", text("HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), "without Content-Length"},
		{"a negative length", text("HTTP/1.1 202 Accepted\r\nContent-Length: -1\r\n\r\n"), "not a length"},
		{"more than the answer", text("HTTP/1.1 202 Accepted\r\nContent-Length: 1\r\n\r\n{}"), "bytes after the answer"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := run(t, plan(serve(t, tt.answer), 2, 1))
			if r.Acked != 0 || r.Failures != 3 || r.Unanswered != 0 || !strings.Contains(r.Failure, tt.want) {
				t.Errorf("acked %d, failures %d, unanswered %d, first %q; want %q", r.Acked, r.Failures, r.Unanswered, r.Failure, tt.want)
			}
		})
	}
}

func TestRun_AnswerInPieces(t *testing.T) {
	address := serve(t, func(c net.Conn, _ int, _ []byte) error {
		for _, piece := range []string{"HTTP/1.1 202 Acc", "epted\r\nX: y\r\nCONTENT-LENGTH:", " 14\r\n\r\n{\"acc", "epted\":2}"} {
			if _, err := io.WriteString(c, piece); err != nil {
				return err
			}
		}
		return nil
	})
	if r := run(t, plan(address, 2, 5)); r.Acked != 3*5*2 || r.Failures != 0 {
		t.Errorf("result %+v", r)
	}
}

func TestRun_RequestsLargerThanTheSocketBuffer(t *testing.T) {
	address := serve(t, func(c net.Conn, _ int, body []byte) error { return accept(c, bytes.Count(body, []byte{'\n'})) })
	p := plan(address, 20_000, 2)
	p.Requests = p.Requests[:1]
	if r := run(t, p); r.Acked != 3*2*20_000 || r.Failures != 0 || r.Unanswered != 0 {
		t.Errorf("result %+v", r)
	}
}

func TestRun_AnswersThatNeverCome(t *testing.T) {
	release := make(chan struct{})
	address := serve(t, func(c net.Conn, n int, _ []byte) error {
		if n == 1 {
			return accept(c, 1)
		}
		<-release
		return io.EOF
	})
	p := plan(address, 1, 1)
	p.Window, p.Patience = time.Millisecond, time.Millisecond
	r := run(t, p)
	close(release)
	if r.Acked > 1 || r.Unanswered+r.Acked != 3 || r.Failures != 0 {
		t.Errorf("result %+v", r)
	}
}

func TestMake_SizeAndValidity(t *testing.T) {
	for _, size := range []int{MinEventBytes, 320, 1024} {
		shape := Shape{Path: "/ingest", Events: 1, EventBytes: size, Variants: 50, Seed: 9}
		requests := Make("h", shape)
		again := Make("h", shape)
		for i, r := range requests {
			_, body, _ := bytes.Cut(r.Bytes, []byte("\r\n\r\n"))
			if len(body) != size || !json.Valid(body) {
				t.Fatalf("size %d: %d bytes: %s", size, len(body), body)
			}
			if !bytes.Equal(r.Bytes, again[i].Bytes) {
				t.Fatalf("size %d: the same shape gave other bytes", size)
			}
			if i > 0 && bytes.Equal(r.Bytes, requests[i-1].Bytes) {
				t.Fatalf("size %d: two events are the same", size)
			}
		}
	}
}

func TestPlan_WhatCannotBeCarriedOut(t *testing.T) {
	good := plan("127.0.0.1:1", 1, 1)
	for name, spoil := range map[string]func(*Plan){
		"no connections":     func(p *Plan) { p.Connections = 0 },
		"no requests":        func(p *Plan) { p.Requests = nil },
		"no end":             func(p *Plan) { p.Limit = 0 },
		"negative threads":   func(p *Plan) { p.Threads = -1 },
		"no address":         func(p *Plan) { p.Address = "nowhere" },
		"nobody listens":     func(*Plan) {},
		"an IPv6 nobody has": func(p *Plan) { p.Address = "[::1]:1" },
	} {
		t.Run(name, func(t *testing.T) {
			p := good
			spoil(&p)
			if r, err := Run(t.Context(), p); err == nil {
				t.Errorf("no error; result %+v", r)
			}
		})
	}
}
