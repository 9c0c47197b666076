package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weirlog/weir/flush/checkpoint"
	"github.com/weirlog/weir/flush/deadletter"
	"github.com/weirlog/weir/lua"
	"github.com/weirlog/weir/wal"
)

// offlineNeeds says what a command opens of a data directory that no service holds. A script that does
// not compile is no reason why the log cannot be looked at.
type offlineNeeds struct {
	letters  bool
	store    bool // the embedded destination, where there is one already
	delivery bool // destination and scripts, to replay
}

// openOffline takes the lock of the data directory and opens what the command needs of it: nothing but a view when it
// needs none of the parts, which can be opened for changing only. The function that it returns closes all of it.
func openOffline(ctx context.Context, cfg *Config, logger *slog.Logger, needs offlineNeeds) (_ *adminParts, closeParts func() error, err error) {
	if needs == (offlineNeeds{}) {
		return viewOffline(cfg, logger)
	}
	p := &parts{cfg: cfg, dir: layoutOf(cfg.DataDir), logger: logger, registry: prometheus.NewRegistry(), scripts: map[scriptKey]*lua.Transformer{}}
	defer func() {
		if err != nil {
			err = errors.Join(explainDataDir(cfg.DataDir, err), p.close())
		}
	}()
	if p.lock, err = wal.LockDir(cfg.DataDir); err != nil {
		return nil, nil, err
	}
	p.closers = append(p.closers, closerFunc(p.lock.Unlock))
	if p.db, err = checkpoint.Open(p.dir.db, checkpoint.Options{Logger: logger}); err != nil {
		return nil, nil, err
	}
	p.closers = append(p.closers, p.db)
	log, err := openSnapshot(p.dir.wal)
	if err != nil {
		return nil, nil, err
	}
	if needs.letters {
		if err = p.openLetters(); err != nil {
			return nil, nil, err
		}
		p.closers = append(p.closers, runStores(ctx, p.letters, p.refused))
	}
	if needs.delivery || needs.store && p.cfg.Embedded() && exists(p.dir.store) {
		if err = p.openSinks(); err != nil {
			return nil, nil, err
		}
	}
	if needs.delivery {
		if err = p.openScripts(); err != nil {
			return nil, nil, err
		}
	}
	parts := &adminParts{
		cfg: cfg, logger: logger, log: log, db: p.db, letters: p.letters, refused: p.refused, store: p.store,
		scripts: p.scripts, registry: p.registry,
	}
	if needs.delivery {
		parts.replayer = p.replayer
	}
	return parts, p.close, nil
}

// viewOffline is openOffline for commands that change nothing.
func viewOffline(cfg *Config, logger *slog.Logger) (*adminParts, func() error, error) {
	v, err := viewData(cfg.DataDir)
	if err != nil {
		return nil, nil, err
	}
	if !exists(v.dir.wal) {
		logger.Warn("the log is not there: the data directory has lost it, or no service ever started with it", "path", v.dir.wal)
	}
	return &adminParts{cfg: cfg, logger: logger, view: v, log: v.log, db: v.db, scripts: map[scriptKey]*lua.Transformer{}, registry: prometheus.NewRegistry()}, v.close, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// runStores lets stores of dead letters work until the closer is called.
func runStores(ctx context.Context, stores ...*deadletter.Store) io.Closer {
	// Not the command's context: a signal ends what the command does, and then the stores in order.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	errs := make([]error, len(stores))
	var running sync.WaitGroup
	for i, s := range stores {
		running.Go(func() { errs[i] = s.Run(ctx) })
	}
	return closerFunc(func() error {
		cancel()
		running.Wait()
		return errors.Join(errs...)
	})
}

// handlerTransport answers requests with a handler of this process.
type handlerTransport struct{ handler http.Handler }

// RoundTrip implements http.RoundTripper. The handler runs until it is done or the answer's body is closed.
func (t *handlerTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(req.Context())
	r := req.Clone(ctx)
	r.RequestURI, r.RemoteAddr, r.Host = req.URL.RequestURI(), "this command", req.URL.Host
	if r.Body == nil {
		r.Body = http.NoBody
	}
	reader, writer := io.Pipe()
	w := &pipeResponse{header: http.Header{}, pipe: writer, ready: make(chan struct{})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer r.Body.Close()
		t.handler.ServeHTTP(w, r)
		w.WriteHeader(http.StatusOK)
		_ = writer.Close() // never fails
	}()
	body := &pipeBody{PipeReader: reader, cancel: cancel, done: done}
	select {
	case <-w.ready:
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), body.Close())
	}
	return &http.Response{
		Status: fmt.Sprintf("%d %s", w.status, http.StatusText(w.status)), StatusCode: w.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: w.sent, Body: body, ContentLength: -1, Request: req,
	}, nil
}

// pipeResponse is the answer as the handler writes it.
type pipeResponse struct {
	header http.Header
	pipe   *io.PipeWriter
	ready  chan struct{} // closed when status and sent are set
	status int
	sent   http.Header
}

func (w *pipeResponse) Header() http.Header { return w.header }

func (w *pipeResponse) WriteHeader(status int) {
	if w.status != 0 {
		return
	}
	w.status, w.sent = status, w.header.Clone()
	close(w.ready)
}

func (w *pipeResponse) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.pipe.Write(b)
}

// Flush implements http.Flusher: what was written has been read already.
func (w *pipeResponse) Flush() { w.WriteHeader(http.StatusOK) }

// pipeBody is the answer as the client reads it.
type pipeBody struct {
	*io.PipeReader
	cancel context.CancelFunc
	done   chan struct{}
}

// Close ends the handler's request and waits for it.
func (b *pipeBody) Close() error {
	b.cancel()
	err := b.PipeReader.Close()
	<-b.done
	return err
}
