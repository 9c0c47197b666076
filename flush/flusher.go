package flush

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"golang.org/x/sync/errgroup"

	"github.com/weirlog/weir/wal"
)

// Options of a Flusher. Fields without a stated default are required.
type Options struct {
	// Open returns a source whose first record is the one at an offset, or the first one behind it. It is called for each place
	// at which streams stand, also while the flusher runs; the flusher closes what it returns.
	Open        func(from wal.Offset) Source
	Checkpoint  Checkpoint
	DeadLetters DeadLetters
	// Streams are the declared streams, at least one. A record of another one becomes a dead letter.
	Streams map[string]Stream

	// Epoch is the log's current one, under which checkpoints are stored.
	Epoch wal.Epoch
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
	MaxInFlightBytes int64         // of all batches together; default 16 MiB; each stream can always have one batch, if a small one
	MaxInFlight      int           // requests to one destination at a time, at the most, and batches of one stream on their way; default 4
	RetryMin         time.Duration // first pause before a retry, with jitter; default 100ms
	RetryMax         time.Duration // longest pause; default 30s
	ParkTimeout      time.Duration // for how long documents are retried whose index or pipeline a script chose and an operator blocked; default 10m
	MaxAttempts      int           // after so many failed attempts a document is a dead letter; 0: never
	MaxAge           time.Duration // a document that failed, or found its destination failing, so long after its receipt is a dead letter; 0: never
	CheckpointEvery  time.Duration // default 200ms

	Logger  *slog.Logger // default: discards
	Metrics *Metrics     // may be nil
}

// Stream is how the records of one stream are delivered.
type Stream struct {
	// Sink takes the documents. Streams with the same one share its concurrency and its state.
	Sink        Sink
	Transformer Transformer // nil: events pass as they are
	Route       Route
	// FailureStore says what a document is that the destination keeps in a failure store; "" is FailureStoreAccept.
	FailureStore FailureStorePolicy
	Settled      wal.Offset // records up to it were settled before; 0 for none
}

// FailureStorePolicy says what a document is that was stored in a data stream's failure store.
type FailureStorePolicy string

// The policies.
const (
	FailureStoreAccept     FailureStorePolicy = "accept"      // delivered, counted apart
	FailureStoreDeadLetter FailureStorePolicy = "dead_letter" // a dead letter as well
)

func (o *Options) setDefaults() {
	setDefault(&o.BatchBytes, 5<<20)
	setDefault(&o.BatchEvents, 5000)
	setDefault(&o.Linger, time.Second)
	setDefault(&o.MaxInFlightBytes, 16<<20)
	setDefault(&o.MaxInFlight, 4)
	setDefault(&o.RetryMin, 100*time.Millisecond)
	setDefault(&o.RetryMax, 30*time.Second)
	setDefault(&o.ParkTimeout, 10*time.Minute)
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

// retryPauses are those before something is tried again that may work any moment.
func (o *Options) retryPauses() *backoff.ExponentialBackOff { return pauses(o.RetryMin, o.RetryMax) }

// parkPauses are those before something is tried again that works only after somebody has acted.
func (o *Options) parkPauses() *backoff.ExponentialBackOff {
	return pauses(min(max(o.RetryMin, time.Second), o.RetryMax), o.RetryMax)
}

func pauses(first, longest time.Duration) *backoff.ExponentialBackOff {
	b := &backoff.ExponentialBackOff{InitialInterval: first, MaxInterval: longest, Multiplier: 2, RandomizationFactor: 0.5}
	b.Reset()
	return b
}

// Flusher delivers what a log holds. Run does the work; Status may be called beside it.
type Flusher struct {
	opts         Options
	destinations []*destination
	lanes        []*lane // by name
	byName       map[string]*lane
	health       health
	holdBytes    int64 // that each lane may hold back

	group *errgroup.Group
	ctx   context.Context // of the group

	mu      sync.Mutex // guards what cursors, lanes and budget say is its
	cursors []*cursor
	budget  budget
	shelf   shelf

	unfollowed bool // Settle was not called yet for the checkpoint that is stored; keepCheckpoint only
}

// holdShare is the part of MaxInFlightBytes that is kept for documents that are held back.
const holdShare = 16

// New returns a Flusher. It opens its sources and starts nothing.
func New(opts Options) *Flusher {
	opts.setDefaults()
	f := &Flusher{opts: opts, byName: make(map[string]*lane, len(opts.Streams))}
	f.health.logger = opts.Logger
	bySink := map[Sink]*destination{}
	stored := make(map[string]wal.Offset, len(opts.Streams))
	for _, name := range slices.Sorted(maps.Keys(opts.Streams)) {
		s := opts.Streams[name]
		d := bySink[s.Sink]
		if d == nil {
			d = newDestination(s.Sink, f.uniqueName(s.Sink.Name()), &f.opts)
			bySink[s.Sink] = d
			f.destinations = append(f.destinations, d)
		}
		s.Route.last = &atomic.Pointer[namedIndex]{}
		l := &lane{f: f, name: name, stream: s, dest: d}
		l.ownStanding.begin(opts.Logger.With("stream", name, "index", s.Route.Index))
		f.lanes = append(f.lanes, l)
		f.byName[name] = l
		stored[name] = s.Settled
	}
	f.holdBytes = max(opts.MaxInFlightBytes/int64(holdShare*len(f.lanes)), 1)
	f.budget = newBudget(opts.MaxInFlightBytes-f.holdBytes*int64(len(f.lanes)), len(f.lanes))
	f.startCursors()
	opts.Metrics.watch(f)
	opts.Metrics.checkpoint(stored)
	return f
}

// uniqueName tells destinations apart that have the same hosts, and other credentials.
func (f *Flusher) uniqueName(name string) string {
	for n := 2; slices.ContainsFunc(f.destinations, func(d *destination) bool { return d.name == name }); n++ {
		base, _, _ := strings.Cut(name, " (")
		name = fmt.Sprintf("%s (%d)", base, n)
	}
	return name
}

// Run delivers until the sources end (the log was closed and everything in it is settled: nil) or ctx
// ends (ctx's error: batches in hand are left unsettled and will be delivered again). The checkpoint is
// written a last time before it returns. Run may be called once.
func (f *Flusher) Run(ctx context.Context) error {
	f.group, f.ctx = errgroup.WithContext(ctx)
	for _, c := range slices.Clone(f.cursors) {
		f.goes(c.run)
	}
	stop := make(chan struct{})
	checkpointed := make(chan error, 1)
	go func() { checkpointed <- f.keepCheckpoint(stop) }()
	err := f.group.Wait()
	close(stop)
	if cerr := <-checkpointed; err == nil {
		err = cerr
	}
	return err
}

// goes runs fn in a goroutine that Run waits for. Only goroutines of the group call it, and Run.
func (f *Flusher) goes(fn func(context.Context) error) {
	f.group.Go(func() error { return fn(f.ctx) })
}

// putLetters makes letters durable, waiting while there is no room for them.
func (f *Flusher) putLetters(ctx context.Context, letters []Letter) error {
	if len(letters) == 0 {
		return nil
	}
	wait := f.opts.retryPauses()
	for {
		err := f.opts.DeadLetters.Put(ctx, letters)
		if err == nil {
			f.health.ok("keeping dead letters")
			f.opts.Metrics.settled(outcomeDeadLettered, len(letters))
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

// sleep waits for d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
