package flush

import (
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
	bytes    int64 // of the records' payloads
	reserved int64 // held of the budget
}

func (b *batch) reset() {
	b.flight = nil
	b.arena.Reset()
	clear(b.records)
	clear(b.docs)
	clear(b.letters)
	b.records, b.docs, b.letters, b.dropped, b.bytes, b.reserved = b.records[:0], b.docs[:0], b.letters[:0], 0, 0, 0
}

// add takes a record over from the source, whose bytes it copies.
func (b *batch) add(rec wal.Record) {
	rec.Payload = b.arena.Copy(rec.Payload)
	b.records = append(b.records, rec)
	b.bytes += int64(len(rec.Payload))
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

// shelf keeps batches for their next use. Guarded by Flusher.mu.
type shelf struct {
	batches []*batch
	bytes   int64 // of their arenas
	most    int64
}

func (s *shelf) take() *batch {
	n := len(s.batches)
	if n == 0 {
		return &batch{}
	}
	b := s.batches[n-1]
	s.batches = s.batches[:n-1]
	s.bytes -= b.arena.Size()
	return b
}

// put keeps a batch unless the arenas on the shelf hold enough.
func (s *shelf) put(b *batch) {
	b.reset()
	if s.bytes+b.arena.Size() > s.most {
		return
	}
	s.bytes += b.arena.Size()
	s.batches = append(s.batches, b)
}
