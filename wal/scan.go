package wal

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// The functions here work on bytes alone and need neither the library nor a file, so that start-up
// and salvage can be tested and fuzzed by themselves.

// maxEntryPrefix is the longest length prefix that the library puts before an entry.
const maxEntryPrefix = binary.MaxVarintLen64

// decodeEntry reads the library's length prefix and the frame header behind it. limit is how many
// bytes of the entry can be there at most. It returns the header and the length of the prefix.
func decodeEntry(b []byte, limit int64) (frameHeader, int, error) {
	length, n := binary.Uvarint(b)
	if n <= 0 {
		return frameHeader{}, 0, errShort
	}
	if length < frameHeaderBytes {
		return frameHeader{}, 0, errLength
	}
	h, err := decodeFrameHeader(b[n:])
	if err != nil {
		return frameHeader{}, 0, err
	}
	if length != frameHeaderBytes+uint64(h.bodyBytes) {
		return frameHeader{}, 0, errLength
	}
	if int64(n)+int64(length) > limit {
		return frameHeader{}, 0, errShort
	}
	return h, n, nil
}

// checkBody proves every record of a frame.
func checkBody(body []byte, h *frameHeader, names streamNames) error {
	offset := h.first
	for len(body) > 0 {
		rec, n, err := decodeRecord(body, h.gen, names)
		if err != nil {
			return err
		}
		if rec.Offset != offset {
			return errSequence
		}
		offset++
		body = body[n:]
	}
	if offset != h.first+Offset(h.count) {
		return errMissing
	}
	return nil
}

// tail is where the good part of a segment ends.
type tail struct {
	seq   uint64 // the next sequence
	next  Offset // the next offset; 0 when the segment says nothing of it
	gen   generation
	end   int64 // bytes of the segment that belong to whole groups
	clean bool  // ends with a clean mark
	zeros bool  // what follows may be zeros that were written ahead
	// open means that valid frames follow whose group does not end in this segment.
	open bool
}

// scanTail walks a segment that begins with sequence seq and finds where its last whole group ends.
// Sequences from bound on are superseded by the next segment; with 0 there is no next one, and then an
// invalid frame that no later frame proves durable is a torn tail and ends the walk.
func scanTail(b []byte, seq, bound uint64) (tail, error) {
	gen := generationOf(b)
	good := tail{seq: seq}
	// proven is where a frame begins whose watermark says that all before it was durable.
	proven := good
	cur, pos := good, 0
	names := streamNames{}
	for pos < len(b) && (bound == 0 || cur.seq < bound) {
		h, n, err := decodeEntry(b[pos:], int64(len(b)-pos))
		if errors.Is(err, ErrNewerFormat) {
			return tail{}, err
		}
		bodyAt := pos + n + frameHeaderBytes
		if err == nil && (h.seq != cur.seq || h.gen != gen) {
			err = errSequence
		}
		if err == nil {
			err = checkBody(b[bodyAt:bodyAt+int(h.bodyBytes)], &h, names)
		}
		if err != nil {
			next, found := findProof(b, pos+1, gen, cur.seq, bound)
			if !found {
				break
			}
			pos, cur.seq = next.pos, next.header.seq
			if w := next.header.watermark + 1; w > proven.seq {
				proven = tail{seq: w, next: next.header.first, gen: gen, end: int64(pos)}
			}
			continue
		}
		pos = bodyAt + int(h.bodyBytes)
		cur.seq, cur.next, cur.gen = h.seq+1, h.first+Offset(h.count), h.gen
		cur.clean, cur.zeros = h.cleanMark(), h.zeros()
		cur.open = !h.groupEnd()
		if h.groupEnd() {
			cur.end = int64(pos)
			good = cur
		}
	}
	if good.seq < proven.seq { // nothing whole follows the proof, but what it proves stands
		good = proven
	}
	good.open = cur.open && pos > int(good.end)
	return good, nil
}

// generationOf returns the generation that a segment was written under: that of its first frame, or where
// that is damaged of the next one that can be read; the zero value when there is none.
func generationOf(b []byte) generation {
	if h, _, err := decodeEntry(b, int64(len(b))); err == nil {
		return h.gen
	}
	f, _ := findFrame(b, 0, generation{})
	return f.header.gen
}

// foundFrame is a frame that a search came upon.
type foundFrame struct {
	pos    int // where its entry begins, its length prefix included when that is intact
	at     int // where the frame itself begins
	header frameHeader
}

// findProof looks from pos on for a frame that proves that sequence seq had become durable. Below bound
// everything had, so that there any later frame will do.
func findProof(b []byte, pos int, gen generation, seq, bound uint64) (foundFrame, bool) {
	for {
		f, ok := findFrame(b, pos, gen)
		if !ok {
			return foundFrame{}, false
		}
		if f.header.seq > seq && (bound == 0 && f.header.watermark >= seq || f.header.seq < bound) {
			return f, true
		}
		pos = f.at + 1
	}
}

// findFrame looks from pos on for the next valid frame header of the generation; of any, when gen is zero.
func findFrame(b []byte, pos int, gen generation) (foundFrame, bool) {
	for {
		i := bytes.Index(b[min(pos, len(b)):], frameMagic[:])
		if i < 0 {
			return foundFrame{}, false
		}
		at := pos + i
		if h, err := decodeFrameHeader(b[at:]); err == nil && (h.gen == gen || !gen.known()) {
			return foundFrame{pos: entryStart(b, at, &h), at: at, header: h}, true
		}
		pos = at + 1
	}
}

// entryStart returns where the entry of the frame at position at begins: at the length prefix, or at
// the frame itself when the prefix is damaged.
func entryStart(b []byte, at int, h *frameHeader) int {
	var prefix [maxEntryPrefix]byte
	n := binary.PutUvarint(prefix[:], frameHeaderBytes+uint64(h.bodyBytes))
	if at >= n && bytes.Equal(b[at-n:at], prefix[:n]) {
		return at - n
	}
	return at
}

// findRecord looks in b from pos on for the next provable record with an offset in [least, bound).
func findRecord(b []byte, pos int, gen generation, least, bound Offset, names streamNames) (int, bool) {
	for {
		i := bytes.Index(b[min(pos, len(b)):], recordMarker[:])
		if i < 0 {
			return 0, false
		}
		at := pos + i
		if rec, _, err := decodeRecord(b[at:], gen, names); err == nil && rec.Offset >= least && rec.Offset < bound {
			return at, true
		}
		pos = at + 1
	}
}
