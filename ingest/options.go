package ingest

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/weirlog/weir/wal"
)

// Appender makes events durable. *wal.Log is one.
type Appender interface {
	// Append returns nil only after all events are fsynced. The payloads belong to the caller again when
	// it returns, not before. It is called from many goroutines at once. Errors are those of package wal.
	Append(ctx context.Context, origin wal.Origin, events []wal.Event) (wal.Offset, error)
	// Ready returns nil when an append would succeed now, else the error that it would meet. It must be
	// cheap: it is asked before each body that has not arrived yet.
	Ready() error
}

// RefusedBodies keeps bodies of which nothing was accepted, so that an operator can see what a client
// sends. Refuse may be called from many goroutines at once, and may not keep refused.Body. Its errors
// are logged and counted and change nothing for the client.
type RefusedBodies interface {
	Refuse(ctx context.Context, refused RefusedBody) error
}

// RefusedBody is a body of which nothing was accepted.
type RefusedBody struct {
	Origin  wal.Origin
	Code    string // the stable code that the client was given
	Message string // the message that the client was given
	Size    int64  // bytes of the whole body; decompressed if that was possible
	Body    []byte // its first RefusedBytes; valid until Refuse returns
}

// RefusedBytes is how much of a refused body is kept.
const RefusedBytes = 64 << 10

// DefaultStream is the stream of POST /ingest. It is always declared.
const DefaultStream = "default"

// Options say how a Server serves. Sizes are bytes.
type Options struct {
	// Log takes the events. Required.
	Log Appender
	// Refused keeps bodies of which nothing was accepted; nil: they are not kept.
	Refused RefusedBodies

	// Listen holds TCP addresses (host:port, port 0 for any) and unix:///path. Empty: 127.0.0.1:8080.
	Listen []string
	// SocketMode is the mode of unix sockets. 0: 0660.
	SocketMode fs.FileMode
	// Streams are the declared streams beside DefaultStream.
	Streams []string

	// MaxEventBytes bounds one event. 0: 1 MiB.
	MaxEventBytes int64
	// MaxBodyBytes bounds one body, as sent and after decompression. 0: 32 MiB.
	MaxBodyBytes int64
	// MaxBodyEvents bounds the events of one body, so that a body of two-byte events cannot take many
	// times its size in memory. 0: 262,144.
	MaxBodyEvents int
	// MaxInFlightBytes bounds the memory of bodies that are being read or wait for their fsync. At least
	// MaxBodyBytes. 0: 64 MiB.
	MaxInFlightBytes int64
	// MaxConnections bounds open connections. 0: the process's limit of open files less 256, which the
	// log and delivery need.
	MaxConnections int

	// ReadTimeout is by when a request must have arrived, counted from its first byte, and how long an
	// answer may wait for a client that does not read. 0: 30 s.
	ReadTimeout time.Duration
	// IdleTimeout is how long a kept connection may wait for its next request. 0: 10 minutes.
	IdleTimeout time.Duration
	// DrainTimeout is how long Run waits for requests in hand once its context has ended. 0: 10 s.
	DrainTimeout time.Duration

	// Version is told at GET /. Empty: "unknown".
	Version string
	// Logger takes what an operator should know. nil: slog.Default().
	Logger *slog.Logger
	// Metrics counts. nil: nothing is exported.
	Metrics *Metrics
}

// withDefaults returns o with zero fields replaced, or what contradicts itself.
func (o Options) withDefaults() (Options, error) {
	if len(o.Listen) == 0 {
		o.Listen = []string{"127.0.0.1:8080"}
	}
	setDefault(&o.SocketMode, 0o660)
	setDefault(&o.MaxEventBytes, 1<<20)
	setDefault(&o.MaxBodyBytes, 32<<20)
	setDefault(&o.MaxBodyEvents, 1<<18)
	setDefault(&o.MaxInFlightBytes, 64<<20)
	setDefault(&o.MaxConnections, maxConnections())
	setDefault(&o.ReadTimeout, 30*time.Second)
	setDefault(&o.IdleTimeout, 10*time.Minute)
	setDefault(&o.DrainTimeout, 10*time.Second)
	setDefault(&o.Version, "unknown")
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	switch {
	case o.Log == nil:
		return o, fmt.Errorf("%w: no log", ErrOptions)
	case o.MaxEventBytes < 0 || o.MaxBodyBytes < 0 || o.MaxBodyEvents < 0 || o.MaxInFlightBytes < 0 || o.MaxConnections < 0:
		return o, fmt.Errorf("%w: a limit is negative", ErrOptions)
	case o.ReadTimeout < 0 || o.IdleTimeout < 0 || o.DrainTimeout < 0:
		return o, fmt.Errorf("%w: a timeout is negative", ErrOptions)
	case o.MaxEventBytes > o.MaxBodyBytes:
		return o, fmt.Errorf("%w: max_event_bytes %d is above max_body_bytes %d", ErrOptions, o.MaxEventBytes, o.MaxBodyBytes)
	case o.MaxBodyBytes > o.MaxInFlightBytes:
		return o, fmt.Errorf("%w: max_body_bytes %d is above max_in_flight_bytes %d", ErrOptions, o.MaxBodyBytes, o.MaxInFlightBytes)
	}
	for _, name := range o.Streams {
		if name == "" || len(name) > wal.MaxStreamBytes {
			return o, fmt.Errorf("%w: stream name %q is empty or longer than %d bytes", ErrOptions, name, wal.MaxStreamBytes)
		}
	}
	return o, nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
