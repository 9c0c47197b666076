package wal

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
	"time"
)

// Offset numbers records. It is dense, grows by one with each record and is never given out twice
// within an epoch once its record was committed. The first record of a log has offset 1; 0 means "none".
type Offset uint64

// Epoch names one generation of a log: 64 random bits, never 0. Epoch and offset together name a
// record for ever, also after a log was lost and begun again.
type Epoch uint64

// String returns the epoch as 16 hexadecimal digits, the form in which it stands in document ids.
func (e Epoch) String() string { return string(e.AppendTo(nil)) }

// AppendTo appends what String returns to dst.
func (e Epoch) AppendTo(dst []byte) []byte {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(e))
	return hex.AppendEncode(dst, b[:])
}

// ParseEpoch is the inverse of Epoch.String.
func ParseEpoch(s string) (Epoch, error) {
	v, err := strconv.ParseUint(s, 16, 64)
	if err != nil || len(s) != 16 || v == 0 {
		return 0, fmt.Errorf("epoch %q is not 16 hexadecimal digits", s)
	}
	return Epoch(v), nil
}

// Flags say what a record is. The low bits are stored on disk and may never change their meaning.
type Flags uint8

const (
	// FlagRejected marks bytes that a client sent among good events and that are no acceptable event.
	// Reason says why; the flusher turns such a record into a dead letter of stage ingest.
	FlagRejected Flags = 1 << 0
	// FlagTimestamp marks an event that has a top-level "@timestamp" member, as seen by the validator,
	// so that delivery need not look for it again.
	FlagTimestamp Flags = 1 << 1

	// FlagDamaged is never stored. A Reader sets it on a record that stands for Count offsets whose
	// bytes are damaged; Damage says where they were and where they are kept.
	FlagDamaged Flags = 1 << 7
)

// Origin is what the events of one append have in common.
type Origin struct {
	Stream     string     // declared stream; at most MaxStreamBytes
	Remote     netip.Addr // client address; the zero Addr for a unix socket
	ReceivedAt time.Time  // kept with nanosecond resolution
}

// Event is one event of an append. The log copies what it needs before Append returns and never
// keeps the slices.
type Event struct {
	Flags   Flags
	Reason  string // why the event was rejected; only with FlagRejected; cut at MaxReasonBytes
	Payload []byte // the client's bytes; may not be empty
}

// Record is an event as the log knows it.
type Record struct {
	Offset     Offset
	Epoch      Epoch
	Flags      Flags
	Stream     string
	Remote     netip.Addr
	ReceivedAt time.Time
	Reason     string
	// Payload holds the client's bytes. It belongs to the Reader and is overwritten by its next call.
	Payload []byte

	// Count is how many consecutive offsets, from Offset on, the record stands for: 1, or more when
	// FlagDamaged is set.
	Count uint64
	// Damage is set with FlagDamaged.
	Damage *CorruptionError

	size int // bytes on disk
}

// Last returns the highest offset that the record stands for.
func (r *Record) Last() Offset { return r.Offset + Offset(r.Count) - 1 }

const (
	// MaxStreamBytes bounds the length of a stream name on disk.
	MaxStreamBytes = 255
	// MaxReasonBytes bounds Event.Reason on disk.
	MaxReasonBytes = 1024
)
