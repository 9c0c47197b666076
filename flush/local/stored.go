package local

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/blevesearch/bleve/v2/index/scorch"
	index "github.com/blevesearch/bleve_index_api"

	"github.com/weirlog/weir/flush"
)

const storedVersion = 1

// appendStored encodes what search gives back of a document, beside its identity. Layout, on disk:
//
//	1 byte version (1), varint receive time (ns since 1970), uvarint length of stream, stream, source
func appendStored(buf []byte, doc *flush.Document) []byte {
	buf = append(buf, storedVersion)
	buf = binary.AppendVarint(buf, clampNano(doc.ReceivedAt))
	buf = binary.AppendUvarint(buf, uint64(len(doc.Stream)))
	buf = append(buf, doc.Stream...)
	return append(buf, doc.Source...)
}

// storedSize is enough room for appendStored.
func storedSize(doc *flush.Document) int {
	return 1 + 2*binary.MaxVarintLen64 + len(doc.Stream) + len(doc.Source)
}

// decodeStored is the inverse of appendStored. Stream and source share memory with b.
func decodeStored(b []byte) (received time.Time, stream, source []byte, err error) {
	if len(b) == 0 || b[0] != storedVersion {
		return received, nil, nil, fmt.Errorf("stored document has no known version")
	}
	nano, n := binary.Varint(b[1:])
	if n <= 0 {
		return received, nil, nil, fmt.Errorf("stored document ends early")
	}
	b = b[1+n:]
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return received, nil, nil, fmt.Errorf("stored document ends early")
	}
	b = b[n:]
	return time.Unix(0, nano).UTC(), b[:size], b[size:], nil
}

// orderBytes is the length of an order term: 63 bits, seven to a byte. Doc values are parted by 0xff,
// which must not occur in them.
const orderBytes = 9

func appendOrder(dst []byte, order uint64) []byte {
	for shift := 56; shift >= 0; shift -= 7 {
		dst = append(dst, byte(order>>shift)&0x7f)
	}
	return dst
}

func parseOrder(term []byte) uint64 {
	var order uint64
	for _, c := range term {
		order = order<<7 | uint64(c&0x7f)
	}
	return order
}

// storedReader reads stored documents by their number. Not for concurrent use.
type storedReader struct {
	segments []*scorch.SegmentSnapshot
}

func newStoredReader(r index.IndexReader) *storedReader {
	return &storedReader{segments: r.(*scorch.IndexSnapshot).Segments()}
}

// storedDocument is what is kept of a document.
type storedDocument struct {
	id, index string
	received  time.Time
	stream    string
	source    []byte // the index's, valid during the visit
}

// visit calls f with the document of that number.
func (r *storedReader) visit(number uint64, f func(storedDocument)) error {
	for _, seg := range r.segments {
		size := uint64(seg.FullSize())
		if number >= size {
			number -= size
			continue
		}
		var doc storedDocument
		var broken error
		err := seg.VisitDocument(number, func(name string, _ byte, value []byte, _ []uint64) bool {
			switch name {
			case fieldID:
				doc.id, doc.index = splitIdentity(string(value))
			case fieldSource:
				var stream []byte
				if doc.received, stream, doc.source, broken = decodeStored(value); broken == nil {
					doc.stream = string(stream)
					f(doc)
				}
			}
			return true
		})
		if err != nil {
			return fmt.Errorf("read stored document: %w", err)
		}
		return broken
	}
	return fmt.Errorf("no document has number %d", number)
}

// find returns the document of that identity; false when there is none.
func (r *storedReader) find(identity string) (hit Hit, ok bool, err error) {
	var base uint64
	for _, seg := range r.segments {
		numbers, err := seg.DocNumbers([]string{identity})
		if err != nil {
			return hit, false, fmt.Errorf("look up id: %w", err)
		}
		if !numbers.IsEmpty() {
			err = r.visit(base+uint64(numbers.Minimum()), func(doc storedDocument) { hit, ok = doc.hit(), true })
			return hit, ok, err
		}
		base += uint64(seg.FullSize())
	}
	return hit, false, nil
}
