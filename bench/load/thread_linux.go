package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"
	"unsafe"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"
)

// conn is one connection. A thread owns it.
type conn struct {
	fd       int
	index    int32    // in thread.conns
	request  *Request // in flight; nil when idle
	unsent   []byte   // rest of a request that the socket did not take at once
	blocked  bool     // the epoll set also watches for room to send
	received []byte   // beginning of an answer that is not complete
	begun    time.Time
	sent     int // requests
}

// thread serves its share of the connections. Only its goroutine touches it between newThread and addTo.
type thread struct {
	plan  *Plan
	epoll int
	conns []conn
	alive int // connections that are open
	begun int // connections that have sent something
	busy  int // connections with a request in flight
	next  int // index of the next request

	ready  []unix.EpollEvent
	buffer []byte
	// The last good answer and the body that it was wanted to have: most answers are the same bytes.
	good, goodWant []byte

	requests, events, acked, failures int64
	failure                           string
	latency                           *hdrhistogram.Histogram
}

const answerBuffer = 64 << 10

// newThread opens the connections of the i-th thread.
func newThread(plan *Plan, i int) (*thread, error) {
	t := &thread{plan: plan, epoll: -1, next: i * len(plan.Requests) / plan.Threads, ready: make([]unix.EpollEvent, 256),
		buffer: make([]byte, answerBuffer), latency: hdrhistogram.New(1, latencyMax, latencyDigits)}
	var err error
	if t.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return t, fmt.Errorf("create epoll: %w", err)
	}
	share := (plan.Connections + i) / plan.Threads // sums up to Connections over all threads
	for n := range share {
		fd, err := dial(plan.Address)
		if err != nil {
			return t, err
		}
		t.conns = append(t.conns, conn{fd: fd, index: int32(n)})
		ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(n)}
		if err := unix.EpollCtl(t.epoll, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
			return t, fmt.Errorf("watch connection: %w", err)
		}
	}
	t.alive = share
	return t, nil
}

func (t *thread) close() {
	if t == nil {
		return
	}
	for i := range t.conns {
		t.hangUp(&t.conns[i])
	}
	if t.epoll >= 0 {
		unix.Close(t.epoll) //nolint:errcheck // nothing depends on it
	}
}

func (t *thread) hangUp(c *conn) {
	if c.fd >= 0 {
		unix.Close(c.fd) //nolint:errcheck // the kernel forgets it from the epoll set, too
		c.fd = -1
		t.alive--
	}
}

// run is the closed loop.
func (t *thread) run(ctx context.Context, clock *clock) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	t.begin()
	for t.busy > 0 {
		n, err := t.wait()
		if err != nil {
			return err
		}
		now := time.Now()
		stop := ctx.Err() != nil || !now.Before(clock.to)
		if now.After(clock.giveUp) {
			return nil // what is busy is unanswered
		}
		for _, ev := range t.ready[:n] {
			c := &t.conns[ev.Fd]
			if ev.Events&unix.EPOLLOUT != 0 {
				t.push(c)
			}
			if ev.Events&^unix.EPOLLOUT == 0 || c.fd < 0 || !t.receive(c, clock) || stop {
				continue
			}
			t.send(c, time.Now())
		}
		if !stop {
			t.begin()
		}
	}
	return nil
}

// begin lets connections send their first request, as many as may be busy.
func (t *thread) begin() {
	for ; t.begun < len(t.conns) && (t.plan.AtOnce == 0 || t.busy < t.plan.AtOnce); t.begun++ {
		t.send(&t.conns[t.begun], time.Now())
	}
}

// wait returns how many connections are ready. It looks first without giving up the processor: under
// load something always is.
func (t *thread) wait() (int, error) {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(t.epoll), uintptr(unsafe.Pointer(&t.ready[0])), uintptr(len(t.ready)), 0, 0, 0)
	if errno == 0 && n > 0 {
		return int(n), nil
	}
	k, err := unix.EpollWait(t.epoll, t.ready, 100)
	if err != nil && !errors.Is(err, unix.EINTR) {
		return 0, fmt.Errorf("wait for answers: %w", err)
	}
	return max(k, 0), nil
}

// send starts the next request of c, unless it has sent all that it may.
func (t *thread) send(c *conn, now time.Time) {
	if t.plan.Limit > 0 && c.sent == t.plan.Limit {
		return
	}
	c.request = &t.plan.Requests[t.next%len(t.plan.Requests)]
	t.next++
	c.sent++
	c.begun = now
	c.unsent = c.request.Bytes
	t.busy++
	t.push(c)
}

// push writes what c has not sent yet, as far as its socket takes it.
func (t *thread) push(c *conn) {
	for len(c.unsent) > 0 {
		n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(c.fd), uintptr(unsafe.Pointer(&c.unsent[0])), uintptr(len(c.unsent)))
		switch errno {
		case 0:
			c.unsent = c.unsent[n:]
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

// watch makes the epoll set watch for room to send, or no longer.
func (t *thread) watch(c *conn, blocked bool) {
	if c.blocked == blocked {
		return
	}
	c.blocked = blocked
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: c.index}
	if blocked {
		ev.Events |= unix.EPOLLOUT
	}
	if err := unix.EpollCtl(t.epoll, unix.EPOLL_CTL_MOD, c.fd, &ev); err != nil {
		t.fail(c, "watch: "+err.Error())
	}
}

// receive reads from c and reports whether its answer is complete and good, and c free for the next request.
func (t *thread) receive(c *conn, clock *clock) bool {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(c.fd), uintptr(unsafe.Pointer(&t.buffer[0])), uintptr(len(t.buffer)))
	switch {
	case errno == unix.EAGAIN || errno == unix.EINTR:
		return false
	case errno != 0:
		t.fail(c, "read: "+errno.Error())
		return false
	case n == 0:
		t.fail(c, "the connection was closed by the server")
		return false
	case c.request == nil:
		t.fail(c, "an answer that nobody asked for")
		return false
	}
	got := t.buffer[:n]
	if len(c.received) > 0 {
		c.received = append(c.received, got...)
		got = c.received
	}
	if bytes.Equal(got, t.good) && bytes.Equal(c.request.Want, t.goodWant) {
		t.acknowledge(c, clock)
		return true
	}
	a, complete, err := parseAnswer(got)
	switch {
	case err != nil:
		t.fail(c, err.Error())
		return false
	case !complete:
		if len(c.received) == 0 {
			c.received = append(c.received, got...)
		}
		return false
	case a.size != len(got):
		t.fail(c, "bytes after the answer")
		return false
	case len(c.unsent) > 0:
		t.fail(c, fmt.Sprintf("status %d before the request was sent", a.status))
		return false
	case a.status != t.plan.Status || c.request.Want != nil && !bytes.Equal(a.body, c.request.Want):
		t.refused(c, &a)
		return c.fd >= 0
	}
	t.good, t.goodWant = append(t.good[:0], got...), c.request.Want
	t.acknowledge(c, clock)
	return true
}

// acknowledge counts the answer of c's request.
func (t *thread) acknowledge(c *conn, clock *clock) {
	now := time.Now()
	t.acked += int64(c.request.Events)
	if !now.Before(clock.from) && now.Before(clock.to) {
		t.requests++
		t.events += int64(c.request.Events)
		micros := now.Sub(c.begun).Microseconds()
		t.latency.RecordValue(min(max(micros, 1), latencyMax)) //nolint:errcheck // it is within the bounds
	}
	t.free(c)
}

func (t *thread) free(c *conn) {
	c.request, c.received = nil, c.received[:0]
	t.busy--
}

// refused counts an answer that acknowledges nothing, or not everything. The connection goes on.
func (t *thread) refused(c *conn, a *answer) {
	t.count(fmt.Sprintf("status %d, body %.200q", a.status, a.body))
	t.free(c)
}

// fail counts a failure of the connection and ends it.
func (t *thread) fail(c *conn, what string) {
	if c.fd < 0 {
		return
	}
	t.count(what)
	if c.request != nil {
		t.free(c)
	}
	t.hangUp(c)
}

func (t *thread) count(what string) {
	t.failures++
	if t.failure == "" {
		t.failure = what
	}
}

// addTo adds the thread's counts to the result.
func (t *thread) addTo(r *Result) {
	r.Requests += t.requests
	r.Events += t.events
	r.Acked += t.acked
	r.Failures += t.failures
	if r.Failure == "" {
		r.Failure = t.failure
	}
	r.Unanswered += int64(t.busy)
	r.Latency.Merge(t.latency)
}
