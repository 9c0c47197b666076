package load

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"
)

// Run opens the connections, sends for WarmUp and Window (or until each connection has sent Limit requests,
// whichever is first), waits for the answers that are missing, and closes. When ctx ends it stops sending.
// The error says that the plan could not be carried out; what servers do wrong is in the Result.
func Run(ctx context.Context, plan Plan) (*Result, error) {
	plan, err := plan.withDefaults()
	if err != nil {
		return nil, err
	}
	threads := make([]*thread, plan.Threads)
	defer func() {
		for _, t := range threads {
			t.close()
		}
	}()
	for i := range threads {
		if threads[i], err = newThread(&plan, i); err != nil {
			return nil, err
		}
	}
	result := &Result{Begun: time.Now(), Latency: hdrhistogram.New(1, latencyMax, latencyDigits)}
	clock := newClock(&plan, result.Begun)
	var wg sync.WaitGroup
	errs := make([]error, len(threads))
	for i, t := range threads {
		wg.Go(func() { errs[i] = t.run(ctx, clock) })
	}
	wg.Wait()
	result.Ended = time.Now()
	result.Window = clock.window(result.Ended)
	for _, t := range threads {
		t.addTo(result)
	}
	if plan.AtEnd != nil {
		plan.AtEnd()
	}
	return result, errors.Join(errs...)
}

// MaxConnections returns how many connections this process may have open, with room for what else it needs.
func MaxConnections() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return int(min(limit.Cur, 1<<20)) - 100
}

// clock holds the moments of a run.
type clock struct {
	from, to, giveUp time.Time // the window, and the end of patience
}

func newClock(plan *Plan, begun time.Time) *clock {
	c := &clock{from: begun.Add(plan.WarmUp)}
	window := plan.Window
	if window <= 0 {
		window = time.Hour // Limit ends it
	}
	c.to = c.from.Add(window)
	c.giveUp = c.to.Add(plan.Patience)
	return c
}

func (c *clock) window(ended time.Time) time.Duration {
	if ended.Before(c.to) {
		return max(ended.Sub(c.from), 0)
	}
	return c.to.Sub(c.from)
}

// dial opens one connection and makes it non-blocking.
func dial(address string) (fd int, err error) {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return -1, fmt.Errorf("address %q: %w", address, err)
	}
	family, to := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: int(ap.Port())})
	if ap.Addr().Is4() {
		to.(*unix.SockaddrInet4).Addr = ap.Addr().As4()
	} else {
		family, to = unix.AF_INET6, &unix.SockaddrInet6{Port: int(ap.Port()), Addr: ap.Addr().As16()}
	}
	fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open socket: %w", err)
	}
	for err = unix.EINTR; err == unix.EINTR; {
		err = unix.Connect(fd, to)
	}
	if err == nil || err == unix.EISCONN { // after an interrupted call
		err = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		unix.Close(fd) //nolint:errcheck // it was never used
		return -1, fmt.Errorf("connect to %s: %w", address, err)
	}
	return fd, nil
}
