package ingest

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/weirlog/weir/wal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memoryLog is an Appender that only counts.
type memoryLog struct{ next atomic.Uint64 }

var (
	_ Appender = (*memoryLog)(nil)
	_ Appender = (*wal.Log)(nil)
)

func (l *memoryLog) Append(_ context.Context, _ wal.Origin, events []wal.Event) (wal.Offset, error) {
	return wal.Offset(l.next.Add(uint64(len(events)))), nil
}

func (l *memoryLog) Ready() error { return nil }

// appended is one append as a scriptedLog saw it, with copies of all bytes.
type appended struct {
	origin wal.Origin
	events []wal.Event
}

// scriptedLog is an Appender that keeps what it was given and answers what the test says.
type scriptedLog struct {
	mu      sync.Mutex
	appends []appended
	err     error // of Append; guarded by mu
	ready   error // of Ready; guarded by mu

	entered chan struct{} // when not nil: told of each append, which then waits for release
	release chan struct{}
}

var _ Appender = (*scriptedLog)(nil)

func (l *scriptedLog) Append(ctx context.Context, origin wal.Origin, events []wal.Event) (wal.Offset, error) {
	if l.entered != nil {
		l.entered <- struct{}{}
		select {
		case <-l.release:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return 0, l.err
	}
	a := appended{origin: origin}
	for _, e := range events {
		e.Payload = append([]byte(nil), e.Payload...)
		a.events = append(a.events, e)
	}
	l.appends = append(l.appends, a)
	return wal.Offset(len(l.appends)), nil
}

func (l *scriptedLog) Ready() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ready
}

func (l *scriptedLog) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err, l.ready = err, err
}

// take returns the appends so far and forgets them.
func (l *scriptedLog) take() []appended {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.appends
	l.appends = nil
	return a
}

// running is a Server under test.
type running struct {
	*Server
	addr  string // of its first listener
	stop  context.CancelFunc
	ended chan error
}

// startServer runs a server on a free port, or where options say, until the test ends.
func startServer(t testing.TB, options Options) *running {
	t.Helper()
	if len(options.Listen) == 0 {
		options.Listen = []string{"127.0.0.1:0"}
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	s, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &running{Server: s, addr: s.Addrs()[0].String(), stop: stop, ended: make(chan error, 1)}
	go func() { r.ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		<-r.ended
		if n := s.budget.used.Load(); n != 0 {
			t.Errorf("%d bytes are still counted as in flight", n)
		}
	})
	return r
}

// post returns a request as bytes.
func post(path, body string, headers ...string) string {
	text := "POST " + path + " HTTP/1.1\r\nHost: weir\r\n"
	for _, h := range headers {
		text += h + "\r\n"
	}
	return text + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(body)) + body
}

// dial connects to a server under test.
func dial(t testing.TB, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// talk sends bytes, says that no more come, and reads until the server ends the connection.
func talk(t testing.TB, addr string, sent []byte) []byte {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	go func() {
		c.Write(sent)                 //nolint:errcheck // the server may have hung up
		c.(*net.TCPConn).CloseWrite() //nolint:errcheck // as above
	}()
	heard, _ := io.ReadAll(c)
	return heard
}

func counted(c prometheus.Counter) float64 { return testutil.ToFloat64(c) }
