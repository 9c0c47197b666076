// Package ingest is the HTTP edge: it reads requests, finds and checks their events, has them made
// durable, and answers. docs/http-api.md is what clients may rely on.
//
// # Invariants
//
//	I1  No byte of a 2xx answer is written before Append has returned nil for all events of its request.
//	I2  A request's events, good and rejected, are one append, in the order of the body.
//	I3  An accepted event is stored byte for byte as it stands in the (decompressed) body, without the
//	    white space around it.
//	I4  Nothing of a request is stored when its answer is a 4xx or a 503 other than commit_failed.
//	I5  The memory of bodies is bounded by MaxInFlightBytes, whatever clients announce: it is counted as
//	    it is taken, and what does not fit is refused at once.
//	I6  Every answer to a request whose header could be read carries its X-Request-Id.
//	I7  A slow, silent or broken client costs itself its connection, and nobody else anything.
//	I8  Run returns only after every goroutine of the Server has ended.
//
// # Why not fasthttp.Server
//
// Headers are parsed by fasthttp; the loop around it is ours (conn.go), because fasthttp.Server cannot
// keep I5 to I7. It reads a body before the handler sees the header, allocating what Content-Length
// announces, and forgets the header, and with it the X-Request-Id, when that fails. With
// StreamRequestBody it reads the first 8 KiB in the same way and keeps its buffers on idle connections;
// with ReduceMemoryUsage it pays one more system call a request. It also stops serving for good when
// accept meets a full table of descriptors, and closes refused uploads so that the reset can overtake the
// answer. The loop here, with validation, costs what fasthttp's costs with a handler that does nothing
// (BenchmarkServer), and an idle connection holds a goroutine and no buffer.
//
// # The path of a request
//
//	conn.await      parks without buffers until a header is complete
//	Server.handle   header, route; admit refuses what is sure to fail before its body is read
//	conn.readBody   the body; small ones are used where the first read put them
//	decompress      bounded, counted
//	batch.split     events as slices of the body, each checked by scanValue
//	Append          durable
//	conn.write      the answer
//
// # Bytes
//
// The body belongs to the request's exchange until its answer is written. Events are slices of it; the
// log copies what it keeps. Nothing is retained after that, and all buffers are pooled.
//
// # Concurrency
//
// One goroutine per connection does everything for it, one per listener accepts. They share the budget
// and the counters (atomic), the set of connections (Server.mu) and two semaphores: decompressions at
// once, and refused bodies being kept at once. Server's methods may be called from any goroutine.
//
// # What it does not do
//
// No credentials, TLS or rate limits yet: listen on loopback, a unix socket or a trusted network. It
// builds no tree of an event and does not know what is in one, but for a member "@timestamp". It does not
// wait for room in the log: the client does.
package ingest
