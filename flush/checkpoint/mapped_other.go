//go:build !linux

package checkpoint

// dropMapped does nothing: what MADV_DONTNEED does differs from system to system.
func dropMapped(uintptr, int64) {}
