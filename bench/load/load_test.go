package load

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weirlog/weir/bench/marks"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve runs a server that gives each request to answer until the test ends. number counts the requests of all
// connections from 1.
func serve(t *testing.T, answer func(c net.Conn, number int, body []byte) error) string {
	t.Helper()
	return serveOn(t, "tcp", "127.0.0.1:0", answer)
}

func serveOn(t *testing.T, network, address string, answer func(c net.Conn, number int, body []byte) error) string {
	t.Helper()
	ln, err := net.Listen(network, address)
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
		Requests: Make(address, Shape{Path: "/ingest", Events: events, EventBytes: 320, Variants: max(500/events, 1), Seed: 1})}
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
	open, early := false, -1
	p := plan(address, 4, 7)
	p.AtStart = func() {
		mu.Lock()
		defer mu.Unlock()
		early = lines
	}
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
	if early != 0 {
		t.Errorf("the start was told when %d events had been sent; -1: not at all", early)
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
		{"no length", text("HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), `status 202, body ""`},
		{"a broken chunk", text("HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n"), "not an HTTP answer"},
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

func TestRun_AnswersOfEveryKind(t *testing.T) {
	pieces := func(s ...string) func(net.Conn, int, []byte) error {
		return func(c net.Conn, _ int, _ []byte) error {
			for _, piece := range s {
				if _, err := io.WriteString(c, piece); err != nil {
					return err
				}
			}
			if strings.Contains(strings.ToLower(s[0]), "close") {
				return io.EOF
			}
			return nil
		}
	}
	for name, answer := range map[string]func(net.Conn, int, []byte) error{
		"nothing":                     pieces("HTTP/1.1 204 No Content\r\n\r\n"),
		"no body":                     pieces("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
		"chunks":                      pieces("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{\"", "\r\n2\r\n\"}\r\n0\r\n", "\r\n"),
		"up to the connection's end":  pieces("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{", "}"),
		"the last of its connection":  pieces("HTTP/1.1 201 Created\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"),
		"no body, and the connection": pieces("HTTP/1.0 200 OK\r\nconnection: Close\r\n\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			p := plan(serve(t, answer), 2, 4)
			p.Reopen, p.Acknowledges = true, NDJSON.Acknowledges
			if r := run(t, p); r.Acked != 3*4*2 || r.Failures != 0 || r.Unanswered != 0 {
				t.Errorf("result %+v", r)
			}
		})
	}
}

func TestRun_Reopen_GoesOnAfterAConnectionEnded(t *testing.T) {
	address := serve(t, func(c net.Conn, n int, _ []byte) error {
		if n%3 == 0 {
			return io.EOF // without an answer
		}
		return accept(c, 1)
	})
	p := plan(address, 1, 6)
	p.Reopen = true
	if r := run(t, p); r.Acked != 12 || r.Failures != 6 || r.Unanswered != 0 {
		t.Errorf("result %+v", r)
	}
}

func TestRun_Reopen_EndsWhenNobodyListensAnyMore(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		var conns []net.Conn
		for range 3 {
			c, err := ln.Accept()
			if err != nil {
				t.Error(err)
				return
			}
			conns = append(conns, c)
		}
		ln.Close()
		for _, c := range conns {
			c.Close()
		}
	})
	p := plan(ln.Addr().String(), 1, 0)
	p.Reopen, p.Window = true, time.Hour
	r := run(t, p)
	wg.Wait()
	if r.Acked != 0 || r.Failures < 3 || !strings.Contains(r.Failure, "connection") && !strings.Contains(r.Failure, "write") {
		t.Errorf("result %+v", r)
	}
}

func TestRun_DialEach(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]int{}
	address := serve(t, func(c net.Conn, _ int, _ []byte) error {
		mu.Lock()
		seen[c.RemoteAddr().String()]++
		mu.Unlock()
		if err := accept(c, 1); err != nil {
			return err
		}
		return io.EOF // closes
	})
	p := plan(address, 1, 20)
	p.DialEach = true
	r := run(t, p)
	mu.Lock()
	defer mu.Unlock()
	if r.Acked != 60 || r.Failures != 0 || len(seen) != 60 {
		t.Errorf("result %+v over %d connections", r, len(seen))
	}
}

func TestRun_DialEach_NobodyListens(t *testing.T) {
	p := plan("127.0.0.1:1", 1, 3)
	p.DialEach = true
	if r := run(t, p); r.Failures != 3 || r.Acked != 0 || !strings.Contains(r.Failure, "refused") {
		t.Errorf("result %+v", r)
	}
}

// TestSlow_Turn steps through a slow request without the clock.
func TestSlow_Turn(t *testing.T) {
	got := make(chan string, 10)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := 0; ; n++ {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				b, _ := io.ReadAll(io.LimitReader(c, int64(len(slowHead)+1))) // its end may come sooner
				got <- string(b)
			})
		}
	})
	s, err := newSlow(&Plan{Address: ln.Addr().String(), Slow: 2})
	if err != nil {
		t.Fatal(err)
	}
	// The second had its head at once, so that one byte is left: then the server ends it.
	s.turn(0)
	s.turn(1)
	if b := <-got; b != string(slowHead)+"{" {
		t.Errorf("the second connection got %q", b)
	}
	for s.cuts == 0 { // until the end of the connection has come through
		s.turn(1)
	}
	if s.conns[1].fd < 0 || s.conns[1].sent != len(slowHead) {
		t.Errorf("the connection that was cut: %+v", s.conns[1])
	}
	s.close()
	if b := <-got; b != "P" && b != string(slowHead) {
		t.Errorf("another connection got %q", b)
	}
	ln.Close()
	wg.Wait()
}

func TestRun_Slow_NeverFails(t *testing.T) {
	address := serve(t, func(c net.Conn, _ int, _ []byte) error { return accept(c, 1) })
	p := plan(address, 1, 5)
	p.Slow = 20
	if r := run(t, p); r.Acked != 15 || r.Failures != 0 || r.Unanswered != 0 {
		t.Errorf("result %+v", r)
	}
}

func TestRun_UnixSocket(t *testing.T) {
	for name, each := range map[string]bool{"kept": false, "a new connection each": true} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "s")
			serveOn(t, "unix", path, func(c net.Conn, _ int, _ []byte) error { return accept(c, 1) })
			p := plan("unix:"+path, 1, 9)
			p.DialEach = each
			if r := run(t, p); r.Acked != 27 || r.Failures != 0 {
				t.Errorf("result %+v", r)
			}
		})
	}
}

func TestRun_OpenLoop_KeepsTheRate(t *testing.T) {
	address := serve(t, func(c net.Conn, _ int, _ []byte) error { return accept(c, 1) })
	p := plan(address, 1, 0)
	p.Rate, p.WarmUp, p.Window = 1000, 20*time.Millisecond, 80*time.Millisecond
	r := run(t, p)
	if r.Acked != 100 || r.Latency.TotalCount() != 80 || r.Failures != 0 || r.Unsent != 0 {
		t.Errorf("result %+v, latency of %d", r, r.Latency.TotalCount())
	}
}

// TestRun_OpenLoop_StallCounts has a server that stands still for a third of the window, once. A closed loop has one slow
// request on each connection to show for it; real clients would have come meanwhile and waited.
func TestRun_OpenLoop_StallCounts(t *testing.T) {
	const stall = 100 * time.Millisecond
	stalling := func() string {
		release := make(chan struct{})
		return serve(t, func(c net.Conn, n int, _ []byte) error {
			if n == 50 {
				time.AfterFunc(stall, func() { close(release) })
			}
			if n >= 50 {
				<-release
			}
			return accept(c, 1)
		})
	}
	p := plan(stalling(), 1, 0)
	p.Window, p.Rate = 3*stall, 1000
	open := run(t, p)
	if open.Acked != 300 || open.Failures != 0 {
		t.Fatalf("result %+v", open)
	}
	// About 100 of 300 requests became due during the stall; those of its first half waited for more than half of it.
	if p85, p99 := open.Percentile(85), open.Percentile(99); p85 < stall/4 || p99 < stall*8/10 {
		t.Errorf("open loop: p85 %s, p99 %s", p85, p99)
	}
	closed := run(t, plan(stalling(), 1, 100))
	if p85 := closed.Percentile(85); closed.Acked != 300 || p85 >= open.Percentile(85) {
		t.Errorf("closed loop: p85 %s, open loop: %s; %+v", p85, open.Percentile(85), closed)
	}
}

// TestRun_OpenLoop_PatienceEnds has a server that answers one request only: the rest waits, and is not left out.
func TestRun_OpenLoop_PatienceEnds(t *testing.T) {
	release := make(chan struct{})
	address := serve(t, func(c net.Conn, n int, _ []byte) error {
		if n > 1 {
			<-release
		}
		return accept(c, 1)
	})
	p := plan(address, 1, 0)
	p.Rate, p.Window, p.Patience = 1000, 50*time.Millisecond, 300*time.Millisecond
	r := run(t, p)
	close(release)
	if r.Unanswered != 3 || r.Unsent != 46 || r.Latency.TotalCount() != 47 || r.Percentile(90) < 40*time.Millisecond {
		t.Errorf("result %+v, latency of %d, p90 %s", r, r.Latency.TotalCount(), r.Percentile(90))
	}
}

func TestRun_Ledger_KnowsWhatWasAcknowledged(t *testing.T) {
	marked := marks.Run(3)
	var arrivals marks.Arrivals
	arrivals.Begin(marked)
	address := serve(t, func(c net.Conn, n int, body []byte) error {
		for line := range bytes.Lines(body) {
			arrivals.Document(line, fmt.Sprint(n))
		}
		if n%5 == 0 {
			_, err := io.WriteString(c, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
			return err
		}
		return accept(c, 4)
	})
	p := plan(address, 4, 10)
	p.Ledger = &marks.Ledger{}
	p.Requests = Make(address, Shape{Path: "/", Events: 4, EventBytes: MinMarkedBytes, Variants: 7, Run: &marked})
	r := run(t, p)
	want := marks.Verdict{Sent: 120, Acked: 96, Unanswered: 24, UnansweredIn: 24}
	if got := p.Ledger.Compare(arrivals.Arrived()); got != want || r.Acked != 96 || arrivals.Counts().Doubled != 0 {
		t.Errorf("verdict %+v, want %+v; result %+v", got, want, r)
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

func TestPlan_WhatCannotBeCarriedOut(t *testing.T) {
	good := plan("127.0.0.1:1", 1, 1)
	for name, spoil := range map[string]func(*Plan){
		"no connections":          func(p *Plan) { p.Connections = 0 },
		"no requests":             func(p *Plan) { p.Requests = nil },
		"no end":                  func(p *Plan) { p.Limit = 0 },
		"negative threads":        func(p *Plan) { p.Threads = -1 },
		"a rate without a window": func(p *Plan) { p.Rate = 1 },
		"a rate with a limit":     func(p *Plan) { p.Rate, p.Window = 1, time.Second },
		"a negative rate":         func(p *Plan) { p.Rate = -1 },
		"no socket":               func(p *Plan) { p.Address = "unix:/nowhere/at/all" },
		"too long a path":         func(p *Plan) { p.Address = "unix:/" + strings.Repeat("a", 200) },
		"no address":              func(p *Plan) { p.Address = "nowhere" },
		"nobody listens":          func(*Plan) {},
		"an IPv6 nobody has":      func(p *Plan) { p.Address = "[::1]:1" },
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
