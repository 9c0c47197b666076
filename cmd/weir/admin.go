package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/flush/checkpoint"
	"github.com/weirlog/weir/flush/deadletter"
	"github.com/weirlog/weir/flush/local"
	"github.com/weirlog/weir/lua"
	"github.com/weirlog/weir/wal"
)

// logView is what the admin API reads of the log, whether it runs or is stopped.
type logView interface {
	Status() wal.Status
	Segments() []wal.SegmentInfo
	NewReader(from wal.Offset) *wal.Reader
	Verify(ctx context.Context, progress func(bytes int64)) (wal.Report, error)
}

var (
	_ logView = (*wal.Log)(nil)
	_ logView = (*wal.Snapshot)(nil)
)

// adminParts is what the admin API works on. The same handler serves the listener of a running service
// and, inside a command, a data directory that no service holds; what is nil there is answered with an
// error that says what it needs.
type adminParts struct {
	cfg    *Config
	logger *slog.Logger

	view     *dataView // of a directory that lies still and is not changed; else nil
	log      logView
	db       *checkpoint.DB
	letters  *deadletter.Store
	refused  *deadletter.Store
	replayer func(*deadletter.Store) *deadletter.Replayer
	store    *local.Store          // nil unless the embedded destination is in use
	flusher  *flush.Flusher        // nil offline
	sinks    map[string]flush.Sink // by stream
	scripts  map[scriptKey]*lua.Transformer

	ready    func() error                                // nil when an append would succeed now; the func is nil offline
	reload   func(ctx context.Context, force bool) error // configuration and scripts; nil offline
	registry *prometheus.Registry
	started  time.Time

	asides    *asides          // nil offline
	home      *checkpoint.Home // where the directory is used; nil offline
	elsewhere string           // see service

	// hosts are further names under which the listener may be asked, besides its own address, this
	// machine's name and the loopback names.
	hosts []string
}

// online reports whether a running service stands behind the API.
func (p *adminParts) online() bool { return p.flusher != nil }

// admin is the API and the page on adminParts.
type admin struct {
	*adminParts
	now   func() time.Time
	rates rateSampler
	cause causeCache
}

func newAdmin(p *adminParts) *admin {
	if p.logger == nil {
		p.logger = slog.New(slog.DiscardHandler)
	}
	return &admin{adminParts: p, now: time.Now}
}

// handler returns all routes, without the protection that a listener needs.
func (a *admin) handler() http.Handler {
	mux := http.NewServeMux()
	api := func(pattern string, f apiFunc) { mux.Handle(pattern, a.api(f)) }
	api("GET /livez", a.getLive)
	api("GET /readyz", a.getReady)
	api("GET /api/v1/status", a.getStatus)
	api("GET /api/v1/dead-letters", a.getLetters)
	api("GET /api/v1/dead-letters/stats", a.getLetterStats)
	api("GET /api/v1/dead-letters/export", a.exportLetters)
	api("GET /api/v1/dead-letters/{key}", a.getLetter)
	api("PUT /api/v1/dead-letters/{key}/event", a.putLetterEvent)
	api("POST /api/v1/dead-letters/replay", a.replayLetters)
	api("POST /api/v1/dead-letters/drop", a.dropLetters)
	api("GET /api/v1/search", a.getSearch)
	api("GET /api/v1/wal", a.getWAL)
	api("GET /api/v1/wal/verify", a.verifyWAL)
	api("GET /api/v1/wal/records", a.getRecords)
	api("GET /api/v1/scripts", a.getScripts)
	api("POST /api/v1/reload", a.postReload)
	api("GET /{$}", a.getPage)
	mux.Handle("GET /assets/{name}", a.api(getAsset))
	mux.Handle("GET /metrics", promhttp.HandlerFor(a.registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(a.logger.Handler(), slog.LevelWarn), Registry: a.registry, MaxRequestsInFlight: 4,
	}))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h, pattern := mux.Handler(r); pattern == "" {
			writeNoRoute(w, r, h)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// adminServer is the admin listener. Constructed by newAdminServer, bound by Listen, served by Run.
type adminServer struct {
	admin    *admin
	listener net.Listener
}

func newAdminServer(p *adminParts) (*adminServer, error) {
	if !isLoopback(p.cfg.Admin.Listen) && p.cfg.Admin.Token == "" {
		return nil, fmt.Errorf("admin.listen: %s can be reached from other machines and needs admin.token", p.cfg.Admin.Listen)
	}
	return &adminServer{admin: newAdmin(p)}, nil
}

// Listen binds the address.
func (s *adminServer) Listen() error {
	l, err := net.Listen("tcp", s.admin.cfg.Admin.Listen)
	if err != nil {
		return err
	}
	s.listener = l
	return nil
}

// Addr returns the address that Listen bound.
func (s *adminServer) Addr() string { return s.listener.Addr().String() }

// Times of the listener. A streamed answer pushes its own write deadline forward, see stream.
const (
	adminHeaderTimeout = 10 * time.Second
	adminReadTimeout   = 30 * time.Second
	adminWriteTimeout  = 2 * time.Minute
	adminIdleTimeout   = 2 * time.Minute
	adminStopTimeout   = 2 * time.Second
	adminHeaderBytes   = 64 << 10
)

// Run serves until ctx ends, then lets short requests finish and cuts off the others.
func (s *adminServer) Run(ctx context.Context) error {
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	bound := &connectionBound{most: maxAdminConnections}
	server := &http.Server{
		ConnState:         bound.follow,
		Handler:           s.admin.guard(s.listener.Addr(), s.admin.handler()),
		ReadHeaderTimeout: adminHeaderTimeout, ReadTimeout: adminReadTimeout,
		WriteTimeout: adminWriteTimeout, IdleTimeout: adminIdleTimeout, MaxHeaderBytes: adminHeaderBytes,
		BaseContext: func(net.Listener) context.Context { return base },
		ErrorLog:    slog.NewLogLogger(s.admin.logger.Handler(), slog.LevelDebug),
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(s.listener) }()
	sampled := make(chan struct{})
	go func() {
		defer close(sampled)
		s.admin.sample(base)
	}()
	var err error
	select {
	case err = <-ended:
	case <-ctx.Done():
		cancel() // long requests hear of it: a replay stops between two requests
		stop, done := context.WithTimeout(context.WithoutCancel(ctx), adminStopTimeout)
		defer done()
		if server.Shutdown(stop) != nil {
			err = server.Close()
		}
		if serveErr := <-ended; err == nil {
			err = serveErr
		}
	}
	cancel()
	<-sampled
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
