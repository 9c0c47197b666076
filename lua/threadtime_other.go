//go:build !linux

package lua

import "time"

var processStart = time.Now()

// timeKind names what threadTime counts.
const timeKind = "time"

// threadTime is time itself where the system does not tell a thread's.
func threadTime() time.Duration { return time.Since(processStart) }
