package ingest

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/weirlog/weir/wal"
)

func TestServer_TooMuchInFlight(t *testing.T) {
	log := &scriptedLog{entered: make(chan struct{}), release: make(chan struct{})}
	s := startServer(t, Options{Log: log, MaxEventBytes: 1000, MaxBodyBytes: 1500, MaxInFlightBytes: 1500})
	first := dial(t, s.addr)
	send(t, first, post("/ingest", exactly(1000)))
	<-log.entered // its fsync is awaited

	got := ask(t, s.addr, post("/ingest", exactly(501)))
	if got.status != 503 || got.body != text(refuseBusy) || got.header.Get("Retry-After") != "1" || got.close {
		t.Errorf("a body that is there: %+v", got)
	}
	got = ask(t, s.addr, "POST /ingest HTTP/1.1\r\nHost: weir\r\nContent-Length: 501\r\nExpect: 100-continue\r\n\r\n")
	if got.status != 503 || got.body != text(refuseBusy) || !got.close {
		t.Errorf("a body that is announced: %+v", got)
	}
	got = ask(t, s.addr, chunkedHead+"1F5\r\n"+exactly(501))
	if got.status != 503 || got.body != text(refuseBusy) {
		t.Errorf("a body of chunks: %+v", got)
	}
	got = ask(t, s.addr, post("/ingest", packed(t, "gzip", strings.Repeat(" ", 1000)+"{}"), "Content-Encoding: gzip"))
	if got.status != 503 || got.body != text(refuseBusy) {
		t.Errorf("a body that grows when decompressed: %+v", got)
	}

	second := dial(t, s.addr)
	send(t, second, post("/ingest", "{}"))
	<-log.entered
	close(log.release)
	for _, c := range []net.Conn{first, second} {
		if got := readReply(t, bufio.NewReader(c), "POST"); got.status != 202 {
			t.Errorf("what was in flight: %+v", got)
		}
	}
}

// TestServer_AnswerFollowsAppend: not one byte of an answer comes before its append has returned.
func TestServer_AnswerFollowsAppend(t *testing.T) {
	log := &scriptedLog{entered: make(chan struct{}), release: make(chan struct{})}
	s := startServer(t, Options{Log: log})
	c := dial(t, s.addr)
	send(t, c, post("/ingest", "{}"))
	<-log.entered
	c.SetReadDeadline(time.Now().Add(20 * time.Millisecond)) //nolint:errcheck // fails in Read
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("before the append returned: %d bytes, %v", n, err)
	}
	c.SetReadDeadline(time.Time{}) //nolint:errcheck // fails in Read
	log.release <- struct{}{}
	if got := readReply(t, bufio.NewReader(c), "POST"); got.status != 202 {
		t.Errorf("answer %+v", got)
	}
}

func TestServer_Drain(t *testing.T) {
	log := &scriptedLog{entered: make(chan struct{}), release: make(chan struct{})}
	s := startServer(t, Options{Log: log})
	busy, idle, silent := dial(t, s.addr), dial(t, s.addr), dial(t, s.addr)
	send(t, idle, "GET / HTTP/1.1\r\nHost: weir\r\n\r\n")
	idleReader := bufio.NewReader(idle)
	readReply(t, idleReader, "GET")
	send(t, busy, post("/ingest", "{}"))
	<-log.entered

	s.Drain()
	s.stop()
	send(t, idle, post("/ingest", "{}", "X-Request-Id: late"))
	got := readReply(t, idleReader, "POST")
	if got.status != 503 || got.body != text(refuseShutdown) || !got.close || got.header.Get("Retry-After") == "" || got.header.Get("X-Request-Id") != "late" {
		t.Errorf("on a kept connection: %+v", got)
	}
	if got := ask(t, s.addr, post("/ingest", "{}")); got.status != 503 || !got.close {
		t.Errorf("on a new connection: %+v", got)
	}
	close(log.release)
	if got := readReply(t, bufio.NewReader(busy), "POST"); got.status != 202 || !got.close {
		t.Errorf("request in hand: %+v", got)
	}
	if err := <-s.ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	s.ended <- nil
	expectEnd(t, bufio.NewReader(silent))
	if c, err := net.Dial("tcp", s.addr); err == nil {
		c.Close()
		t.Error("still listening after Run")
	}
}

// TestServer_Drain_TimesOut: what is not answered in time is cut off, and Run says so.
func TestServer_Drain_TimesOut(t *testing.T) {
	log := &scriptedLog{entered: make(chan struct{}), release: make(chan struct{})}
	s := startServer(t, Options{Log: log, DrainTimeout: 10 * time.Millisecond})
	busy := dial(t, s.addr)
	send(t, busy, post("/ingest", "{}"))
	<-log.entered
	reading := dial(t, s.addr)
	send(t, reading, "POST /ingest HTTP/1.1\r\nHost: weir\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n")
	if _, err := reading.Read(make([]byte, 25)); err != nil {
		t.Fatal(err)
	}
	s.stop()
	err := <-s.ended
	if err == nil || !strings.Contains(err.Error(), "not answered") {
		t.Errorf("Run: %v", err)
	}
	s.ended <- nil
}

// panickingLog is an Appender with a defect.
type panickingLog struct{ memoryLog }

func (*panickingLog) Append(context.Context, wal.Origin, []wal.Event) (wal.Offset, error) {
	panic("a defect")
}

func TestServer_Panic(t *testing.T) {
	metrics := NewMetrics(nil)
	s := startServer(t, Options{Log: &panickingLog{}, Metrics: metrics})
	for range 2 {
		got := ask(t, s.addr, post("/ingest", "{}\nx", "X-Request-Id: p"))
		if got.status != 503 || got.body != text(refuseCommit) || !got.close || got.header.Get("X-Request-Id") != "p" {
			t.Errorf("answer %+v", got)
		}
	}
	if n := testutil.ToFloat64(metrics.panics); n != 2 {
		t.Errorf("panics counted: %v", n)
	}
}

func TestServer_Unix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "in.sock")
	stale, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	stale.(*net.UnixListener).SetUnlinkOnClose(false)
	stale.Close()

	log := &scriptedLog{}
	s := startServer(t, Options{Log: log, Listen: []string{"unix://" + path, "127.0.0.1:0"}})
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("socket: %v, %v", info, err)
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	send(t, c, post("/ingest", "{}"))
	if got := readReply(t, bufio.NewReader(c), "POST"); got.status != 202 {
		t.Errorf("over the socket: %+v", got)
	}
	if got := ask(t, s.Addrs()[1].String(), post("/ingest", "{}")); got.status != 202 {
		t.Errorf("over TCP: %+v", got)
	}
	if a := log.take(); a[0].origin.Remote.IsValid() || !a[1].origin.Remote.IsValid() {
		t.Errorf("remotes %v, %v", a[0].origin.Remote, a[1].origin.Remote)
	}

	second, err := New(Options{Log: log, Listen: []string{"127.0.0.1:0", "unix://" + path}})
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Listen(); !errors.Is(err, ErrInUse) || len(second.Addrs()) != 0 {
		t.Errorf("Listen on a socket that is served: %v, bound %v", err, second.Addrs())
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	third, err := New(Options{Log: log, Listen: []string{"unix://" + file}})
	if err != nil {
		t.Fatal(err)
	}
	if err := third.Listen(); !errors.Is(err, ErrNotSocket) {
		t.Errorf("Listen on a file: %v", err)
	}
}

// keptBodies is a RefusedBodies that remembers, or fails.
type keptBodies struct {
	mu   sync.Mutex
	kept []RefusedBody
	err  error
}

func (k *keptBodies) Refuse(_ context.Context, r RefusedBody) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	r.Body = append([]byte(nil), r.Body...)
	k.kept = append(k.kept, r)
	return k.err
}

func TestServer_RefusedBodies(t *testing.T) {
	long := `{"a":"` + strings.Repeat("x", 100<<10)
	tests := []struct {
		name, request, code, body string
		size                      int
	}{
		{"garbage", post("/ingest/web", "garbage"), CodeMalformedJSON, "garbage", 7},
		{"a long broken object", post("/ingest/web", long), CodeMalformedJSON, long[:RefusedBytes], len(long)},
		{"broken JSON in gzip", post("/ingest/web", packed(t, "gzip", "garbage"), "Content-Encoding: gzip"), CodeMalformedJSON, "garbage", 7},
		{"what is no gzip", post("/ingest/web", "garbage", "Content-Encoding: gzip"), "corrupt_encoding", "garbage", 7},
		{"too large an event", post("/ingest/web", exactly(1<<20+1)), CodeEventTooLarge, exactly(1<<20 + 1)[:RefusedBytes], 1<<20 + 1},
		{"an empty body", post("/ingest/web", " "), "", "", 0},
		{"an unknown stream", post("/ingest/nope", "garbage"), "", "", 0},
		{"some good events", post("/ingest/web", "{}\ngarbage"), "", "", 0},
	}
	for _, fails := range []bool{false, true} {
		store, metrics := &keptBodies{}, NewMetrics(nil)
		if fails {
			store.err = errors.New("store is full")
		}
		s := startServer(t, Options{Log: &scriptedLog{}, Refused: store, Streams: []string{"web"}, Metrics: metrics})
		kept := 0
		for _, tt := range tests {
			store.kept = nil
			ask(t, s.addr, tt.request)
			if tt.code == "" {
				if len(store.kept) != 0 {
					t.Errorf("%s: kept %+v", tt.name, store.kept)
				}
				continue
			}
			kept++
			if len(store.kept) != 1 {
				t.Errorf("%s: %d bodies kept", tt.name, len(store.kept))
				continue
			}
			k := store.kept[0]
			if k.Code != tt.code || string(k.Body) != tt.body || k.Size != int64(tt.size) || k.Origin.Stream != "web" || k.Message == "" {
				t.Errorf("%s: kept code %s, %d of %d bytes, origin %+v", tt.name, k.Code, len(k.Body), k.Size, k.Origin)
			}
		}
		want := map[bool]prometheus.Counter{false: metrics.refusedKept, true: metrics.refusedLost}[fails]
		if n := testutil.ToFloat64(want); n != float64(kept) {
			t.Errorf("fails=%v: counted %v, want %d", fails, n, kept)
		}
	}
}

func TestServer_Metrics(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	s := startServer(t, Options{Log: &scriptedLog{}, Streams: []string{"web"}, Metrics: NewMetrics(registry)})
	ask(t, s.addr, post("/ingest", "{}\n{}\nx"))
	ask(t, s.addr, post("/ingest/web", "{}"))
	ask(t, s.addr, post("/ingest/nope", "{}"))
	c := dial(t, s.addr)
	r := bufio.NewReader(c)
	send(t, c, "GET / HTTP/1.1\r\nHost: weir\r\n\r\n") // the metrics of requests on other connections may lag
	readReply(t, r, "GET")
	want := `
# HELP weir_ingest_events_total Events stored, by stream and result: accepted, or dead_lettered because they were malformed.
# TYPE weir_ingest_events_total counter
weir_ingest_events_total{result="accepted",stream="default"} 2
weir_ingest_events_total{result="accepted",stream="web"} 1
weir_ingest_events_total{result="dead_lettered",stream="default"} 1
weir_ingest_events_total{result="dead_lettered",stream="web"} 0
# HELP weir_ingest_in_flight_bytes Memory of bodies that are being read or wait for their fsync.
# TYPE weir_ingest_in_flight_bytes gauge
weir_ingest_in_flight_bytes 0
# HELP weir_ingest_refused_requests_total Requests of which nothing was stored, by the code that the client was given.
# TYPE weir_ingest_refused_requests_total counter
weir_ingest_refused_requests_total{code="unknown_stream"} 1
`
	s.stop()
	<-s.ended
	s.ended <- nil
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "weir_ingest_events_total", "weir_ingest_in_flight_bytes", "weir_ingest_refused_requests_total"); err != nil {
		t.Error(err)
	}
	if n := testutil.ToFloat64(s.metrics.requests[2]); n != 3 {
		t.Errorf("2xx: %v", n)
	}
}

func TestServer_MaxConnections(t *testing.T) {
	s := startServer(t, Options{Log: &scriptedLog{}, MaxConnections: 1})
	c := dial(t, s.addr)
	r := bufio.NewReader(c)
	send(t, c, post("/ingest", "{}"))
	readReply(t, r, "POST")
	over := dial(t, s.addr)
	if got := readReply(t, bufio.NewReader(over), "POST"); got.status != 503 || got.body != text(refuseConnections) || !got.close {
		t.Errorf("one too many: %+v", got)
	}
	send(t, c, post("/ingest", "{}"))
	if got := readReply(t, r, "POST"); got.status != 202 {
		t.Errorf("the first: %+v", got)
	}
}

func TestNew_Options(t *testing.T) {
	for name, o := range map[string]Options{
		"no log":                          {},
		"an event larger than a body":     {Log: &memoryLog{}, MaxEventBytes: 2, MaxBodyBytes: 1},
		"a body larger than all together": {Log: &memoryLog{}, MaxEventBytes: 1, MaxBodyBytes: 2, MaxInFlightBytes: 1},
		"a negative timeout":              {Log: &memoryLog{}, IdleTimeout: -1},
		"a negative limit":                {Log: &memoryLog{}, MaxConnections: -1},
		"a stream without a name":         {Log: &memoryLog{}, Streams: []string{""}},
	} {
		if _, err := New(o); !errors.Is(err, ErrOptions) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestServer_Drain_UnderLoad ends servers while clients send. Every event in the log was acknowledged, and
// every client hears 202, then 503 or the end of its connection.
func TestServer_Drain_UnderLoad(t *testing.T) {
	for range 20 {
		log := &memoryLog{}
		s := startServer(t, Options{Log: log})
		var acked atomic.Uint64
		var clients sync.WaitGroup
		started := make(chan struct{}, 1)
		for range 16 {
			c := dial(t, s.addr)
			clients.Go(func() {
				r := bufio.NewReader(c)
				for {
					if _, err := io.WriteString(c, post("/ingest", "{}")); err != nil {
						return
					}
					resp, err := http.ReadResponse(r, nil)
					if err != nil {
						return
					}
					io.Copy(io.Discard, resp.Body) //nolint:errcheck // only its status counts
					if resp.StatusCode != 202 {
						if resp.StatusCode != 503 || !resp.Close {
							t.Errorf("answer %d, close %v", resp.StatusCode, resp.Close)
						}
						return
					}
					acked.Add(1)
					select {
					case started <- struct{}{}:
					default:
					}
				}
			})
		}
		<-started
		s.stop()
		if err := <-s.ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		s.ended <- nil
		clients.Wait()
		if acked.Load() != log.next.Load() {
			t.Errorf("%d events acknowledged, %d in the log", acked.Load(), log.next.Load())
		}
	}
}

// failingListener fails as often as it is told, then gives one connection, then is closed.
type failingListener struct {
	net.Listener
	fails int
	given bool
}

func (l *failingListener) Accept() (net.Conn, error) {
	switch {
	case l.fails > 0:
		l.fails--
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	case !l.given:
		l.given = true
		return l.Listener.Accept()
	}
	return nil, net.ErrClosed
}

// TestServer_Accept_Fails: a full table of descriptors passes; the server goes on when it has.
func TestServer_Accept_Fails(t *testing.T) {
	s := startServer(t, Options{Log: &memoryLog{}})
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	ended := make(chan error, 1)
	go func() { ended <- s.accept(&failingListener{Listener: inner, fails: 2}) }()
	if got := ask(t, inner.Addr().String(), post("/ingest", "{}")); got.status != 202 {
		t.Errorf("answer %+v", got)
	}
	if err := <-ended; err != nil {
		t.Errorf("accept: %v", err)
	}
}
