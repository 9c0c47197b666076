package ingest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// BenchmarkServer measures requests over real sockets, load generator included, beside fasthttp servers
// that read the body, do nothing and answer the same: what a design could reach at most.
func BenchmarkServer(b *testing.B) {
	noop := func(ctx *fasthttp.RequestCtx) {
		ctx.PostBody()
		ctx.SetStatusCode(202)
		ctx.SetContentType("application/json")
		ctx.SetBodyString(`{"accepted":1}`)
	}
	servers := []struct {
		name  string
		start func(b *testing.B) string
	}{
		{"weir", func(b *testing.B) string { return startServer(b, Options{Log: &memoryLog{}}).addr }},
		{"noop", func(b *testing.B) string { return startFasthttp(b, &fasthttp.Server{Handler: noop}) }},
		{"noop-reduced", func(b *testing.B) string {
			return startFasthttp(b, &fasthttp.Server{Handler: noop, ReduceMemoryUsage: true})
		}},
		{"noop-stream", func(b *testing.B) string {
			return startFasthttp(b, &fasthttp.Server{Handler: noop, StreamRequestBody: true})
		}},
	}
	for _, conns := range []int{64, 1024} {
		for _, events := range []int{1, 100} {
			for _, s := range servers {
				b.Run(fmt.Sprintf("conns=%d/events=%d/server=%s", conns, events, s.name), func(b *testing.B) {
					addr := s.start(b)
					body := strings.Repeat(monolog+"\n", events)
					load(b, addr, conns, post("/ingest", body))
					b.ReportMetric(float64(b.N*events)/b.Elapsed().Seconds(), "events/s")
				})
			}
		}
	}
}

func startFasthttp(b *testing.B, server *fasthttp.Server) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); server.Serve(ln) }() //nolint:errcheck // ends with Shutdown
	b.Cleanup(func() {
		server.ShutdownWithContext(context.Background()) //nolint:errcheck // a benchmark
		<-ended
	})
	return ln.Addr().String()
}

// load sends request b.N times over conns connections and reads all answers.
func load(b *testing.B, addr string, conns int, request string) {
	var clients []net.Conn
	for range conns {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		clients = append(clients, c)
	}
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	used := cpuTime()
	for _, c := range clients {
		wg.Go(func() {
			raw, answers := []byte(request), bufio.NewReaderSize(c, 512)
			for left.Add(-1) >= 0 {
				if _, err := c.Write(raw); err != nil {
					b.Error(err)
					return
				}
				if err := skipAnswer(answers); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(cpuTime()-used)/float64(b.N), "cpu-ns/op")
}

// cpuTime is what this process has used, load generator included. Unlike the time by the clock it does
// not depend on the neighbours.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// skipAnswer reads one answer, which must be a 202.
func skipAnswer(r *bufio.Reader) error {
	length := -1
	for first := true; ; first = false {
		text, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if first && string(text[9:12]) != "202" {
			return fmt.Errorf("answer %q", text)
		}
		if len(text) == 2 {
			_, err := io.CopyN(io.Discard, r, int64(length))
			return err
		}
		if len(text) > 16 && strings.EqualFold(string(text[:16]), "Content-Length: ") {
			length = 0
			for _, c := range text[16 : len(text)-2] {
				length = length*10 + int(c-'0')
			}
		}
	}
}
