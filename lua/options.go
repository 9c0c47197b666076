package lua

import (
	"log/slog"
	"time"
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

	now func() time.Duration // the clock of the time limit; a seam for tests
}

// Defaults of Options.
const (
	DefaultTimeout   = 100 * time.Millisecond
	DefaultMaxMemory = 16 << 20
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
	if o.now == nil {
		o.now = threadTime
	}
	return o
}
