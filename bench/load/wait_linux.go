package load

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// epollWait waits to the nanosecond where the kernel can (5.11), and to the millisecond, rather too short, where not.
func epollWait(epoll int, ready []unix.EpollEvent, pause time.Duration) (int, error) {
	ts := unix.NsecToTimespec(int64(pause))
	n, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(epoll), uintptr(unsafe.Pointer(&ready[0])), uintptr(len(ready)),
		uintptr(unsafe.Pointer(&ts)), 0, 0)
	switch errno {
	case 0:
		return int(n), nil
	case unix.ENOSYS:
		return unix.EpollWait(epoll, ready, int(pause.Milliseconds()))
	}
	return 0, errno
}

// exactSleep makes the sleeps of this thread end when they should, until the function that it returns is called.
func exactSleep() func() {
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) // without it, sleeps are only longer
	return func() { _ = unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0) }
}
