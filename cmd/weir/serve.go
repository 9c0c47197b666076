package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/flush/checkpoint"
	"github.com/weirlog/weir/ingest"
	"github.com/weirlog/weir/wal"
)

func newServeCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the service",
		Long: `Runs the service: takes events over HTTP, has them on disk before it answers, and
delivers them. Without a configuration it listens on 127.0.0.1:8080, keeps its data
in ./data and delivers into an embedded, searchable store.

SIGTERM or SIGINT: new requests are refused, what was accepted is delivered as far
as shutdown_timeout allows, the rest is delivered after the next start. A second
signal ends the process at once; nothing acknowledged is lost either way.
SIGHUP: scripts and the log level are read again.`,
		Example: `  weir serve
  weir serve --config /etc/weir/weir.yaml
  WEIR_ELASTICSEARCH_ADDRESSES=http://127.0.0.1:9200 weir serve`,
		Args: cobra.NoArgs,
	}
	configFlag(cmd, "data-dir", "data_dir", "data directory")
	configFlag(cmd, "listen", "ingest.listen", "address of the ingest listener")
	configFlag(cmd, "admin", "admin.listen", "address of the admin listener")
	configFlag(cmd, "log-level", "log.level", "debug, info, warn or error")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		load := func() (*Config, error) { return a.loadConfig(cmd) }
		cfg, err := load()
		if err != nil {
			return err
		}
		limitMemory(a.getenv)
		level := new(slog.LevelVar)
		logger := newLogger(a.stderr, cfg.Log, level)
		s, err := openService(cfg, logger, level, load)
		if err != nil {
			return err
		}
		spareProcessor(a.getenv) // after what is sized by the cores
		return s.run(cmd.Context())
	}
	return cmd
}

// newLogger makes the service's own log. Its level can be changed through level.
func newLogger(w io.Writer, cfg LogConfig, level *slog.LevelVar) *slog.Logger {
	level.Set(logLevel(cfg.Level))
	opts := &slog.HandlerOptions{Level: level}
	if cfg.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

func logLevel(name string) slog.Level {
	var l slog.Level
	if err := l.UnmarshalText([]byte(name)); err != nil {
		return slog.LevelInfo // the configuration was validated
	}
	return l
}

// service is the whole running system.
//
//	clients --> ingest --> log --> flusher --> sink
//	                        |         |  \--> letters
//	                        |         \-----> db (checkpoint)
//	operators --> admin ----+---- all of them
type service struct {
	*parts
	log     *wal.Log
	flusher *flush.Flusher
	ingest  *ingest.Server
	admin   *adminServer
	reserve *reserve

	home      checkpoint.Home
	elsewhere string // what is said of a directory that was last used elsewhere; "" else

	level *slog.LevelVar
	load  func() (*Config, error) // reads the configuration again

	life context.Context // ends when the service begins to stop
	stop context.CancelFunc
}

// openService builds the service. On a disk that is full to the last byte it gives the reserve up: a start writes
// a little, and delivery, which makes room, comes after it.
func openService(cfg *Config, logger *slog.Logger, level *slog.LevelVar, load func() (*Config, error)) (*service, error) {
	s, err := buildService(cfg, logger, level, load, newReserve)
	if err != nil && isDiskFull(err) && holdReserve(cfg.DataDir, logger).giveUp() {
		s, err = buildService(cfg, logger, level, load, holdReserve) // what was given up is needed now, and taken again later
	}
	return s, err
}

// buildService builds the components in the order of their dependencies and binds the listeners. It
// starts nothing.
func buildService(cfg *Config, logger *slog.Logger, level *slog.LevelVar, load func() (*Config, error), openReserve func(string, *slog.Logger) *reserve) (_ *service, err error) {
	s := &service{level: level, load: load}
	s.life, s.stop = context.WithCancel(context.Background())
	if s.parts, err = openParts(cfg, logger); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.abandon())
		}
	}()
	s.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if s.log, err = wal.Open(s.dir.wal, wal.Options{
		SegmentBytes: int64(cfg.WAL.SegmentBytes), MaxBytes: int64(cfg.WAL.MaxBytes), MinFreeBytes: int64(cfg.WAL.MinFreeBytes),
		RepairDir: s.dir.repair, KnownEnd: s.db.KnownEnd(), FreshEpoch: true,
		OnAside: s.asides.of(partLog), Logger: logger.With("component", "wal"), Metrics: wal.NewMetrics(s.registry),
	}); err != nil {
		return nil, explainDataDir(cfg.DataDir, err)
	}
	s.recent = newRecentEvents(func() (logView, error) { return browseLog(s.dir.wal, s.log) })
	s.noteRebuilt()
	s.findHome()
	s.reserve = openReserve(cfg.DataDir, logger)
	s.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "weir_reserve_held", Help: "1 while the reserve for a full disk is held, 0 when it was given up or could not be taken.",
	}, s.reserve.heldMetric))
	if err = s.buildFlusher(); err != nil {
		return nil, err
	}
	if s.ingest, err = ingest.New(ingest.Options{
		Log: s.log, Refused: refusedBodies{s.refused}, Listen: cfg.Ingest.Listen, SocketMode: os.FileMode(cfg.Ingest.SocketMode), Streams: cfg.StreamNames(),
		MaxEventBytes: int64(cfg.Ingest.MaxEventBytes), MaxBodyBytes: int64(cfg.Ingest.MaxBodyBytes), MaxInFlightBytes: int64(cfg.Ingest.MaxInFlightBytes),
		ReadTimeout: cfg.Ingest.ReadTimeout.Std(), IdleTimeout: cfg.Ingest.IdleTimeout.Std(), DrainTimeout: cfg.ShutdownTimeout.Std(),
		Version: currentVersion().Version, Logger: logger, Metrics: ingest.NewMetrics(s.registry),
	}); err != nil {
		return nil, err
	}
	if err = s.ingest.Listen(); err != nil {
		return nil, fmt.Errorf("ingest.listen: %w", err)
	}
	if s.admin, err = newAdminServer(s.adminParts()); err != nil {
		return nil, err
	}
	if err = s.admin.Listen(); err != nil {
		return nil, fmt.Errorf("admin.listen: %w", err)
	}
	s.storeHome()
	return s, s.lock.Announce(s.admin.Addr())
}

// abandon closes a service that never ran.
func (s *service) abandon() error {
	if s.log == nil {
		return s.parts.abandon()
	}
	return errors.Join(s.log.Close(), s.parts.abandon())
}

// noteRebuilt says that weir.db is a new one beside logs that are not. It may have been made by a command that ran before.
func (s *service) noteRebuilt() {
	used := s.log.DurableOffset() > 0 || s.letters.Rebuilt() || s.refused.Rebuilt()
	if s.db.Kept() == "" && (s.db.Identity() != 0 || !used) {
		return
	}
	if s.db.Kept() == "" { // else it was said when it was set aside
		s.logger.Error("the checkpoint (weir.db) was lost and is made anew; what is in the log is delivered again under the same ids", "path", s.dir.db, "records", s.log.DurableOffset()+1-s.log.FirstOffset())
	}
	s.asides.rebuilt(s.db.Kept())
}

// findHome says when the directory was last used elsewhere.
func (s *service) findHome() {
	s.home = currentHome(s.cfg.DataDir, time.Now())
	if last, ok := s.db.Home(); ok {
		if s.elsewhere = elsewhere(last, s.home); s.elsewhere != "" {
			s.logger.Warn(s.elsewhere)
		}
	}
}

// storeHome stores that the directory is used here. It is for people only: a disk that has no room for it keeps nothing from running.
func (s *service) storeHome() {
	if err := s.db.SetHome(s.home); err != nil && !isDiskFull(err) {
		s.logger.Warn("where the data directory is used could not be stored", "error", err)
	}
}

// buildFlusher decides where delivery goes on and builds it.
func (s *service) buildFlusher() error {
	settled, err := settledOffsets(s.cfg.StreamNames(), s.db, s.log, s.logger)
	if err != nil {
		return err
	}
	if err := dropForgottenStreams(settled, s.db, s.log, s.logger); err != nil {
		return err
	}
	streams := map[string]flush.Stream{}
	for name, offset := range settled {
		streams[name] = flush.Stream{
			Sink: s.sinkOf(name), Transformer: s.transformer(name), Route: s.route(name), Settled: offset,
			FailureStore: flush.FailureStorePolicy(s.cfg.Streams[name].Elasticsearch.FailureStore),
		}
	}
	f := &s.cfg.Flush
	s.flusher = flush.New(flush.Options{
		Open: func(from wal.Offset) flush.Source { return s.log.NewReader(from) }, Checkpoint: &reservedCheckpoint{Checkpoint: durableCheckpoint{s.db, s.log}, reserve: s.reserve}, DeadLetters: &reservedLetters{DeadLetters: s.letters, reserve: s.reserve}, Streams: streams,
		Epoch: s.log.Epoch(), Redelivered: s.log.DurableOffset(), Durable: s.log.DurableOffset, Settle: s.settle,
		BatchBytes: int(f.BatchBytes), BatchEvents: f.BatchEvents, Linger: f.Linger.Std(), MaxInFlightBytes: int64(f.MaxInFlightBytes),
		MaxInFlight: f.MaxInFlight, RetryMin: f.RetryMin.Std(), RetryMax: f.RetryMax.Std(),
		ParkTimeout: f.ParkTimeout.Std(), MaxAttempts: f.MaxAttempts, MaxAge: f.MaxAge.Std(),
		Logger: s.logger.With("component", "flush"), Metrics: flush.NewMetrics(s.registry),
	})
	return nil
}

// adminParts is what the admin listener may look at and change.
func (s *service) adminParts() *adminParts {
	return &adminParts{
		cfg: s.cfg, logger: s.logger.With("component", "admin"), log: s.log, db: s.db, letters: s.letters, refused: s.refused, replayer: s.replayer,
		store: s.store, flusher: s.flusher, sinks: s.sinks, scripts: s.scripts, ready: s.log.Ready, reload: s.reload, registry: s.registry, started: time.Now(),
		asides: s.asides, home: &s.home, elsewhere: s.elsewhere,
	}
}

// settle follows a stored checkpoint: what was settled need not be remembered, nor kept in the log.
func (s *service) settle(upTo wal.Offset) error {
	// Not the flusher's context: the last checkpoint of an orderly stop is followed as well.
	if err := s.letters.ForgetSettled(context.Background(), s.log.Epochs(), upTo); err != nil {
		return fmt.Errorf("forget settled letters: %w", err)
	}
	if _, err := s.log.Reclaim(upTo); err != nil {
		return fmt.Errorf("reclaim log: %w", err)
	}
	s.reserve.retake(s.log.Status().FreeBytes)
	return nil
}

// run runs the service until ctx ends, then shuts it down in the order in which data flows. It returns
// nil after an orderly stop.
func (s *service) run(ctx context.Context) error {
	r := newRunner(s.logger)
	// Each component has a context of its own, so that they can end one after the other.
	admin := r.start("admin", s.admin.Run)
	letters := r.start("letters", s.letters.Run)
	refused := r.start("refused", s.refused.Run)
	log := r.start("wal", s.log.Run)
	scripts := r.start("lua", s.watchScripts)
	flusher := r.start("flush", s.flusher.Run)
	edge := r.start("ingest", s.ingest.Run)
	stopHangup := s.reloadOnHangup()
	s.greet()

	failed := r.wait(ctx)
	s.stop()
	deadline := time.Now().Add(s.cfg.ShutdownTimeout.Std())
	if failed == nil {
		s.logger.Info("stopping: new requests are refused, what was accepted is delivered as far as time allows", "timeout", s.cfg.ShutdownTimeout.Std())
	}
	stopHangup()
	edge.stop(deadline)     // refuse new requests, answer those in hand: they need the log
	log.stop(deadline)      // commit what was accepted, close the log: the flusher sees its end
	flusher.drain(deadline) // deliver what is left; after the deadline leave it to the next start
	scripts.stop(deadline)  // the flusher needed them
	letters.stop(deadline)  // the flusher was the last to put
	refused.stop(deadline)
	admin.stop(deadline) // last, so that people can watch
	err := errors.Join(failed, r.errors(), s.storeEnd(), s.close())
	if err == nil {
		st := s.flusher.Status()
		s.logger.Info("stopped", "settled_offset", st.Settled, "unsettled_records", st.Lag)
	}
	return err
}

// durableCheckpoint stores with every checkpoint how far the log is durable.
type durableCheckpoint struct {
	*checkpoint.DB
	log *wal.Log
}

func (c durableCheckpoint) Advance(epoch wal.Epoch, offsets map[string]wal.Offset) error {
	c.NoteDurable(c.log.DurableOffset())
	return c.DB.Advance(epoch, offsets)
}

// storeEnd stores where the log ends, so that the next start notices when its end is gone.
func (s *service) storeEnd() error {
	s.home.Stopped = time.Now().UTC().Truncate(time.Second)
	defer s.storeHome()
	s.db.NoteDurable(s.log.DurableOffset())
	err := s.db.StoreDurable()
	if isDiskFull(err) && s.reserve.giveUp() {
		err = s.db.StoreDurable()
	}
	if isDiskFull(err) {
		s.logger.Warn("no room to store where the log ends", "error", err) // it only serves to notice later damage
		return nil
	}
	return err
}

// greet says where the service listens and where events go.
func (s *service) greet() {
	var addrs []string
	for _, addr := range s.ingest.Addrs() {
		addrs = append(addrs, addr.String())
	}
	st := s.log.Status()
	s.logger.Info("weir is ready", "version", currentVersion().Version, "ingest", strings.Join(addrs, " "), "admin", "http://"+s.admin.Addr(),
		"data_dir", s.cfg.DataDir, "destination", s.cfg.destinationNames(), "backlog_records", s.flusher.Status().Lag, "durable_offset", st.DurableOffset)
	if s.store != nil {
		s.logger.Info("events go to the embedded destination, which is for trying out and for small machines; to deliver to Elasticsearch, " +
			"set elasticsearch.addresses in the configuration, or start with WEIR_ELASTICSEARCH_ADDRESSES=http://127.0.0.1:9200")
	}
}

// watchScripts lets every script follow its file.
func (s *service) watchScripts(ctx context.Context) error {
	var wg sync.WaitGroup
	for key, t := range s.scripts {
		wg.Go(func() {
			if err := t.Run(ctx); err != nil && ctx.Err() == nil {
				s.logger.Warn("the script's file cannot be watched; SIGHUP still reloads it", "script", key.path, "error", err)
			}
		})
	}
	wg.Wait()
	<-ctx.Done()
	return nil
}
