package elastic_test

import (
	"context"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// network joins a sink to a server in memory, so that both live in one bubble of testing/synctest: nothing in it waits for
// the operating system. It is the server's listener, and the faults of a cell strike on it.
type network struct {
	accepting chan net.Conn
	down      chan struct{}
	downOnce  sync.Once
	trouble   *trouble
	tls       *matrixCA // nil: plain HTTP

	dials    atomic.Int64
	requests atomic.Int64 // begun on the wire
	resets   atomic.Int64 // connections broken by resetAll

	mu    sync.Mutex
	links map[*link]string // open connections and the address that was dialled
}

var _ net.Listener = (*network)(nil)

func newNetwork(t *trouble) *network {
	return &network{accepting: make(chan net.Conn), down: make(chan struct{}), trouble: t, links: map[*link]string{}}
}

// dial is elastic.Options.Dial.
func (n *network) dial(ctx context.Context, _, address string) (net.Conn, error) {
	n.brake(n.dials.Add(1))
	f := n.trouble.fault
	if f.dial != nil && n.trouble.strikes(address) {
		return nil, f.dial(ctx)
	}
	l := newLink()
	client := newClient(n, l, address)
	var server net.Conn = &end{link: l, in: &l.up, out: &l.down}
	if n.tls != nil {
		server = n.tls.serve(server, client, n.trouble, address)
	}
	n.mu.Lock()
	n.links[l] = address
	n.mu.Unlock()
	select {
	case n.accepting <- server:
		return client, nil
	case <-n.down:
		return nil, wireError("dial", syscall.ECONNREFUSED)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// brake makes attempts without a pause take time, or the clock would stand still, and the test never end.
func (n *network) brake(attempts int64) {
	const noneHasSoMany = 1500
	if attempts > noneHasSoMany {
		time.Sleep(time.Second)
	}
}

// resetAll breaks the connections to the addresses that the fault strikes, as the end of a process does.
func (n *network) resetAll() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for l, address := range n.links {
		if n.trouble.aimsAt(address) {
			n.resets.Add(1)
			l.reset()
			delete(n.links, l)
		}
	}
}

func (n *network) forget(l *link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.links, l)
}

func (n *network) Accept() (net.Conn, error) {
	select {
	case c := <-n.accepting:
		return c, nil
	case <-n.down:
		return nil, net.ErrClosed
	}
}

func (n *network) Close() error {
	n.downOnce.Do(func() { close(n.down) })
	return nil
}

func (n *network) Addr() net.Addr { return wireAddr{} }

type wireAddr struct{}

func (wireAddr) Network() string { return "memory" }
func (wireAddr) String() string  { return "127.0.0.1:9200" }

// wireError is what the net package makes of an error of the operating system.
func wireError(op string, err syscall.Errno) error {
	return &net.OpError{Op: op, Net: "tcp", Err: os.NewSyscallError(op, err)}
}

// window is how many bytes may be underway in one direction before the writer waits.
const window = 64 << 10

// link is a connection: two directions, with one lock for all of it.
type link struct {
	mu       sync.Mutex
	changed  sync.Cond
	up, down stream        // to the server, to the client
	broken   syscall.Errno // both ends hear this at once; 0 while it holds
}

// stream is one direction. Guarded by link.mu.
type stream struct {
	b         []byte
	ended     bool // its writer closed: what is in b comes, then the end
	abandoned bool // its reader closed
}

func newLink() *link {
	l := &link{}
	l.changed.L = &l.mu
	return l
}

func (l *link) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.breakLocked()
}

func (l *link) breakLocked() {
	l.broken = syscall.ECONNRESET
	l.changed.Broadcast()
}

// end is one end of a link.
type end struct {
	*link
	in, out *stream

	// Guarded by link.mu.
	closed           bool
	linger           bool // Close resets
	reading, writing deadline
}

var _ net.Conn = (*end)(nil)

// deadline wakes those who wait when it passes.
type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func (d *deadline) setLocked(l *link, at time.Time) {
	if d.timer != nil {
		d.timer.Stop()
	}
	d.at, d.timer = at, nil
	if !at.IsZero() {
		d.timer = time.AfterFunc(time.Until(at), l.wake)
	}
	l.changed.Broadcast()
}

func (l *link) wake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changed.Broadcast()
}

// faultLocked says why nothing can be read or written any more.
func (e *end) faultLocked(op string, d *deadline) error {
	switch {
	case e.closed:
		return &net.OpError{Op: op, Net: "tcp", Err: net.ErrClosed}
	case e.broken != 0:
		return wireError(op, e.broken)
	case d.passed():
		return &net.OpError{Op: op, Net: "tcp", Err: os.ErrDeadlineExceeded}
	}
	return nil
}

func (e *end) Read(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for {
		if err := e.faultLocked("read", &e.reading); err != nil {
			return 0, err
		}
		if len(e.in.b) > 0 {
			n := copy(p, e.in.b)
			e.in.b = e.in.b[:copy(e.in.b, e.in.b[n:])]
			e.changed.Broadcast()
			return n, nil
		}
		if e.in.ended {
			return 0, io.EOF
		}
		e.changed.Wait()
	}
}

func (e *end) Write(p []byte) (n int, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for n < len(p) {
		if err := e.faultLocked("write", &e.writing); err != nil {
			return n, err
		}
		if e.out.abandoned {
			return n, wireError("write", syscall.EPIPE)
		}
		if room := window - len(e.out.b); room > 0 {
			m := min(room, len(p)-n)
			e.out.b = append(e.out.b, p[n:n+m]...)
			n += m
			e.changed.Broadcast()
			continue
		}
		e.changed.Wait()
	}
	return n, nil
}

func (e *end) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed, e.out.ended, e.in.abandoned = true, true, true
	e.reading.setLocked(e.link, time.Time{})
	e.writing.setLocked(e.link, time.Time{})
	if e.linger {
		e.breakLocked()
	}
	return nil
}

// SetLinger makes Close reset the connection, as it does with TCP and 0 seconds.
func (e *end) SetLinger(seconds int) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.linger = seconds == 0
	return nil
}

func (e *end) SetReadDeadline(at time.Time) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.reading.setLocked(e.link, at)
	return nil
}

func (e *end) SetWriteDeadline(at time.Time) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.writing.setLocked(e.link, at)
	return nil
}

func (e *end) SetDeadline(at time.Time) error {
	_ = e.SetReadDeadline(at) // it cannot fail
	return e.SetWriteDeadline(at)
}

func (e *end) LocalAddr() net.Addr  { return wireAddr{} }
func (e *end) RemoteAddr() net.Addr { return wireAddr{} }

// stall waits until this end is closed, or the link breaks: nothing comes through any more.
func (e *end) stall(op string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for {
		if err := e.faultLocked(op, &e.reading); err != nil {
			return err
		}
		e.changed.Wait()
	}
}

// rest waits for a time, less when the link ends.
func (e *end) rest(d time.Duration) {
	timer := time.AfterFunc(d, e.wake)
	defer timer.Stop()
	until := time.Now().Add(d)
	e.mu.Lock()
	defer e.mu.Unlock()
	for !e.closed && e.broken == 0 && time.Now().Before(until) {
		e.changed.Wait()
	}
}
