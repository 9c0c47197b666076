// Package local is the embedded destination: a searchable store in a directory, for the first minute and for
// small machines. It implements flush.Sink, so that delivery into it is the same as into Elasticsearch, and
// it is searched with bleve's query strings.
//
// Invariants
//
//	K1  Delivered means on disk: the segment, the snapshot that names it and the directory were synced. The
//	    next search finds the document. It survives a kill and, as far as the disk keeps its word, a power cut.
//	K2  Duplicate means that a document of that index and id was on disk before. A failed write is never
//	    taken for one: the part it failed in is opened again, and shows what is on disk, before it is asked.
//	K3  A document is created once and never changed: not by another of its identity in the same call, in
//	    another call at the same time, in another part, or after a restart. (Until it is among the oldest
//	    and removed: then its id is free again.)
//	K4  The source comes back byte for byte, whatever was indexed of it. No JSON object is refused.
//	K5  What is on disk stays within Options.MaxBytes; the oldest part goes first. (A single event may be
//	    larger than a part; a part is trimmed once the batch that outgrew it is stored.)
//	K6  A crash at any moment leaves a store that opens by itself. A damaged part is renamed to *.damaged,
//	    logged and counted, and the rest opens; damage never makes Open fail. So is one whose damage a
//	    call runs into later.
//	K7  What is indexed of one document is bounded in fields, depth, values and text (MaxFields, MaxDepth,
//	    MaxValues, MaxValueBytes, MaxTextBytes), and field names in all (MaxPartFields).
//	K8  Memory is bounded: at most GOMAXPROCS batches of batchBytes are made at a time, whatever is sent.
//
// # Parts
//
// The store is a row of numbered directories, each an index of its own (bleve's scorch). One is written to;
// when it reaches a sixteenth of the limit it is sealed: opened again for reading only, with a filter of its
// ids beside it, so that a new id need not be looked up in it. Removing the oldest is renaming and deleting a
// directory. See layout.go for names, idfilter.go and stored.go for bytes.
//
// The library maps its files and trusts them, and falls back to an older snapshot, or an empty index, when
// it cannot read the newest. So every part is verified before it is opened: the newest snapshot's files
// must be there, with the right checksums. Open does this for the newest part; the others follow in the
// background, and what needs them waits.
//
// # What is indexed
//
// Members by their names, joined by dots (context.user.id), those of arrays under the array's name:
//
//	strings   words in lower case, parted by anything that is no letter or digit; of the text beyond the
//	          bounds nothing
//	numbers   as doubles, for ranges; numbers over 64 characters or out of a double's range as words only
//	times     strings that are an RFC 3339 time or a date, for ranges
//	booleans  the words true and false
//
// Everything but times is also found without a name. Beside the event's own there are _id, _index, _stream
// (whole, as spelled) and received_at (a time); an event's own members of these names are found without a
// name only. Positions and frequencies are not kept, which halves the index: a
// phrase reads the documents that have all its words; and nothing is ranked, hits are in order of time.
//
// # Queries
//
//	timeout error            either word               "connection reset"   words in a row
//	+timeout -level:200      required, excluded        channel:app          in a field
//	level:>=400              numbers                   datetime:>"2026-01-31T12:00:00Z"
//	time*  /time(out)?/  timout~1                      context.user:*       any value
//
// A word of several (workerEnv.init, 10.0.0.1) is a phrase. A time without comparison is the day or second
// that it names. With a required part, parts that are merely wished for have no effect.
//
// # Concurrency
//
// All methods of Store are safe for concurrent use. Batches are made and indexed side by side; the library
// merges those that are ready together into one write. Searches work on views and hold nothing up. Close
// waits for running calls. Locks are taken in the order life, rotation, part.mu, Store.mu.
//
// # What it does not do
//
// It does not lock its directory: the data directory's lock does. It has no mapping, no update, no delete and
// no aggregation. When a goroutine of the library panics, the part it belonged to is out of use until the next
// start, and ids in it are not recognised meanwhile.
package local
