package ingest

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// budget bounds the memory of bodies in flight. What does not fit is refused at once; nothing waits for
// room, so two large bodies cannot wait for each other.
//
// Memory is counted as it is taken, which is as bytes arrive: a client that announces 32 MiB and sends a
// byte a second holds a kilobyte of the budget, not half of it.
type budget struct {
	used *atomic.Int64
	max  int64
}

// take counts n bytes and reports whether they fit.
func (b *budget) take(n int64) bool {
	if b.used.Add(n) > b.max {
		b.used.Add(-n)
		return false
	}
	return true
}

func (b *budget) give(n int64) { b.used.Add(-n) }

// fits reports whether n bytes would fit now.
func (b *budget) fits(n int64) bool { return b.used.Load()+n <= b.max }

// Buffers of bodies come from pools by size, powers of two from 1 KiB to 2 MiB. Larger ones are made when
// needed and left to the collector: they are rare, and a pool would keep them.
const (
	minBufferBits = 10
	maxBufferBits = 21
)

var buffers [maxBufferBits - minBufferBits + 1]sync.Pool // of *[]byte

// takeBuffer returns an empty buffer of at least size bytes capacity.
func takeBuffer(size int) []byte {
	class := max(bits.Len(uint(size-1)), minBufferBits)
	if class > maxBufferBits {
		return make([]byte, 0, size)
	}
	if b, ok := buffers[class-minBufferBits].Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return make([]byte, 0, 1<<class)
}

// giveBuffer takes a buffer of takeBuffer back.
func giveBuffer(b []byte) {
	class := bits.Len(uint(cap(b))) - 1
	if class < minBufferBits || class > maxBufferBits || cap(b) != 1<<class {
		return
	}
	b = b[:0]
	buffers[class-minBufferBits].Put(&b)
}
