package flush

import (
	"context"

	"github.com/weirlog/weir/wal"
)

// Source yields committed records in the order of their offsets.
type Source interface {
	// Next blocks until a durable record is there or ctx ends. The record's bytes are valid until the
	// next call. Damaged records come as one record with wal.FlagDamaged. Not for concurrent use.
	Next(ctx context.Context) (wal.Record, error)
	// Close releases what the source holds. Next is not called after it.
	Close() error
}

// Transformer makes documents of an event.
type Transformer interface {
	// Transform returns the documents that the record becomes, in a stable order; none means dropped on
	// purpose. A *TransformError makes the event a dead letter; any other error (ctx ended) leaves it
	// unsettled. Source of the documents may share memory with the record's payload, and is valid until
	// the batch that the record belongs to is settled. Documents carry the Script that made them. Safe
	// for concurrent use.
	Transform(ctx context.Context, rec *wal.Record) ([]Document, error)
	// Version names the script in force, "" when there is none.
	Version() string
}

// Blamed is a Transformer that is told when the documents of an event are refused before they are sent, for what its script
// chose. The event is a dead letter, as it is after an error of Transform.
type Blamed interface {
	// Blame is given the fault and in it the version that made the documents, which need not be in force any more. Safe
	// for concurrent use.
	Blame(fault *TransformError)
}

// Sink stores documents at a destination.
type Sink interface {
	// Send tries every document once and returns one outcome per document, in the same order, or an
	// error (*RequestError) when the request as a whole failed. It keeps none of the bytes after it
	// returns and never changes them: sending the same documents again sends the same bytes.
	// Safe for concurrent use.
	Send(ctx context.Context, docs []Document) ([]Outcome, error)
	// Name says where documents go, for letters and status: a host list or "embedded"; no secrets.
	Name() string
}

// Checkpoint keeps the watermark of each stream.
type Checkpoint interface {
	// Load returns the highest offset up to which every record of the stream is settled, in this epoch
	// of the log; 0 when none is known.
	Load(stream string) (wal.Offset, error)
	// Advance stores the watermark of every stream given, in one transaction, durable on return. epoch is
	// the log's current one.
	Advance(epoch wal.Epoch, offsets map[string]wal.Offset) error
}

// DeadLetters keeps what cannot be delivered.
type DeadLetters interface {
	// Put stores letters; they are durable on return. A letter whose key is known already, live or
	// settled since, is left as it is. ErrDeadLettersFull asks the caller to try again later.
	Put(ctx context.Context, letters []Letter) error
	// Known reports which ordinals of a record are dead letters already, live or settled since the
	// checkpoint last passed; a redelivery must not send those again.
	Known(epoch wal.Epoch, offset wal.Offset) ([]uint32, error)
}
