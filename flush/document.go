package flush

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/weirlog/weir/wal"
)

// Key names what became of one event: epoch and offset name the record, the ordinal counts the
// documents that the transform made of it, from 0.
type Key struct {
	Epoch   wal.Epoch
	Offset  wal.Offset
	Ordinal uint32
}

// String returns epoch-offset-ordinal, the key of a dead letter.
func (k Key) String() string {
	return fmt.Sprintf("%s-%d-%d", k.Epoch, k.Offset, k.Ordinal)
}

// ID returns the document id: epoch-offset for the first document of an event, else epoch-offset-ordinal.
func (k Key) ID() string {
	var b [maxID]byte // on the stack: the string is the only allocation
	return string(k.appendID(b[:0]))
}

// maxID bounds the length of what appendID appends.
const maxID = 64

func (k Key) appendID(dst []byte) []byte {
	dst = append(k.Epoch.AppendTo(dst), '-')
	dst = strconv.AppendUint(dst, uint64(k.Offset), 10)
	if k.Ordinal > 0 {
		dst = append(dst, '-')
		dst = strconv.AppendUint(dst, uint64(k.Ordinal), 10)
	}
	return dst
}

// ParseKey is the inverse of Key.String. A missing ordinal means 0, so that a document id is a key too.
func ParseKey(s string) (Key, error) {
	parts := strings.Split(s, "-")
	if len(parts) == 2 {
		parts = append(parts, "0")
	}
	if len(parts) != 3 {
		return Key{}, fmt.Errorf("key %q is not epoch-offset-ordinal", s)
	}
	epoch, err := wal.ParseEpoch(parts[0])
	if err != nil {
		return Key{}, fmt.Errorf("key %q: %w", s, err)
	}
	offset, err := strconv.ParseUint(parts[1], 10, 64)
	if err != nil || offset == 0 {
		return Key{}, fmt.Errorf("key %q: %q is not an offset", s, parts[1])
	}
	ordinal, err := strconv.ParseUint(parts[2], 10, 32)
	if err != nil {
		return Key{}, fmt.Errorf("key %q: %q is not an ordinal", s, parts[2])
	}
	return Key{Epoch: epoch, Offset: wal.Offset(offset), Ordinal: uint32(ordinal)}, nil
}

// MarshalText makes keys strings in JSON.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (k *Key) UnmarshalText(b []byte) error {
	parsed, err := ParseKey(string(b))
	if err != nil {
		return err
	}
	*k = parsed
	return nil
}

// Op is the bulk action that stores a document.
type Op string

// The ops.
const (
	// OpCreate stores a document unless one of its id is there. The only one that data streams take.
	OpCreate Op = "create"
	// OpIndex stores a document in place of one of the same id.
	OpIndex Op = "index"
)

// Fitting returns how many of n documents go into one request: as many as have no more than the given bytes and number, and at
// least one. size gives the bytes of each.
func Fitting(n int, size func(i int) int, bytes, documents int) int {
	sum := 0
	for i := range n {
		if sum += size(i); i > 0 && (sum > bytes || i >= documents) {
			return i
		}
	}
	return n
}

// Document is what goes to the destination: one of the things that a transform made of an event.
// A Transformer sets Source and, where the script chose them, Index, ID, Pipeline and Routing;
// the flusher fills in the rest.
type Document struct {
	Key        Key
	Of         int // how many documents the event became
	Stream     string
	ReceivedAt time.Time
	Index      string // "" until the flusher names the stream's index
	ID         string // "" until the flusher makes it from Key, and for good with IDNone
	Pipeline   string // "" for none
	Routing    string // "" for none
	Script     string // version of the script that made it; "" for none
	Op         Op     // how it is stored; "" is OpCreate
	// Chosen says that the script chose another index than the stream's, or a pipeline: trouble with those
	// must not hold the stream up.
	Chosen bool
	// Source is one JSON object. It may hold line breaks between tokens where the client sent them;
	// a sink whose protocol is line-based removes those. The bytes belong to the batch that the
	// document travels in; a Sink may read them until Send returns.
	Source []byte
}
