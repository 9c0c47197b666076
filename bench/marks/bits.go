package marks

import (
	"encoding/binary"
	"math/bits"
)

// Bits is a set of numbers.
type Bits []uint64

// Set puts n into the set.
func (b *Bits) Set(n int64) {
	for int64(len(*b)) <= n/64 {
		*b = append(*b, 0)
	}
	(*b)[n/64] |= 1 << (n % 64)
}

// Has reports whether n is in the set.
func (b Bits) Has(n int64) bool { return n/64 < int64(len(b)) && b[n/64]&(1<<(n%64)) != 0 }

// Count returns how many are in the set.
func (b Bits) Count() int64 {
	total := 0
	for _, word := range b {
		total += bits.OnesCount64(word)
	}
	return int64(total)
}

// Without counts what is in b and not in other.
func (b Bits) Without(other Bits) int64 {
	total := 0
	for i, word := range b {
		if i < len(other) {
			word &^= other[i]
		}
		total += bits.OnesCount64(word)
	}
	return int64(total)
}

// Bytes returns the set for the wire, ReadBits the set of such bytes.
func (b Bits) Bytes() []byte {
	out := make([]byte, 0, 8*len(b))
	for _, word := range b {
		out = binary.LittleEndian.AppendUint64(out, word)
	}
	return out
}

// ReadBits reads what Bytes wrote; bytes beyond the last whole word are ignored.
func ReadBits(p []byte) Bits {
	b := make(Bits, len(p)/8)
	for i := range b {
		b[i] = binary.LittleEndian.Uint64(p[8*i:])
	}
	return b
}
