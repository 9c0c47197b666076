package elastictest

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// Server is the fake. Make it with NewServer or Start.
type Server struct {
	opts  Options
	http  *fasthttp.Server
	store *store
	url   atomic.Pointer[string]
	ln    atomic.Pointer[net.Listener]

	item    atomic.Pointer[func(Item) Answer]
	request atomic.Pointer[func(Request) Fault]
	chaos   atomic.Pointer[Chaos]

	requests atomic.Int64
	counts   counts

	stop     chan struct{}
	stopOnce sync.Once
}

// TB is what Start needs of a test.
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// Start serves on a free port of the loopback until the test ends.
func Start(t TB, opts Options) *Server {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	s := NewServer(opts)
	s.setURL(ln)
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-served; err != nil {
			t.Fatalf("serve: %v", err)
		}
	})
	return s
}

// NewServer returns a server that does not serve yet.
func NewServer(opts Options) *Server {
	s := &Server{opts: opts, store: newStore(opts.Keep), stop: make(chan struct{})}
	s.SetItem(opts.Item)
	s.SetRequest(opts.Request)
	s.SetChaos(opts.Chaos)
	s.http = &fasthttp.Server{
		Handler:            s.handle,
		MaxRequestBodySize: 1 << 30,
		CloseOnShutdown:    true,
		NoDefaultDate:      true,
		Logger:             silent{},
		IdleTimeout:        time.Minute,
	}
	return s
}

// Serve answers requests until Close. It returns after the listener was closed.
func (s *Server) Serve(ln net.Listener) error {
	s.setURL(ln)
	err := s.http.Serve(ln)
	select {
	case <-s.stop: // Close may have come before fasthttp knew the listener, and closed it itself
		return nil
	default:
	}
	if err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// Close ends Serve, releases requests that a fault holds, and waits for those in flight.
func (s *Server) Close() {
	s.stopOnce.Do(func() {
		close(s.stop)
		if ln := s.ln.Load(); ln != nil {
			_ = (*ln).Close() // Shutdown closes it only when Serve got that far
		}
		_ = s.http.Shutdown() // it only repeats what closing the listener said
	})
}

func (s *Server) setURL(ln net.Listener) {
	url := "http://" + ln.Addr().String()
	s.url.Store(&url)
	s.ln.Store(&ln)
}

// URL returns the base URL; "" before Serve.
func (s *Server) URL() string {
	if url := s.url.Load(); url != nil {
		return *url
	}
	return ""
}

// SetItem replaces Options.Item. nil means none.
func (s *Server) SetItem(f func(Item) Answer) {
	if f == nil {
		s.item.Store(nil)
		return
	}
	s.item.Store(&f)
}

// SetRequest replaces Options.Request. nil means none.
func (s *Server) SetRequest(f func(Request) Fault) {
	if f == nil {
		s.request.Store(nil)
		return
	}
	s.request.Store(&f)
}

// SetChaos replaces Options.Chaos. The zero value ends it.
func (s *Server) SetChaos(c Chaos) {
	if c == (Chaos{}) {
		s.chaos.Store(nil)
		return
	}
	s.chaos.Store(&c)
}

// silent keeps the faults that tests cause on purpose out of their output.
type silent struct{}

func (silent) Printf(string, ...any) {}

// counts are what Stats returns.
type counts struct {
	greetings, documents, created, conflicts, failed, bytes atomic.Int64
}

// Stats counts what came since the start or the last Reset.
type Stats struct {
	Greetings int64 `json:"greetings"` // GET and HEAD /
	Requests  int64 `json:"requests"`  // bulk requests, spoiled ones included
	Documents int64 `json:"documents"` // items of requests that were not refused whole
	Created   int64 `json:"created"`
	Conflicts int64 `json:"conflicts"` // 409
	Failed    int64 `json:"failed"`    // items with any other error
	Bytes     int64 `json:"bytes"`     // of bodies, as sent
	Stored    int64 `json:"stored"`    // documents there are now; 0 with KeepNothing
}

// Stats returns the counts.
func (s *Server) Stats() Stats {
	return Stats{
		Greetings: s.counts.greetings.Load(),
		Requests:  s.requests.Load(),
		Documents: s.counts.documents.Load(),
		Created:   s.counts.created.Load(),
		Conflicts: s.counts.conflicts.Load(),
		Failed:    s.counts.failed.Load(),
		Bytes:     s.counts.bytes.Load(),
		Stored:    int64(s.store.len()),
	}
}

// Reset forgets documents and counts.
func (s *Server) Reset() {
	s.store.reset()
	for _, c := range []*atomic.Int64{&s.requests, &s.counts.greetings, &s.counts.documents, &s.counts.created,
		&s.counts.conflicts, &s.counts.failed, &s.counts.bytes} {
		c.Store(0)
	}
}

// Restore adds documents that Docs of this or another server returned, as if they had come before.
func (s *Server) Restore(docs []Doc) { s.store.restore(docs) }

// Doc returns what is known of an id.
func (s *Server) Doc(index, id string) (Doc, bool) { return s.store.get(index, id) }

// Docs returns all documents in the order of index and id.
func (s *Server) Docs() []Doc { return s.store.all() }
