package load

import (
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"
)

// peer is a parsed Plan.Address. Each goroutine has its own: connecting writes into the address.
type peer struct {
	address string
	family  int
	to      unix.Sockaddr
}

// maxPath is the length of a socket's path that the kernel takes.
const maxPath = 107

func newPeer(address string) (peer, error) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		if path == "" || len(path) > maxPath {
			return peer{}, fmt.Errorf("address %q: the path of a unix socket has 1 to %d bytes", address, maxPath)
		}
		return peer{address, unix.AF_UNIX, &unix.SockaddrUnix{Name: path}}, nil
	}
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return peer{}, fmt.Errorf("address %q: %w", address, err)
	}
	if ap.Addr().Is4() {
		return peer{address, unix.AF_INET, &unix.SockaddrInet4{Port: int(ap.Port()), Addr: ap.Addr().As4()}}, nil
	}
	return peer{address, unix.AF_INET6, &unix.SockaddrInet6{Port: int(ap.Port()), Addr: ap.Addr().As16()}}, nil
}

// dial opens one connection and makes it non-blocking.
func (p *peer) dial() (int, error) {
	fd, err := p.socket(0)
	if err != nil {
		return -1, err
	}
	for err = unix.EINTR; err == unix.EINTR; {
		err = unix.Connect(fd, p.to)
	}
	if err == unix.EISCONN { // after an interrupted call
		err = nil
	}
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	return p.orClosed(fd, err)
}

// begin starts to open a connection. pending says that it becomes writable when it is open, or could not be opened.
//
// One that is for a single request closes with RST, so that nobody keeps its ports in TIME_WAIT. The server has closed
// its side by then, or is about to: it was told that there is no second request, and its answer was read in full.
func (p *peer) begin(single bool) (fd int, pending bool, err error) {
	if fd, err = p.socket(unix.SOCK_NONBLOCK); err != nil {
		return -1, false, err
	}
	err = unix.Connect(fd, p.to)
	if err == unix.EINPROGRESS {
		pending, err = true, nil
	}
	if err == nil && single && p.family != unix.AF_UNIX {
		err = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	}
	fd, err = p.orClosed(fd, err)
	return fd, pending, err
}

func (p *peer) socket(flags int) (int, error) {
	fd, err := unix.Socket(p.family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|flags, 0)
	if err != nil {
		return -1, fmt.Errorf("open socket: %w", err)
	}
	if p.family == unix.AF_UNIX {
		return fd, nil
	}
	return p.orClosed(fd, unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1))
}

// orClosed returns fd, or closes it when err says so.
func (p *peer) orClosed(fd int, err error) (int, error) {
	if err != nil {
		unix.Close(fd) //nolint:errcheck // it was never used
		return -1, fmt.Errorf("connect to %s: %w", p.address, err)
	}
	return fd, nil
}
