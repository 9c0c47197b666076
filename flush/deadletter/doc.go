// Package deadletter keeps what cannot be delivered, with its cause, until it is delivered after all or given up.
//
// A Store is a log of its own (package wal in another directory) and an index of it in weir.db. The log alone is the truth:
// its records say that a letter was put, attempted, edited, settled or dropped. The index makes letters quick to list and to
// look up, and says which parts of the log are still needed. A process has two stores: the letters, which block when they
// are full, and the bodies that were refused whole, whose oldest go first.
//
// A Replayer feeds letters back through delivery.
//
// # Invariants
//
//	D1  Put returns nil only when its letters are in the log, fsynced; one call is one append.
//	D2  A letter is put once: a key that is live, or was settled since the checkpoint passed its record, is left as it is.
//	D3  The index is never believed against the log. It names the offset up to which it has applied the log, and carries
//	    sums of its tables; where it is missing, damaged, of another epoch, or ahead of the log, it is made anew.
//	D4  A segment goes only when no record in it is needed: live letters and remembered keys in it are appended again first,
//	    durably. Killed between any two steps, each letter is there once.
//	D5  Nothing is dropped to make room or for its age, except by a store that was told to, and then it is counted and said.
//	D6  A letter leaves by replay only after the destination has answered for everything that it stands for.
//	D7  What a replay sends has ids made from the letter's key (or by the client or the script from the event), so that a
//	    replay that was killed sends the same again and hears that it is there.
//	D8  Damage in the dead-letter log is passed over by the index, and becomes a letter of stage log itself.
//	D9  A dry run records nothing, and takes away what it has made at the destination, also when it is cut off.
//
// # From put to gone
//
//	put                  record put; index: live
//	attempted            record attempted (cause, time, count); index: the new cause
//	edited               record edited, the whole letter with its first event; index: its new place
//	settled, dropped     record (dropped: by an operator, for room, or for age); index: the key is remembered until ForgetSettled, so that a redelivery cannot bring it back
//	                     (not in a store with OwnKeys, where there is none)
//	copied               record, the whole letter as it stands; index: its new place; the old segment can go
//
// A letter's place changes when it is copied, its number (Entry.Seq) never: lists and replays go by that.
//
// # Replay
//
// The table stands above prepare. A letter of stage transform or ingest stands for its whole event. If some of its documents are
// delivered and one is refused, it stays what it is, whole, with the refusal as its new cause; the next replay sends all of them
// again, and those that are there answer as duplicates. A letter of stage index stands for one document. If the script now makes
// another number of documents of its event, it stays and says so; with AsNew all of them are sent under ids of the form
// epoch-offset-n<documents>-<ordinal>, and the letter is settled (dropped, when there are none). A letter that is edited while it
// is being sent stays. Any outcome but delivered and duplicate leaves a letter as it is, with that outcome as its cause.
//
// A patch is a script for one replay; the table stands above runPatch. In a dry run a Probe asks the destination what it would make of
// the documents.
//
// # Causes and remedies
//
// ParseReason takes the words of a server apart; Stats groups letters by field and proposes Lua, made for one letter of each group.
//
// # Concurrency
//
// All methods are safe for concurrent use. One goroutine, the writer in Run, appends to the log and changes the index; that is
// how the index applies records in their order. Requests that wait while it writes share the next append. Readers pin the log
// while they go from the index to the bytes, so that no segment goes from under them.
//
// # What it does not do
//
// It does not lock the data directory, and does not check that an event is valid JSON. The bytes of a settled letter stay on disk
// until its segment goes: at the latest when garbage outweighs what is needed by more than a few segments.
package deadletter
