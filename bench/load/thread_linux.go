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

	"github.com/weirlog/weir/bench/marks"
)

// thread serves its share of the connections. Only its goroutine touches it between newThread and addTo.
type thread struct {
	plan     *Plan
	peer     peer
	clock    *clock
	schedule *schedule // nil: a closed loop
	index    int
	epoll    int
	conns    []conn
	idle     ring // connections without a request
	usable   int  // connections that are not dead
	busy     int  // connections with a request in flight
	next     int  // index of the next request
	stopped  bool // nothing more is sent

	ready  []unix.EpollEvent
	buffer []byte
	// The last good answer, the body that it was wanted to have, and whether it ended its connection: most answers are
	// the same bytes.
	good, goodWant []byte
	goodLast       bool

	requests, events, acked, failures, unsent int64
	failure                                   string
	latency                                   *hdrhistogram.Histogram
}

const answerBuffer = 64 << 10

// newThread opens the connections of the i-th thread.
func newThread(plan *Plan, i int) (*thread, error) {
	t := &thread{plan: plan, index: i, epoll: -1, next: i * len(plan.Requests) / plan.Threads,
		ready: make([]unix.EpollEvent, 256), buffer: make([]byte, answerBuffer), latency: newHistogram()}
	var err error
	if t.peer, err = newPeer(plan.Address); err != nil {
		return t, err
	}
	if t.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return t, fmt.Errorf("create epoll: %w", err)
	}
	share := (plan.Connections + i) / plan.Threads // sums up to Connections over all threads
	t.conns = make([]conn, share)
	t.idle = newRing(share)
	t.usable = share
	for n := range t.conns {
		c := &t.conns[n]
		c.fd, c.index = -1, int32(n)
		t.rest(c)
	}
	if plan.DialEach {
		return t, nil
	}
	for n := range t.conns {
		c := &t.conns[n]
		if c.fd, err = t.peer.dial(); err != nil {
			return t, err
		}
		if err := t.watchNew(c, false); err != nil {
			return t, err
		}
	}
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

// run sends and receives until nothing is left to send and no answer is missing.
func (t *thread) run(ctx context.Context, clock *clock) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	t.clock = clock
	if t.plan.Rate > 0 {
		t.schedule = newSchedule(clock.begun, t.plan.Rate, t.index, t.plan.Threads)
		// A sleep ends when it should; by default the kernel adds up to 50 µs, which would count as latency.
		defer exactSleep()()
	}
	t.dispatch(time.Now())
	for t.busy > 0 || t.mayDispatch() || t.expects() {
		n, err := t.wait()
		if err != nil {
			return err
		}
		now := time.Now()
		t.stopped = t.stopped || ctx.Err() != nil || t.schedule == nil && !now.Before(clock.to)
		if now.After(clock.giveUp) {
			break // what is busy is unanswered
		}
		for _, ev := range t.ready[:n] {
			c := &t.conns[ev.Fd]
			t.handle(c, ev.Events)
			if c.request == nil && !c.resting && !c.dead {
				t.rest(c)
				t.dispatch(time.Now())
			}
		}
		t.dispatch(now)
	}
	t.giveUp()
	return nil
}

// handle does what an event says.
func (t *thread) handle(c *conn, events uint32) {
	if events&unix.EPOLLOUT != 0 {
		t.push(c)
	}
	if events&^unix.EPOLLOUT != 0 && c.fd >= 0 {
		t.receive(c)
	}
}

// rest makes c wait for its next request, unless it has sent all that it may.
func (t *thread) rest(c *conn) {
	if t.plan.Limit == 0 || c.sent < t.plan.Limit {
		c.resting = true
		t.idle.push(c.index)
	}
}

// mayDispatch reports whether a connection of a closed loop rests that may send.
func (t *thread) mayDispatch() bool {
	return t.schedule == nil && !t.stopped && t.idle.len() > 0 && (t.plan.AtOnce == 0 || t.busy < t.plan.AtOnce)
}

// dispatch lets resting connections send: in a closed loop all, or as many as may be busy; in an open loop as many as
// requests are due. One that fails at once has to wait for the next call.
func (t *thread) dispatch(now time.Time) {
	for range t.idle.len() {
		begun := now
		if t.schedule == nil && !t.mayDispatch() || t.stopped {
			return
		}
		if t.schedule != nil {
			if begun = t.schedule.due(); begun.After(now) || !begun.Before(t.clock.to) {
				return
			}
		}
		c := &t.conns[t.idle.pop()]
		if c.resting = false; c.dead {
			continue
		}
		if t.schedule != nil {
			t.schedule.take()
		}
		t.send(c, begun)
	}
}

// expects reports whether a request is still to become due, or is due and waits for a connection.
func (t *thread) expects() bool {
	return t.schedule != nil && !t.stopped && t.usable > 0 && t.schedule.due().Before(t.clock.to)
}

// giveUp counts the requests that were due and had no connection until now: they have waited at least so long.
func (t *thread) giveUp() {
	if t.schedule == nil || t.stopped {
		return
	}
	now := time.Now()
	for due := t.schedule.due(); due.Before(t.clock.to); due = t.schedule.due() {
		t.unsent++
		t.record(due, now)
		t.schedule.take()
	}
}

// wait returns how many connections are ready. It looks first without giving up the processor: under
// load something always is.
func (t *thread) wait() (int, error) {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(t.epoll), uintptr(unsafe.Pointer(&t.ready[0])), uintptr(len(t.ready)), 0, 0, 0)
	if errno == 0 && n > 0 {
		return int(n), nil
	}
	pause := 100 * time.Millisecond
	if t.mayDispatch() {
		pause = 0
	}
	if t.schedule != nil && t.idle.len() > 0 && t.expects() {
		pause = min(pause, time.Until(t.schedule.due()))
	}
	if pause <= 0 {
		return 0, nil
	}
	k, err := epollWait(t.epoll, t.ready, pause)
	if err != nil && !errors.Is(err, unix.EINTR) {
		return 0, fmt.Errorf("wait for answers: %w", err)
	}
	return max(k, 0), nil
}

// send starts the next request on c. It counts from begun.
func (t *thread) send(c *conn, begun time.Time) {
	c.request = &t.plan.Requests[t.next%len(t.plan.Requests)]
	t.next++
	c.sent++
	c.begun = begun
	c.unsent = c.request.Bytes
	t.busy++
	if t.plan.Ledger != nil {
		c.mark(t.plan.Ledger)
	}
	if c.fd < 0 && !t.open(c) {
		return
	}
	t.push(c)
}

// mark gives the events of c's request their numbers.
func (c *conn) mark(ledger *marks.Ledger) {
	c.first = ledger.Take(len(c.request.Marks))
	c.own = append(c.own[:0], c.request.Bytes...)
	for i, place := range c.request.Marks {
		marks.Put(c.own[place:], c.first+int64(i))
	}
	c.unsent = c.own
}

// receive reads from c, and counts its answer when it is complete.
func (t *thread) receive(c *conn) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(c.fd), uintptr(unsafe.Pointer(&t.buffer[0])), uintptr(len(t.buffer)))
	switch {
	case errno == unix.EAGAIN || errno == unix.EINTR:
		return
	case c.request == nil && t.plan.Reopen && (errno != 0 || n == 0): // it is opened again when it has something to send
		t.hangUp(c)
		return
	case errno != 0:
		t.fail(c, "read: "+errno.Error())
		return
	case c.request == nil && n > 0:
		t.fail(c, "an answer that nobody asked for")
		return
	}
	ended := n == 0
	got := t.buffer[:n]
	if len(c.received) > 0 {
		c.received = append(c.received, got...)
		got = c.received
	}
	if c.request != nil && !ended && bytes.Equal(got, t.good) && bytes.Equal(c.request.Want, t.goodWant) {
		t.acknowledge(c, t.goodLast)
		return
	}
	t.read(c, got, ended)
}

// read takes what came of an answer so far.
func (t *thread) read(c *conn, got []byte, ended bool) {
	a, complete, err := parseAnswer(got, ended)
	switch {
	case err != nil:
		t.fail(c, err.Error())
	case !complete && ended:
		t.fail(c, "the connection was closed by the server")
	case !complete:
		if len(c.received) == 0 {
			c.received = append(c.received, got...)
		}
	case a.size != len(got):
		t.fail(c, "bytes after the answer")
	case len(c.unsent) > 0:
		t.fail(c, fmt.Sprintf("status %d before the request was sent", a.status))
	case !t.plan.acknowledges(c.request, &a):
		t.count(fmt.Sprintf("status %d, body %.200q", a.status, a.body))
		t.free(c, a.last || ended)
	default:
		last := a.last || ended
		t.good, t.goodWant, t.goodLast = append(t.good[:0], got...), c.request.Want, last
		t.acknowledge(c, last)
	}
}

// acknowledge counts the answer of c's request. last says that the server ends the connection.
func (t *thread) acknowledge(c *conn, last bool) {
	now := time.Now()
	t.acked += int64(c.request.Events)
	if t.plan.Ledger != nil {
		t.plan.Ledger.Acknowledge(c.first, len(c.request.Marks))
	}
	if t.clock.within(now) {
		t.requests++
		t.events += int64(c.request.Events)
	}
	t.record(c.begun, now)
	t.free(c, last)
}

// record notes the latency of a request of the window: a closed loop's by its answer, an open loop's by when it was due.
func (t *thread) record(begun, now time.Time) {
	moment := now
	if t.schedule != nil {
		moment = begun
	}
	if t.clock.within(moment) {
		t.latency.RecordValue(min(max(now.Sub(begun).Microseconds(), 1), latencyMax)) //nolint:errcheck // it is within the bounds
	}
}

// free ends c's request, and its connection where it was the last on it.
func (t *thread) free(c *conn, last bool) {
	c.request, c.unsent, c.received = nil, nil, c.received[:0]
	t.busy--
	if t.plan.DialEach || last && t.plan.Reopen {
		t.hangUp(c)
	}
}

// fail counts a failure of the connection and ends it.
func (t *thread) fail(c *conn, what string) {
	if c.fd < 0 {
		return
	}
	t.count(what)
	if c.request != nil {
		t.free(c, false)
	}
	t.hangUp(c)
	switch {
	case !t.plan.DialEach && !t.plan.Reopen || c.pending: // or it could not be opened
		t.bury(c)
	case !c.resting:
		t.rest(c)
	}
}

// bury gives a connection up.
func (t *thread) bury(c *conn) {
	if !c.dead {
		c.dead = true
		t.usable--
	}
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
	r.Unsent += t.unsent
	r.Latency.Merge(t.latency)
}
