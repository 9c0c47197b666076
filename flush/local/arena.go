package local

import "unsafe"

// arena hands out small pieces of memory that live until reset. Terms of a batch lie in it, so that a
// token costs no allocation.
type arena struct {
	chunks [][]byte
	at     int // chunk in use
}

const (
	arenaChunk = 64 << 10
	arenaKeep  = 64 // chunks that reset keeps: 4 MiB
)

// grab returns an empty slice with room for n bytes that nobody else writes to.
func (a *arena) grab(n int) []byte {
	if n > arenaChunk/4 {
		return make([]byte, 0, n)
	}
	if len(a.chunks) == 0 {
		a.chunks = append(a.chunks, make([]byte, 0, arenaChunk))
	}
	c := a.chunks[a.at]
	if cap(c)-len(c) < n {
		if a.at++; a.at == len(a.chunks) {
			a.chunks = append(a.chunks, make([]byte, 0, arenaChunk))
		}
		c = a.chunks[a.at]
	}
	end := len(c) + n
	a.chunks[a.at] = c[:end]
	return c[len(c):len(c):end]
}

// copy returns a copy of s in the arena.
func (a *arena) copy(s string) string { return stringOf(append(a.grab(len(s)), s...)) }

func (a *arena) reset() {
	a.chunks = a.chunks[:min(len(a.chunks), arenaKeep)]
	for i := range a.chunks {
		a.chunks[i] = a.chunks[i][:0]
	}
	a.at = 0
}

// stringOf shares the bytes of b, which must not change while the string is in use.
func stringOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
