package local

import "log/slog"

const (
	// DefaultMaxBytes is the size limit of a store when Options names none.
	DefaultMaxBytes = 1 << 30
	// MinBytes is the smallest size limit that Open takes.
	MinBytes = 8 << 20
	// partsPerStore is how many parts share the size limit: the oldest sixteenth goes at a time.
	partsPerStore = 16
)

// Options configure a Store.
type Options struct {
	// MaxBytes bounds the store on disk, in bytes; the oldest documents go first. 0 means
	// DefaultMaxBytes. Below MinBytes Open fails.
	MaxBytes int64
	// Logger gets what an operator must know: parts set aside, documents removed for space. Nil
	// means slog.Default().
	Logger *slog.Logger
	// Metrics may be nil.
	Metrics *Metrics
}

func (o Options) withDefaults() (Options, error) {
	if o.MaxBytes == 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.MaxBytes < MinBytes {
		return o, ErrTooSmall
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	o.Logger = o.Logger.With("component", "store")
	return o, nil
}
