//go:build !linux

package transform

import (
	"errors"
	"time"
)

// processTime: the benchmark needs Linux.
func processTime() (time.Duration, error) {
	return 0, errors.New("the processor time is read on Linux only")
}
