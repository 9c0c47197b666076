// Package wal is the durable log: an append-only sequence of records in segment files, on top of
// github.com/tidwall/wal, which provides the files and nothing more. The main log, the dead letters and
// the refused bodies are each one Log in a directory of its own.
//
// Invariants
//
//	W1  Append returns nil only when its records, and all before them, are fsynced: the file, and the
//	    directory when a segment was new.
//	W2  Offsets are dense within an epoch and never given out again once committed. A failed Append may
//	    still surface after recovery; its client was told to send again.
//	W3  Readers never return a record above the durable offset.
//	W4  After a failed write or sync nothing is written to that segment again. The log refuses appends
//	    until it is open on a new one.
//	W5  A segment is written by one life of the log and never changed. Repair cuts only what is behind
//	    the last whole group, by beginning a new segment there; the cut bytes are kept. Damage anywhere
//	    else is kept aside, reported and counted, never passed over in silence, and takes no intact
//	    neighbour along.
//	W6  Reclaim removes whole segments at or below the given offset, oldest first, never the active one.
//	W7  The records of one append are delivered all or not at all: a group whose last frame is missing
//	    is cut.
//	W8  The durable mark is never ahead of what is durable, and after a kill never behind what was
//	    acknowledged.
//
// # On disk
//
// A directory holds segments, named by the sequence of their first frame in 20 digits. A frame holds the
// records of one commit group, or a part of about 1 MiB of it; a record describes and proves itself. The
// layouts stand above their encoders in frame.go, and in docs/format.md. Behind the frames of the active segment there may
// be zeros, which the next ones overwrite (see ahead).
//
// Sequences number frames, offsets number records. A frame's watermark is the highest sequence that was
// durable when it was made: an invalid frame at or below a later watermark is damage, one above every
// later watermark belongs to the last group and may be torn.
//
// # Lives
//
// Open reads names, sizes and first headers of all segments and every frame of the last one, begins a
// new segment behind the last whole group, and leaves older files as they are. A later segment's name
// says where the one before it ends; what stands beyond is superseded. The answer to a failed write or
// sync while running is the same: a new segment.
//
// # Concurrency
//
// One goroutine, Run, writes. Append queues and waits. Readers have descriptors of their own and learn
// from the log how far they may read; bytes below that never change. Reclaim may run beside all of it.
//
// # What it does not do
//
// It keeps no checkpoint, knows nothing of what records mean, and does not lock the data directory by
// itself: LockDir does, and whoever opens a log must hold that lock.
package wal
