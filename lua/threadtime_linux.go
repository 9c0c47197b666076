package lua

import (
	"time"

	"golang.org/x/sys/unix"
)

// timeKind names what threadTime counts.
const timeKind = "processor time"

// threadTime is the processor time that the calling thread has used.
func threadTime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		return time.Since(processStart) // the clock exists on every Linux; without it, time is what there is
	}
	return time.Duration(ts.Nano())
}

var processStart = time.Now()
