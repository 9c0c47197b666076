package deadletter

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/wal"
)

// Entry is what the index knows of a live letter: enough to list, filter and group letters without reading their log.
type Entry struct {
	Key           flush.Key   `json:"key"`
	Records       uint64      `json:"records"` // as in flush.Letter
	Stage         flush.Stage `json:"stage"`
	Status        int         `json:"status,omitempty"`
	Type          string      `json:"type"`
	Reason        string      `json:"reason"` // its first 256 bytes
	Stream        string      `json:"stream"`
	Index         string      `json:"index,omitempty"`
	ID            string      `json:"id,omitempty"`
	Of            int         `json:"of,omitempty"`
	Attempts      int         `json:"attempts"`
	FirstAt       time.Time   `json:"first_at"`
	LastAt        time.Time   `json:"last_at"`
	EventBytes    int64       `json:"event_bytes"`
	DocumentBytes int64       `json:"document_bytes,omitempty"`
	EditedAt      time.Time   `json:"edited_at,omitzero"`

	// Seq orders letters by when they were put. It never changes.
	Seq wal.Offset `json:"seq"`

	place wal.Offset // record with its newest full copy in the dead-letter log
	cause wal.Offset // record of its newest attempt, 0 when it has none since place was written
	parts uint32     // records that belong to place
	bytes int64      // payload bytes of all of these
}

// Longest strings of an entry; the log holds them whole.
const (
	entryReasonBytes = 256
	entryStringBytes = 512
)

// newEntry makes the entry of a record that holds a whole letter and stands at place.
func newEntry(c *change, place, seq wal.Offset) Entry {
	l := &c.letter
	return Entry{
		Key: l.Key, Records: l.Records, Stage: l.Stage, Status: l.Status, Type: cut(l.Type, entryStringBytes),
		Reason: cut(l.Reason, entryReasonBytes), Stream: l.Stream, Index: cut(l.Index, entryStringBytes),
		ID: cut(l.ID, entryStringBytes), Of: l.Of, Attempts: l.Attempts, FirstAt: l.FirstAt, LastAt: l.LastAt,
		EventBytes: c.eventBytes, DocumentBytes: c.documentBytes, EditedAt: c.editedAt,
		Seq: seq, place: place, parts: c.parts, bytes: c.bytes,
	}
}

// cut shortens s to at most n bytes without splitting a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n]
}

const entryVersion = 1

var stageNumbers = []flush.Stage{"", flush.StageIngest, flush.StageLog, flush.StageTransform, flush.StageIndex}

func stageNumber(s flush.Stage) int {
	for i, name := range stageNumbers {
		if name == s {
			return i
		}
	}
	return 0
}

// encode returns the value of the entry in the index: version, then varints and strings in the order below. The index can be
// rebuilt, so that this layout may change with its version.
func (e *Entry) encode() []byte {
	b := make([]byte, 0, 160+len(e.Reason)+len(e.ID)+len(e.Index)+len(e.Type))
	b = append(b, entryVersion, byte(stageNumber(e.Stage)))
	b = appendKey(b, e.Key)
	for _, v := range []uint64{
		e.Records, uint64(e.Status), uint64(e.Of), uint64(e.Attempts), uint64(e.EventBytes), uint64(e.DocumentBytes),
		uint64(e.place), uint64(e.cause), uint64(e.parts), uint64(e.bytes),
	} {
		b = binary.AppendUvarint(b, v)
	}
	b = binary.AppendVarint(b, unixNano(e.FirstAt))
	b = binary.AppendVarint(b, unixNano(e.LastAt))
	b = binary.AppendVarint(b, unixNano(e.EditedAt))
	for _, s := range []string{e.Type, e.Reason, e.Stream, e.Index, e.ID} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	return b
}

// decodeEntry is the inverse of encode; seq is the entry's key in the index.
func decodeEntry(seq wal.Offset, b []byte) (Entry, error) {
	if len(b) < 2+keyBytes || b[0] != entryVersion || int(b[1]) >= len(stageNumbers) {
		return Entry{}, fmt.Errorf("%w: entry %d", errIndex, seq)
	}
	e := Entry{Seq: seq, Stage: stageNumbers[b[1]], Key: decodeKey(b[2:])}
	d := decoder{b: b[2+keyBytes:]}
	e.Records = d.uvarint()
	e.Status, e.Of, e.Attempts = int(d.uvarint()), int(d.uvarint()), int(d.uvarint())
	e.EventBytes, e.DocumentBytes = int64(d.uvarint()), int64(d.uvarint())
	e.place, e.cause = wal.Offset(d.uvarint()), wal.Offset(d.uvarint())
	e.parts, e.bytes = uint32(d.uvarint()), int64(d.uvarint())
	e.FirstAt, e.LastAt, e.EditedAt = fromUnixNano(d.varint()), fromUnixNano(d.varint()), fromUnixNano(d.varint())
	e.Type, e.Reason, e.Stream, e.Index, e.ID = d.string(), d.string(), d.string(), d.string(), d.string()
	if d.failed || len(d.b) != 0 {
		return Entry{}, fmt.Errorf("%w: entry %d", errIndex, seq)
	}
	return e, nil
}

// keyBytes is the length of a key in the index. Big-endian, so that keys sort by epoch, offset, ordinal.
const keyBytes = 20

func appendKey(b []byte, k flush.Key) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(k.Epoch))
	b = binary.BigEndian.AppendUint64(b, uint64(k.Offset))
	return binary.BigEndian.AppendUint32(b, k.Ordinal)
}

func decodeKey(b []byte) flush.Key {
	return flush.Key{
		Epoch:   wal.Epoch(binary.BigEndian.Uint64(b)),
		Offset:  wal.Offset(binary.BigEndian.Uint64(b[8:])),
		Ordinal: binary.BigEndian.Uint32(b[16:]),
	}
}

func appendOffset(b []byte, o wal.Offset) []byte { return binary.BigEndian.AppendUint64(b, uint64(o)) }

// decoder reads varints and strings; after the first fault everything is zero.
type decoder struct {
	b      []byte
	failed bool
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.b, d.failed = nil, true
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.b, d.failed = nil, true
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) string() string {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.b, d.failed = nil, true
		return ""
	}
	s := string(d.b[:n])
	d.b = d.b[n:]
	return s
}

// unixNano keeps the zero time apart: it lies outside what nanoseconds since 1970 can say.
func unixNano(t time.Time) int64 {
	if t.IsZero() {
		return -1 << 63
	}
	return t.UnixNano()
}

func fromUnixNano(n int64) time.Time {
	if n == -1<<63 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
