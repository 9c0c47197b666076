package load

import (
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// conn is one connection. A thread owns it.
type conn struct {
	fd       int      // -1: closed
	index    int32    // in thread.conns
	request  *Request // in flight; nil when there is none
	unsent   []byte   // rest of a request that the socket did not take at once
	blocked  bool     // the epoll set also watches for room to send
	pending  bool     // it is being opened
	resting  bool     // it waits in thread.idle for a request
	dead     bool     // it will not be opened again
	received []byte   // beginning of an answer that is not complete
	begun    time.Time
	sent     int // requests

	own   []byte // the request in flight with its marks, where there is a ledger
	first int64  // number of its first event
}

// open begins to open c for the request that it was given. It reports whether c may send at once.
func (t *thread) open(c *conn) bool {
	fd, pending, err := t.peer.begin(t.plan.DialEach)
	if err == nil {
		c.fd, c.pending = fd, pending
		err = t.watchNew(c, pending)
	}
	if err != nil {
		t.count(err.Error())
		t.free(c, false)
		t.hangUp(c)
		t.bury(c)
		return false
	}
	return !pending
}

// push writes what c has not sent yet, as far as its socket takes it.
func (t *thread) push(c *conn) {
	for len(c.unsent) > 0 {
		n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(c.fd), uintptr(unsafe.Pointer(&c.unsent[0])), uintptr(len(c.unsent)))
		switch errno {
		case 0:
			c.unsent, c.pending = c.unsent[n:], false
		case unix.EINTR:
		case unix.EAGAIN:
			t.watch(c, true)
			return
		default:
			t.fail(c, "write: "+errno.Error())
			return
		}
	}
	t.watch(c, false)
}

// watchNew puts a connection into the epoll set.
func (t *thread) watchNew(c *conn, blocked bool) error {
	c.blocked = blocked
	ev := c.interest()
	if err := unix.EpollCtl(t.epoll, unix.EPOLL_CTL_ADD, c.fd, &ev); err != nil {
		return fmt.Errorf("watch connection: %w", err)
	}
	return nil
}

// watch makes the epoll set watch for room to send, or no longer.
func (t *thread) watch(c *conn, blocked bool) {
	if c.blocked == blocked {
		return
	}
	c.blocked = blocked
	ev := c.interest()
	if err := unix.EpollCtl(t.epoll, unix.EPOLL_CTL_MOD, c.fd, &ev); err != nil {
		t.fail(c, "watch: "+err.Error())
	}
}

func (c *conn) interest() unix.EpollEvent {
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: c.index}
	if c.blocked {
		ev.Events |= unix.EPOLLOUT
	}
	return ev
}

func (t *thread) hangUp(c *conn) {
	if c.fd >= 0 {
		unix.Close(c.fd) //nolint:errcheck // the kernel forgets it from the epoll set, too
		c.fd, c.blocked = -1, false
	}
}

// ring is a queue of connections, each in it at most once.
type ring struct {
	slots       []int32
	first, held int
}

func newRing(n int) ring { return ring{slots: make([]int32, n)} }

func (r *ring) len() int { return r.held }

func (r *ring) push(c int32) {
	r.slots[(r.first+r.held)%len(r.slots)] = c
	r.held++
}

func (r *ring) pop() int32 {
	c := r.slots[r.first]
	r.first = (r.first + 1) % len(r.slots)
	r.held--
	return c
}
