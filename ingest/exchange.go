package ingest

import (
	"bufio"
	"bytes"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// headerBytes bounds request line and headers together, and is what one read takes at first: a request
// of one ordinary event arrives in it whole and is never copied.
const headerBytes = 8 << 10

// exchange is one request and its answer, with all memory that they need. A connection has one from the
// first byte of a request to the last byte of its answer and gives it back to a pool: a connection that
// waits costs no buffer.
type exchange struct {
	reader *bufio.Reader
	header fasthttp.RequestHeader
	begun  time.Time // header complete; the receive time of its events

	unread   bool   // bytes of the body may still come
	buffered int    // bytes of the body that lie in reader and are to be passed over after the answer
	body     []byte // buffer of a body that did not arrive with its header
	plain    []byte // buffer of the decompressed body
	source   bytes.Reader
	held     int64 // bytes counted against the budget

	batch batch
	text  []byte // body of the answer
	out   []byte // the answer
}

var (
	exchanges = sync.Pool{New: func() any { return new(exchange) }}
	readers   = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, headerBytes) }}
)

// takeExchange returns an exchange that reads from c.
func takeExchange(c *conn) *exchange {
	x := exchanges.Get().(*exchange)
	x.attach(c)
	return x
}

// attach gives x a reader on c if it has none.
func (x *exchange) attach(c *conn) {
	if x.reader == nil {
		x.reader = readers.Get().(*bufio.Reader)
		x.reader.Reset(c)
	}
}

// detach gives up the reader, whose bytes are all taken.
func (x *exchange) detach() {
	if x.reader != nil {
		x.reader.Reset(nil)
		readers.Put(x.reader)
		x.reader = nil
	}
}

// settle gives back what the request held, after its answer. The exchange can take the next request.
func (x *exchange) settle(b *budget) {
	x.batch.reset()
	if x.buffered > 0 {
		x.reader.Discard(x.buffered) //nolint:errcheck // the bytes are in the buffer
	}
	if x.body != nil {
		giveBuffer(x.body)
	}
	if x.plain != nil {
		giveBuffer(x.plain)
	}
	b.give(x.held)
	x.body, x.plain, x.held, x.buffered, x.unread = nil, nil, 0, 0, false
}

// release gives x back. It must be settled.
func (x *exchange) release() {
	x.detach()
	if cap(x.text) > 4<<10 {
		x.text, x.out = nil, nil
	}
	exchanges.Put(x)
}

// hold counts n more bytes against the budget until settle.
func (x *exchange) hold(b *budget, n int) bool {
	if !b.take(int64(n)) {
		return false
	}
	x.held += int64(n)
	return true
}

// grow returns buf with a capacity of size or more, counted against the budget; false when that does not
// fit. Callers ask for at most growth times what they have: a fast body is copied seldom, a slow one
// takes little.
func (x *exchange) grow(b *budget, buf []byte, size int) ([]byte, bool) {
	next := takeBuffer(size)
	if !x.hold(b, cap(next)) {
		giveBuffer(next)
		return buf, false
	}
	next = append(next, buf...)
	if buf != nil {
		b.give(int64(cap(buf)))
		x.held -= int64(cap(buf))
		giveBuffer(buf)
	}
	return next, true
}

const growth = 8
