package lua

import (
	"context"
	"log/slog"
	"time"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/wal"
)

// Options configure a Transformer.
type Options struct {
	// Script is the path of the Lua file. Required by New; Compile and Check take it as an argument.
	Script string
	// Timeout bounds the time of one event: processor time on Linux, elsewhere time. Default 100ms, also for 0.
	Timeout time.Duration
	// MaxMemory bounds the bytes that one event may allocate in Lua. Default 16 MiB, also for 0.
	MaxMemory int64
	// Logger gets reloads, refused scripts and, on level debug, what scripts print. Default slog.Default.
	Logger *slog.Logger
	// Metrics may be nil.
	Metrics *Metrics
	// Name tells the script from others in metrics. Default: Script.
	Name string

	// ShadowEvents is how many of the newest events a changed script is tried on before it takes over; 0: none.
	ShadowEvents int
	// Recent gives visit the newest n events that the script would be given, the oldest first; a record is valid until
	// visit returns. It ends when visit or ctx does. nil: there are no events to try a script on.
	Recent func(ctx context.Context, n int, visit func(*wal.Record) error) error
	// Prepare fills in what a script leaves open, and refuses what it must not choose, as flush.Route.Prepare does for
	// the event's stream: the shadow compares documents as they would be sent. nil: they are compared as the script
	// makes them.
	Prepare func(rec *wal.Record, docs []flush.Document) error

	// RollbackErrorRate is by how much, as a share from 0 to 1, more events may fail under a changed script than under
	// the one before; beyond, the shadow refuses it, and one that took over is rolled back. 0: neither happens.
	RollbackErrorRate float64
	// RollbackMinEvents is how many events it takes to judge. Default 200, also for 0.
	RollbackMinEvents int
	// RollbackWindow is how long after it took over a script is judged. Default 10m, also for 0.
	RollbackWindow time.Duration

	now   func() time.Duration // the clock of the time limit; a seam for tests
	clock func() time.Time     // the clock of the window; likewise
}

// Defaults of Options.
const (
	DefaultTimeout   = 100 * time.Millisecond
	DefaultMaxMemory = 16 << 20

	DefaultRollbackMinEvents = 200
	DefaultRollbackWindow    = 10 * time.Minute
)

func (o Options) withDefaults() Options {
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.MaxMemory <= 0 {
		o.MaxMemory = DefaultMaxMemory
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Name == "" {
		o.Name = o.Script
	}
	if o.RollbackMinEvents <= 0 {
		o.RollbackMinEvents = DefaultRollbackMinEvents
	}
	if o.RollbackWindow <= 0 {
		o.RollbackWindow = DefaultRollbackWindow
	}
	if o.now == nil {
		o.now = threadTime
	}
	if o.clock == nil {
		o.clock = time.Now
	}
	return o
}

// quiet returns the options of a script that runs in the shadow: in the same limits, and nobody sees or hears of it.
// Whatever else a script can do that is seen outside of its documents must end here too.
func (o Options) quiet() Options {
	o.Logger, o.Metrics = slog.New(slog.DiscardHandler), nil
	return o
}
