//go:build !linux

package baseline

import "os"

// Datasync is fsync where there is nothing smaller.
func Datasync(f *os.File) error { return f.Sync() }
