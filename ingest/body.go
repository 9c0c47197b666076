package ingest

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
)

// Bounds of what stands around the data of a chunked body.
const (
	maxChunkDigits = 8
	maxTrailers    = 64
)

// readBody returns the body of x's request. A body that came in one piece with its header is returned
// where it lies; only others are copied. The slice is valid until x is settled.
func (c *conn) readBody(x *exchange) ([]byte, *refusal) {
	length := x.header.ContentLength()
	switch {
	case length == -1:
		return c.readChunked(x)
	case length <= 0:
		x.unread = false
		return nil, nil
	case length <= x.reader.Buffered():
		x.unread = false
		body, err := x.reader.Peek(length)
		if err != nil {
			return nil, refuseIncomplete
		}
		x.buffered = length
		if !x.hold(&c.server.budget, length) {
			return nil, refuseBusy
		}
		return body, nil
	}
	return c.readFixed(x, length)
}

// readFixed reads a body of known length that is still underway, straight from the connection. The buffer
// grows with what has arrived.
func (c *conn) readFixed(x *exchange, length int) ([]byte, *refusal) {
	here := x.reader.Buffered()
	first := here + 1
	if here > headerBytes/2 { // the first read came back full: the client sends at speed
		first = min(length, 64<<10)
	}
	var ok bool
	if x.body, ok = x.grow(&c.server.budget, nil, first); !ok {
		return nil, refuseBusy
	}
	x.body = x.body[:here]
	if _, err := io.ReadFull(x.reader, x.body); err != nil {
		return nil, refuseRead(err)
	}
	x.detach()
	for len(x.body) < length {
		if len(x.body) == cap(x.body) {
			if x.body, ok = x.grow(&c.server.budget, x.body, min(length, growth*cap(x.body))); !ok {
				return nil, refuseBusy
			}
		}
		n, err := c.Read(x.body[len(x.body):min(cap(x.body), length)])
		x.body = x.body[:len(x.body)+n]
		if err != nil && len(x.body) < length {
			return nil, refuseRead(err)
		}
	}
	x.unread = false
	return x.body, nil
}

// readChunked reads a body of chunks (RFC 9112, section 7.1). Extensions and trailers are passed over.
func (c *conn) readChunked(x *exchange) ([]byte, *refusal) {
	var ok bool
	if x.body, ok = x.grow(&c.server.budget, nil, max(1, x.reader.Buffered())); !ok {
		return nil, refuseBusy
	}
	for {
		size, r := readChunkSize(x.reader)
		if r != nil {
			return nil, r
		}
		if size == 0 {
			break
		}
		if int64(len(x.body)+size) > c.server.options.MaxBodyBytes {
			return nil, refuseBody
		}
		if r := c.readChunk(x, size); r != nil {
			return nil, r
		}
	}
	for range maxTrailers {
		text, r := readLine(x.reader)
		if r != nil {
			return nil, r
		}
		if len(text) == 0 {
			x.unread = false
			return x.body, nil
		}
	}
	return nil, refuseBadChunk
}

// readChunk appends one chunk's data to x.body and takes the line end after it.
func (c *conn) readChunk(x *exchange, size int) *refusal {
	for size > 0 {
		if len(x.body) == cap(x.body) {
			var ok bool
			if x.body, ok = x.grow(&c.server.budget, x.body, min(max(len(x.body)+size, 2*cap(x.body)), growth*cap(x.body))); !ok {
				return refuseBusy
			}
		}
		at := len(x.body)
		n, err := x.reader.Read(x.body[at:min(cap(x.body), at+size)])
		x.body = x.body[:at+n]
		size -= n
		if err != nil {
			return refuseRead(err)
		}
	}
	text, r := readLine(x.reader)
	if r == nil && len(text) > 0 {
		r = refuseBadChunk
	}
	return r
}

// readChunkSize reads the line before a chunk.
func readChunkSize(br *bufio.Reader) (int, *refusal) {
	text, r := readLine(br)
	if r != nil {
		return 0, r
	}
	text, _, _ = bytes.Cut(text, []byte{';'})
	text = bytes.TrimRight(text, " \t")
	if len(text) == 0 || len(text) > maxChunkDigits {
		return 0, refuseBadChunk
	}
	size := 0
	for _, d := range text {
		v := hexValue(d)
		if v < 0 {
			return 0, refuseBadChunk
		}
		size = size<<4 | v
	}
	return size, nil
}

// readLine reads a line that ends in CRLF, without it. The slice is valid until the next read.
func readLine(br *bufio.Reader) ([]byte, *refusal) {
	text, err := br.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return nil, refuseBadChunk
	}
	if err != nil {
		return nil, refuseRead(err)
	}
	text, ok := bytes.CutSuffix(text, []byte("\r\n"))
	if !ok || bytes.IndexByte(text, '\r') >= 0 {
		return nil, refuseBadChunk
	}
	return text, nil
}

// refuseRead says what a failed read of a body means.
func refuseRead(err error) *refusal {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return refuseSlow
	}
	return refuseIncomplete
}
