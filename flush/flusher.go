package flush

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v5"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/weirlog/weir/wal"
)

// Options of a Flusher. Fields without a stated default are required.
type Options struct {
	Source      Source
	Sink        Sink
	Checkpoint  Checkpoint
	DeadLetters DeadLetters
	// Streams are the declared streams. A record of another one becomes a dead letter.
	Streams map[string]Stream

	// Epoch is the log's current one, under which checkpoints are stored.
	Epoch wal.Epoch
	// Settled is the offset up to which every stream was settled when the source was opened: it yields
	// the next one first.
	Settled wal.Offset
	// Redelivered is the highest offset that an earlier process may have sent: records up to it are
	// looked up among the dead letters before they are sent again.
	Redelivered wal.Offset
	// Durable returns the log's durable offset, for the lag.
	Durable func() wal.Offset
	// Settle is called after a checkpoint was stored, and at the start for the one before, with the offset
	// that every stream has reached: the place to reclaim the log. An error is logged, and the call comes
	// again. May be nil.
	Settle func(upTo wal.Offset) error

	BatchBytes       int           // of event bytes in a batch; default 5 MiB
	BatchEvents      int           // default 5000
	Linger           time.Duration // how long a batch waits for company after its first event; default 1s
	MaxInFlightBytes int64         // of all batches together; default 16 MiB; at least one batch always goes
	Workers          int           // batches on their way at a time; default 4
	RetryMin         time.Duration // first pause before a retry, with jitter; default 100ms
	RetryMax         time.Duration // longest pause; default 30s
	CheckpointEvery  time.Duration // default 200ms

	Logger  *slog.Logger // default: discards
	Metrics *Metrics     // may be nil
}

// Stream is how the records of one stream are delivered.
type Stream struct {
	Transformer Transformer // nil: events pass as they are
	Route       Route
	Settled     wal.Offset // records up to it were settled before; 0 for none
}

func (o *Options) setDefaults() {
	setDefault(&o.BatchBytes, 5<<20)
	setDefault(&o.BatchEvents, 5000)
	setDefault(&o.Linger, time.Second)
	setDefault(&o.MaxInFlightBytes, 16<<20)
	setDefault(&o.Workers, 4)
	setDefault(&o.RetryMin, 100*time.Millisecond)
	setDefault(&o.RetryMax, 30*time.Second)
	setDefault(&o.CheckpointEvery, 200*time.Millisecond)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

func setDefault[T int | int64 | time.Duration](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}

// Flusher delivers what a log holds. Run does the work; Status may be called beside it.
type Flusher struct {
	opts     Options
	tracker  tracker
	health   health
	inFlight *semaphore.Weighted
	turn     chan struct{} // held by the worker that collects
	pushed   *wal.Record   // read but not yet in a batch; guarded by turn

	unfollowed bool // Settle was not called yet for the checkpoint that is stored; keepCheckpoint only
}

// New returns a Flusher that begins behind opts.Settled.
func New(opts Options) *Flusher {
	opts.setDefaults()
	f := &Flusher{
		opts:     opts,
		inFlight: semaphore.NewWeighted(max(opts.MaxInFlightBytes, 1)),
		turn:     make(chan struct{}, 1),
	}
	f.tracker.settled = opts.Settled
	f.health.logger = opts.Logger
	opts.Metrics.watch(f)
	stored := make(map[string]wal.Offset, len(opts.Streams))
	for name, s := range opts.Streams {
		stored[name] = s.Settled
	}
	opts.Metrics.checkpoint(stored)
	return f
}

// Run delivers until the source ends (the log was closed and everything in it is settled: nil) or ctx
// ends (ctx's error: batches in hand are left unsettled and will be delivered again). The checkpoint is
// written a last time before it returns. Run may be called once.
func (f *Flusher) Run(ctx context.Context) error {
	workers, wctx := errgroup.WithContext(ctx)
	for range f.opts.Workers {
		workers.Go(func() error { return f.work(wctx) })
	}
	stop := make(chan struct{})
	checkpointed := make(chan error, 1)
	go func() { checkpointed <- f.keepCheckpoint(stop) }()
	err := workers.Wait()
	close(stop)
	if cerr := <-checkpointed; err == nil {
		err = cerr
	}
	return err
}

// work takes batch after batch through delivery.
func (f *Flusher) work(ctx context.Context) error {
	b := &batch{}
	for {
		err := f.collect(ctx, b)
		if errors.Is(err, wal.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := f.deliver(ctx, b); err != nil {
			return err // the batch stays unsettled
		}
		f.tracker.settle(b.flight)
		f.inFlight.Release(b.reserved)
	}
}

// deliver settles every record of a batch. On error (ctx ended) nothing is known to be settled.
func (f *Flusher) deliver(ctx context.Context, b *batch) error {
	if err := f.transform(ctx, b); err != nil {
		return err
	}
	if err := f.send(ctx, b, b.docs); err != nil {
		return err
	}
	if err := f.putLetters(ctx, b); err != nil {
		return err
	}
	f.opts.Metrics.settled("dropped", b.dropped)
	return nil
}

// putLetters makes the batch's letters durable, waiting while there is no room for them.
func (f *Flusher) putLetters(ctx context.Context, b *batch) error {
	if len(b.letters) == 0 {
		return nil
	}
	wait := f.newBackOff()
	for {
		err := f.opts.DeadLetters.Put(ctx, b.letters)
		if err == nil {
			f.health.ok("keeping dead letters")
			f.opts.Metrics.settled("dead_lettered", len(b.letters))
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		f.health.failing("keeping dead letters", err)
		if err := sleep(ctx, wait.NextBackOff()); err != nil {
			return err
		}
	}
}

func (f *Flusher) newBackOff() *backoff.ExponentialBackOff {
	b := &backoff.ExponentialBackOff{InitialInterval: f.opts.RetryMin, MaxInterval: f.opts.RetryMax, Multiplier: 2, RandomizationFactor: 0.5}
	b.Reset()
	return b
}

// keepCheckpoint writes the watermark whenever it has moved, until stop is closed, and then once more.
func (f *Flusher) keepCheckpoint(stop <-chan struct{}) error {
	ticker := time.NewTicker(f.opts.CheckpointEvery)
	defer ticker.Stop()
	stored := f.opts.Settled
	f.unfollowed = f.opts.Settle != nil // whatever the process before this one still had time for
	for {
		select {
		case <-ticker.C:
			if err := f.writeCheckpoint(&stored); err != nil {
				f.health.failing("writing the checkpoint", err)
			} else {
				f.health.ok("writing the checkpoint")
			}
		case <-stop:
			return f.writeCheckpoint(&stored)
		}
	}
}

func (f *Flusher) writeCheckpoint(stored *wal.Offset) error {
	upTo := f.tracker.watermark()
	if upTo <= *stored {
		return f.follow(upTo)
	}
	offsets := make(map[string]wal.Offset, len(f.opts.Streams))
	for name, s := range f.opts.Streams {
		offsets[name] = max(upTo, s.Settled)
	}
	if err := f.opts.Checkpoint.Advance(f.opts.Epoch, offsets); err != nil {
		return fmt.Errorf("advance checkpoint: %w", err)
	}
	*stored = upTo
	f.opts.Metrics.checkpoint(offsets)
	f.unfollowed = f.opts.Settle != nil
	return f.follow(upTo)
}

// follow calls Settle for a checkpoint that is stored. When it fails, it is tried again with the next tick.
func (f *Flusher) follow(upTo wal.Offset) error {
	if !f.unfollowed {
		return nil
	}
	if err := f.opts.Settle(upTo); err != nil {
		return err
	}
	f.unfollowed = false
	return nil
}

// Status is a snapshot for people and for the admin listener.
type Status struct {
	Destination     string             `json:"destination"`
	Settled         wal.Offset         `json:"settled_offset"`
	Lag             uint64             `json:"lag_records"`
	BatchesInFlight int                `json:"batches_in_flight"`
	BytesInFlight   int64              `json:"bytes_in_flight"`
	OldestUnsettled time.Time          `json:"oldest_unsettled,omitzero"` // when it was received
	Failing         map[string]Failure `json:"failing,omitempty"`         // by what is being tried
	LastError       *Failure           `json:"last_error,omitempty"`
	LastDelivery    time.Time          `json:"last_delivery,omitzero"`
	Delivered       uint64             `json:"delivered"` // since the start, like the next ones
	Duplicates      uint64             `json:"duplicates"`
	Dropped         uint64             `json:"dropped"`
	DeadLettered    uint64             `json:"dead_lettered"`
}

// Status returns a snapshot of the delivery.
func (f *Flusher) Status() Status {
	st := f.health.status()
	st.Destination = f.opts.Sink.Name()
	st.Settled = f.tracker.watermark()
	if durable := f.opts.Durable(); durable > st.Settled {
		st.Lag = uint64(durable - st.Settled)
	}
	st.BatchesInFlight, st.BytesInFlight, st.OldestUnsettled = f.tracker.load()
	st.Delivered, st.Duplicates, st.Dropped, st.DeadLettered = f.opts.Metrics.totals()
	return st
}
