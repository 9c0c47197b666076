// Package flush is the delivery loop: it reads committed records in order, transforms them, sends the
// documents to a destination, looks at what became of each, keeps what cannot be delivered as dead
// letters, and advances the checkpoint.
//
// Invariants
//
//	F1  The checkpoint passes a record only when it is settled: every document of it delivered (or found
//	    there already under our own id), dropped by the transform, or a dead letter.
//	F2  A dead letter is durable before the checkpoint passes it.
//	F3  A record that cannot be read, that ingest rejected, or that cannot be transformed is a dead
//	    letter too.
//	F4  A document id comes from epoch, offset and ordinal (or from the client, see Route.IDField) and is
//	    created once, so that a redelivery finds itself already there. Retries send the same bytes.
//	F5  Every document's outcome is looked at. Only those that may be stored later are sent again; the
//	    others of their batch do not wait for them to become letters.
//	F6  Nothing is dropped to make room: when dead letters are full or the destination is away, batches
//	    wait, and the log holds what comes behind them.
//
// # The loop
//
// Workers take runs of consecutive records in turn; each worker takes its run through transform, send,
// dead letters and settle by itself, so that several bulks are in flight. A tracker moves the watermark
// over the unbroken run of settled batches, and one goroutine writes it to the checkpoint a few times a
// second and then lets the log be reclaimed.
//
// # Bytes
//
// A batch copies its records into an arena that it reuses. Documents point into that arena or into
// memory of the transform; sinks may read them until Send returns, dead letters until Put returns.
//
// # What it does not do
//
// It knows nothing of HTTP, Lua or files: those are behind the interfaces of this package, which its
// sub-packages and package lua implement. It never imports them.
package flush
