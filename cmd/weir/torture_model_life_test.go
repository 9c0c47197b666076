//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"testing/synctest"
	"time"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/flush/checkpoint"
	"github.com/weirlog/weir/flush/deadletter"
	"github.com/weirlog/weir/wal"
	"github.com/weirlog/weir/wal/waltest"
)

// modelSizes are chosen for a sequence: small, so that segments fill, groups have several frames and the log gets full.
type modelSizes struct {
	segment, max int64
	frame        int
}

// modelLife is one life of the real parts on a data directory, put together as serve does it.
type modelLife struct {
	dir     string
	disk    *modelDisk
	log     *wal.Log
	db      *checkpoint.DB
	letters *deadletter.Store
	flusher *flush.Flusher
	tail    *wal.Reader // one that stays open, besides the flusher's
	service *service    // for what it does after a checkpoint and at its end
	ran     []*modelRun // in the order in which serve stops them

	crashed  atomic.Bool
	keeping  atomic.Value // how letters are kept: a modelTrouble
	storing  atomic.Value // how checkpoints are stored
	sink     *modelSink
	finished bool
}

// modelTrouble is what happens to what a part is asked to store.
type modelTrouble string

const (
	noTrouble    modelTrouble = "none"
	refuses      modelTrouble = "refuses"            // nothing is stored
	storesAndErr modelTrouble = "stores, and errors" // it is stored, and the answer is an error
)

var errModelCrashed = errors.New("this life has crashed")

// modelRun is a part that runs.
type modelRun struct {
	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

func (l *modelLife) run(run func(context.Context) error) *modelRun {
	ctx, cancel := context.WithCancel(context.Background())
	r := &modelRun{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		if r.err = run(ctx); errors.Is(r.err, context.Canceled) || errors.Is(r.err, errModelAnswerLost) {
			r.err = nil // it was told to end, or the last checkpoint had trouble
		}
	}()
	l.ran = append(l.ran, r)
	return r
}

func (r *modelRun) stop() error {
	r.cancel()
	<-r.done
	return r.err
}

// startModelLife opens everything on a data directory and starts it. found hears what the log holds before anything of it is
// delivered. On error nothing is left open.
func startModelLife(dir string, disk *modelDisk, sink *modelSink, sizes modelSizes, found func(*wal.Log) error) (_ *modelLife, err error) {
	l := &modelLife{dir: dir, disk: disk, sink: sink}
	l.keeping.Store(noTrouble)
	l.storing.Store(noTrouble)
	at, logger := layoutOf(dir), slog.New(slog.DiscardHandler)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	if l.db, err = checkpoint.Open(at.db, checkpoint.Options{}); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.stopAll())
		}
	}()
	if l.letters, err = deadletter.Open(at.dead, l.db, deadletter.Options{SegmentBytes: 4 << 10, RepairDir: at.repair}); err != nil {
		return nil, err
	}
	letters := l.run(l.letters.Run)
	l.log, err = wal.Open(at.wal, waltest.Intercept(wal.Options{
		SegmentBytes: sizes.segment, MaxBytes: sizes.max, RepairDir: at.repair, KnownEnd: l.db.KnownEnd(), FreshEpoch: true,
	}, sizes.frame, disk.hook))
	if err != nil {
		return nil, err
	}
	log := l.run(l.log.Run)
	if err = found(l.log); err != nil {
		return nil, err
	}
	settled, err := settledOffsets([]string{"default"}, l.db, l.log, logger)
	if err != nil {
		return nil, err
	}
	l.tail = l.log.NewReader(0)
	l.service = &service{parts: &parts{letters: l.letters, db: l.db, logger: logger}, log: l.log, reserve: &reserve{logger: logger, held: true}}
	l.flusher = flush.New(flush.Options{
		Open: func(from wal.Offset) flush.Source { return l.log.NewReader(from) }, Checkpoint: lifeCheckpoint{durableCheckpoint{l.db, l.log}, l}, DeadLetters: lifeLetters{l.letters, l},
		Streams: map[string]flush.Stream{"default": {Sink: lifeSink{sink, l}, Transformer: modelTransformer{}, Route: flush.Route{Index: "logs"}, Settled: settled["default"]}},
		Epoch:   l.log.Epoch(), Redelivered: l.log.DurableOffset(), Durable: l.log.DurableOffset, Settle: l.settle,
		BatchEvents: 3, MaxInFlight: 3, Linger: time.Millisecond, RetryMin: time.Millisecond, RetryMax: 8 * time.Millisecond, CheckpointEvery: 50 * time.Millisecond,
	})
	l.ran = []*modelRun{log, l.run(l.flusher.Run), letters}
	return l, nil
}

// settle follows a checkpoint, unless the life has crashed.
func (l *modelLife) settle(upTo wal.Offset) error {
	if l.crashed.Load() {
		return errModelCrashed
	}
	return l.service.settle(upTo)
}

// stopOrderly stops as serve does: commit what was accepted, deliver what is left if there is time for it, close.
func (l *modelLife) stopOrderly(drain bool) error {
	l.disk.heal()
	errs := []error{l.ran[0].stop()}
	synctest.Wait() // the flusher sees the end of the log before it is told to end
	if drain {
		l.keeping.Store(noTrouble)
		l.storing.Store(noTrouble)
		l.sink.obey(true)
		<-l.ran[1].done
		l.sink.obey(false)
	}
	errs = append(errs, l.ran[1].stop(), l.ran[2].stop(), l.service.storeEnd())
	return errors.Join(append(errs, l.stopAll())...)
}

// abandon ends a life whose files nobody looks at any more.
func (l *modelLife) abandon() {
	l.crashed.Store(true)
	for _, r := range l.ran {
		r.cancel()
	}
	l.disk.heal()
	_ = l.stopAll() // it has crashed
}

// stopAll ends what runs and closes what is open.
func (l *modelLife) stopAll() error {
	if l.finished {
		return nil
	}
	l.finished = true
	var errs []error
	for _, r := range l.ran {
		errs = append(errs, r.stop())
	}
	if l.tail != nil {
		errs = append(errs, l.tail.Close())
	}
	return errors.Join(append(errs, l.db.Close())...)
}

// checkpointed is the offset that weir.db holds.
func (l *modelLife) checkpointed() wal.Offset {
	p, _ := l.db.Position("default")
	return p.Offset
}

// readAll returns what a new reader gives from an offset on, up to what is durable.
func readAll(log *wal.Log, from wal.Offset) ([]wal.Record, error) {
	r := log.NewReader(from)
	defer r.Close()
	return readOn(r, log.DurableOffset())
}

// readOn reads up to an offset. What was reclaimed meanwhile is passed over, and then there may be nothing to read.
func readOn(r *wal.Reader, durable wal.Offset) (recs []wal.Record, err error) {
	for r.Position() <= durable {
		ctx, cancel := context.WithTimeout(context.Background(), time.Microsecond)
		rec, err := r.Next(ctx)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			break
		}
		if err != nil {
			return recs, err
		}
		rec.Payload = bytes.Clone(rec.Payload)
		recs = append(recs, rec)
	}
	return recs, nil
}

// list returns the live letters.
func (l *modelLife) list() (letters []flush.Letter, err error) {
	for found, err := range l.letters.Letters(context.Background(), deadletter.Filter{}) {
		if err == nil {
			err = found.Err
		}
		if err != nil {
			return nil, err
		}
		letters = append(letters, found.Letter.Letter)
	}
	return letters, nil
}

// lifeCheckpoint stores checkpoints with the trouble that its life has.
type lifeCheckpoint struct {
	flush.Checkpoint
	life *modelLife
}

var _ flush.Checkpoint = lifeCheckpoint{}

func (c lifeCheckpoint) Advance(epoch wal.Epoch, offsets map[string]wal.Offset) error {
	if c.life.crashed.Load() {
		return errModelCrashed
	}
	trouble := c.life.storing.Load()
	if trouble == refuses {
		return errModelAnswerLost
	}
	if err := c.Checkpoint.Advance(epoch, offsets); err != nil || trouble == noTrouble {
		return err
	}
	return errModelAnswerLost
}

// lifeLetters keeps letters likewise, and tells the reference of each.
type lifeLetters struct {
	*deadletter.Store
	life *modelLife
}

var _ flush.DeadLetters = lifeLetters{}

func (s lifeLetters) Put(ctx context.Context, letters []flush.Letter) error {
	if s.life.crashed.Load() {
		return errModelCrashed
	}
	trouble := s.life.keeping.Load()
	if trouble == refuses {
		return flush.ErrDeadLettersFull
	}
	if err := s.Store.Put(ctx, letters); err != nil {
		return err
	}
	s.life.sink.kept(letters)
	if trouble == storesAndErr {
		return errModelAnswerLost
	}
	return nil
}

// modelTransformer makes of an event what its kind says.
type modelTransformer struct{}

var _ flush.Transformer = modelTransformer{}

func (modelTransformer) Version() string { return "model" }

func (modelTransformer) Transform(_ context.Context, rec *wal.Record) ([]flush.Document, error) {
	e := &modelEvent{raw: rec.Payload}
	if _, err := fmt.Sscanf(string(rec.Payload[:min(len(rec.Payload), 40)]), `{"n":%d,"kind":%q`, &e.n, &e.kind); err != nil || e.kind == "fail" {
		return nil, &flush.TransformError{Type: "error", Message: "asked to fail"}
	}
	var docs []flush.Document
	for _, body := range e.documents() {
		docs = append(docs, flush.Document{Source: body})
	}
	return docs, nil
}
