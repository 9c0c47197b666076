//go:build linux

package main

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/wal"
)

// reference is what log, checkpoint, flusher and dead letters promise together, without files, goroutines or time. It is
// told what was asked of the real ones and what they answered, and says what they may do next.
//
//	R1  An append that was acknowledged stands, whole, at the offsets that it was told, directly behind the one before it. No
//	    offset of it is given out again.
//	R2  An append that got no answer, or ErrCommit, comes to light at a start, whole, behind everything acknowledged, or
//	    never. It cannot come to light any more when its offsets were given to others, or a start has not found it.
//	R3  An append that was refused otherwise never comes to light.
//	R4  A reader gives the durable records from its offset on, each once, in order, with exactly their bytes.
//	R5  A record becomes its documents. Each waits until the destination has stored it, once, or it has become a letter, once.
//	    A rejected record and one whose transform fails become a letter; one that is dropped needs nothing. What is a letter,
//	    or was until somebody removed it, is not sent again; nor is what the checkpoint has passed.
//	R6  The checkpoint stands below the first record of which something waits, and never goes back.
//	R7  Reclaim removes only what lies at or below the checkpoint that was stored.
type reference struct {
	records    []*modelRecord // the one at offset o is records[o-1]
	open       []modelAppend  // of R2
	checkpoint wal.Offset
	first      wal.Offset // of the oldest record that is still in the log
	verdict               // what was done against it
}

// modelEvent is one event and what it is to become.
type modelEvent struct {
	n    int
	kind string // plain, split, drop, fail, bad
	raw  []byte
}

// documents are the bodies that the event becomes.
func (e *modelEvent) documents() [][]byte {
	switch e.kind {
	case "plain":
		return [][]byte{e.raw}
	case "split":
		return [][]byte{fmt.Appendf(nil, `{"n":%d,"part":1}`, e.n), fmt.Appendf(nil, `{"n":%d,"part":2}`, e.n)}
	}
	return nil
}

// fate is what has become of one document, or of an event that becomes a letter.
type fate uint8

const (
	waiting fate = iota
	stored
	lettered
	removed // a letter that somebody dropped
)

type modelRecord struct {
	*modelEvent
	epoch wal.Epoch
	fates []fate // by ordinal
}

type modelAppend struct {
	epoch  wal.Epoch
	events []*modelEvent
}

func newModelRecord(e *modelEvent, epoch wal.Epoch) *modelRecord {
	n := len(e.documents())
	if e.kind == "fail" || e.kind == "bad" {
		n = 1
	}
	return &modelRecord{modelEvent: e, epoch: epoch, fates: make([]fate, n)}
}

func (r *reference) end() wal.Offset { return wal.Offset(len(r.records)) }

// wrong adds a complaint. Complaints name no epochs, which are random: rapid shrinks what fails with the same words.
func (r *reference) wrong(list *[]string, format string, args ...any) {
	*list = append(*list, fmt.Sprintf(format, args...))
	slices.Sort(*list)
}

// name is a key without its epoch.
func name(k flush.Key) string { return fmt.Sprintf("%d-%d", k.Offset, k.Ordinal) }

// acknowledged: an append was answered with the offset of its first event (R1).
func (r *reference) acknowledged(a modelAppend, first wal.Offset) {
	if first != r.end()+1 {
		r.wrong(&r.doubled, "an append was told offset %d behind offset %d", first, r.end())
		return
	}
	r.open = nil // their offsets are taken
	r.take(a)
}

func (r *reference) take(a modelAppend) {
	for _, e := range a.events {
		r.records = append(r.records, newModelRecord(e, a.epoch))
	}
}

// unanswered: nobody knows what became of an append (R2).
func (r *reference) unanswered(a modelAppend) { r.open = append(r.open, a) }

// reopened: a start found these records in the log, from first on (R2, R3, R4).
func (r *reference) reopened(first wal.Offset, found []wal.Record) {
	r.first = min(r.first, first) // what was being removed may be there again
	known := min(int(max(r.end()+1, first)-first), len(found))
	r.read(first, found[:known])
	if got := first + wal.Offset(len(found)) - 1; got < r.end() {
		r.wrong(&r.lost, "the log ends with offset %d, and %d was acknowledged", got, r.end())
	}
	for rest := found[known:]; len(rest) > 0; {
		i := slices.IndexFunc(r.open, func(a modelAppend) bool { return bytes.Equal(a.events[0].raw, rest[0].Payload) })
		if i < 0 {
			r.wrong(&r.invented, "offset %d: a record that nobody can have left there: %.60q %s", rest[0].Offset, rest[0].Payload, rest[0].Reason)
			break
		}
		a, from := r.open[i], r.end()+1
		r.open = slices.Delete(r.open, i, i+1)
		r.take(a)
		if len(rest) < len(a.events) {
			r.wrong(&r.invented, "offset %d: %d events of an append of %d came to light", from, len(rest), len(a.events))
			break
		}
		r.read(from, rest[:len(a.events)])
		rest = rest[len(a.events):]
	}
	r.open = nil
}

// read: a reader gave these records from an offset on (R4).
func (r *reference) read(from wal.Offset, recs []wal.Record) {
	for i := range recs {
		rec, want := &recs[i], from+wal.Offset(i)
		switch {
		case rec.Flags&wal.FlagDamaged != 0:
			r.wrong(&r.lost, "offset %d is said to be damaged: %s", want, rec.Reason)
		case rec.Offset != want || want > r.end():
			r.wrong(&r.invented, "a reader gave offset %d where %d of %d should be", rec.Offset, want, r.end())
		case !bytes.Equal(rec.Payload, r.records[want-1].raw) || rec.Epoch != r.records[want-1].epoch:
			r.wrong(&r.invented, "offset %d is %.60q, of the right epoch: %v; want %.60q", want, rec.Payload, rec.Epoch == r.records[want-1].epoch, r.records[want-1].raw)
		default:
			continue
		}
		return
	}
}

// fate is that of the document or letter that a key names; nil, and a complaint, when there is none.
func (r *reference) fate(k flush.Key) *fate {
	if k.Offset == 0 || k.Offset > r.end() || int(k.Ordinal) >= len(r.records[k.Offset-1].fates) || r.records[k.Offset-1].epoch != k.Epoch {
		r.wrong(&r.invented, "%s is no document and no letter", name(k))
		return nil
	}
	return &r.records[k.Offset-1].fates[k.Ordinal]
}

// sent: the flusher sends a document (R5).
func (r *reference) sent(d *flush.Document) {
	f := r.fate(d.Key)
	if f == nil {
		return
	}
	bodies := r.records[d.Key.Offset-1].documents()
	switch {
	case int(d.Key.Ordinal) >= len(bodies) || !bytes.Equal(bodies[d.Key.Ordinal], d.Source) || d.ID != d.Key.ID():
		r.wrong(&r.invented, "document %s is %.60q, its id is right: %v", name(d.Key), d.Source, d.ID == d.Key.ID())
	case *f == lettered || *f == removed:
		r.wrong(&r.doubled, "document %s is sent although it is, or was, a letter", name(d.Key))
	case d.Key.Offset <= r.checkpoint:
		r.wrong(&r.doubled, "document %s is sent although the checkpoint is at %d", name(d.Key), r.checkpoint)
	}
}

// becomes: a document was stored, became a letter, or its letter was removed (R5).
func (r *reference) becomes(k flush.Key, next fate) {
	f := r.fate(k)
	switch {
	case f == nil, *f == next, *f == removed && next == lettered: // the last one is put again, and left as it is
	case *f == waiting, *f == lettered && next == removed:
		*f = next
	default:
		r.wrong(&r.doubled, "%s had fate %d and gets %d", name(k), *f, next)
	}
}

// settledUpTo is how far the checkpoint may stand (R6).
func (r *reference) settledUpTo() wal.Offset {
	i := slices.IndexFunc(r.records, func(rec *modelRecord) bool { return slices.Contains(rec.fates, waiting) })
	if i < 0 {
		return r.end()
	}
	return wal.Offset(i)
}

// stands: the checkpoint and the oldest record of the log were looked at (R6, R7).
func (r *reference) stands(checkpoint, first wal.Offset) {
	switch {
	case checkpoint > r.settledUpTo():
		r.wrong(&r.lost, "the checkpoint is at %d, and %d is not settled", checkpoint, r.settledUpTo()+1)
	case checkpoint < r.checkpoint:
		r.wrong(&r.doubled, "the checkpoint went back from %d to %d", r.checkpoint, checkpoint)
	case first > checkpoint+1:
		r.wrong(&r.lost, "the log begins with offset %d, and the checkpoint is at %d", first, checkpoint)
	case first < r.first:
		r.wrong(&r.doubled, "the log begins with offset %d, and began with %d before", first, r.first)
	}
	r.checkpoint, r.first = checkpoint, first
}

// ends: everything was delivered, and this is what there is (R5).
func (r *reference) ends(docs map[string]string, letters []flush.Letter) {
	byKey := map[flush.Key]flush.Letter{}
	for _, l := range letters {
		byKey[l.Key] = l
		if f := r.fate(l.Key); f != nil && *f != lettered {
			r.wrong(&r.doubled, "letter %s has fate %d", name(l.Key), *f)
		}
	}
	for i, rec := range r.records {
		for ordinal, f := range rec.fates {
			k := flush.Key{Epoch: rec.epoch, Offset: wal.Offset(i + 1), Ordinal: uint32(ordinal)}
			_, there := docs[k.ID()]
			letter, kept := byKey[k]
			switch {
			case f == waiting, there != (f == stored), kept != (f == lettered):
				r.wrong(&r.lost, "%s (%s) has fate %d; stored: %v, a letter: %v", name(k), rec.kind, f, there, kept)
			case kept && !bytes.Equal(letter.Event, rec.raw):
				r.wrong(&r.invented, "letter %s holds %.60q, the event was %.60q", name(k), letter.Event, rec.raw)
			}
			delete(docs, k.ID())
		}
	}
	for _, body := range docs {
		r.wrong(&r.invented, "a document: %.60q", body)
	}
}
