package ingest

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"
)

// States of a connection. Whoever moves it away from connIdle owns what follows: the connection's own
// goroutine a request, the draining server its end.
const (
	connIdle int32 = iota
	connActive
	connClosed
)

var errWouldBlock = errors.New("no bytes yet")

// conn is one connection and belongs to the goroutine of serve, but for state and net, which the server
// uses to end it.
//
// While it waits for a request it holds nothing but itself: the read that finds the first bytes is tried
// inside the poller's callback, with buffers borrowed for the try. Deadlines are set only before a read
// that has to wait, and not again while the one in force is close enough.
type conn struct {
	server *Server
	net    net.Conn
	raw    syscall.RawConn
	remote netip.Addr
	state  atomic.Int32
	done   chan struct{} // closed when serve has ended

	x       *exchange // of the request in hand
	served  int       // requests answered
	partial []byte    // first bytes of a request whose header is not complete
	taken   int       // bytes of partial that the reader has
	fault   error     // what ended the connection while it was polled

	polling bool               // Read is inside the callback and may not wait
	fd      uintptr            // valid while polling
	poll    func(uintptr) bool // pollRead, bound once

	readBy, writeBy time.Time // deadlines in force
	until           time.Time // when the request in hand must have arrived
}

func newConn(s *Server, c net.Conn) (*conn, error) {
	withRaw, ok := c.(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	raw, err := withRaw.SyscallConn()
	if err != nil {
		return nil, err
	}
	cn := &conn{server: s, net: c, raw: raw, done: make(chan struct{})}
	cn.poll = cn.pollRead
	if a, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		cn.remote = a.AddrPort().Addr().Unmap()
	}
	return cn, nil
}

// serve answers requests until one of the sides ends the connection.
func (c *conn) serve() {
	defer close(c.done)
	for c.await() && c.request() {
	}
	if c.x != nil {
		c.x.settle(&c.server.budget)
		c.x.release()
		c.x = nil
	}
	c.net.Close() //nolint:errcheck // nothing is left to lose
}

// await returns true when a request with a complete header is in c.x.reader and the connection is active.
func (c *conn) await() bool {
	if c.x != nil && c.x.reader.Buffered() > 0 { // pipelined
		if c.x.headerComplete() {
			return true
		}
		if c.stash() {
			return false
		}
	} else if c.x != nil {
		c.x.release()
		c.x = nil
	}
	c.state.Store(connIdle)
	if c.served > 0 && c.server.draining.Load() { // drain may be waiting for the request just answered
		return false
	}
	for {
		if !c.waitBytes() {
			return false
		}
		if c.x.headerComplete() {
			return c.state.CompareAndSwap(connIdle, connActive)
		}
		if c.stash() {
			return false
		}
	}
}

// waitBytes parks until there are more bytes of the next request, and puts them into c.x.reader.
func (c *conn) waitBytes() bool {
	limit, slack := c.server.options.IdleTimeout, c.server.options.IdleTimeout/64
	if c.served == 0 {
		limit, slack = c.server.options.ReadTimeout, 0
	}
	by := time.Now().Add(limit)
	if len(c.partial) > 0 {
		by, slack = c.until, 0
	}
	if c.setReadDeadline(by, slack) != nil {
		return false
	}
	c.fault = nil
	err := c.raw.Read(c.poll)
	if err == nil && c.fault == nil {
		return true
	}
	if c.x != nil {
		c.x.release()
		c.x = nil
	}
	if errors.Is(err, os.ErrDeadlineExceeded) && len(c.partial) > 0 && c.refuseUnread(refuseSlow) == nil {
		c.linger()
	}
	return false
}

// pollRead is called by the poller when the connection may be readable. It returns false to wait on.
func (c *conn) pollRead(fd uintptr) bool {
	c.fd, c.polling, c.taken = fd, true, 0
	c.x = takeExchange(c)
	_, err := c.x.reader.Peek(len(c.partial) + 1)
	c.polling = false
	if err == errWouldBlock {
		c.x.release()
		c.x = nil
		return false
	}
	c.fault = err
	return true
}

// stash keeps the bytes of an incomplete header aside until more arrive. It returns true when they are
// too many, which it has answered.
func (c *conn) stash() (tooMany bool) {
	if len(c.partial) == 0 {
		c.until = time.Now().Add(c.server.options.ReadTimeout)
	}
	n := c.x.reader.Buffered()
	held, _ := c.x.reader.Peek(n)
	c.partial = append(c.partial[:0], held...)
	c.x.release()
	c.x = nil
	if n < headerBytes {
		return false
	}
	if c.refuseUnread(refuseHeader) == nil {
		c.linger()
	}
	return true
}

// headerComplete reports whether the reader holds an empty line after a header. Empty lines before the
// request line are passed over (RFC 9112, section 2.2).
func (x *exchange) headerComplete() bool {
	held, _ := x.reader.Peek(x.reader.Buffered())
	blank := 0
	for blank < len(held) && (held[blank] == '\r' || held[blank] == '\n') {
		blank++
	}
	x.reader.Discard(blank) //nolint:errcheck // the bytes are in the buffer
	for held = held[blank:]; ; {
		n := bytes.IndexByte(held, '\n')
		if n < 0 {
			return false
		}
		held = held[n+1:]
		if len(held) > 0 && held[0] == '\n' || len(held) > 1 && held[0] == '\r' && held[1] == '\n' {
			return true
		}
	}
}

// Read is what the reader of an exchange reads from: bytes kept from earlier tries first, then the
// socket. While a request arrives it waits until the request's deadline.
func (c *conn) Read(p []byte) (int, error) {
	if c.taken < len(c.partial) {
		n := copy(p, c.partial[c.taken:])
		c.taken += n
		return n, nil
	}
	if c.polling {
		return readNow(c.fd, p)
	}
	if err := c.setReadDeadline(c.until, 0); err != nil {
		return 0, err
	}
	return c.net.Read(p)
}

// readNow reads what is there, without waiting.
func readNow(fd uintptr, p []byte) (int, error) {
	for {
		n, err := syscall.Read(int(fd), p)
		switch {
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			return 0, errWouldBlock
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

// request reads, serves and answers the request whose header is complete. It returns false when the
// connection must end.
func (c *conn) request() (keep bool) {
	x := c.x
	x.begun = time.Now()
	if len(c.partial) > 0 {
		c.partial, c.taken = nil, 0
	} else {
		c.until = x.begun.Add(c.server.options.ReadTimeout)
	}
	a := c.answerRequest(x)
	if x.header.ConnectionClose() || hasToken(x.header.Peek("Connection"), "close") || c.server.draining.Load() {
		a.close = true
	}
	if x.unread {
		a.close = true
	}
	if err := c.write(x.appendAnswer(&a)); err != nil {
		return false
	}
	c.served++
	c.server.metrics.answered(a.status, time.Since(x.begun))
	unread := x.unread
	x.settle(&c.server.budget)
	x.attach(c)
	if a.close && (unread || x.reader.Buffered() > 0) {
		c.linger()
	}
	return !a.close
}

// answerRequest is Server.handle with a net below it: a defect that one request meets is logged and ends
// its connection, not the service.
func (c *conn) answerRequest(x *exchange) (a answer) {
	appending := false
	defer func() {
		if fault := recover(); fault != nil {
			c.server.metrics.panics.Inc()
			c.server.log.Error("request failed on a defect", "panic", fault, "stack", string(debug.Stack()))
			r := refuseInternal
			if appending {
				r = refuseCommit
			}
			x.batch.problems = x.batch.problems[:0]
			a = c.server.refuse(x, r)
			a.close, x.unread = true, true
		}
	}()
	return c.server.handle(c, x, &appending)
}

// refuseUnread answers what is no complete request, as the last thing on this connection.
func (c *conn) refuseUnread(r *refusal) error {
	x := exchanges.Get().(*exchange)
	defer x.release()
	x.header.Reset()
	x.begun = time.Now()
	a := c.server.refuse(x, r)
	c.server.metrics.answered(r.status, 0)
	return c.write(x.appendAnswer(&a))
}

// write sends an answer, or part of one.
func (c *conn) write(b []byte) error {
	now := time.Now()
	limit := c.server.options.ReadTimeout
	if c.writeBy.Sub(now) < limit-limit/32 {
		c.writeBy = now.Add(limit)
		if err := c.net.SetWriteDeadline(c.writeBy); err != nil {
			return err
		}
	}
	_, err := c.net.Write(b)
	return err
}

// setReadDeadline makes reads end at by. One that is in force already is kept when it comes at most
// slack earlier: setting it costs more than the rest of a small request's bookkeeping.
func (c *conn) setReadDeadline(by time.Time, slack time.Duration) error {
	if early := by.Sub(c.readBy); early >= 0 && early <= slack {
		return nil
	}
	c.readBy = by
	return c.net.SetReadDeadline(by)
}

const (
	lingerTime  = time.Second
	lingerBytes = 4 << 20
)

// linger takes in what the client still sends after the last answer. Closing at once would make the
// kernel reset the connection, and the reset can overtake the answer.
func (c *conn) linger() {
	half, ok := c.net.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil || c.setReadDeadline(time.Now().Add(lingerTime), 0) != nil {
		return
	}
	scratch := takeBuffer(32 << 10)
	defer giveBuffer(scratch)
	for n := 0; n < lingerBytes; {
		k, err := c.net.Read(scratch[:cap(scratch)])
		if err != nil {
			return
		}
		n += k
	}
}
