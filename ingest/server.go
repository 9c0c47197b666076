package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Server is the ingest endpoint. Make it with New, bind it with Listen, serve with Run.
type Server struct {
	options Options
	limits  limits
	log     *slog.Logger
	metrics *Metrics
	budget  budget

	streams  map[string]*stream // never changed after New
	fallback *stream            // of POST /ingest

	decompressors chan struct{} // a slot for each decompression
	keepers       chan struct{} // a slot for each refused body that is being kept

	draining atomic.Bool
	appends  context.Context // of every append; ends when draining has taken too long
	cancel   context.CancelFunc

	mu        sync.Mutex
	listeners []net.Listener     // guarded by mu
	conns     map[*conn]struct{} // guarded by mu
	closed    bool               // guarded by mu; no connection may be added
	serving   sync.WaitGroup     // every goroutine
}

// New returns a Server that is not bound yet. The error wraps ErrOptions.
func New(options Options) (*Server, error) {
	options, err := options.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{
		options:       options,
		limits:        limits{eventBytes: int(options.MaxEventBytes), events: options.MaxBodyEvents},
		log:           options.Logger.With("component", "ingest"),
		metrics:       options.Metrics,
		budget:        budget{used: &options.Metrics.inFlight, max: options.MaxInFlightBytes},
		streams:       make(map[string]*stream),
		decompressors: make(chan struct{}, 2*runtime.GOMAXPROCS(0)),
		keepers:       make(chan struct{}, maxKeepers),
		conns:         make(map[*conn]struct{}),
	}
	s.appends, s.cancel = context.WithCancel(context.Background())
	for _, name := range append([]string{DefaultStream}, options.Streams...) {
		s.streams[name] = &stream{name: name, counters: s.metrics.stream(name)}
	}
	s.fallback = s.streams[DefaultStream]
	return s, nil
}

// Listen binds all addresses, or none. Clients can connect from then on; they are answered once Run runs.
func (s *Server) Listen() error {
	var bound []net.Listener
	for _, address := range s.options.Listen {
		ln, err := listen(address, s.options.SocketMode)
		if err != nil {
			closeAll(bound)
			return err
		}
		bound = append(bound, ln)
	}
	s.mu.Lock()
	s.listeners = bound
	s.mu.Unlock()
	return nil
}

// Addrs returns the addresses that Listen bound, in the order of Options.Listen, with real ports.
func (s *Server) Addrs() []net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	addrs := make([]net.Addr, len(s.listeners))
	for i, ln := range s.listeners {
		addrs[i] = ln.Addr()
	}
	return addrs
}

// Drain makes the server refuse every new request with 503 shutting_down. Requests in hand go on. It
// returns at once, may be called more than once and before Run ends.
func (s *Server) Drain() { s.draining.Store(true) }

// Run serves until ctx ends or a listener fails for good, then drains: new requests are refused, those in
// hand are answered, and what is left after DrainTimeout is cut off. It returns nil after a drain that
// answered everything, and only after all goroutines of the server have ended. It binds first if Listen
// was not called. It runs once.
func (s *Server) Run(ctx context.Context) error {
	if len(s.Addrs()) == 0 {
		if err := s.Listen(); err != nil {
			return err
		}
	}
	failed := make(chan error, len(s.options.Listen))
	s.mu.Lock()
	for _, ln := range s.listeners {
		s.serving.Add(1)
		go func() {
			defer s.serving.Done()
			failed <- s.accept(ln)
		}()
	}
	s.mu.Unlock()

	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	return errors.Join(err, s.drain())
}

// drain ends the server. Listeners stay open until the requests in hand are answered, so that whoever
// comes meanwhile hears 503 and not a refused connection.
func (s *Server) drain() error {
	s.Drain()
	timeout := time.NewTimer(s.options.DrainTimeout)
	defer timeout.Stop()
	var late int
	for _, c := range s.connsIn(connActive) {
		select {
		case <-c.done:
			continue
		case <-timeout.C:
			timeout.Reset(0) // for the others too
			late++
		}
	}
	s.mu.Lock()
	s.closed = true
	closeAll(s.listeners)
	s.mu.Unlock()

	for _, c := range s.connsIn(connIdle) {
		if c.state.CompareAndSwap(connIdle, connClosed) {
			c.net.Close() //nolint:errcheck // it waits for a request that will not be served
		}
	}
	if late > 0 {
		s.cancel()
	}
	ended := make(chan struct{})
	go func() { s.serving.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-timeout.C:
		s.cancel()
		for _, c := range s.connsIn(connActive) {
			c.net.Close() //nolint:errcheck // its time is over
			late++
		}
		<-ended
	}
	s.cancel()
	if late > 0 {
		return fmt.Errorf("drain: requests were not answered within %s", s.options.DrainTimeout)
	}
	return nil
}

// accept serves the connections of one listener until it is closed.
func (s *Server) accept(ln net.Listener) error {
	var pause time.Duration
	for {
		c, err := ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			// Out of descriptors or memory, or a connection that ended in the queue: it passes.
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			s.log.Warn("cannot accept a connection", "error", err, "again_in", pause)
			time.Sleep(pause)
			continue
		}
		pause = 0
		s.start(c)
	}
}

// start serves one connection in a goroutine of its own, if there is room.
func (s *Server) start(nc net.Conn) {
	c, err := newConn(s, nc)
	if err != nil {
		s.log.Error("connection cannot be served", "error", err)
		nc.Close() //nolint:errcheck // as above
		return
	}
	s.mu.Lock()
	full := len(s.conns) >= s.options.MaxConnections
	if s.closed || full {
		s.mu.Unlock()
		if full {
			c.refuseUnread(refuseConnections) //nolint:errcheck // the connection ends either way
		}
		nc.Close() //nolint:errcheck // it was refused
		return
	}
	s.conns[c] = struct{}{}
	s.serving.Add(1)
	s.mu.Unlock()
	s.metrics.connections.Add(1)
	go func() {
		defer s.serving.Done()
		c.serve()
		s.metrics.connections.Add(-1)
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	}()
}

// connsIn returns the connections in one state.
func (s *Server) connsIn(state int32) []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	var in []*conn
	for c := range s.conns {
		if c.state.Load() == state {
			in = append(in, c)
		}
	}
	return in
}

func closeAll(listeners []net.Listener) {
	for _, ln := range listeners {
		ln.Close() //nolint:errcheck // nobody waits for it
	}
}
