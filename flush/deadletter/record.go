package deadletter

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/wal"
)

// op says what a record does to the letter that its key names. The numbers are on disk.
type op uint8

const (
	opPut       op = 1 // the letter begins; nothing happens when its key is known
	opCopied    op = 2 // the same letter as it stands now, put again before its old segment goes
	opAttempted op = 3 // a replay failed
	opEdited    op = 4 // the letter with another event; the first one is kept beside it
	opSettled   op = 5 // what it stands for is delivered, or dropped by the script
	opDropped   op = 6 // an operator, or the limit of a store that drops its oldest, gave it up
	opPart      op = 7 // further bytes of the record before
)

func (o op) String() string {
	names := [...]string{"unknown", "put", "copied", "attempted", "edited", "settled", "dropped", "part"}
	if int(o) >= len(names) {
		return names[0]
	}
	return names[o]
}

// Constants that are on disk.
const (
	recordVersion = 1
	headBytes     = 44
	partHeadBytes = 28
)

// defaultPartBytes is how much of a letter one record of the log holds. The log writes a record in one piece and keeps it in
// memory with its segment, so that a letter of 32 MiB is better many records than one.
const defaultPartBytes = 256 << 10

// change is one record, taken apart: what happens to which letter. Byte slices are the caller's, or point into the record.
//
// The payload of a log record. Integers are little-endian; the log's own checksum covers all of it.
//
//	 0  1  version    1
//	 1  1  op
//	 2  1  bodies     1: there is an event, 2: a document, 4: an event as first received (after an edit)
//	 3  1  reserved   0
//	 4  8  key: epoch
//	12  8  key: offset
//	20  4  key: ordinal
//	24  4  parts     how many records of op part follow, in the same append; in a part its own number, from 1
//	28  4  length of the envelope (JSON)
//	32  4  length of the event
//	36  4  length of the document
//	40  4  length of the first event
//	44     envelope, event, document, first event
//
// A part is bytes 0 to 27 and the bytes that follow where the record before it ended. The envelope is whole in the first.
type change struct {
	op       op
	key      flush.Key
	letter   flush.Letter // put, copied, edited; its Event and Document are the bodies
	original []byte       // copied, edited: the event as first received, nil when it was never edited
	seq      wal.Offset   // copied, edited: the place at which the letter was first put
	editedAt time.Time    // copied, edited
	attempt  Attempt      // attempted
	ending   ending       // settled, dropped

	// Set by payloads and decodeChange.
	parts                     uint32
	bytes                     int64 // all payload bytes of the record and its parts
	eventBytes, documentBytes int64
}

// Attempt says how a try to settle a letter failed.
type Attempt struct {
	Key         flush.Key `json:"-"`
	At          time.Time `json:"at"`
	Attempts    int       `json:"attempts"` // set by the store
	Status      int       `json:"status,omitempty"`
	Type        string    `json:"type"`
	Reason      string    `json:"reason"`
	Destination string    `json:"destination,omitempty"` // "" leaves the letter's
	Script      string    `json:"script,omitempty"`      // "" leaves the letter's
}

// ending says how a letter was settled.
type ending struct {
	At      time.Time `json:"at"`
	Outcome string    `json:"outcome"`
}

// envelope is the JSON part of records that hold a whole letter.
type envelope struct {
	flush.Letter
	Seq      wal.Offset `json:"seq,omitempty"`
	EditedAt time.Time  `json:"edited_at,omitzero"`
}

// payloads appends the record and its parts to dst, in pieces of about partBytes.
func (c *change) payloads(dst []wal.Event, partBytes int) ([]wal.Event, error) {
	env, err := c.envelope()
	if err != nil {
		return nil, fmt.Errorf("encode letter %s: %w", c.key, err)
	}
	var bodies uint8
	pieces := [][]byte{env, nil, nil, nil}
	if c.whole() {
		for i, b := range [][]byte{c.letter.Event, c.letter.Document, c.original} {
			if b != nil {
				bodies |= 1 << i
				pieces[i+1] = b
			}
		}
	}
	rest := 0
	for _, p := range pieces {
		rest += len(p)
	}
	first := min(rest, max(partBytes, len(env)))
	c.parts = uint32((rest - first + partBytes - 1) / partBytes)
	c.bytes = int64(headBytes + rest + int(c.parts)*partHeadBytes)
	c.eventBytes, c.documentBytes = int64(len(pieces[1])), int64(len(pieces[2]))

	b := c.head(make([]byte, 0, headBytes+first), c.op, bodies, c.parts)
	for _, p := range pieces {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(p)))
	}
	b, pieces = take(b, pieces, first)
	dst = append(dst, wal.Event{Payload: b})
	rest -= first
	for n := uint32(1); rest > 0; n++ {
		size := min(rest, partBytes)
		b := c.head(make([]byte, 0, partHeadBytes+size), opPart, 0, n)
		b, pieces = take(b, pieces, size)
		dst = append(dst, wal.Event{Payload: b})
		rest -= size
	}
	return dst, nil
}

// whole reports whether the record holds a letter with its bodies.
func (c *change) whole() bool { return c.op == opPut || c.op == opCopied || c.op == opEdited }

func (c *change) envelope() ([]byte, error) {
	switch c.op {
	case opAttempted:
		return json.Marshal(c.attempt)
	case opSettled, opDropped:
		return json.Marshal(c.ending)
	default:
		return json.Marshal(envelope{Letter: c.letter, Seq: c.seq, EditedAt: c.editedAt})
	}
}

func (c *change) head(b []byte, o op, bodies uint8, parts uint32) []byte {
	b = append(b, recordVersion, byte(o), bodies, 0)
	b = binary.LittleEndian.AppendUint64(b, uint64(c.key.Epoch))
	b = binary.LittleEndian.AppendUint64(b, uint64(c.key.Offset))
	b = binary.LittleEndian.AppendUint32(b, c.key.Ordinal)
	return binary.LittleEndian.AppendUint32(b, parts)
}

// take moves n bytes from the front of pieces to the end of b.
func take(b []byte, pieces [][]byte, n int) ([]byte, [][]byte) {
	for n > 0 {
		m := min(n, len(pieces[0]))
		b = append(b, pieces[0][:m]...)
		n -= m
		if pieces[0] = pieces[0][m:]; len(pieces[0]) == 0 {
			pieces = pieces[1:]
		}
	}
	return b, pieces
}

// decodeChange takes a record apart. The bodies are set only when the record has no parts; else see bodies. Bytes point into b.
// It returns wal.ErrNewerFormat for a record of a later version.
func decodeChange(b []byte) (change, error) {
	c, err := decodeHead(b)
	if err != nil || c.op == opPart {
		return c, err
	}
	lengths, total, err := c.lengths(b)
	if err != nil {
		return change{}, err
	}
	here := b[headBytes:]
	if uint64(lengths[0]) > uint64(len(here)) || uint64(len(here)) > total || (c.parts == 0) != (uint64(len(here)) == total) {
		return change{}, fmt.Errorf("%w: %d bytes of %d", errRecord, len(here), total)
	}
	if err := c.decodeEnvelope(here[:lengths[0]]); err != nil {
		return change{}, err
	}
	// What the parts hold can only be told by their number; the log has checked that each is as it was written.
	c.bytes = int64(headBytes+total) + int64(c.parts)*partHeadBytes
	c.eventBytes, c.documentBytes = int64(lengths[1]), int64(lengths[2])
	if c.parts == 0 {
		c.setBodies(b[2], lengths, here[lengths[0]:])
	}
	return c, nil
}

// maxVersion is the highest version that there will ever be: above it begin the bytes of text, which a record of another
// log, brought here by mistake, begins with.
const maxVersion = 0x1f

func decodeHead(b []byte) (change, error) {
	if len(b) < partHeadBytes {
		return change{}, fmt.Errorf("%w: %d bytes", errRecord, len(b))
	}
	if b[0] > recordVersion && b[0] <= maxVersion {
		return change{}, fmt.Errorf("dead-letter record of version %d, this is %d: %w", b[0], recordVersion, wal.ErrNewerFormat)
	}
	c := change{
		op: op(b[1]),
		key: flush.Key{
			Epoch:   wal.Epoch(binary.LittleEndian.Uint64(b[4:])),
			Offset:  wal.Offset(binary.LittleEndian.Uint64(b[12:])),
			Ordinal: binary.LittleEndian.Uint32(b[20:]),
		},
		parts: binary.LittleEndian.Uint32(b[24:]),
	}
	if b[0] == 0 || b[0] > maxVersion || c.op < opPut || c.op > opPart {
		return change{}, fmt.Errorf("%w: version %d, op %d", errRecord, b[0], b[1])
	}
	return c, nil
}

// lengths returns the lengths of envelope and bodies, and their sum.
func (c *change) lengths(b []byte) (lengths [4]uint32, total uint64, err error) {
	if len(b) < headBytes {
		return lengths, 0, fmt.Errorf("%w: %d bytes", errRecord, len(b))
	}
	for i := range lengths {
		lengths[i] = binary.LittleEndian.Uint32(b[partHeadBytes+4*i:])
		total += uint64(lengths[i])
		if i > 0 && lengths[i] > 0 && b[2]&(1<<(i-1)) == 0 {
			return lengths, 0, fmt.Errorf("%w: length of a body that is not there", errRecord)
		}
	}
	return lengths, total, nil
}

func (c *change) decodeEnvelope(b []byte) error {
	var err error
	switch c.op {
	case opAttempted:
		err = json.Unmarshal(b, &c.attempt)
		c.attempt.Key = c.key
	case opSettled, opDropped:
		err = json.Unmarshal(b, &c.ending)
	default:
		var e envelope
		err = json.Unmarshal(b, &e)
		c.letter, c.seq, c.editedAt = e.Letter, e.Seq, e.EditedAt
		if err == nil && c.letter.Key != c.key {
			return fmt.Errorf("%w: envelope of letter %s in a record of %s", errRecord, c.letter.Key, c.key)
		}
	}
	if err != nil {
		return fmt.Errorf("%w: envelope: %w", errRecord, err)
	}
	return nil
}

// setBodies cuts the bodies out of b, which holds exactly them.
func (c *change) setBodies(present uint8, lengths [4]uint32, b []byte) {
	for i, body := range []*[]byte{&c.letter.Event, &c.letter.Document, &c.original} {
		n := lengths[i+1]
		if present&(1<<i) != 0 {
			*body = b[:n:n]
		}
		b = b[n:]
	}
}

// assembly puts a record and its parts together.
type assembly struct {
	change  change
	present uint8
	lengths [4]uint32
	b       []byte // bodies so far
	parts   uint32 // parts so far
}

// newAssembly begins with the first record, whose bytes it copies.
func newAssembly(b []byte) (*assembly, error) {
	c, err := decodeChange(b)
	if err != nil {
		return nil, err
	}
	if c.op == opPart {
		return nil, fmt.Errorf("%w: a part where a letter should begin", errRecord)
	}
	lengths, total, err := c.lengths(b)
	if err != nil {
		return nil, err
	}
	a := &assembly{change: c, present: b[2], lengths: lengths}
	here := b[headBytes+lengths[0]:]
	// Grown as the parts come: the length is a claim until then.
	a.b = append(make([]byte, 0, min(total-uint64(lengths[0]), uint64(len(here))+defaultPartBytes)), here...)
	return a, nil
}

// add takes the next part.
func (a *assembly) add(b []byte) error {
	p, err := decodeHead(b)
	if err != nil {
		return err
	}
	if p.op != opPart || p.key != a.change.key || p.parts != a.parts+1 {
		return fmt.Errorf("%w: %s %d of %s where part %d of %s should be", errRecord, p.op, p.parts, p.key, a.parts+1, a.change.key)
	}
	a.parts++
	a.b = append(a.b, b[partHeadBytes:]...)
	return nil
}

func (a *assembly) complete() bool { return a.parts == a.change.parts }

// finish returns the change with its bodies.
func (a *assembly) finish() (change, error) {
	want := uint64(a.lengths[1]) + uint64(a.lengths[2]) + uint64(a.lengths[3])
	if uint64(len(a.b)) != want {
		return change{}, fmt.Errorf("%w: bodies of %d bytes, want %d", errRecord, len(a.b), want)
	}
	c := a.change
	c.setBodies(a.present, a.lengths, a.b)
	return c, nil
}
