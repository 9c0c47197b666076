package elastic

import (
	"bytes"
	"io"
	"sync"

	"github.com/weirlog/weir/flush"
	"github.com/weirlog/weir/flush/rawjson"
)

// bulk is the body of one request:
//
//	{"create":{"_index":"logs-a","_id":"00c0ffee00c0ffee-7"}}\n
//	<source of the first document, on one line>\n
//	...
//
// Only the action lines are written to a buffer; the sources are read from the documents as the connection takes
// them, so that a request costs no second copy of its batch. The price is that connections read the documents in a
// goroutine of their own, possibly still after the request has failed: release ends that.
type bulk struct {
	size int64 // bytes of the body as sent

	mu    sync.Mutex // held for each read of the documents' bytes
	docs  []flush.Document
	lines []byte // action lines; every one but the first begins with the line break that ends the source before it
	ends  []int  // where in lines the line of each document ends
	// packed is the compressed body, nil when it is not compressed.
	packed   []byte
	released bool
}

// encode prepares the body of docs. The buffers of sc belong to it until release.
func encode(docs []flush.Document, sc *scratch, compression Compression) (*bulk, error) {
	b := &bulk{docs: docs, lines: sc.lines[:0], ends: sc.ends[:0]}
	var head []byte // of the line before, nearly always that of this one
	for i := range docs {
		d := &docs[i]
		if i > 0 && d.Index == docs[i-1].Index && d.Op == docs[i-1].Op {
			b.lines = append(b.lines, head...)
		} else {
			from := len(b.lines)
			b.lines = appendHead(b.lines, d)
			head = b.lines[from:]
		}
		b.lines = appendRest(b.lines, d)
		b.ends = append(b.ends, len(b.lines))
		b.lines = append(b.lines, '\n') // ends the source; the last one stays behind the last end
		b.size += int64(len(d.Source))
	}
	b.size += int64(len(b.lines))
	sc.lines, sc.ends = b.lines, b.ends
	if compression != CompressionNone {
		packed, err := sc.compress(b.reader(), compression)
		if err != nil {
			return nil, err
		}
		b.packed, b.size = packed, int64(len(packed))
	}
	return b, nil
}

// appendHead appends the part of a document's action line that says how and where it is stored.
func appendHead(dst []byte, d *flush.Document) []byte {
	dst = append(dst, `{"`...)
	dst = append(dst, opOf(d)...)
	dst = append(dst, `":{"_index":`...)
	return rawjson.AppendQuoted(dst, d.Index)
}

// appendRest appends the rest of the line.
func appendRest(dst []byte, d *flush.Document) []byte {
	if d.ID != "" {
		dst = append(dst, `,"_id":`...)
		dst = rawjson.AppendQuoted(dst, d.ID)
	}
	if d.Pipeline != "" {
		dst = append(dst, `,"pipeline":`...)
		dst = rawjson.AppendQuoted(dst, d.Pipeline)
	}
	if d.Routing != "" {
		dst = append(dst, `,"routing":`...)
		dst = rawjson.AppendQuoted(dst, d.Routing)
	}
	return append(dst, "}}\n"...)
}

// opOf returns the action that stores a document.
func opOf(d *flush.Document) flush.Op {
	if d.Op == "" {
		return flush.OpCreate
	}
	return d.Op
}

// release ends all reading: when it returns, nobody reads the documents or the buffers any more, nor will.
func (b *bulk) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.released = true
	b.docs, b.lines, b.ends, b.packed = nil, nil, nil, nil
}

func (b *bulk) reader() *bodyReader { return &bodyReader{bulk: b} }

// again gives net/http the body from its beginning, for a connection that died before it took a byte.
func (b *bulk) again() (io.ReadCloser, error) { return b.reader(), nil }

// bodyReader reads a bulk from its beginning. One goroutine at a time may use it; release and Close may
// come from any other.
type bodyReader struct {
	bulk *bulk

	// Under bulk.mu.
	part   int // 2i: action line of document i, 2i+1: its source; 2n, for n documents: the last line break
	at     int // bytes of the part that are read
	closed bool
}

var _ io.ReadCloser = (*bodyReader)(nil)

// Read fills p.
func (r *bodyReader) Read(p []byte) (int, error) {
	b := r.bulk
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.released || r.closed {
		return 0, errBodyReleased
	}
	if b.packed != nil {
		return r.readPacked(p)
	}
	n := 0
	for n < len(p) {
		part, isSource, ok := r.current()
		if !ok {
			break
		}
		m := copy(p[n:], part[r.at:])
		if isSource {
			oneLine(p[n : n+m])
		}
		n += m
		r.at += m
		if r.at == len(part) {
			r.next()
		}
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// next goes on to the part after the one that is read.
func (r *bodyReader) next() {
	r.at = 0
	r.part++
	if r.part == 2*len(r.bulk.docs)+1 {
		r.part++ // nothing follows the last line break
	}
}

func (r *bodyReader) readPacked(p []byte) (int, error) {
	n := copy(p, r.bulk.packed[r.at:])
	r.at += n
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// current returns the part that is to be read next.
func (r *bodyReader) current() (part []byte, isSource, ok bool) {
	b := r.bulk
	i := r.part / 2
	switch {
	case i > len(b.docs):
		return nil, false, false
	case r.part%2 == 1:
		return b.docs[i].Source, true, true
	}
	from, to := 0, len(b.lines)
	if i > 0 {
		from = b.ends[i-1]
	}
	if i < len(b.docs) {
		to = b.ends[i]
	}
	return b.lines[from:to], false, true
}

// Close ends the reading by this reader.
func (r *bodyReader) Close() error {
	r.bulk.mu.Lock()
	defer r.bulk.mu.Unlock()
	r.closed = true
	return nil
}

// oneLine makes spaces of the line breaks in b. In JSON they stand between tokens only.
func oneLine(b []byte) {
	for _, c := range [...]byte{'\n', '\r'} {
		for rest := b; ; {
			i := bytes.IndexByte(rest, c)
			if i < 0 {
				break
			}
			rest[i] = ' '
			rest = rest[i+1:]
		}
	}
}
