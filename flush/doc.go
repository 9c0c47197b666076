// Package flush is the delivery loop: it reads committed records in order, transforms them, sends the
// documents to a destination, looks at what became of each, keeps what cannot be delivered as dead
// letters, and advances the checkpoint of each stream.
//
// Invariants
//
//	F1  A stream's checkpoint passes a record only when it is settled: every document of it delivered (or found
//	    there already under its id), dropped by the transform, or a dead letter.
//	F2  A dead letter is durable before the checkpoint passes it.
//	F3  A record that cannot be read, that ingest rejected, or that cannot be transformed is a dead
//	    letter too.
//	F4  A document id comes from epoch, offset and ordinal (or from the client, see Route.IDs) and is
//	    created once, so that a redelivery finds itself already there. Retries send the same bytes.
//	F5  Every answer has one meaning, that of the table in meaning.go. Only documents that may be stored later are sent
//	    again; the others of their batch do not wait for them.
//	F6  Nothing is dropped to make room: when dead letters are full or the destination is away, batches
//	    wait, and the log holds what comes behind them.
//	F7  A stream that is held up stops no other: each has a lane of its own, with its batches, its part of the
//	    memory and its checkpoint.
//	F8  What takes nothing is not hammered: one request at a time asks, after pauses that grow.
//
// # From record to checkpoint
//
//	cursor       reads the log for all lanes that stand at the same place, and hands each record to its lane.
//	             A lane without room parts from it with a cursor of its own; cursors at the same place join
//	lane         collects the records of one stream in batches; its workers take batch after batch through
//	             transform, send, dead letters and settle, by themselves, so that several bulks are in flight
//	destination  a sink, and what is known of how it takes documents: its state, a gate that is shut while it
//	             takes nothing, a limit on requests that adapts. Lanes with the same sink share it
//	hold         documents apart from their batches: for an index or pipeline that a script chose and that takes
//	             nothing, and stragglers
//	tracker      moves the lane's watermark over the unbroken run of settled batches; one goroutine writes all
//	             watermarks to the checkpoint a few times a second and then lets the log be reclaimed
//
// # Three ways to be held up
//
//	the destination  no answer, 429, 5xx: its gate is shut for pauses that double; Retry-After is obeyed. Credentials, TLS,
//	                 a wrong product: the same, and its state is parked, because somebody must act. All its lanes wait
//	the own index    what the stream is configured for is blocked, closed, missing or forbidden: the lane's gate is shut,
//	                 one document asks. Other lanes go on
//	another index    the same trouble with what a script chose: the documents are held and retried for ParkTimeout, then they
//	                 are letters. The lane goes on
//
// # Bytes
//
// A batch copies its records into an arena that it reuses. Documents point into that arena or into
// memory of the transform; sinks may read them until Send returns, dead letters until Put returns.
// Documents that are held have copies of their own.
//
// # What it does not do
//
// It knows nothing of HTTP, Lua or files: those are behind the interfaces of this package, which its
// sub-packages and package lua implement. It never imports them.
package flush
