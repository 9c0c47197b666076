//go:build !linux

package checkpoint

// unmap does nothing: what MADV_DONTNEED does differs from system to system.
func unmap(uintptr, int64) {}
