// Package checkpoint keeps weir.db: which log is ours, how far each stream of it is settled, and, in buckets of their
// own, the index of dead letters. The file is a bbolt database. It is small, it is never the only copy of anything that
// was acknowledged, and it may be lost: then everything still in the log is delivered again under the same ids.
//
// # Invariants
//
//	C1  Advance is one transaction: all streams of a call move together, and are durable when it returns nil.
//	C2  A stream never moves backwards within an epoch, unless Reset asks for it.
//	C3  Damage never yields a checkpoint higher than one that was stored. Epoch and all streams are one value with one
//	    checksum, so that a missing entry is noticed like a changed one.
//	C4  No damage ends the process. The pages are checked by this package's own reader, which maps no memory and follows no
//	    page twice, before bbolt sees them; every use of bbolt turns a panic or a memory fault into ErrDamaged.
//	C5  A damaged file is set aside under the name weir.db.damaged-<time>, never deleted and never overwritten.
//	C6  A new file appears under its name only when it is whole and synced.
//	C7  A file of a newer format is refused with wal.ErrNewerFormat and left as it is.
//	C8  Look and Verify change nothing on disk.
//
// # The file
//
//	bucket "weir"        "state" -> the value described in state.go: log epoch and one checkpoint per stream
//	               "home"  -> the value described in home.go: where the directory was last used
//	bucket "letters:..." the indexes of package deadletter
//
// # Choices
//
// NoSync stays false: the checkpoint is the promise that nothing below it is read again. NoFreelistSync stays false too:
// without a stored list of free pages bbolt scans the whole tree at every start, in a goroutine whose panic nobody can
// recover. The free list is kept as a hash map, because an index of a million letters leaves many free pages.
//
// # Concurrency
//
// All methods are safe for concurrent use. bbolt admits one writing transaction at a time; checkpoints and letters take
// turns. View and Update must not be nested.
//
// # What it does not do
//
// It does not decide where reading begins when its epoch is not the log's; Position says what is stored, the caller
// compares. It does not lock the data directory.
package checkpoint
