package flush

import (
	"unsafe"

	"github.com/weirlog/weir/wal"
)

// batch is a run of a lane's records travelling together. Until it is sealed it belongs to the lane's
// cursor, then to the worker that settles it.
type batch struct {
	flight   *flight
	arena    Arena
	records  []wal.Record
	docs     []Document
	letters  []Letter
	dropped  int
	raced    map[Key]bool // documents that have had their second chance; see Outcome.mayHaveRaced
	bytes    int64        // of the records' payloads
	reserved int64        // held of the budget
}

func (b *batch) reset() {
	b.flight = nil
	b.arena.Reset()
	clear(b.records)
	clear(b.docs)
	clear(b.letters)
	clear(b.raced)
	b.records, b.docs, b.letters, b.dropped, b.bytes, b.reserved = b.records[:0], b.docs[:0], b.letters[:0], 0, 0, 0
}

// add takes a record over from the source, whose bytes it copies.
func (b *batch) add(rec wal.Record) {
	rec.Payload = b.arena.Copy(rec.Payload)
	b.records = append(b.records, rec)
	b.bytes += int64(len(rec.Payload))
}

// mayRace reports whether a document still has its second chance, and takes it.
func (b *batch) mayRace(key Key) bool {
	if b.raced[key] {
		return false
	}
	if b.raced == nil {
		b.raced = map[Key]bool{}
	}
	b.raced[key] = true
	return true
}

// record returns the record of the batch with the given offset.
func (b *batch) record(o wal.Offset) *wal.Record {
	lo, hi := 0, len(b.records)-1
	for lo < hi {
		mid := (lo + hi + 1) / 2
		if b.records[mid].Offset <= o {
			lo = mid
		} else {
			hi = mid - 1
		}
	}
	return &b.records[lo]
}

// size returns the bytes that the batch keeps for its next use.
func (b *batch) size() int64 {
	return b.arena.Size() + int64(cap(b.records))*int64(unsafe.Sizeof(wal.Record{})) + int64(cap(b.docs))*int64(unsafe.Sizeof(Document{}))
}

// shelf keeps batches for their next use. Guarded by Flusher.mu.
type shelf struct {
	batches []*batch
	bytes   int64 // that they keep
	lent    int   // batches that are in use
}

func (s *shelf) take() *batch {
	s.lent++
	n := len(s.batches)
	if n == 0 {
		return &batch{}
	}
	b := s.batches[n-1]
	s.batches = s.batches[:n-1]
	s.bytes -= b.size()
	return b
}

// put keeps a batch that is one of few, or small: the shelf keeps no more than most of those.
func (s *shelf) put(b *batch, few int, most int64) {
	s.lent--
	b.reset()
	if s.lent+len(s.batches) >= few && s.bytes+b.size() > most {
		return
	}
	s.bytes += b.size()
	s.batches = append(s.batches, b)
}
