package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/flush/checkpoint"
	"github.com/weirlog/weir/flush/deadletter"
	"github.com/weirlog/weir/flush/elastic"
	"github.com/weirlog/weir/flush/local"
	"github.com/weirlog/weir/ingest"
	"github.com/weirlog/weir/lua"
	"github.com/weirlog/weir/wal"
)

// dataLayout names what is below the data directory.
type dataLayout struct {
	root, wal, dead, refused, db, repair, store string
}

func layoutOf(dataDir string) dataLayout {
	at := func(names ...string) string { return filepath.Join(append([]string{dataDir}, names...)...) }
	return dataLayout{root: dataDir, wal: at("wal"), dead: at("dead"), refused: at("dead", "refused"), db: at("weir.db"), repair: at("repair"), store: at("store")}
}

// The names of the two stores of dead letters, in weir.db and in metrics.
const (
	storeLetters = "letters"
	storeRefused = "refused"
)

// parts are the components that a service and an offline command have in common: the data directory
// under its lock, and what delivers from it.
type parts struct {
	cfg      *Config
	dir      dataLayout
	logger   *slog.Logger
	registry *prometheus.Registry
	asides   *asides // nil in commands
	retains  bool    // letters are dropped for their age: by a service, never by a command that only opened the directory

	lock    *wal.DirLock
	db      *checkpoint.DB
	letters *deadletter.Store
	refused *deadletter.Store

	sinks   map[string]flush.Sink // by stream; streams with one destination have the same
	store   *local.Store          // the embedded destination, when a stream goes there
	elastic []*elastic.Sink       // every other one, in the order of Config.Destinations
	scripts map[scriptKey]*lua.Transformer
	recent  recentEvents

	closers []io.Closer // in the order of opening
}

// openParts locks the data directory and opens what is in it, but for the log. On error nothing is left
// open. close gives everything back.
func openParts(cfg *Config, logger *slog.Logger) (_ *parts, err error) {
	p := &parts{cfg: cfg, dir: layoutOf(cfg.DataDir), logger: logger, registry: prometheus.NewRegistry(), scripts: map[scriptKey]*lua.Transformer{}, retains: true}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.abandon())
		}
	}()
	p.asides = newAsides(p.registry)
	if err = refuseForeignDir(p.dir); err != nil {
		return nil, err
	}
	if p.lock, err = wal.LockDir(cfg.DataDir); err != nil {
		return nil, explainDataDir(cfg.DataDir, err)
	}
	p.closers = append(p.closers, closerFunc(p.lock.Unlock))
	if p.db, err = checkpoint.Open(p.dir.db, checkpoint.Options{Logger: logger.With("component", "checkpoint")}); err != nil {
		return nil, explainDataDir(cfg.DataDir, err)
	}
	p.closers = append(p.closers, p.db)
	if err = p.openLetters(); err != nil {
		return nil, explainDataDir(cfg.DataDir, err)
	}
	if err = p.openSinks(); err != nil {
		return nil, err
	}
	if err = p.openScripts(); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *parts) openLetters() error {
	metrics := deadletter.NewMetrics(p.registry)
	open := func(name, part, dir string, opts deadletter.Options) (*deadletter.Store, error) {
		opts.Name, opts.RepairDir, opts.OnAside = name, p.dir.repair, p.asides.of(part)
		opts.Logger, opts.Metrics = p.logger.With("component", name), metrics
		if !p.retains {
			opts.MaxAge = 0
		}
		s, err := deadletter.Open(dir, p.db, opts)
		if err != nil {
			return nil, fmt.Errorf("open %s: %w", name, err)
		}
		return s, nil
	}
	var err error
	kept := &p.cfg.DeadLetters
	if p.letters, err = open(storeLetters, partDead, p.dir.dead, lettersOptions(kept)); err != nil {
		return err
	}
	p.refused, err = open(storeRefused, partRefused, p.dir.refused, deadletter.Options{
		MaxBytes: int64(kept.RefusedMaxBytes), OnFull: deadletter.DropOldest, MaxAge: kept.MaxAge.Std(), OwnKeys: true, Quiet: true,
	})
	return err
}

// lettersOptions is what the configuration says of the letters.
func lettersOptions(kept *DeadLettersConfig) deadletter.Options {
	opts := deadletter.Options{MaxBytes: int64(kept.MaxBytes), MaxAge: kept.MaxAge.Std()}
	if kept.OnFull == onFullDropOldest {
		opts.OnFull = deadletter.DropOldest
	}
	return opts
}

func (p *parts) openSinks() error {
	p.sinks = map[string]flush.Sink{}
	metrics := elastic.NewMetrics(p.registry) // also without a server: alerts need the series
	for _, d := range p.cfg.Destinations() {
		sink, err := p.openSink(d, metrics)
		if err != nil {
			return err
		}
		for _, stream := range d.streams {
			p.sinks[stream] = sink
		}
	}
	return nil
}

func (p *parts) openSink(d *destination, metrics *elastic.Metrics) (flush.Sink, error) {
	if d.es.embedded() {
		store, err := local.Open(p.dir.store, local.Options{
			MaxBytes: int64(p.cfg.Store.MaxBytes), Logger: p.logger.With("component", "store"), Metrics: local.NewMetrics(p.registry),
		})
		if err != nil {
			return nil, fmt.Errorf("open embedded destination: %w", err)
		}
		p.store = store
		p.closers = append(p.closers, store)
		return store, nil
	}
	sink, err := newElasticSink(p.cfg, d, p.logger.With("component", "elasticsearch", "destination", d.es.hosts()), metrics)
	if err != nil {
		return nil, err
	}
	p.elastic = append(p.elastic, sink)
	p.closers = append(p.closers, sink)
	return sink, nil
}

// sinkOf returns the sink of a stream.
func (p *parts) sinkOf(stream string) flush.Sink { return p.sinks[stream] }

// newElasticSink makes the sink that a destination describes.
func newElasticSink(cfg *Config, d *destination, logger *slog.Logger, metrics *elastic.Metrics) (*elastic.Sink, error) {
	opts := d.es.options()
	opts.MaxInFlight, opts.UserAgent = cfg.Flush.MaxInFlight, "weir/"+currentVersion().Version
	opts.Logger, opts.Metrics = logger, metrics
	sink, err := elastic.New(opts)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", strings.TrimSuffix(d.prefix, "."), err)
	}
	return sink, nil
}

func (p *parts) route(stream string) flush.Route {
	es := p.cfg.delivery(stream)
	return flush.Route{
		Index: es.Index, Pipeline: es.Pipeline, Op: flush.Op(es.Op), IDs: flush.IDMode(es.ID), IDField: es.IDField,
		AllowedIndices: p.cfg.AllowedIndices(stream), Timestamp: es.Timestamp, VersionField: p.cfg.Transform.VersionField,
	}
}

// replayer returns what feeds letters of one of the two stores back through delivery.
func (p *parts) replayer(store *deadletter.Store) *deadletter.Replayer {
	streams := map[string]deadletter.Stream{}
	for _, name := range p.cfg.StreamNames() {
		route := p.route(name)
		streams[name] = deadletter.Stream{
			Transformer: p.replayTransformer(name), Sink: p.sinkOf(name), Op: route.Op,
			Prepare:  func(rec *wal.Record, docs []flush.Document) error { return route.Prepare(nil, rec, docs) },
			NewProbe: probeOf(p.sinkOf(name)), FailureStore: flush.FailureStorePolicy(p.cfg.Streams[name].Elasticsearch.FailureStore),
		}
	}
	return &deadletter.Replayer{
		Store: store, Streams: streams, Validate: ingest.ValidateEvent,
		RetryMin: p.cfg.Flush.RetryMin.Std(), RetryMax: p.cfg.Flush.RetryMax.Std(),
	}
}

// probeOf asks a destination what it would make of documents.
func probeOf(sink flush.Sink) func() deadletter.Probe {
	switch sink := sink.(type) {
	case *elastic.Sink:
		return func() deadletter.Probe { return sink.NewProbe() }
	case *local.Store:
		return func() deadletter.Probe { return sink.NewProbe() }
	}
	return nil
}

// abandon closes parts that never ran.
func (p *parts) abandon() error {
	var errs []error
	for _, store := range []*deadletter.Store{p.letters, p.refused} {
		if store != nil {
			errs = append(errs, store.Close())
		}
	}
	return errors.Join(append(errs, p.close())...)
}

// close closes everything in the reverse order of opening.
func (p *parts) close() error {
	var errs []error
	for i := len(p.closers) - 1; i >= 0; i-- {
		errs = append(errs, p.closers[i].Close())
	}
	p.closers = nil
	return errors.Join(errs...)
}

type closerFunc func() error

func (f closerFunc) Close() error { return f() }

// refusedBodies keeps bodies that ingest refused whole as dead letters in their own bounded store.
type refusedBodies struct{ store *deadletter.Store }

var _ ingest.RefusedBodies = refusedBodies{}

func (r refusedBodies) Refuse(ctx context.Context, body ingest.RefusedBody) error {
	key, err := r.store.NewKey()
	if err != nil {
		return err
	}
	status := http.StatusBadRequest
	if strings.HasSuffix(body.Code, "_too_large") || strings.HasPrefix(body.Code, "too_many_") {
		status = http.StatusRequestEntityTooLarge
	}
	return r.store.Put(ctx, []flush.Letter{{
		Key: key, Records: 1, Stage: flush.StageIngest, Status: status, Type: body.Code, Reason: body.Message, Attempts: 1,
		FirstAt: body.Origin.ReceivedAt, LastAt: body.Origin.ReceivedAt, Stream: body.Origin.Stream,
		ReceivedAt: body.Origin.ReceivedAt, Remote: body.Origin.Remote, Event: body.Body,
	}})
}
