package flush

import "unsafe"

// Arena hands out memory that lives until Reset and is used again then. The zero value is ready; a nil
// *Arena allocates. Not for concurrent use.
type Arena struct {
	chunks [][]byte // of arenaChunk bytes, all of them in use up to n
	n      int
	used   int      // bytes of chunks[n]
	large  [][]byte // pieces larger than a chunk, which Reset gives back
	text   []byte   // what String has handed out, and room for more; never used again
}

const arenaChunk = 256 << 10

// arenaText is how many bytes of strings share an allocation, and so the most that one of them keeps.
const arenaText = 4 << 10

// Alloc returns n bytes of unspecified content with capacity n.
func (a *Arena) Alloc(n int) []byte {
	if a == nil {
		return make([]byte, n)
	}
	if n > arenaChunk {
		b := make([]byte, n)
		a.large = append(a.large, b)
		return b
	}
	if a.n < len(a.chunks) && a.used+n > arenaChunk {
		a.n, a.used = a.n+1, 0
	}
	if a.n == len(a.chunks) {
		a.chunks = append(a.chunks, make([]byte, arenaChunk))
		a.used = 0
	}
	b := a.chunks[a.n][a.used : a.used+n : a.used+n]
	a.used += n
	return b
}

// Copy returns a copy of b.
func (a *Arena) Copy(b []byte) []byte {
	c := a.Alloc(len(b))
	copy(c, b)
	return c
}

// String returns a string of b. It is good for ever, also after Reset; what spares time is that many share an allocation.
func (a *Arena) String(b []byte) string {
	if a == nil || len(b) == 0 || len(b) > arenaText/16 {
		return string(b)
	}
	if cap(a.text)-len(a.text) < len(b) {
		a.text = make([]byte, 0, arenaText)
	}
	from := len(a.text)
	a.text = append(a.text, b...)
	return unsafe.String(&a.text[from], len(b)) // nobody writes to these bytes again
}

// Reset makes all memory available again. What was handed out may not be used any more.
func (a *Arena) Reset() {
	a.n, a.used = 0, 0
	clear(a.large)
	a.large = a.large[:0]
}

// Size returns the bytes that the arena keeps for its next use.
func (a *Arena) Size() int64 { return int64(len(a.chunks)) * arenaChunk }
