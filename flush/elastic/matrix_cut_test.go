package elastic_test

import (
	"bytes"
	"io"
	"net"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

// cut is a fault of a connection: at a place of a request, or of its answer, something happens.
type cut struct {
	inAnswer bool
	inBody   bool
	at       func(size int) int // bytes of head or body that still pass; size is that of the body
	does     action
	rate     int // of action slow: bytes a second
}

type action string

const (
	resets action = "reset" // both ends get ECONNRESET, what was underway is gone
	closes action = "close" // an orderly end, in the middle of it
	stalls action = "stall" // nothing comes through any more, and nobody says so
	slows  action = "slow"  // the rest of the message trickles
)

// tap follows the messages of one direction of a connection: it knows where each begins and ends, whatever the
// pieces in which it is written.
type tap struct {
	begin func(first byte) *cut // called at the first byte of each message; nil means that it passes unharmed

	cut  *cut   // of the message underway
	head []byte // of the message underway, as far as it came
	size int    // of its body; known when inBody
	body int    // bytes of it that passed
	// inBody: the head is complete.
	inBody bool
	rate   int // bytes a second from here to the message's end; 0 is no limit
}

// pass says how many of p go through before something happens: a place is reached where c strikes, or a message ends.
func (t *tap) pass(p []byte) (n int, c *cut) {
	for n < len(p) && !t.inBody {
		if len(t.head) == 0 {
			t.cut = t.begin(p[n])
		}
		if c := t.cut; c != nil && !c.inBody && c.at(0) == len(t.head) {
			t.struck()
			return n, c
		}
		t.head = append(t.head, p[n])
		n++
		if t.inBody = bytes.HasSuffix(t.head, []byte("\r\n\r\n")); t.inBody {
			t.size = contentLength(t.head)
		}
	}
	if !t.inBody {
		return n, nil
	}
	m := min(len(p)-n, t.size-t.body)
	if c := t.cut; c != nil && c.inBody {
		if at := c.at(t.size); at >= t.body && at < t.body+m {
			n += at - t.body
			t.body = at
			t.struck()
			return n, c
		}
	}
	n, t.body = n+m, t.body+m
	if t.body == t.size {
		*t = tap{begin: t.begin, head: t.head[:0]}
	}
	return n, nil
}

func (t *tap) struck() {
	if t.cut.does == slows {
		t.rate = t.cut.rate
	}
	t.cut = nil
}

// contentLength returns the length that a head announces; 0 when it announces none.
func contentLength(head []byte) int {
	for line := range bytes.SplitSeq(head, []byte("\r\n")) {
		name, value, ok := bytes.Cut(line, []byte(":"))
		if ok && bytes.EqualFold(name, []byte("Content-Length")) {
			n, _ := strconv.Atoi(string(bytes.TrimSpace(value))) // a broken one is a fault of its own, and announces nothing
			return max(n, 0)
		}
	}
	return 0
}

// client is the sink's end of a link. Faults strike here: the server's end has none of its own.
type client struct {
	end
	network *network
	address string

	up, down tap                 // the writer's, the reader's
	answer   atomic.Pointer[cut] // what strikes the answer to the request underway; a connection has one at a time
	buffer   []byte              // the reader's
	held     []byte              // of buffer: came, and is not read yet
	next     *cut                // what the next Read meets; the reader's
	stalled  atomic.Bool         // nothing comes through any more
	flip     atomic.Int64        // the byte from the server that arrives with a bit flipped, counted down; 0 for none
}

var _ net.Conn = (*client)(nil)

func newClient(n *network, l *link, address string) *client {
	c := &client{end: end{link: l, in: &l.down, out: &l.up}, network: n, address: address}
	c.up.begin = c.beginRequest
	c.down.begin = func(byte) *cut { return c.answer.Swap(nil) }
	return c
}

// beginRequest decides the fate of a request and of its answer. Only bulk requests are struck.
func (c *client) beginRequest(first byte) *cut {
	c.network.brake(c.network.requests.Add(1))
	f := c.network.trouble.fault.cut
	if f == nil || first != 'P' || !c.network.trouble.strikes(c.address) {
		return nil
	}
	if f.inAnswer {
		c.answer.Store(f)
		return nil
	}
	return f
}

func (c *client) Write(p []byte) (n int, err error) {
	for n < len(p) {
		if c.stalled.Load() {
			return n, c.stall("write")
		}
		rate := c.up.rate
		m, struck := c.up.pass(paced(p[n:], rate))
		m, err := c.end.Write(p[n : n+m])
		if n += m; err != nil {
			return n, err
		}
		c.pause(m, rate)
		if struck != nil {
			if err := c.suffer("write", struck); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

func (c *client) Read(p []byte) (n int, err error) {
	for {
		if struck := c.next; struck != nil {
			c.next = nil
			if err := c.suffer("read", struck); err != nil {
				return 0, err
			}
		}
		if c.stalled.Load() {
			return 0, c.stall("read")
		}
		if len(c.held) == 0 {
			if err := c.fill(); err != nil {
				return 0, err
			}
		}
		rate := c.down.rate
		n, c.next = c.down.pass(paced(c.held[:min(len(p), len(c.held))], rate))
		if n > 0 {
			copy(p, c.held[:n])
			c.held = c.held[n:]
			c.pause(n, rate)
			return n, nil
		}
	}
}

// fill takes what the link has.
func (c *client) fill() error {
	if c.buffer == nil {
		c.buffer = make([]byte, 8<<10)
	}
	n, err := c.end.Read(c.buffer)
	if err != nil {
		return err
	}
	c.held = c.buffer[:n]
	c.flipBit()
	return nil
}

// flipBit changes what came, when the byte is among it.
func (c *client) flipBit() {
	at := c.flip.Load()
	if at == 0 {
		return
	}
	if n := int64(len(c.held)); at > n {
		c.flip.Store(at - n)
		return
	}
	c.held[at-1] ^= 1
	c.flip.Store(0)
}

// paced is as much of p as goes through in a tenth of a second.
func paced(p []byte, rate int) []byte {
	if rate == 0 {
		return p
	}
	return p[:min(len(p), max(1, rate/10))]
}

func (c *client) pause(n, rate int) {
	if rate > 0 {
		c.rest(time.Duration(n) * time.Second / time.Duration(rate))
	}
}

// suffer makes happen what a cut does. nil means that it goes on.
func (c *client) suffer(op string, struck *cut) error {
	switch struck.does {
	case resets:
		c.reset()
		return wireError(op, syscall.ECONNRESET)
	case closes:
		c.closeFromOutside()
		if op == "read" {
			c.held = nil
			return io.EOF
		}
		return wireError(op, syscall.EPIPE)
	case stalls:
		c.stalled.Store(true)
		return c.stall(op)
	}
	return nil
}

// closeFromOutside makes both ends see that the other one closed.
func (c *client) closeFromOutside() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range []*stream{c.in, c.out} {
		s.ended, s.abandoned = true, true
	}
	c.in.b = nil
	c.changed.Broadcast()
}

func (c *client) Close() error {
	c.network.forget(c.link)
	return c.end.Close()
}
