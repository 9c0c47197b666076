package transform

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// processTime is the processor time that this process has used, by all its threads.
func processTime() (time.Duration, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &ts); err != nil {
		return 0, fmt.Errorf("read the processor time: %w", err)
	}
	return time.Duration(ts.Nano()), nil
}
