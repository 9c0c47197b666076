package load

import (
	"time"

	"golang.org/x/sys/unix"
)

// slow holds connections that send one byte a second each, evenly spread over the second: half of them the head of their
// request, the other half, after a whole head, its body. One that the server ended is opened again at its next turn.
type slow struct {
	peer  peer
	conns []slowConn
	cuts  int64
	left  int // open when they were closed
	buf   [512]byte
}

type slowConn struct {
	fd   int // -1: closed
	sent int // bytes of slowRequest
}

// slowTick is how often some of the connections have their turn.
const slowTick = 10 * time.Millisecond

// slowHead begins the request; the body is slowBody's letters for longer than any run takes.
var (
	slowHead = []byte("POST /ingest HTTP/1.1\r\nHost: slow\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n")
	slowBody = []byte(`{"message":"`)
)

// newSlow opens the connections, as far as the server takes them.
func newSlow(plan *Plan) (*slow, error) {
	peer, err := newPeer(plan.Address)
	if err != nil {
		return nil, err
	}
	s := &slow{peer: peer, conns: make([]slowConn, plan.Slow)}
	for i := range s.conns {
		s.conns[i].fd = -1
		s.open(i)
	}
	return s, nil
}

// run gives the connections their turns until stop is closed, and closes them.
func (s *slow) run(stop <-chan struct{}) {
	defer s.close()
	tick := time.NewTicker(slowTick)
	defer tick.Stop()
	begun, turns := time.Now(), 0
	for {
		select {
		case <-stop:
			return
		case now := <-tick.C:
			due := int(now.Sub(begun).Seconds() * float64(len(s.conns)))
			due = min(due, turns+len(s.conns)) // after a pause of the machine nobody catches up
			for ; turns < due; turns++ {
				s.turn(turns % len(s.conns))
			}
		}
	}
}

// turn sends the next byte of a connection, or opens it again.
func (s *slow) turn(i int) {
	c := &s.conns[i]
	if c.fd >= 0 {
		if _, err := unix.Read(c.fd, s.buf[:]); err != unix.EAGAIN && err != unix.EINTR { // closed, or refused with an answer
			s.cut(c)
		}
	}
	if c.fd < 0 {
		s.open(i)
		return
	}
	if _, err := unix.Write(c.fd, []byte{slowByte(c.sent)}); err != nil && err != unix.EAGAIN && err != unix.EINTR {
		s.cut(c)
		return
	}
	c.sent++
}

// slowByte returns the n-th byte of the request.
func slowByte(n int) byte {
	if n < len(slowHead) {
		return slowHead[n]
	}
	if n -= len(slowHead); n < len(slowBody) {
		return slowBody[n]
	}
	return 'a'
}

// open opens the i-th connection. A server that takes no more connections is the server's right: the next turn tries again.
func (s *slow) open(i int) {
	c := &s.conns[i]
	fd, err := s.peer.dial()
	if err != nil {
		return
	}
	c.fd, c.sent = fd, 0
	if i%2 == 1 {
		n, _ := unix.Write(fd, slowHead) // a server that has ended it already is noticed at its turn
		c.sent = max(n, 0)
	}
}

func (s *slow) cut(c *slowConn) {
	s.cuts++
	unix.Close(c.fd) //nolint:errcheck // it is of no more use
	c.fd = -1
}

func (s *slow) close() {
	for i := range s.conns {
		if c := &s.conns[i]; c.fd >= 0 {
			unix.Close(c.fd) //nolint:errcheck // nothing depends on it
			c.fd = -1
			s.left++
		}
	}
}
